package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// inStep runs a campaign for each of these steps of the canary, and does something to it while the canary is in that step. A step that
// was over before it was seen is tried again.
func inStep(t *testing.T, steps []rollout.Step, do func(s *scene, instance string, step rollout.Step), judge func(s *scene, instance string, step rollout.Step)) {
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			for try := 1; ; try++ {
				s := begin(t)
				s.publish("1.4")
				instance := s.start(s.campaign(false, "web"))
				missed := s.member(instance, "web-1", step)
				if missed && try < 4 {
					s.say("abort", instance)
					s.ends(instance)
					continue
				}
				if missed {
					t.Fatalf("step %s was over before it was seen, %d times", step, try)
				}
				do(s, instance, step)
				judge(s, instance, step)
				return
			}
		})
	}
}

// touched says that a member in this step is finished before anything else: its package transaction may have begun.
func touched(step rollout.Step) bool {
	return step == rollout.StepPatch || step == rollout.StepReboot || step == rollout.StepCheck || step == rollout.StepUndrain
}

// peersUntouched checks that nobody but the canary was patched, and the canary is wholly at one version.
func (s *scene) peersUntouched(step rollout.Step) {
	s.Helper()
	s.at("1.0", "web-2", "web-3")
	v, err := s.Versions(s.ctx, "web-1")
	s.must(err)
	if v["lab-web"] != v["lab-web-data"] {
		s.Errorf("web-1 is half patched: %v", v)
	}
	// A message may come in the moment in which a step ends: only what lies far from the patch is certain.
	switch {
	case step == rollout.StepInspect || step == rollout.StepFetch:
		s.at("1.0", "web-1")
	case touched(step):
		s.at("1.4", "web-1")
	}
}

func TestRollingAbortInEachStep(t *testing.T) {
	inStep(t, order, func(s *scene, instance string, _ rollout.Step) {
		s.say("abort", instance)
	}, func(s *scene, instance string, step rollout.Step) {
		if st := s.ends(instance); st.State != "aborted" {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		s.safe()
		s.peersUntouched(step)
	})
}

func TestRollingAbortInSoak(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	s.say("abort", instance)
	if st := s.ends(instance); st.State != "aborted" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.safe()
	s.at("1.1", "web-1") // a soaking canary stays patched, and is reported
	s.at("1.0", "web-2", "web-3")
}

// TestRollingCampaignTerminated ends the campaign's workflow from outside, as an operator may in the Temporal UI: the member on its
// way brings its host to a safe end, its cluster starts nothing new, and gives its claim back.
func TestRollingCampaignTerminated(t *testing.T) {
	inStep(t, order, func(s *scene, instance string, _ rollout.Step) {
		s.must(s.temporal.TerminateWorkflow(s.ctx, workflows.CampaignID(instance), "", "the test says so"))
	}, func(s *scene, instance string, step rollout.Step) {
		s.eventually("the cluster's workflow to end", func() error {
			var c workflows.ClusterState
			if err := s.query(workflows.ClusterID(instance, "web"), &c); err != nil {
				return err
			}
			if c.Outcome == "" {
				return fmt.Errorf("it is in %s", c.Phase)
			}
			return nil
		})
		s.safe()
		s.peersUntouched(rollout.StepDrain) // whether the canary was patched depends on when its cluster noticed
	})
}

// TestRollingContinuedAsNew lets the campaign's workflow, and its cluster's, begin new runs while a member is in each step.
func TestRollingContinuedAsNew(t *testing.T) {
	short(t)
	for _, step := range order {
		t.Run(string(step), func(t *testing.T) {
			for try := 1; ; try++ {
				s := begin(t)
				s.publish("1.4")
				instance := s.start(s.campaign(false, "web"))
				if s.member(instance, "web-1", step) {
					if try == 4 {
						t.Fatalf("step %s was over before it was seen, %d times", step, try)
					}
					s.say("abort", instance)
					s.ends(instance)
					continue
				}
				before := s.runID(instance)
				s.say("hold", instance) // a message wakes the workflow, which then finds its history long enough
				s.say("resume", instance)
				s.eventually("another run of the campaign", func() error {
					if s.runID(instance) == before {
						return fmt.Errorf("it is still run %s", before)
					}
					return nil
				})
				// One goes on to the end; for the others an abort shows as well that the new run knows its children.
				want := "done"
				if step != rollout.StepPatch {
					want = "aborted"
					s.say("abort", instance)
				}
				if st := s.ends(instance); st.State != want {
					s.Errorf("campaign is %s: %s, want %s", st.State, st.Reason, want)
				}
				if want == "done" {
					s.at("1.4", web...)
				} else {
					s.peersUntouched(rollout.StepDrain) // whether the canary was patched depends on how long the new run took
				}
				s.safe()
				return
			}
		})
	}
}

// short makes every workflow continue as new after a few events.
func short(t *testing.T) { t.Helper(); daemonWith(t, "--suggest-continue-as-new", "20") }

// daemonWith starts rollpatchd anew with flags, until the test ends.
func daemonWith(t *testing.T, flags ...string) {
	t.Helper()
	restart := func(ctx context.Context, flags ...string) error {
		if err := all.Daemon.Stop(); err != nil {
			return err
		}
		all.Daemon.Args = flags
		return all.Daemon.Start(ctx)
	}
	if err := restart(t.Context(), flags...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := contextForCleanup()
		defer cancel()
		if err := restart(ctx); err != nil {
			t.Error(err)
		}
	})
}

func (s *scene) runID(instance string) string {
	s.Helper()
	d, err := s.temporal.DescribeWorkflowExecution(s.ctx, workflows.CampaignID(instance), "")
	s.must(err)
	return d.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// TestRollingWorkerKilledInMidPatch kills server and worker at once in the middle of the package transaction, and starts them again
// on the same database: the run on the host went on, the new worker attaches to it, and dpkg ran once.
func TestRollingWorkerKilledInMidPatch(t *testing.T) {
	for try := 1; ; try++ {
		s := begin(t)
		s.publish("1.1")
		logs := s.logs("web-1")
		instance := s.start(s.campaign(false, "web"))
		if s.member(instance, "web-1", rollout.StepPatch) && try < 4 {
			s.say("abort", instance)
			s.ends(instance)
			continue
		}
		s.must(s.Daemon.Kill())
		s.must(s.Daemon.Start(s.ctx))
		if st := s.ends(instance); st.State != "done" {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		if s.Kind == estate.Real {
			if n := s.transactions("web-1", logs["web-1"]); n != 1 {
				s.Errorf("dpkg unpacked %d times on web-1, want once", n)
			}
		}
		s.at("1.1", web...)
		s.safe()
		return
	}
}
