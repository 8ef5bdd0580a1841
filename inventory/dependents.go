package inventory

// Dependent is a cluster that needs another one, itself or through others.
type Dependent struct {
	Name string `json:"name"`
	// Chain leads from the cluster that is needed to this one, each needed by the next.
	Chain []string `json:"chain"`
}

// Dependents lists who needs the cluster, the nearest first and then in the inventory's order, each with the shortest chain that leads there.
// It ends on circles too, which Validate refuses.
func (inv Inventory) Dependents(cluster string) []Dependent {
	var found []Dependent
	seen := map[string]bool{cluster: true}
	for trail := []Dependent{{Name: cluster, Chain: []string{cluster}}}; len(trail) > 0; trail = trail[1:] {
		at := trail[0]
		for _, c := range inv.Clusters {
			if seen[c.Name] || !c.needs(at.Name) {
				continue
			}
			seen[c.Name] = true
			d := Dependent{Name: c.Name, Chain: append(at.Chain[:len(at.Chain):len(at.Chain)], c.Name)}
			found, trail = append(found, d), append(trail, d)
		}
	}
	return found
}

func (c Cluster) needs(name string) bool {
	for _, d := range c.DependsOn {
		if d == name {
			return true
		}
	}
	return false
}
