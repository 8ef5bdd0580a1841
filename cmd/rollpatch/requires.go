package main

import (
	"fmt"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// requires says what must have finished before a stage begins.
func (p printer) requires(pl plan.Plan) {
	for _, s := range pl.Stages {
		if text := s.Required(); text != "" {
			fmt.Fprintln(p.w, text)
		}
	}
}

// required says the same of campaigns that validate read, and which of those stages are none of theirs: a name that is wrong would hold them.
func (p printer) required(campaigns []named) {
	for _, c := range campaigns {
		for _, s := range c.campaign.Stages {
			if text := (plan.Stage{Name: s.Name, Requires: s.Requires}).Required(); text != "" {
				fmt.Fprintf(p.w, "%s: %s%s\n", c.path, text, ofElsewhere(c.campaign, s.Requires.Stage))
			}
		}
	}
}

func ofElsewhere(c campaign.Campaign, stage string) string {
	for _, s := range c.Stages {
		if s.Name == stage {
			return ""
		}
	}
	return ", which is another campaign's"
}

// finished lists what has finished in the stages that go first, as far as it concerns what hosts would get. What has not is among the risks.
func (p printer) finished(f plan.Forecast) {
	var rows []row
	for _, e := range f.Clusters {
		for i, text := range e.Finished {
			if i == mostPackages {
				rows = append(rows, row{cells: []string{e.Cluster, fmt.Sprintf("and %d more: --output json lists them", len(e.Finished)-i)}})
				break
			}
			rows = append(rows, row{cells: []string{e.Cluster, text}})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(p.w)
		p.table([]string{"cluster", "finished before"}, rows)
	}
}
