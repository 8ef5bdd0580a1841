package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// stub is a Temporal client that was told what it answers.
type stub struct {
	client.Client
	started  []client.StartWorkflowOptions
	start    error
	get      func(context.Context) error
	describe *workflowservice.DescribeWorkflowExecutionResponse
	gone     error
	query    error
	pollers  []*taskqueuepb.PollerInfo
	busy     []*taskqueuepb.PollerInfo // of activities
}

func (s *stub) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	return nil, s.query
}

func (s *stub) DescribeTaskQueue(_ context.Context, _ string, kind enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error) {
	if kind == enumspb.TASK_QUEUE_TYPE_ACTIVITY {
		return &workflowservice.DescribeTaskQueueResponse{Pollers: s.busy}, s.gone
	}
	return &workflowservice.DescribeTaskQueueResponse{Pollers: s.pollers}, s.gone
}

func (s *stub) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	s.started = append(s.started, o)
	return stubRun{stub: s}, s.start
}

func (s *stub) GetWorkflow(context.Context, string, string) client.WorkflowRun {
	return stubRun{stub: s}
}

func (s *stub) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return s.describe, s.gone
}

type stubRun struct {
	client.WorkflowRun
	*stub
}

func (stubRun) GetID() string { return "records/1" }

func (r stubRun) Get(ctx context.Context, into any) error {
	if err := r.get(ctx); err != nil {
		return err
	}
	*into.(*[]workflows.Record) = []workflows.Record{{Claim: activities.Claim{Key: "cluster/web"}}}
	return nil
}

// long is a workflow that does not end, after so many events.
func long(events int64, pending ...*workflowpb.PendingActivityInfo) *workflowservice.DescribeWorkflowExecutionResponse {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{}, HistoryLength: events, StartTime: timestamppb.Now()}, PendingActivities: pending,
	}
}

func TestRecordsAreWaitedFor(t *testing.T) {
	forever := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	at := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	late := temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil)
	for _, row := range []struct {
		says  string
		stub  *stub
		want  string // of the error
		is    error
		after time.Duration
	}{
		{"an answer", &stub{get: at(nil)}, "", nil, 0},
		{"an answer that was given before, under the same id", &stub{get: at(nil), start: serviceerror.NewWorkflowExecutionAlreadyStarted("x", "", "")}, "", nil, 0},
		{"a refusal, in its own words", &stub{get: at(temporal.NewNonRetryableApplicationError("it is not claimed", workflows.ErrRefused, nil))}, "it is not claimed", nil, 0},
		{"what an activity failed with", &stub{get: at(temporal.NewApplicationError("list: i/o timeout", ""))}, "list: i/o timeout", nil, 0},
		{"an activity that nobody ended", &stub{get: at(late)}, "", late, 0},
		{"nobody begins with it", &stub{get: forever, describe: long(2)}, "", status.ErrNoWorker, tellTimeout},
		{"it is begun, and does not end", &stub{get: forever, describe: long(9, &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: "Check"}, Attempt: 2, LastFailure: failure("connection refused")})},
			"has not ended yet; Check is tried again: connection refused", nil, recordsTimeout},
		{"it is begun, and its activity is taken by nobody", &stub{get: forever, describe: long(9, &workflowpb.PendingActivityInfo{ActivityType: &commonpb.ActivityType{Name: "Records"}, Attempt: 1, State: enumspb.PENDING_ACTIVITY_STATE_SCHEDULED})},
			"no worker has taken Records yet", nil, recordsTimeout},
		{"a server that is away", &stub{start: serviceerror.NewUnavailable("x")}, "", status.ErrUnreachable, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			got, err := (&temporalServer{client: row.stub}).Records(t.Context(), "1", workflows.RecordsInput{Word: workflows.RecordsList})
			if row.want == "" && row.is == nil {
				if err != nil || len(got) != 1 {
					t.Errorf("%s: %+v, %v", row.says, got, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), row.want) || row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("%s: %v, want %q, %v", row.says, err, row.want, row.is)
			}
			if took := time.Since(began); took != row.after {
				t.Errorf("%s: after %s, want %s", row.says, took, row.after)
			}
			if o := row.stub.started[0]; o.ID != "records/1" || o.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING || o.WorkflowExecutionTimeout == 0 {
				t.Errorf("%s: started with %+v", row.says, o)
			}
		})
	}
}

func failure(text string) *failurepb.Failure { return &failurepb.Failure{Message: text} }

func TestFrozenIsReadWithoutAWorker(t *testing.T) {
	since := time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC)
	memo := map[string]*commonpb.Payload{}
	for k, v := range workflows.FreezeMemo(rollout.Message{ID: "mine", Actor: "ann", Reason: "incident 12"}) {
		p, err := converter.GetDefaultDataConverter().ToPayload(v)
		if err != nil {
			t.Fatal(err)
		}
		memo[k] = p
	}
	in := func(s enumspb.WorkflowExecutionStatus) *workflowservice.DescribeWorkflowExecutionResponse {
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: s, StartTime: timestamppb.New(since), Memo: &commonpb.Memo{Fields: memo}}}
	}
	for _, row := range []struct {
		says string
		stub *stub
		want frozen
		err  error
	}{
		{"it runs", &stub{describe: in(enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING)}, frozen{Frozen: true, By: "ann", Since: since, Reason: "incident 12", ID: "mine"}, nil},
		{"it was thawed", &stub{describe: in(enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)}, frozen{}, nil},
		{"it never was", &stub{gone: serviceerror.NewNotFound("x")}, frozen{}, nil},
		{"nobody knows", &stub{gone: serviceerror.NewUnavailable("x")}, frozen{}, status.ErrUnreachable},
	} {
		got, err := (&temporalServer{client: row.stub}).Frozen(t.Context())
		if got != row.want || !errors.Is(err, row.err) {
			t.Errorf("%s: %+v, %v; want %+v, %v", row.says, got, err, row.want, row.err)
		}
	}
}

func TestFreezeIsTakenOnce(t *testing.T) {
	for _, row := range []struct {
		start, want error
	}{{nil, nil}, {serviceerror.NewWorkflowExecutionAlreadyStarted("x", "", ""), errTaken}, {serviceerror.NewUnavailable("x"), status.ErrUnreachable}} {
		s := &stub{start: row.start}
		if err := (&temporalServer{client: s}).Freeze(t.Context(), rollout.Message{Actor: "ann", Reason: "incident 12"}); !errors.Is(err, row.want) {
			t.Errorf("started with %v: %v, want %v", row.start, err, row.want)
		}
		o := s.started[0]
		if o.ID != workflows.FreezeID || o.TaskQueue != workflows.Queue || o.WorkflowIDConflictPolicy != enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL || !o.WorkflowExecutionErrorWhenAlreadyStarted || len(o.Memo) == 0 {
			t.Errorf("started with %+v", o)
		}
	}
}
