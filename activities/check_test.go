package activities

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestJudge(t *testing.T) {
	page, db := inventory.Check{Name: "page"}, inventory.Check{Name: "db"}
	fails := func(host string, checks ...inventory.Check) round {
		r := round{host: host, failed: checks}
		for _, c := range checks {
			r.reasons = append(r.reasons, c.Name+" on "+host)
		}
		return r
	}
	unasked := func(host string, checks ...string) round {
		return round{host: host, unasked: checks, unknown: errors.New("connection refused")}
	}
	for _, row := range []struct {
		says  string
		mine  round
		peers []round
		want  rollout.Verdict
		text  string
	}{
		{"a check that only the patched member fails is the patch's fault", fails("web-1", page), []round{fails("web-2")}, rollout.Fail, "page on web-1"},
		{"without an unpatched peer the check stands for itself", fails("web-1", page), nil, rollout.Fail, "page on web-1"},
		{"a check that a peer fails too says nothing", fails("web-1", page), []round{fails("web-2"), fails("web-3", page)}, rollout.Inconclusive, "but its unpatched peer web-3 fails the same"},
		{"one check of its own is enough", fails("web-1", page, db), []round{fails("web-2", db)}, rollout.Fail, "page on web-1; db on web-1"},
		{"each check may be shared with another peer", fails("web-1", page, db), []round{fails("web-2", db), fails("web-3", page)}, rollout.Inconclusive, "web-3 fails the same, its unpatched peer web-2"},
		{"a peer that could not be asked is no comparison", fails("web-1", page), []round{unasked("web-2", "page")}, rollout.Inconclusive, "its unpatched peers could not be asked"},
		{"one peer that passes is comparison enough", fails("web-1", page), []round{unasked("web-2", "page"), fails("web-3")}, rollout.Fail, ""},
		{"a peer that failed another check could be asked for this one", fails("web-1", page, db), []round{fails("web-2", db)}, rollout.Fail, ""},
		{"what could not be asked of the member itself is inconclusive", unasked("web-1", "page"), nil, rollout.Inconclusive, "connection refused"},
	} {
		got, text, blame := judge(row.mine, row.peers)
		if got != row.want || !strings.Contains(text, row.text) {
			t.Errorf("%s: judge = %q, %q; want %q, %q", row.says, got, text, row.want, row.text)
		}
		if want := map[rollout.Verdict]string{rollout.Fail: `check "page"`}[row.want]; blame != want { // db is shared with a peer wherever it fails
			t.Errorf("%s: judge blames %q, want %q", row.says, blame, want)
		}
	}
}

// failing makes the check fail on these hosts.
func failing(hosts ...string) func(string, string, int) (bool, string, error) {
	return func(host, _ string, _ int) (bool, string, error) {
		for _, h := range hosts {
			if h == host {
				return false, "status 500", nil
			}
		}
		return true, "", nil
	}
}

func TestCheck(t *testing.T) {
	tell(t, "check", (*Activities).Check, []stepRow{
		{"as many passes in a row as the policy asks for", nil, rollout.Pass, "1 checks passed 3 times in a row", func(t *testing.T, w *world, r StepResult) {
			if w.did("probe web-1 page") != 3 || w.did("probe web-2 page") != 0 {
				t.Errorf("did %q", w.log)
			}
		}},
		{"a fail in between begins the row anew", func(w *world, p *plan.Part, in *StepInput) {
			w.probe = func(_, _ string, n int) (bool, string, error) { return n != 3, "status 500", nil }
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.did("probe web-1 page") != 6 {
				t.Errorf("asked %d times, want 6", w.did("probe web-1 page"))
			}
		}},
		{"one that could not be asked in between begins the row anew as well", func(w *world, p *plan.Part, in *StepInput) {
			w.probe = func(_, _ string, n int) (bool, string, error) {
				if n == 3 {
					return true, "", errAway
				}
				return true, "", nil
			}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.did("probe web-1 page") != 6 {
				t.Errorf("asked %d times, want 6", w.did("probe web-1 page"))
			}
		}},
		{"failing to the end is a fail", func(w *world, p *plan.Part, in *StepInput) { w.probe = failing("web-1") }, rollout.Fail, `check "page" on web-1: status 500`, nil},
		{"failing as its unpatched peers do is inconclusive", func(w *world, p *plan.Part, in *StepInput) { w.probe = failing("web-1", "web-3") }, rollout.Inconclusive,
			`check "page" on web-1: status 500; but its unpatched peer web-3 fails the same`, nil},
		{"a patched peer is no comparison", func(w *world, p *plan.Part, in *StepInput) {
			w.probe, in.Peers = failing("web-1", "web-3"), []string{"web-2"}
		}, rollout.Fail, "", nil},
		{"a host that cannot be asked is inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			w.probe = func(string, string, int) (bool, string, error) { return false, "", errAway }
		}, rollout.Inconclusive, "away", nil},
	})
}

// watch runs a watch over web-1, with web-2 and web-3 not patched yet.
func watch(t *testing.T, w *world, change func(*plan.Part, *WatchInput)) (WatchResult, error) {
	t.Helper()
	p := webPart()
	p.Policy.SoakInterval = inventory.Duration(time.Minute)
	in := WatchInput{Instance: instance, Patched: []string{"web-1"}, Peers: []string{"web-2", "web-3"}, Verdict: rollout.Pass, Intent: intent("watch", "")}
	in.Pulses = map[string]rollout.Pulse{"web-1": {Boot: "boot-a"}, "web-2": {Boot: "boot-a"}}
	change(&p, &in)
	in.Part, _ = w.Put(t.Context(), plan.Body(p))
	r, err := do(t, w.stop, w.activities().Watch, in)
	if err == nil {
		w.proveAudit(t, in.Intent, r.Audit)
		w.proveNoSecret(t, r)
	}
	return r, err
}

func TestWatch(t *testing.T) {
	for _, row := range []struct {
		says    string
		given   func(*world, *plan.Part, *WatchInput)
		verdict rollout.Verdict
		reason  string
		samples int
		passes  int
	}{
		{"it returns when the passes that a soak needs are reached", func(w *world, p *plan.Part, in *WatchInput) {}, rollout.Pass, "", 3, 3},
		{"passes of the watch before count", func(w *world, p *plan.Part, in *WatchInput) { in.Passes = 2 }, rollout.Pass, "", 1, 3},
		{"a first verdict is a change", func(w *world, p *plan.Part, in *WatchInput) { in.Verdict = "" }, rollout.Pass, "", 1, 1},
		{"a fail is asked again before it counts", func(w *world, p *plan.Part, in *WatchInput) {
			w.probe = func(_, _ string, n int) (bool, string, error) { return n > 2, "status 500", nil }
		}, rollout.Pass, "", 3, 3},
		{"a fail that stays returns at once, and begins the row anew", func(w *world, p *plan.Part, in *WatchInput) { w.probe, in.Passes = failing("web-1"), 2 }, rollout.Fail,
			`check "page" on web-1: status 500`, 1, 0},
		{"a fail that was told already is watched on until it changes", func(w *world, p *plan.Part, in *WatchInput) {
			in.Verdict, in.Reason = rollout.Fail, `check "page" on web-1: status 500`
			w.probe = func(host, _ string, n int) (bool, string, error) { return host != "web-1" || n > 9, "status 500", nil }
		}, rollout.Pass, "", 4, 1},
		{"another reason for the same verdict is a change", func(w *world, p *plan.Part, in *WatchInput) {
			w.probe, in.Verdict, in.Reason = failing("web-1"), rollout.Fail, "something else"
		}, rollout.Fail, "status 500", 1, 0},
		{"what the unpatched peers fail too is inconclusive", func(w *world, p *plan.Part, in *WatchInput) { w.probe = failing("web-1", "web-2") }, rollout.Inconclusive, "web-2 fails the same", 1, 0},
		{"one member's fault is not hidden by another's doubt", func(w *world, p *plan.Part, in *WatchInput) {
			in.Patched, in.Peers = []string{"web-1", "web-2"}, []string{"web-3"}
			w.probe = func(host, _ string, n int) (bool, string, error) {
				if host == "web-1" {
					return false, "", errAway
				}
				return host != "web-2", "status 500", nil
			}
		}, rollout.Fail, "away; check \"page\" on web-2", 1, 0},
		{"a member that the servers no longer list fails its soak, whatever its checks say", func(w *world, p *plan.Part, in *WatchInput) {
			w.instances[0].Status = "critical"
		}, rollout.Fail, "the servers do not list it", 1, 0},
		{"a member that nobody lists, like its peers, says nothing about the patch", func(w *world, p *plan.Part, in *WatchInput) {
			for i := range w.instances {
				w.instances[i].Status = "critical"
			}
		}, rollout.Inconclusive, "web-2 fails the same", 1, 0},
		{"maintenance that a person set in the soak says nothing about the patch", func(w *world, p *plan.Part, in *WatchInput) {
			w.instances[0].Status, w.instances[0].Maintenance = "critical", []string{"jane looks at the disk"}
		}, rollout.Inconclusive, "jane looks at the disk", 1, 0},
		{"a cluster without checks of its own is watched all the same", func(w *world, p *plan.Part, in *WatchInput) {
			p.Cluster.Checks, w.instances[0].Status = nil, "critical"
		}, rollout.Fail, "the servers do not list it", 1, 0},
		{"a member that booted since is told of at once", func(w *world, p *plan.Part, in *WatchInput) {
			w.says[pulseScript] = "boot\tboot-b\nkilled\t\n"
		}, rollout.Pass, "", 1, 1},
		{"and so is one that is heard of for the first time", func(w *world, p *plan.Part, in *WatchInput) { in.Pulses = nil }, rollout.Pass, "", 1, 1},
		{"one of which nobody knows whether it booted is no pass", func(w *world, p *plan.Part, in *WatchInput) {
			w.cannot[pulseScript] = errAway
		}, rollout.Inconclusive, "whether web-1 has booted since is not known", 1, 0},
		{"a host that lets us in and answers no more is no pass either, and holds nothing up", func(w *world, p *plan.Part, in *WatchInput) {
			w.mutes = []string{"web-1"}
		}, rollout.Inconclusive, "whether web-1 has booted since is not known", 1, 0},
		{"nor does it keep a fail of another member", func(w *world, p *plan.Part, in *WatchInput) {
			in.Patched, w.mutes, w.probe = []string{"web-1", "web-2"}, []string{"web-1"}, failing("web-2")
		}, rollout.Fail, `check "page" on web-2`, 1, 0},
		{"a count that was begun anew is told, so that what comes after counts", func(w *world, p *plan.Part, in *WatchInput) {
			in.Pulses = map[string]rollout.Pulse{"web-1": {Boot: "boot-a", Killed: 4}}
		}, rollout.Pass, "", 1, 1},
		{"a look at nobody is no pass", func(w *world, p *plan.Part, in *WatchInput) { in.Patched = nil }, rollout.Inconclusive, "no patched member to look at", 1, 0},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				r, err := watch(t, w, func(p *plan.Part, in *WatchInput) { row.given(w, p, in) })
				if err != nil {
					t.Fatal(err)
				}
				if r.Verdict != row.verdict || !strings.Contains(r.Reason, row.reason) || r.Samples != row.samples || r.Passes != row.passes {
					t.Errorf("verdict %q, reason %q, %d samples, %d passes; want %q, %q, %d, %d", r.Verdict, r.Reason, r.Samples, r.Passes, row.verdict, row.reason, row.samples, row.passes)
				}
			})
		})
	}
}

func TestWatchErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.stop = make(chan struct{})
		w.probe = func(_, _ string, n int) (bool, string, error) {
			if n == 2 {
				close(w.stop)
			}
			return true, "", nil
		}
		r, err := watch(t, w, func(p *plan.Part, in *WatchInput) { p.Policy.SoakPasses = 100 })
		if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) || len(w.entries) != 1 {
			t.Errorf("a watch whose worker stops = %+v, %v with %d entries; want the context's error and the intent alone", r, err, len(w.entries))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if r, err := watch(t, newWorld(), func(p *plan.Part, in *WatchInput) { in.Patched = []string{"web-9"} }); errorType(err) != ErrBadInput {
			t.Errorf("a watch of a host that the part does not know = %+v, %v; want %s", r, err, ErrBadInput)
		}
	})
}
