package sshrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
)

func newPool(t *testing.T, o Options) *Pool {
	t.Helper()
	p := New(o)
	t.Cleanup(p.Shutdown)
	return p
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// aRun is a run whose script counts its own beginnings.
func aRun(id string, seq int64, script string) activities.Run {
	return activities.Run{
		ID: id, Seq: seq, Step: "patch", Deadline: time.Minute,
		Script: []byte("echo begun >>\"$ROLLPATCH_ROOT/beginnings\"\n" + script),
	}
}

func (h *testHost) beginnings() int { return strings.Count(h.file("beginnings"), "begun\n") }

// Whoever forgot that a run has begun can ask its host.
func TestRunThatHasBegunIsKnown(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	r := aRun("monthly-1.web-1.fetch.1", 1, "")
	for _, want := range []bool{false, true} {
		if got, err := p.Begun(within(t, 20*time.Second), h.target(), r.ID); err != nil || got != want {
			t.Errorf("Begun = %t, %v; want %t", got, err, want)
		}
		if _, err := p.Run(within(t, 20*time.Second), h.target(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRunKeepsOutputAndStatus(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	r := aRun("monthly-1.web-1.patch.1", 7, "printf 'a\\tb\\n'; printf 'no final newline' >&2; exit 20")
	began := time.Now()
	got, err := p.Run(within(t, 20*time.Second), h.target(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("connection and run: %v", time.Since(began))
	if got.State != activities.RunExited || got.Exit != 20 || string(got.Stdout) != "a\tb\n" || string(got.Stderr) != "no final newline" {
		t.Errorf("Run() = %+v, want exited 20 with both outputs", got)
	}
	if got.BootID != "00000000-0000-4000-8000-000000000001" || got.Kept != "/var/lib/rollpatch/runs/"+r.ID {
		t.Errorf("boot %q kept %q", got.BootID, got.Kept)
	}
	if got.Started.Before(began.Add(-time.Second)) || got.Ended.Before(got.Started) {
		t.Errorf("started %v, ended %v, asked at %v", got.Started, got.Ended, began)
	}
	if n := strings.TrimSpace(h.file("var/lib/rollpatch/seq")); n != "7" {
		t.Errorf("the host's number is %q, want 7", n)
	}
	began = time.Now()
	again, err := p.Run(within(t, 20*time.Second), h.target(), r, nil)
	t.Logf("attach: %v", time.Since(began))
	if err != nil || again.Exit != 20 || h.beginnings() != 1 {
		t.Errorf("the same run again: %+v, %v; begun %d times", again, err, h.beginnings())
	}
	known, err := p.Attach(within(t, 20*time.Second), h.target(), r, nil)
	if err != nil || known.Exit != 20 || string(known.Stdout) != "a\tb\n" {
		t.Errorf("Attach() = %+v, %v", known, err)
	}
	if info, err := os.Stat(filepath.Join(h.dir, "var/lib/rollpatch/runs", r.ID)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder of the run: %v, %v, want it root's alone", info.Mode(), err)
	}
}

func TestRunBeginsOnceForManyStarters(t *testing.T) {
	h := newTestHost(t)
	r := aRun("monthly-1.web-1.patch.1", 1, "echo out")
	var wg sync.WaitGroup
	for range 6 {
		p := newPool(t, Options{})
		wg.Go(func() {
			got, err := p.Run(within(t, 60*time.Second), h.target(), r, nil)
			if err != nil || got.State != activities.RunExited || string(got.Stdout) != "out\n" {
				t.Errorf("Run() = %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := h.beginnings(); n != 1 {
		t.Errorf("the script began %d times, want once", n)
	}
}

func TestRunIsFollowedThroughLostConnections(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	// The script ends when it is told to, after the connection has been cut twice.
	r := aRun("monthly-1.web-1.patch.1", 1, "echo working >&2\nuntil [ -e \"$ROLLPATCH_ROOT/go\" ]; do sleep 0.05; done\necho done")
	var beats atomic.Int32
	cuts := int32(0)
	got, err := p.Run(within(t, 60*time.Second), h.target(), r, func(o activities.RunOutcome) {
		if n := beats.Add(1); n <= 2 {
			cuts++
			go h.cut()
		} else {
			writeFile(t, filepath.Join(h.dir, "go"), "", 0o644)
		}
	})
	if err != nil || got.State != activities.RunExited || string(got.Stdout) != "done\n" {
		t.Fatalf("Run() = %+v, %v", got, err)
	}
	if h.beginnings() != 1 || cuts != 2 {
		t.Errorf("begun %d times over %d cuts, want once over 2", h.beginnings(), cuts)
	}
}

func TestRunIsFoundAgainByAnotherWorker(t *testing.T) {
	h := newTestHost(t)
	r := aRun("monthly-1.web-1.patch.1", 1, "until [ -e \"$ROLLPATCH_ROOT/go\" ]; do sleep 0.05; done\necho done")
	first := newPool(t, Options{})
	ctx, die := context.WithCancel(t.Context())
	_, err := first.Run(ctx, h.target(), r, func(activities.RunOutcome) { die() })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnreachable) {
		t.Fatalf("Run() of the first worker: %v, want that nothing is known", err)
	}
	got, err := newPool(t, Options{}).Run(within(t, 20*time.Second), h.target(), r, func(o activities.RunOutcome) {
		if o.State == activities.RunRunning {
			writeFile(t, filepath.Join(h.dir, "go"), "", 0o644)
		}
	})
	if err != nil || string(got.Stdout) != "done\n" || h.beginnings() != 1 {
		t.Errorf("Run() = %+v, %v; begun %d times", got, err, h.beginnings())
	}
}

func TestRunRefusesWhatIsStale(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	run := func(r activities.Run) activities.RunOutcome {
		t.Helper()
		got, err := p.Run(within(t, 20*time.Second), h.target(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	run(aRun("monthly-1.web-1.patch.1", 5, ""))
	other := aRun("monthly-1.web-1.patch.1", 5, "")
	other.Env = map[string]string{"ROLLPATCH_CHANGES": "lab-web\t1.0\t1.1"}
	for _, c := range []struct {
		name string
		r    activities.Run
		want activities.RunState
	}{
		{"a lower number", aRun("monthly-1.web-1.reboot.1", 4, ""), activities.RunStale},
		{"the same number", aRun("monthly-1.web-1.reboot.1", 5, ""), activities.RunStale},
		{"a known id with another script", aRun("monthly-1.web-1.patch.1", 5, "true"), activities.RunStale},
		{"a known id with other arguments", other, activities.RunStale},
		{"a known id with a higher number attaches", aRun("monthly-1.web-1.patch.1", 9, ""), activities.RunExited},
		{"a higher number", aRun("monthly-1.web-1.reboot.1", 6, ""), activities.RunExited},
	} {
		if got := run(c.r); got.State != c.want || (c.want == activities.RunStale) != (got.Reason != "") {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
	if n := h.beginnings(); n != 2 {
		t.Errorf("%d scripts began, want the two that were not refused", n)
	}
}

func TestRunInterrupted(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		deadline     time.Duration
		interrupt    func(*testHost)
	}{
		{"killed", "killed before it wrote a status", time.Minute, func(h *testHost) { h.kill(t) }},
		{"power cut", "the host restarted", time.Minute, func(h *testHost) { h.boot(2); h.kill(t) }},
		{"deadline", "deadline of 1 s", time.Second, func(*testHost) {}},
	} {
		for _, systemd := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/systemd=%v", c.name, systemd), func(t *testing.T) {
				h := newTestHost(t)
				if !systemd {
					h.path = withoutSystemd(t, h)
				}
				p := newPool(t, Options{})
				r := aRun("monthly-1.web-1.patch.1", 1, "echo half; exec sleep 600")
				r.Deadline = c.deadline
				var once sync.Once
				got, err := p.Run(within(t, 60*time.Second), h.target(), r, func(activities.RunOutcome) {
					once.Do(func() {
						eventually(t, "the script has printed", func() bool {
							return h.file("var/lib/rollpatch/runs", r.ID, "stdout") != ""
						})
						c.interrupt(h)
					})
				})
				if err != nil || got.State != activities.RunInterrupted || !strings.Contains(got.Reason, c.reason) {
					t.Fatalf("Run() = %+v, %v, want interrupted, %q", got, err, c.reason)
				}
				if string(got.Stdout) != "half\n" {
					t.Errorf("stdout %q, want what there was", got.Stdout)
				}
				again, err := p.Run(within(t, 20*time.Second), h.target(), r, nil)
				if err != nil || again.State != activities.RunInterrupted || h.beginnings() != 1 {
					t.Errorf("asked again: %+v, %v; begun %d times", again, err, h.beginnings())
				}
			})
		}
	}
}

// kill ends everything of the host's runs at once.
func (h *testHost) kill(t *testing.T) {
	t.Helper()
	pids := h.processes(t)
	if len(pids) == 0 {
		t.Error("nothing to kill")
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// processes finds what holds the lock of a run.
func (h *testHost) processes(t *testing.T) []int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/8")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(to, h.dir+"/") || filepath.Base(to) != "alive" {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(cmdline), "flock") || strings.HasPrefix(string(cmdline), "/bin/sh\x00-s") {
			continue // who follows it
		}
		pids = append(pids, pid)
	}
	return pids
}

// withoutSystemd is a PATH with everything but systemd-run.
func withoutSystemd(t *testing.T, h *testHost) string {
	t.Helper()
	bin := t.TempDir()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		names, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if n.Name() != "systemd-run" && n.Name() != "systemctl" {
				_ = os.Symlink(filepath.Join(dir, n.Name()), filepath.Join(bin, n.Name()))
			}
		}
	}
	writeFile(t, filepath.Join(bin, "sudo-standin"), standInSudo, 0o755)
	_ = os.Remove(filepath.Join(bin, "sudo"))
	if err := os.Symlink("sudo-standin", filepath.Join(bin, "sudo")); err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestRunWhoseUnitNeverStarted(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	r := aRun("monthly-1.web-1.patch.1", 1, "")
	// The unit is accepted and lost, as by a power cut right after.
	writeFile(t, filepath.Join(h.dir, "systemd-run-loses"), "", 0o644)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the run is known", func() bool { return h.file("units.log") != "" })
		cancel()
	}()
	if _, err := p.Run(ctx, h.target(), r, nil); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("Run() = %v, want that nothing is known", err)
	}
	if n := h.beginnings(); n != 0 {
		t.Fatalf("begun %d times without its unit", n)
	}
	if err := os.Remove(filepath.Join(h.dir, "systemd-run-loses")); err != nil {
		t.Fatal(err)
	}
	got, err := p.Run(within(t, 20*time.Second), h.target(), r, nil)
	if err != nil || got.State != activities.RunExited || h.beginnings() != 1 {
		t.Errorf("Run() = %+v, %v; begun %d times, want once", got, err, h.beginnings())
	}
}

func TestRunThatCannotBeStartedSaysWhy(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	writeFile(t, filepath.Join(h.dir, "systemd-run-fails"), "", 0o644)
	_, err := p.Run(within(t, 60*time.Second), h.target(), aRun("monthly-1.web-1.patch.1", 1, ""), nil)
	var exit *ExitError
	if !errors.As(err, &exit) || !strings.Contains(exit.Stderr, "Failed to start transient service unit") {
		t.Errorf("Run() = %v, want the reason of systemd-run", err)
	}
}

// Each crash leaves on disk what a power cut at that point leaves.
func TestRunAfterPowerCutInTheMiddleOfAStart(t *testing.T) {
	r := aRun("monthly-1.web-1.patch.1", 3, "")
	folder := "var/lib/rollpatch/runs/" + r.ID
	pending := "var/lib/rollpatch/runs/.new-" + r.ID
	for _, c := range []struct {
		name       string
		leave      func(h *testHost)
		run        activities.Run
		want       activities.RunState
		beginnings int
	}{
		{"folder half written, no number taken", func(h *testHost) {
			h.move(t, folder, pending)
			h.remove(t, pending+"/run", "var/lib/rollpatch/seq")
		}, r, activities.RunExited, 1},
		{"number taken, folder without its name", func(h *testHost) {
			h.move(t, folder, pending)
		}, r, activities.RunExited, 1},
		{"number taken, folder without its name, another run with that number", func(h *testHost) {
			h.move(t, folder, pending)
		}, aRun("other-1.web-1.patch.1", 3, ""), activities.RunStale, 0},
		{"known, unit never started", func(*testHost) {}, r, activities.RunExited, 1},
		{"known, unit never started, a higher number since", func(h *testHost) {
			writeFile(t, filepath.Join(h.dir, "var/lib/rollpatch/seq"), "4\n", 0o600)
		}, r, activities.RunStale, 0},
		{"known, power cut right before it began", func(h *testHost) {
			writeFile(t, filepath.Join(h.dir, folder, "begun.new"), h.boot(1)+"\n", 0o600)
			h.boot(2)
		}, r, activities.RunExited, 1},
		{"begun, then the power went", func(h *testHost) {
			for name, text := range map[string]string{
				"begun": h.boot(1) + "\n1700000000.000000000\n", "stdout": "", "stderr": "", "alive": "",
			} {
				writeFile(t, filepath.Join(h.dir, folder, name), text, 0o600)
			}
			h.boot(2)
		}, r, activities.RunInterrupted, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTestHost(t)
			p := newPool(t, Options{})
			writeFile(t, filepath.Join(h.dir, "systemd-run-loses"), "", 0o644)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				eventually(t, "the run is known", func() bool { return h.file("units.log") != "" })
				cancel()
			}()
			if _, err := p.Run(ctx, h.target(), r, nil); err == nil {
				t.Fatal("the run ended although its unit was lost")
			}
			h.remove(t, "systemd-run-loses")
			c.leave(h)
			got, err := p.Run(within(t, 20*time.Second), h.target(), c.run, nil)
			if err != nil || got.State != c.want || h.beginnings() != c.beginnings {
				t.Errorf("Run() = %+v, %v, begun %d times; want %s, begun %d times", got, err, h.beginnings(), c.want, c.beginnings)
			}
		})
	}
}

func (h *testHost) move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(h.dir, from), filepath.Join(h.dir, to)); err != nil {
		t.Fatal(err)
	}
}

func (h *testHost) remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.Remove(filepath.Join(h.dir, p)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnitThatStartsLateDoesNothing(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	late := aRun("monthly-1.web-1.reboot.1", 1, "")
	writeFile(t, filepath.Join(h.dir, "systemd-run-loses"), "", 0o644)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the run is known", func() bool { return h.file("units.log") != "" })
		cancel()
	}()
	if _, err := p.Run(ctx, h.target(), late, nil); err == nil {
		t.Fatal("the run ended although its unit was lost")
	}
	h.remove(t, "systemd-run-loses")
	if got, err := p.Run(within(t, 20*time.Second), h.target(), aRun("monthly-1.web-1.patch.2", 2, ""), nil); err != nil || got.State != activities.RunExited {
		t.Fatalf("Run() = %+v, %v", got, err)
	}
	// Now the lost unit comes after all.
	out, err := p.Command(within(t, 20*time.Second), h.target(), []string{"/bin/sh", h.dir + "/var/lib/rollpatch/runs/" + late.ID + "/wrapper"})
	if err != nil {
		t.Fatalf("the late unit: %s, %v", out, err)
	}
	if n := h.beginnings(); n != 1 {
		t.Errorf("%d scripts began, want only the one with the higher number", n)
	}
	for name, ask := range map[string]func(context.Context, activities.Target, activities.Run, func(activities.RunOutcome)) (activities.RunOutcome, error){"Run": p.Run, "Attach": p.Attach} {
		got, err := ask(within(t, 20*time.Second), h.target(), late, nil)
		if err != nil || got.State != activities.RunStale || !strings.Contains(got.Reason, "2") {
			t.Errorf("%s() = %+v, %v, want stale, and the host's number", name, got, err)
		}
	}
}

func TestRunWithMuchOutput(t *testing.T) {
	h := newTestHost(t)
	const size = 1 << 20
	script := fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x; head -c %d /dev/zero | tr '\\0' y >&2", size, size)
	r := aRun("monthly-1.web-1.patch.1", 1, script)
	got, err := newPool(t, Options{}).Run(within(t, 60*time.Second), h.target(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Stdout) != size || len(got.Stderr) != size || strings.Trim(string(got.Stdout), "x")+strings.Trim(string(got.Stderr), "y") != "" {
		t.Errorf("%d and %d bytes, want %d of each, whole", len(got.Stdout), len(got.Stderr), size)
	}
	short, err := newPool(t, Options{MaxOutput: 1000}).Attach(within(t, 60*time.Second), h.target(), r, nil)
	if err != nil || len(short.Stdout) != 1000 {
		t.Errorf("with a limit of 1000: %d bytes, %v", len(short.Stdout), err)
	}
	if len(h.file("var/lib/rollpatch/runs", r.ID, "stdout")) != size {
		t.Error("the host does not keep the whole output")
	}
}

func TestRunTellsHowFarItIs(t *testing.T) {
	h := newTestHost(t)
	r := aRun("monthly-1.web-1.patch.1", 1, "echo unpacking lab-web >&2\nuntil [ -e \"$ROLLPATCH_ROOT/go\" ]; do sleep 0.05; done")
	var last string
	_, err := newPool(t, Options{}).Run(within(t, 60*time.Second), h.target(), r, func(o activities.RunOutcome) {
		last = o.Reason
		if last == "unpacking lab-web" {
			writeFile(t, filepath.Join(h.dir, "go"), "", 0o644)
		}
	})
	if err != nil || last != "unpacking lab-web" {
		t.Errorf("heard %q, %v", last, err)
	}
}

func TestRunRefusesBadArguments(t *testing.T) {
	p := newPool(t, Options{})
	good := aRun("a.b.c.1", 1, "")
	for name, spoil := range map[string]func(*activities.Run){
		"not an id":           func(r *activities.Run) { r.ID = "../x" },
		"number 0":            func(r *activities.Run) { r.Seq = 0 },
		"no deadline":         func(r *activities.Run) { r.Deadline = 0 },
		"script: holds a NUL": func(r *activities.Run) { r.Script = []byte("a\x00b") },
		"holds a NUL byte":    func(r *activities.Run) { r.Env = map[string]string{"ROLLPATCH_A": "\x00"} },
		"names are ROLLPATCH": func(r *activities.Run) { r.Env = map[string]string{"PATH": "/tmp"} },
		"not ROLLPATCH_ROOT":  func(r *activities.Run) { r.Env = map[string]string{"ROLLPATCH_ROOT": "/tmp"} },
	} {
		r := good
		spoil(&r)
		if _, err := p.Run(t.Context(), activities.Target{Host: "web-1"}, r, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Run(%+v) = %v, want %q", r, err, name)
		}
	}
}
