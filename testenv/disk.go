package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// mountDisk gives the host an empty disk on top of the layers all hosts share.
func (m *machine) mountDisk() error {
	root := m.lab.hostRoot(m.Name)
	upper, work := filepath.Join(m.lab.host(m.Name), "disk"), filepath.Join(m.lab.host(m.Name), "work")
	for _, d := range []string{root, upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	lower := filepath.Join(m.lab.Parts.Base, "root")
	if m.web() {
		lower = filepath.Join(m.lab.Parts.WebLayer, "layer") + ":" + lower
	}
	// volatile: nothing waits for the machine's own disk. A lab's power cut takes
	// a host's processes and leaves what they wrote, flushed or not.
	options := fmt.Sprintf("volatile,lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("host %q: mount its disk (%s): %w (the lab's folder must not be on an overlay itself)", m.Name, options, err)
	}
	return m.personalise(root)
}

// wipeDisk unmounts the disk and forgets what was on it.
func (m *machine) wipeDisk() error {
	if err := unmount(m.lab.hostRoot(m.Name)); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("host %q: unmount its disk: %w", m.Name, err)
	}
	return os.RemoveAll(m.lab.host(m.Name))
}

// personalise writes what makes one host of the base root.
func (m *machine) personalise(root string) error {
	p := m.lab.paths
	read := func(path string) string {
		raw, err := os.ReadFile(path)
		if err != nil {
			panic(err) // made by the lab itself just before
		}
		return string(raw)
	}
	machineID := digest("machine", bridgeName(m.lab.Number), m.Name)
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, h := range hostsOf(m.lab.Number) {
		fmt.Fprintf(&hosts, "%s %s\n", h.Address, h.Name)
	}
	repository := fmt.Sprintf("http://%s:%d", gateway(m.lab.Number), portRepository)
	var sources strings.Builder
	for _, a := range []struct {
		path string
		archive
	}{{"debian", archiveDebian}, {"debian-security", archiveSecurity}, {"lab", archiveLab}} {
		fmt.Fprintf(&sources, "deb [signed-by=/usr/share/keyrings/rollpatch-lab.gpg] %s/%s %s main\n", repository, a.path, a.suite)
	}
	files := []struct {
		path, content string
		mode          os.FileMode
	}{
		{"etc/hostname", m.Name + "\n", 0o644},
		{"etc/machine-id", (machineID + machineID + machineID)[:32] + "\n", 0o444},
		{"etc/hosts", hosts.String(), 0o644},
		{"etc/resolv.conf", "", 0o644},
		{"etc/systemd/network/10-lab.network", "[Match]\nName=host0\n\n[Network]\nAddress=" + m.Address + "/24\n", 0o644},
		{"etc/apt/sources.list.d/lab.list", sources.String(), 0o644},
		{"usr/share/keyrings/rollpatch-lab.gpg", read(filepath.Join(m.lab.Parts.Key, "public.gpg")), 0o644},
		{"etc/ssh/ssh_host_ed25519_key", read(p.hostKey(m.Name)), 0o600},
		{"etc/ssh/ssh_host_ed25519_key.pub", read(p.hostKey(m.Name) + ".pub"), 0o644},
		{"home/patch/.ssh/authorized_keys", read(p.clientKey() + ".pub"), 0o644},
		{"usr/local/bin/consul", "", 0o755}, // what the program is bound over
	}
	for _, f := range files {
		if err := writeFile(filepath.Join(root, f.path), f.content, f.mode); err != nil {
			return fmt.Errorf("host %q: %w", m.Name, err)
		}
	}
	for name, config := range consulAgent(m.lab.Number, m.Host) {
		if err := writeFile(filepath.Join(root, "etc/consul.d", name), toJSON(config), 0o644); err != nil {
			return fmt.Errorf("host %q: %w", m.Name, err)
		}
	}
	if m.web() {
		return nil
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants/redis-server.service")
	return os.Symlink("/lib/systemd/system/redis-server.service", wants)
}
