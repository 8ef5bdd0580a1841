package risks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

// keys are the labels of hosts that say what falls together, the narrowest first.
var keys = []string{"hypervisor", "power", "rack", "row", "room", "zone", "site", "datacenter", "region"}

// narrow are those of one machine or cabinet, which fails every few years.
var narrow = []string{"hypervisor", "power", "rack"}

// values are what the hosts have under a label, each once; blank counts those that have none.
func (f *finder) values(key string, hosts []string) (values []string, blank int) {
	for _, name := range hosts {
		switch v := f.hosts[name].Labels[key]; {
		case v == "":
			blank++
		case !slices.Contains(values, v):
			values = append(values, v)
		}
	}
	return values, blank
}

func (f *finder) names() []string {
	var names []string
	for _, h := range f.inv.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// domains finds clusters whose members all fall together, though other hosts stand elsewhere.
func (f *finder) domains(i int, c inventory.Cluster) {
	if len(c.Members) < 2 {
		return
	}
	severity := Note
	var same, unknown []string
	for _, key := range keys {
		everywhere := f.all[key]
		values, blank := f.values(key, c.Members)
		tight := slices.Contains(narrow, key)
		switch {
		case len(everywhere) == 0, len(everywhere) == 1 && !tight: // of the estate, not of the cluster
		case blank > 0 && len(values) < 2:
			unknown = append(unknown, key)
		case len(values) == 1:
			same, severity = append(same, key+"="+values[0]), Warning
		}
	}
	if len(same) > 0 {
		f.add(Risk{
			Kind: OneDomain, Severity: severity, About: []string{c.Name}, Path: at(i, "members"),
			What:   fmt.Sprintf("all %d members share %s: one fault there takes the whole cluster", len(c.Members), strings.Join(same, " ")),
			Remedy: "move a member elsewhere, or add one there",
		})
	}
	if len(unknown) > 0 {
		f.add(Risk{
			Kind: DomainUnknown, Severity: Note, About: []string{c.Name}, Path: at(i, "members"),
			What:   "whether its members fall together cannot be told: some hosts have no label " + strings.Join(unknown, ", "),
			Remedy: "write labels: {" + unknown[0] + ": NAME} on each of them",
		})
	}
}

// estate finds what is the same for all hosts, and told once.
func (f *finder) estate() {
	all := f.names()
	if len(all) < 2 {
		return
	}
	var same []string
	some := false
	for _, key := range keys {
		values, blank := f.values(key, all)
		some = some || len(values) > 0
		if len(values) == 1 && blank == 0 && !slices.Contains(narrow, key) {
			same = append(same, key+"="+values[0])
		}
	}
	switch {
	case !some:
		f.add(Risk{
			Kind: DomainUnknown, Severity: Note, About: []string{"all hosts"}, Path: "hosts",
			What:   "whether members fall together cannot be told: no host has a label " + strings.Join(keys[:len(keys)-1], ", ") + " or " + keys[len(keys)-1],
			Remedy: "write what hosts have in common, such as labels: {hypervisor: hv-1, rack: a3}",
		})
	case len(same) > 0:
		f.add(Risk{Kind: OneDomain, Severity: Note, About: []string{"all hosts"}, Path: "hosts", What: "every host is in " + strings.Join(same, " ") + ": a fault there takes everything", Remedy: "know it, or have members elsewhere"})
	}
}

// shared finds hosts that several clusters stand on, by the clusters.
func (f *finder) shared() {
	type group struct {
		clusters, hosts []string
		path            string
	}
	var groups []group
	for _, h := range f.inv.Hosts {
		names := f.of[h.Name]
		if len(names) < 2 {
			continue
		}
		k := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.clusters, names) })
		if k < 0 {
			i := slices.IndexFunc(f.inv.Clusters, func(c inventory.Cluster) bool { return c.Name == names[1] })
			path := fmt.Sprintf("%s[%d]", at(i, "members"), slices.Index(f.inv.Clusters[i].Members, h.Name))
			k, groups = len(groups), append(groups, group{clusters: names, path: path})
		}
		groups[k].hosts = append(groups[k].hosts, h.Name)
	}
	for _, g := range groups {
		what := strings.Join(g.hosts, " ") + ": each is a member of " + strings.Join(g.clusters, " and ") + ": what takes the host takes a member of each"
		if len(g.hosts) == 1 {
			what = g.hosts[0] + " is a member of " + strings.Join(g.clusters, " and ") + ": what takes the host takes a member of each"
		}
		f.add(Risk{Kind: SharedHost, Severity: Warning, About: g.clusters, Path: g.path, What: what, Remedy: "know it, or give each cluster hosts of its own; a campaign works on them one after the other"})
	}
}

// house finds parts of rollpatch's own house that stand on one host.
func (f *finder) house() {
	on := map[string][]int{}
	var parts []string
	for i, h := range f.inv.Hosts {
		if h.House == "" {
			continue
		}
		if len(on[h.House]) == 0 {
			parts = append(parts, h.House)
		}
		on[h.House] = append(on[h.House], i)
	}
	for _, part := range parts {
		if len(on[part]) > 1 {
			continue
		}
		f.add(Risk{
			Kind: OwnHouse, Severity: Warning, About: []string{part}, Path: fmt.Sprintf("hosts[%d].house", on[part][0]),
			What:   fmt.Sprintf("%s of rollpatch's own house is on %s alone: while that is away every campaign stands still, with members that are drained", part, f.inv.Hosts[on[part][0]].Name),
			Remedy: "give it a second host marked house: " + part + "; or keep it out of campaigns, and know who brings it back",
		})
	}
}

// outside finds hosts that nobody patches.
func (f *finder) outside() {
	for i, h := range f.inv.Hosts {
		if len(f.of[h.Name]) == 0 {
			f.add(Risk{
				Kind: Outside, Severity: Note, About: []string{h.Name}, Path: fmt.Sprintf("hosts[%d]", i), What: h.Name + " is in no cluster: nobody checks it and nobody patches it",
				Remedy: "put it into a cluster, or take it out of the inventory",
			})
		}
	}
}
