package activities

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// DemandedResult says whether an emergency asks; No is why it is none.
type DemandedResult struct {
	No string `json:"no,omitempty"`
}

// Demanded looks at who asks for a cluster: only the cluster of an emergency that runs is handed one over. Anybody who reaches the server can
// send a signal, and a soak that ends for a name that was mistyped has ended.
func (a *Activities) Demanded(ctx context.Context, in AskInput) (DemandedResult, error) {
	r, err := a.Workflows.Ask(ctx, in)
	if err != nil {
		return DemandedResult{}, err
	}
	if !r.Running {
		return DemandedResult{No: fmt.Sprintf("%s does not run (%s)", in.WorkflowID, r.Status)}, nil
	}
	if r.Instance == "" {
		return DemandedResult{No: in.WorkflowID + " works for no instance"}, nil
	}
	run, err := a.Workflows.LastRun(ctx, LastRunInput{WorkflowID: in.WorkflowID, Instance: r.Instance})
	if err == nil && run.RunID == "" { // it began a moment ago
		err = fmt.Errorf("the run of %s cannot be found yet", in.WorkflowID)
	}
	if err == nil {
		run, err = a.Workflows.LastRun(ctx, LastRunInput{WorkflowID: in.WorkflowID, Instance: r.Instance, RunID: run.RunID})
	}
	if err != nil {
		return DemandedResult{}, err
	}
	var c rollout.Cluster
	if err := json.Unmarshal(run.State, &c); err != nil || c.Name == "" || !c.Policy.Emergency {
		return DemandedResult{No: in.WorkflowID + " is no cluster of an emergency"}, nil
	}
	return DemandedResult{}, nil
}
