package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// updaters is what the hosts say when they are asked to turn automatic updates off or on, the n-th time; nil: that it is done.
type updaters struct {
	answer func(word string, n int) rollout.ClaimResult
	turn   int
	before []string // host, and what fetch was given of what it had before
}

func (w *world) registerUpdaters(env *testsuite.TestWorkflowEnvironment) {
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.UpdatersInput) (activities.ClaimResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		word := map[bool]string{true: "off", false: "on"}[in.Off]
		w.count[word]++
		w.calls = append(w.calls, "updaters "+word)
		if in.Turn <= w.updaters.turn {
			return activities.ClaimResult{}, fmt.Errorf("turn %d came after %d", in.Turn, w.updaters.turn)
		}
		w.updaters.turn = in.Turn
		r := activities.ClaimResult{ClaimResult: rollout.ClaimResult{OK: true}}
		if w.updaters.answer != nil {
			r.ClaimResult = w.updaters.answer(word, w.count[word])
		}
		if in.Off && r.OK {
			r.Before = "sha256:before"
		}
		w.entries = append(w.entries, in.Intent)
		e, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: "updaters"})
		w.entries = append(w.entries, e)
		r.Audit = head
		return r, nil
	}, activity.RegisterOptions{Name: "Updaters"})
}

// at is where in the calls something is.
func (w *world) at(call string) int { return slices.Index(w.calls, call) }

func TestUpdatersAreOffWhileAClusterIsPatched(t *testing.T) {
	w := newWorld("web-1", "web-2")
	w.policy.Updaters = true
	away := rollout.ClaimResult{Reason: "web-2 cannot be reached"}
	w.updaters.answer = func(_ string, n int) rollout.ClaimResult {
		if n < 4 {
			return away
		}
		return rollout.ClaimResult{OK: true}
	}
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v", st.Outcome, err)
	}
	if w.count["off"] != 4 || w.count["on"] != 4 {
		t.Errorf("asked %d times for off and %d for on, want each until it is through", w.count["off"], w.count["on"])
	}
	off, on := w.at("updaters off"), w.at("updaters on")
	if claim, first, release := w.at("claim"), w.at("inspect web-1"), w.at("release"); claim > off || off+3 > first || on < w.at("undrain web-2") || on+3 > release {
		t.Errorf("want them off before the first member and on after the last one:\n%s", strings.Join(w.calls, "\n"))
	}
}

func TestUpdatersComeBackAfterAnAbort(t *testing.T) {
	for says, when := range map[string]time.Duration{"while it waits for a member": 10 * time.Minute, "in the soak": 3 * time.Hour} {
		w := attended("web-1", "web-2")
		w.policy.Updaters = true
		w.updaters.answer = func(word string, n int) rollout.ClaimResult {
			return rollout.ClaimResult{OK: word == "on" || when > time.Hour, Reason: "web-2 cannot be reached"}
		}
		st, _ := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) { abortAt(t, env, when) })
		if st.Outcome != rollout.CampaignAborted || w.count["off"] == 0 || w.count["on"] != 1 {
			t.Errorf("%s: campaign ended %q, %d times off, %d on", says, st.Outcome, w.count["off"], w.count["on"])
		}
		if on, release := w.at("updaters on"), w.at("release"); on < 0 || on > release || slices.Contains(w.calls[on:], "updaters off") {
			t.Errorf("%s:\n%s", says, strings.Join(w.calls, "\n"))
		}
	}
}

func TestSurveysTurnUpdatersOnThatWereLeftOff(t *testing.T) {
	w, e := newWorld("web-1", "web-2"), &estate{records: []activities.Claim{of("updaters/web/web-1"), of("cluster/web")}}
	st := w.survey(t, e)
	if len(e.records) > 0 || !slices.Contains(e.dropped, "restore updaters/web/web-1") {
		t.Errorf("left %v, did %v; the page says %v", e.records, e.dropped, st.Notes)
	}
	w, e = newWorld("web-1", "web-2"), &estate{records: []activities.Claim{of("updaters/web/web-1")}, cannot: errors.New("web-1 cannot be reached")}
	st = w.survey(t, e)
	if len(e.records) != 1 || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "automatic updates of web-1 were left off by "+instance) || !strings.Contains(st.Notes[0], "cannot be reached") {
		t.Errorf("left %v; the page says %v", e.records, st.Notes)
	}
	w, e = newWorld("web-1", "web-2"), &estate{records: []activities.Claim{of("updaters/web/web-1")}, works: map[string]activities.AskResult{"cluster/" + instance + "/web": {Running: true}}}
	w.survey(t, e)
	if len(e.records) != 1 {
		t.Errorf("it turns on what its cluster keeps off: %v", e.dropped)
	}
}

// The campaign goes on, for weeks maybe. Its cluster has ended, is to be taken up, or is not known: put back to a time before it began.
func TestSurveysTurnUpdatersOnWhenTheirClusterHasEnded(t *testing.T) {
	for status, back := range map[string]bool{"Completed": true, "Failed": true, "Terminated": false, "Running": false, activities.NotFound: false} {
		cluster := activities.AskResult{Status: status, Running: status == "Running", EndedFromOutside: status == "Terminated"}
		w, e := newWorld("web-1", "web-2"), &estate{records: []activities.Claim{of("updaters/web/web-1"), of("cluster/db")}, works: map[string]activities.AskResult{
			"campaign/" + instance: {Status: "Running", Running: true}, "cluster/" + instance + "/web": cluster,
		}}
		w.survey(t, e)
		if got := slices.Contains(e.dropped, "restore updaters/web/web-1"); got != back || len(e.dropped) > 1 {
			t.Errorf("%s: it did %v, want the updates back: %t, and nothing else", status, e.dropped, back)
		}
	}
}

// A member that another hand has changed holds its cluster; a retry is a person's word to go on from there.
func TestAnotherHandIsToldAndWaitsForAWord(t *testing.T) {
	w := attended("web-1", "web-2")
	w.policy.Updaters, w.policy.Soak, w.policy.SoakApproval = true, time.Hour, false
	w.on["fetch web-2"] = func(n int) rollout.MemberResult {
		if n == 1 {
			return rollout.MemberResult{Verdict: rollout.Fail, Reason: "somebody else has changed it", OtherHand: true}
		}
		return rollout.MemberResult{Verdict: rollout.Pass, Changes: 1}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		say(t, env, 8*time.Hour, workflows.ClusterID(instance, "web"), workflows.UpdateRetry, rollout.Message{}, true)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v", st.Outcome, err)
	}
	if !strings.Contains(w.holds(), "somebody else has changed it") {
		t.Errorf("told %q", w.holds())
	}
	if want := []string{"web-1 sha256:before", "web-2 sha256:before", "web-2 "}; !slices.Equal(w.updaters.before, want) {
		t.Errorf("fetch was given %q, want %q", w.updaters.before, want)
	}
}
