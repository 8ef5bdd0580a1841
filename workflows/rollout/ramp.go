package rollout

import "strconv"

// Steps are the sizes of the steps in which so many clusters of a stage begin: those of the ramp, then the rest. Without a ramp there is
// one step.
func Steps(ramp []int, clusters int) []int {
	var steps []int
	for _, n := range ramp {
		if clusters <= n {
			break
		}
		steps, clusters = append(steps, n), clusters-n
	}
	if clusters > 0 {
		steps = append(steps, clusters)
	}
	return steps
}

// untried says that an emergency took the cluster over before its canary was back, and nothing had failed in it: that says nothing about the
// patch. Nobody waits for it, and the next one takes its place in its step.
func (r Ref) untried() bool { return r.Outcome == ClusterSuperseded && r.Failed == 0 && !r.Back }

// opened says how many clusters of the stage may begin, counted from its first one and without those that are untried: a step begins when every
// cluster of the step before has its canary back and healthy, or is done. awaited are those that have not.
func (c Campaign) opened() (n int, awaited []string) {
	var stage []Ref
	for _, r := range c.Clusters {
		if r.Stage == c.Stage && !r.untried() {
			stage = append(stage, r)
		}
	}
	for _, size := range Steps(c.Ramp, len(stage)) {
		for _, r := range stage[n : n+size] {
			if !r.Back {
				awaited = append(awaited, r.Name)
			}
		}
		if n += size; len(awaited) > 0 {
			return n, awaited
		}
	}
	return n, nil
}

// later names the clusters of the stage that do not begin before the canaries of others are back.
func (c Campaign) later() (names, awaited []string) {
	open, awaited := c.opened()
	at := 0
	for _, r := range c.Clusters {
		if r.Stage != c.Stage || r.untried() {
			continue
		}
		if at++; at > open && !r.Running && r.Outcome == "" {
			names = append(names, r.Name)
		}
	}
	return names, awaited
}

// WaitsFor says which gate, or which canaries, a cluster that has not begun waits for; empty when nothing of the kind keeps it.
func (c Campaign) WaitsFor(cluster string) string {
	if r, ok := c.find(cluster); ok && !r.Running && r.Outcome == "" && r.Stage == c.Stage {
		if g, waits := c.Awaits(); waits {
			return "it begins when people have agreed at gate " + g.ID
		}
	}
	names, awaited := c.later()
	for _, n := range names {
		if n == cluster && c.Outcome == "" {
			return "it begins when " + canaries(awaited, "back")
		}
	}
	return ""
}

// ramped is the summary's word for clusters that have not begun yet.
func (c Campaign) ramped() string {
	names, awaited := c.later()
	if len(names) == 0 {
		return ""
	}
	return ", " + strconv.Itoa(len(names)) + " not begun until " + canaries(awaited, "back")
}

func canaries(of []string, stand string) string {
	return one(len(of), "the canary of ", "the canaries of ") + few(of) + one(len(of), " is ", " are ") + stand
}

// back says that the cluster's canary is in service with what soaks, and nobody has found fault with it, or that there is nothing left to
// wait for.
func (c Cluster) back() bool {
	if c.Outcome == ClusterDone || c.Ending == ClusterDone {
		return true
	}
	return c.Manifest != "" && c.patchedCount() > 0 && c.BackoutFor == "" && c.AskFor == ""
}
