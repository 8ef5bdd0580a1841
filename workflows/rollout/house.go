package rollout

// waitsForOthers says that a cluster is of rollpatch's own house, and others of its stage have not ended: a house is not pulled down while
// work is done from it.
func (c Campaign) waitsForOthers(r Ref) bool {
	if !r.Last {
		return false
	}
	for _, o := range c.Clusters {
		if o.Stage == r.Stage && !o.Last && o.Outcome == "" {
			return true
		}
	}
	return false
}
