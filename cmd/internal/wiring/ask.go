package wiring

import (
	"context"
	"encoding/json"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/activities"
)

// asker asks the Temporal server what became of a workflow.
type asker struct {
	c         client.Client
	namespace string
}

// Ask describes the run, and reads its result when it completed by itself.
func (a asker) Ask(ctx context.Context, in activities.AskInput) (activities.AskResult, error) {
	d, err := a.c.DescribeWorkflowExecution(ctx, in.WorkflowID, in.RunID)
	if gone := new(serviceerror.NotFound); errors.As(err, &gone) {
		return activities.AskResult{Status: activities.NotFound}, nil
	}
	if err != nil {
		return activities.AskResult{}, err
	}
	info := d.GetWorkflowExecutionInfo()
	r := activities.AskResult{Status: info.GetStatus().String(), Instance: instanceOf(info)}
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		r.Running = true
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		r.EndedFromOutside = true
	case enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return a.Ask(ctx, activities.AskInput{WorkflowID: in.WorkflowID})
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		var body json.RawMessage
		err := a.c.GetWorkflow(ctx, in.WorkflowID, in.RunID).Get(ctx, &body)
		// A quarantine and a halt are failures whose details are the report.
		if app := new(temporal.ApplicationError); errors.As(err, &app) {
			if !app.HasDetails() || app.Details(&body) != nil {
				return r, nil
			}
		} else if err != nil {
			return r, err
		}
		r.Result = body
	}
	return r, nil
}
