package main

import (
	"context"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// backoutEffect says what a backout that was taken does, cluster by cluster, and what it does not touch.
func backoutEffect(ctx context.Context, srv server, instance, cluster string) ([]string, error) {
	return effects(ctx, srv, instance, cluster, func(r rollout.Ref) string {
		return r.Name + ": not touched, it is " + string(r.Outcome) + " already; its way back is a new campaign"
	}, backoutIn)
}

// backoutIn is what a backout does to a cluster that stands there.
func backoutIn(c rollout.Cluster) string {
	var first, back []string
	for _, m := range c.Members {
		switch {
		case m.Running && m.Holds != "":
			first = append(first, m.Host+" holds before "+string(m.HoldsAt)+" and ends first (to give up on it: rollpatch skip "+c.Instance+" --cluster "+c.Name+" --host "+m.Host+` --reason "..."`+")")
		case m.Running:
			first = append(first, string(m.Mode)+" of "+m.Host+" is on its way and ends first")
		case m.Outcome == rollout.Patched:
			back = append(back, m.Host)
		}
	}
	slices.Reverse(back)
	if len(back) > 0 {
		first = append(first, "brought back one after the other: "+strings.Join(back, ", "))
	}
	if len(first) == 0 {
		return "no member is patched, and no further one begins"
	}
	return strings.Join(first, "; ")
}
