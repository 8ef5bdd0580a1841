package inventory

import "encoding/json"

// Dependent is a cluster that needs another one, itself or through others.
type Dependent struct {
	Name string `json:"name"`
	// Chain leads from the cluster that is needed to this one, each needed by the next.
	Chain []string `json:"chain"`
	// Owner and Contact are whom to tell.
	Owner   string `json:"owner,omitempty"`
	Contact string `json:"contact,omitempty"`
}

// UnmarshalJSON also reads the name alone, which is all that plans of earlier builds have.
func (d *Dependent) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &d.Name) == nil {
		return nil
	}
	type plain Dependent
	return json.Unmarshal(raw, (*plain)(d))
}

// Dependents tells of any cluster who needs it, the nearest first and then in the inventory's order, each with the shortest chain that leads
// there. It ends on circles too, which Validate refuses.
func (inv Inventory) Dependents() (of func(cluster string) []Dependent) {
	needed := map[string][]Cluster{} // by the cluster that they need themselves
	for _, c := range inv.Clusters {
		for _, d := range c.DependsOn {
			needed[d] = append(needed[d], c)
		}
	}
	return func(cluster string) (found []Dependent) {
		seen := map[string]bool{cluster: true}
		for trail := []Dependent{{Name: cluster, Chain: []string{cluster}}}; len(trail) > 0; trail = trail[1:] {
			at := trail[0]
			for _, c := range needed[at.Name] {
				if seen[c.Name] {
					continue
				}
				seen[c.Name] = true
				d := Dependent{Name: c.Name, Chain: append(at.Chain[:len(at.Chain):len(at.Chain)], c.Name), Owner: c.Owner, Contact: c.Contact}
				found, trail = append(found, d), append(trail, d)
			}
		}
		return found
	}
}
