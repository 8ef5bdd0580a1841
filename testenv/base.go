package testenv

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// basePackages are what every host has, beyond Debian's minimal system.
var basePackages = []string{
	"systemd", "systemd-sysv", "dbus", "libpam-systemd", "udev", "openssh-server", "sudo", "iproute2",
	"procps", "ca-certificates", "tzdata", "nginx-light", "redis-server", "unattended-upgrades",
}

// customise makes a bootstrapped root into the base of all hosts. It runs inside the root.
//
//go:embed customise.sh
var customise string

// makeBase returns a folder with `root`, the base of every host, and `debs`,
// the packages it was made from. It is made from the release alone, without the
// security archive: what that archive has is what is pending on a fresh host.
func makeBase(ctx context.Context, c *cache) (string, error) {
	name := "base-" + digest(suite, strings.Join(basePackages, ","), customise)
	return c.make(name, "the hosts' base root (debootstrap "+suite+", some 300 MB)", func(tmp string) error {
		m, err := findMirror(ctx)
		if err != nil {
			return err
		}
		root, debs := filepath.Join(tmp, "root"), filepath.Join(tmp, "debs")
		if err := os.MkdirAll(debs, 0o755); err != nil {
			return err
		}
		if _, err := commandIn(ctx, tmp, m.environment(), append(alone, "debootstrap", "--variant=minbase",
			"--include="+strings.Join(basePackages, ","), suite, root, m.main)...); err != nil {
			return err
		}
		// The hosts must not keep them: a way back has to be fetched, as on any server.
		archives, err := filepath.Glob(filepath.Join(root, "var/cache/apt/archives/*.deb"))
		if err != nil {
			return err
		}
		if len(archives) == 0 {
			return fmt.Errorf("debootstrap left no packages in %s", root)
		}
		for _, deb := range archives {
			if err := os.Rename(deb, filepath.Join(debs, filepath.Base(deb))); err != nil {
				return err
			}
		}
		script := filepath.Join(root, "customise.sh")
		if err := os.WriteFile(script, []byte(customise), 0o755); err != nil {
			return err
		}
		if _, err := command(ctx, "chroot", root, "/bin/sh", "/customise.sh"); err != nil {
			return err
		}
		return os.Remove(script)
	})
}
