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

// holdEffect says when a hold that was taken takes effect, cluster by cluster, and how it ends.
func holdEffect(ctx context.Context, srv server, instance, cluster string) ([]string, error) {
	lines, err := effects(ctx, srv, instance, cluster, func(rollout.Ref) string { return "" }, holdIn)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(lines, func(l string) bool {
		return !strings.Contains(l, "nothing is left to hold") && !strings.Contains(l, ": nothing, ")
	}) {
		return lines, nil
	}
	return append(lines, "it ends with: rollpatch resume "+instance+inFlags(cluster)+` --reason "..."`), nil
}

// effects says what a word does to each cluster that it reaches: to one that has ended, and to one that stands as it does. Those that have
// not begun are counted.
func effects(ctx context.Context, srv server, instance, cluster string, ended func(rollout.Ref) string, in func(rollout.Cluster) string) ([]string, error) {
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
			if line := ended(r); line != "" {
				lines = append(lines, line)
			}
			continue
		case !r.Running:
			waiting++
			continue
		}
		var c workflows.ClusterState
		err := srv.State(ctx, workflows.ClusterID(instance, r.Name), &c)
		switch {
		case errors.Is(err, status.ErrNotFound): // its workflow starts this very moment
			c.Phase = rollout.PhaseClaim
		case err != nil:
			return nil, fmt.Errorf("cluster %q: %w", r.Name, err)
		}
		lines = append(lines, r.Name+": "+in(c.Cluster))
	}
	if waiting > 0 {
		lines = append(lines, many(waiting, "cluster")+" not begun yet: not started")
	}
	return lines, nil
}

// holdIn is what a hold does to a cluster that stands there: docs/operations.md has the same in its table of commands and states.
func holdIn(c rollout.Cluster) string {
	onItsWay, left := "", 0
	for _, m := range c.Members {
		switch {
		case m.Running:
			onItsWay = string(m.Mode) + " of " + m.Host
		case m.Outcome == "":
			left++
		}
	}
	switch {
	case c.Outcome != "" || c.Phase == rollout.PhaseRelease:
		return "nothing is left to hold, it is ending"
	case c.BackoutFor != "" || c.Phase == rollout.PhaseAsk:
		return "nothing, the way back is not held"
	case onItsWay != "" && left == 0:
		return onItsWay + " is on its way and is finished; nothing is left to hold after it"
	case onItsWay != "":
		return onItsWay + " is on its way and is finished first; no member is started after it"
	}
	switch c.Phase {
	case rollout.PhaseClaim:
		return "its claim is still taken; no member is started after that"
	case rollout.PhaseSoak:
		return "the soak goes on; the next wave is not started"
	case rollout.PhaseGate:
		return "an approval is still taken; the next wave is not started"
	case rollout.PhaseHold:
		return "it holds already, and waits for a word of its own"
	}
	if left == 0 {
		return "nothing is left to hold, no member is left to start"
	}
	return "held at once, no member is on its way"
}
