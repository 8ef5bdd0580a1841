package testenv

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// tools are the programs of the machine that a lab runs, and Debian's package for each.
var tools = []struct{ program, debian, why string }{
	{"debootstrap", "debootstrap", "to make the hosts' root"},
	{"systemd-nspawn", "systemd-container", "to run the hosts"},
	{"ip", "iproute2", "to make the lab's network"},
	{"iptables", "iptables", "to let the hosts reach each other, and to cut them off"},
	{"nsenter", "util-linux", "to look into a host past its sshd"},
	{"haproxy", "haproxy", "to balance load over the web cluster"},
	{"gpg", "gnupg", "to sign the package repository"},
	{"dpkg-deb", "dpkg", "to build the lab's packages"},
}

// installTools installs what the machine lacks with the machine's own apt.
func installTools(ctx context.Context, c *cache) error {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			c.sayf("this machine has no %s, which the lab needs %s", t.program, t.why)
			missing = append(missing, t.debian)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends"}, missing...)
	// A package manager is not killed half way, whoever loses patience.
	ctx = context.WithoutCancel(ctx)
	c.sayf("installing: %s", strings.Join(install, " "))
	if _, err := command(ctx, install...); err == nil {
		return nil
	}
	// A machine fresh from its image knows no package yet, or only ones its mirror no longer has.
	if _, err := command(ctx, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"); err != nil {
		return fmt.Errorf("set-up: %w", err)
	}
	if _, err := command(ctx, install...); err != nil {
		return fmt.Errorf("set-up: %w", err)
	}
	return nil
}
