package advisory

import (
	"cmp"
	"slices"
)

// Advisory is one that a person named, with what is known of it.
type Advisory struct {
	ID      string   `json:"id"`
	Summary string   `json:"summary,omitempty"`
	Records []string `json:"records,omitempty"` // that tell of it, where that is not the one of its name alone
	Fixes   []Fix    `json:"fixes,omitempty"`
	// Packages are those that it brings, and Safe the hosts that have it fixed already; known when hosts were asked.
	Packages []string `json:"packages,omitempty"`
	Safe     []string `json:"safe,omitempty"`
}

// Fix is from which version on a source package has a hole in a release, and in which that is closed.
type Fix struct {
	Release string `json:"release"` // an ecosystem of osv.dev, such as Debian:12 or Ubuntu:22.04:LTS
	Source  string `json:"source"`
	From    string `json:"from,omitempty"`  // empty: from the first on
	Fixed   string `json:"fixed,omitempty"` // empty: no version is named
}

// Fixed says in which versions of which source packages it is fixed, each with its release.
func (a Advisory) Fixed() []string {
	var all []string
	for _, f := range a.Fixes {
		if f.Fixed != "" {
			all = append(all, f.Source+" "+f.Fixed+" ("+f.Release+")")
		}
	}
	return slices.Compact(all)
}

// Why nothing comes of an advisory.
const (
	Unknown   = "unknown"   // no record has that name
	Withdrawn = "withdrawn" // those that have were taken back
	Foreign   = "foreign"   // those that have tell of no package of Debian or Ubuntu
)

// Same lists these names, and the other names of what they name.
func Same(records []Record, ids ...string) []string {
	all := slices.Clone(ids)
	for _, r := range records {
		names := append([]string{r.ID}, r.Aliases...)
		if !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(ids, name) }) {
			continue
		}
		for _, name := range names {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// Find is what records tell of an advisory: the one of its name, those that are the same under another, and those that pass it on. why is empty,
// or why that is nothing.
func Find(records []Record, id string) (a Advisory, why string) {
	a.ID = id
	same := Same(records, id)
	named := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(same, name) })
	}
	why = Unknown
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(x, y Record) int { return cmp.Compare(x.ID, y.ID) })
	for _, r := range records {
		if !named([]string{r.ID}) && !named(r.Aliases) && !named(r.Upstream) && !named(r.Related) {
			continue
		}
		if r.Withdrawn != "" {
			if why == Unknown {
				why = Withdrawn
			}
			continue
		}
		if why == Unknown || why == Withdrawn {
			why = Foreign
		}
		if a.Summary == "" || r.ID == id {
			a.Summary = cmp.Or(r.told(), a.Summary)
		}
		if some := r.fixes(); len(some) > 0 {
			why = ""
			a.Records, a.Fixes = append(a.Records, r.ID), append(a.Fixes, some...)
		}
	}
	slices.SortFunc(a.Fixes, func(x, y Fix) int {
		return cmp.Or(cmp.Compare(x.Release, y.Release), cmp.Compare(x.Source, y.Source), Compare(x.Fixed, y.Fixed), Compare(x.From, y.From))
	})
	a.Fixes, a.Records = slices.Compact(a.Fixes), slices.Compact(a.Records)
	if slices.Equal(a.Records, []string{id}) {
		a.Records = nil
	}
	return a, why
}
