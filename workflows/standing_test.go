package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// bodies are the plan of a schedule, one cluster of which would get these packages.
type bodies struct{ packages []string }

func (b bodies) Put(context.Context, []byte) (string, error) {
	return "", errors.New("nothing is kept here")
}

func (b bodies) Get(_ context.Context, digest string) ([]byte, error) {
	if strings.HasPrefix(digest, "part:") {
		p := plan.Part{Planned: &plan.Planned{Platforms: []plan.Platform{{OS: "debian"}}}}
		for _, name := range b.packages {
			p.Planned.Platforms[0].Packages = append(p.Planned.Platforms[0].Packages, plan.Version{Name: name, Version: "2"})
		}
		return plan.Body(p), nil
	}
	return plan.Body(plan.Plan{
		Name: "monthly", Stages: []plan.Stage{{Name: "production", Clusters: []plan.Cluster{{Name: "web", Part: "part:web"}}}}, Agreement: plan.Agreement{Gates: []plan.Gate{{ID: "start"}}},
	}), nil
}

// stands is a standing approval of somebody for libraries on web, as it travels.
func stands(who string, change func(*approval.Standing)) approval.Signed {
	nonces.Lock()
	defer nonces.Unlock()
	nonces.last++
	s := approval.Standing{
		Schedule: "monthly", Files: "sha256:files", Gates: []string{"start"}, Clusters: []string{"web"}, Packages: []string{"lib*"}, Reason: "our usual night",
		At: firedAt.Add(-time.Hour), Expires: firedAt.Add(60 * 24 * time.Hour), Nonce: fmt.Sprintf("%04d-nonce-0123456", nonces.last),
	}
	if change != nil {
		change(&s)
	}
	return approval.Signed{Statement: s.Text(), Signature: who}
}

// signedFiring is one of a schedule that ann has created with a signature, whose start wants a signed word.
func signedFiring(packages ...string) *fired {
	f := gatedFiring()
	f.agreement.Gates[0].Rule.Unsigned = false
	f.keys.known, f.keys.revoked = []string{"ann", "bob", "carol"}, map[string]bool{}
	f.bodies = bodies{packages: packages}
	s := statement(approval.Request, approval.GateRun)
	s.Plan, s.Instance = "sha256:files", ""
	f.request = &approval.Signed{Statement: s.Text(), Signature: "ann"}
	return f
}

// signs has somebody agree after so long.
func signs(who string, after time.Duration) func(env *testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			s := statement(approval.Approve, "start")
			s.Instance = madeInstance
			err := env.UpdateWorkflowByID(workflows.CampaignID(madeInstance), workflows.UpdateApprove, "id-"+who, &testsuite.TestUpdateCallback{
				OnReject: func(err error) { panic(err) }, OnAccept: func() {}, OnComplete: func(_ any, err error) {
					if err != nil {
						panic(err)
					}
				},
			}, by(who, s))
			if err != nil {
				panic(err)
			}
		}, after)
	}
}

func TestStandingApprovalOpensTheGateOfWhatIsWithin(t *testing.T) {
	const inAMonth = "is open by the standing approval monthly/"
	for _, row := range []struct {
		name     string
		packages []string
		stands   func(call int) ([]approval.Signed, error)
		rule     approval.Rule
		signs    time.Duration // bob agrees himself after so long; 0: he does not
		meddle   func(f *fired)
		begun    time.Duration // -1: never
		told     string        // at the gate
		recorded string
	}{
		{name: "all is within", packages: []string{"libc6", "libssl3"}, begun: lead, told: inAMonth, recorded: "taken at gate start"},
		{name: "a package is outside", packages: []string{"libc6", "linux-image-6.1"}, signs: 20 * time.Hour, begun: lead,
			told: "of bob does not count: not within: linux-image-6.1 of cluster web is not among packages lib*", recorded: "refused, not within"},
		{name: "and nobody agrees himself", packages: []string{"linux-image-6.1"}, begun: -1, told: "waits for approval"},
		{name: "two are asked", packages: []string{"libc6"}, rule: two, signs: 20 * time.Hour, begun: -1, told: "waits for 1 more person; agreed: bob"},
		{name: "two have one", packages: []string{"libc6"}, rule: two, begun: lead, told: "is open by the standing approvals monthly/", stands: func(int) ([]approval.Signed, error) {
			return both, nil
		}},
		{name: "it is handed in later", packages: []string{"libc6"}, begun: lead, told: inAMonth, stands: func(call int) ([]approval.Signed, error) {
			if call < 4 {
				return nil, nil
			}
			return both[:1], nil
		}},
		{name: "nobody can read them, at first", packages: []string{"libc6"}, begun: lead, told: "standing approvals could not be looked for: connection refused", stands: func(call int) ([]approval.Signed, error) {
			if call < 7 { // three attempts each
				return nil, errors.New("connection refused")
			}
			return both[:1], nil
		}},
		{name: "withdrawn before it opens", packages: []string{"libc6"}, begun: -1, told: "is withdrawn", stands: func(call int) ([]approval.Signed, error) {
			if call == 1 {
				return both[:1], nil
			}
			return nil, nil
		}},
		{name: "its key is revoked", packages: []string{"libc6"}, begun: -1, told: "is revoked", meddle: func(f *fired) { f.keys.revoked["bob"] = true }},
		{name: "the requester's own", packages: []string{"libc6"}, begun: -1, told: "ann asked for this instance", stands: func(int) ([]approval.Signed, error) {
			return []approval.Signed{stands("ann", nil)}, nil
		}},
		{name: "a person had it fire", packages: []string{"libc6"}, signs: 20 * time.Hour, begun: 20 * time.Hour, told: "waits for approval", meddle: func(f *fired) { f.begin = 0 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := signedFiring(row.packages...)
			if row.rule.Quorum > 0 {
				f.agreement.Gates[0].Rule = row.rule
			}
			if f.standing = row.stands; row.stands == nil {
				f.standing = func(int) ([]approval.Signed, error) { return both[:1], nil }
			}
			if row.signs > 0 {
				f.say = signs("bob", row.signs)
			}
			if row.meddle != nil {
				row.meddle(f)
			}
			if _, err := f.fire(t); err != nil {
				t.Fatal(err)
			}
			if f.begun() != row.begun && (row.begun >= 0 || f.begun() >= 0) {
				t.Errorf("it begins after %s, want %s", f.begun(), row.begun)
			}
			if text := f.told(rollout.TellGate) + f.told(rollout.TellSkip); !strings.Contains(text, row.told) {
				t.Errorf("people are told %q, want %q", text, row.told)
			}
			if row.recorded != "" && f.recorded(row.recorded) == 0 {
				t.Errorf("%q is on no chain", row.recorded)
			}
		})
	}
}

// both are a standing approval of bob, and one of carol.
var both = []approval.Signed{stands("bob", nil), stands("carol", nil)}

func TestStandingApprovalsAreKept(t *testing.T) {
	w := newWorld()
	w.keys.known, w.bodies = []string{"bob"}, bodies{}
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetStartTime(firedAt)
	env.SetWorkflowRunTimeout(90 * 24 * time.Hour)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.StandingID("monthly"), TaskQueue: workflows.Queue})
	workflows.Register(env)
	w.register(env)
	until := func(d time.Duration) func(*approval.Standing) {
		return func(s *approval.Standing) { s.At, s.Expires = firedAt.Add(time.Minute), firedAt.Add(d) }
	}
	first, second := stands("bob", until(10*24*time.Hour)), stands("bob", until(20*24*time.Hour))
	nameOf := func(s approval.Signed) string {
		p, err := approval.ParseStanding(s.Statement)
		if err != nil {
			t.Fatal(err)
		}
		return p.Name()
	}
	n := 0
	say := func(at time.Duration, word string, m workflows.StandingWord, refused string) {
		n++
		m.Actor, m.Reason = "ann", "because"
		if m.ID == "" {
			m.ID = fmt.Sprint("id-", n)
		}
		update := fmt.Sprint("update-", n)
		env.RegisterDelayedCallback(func() {
			answer := func(err error) {
				if (err == nil) != (refused == "") || err != nil && !strings.Contains(err.Error(), refused) {
					t.Errorf("after %s, %s of %s is answered %v, want %q", at, word, m.Name, err, refused)
				}
			}
			env.UpdateWorkflow(word, update, &testsuite.TestUpdateCallback{OnAccept: func() {}, OnReject: answer, OnComplete: func(_ any, err error) { answer(err) }}, m)
		}, at)
	}
	signedBy := func(s approval.Signed) workflows.StandingWord {
		return workflows.StandingWord{Message: rollout.Message{Statement: s.Statement, Signature: s.Signature}, Plan: "sha256:files"}
	}
	stood := func(at time.Duration, want ...string) {
		env.RegisterDelayedCallback(func() {
			var st workflows.StandingState
			v, err := env.QueryWorkflow(workflows.QueryState)
			if err == nil {
				err = v.Get(&st)
			}
			var got []string
			for _, s := range st.Stands() {
				got = append(got, nameOf(s))
			}
			if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("after %s there are %v, %v; want %v", at, got, err, want)
			}
		}, at)
	}
	say(30*time.Second, workflows.UpdateHandIn, signedBy(stands("mallory", until(time.Hour))), "nobody is known to have key")
	again := signedBy(first)
	again.ID = "twice"
	say(40*time.Second, workflows.UpdateHandIn, again, "")
	say(2*time.Minute, workflows.UpdateHandIn, again, "")
	say(3*time.Minute, workflows.UpdateHandIn, signedBy(first), "it was handed in already")
	say(4*time.Minute, workflows.UpdateHandIn, signedBy(second), "")
	say(5*time.Minute, workflows.UpdateHandIn, signedBy(stands("bob", func(s *approval.Standing) { s.Gates = []string{"stage/other"} })), "have no gate stage/other; they have: start")
	say(6*time.Minute, workflows.UpdateHandIn, signedBy(stands("bob", func(s *approval.Standing) { s.Schedule = "weekly" })), `it is for schedule "weekly"`)
	stood(time.Hour, nameOf(first), nameOf(second))
	say(2*time.Hour, workflows.UpdateWithdraw, workflows.StandingWord{Name: "monthly/none"}, "there is no standing approval")
	gone := workflows.StandingWord{Name: nameOf(second)}
	gone.ID = "gone"
	say(3*time.Hour, workflows.UpdateWithdraw, gone, "")
	say(4*time.Hour, workflows.UpdateWithdraw, gone, "")
	say(5*time.Hour, workflows.UpdateWithdraw, workflows.StandingWord{Name: nameOf(second)}, "was withdrawn already, by ann (claimed)")
	say(6*time.Hour, workflows.UpdateHandIn, signedBy(second), "and withdrawn by ann (claimed): sign anew")
	stood(7*time.Hour, nameOf(first))
	stood(11 * 24 * time.Hour)
	say(12*24*time.Hour, workflows.UpdateHandIn, signedBy(second), "is handed in within 24 hours or not at all")
	start := env.Now()
	env.ExecuteWorkflow(workflows.StandingType, workflows.StandingState{Schedule: "monthly"})
	if !env.IsWorkflowCompleted() || env.GetWorkflowError() != nil {
		t.Fatalf("it did not end well: %v", env.GetWorkflowError())
	}
	if lasted := env.Now().Sub(start); lasted < 20*24*time.Hour || lasted > 21*24*time.Hour {
		t.Errorf("it lasts %s, want until the last one has expired", lasted)
	}
	taken, withdrawn := w.recorded("is taken, until"), w.recorded("counts at no gate that is not open yet")
	if taken != 2 || withdrawn != 1 {
		t.Errorf("on the chain: %d taken, %d withdrawn:\n%+v", taken, withdrawn, w.entries)
	}
	var st workflows.StandingState
	v, err := env.QueryWorkflow(workflows.QueryState)
	if err == nil {
		err = v.Get(&st)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(st.Audit, w.entries); err != nil {
		t.Error(err)
	}
}

// registerStanding adds the activities of standing approvals.
func (w *world) registerStanding(env *testsuite.TestWorkflowEnvironment) {
	calls := 0
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.StandingInput) ([]approval.Signed, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		calls++
		if w.standing == nil {
			return nil, nil
		}
		if in.Schedule != "monthly" {
			return nil, fmt.Errorf("nobody knows schedule %q", in.Schedule)
		}
		return w.standing(calls)
	}, activity.RegisterOptions{Name: "Standing"})
}
