package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// estate is what surveys find: records and maintenance in Consul, and who works.
type estate struct {
	records []activities.Claim
	marks   []rollout.Mark
	works   map[string]activities.AskResult
	ways    activities.Ways
	away    map[string]error // of asking the Consul that a part leads to; nil stands for a worker that says so itself
	nowhere map[string]bool  // hosts that left the inventory
	surveys int
	asked   []string
	dropped []string
	cannot  error // of dropping
	look    func(e *estate)
	logged  []string                 // warnings
	state   *workflows.CampaignState // of the campaign, where the server has it
	noList  error                    // of what was ended from outside
	read    func(n int) string       // what is wrong with the inventory, the n-th time
	reads   int
	then    func(env *testsuite.TestWorkflowEnvironment)
	days    int // how long it is swept, once an hour; 0: for an hour, every two minutes
}

const server = "server-1"

// warnings keeps what is logged as trouble.
type warnings struct{ *estate }

func (warnings) Debug(string, ...any)         {}
func (warnings) Info(string, ...any)          {}
func (warnings) Error(string, ...any)         {}
func (w warnings) Warn(text string, _ ...any) { w.logged = append(w.logged, text) }

func of(key string) activities.Claim {
	return activities.Claim{Key: key, Owner: instance, Server: server, Plan: "sha256:plan", Since: time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)}
}

func (e *estate) drop(owner, key string) {
	e.records = slices.DeleteFunc(e.records, func(c activities.Claim) bool { return c.Owner == owner && c.Key == key })
}

// survey runs the sweeper over the estate for an hour.
func (w *world) survey(t *testing.T, e *estate) workflows.SweeperState {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(warnings{e})
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.SweeperID, TaskQueue: workflows.Queue})
	workflows.Register(env)
	if e.ways.Problem == "" && e.ways.Ways == nil {
		e.ways = activities.Ways{Server: server, Ways: []activities.Way{{Cluster: "web", Part: "part:web"}}}
	}
	register := func(name string, f any) { env.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name}) }
	register("Orphans", func(context.Context, activities.OrphansInput) ([]activities.Orphan, error) { return nil, e.noList })
	register("LastRun", func(_ context.Context, in activities.LastRunInput) (activities.LastRun, error) {
		if e.state == nil || in.WorkflowID != workflows.CampaignID(in.Instance) {
			return activities.LastRun{}, nil
		}
		body, err := json.Marshal(e.state)
		return activities.LastRun{RunID: "the last run", State: body}, err
	})
	register("Ways", func(context.Context) (activities.Ways, error) {
		if e.reads++; e.read != nil {
			if problem := e.read(e.reads); problem != "" {
				return activities.Ways{Problem: problem}, nil
			}
		}
		return e.ways, nil
	})
	register("Survey", func(_ context.Context, in activities.RecordsInput) (activities.Found, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err, away := e.away[in.Part]; away {
			if err == nil {
				return activities.Found{Problem: "connection refused"}, nil
			}
			return activities.Found{}, err
		}
		if e.surveys++; e.look != nil {
			e.look(e)
		}
		return activities.Found{Records: slices.Clone(e.records), Marks: e.marks}, nil
	})
	register("AskAll", func(_ context.Context, in activities.AskAllInput) ([]activities.AskResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		var all []activities.AskResult
		for _, id := range in.WorkflowIDs {
			e.asked = append(e.asked, id)
			a, ok := e.works[id]
			if !ok {
				a = activities.AskResult{Status: activities.NotFound}
			}
			all = append(all, a)
		}
		return all, nil
	})
	register("Homes", func(_ context.Context, in activities.HomesInput) (activities.Homes, error) {
		out := activities.Homes{Homes: map[string]activities.Home{}}
		for _, s := range in.Suspects {
			for _, h := range s.Hosts {
				if !e.nowhere[h] {
					out.Homes[h] = activities.Home{Cluster: "web", Part: "part:web", Member: w.member}
				}
			}
			s.Clusters, s.Hosts = append(s.Clusters, "web"), append(s.Hosts, w.members...)
			out.Reach = append(out.Reach, s)
		}
		return out, nil
	})
	register("RestoreUpdaters", func(_ context.Context, in activities.RestoreInput) (activities.DropResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if e.cannot != nil {
			return activities.DropResult{}, e.cannot
		}
		e.dropped = append(e.dropped, "restore "+in.Key)
		e.drop(in.Owner.Instance, in.Key)
		w.entries = append(w.entries, in.Intent)
		out, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: in.Intent.Action, Result: "as they were"})
		w.entries = append(w.entries, out)
		return activities.DropResult{Audit: head}, nil
	})
	register("Drop", func(_ context.Context, in activities.DropInput) (activities.DropResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if e.cannot != nil {
			return activities.DropResult{}, e.cannot
		}
		w.entries = append(w.entries, in.Intent)
		out, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: in.Intent.Action, Result: "gone"})
		w.entries = append(w.entries, out)
		for _, k := range in.Keys {
			e.dropped = append(e.dropped, in.Owner.Instance+" "+k)
			e.drop(in.Owner.Instance, k)
		}
		return activities.DropResult{Audit: head}, nil
	})
	// What the member's own activities change of the estate.
	for step, change := range map[string]func(host string){
		"undrain": func(host string) { e.drop(instance, "drain/"+host) },
		"quarantine": func(host string) {
			e.records = append(e.records, of("quarantine/"+host))
		},
	} {
		for _, host := range w.members {
			before := w.on[step+" "+host]
			w.on[step+" "+host] = func(call int) rollout.MemberResult {
				r := rollout.MemberResult{Verdict: rollout.Pass}
				if before != nil {
					r = before(call)
				}
				if r.Verdict == rollout.Pass {
					change(host)
				}
				return r
			}
		}
	}
	w.register(env)
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil)
	if e.then != nil {
		e.then(env)
	}
	lasts, every := time.Hour, 2*time.Minute
	if e.days > 0 {
		lasts, every = time.Duration(e.days)*24*time.Hour, time.Hour
	}
	env.SetWorkflowRunTimeout(lasts + 24*time.Hour)
	env.RegisterDelayedCallback(env.CancelWorkflow, lasts)
	env.ExecuteWorkflow(workflows.SweeperType, workflows.SweeperState{Every: every})
	if !env.IsWorkflowCompleted() {
		t.Fatal("the sweeper did not end")
	}
	v, err := env.QueryWorkflow(workflows.QueryState)
	if err != nil {
		t.Fatal(err)
	}
	var st workflows.SweeperState
	if err := v.Get(&st); err != nil {
		t.Fatal(err)
	}
	return st
}

func (w *world) told(event, host, text string) int {
	n := 0
	for _, one := range w.notices {
		if one.Event == event && one.Host == host && strings.Contains(one.Text, text) {
			n++
		}
	}
	return n
}

func TestAHostThatWasLeftDrainedIsPutBackAndThenItsClaimIsGivenBack(t *testing.T) {
	w := newWorld("web-1", "web-2")
	e := &estate{records: []activities.Claim{of("cluster/web"), of("drain/web-1")}}
	st := w.survey(t, e)

	if got, want := strings.Join(w.calls, ", "), "inspect web-1, check web-1, undrain web-1, quarantine web-1"; got != want {
		t.Errorf("it did %q, want %q", got, want)
	}
	if want := []string{instance + " cluster/web"}; !slices.Equal(e.dropped, want) {
		t.Errorf("dropped %v, want %v", e.dropped, want)
	}
	if len(e.records) != 1 || e.records[0].Key != "quarantine/web-1" {
		t.Errorf("in Consul stand %+v, want the quarantine alone", e.records)
	}
	if w.told(rollout.TellHold, "web-1", "it was left drained by "+instance) != 1 || w.told(rollout.TellQuarantine, "web-1", "nobody knows") != 1 || w.told(rollout.TellHalted, "", "web") != 1 {
		t.Errorf("told: %+v", w.notices)
	}
	if !strings.Contains(st.Last, "the claim of cluster web is given back") {
		t.Errorf("its page says %q", st.Last)
	}
	chains := map[string]int{}
	for _, entry := range w.entries {
		if strings.HasPrefix(entry.Chain, "sweeper/") {
			chains[entry.Chain]++
		}
	}
	if len(chains) != 3 { // of the return, of the member, of the claim
		t.Errorf("on the chains %v, want three of their own", chains)
	}
	if e.surveys > 40 {
		t.Errorf("%d surveys in an hour: it does not come to rest", e.surveys)
	}
}

func TestNothingIsMendedThatSomebodyWorksOn(t *testing.T) {
	running := activities.AskResult{Running: true, Status: "Running", Instance: instance}
	ended := activities.AskResult{Status: "Terminated", EndedFromOutside: true, Instance: instance}
	other := activities.Claim{Key: "cluster/web", Owner: instance, Server: "server-2", Since: time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)}
	drained := other
	drained.Key = "drain/web-1"
	nobodys := other
	nobodys.Server = ""
	for _, row := range []struct {
		says    string
		records []activities.Claim
		works   map[string]activities.AskResult
		note    string
	}{
		{"a campaign that runs", []activities.Claim{of("cluster/web")}, map[string]activities.AskResult{"campaign/" + instance: running}, ""},
		{"a cluster that runs without its campaign", []activities.Claim{of("cluster/web")}, map[string]activities.AskResult{"cluster/" + instance + "/web": running}, ""},
		{"a cluster that is about to be taken up", []activities.Claim{of("cluster/web")}, map[string]activities.AskResult{"cluster/" + instance + "/web": ended}, ""},
		{"a member that runs alone", []activities.Claim{of("cluster/web"), of("drain/web-1")}, map[string]activities.AskResult{"host/web-1": running}, ""},
		{"a member that is about to be taken up", []activities.Claim{of("cluster/web"), of("drain/web-1")}, map[string]activities.AskResult{"host/web-1": ended}, ""},
		{"another member of the cluster", []activities.Claim{of("cluster/web")}, map[string]activities.AskResult{"host/web-2": running}, ""},
		{"another instance on the host", []activities.Claim{of("drain/web-1")}, map[string]activities.AskResult{"host/web-1": {Running: true, Instance: "weekly-1"}}, "weekly-1 works on it"},
		{"records of another server", []activities.Claim{other, drained}, nil, "belongs to another rollpatch"},
		{"a record of no server", []activities.Claim{nobodys}, nil, "belongs to another rollpatch"},
		{"a host in quarantine", []activities.Claim{of("drain/web-1"), of("quarantine/web-1")}, nil, ""},
	} {
		t.Run(row.says, func(t *testing.T) {
			w := newWorld("web-1", "web-2")
			e := &estate{records: row.records, works: row.works}
			st := w.survey(t, e)
			if len(w.calls)+len(e.dropped) > 0 {
				t.Errorf("it did %v and dropped %v", w.calls, e.dropped)
			}
			if notes := strings.Join(st.Notes, "\n"); !strings.Contains(notes, row.note) || row.note == "" && notes != "" {
				t.Errorf("it notes %q, want %q", notes, row.note)
			}
		})
	}
}

// The server was put back to a time before the drain: its campaign and its cluster run, and may wait for this very host.
func TestAHostThatItsInstanceDoesNotRememberIsPutBack(t *testing.T) {
	running := activities.AskResult{Running: true, Status: "Running", Instance: instance}
	w := newWorld("web-1", "web-2")
	e := &estate{records: []activities.Claim{of("cluster/web"), of("drain/web-1")}, works: map[string]activities.AskResult{
		"campaign/" + instance: running, "cluster/" + instance + "/web": running, "host/web-2": running,
	}}
	w.survey(t, e)
	if got, want := strings.Join(w.calls, ", "), "inspect web-1, check web-1, undrain web-1, quarantine web-1"; got != want {
		t.Errorf("it did %q, want %q", got, want)
	}
	if len(e.dropped) > 0 {
		t.Errorf("dropped %v of an instance that runs", e.dropped)
	}
	if w.told(rollout.TellHold, "web-1", "which does not remember it") != 1 {
		t.Errorf("told: %+v", w.notices)
	}
}

// As a rule a survey asks one thing about each instance.
func TestASurveyOfACampaignThatRunsIsShort(t *testing.T) {
	running := activities.AskResult{Running: true, Status: "Running", Instance: instance}
	e := &estate{records: []activities.Claim{of("cluster/web"), of("drain/web-1")}, works: map[string]activities.AskResult{"campaign/" + instance: running, "host/web-1": running}}
	newWorld("web-1", "web-2").survey(t, e)
	if got, want := len(e.asked), 2*e.surveys; got != want {
		t.Errorf("%d workflows asked for in %d surveys, want the campaign and the member: %v", got, e.surveys, e.asked)
	}
	if e.surveys < 5 || e.surveys > 7 {
		t.Errorf("%d surveys in an hour of 30 sweeps, want one in five while everybody is at work", e.surveys)
	}
}

// A worker starts when a server was put back, too.
func TestAWorkersStartHasASurveyMadeAtOnce(t *testing.T) {
	e, before := &estate{}, 0
	e.then = func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			before = e.surveys
			env.SignalWorkflow(workflows.SignalSweep, workflows.Sweep{Every: 2 * time.Minute})
		}, 3*time.Minute)
		env.RegisterDelayedCallback(func() {
			if e.surveys != before+1 {
				t.Errorf("%d surveys before a worker's start and %d after it, want one more", before, e.surveys)
			}
		}, 3*time.Minute+time.Second)
	}
	newWorld("web-1").survey(t, e)
}

// A record that goes between two looks was somebody's at work.
func TestOneLookMendsNothing(t *testing.T) {
	w := newWorld("web-1", "web-2")
	e := &estate{records: []activities.Claim{of("cluster/web"), of("drain/web-1")}, look: func(e *estate) {
		if e.surveys > 1 {
			e.records = nil
		}
	}}
	w.survey(t, e)
	if len(w.calls)+len(e.dropped) > 0 {
		t.Errorf("it did %v and dropped %v", w.calls, e.dropped)
	}
}

// Between two looks that have nobody to ask in between, anybody may have worked.
func TestLooksThatDoNotFollowEachOtherMendNothing(t *testing.T) {
	w := newWorld("web-1", "web-2")
	e := &estate{records: []activities.Claim{of("cluster/web")}, read: func(n int) string {
		if n > 1 && n < 5 {
			return "inventory.yaml:4: hosts[0].adress: unknown key"
		}
		return ""
	}, look: func(e *estate) {
		if e.surveys > 2 {
			e.records = nil
		}
	}}
	st := w.survey(t, e)
	if len(e.dropped) > 0 {
		t.Errorf("dropped %v", e.dropped)
	}
	if len(e.logged) != 1 || !strings.Contains(e.logged[0], "inventory.yaml:4") || len(st.Told) > 0 {
		t.Errorf("logged %q, remembers %q; want the mistake in the inventory once, and that it is gone", e.logged, st.Told)
	}
}

func TestAConsulThatCannotBeAskedKeepsNobodyFromTheOthers(t *testing.T) {
	for says, err := range map[string]error{"it says so": nil, "no worker takes it": errors.New("no worker")} {
		w := newWorld("web-1", "web-2")
		e := &estate{
			records: []activities.Claim{of("cluster/web")}, away: map[string]error{"part:db": err},
			ways: activities.Ways{Server: server, Ways: []activities.Way{{Cluster: "db", Part: "part:db", Segment: "dmz"}, {Cluster: "web", Part: "part:web"}}},
		}
		st := w.survey(t, e)
		if len(e.dropped) != 1 {
			t.Errorf("%s: dropped %v, want the claim of web", says, e.dropped)
		}
		if len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "the Consul of cluster db could not be asked: ") {
			t.Errorf("%s: it notes %q", says, st.Notes)
		}
		if len(st.Told) != 1 {
			t.Errorf("%s: %q were logged, want each trouble once", says, st.Told)
		}
	}
}

// Two ways may lead to one Consul.
func TestOneRecordIsMendedOnce(t *testing.T) {
	w := newWorld("web-1", "web-2")
	e := &estate{records: []activities.Claim{of("cluster/web")}, ways: activities.Ways{Server: server, Ways: []activities.Way{{Cluster: "web", Part: "part:web"}, {Cluster: "db", Part: "part:db"}}}}
	w.survey(t, e)
	if len(e.dropped) != 1 || w.told(rollout.TellHalted, "", "web") != 1 {
		t.Errorf("dropped %v, told %+v", e.dropped, w.notices)
	}
}

func TestMaintenanceWithoutARecordIsToldOnce(t *testing.T) {
	w := newWorld("web-1", "web-2")
	// Another record of the instance says who is to be told.
	e := &estate{records: []activities.Claim{of("quarantine/web-2")}, marks: []rollout.Mark{{Node: "web-1", Service: "web", Reason: "rollpatch " + instance + " web-1", Instance: instance, Host: "web-1"}}}
	st := w.survey(t, e)
	if len(w.calls)+len(e.dropped) > 0 {
		t.Errorf("it did %v and dropped %v", w.calls, e.dropped)
	}
	if n := w.told(rollout.TellHold, "web-1", "no record in Consul"); n != 1 {
		t.Errorf("told %d times, want once: %+v", n, w.notices)
	}
	if len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "no record in Consul") {
		t.Errorf("it notes %q", st.Notes)
	}
}

// Whoever leaves maintenance without a record leaves as a rule no other record behind.
func TestMaintenanceWithoutAnyRecordIsToldToItsCampaignsPeople(t *testing.T) {
	mark := rollout.Mark{Node: "web-1", Service: "web", Reason: "rollpatch " + instance + " web-1", Instance: instance, Host: "web-1"}
	another := of("quarantine/web-2")
	another.Owner = "weekly-1"
	known := &workflows.CampaignState{Tell: true, Campaign: rollout.Campaign{Plan: "sha256:plan of the campaign"}}
	for says, row := range map[string]struct {
		e    estate
		plan string
	}{
		"its campaign knows whom":                            {estate{state: known, records: []activities.Claim{another}}, "sha256:plan of the campaign"},
		"nobody knows it, and those of the last one hear it": {estate{records: []activities.Claim{another}}, another.Plan},
	} {
		w := newWorld("web-1", "web-2")
		row.e.marks = []rollout.Mark{mark}
		w.survey(t, &row.e)
		if w.told(rollout.TellHold, "web-1", "no record in Consul") != 1 || !slices.Equal(slices.Compact(w.plans), []string{row.plan}) {
			t.Errorf("%s: told %+v to those of %q, want it once to those of %q", says, w.notices, w.plans, row.plan)
		}
	}
}

func TestTroubleThatComesAnewIsToldAnew(t *testing.T) {
	w := newWorld("web-1", "web-2")
	marks := []rollout.Mark{{Node: "web-1", Service: "web", Reason: "rollpatch " + instance + " web-1", Instance: instance, Host: "web-1"}}
	e := &estate{records: []activities.Claim{of("quarantine/web-2")}, marks: marks}
	e.look = func(e *estate) { // it goes after a while, and comes back
		if e.marks = marks; e.surveys == 6 || e.surveys == 7 {
			e.marks = nil
		}
	}
	w.survey(t, e)
	if n := w.told(rollout.TellHold, "web-1", "no record in Consul"); n != 2 || len(e.logged) != 2 {
		t.Errorf("told %d times, logged %q; want it once for each time that it came", n, e.logged)
	}

	// Of what could not be looked at nobody knows that it is gone.
	w = newWorld("web-1", "web-2")
	e = &estate{records: []activities.Claim{of("quarantine/web-2")}, marks: marks, away: map[string]error{}}
	e.read = func(n int) string {
		if delete(e.away, "part:web"); n == 6 || n == 8 {
			e.away["part:web"] = nil
		}
		return ""
	}
	w.survey(t, e)
	if n := w.told(rollout.TellHold, "web-1", "no record in Consul"); n != 1 {
		t.Errorf("told %d times, want once: it was there all the time, and could not be looked at in between", n)
	}
}

func TestARecordThatCannotBeReadIsToldByNameAndTheOthersAreMended(t *testing.T) {
	w := newWorld("web-1", "web-2")
	broken := activities.Claim{Key: "drain/db-1", Broken: "the record rollpatch/claims/drain/db-1 in consul's KV cannot be read"}
	e := &estate{records: []activities.Claim{of("cluster/web"), broken}, noList: errors.New("visibility is away")}
	st := w.survey(t, e)
	if len(e.dropped) != 1 {
		t.Errorf("dropped %v, want the claim of web", e.dropped)
	}
	if n := w.told(rollout.TellHold, "", "drain/db-1 in consul's KV cannot be read"); n != 1 || len(st.Notes) != 1 {
		t.Errorf("told %d times, notes %q; want it told once, and noted", n, st.Notes)
	}
}

func TestPeopleAreRemindedOfAQuarantineOnceADay(t *testing.T) {
	w := newWorld("web-1", "web-2")
	kept, theirs, versions := of("quarantine/web-2"), of("quarantine/web-1"), of("versions/web/3f2a9c1b7d20")
	theirs.Server = "another server"
	kept.Told = &activities.Told{Cluster: "web", Owner: "web team"}
	versions.Told, versions.Suspects = kept.Told, &activities.Suspects{Cluster: "web", Review: versions.Since}
	e := &estate{records: []activities.Claim{kept, theirs, versions, of("drain/web-2")}, days: 4}
	w.survey(t, e)
	if n := w.told(rollout.TellQuarantine, "", "in quarantine in cluster web (web team): "); n != 3 {
		t.Errorf("told %d times in four days, want once a day from the second on: %+v", n, w.notices)
	}
	for _, n := range w.notices {
		if strings.Contains(n.Text, "web-1") || !strings.Contains(n.Text, "web-2 since 2026-11-01") || !strings.Contains(n.Text, "versions/web/3f2a9c1b7d20 since 2026-11-01, overdue") {
			t.Errorf("told %q, want the host and the versions of this server", n.Text)
		}
	}
}

func TestWhatCannotBeMendedIsToldOnce(t *testing.T) {
	w := newWorld("web-1")
	e := &estate{records: []activities.Claim{of("drain/old-1")}, nowhere: map[string]bool{"old-1": true}}
	st := w.survey(t, e)
	if n := w.told(rollout.TellHold, "old-1", "in no cluster of the inventory"); n != 1 || len(st.Notes) != 1 {
		t.Errorf("told %d times, notes %q", n, st.Notes)
	}

	w = newWorld("web-1")
	e = &estate{records: []activities.Claim{of("cluster/web")}, cannot: errors.New("consul is away")}
	st = w.survey(t, e)
	if len(e.records) != 1 || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "could not be given back: consul is away") || w.told(rollout.TellHalted, "", "") != 0 {
		t.Errorf("notes %q, told %+v", st.Notes, w.notices)
	}
}

func TestWithoutAnInventoryNothingIsLookedFor(t *testing.T) {
	e := &estate{records: []activities.Claim{of("cluster/web")}, ways: activities.Ways{Problem: activities.ErrNoInventory.Error()}}
	st := newWorld("web-1").survey(t, e)
	if e.surveys+len(e.dropped) > 0 || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "--inventory FILE") {
		t.Errorf("%d surveys, dropped %v, notes %q", e.surveys, e.dropped, st.Notes)
	}
}
