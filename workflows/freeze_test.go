package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestAFreezeEndsWithTheThawAndBothAreOnRecord(t *testing.T) {
	w := newWorld()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.FreezeID, TaskQueue: workflows.Queue})
	workflows.Register(env)
	w.register(env)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow("waits", workflows.MemberID("web-1")) }, 2*time.Hour)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow("waits", workflows.MemberID("web-1")) }, 3*time.Hour)
	woken := 0
	env.OnSignalExternalWorkflow(mock.Anything, workflows.MemberID("web-1"), "", "thawed", mock.Anything).Return(func(string, string, string, string, any) error {
		woken++
		return nil
	})
	var refused, again error
	thawed := time.Duration(0)
	start := env.Now()
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateThaw, "u1", &testsuite.TestUpdateCallback{
			OnReject: func(err error) { refused = err }, OnAccept: func() { t.Error("a thaw without a reason was taken") }, OnComplete: func(any, error) {},
		}, rollout.Message{Actor: "ben"})
	}, time.Hour)
	env.RegisterDelayedCallback(func() {
		thawed = env.Now().Sub(start)
		env.UpdateWorkflow(workflows.UpdateThaw, "u2", &testsuite.TestUpdateCallback{
			OnReject: func(err error) { t.Errorf("refused: %v", err) }, OnAccept: func() {}, OnComplete: func(any, error) {},
		}, rollout.Message{ID: "u2", Actor: "ben", Reason: "the incident is over"})
		env.UpdateWorkflow(workflows.UpdateThaw, "u3", &testsuite.TestUpdateCallback{
			OnReject: func(err error) { again = err }, OnAccept: func() {}, OnComplete: func(any, error) {},
		}, rollout.Message{ID: "u3", Actor: "cleo", Reason: "is it over?"})
	}, 48*time.Hour)
	env.ExecuteWorkflow(workflows.FreezeType, workflows.FreezeState{Frozen: rollout.Message{Actor: "ann", Reason: "incident 12"}})
	if !env.IsWorkflowCompleted() || env.GetWorkflowError() != nil {
		t.Fatalf("it did not end well: %v", env.GetWorkflowError())
	}
	if refused == nil {
		t.Error("a thaw without a reason was not refused")
	}
	if again == nil || !strings.Contains(again.Error(), "not frozen any more: ben (claimed) ended the freeze just now") {
		t.Errorf("a second thaw before the first had its end: %v", again)
	}
	if thawed < 48*time.Hour {
		t.Errorf("thawed after %s", thawed)
	}
	if woken != 1 {
		t.Errorf("who waits for the thaw was told of it %d times, want once", woken)
	}
	if len(w.entries) != 2 || w.entries[0].Action != "freeze" || w.entries[0].Actor != "ann (claimed)" || w.entries[1].Action != workflows.UpdateThaw || w.entries[1].Prev != w.entries[0].Digest {
		t.Errorf("on the chain: %+v", w.entries)
	}
}

// Who waits for the thaw does not wait for its next look.
func TestAMemberGoesOnSoonAfterTheThaw(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.member.RetryEvery = 10 * time.Minute
	var thawed, begun time.Time
	waits := 0
	var env *testsuite.TestWorkflowEnvironment
	w.on["gate web-1"] = func(int) rollout.MemberResult {
		if thawed.IsZero() {
			return rollout.MemberResult{Verdict: rollout.Pass, Frozen: "frozen by ann"}
		}
		if begun.IsZero() {
			begun = env.Now()
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	st, err := w.campaign(t, func(e *testsuite.TestWorkflowEnvironment) {
		env = e
		e.OnSignalExternalWorkflow(mock.Anything, workflows.FreezeID, "", "waits", workflows.MemberID("web-1")).Return(func(string, string, string, string, any) error {
			waits++
			return nil
		})
		e.RegisterDelayedCallback(func() {
			thawed = e.Now()
			if err := e.SignalWorkflowByID(workflows.MemberID("web-1"), "thawed", nil); err != nil {
				t.Error(err)
			}
		}, 25*time.Minute)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	if waits != 1 {
		t.Errorf("the freeze was told %d times that it is waited for, want once", waits)
	}
	if after := begun.Sub(thawed); after <= 0 || after > 5*time.Second {
		t.Errorf("the gate was asked again %s after the thaw, want within seconds, and not while the freeze is on its way out", after)
	}
}
