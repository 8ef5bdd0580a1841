package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// transaction brings openssl up and libnew in.
var transaction = []Change{{Name: "openssl", Old: "1.0", New: "1.1"}, {Name: "libnew", New: "2.0"}}

func (w *world) transaction(in *StepInput) {
	in.Changes, _ = w.Put(context.Background(), plan.Body(transaction))
}

func exits(status int) func(Run) (RunOutcome, error) {
	return func(Run) (RunOutcome, error) {
		return RunOutcome{State: RunExited, Exit: status, BootID: "boot-b", Kept: "/var/lib/rollpatch/runs/run-1", Stdout: []byte("out\n"), Stderr: []byte("first\nE: broken\nlast\n")}, nil
	}
}

// spent holds for a run that has ended, by what clears by itself.
func spent(t *testing.T, _ *world, r StepResult) {
	t.Helper()
	if !r.Spent || r.Nothing || r.Interrupted {
		t.Errorf("%+v is not spent: the next call would attach to the same run for ever", r)
	}
}

const verified = "pkg\topenssl\t1.1\tinstalled\npkg\tlibnew\t2.0\tinstalled\ndpkg\tclean\n"
const restored = "pkg\topenssl\t1.0\tinstalled\npkg\tlibnew\t-\tnot-installed\ndpkg\tclean\n"

func TestPatch(t *testing.T) {
	given := func(also func(w *world, p *plan.Part, in *StepInput)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.says["verify"], w.outcome = verified, exits(0)
			if also != nil {
				also(w, p, in)
			}
		}
	}
	rows := []stepRow{
		{"exactly the transaction is given, and proven", given(nil), rollout.Pass, "2 packages", func(t *testing.T, w *world, r StepResult) {
			run := w.runs[0]
			if run.ID != "run-1" || run.Seq != 7 || string(run.Script) != "apply" || run.Deadline != time.Hour || run.Step != "patch" {
				t.Errorf("run %+v", run)
			}
			if got, want := run.Env["ROLLPATCH_CHANGES"], "openssl\t1.0\t1.1\nlibnew\t-\t2.0\n"; got != want || run.Env["ROLLPATCH_LEDGER"] != instance || run.Env["ROLLPATCH_REPAIR"] != "" {
				t.Errorf("env %q, want changes %q", run.Env, want)
			}
			if r.Boot != "boot-b" || r.NeedsReboot || r.Kept == "" || !strings.Contains(r.Tail, "E: broken") {
				t.Errorf("result %+v", r)
			}
		}},
		{"after an interruption it is repaired first", given(func(w *world, p *plan.Part, in *StepInput) { in.Repair = true }), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.runs[0].Env["ROLLPATCH_REPAIR"] != "1" {
				t.Errorf("env %q", w.runs[0].Env)
			}
		}},
		{"what was asked for again goes on if it has begun, and begins nothing", given(func(w *world, p *plan.Part, in *StepInput) {
			in.Gated, in.Attach = true, true
			w.known = func(context.Context, func(RunOutcome)) (RunOutcome, error) { return exits(0)(Run{}) }
		}), rollout.Pass, "2 packages", func(t *testing.T, w *world, r StepResult) {
			if len(w.runs) > 0 {
				t.Errorf("%v was started", w.runs)
			}
		}},
		{"what was asked for again and has not begun never does, and asks the gate first", given(func(w *world, p *plan.Part, in *StepInput) {
			in.Gated, in.Attach = true, true
			w.known = func(context.Context, func(RunOutcome)) (RunOutcome, error) { return RunOutcome{State: RunAbsent}, nil }
		}), rollout.Inconclusive, "the peers are asked about again first", func(t *testing.T, w *world, r StepResult) {
			if len(w.runs) > 0 || !r.Spent || !r.AskAgain {
				t.Errorf("%v was started, spent %t, ask again %t", w.runs, r.Spent, r.AskAgain)
			}
		}},
		{"what the host refuses to be asked for again waits", given(func(w *world, p *plan.Part, in *StepInput) { in.Gated, in.Attach = true, true }),
			rollout.Inconclusive, "refused by the host: number 7 is below 9", func(t *testing.T, w *world, r StepResult) {
				if r.Spent || r.AskAgain {
					t.Errorf("spent %t, ask again %t: a number that is not the host's any more must gain nothing", r.Spent, r.AskAgain)
				}
			}},
		{"a signal asks for a reboot", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["reboot-needed"] = "reason\tkernel 6.2 is installed\n"
		}),
			rollout.Pass, "a reboot is needed: kernel 6.2 is installed", func(t *testing.T, w *world, r StepResult) {
				if !r.NeedsReboot {
					t.Error("needs no reboot")
				}
			}},
		{"signals that cannot be read say nothing about the patch", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot["reboot-needed"] = statusError(2) }),
			rollout.Inconclusive, "ended with status 2", nil},
		{"hundreds of signals do not fill the history", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["reboot-needed"] = strings.Repeat("reason\tpostgrés still uses the replaced /lib/libc.so\n", 500)
		}), rollout.Pass, "a reboot is needed", func(t *testing.T, w *world, r StepResult) {
			if len(r.Reason) > reasonSize+10 || !utf8.ValidString(r.Reason) {
				t.Errorf("%d bytes, valid %t", len(r.Reason), utf8.ValidString(r.Reason))
			}
		}},
		{"a run that was cut short is neither done nor untouched", given(func(w *world, p *plan.Part, in *StepInput) {
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{State: RunInterrupted, Reason: "another boot"}, nil }
		}), rollout.Fail, "cut short: another boot", func(t *testing.T, w *world, r StepResult) {
			if !r.Interrupted || r.Nothing {
				t.Errorf("result %+v", r)
			}
		}},
		{"a number that is not the host's any more stays refused, and no higher one is tried", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{State: RunStale, Reason: "number 7 is below 9"})
		}), rollout.Inconclusive, "refused by the host: number 7 is below 9", func(t *testing.T, w *world, r StepResult) {
			if r.Spent || len(w.runs) != 1 {
				t.Errorf("spent %t after %d starts", r.Spent, len(w.runs))
			}
		}},
		{"a run that began with another worker's script is followed, and its outcome is the patch's", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{State: RunExited, BootID: "boot-b", Kept: "/var/lib/rollpatch/runs/run-1"})
		}), rollout.Pass, "2 packages", func(t *testing.T, w *world, r StepResult) {
			if w.did("attach to run-1") != 1 || len(w.runs) != 1 || r.Boot != "boot-b" || r.Kept == "" || r.Spent {
				t.Errorf("did %q, result %+v", w.log, r)
			}
		}},
		{"whatever it is", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{State: RunExited, Exit: 20, Stderr: []byte("E: broken\n")})
		}), rollout.Fail, "the package manager failed: E: broken", nil},
		{"also when that was cut short", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{State: RunInterrupted, Reason: "another boot"})
		}), rollout.Fail, "cut short: another boot", func(t *testing.T, w *world, r StepResult) {
			if !r.Interrupted || r.Spent {
				t.Errorf("result %+v", r)
			}
		}},
		{"a run of another worker's script that never begins is left to another run", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{State: RunAbsent, Reason: "it had not begun, and never will"})
		}), rollout.Inconclusive, "refused by the host: the host knows this run with another script; it had not begun, and never will", func(t *testing.T, w *world, r StepResult) {
			if !r.Spent || r.Nothing || r.Interrupted {
				t.Errorf("result %+v", r)
			}
		}},
		{"a refused run that cannot be followed is unknown, and still the same run", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{})
			w.known = func(context.Context, func(RunOutcome)) (RunOutcome, error) {
				return RunOutcome{}, errors.New("connection refused")
			}
		}), rollout.Inconclusive, "connection refused", func(t *testing.T, w *world, r StepResult) {
			if r.Spent {
				t.Error("spent: it may have begun")
			}
		}},
		{"following it lasts for as long as something is heard", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{})
			w.known = func(ctx context.Context, seen func(RunOutcome)) (RunOutcome, error) {
				for range 5 {
					if err := wait(ctx, unreachableFor/2); err != nil {
						return RunOutcome{}, err
					}
					seen(RunOutcome{State: RunRunning})
				}
				return RunOutcome{State: RunExited}, nil
			}
		}), rollout.Pass, "2 packages", nil},
		{"and no longer", given(func(w *world, p *plan.Part, in *StepInput) {
			w.refuses(RunOutcome{})
			w.known = func(ctx context.Context, seen func(RunOutcome)) (RunOutcome, error) {
				return RunOutcome{}, wait(ctx, time.Hour)
			}
		}), rollout.Inconclusive, "nothing heard of the host for 2m0s", nil},
		{"a run that the host still calls running is inconclusive", given(func(w *world, p *plan.Part, in *StepInput) {
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{State: RunRunning}, nil }
		}), rollout.Inconclusive, "running", nil},
		{"a host that cannot be reached is inconclusive", given(func(w *world, p *plan.Part, in *StepInput) {
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{}, errors.New("connection refused") }
		}), rollout.Inconclusive, "connection refused", nil},
		{"a host whose system cannot be told is inconclusive", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot[osRelease] = errors.New("connection refused") }),
			rollout.Inconclusive, "connection refused", nil},
		{"a wrong version after a good exit is a fail that names it", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["verify"] = "pkg\topenssl\t1.0\tinstalled\npkg\tlibnew\t-\tnot-installed\ndpkg\tclean\n"
		}), rollout.Fail, "openssl is 1.0, not 1.1; libnew is -, not 2.0", func(t *testing.T, w *world, r StepResult) {
			if r.Nothing {
				t.Error("counts as untouched")
			}
		}},
		{"a package database that is not clean is a fail", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["verify"] = strings.Replace(verified, "clean", "dirty", 1)
		}),
			rollout.Fail, "the package database is not clean", nil},
		{"a package database of which nothing is said is not clean", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["verify"] = strings.Replace(verified, "dpkg\tclean\n", "", 1)
		}),
			rollout.Fail, "the package database is not clean", nil},
		{"versions that cannot be read are inconclusive", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot["verify"] = statusError(20) }), rollout.Inconclusive, "status 20", nil},
	}
	for status, why := range map[int]string{
		2: "an argument", 10: "packages that are not listed", 11: "lock", 12: "version", 13: "space", 14: "repository",
		1: "ended with status 1", 9: "ended with status 9", 15: "ended with status 15", 20: "package manager failed", 21: "not clean afterwards", 137: "ended with status 137",
	} {
		promised := status == 2 || status >= 10 && status <= 14
		rows = append(rows, stepRow{
			fmt.Sprintf("status %d is a fail, and leaves the packages as they were: %t", status, promised),
			given(func(w *world, p *plan.Part, in *StepInput) { w.outcome = exits(status) }), rollout.Fail, why,
			func(t *testing.T, w *world, r StepResult) {
				if r.Nothing != promised || !strings.HasSuffix(r.Reason, ": E: broken") {
					t.Errorf("nothing %t, want %t; reason %q", r.Nothing, promised, r.Reason)
				}
			},
		})
	}
	tell(t, "patch", (*Activities).Patch, rows)
}

func TestBackout(t *testing.T) {
	tell(t, "backout", (*Activities).Backout, []stepRow{
		{"what was there before is there again, and what was new is gone", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.says["verify"], w.outcome = restored, exits(0)
		}, rollout.Pass, "2 packages", func(t *testing.T, w *world, r StepResult) {
			if w.runs[0].Prune != nil {
				t.Errorf("it tidies up while the member is out of service: %+v", w.runs[0].Prune)
			}
			if string(w.runs[0].Script) != "backout" || w.runs[0].Env["ROLLPATCH_CHANGES"] != "openssl\t1.0\t1.1\nlibnew\t-\t2.0\n" {
				t.Errorf("run %+v", w.runs[0])
			}
		}},
		{"a package lock that is held clears by itself: another run asks again", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.outcome = exits(11)
		}, rollout.Inconclusive, "the package lock did not become free in time", spent},
		{"so does a repository that is away", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.outcome = exits(14)
		}, rollout.Inconclusive, "the repository cannot be reached", spent},
		{"an old version that is not to be had does not", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.outcome = exits(12)
		}, rollout.Fail, "a version is not to be had", nil},
		{"one that was cut short is repaired, not only asked again", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{State: RunInterrupted, Reason: "another boot"}, nil }
		}, rollout.Fail, "cut short", func(t *testing.T, w *world, r StepResult) {
			if !r.Interrupted {
				t.Errorf("result %+v", r)
			}
		}},
		{"a new package that stayed is a fail", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.says["verify"], w.outcome = strings.Replace(restored, "libnew\t-", "libnew\t2.0", 1), exits(0)
		}, rollout.Fail, "libnew is 2.0, not -", nil},
	})
}

func TestUnreachable(t *testing.T) {
	tell(t, "patch", (*Activities).Patch, []stepRow{
		{"a host that falls silent is reported after two minutes, so that people see what is waited for", func(w *world, p *plan.Part, in *StepInput) {
			w.transaction(in)
			w.silent = true
		}, rollout.Inconclusive, "nothing heard of the host for 2m0s", nil},
	})
}

func TestReboot(t *testing.T) {
	away := errors.New("connection refused")
	given := func(boots ...any) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) { w.boots, in.Boot = boots, "boot-a" }
	}
	late := func(begun, power bool) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if !r.Late || r.Begun != begun || r.Power != power {
				t.Errorf("late %t, begun %t, power %t; want begun %t and power %t", r.Late, r.Begun, r.Power, begun, power)
			}
		}
	}
	runs := func(want int) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if w.did("run reboot") != want {
				t.Errorf("%d runs, want %d", w.did("run reboot"), want)
			}
		}
	}
	entered := func(want int) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if w.did("enter http") != want || (r.Boot == "") != (r.Verdict != rollout.Pass) {
				t.Errorf("taken out %d times, want %d; verdict %q with boot %q", w.did("enter http"), want, r.Verdict, r.Boot)
			}
		}
	}
	tell(t, "reboot", (*Activities).Reboot, []stepRow{
		{"a host that is still out is seen so twice", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-b")(w, p, in)
			w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
		}, rollout.Pass, "back with boot id boot-b", func(t *testing.T, w *world, r StepResult) {
			entered(0)(t, w, r)
			if w.did("catalog") != 2 {
				t.Errorf("the servers were asked %d times, want 2", w.did("catalog"))
			}
		}},
		{"one whose agent lost its maintenance is taken out again, and that is on record", given("boot-b"), rollout.Pass, "boot-b after 0s, and taken out of service again: its agent had lost its maintenance", entered(1)},
		{"but not while its peers need it", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-b")(w, p, in)
			w.instances[1].Status = "critical"
			w.instances[2].Status = "critical"
		}, rollout.Pass, "boot-b", entered(0)},
		{"one whose maintenance the servers do not hear of is unknown", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-b")(w, p, in)
			w.sticky = true
		}, rollout.Inconclusive, "do not hear of it again", nil},
		{"one that somebody keeps out by now is unknown", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-b")(w, p, in)
			w.foreign["http"] = &ForeignError{Node: "web-1", Service: "http", Reason: "jane"}
		}, rollout.Inconclusive, "is not out of service any more: ", entered(1)},
		{"without the servers nobody knows", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-b")(w, p, in)
			w.catalog = func(int) error { return errors.New("no cluster leader") }
		}, rollout.Inconclusive, "back with boot id boot-b after 0s, and whether it is still out of service cannot be told: no cluster leader", entered(0)},
		{"in the boot that it must leave, the run starts once, and another boot id proves it", given("boot-a", "boot-a", away, away, "boot-b"), rollout.Pass, "back with boot id boot-b",
			func(t *testing.T, w *world, r StepResult) {
				runs(1)(t, w, r)
				if r.Boot != "boot-b" || w.runs[0].ID != "run-1" || w.runs[0].Seq != 7 || w.runs[0].Deadline != rebootDeadline {
					t.Errorf("boot %q, run %+v", r.Boot, w.runs[0])
				}
			}},
		{"in another boot it is proven, and nothing is started", given("boot-b"), rollout.Pass, "boot-b", runs(0)},
		{"a host that could not be reached at first is told to reboot as soon as it is there", given(away, away, "boot-a", "boot-b"), rollout.Pass, "boot-b", runs(1)},
		{"a run that dies with the connection is no failure", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", away, "boot-b")(w, p, in)
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{}, errors.New("connection lost") }
		}, rollout.Pass, "boot-b", runs(1)},
		{"late is inconclusive, with the last trouble", given("boot-a", away), rollout.Inconclusive, "not back 5m after the reboot: connection refused", runs(1)},
		{"up and never rebooted is inconclusive", given("boot-a"), rollout.Inconclusive, "it is up and has not rebooted", runs(1)},
		{"a reboot that was refused is asked again, by another run", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a")(w, p, in)
			w.outcome = exits(11)
		}, rollout.Inconclusive, "the reboot was refused: the package lock did not become free in time", spent},
		{"so is one whose script was cut short, and the host stayed", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a")(w, p, in)
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{State: RunInterrupted, Reason: "deadline"}, nil }
		}, rollout.Inconclusive, "it is up and has not rebooted", spent},
		{"a changed host key is inconclusive at once, with a text of its own", given("boot-a", fmt.Errorf("web-1: %w", keyError{})), rollout.Inconclusive, "it came back with another host key, which is never accepted: web-1: host key changed",
			func(t *testing.T, w *world, r StepResult) {
				if w.did("boot id") != 2 || !r.OtherKey {
					t.Errorf("asked %d times, other key %t", w.did("boot id"), r.OtherKey)
				}
			}},
		{"one that was told to reboot and fell silent is late, has begun it, and its power may be cycled", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", lost{})(w, p, in)
			p.Hosts[0].Power = &inventory.Power{Command: []string{"cycle"}}
		}, rollout.Inconclusive, "not back 5m after the reboot: no answer", late(true, true)},
		{"nobody's power is cycled without a program", given("boot-a", lost{}), rollout.Inconclusive, "no answer", late(true, false)},
		{"nor that of a host which answers", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", away)(w, p, in)
			p.Hosts[0].Power = &inventory.Power{Command: []string{"cycle"}}
		}, rollout.Inconclusive, "connection refused", late(true, false)},
		{"one that answers for long after it was told waits for something first: it has not begun", func(w *world, p *plan.Part, in *StepInput) {
			boots := []any{"boot-a"}
			for range 90 {
				boots = append(boots, "boot-a")
			}
			given(append(boots, lost{})...)(w, p, in)
		}, rollout.Inconclusive, "no answer", late(false, false)},
		{"one that was only followed has not begun now", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", lost{})(w, p, in)
			in.Attach = true
			w.refuses(RunOutcome{State: RunExited})
		}, rollout.Inconclusive, "no answer", late(false, false)},
		{"nor one that was refused", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", lost{})(w, p, in)
			w.outcome = exits(11)
		}, rollout.Inconclusive, "the reboot was refused", func(t *testing.T, w *world, r StepResult) {
			if r.Begun {
				t.Error("it counts as begun")
			}
		}},
		{"an answer is there in time for the power", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", lost{})(w, p, in)
			in.By = time.Now().Add(time.Minute)
		}, rollout.Inconclusive, "no answer", func(t *testing.T, w *world, r StepResult) {
			if n := w.did("boot id"); n < 50 || n > 70 {
				t.Errorf("asked %d times, want once a second for a minute", n)
			}
		}},
		{"a reboot that the host refuses is inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a")(w, p, in)
			w.outcome = exits(1)
		}, rollout.Inconclusive, "the reboot was refused", nil},
		{"a stale reboot stays refused", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a")(w, p, in)
			w.refuses(RunOutcome{State: RunStale, Reason: "number 7 is below 9"})
		}, rollout.Inconclusive, "refused by the host: number 7 is below 9", func(t *testing.T, w *world, r StepResult) {
			if r.Spent {
				t.Error("a stale workflow would climb to the host's number")
			}
		}},
		{"a reboot that began by another worker's script is not begun again", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a", "boot-a", away, "boot-b")(w, p, in)
			w.refuses(RunOutcome{State: RunExited})
		}, rollout.Pass, "back with boot id boot-b", runs(1)},
		{"one that never begins is asked again, by another run", func(w *world, p *plan.Part, in *StepInput) {
			given("boot-a")(w, p, in)
			w.refuses(RunOutcome{State: RunAbsent, Reason: "it had not begun, and never will"})
		}, rollout.Inconclusive, "it had not begun, and never will", spent},
	})
}
