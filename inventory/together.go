package inventory

import (
	"fmt"
	"slices"
	"strings"
)

// validateTogether holds the rule that clusters which are claimed together, because they share a host or are of the same part of rollpatch's
// own house, have their claims in one Consul: who works on one of them would not see the claim of the other.
func (inv Inventory) validateTogether(p *Problems) {
	all := inv.Resolve().Clusters
	house := map[string]string{}
	for _, h := range inv.Hosts {
		house[h.Name] = h.House
	}
	shared, parts := map[string][]int{}, map[string][]int{} // clusters, by host and by part of the house
	told := map[[2]int]bool{}
	for i, c := range all {
		apart := func(others []int, why, remedy string) {
			for _, o := range others {
				if pair := [2]int{o, i}; o != i && !told[pair] && !sameConsul(all[o].Consul, c.Consul) {
					told[pair] = true
					p.Add(fmt.Sprintf("clusters[%d].consul", i), "cluster %q %s, so that both are claimed together, and each reaches Consul in another way (%s, and %s): in two Consuls neither would see the claim of the other: %s",
						c.Name, fmt.Sprintf(why, all[o].Name), c.Consul.way(), all[o].Consul.way(), remedy)
				}
			}
		}
		for _, m := range c.Members {
			const same = "write the same consul: for both"
			apart(shared[m], "shares host "+m+" with cluster %q", same)
			shared[m] = append(shared[m], i)
			if part := house[m]; part != "" && !slices.Contains(parts[part], i) {
				apart(parts[part], "is of part "+part+" of rollpatch's own house, as is cluster %q", same+", or another part under house: of the hosts of one, if one of them may be worked on beside the other")
				parts[part] = append(parts[part], i)
			}
		}
	}
}

// sameConsul says that two ways lead to one Consul, as far as they tell: they have an agent in common.
func sameConsul(a, b Consul) bool {
	if a.Via != b.Via || a.Address != b.Address {
		return false
	}
	return a.Via == ViaDirect || slices.ContainsFunc(a.Hosts, func(h string) bool { return slices.Contains(b.Hosts, h) })
}

// way is the way to Consul in words.
func (c Consul) way() string {
	if c.Via == ViaDirect {
		return "direct to " + c.Address
	}
	return "through " + strings.Join(c.Hosts, " ") + " to " + c.Address
}
