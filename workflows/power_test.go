package workflows_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// What an attempt came to that nobody heard of again, nobody knows: the host may be at work when the next one comes.
func TestPowerIsCycledOnceWhateverBecomesOfIt(t *testing.T) {
	for _, row := range []struct {
		sentence string
		fails    error
	}{
		{"it is through", nil},
		{"its worker is gone", errors.New("the worker is gone")},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			w := newWorld("web-1", "web-2")
			w.member.PowerAfter = 20 * time.Minute
			w.errs["power web-1"] = func(int) error { return row.fails }
			w.on["reboot web-1"] = func(int) rollout.MemberResult {
				if w.count["power web-1"] > 0 {
					return rollout.MemberResult{Verdict: rollout.Pass}
				}
				return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "no answer", Late: true, Begun: true, Power: true}
			}
			st, err := w.campaign(t, nil)
			if err != nil || st.Outcome != rollout.CampaignDone {
				t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
			}
			if w.count["power web-1"] != 1 {
				t.Errorf("cycled %d times, want once", w.count["power web-1"])
			}
			at := slices.Index(w.calls, "power web-1")
			if before := w.count["reboot web-1"]; w.calls[at-1] != "reboot web-1" || w.calls[at+1] != "reboot web-1" || before < 38 {
				t.Errorf("asked %d times, %q and %q around it; want it between two looks, after twenty minutes", before, w.calls[at-1], w.calls[at+1])
			}
		})
	}
}
