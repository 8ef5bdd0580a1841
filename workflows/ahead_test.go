package workflows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (w *world) registerAhead(env *testsuite.TestWorkflowEnvironment) {
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.AheadInput) (activities.AheadResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		name := strings.TrimPrefix(in.Part, "part:")
		w.hours.note("ahead " + name)
		w.calls = append(w.calls, "ahead "+name)
		w.count["ahead"]++
		var r activities.AheadResult
		if w.ahead != nil {
			var err error
			if r.AheadResult, err = w.ahead(w.count["ahead"]); err != nil {
				return r, err
			}
		}
		w.entries = append(w.entries, in.Intent)
		e, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: "fetch-ahead"})
		w.entries = append(w.entries, e)
		r.Audit = head
		return r, nil
	}, activity.RegisterOptions{Name: "FetchAhead"})
}

func early(c *rollout.Campaign) {
	for i := range c.Clusters {
		c.Clusters[i].Ahead.Wanted = true
	}
}

// What is approved is fetched at once, long before the window; what nobody agreed to is not.
func TestFetchedOnceApproved(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.policy.SoakApproval = false
	w.hosts = map[string][]string{"cache": {"cache-1", "cache-2"}}
	w.more = []rollout.Ref{{Name: "cache", Part: "part:cache", Stage: 1, Total: 2}}
	w.rules = func(c *rollout.Campaign) { c.Stages = []string{"staging", "production"}; early(c) }
	w.agreement.Gates = []plan.Gate{{ID: "start", Rule: two}, {ID: "stage/production", Stage: 1, Rule: approval.Rule{Quorum: 1}}}
	begun := func(what string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(strings.Join(w.calls, "\n"), what)
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", statement(approval.Approve, "start")), "")
		w.before(t, env, 2*time.Hour, "ahead")
		vote(t, env, 3*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "")
		env.RegisterDelayedCallback(func() {
			if !begun("ahead web") {
				t.Error("what was approved is not fetched")
			}
		}, 3*time.Hour+time.Minute)
		w.before(t, env, 90*time.Hour, "ahead cache")
		vote(t, env, 91*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "stage/production")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
	if !begun("ahead cache") || w.count["ahead"] != 2 {
		t.Errorf("fetched ahead %d times, want once for each cluster:\n%s", w.count["ahead"], strings.Join(w.calls, "\n"))
	}
	if _, err := audit.Verify(st.Audit, chainOf(w.entries, st.Audit.Chain)); err != nil {
		t.Errorf("the campaign's chain: %v", err)
	}
}

func chainOf(all []audit.Entry, chain string) (own []audit.Entry) {
	for _, e := range all {
		if e.Chain == chain {
			own = append(own, e)
		}
	}
	return own
}

// A fetch that fails is no failure of anybody: it is tried again until the window opens, told then, and the members fetch for themselves.
func TestAFetchAheadThatFailsIsTold(t *testing.T) {
	for _, row := range []struct {
		says  string
		ahead func(call int) (rollout.AheadResult, error)
		tries int
		told  string
	}{
		{"all is there before the window", nil, 1, ""},
		{"it is there in the end", func(call int) (rollout.AheadResult, error) {
			if call == 1 {
				return rollout.AheadResult{Why: "web-2: no answer"}, nil
			}
			return rollout.AheadResult{}, nil
		}, 2, ""},
		{"it never is", func(int) (rollout.AheadResult, error) { return rollout.AheadResult{Why: "web-2: no answer"}, nil }, 2, "cluster web begins, and not all of its packages were fetched before: web-2: no answer"},
		{"nobody can say", func(int) (rollout.AheadResult, error) {
			return rollout.AheadResult{}, temporal.NewNonRetryableApplicationError("body sha256:x: gone", activities.ErrBadInput, errors.New("gone"))
		}, 2, "cluster web begins, and not all of its packages were fetched before: body sha256:x: gone"},
	} {
		t.Run(row.says, func(t *testing.T) {
			w := nights([]string{"web-1", "web-2", "web-3"}, 1, 2, 3)
			w.ahead, w.rules = row.ahead, early
			st, err := w.eveningCampaign(t, nil)
			if err != nil || st.Outcome != rollout.CampaignDone || st.Clusters[0].Failed > 0 {
				t.Fatalf("campaign ended %q: %s, %v, %d failed; want done", st.Outcome, st.Reason, err, st.Clusters[0].Failed)
			}
			if w.count["ahead"] < row.tries || row.told == "" && w.count["ahead"] != row.tries {
				t.Errorf("tried %d times, want %d", w.count["ahead"], row.tries)
			}
			first := w.hours.at("ahead web", 1)
			near(t, "fetched ahead", first, evening)
			if night := w.hours.at("fetch web-1", 1); night.Before(night1()) || !first.Before(night) {
				t.Errorf("the canary fetched at %s, and ahead at %s", night, first)
			}
			for n := 1; ; n++ {
				at := w.hours.at("ahead web", n)
				if at.IsZero() {
					break
				}
				if at.After(night1().Add(time.Minute)) {
					t.Errorf("it is still tried at %s", at)
				}
			}
			got := strings.Join(w.waits(), "\n")
			if strings.Contains(got, "fetched before") != (row.told != "") || !strings.Contains(got, row.told) || strings.Count(got, "fetched before") > 1 {
				t.Errorf("told %q, want %q once", got, row.told)
			}
		})
	}
}

func night1() time.Time { return night(1, 0) }
