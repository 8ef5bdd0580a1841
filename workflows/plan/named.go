package plan

import (
	"slices"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// Named is a package that an emergency names, or a glob, and whether a host has such a one installed.
type Named struct {
	Name string `json:"name"`
	Here bool   `json:"here,omitempty"`
	Near string `json:"near,omitempty"` // what the host has of nearly that name, where it has none of it
}

// NamedOn says which packages that are named a host has, of those that it has installed. What the campaign leaves out does not count: an
// emergency would not bring it.
func NamedOn(wanted campaign.Packages, installed []string) []Named {
	var all []Named
	for _, name := range wanted.Include {
		one := Named{Name: name, Here: slices.ContainsFunc(installed, campaign.Packages{Include: []string{name}, Exclude: wanted.Exclude}.Match)}
		if !one.Here {
			one.Near = inventory.Nearest(name, installed)
		}
		all = append(all, one)
	}
	return all
}

// NamedOn says the same of what is named beside the advisories.
func (q Question) NamedOn(wanted campaign.Packages, installed []string) []Named {
	wanted.Include = slices.DeleteFunc(slices.Clone(wanted.Include), func(name string) bool {
		return slices.ContainsFunc(q.Advisories, func(a advisory.Advisory) bool { return a.ID == name })
	})
	return NamedOn(wanted, installed)
}

// Nowhere are the packages that an emergency names and that no host has, as far as hosts told, each with what comes nearest; and the hosts
// that did not tell. Where there are such hosts, nobody knows that the package is nowhere.
func (s Saved) Nowhere() (names []Named, untold []string) {
	said := ByHost(s.Answers)
	var all []Named
	for _, name := range s.Plan.byName() {
		all = append(all, Named{Name: name})
	}
	for _, st := range s.Plan.Stages {
		for _, c := range st.Clusters {
			for _, host := range s.Parts[c.Name].Worked() {
				named := said[host].Named
				if len(named) == 0 && !slices.Contains(untold, host) {
					untold = append(untold, host)
				}
				for _, n := range named {
					for i := range all {
						if all[i].Name != n.Name {
							continue
						}
						all[i].Here = all[i].Here || n.Here
						if all[i].Near == "" {
							all[i].Near = n.Near
						}
					}
				}
			}
		}
	}
	return slices.DeleteFunc(all, func(n Named) bool { return n.Here }), untold
}
