package workflows_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// sick has a host fail its first check after the patch.
func (w *world) sick(host string) {
	w.on["check "+host] = func(call int) rollout.MemberResult {
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
}

func TestABadPatchIsQuarantinedBeforeTheClaimIsGivenBack(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.sick("web-1")
	w.record = func(call int) rollout.ClaimResult {
		return rollout.ClaimResult{OK: call > 2, Reason: "no way to Consul"}
	}
	st, err := w.campaign(t, nil)
	if !halted(err) {
		t.Fatalf("campaign ended %q, %v; want halted", st.Outcome, err)
	}
	if deeds := w.deeds(); len(w.shut) != 3 || !slices.Equal(deeds[len(deeds)-2:], []string{"quarantine versions", "release"}) {
		t.Errorf("asked for %d records, last calls %v; want three, and the release once it is there", len(w.shut), w.calls[max(0, len(w.calls)-4):])
	}
	got := w.shut[2]
	if e := got.Evidence; e.Host != "web-1" || e.Changes != "sha256:changes" || e.Manifest != "sha256:manifest" || e.Why != "page answers 500" || e.At.IsZero() || got.Plan != "sha256:plan" || got.Instance != instance || got.Part != "part:web" {
		t.Errorf("put on record %+v", got)
	}
	if !slices.ContainsFunc(w.notices, func(n activities.Notice) bool {
		return n.Event == rollout.TellQuarantine && n.Next == "rollpatch quarantine list"
	}) {
		t.Errorf("nobody was told: %+v", w.notices)
	}
	if _, err := audit.Verify(st.Audit, w.entries); err != nil {
		t.Errorf("campaign's chain: %v", err)
	}
	on := 0
	for _, e := range w.entries {
		if e.Chain == workflows.ClusterID(instance, "web") && e.Action == "quarantine" && e.Kind == audit.Intent && strings.Contains(e.Detail, "page answers 500") {
			on++
		}
	}
	if on != 3 {
		t.Errorf("%d intents on the cluster's chain, want one for each time it was asked for", on)
	}
}

func TestASoakThatFailsQuarantinesWhatItsCanaryGot(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.watch = func(int) rollout.WatchResult {
		return rollout.WatchResult{Verdict: rollout.Fail, Reason: "page answers 500"}
	}
	if _, err := w.campaign(t, nil); !halted(err) {
		t.Fatalf("%v, want halted", err)
	}
	if len(w.shut) != 1 || w.shut[0].Evidence.Why != "soak failed: page answers 500" || w.shut[0].Evidence.Host != "web-1" {
		t.Errorf("put on record %+v", w.shut)
	}
}

func TestAnAbortQuarantinesNoVersions(t *testing.T) {
	w := newWorld("web-1", "web-2")
	st, _ := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(env.CancelWorkflow, 3*time.Hour) // in the canary's soak
	})
	if st.Outcome != rollout.CampaignAborted || len(w.shut) > 0 {
		t.Errorf("ended %s with %+v on record, want aborted and nothing", st.Outcome, w.shut)
	}
}

// The next instance finds what it leaves out, says so, and is done; a version that mends it is installed.
func TestTheNextInstanceLeavesThemOut(t *testing.T) {
	w := newWorld("web-1", "web-2")
	for _, host := range w.members {
		w.on["fetch "+host] = func(int) rollout.MemberResult {
			return rollout.MemberResult{Verdict: rollout.Pass, Nothing: true, Reason: "nothing to do; left out: lab-web 1.2", LeftOut: "left out: lab-web 1.2"}
		}
	}
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	if ref := st.Clusters[0]; ref.Reason != "left out: lab-web 1.2" {
		t.Errorf("cluster says %q, want what was left out", ref.Reason)
	}
	if all := strings.Join(w.calls, "\n"); strings.Contains(all, "drain") || len(w.shut) > 0 {
		t.Errorf("members were touched:\n%s", all)
	}

	w = newWorld("web-1", "web-2")
	w.on["fetch web-1"] = func(int) rollout.MemberResult {
		return rollout.MemberResult{Verdict: rollout.Pass, Changes: 1, LeftOut: "left out: openssl 3.1"}
	}
	st, err = w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone || st.Clusters[0].Reason != "left out: openssl 3.1" {
		t.Fatalf("campaign ended %q, %v, %+v; want done, and what was left out", st.Outcome, err, st.Clusters[0])
	}
	if !strings.Contains(strings.Join(w.calls, "\n"), "patch web-2") {
		t.Errorf("what is left was not installed: %v", w.calls)
	}
}
