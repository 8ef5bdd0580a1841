package workflows_test

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// A person whose answer was lost says the same again. By then the gate is closed, and the message must still be taken, once.
func TestMessageSaidTwiceIsDoneOnce(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.policy.Unattended, w.policy.SoakApproval, w.member.Unattended = false, true, false
	w.on["gate web-2"] = func(call int) rollout.MemberResult { // so that the cluster is on its way when they come
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "no leader"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	answers := map[string]error{}
	var approvals []rollout.Approval
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say := func(as, word, id string) {
			err := env.UpdateWorkflowByID(workflows.ClusterID(instance, "web"), word, as, &testsuite.TestUpdateCallback{
				OnAccept:   func() { answers[as] = nil },
				OnReject:   func(err error) { answers[as] = err },
				OnComplete: func(any, error) {},
			}, rollout.Message{ID: id, Actor: "bob", Reason: "looks fine"})
			if err != nil {
				t.Errorf("%s: %v", as, err)
			}
		}
		env.RegisterDelayedCallback(func() {
			say("first", workflows.UpdateApprove, "x")
			say("again", workflows.UpdateApprove, "x")
			say("another id", workflows.UpdateApprove, "y")
			say("another word", workflows.UpdateReject, "x")
		}, 30*time.Hour)
		env.RegisterDelayedCallback(func() {
			var c workflows.ClusterState
			v, err := env.QueryWorkflowByID(workflows.ClusterID(instance, "web"), workflows.QueryState)
			if err == nil {
				err = v.Get(&c)
			}
			if err != nil {
				t.Error(err)
			}
			approvals = c.Approvals
		}, 30*time.Hour+time.Second)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	for _, as := range []string{"first", "again"} {
		if err, answered := answers[as]; !answered || err != nil {
			t.Errorf("%s: answered %t, %v; want it taken", as, answered, err)
		}
	}
	for as, want := range map[string]string{"another id": "nothing waits for approval", "another word": "no soak to reject"} {
		if err := answers[as]; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want a refusal with %q", as, err, want)
		}
	}
	if len(approvals) != 1 {
		t.Errorf("approvals %+v, want one", approvals)
	}
	said := 0
	for _, e := range w.entries {
		if e.Kind == audit.Message && e.Action != "run" {
			said++
		}
	}
	if said != 1 {
		t.Errorf("%d messages are on the chains, want one", said)
	}
}
