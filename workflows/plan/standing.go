package plan

import (
	"slices"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// Behind is what lies behind one of the plan's gates: the clusters of the stages that begin with it, and every package that their hosts said they would get. What
// they would get beyond that widens the plan, and is refused before the drain.
func (p Plan) Behind(gate string, part func(Cluster) (Part, error)) (approval.Behind, error) {
	b := approval.Behind{Emergency: len(p.Emergency) > 0}
	for _, s := range p.Stages {
		if gate != approval.GateStart && gate != approval.GateStage(s.Name) {
			continue
		}
		for _, c := range s.Clusters {
			pt, err := part(c)
			if err != nil {
				return b, err
			}
			one := approval.BehindCluster{Name: c.Name, Unasked: pt.Planned == nil}
			if pt.Planned != nil {
				for _, platform := range pt.Planned.Platforms {
					for _, v := range platform.Packages {
						one.Packages = append(one.Packages, v.Name)
					}
				}
			}
			slices.Sort(one.Packages)
			one.Packages = slices.Compact(one.Packages)
			b.Clusters = append(b.Clusters, one)
		}
	}
	return b, nil
}
