package playbooks_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/sshrun"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/playbooks"
	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/labtest"
)

// host is a real host, worked on the way that the product does it.
type host struct {
	t      *testing.T
	lab    *testenv.Lab
	pool   *sshrun.Pool
	target activities.Target
	book   playbooks.Playbook
	runs   int
}

func newHost(t *testing.T, lab *testenv.Lab, name string) *host {
	t.Helper()
	raw, err := os.ReadFile(lab.InventoryFile())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := file.ParseInventory(file.Source{Name: "inventory.yaml", Raw: raw})
	if err != nil {
		t.Fatal(err)
	}
	h, ok := doc.Value.Resolve().WithPaths(filepath.Dir(lab.InventoryFile()), "/nonexistent").Host(name)
	if !ok {
		t.Fatalf("the lab's inventory has no host %q", name)
	}
	pool := sshrun.New(sshrun.Options{})
	t.Cleanup(pool.Shutdown)
	book, err := load(t, "").For("debian")
	if err != nil {
		t.Fatal(err)
	}
	return &host{t: t, lab: lab, pool: pool, book: book, target: activities.Target{
		Host: name, Addr: net.JoinHostPort(h.Address, strconv.Itoa(h.Access.Port)), Access: h.Access,
	}}
}

// rows are the lines of a script's table, by the word that they begin with.
type rows map[string][][]string

func table(out []byte) rows {
	r := rows{}
	for _, line := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		columns := strings.Split(line, "\t")
		r[columns[0]] = append(r[columns[0]], columns[1:])
	}
	return r
}

func (r rows) one(t *testing.T, key string) string {
	t.Helper()
	if len(r[key]) != 1 || len(r[key][0]) != 1 {
		t.Fatalf("%s: %q, want one value", key, r[key])
	}
	return r[key][0][0]
}

func env(pairs ...string) map[string]string {
	e := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		e["ROLLPATCH_"+pairs[i]] = pairs[i+1]
	}
	return e
}

// query runs a script that changes no package and must succeed.
func (h *host) query(name string, e map[string]string) rows {
	h.t.Helper()
	began := time.Now()
	out, err := h.pool.Query(h.t.Context(), h.target, h.book.Script(name), e)
	h.t.Logf("%s: %v", name, time.Since(began).Round(time.Millisecond))
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	return table(out)
}

// refused runs such a script that must end with a status.
func (h *host) refused(name string, e map[string]string, status int) string {
	h.t.Helper()
	_, err := h.pool.Query(h.t.Context(), h.target, h.book.Script(name), e)
	var exit *sshrun.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != status {
		h.t.Fatalf("%s: %v, want exit status %d", name, err, status)
	}
	return exit.Stderr
}

// run carries out a script as a run on the host.
func (h *host) run(name string, e map[string]string) activities.RunOutcome {
	h.t.Helper()
	out, err := h.pool.Run(h.t.Context(), h.target, h.next(name, e), nil)
	if err != nil {
		h.t.Fatalf("%s: %v", name, err)
	}
	h.t.Logf("%s: %s %d after %v on the host", name, out.State, out.Exit, out.Ended.Sub(out.Started).Round(time.Millisecond))
	return out
}

func (h *host) next(name string, e map[string]string) activities.Run {
	h.t.Helper()
	seq, err := strconv.ParseInt(h.query(playbooks.Facts, nil).one(h.t, "seq"), 10, 64)
	if err != nil {
		h.t.Fatal(err)
	}
	h.runs++
	return activities.Run{
		ID: fmt.Sprintf("test-1.%s.%s.%d", h.target.Host, name, h.runs), Seq: seq + 1, Step: name,
		Script: h.book.Script(name), Env: e, Deadline: time.Hour,
	}
}

func (h *host) exits(name string, e map[string]string, status int) activities.RunOutcome {
	h.t.Helper()
	out := h.run(name, e)
	if out.State != activities.RunExited || out.Exit != status {
		h.t.Fatalf("%s: %s %d (%s), want exit status %d\n%s", name, out.State, out.Exit, out.Reason, status, out.Stderr)
	}
	return out
}

func (h *host) versions() map[string]string {
	h.t.Helper()
	v, err := h.lab.Versions(h.t.Context(), h.target.Host)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func (h *host) exec(argv ...string) string {
	h.t.Helper()
	out, err := h.lab.Exec(h.t.Context(), h.target.Host, argv...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *host) publish(what string) {
	h.t.Helper()
	if err := h.lab.Publish(h.t.Context(), what); err != nil {
		h.t.Fatal(err)
	}
}

// clean is what dpkg itself says.
func (h *host) clean() {
	h.t.Helper()
	if audit := h.exec("dpkg", "--audit"); audit != "" {
		h.t.Errorf("dpkg --audit: %s", audit)
	}
}

// marks are the packages that apt may remove by itself.
func (h *host) marks() string {
	h.t.Helper()
	return h.exec("apt-mark", "showauto")
}

func want(version string) string { return "lab-web\t" + version + "\nlab-web-data\t" + version + "\n" }

func changes(from, to string) string {
	return fmt.Sprintf("lab-web\t%s\t%s\nlab-web-data\t%s\t%s\n", from, to, from, to)
}

const ledger = "test-1.web-1"

func TestLabGoodPatchAndBack(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	before, marks := h.versions(), h.marks()
	facts := h.query(playbooks.Facts, nil)
	boot, err := h.pool.BootID(t.Context(), h.target)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"os": "debian", "release": "12", "hostname": "web-1", "boot_id": boot, "seq": "0", "dpkg": "clean", "reboot_pending": "0",
	} {
		if got := facts.one(t, key); got != value {
			t.Errorf("facts: %s is %q, want %q", key, got, value)
		}
	}
	if len(facts["pkg"]) != len(before) {
		t.Errorf("facts lists %d packages, dpkg has %d", len(facts["pkg"]), len(before))
	}
	for _, p := range facts["pkg"] {
		if before[p[0]] != p[1] || p[3] != "install" {
			t.Errorf("facts: %q, dpkg has %q", p, before[p[0]])
		}
	}

	h.publish("1.1")
	pending := h.query(playbooks.Pending, nil)
	if len(pending["upgrade"]) != 2 || len(pending["new"])+len(pending["remove"])+len(pending["held"]) != 0 {
		t.Fatalf("pending: %q", pending)
	}
	for i, name := range []string{"lab-web", "lab-web-data"} {
		u := pending["upgrade"][i]
		size, err := strconv.Atoi(u[5])
		if u[0] != name || u[1] != "1.0" || u[2] != "1.1" || u[3] == "" || u[4] != "unknown" || err != nil || size < 500 {
			t.Errorf("pending: %q", u)
		}
	}

	fetched := h.query(playbooks.Fetch, env("WANT", "lab-web\t1.1\n", "LEDGER", ledger))
	if got := fmt.Sprint(fetched["change"]); got != "[[lab-web 1.0 1.1] [lab-web-data 1.0 1.1]]" {
		t.Errorf("fetch: change %s, want the dependency too", got)
	}
	for _, b := range fetched["back"] {
		sum := h.exec("sh", "-c", "sha256sum /var/lib/rollpatch/ledger/"+ledger+"/"+b[0]+"_1.0_all.deb")
		if !strings.HasPrefix(sum, b[2]+" ") {
			t.Errorf("fetch: back %q, the ledger has %s", b, sum)
		}
	}
	if len(fetched["back"]) != 2 {
		t.Errorf("fetch: back %q, want both", fetched["back"])
	}
	if !maps.Equal(before, h.versions()) {
		t.Error("fetch changed packages")
	}

	// What starts apt by itself is away for as long as it takes, and back afterwards.
	h.exec("systemctl", "start", "apt-daily.timer")
	h.exec("systemctl", "stop", "apt-daily-upgrade.timer")
	since := h.exec("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", "apt-daily.timer")
	out := h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.1")), 0)
	if got := string(out.Stdout); got != "changed\tlab-web\t1.0\t1.1\nchanged\tlab-web-data\t1.0\t1.1\n" {
		t.Errorf("apply: %q", got)
	}
	after := maps.Clone(before)
	after["lab-web"], after["lab-web-data"] = "1.1", "1.1"
	if got := h.versions(); !maps.Equal(got, after) {
		t.Errorf("after apply: %v", got)
	}
	if got := h.marks(); got != marks {
		t.Errorf("apply changed what apt may remove by itself:\n%s\nbefore:\n%s", got, marks)
	}
	if got := h.exec("sh", "-c", "systemctl is-active apt-daily.timer apt-daily-upgrade.timer || true"); got != "active\ninactive\n" {
		t.Errorf("timers are %q, were active and inactive", got)
	}
	if got := h.exec("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", "apt-daily.timer"); got == since {
		t.Error("apt-daily.timer was not paused")
	}
	verified := h.query(playbooks.Verify, env("NAMES", "lab-web\nno-such\n"))
	if got := fmt.Sprint(verified["pkg"], verified["dpkg"]); got != "[[lab-web 1.1 installed] [no-such - not-installed]] [[clean]]" {
		t.Errorf("verify: %s", got)
	}
	again := h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.1")), 0)
	if string(again.Stdout) != string(out.Stdout) {
		t.Errorf("apply again: %q", again.Stdout)
	}

	h.exits(playbooks.Backout, env("CHANGES", changes("1.0", "1.1"), "LEDGER", ledger), 0)
	if got := h.versions(); !maps.Equal(got, before) {
		t.Errorf("after backout: %v", got)
	}
	if got := h.marks(); got != marks {
		t.Errorf("backout changed what apt may remove by itself:\n%s\nbefore:\n%s", got, marks)
	}
	h.clean()
}

// Versions in quarantine are no candidates, nor is what needs them; everything else is. A newer version is.
func TestLabVersionsAreLeftOut(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	h.publish("1.2")
	names := func(r [][]string) string {
		var out []string
		for _, columns := range r {
			out = append(out, strings.Join(columns[:3], " "))
		}
		return strings.Join(out, ", ")
	}
	// The host's own pins are on the other side: one for this very version, one that is read first, one for everything.
	for says, pins := range map[string]string{
		"no pins":             "rm -f /etc/apt/preferences /etc/apt/preferences.d/own.pref",
		"a file of its own":   "printf 'Package: lab-web\nPin: version 1.2\nPin-Priority: 1001\n' >/etc/apt/preferences",
		"and one more beside": "printf 'Package: lab-web lab-web-data\nPin: version 1.2\nPin-Priority: 1001\n\nPackage: *\nPin: release *\nPin-Priority: 990\n' >/etc/apt/preferences.d/own.pref",
	} {
		h.exec("sh", "-c", pins)
		for what, out := range map[string]string{"both": "lab-web\t1.2\nlab-web-data\t1.2\n", "the dependency": "lab-web-data\t1.2\n", "what needs it": "lab-web\t1.2\n"} {
			p := h.query(playbooks.Pending, env("LEAVE_OUT", out))
			if got := names(p["left"]); got != "lab-web 1.0 1.2, lab-web-data 1.0 1.2" || len(p["upgrade"])+len(p["new"])+len(p["remove"]) != 0 {
				t.Errorf("%s, %s left out: %q", says, what, p)
			}
		}
		h.refused(playbooks.Fetch, env("WANT", "lab-web\t1.2\n", "LEDGER", ledger, "LEAVE_OUT", "lab-web-data\t1.2\n"), playbooks.ExitUnavailable)
	}
	h.exec("rm", "-f", "/etc/apt/preferences", "/etc/apt/preferences.d/own.pref")
	if p := h.query(playbooks.Pending, nil); len(p["upgrade"]) != 2 || len(p["left"]) != 0 {
		t.Errorf("without a word of it: %q", p)
	}
	h.publish("1.4")
	out := env("LEAVE_OUT", "lab-web\t1.2\nlab-web-data\t1.2\n", "WANT", want("1.4"), "LEDGER", ledger)
	if p := h.query(playbooks.Pending, out); len(p["upgrade"]) != 2 || len(p["left"]) != 0 {
		t.Errorf("a newer version: %q", p)
	}
	fetched := h.query(playbooks.Fetch, out)
	if got := fmt.Sprint(fetched["change"]); got != "[[lab-web 1.0 1.4] [lab-web-data 1.0 1.4]]" {
		t.Errorf("fetch: change %s", got)
	}
	h.clean()
}

func TestLabBrokenPostinstIsBackedOut(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	before := h.versions()
	h.publish("1.3")
	h.query(playbooks.Pending, nil)
	h.query(playbooks.Fetch, env("WANT", want("1.3"), "LEDGER", ledger))
	out := h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.3")), playbooks.ExitFailed)
	if !strings.Contains(string(out.Stderr), "settings of an older version cannot be migrated") {
		t.Errorf("apply does not pass on what the package said: %s", out.Stderr)
	}
	if got := h.query(playbooks.Facts, nil).one(t, "dpkg"); got != "dirty" {
		t.Errorf("facts: dpkg is %q after a broken postinst", got)
	}
	// Nothing more is done on top of it.
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.3")), playbooks.ExitUnclean)
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.3"), "REPAIR", "1"), playbooks.ExitFailed)

	back := h.exits(playbooks.Backout, env("CHANGES", changes("1.0", "1.3"), "LEDGER", ledger), 0)
	if got := string(back.Stdout); got != "changed\tlab-web\t1.3\t1.0\nchanged\tlab-web-data\t1.3\t1.0\n" {
		t.Errorf("backout: %q", got)
	}
	if got := h.versions(); !maps.Equal(got, before) {
		t.Errorf("after backout: %v", got)
	}
	h.clean()
	if got := h.exec("systemctl", "is-active", "nginx.service"); got != "active\n" {
		t.Errorf("nginx is %s", got)
	}
	// Twice is as good as once.
	h.exits(playbooks.Backout, env("CHANGES", changes("1.0", "1.3"), "LEDGER", ledger), 0)
}

// A host with a package whose new version neither installs nor goes away, which brought another package along, and of which no repository
// knows anything.
const worst = `set -e
deb() { # name version depends script...
	tree=$(mktemp -d)
	chmod 755 "$tree"
	mkdir -p "$tree/DEBIAN" "$tree/etc"
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: lab <lab@rollpatch.invalid>\nDescription: test\n%s' "$1" "$2" "$3" >"$tree/DEBIAN/control"
	echo "$1 $2" >"$tree/etc/$1.conf"
	echo "/etc/$1.conf" >"$tree/DEBIAN/conffiles"
	file=/var/cache/apt/archives/$1_$2_all.deb
	shift 3
	for script in "$@"; do
		printf '#!/bin/sh\nexit 1\n' >"$tree/DEBIAN/$script"
		chmod 755 "$tree/DEBIAN/$script"
	done
	dpkg-deb --root-owner-group --build "$tree" "$file" >/dev/null
}
cd /var/cache/apt/archives
deb bad 1.0 ''
deb bad 2.0 'Depends: brought
' postinst prerm
deb brought 1.0 ''
dpkg -i bad_1.0_all.deb >/dev/null
dpkg -i brought_1.0_all.deb bad_2.0_all.deb >/dev/null 2>&1 && exit 1
dpkg-query -W -f '${db:Status-Status}' bad
`

func TestLabBackoutFromTheWorst(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	before := h.versions()
	if got := h.exec("sh", "-c", worst); got != "half-configured" {
		t.Fatalf("the package is %s, want half-configured", got)
	}
	out := h.exits(playbooks.Backout, env("CHANGES", "bad\t1.0\t2.0\nbrought\t-\t1.0\n", "LEDGER", ledger), 0)
	if got := string(out.Stdout); got != "changed\tbad\t2.0\t1.0\nchanged\tbrought\t1.0\t-\n" {
		t.Errorf("backout: %q", got)
	}
	if !strings.Contains(string(out.Stderr), "bad.prerm is set aside") {
		t.Errorf("backout does not say what it did to the package: %s", out.Stderr)
	}
	before["bad"] = "1.0"
	if got := h.versions(); !maps.Equal(got, before) {
		t.Errorf("after backout: %v", got)
	}
	if got := h.exec("cat", "/etc/bad.conf"); got != "bad 1.0\n" {
		t.Errorf("/etc/bad.conf: %s", got)
	}
	h.clean()
}

func TestLabRefusals(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	before := h.versions()
	h.publish("1.4")
	h.query(playbooks.Pending, nil)

	h.refused(playbooks.Fetch, env("WANT", want("9.9"), "LEDGER", ledger), playbooks.ExitUnavailable)
	if got := h.query(playbooks.Fetch, env("WANT", want("0.5"), "LEDGER", ledger)); len(got["change"]) != 0 {
		t.Errorf("a lower version: %q", got)
	}
	if got := h.query(playbooks.Fetch, env("WANT", "no-such\t1.0\n", "LEDGER", ledger)); len(got["change"]) != 0 {
		t.Errorf("a package that the host does not have: %q", got)
	}
	h.refused(playbooks.Fetch, env("WANT", "+no-such\t1.0\n", "LEDGER", ledger), playbooks.ExitUnavailable)
	h.refused(playbooks.Fetch, env("WANT", want("1.4"), "LEDGER", "../../etc"), playbooks.ExitArguments)
	h.refused(playbooks.Fetch, env("WANT", "lab-web 1.4\n", "LEDGER", ledger), playbooks.ExitArguments)
	h.refused(playbooks.Fetch, env("WANT", "-oDebug::x\t1\n", "LEDGER", ledger), playbooks.ExitArguments)

	out := h.exits(playbooks.Apply, env("CHANGES", "lab-web\t1.0\t1.4\n"), playbooks.ExitUnlisted)
	if !strings.Contains(string(out.Stderr), "not listed: lab-web-data to 1.4") {
		t.Errorf("apply does not say what it would touch: %s", out.Stderr)
	}
	h.exits(playbooks.Apply, env("CHANGES", changes("0.9", "1.4")), playbooks.ExitUnlisted)
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "9.9")), playbooks.ExitUnavailable)
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "0.9")), playbooks.ExitArguments)
	h.exits(playbooks.Apply, nil, playbooks.ExitArguments)

	h.exec("apt-mark", "hold", "lab-web")
	pending := h.query(playbooks.Pending, nil)
	if got := fmt.Sprint(pending["held"]); got != "[[lab-web 1.0]]" || len(pending["upgrade"]) != 0 {
		t.Errorf("pending with a hold: %q", pending)
	}
	fetched := h.query(playbooks.Fetch, env("WANT", "lab-web\t1.4\n", "LEDGER", ledger))
	if got := fmt.Sprint(fetched); got != "map[held:[[lab-web 1.0]]]" {
		t.Errorf("fetch of what is held: %s", got)
	}
	if out := h.run(playbooks.Apply, env("CHANGES", changes("1.0", "1.4"))); out.Exit == 0 {
		t.Error("apply changed what is held")
	}
	h.exec("apt-mark", "unhold", "lab-web")

	// A way back that is not to be had is known before the first step.
	h.exits(playbooks.Backout, env("CHANGES", "lab-web\t0.9\t1.0\n", "LEDGER", ledger), playbooks.ExitUnavailable)

	if got := h.versions(); !maps.Equal(got, before) {
		t.Errorf("a refusal changed packages: %v", got)
	}
	if log, err := h.lab.DpkgLog(t.Context(), h.target.Host); err != nil || log != "" {
		t.Errorf("dpkg's log: %q, %v, want none", log, err)
	}
	h.clean()
}

// The lock is fcntl's, as apt and dpkg take it.
const holdLock = `use Fcntl; open F, "+>>", $ARGV[0]; my $l = pack("s s x4 l! l! i", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; sleep 300`

func TestLabPackageLock(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	h.publish("1.1")
	h.query(playbooks.Pending, nil)
	hold := func(file string) {
		h.exec("sh", "-c", "echo '"+holdLock+"' >/root/hold")
		h.exec("systemd-run", "--quiet", "--collect", "--unit=holder", "perl", "/root/hold", file)
		h.exec("timeout", "20", "sh", "-c", "until grep -q \":$(stat -c %i "+file+") \" /proc/locks; do sleep 0.1; done")
	}
	hold("/var/lib/dpkg/lock-frontend")
	began := time.Now()
	out := h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.1"), "LOCK_WAIT", "2"), playbooks.ExitLocked)
	if took := time.Since(began); took < 2*time.Second || took > 30*time.Second || !strings.Contains(string(out.Stderr), "(perl)") {
		t.Errorf("given up after %v, want 2 s, and who holds the lock: %s", took, out.Stderr)
	}
	h.exits(playbooks.Reboot, env("LOCK_WAIT", "1"), playbooks.ExitLocked)
	h.exec("systemctl", "stop", "holder")
	hold("/var/lib/apt/lists/lock")
	if said := h.refused(playbooks.Pending, env("LOCK_WAIT", "1"), playbooks.ExitLocked); !strings.Contains(said, "(perl)") {
		t.Errorf("pending does not say who holds the lock: %s", said)
	}
	h.exec("systemctl", "stop", "holder")
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.1")), 0)
}

func TestLabRebootIsProvenByItsBootID(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	h.publish("1.4")
	h.query(playbooks.Pending, nil)
	if got := h.query(playbooks.RebootNeeded, nil); len(got["reason"]) != 0 {
		t.Errorf("reboot-needed on a host like new: %q", got)
	}
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.4")), 0)
	if got := h.query(playbooks.RebootNeeded, nil); len(got["reason"]) != 1 || !strings.Contains(got["reason"][0][0], "lab-web") {
		t.Errorf("reboot-needed: %q", got)
	}
	look := func() rows {
		r := h.query(playbooks.Fingerprint, nil)
		delete(r, "time-sync")
		return r
	}
	before := look()
	for _, key := range []string{"hostname", "fqdn", "machine-id", "kernel", "addresses", "routes", "mounts", "listeners", "enabled-units", "running-units", "sysctl", "users", "told", "whole"} {
		if len(before[key]) == 0 {
			t.Errorf("fingerprint: no %s", key)
		}
	}
	if got := fmt.Sprint(before["listeners"]); !strings.Contains(got, "tcp/0.0.0.0:80 nginx nginx.service") {
		t.Errorf("fingerprint: listeners %s", got)
	}

	old, err := h.pool.BootID(t.Context(), h.target)
	if err != nil {
		t.Fatal(err)
	}
	r := h.next(playbooks.Reboot, nil)
	began := time.Now()
	out, err := h.pool.Run(t.Context(), h.target, r, nil)
	if err != nil || out.BootID != old || (out.State != activities.RunInterrupted && out.Exit != 0) {
		t.Fatalf("reboot: %+v, %v", out, err)
	}
	now := old
	for end := time.Now().Add(time.Minute); now == old && time.Now().Before(end); {
		if id, err := h.pool.BootID(t.Context(), h.target); err == nil {
			now = id
		}
	}
	t.Logf("another boot id after %v; the run is %s", time.Since(began).Round(time.Millisecond), out.State)
	if id, err := h.lab.BootID(t.Context(), h.target.Host); err != nil || now != id || now == old {
		t.Errorf("boot id %q, the lab says %q, %v; it was %q", now, id, err, old)
	}
	again, err := h.pool.Run(t.Context(), h.target, r, nil)
	if err != nil || again.BootID != old {
		t.Errorf("asked for the same reboot again: %+v, %v", again, err)
	}
	if got := h.query(playbooks.RebootNeeded, nil); len(got["reason"]) != 0 {
		t.Errorf("reboot-needed after the reboot: %q", got)
	}
	h.exec("sh", "-c", "timeout 60 systemctl is-system-running --wait || true")
	if got := look(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("the host looks different:\n%v\nbefore:\n%v", got, before)
	}
	if id, err := h.pool.BootID(t.Context(), h.target); err != nil || id != now {
		t.Errorf("it rebooted twice: %q, %v", id, err)
	}
}

// A power cut in the middle of one package's files leaves it in a state that dpkg refuses to configure.
func TestLabTornPackageIsUnpackedAnew(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	h.publish("1.1")
	h.query(playbooks.Pending, nil)
	fetched := h.query(playbooks.Fetch, env("WANT", "lab-web\t1.1\nlab-web-data\t1.1\n", "LEDGER", ledger))
	var list strings.Builder
	for _, c := range fetched["change"] {
		list.WriteString(strings.Join(c, "\t") + "\n")
	}
	_, err := h.lab.Exec(t.Context(), h.target.Host, "sed", "-i",
		`/^Package: lab-web-data$/,/^$/s/^Status: .*/Status: install reinstreq unpacked/`, "/var/lib/dpkg/status")
	if err != nil {
		t.Fatal(err)
	}
	h.exits(playbooks.Apply, env("CHANGES", list.String(), "REPAIR", "1"), 0)
	after := h.versions()
	for _, name := range []string{"lab-web", "lab-web-data"} {
		if after[name] != "1.1" {
			t.Errorf("%s is at %q, want 1.1", name, after[name])
		}
	}
	h.clean()
}

// A power cut in a prerm: dpkg has the old version down as torn, and its new one cannot be configured before what it depends on is there.
func TestLabPackageTornInItsPrermIsFinished(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	h.publish("1.1")
	h.query(playbooks.Pending, nil)
	h.query(playbooks.Fetch, env("WANT", want("1.1"), "LEDGER", ledger))
	h.exec("sed", "-i", `/^Package: lab-web$/,/^$/s/^Status: .*/Status: install reinstreq half-configured/`, "/var/lib/dpkg/status")
	h.exits(playbooks.Apply, env("CHANGES", changes("1.0", "1.1"), "REPAIR", "1", "LEDGER", ledger), 0)
	if after := h.versions(); after["lab-web"] != "1.1" || after["lab-web-data"] != "1.1" {
		t.Errorf("lab-web is at %q, lab-web-data at %q, want 1.1", after["lab-web"], after["lab-web-data"])
	}
	h.clean()
}

// Real updates of a real distribution, a power cut in the middle of them, and the way back.
func TestLabPowerCutInTheMiddleOfSecurityUpdates(t *testing.T) {
	h := newHost(t, labtest.New(t), "web-1")
	before, marks := h.versions(), h.marks()
	h.publish("security")
	pending := h.query(playbooks.Pending, nil)
	var wanted strings.Builder
	for _, u := range pending["upgrade"] {
		if u[4] != "yes" {
			t.Errorf("pending: %q is not a security update", u)
		}
		fmt.Fprintf(&wanted, "%s\t%s\n", u[0], u[2])
	}
	for _, n := range pending["new"] {
		fmt.Fprintf(&wanted, "+%s\t%s\n", n[0], n[2])
	}
	fetched := h.query(playbooks.Fetch, env("WANT", wanted.String(), "LEDGER", ledger))
	if len(fetched["change"]) != len(pending["upgrade"])+len(pending["new"]) || len(fetched["back"]) != len(pending["upgrade"]) {
		t.Fatalf("%d updates are pending; fetch: %d changes, %d ways back", len(pending["upgrade"]), len(fetched["change"]), len(fetched["back"]))
	}
	var list strings.Builder
	for _, c := range fetched["change"] {
		list.WriteString(strings.Join(c, "\t") + "\n")
	}

	r := h.next(playbooks.Apply, env("CHANGES", list.String()))
	done := make(chan activities.RunOutcome, 1)
	go func() {
		out, err := h.pool.Run(t.Context(), h.target, r, nil)
		if err != nil {
			t.Errorf("apply: %v", err)
		}
		done <- out
	}()
	for end := time.Now().Add(2 * time.Minute); ; {
		log, err := h.lab.DpkgLog(t.Context(), h.target.Host)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(log, " status unpacked ") > len(fetched["change"])/2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("dpkg did not begin: %s", log)
		}
	}
	if err := h.lab.PowerCut(t.Context(), h.target.Host); err != nil {
		t.Fatal(err)
	}
	if err := h.lab.Start(t.Context(), h.target.Host); err != nil {
		t.Fatal(err)
	}
	out := <-done
	if out.State != activities.RunInterrupted || !strings.Contains(out.Reason, "the host restarted") {
		t.Fatalf("apply: %s %d, %s; want interrupted", out.State, out.Exit, out.Reason)
	}
	h.exits(playbooks.Apply, env("CHANGES", list.String(), "REPAIR", "1"), 0)
	after := h.versions()
	for _, c := range fetched["change"] {
		if after[c[0]] != c[2] {
			t.Errorf("%s is at %q, want %q", c[0], after[c[0]], c[2])
		}
	}
	h.clean()
	h.exits(playbooks.Backout, env("CHANGES", list.String(), "LEDGER", ledger), 0)
	if got := h.versions(); !maps.Equal(got, before) {
		t.Errorf("after backout: %v\nbefore: %v", got, before)
	}
	if got := h.marks(); got != marks {
		t.Errorf("what apt may remove by itself:\n%s\nbefore:\n%s", got, marks)
	}
	h.clean()
}
