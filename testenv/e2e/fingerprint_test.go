package e2e

import (
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// A patch that renames its host passes every check of its page: the fingerprint alone tells. Its way back brings the name back.
func TestKnowsRenamedHost(t *testing.T) {
	const diff = "- hostname web-1, + hostname renamed"
	s := begin(t)
	s.publish("1.6")
	peers := s.logs("web-2", "web-3")
	s.lossless(s.traffic(func() {
		st := s.run(s.campaign(false, "web"), 3)
		if st.State != "halted" || !strings.Contains(st.Reason, diff) {
			s.Errorf("campaign is %s: %q, want halted because of %q", st.State, st.Reason, diff)
		}
		m := st.Stages[0].Clusters[0].Members[0]
		if m.Outcome != string(rollout.BackedOut) || !strings.Contains(m.Reason, diff) || strings.Contains(m.Reason, "did not restore") {
			s.Errorf("the canary is %s: %q, want backed-out because of %q, and restored", m.Outcome, m.Reason, diff)
		}
	}))
	s.at("1.0", web...)
	s.untouched(peers)
	s.safe()
}
