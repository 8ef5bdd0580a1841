package main

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
)

// Standing says something to the standing approvals of a schedule. Whoever hands one in begins the workflow that keeps them, where there is none.
func (t *temporalServer) Standing(ctx context.Context, schedule, word string, w workflows.StandingWord) (given workflows.Given, err error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	id := workflows.StandingID(schedule)
	update := client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: word, UpdateID: word + "/" + w.ID, Args: []any{w}, WaitForStage: client.WorkflowUpdateStageCompleted}
	var h client.WorkflowUpdateHandle
	if word == workflows.UpdateHandIn {
		start := t.client.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
			ID: id, TaskQueue: workflows.Queue, WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
			StaticSummary: "standing approvals for what schedule " + schedule + " makes",
		}, workflows.StandingType, workflows.StandingState{Schedule: schedule})
		h, err = t.client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{StartWorkflowOperation: start, UpdateOptions: update})
	} else {
		h, err = t.client.UpdateWorkflow(ctx, update)
	}
	if err == nil {
		err = h.Get(ctx, &given)
	}
	var app *temporal.ApplicationError
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	switch {
	case err == nil:
		return given, nil
	case errors.As(err, &app):
		return given, &refusal{app.Message()}
	case errors.As(err, &timeout) || errors.Is(err, context.DeadlineExceeded):
		return given, status.ErrNoWorker
	}
	return given, t.explain(err, true)
}
