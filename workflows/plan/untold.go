package plan

import (
	"slices"
	"strings"
)

// Untold is why there is no plan, by what hosts said, a reason for each cluster that is concerned: one of security updates only where nobody can
// tell which these are would be approved without the very fix that it is for.
func (s Saved) Untold() (refused []Refusal) {
	for _, st := range s.Plan.Stages {
		for _, c := range st.Clusters {
			var whys []string
			hosts := map[string][]string{}
			for _, a := range s.Answers {
				if a.Untold == "" || !slices.Contains(c.Members, a.Host) {
					continue
				}
				if hosts[a.Untold] == nil {
					whys = append(whys, a.Untold)
				}
				hosts[a.Untold] = append(hosts[a.Untold], a.Host)
			}
			for _, why := range whys {
				refused = append(refused, Refusal{Cluster: c.Name, Reason: strings.Join(hosts[why], ", ") + ": " + why})
			}
		}
	}
	return refused
}
