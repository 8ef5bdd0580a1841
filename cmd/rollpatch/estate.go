package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// recordsTimeout is how long a request about records is waited for: longer than the checks of a member that is put back are asked.
const recordsTimeout = 7 * time.Minute

// onItsWayError is a request that was taken and has not ended.
type onItsWayError struct{ doing string }

func (e *onItsWayError) Error() string { return "it is on its way, and has not ended yet" + e.doing }

func (t *temporalServer) Freeze(ctx context.Context, m rollout.Message) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	_, err := t.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflows.FreezeID, TaskQueue: workflows.Queue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		Memo:                                     workflows.FreezeMemo(m),
		StaticSummary:                            "frozen: " + m.Reason,
	}, workflows.FreezeType, workflows.FreezeState{Frozen: m})
	if runs := new(serviceerror.WorkflowExecutionAlreadyStarted); errors.As(err, &runs) {
		return errTaken
	}
	if err != nil {
		return t.explain(err, false)
	}
	return nil
}

func (t *temporalServer) Frozen(ctx context.Context) (frozen, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := t.client.DescribeWorkflowExecution(ctx, workflows.FreezeID, "")
	if err != nil {
		if err = t.explain(err, false); errors.Is(err, status.ErrNotFound) {
			err = nil
		}
		return frozen{}, err
	}
	info := r.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return frozen{}, nil
	}
	m, err := workflows.FrozenBy(info.GetMemo())
	return frozen{Frozen: true, By: m.Actor, Since: info.GetStartTime().AsTime(), Reason: m.Reason, ID: m.ID}, err
}

func (t *temporalServer) Records(ctx context.Context, id string, in workflows.RecordsInput) ([]workflows.Record, error) {
	opts := client.StartWorkflowOptions{
		ID: workflows.RecordsID(id), TaskQueue: workflows.Queue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            strings.TrimSpace(in.Word + " " + in.Name),
	}
	if in.Word == workflows.RecordsList {
		opts.WorkflowExecutionTimeout = recordsTimeout // nobody reads what is listed later
	}
	starting, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	run, err := t.client.ExecuteWorkflow(starting, opts, workflows.RecordsType, in)
	if done := new(serviceerror.WorkflowExecutionAlreadyStarted); errors.As(err, &done) {
		run, err = t.client.GetWorkflow(ctx, opts.ID, ""), nil
	}
	if err != nil {
		return nil, t.explain(err, false)
	}
	return t.answer(ctx, run, in.Word)
}

// answer waits for the end of a request. When nobody has even begun with it after a while, nobody will.
func (t *temporalServer) answer(ctx context.Context, run client.WorkflowRun, word string) ([]workflows.Record, error) {
	var out []workflows.Record
	for _, wait := range []time.Duration{tellTimeout, recordsTimeout - tellTimeout} {
		waiting, cancel := context.WithTimeout(ctx, wait)
		err := run.Get(waiting, &out)
		over := waiting.Err() == nil
		cancel()
		switch {
		case err == nil:
			return out, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case over:
			return nil, t.recordsError(err, word)
		}
		begun, err := t.begun(ctx, run.GetID())
		if err != nil {
			return nil, err
		}
		if !begun {
			return nil, status.ErrNoWorker
		}
	}
	e, err := t.Describe(ctx, run.GetID())
	if err != nil {
		return nil, err
	}
	doing := ""
	for _, a := range e.Pending {
		switch {
		case a.Failure != "":
			doing += "; " + a.Name + " is tried again: " + status.Plain(a.Failure)
		case !a.Taken:
			doing += "; no worker has taken " + a.Name + " yet"
		}
	}
	return nil, &onItsWayError{doing}
}

// begun says that a worker has taken up the workflow: more has happened to it than its start.
func (t *temporalServer) begun(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := t.client.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return false, t.explain(err, false)
	}
	return r.GetWorkflowExecutionInfo().GetHistoryLength() > 2, nil
}

// recordsError is what a request failed with: its own refusal, or why nobody knows.
func (t *temporalServer) recordsError(err error, word string) error {
	var (
		app     *temporal.ApplicationError
		act     *temporal.ActivityError
		timeout *temporal.TimeoutError
	)
	switch {
	case errors.As(err, &app) && app.Type() == workflows.ErrRefused:
		return &refusal{app.Message()}
	case errors.As(err, &act) && errors.As(err, &timeout):
		return fmt.Errorf("%s: %s did not end in time: %w", word, act.ActivityType().GetName(), status.ErrNoWorker)
	case errors.As(err, &app):
		return fmt.Errorf("%s: %s", word, app.Message())
	}
	return t.explain(err, true)
}
