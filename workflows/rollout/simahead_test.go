package rollout

import (
	"slices"
	"time"
)

// wantsAhead has the packages of some clusters fetched before their turn.
func (r *campaignRun) wantsAhead() {
	for i := range r.c.Clusters {
		r.c.Clusters[i].Ahead.Wanted = r.early.IntN(3) == 0
	}
}

// fetchesAhead holds that what is fetched was agreed to and has not begun, and that nobody has said stop. It succeeds or not, or is not answered until its
// cluster's turn has come.
func (r *campaignRun) fetchesAhead(a Action) {
	me, _ := r.c.find(a.Name)
	r.mayBegin(me)
	if me.Ahead.Done || me.Outcome != "" || me.Running && me.Phase != PhaseClaim {
		r.broken("%s fetches ahead for %s, which is in %s: %+v", r.c.Instance, a.Name, me.Phase, me.Ahead)
	}
	if r.c.Paused+r.c.AbortFor+r.c.BackoutFor != "" || r.c.Outcome != "" {
		r.broken("%s fetches ahead for %s, and is held or ends", r.c.Instance, a.Name)
	}
	var res AheadResult
	if !r.calm && r.kind != cooperative && r.early.IntN(2) == 0 {
		res.Why = "no answer"
		if r.early.IntN(3) == 0 {
			res.Again = r.now.Add(time.Duration(r.early.IntN(300)) * time.Minute)
		}
		if r.early.IntN(3) == 0 {
			res.Other = "another file"
		}
	}
	r.launch(r.flights, a.ID, time.Duration(1+r.early.IntN(40))*time.Minute, func() {
		if res.Why == "" {
			r.seen["fetched ahead"]++
		} else {
			r.seen["not fetched ahead"]++
		}
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Fetched(a.Name, res, r.now) })
		if slices.ContainsFunc(r.c.Clusters, func(c Ref) bool { return c.Ahead.Told }) {
			r.seen["its turn came first"]++
		}
		r.step()
	})
}
