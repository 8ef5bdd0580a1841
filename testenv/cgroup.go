package testenv

import (
	"os"
	"path/filepath"
	"strings"
)

// hostCgroups makes the control groups of one host and returns their folders.
// Hosts must not share one: their service managers would take each other's
// processes for their own.
func hostCgroups(machine string) ([]string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	// The service manager's own hierarchies: the unified one, and the named one of mixed set-ups.
	var unified, named, path string
	for _, line := range strings.Split(string(mounts), "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) < 4:
		case f[2] == "cgroup2":
			unified = f[1]
		case f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",name=systemd,"):
			named = f[1]
		}
	}
	for _, line := range strings.Split(string(own), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) == 3 && (f[1] == "" && unified != "" || f[1] == "name=systemd" && unified == "") {
			path = f[2]
		}
	}
	var dirs []string
	for _, mount := range []string{unified, named} {
		if mount == "" {
			continue
		}
		dir := filepath.Join(mount, path, machine)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// removeCgroups removes what a host that has ended left of its groups: folders only, deepest first.
func removeCgroups(dirs []string) {
	for _, dir := range dirs {
		var all []string
		_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			_ = os.Remove(all[i]) // what is still in use is found empty by the next start
		}
	}
}
