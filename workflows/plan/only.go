package plan

import (
	"maps"
	"slices"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Only narrows a plan down to these members of its clusters. The others count as peers, as ever, and are not touched. Waves are those of
// the members that are left; a soak follows each of them, also the last (P3).
func Only(p Plan, parts map[string]Part, hosts map[string][]string) (Plan, map[string]Part) {
	parts, p.Stages = maps.Clone(parts), slices.Clone(p.Stages)
	for i := range p.Stages {
		s := &p.Stages[i]
		s.Clusters = slices.Clone(s.Clusters)
		for k := range s.Clusters {
			c := &s.Clusters[k]
			part := parts[c.Name]
			var some []string
			for _, m := range c.Members {
				if slices.Contains(hosts[c.Name], m) {
					some = append(some, m)
				}
			}
			if len(some) == 0 || len(some) == len(c.Members) {
				continue
			}
			part.Only = some
			parts[c.Name] = part
			c.Members, c.Waves, c.Part = some, rollout.Waves(len(some)), Digest(part)
		}
	}
	return p, parts
}
