package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// frozenNights is a world with windows every night, and a freeze that begins after the canary's and lasts for four of them. bob may break it;
// ann asked for the instance, signed.
func frozenNights(members ...string) (*world, calendar.Span) {
	w := nights(members, 1, 2, 3, 4, 5, 6, 7, 8)
	f := calendar.Span{Start: night(2, -time.Hour), End: night(6, -time.Hour), Name: "fair"}
	w.hours.cal.Freezes = []calendar.Span{f}
	w.keys.known, w.keys.revoked = []string{"ann", "bob", "carol", "dave"}, map[string]bool{"dave": true}
	s := statement(approval.Request, approval.GateRun)
	w.request = &approval.Signed{Statement: s.Text(), Signature: "ann"}
	w.agreement = plan.Agreement{Freezes: []plan.Freeze{{Name: "fair", Reason: "shop", People: []string{"ann", "bob", "dave"}}, {Name: "audit", Reason: "books"}}}
	return w, f
}

// lasting is a word about a freeze that counts until a time.
func lasting(d approval.Decision, f calendar.Span, until time.Time) approval.Statement {
	s := statement(d, approval.GateFreeze(f.Name, f.Start, f.End))
	s.Expires = until
	return s
}

// since is so long after the campaign began.
func since(at time.Time) time.Duration { return at.Sub(evening) }

func TestAFreezeIsBrokenByItsOwnApproversOnly(t *testing.T) {
	w, f := frozenNights("web-1", "web-2", "web-3")
	h := w.hours
	c := workflows.CampaignID(instance)
	at := night(3, 30*time.Minute)
	var waited workflows.ClusterState
	st, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		words := 0
		no := func(m rollout.Message, refused string) {
			words++
			vote(t, env, since(at)-10*time.Minute+time.Duration(words)*time.Second, c, workflows.UpdateApprove, m, refused)
		}
		gate := approval.GateFreeze(f.Name, f.Start, f.End)
		no(by("carol", lasting(approval.Approve, f, testEnd)), "carol does not count here")
		no(by("ann", lasting(approval.Approve, f, testEnd)), "ann asked for this instance")
		no(by("dave", lasting(approval.Approve, f, testEnd)), "key SHA256:dave is revoked")
		no(by("mallory", lasting(approval.Approve, f, testEnd)), "nobody is known to have key SHA256:mallory")
		no(by("bob", lasting(approval.Approve, f, night(1, 0))), "it expired at")
		no(by("bob", lasting(approval.Approve, calendar.Span{Name: "audit", Start: f.Start, End: f.End}, testEnd)), `freeze "audit" names no approvers in the files, and so nobody can break it`)
		no(by("bob", lasting(approval.Approve, calendar.Span{Name: "fiar", Start: f.Start, End: f.End}, testEnd)), `has no freeze "fiar"; it has: fair, audit`)
		no(by("bob", lasting(approval.Approve, calendar.Span{Name: "fair", Start: night(-30, 0), End: night(-20, 0)}, testEnd)), `that span of freeze "fair" ended at`)
		no(by("bob", statement(approval.Approve, gate, "start")), "a word about a freeze is about that one alone")
		no(by("bob", statement(approval.Approve, "freeze/fair")), `"freeze/fair" names no freeze`)
		other := lasting(approval.Approve, f, testEnd)
		other.Plan = "sha256:other"
		no(by("bob", other), "it is for plan sha256:other")
		other = lasting(approval.Approve, f, testEnd)
		other.Instance = "monthly-20261201T020000Z"
		no(by("bob", other), "it is for instance")
		no(rollout.Message{Actor: "bob", Reason: "go"}, "waits at no gate")
		// One that is for another span is a good word, and breaks nothing here.
		vote(t, env, since(at)-9*time.Minute, c, workflows.UpdateApprove, by("bob", lasting(approval.Approve, calendar.Span{Name: "fair", Start: f.Start, End: f.End.Add(time.Hour)}, testEnd)), "")
		w.before(t, env, since(at)-time.Minute, "drain web-2")
		env.RegisterDelayedCallback(func() {
			v, err := env.QueryWorkflowByID(workflows.ClusterID(instance, "web"), workflows.QueryState)
			if err == nil {
				err = v.Get(&waited)
			}
			if err != nil {
				t.Error(err)
			}
		}, since(at)-time.Minute)
		vote(t, env, since(at), c, workflows.UpdateApprove, by("bob", lasting(approval.Approve, f, testEnd)), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, h)
	}
	if len(waited.Stands) != 1 || waited.Stands[0].Name != "fair" || !waited.Stands[0].From.Equal(f.Start) || !waited.Stands[0].To.Equal(f.End) {
		t.Errorf("before, it says that it waits for %+v", waited.Stands)
	}
	near(t, "the canary is drained", h.at("drain web-1", 1), night(1, 0))
	near(t, "its peer is drained as soon as the freeze is broken", h.at("drain web-2", 1), at)
	if n := len(st.Approvals); n != 2 || st.Approvals[1].Actor != "bob" || st.Approvals[1].Claimed || st.Approvals[1].Gate != approval.GateFreeze(f.Name, f.Start, f.End) {
		t.Errorf("on its list of approvals: %+v", st.Approvals)
	}
	for _, cause := range []approval.Cause{approval.CauseRole, approval.CauseRequester, approval.CauseRevokedKey, approval.CauseUnknownKey, approval.CauseExpired, approval.CausePlan, approval.CauseInstance} {
		if n := w.recorded("refused, " + string(cause) + ": "); n != 1 {
			t.Errorf("refused for %q: on record %d times, want once", cause, n)
		}
	}
	for _, says := range []string{"names no approvers in the files", "ended at", "about that one alone"} {
		if w.recorded(says) != 1 {
			t.Errorf("a refusal that says %q is on record %d times", says, w.recorded(says))
		}
	}
}

// A word counts until it expires: who does not fit before begins no more.
func TestABrokenFreezeStandsAgain(t *testing.T) {
	for _, row := range []struct {
		says  string
		after func(t *testing.T, env *testsuite.TestWorkflowEnvironment, f calendar.Span)
		until time.Time
	}{
		{"when the word expires", nil, night(3, time.Hour)},
		{"when it is taken back", func(t *testing.T, env *testsuite.TestWorkflowEnvironment, f calendar.Span) {
			vote(t, env, since(night(3, 20*time.Minute)), workflows.CampaignID(instance), workflows.UpdateReject, by("bob", lasting(approval.Reject, f, testEnd)), "")
		}, testEnd},
	} {
		t.Run(row.says, func(t *testing.T) {
			w, f := frozenNights("web-1", "web-2", "web-3", "web-4")
			h := w.hours
			for _, m := range w.members {
				h.takes[m] = 30 * time.Minute
			}
			st, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
				vote(t, env, since(night(2, 12*time.Hour)), workflows.CampaignID(instance), workflows.UpdateApprove, by("bob", lasting(approval.Approve, f, row.until)), "")
				if row.after != nil {
					row.after(t, env, f)
				}
			})
			if err != nil || st.Outcome != rollout.CampaignDone {
				t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, h)
			}
			near(t, "a peer is drained while it is broken", h.at("drain web-2", 1), night(3, 0))
			near(t, "the next one after the freeze", h.at("drain web-3", 1), night(6, 0))
			if len(st.Broken) != 0 {
				t.Errorf("in the end it is broken still: %+v", st.Broken)
			}
		})
	}
}

// Where nobody can tell who asked for the instance, nobody breaks a freeze for it: he might be the one.
func TestNoFreezeIsBrokenForWhoIsNotKnown(t *testing.T) {
	w, f := frozenNights("web-1", "web-2")
	w.request = nil
	st, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, since(night(3, 0)), workflows.CampaignID(instance), workflows.UpdateApprove, by("bob", lasting(approval.Approve, f, testEnd)), "nobody can tell who asked for")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	near(t, "the peer is drained after the freeze", w.hours.at("drain web-2", 1), night(6, 0))
}

// A freeze that a person typed is ended by the thaw: whoever breaks a calendar's does not reach it.
func TestATypedFreezeIsNotBroken(t *testing.T) {
	w, f := frozenNights("web-1", "web-2")
	h := w.hours
	st, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			h.frozen = "the whole estate is frozen by eve"
		}, since(night(2, 0)))
		env.OnSignalExternalWorkflow(mock.Anything, workflows.FreezeID, "", "waits", mock.Anything).Return(nil)
		vote(t, env, since(night(2, time.Hour)), workflows.CampaignID(instance), workflows.UpdateApprove, by("bob", lasting(approval.Approve, f, testEnd)), "")
		w.before(t, env, since(night(4, 0)), "drain web-2")
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			h.frozen = ""
			w.mu.Unlock()
			if err := env.SignalWorkflowByID(workflows.ClusterID(instance, "web"), "thawed", nil); err != nil {
				t.Error(err)
			}
		}, since(night(4, 10*time.Minute)))
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, h)
	}
	near(t, "the peer is drained after the thaw", h.at("drain web-2", 1), night(4, 10*time.Minute))
	if told := strings.Join(w.toldOf(rollout.TellGate), "; "); !strings.Contains(told, "freeze fair is broken for "+instance+" by bob until") {
		t.Errorf("people were told %q", told)
	}
}
