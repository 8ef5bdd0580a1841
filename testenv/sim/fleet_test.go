package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollpatch/rollpatch/testenv/sim"
	"github.com/rollpatch/rollpatch/workflows/preflight"
)

func up(t testing.TB, clusters ...sim.Cluster) *sim.Fleet {
	t.Helper()
	f, err := sim.Up(t.Context(), sim.Options{Dir: t.TempDir(), Clusters: clusters, Log: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func oneWeb() sim.Cluster { return sim.Cluster{Name: "web", Members: []string{"web-1"}} }

// dial connects as rollpatch does: with the fleet's key, and to no other host than the one in known_hosts.
func dial(t testing.TB, f *sim.Fleet, host string) (*ssh.Client, error) {
	t.Helper()
	addr, err := f.Addr(host)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(f.IdentityFile())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	check, err := knownhosts.New(f.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: sim.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: check, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return ssh.NewClient(c, chans, reqs), nil
}

func connect(t testing.TB, f *sim.Fleet, host string) *ssh.Client {
	t.Helper()
	c, err := dial(t, f, host)
	if err != nil {
		t.Fatalf("host %q: %v", host, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// result is what a command did.
type result struct {
	stdout, stderr string
	exit           int
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\nstdout:\n%s\nstderr:\n%s", r.exit, r.stdout, r.stderr)
}

func run(t testing.TB, c *ssh.Client, line, stdin string) result {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr, s.Stdin = &out, &errs, strings.NewReader(stdin)
	err = s.Run(line)
	r := result{stdout: out.String(), stderr: errs.String()}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		r.exit = exit.ExitStatus()
	case err != nil:
		t.Fatalf("%s: %v\n%s", line, err, r)
	}
	return r
}

// reboot lets the host reboot itself. Whether the command is heard to end before the host goes down is a matter of luck.
func reboot(t testing.TB, f *sim.Fleet, c *ssh.Client, host, line, stdin string) (bootID string) {
	t.Helper()
	before, err := f.BootID(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Stdin = strings.NewReader(stdin)
	said, err := s.CombinedOutput(line)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	after, bootErr := f.WaitBoot(ctx, host, before)
	if bootErr != nil {
		t.Fatalf("%v; the command ended with %v and said %s", bootErr, err, said)
	}
	return after
}

// playbook runs one of the apt scripts as root, with arguments, and expects an exit status.
func playbook(t testing.TB, c *ssh.Client, script string, wantExit int, env ...string) result {
	t.Helper()
	r := run(t, c, "sudo -n /bin/sh -s", text(t, script, env...))
	if r.exit != wantExit {
		t.Fatalf("%s: want exit %d, got %s", script, wantExit, r)
	}
	return r
}

// text is a playbook script with its arguments.
func text(t testing.TB, script string, env ...string) string {
	t.Helper()
	var text strings.Builder
	for n := 0; n < len(env); n += 2 {
		fmt.Fprintf(&text, "export ROLLPATCH_%s='%s'\n", env[n], env[n+1])
	}
	for _, name := range []string{"lib.sh", script} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "playbooks", "apt", name))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(raw)
	}
	return text.String()
}

// table is a script's output as rows of columns.
func (r result) table() (rows [][]string) {
	for _, line := range strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows
}

// value is the second column of the row that begins with key.
func (r result) value(t testing.TB, key string) string {
	t.Helper()
	for _, row := range r.table() {
		if row[0] == key && len(row) > 1 {
			return row[1]
		}
	}
	t.Fatalf("no row %q in %s", key, r)
	return ""
}

func (r result) wantRow(t testing.TB, row ...string) {
	t.Helper()
	for _, have := range r.table() {
		if len(have) >= len(row) && slices.Equal(have[:len(row)], row) { // digests come after what is asked for
			return
		}
	}
	t.Fatalf("no row %q in %s", row, r)
}

// eventually asks until the answer is nil.
func eventually(t testing.TB, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSSHIsStrict(t *testing.T) {
	f := up(t, oneWeb())
	c := connect(t, f, "web-1")
	if r := run(t, c, "echo out; echo err >&2; exit 7", ""); r != (result{"out\n", "err\n", 7}) {
		t.Errorf("a command: %s", r)
	}
	if r := run(t, c, "cat", "through"); r.stdout != "through" {
		t.Errorf("stdin: %s", r)
	}
	if r := run(t, c, "kill -TERM $$", ""); r.exit == 0 {
		t.Errorf("a killed command: %s", r)
	}
	if r := run(t, c, "apt-get update", ""); r.exit != 100 || !strings.Contains(r.stderr, "Permission denied") {
		t.Errorf("apt-get without sudo: %s", r)
	}
	if r := run(t, c, "FOREIGN=1 sudo -n sh -c 'echo ${FOREIGN:-none}'", ""); r.stdout != "none\n" {
		t.Errorf("sudo handed the caller's environment on: %s", r)
	}
	if r := run(t, c, "iptables -L", ""); r.exit != 127 {
		t.Errorf("a command that the host does not have: %s", r)
	}
	if err := f.NewHostKey("web-1"); err != nil {
		t.Fatal(err)
	}
	var wrong *knownhosts.KeyError
	if _, err := dial(t, f, "web-1"); !errors.As(err, &wrong) {
		t.Errorf("another host key: got %v, want a *KeyError", err)
	}
}

func TestSSHRefusesOtherKeysAndUsers(t *testing.T) {
	f := up(t, oneWeb())
	g := up(t, oneWeb())
	addr, err := f.Addr("web-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, user, key string }{
		{"a stranger's key", sim.User, g.IdentityFile()},
		{"another user", "root", f.IdentityFile()},
	} {
		raw, err := os.ReadFile(row.key)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			t.Fatal(err)
		}
		check, err := knownhosts.New(f.KnownHosts())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: row.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: check}); err == nil {
			c.Close()
			t.Errorf("%s was let in", row.name)
		}
	}
}

func TestForwarding(t *testing.T) {
	f := up(t)
	c := connect(t, f, "web-1")
	if code, body := getOn(t, c, "/"); code != http.StatusOK || !strings.HasPrefix(body, "lab-web 1.0 web-1\n") || len(body) != 512 {
		t.Errorf("the page of web-1 through its own SSH: %d %q", code, body)
	}
	if conn, err := c.Dial("tcp", "127.0.0.1:81"); err == nil {
		conn.Close()
		t.Error("a port on which nothing listens was reached")
	}
	conn, err := connect(t, f, "cache-1").Dial("tcp", "127.0.0.1:6379")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "*1\r\n$4\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 7)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "+PONG\r\n" {
		t.Errorf("redis says %q, %v", answer, err)
	}
	if r := run(t, connect(t, f, "cache-2"), "redis-cli ping", ""); r.stdout != "PONG\n" {
		t.Errorf("redis-cli ping: %s", r)
	}
}

func TestPlaybookGoodPatchAndBackout(t *testing.T) {
	ctx, f := t.Context(), up(t, oneWeb())
	c := connect(t, f, "web-1")
	facts := playbook(t, c, "facts", 0)
	id, err := f.BootID(ctx, "web-1")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"os": "debian", "release": "12", "hostname": "web-1", "boot_id": id, "seq": "0", "dpkg": "clean", "reboot_pending": "0"} {
		if got := facts.value(t, key); got != want {
			t.Errorf("facts: %s is %q, want %q", key, got, want)
		}
	}
	facts.wantRow(t, "pkg", "lab-web", "1.0", "all", "install")
	if r := playbook(t, c, "pending", 0); r.stdout != "" {
		t.Errorf("nothing is published and pending: %s", r)
	}
	if err := f.Publish(ctx, "1.1"); err != nil {
		t.Fatal(err)
	}
	pending := playbook(t, c, "pending", 0)
	pending.wantRow(t, "upgrade", "lab-web", "1.0", "1.1", "rollpatch lab:lab", "unknown", "2100")
	pending.wantRow(t, "upgrade", "lab-web-data", "1.0", "1.1", "rollpatch lab:lab", "unknown", "900")
	fetched := playbook(t, c, "fetch", 0, "WANT", "lab-web\t1.1\nlab-web-data\t1.1", "LEDGER", "one")
	fetched.wantRow(t, "change", "lab-web", "1.0", "1.1")
	for _, row := range fetched.table() {
		if row[0] == "back" && len(row[3]) != 64 {
			t.Errorf("the way back is not secured: %q", row)
		}
	}
	if log, err := f.DpkgLog(ctx, "web-1"); err != nil || log != "" {
		t.Errorf("fetch changed packages: %q, %v", log, err)
	}
	changes := "lab-web\t1.0\t1.1\nlab-web-data\t1.0\t1.1"
	applied := playbook(t, c, "apply", 0, "CHANGES", changes)
	applied.wantRow(t, "changed", "lab-web", "1.0", "1.1")
	playbook(t, c, "verify", 0, "NAMES", "lab-web").wantRow(t, "pkg", "lab-web", "1.1", "installed")
	if r := playbook(t, c, "reboot-needed", 0); r.stdout != "" {
		t.Errorf("reboot-needed after a patch that needs none: %s", r)
	}
	if _, body := get(t, f.WebURL()); !strings.HasPrefix(body, "lab-web 1.1 web-1\n") {
		t.Errorf("the page after the patch: %q", body)
	}
	playbook(t, c, "backout", 0, "CHANGES", changes, "LEDGER", "one").wantRow(t, "changed", "lab-web", "1.1", "1.0")
	playbook(t, c, "verify", 0, "NAMES", "lab-web").wantRow(t, "pkg", "lab-web", "1.0", "installed")
	if _, body := get(t, f.WebURL()); !strings.HasPrefix(body, "lab-web 1.0 web-1\n") {
		t.Errorf("the page after the backout: %q", body)
	}
	transactions := 0
	for _, call := range f.Calls() {
		if call.Event == "transaction" {
			transactions++
		}
	}
	if transactions != 2 {
		t.Errorf("%d transactions were recorded, want 2", transactions)
	}
}

// TestPreflight: a simulated host has nothing wrong, and says what was done to it.
func TestPreflight(t *testing.T) {
	f := up(t, oneWeb())
	c := connect(t, f, "web-1")
	look := func() string {
		t.Helper()
		var facts [][]string
		for line := range strings.Lines(playbook(t, c, "preflight", 0).stdout) {
			facts = append(facts, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
		}
		read, err := preflight.Read(facts)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, one := range preflight.Judge("web-1", read, preflight.Need{Now: time.Now()}) {
			found = append(found, string(one.Severity)+" "+one.Check)
		}
		return strings.Join(found, ", ")
	}
	if got := look(); got != "" {
		t.Errorf("a new host has %s, want nothing", got)
	}
	if err := f.FreeSpace("web-1", 1<<20); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "severe space, severe space" && got != "severe space, severe space, severe space" {
		t.Errorf("a full host has %q, want severe space of / and /var", got)
	}
	if err := f.FreeSpace("web-1", 1<<30); err != nil {
		t.Fatal(err)
	}
	run(t, c, "sudo -n apt-mark hold lab-web", "")
	run(t, c, "sudo -n systemd-run --unit by-hand sleep 600", "")
	if got, want := look(), "warning unsaved-unit, note holds"; got != want {
		t.Errorf("a host with a hold and a service that was started by hand has %q, want %q", got, want)
	}
}

func TestPlaybookRefusals(t *testing.T) {
	ctx, f := t.Context(), up(t, oneWeb())
	c := connect(t, f, "web-1")
	if err := f.Publish(ctx, "1.1"); err != nil {
		t.Fatal(err)
	}
	playbook(t, c, "pending", 0)
	playbook(t, c, "apply", 10, "CHANGES", "lab-web\t1.0\t1.1")
	playbook(t, c, "fetch", 12, "WANT", "lab-web\t9.9", "LEDGER", "one")
	if err := f.HoldPackageLock("web-1", "unattended-upgr"); err != nil {
		t.Fatal(err)
	}
	r := playbook(t, c, "apply", 11, "CHANGES", "lab-web\t1.0\t1.1\nlab-web-data\t1.0\t1.1", "LOCK_WAIT", "0")
	if !strings.Contains(r.stderr, "held by process 4711 (unattended-upgr)") {
		t.Errorf("the holder of the lock is not named: %s", r)
	}
	if err := f.HoldPackageLock("web-1", ""); err != nil {
		t.Fatal(err)
	}
	if err := f.FreeSpace("web-1", 0); err != nil {
		t.Fatal(err)
	}
	playbook(t, c, "fetch", 13, "WANT", "lab-web\t1.1\nlab-web-data\t1.1", "LEDGER", "one")
	f.Archive(false)
	playbook(t, c, "pending", 14)
	if log, err := f.DpkgLog(ctx, "web-1"); err != nil || log != "" {
		t.Errorf("a refused script changed packages: %q, %v", log, err)
	}
}

func TestPlaybookLeavesVersionsOut(t *testing.T) {
	ctx, f := t.Context(), up(t, oneWeb())
	c := connect(t, f, "web-1")
	if err := f.Publish(ctx, "1.2"); err != nil {
		t.Fatal(err)
	}
	if err := f.Publish(ctx, "security"); err != nil {
		t.Fatal(err)
	}
	for says, out := range map[string]string{"both": "lab-web\t1.2\nlab-web-data\t1.2", "what the other needs": "lab-web-data\t1.2", "what needs the other": "lab-web\t1.2"} {
		r := playbook(t, c, "pending", 0, "LEAVE_OUT", out)
		r.wantRow(t, "left", "lab-web", "1.0", "1.2")
		r.wantRow(t, "left", "lab-web-data", "1.0", "1.2")
		rows := 0
		for _, row := range r.table() {
			if row[0] == "upgrade" && strings.HasPrefix(row[1], "lab-web") || row[0] == "left" && !strings.HasPrefix(row[1], "lab-web") {
				t.Errorf("%s left out: %q", says, row)
			}
			if row[0] == "upgrade" {
				rows++
			}
		}
		if rows != 3 {
			t.Errorf("%s left out: %d upgrades, want the three others\n%s", says, rows, r)
		}
	}
	if r := playbook(t, c, "fetch", 12, "LEDGER", "monthly-1", "WANT", "lab-web\t1.2", "LEAVE_OUT", "lab-web-data\t1.2"); !strings.Contains(r.stderr, "unmet dependencies") && !strings.Contains(r.stderr, "held broken") {
		t.Errorf("a transaction that needs what is left out: %s", r)
	}
	playbook(t, c, "pending", 2, "LEAVE_OUT", "lab-web\t1.2; reboot")

	// The version that mends it comes, and nothing is left of the pins.
	if err := f.Publish(ctx, "1.4"); err != nil {
		t.Fatal(err)
	}
	r := playbook(t, c, "pending", 0, "LEAVE_OUT", "lab-web\t1.2\nlab-web-data\t1.2")
	if strings.Contains(r.stdout, "left\t") || !strings.Contains(r.stdout, "upgrade\tlab-web\t1.0\t1.4\t") {
		t.Errorf("a newer version: %s", r)
	}
}

func TestPlaybookSickVersion(t *testing.T) {
	ctx, f := t.Context(), up(t, oneWeb())
	c := connect(t, f, "web-1")
	changes := patch(t, f, c, "1.2", 0)
	if code, _ := getOn(t, c, "/healthz"); code != http.StatusInternalServerError {
		t.Errorf("a sick version answers %d", code)
	}
	playbook(t, c, "backout", 0, "CHANGES", changes, "LEDGER", "one")
	if code, body := getOn(t, c, "/healthz"); code != http.StatusOK {
		t.Errorf("after the backout: %d %q", code, body)
	}
	if v, err := f.Versions(ctx, "web-1"); err != nil || v["lab-web"] != "1.0" {
		t.Errorf("after the backout: %v, %v", v, err)
	}
}

func TestPlaybookWrongVersion(t *testing.T) {
	f := up(t, oneWeb())
	c := connect(t, f, "web-1")
	changes := patch(t, f, c, "1.5", 0)
	if code, _ := getOn(t, c, "/healthz"); code != http.StatusOK {
		t.Errorf("the health of a wrong version answers %d", code)
	}
	if code, body := getOn(t, c, "/"); code != http.StatusOK || strings.Contains(body, "lab-web") {
		t.Errorf("the page of a wrong version: %d %q", code, body)
	}
	playbook(t, c, "backout", 0, "CHANGES", changes, "LEDGER", "one")
	if _, body := getOn(t, c, "/"); !strings.Contains(body, "lab-web") {
		t.Errorf("after the backout: %q", body)
	}
}

func TestPlaybookBrokenPostinst(t *testing.T) {
	ctx, f := t.Context(), up(t, oneWeb())
	c := connect(t, f, "web-1")
	changes := patch(t, f, c, "1.3", 20)
	r := playbook(t, c, "verify", 0, "NAMES", "lab-web\nlab-web-data")
	r.wantRow(t, "pkg", "lab-web", "1.3", "half-configured")
	r.wantRow(t, "dpkg", "dirty")
	playbook(t, c, "backout", 0, "CHANGES", changes, "LEDGER", "one")
	r = playbook(t, c, "verify", 0, "NAMES", "lab-web\nlab-web-data")
	r.wantRow(t, "pkg", "lab-web", "1.0", "installed")
	r.wantRow(t, "dpkg", "clean")
	if code, _ := getOn(t, c, "/healthz"); code != http.StatusOK {
		t.Errorf("nginx is not back after the backout: %d", code)
	}
	if v, err := f.Versions(ctx, "web-1"); err != nil || v["lab-web"] != "1.0" || v["lab-web-data"] != "1.0" {
		t.Errorf("after the backout: %v, %v", v, err)
	}
}

func TestPlaybookReboot(t *testing.T) {
	f := up(t, oneWeb())
	c := connect(t, f, "web-1")
	patch(t, f, c, "1.4", 0)
	if _, body := getOn(t, c, "/"); !strings.HasPrefix(body, "lab-web 1.0 web-1\n") {
		t.Errorf("the page before the reboot: %q", body)
	}
	if r := playbook(t, c, "reboot-needed", 0); r.value(t, "reason") != "a package asked for it: lab-web" {
		t.Errorf("reboot-needed: %s", r)
	}
	after := reboot(t, f, c, "web-1", "sudo -n /bin/sh -s", text(t, "reboot"))
	if err := c.Wait(); err == nil {
		t.Error("the connection survived the reboot")
	}
	c = connect(t, f, "web-1")
	if got := playbook(t, c, "facts", 0).value(t, "boot_id"); got != after {
		t.Errorf("the host says boot %s, the fleet %s", got, after)
	}
	if r := playbook(t, c, "reboot-needed", 0); r.stdout != "" {
		t.Errorf("reboot-needed after the reboot: %s", r)
	}
	eventually(t, func() error {
		conn, err := c.Dial("tcp", "127.0.0.1:80")
		if err == nil {
			conn.Close()
		}
		return err
	})
	if _, body := getOn(t, c, "/"); !strings.HasPrefix(body, "lab-web 1.4 web-1\n") {
		t.Errorf("the page after the reboot: %q", body)
	}
}

func TestPlaybookKernelAndSecurity(t *testing.T) {
	ctx, f := t.Context(), up(t, oneWeb())
	c := connect(t, f, "web-1")
	for _, what := range []string{"security", "kernel"} {
		if err := f.Publish(ctx, what); err != nil {
			t.Fatal(err)
		}
	}
	pending := playbook(t, c, "pending", 0)
	pending.wantRow(t, "new", "linux-image-6.1.0-41-amd64", "-", "6.1.158-1", "Debian-Security:12/stable-security", "yes", "160000")
	pending.wantRow(t, "reboot", "yes", "linux-image-6.1.0-41-amd64", "a new kernel")
	pending.wantRow(t, "reboot", "likely", "libssl3", "if a process has it open")
	var want, changes []string
	for _, row := range pending.table() {
		if row[0] == "reboot" {
			continue
		}
		name := row[1]
		if row[0] == "new" {
			name = "+" + name
		}
		want = append(want, name+"\t"+row[3])
		changes = append(changes, strings.Join(row[1:4], "\t"))
	}
	if len(changes) != 5 {
		t.Fatalf("pending: %s", pending)
	}
	if r := playbook(t, c, "fetch", 0, "WANT", strings.Join(want, "\n"), "SIMULATE", "1"); len(r.table()) != 5 || strings.Contains(r.stdout, "back") {
		t.Errorf("a simulated fetch: %s, want the transaction alone", r)
	}
	playbook(t, c, "fetch", 0, "WANT", strings.Join(want, "\n"), "LEDGER", "one")
	playbook(t, c, "apply", 0, "CHANGES", strings.Join(changes, "\n"))
	if r := playbook(t, c, "reboot-needed", 0); !strings.Contains(r.stdout, "kernel 6.1.0-41-amd64 is installed, 6.1.0-40-amd64 runs") {
		t.Errorf("reboot-needed: %s", r)
	}
	playbook(t, c, "backout", 0, "CHANGES", strings.Join(changes, "\n"), "LEDGER", "one")
	if v, err := f.Versions(ctx, "web-1"); err != nil || v["linux-image-6.1.0-41-amd64"] != "" || v["openssl"] != "3.0.15-1~deb12u1" {
		t.Errorf("after the backout: %v, %v", v, err)
	}
}

func TestFingerprint(t *testing.T) {
	f := up(t, oneWeb())
	c := connect(t, f, "web-1")
	r := playbook(t, c, "fingerprint", 0)
	for _, row := range [][]string{{"hostname", "web-1"}, {"listeners", "tcp/0.0.0.0:80 nginx", "-"}, {"enabled-units", "nginx.service"}, {"time-sync", "yes"}, {"mounts", "/ ext4"}, {"told", "failed-units"}, {"whole"}} {
		r.wantRow(t, row...)
	}
}

// patch brings a version of lab-web to web-1 as far as it goes, and returns what apply was given.
func patch(t testing.TB, f *sim.Fleet, c *ssh.Client, version string, applyExit int) (changes string) {
	t.Helper()
	if err := f.Publish(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	playbook(t, c, "pending", 0)
	playbook(t, c, "fetch", 0, "WANT", "lab-web\t"+version+"\nlab-web-data\t"+version, "LEDGER", "one")
	changes = "lab-web\t1.0\t" + version + "\nlab-web-data\t1.0\t" + version
	playbook(t, c, "apply", applyExit, "CHANGES", changes)
	return changes
}

func getOn(t testing.TB, c *ssh.Client, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: c.DialContext, DisableKeepAlives: true}}
	resp, err := client.Get("http://127.0.0.1" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
