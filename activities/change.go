package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// ChangeNotice is what whoever keeps changes is told. The key is the same in every attempt: who answers a second one with another number would
// have opened a second change.
type ChangeNotice struct {
	Event     string   `json:"event"` // open or close
	Key       string   `json:"key"`
	Instance  string   `json:"instance"`
	Campaign  string   `json:"campaign"`
	Reason    string   `json:"reason"`
	Ticket    string   `json:"ticket,omitempty"`
	Requester string   `json:"requester"`
	Plan      string   `json:"plan"` // digest
	Clusters  []string `json:"clusters"`
	Hosts     int      `json:"hosts"`
	Time      string   `json:"time"`

	Change string  `json:"change,omitempty"` // its number, at a close; empty: none was heard, although one may have been opened
	Ended  string  `json:"ended,omitempty"`
	Counts *Counts `json:"counts,omitempty"`
	Ending
}

// Ending is how an instance ended.
type Ending struct {
	Outcome string `json:"outcome,omitempty"` // done, halted or aborted
	Why     string `json:"why,omitempty"`
}

// Counts are clusters by what became of them, and hosts that ended.
type Counts struct {
	Done       int `json:"done"`
	Halted     int `json:"halted"`
	Aborted    int `json:"aborted"`
	Superseded int `json:"superseded"` // by an emergency: hosts of it may be patched
	NotBegun   int `json:"not_begun"`
	Hosts      int `json:"hosts"`
}

// RefusedError is a no that asking again does not turn into a yes.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// ChangeInput asks for a change number, or says how the instance ended.
type ChangeInput struct {
	Plan      string      `json:"plan"` // digest
	Event     string      `json:"event"`
	Instance  string      `json:"instance"`
	Requester string      `json:"requester"`
	Number    string      `json:"number,omitempty"`
	Ended     time.Time   `json:"ended,omitzero"`
	Counts    *Counts     `json:"counts,omitempty"`
	Ending    Ending      `json:"ending,omitzero"`
	Intent    audit.Entry `json:"intent"`
}

// ChangeResult is the number (pass), or a no (fail). Whoever gives no answer is an error, and is asked again.
type ChangeResult struct {
	Verdict rollout.Verdict `json:"verdict"`
	Number  string          `json:"number,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Audit   audit.Head      `json:"audit"`
}

// Change talks to whoever keeps changes, under the audit chain.
func (a *Activities) Change(ctx context.Context, in ChangeInput) (ChangeResult, error) {
	var r ChangeResult
	var p plan.Plan
	if err := a.load(ctx, in.Plan, &p); err != nil {
		return r, err
	}
	if p.Change == nil {
		return r, temporal.NewNonRetryableApplicationError("plan "+in.Plan+" has no change hook", ErrBadInput, nil)
	}
	head, err := a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		number, err := a.Changes.Change(ctx, *p.Change, in.notice(p))
		var no *RefusedError
		switch {
		case errors.As(err, &no):
			r.Verdict, r.Reason = rollout.Fail, clip(no.Reason)
			return "refused: " + r.Reason, "", nil
		case err != nil:
			return "", "", fmt.Errorf("%s: %w", p.Change, err)
		}
		r.Verdict, r.Number = rollout.Pass, number
		if in.Event == rollout.ChangeClose {
			return "told", "", nil
		}
		return "change " + number, "", nil
	})
	r.Audit = head
	return r, err
}

func (in ChangeInput) notice(p plan.Plan) ChangeNotice {
	n := ChangeNotice{
		Event: in.Event, Key: in.Instance, Instance: in.Instance, Campaign: p.Name, Reason: p.Reason, Ticket: p.Ticket, Requester: in.Requester, Plan: in.Plan,
		Time: in.Intent.Time.UTC().Format(time.RFC3339), Change: in.Number, Counts: in.Counts, Ending: in.Ending,
	}
	if in.Event == rollout.ChangeClose { // another request, with a key of its own
		n.Key += "/" + in.Event
		n.Ended = in.Ended.UTC().Format(time.RFC3339)
	}
	for _, s := range p.Stages {
		for _, c := range s.Clusters {
			n.Clusters = append(n.Clusters, c.Name)
			n.Hosts += len(c.Members)
		}
	}
	return n
}
