package workflows_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// fleet is a world with more clusters of two beside "web".
func fleet(clusters ...string) *world {
	w := newWorld("web-1", "web-2")
	w.hosts = map[string][]string{}
	for _, name := range clusters {
		w.more = append(w.more, rollout.Ref{Name: name, Part: "part:" + name, Total: 2})
		w.hosts[name] = []string{name + "-1", name + "-2"}
	}
	return w
}

func (w *world) did(what string) (hosts []string) {
	for _, c := range w.calls {
		if host, ok := strings.CutPrefix(c, what+" "); ok {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func failingWatch(int) rollout.WatchResult {
	return rollout.WatchResult{Verdict: rollout.Fail, Reason: "page answers 500", Blame: "check page"}
}

func TestASharedFaultBacksOutNoFleet(t *testing.T) {
	w := fleet("db", "cache", "mail")
	w.watch = failingWatch
	w.rules = func(c *rollout.Campaign) { c.Breaker = 2 }
	st, err := w.campaign(t, nil)
	if !halted(err) || st.Outcome != rollout.CampaignAborted || !strings.Contains(st.Reason, "a shared fault: 3 clusters failed within 15 minutes") {
		t.Fatalf("campaign ended %q: %s, %v; want it aborted for a shared fault", st.Outcome, st.Reason, err)
	}
	if back, patched := w.did("backout"), w.did("patch"); len(patched) != 4 || len(back) > 2 {
		t.Errorf("of the canaries %v, %v were backed out; want two at most", patched, back)
	}
	if back := w.did("backout"); len(w.shut) > len(back) {
		t.Errorf("%d transactions were put into quarantine, %v were backed out; want no others", len(w.shut), back)
	}
	if w.count["Release"] != 4 {
		t.Errorf("%d claims were given back, want 4", w.count["Release"])
	}
	if w.told(rollout.TellHold, "", "unless a person says so") == 0 || w.told(rollout.TellHalted, "", "members that stay patched: 1") == 0 {
		t.Errorf("people were told %+v", w.notices)
	}
}

func TestAPersonGoesOnAfterASharedFault(t *testing.T) {
	w := fleet("db", "cache", "mail")
	w.policy.Unattended, w.member.Unattended = false, false
	failing := true
	w.watch = func(call int) rollout.WatchResult {
		if failing {
			return failingWatch(call)
		}
		return rollout.WatchResult{Verdict: rollout.Pass, Passes: 3}
	}
	w.rules = func(c *rollout.Campaign) { c.Breaker = 1 }
	held := map[string]string{}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say := func(to, word string) {
			if err := env.UpdateWorkflowByID(to, word, to+word, &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { t.Errorf("%s to %s: %v", word, to, err) }, OnComplete: func(any, error) {},
			}, person); err != nil {
				t.Error(err)
			}
		}
		env.RegisterDelayedCallback(func() {
			failing = false
			say(workflows.CampaignID(instance), workflows.UpdateResume)
			for _, name := range []string{"web", "db", "cache", "mail"} {
				id := workflows.ClusterID(instance, name)
				var c workflows.ClusterState
				if v, err := env.QueryWorkflowByID(id, workflows.QueryState); err != nil || v.Get(&c) != nil || c.Phase != rollout.PhaseHold {
					continue // it is through
				}
				held[name] = c.HoldFor
				say(id, workflows.UpdateResume)
			}
		}, 20*time.Hour)
	})
	if !halted(err) || st.Tripped != "" || st.Trips != 1 {
		t.Fatalf("campaign ended %q: %s, %v, tripped %d times", st.Outcome, st.Reason, err, st.Trips)
	}
	if len(held) < 3 || len(w.did("backout")) > 1 {
		t.Errorf("held: %q, backed out: %v; want three held at least, and one backed out at most", held, w.did("backout"))
	}
	anew := 0
	for name, why := range held {
		if !strings.Contains(why, "a shared fault") {
			t.Errorf("%s holds for %q", name, why)
		}
		if !strings.Contains(why, "stopped on its way") { // else it was granted before that, and goes on with its way back
			anew++
		}
	}
	if back := w.did("backout"); len(w.shut) > len(back) {
		t.Errorf("%d transactions were put into quarantine, %v were backed out; want no others", len(w.shut), back)
	}
	if patched := w.did("patch"); len(patched) != 4+anew {
		t.Errorf("patched %v, want the peers of %d clusters that went on beside the four canaries", patched, anew)
	}
}

// Who is on the way back when the breaker trips finishes the member that is out, and no other.
func TestAWayBackStopsAtTheNextBorder(t *testing.T) {
	w := fleet("db", "mail")
	w.members, w.minimum, w.member.WaitMax = []string{"web-1", "web-2", "web-3"}, 1, 48*time.Hour
	back, through := false, false
	w.on["gate web-2"] = func(call int) rollout.MemberResult {
		if back = call > 3; back && !through { // three gates are those of its patch
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "no leader"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	w.watchOf = func(patched []string) rollout.WatchResult {
		switch of := strings.Join(patched, " "); {
		case of != "web-1" && of != "web-1 web-2" && !back:
			return rollout.WatchResult{Verdict: rollout.Inconclusive, Reason: "its peers could not be asked"}
		case of == "web-1":
			return rollout.WatchResult{Verdict: rollout.Pass, Passes: 3}
		}
		return failingWatch(0)
	}
	w.rules = func(c *rollout.Campaign) { c.Breaker = 1 }
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { through = true }, 40*time.Hour)
	})
	if !halted(err) || !strings.Contains(st.Reason, "a shared fault: 2 clusters failed within 15 minutes: ") {
		t.Fatalf("campaign ended %q: %s, %v; want it aborted for a shared fault", st.Outcome, st.Reason, err)
	}
	if got := w.did("backout"); !slices.Contains(got, "web-2") || slices.Contains(got, "web-1") || len(got) > 2 {
		t.Errorf("backed out %q, want web-2 of web, and one of the others at most", got)
	}
	if w.told(rollout.TellHalted, "", "its backout was stopped on its way: a shared fault") == 0 {
		t.Errorf("people were told %+v", w.notices)
	}
}

// asking runs a cluster alone until its soak failed; its reports come to what answer says. It returns the questions that it put.
func (w *world) asking(t *testing.T, answer func(asked int) error, meanwhile func(*testsuite.TestWorkflowEnvironment)) (asked int, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetWorkflowRunTimeout(90 * 24 * time.Hour)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.ClusterID(instance, "web"), TaskQueue: workflows.Queue})
	workflows.Register(env)
	w.register(env)
	w.watch = failingWatch
	env.OnSignalExternalWorkflow(mock.Anything, workflows.CampaignID(instance), mock.Anything, mock.Anything, mock.Anything).Return(
		func(_, _, _, _ string, arg any) error {
			r, ok := arg.(workflows.ClusterReport)
			if !ok || r.Ask == 0 {
				return nil
			}
			asked++
			return answer(asked)
		})
	env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil)
	if meanwhile != nil {
		meanwhile(env)
	}
	st := workflows.ClusterState{Part: "part:web", Plan: "sha256:plan", Parent: workflows.CampaignID(instance)}
	st.Instance, st.Name, st.Stage = instance, "web", "production"
	env.ExecuteWorkflow(workflows.ClusterType, st)
	if !env.IsWorkflowCompleted() {
		t.Fatalf("the cluster did not end; calls:\n%s", strings.Join(w.calls, "\n"))
	}
	return asked, env.GetWorkflowError()
}

func TestAQuestionIsPutAgainUntilItIsAnswered(t *testing.T) {
	w := newWorld("web-1", "web-2")
	asked, err := w.asking(t, func(int) error { return nil }, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			if back := w.did("backout"); len(back) > 0 {
				t.Errorf("%v was backed out before the campaign said that it may", back)
			}
			env.SignalWorkflow("backout-word", rollout.Word{Ask: 1, May: true})
			env.SignalWorkflow("backout-word", rollout.Word{Ask: 1, May: true})
		}, 90*time.Minute)
	})
	if !halted(err) || asked < 10 || len(w.did("backout")) != 1 {
		t.Errorf("it ended %v after %d questions, and backed out %v; want halted after many, and the canary backed out", err, asked, w.did("backout"))
	}
}

func TestNobodyIsBackedOutWhenTheCampaignIsGone(t *testing.T) {
	w := newWorld("web-1", "web-2")
	_, err := w.asking(t, func(int) error { return &temporal.UnknownExternalWorkflowExecutionError{} }, nil)
	if !halted(err) || len(w.did("backout")) > 0 || w.count["Release"] != 1 {
		t.Errorf("it ended %v, backed out %v, gave %d claims back; want halted, with its canary as it is", err, w.did("backout"), w.count["Release"])
	}
	if w.told(rollout.TellHalted, "", "its campaign is gone, and nobody else knows whether others fail too; members that stay patched: 1") == 0 {
		t.Errorf("people were told %+v", w.notices)
	}
}

func TestRampWaitsForTheCanary(t *testing.T) {
	w := fleet("db", "cache")
	w.rules = func(c *rollout.Campaign) { c.Ramp = []int{1} }
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	back := false
	for _, c := range w.calls {
		switch c {
		case "undrain web-1":
			back = true
		case "inspect db-1", "inspect cache-1":
			if !back {
				t.Errorf("%s before the canary of web was back:\n%s", c, strings.Join(w.calls, "\n"))
			}
		case "inspect web-2":
			if len(w.did("inspect")) < 3 {
				t.Errorf("the others waited for the soak of web:\n%s", strings.Join(w.calls, "\n"))
			}
		}
	}
}

func TestAStageStopsAtTheSameFailureTwice(t *testing.T) {
	w := fleet("db", "cache")
	for _, host := range []string{"web-1", "db-1", "cache-1"} {
		w.on["check "+host] = func(call int) rollout.MemberResult {
			if call == 1 {
				return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500", Blame: "check page"}
			}
			return rollout.MemberResult{Verdict: rollout.Pass}
		}
	}
	w.rules = func(c *rollout.Campaign) { c.Parallel, c.StopSame, c.StopAny = 1, 2, []int{9} }
	st, err := w.campaign(t, nil)
	if !halted(err) || st.Outcome != rollout.CampaignAborted || !strings.Contains(st.Reason, "2 failures by the same check page: web (check page), db (check page)") {
		t.Fatalf("campaign ended %q: %s, %v; want it stopped", st.Outcome, st.Reason, err)
	}
	if touched := w.did("inspect"); len(touched) != 2 {
		t.Errorf("inspected %v, want the canaries of two clusters", touched)
	}
}
