package wiring

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
