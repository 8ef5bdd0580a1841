package activities

import "context"

// Orphan is a workflow of a cluster or a member that was ended from outside, and that no later run of the same instance went on
// with: what it left behind is nobody's any more.
type Orphan struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
	Type       string `json:"type"`
	Instance   string `json:"instance"`
	Status     string `json:"status"` // terminated or timed out
}

// OrphansInput names the runs that the sweeper knows already: those that cannot be taken up are listed all the same, and take the place of no
// other.
type OrphansInput struct {
	Known []string `json:"known,omitempty"` // their run ids
}

// LastRunInput asks for the latest run of a workflow that belongs to an instance; a RunID says which.
type LastRunInput struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id,omitempty"`
	Instance   string `json:"instance"`
}

// LastRun is that run. RunID is empty where the instance never had one.
type LastRun struct {
	RunID string `json:"run_id,omitempty"`
	State []byte `json:"state,omitempty"` // JSON: what its query answers, asked for where the input names the run
}

// Orphans lists what was ended from outside.
func (a *Activities) Orphans(ctx context.Context, in OrphansInput) ([]Orphan, error) {
	ctx, stop := a.beating(ctx)
	defer stop()
	return a.Workflows.Orphans(ctx, in.Known)
}

// LastRun finds a run and its State.
func (a *Activities) LastRun(ctx context.Context, in LastRunInput) (LastRun, error) {
	ctx, stop := a.beating(ctx)
	defer stop()
	return a.Workflows.LastRun(ctx, in)
}
