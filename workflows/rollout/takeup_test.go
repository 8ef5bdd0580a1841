package rollout

import (
	"testing"
	"time"
)

func TestAMemberThatIsTakenUpEndsSafely(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	begun := NewMember("monthly-1", "web", "web-1", ModePatch, true, MemberPolicy{Reboot: RebootAlways, WaitMax: time.Hour, RetryEvery: time.Minute})
	at := func(step Step, change func(*Member)) Member {
		m := begun
		m.Step = step
		if change != nil {
			change(&m)
		}
		return m
	}
	for _, c := range []struct {
		name    string
		from    Member
		step    Step // what it does next; "" means that it has ended
		outcome Outcome
	}{
		{"before its drain it is given back as it was", at(StepFetch, nil), "", Returned},
		{"in its drain it hears of the drain's end first", at(StepDrain, func(m *Member) { m.Drained = true }), StepDrain, ""},
		{"drained and not patched it goes back into service", at(StepGate, func(m *Member) { m.Drained, m.Proven = true, true }), StepUndrain, ""},
		{"in its patch it finishes the transaction", at(StepPatch, func(m *Member) { m.Drained, m.Proven, m.Touched = true, true, true }), StepPatch, ""},
		{"while its power was cycled it asks for the boot id, and cycles nothing again", at(StepPower, func(m *Member) { m.Drained, m.Proven, m.Touched, m.Applied, m.Powered = true, true, true, true, true }), StepReboot, ""},
		{"in its checks it goes on with them", at(StepCheck, func(m *Member) { m.Drained, m.Proven, m.Touched, m.Applied = true, true, true, true }), StepCheck, ""},
		{"on its way back it finishes that", at(StepBackout, func(m *Member) { m.Drained, m.Proven, m.Touched, m.Failed = true, true, true, true }), StepBackout, ""},
		{"what had ended only reports", at(StepUndrain, func(m *Member) { m.Outcome = Patched }), "", Patched},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.from.TakeUp("terminated", now)
			if !m.TakenUp {
				t.Error("its report would not say that it was taken up")
			}
			if m.Outcome != c.outcome {
				t.Fatalf("outcome %q (%s), want %q", m.Outcome, m.Reason, c.outcome)
			}
			if told := len(m.Outbox.Pending); c.from.Outcome == "" && told != 1 || c.from.Outcome != "" && told != 0 {
				t.Errorf("%d notices", told)
			}
			if c.step != "" && m.Step != c.step {
				t.Errorf("next is %s, want %s", m.Step, c.step)
			}
		})
	}
}

func TestAClusterHoldsWhenAMemberWasTakenUp(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	for _, outcome := range []Outcome{Patched, Returned, BackedOut} {
		c := Cluster{Name: "web", Phase: PhaseRoll, Members: []Slot{{Host: "web-1"}, {Host: "web-2"}}, MinHealthy: 1}
		c = c.Started("web-1", ModePatch, now)
		c = c.Ended(MemberEnd{Host: "web-1", Mode: ModePatch, Outcome: outcome, Manifest: "sha256:m", TakenUp: true}, now)
		if c.Phase != PhaseHold {
			t.Errorf("after %s it is in %s, want hold: a person ended that workflow for a reason", outcome, c.Phase)
		}
		if outcome == Patched && c.Manifest == "" {
			t.Error("the canary's manifest is lost")
		}
	}
}

func TestAClusterThatIsTakenUpStartsNothingAndReleases(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	for _, phase := range []Phase{PhaseClaim, PhaseRoll, PhaseSettle, PhaseSoak, PhaseGate, PhaseHold, PhaseRelease} {
		c := Cluster{Instance: "monthly-1", Name: "web", Phase: phase, Claimed: true, Members: []Slot{{Host: "web-1", Outcome: Patched, Canary: true}, {Host: "web-2"}}, MinHealthy: 1, Manifest: "sha256:m"}
		if phase == PhaseRelease {
			c.Ending = ClusterHalted
		}
		c = c.TakeUp("terminated", now)
		for range 5 {
			for _, a := range c.Next(now).Start {
				switch a.Do {
				case DoMember:
					t.Fatalf("from %s it starts %s", phase, a.Host)
				case DoClaim:
					c = c.Claim(a.ID, ClaimResult{OK: true}, now)
				case DoRelease:
					c = c.Released(a.ID, ClaimResult{OK: true}, now)
				case DoNotify:
					c.Outbox.Sent(a.Notice.N)
				}
			}
		}
		if c.Outcome == "" || c.Claimed {
			t.Errorf("from %s it came to %s, claimed %t", phase, c.Phase, c.Claimed)
		}
	}
}
