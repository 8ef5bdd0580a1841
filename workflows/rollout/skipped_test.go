package rollout

import (
	"strings"
	"testing"
	"time"
)

// A person gives up on a member while its step is being asked for once more: what ends it is that word, and not the clock.
func TestAMemberThatAPersonSkippedSaysWho(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	m := NewMember("i", "web", "web-1", ModePatch, false, MemberPolicy{WaitMax: 6 * time.Second, RetryEvery: time.Second, HoldMax: time.Hour})
	m.Step, m.Drained, m.Touched = StepPatch, true, true
	answer := func() {
		m = m.Apply("patch."+itoa(m.Asked), MemberResult{Verdict: Inconclusive, Reason: "host web-1: unreachable"}, now)
		now = now.Add(2 * time.Second)
	}
	for range 10 {
		answer()
	}
	if !m.Held {
		t.Fatalf("it does not hold: %+v", m)
	}
	m = m.Hear("skip", "skipped by ann (claimed): its disk is gone", now) // the next ask is in flight
	answer()
	if m.Step != StepQuarantine || !strings.HasPrefix(m.Why, "skipped by ann (claimed): its disk is gone while holding before patch: host web-1: unreachable") {
		t.Errorf("in %s: %q", m.Step, m.Why)
	}
}

// What its end left out of service is out since then, and one that is back is not.
func TestAMemberThatItsEndLeftOutSaysSinceWhen(t *testing.T) {
	c := Cluster{Instance: "i", Name: "web", Phase: PhaseRoll, Members: []Slot{{Host: "web-1", Running: true, Mode: ModePatch, Tries: 1}, {Host: "web-2"}}}
	c = c.Ended(MemberEnd{Host: "web-1", Mode: ModePatch, Try: 1, Outcome: Quarantined, OutAt: 7000}, time.Unix(9, 0))
	if c.Members[0].OutAt != 7000 {
		t.Errorf("out since %d, want 7000", c.Members[0].OutAt)
	}
}
