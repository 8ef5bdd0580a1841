package rollout

import (
	"testing"
	"time"
)

// A newer version than the planned one is no difference, and whoever looks at the member reads of it.
func TestAMemberSaysWhatItGotInAnotherVersion(t *testing.T) {
	const newer = "in another version than planned: lab-web 1.4 in place of 1.1"
	for _, row := range []struct{ left, want string }{{"", newer}, {"1 package is in quarantine", "1 package is in quarantine; " + newer}} {
		m := NewMember("i", "web", "web-1", ModePatch, true, MemberPolicy{WaitMax: time.Hour, RetryEvery: time.Second})
		for n := 0; m.Outcome == "" && n < 50; n++ {
			r := MemberResult{Verdict: Pass, Changes: 1}
			switch m.Step {
			case StepFetch:
				r.Newer, r.LeftOut = newer, row.left
			case StepGate:
				r.Peers = []Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 1, PeersIn: 2}}
			}
			m = m.Apply(string(m.Step)+"."+itoa(m.Asked), r, time.Unix(1_000_000, 0))
		}
		if m.Outcome != Patched || m.Reason != row.want {
			t.Errorf("%s: %q, want %q", m.Outcome, m.Reason, row.want)
		}
	}
}
