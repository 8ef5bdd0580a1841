package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// suite is the Debian release that the hosts run.
const suite = "bookworm"

// mirror is where this machine gets Debian from: its own apt says so, the lab knows no server by name.
type mirror struct {
	main     string // base address of the main archive
	security string // base address of the security archive, empty if the machine has none
	proxy    string
}

func findMirror(ctx context.Context) (mirror, error) {
	m, err := readMirror(ctx)
	if err != nil || m.main != "" {
		return m, err
	}
	// A fresh image may have sources but has never read them.
	if _, err := command(ctx, "apt-get", "-q", "update"); err != nil {
		return mirror{}, err
	}
	m, err = readMirror(ctx)
	if err == nil && m.main == "" {
		err = errors.New("this machine's apt has no source of Debian's main archive (apt-get indextargets lists none)")
	}
	return m, err
}

func readMirror(ctx context.Context) (mirror, error) {
	var m mirror
	out, err := command(ctx, "apt-get", "indextargets", "--format", "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)")
	if err != nil {
		return m, err
	}
	for _, line := range strings.Split(out, "\n") {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] != "Packages" || f[2] != "main" {
			continue
		}
		switch release := f[1]; {
		case strings.HasSuffix(release, "-security") && m.security == "":
			m.security = f[3]
		case !strings.Contains(release, "-") && strings.HasSuffix(strings.TrimSuffix(f[3], "/"), "/debian") && m.main == "":
			m.main = f[3]
		}
	}
	out, err = command(ctx, "apt-config", "shell", "PROXY", "Acquire::http::Proxy")
	if err != nil {
		return m, err
	}
	m.proxy = strings.Trim(strings.TrimPrefix(strings.TrimSpace(out), "PROXY="), "'")
	return m, nil
}

// environment is what programs other than apt need to reach the mirror.
func (m mirror) environment() []string {
	if m.proxy == "" || m.proxy == "DIRECT" {
		return nil
	}
	return []string{"http_proxy=" + m.proxy}
}

// debianKeyring is Debian's own: the machine's list may name another, or none.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

func sourceLine(address, release string) string {
	options := ""
	if _, err := os.Stat(debianKeyring); err == nil {
		options = "[signed-by=" + debianKeyring + "] "
	}
	return fmt.Sprintf("deb %s%s %s main\n", options, address, release)
}
