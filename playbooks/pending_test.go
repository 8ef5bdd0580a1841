package playbooks_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

// saying is a folder with an apt that says what a test wants, and a root below which scripts look.
func saying(t *testing.T, upgrade, policy, show string) (root string) {
	t.Helper()
	root = t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("upgrade", upgrade)
	write("policy", policy)
	write("show", show)
	write("apt-get", "#!/bin/sh\ncase \" $* \" in\n*' -s '*) cat \"$ROLLPATCH_ROOT/upgrade\" ;;\nesac\n")
	write("apt-cache", "#!/bin/sh\ncat \"$ROLLPATCH_ROOT/$1\"\n")
	write("dpkg", "#!/bin/sh\necho amd64\n")
	write("dpkg-query", `#!/bin/sh
case $* in
*source:Package*source:Version*) zlib='\tzlib\t1:1.2' ssl='\topenssl\t3.0.15-1' ;;
esac
printf "zlib1g\t1\tamd64\thold\tinstalled\t9$zlib\nlibssl3\t1\tamd64\tinstall\tinstalled\t9$ssl\n"
`)
	return root
}

func pendingOf(t *testing.T, root string, env ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-s")
	cmd.Stdin = strings.NewReader(string(mustFor(t, "debian").Script(playbooks.Pending)))
	cmd.Env = append([]string{"PATH=" + root + ":/usr/local/bin:/usr/bin:/bin", "ROLLPATCH_ROOT=" + root, "TMPDIR=" + t.TempDir()}, env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pending: %v\n%s", err, errs.String())
	}
	return string(out)
}

func mustFor(t *testing.T, os string) playbooks.Playbook {
	t.Helper()
	p, err := load(t, "").For(os)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const debianPolicy = `Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 http://debian.example.org/debian-security bookworm-security/main amd64 Packages
     release v=12,o=Debian,a=stable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
     origin debian.example.org
 500 http://debian.example.org/debian bookworm/main amd64 Packages
     release v=12.12,o=Debian,a=stable,n=bookworm,l=Debian,c=main,b=amd64
     origin debian.example.org
 500 http://example.org/own own/main amd64 Packages
     release o=our own,a=own,n=own,l=our own,c=main,b=amd64
     origin example.org
Pinned packages:
`

func TestPendingSaysWhatIsASecurityFix(t *testing.T) {
	const upgrade = `Inst libssl3 [3.0.15-1~deb12u1] (3.0.17-1~deb12u3 Debian-Security:12/stable-security [amd64])
Inst tzdata [2024b-0+deb12u1] (2025b-0+deb12u2 Debian:12.12/stable [all])
Inst both [1] (2 Debian:12.12/stable, Debian-Security:12/stable-security [amd64])
Inst ours [1.0] (1.1 our own:own [all])
Inst linux-image-6.1.0-41-amd64 (6.1.158-1 Debian-Security:12/stable-security [amd64])
Remv gone [1.0]
Conf libssl3 (3.0.17-1~deb12u3 Debian-Security:12/stable-security [amd64])
`
	const show = `Package: libssl3
Version: 3.0.17-1~deb12u3
Size: 2000

Package: ours
Version: 1.1
Size: 70
Phased-Update-Percentage: 20

`
	for _, row := range []struct{ says, policy, tz string }{
		{"of an archive with a companion of security fixes it is known", debianPolicy, "no"},
		{"without that nobody can tell", strings.ReplaceAll(strings.ReplaceAll(debianPolicy, "-security", "-updates"), "-Security", ""), "unknown"},
		{"nor where apt says nothing", "", "unknown"},
	} {
		got := strings.Split(strings.TrimSpace(pendingOf(t, saying(t, upgrade, row.policy, show))), "\n")
		for _, want := range []string{
			"upgrade\tlibssl3\t3.0.15-1~deb12u1\t3.0.17-1~deb12u3\tDebian-Security:12/stable-security\tyes\t2000",
			"upgrade\ttzdata\t2024b-0+deb12u1\t2025b-0+deb12u2\tDebian:12.12/stable\t" + row.tz + "\t0",
			"upgrade\tboth\t1\t2\tDebian:12.12/stable, Debian-Security:12/stable-security\tyes\t0",
			"upgrade\tours\t1.0\t1.1\tour own:own\tunknown\t70",
			"new\tlinux-image-6.1.0-41-amd64\t-\t6.1.158-1\tDebian-Security:12/stable-security\tyes\t0",
			"remove\tgone\t1.0\t-",
			"phased\tours\t1.1\t20",
			"reboot\tyes\tlinux-image-6.1.0-41-amd64\ta new kernel",
			"reboot\tlikely\tlibssl3\tif a process has it open",
			"held\tzlib1g\t1",
		} {
			if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n") {
				t.Errorf("%s: no row %q in\n%s", row.says, want, strings.Join(got, "\n"))
			}
		}
		if len(got) != 10 {
			t.Errorf("%s: %d rows, want 10:\n%s", row.says, len(got), strings.Join(got, "\n"))
		}
	}
}

// What is installed is told where it is asked for, and not otherwise; and what would come is told by its source then, too.
func TestPendingTellsWhatIsInstalled(t *testing.T) {
	root := saying(t, `Inst libssl3 [3.0.15-1] (3.0.17-1+b1 Debian-Security:12/stable-security [amd64])
Inst libssl3:i386 [3.0.15-1] (3.0.17-1 Debian-Security:12/stable-security [i386])
Inst dhcpcd [1.0] (2.0 Debian:12/stable [amd64])
Inst bc [1.0] (2.0 Debian:12/stable [amd64])
Inst unknown [1.0] (2.0 Debian:12/stable [amd64])
Remv gone [1.0]
`, "", `Package: libssl3
Source: openssl (3.0.17-1)
Version: 3.0.17-1+b1
Size: 2000

Package: libssl3
Version: 3.0.17-1
Source: openssl

Package: dhcpcd
Version: 2.0
Source: dhcpcd5 (1:2.0)

Package: bc
Version: 2.0
Size: 3
`)
	if got := pendingOf(t, root); strings.Contains(got, "installed\t") || strings.Contains(got, "offered\t") {
		t.Errorf("nobody asked for it:\n%s", got)
	}
	const want = `installed	zlib1g	zlib	1:1.2
installed	libssl3	openssl	3.0.15-1
offered	bc	2.0	bc	2.0
offered	dhcpcd	2.0	dhcpcd5	1:2.0
offered	libssl3	3.0.17-1+b1	openssl	3.0.17-1
offered	libssl3:i386	3.0.17-1	openssl	3.0.17-1
`
	if got := pendingOf(t, root, "ROLLPATCH_INSTALLED=1"); !strings.HasSuffix(got, "\n"+want) {
		t.Errorf("it says\n%s\nand its end is to be\n%s", got, want)
	}
}

// The real dpkg and apt tell the source of what is installed and of what would come.
func TestFolderTellsSources(t *testing.T) {
	f := newFolder(t)
	f.build("lab-web", "1.1", "Depends: lab-web-data (= 1.1)\nSource: lab-source (2:7-1)\n")
	f.build("lab-web-data", "1.1", "Source: lab-source\n")
	f.publish("1.0", "1.1")
	got, _ := f.run(playbooks.Pending, 0, env("INSTALLED", "1"))
	if want := "[[lab-web lab-web 1.0] [lab-web-data lab-web-data 1.0]]"; fmt.Sprint(got["installed"]) != want {
		t.Errorf("installed %s, want %s", got["installed"], want)
	}
	if want := "[[lab-web 1.1 lab-source 2:7-1] [lab-web-data 1.1 lab-source 1.1]]"; fmt.Sprint(got["offered"]) != want {
		t.Errorf("offered %s, want %s", got["offered"], want)
	}
	f.shell("dpkg -i " + f.deb("lab-web-data", "1.1") + " " + f.deb("lab-web", "1.1"))
	got, _ = f.run(playbooks.Pending, 0, env("INSTALLED", "1"))
	if want := "[[lab-web lab-source 2:7-1] [lab-web-data lab-source 1.1]]"; fmt.Sprint(got["installed"]) != want || got["offered"] != nil {
		t.Errorf("installed %s, want %s; offered %s", got["installed"], want, got["offered"])
	}
}

// Ubuntu names its archives otherwise.
func TestPendingOnUbuntu(t *testing.T) {
	const policy = ` 500 http://archive.ubuntu.com/ubuntu jammy-updates/main amd64 Packages
     release v=22.04,o=Ubuntu,a=jammy-updates,n=jammy,l=Ubuntu,c=main,b=amd64
 500 http://security.ubuntu.com/ubuntu jammy-security/main amd64 Packages
     release v=22.04,o=Ubuntu,a=jammy-security,n=jammy,l=Ubuntu,c=main,b=amd64
`
	got := pendingOf(t, saying(t, "Inst a [1] (2 Ubuntu:22.04/jammy-updates [amd64])\nInst b [1] (2 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])\n", policy, ""))
	for _, want := range []string{"upgrade\ta\t1\t2\tUbuntu:22.04/jammy-updates\tno\t0\n", "upgrade\tb\t1\t2\tUbuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security\tyes\t0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no row %q in\n%s", want, got)
		}
	}
}
