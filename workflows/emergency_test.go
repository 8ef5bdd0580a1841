package workflows_test

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const theEmergency = "cluster/monthly-emergency-20261101T020000Z/web"

// takenOver has an emergency ask for cluster web.
func takenOver(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration) {
	env.RegisterDelayedCallback(func() {
		if err := env.SignalWorkflowByID(workflows.ClusterID(instance, "web"), "yield", theEmergency); err != nil {
			t.Error(err)
		}
	}, at)
}

func TestEmergencyTakesASoakingClusterOver(t *testing.T) {
	w := newWorld("web-1", "web-2")
	b := w.asks(func(string, int) (string, error) { return "CHG1", nil })
	w.release = func(call int) rollout.ClaimResult {
		return rollout.ClaimResult{OK: call > 3, Held: call <= 3, Reason: "handed over"}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		takenOver(t, env, 5*time.Hour)
		takenOver(t, env, 5*time.Hour) // said twice, it changes nothing
	})
	if !halted(err) || st.Outcome != rollout.CampaignHalted || !strings.Contains(st.Reason, "superseded") || !strings.Contains(st.Reason, "soak 1") {
		t.Fatalf("campaign ended %q: %s, %v", st.Outcome, st.Reason, err)
	}
	if all := strings.Join(w.calls, "\n"); strings.Contains(all, "web-2\n") && strings.Contains(all, "drain web-2") || strings.Contains(all, "backout") {
		t.Errorf("more was done than soak:\n%s", all)
	}
	if w.count["Release"] != 4 {
		t.Errorf("the claim was handed over with %d questions, want 4: until it is taken", w.count["Release"])
	}
	if n := b.asked[len(b.asked)-1].Counts; n == nil || n.Superseded != 1 || n.NotBegun != 0 || n.Hosts != 1 {
		t.Errorf("whoever keeps changes is told %+v, want one cluster that was superseded, with a host that is patched", n)
	}
	taken := 0
	for _, e := range w.entries {
		if e.Action == "take over" && e.Actor == theEmergency {
			taken++
		}
	}
	if taken != 1 {
		t.Errorf("the chain says %d times who took it over", taken)
	}
}

// A signal alone ends no soak: who asks has to be an emergency.
func TestACampaignIsHandedOverToNobodyElse(t *testing.T) {
	w := newWorld("web-1", "web-2")
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			if err := env.SignalWorkflowByID(workflows.ClusterID(instance, "web"), "yield", "cluster/monthly-emergncy/web"); err != nil {
				t.Error(err)
			}
		}, 5*time.Hour)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Errorf("campaign ended %q: %s, %v", st.Outcome, st.Reason, err)
	}
	var refused []string
	for _, e := range w.entries {
		if e.Action == "take over refused" {
			refused = append(refused, e.Actor+" "+e.Result)
		}
	}
	if want := "cluster/monthly-emergncy/web cluster/monthly-emergncy/web is no cluster of an emergency"; len(refused) != 1 || refused[0] != want {
		t.Errorf("refused on the chain: %q, want %q", refused, want)
	}
}

func TestEmergencyWaitsForTheMemberOnItsWay(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.on["check web-1"] = func(call int) rollout.MemberResult {
		if call < 20 {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "unreachable"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		takenOver(t, env, 3*time.Minute)
		w.before(t, env, 6*time.Minute, "release")
	})
	all := strings.Join(w.calls, "\n")
	undrained, released := strings.Index(all, "undrain web-1"), strings.Index(all, "release")
	if !halted(err) || !strings.Contains(st.Reason, "superseded") || undrained < 0 || released < undrained || strings.Contains(all, "drain web-2") {
		t.Errorf("campaign ended %q: %s, %v\n%s", st.Outcome, st.Reason, err, all)
	}
}

func TestUsualApprovalOfAnEmergencyIsOwed(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.policy.SoakApproval, w.policy.Emergency, w.member.Keep = false, true, true
	w.rules = func(c *rollout.Campaign) { c.Emergency = "openssl" }
	named := []approval.Approver{{Principal: "carol", Roles: []approval.Role{approval.Urgent}}}
	w.agreement.Gates = []plan.Gate{
		{ID: approval.GateEmergency, Rule: approval.Rule{Quorum: 1, Roles: []approval.Role{approval.Urgent}, Approvers: named}},
		{ID: approval.GateStart, Rule: two, After: true},
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		approve := func(at time.Duration, who, gate, refused string) {
			vote(t, env, at, ofCampaign, workflows.UpdateApprove, by(who, statement(approval.Approve, gate)), refused)
		}
		approve(time.Hour, "bob", "emergency", "does not count here")
		approve(90*time.Minute, "ann", "emergency", "asked for this instance")
		w.before(t, env, 2*time.Hour, "claim")
		approve(2*time.Hour, "carol", "emergency", "")
		approve(40*time.Hour, "bob", "start", "")
		env.RegisterDelayedCallback(func() {
			if page := details(t, env, ofCampaign); !strings.Contains(page, "owes the usual approval of gate start, overdue since") {
				t.Errorf("the campaign's page says\n%s", page)
			}
		}, 60*time.Hour)
		approve(80*time.Hour, "carol", "start", "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
	overdue := 0
	for _, n := range w.toldOf("gate") {
		if strings.Contains(n, "is overdue since") {
			overdue++
		}
	}
	if overdue != 3 {
		t.Errorf("in three days people were told %d times that it is overdue: %v", overdue, w.toldOf("gate"))
	}
}
