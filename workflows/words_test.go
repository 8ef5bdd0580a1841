package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// say sends a person's word to a workflow, and holds whether it is taken.
func say(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration, id, word string, m rollout.Message, taken bool) {
	env.RegisterDelayedCallback(func() {
		m.Actor, m.Reason, m.ID = "ann", "because", word+at.String()
		err := env.UpdateWorkflowByID(id, word, m.ID, &testsuite.TestUpdateCallback{
			OnAccept: func() {
				if !taken {
					t.Errorf("after %s, %s was taken", at, word)
				}
			},
			OnReject: func(err error) {
				if taken {
					t.Errorf("after %s, %s was refused: %v", at, word, err)
				}
			},
			OnComplete: func(any, error) {},
		}, m)
		if err != nil {
			t.Error(err)
		}
	}, at)
}

// reads holds what the cluster's page in the Temporal UI says by then.
func reads(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration, want string) {
	env.RegisterDelayedCallback(func() {
		if page := details(t, env, web); !strings.Contains(page, want) {
			t.Errorf("after %s the page has no %q:\n%s", at, want, page)
		}
	}, at)
}

var web = workflows.ClusterID(instance, "web")

func TestAMemberThatFailedIsTriedAgainByItsWord(t *testing.T) {
	w := attended("web-1", "web-2")
	w.on["check web-1"] = func(call int) rollout.MemberResult {
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		reads(t, env, 30*time.Minute, "A person decides how it goes on:\n\n- the Update `retry`, `rollpatch retry "+instance+" --cluster web --reason \"...\"`: tries it again\n- the Update `skip`")
		say(t, env, time.Hour, web, workflows.UpdateResume, rollout.Message{}, false)
		say(t, env, 2*time.Hour, web, workflows.UpdateRetry, rollout.Message{Host: "web-2"}, false)
		say(t, env, 3*time.Hour, web, workflows.UpdateRetry, rollout.Message{Host: "web-1"}, true)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	if n := strings.Count(strings.Join(w.calls, "\n"), "patch web-1"); n != 2 {
		t.Errorf("web-1 was patched %d times, want 2", n)
	}
	said := false
	for _, e := range w.entries {
		said = said || e.Kind == audit.Message && e.Action == "retry" && e.Host == "web-1" && e.Actor == "ann (claimed)"
	}
	if !said {
		t.Error("the retry is not on the chain")
	}
}

// The word goes through the cluster, which knows that the member holds.
func TestAWordReachesAMemberThatHolds(t *testing.T) {
	w := attended("web-1", "web-2", "web-3")
	answers := false
	w.on["patch web-1"] = func(int) rollout.MemberResult {
		if answers {
			return rollout.MemberResult{Verdict: rollout.Pass}
		}
		return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "unreachable"}
	}
	w.on["drain web-2"] = func(int) rollout.MemberResult {
		return rollout.MemberResult{Verdict: rollout.Fail, Leftover: true, Reason: "3 connections left"}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say(t, env, 10*time.Minute, web, workflows.UpdateSkip, rollout.Message{}, false) // it only waits
		reads(t, env, 50*time.Minute, "web-1 holds before patch: unreachable. It goes on by itself when that is over, or a person decides:\n\n- the Update `retry`, `rollpatch retry "+instance+" --cluster web --host web-1")
		say(t, env, time.Hour, web, workflows.UpdateRetry, rollout.Message{Host: "web-1"}, true)
		env.RegisterDelayedCallback(func() { answers = true }, 2*time.Hour)
		say(t, env, 3*time.Hour, web, workflows.UpdateRetry, rollout.Message{}, false) // it went on
		say(t, env, 30*time.Hour, web, workflows.UpdateSkip, rollout.Message{Host: "web-2"}, true)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
	all := strings.Join(w.calls, "\n")
	if strings.Contains(all, "patch web-2") || !strings.Contains(all, "undrain web-2") || !strings.Contains(all, "patch web-3") {
		t.Errorf("want web-2 given back unchanged, and web-3 patched:\n%s", all)
	}
	if !strings.Contains(st.Clusters[0].Reason, "left as they are: web-2 is returned") {
		t.Errorf("its cluster says %q", st.Clusters[0].Reason)
	}
}

func TestABackoutReachesAMemberThatHolds(t *testing.T) {
	w := attended("web-1", "web-2")
	w.on["check web-1"] = func(int) rollout.MemberResult {
		if w.count["backout web-1"] > 0 {
			return rollout.MemberResult{Verdict: rollout.Pass}
		}
		return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "its unpatched peer fails the same"}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say(t, env, 2*time.Hour, web, workflows.UpdateBackout, rollout.Message{}, true)
	})
	if !halted(err) || st.Outcome != rollout.CampaignHalted || !strings.Contains(st.Reason, "backout by ann (claimed): because") {
		t.Fatalf("campaign ended %q: %s, %v; want halted", st.Outcome, st.Reason, err)
	}
	if all := strings.Join(w.calls, "\n"); strings.Count(all, "backout web-1") != 1 || strings.Count(all, "drain web-1\n") != 2 || strings.Contains(all, "web-2") {
		t.Errorf("want web-1 backed out where it was, without another drain, and put back:\n%s", all)
	}
}

func TestAHoldThatLastsTooLongEndsByTheSafestExit(t *testing.T) {
	w := attended("web-1", "web-2")
	w.member.HoldMax = 4 * time.Hour
	w.on["drain web-1"] = func(int) rollout.MemberResult {
		return rollout.MemberResult{Verdict: rollout.Fail, Leftover: true, Reason: "3 connections left"}
	}
	looked := 0
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		for at, back := range map[time.Duration]bool{4 * time.Hour: false, 5 * time.Hour: true} {
			env.RegisterDelayedCallback(func() {
				looked++
				if got := strings.Contains(strings.Join(w.calls, "\n"), "undrain web-1"); got != back {
					t.Errorf("after %s it is back in service: %t, want %t", at, got, back)
				}
			}, at)
		}
		abortAt(t, env, 24*time.Hour)
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted || looked != 2 {
		t.Fatalf("campaign ended %q, %v, looked at %d times; want aborted", st.Outcome, err, looked)
	}
	if want := "web-1 is returned: held for 4h0m0s before drain: 3 connections left"; !strings.Contains(w.holds(), want) {
		t.Errorf("told\n%s\nwant as well: %s", w.holds(), want)
	}
}

func TestBackoutOfTheWholeCampaign(t *testing.T) {
	w := attended("web-1", "web-2")
	w.policy.SoakApproval = true
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say(t, env, 30*time.Hour, workflows.CampaignID(instance), workflows.UpdateBackout, rollout.Message{}, true)
	})
	if !halted(err) || st.Outcome != rollout.CampaignHalted || st.Reason != "backed out by ann (claimed): because" {
		t.Fatalf("campaign ended %q: %s, %v; want halted", st.Outcome, st.Reason, err)
	}
	all := strings.Join(w.deeds(), "\n")
	if !strings.Contains(all, "backout web-1") || strings.Contains(all, "patch web-2") || !strings.HasSuffix(all, "release") {
		t.Errorf("want web-1 brought back, web-2 not touched, the claim given back:\n%s", all)
	}
}

// A member that is on its way and not patched yet is given back, not patched to be backed out.
func TestBackoutOfTheWholeCampaignBeforeItsFirstPatch(t *testing.T) {
	w := attended("web-1", "web-2")
	w.on["fetch web-1"] = func(call int) rollout.MemberResult {
		if call > 40 { // twenty minutes later
			return rollout.MemberResult{Verdict: rollout.Pass, Changes: 1}
		}
		return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "lock not free"}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say(t, env, 10*time.Minute, workflows.CampaignID(instance), workflows.UpdateBackout, rollout.Message{}, true)
	})
	if !halted(err) || st.Outcome != rollout.CampaignHalted || !strings.HasPrefix(st.Reason, "backed out by ann") {
		t.Fatalf("campaign ended %q: %s, %v; want halted", st.Outcome, st.Reason, err)
	}
	if all := strings.Join(w.deeds(), "\n"); strings.Contains(all, "drain") || strings.Contains(all, "patch") || !strings.HasSuffix(all, "release") {
		t.Errorf("want nothing but the claim given back:\n%s", all)
	}
}

// A word goes through the cluster: where that is gone for good, a member that holds would wait for ever.
func TestAMemberThatHoldsEndsSafelyWhenItsClusterIsGone(t *testing.T) {
	for _, row := range []struct {
		name, step string
		gone       time.Duration // after which the cluster is gone
		until      time.Duration // by when the member has ended
		outcome    rollout.Outcome
	}{
		{"when it begins to hold", "drain", 0, time.Hour, rollout.Returned},
		{"and also later", "drain", 5 * time.Hour, 7 * time.Hour, rollout.Returned},
		{"changed, it stays as it is", "patch", 5 * time.Hour, 7 * time.Hour, rollout.Quarantined},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := attended("web-1", "web-2")
			w.on[row.step+" web-1"] = func(int) rollout.MemberResult {
				return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "unreachable"}
			}
			var suite testsuite.WorkflowTestSuite
			env := environment(&suite)
			env.SetTestTimeout(30 * time.Second)
			env.SetWorkflowRunTimeout(48 * time.Hour)
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.MemberID("web-1"), TaskQueue: workflows.Queue})
			workflows.Register(env)
			w.register(env)
			began := env.Now()
			env.OnSignalExternalWorkflow(mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(func(string, string, string, string, any) error {
				if env.Now().Sub(began) < row.gone {
					return nil
				}
				return &temporal.UnknownExternalWorkflowExecutionError{}
			})
			st := workflows.MemberState{Member: rollout.NewMember(instance, "web", "web-1", rollout.ModePatch, true, w.member), Part: "part:web", Plan: "sha256:plan", Parent: web, Try: 1}
			env.ExecuteWorkflow(workflows.MemberType, st)
			if !env.IsWorkflowCompleted() {
				t.Fatal("it waits for ever")
			}
			var r workflows.MemberReport
			if app := (*temporal.ApplicationError)(nil); asApp(env.GetWorkflowError(), &app) {
				if err := app.Details(&r); err != nil {
					t.Fatal(err)
				}
			} else if err := env.GetWorkflowResult(&r); err != nil {
				t.Fatal(err)
			}
			if took := env.Now().Sub(began); r.Outcome != row.outcome || took < row.gone || took > row.until {
				t.Errorf("it ended %q after %s: %s; want %s between %s and %s", r.Outcome, took, r.Reason, row.outcome, row.gone, row.until)
			}
			if !strings.Contains(w.holds(), "the workflow "+web+" is gone") {
				t.Errorf("told\n%s\nwant that its cluster is gone", w.holds())
			}
		})
	}
}
