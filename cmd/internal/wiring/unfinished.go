package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
)

// Unfinished names the instances of which a workflow runs: clusters and members may outlive their campaign.
func (a asker) Unfinished(ctx context.Context) ([]string, error) {
	query := fmt.Sprintf(`ExecutionStatus = "Running" AND WorkflowType IN (%q, %q, %q)`, workflows.CampaignType, workflows.ClusterType, workflows.MemberType)
	found := map[string]bool{}
	for _, run := range a.list(ctx, query) {
		if run.err != nil {
			return nil, run.err
		}
		name := instanceOf(run.info)
		if name == "" {
			return nil, fmt.Errorf("workflow %s does not say which instance it is of", run.info.GetExecution().GetWorkflowId())
		}
		found[name] = true
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// rememberedFor is how old an answer may be: every member asks before its first run, and a fleet's workflows are a long list. What
// began since has no folder that is old enough to go.
const rememberedFor = time.Minute

// remembered asks for the unfinished instances once in a while, and once for all who ask meanwhile.
type remembered struct {
	list func(ctx context.Context) ([]string, error)
	now  func() time.Time

	turn  chan struct{} // of asking; holds one
	names []string
	at    time.Time
}

func remember(list func(ctx context.Context) ([]string, error), now func() time.Time) *remembered {
	return &remembered{list: list, now: now, turn: make(chan struct{}, 1)}
}

func (r *remembered) Unfinished(ctx context.Context) ([]string, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !r.at.IsZero() && r.now().Sub(r.at) < rememberedFor {
		return slices.Clone(r.names), nil
	}
	names, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	r.names, r.at = names, r.now()
	return slices.Clone(names), nil
}
