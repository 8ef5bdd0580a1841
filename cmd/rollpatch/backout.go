package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// backoutEffect says what a backout that was taken does, cluster by cluster, and what it does not touch.
func backoutEffect(ctx context.Context, srv server, instance, cluster string) ([]string, error) {
	var st workflows.CampaignState
	if err := srv.State(ctx, workflows.CampaignID(instance), &st); err != nil {
		return nil, fmt.Errorf("instance %q: %w", instance, err)
	}
	var lines []string
	waiting := 0
	for _, r := range st.Clusters {
		switch {
		case cluster != "" && r.Name != cluster:
			continue
		case r.Outcome != "":
			lines = append(lines, r.Name+": not touched, it is "+string(r.Outcome)+" already; its way back is a new campaign")
			continue
		case !r.Running:
			waiting++
			continue
		}
		var c workflows.ClusterState
		err := srv.State(ctx, workflows.ClusterID(instance, r.Name), &c)
		if err != nil && !errors.Is(err, status.ErrNotFound) { // or its workflow starts this very moment
			return nil, fmt.Errorf("cluster %q: %w", r.Name, err)
		}
		lines = append(lines, r.Name+": "+backoutIn(c.Cluster))
	}
	if waiting > 0 {
		lines = append(lines, many(waiting, "cluster")+" not begun yet: not started")
	}
	return lines, nil
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
