package playbooks_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

// folder is a host that is a folder: its packages are kept by the real apt and dpkg, and its repository is another folder.
type folder struct {
	t          *testing.T
	root, repo string
	path       string
	book       playbooks.Playbook
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	for _, tool := range []string{"apt-get", "dpkg", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("dpkg installs into a folder for root alone")
	}
	dir := t.TempDir()
	f := &folder{t: t, root: filepath.Join(dir, "root"), repo: filepath.Join(dir, "repo"), path: filepath.Join(dir, "bin") + ":" + os.Getenv("PATH")}
	var err error
	if f.book, err = load(t, "").For("debian"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "usr", "boot", "run"} {
		if err := os.MkdirAll(filepath.Join(f.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "apt.conf")
	for name, text := range map[string]string{
		filepath.Join(f.root, "var/lib/dpkg/status"):    "",
		filepath.Join(f.root, "etc/os-release"):         "ID=debian\nVERSION_ID=12\n",
		filepath.Join(f.root, "etc/apt/sources.list"):   "deb [trusted=yes] file:" + f.repo + " ./\n",
		filepath.Join(dir, "bin", "dpkg-query"):         "#!/bin/sh\nexec /usr/bin/dpkg-query --admindir=" + f.root + "/var/lib/dpkg \"$@\"\n",
		filepath.Join(dir, "bin", "dpkg"):               "#!/bin/sh\ncase $1 in --print-architecture | --compare-versions) exec /usr/bin/dpkg \"$@\" ;; esac\nexec /usr/bin/dpkg --root=" + f.root + " \"$@\"\n",
		filepath.Join(f.root, "var/lib/dpkg/available"): "",
		conf: fmt.Sprintf("Dir %q;\nDir::State::status %q;\nDir::Bin::dpkg %q;\nAPT::Sandbox::User \"root\";\n", f.root, f.root+"/var/lib/dpkg/status", dir+"/bin/dpkg"),
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("APT_CONFIG", conf)
	for _, v := range []string{"1.0", "1.1", "1.4"} {
		f.build("lab-web", v, "Depends: lab-web-data (= "+v+")\n")
		f.build("lab-web-data", v, "")
	}
	f.publish("1.0")
	f.shell("dpkg -i " + f.deb("lab-web-data", "1.0") + " " + f.deb("lab-web", "1.0"))
	return f
}

func (f *folder) deb(name, version string) string {
	return filepath.Join(f.repo, name+"_"+version+"_all.deb")
}

func (f *folder) build(name, version, depends string) {
	f.t.Helper()
	tree := f.t.TempDir()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: lab <lab@rollpatch.invalid>\nDescription: test\n%s", name, version, depends)
	for file, text := range map[string]string{"DEBIAN/control": control, "usr/share/" + name + "/version": version + "\n"} {
		file = filepath.Join(tree, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644), os.MkdirAll(f.repo, 0o755), os.Chmod(tree, 0o755)); err != nil {
			f.t.Fatal(err)
		}
	}
	f.shell("dpkg-deb -Znone --root-owner-group --build " + tree + " " + f.deb(name, version))
}

// publish offers these versions and no others.
func (f *folder) publish(versions ...string) {
	f.t.Helper()
	f.shell("cd " + f.repo + " && : >Packages && for v in " + strings.Join(versions, " ") + `; do for n in lab-web lab-web-data; do
		d=${n}_${v}_all.deb
		dpkg-deb -f $d >>Packages
		printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $d $(stat -c %s $d) $(sha256sum $d | cut -d ' ' -f 1) >>Packages
	done; done`)
}

func (f *folder) shell(script string) string {
	f.t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Env = append(os.Environ(), "PATH="+f.path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// run runs a script that must end with that status.
func (f *folder) run(name string, status int, e map[string]string) (rows, string) {
	f.t.Helper()
	cmd := exec.Command("sh", "-s")
	cmd.Stdin = bytes.NewReader(f.book.Script(name))
	cmd.Env = append(os.Environ(), "PATH="+f.path, "ROLLPATCH_ROOT="+f.root)
	for k, v := range e {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		f.t.Fatalf("%s: exit status %d, want %d\n%s%s", name, got, status, stdout.Bytes(), stderr.Bytes())
	}
	return table(stdout.Bytes()), stderr.String()
}

func (f *folder) versions() string {
	f.t.Helper()
	return f.shell(`dpkg --audit; dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n'`)
}

func (f *folder) at(version string) {
	f.t.Helper()
	if got, want := f.versions(), "lab-web "+version+" installed\nlab-web-data "+version+" installed\n"; got != want {
		f.t.Errorf("the host has\n%swant\n%s", got, want)
	}
}

// soakedOf is what a peer is told of the files that the canary got.
func soakedOf(fetched rows) string {
	var b strings.Builder
	for _, r := range fetched["file"] {
		b.WriteString(strings.Join([]string{r[0], r[1], r[2], r[4]}, "\t") + "\n")
	}
	return b.String()
}

// The repository moves on between the fetch and the patch, and before a peer's fetch.
func TestFolderRepositoryMovesOn(t *testing.T) {
	f := newFolder(t)
	f.publish("1.0", "1.1")
	f.run(playbooks.Pending, 0, nil)
	fetched, _ := f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger))
	files := soakedOf(fetched)
	if len(fetched["file"]) != 2 || fetched["file"][0][1] != "1.1" || !strings.HasPrefix(f.shell("sha256sum "+f.deb("lab-web", "1.1")), fetched["file"][0][2]) {
		t.Fatalf("fetch: %q, want a row with the digest of each file", fetched)
	}

	f.publish("1.0", "1.4")
	// A peer whose ledger has the files needs no repository for them; one whose has not is told to lack them.
	if p, _ := f.run(playbooks.Pending, 0, env("LEDGER", ledger, "FILES", files)); len(p["absent"]) != 0 || len(p["upgrade"]) != 2 || p["upgrade"][0][2] != "1.4" {
		t.Errorf("pending, with the files in the ledger: %q", p)
	}
	if p, _ := f.run(playbooks.Pending, 0, env("LEDGER", "other-1", "FILES", files)); fmt.Sprint(p["absent"]) != "[[lab-web 1.1] [lab-web-data 1.1]]" {
		t.Errorf("pending, without: %q", p)
	}
	f.run(playbooks.Fetch, playbooks.ExitUnavailable, env("WANT", want("1.1"), "LEDGER", "other-1", "FILES", files))
	if again, _ := f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger, "FILES", files)); fmt.Sprint(again) != fmt.Sprint(fetched) {
		t.Errorf("fetch from the ledger: %q, want as before: %q", again, fetched)
	}
	f.at("1.0")
	f.run(playbooks.Apply, 0, env("CHANGES", changes("1.0", "1.1"), "LEDGER", ledger))
	f.at("1.1")
	f.run(playbooks.Backout, 0, env("CHANGES", changes("1.0", "1.1"), "LEDGER", ledger))
	f.at("1.0")
}

// A repository that has other bytes under the same name and version, and a file in the ledger that was changed, are not what soaked.
func TestFolderOtherBytesAreNotWhatSoaked(t *testing.T) {
	f := newFolder(t)
	f.publish("1.0", "1.1")
	f.run(playbooks.Pending, 0, nil)
	fetched, _ := f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger))
	files := soakedOf(fetched)
	f.build("lab-web", "1.1", "Depends: lab-web-data (= 1.1)\nHomepage: https://other.invalid\n")
	f.publish("1.0", "1.1")
	f.run(playbooks.Pending, 0, nil)
	_, said := f.run(playbooks.Fetch, playbooks.ExitUnavailable, env("WANT", want("1.1"), "LEDGER", "peer-1", "FILES", files))
	if !strings.Contains(said, "another file than the one that soaked under the name of lab-web 1.1") {
		t.Errorf("fetch says %s", said)
	}
	// With the file that soaked beside it, that one is taken.
	f.shell("cp " + f.root + "/var/lib/rollpatch/ledger/" + ledger + "/new/lab-web_*.deb " + f.root + "/var/lib/rollpatch/ledger/peer-1/new/")
	f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", "peer-1", "FILES", files))
	f.run(playbooks.Apply, 0, env("CHANGES", changes("1.0", "1.1"), "LEDGER", "peer-1"))
	if got := f.shell(`dpkg-query -W -f '${Homepage}' lab-web`); got != "" {
		t.Errorf("it has the other file: %s", got)
	}
	f.at("1.1")

	f.publish("1.0", "1.4")
	f.shell("printf x >>" + f.root + "/var/lib/rollpatch/ledger/peer-1/new/lab-web_1.1_all.deb")
	if p, _ := f.run(playbooks.Pending, 0, env("LEDGER", "peer-1", "FILES", files)); fmt.Sprint(p["absent"]) != "[[lab-web 1.1]]" {
		t.Errorf("pending with a file that was changed: %q", p)
	}
}

// Power cuts leave dpkg's work in states that apt alone does not finish.
func TestFolderTornPackagesAreFinished(t *testing.T) {
	for says, status := range map[string]string{
		"in its prerm":                    "/^Package: lab-web$/,/^$/s/^Status: .*/Status: install reinstreq half-configured/",
		"while its files came":            "/^Package: lab-web$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/",
		"what it depends on, in its own":  "/^Package: lab-web-data$/,/^$/s/^Status: .*/Status: install reinstreq half-configured/",
		"both, before they were set up":   "s/^Status: .*/Status: install ok unpacked/",
		"unpacked, and then set up anew":  "/^Package: lab-web$/,/^$/s/^Status: .*/Status: install ok unpacked/",
		"half of the files of both of it": "s/^Status: .*/Status: install reinstreq half-installed/",
	} {
		t.Run(says, func(t *testing.T) {
			f := newFolder(t)
			f.publish("1.0", "1.1")
			f.run(playbooks.Pending, 0, nil)
			f.run(playbooks.Fetch, 0, env("WANT", want("1.1"), "LEDGER", ledger))
			f.shell("sed -i '" + status + "' " + f.root + "/var/lib/dpkg/status")
			f.run(playbooks.Apply, 0, env("CHANGES", changes("1.0", "1.1"), "REPAIR", "1", "LEDGER", ledger))
			f.at("1.1")
		})
	}
}

// systemctl is a stand-in that keeps what is active as files, and starts nothing whose drop-in says no.
const systemctl = `#!/bin/sh
units=$ROLLPATCH_ROOT/units
last() { for last; do :; done; printf '%s' "$last"; }
unit=$(last "$@")
case $1 in
show)
	case $*:$(cat "$units/$unit" 2>/dev/null) in
	*LoadState*:) echo not-found ;;
	*LoadState*) echo loaded ;;
	*) echo inactive ;;
	esac
	;;
is-active) [ "$(cat "$units/$unit" 2>/dev/null)" = active ] ;;
start)
	! grep -qs ConditionDirectoryNotEmpty "$ROLLPATCH_ROOT/etc/systemd/system/$unit.d/rollpatch.conf" || [ -z "$(ls "$ROLLPATCH_ROOT/var/lib/rollpatch/updaters")" ] || exit 0
	echo active >"$units/$unit"
	;;
stop) echo inactive >"$units/$unit" ;;
daemon-reload) ;;
*) exit 1 ;;
esac
`

// Automatic updates are as they were, whoever else has them off meanwhile and however often it is asked.
func TestFolderUpdaters(t *testing.T) {
	f := newFolder(t)
	units := map[string]string{"apt-daily.timer": "active", "apt-daily-upgrade.timer": "inactive", "apt-daily.service": "inactive", "unattended-upgrades.service": "active"}
	bin, _, _ := strings.Cut(f.path, ":")
	if err := errors.Join(os.MkdirAll(filepath.Join(f.root, "units"), 0o755), os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, state := range units {
		if err := os.WriteFile(filepath.Join(f.root, "units", name), []byte(state+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	turn := 0
	says := func(word, owner string, status int, want string) {
		t.Helper()
		r, _ := f.run(playbooks.Updaters, status, env("UPDATERS", word, "OWNER", owner, "LEDGER", owner, "TURN", fmt.Sprint(turn)))
		if got := fmt.Sprint(r["updater"]); want != "" && got != want {
			t.Errorf("%s for %s: %s, want %s", word, owner, got, want)
		}
	}
	const (
		before = "[[apt-daily.timer active] [apt-daily-upgrade.timer inactive] [unattended-upgrades.service active]]"
		off    = "[[apt-daily.timer inactive] [apt-daily-upgrade.timer inactive] [unattended-upgrades.service inactive]]"
	)
	as := func() string {
		return f.shell("cd " + f.root + "; find etc/systemd var/lib/rollpatch/updaters 2>/dev/null | sort; grep . units/*")
	}
	clean := func(when string) {
		t.Helper()
		if left := f.shell("cd " + f.root + "; find etc/systemd var/lib/rollpatch/updaters -type f 2>/dev/null || :"); left != "" {
			t.Errorf("%s it leaves\n%s", when, left)
		}
	}
	says("on", "monthly-1.web", 0, before) // nothing was off
	clean("with nothing to do")
	turn = 1
	says("off", "monthly-1.web", 0, off)
	state := as()
	says("off", "monthly-1.web", 0, off)
	if again := as(); again != state {
		t.Errorf("off again it is\n%s\nwas\n%s", again, state)
	}
	f.shell("ROLLPATCH_ROOT=" + f.root + " systemctl start apt-daily.timer") // as at boot
	says("off", "weekly-1.db", 0, off)
	turn = 2
	says("on", "monthly-1.web", 0, off) // another one still has them off
	says("on", "monthly-1.web", 0, off)
	turn = 1
	says("off", "monthly-1.web", playbooks.ExitUnlisted, "") // it comes too late
	says("on", "weekly-1.db", 0, before)
	clean("at the end")
	says("off", "monthly-1.web", playbooks.ExitUnlisted, "")
	clean("with what comes too late")
	for _, bad := range []map[string]string{env("UPDATERS", "off", "OWNER", "../x", "TURN", "1"), env("UPDATERS", "maybe", "OWNER", "x", "TURN", "1"), env("UPDATERS", "off", "OWNER", "x", "TURN", "")} {
		f.run(playbooks.Updaters, playbooks.ExitArguments, bad)
	}
}
