package workflows_test

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
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

// sweep runs the sweeper for an hour over what was ended from outside, as each sweep finds it.
func (w *world) sweep(t *testing.T, orphans []activities.Orphan, states map[string]any, runs map[string]string) workflows.SweeperState {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetWorkflowRunTimeout(24 * time.Hour)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.SweeperID, TaskQueue: workflows.Queue})
	workflows.Register(env)
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.OrphansInput) (some []activities.Orphan, err error) {
		room := 100
		for _, o := range orphans { // lists lag behind: what was taken up stands in them for a while
			if known := slices.Contains(in.Known, o.RunID); known || room > 0 {
				if some = append(some, o); !known {
					room--
				}
			}
		}
		return some, nil
	}, activity.RegisterOptions{Name: "Orphans"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.LastRunInput) (activities.LastRun, error) {
		if in.RunID == "" {
			return activities.LastRun{RunID: runs[in.WorkflowID]}, nil
		}
		body, err := json.Marshal(states[in.WorkflowID])
		return activities.LastRun{RunID: in.RunID, State: body}, err
	}, activity.RegisterOptions{Name: "LastRun"})
	w.register(env)
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_, id, _, signal string, _ any) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.calls = append(w.calls, "signal "+signal+" to "+id)
			return nil
		})
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(workflows.SweeperType, workflows.SweeperState{Every: 2 * time.Minute})
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

func orphan(kind, id string) activities.Orphan {
	return activities.Orphan{WorkflowID: id, RunID: "run of " + id, Type: kind, Instance: instance, Status: "terminated"}
}

func TestAMemberEndedFromOutsideIsTakenUpOnce(t *testing.T) {
	w := newWorld("web-1", "web-2")
	id := workflows.MemberID("web-1")
	m := rollout.NewMember(instance, "web", "web-1", rollout.ModePatch, true, w.member)
	m.Step, m.Asked, m.Drained, m.Proven, m.Touched = rollout.StepPatch, 4, true, true, true
	before := audit.Head{Chain: id + "/" + instance + "/1", Seq: 7, Digest: "sha256:before"}
	last := workflows.MemberState{
		Member: m, Part: "part:web", Plan: "sha256:plan", Parent: workflows.ClusterID(instance, "web"), Seq: 12, Try: 1, BootOld: "boot-1", BootNew: "boot-1",
		Runs: map[rollout.Step]workflows.RunRef{rollout.StepPatch: {No: 1, Seq: 12}}, Changed: "sha256:changes", Got: "sha256:manifest", Audit: before,
	}
	st := w.sweep(t, []activities.Orphan{orphan(workflows.MemberType, id)}, map[string]any{id: last}, nil)

	if got, want := strings.Join(w.runs, " "), instance+".web-1.patch.web-1-1"; !strings.HasPrefix(got, want) {
		t.Errorf("runs %q: the first must be the one that was in flight, %q", got, want)
	}
	if n := w.count["patch web-1"]; n != 1 {
		t.Errorf("patch was asked %d times, want once: it is taken up once, however often a list names it", n)
	}
	if n := w.count["undrain web-1"]; n != 1 {
		t.Errorf("undrain was asked %d times, want once", n)
	}
	if want := "signal member-ended to " + last.Parent; !slices.Contains(w.calls, want) {
		t.Errorf("no %q: its cluster waits for that in\n%s", want, strings.Join(w.calls, "\n"))
	}
	if !slices.Contains(st.TakenUp, "run of "+id) {
		t.Errorf("the sweeper remembers %v", st.TakenUp)
	}
	told := false
	for _, n := range w.notices {
		told = told || n.Event == rollout.TellHold && n.Host == "web-1" && strings.Contains(n.Text, "terminated")
	}
	if !told {
		t.Errorf("nobody was told: %+v", w.notices)
	}
	var chained bool
	for _, e := range w.entries {
		chained = chained || e.Chain == before.Chain+"+" && e.Seq == 1 && e.Result == before.Digest
		if e.Chain == before.Chain {
			t.Errorf("entry on the chain that had ended: %+v", e)
		}
	}
	if !chained {
		t.Error("the new chain does not name the end of the one before")
	}
}

// A last State that nobody can read keeps the sweeper from none of the others, and is told by name.
func TestARunThatCannotBeTakenUpIsToldOnce(t *testing.T) {
	w := newWorld("web-1", "web-2")
	id, campaign := workflows.MemberID("web-1"), workflows.CampaignID(instance)
	good := rollout.NewMember(instance, "web", "web-2", rollout.ModePatch, true, w.member)
	states := map[string]any{
		id: "no state", workflows.MemberID("web-2"): workflows.MemberState{Member: good, Part: "part:web", Plan: "sha256:plan", Try: 1},
		campaign: workflows.CampaignState{Tell: true, Campaign: rollout.Campaign{Plan: "sha256:plan"}},
	}
	st := w.sweep(t, []activities.Orphan{orphan(workflows.MemberType, id), orphan(workflows.MemberType, workflows.MemberID("web-2"))}, states, map[string]string{campaign: "run of it"})
	if !slices.Contains(st.TakenUp, "run of host/web-2") || len(st.TakenUp) != 1 {
		t.Errorf("taken up: %v, want the other one", st.TakenUp)
	}
	text, next := "host/web-1 of "+instance+" was terminated and cannot be taken up: the last state of host/web-1 cannot be read", "temporal workflow delete --workflow-id host/web-1 --run-id run of host/web-1"
	n := 0
	for _, one := range w.notices {
		if strings.Contains(one.Text, text) && one.Next == next {
			n++
		}
	}
	if n != 1 || len(st.Stuck) != 1 || !strings.Contains(st.Stuck[0].Text, text) {
		t.Errorf("told %d times, its page says %+v; want it told once: %+v", n, st.Stuck, w.notices)
	}
}

// More of them than one sweep looks at stay until somebody deletes them, and keep it from no other. Each is tried again, in its turn.
func TestRunsThatCannotBeTakenUpKeepNobodyOut(t *testing.T) {
	const many = 130
	w := newWorld("web-1", "web-2")
	good := rollout.NewMember(instance, "web", "web-2", rollout.ModePatch, true, w.member)
	states := map[string]any{workflows.MemberID("web-2"): workflows.MemberState{Member: good, Part: "part:web", Plan: "sha256:plan", Try: 1}}
	var orphans []activities.Orphan
	for i := range many {
		id := workflows.MemberID("lost-" + strconv.Itoa(i))
		states[id], orphans = "no state", append(orphans, orphan(workflows.MemberType, id))
	}
	st := w.sweep(t, append(orphans, orphan(workflows.MemberType, workflows.MemberID("web-2"))), states, nil)
	if !slices.Equal(st.TakenUp, []string{"run of host/web-2"}) || len(st.Stuck) != many {
		t.Errorf("taken up %v, %d that cannot be; want the one that can, and %d", st.TakenUp, len(st.Stuck), many)
	}
	told := 0
	for _, one := range st.Stuck {
		if one.Told {
			told++
		}
	}
	if told != many {
		t.Errorf("%d of %d were tried again within the hour", told, many)
	}
}

func TestAClusterEndedFromOutsideGivesItsClaimBack(t *testing.T) {
	w := newWorld("web-1", "web-2")
	id := workflows.ClusterID(instance, "web")
	c := rollout.Cluster{Instance: instance, Name: "web", Stage: "production", Phase: rollout.PhaseRoll, Claimed: true, MinHealthy: 1, Policy: w.policy}
	// The start of its member was not confirmed when it ended, and was never made.
	c.Members = []rollout.Slot{{Host: "web-1", Running: true, Mode: rollout.ModePatch, Tries: 1}, {Host: "web-2"}}
	last := workflows.ClusterState{Cluster: c, Part: "part:web", Parent: workflows.CampaignID(instance), Audit: audit.Head{Chain: id, Seq: 3, Digest: "sha256:before"}}
	w.sweep(t, []activities.Orphan{orphan(workflows.ClusterType, id)}, map[string]any{id: last}, nil)

	all := strings.Join(w.calls, "\n")
	if w.count["Release"] != 1 {
		t.Errorf("released %d times, want once:\n%s", w.count["Release"], all)
	}
	if strings.Contains(all, "web-1") || strings.Contains(all, "web-2") {
		t.Errorf("a member was begun:\n%s", all)
	}
}

// wait runs a cluster whose member was ended from outside, and returns its State after some hours.
func (w *world) wait(t *testing.T, ask func(activities.AskInput) activities.AskResult) workflows.ClusterState {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetWorkflowRunTimeout(24 * time.Hour)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.ClusterID(instance, "web"), TaskQueue: workflows.Queue})
	workflows.Register(env)
	w.ask = ask
	w.register(env)
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil)
	var st workflows.ClusterState
	env.RegisterDelayedCallback(func() {
		v, err := env.QueryWorkflow(workflows.QueryState)
		if err == nil {
			err = v.Get(&st)
		}
		if err != nil {
			t.Error(err)
		}
		env.SignalWorkflow("abort", person)
	}, 4*time.Hour)
	c := rollout.Cluster{Instance: instance, Name: "web", Stage: "production", Phase: rollout.PhaseRoll, Claimed: true, MinHealthy: 1, Policy: w.policy}
	c.Members = []rollout.Slot{{Host: "web-1", Running: true, Mode: rollout.ModePatch, Tries: 1, RunID: "run-1"}, {Host: "web-2"}}
	env.ExecuteWorkflow(workflows.ClusterType, workflows.ClusterState{Cluster: c, Part: "part:web", Parent: workflows.CampaignID(instance)})
	if !env.IsWorkflowCompleted() {
		t.Fatal("the cluster did not end")
	}
	if len(st.Cluster.Members) == 0 {
		t.Fatalf("it ended before it was looked at: %v", env.GetWorkflowError())
	}
	return st
}

func TestAClusterWaitsForAMemberThatIsTakenUpHoweverLongItWorks(t *testing.T) {
	body, err := json.Marshal(workflows.MemberReport{MemberEnd: rollout.MemberEnd{Host: "web-1", Mode: rollout.ModePatch, Try: 1, Outcome: rollout.Returned, Reason: "aborted", TakenUp: true}})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	st := attended("web-1", "web-2").wait(t, func(in activities.AskInput) activities.AskResult {
		if in.RunID == "run-1" {
			return activities.AskResult{Status: "Terminated", EndedFromOutside: true}
		}
		if asked++; asked < 20 { // at work for an hour and a half
			return activities.AskResult{Status: "Running", Running: true, Instance: instance}
		}
		return activities.AskResult{Status: "Completed", Instance: instance, Result: body}
	})
	if st.Phase != rollout.PhaseHold || !strings.Contains(st.HoldFor, "somebody ended the workflow of web-1 from outside") || st.Cluster.Members[0].Outcome != rollout.Returned {
		t.Errorf("it is in %s for %q, web-1 %+v", st.Phase, st.HoldFor, st.Cluster.Members[0])
	}
}

func TestAMemberThatNobodyTakesUpIsLost(t *testing.T) {
	st := attended("web-1", "web-2").wait(t, func(activities.AskInput) activities.AskResult {
		return activities.AskResult{Status: "Terminated", EndedFromOutside: true}
	})
	if got := st.Cluster.Members[0].Outcome; got != rollout.Lost || st.Phase != rollout.PhaseHold {
		t.Errorf("web-1 is %q, its cluster in %s; want it lost, and told", got, st.Phase)
	}
}

// What its State says is then what it was given.
func TestAMemberThatNeverBeganEndsWithoutATouch(t *testing.T) {
	w := newWorld("web-1", "web-2")
	id := workflows.MemberID("web-1")
	given := workflows.MemberState{
		Member: rollout.NewMember(instance, "web", "web-1", rollout.ModePatch, true, w.member),
		Part:   "part:web", Plan: "sha256:plan", Parent: workflows.ClusterID(instance, "web"), Try: 1,
	}
	w.sweep(t, []activities.Orphan{orphan(workflows.MemberType, id)}, map[string]any{id: given}, nil)
	if n := w.count["drain web-1"] + w.count["patch web-1"]; n != 0 {
		t.Errorf("the host was touched %d times", n)
	}
	if want := "signal member-ended to " + given.Parent; !slices.Contains(w.calls, want) {
		t.Errorf("no %q: its cluster waits for that in\n%s", want, strings.Join(w.calls, "\n"))
	}
	for _, e := range w.entries {
		if e.Chain == "+" {
			t.Errorf("an entry on a chain of nobody: %+v", e)
		}
	}
}

func TestAClusterThatNeverBeganIsReportedToItsCampaign(t *testing.T) {
	w := newWorld("web-1", "web-2")
	id := workflows.ClusterID(instance, "web")
	given := workflows.ClusterState{Part: "part:web", Parent: workflows.CampaignID(instance)}
	given.Instance, given.Name = instance, "web"
	w.sweep(t, []activities.Orphan{orphan(workflows.ClusterType, id)}, map[string]any{id: given}, nil)
	if want := "signal cluster-report to " + given.Parent; !slices.Contains(w.calls, want) {
		t.Errorf("no %q: its campaign waits for that in\n%s", want, strings.Join(w.calls, "\n"))
	}
	if n := w.count["claim"]; n != 0 {
		t.Errorf("it was claimed %d times", n)
	}
}
