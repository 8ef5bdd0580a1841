package activities

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// balanced is the cluster of web-1 behind lb-1 and lb-2, which run its scripts.
func balanced(also func(w *world, p *plan.Part, in *StepInput)) func(w *world, p *plan.Part, in *StepInput) {
	return func(w *world, p *plan.Part, in *StepInput) {
		byScripts(p, "lb-1", "lb-2")
		if also != nil {
			also(w, p, in)
		}
	}
}

func ended(exit int, stderr string) func(string, Run) (RunOutcome, error) {
	return func(place string, r Run) (RunOutcome, error) {
		if place != "lb-2" {
			return RunOutcome{State: RunExited}, nil
		}
		return RunOutcome{State: RunExited, Exit: exit, Stderr: []byte(stderr)}, nil
	}
}

// ran lists the runs of scripts, sorted: several hosts run theirs at a time.
func (w *world) ran() []string {
	var all []string
	for _, r := range w.runs {
		all = append(all, fmt.Sprintf("%s as %s, number %d of %s", r.Script, r.ID, r.Seq, r.Lane))
	}
	slices.Sort(all)
	return all
}

func TestDrainByCommand(t *testing.T) {
	ours := func(w *world) {
		w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
	}
	out := func(w *world) { w.said["web-1 on lb-1"], w.said["web-1 on lb-2"] = "out", "out" }
	tell(t, "drain", (*Activities).Drain, []stepRow{
		{"on the member itself: its state, the record, the script, two looks, the connections", func(w *world, p *plan.Part, in *StepInput) { byScripts(p) }, rollout.Pass,
			"out of service, as the state scripts say, 0 connections left", func(t *testing.T, w *world, r StepResult) {
				want := []string{"audit intent", "state of web-1 on web-1", "take drain/web-1", "state of web-1 on web-1", "run drain on web-1", "state of web-1 on web-1", "state of web-1 on web-1", "connections", "audit outcome"}
				own := slices.DeleteFunc(slices.Clone(w.log), func(line string) bool { return line != "connections" && !slices.Contains(want, line) })
				if !slices.Equal(own, want) {
					t.Errorf("did %q, want %q", own, want)
				}
				run := w.runs[0]
				if env := map[string]string{
					"ROLLPATCH_HOST": "web-1", "ROLLPATCH_ADDRESS": "10.0.0.1", "ROLLPATCH_CLUSTER": "web", "ROLLPATCH_INSTANCE": instance, "ROLLPATCH_REASON": Reason(instance, "web-1"),
				}; !reflect.DeepEqual(run.Env, env) {
					t.Errorf("environment %v, want %v", run.Env, env)
				}
				if run.BeginBy.IsZero() || time.Until(run.BeginBy) > rollout.GateCounts {
					t.Errorf("it may begin until %s: longer than the gate's word counts", run.BeginBy)
				}
				if run.Prune == nil {
					t.Error("folders of old drains are kept for ever")
				}
				if !slices.Equal(w.ports, []int{80}) || w.did("catalog") > 0 {
					t.Errorf("ports %v, asked the catalog %d times", w.ports, w.did("catalog"))
				}
			}},
		{"on load balancers all of them run it, under one id and number", balanced(nil), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			want := "drain as run-1, number 7 of web/web-1"
			if got := w.ran(); !slices.Equal(got, []string{want, want}) || w.did("run drain on lb-1") != 1 || w.did("run drain on lb-2") != 1 {
				t.Errorf("ran %q", got)
			}
			if !r.Spent {
				t.Error("a later drain would attach to what it did, and not run it anew")
			}
		}},
		{"who is out already was taken out by somebody else: no record, no script", balanced(func(w *world, p *plan.Part, in *StepInput) { out(w) }), rollout.Fail,
			`web-1 is out of service in cluster "web" by somebody else`, func(t *testing.T, w *world, r StepResult) {
				if !r.Foreign || len(w.records) > 0 || len(w.runs) > 0 {
					t.Errorf("foreign %t, records %v, ran %q", r.Foreign, w.records, w.ran())
				}
			}},
		{"with our record it is our drain, and the script may be run again", balanced(func(w *world, p *plan.Part, in *StepInput) { out(w); ours(w) }), rollout.Pass, "",
			func(t *testing.T, w *world, r StepResult) {
				if len(w.runs) != 2 {
					t.Errorf("ran %q", w.ran())
				}
			}},
		{"hosts that do not agree say nothing", balanced(func(w *world, p *plan.Part, in *StepInput) { w.said["web-1 on lb-2"] = "out" }), rollout.Inconclusive,
			`state of web-1 in cluster "web": lb-1 says in, lb-2 says out`, func(t *testing.T, w *world, r StepResult) {
				if len(w.records) > 0 || len(w.runs) > 0 {
					t.Errorf("records %v, ran %q", w.records, w.ran())
				}
			}},
		{"a drain of ours that is half through goes on", balanced(func(w *world, p *plan.Part, in *StepInput) { w.said["web-1 on lb-2"] = "out"; ours(w) }), rollout.Pass, "", nil},
		{"a word that is none of the three is unknown", balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.said["web-1 on lb-1"], w.said["web-1 on lb-2"] = "up", "up"
		}), rollout.Inconclusive,
			`lb-1 says "up", which is none of in, out and unknown`, nil},
		{"a host that cannot be asked is inconclusive", balanced(func(w *world, p *plan.Part, in *StepInput) { w.mute["lb-2"] = errAway }), rollout.Inconclusive,
			`state of web-1 in cluster "web" on lb-2: the servers are away`, nil},
		{"a script that fails is a fail, with its last words", balanced(func(w *world, p *plan.Part, in *StepInput) { w.scriptEnd = ended(3, "connecting\nno such server\n") }), rollout.Fail,
			"drain.sh on lb-2 ended with status 3: no such server", nil},
		{"one that was cut short is run again", balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.scriptEnd = func(string, Run) (RunOutcome, error) {
				return RunOutcome{State: RunInterrupted, Reason: "the host restarted"}, nil
			}
		}), rollout.Inconclusive, "was cut short: the host restarted", func(t *testing.T, w *world, r StepResult) {
			if !r.Spent {
				t.Error("the next ask would attach to the same run")
			}
		}},
		{"one that did not begin at once never does, and the gate is asked again", balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.scriptEnd = func(string, Run) (RunOutcome, error) { return RunOutcome{State: RunAbsent}, nil }
		}), rollout.Inconclusive, "it was not begun at once", func(t *testing.T, w *world, r StepResult) {
			if !r.AskAgain || !r.Spent {
				t.Errorf("ask again %t, spent %t", r.AskAgain, r.Spent)
			}
		}},
		{"a state that stays in is a fail", balanced(func(w *world, p *plan.Part, in *StepInput) { w.deaf = true }), rollout.Fail, "lb-1 says in, lb-2 says in after 1m", nil},
		{"one look that says out proves nothing when the next one says in", balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.changing = func(n int) {
				if w.did("run drain on lb-1") > 0 { // the third look and its answers of two hosts
					w.said["web-1 on lb-1"] = map[bool]string{true: "in", false: "out"}[w.did("state of web-1 on lb-1") == 4]
				}
			}
		}), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if n := w.did("state of web-1 on lb-1"); n < 6 {
				t.Errorf("looked %d times, want 6: before the record, before the script, out, in, out, out", n)
			}
		}},
		{"a peer that fell is seen before the script runs", balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.said["web-2 on lb-1"], w.said["web-2 on lb-2"] = "out", "out"
		}),
			rollout.Inconclusive, "peers fell meanwhile", func(t *testing.T, w *world, r StepResult) {
				if !r.AskAgain || len(w.runs) > 0 {
					t.Errorf("ask again %t, ran %q", r.AskAgain, w.ran())
				}
			}},
		{"connections that outlive the time-out are a fail of their own kind", balanced(func(w *world, p *plan.Part, in *StepInput) { w.left = func(int) (int, error) { return 1, nil } }),
			rollout.Fail, "1 connections are left after 1m", func(t *testing.T, w *world, r StepResult) {
				if !r.Leftover {
					t.Error("not marked as leftover")
				}
			}},
		{"a host of a cluster with scripts and one in Consul is drained in both", balanced(func(w *world, p *plan.Part, in *StepInput) { sharedHost(w, p) }), rollout.Pass, "",
			func(t *testing.T, w *world, r StepResult) {
				if w.did("enter sql") != 1 || len(w.runs) != 2 || !slices.Equal(w.ports, []int{80, 5432}) {
					t.Errorf("did %q, ports %v", w.log, w.ports)
				}
			}},
		{"one of two clusters with scripts runs the scripts of both, under ids of their own", balanced(func(w *world, p *plan.Part, in *StepInput) {
			other := dbCluster()
			other.Cluster.Services, other.Cluster.Ports, other.Cluster.Drain, other.Cluster.DrainCommands = nil, []int{5432}, inventory.DrainCommand, p.Cluster.DrainCommands
			p.Others = []plan.Other{other}
			p.Asked = append(p.Asked, inventory.Host{Name: "db-2", Address: "10.0.0.9", Access: p.Hosts[0].Access})
		}), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			web, db := "drain as run-1, number 7 of web/web-1", "drain as run-1.2, number 7 of db/web-1"
			if got := w.ran(); !slices.Equal(got, []string{db, db, web, web}) && !slices.Equal(got, []string{web, web, db, db}) {
				t.Errorf("ran %q", got)
			}
		}},
	})
}

func TestUndrainByCommand(t *testing.T) {
	drained := func(also func(w *world)) func(w *world, p *plan.Part, in *StepInput) {
		return balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.said["web-1 on lb-1"], w.said["web-1 on lb-2"] = "out", "out"
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
			if also != nil {
				also(w)
			}
		})
	}
	kept := func(t *testing.T, w *world, r StepResult) {
		if len(w.records) != 1 {
			t.Error("our record is gone, and the member is not known to be back")
		}
	}
	tell(t, "undrain", (*Activities).Undrain, []stepRow{
		{"the scripts run, all say in, our record goes, they say it twice, and the checks pass", drained(nil), rollout.Pass, "1 checks passed 3 times", func(t *testing.T, w *world, r StepResult) {
			if len(w.records) > 0 || len(w.runs) != 2 || w.did("state of web-1 on lb-1") != 3 {
				t.Errorf("records %v, did %q", w.records, w.log)
			}
			if w.runs[0].Prune != nil {
				t.Error("it tidies up while the member is out of service")
			}
			if !w.runs[0].BeginBy.IsZero() {
				t.Error("it waits for no gate")
			}
		}},
		{"a script that fails is not the end: the member is out, and our record stands", drained(func(w *world) { w.scriptEnd = ended(1, "no route\n") }), rollout.Inconclusive,
			"undrain.sh on lb-2 ended with status 1: no route", func(t *testing.T, w *world, r StepResult) {
				kept(t, w, r)
				if !r.Spent {
					t.Error("the next ask would attach to the run that failed")
				}
			}},
		{"nor is a state that stays out", drained(func(w *world) { w.deaf = true }), rollout.Inconclusive, "lb-1 says out, lb-2 says out 1m after the undrain", func(t *testing.T, w *world, r StepResult) {
			kept(t, w, r)
			if !r.Spent {
				t.Error("the next ask would attach to the run that did nothing")
			}
		}},
		{"nor a host that cannot be asked", drained(func(w *world) { w.mute["lb-2"] = errAway }), rollout.Inconclusive, "away", kept},
		{"a drain of somebody else stays, and is told", drained(func(w *world) { clear(w.records) }), rollout.Fail, "by somebody else", func(t *testing.T, w *world, r StepResult) {
			if !r.Foreign || len(w.runs) > 0 {
				t.Errorf("foreign %t, ran %q", r.Foreign, w.ran())
			}
		}},
		{"another instance's is somebody else's", drained(func(w *world) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: "other-1", Server: theServer}
		}), rollout.Fail, "by somebody else",
			func(t *testing.T, w *world, r StepResult) {
				if !r.Foreign || len(w.runs) > 0 || len(w.records) != 1 {
					t.Errorf("foreign %t, ran %q, records %v", r.Foreign, w.ran(), w.records)
				}
			}},
		{"so is that of the same name on another server", drained(func(w *world) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: another}
		}), rollout.Fail, "by somebody else",
			func(t *testing.T, w *world, r StepResult) {
				if !r.Foreign || len(w.runs) > 0 || len(w.records) != 1 {
					t.Errorf("foreign %t, ran %q, records %v", r.Foreign, w.ran(), w.records)
				}
			}},
		{"what was never taken out needs no script", drained(func(w *world) { clear(w.records); clear(w.said) }), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if len(w.runs) > 0 {
				t.Errorf("ran %q", w.ran())
			}
		}},
		{"who takes it out again right after it came back says nothing about the patch", drained(func(w *world) {
			w.changing = func(int) {
				if w.did("release drain/web-1") > 0 {
					w.said["web-1 on lb-1"], w.said["web-1 on lb-2"] = "out", "out"
				}
			}
		}), rollout.Inconclusive, "by somebody else", nil},
	})
}

func TestGateByCommand(t *testing.T) {
	claimed := func(also func(w *world, p *plan.Part)) func(w *world, p *plan.Part, in *StepInput) {
		return balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			also(w, p)
		})
	}
	all := rollout.Redundancy{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 2}
	peers := func(in int, out string) func(*testing.T, *world, StepResult) {
		want := all
		want.PeersIn, want.PeersOut = in, out
		return func(t *testing.T, w *world, r StepResult) {
			if !reflect.DeepEqual(r.Peers, []rollout.Redundancy{want}) {
				t.Errorf("peers %+v, want %+v", r.Peers, want)
			}
		}
	}
	fails := func(peer string, err error) func(w *world, p *plan.Part) {
		return func(w *world, p *plan.Part) {
			w.probe = func(host, _ string, _ int) (bool, string, error) {
				return host != peer || err != nil, "status 500", err
			}
		}
	}
	tell(t, "gate", (*Activities).Gate, []stepRow{
		{"a peer is in service when its state is in and its checks pass", claimed(func(w *world, p *plan.Part) {}), rollout.Pass, "web: 2 of 2 peers in service", peers(2, "")},
		{"not when its checks fail", claimed(fails("web-3", nil)), rollout.Pass, "1 of 2", peers(1, `web-3 (check "page")`)},
		{"nor when they cannot be asked", claimed(fails("web-3", errAway)), rollout.Pass, "0 of 2", peers(0, "web-2 (cannot be asked), web-3 (cannot be asked)")},
		{"nor when its state is out, whoever took it out", claimed(func(w *world, p *plan.Part) { w.said["web-3 on lb-1"], w.said["web-3 on lb-2"] = "out", "out" }), rollout.Pass, "1 of 2", peers(1, "web-3")},
		{"a load balancer that cannot be asked leaves nothing known", claimed(func(w *world, p *plan.Part) { w.mute["lb-1"] = errAway }), rollout.Inconclusive, "away", nil},
		{"a peer that runs the scripts itself and cannot be asked is out", claimed(func(w *world, p *plan.Part) {
			p.Cluster.DrainCommands.On = nil
			w.mute["web-2"] = errAway
		}), rollout.Pass, "1 of 2", peers(1, "web-2 (cannot be asked)")},
		{"a drain that somebody took away is told", claimed(func(w *world, p *plan.Part) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
		}), rollout.Pass, "",
			func(t *testing.T, w *world, r StepResult) {
				if !r.Undrained || r.Ours {
					t.Errorf("undrained %t, ours %t", r.Undrained, r.Ours)
				}
			}},
		{"one that stands is ours", claimed(func(w *world, p *plan.Part) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
			w.said["web-1 on lb-1"], w.said["web-1 on lb-2"] = "out", "out"
		}), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if r.Undrained || !r.Ours {
				t.Errorf("undrained %t, ours %t", r.Undrained, r.Ours)
			}
		}},
	})
}

func TestInspectByCommand(t *testing.T) {
	given := func(also func(w *world, p *plan.Part)) func(w *world, p *plan.Part, in *StepInput) {
		return balanced(func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"], w.says[laneNumber] = debian, "11\n"
			also(w, p)
		})
	}
	tell(t, "inspect", (*Activities).Inspect, []stepRow{
		{"the number is the highest that any host has seen for it", given(func(w *world, p *plan.Part) {}), rollout.Pass, "debian 12", func(t *testing.T, w *world, r StepResult) {
			if r.Seq != 11 || !r.Scripted {
				t.Errorf("number %d, scripted %t", r.Seq, r.Scripted)
			}
		}},
		{"its own, where that is higher", given(func(w *world, p *plan.Part) { w.says[laneNumber] = "2\n" }), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if r.Seq != 6 {
				t.Errorf("number %d", r.Seq)
			}
		}},
		{"out without a record of ours is somebody else's drain", given(func(w *world, p *plan.Part) { w.said["web-1 on lb-1"], w.said["web-1 on lb-2"] = "out", "out" }), rollout.Fail, "by somebody else",
			func(t *testing.T, w *world, r StepResult) {
				if !r.Foreign {
					t.Error("not marked as somebody else's")
				}
			}},
		{"half out is unknown", given(func(w *world, p *plan.Part) { w.said["web-1 on lb-1"] = "out" }), rollout.Inconclusive, "lb-1 says out, lb-2 says in", nil},
		{"a number that cannot be read is inconclusive", given(func(w *world, p *plan.Part) { w.says[laneNumber] = "x" }), rollout.Inconclusive, "the number of web-1 on lb-1", nil},
	})
}

func TestDrainNone(t *testing.T) {
	none := func(also func(w *world, p *plan.Part)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			p.Cluster.Services, p.Cluster.Drain, p.Accepted = nil, inventory.DrainNone, "batch hosts"
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			also(w, p)
		}
	}
	nothing := func(w *world, p *plan.Part) {}
	tell(t, "drain", (*Activities).Drain, []stepRow{
		{"the record is made, and nothing else", none(nothing), rollout.Pass, "it stays in service", func(t *testing.T, w *world, r StepResult) {
			if w.records["drain/web-1"].Owner != instance || len(w.runs) > 0 || w.did("catalog")+w.did("connections") > 0 {
				t.Errorf("records %v, did %q", w.records, w.log)
			}
		}},
		{"one peer less than all is one too many out", none(func(w *world, p *plan.Part) {
			w.probe = func(host, _ string, _ int) (bool, string, error) { return host != "web-3", "status 500", nil }
		}), rollout.Inconclusive, `peers fell meanwhile: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3 (check "page"))`, nil},
	})
	tell(t, "gate", (*Activities).Gate, []stepRow{
		{"a peer is in service when its checks pass", none(nothing), rollout.Pass, "web: 2 of 2 peers in service", nil},
		{"and out when one of them fails", none(func(w *world, p *plan.Part) {
			w.probe = func(host, _ string, _ int) (bool, string, error) { return host != "web-3", "status 500", nil }
		}), rollout.Pass, "web: 1 of 2 peers in service", nil},
	})
	tell(t, "undrain", (*Activities).Undrain, []stepRow{
		{"the record goes, and the checks decide", none(func(w *world, p *plan.Part) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
		}), rollout.Pass, "1 checks passed",
			func(t *testing.T, w *world, r StepResult) {
				if _, left := w.records["drain/web-1"]; left {
					t.Errorf("records %v", w.records)
				}
			}},
	})
}

// A soak looks at the state too; who is out by another hand says nothing about the patch.
func TestWatchByCommand(t *testing.T) {
	for _, row := range []struct {
		says    string
		state   string
		err     error
		verdict rollout.Verdict
	}{
		{"in service", "in", nil, rollout.Pass},
		{"taken out by a person", "out", nil, rollout.Inconclusive},
		{"cannot be asked", "in", errors.New("away"), rollout.Inconclusive},
	} {
		w, p := newWorld(), webPart()
		byScripts(&p, "lb-1")
		w.said["web-1 on lb-1"], w.mute["lb-1"] = row.state, row.err
		a := w.activities()
		digest, err := w.Put(t.Context(), plan.Body(p))
		if err != nil {
			t.Fatal(err)
		}
		p.Policy.Checks.Passes = 1
		if v, why, _, err := a.sample(t.Context(), p, WatchInput{Instance: instance, Part: digest, Patched: []string{"web-1"}}); err != nil || v != row.verdict {
			t.Errorf("%s: %s (%s), %v; want %s", row.says, v, why, err, row.verdict)
		}
	}
}
