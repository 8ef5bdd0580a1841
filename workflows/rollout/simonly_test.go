package rollout

import "slices"

// narrows has a third of the seeds work on some members of a cluster only, as a follow-up of leftovers does. They throw dice of their own.
func (r *campaignRun) narrows(c *Cluster) {
	if r.some.IntN(3) > 0 || len(c.Members) < 2 {
		return
	}
	whole := c.Members
	c.Size = len(whole)
	c.Members = slices.Clone(c.Members[1+r.some.IntN(len(c.Members)-1):])
	for _, m := range whole[:c.Size-len(c.Members)] {
		r.omitted[m.Host] = true
	}
	r.seen["only some members"]++
	r.logf("%s/%s works on %d of %d members", c.Instance, c.Name, len(c.Members), c.Size)
}

// works says that the host is one that is worked on.
func (c *clusterRun) works(host string) bool {
	return slices.ContainsFunc(c.c.Members, func(s Slot) bool { return s.Host == host })
}

// maySkipSoak is P3 of a cluster of which only some members are worked on: whatever was patched last soaks as well, and people agree to it.
func (c *clusterRun) maySkipSoak() {
	if c.c.Size <= len(c.c.Members) || c.c.Outcome != ClusterDone || c.first == nil {
		return
	}
	c.seen["soaked after the last wave"]++
	if !c.soaked() || c.now.Before(c.patchedAt.Add(c.c.Policy.Soak)) {
		c.broken("P3: %s works on %d of %d members, and is done without a soak of what was patched at %s", c.name(), len(c.c.Members), c.c.Size, c.patchedAt)
	}
	if c.verdict != Pass || c.verdictAt.Before(c.patchedAt) {
		c.broken("P3: %s is done with %q of its last wave", c.name(), c.verdict)
	}
	if c.c.Policy.SoakApproval && !c.approved {
		c.broken("P3: %s is done and nobody approved its soak", c.name())
	}
}
