package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// books are whoever keeps changes.
type books struct {
	w     *world
	asked []activities.ChangeNotice
	calls []int // how many calls of the world had been made by then
	// answer is what each attempt gets, by event and number.
	answer func(event string, attempt int) (string, error)
}

func (b *books) Change(_ context.Context, _ campaign.Change, n activities.ChangeNotice) (string, error) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.asked, b.calls = append(b.asked, n), append(b.calls, len(b.w.calls))
	attempt := 0
	for _, a := range b.asked {
		if a.Event == n.Event {
			attempt++
		}
	}
	return b.answer(n.Event, attempt)
}

// planned is the store of a plan with a hook.
type planned struct{}

func (planned) Put(context.Context, []byte) (string, error) { return "", errors.New("nothing is kept") }

func (planned) Get(context.Context, string) ([]byte, error) {
	return plan.Body(plan.Plan{
		Name: "monthly", Reason: "security updates", Change: &campaign.Change{Command: []string{"open-change"}},
		Stages: []plan.Stage{{Name: "production", Clusters: []plan.Cluster{{Name: "web", Members: []string{"web-1", "web-2"}}}}},
	}), nil
}

// asks has a world's campaigns ask whoever keeps changes.
func (w *world) asks(answer func(event string, attempt int) (string, error)) *books {
	b := &books{w: w, answer: answer}
	w.changes = b
	w.rules = func(c *rollout.Campaign) {
		c.Change = &rollout.Change{By: "the change hook (open-change)", Timeout: 30 * time.Second, Within: 10 * time.Minute}
	}
	return b
}

func (b *books) heard() string {
	var out []string
	for _, n := range b.asked {
		out = append(out, strings.TrimSpace(n.Event+" "+n.Key+" "+n.Change+" "+n.Outcome))
	}
	return strings.Join(out, "; ")
}

const opened, closed = "open " + instance, "close " + instance + "/close"

func TestAChangeNumberIsKnownBeforeAnythingBegins(t *testing.T) {
	w := newWorld("web-1", "web-2")
	b := w.asks(func(event string, attempt int) (string, error) {
		if event == "open" && attempt < 3 {
			return "", errors.New("the reply was lost")
		}
		return "CHG1", nil
	})
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone || st.Change.Number != "CHG1" || st.Change.Told.IsZero() {
		t.Fatalf("campaign ended %q, %v, with the change %+v; want done, CHG1, and told", st.Outcome, err, st.Change)
	}
	if got, want := b.heard(), strings.Join([]string{opened, opened, opened, closed + " CHG1 done"}, "; "); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if b.calls[2] != 0 || b.calls[3] != len(w.calls) {
		t.Errorf("the world had seen %d calls before the number, and %d of %d before the end was told; want none and all", b.calls[2], b.calls[3], len(w.calls))
	}
	if c := b.asked[3].Counts; c == nil || c.Done != 1 || c.Hosts != 2 {
		t.Errorf("counts are %+v, want 1 cluster done with 2 hosts", c)
	}
	if _, err := audit.Verify(st.Audit, w.entries); err != nil {
		t.Errorf("campaign's chain: %v", err)
	}
	if !slices.ContainsFunc(w.entries, func(e audit.Entry) bool { return e.Action == "change" && e.Result == "change CHG1" }) {
		t.Error("the number is not on the audit chain")
	}
}

func TestARefusedChangeStartsNothing(t *testing.T) {
	for _, row := range []struct {
		says string
		err  error
		want string // of the reason
		told string // what was heard after the last question
	}{
		{"a refusal", &activities.RefusedError{Reason: "change freeze"}, "not started: its change was refused by the change hook (open-change): change freeze", ""},
		{"silence", errors.New("connection refused"), "not started: no change number from the change hook (open-change) within 10m0s: ", closed + "  aborted"},
	} {
		t.Run(row.says, func(t *testing.T) {
			w := newWorld("web-1", "web-2")
			b := w.asks(func(event string, _ int) (string, error) {
				if event == "open" {
					return "", row.err
				}
				return "", nil
			})
			st, err := w.campaign(t, nil)
			if !halted(err) || st.Outcome != rollout.CampaignAborted || !strings.HasPrefix(st.Reason, row.want) {
				t.Fatalf("campaign ended %q, %v: %s; want %q", st.Outcome, err, st.Reason, row.want)
			}
			if len(w.calls) != 0 {
				t.Errorf("it did %v, want nothing: no claim, no drain", w.calls)
			}
			if row.told == "" && len(b.asked) != 1 || row.told != "" && (b.asked[len(b.asked)-1].Event != "close" || b.asked[len(b.asked)-1].Outcome != "aborted" || len(b.asked) < 5) {
				t.Errorf("asked %s", b.heard())
			}
			if n := len(w.notices); n != 1 || w.notices[0].Event != rollout.TellHalted || !strings.Contains(w.notices[0].Text, "rollpatch run") {
				t.Errorf("told %+v, want that it was not started, and what to type", w.notices)
			}
			if _, err := audit.Verify(st.Audit, w.entries); err != nil {
				t.Errorf("campaign's chain: %v", err)
			}
		})
	}
}

func TestAnEndThatNobodyHearsKeepsNoHost(t *testing.T) {
	w := newWorld("web-1", "web-2")
	var end time.Time
	w.asks(func(event string, _ int) (string, error) {
		if event == "open" {
			return "CHG1", nil
		}
		return "", errors.New("connection refused")
	})
	st, err := w.campaign(t, nil)
	end = st.EndedAt
	if err != nil || st.Outcome != rollout.CampaignDone || !strings.Contains(st.Change.Untold, "connection refused") || end.IsZero() {
		t.Fatalf("campaign ended %q, %v, with the change %+v; want done and not told", st.Outcome, err, st.Change)
	}
	if got := w.deeds(); got[len(got)-1] != "release" {
		t.Errorf("last call is %q, want the release of the claim", got)
	}
	if !slices.ContainsFunc(w.notices, func(n activities.Notice) bool { return strings.Contains(n.Text, "close the change CHG1 by hand") }) {
		t.Errorf("told %+v, want that CHG1 is to be closed by hand", w.notices)
	}
}

func TestAbortedWhileAChangeNumberIsAskedFor(t *testing.T) {
	w := newWorld("web-1", "web-2")
	b := w.asks(func(event string, attempt int) (string, error) {
		if event == "open" && attempt < 5 {
			return "", errors.New("busy")
		}
		return "CHG1", nil
	})
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflow(workflows.UpdateAbort, "a1", &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { t.Errorf("abort was rejected: %v", err) }, OnComplete: func(any, error) {},
			}, rollout.Message{Actor: "bob", Reason: "not tonight"})
		}, 4*time.Second)
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted || len(w.calls) != 0 {
		t.Fatalf("campaign ended %q, %v, and did %v; want aborted, and nothing", st.Outcome, err, w.calls)
	}
	if got := b.heard(); !strings.HasSuffix(got, closed+" CHG1 aborted") {
		t.Errorf("asked %s; want CHG1 closed as aborted", got)
	}
}
