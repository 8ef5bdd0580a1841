package workflows_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func startOptions() client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: workflows.CampaignID(instance), TaskQueue: workflows.Queue}
}

func asApp(err error, into **temporal.ApplicationError) bool { return errors.As(err, into) }

func TestGoodCampaignPatchesCanarySoaksThenPeers(t *testing.T) {
	w := newWorld("web-1", "web-2", "web-3")
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	var patched []string
	soaked := -1
	for i, c := range w.calls {
		if strings.HasPrefix(c, "patch ") {
			patched = append(patched, strings.TrimPrefix(c, "patch "))
		}
		if c == "watch web-1" && soaked < 0 {
			soaked = i
		}
	}
	if got, want := strings.Join(patched, " "), "web-1 web-2 web-3"; got != want {
		t.Errorf("patched %q, want %q", got, want)
	}
	if soaked < 0 {
		t.Error("the canary's soak was never watched")
	}
	if got := w.deeds(); got[len(got)-1] != "release" {
		t.Errorf("last call is %q, want the release of the claim", got)
	}
	if len(w.notices) != 1 || w.notices[0].Event != rollout.TellDone {
		t.Errorf("told %+v, want one done", w.notices)
	}
}

func TestEveryActionIsOnTheChain(t *testing.T) {
	w := newWorld("web-1", "web-2", "web-3")
	st, err := w.campaign(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(st.Audit, w.entries); err != nil {
		t.Errorf("campaign's chain: %v", err)
	}
	heads := map[string]audit.Entry{}
	for _, e := range w.entries {
		if e.Seq > heads[e.Chain].Seq {
			heads[e.Chain] = e
		}
	}
	for chain, last := range heads {
		strays, err := audit.Verify(last.Head(), w.entries)
		// A watch that was cancelled may have written an outcome that nobody took: beside the chain, not in it.
		if err != nil || len(strays) > 0 && !strings.HasSuffix(chain, "#watch") {
			t.Errorf("chain %s: %v, %d strays", chain, err, len(strays))
		}
	}
	if len(heads) != 6 { // campaign, cluster, its watch, three members
		t.Errorf("%d chains, want 6: %v", len(heads), heads)
	}
}

func TestBadPatchIsBackedOutAndPeersStayUntouched(t *testing.T) {
	w := newWorld("web-1", "web-2", "web-3")
	w.on["check web-1"] = func(call int) rollout.MemberResult {
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	st, err := w.campaign(t, nil)
	if !halted(err) || st.Outcome != rollout.CampaignHalted {
		t.Fatalf("campaign ended %q, %v; want halted", st.Outcome, err)
	}
	all := strings.Join(w.calls, "\n")
	for _, want := range []string{"backout web-1", "undrain web-1", "release"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if strings.Contains(all, "web-2") || strings.Contains(all, "web-3") {
		t.Errorf("a peer was touched:\n%s", all)
	}
	if !strings.Contains(st.Reason, "page answers 500") {
		t.Errorf("reason %q does not say what failed", st.Reason)
	}
	events := map[string]bool{}
	for _, n := range w.notices {
		events[n.Event] = true
	}
	for _, want := range []string{rollout.TellFail, rollout.TellBackout, rollout.TellHalted} {
		if !events[want] {
			t.Errorf("nobody was told of %q: %+v", want, w.notices)
		}
	}
}

func TestSoakWaitsForApproval(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.policy.Unattended, w.policy.SoakApproval, w.member.Unattended = false, true, false
	approved := false
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			for _, c := range w.calls {
				if c == "patch web-2" {
					t.Error("the peer was patched before a person approved")
				}
			}
			err := env.UpdateWorkflowByID(workflows.ClusterID(instance, "web"), workflows.UpdateApprove, "u1", &testsuite.TestUpdateCallback{
				OnAccept:   func() { approved = true },
				OnReject:   func(err error) { t.Errorf("approval was rejected: %v", err) },
				OnComplete: func(any, error) {},
			}, rollout.Message{Actor: "bob", Reason: "looks fine"})
			if err != nil {
				t.Error(err)
			}
		}, 30*time.Hour)
	})
	if err != nil || !approved || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v, approved %t; want done after approval", st.Outcome, err, approved)
	}
}

func TestFailingSoakBacksTheCanaryOut(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.watch = func(call int) rollout.WatchResult {
		if call < 3 {
			return rollout.WatchResult{Verdict: rollout.Pass, Passes: 3}
		}
		return rollout.WatchResult{Verdict: rollout.Fail, Reason: "latency"}
	}
	st, err := w.campaign(t, nil)
	if !halted(err) || st.Outcome != rollout.CampaignHalted {
		t.Fatalf("campaign ended %q, %v; want halted", st.Outcome, err)
	}
	all := strings.Join(w.calls, "\n")
	if !strings.Contains(all, "backout web-1") || strings.Contains(all, "web-2") {
		t.Errorf("want the canary backed out and its peer untouched, got\n%s", all)
	}
	if want := []string{"web-1 patch", "web-1 "}; !slices.Equal(w.inspected, want) {
		t.Errorf("inspected %q, want %q: what stands against a patch must not keep one from being taken back", w.inspected, want)
	}
}

func TestAbortBeforePatchReturnsTheMember(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.on["drain web-1"] = func(int) rollout.MemberResult { return rollout.MemberResult{Verdict: rollout.Pass} }
	gates := 0
	w.on["gate web-1"] = func(call int) rollout.MemberResult {
		gates = call
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Pass}
		}
		return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "no leader"}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.UpdateAbort, "a1", &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { t.Errorf("abort was rejected: %v", err) }, OnComplete: func(any, error) {},
			}, rollout.Message{Actor: "bob", Reason: "not tonight"})
		}, 5*time.Minute)
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted {
		t.Fatalf("campaign ended %q, %v; want aborted", st.Outcome, err)
	}
	all := strings.Join(w.deeds(), "\n")
	if gates < 2 || !strings.Contains(all, "undrain web-1") || strings.Contains(all, "patch web-1") || !strings.HasSuffix(all, "release") {
		t.Errorf("want drained, aborted, undrained, released; got\n%s", all)
	}
}

func TestClaimHeldByAnotherWaitsAndGoesOn(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.claim = from(4, heldByWeekly)
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	if w.count["Claim"] != 4 {
		t.Errorf("claimed %d times, want 4", w.count["Claim"])
	}
}

func TestSingleMemberIsRefusedAtRunTime(t *testing.T) {
	w := newWorld("solo-1")
	w.minimum = 1
	st, err := w.campaign(t, nil)
	if !halted(err) || !strings.Contains(st.Reason, "accept_impact") {
		t.Fatalf("campaign ended %q, %v; want a refusal that names accept_impact", st.Reason, err)
	}
	if all := strings.Join(w.calls, "\n"); strings.Contains(all, "solo-1") {
		t.Errorf("the host was touched:\n%s", all)
	}
}

func TestRunsOfOneHostHaveGrowingNumbersAndDistinctIDs(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.on["patch web-1"] = func(call int) rollout.MemberResult {
		if call <= 2 {
			return rollout.MemberResult{Verdict: rollout.Fail, Interrupted: true, Reason: "power cut"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	if _, err := w.campaign(t, nil); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, id := range w.runs {
		if seen[id] {
			t.Errorf("run %s was started twice", id)
		}
		seen[id] = true
	}
	if !seen[instance+".web-1.patch.web-1-3"] {
		t.Errorf("no third attempt of the patch in %v", w.runs)
	}
}

func TestCancelMeansAbort(t *testing.T) {
	w := newWorld("web-1", "web-2")
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(env.CancelWorkflow, 3*time.Hour) // in the canary's soak
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted {
		t.Fatalf("campaign ended %q, %v; want aborted", st.Outcome, err)
	}
	all := strings.Join(w.deeds(), "\n")
	if strings.Contains(all, "web-2") || strings.Contains(all, "backout") || !strings.HasSuffix(all, "release") {
		t.Errorf("want the canary left patched, its peer untouched and the claim released, got\n%s", all)
	}
}

func TestMessageWhileAnActivityIsInFlightStaysOnTheChain(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.claim = from(10, heldByWeekly)
	_, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		for i := range 20 { // every moment of the claims, answered and in flight
			env.RegisterDelayedCallback(func() {
				for _, word := range []string{workflows.UpdateHold, workflows.UpdateResume} {
					env.UpdateWorkflow(word, fmt.Sprint(word, i), &testsuite.TestUpdateCallback{
						OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
					}, rollout.Message{ID: fmt.Sprint(word, i), Actor: "ann", Reason: "because"})
				}
			}, time.Duration(i)*15*time.Second)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]audit.Entry{}
	for _, e := range w.entries {
		if e.Seq > last[e.Chain].Seq {
			last[e.Chain] = e
		}
	}
	words := 0
	for chain, e := range last {
		strays, err := audit.Verify(e.Head(), w.entries)
		if err != nil {
			t.Errorf("chain %s: %v", chain, err)
		}
		for _, s := range strays {
			if s.Kind != audit.Outcome {
				t.Errorf("chain %s: %+v stands beside it", chain, s)
			}
		}
	}
	for _, e := range w.entries {
		if e.Kind == audit.Message && e.Action != "run" {
			words++
		}
	}
	if words < 40 {
		t.Errorf("%d messages on the chains, want at least the campaign's 40", words)
	}
}

func TestSpentRunIsAskedAgainByAnotherOne(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.spent = "reboot web-1"
	w.on["reboot web-1"] = func(call int) rollout.MemberResult {
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "the reboot was refused"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	if _, err := w.campaign(t, nil); err != nil {
		t.Fatal(err)
	}
	var reboots []string
	for _, id := range w.runs {
		if strings.Contains(id, "web-1.reboot") {
			reboots = append(reboots, id)
		}
	}
	if len(reboots) != 2 || reboots[0] == reboots[1] {
		t.Errorf("reboots of web-1 were the runs %v, want two different ones", reboots)
	}
}

// A drain by scripts is a run, with a number above all that any host has seen for the member. One that may have begun is asked again under its
// own id, but never after the undrain that took it back.
func TestDrainsByScriptsAreRuns(t *testing.T) {
	w := newWorld("web-1", "web-2", "web-3")
	w.scripted = 40
	w.on["drain web-1"] = func(call int) rollout.MemberResult {
		if call <= 2 {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "peers fell", AskAgain: true}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	w.on["gate web-1"] = func(call int) rollout.MemberResult {
		r := rollout.MemberResult{Verdict: rollout.Pass}
		if call == 3 { // after the second drain
			r.Peers = []rollout.Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 1}}
		}
		return r
	}
	if _, err := w.campaign(t, nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, id := range w.runs {
		if name, ok := strings.CutPrefix(id, instance+".web-1."); ok && strings.Contains(name, "drain") {
			got = append(got, name)
		}
	}
	if want := []string{"drain.web-1-1", "drain.web-1-1", "undrain.web-1-1", "drain.web-1-2", "undrain.web-1-2"}; !slices.Equal(got, want) {
		t.Errorf("runs %v, want %v", got, want)
	}
	last := int64(40)
	for _, name := range []string{"drain.web-1-1", "undrain.web-1-1", "drain.web-1-2", "patch.web-1-1", "undrain.web-1-2"} {
		if n := w.numbers[instance+".web-1."+name]; n <= last {
			t.Errorf("%s has the number %d, not above %d", name, n, last)
		} else {
			last = n
		}
	}
}

func TestAnActivityThatCannotDoItsWorkIsTold(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.policy.Unattended, w.member.Unattended = false, false
	stuck := 0
	w.errs["inspect web-1"] = func(int) error { // the store's disk is full, say, for two hours
		if stuck++; stuck < 2000 {
			return errors.New("no space left on device")
		}
		return nil
	}
	st, err := w.campaign(t, abortAfterTwoDays(t))
	if err == nil && st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v", st.Outcome, err)
	}
	told := false
	for _, n := range w.notices {
		told = told || n.Event == rollout.TellHold
	}
	if !told {
		t.Errorf("nobody was told of an activity that cannot do its work: %+v", w.notices)
	}
}

func abortAfterTwoDays(t *testing.T) func(env *testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.UpdateAbort, "end", &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
			}, rollout.Message{Actor: "ann", Reason: "it is morning"})
		}, 48*time.Hour)
	}
}
