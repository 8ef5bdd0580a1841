package rollout

import (
	"strings"
	"testing"
	"time"
)

var (
	renamed = Difference{Item: "hostname", Gone: "mq-1", New: "localhost", Fails: true}
	newUser = Difference{Item: "users", New: "lab 999"}
)

func TestMemberLooksAsBefore(t *testing.T) {
	differs := func(v Verdict, all ...Difference) MemberResult {
		r := MemberResult{Verdict: v, Peers: peersIn}
		for _, d := range all {
			r.Differs.Add(d)
		}
		if v == Fail {
			r.Reason = "its fingerprint is not what it was: " + r.Differs.String()
		}
		return r
	}
	for _, row := range []struct {
		sentence string
		checks   []MemberResult // in order; everything else passes
		outcome  Outcome
		reason   string
		looks    string
	}{
		{"as before", []MemberResult{differs(Pass)}, Patched, "", ""},
		{"a warning is told at its end", []MemberResult{differs(Pass, newUser)}, Patched, "not as before its patch: + users lab 999", "+ users lab 999"},
		{"another name brings it back", []MemberResult{differs(Fail, renamed), differs(Pass)}, BackedOut, "its fingerprint is not what it was: - hostname mq-1, + hostname localhost", ""},
		{"what its way back did not restore is told", []MemberResult{differs(Fail, renamed, newUser), differs(Pass, newUser)}, BackedOut, "+ users lab 999; its way back did not restore: + users lab 999", "+ users lab 999"},
		{"a name that does not come back keeps it out", []MemberResult{differs(Fail, renamed), differs(Fail, renamed)}, Quarantined,
			"backed out, but its checks do not pass: its fingerprint is not what it was: - hostname mq-1, + hostname localhost", "- hostname mq-1, + hostname localhost"},
		{"what is not known is waited for", []MemberResult{{Verdict: Inconclusive, Reason: "away"}, differs(Pass, newUser)}, Patched, "not as before its patch: + users lab 999", "+ users lab 999"},
	} {
		m := NewMember("monthly-1", "mq", "mq-1", ModePatch, true, attended)
		now := epoch
		for range 40 {
			if m.Outcome != "" {
				break
			}
			now = now.Add(time.Minute)
			r := MemberResult{Verdict: Pass, Peers: peersIn}
			if m.Step == StepCheck {
				if r = row.checks[0]; len(row.checks) > 1 {
					row.checks = row.checks[1:]
				}
			}
			m = m.Apply(string(m.Step)+"."+itoa(m.Asked), r, now)
		}
		if m.Outcome != row.outcome || !strings.Contains(m.Reason, row.reason) || row.reason == "" && m.Reason != "" {
			t.Errorf("%s: %s: %q, want %s: %q", row.sentence, m.Outcome, m.Reason, row.outcome, row.reason)
		}
		if got := m.Looks().String(); got != row.looks {
			t.Errorf("%s: it looks %q, want %q", row.sentence, got, row.looks)
		}
		told := 0
		for _, n := range m.Outbox.Pending {
			if strings.Contains(n.Text, "does not look as before") {
				told++
			}
		}
		if want := strings.Contains(row.reason, "did not restore"); told > 1 || (told == 1) != want {
			t.Errorf("%s: people were told %d times that it was not restored, want %t", row.sentence, told, want)
		}
	}
}

func TestDiffersIsBounded(t *testing.T) {
	var d Differs
	for range 500 {
		d.Add(Difference{Item: "users", Gone: strings.Repeat("ä", 300), New: strings.Repeat("b", 300)})
	}
	if got := len(d.String()); d.More != 500-mostDifferences || got > 1200 || !strings.HasSuffix(d.String(), "and 495 more") {
		t.Errorf("it takes %d bytes, with %d more", got, d.More)
	}
}

// A cluster keeps how each member looks, and what it looked like before for its way back.
func TestSlotsKeepHowMembersLook(t *testing.T) {
	c := Cluster{Members: []Slot{{Host: "mq-1", Running: true, Mode: ModePatch}}}
	var d Differs
	d.Add(newUser)
	c = c.Ended(MemberEnd{Host: "mq-1", Mode: ModePatch, Outcome: Patched, Manifest: "sha256:m", Print: "sha256:p", Differs: d}, epoch)
	if s := c.Members[0]; s.Print != "sha256:p" || s.Differs.String() != "+ users lab 999" {
		t.Errorf("it keeps %q, %q", s.Print, s.Differs)
	}
}
