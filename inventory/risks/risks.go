// Package risks says what one fault would take down, and what rollpatch cannot protect, from what an inventory says. It asks nobody.
package risks

import (
	"slices"

	"github.com/rollpatch/rollpatch/inventory"
)

// Risk is one single point of failure, or one thing that rollpatch cannot protect as things are written.
type Risk struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	// About is the clusters, hosts or part of the house that it is about.
	About []string `json:"about"`
	// Path is where it stands in the inventory, or the nearest place where the remedy belongs.
	Path   string `json:"path"`
	What   string `json:"what"`
	Remedy string `json:"remedy"`
	// Falls is who falls with it, each as a chain that begins with the cluster itself.
	Falls [][]string `json:"falls,omitempty"`
}

// Severity is how much depends on it.
type Severity string

// From what the next fault or the next patch takes down, to what is only worth knowing.
const (
	Severe  Severity = "severe"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Kind is the rule that found it.
type Kind string

// The rules.
const (
	SingleInstance Kind = "single-instance" // a cluster of one member
	NoSpare        Kind = "no-spare"        // a cluster that the loss of one member breaks
	Majority       Kind = "majority"        // a cluster that votes, and loses its majority
	NeedsSingle    Kind = "needs-single"    // a cluster that falls with one of those
	OneDomain      Kind = "one-domain"      // members that fall together: one rack, one hypervisor
	DomainUnknown  Kind = "domain-unknown"  // nobody can tell whether they do
	SharedHost     Kind = "shared-host"     // one host that two services stand on
	Stateful       Kind = "stateful"        // a database or queue that is drained like a web server
	NotDrained     Kind = "not-drained"     // drain: none
	NoChecks       Kind = "no-checks"
	NoBackup       Kind = "no-backup"
	RestoreUnknown Kind = "restore-unknown"
	NoOwner        Kind = "no-owner"
	OwnHouse       Kind = "own-house" // a part of rollpatch's own house on one host
	Outside        Kind = "outside"   // a host of no cluster
)

// Kinds lists them.
func Kinds() []Kind {
	return []Kind{
		SingleInstance, NoSpare, Majority, NeedsSingle, OneDomain, DomainUnknown, SharedHost, Stateful, NotDrained, NoChecks, NoBackup, RestoreUnknown, NoOwner, OwnHouse, Outside,
	}
}

// finder collects what is found in one inventory.
type finder struct {
	inv   inventory.Inventory
	hosts map[string]inventory.Host
	of    map[string][]string              // the clusters of each host
	all   map[string][]string              // the values of each label that says what falls together, anywhere
	weak  map[string][]inventory.Dependent // who needs each cluster that has no spare
	found []Risk
}

func newFinder(inv inventory.Inventory) *finder {
	f := &finder{inv: inv, hosts: map[string]inventory.Host{}, of: map[string][]string{}, all: map[string][]string{}, weak: map[string][]inventory.Dependent{}}
	for _, h := range inv.Hosts {
		f.hosts[h.Name] = h
	}
	for _, key := range keys {
		f.all[key], _ = f.values(key, f.names())
	}
	dependents := inv.Dependents()
	for _, c := range inv.Clusters {
		if !spare(c) {
			f.weak[c.Name] = dependents(c.Name)
		}
		for _, m := range c.Members {
			f.of[m] = append(f.of[m], c.Name)
		}
	}
	return f
}

func (f *finder) add(r Risk) { f.found = append(f.found, r) }

// Find lists the risks of a resolved inventory, what is worse first, then in the inventory's order.
func Find(inv inventory.Inventory) []Risk {
	f := newFinder(inv)
	f.needs()
	for i, c := range inv.Clusters {
		f.redundancy(i, c)
		f.majority(i, c)
		f.stateful(i, c)
		f.drain(i, c)
		f.proofs(i, c)
		f.people(i, c)
		f.domains(i, c)
	}
	f.estate()
	f.shared()
	f.house()
	f.outside()
	rank := []Severity{Severe, Warning, Note}
	slices.SortStableFunc(f.found, func(a, b Risk) int { return slices.Index(rank, a.Severity) - slices.Index(rank, b.Severity) })
	return f.found
}

// Urgent reports whether any of them is more than a note.
func Urgent(found []Risk) bool {
	return slices.ContainsFunc(found, func(r Risk) bool { return r.Severity != Note })
}
