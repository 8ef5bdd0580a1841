package report

import (
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// overrides are those that the States know, and what people did with records of the instance's clusters while it was on its way.
func (r *Report) overrides(in Input) {
	r.Overrides = append(slices.Clone(in.Status.Overrides), r.acts(in)...)
	r.Used = map[string]int{}
	for _, o := range r.Overrides {
		r.Used[o.Rule]++
	}
}

// acts are claims that were broken and versions that were released: done once, on a word of their own, and in no State of the instance.
func (r *Report) acts(in Input) (out []status.Override) {
	for _, said := range in.Trail {
		if said.Kind != audit.Message || !strings.HasPrefix(said.Chain, workflows.RecordsID("")) || !done(in.Trail, said) {
			continue
		}
		if said.Time.Before(r.Started) || !r.Ended.IsZero() && said.Time.After(r.Ended) {
			continue
		}
		word, rest, _ := strings.Cut(said.Action, " ")
		name, how, _ := strings.Cut(rest, " ")
		o := status.Override{By: said.Actor, Reason: said.Detail, Since: said.Time, Until: said.Time}
		switch {
		case word == workflows.RecordsBreak:
			o.Rule, o.Cluster = status.BreakClaim, name
		case word == workflows.RecordsRelease && how == workflows.Versions:
			o.Rule, o.Of = status.ReleaseThem, name
			o.Cluster, _, _ = strings.Cut(name, "/")
		default:
			continue
		}
		_, ours := in.Status.Cluster(o.Cluster)
		if everywhere := o.Cluster == rollout.Everywhere; everywhere {
			o.Cluster, ours = "", true
		}
		if ours {
			out = append(out, o)
		}
	}
	return out
}

// done says that what was said was also done: it may have been refused.
func done(trail []audit.Entry, said audit.Entry) bool {
	word, _, _ := strings.Cut(said.Action, " ")
	return slices.ContainsFunc(trail, func(e audit.Entry) bool { return e.Chain == said.Chain && e.Kind == audit.Outcome && e.Action == word })
}
