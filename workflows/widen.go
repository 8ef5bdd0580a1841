package workflows

import (
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// widen has versions in quarantine left out elsewhere too. Where it does not come through, what was done stands, and the same asked again does
// the rest.
func (r *records) widen(ctx workflow.Context, all []Record) ([]Record, error) {
	rec, ok := find(all, rollout.VersionsRecord+r.in.Name)
	switch {
	case !ok:
		return nil, refused("no versions are in quarantine as %s: rollpatch quarantine list shows those that are", r.in.Name)
	case rec.Broken != "":
		return nil, refused("%s", rec.Broken)
	case rec.Elsewhere:
		return nil, refused("%s of %s belongs to another rollpatch, with a Temporal database of its own: say it there", rec.Key, rec.Owner)
	case rec.Suspects == nil:
		return nil, refused("the record %s names no versions: nobody knows what to leave out", rec.Key)
	}
	_, id, _ := strings.Cut(r.in.Name, "/")
	m := r.in.Message
	var lost error
	name := r.in.Scope + "/" + id
	for _, part := range r.in.Parts[1:] {
		in := activities.WidenInput{
			Part: part, Scope: r.in.Scope, Of: rec.Claim, Intent: intend(ctx, &r.head, r.in.Word, "", "", r.in.Name+" to "+name),
			Widened: activities.Widened{ID: m.ID, From: r.in.Name, By: m.Actor, At: workflow.Now(ctx).UTC(), Why: m.Reason},
		}
		var done activities.WidenResult
		if err := workflow.ExecuteActivity(brief(ctx, r.segment(part), "leave "+r.in.Name+" out as "+name), "Widen", in).Get(ctx, &done); err != nil {
			r.owed.owe(in.Intent)
			r.owed.add(ctx, &r.head, audit.Entry{Kind: audit.Outcome, Actor: "rollpatch", Action: r.in.Word, Result: "unknown: " + cause(err)})
			lost = refused("whether %s is left out as %s is not known: %s", r.in.Name, name, cause(err))
			break
		}
		r.owed.adopt(ctx, &r.head, in.Intent, done.Audit)
		if !done.Already {
			rec.Into = name
		}
	}
	if rec.Into != "" {
		newCarrier(ctx).tell(ctx, rec.Plan, r.head.Chain, activities.Notice{
			Event: rollout.TellQuarantine, Instance: rec.Owner, Cluster: rec.Suspects.Cluster, Next: "rollpatch quarantine list",
			Text: m.Actor + " has the versions in quarantine as " + r.in.Name + " left out as " + rec.Into + " too: " + m.Reason,
		}, 1)
	}
	r.owed.flush(ctx, SegmentQueue(r.in.Segment))
	if lost != nil {
		return nil, lost
	}
	return []Record{rec}, nil
}
