package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

var (
	heldByWeekly = rollout.ClaimResult{Held: true, Reason: "cluster/web is claimed by weekly"}
	noWay        = rollout.ClaimResult{Reason: "consul through web-1, web-2: unreachable: no answer"}
)

// from answers not until the call of that number, and then yes.
func from(call int, not rollout.ClaimResult) func(int) rollout.ClaimResult {
	return func(n int) rollout.ClaimResult {
		if n < call {
			return not
		}
		return rollout.ClaimResult{OK: true}
	}
}

// attended has somebody to tell after half an hour; it asks twice a minute.
func attended(members ...string) *world {
	w := newWorld(members...)
	w.policy.Unattended, w.member.Unattended, w.policy.WaitMax = false, false, 30*time.Minute
	return w
}

// holds are the texts of the holds that people were told of.
func (w *world) holds() string {
	var texts []string
	for _, n := range w.notices {
		if n.Event == rollout.TellHold {
			texts = append(texts, n.Text+" > "+n.Next)
		}
	}
	return strings.Join(texts, "\n")
}

// stateAt reads the campaign's State at a time.
func stateAt(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration, look func(workflows.CampaignState)) {
	env.RegisterDelayedCallback(func() {
		var st workflows.CampaignState
		v, err := env.QueryWorkflow(workflows.QueryState)
		if err == nil {
			err = v.Get(&st)
		}
		if err != nil {
			t.Error(err)
		}
		look(st)
	}, at)
}

func abortAt(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration) {
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateAbort, "end", &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
		}, rollout.Message{Actor: "ann", Reason: "not tonight"})
	}, at)
}

func TestClaimInTroubleIsToldOnceAndGoesOnByItself(t *testing.T) {
	w := attended("web-1", "web-2")
	w.claim = from(200, noWay)
	looked := 0
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		for at, held := range map[time.Duration]bool{20 * time.Minute: false, 40 * time.Minute: true, 90 * time.Minute: true, 2 * time.Hour: false} {
			stateAt(t, env, at, func(st workflows.CampaignState) {
				looked++
				if st.Held() != held || held && st.Clusters[0].Reason != "before claim: "+noWay.Reason {
					t.Errorf("after %s: held %t by %q", at, st.Held(), st.Clusters[0].Reason)
				}
			})
		}
	})
	if err != nil || st.Outcome != rollout.CampaignDone || looked != 4 {
		t.Fatalf("campaign ended %q, %v, looked at %d times; want done", st.Outcome, err, looked)
	}
	if want := "cluster web holds before claim: " + noWay.Reason + " > rollpatch why " + instance; w.holds() != want {
		t.Errorf("told %q, want once %q", w.holds(), want)
	}
}

func TestWhatAnotherInstanceHasIsNeverToldAsAHold(t *testing.T) {
	w := attended("web-1", "web-2")
	w.claim = from(1000, heldByWeekly)
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone || w.holds() != "" {
		t.Errorf("campaign ended %q, %v, told %q; want done and no hold", st.Outcome, err, w.holds())
	}
}

func TestReleaseInTroubleIsToldAndNeverGivenUp(t *testing.T) {
	w := attended("web-1", "web-2")
	w.release = from(1000, noWay)
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone || w.count["Release"] != 1000 {
		t.Fatalf("campaign ended %q, %v after %d releases; want done by the 1000th", st.Outcome, err, w.count["Release"])
	}
	if want := "cluster web holds before release (done): " + noWay.Reason + " > rollpatch why " + instance; w.holds() != want {
		t.Errorf("told %q, want once %q", w.holds(), want)
	}
}

func TestUnattendedClaimInTroubleHalts(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.policy.WaitMax = 30 * time.Minute
	w.claim, w.release = from(1000, noWay), from(10, noWay)
	st, err := w.campaign(t, nil)
	if !halted(err) || st.Outcome != rollout.CampaignHalted || !strings.Contains(st.Reason, "gave up after 30m0s before claim: "+noWay.Reason) {
		t.Fatalf("campaign ended %q, %v; want halted for the claim", st.Outcome, err)
	}
	if w.count["Claim"] != 61 || w.count["Release"] != 10 || strings.Contains(strings.Join(w.calls, "\n"), "web-1") {
		t.Errorf("%d claims and %d releases, then no host touched, want 61 and 10:\n%s", w.count["Claim"], w.count["Release"], strings.Join(w.calls, "\n"))
	}
}

// An abort before anything could be claimed for sure: a lost answer may have claimed it, so the release is owed, and told.
func TestAbortWhileConsulCannotBeReachedOwesTheRelease(t *testing.T) {
	w := attended("web-1", "web-2")
	w.claim, w.release = from(1000, noWay), from(200, noWay)
	looked := false
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		abortAt(t, env, time.Hour)
		stateAt(t, env, 2*time.Hour, func(st workflows.CampaignState) {
			looked = true
			if !st.Held() || st.Clusters[0].Reason != "before release (aborted): "+noWay.Reason {
				t.Errorf("held %t by %q, want by the release", st.Held(), st.Clusters[0].Reason)
			}
		})
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted || !looked || w.count["Release"] != 200 {
		t.Fatalf("campaign ended %q, %v after %d releases; want aborted by the 200th", st.Outcome, err, w.count["Release"])
	}
	want := "cluster web holds before claim: " + noWay.Reason + " > rollpatch why " + instance + "\n" +
		"cluster web holds before release (aborted): " + noWay.Reason + " > rollpatch why " + instance
	if w.holds() != want {
		t.Errorf("told\n%s\nwant\n%s", w.holds(), want)
	}
}

func TestMemberThatCannotBeStartedIsTold(t *testing.T) {
	w := attended("web-1", "web-2")
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.OnWorkflow(workflows.MemberType, mock.Anything, mock.Anything).Return(workflows.MemberReport{}, testsuite.ErrMockStartChildWorkflowFailed)
		abortAt(t, env, time.Hour)
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted {
		t.Fatalf("campaign ended %q, %v; want aborted", st.Outcome, err)
	}
	if got := w.holds(); !strings.HasPrefix(got, "cluster web holds before patch: the workflow of web-1 cannot be started: ") || strings.Contains(got, "\n") {
		t.Errorf("told %q, want once that web-1 cannot be started", got)
	}
}

func TestHostThatAnotherInstanceWorksOnIsAWaitThatNamesIt(t *testing.T) {
	w := attended("web-1", "web-2")
	w.more = []rollout.Ref{{Name: "db", Part: "part:db", Total: 2}} // as if it were another instance's: it has the same members
	w.ask = func(in activities.AskInput) activities.AskResult {
		return activities.AskResult{Running: true, Status: "Running", Instance: "weekly-1 of " + in.WorkflowID}
	}
	w.on["fetch web-1"] = func(call int) rollout.MemberResult { // the package lock is taken for ten minutes
		if call < 20 {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "lock not free"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass, Changes: 1}
	}
	waits := map[string]int{}
	if _, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		for _, name := range []string{"web", "db"} {
			env.RegisterDelayedCallback(func() {
				var st workflows.ClusterState
				v, err := env.QueryWorkflowByID(workflows.ClusterID(instance, name), workflows.QueryState)
				if err == nil {
					err = v.Get(&st)
				}
				if err != nil {
					t.Error(err)
				}
				waits[st.WaitFor]++
			}, 5*time.Minute)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if waits[""] != 1 || waits["weekly-1 of host/web-1 works on web-1"] != 1 || w.holds() != "" {
		t.Errorf("the clusters waited for %v, told %q; want one on its way and one waiting for it", waits, w.holds())
	}
}
