package plan

import (
	"maps"
	"slices"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// Advised is what comes of the advisories of an emergency, by what its hosts said.
type Advised struct {
	Advisories []advisory.Advisory // with what they bring, and only the fixes that count here
	Hosts      map[string][]string // by cluster, those that are worked on: they need something, or did not tell
	Untold     []string            // hosts that did not tell
	Nowhere    []string            // advisories of which no host that told has a package
	Wrong      []Hole              // packages of hosts that it cannot bring the fix
}

// Hole is a package of a host that has one.
type Hole struct {
	Host string
	advisory.Affected
	Excluded bool // by the campaign's packages.exclude
}

// Needed says whether it brings anything.
func (a Advised) Needed() bool {
	return slices.ContainsFunc(a.Advisories, func(one advisory.Advisory) bool { return len(one.Packages) > 0 })
}

// Advised says what its advisories bring to which hosts. A host that has nothing to get by them, nor of the packages that were named beside
// them, is left alone.
func (s Saved) Advised() Advised {
	said := ByHost(s.Answers)
	out := Advised{Hosts: map[string][]string{}}
	all := map[string]*advised{}
	for _, a := range s.Plan.Advisories {
		all[a.ID] = &advised{open: map[string]bool{}, about: map[string]bool{}, packages: map[string]bool{}}
	}
	seen := map[string]bool{}
	for _, st := range s.Plan.Stages {
		for _, c := range st.Clusters {
			part := s.Parts[c.Name]
			for _, host := range part.Worked() {
				told := said[host].Advised
				named := slices.ContainsFunc(said[host].Named, func(n Named) bool { return n.Here })
				if told == nil || named || len(told.Brings()) > 0 {
					out.Hosts[c.Name] = append(out.Hosts[c.Name], host)
				}
				if seen[host] {
					continue
				}
				seen[host] = true
				if told == nil {
					out.Untold = append(out.Untold, host)
					continue
				}
				for _, a := range told.Affected {
					if one := all[a.Advisory]; one != nil {
						one.add(Hole{Host: host, Affected: a, Excluded: !campaign.Packages{Exclude: part.Packages.Exclude}.Match(a.Package)})
					}
				}
			}
		}
	}
	for _, a := range s.Plan.Advisories {
		one := all[a.ID]
		if len(one.hosts) == 0 {
			out.Nowhere = append(out.Nowhere, a.ID)
		}
		a.Fixes = slices.DeleteFunc(slices.Clone(a.Fixes), func(f advisory.Fix) bool { return !one.about[f.Release+" "+f.Source] })
		a.Packages = slices.Sorted(maps.Keys(one.packages))
		a.Safe = slices.DeleteFunc(slices.Clone(one.hosts), func(host string) bool { return one.open[host] })
		out.Advisories, out.Wrong = append(out.Advisories, a), append(out.Wrong, one.wrong...)
	}
	return out
}

// advised is what hosts said of one advisory.
type advised struct {
	hosts    []string        // that have a package of it
	open     map[string]bool // those of them in which one has a hole
	about    map[string]bool // releases and source packages
	packages map[string]bool // that it brings
	wrong    []Hole
}

// add takes what is said of one package. Those of a host come one after the other.
func (o *advised) add(h Hole) {
	o.about[h.Release+" "+h.Source] = true
	if n := len(o.hosts); n == 0 || o.hosts[n-1] != h.Host {
		o.hosts = append(o.hosts, h.Host)
	}
	switch {
	case h.State == advisory.Safe:
		return
	case h.Excluded || h.State != advisory.Pending:
		o.wrong = append(o.wrong, h)
	default:
		o.packages[h.Package] = true
	}
	o.open[h.Host] = true
}

// byName are the packages that a person named, beside those of advisories.
func (p Plan) byName() []string {
	return slices.DeleteFunc(slices.Clone(p.Emergency), func(name string) bool {
		return slices.ContainsFunc(p.Advisories, func(a advisory.Advisory) bool { return a.ID == name || slices.Contains(a.Packages, name) })
	})
}
