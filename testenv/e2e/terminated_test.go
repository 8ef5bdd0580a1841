package e2e

import (
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// telling are the steps where it matters most who goes on: the faults of make chaos have all of them.
var telling = []rollout.Step{rollout.StepDrain, rollout.StepPatch, rollout.StepReboot}

// TestRollingMemberTerminated ends the member's workflow from outside, in its steps: the sweeper takes it up, its host
// comes to a safe end, and nobody else is touched.
func TestRollingMemberTerminated(t *testing.T) {
	inStep(t, telling, func(s *scene, _ string, _ rollout.Step) {
		s.must(s.temporal.TerminateWorkflow(s.ctx, workflows.MemberID("web-1"), "", "the test says so"))
	}, func(s *scene, instance string, step rollout.Step) {
		if st := s.ends(instance); st.State != "halted" || !strings.Contains(st.Reason, "ended the workflow of web-1 from outside") {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		s.safe()
		if step == rollout.StepPatch {
			step = rollout.StepDrain // where the transaction had not begun, it never does
		}
		s.peersUntouched(step)
	})
}

// TestRollingClusterTerminated ends the cluster's workflow from outside: the sweeper takes it up, it starts nothing new, waits for
// its member, gives its claim back, and reports to its campaign.
func TestRollingClusterTerminated(t *testing.T) {
	inStep(t, telling, func(s *scene, instance string, _ rollout.Step) {
		s.must(s.temporal.TerminateWorkflow(s.ctx, workflows.ClusterID(instance, "web"), "", "the test says so"))
	}, func(s *scene, instance string, step rollout.Step) {
		if st := s.ends(instance); st.State != "halted" || !strings.Contains(st.Reason, "its workflow was terminated") {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		s.safe()
		s.peersUntouched(rollout.StepDrain) // whether the canary was patched depends on when it was taken up
	})
}

// TestRollingClusterTerminatedInSoak: a soaking canary stays patched, and nothing stays claimed.
func TestRollingClusterTerminatedInSoak(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	s.must(s.temporal.TerminateWorkflow(s.ctx, workflows.ClusterID(instance, "web"), "", "the test says so"))
	if st := s.ends(instance); st.State != "halted" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.safe()
	s.at("1.1", "web-1")
	s.at("1.0", "web-2", "web-3")
}
