package rollout

import (
	"math/rand/v2"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// emergencies adds one or two to some seeds, hours after the others began, with dice of their own: seeds without play as they did before
// there were any. Who is asked to answer for one is nobody in an unattended world: there are none there.
func (w *world) emergencies(seed int) {
	w.yields, w.holders = map[string]bool{}, map[string]*clusterRun{}
	if seed%4 != 2 && seed%8 != 5 || w.kind == deaf {
		return
	}
	w.crisis = rand.New(rand.NewPCG(uint64(seed), 13))
	for i := range 1 + w.crisis.IntN(2) {
		w.campaign(len(w.runs))
		r := w.runs[len(w.runs)-1]
		r.c.Instance, r.c.Emergency, r.c.Unattended = "e"+itoa(i), "openssl", false
		r.c.Turn, r.turning, r.cluster.Staged = nil, nil, false // it waits for no window, and for no other stage
		r.cluster.Emergency, r.cluster.SoakApproval, r.cluster.OnFail, r.cluster.Unattended = true, false, "", false
		r.cluster.Soak = time.Duration(11+w.crisis.IntN(40)) * time.Minute
		if r.cluster.OnFailure == FailBackoutCluster {
			r.cluster.OnFailure = ""
		}
		r.member.Keep, r.member.OnFail, r.member.Unattended = true, "", false
		usual := r.c.Gates
		r.c.Gates = []Gate{{ID: "emergency"}}
		r.gateRules["emergency"] = approval.Rule{Quorum: 1, Unsigned: true, AnyRequester: true}
		for _, g := range usual {
			rule := r.gateRules[g.ID]
			rule.Expiry = 0
			r.gateRules[g.ID], g.After, g.Stage = rule, true, 0
			r.c.Gates = append(r.c.Gates, g)
		}
		r.people = w.assembly(r.c.Instance)
		r.people.gate = r.gateOf
	}
}

// taken says whose claim keeps this one out: an emergency takes what is handed over.
func (c *clusterRun) taken(name string) string {
	owner := c.claims[name]
	if owner == c.camp.c.Instance || c.c.Policy.Emergency && c.yields[name] {
		return ""
	}
	return owner
}

// takes makes the claims its own, all of them at once.
func (c *clusterRun) takes(names []string) {
	for _, name := range names {
		if owner := c.claims[name]; owner != "" && owner != c.camp.c.Instance {
			c.seen["taken over"]++
			if c.holders[name].c.Ending != ClusterSuperseded {
				c.broken("%s takes cluster %s from %s, which did not hand it over", c.name(), name, c.holders[name].name())
			}
			for _, m := range c.world.working() {
				if m.cl == c.holders[name] {
					c.broken("%s takes cluster %s over while %s is on its way", c.name(), name, m.name())
				}
			}
		}
		c.claims[name], c.holders[name] = c.camp.c.Instance, c
		delete(c.yields, name)
	}
}

// demands asks whoever holds the claims to hand them over, as the workflow does: sooner or later, and again and again.
func (c *clusterRun) demands(names []string) {
	if !c.c.Policy.Emergency {
		return
	}
	for _, name := range names {
		if c.taken(name) == "" {
			continue
		}
		from := c.holders[name]
		c.after(c.between(0, time.Minute), func() {
			if from.over || c.over {
				return
			}
			_, running := from.c.running()
			before := from.c
			from.c = untouched(c.world, from.c, func(st Cluster) Cluster { return st.Yield(c.name(), c.now) })
			switch {
			case from.c.Ending == ClusterSuperseded && before.Ending == "":
				c.seen["superseded in "+string(before.Phase)]++
				if running || before.BackoutFor != "" {
					c.broken("%s hands over in %s, in the midst of a member or of its way back", from.name(), before.Phase)
				}
			case running:
				c.seen["finishes its member first"]++
			}
			from.step()
		})
	}
}

// handsOver is the release of a claim that an emergency takes: it is never free meanwhile, unless nobody wants it any more.
func (c *clusterRun) handsOver(names []string) (waits bool) {
	to := c.c.HandsOverTo()
	for _, r := range c.runs {
		for _, e := range r.ordered() {
			if to == "" || e.name() != to || e.over {
				continue
			}
			for _, name := range names {
				if c.claims[name] == c.camp.c.Instance {
					c.yields[name], waits = true, true
				}
			}
			return waits
		}
	}
	for _, name := range names {
		if c.claims[name] == c.camp.c.Instance {
			delete(c.claims, name)
			delete(c.yields, name)
		}
	}
	return false
}

// keptOut says that a member of an emergency failed, and waits for a person to say what becomes of it.
func (c *clusterRun) keptOut() bool {
	for _, r := range c.members {
		if !r.over && r.m.Closed && r.m.keeps() {
			c.seen["kept as it failed"]++
		}
		if !r.over && r.m.Closed && r.m.keeps() && c.now.Sub(r.m.WaitSince) > time.Hour {
			return true
		}
	}
	return false
}

// mayUndo holds that an emergency is undone on a person's word alone.
func (r *memberRun) mayUndo(a Action) {
	if !r.m.Policy.Keep || a.Do != StepBackout {
		return
	}
	r.seen["an emergency was undone"]++
	if !r.cl.person && !r.toldBack {
		r.broken("%s of an emergency is brought back, and no person said so", r.name())
	}
}

// superseded says that an emergency took one of its clusters.
func (r *campaignRun) superseded() bool {
	for _, c := range r.ordered() {
		if c.c.Outcome == ClusterSuperseded {
			return true
		}
	}
	return false
}
