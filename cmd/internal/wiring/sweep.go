package wiring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
)

// sweepAtMost bounds the orphans of one sweep that nobody knew of; the next one finds the others.
const sweepAtMost = 100

// room is how many orphans one sweep still has room for. Those that it knows need none: they may be there for months, and must not keep
// anybody out.
type room struct {
	known map[string]bool
	left  int
}

func newRoom(known []string) *room {
	r := &room{known: map[string]bool{}, left: sweepAtMost}
	for _, run := range known {
		r.known[run] = true
	}
	return r
}

// has says whether a run that may be an orphan is to be looked at.
func (r *room) has(run string) bool { return r.known[run] || r.left > 0 }

// take is called for one that is.
func (r *room) take(run string) {
	if !r.known[run] {
		r.left--
	}
}

// Orphans lists workflows that were ended from outside, but those that a later run of their instance went on with.
func (a asker) Orphans(ctx context.Context, known []string) ([]activities.Orphan, error) {
	var found []activities.Orphan
	room := newRoom(known)
	query := fmt.Sprintf(`ExecutionStatus IN ("Terminated", "TimedOut") AND WorkflowType IN (%q, %q)`, workflows.ClusterType, workflows.MemberType)
	for _, run := range a.list(ctx, query) {
		if run.err != nil {
			return nil, run.err
		}
		o := activities.Orphan{
			WorkflowID: run.info.GetExecution().GetWorkflowId(), RunID: run.info.GetExecution().GetRunId(), Type: run.info.GetType().GetName(),
			Instance: instanceOf(run.info), Status: strings.ToLower(run.info.GetStatus().String()),
		}
		if !room.has(o.RunID) {
			continue
		}
		last, err := a.latest(ctx, o.WorkflowID, o.Instance)
		if err != nil {
			return nil, err
		}
		if last == o.RunID {
			room.take(o.RunID)
			found = append(found, o)
		}
	}
	return found, nil
}

// LastRun finds the latest run of an instance under a workflow id, or asks one for its State. Ended workflows answer too, as long as
// the server keeps their history.
func (a asker) LastRun(ctx context.Context, in activities.LastRunInput) (activities.LastRun, error) {
	if in.RunID == "" {
		run, err := a.latest(ctx, in.WorkflowID, in.Instance)
		return activities.LastRun{RunID: run}, err
	}
	var state json.RawMessage
	v, err := a.c.QueryWorkflow(ctx, in.WorkflowID, in.RunID, workflows.QueryState)
	if neverBegan := new(serviceerror.WorkflowNotReady); errors.As(err, &neverBegan) {
		v, err = a.given(ctx, in) // it was ended before it did anything
	}
	if err == nil {
		err = v.Get(&state)
	}
	if err != nil {
		return activities.LastRun{}, fmt.Errorf("last state of %s: %w", in.WorkflowID, err)
	}
	return activities.LastRun{RunID: in.RunID, State: state}, nil
}

// given is the State that a run began with.
func (a asker) given(ctx context.Context, in activities.LastRunInput) (converter.EncodedValue, error) {
	first, err := a.c.GetWorkflowHistory(ctx, in.WorkflowID, in.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
	if err != nil {
		return nil, err
	}
	return client.NewValue(first.GetWorkflowExecutionStartedEventAttributes().GetInput()), nil
}

// latest is the newest run under the id that belongs to the instance.
func (a asker) latest(ctx context.Context, id, instance string) (string, error) {
	query := fmt.Sprintf("WorkflowId = %s AND %s = %s", strconv.Quote(id), workflows.SearchAttributes()[0], strconv.Quote(instance))
	var newest time.Time
	run := ""
	for _, r := range a.list(ctx, query) {
		if r.err != nil {
			return "", r.err
		}
		if began := r.info.GetStartTime().AsTime(); run == "" || began.After(newest) {
			newest, run = began, r.info.GetExecution().GetRunId()
		}
	}
	return run, nil
}

type listed struct {
	info *workflowpb.WorkflowExecutionInfo
	err  error
}

// list returns all that a visibility query finds; an error stands last.
func (a asker) list(ctx context.Context, query string) []listed {
	var all []listed
	req := &workflowservice.ListWorkflowExecutionsRequest{Query: query}
	for {
		page, err := a.c.ListWorkflow(ctx, req)
		if err != nil {
			return append(all, listed{err: fmt.Errorf("list workflows: %w", err)})
		}
		for _, info := range page.GetExecutions() {
			all = append(all, listed{info: info})
		}
		if req.NextPageToken = page.GetNextPageToken(); len(req.NextPageToken) == 0 {
			return all
		}
	}
}

func instanceOf(info *workflowpb.WorkflowExecutionInfo) string {
	var name string
	payload := info.GetSearchAttributes().GetIndexedFields()[workflows.SearchAttributes()[0]]
	if payload == nil || converter.GetDefaultDataConverter().FromPayload(payload, &name) != nil {
		return ""
	}
	return name
}

// startSweeper has a sweep made now, and every so often from now on. The one workflow serves all workers.
func startSweeper(ctx context.Context, c client.Client, every time.Duration) error {
	_, err := c.SignalWithStartWorkflow(ctx, workflows.SweeperID, workflows.SignalSweep, workflows.Sweep{Every: every},
		client.StartWorkflowOptions{ID: workflows.SweeperID, TaskQueue: workflows.Queue, StaticSummary: "takes up what was ended from outside"},
		workflows.SweeperType, workflows.SweeperState{Every: every})
	if err != nil {
		return errors.Join(errors.New("the sweeper could not be started"), err)
	}
	return nil
}
