package testenv

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Missing says in one sentence what this machine lacks for a lab of real
// hosts, or nothing if it lacks nothing that the lab cannot install itself.
func Missing() string {
	if runtime.GOOS != "linux" {
		return "real hosts need Linux, and this is " + runtime.GOOS
	}
	if os.Geteuid() != 0 {
		return "real hosts need root, and this is user id " + strconv.Itoa(os.Geteuid())
	}
	if id := osRelease("ID"); id != "debian" {
		return "real hosts are made with Debian's own tools, and this is " + strconv.Quote(id)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "real hosts need apt-get, which is not here"
	}
	// A container's root may be no root: only trying tells.
	probe := exec.Command("/bin/sh", "-c", "mount -t tmpfs none /mnt && mount -t proc proc /proc")
	probe.SysProcAttr = probeNamespaces()
	if out, err := probe.CombinedOutput(); err != nil {
		return "real hosts need namespaces and mounts, which this root may not have: " + strings.TrimSpace(err.Error()+" "+string(out))
	}
	groups, err := hostCgroups("rplab-probe")
	if err != nil {
		return "real hosts need control groups of their own, which cannot be made here: " + err.Error()
	}
	removeCgroups(groups)
	return ""
}

func osRelease(key string) string {
	raw, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}
