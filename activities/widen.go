package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Widened says that a person has versions left out beyond the cluster that they failed in.
type Widened struct {
	ID   string    `json:"id"`   // of the request
	From string    `json:"from"` // the record that it was made of, CLUSTER/ID
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
}

// text is what follows the reason of a record; empty where nobody has widened it.
func (w *Widened) text() string {
	if w == nil {
		return ""
	}
	return fmt.Sprintf(", widened from %s by %s on %s: %s", w.From, w.By, w.At.UTC().Format(time.DateOnly), short(w.Why))
}

// WidenInput has versions in quarantine left out in another place too, on a person's word.
type WidenInput struct {
	Part    string      `json:"part"`  // whose Consul it is
	Scope   string      `json:"scope"` // a cluster, or Everywhere
	Of      Claim       `json:"of"`    // what is widened; its versions are in the store
	Widened Widened     `json:"widened"`
	Intent  audit.Entry `json:"intent"`
}

// WidenResult says whether they were in quarantine there before.
type WidenResult struct {
	Already bool       `json:"already,omitempty"`
	Audit   audit.Head `json:"audit"`
}

// Widen puts a record of its own there: it is found by whoever reads those of that cluster, reminded of to its people, and released by
// itself. Asked again, it changes nothing.
func (a *Activities) Widen(ctx context.Context, in WidenInput) (WidenResult, error) {
	var r WidenResult
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return r, err
	}
	record, suspects := in.Of, *in.Of.Suspects
	_, id, _ := strings.Cut(strings.TrimPrefix(in.Of.Key, rollout.VersionsRecord), "/")
	record.Key = rollout.VersionsRecord + in.Scope + "/" + id
	if err := a.load(ctx, suspects.Body, &suspects.Versions); err != nil {
		return r, err
	}
	suspects.Body, suspects.Stage = "", "" // what has not finished in a stage says the first record
	record.Suspects, record.Widened = &suspects, &in.Widened
	if in.Scope != rollout.Everywhere {
		record.Told = toldOf(p)
	}
	r.Audit, err = a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		access := consulOf(p, p.Cluster.Consul, "")
		if _, err := a.Claims.Take(ctx, access, []Claim{record}); err != nil {
			return "", "", fmt.Errorf("record %s: %w", record.Key, err)
		}
		stands, ok, err := a.record(ctx, access, record.Key)
		if err == nil && !ok {
			err = fmt.Errorf("record %s: somebody has released it at once", record.Key)
		}
		if err != nil {
			return "", "", err
		}
		if r.Already = stands.Widened == nil || stands.Widened.ID != in.Widened.ID; r.Already {
			return "in quarantine there already", "", nil
		}
		return "left out: " + listed(suspects.Versions), "", nil
	})
	return r, err
}
