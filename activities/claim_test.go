package activities

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// runsAs answers whether a workflow runs.
type runsAs struct {
	Workflows
	running bool
}

func (r runsAs) Ask(context.Context, AskInput) (AskResult, error) {
	return AskResult{Running: r.running, Status: "Completed", Instance: "e-1"}, nil
}

// Who asks for a cluster has to be the cluster of an emergency that runs.
func TestDemanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for says, row := range map[string]struct {
			running bool
			state   string
			no      string
		}{
			"an emergency's cluster":         {true, `{"name": "web", "policy": {"emergency": true}}`, ""},
			"one that has ended":             {false, `{"name": "web", "policy": {"emergency": true}}`, "cluster/e-1/web does not run (Completed)"},
			"another campaign's":             {true, `{"name": "web", "policy": {}}`, "is no cluster of an emergency"},
			"something else":                 {true, `["a page"]`, "is no cluster of an emergency"},
			"a workflow that tells no State": {true, ``, "is no cluster of an emergency"},
		} {
			w := newWorld()
			a := w.activities()
			a.Workflows = lastOf{runsAs{a.Workflows, row.running}, row.state}
			r, err := do(t, nil, a.Demanded, AskInput{WorkflowID: "cluster/e-1/web"})
			if err != nil || !strings.HasSuffix(r.No, row.no) || (r.No == "") != (row.no == "") {
				t.Errorf("%s: %q, %v, want %q", says, r.No, err, row.no)
			}
		}
	})
}

// lastOf answers with the State of a workflow.
type lastOf struct {
	runsAs
	state string
}

func (l lastOf) LastRun(_ context.Context, in LastRunInput) (LastRun, error) {
	if in.RunID == "" {
		return LastRun{RunID: "run-1"}, nil
	}
	return LastRun{RunID: in.RunID, State: []byte(l.state)}, nil
}

// A claim that an emergency takes over is never free, and nobody but an emergency may take it.
func TestClaimIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, p := w.activities(), webPart()
		in := ClaimInput{Instance: instance, Workflow: "cluster/a/web", Reason: "monthly patches", Intent: intent("claim", "")}
		in.Part, _ = w.Put(t.Context(), plan.Body(p))
		act := func(work func(context.Context, ClaimInput) (ClaimResult, error), in ClaimInput) ClaimResult {
			t.Helper()
			r, err := do(t, nil, work, in)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		urgent, other := in, in
		urgent.Instance, urgent.Workflow, urgent.Emergency = "e-1", "cluster/e-1/web", true
		other.Instance, other.Workflow = "weekly-1", "cluster/weekly-1/web"
		if r := act(a.Claim, in); !r.OK {
			t.Fatalf("nobody has it: %+v", r)
		}
		if r := act(a.Claim, urgent); r.OK || !slices.Equal(r.Holders, []string{"cluster/a/web"}) {
			t.Errorf("an emergency hears whom to ask: %+v", r)
		}
		if r := act(a.Claim, other); r.OK || len(r.Holders) > 0 {
			t.Errorf("and nobody else does: %+v", r)
		}
		hand := in
		hand.YieldTo = urgent.Workflow
		a.Workflows = runsAs{a.Workflows, true}
		if r := act(a.Release, hand); r.OK || !r.Held || !strings.Contains(r.Reason, "has not taken it yet") || w.records["cluster/web"].Owner != instance {
			t.Errorf("handed over and not taken: %+v, %v", r, w.records)
		}
		if r := act(a.Claim, other); r.OK {
			t.Errorf("what is handed over to an emergency another one took: %+v", r)
		}
		if r := act(a.Claim, urgent); !r.OK || w.records["cluster/web"].Owner != "e-1" {
			t.Errorf("the emergency takes it: %+v, %v", r, w.records)
		}
		if r := act(a.Release, hand); !r.OK || r.Reason != "handed over: it is e-1's" || w.records["cluster/web"].Owner != "e-1" {
			t.Errorf("taken, there is nothing left to give back: %+v, %v", r, w.records)
		}
		second := urgent
		second.Instance, second.Workflow = "e-2", "cluster/e-2/web"
		if r := act(a.Claim, second); r.OK || len(r.Holders) > 0 {
			t.Errorf("no emergency hands over to another: %+v", r)
		}
		act(a.Release, urgent)
		act(a.Claim, in)
		a.Workflows = runsAs{a.Workflows, false}
		if r := act(a.Release, hand); !r.OK || !strings.HasPrefix(r.Reason, "given back: cluster/e-1/web") || len(w.records) > 0 {
			t.Errorf("the emergency is over, and nobody wants it any more: %+v, %v", r, w.records)
		}
	})
}
