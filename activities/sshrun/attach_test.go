package sshrun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
)

const patchID = "monthly-1.web-1.patch.1"

// other is the run as another worker would start it: it has another version of the script.
func other(r activities.Run) activities.Run {
	r.Script = append([]byte("echo other >>\"$ROLLPATCH_ROOT/others\"\n"), r.Script...)
	return r
}

// ask starts a run or attaches to it, and wants this state.
func ask(t *testing.T, how func(context.Context, activities.Target, activities.Run, func(activities.RunOutcome)) (activities.RunOutcome, error), h *testHost, r activities.Run, want activities.RunState, reason string) activities.RunOutcome {
	t.Helper()
	got, err := how(within(t, 20*time.Second), h.target(), r, nil)
	if err != nil || got.State != want || !strings.Contains(got.Reason, reason) {
		t.Errorf("got %+v, %v; want %s, with %q in the reason", got, err, want, reason)
	}
	return got
}

// loseUnit makes the host know the run, whose unit never starts, as after a power cut right before.
func (h *testHost) loseUnit(p *Pool, r activities.Run) {
	h.t.Helper()
	writeFile(h.t, filepath.Join(h.dir, "systemd-run-loses"), "", 0o644)
	ctx, cancel := context.WithCancel(h.t.Context())
	go func() {
		eventually(h.t, "the run is known", func() bool { return strings.Contains(h.file("units.log"), r.ID) })
		cancel()
	}()
	if _, err := p.Run(ctx, h.target(), r, nil); err == nil {
		h.t.Fatal("the run ended although its unit was lost")
	}
	h.remove(h.t, "systemd-run-loses")
}

func TestRunThatBeganWithAnotherScriptIsFollowed(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	before := aRun(patchID, 1, "echo working >&2\nuntil [ -e \"$ROLLPATCH_ROOT/go\" ]; do sleep 0.05; done\necho done; exit 20")
	after := other(before)
	ctx, upgraded := context.WithCancel(t.Context())
	if _, err := p.Run(ctx, h.target(), before, func(activities.RunOutcome) { upgraded() }); err == nil {
		t.Fatal("the first worker followed it to its end")
	}
	ask(t, p.Run, h, after, activities.RunStale, "another script")
	cut := sync.OnceFunc(h.cut)
	got, err := p.Attach(within(t, 60*time.Second), h.target(), after, func(o activities.RunOutcome) {
		if o.State == activities.RunRunning && o.Reason == "working" {
			cut() // it is found again
			writeFile(t, filepath.Join(h.dir, "go"), "", 0o644)
		}
	})
	if err != nil || got.State != activities.RunExited || got.Exit != 20 || string(got.Stdout) != "done\n" || got.Kept == "" {
		t.Errorf("Attach() = %+v, %v, want the outcome of the script that began", got, err)
	}
	ask(t, p.Run, h, aRun("monthly-1.web-1.reboot.1", 2, ""), activities.RunExited, "")
	ask(t, p.Attach, h, after, activities.RunExited, "") // its outcome stays its outcome
	if h.beginnings() != 2 || h.file("others") != "" {
		t.Errorf("%d scripts began, want the first one and the reboot; the other script: %q", h.beginnings(), h.file("others"))
	}
}

func TestRunThatBeganWithAnotherScriptAndWasCutShort(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	before := aRun(patchID, 1, "exec sleep 600")
	ctx, upgraded := context.WithCancel(t.Context())
	_, _ = p.Run(ctx, h.target(), before, func(activities.RunOutcome) { upgraded() })
	eventually(t, "the script runs", func() bool { return h.beginnings() == 1 })
	h.boot(2)
	h.kill(t)
	ask(t, p.Run, h, other(before), activities.RunStale, "another script")
	ask(t, p.Attach, h, other(before), activities.RunInterrupted, "the host restarted")
	if h.beginnings() != 1 {
		t.Errorf("begun %d times", h.beginnings())
	}
}

// What has not begun when it is attached to never begins, whoever comes later, and the next number may be asked for.
func TestRunThatHasNotBegunIsWithdrawn(t *testing.T) {
	for _, c := range []struct {
		says  string
		leave func(h *testHost)
	}{
		{"known, its unit was lost", func(*testHost) {}},
		{"numbered, and power was cut before it was known", func(h *testHost) {
			h.move(h.t, "var/lib/rollpatch/runs/"+patchID, "var/lib/rollpatch/runs/.new-"+patchID)
		}},
	} {
		t.Run(c.says, func(t *testing.T) {
			h := newTestHost(t)
			p := newPool(t, Options{})
			before := aRun(patchID, 3, "")
			h.loseUnit(p, before)
			unit := filepath.Join(h.dir, "var/lib/rollpatch/runs", patchID, "wrapper")
			c.leave(h)
			after := other(before)
			ask(t, p.Run, h, after, activities.RunStale, "another script")
			for range 2 { // the worker dies in between
				ask(t, p.Attach, h, after, activities.RunAbsent, "never will")
				ask(t, p.Run, h, after, activities.RunStale, "number 3")
			}
			ask(t, p.Run, h, before, activities.RunStale, "number 3") // the former worker, late
			ask(t, p.Attach, h, before, activities.RunAbsent, "never will")
			if out, err := p.Command(within(t, 20*time.Second), h.target(), []string{"/bin/sh", unit}); err == nil {
				t.Errorf("its unit starts late and finds its folder: %s", out)
			}
			if h.beginnings() != 0 {
				t.Fatalf("begun %d times after it was withdrawn", h.beginnings())
			}
			next := other(aRun("monthly-1.web-1.patch.2", 4, ""))
			ask(t, p.Run, h, next, activities.RunExited, "")
			ask(t, p.Run, h, before, activities.RunStale, "4")
			ask(t, p.Attach, h, before, activities.RunStale, "number 3 is below 4")
			if h.beginnings() != 1 {
				t.Errorf("%d scripts began, want the one with the next number", h.beginnings())
			}
		})
	}
}

// Whoever has a number that is not the host's any more gains nothing, and is told the host's.
func TestAttachGainsNothingForWhoIsStale(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	old := aRun(patchID, 3, "")
	h.loseUnit(p, old)
	ask(t, p.Run, h, aRun("other-1.web-1.patch.1", 9, ""), activities.RunExited, "")
	ask(t, p.Attach, h, other(old), activities.RunStale, "number 3 is below 9")
	ask(t, p.Attach, h, aRun("monthly-1.web-1.fetch.1", 8, ""), activities.RunStale, "number 8 is below 9")
	ask(t, p.Attach, h, aRun("monthly-1.web-1.fetch.1", 9, ""), activities.RunStale, "number 9 is another run's")
	if h.beginnings() != 1 {
		t.Errorf("%d scripts began, want the one of the other instance", h.beginnings())
	}
}

// A unit that starts late, a former worker's start and an attach come at once: either it begins, once, and the attach follows it, or it
// never does.
func TestWithdrawnAndBegunExcludeEachOther(t *testing.T) {
	for round := range 9 {
		h := newTestHost(t)
		pools := []*Pool{newPool(t, Options{}), newPool(t, Options{}), newPool(t, Options{})}
		before := aRun(patchID, 3, "")
		h.loseUnit(pools[round%3], before) // who is connected already comes first, mostly
		late, former, present := pools[0], pools[1], pools[2]
		var all sync.WaitGroup
		all.Go(func() {
			_, _ = late.Command(within(t, 20*time.Second), h.target(), []string{"/bin/sh", filepath.Join(h.dir, "var/lib/rollpatch/runs", patchID, "wrapper")})
		})
		all.Go(func() { _, _ = former.Run(within(t, 20*time.Second), h.target(), before, nil) })
		got, err := present.Attach(within(t, 20*time.Second), h.target(), other(before), nil)
		all.Wait()
		switch n := h.beginnings(); {
		case err != nil:
			t.Errorf("Attach() = %v", err)
		case got.State == activities.RunAbsent && n == 0, got.State == activities.RunExited && n == 1:
			t.Logf("%s", got.State)
		default:
			t.Errorf("Attach() = %+v, begun %d times", got, n)
		}
	}
}

// A unit that is about to begin holds the host's lock: whoever attaches looks after it, not meanwhile.
func TestAttachWaitsForAUnitThatIsAboutToBegin(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	before := aRun(patchID, 3, "")
	h.loseUnit(p, before)
	lock, err := os.Open(filepath.Join(h.dir, "var/lib/rollpatch/lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { ask(t, p.Attach, h, other(before), activities.RunExited, "") })
	info, err := lock.Stat()
	if err != nil {
		t.Fatal(err)
	}
	waiter := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	eventually(t, "it waits for the lock", func() bool {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(strings.Split(string(locks), "\n"), func(line string) bool {
			return strings.Contains(line, "->") && strings.Contains(line, waiter)
		})
	})
	for name, text := range map[string]string{
		"begun": h.boot(1) + "\n1700000000.000000000\n", "alive": "", "stdout": "", "stderr": "", "status": "0\n1700000001.000000000\n",
	} {
		writeFile(t, filepath.Join(h.dir, "var/lib/rollpatch/runs", patchID, name), text, 0o600)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}

func TestAttachRefusesBadArguments(t *testing.T) {
	p := newPool(t, Options{})
	for want, r := range map[string]activities.Run{"not an id": aRun("../x", 1, ""), "number 0": aRun(patchID, 0, "")} {
		if _, err := p.Attach(t.Context(), activities.Target{Host: "web-1"}, r, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Attach(%+v) = %v, want %q", r, err, want)
		}
	}
}

// A run that the host has not heard of is withdrawn before it comes: its number is used up, and a start of it that comes late is refused.
func TestAttachUsesUpTheNumberOfARunThatNeverCame(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	late := aRun(patchID, 3, "")
	for range 2 {
		ask(t, p.Attach, h, late, activities.RunAbsent, "never will")
	}
	ask(t, p.Run, h, late, activities.RunStale, "number 3 is not above 3")
	if h.beginnings() != 0 {
		t.Fatalf("%d scripts began, want none", h.beginnings())
	}
	ask(t, p.Run, h, aRun("monthly-1.web-1.patch.2", 4, ""), activities.RunExited, "")
	ask(t, p.Attach, h, late, activities.RunStale, "number 3 is below 4")
	if h.beginnings() != 1 {
		t.Errorf("%d scripts began, want the one with the next number", h.beginnings())
	}
}

// A start whose time is over starts nothing: the run is attached to.
func TestRunThatIsTooLateIsAttachedTo(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	late := aRun(patchID, 3, "")
	late.BeginBy = time.Now().Add(-time.Second)
	ask(t, p.Run, h, late, activities.RunAbsent, "never will")
	if h.beginnings() != 0 {
		t.Fatalf("%d scripts began, want none", h.beginnings())
	}
	intime := aRun("monthly-1.web-1.patch.2", 4, "")
	intime.BeginBy = time.Now().Add(time.Minute)
	ask(t, p.Run, h, intime, activities.RunExited, "")
	intime.BeginBy = late.BeginBy
	ask(t, p.Run, h, intime, activities.RunExited, "")
	if h.beginnings() != 1 {
		t.Errorf("%d scripts began, want one", h.beginnings())
	}
}
