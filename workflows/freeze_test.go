package workflows_test

import (
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestAFreezeEndsWithTheThawAndBothAreOnRecord(t *testing.T) {
	w := newWorld()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(30 * time.Second)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.FreezeID, TaskQueue: workflows.Queue})
	workflows.Register(env)
	w.register(env)
	var refused error
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
		}, rollout.Message{Actor: "ben", Reason: "the incident is over"})
	}, 48*time.Hour)
	env.ExecuteWorkflow(workflows.FreezeType, workflows.FreezeState{Frozen: rollout.Message{Actor: "ann", Reason: "incident 12"}})
	if !env.IsWorkflowCompleted() || env.GetWorkflowError() != nil {
		t.Fatalf("it did not end well: %v", env.GetWorkflowError())
	}
	if refused == nil {
		t.Error("a thaw without a reason was not refused")
	}
	if thawed < 48*time.Hour {
		t.Errorf("thawed after %s", thawed)
	}
	if len(w.entries) != 2 || w.entries[0].Action != "freeze" || w.entries[0].Actor != "ann (claimed)" || w.entries[1].Action != workflows.UpdateThaw || w.entries[1].Prev != w.entries[0].Digest {
		t.Errorf("on the chain: %+v", w.entries)
	}
}
