package sshrun

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/labtest"
)

func labTarget(t *testing.T, lab *testenv.Lab, name string) activities.Target {
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
	return activities.Target{Host: name, Addr: net.JoinHostPort(h.Address, strconv.Itoa(h.Access.Port)), Access: h.Access}
}

func onHost(t *testing.T, lab *testenv.Lab, name, line string) string {
	t.Helper()
	out, err := lab.Exec(t.Context(), name, "/bin/sh", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A script that waits for /root/go, and counts its beginnings where a reboot does not forget them.
func waiting(id string, seq int64) activities.Run {
	return activities.Run{
		ID: id, Seq: seq, Step: "patch", Deadline: 2 * time.Minute,
		Script: []byte("echo begun >>/root/beginnings; echo waiting >&2; until [ -e /root/go ]; do sleep 0.05; done; id -u; umask; echo \"$HOME $PATH\""),
	}
}

func TestLabRunOutlivesItsSSHServer(t *testing.T) {
	lab := labtest.New(t)
	target := labTarget(t, lab, "web-1")
	var wg sync.WaitGroup
	var once sync.Once
	outcomes := make([]activities.RunOutcome, 2)
	for i := range outcomes { // two workers, each sure that the run is its own
		p := newPool(t, Options{})
		wg.Go(func() {
			out, err := p.Run(t.Context(), target, waiting("test-1.web-1.patch.1", 1), func(activities.RunOutcome) {
				once.Do(func() {
					onHost(t, lab, "web-1", "systemctl kill --kill-whom=all -s KILL ssh; pkill -9 -x sshd; systemctl reset-failed ssh; systemctl start ssh; touch /root/go")
				})
			})
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
			outcomes[i] = out
		})
	}
	wg.Wait()
	for _, out := range outcomes {
		want := "0\n0022\n/root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
		if out.State != activities.RunExited || out.Exit != 0 || string(out.Stdout) != want {
			t.Errorf("Run() = %+v\nstdout %q, want %q", out, out.Stdout, want)
		}
	}
	if n := onHost(t, lab, "web-1", "grep -c begun /root/beginnings"); n != "1\n" {
		t.Errorf("the script began %s times, want once", n)
	}
	if modes := onHost(t, lab, "web-1", "stat -c '%a %U' /var/lib/rollpatch /var/lib/rollpatch/runs/* | sort -u"); modes != "700 root\n" {
		t.Errorf("folders: %s, want root's alone", modes)
	}
	if units := onHost(t, lab, "web-1", "systemctl list-units --all --plain --no-legend 'rollpatch-*'"); units != "" {
		t.Errorf("units are left: %s", units)
	}
}

func TestLabRunInterrupted(t *testing.T) {
	lab := labtest.New(t)
	target := labTarget(t, lab, "web-2")
	p := newPool(t, Options{})
	for i, c := range []struct {
		name, reason string
		deadline     time.Duration
		interrupt    func()
	}{
		{"killed", "killed before it wrote a status", time.Minute, func() { onHost(t, lab, "web-2", "systemctl kill -s KILL 'rollpatch-*.service'") }},
		{"deadline", "deadline of 2 s", 2 * time.Second, func() {}},
		{"power cut", "the host restarted", time.Minute, func() {
			if err := errors.Join(lab.PowerCut(t.Context(), "web-2"), lab.Start(t.Context(), "web-2")); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seq := int64(i + 1)
			r := waiting("test-1.web-2.patch."+strconv.Itoa(i), seq)
			r.Deadline = c.deadline
			var once sync.Once
			out, err := p.Run(t.Context(), target, r, func(activities.RunOutcome) { once.Do(c.interrupt) })
			if err != nil || out.State != activities.RunInterrupted || !strings.Contains(out.Reason, c.reason) {
				t.Errorf("Run() = %+v, %v; want interrupted, %q", out, err, c.reason)
			}
			if again, err := p.Run(t.Context(), target, r, nil); err != nil || again.State != activities.RunInterrupted {
				t.Errorf("again: %+v, %v", again, err)
			}
			if n := onHost(t, lab, "web-2", "grep -c begun /root/beginnings"); strings.TrimSpace(n) != strconv.Itoa(i+1) {
				t.Errorf("scripts began %s times after %d runs", n, i+1)
			}
			if left := onHost(t, lab, "web-2", "pgrep -f '/var/lib/rollpatch/[r]uns' || true"); left != "" {
				t.Errorf("processes of the run are left: %s", left)
			}
		})
	}
}

func TestLabAccess(t *testing.T) {
	lab := labtest.New(t)
	target := labTarget(t, lab, "web-3")
	p := newPool(t, Options{})

	// What is sent does not show in any process's arguments or environment, but for the script's own.
	needle := "needle-5d1c"
	out, err := p.Query(t.Context(), target, []byte("# "+needle+"\ncat /proc/[0-9]*/cmdline | tr '\\0' ' '"), map[string]string{"ROLLPATCH_X": needle})
	if err != nil || !strings.Contains(string(out), "/bin/sh -s") || strings.Contains(string(out), needle) {
		t.Errorf("Query() shows what it runs: %s, %v", out, err)
	}
	r := activities.Run{
		ID: "test-1.web-3.patch.1", Seq: 1, Deadline: time.Minute,
		Script: []byte("# " + needle + "\ncat /proc/[0-9]*/cmdline | tr '\\0' ' '"), Env: map[string]string{"ROLLPATCH_X": needle},
	}
	run, err := p.Run(t.Context(), target, r, nil)
	if err != nil || !strings.Contains(string(run.Stdout), "runs/"+r.ID+"/script") || strings.Contains(string(run.Stdout), needle) {
		t.Errorf("Run() shows what it runs: %s, %v", run.Stdout, err)
	}

	nc, err := p.Dial(t.Context(), target, "tcp", "127.0.0.1:8500")
	if err != nil {
		t.Fatalf("the host's Consul agent: %v", err)
	}
	nc.Close()
	var refused *RefusedError
	if _, err := p.Dial(t.Context(), target, "tcp", "127.0.0.1:9"); !errors.As(err, &refused) {
		t.Errorf("a port where nobody listens: %v, want *RefusedError", err)
	}
	if out, err := p.Command(t.Context(), target, []string{"id", "-un"}); err != nil || string(out) != "patch\n" {
		t.Errorf("Command() = %q, %v", out, err)
	}

	onHost(t, lab, "web-3", "rm /etc/sudoers.d/patch")
	var exit *ExitError
	if _, err := p.Query(t.Context(), target, []byte("true"), nil); !errors.As(err, &exit) || !strings.Contains(err.Error(), "password is required") {
		t.Errorf("without sudo: %v", err)
	}
	onHost(t, lab, "web-3", "mv /home/patch/.ssh/authorized_keys /root/")
	var auth *AuthError
	if _, err := p.BootID(t.Context(), target); !errors.As(err, &auth) {
		t.Errorf("without a key there: %v, want *AuthError", err)
	}
	onHost(t, lab, "web-3", "rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh")
	var key *HostKeyError
	if _, err := p.BootID(t.Context(), target); !errors.As(err, &key) || !key.Changed {
		t.Errorf("with other host keys: %v, want *HostKeyError", err)
	}
}

// What a step costs beyond its own work. The figures are in the log; the bounds are far above them.
func TestLabCostOfAStep(t *testing.T) {
	lab := labtest.New(t)
	target := labTarget(t, lab, "web-1")
	p := newPool(t, Options{})
	seq := int64(0)
	for _, c := range []struct {
		name  string
		bound time.Duration
		do    func() error
	}{
		{"a new connection and its boot id", 2 * time.Second, func() error { _, err := p.BootID(t.Context(), target); return err }},
		{"a query", time.Second, func() error { _, err := p.Query(t.Context(), target, []byte("true"), nil); return err }},
		{"a run", 3 * time.Second, func() error {
			seq++
			out, err := p.Run(t.Context(), target, activities.Run{
				ID: "test-1.web-1.patch." + strconv.FormatInt(seq, 10), Seq: seq, Script: []byte("true"), Deadline: time.Minute,
			}, nil)
			if err == nil && out.State != activities.RunExited {
				err = errors.New(string(out.State))
			}
			return err
		}},
	} {
		var took []time.Duration
		for range 20 {
			began := time.Now()
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("%s: p50 %v, p95 %v", c.name, took[10].Round(time.Millisecond), took[18].Round(time.Millisecond))
		if took[10] > c.bound {
			t.Errorf("%s: p50 %v, want under %v", c.name, took[10], c.bound)
		}
	}
}
