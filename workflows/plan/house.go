package plan

import (
	"slices"

	"github.com/rollpatch/rollpatch/inventory"
)

// house lists the parts of rollpatch's own house that members of the cluster are, in order of work.
func house(inv inventory.Inventory, cl inventory.Cluster) []string {
	var parts []string
	for _, name := range cl.Members {
		if h, ok := inv.Host(name); ok && h.House != "" && !slices.Contains(parts, h.House) {
			parts = append(parts, h.House)
		}
	}
	return parts
}

// houseLast puts clusters of rollpatch's own house behind all others of the stage.
func (s *Stage) houseLast() {
	slices.SortStableFunc(s.Clusters, func(a, b Cluster) int { return min(len(a.House), 1) - min(len(b.House), 1) })
}

// beside lists the other clusters with a member of the same part of the house: they are claimed together, so that no two of one part are
// worked on at once, by whichever instance.
func beside(inv inventory.Inventory, cl inventory.Cluster) []string {
	mine := house(inv, cl)
	if len(mine) == 0 {
		return nil
	}
	var names []string
	for _, o := range inv.Clusters {
		if o.Name != cl.Name && overlap(mine, house(inv, o)) {
			names = append(names, o.Name)
		}
	}
	return names
}
