package workflows_test

import (
	"strings"
	"testing"
	"time"

	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// details is what the Temporal UI shows of a workflow.
func details(t *testing.T, env *testsuite.TestWorkflowEnvironment, id string) string {
	t.Helper()
	v, err := env.QueryWorkflowByID(id, "__temporal_workflow_metadata")
	var m sdkpb.WorkflowMetadata
	if err == nil {
		err = v.Get(&m)
	}
	if err != nil {
		t.Errorf("%s: %v", id, err)
	}
	return m.GetCurrentDetails()
}

// The table of members says of a peer whether its turn is yet to come.
func TestShowTellsWhoseTurnComes(t *testing.T) {
	w := newWorld("web-1", "web-2", "web-3")
	w.on["check web-1"] = func(call int) rollout.MemberResult {
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	var of *testsuite.TestWorkflowEnvironment
	w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) { of = env })
	page := details(t, of, workflows.ClusterID(instance, "web"))
	for _, want := range []string{"| web-1 | backed-out, canary |", "| web-2 | not touched |", "| web-3 | not touched |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of a cluster that halted has no %q:\n%s", want, page)
		}
	}

	w = newWorld("web-1", "web-2", "web-3")
	w.policy.Unattended, w.policy.SoakApproval, w.member.Unattended = false, true, false
	during := map[string]string{}
	w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		look := func(as string, after time.Duration) {
			env.RegisterDelayedCallback(func() { during[as] = details(t, env, workflows.ClusterID(instance, "web")) }, after)
		}
		say := func(word string, after time.Duration) {
			env.RegisterDelayedCallback(func() {
				env.UpdateWorkflow(word, word, &testsuite.TestUpdateCallback{
					OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
				}, rollout.Message{Actor: "ann", Reason: "lunch"})
			}, after)
		}
		look("soak", 3*time.Hour)
		say(workflows.UpdateHold, 4*time.Hour)
		look("held", 5*time.Hour)
		say(workflows.UpdateAbort, 6*time.Hour)
	})
	if page := during["soak"]; !strings.Contains(page, "| web-2 | waiting |") || strings.Contains(page, "Held") {
		t.Errorf("the page of a soak does not show a peer that waits:\n%s", page)
	}
	if page := during["held"]; !strings.Contains(page, "\nHeld from the next border between members on: lunch (ann)\n") {
		t.Errorf("the page of a soak does not show the hold after it:\n%s", page)
	}
}
