package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"sort"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap/exp/zapslog"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const (
	defaultAddress = "127.0.0.1:7233"
	dialTimeout    = 10 * time.Second
	askTimeout     = 10 * time.Second
	// A worker that is busy starting answers in seconds; after this nobody knows whether it will.
	tellTimeout = 30 * time.Second
	maxListed   = 1000
)

// server is what commands need of Temporal.
type server interface {
	status.Source
	// List finds workflows, newest first.
	List(ctx context.Context, f filter) ([]status.Execution, error)
	// Start starts an instance, or returns errTaken.
	Start(ctx context.Context, st workflows.CampaignState) error
	// Tell sends a person's message and waits until it was taken or refused.
	Tell(ctx context.Context, workflowID, word string, m rollout.Message) error
	// Freeze freezes the whole estate, or returns errTaken where it is frozen.
	Freeze(ctx context.Context, m rollout.Message) error
	// Frozen says who froze the estate and since when, workers or no workers.
	Frozen(ctx context.Context) (frozen, error)
	// Records has the records in Consul listed, or one of them changed. What is asked under an id that was answered is answered again.
	Records(ctx context.Context, id string, in workflows.RecordsInput) ([]workflows.Record, error)
	// Plan has hosts asked what they would get.
	Plan(ctx context.Context, id string, in workflows.PlanInput) ([]workflows.PlanAnswer, error)
	// Standing says something to the standing approvals of a schedule.
	Standing(ctx context.Context, schedule, word string, w workflows.StandingWord) (workflows.Given, error)
	scheduler
	Close()
}

// errTaken is a start under the name of an instance that there is.
var errTaken = errors.New("there is an instance of that name")

// refusal is a message that a workflow did not take, in its own words.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// settings are where the server is, as far as flags say.
type settings struct {
	address, namespace string
	verbose            bool
	quick              bool // where nothing listens, that is said at once: the client asks again for seconds
}

func (d *desk) connect(c *cli.Context) (server, error) {
	return d.dial(c.Context, d, settings{address: c.String("address"), namespace: c.String("namespace"), verbose: c.Bool("verbose")})
}

// clientOptions are those of Temporal's environment configuration, with flags over them.
func (d *desk) clientOptions(s settings) (client.Options, error) {
	opts, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: d})
	if err != nil {
		return opts, usage("Temporal's settings: " + err.Error())
	}
	if s.address != "" {
		opts.HostPort = s.address
	}
	if opts.HostPort == "" {
		opts.HostPort = defaultAddress
	}
	if s.namespace != "" {
		opts.Namespace = s.namespace
	}
	if opts.Namespace == "" {
		opts.Namespace = client.DefaultNamespace
	}
	opts.Identity = "rollpatch " + d.requester()
	opts.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	if s.verbose {
		opts.Logger = sdklog.NewStructuredLogger(slog.New(zapslog.NewHandler(d.log(true).Core())))
	}
	return opts, nil
}

func dial(ctx context.Context, d *desk, s settings) (server, error) {
	opts, err := d.clientOptions(s)
	if err != nil {
		return nil, err
	}
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s.quick {
		conn, err := new(net.Dialer).DialContext(dialling, "tcp", opts.HostPort)
		if err != nil {
			return nil, failed(fmt.Errorf("no Temporal server answers at %s: %w", opts.HostPort, err), daemonHint)
		}
		conn.Close()
	}
	c, err := client.DialContext(dialling, opts)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, failed(fmt.Errorf("no Temporal server answers at %s: %w", opts.HostPort, err), daemonHint)
	}
	return &temporalServer{client: c, namespace: opts.Namespace, address: opts.HostPort}, nil
}

type temporalServer struct {
	client             client.Client
	namespace, address string
}

func (t *temporalServer) Close() { t.client.Close() }

func (t *temporalServer) State(ctx context.Context, workflowID string, into any) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	v, err := t.client.QueryWorkflow(asking, workflowID, "", workflows.QueryState)
	if err != nil {
		if err = t.explain(err, true); errors.Is(err, status.ErrNoWorker) {
			err = fmt.Errorf("%w: %s", err, t.lastWorker(ctx))
		}
		return err
	}
	return v.Get(into)
}

// lastWorker is which worker asked for work last, and when: each asks once a minute at least, for as long as it lives. The server
// remembers those of a few minutes, even one that was told to stop. One that works on an activity may have asked for
// workflows long before, so both queues are looked at.
func (t *temporalServer) lastWorker(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	who, when := "", time.Time{}
	for queue, kind := range map[string]enumspb.TaskQueueType{
		workflows.Queue:            enumspb.TASK_QUEUE_TYPE_WORKFLOW,
		workflows.SegmentQueue(""): enumspb.TASK_QUEUE_TYPE_ACTIVITY,
	} {
		r, err := t.client.DescribeTaskQueue(ctx, queue, kind)
		if err != nil {
			return "nobody can say which was there last: " + err.Error()
		}
		for _, p := range r.GetPollers() {
			if at := p.GetLastAccessTime().AsTime(); at.After(when) {
				who, when = strings.TrimRight(p.GetIdentity(), "@"), at
			}
		}
	}
	if who == "" {
		return "none asks for work"
	}
	return fmt.Sprintf("the last to ask for work was %s, at %s", who, stamp(when))
}

func (t *temporalServer) Describe(ctx context.Context, workflowID string) (status.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := t.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return status.Execution{}, t.explain(err, false)
	}
	e := execution(r.GetWorkflowExecutionInfo())
	for _, a := range r.GetPendingActivities() {
		p := status.Activity{Name: a.GetActivityType().GetName(), Attempt: int(a.GetAttempt()), Taken: a.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED}
		for _, at := range []interface{ AsTime() time.Time }{a.GetLastStartedTime(), a.GetScheduledTime()} {
			if when := at.AsTime(); when.Unix() > 0 {
				p.Since = when
				break
			}
		}
		if p.Attempt > 1 {
			p.Failure = a.GetLastFailure().GetMessage()
		}
		e.Pending = append(e.Pending, p)
	}
	return e, nil
}

// explain gives an error of the server the words that people and callers need.
func (t *temporalServer) explain(err error, query bool) error {
	var (
		notFound     *serviceerror.NotFound
		namespace    *serviceerror.NamespaceNotFound
		unavailable  *serviceerror.Unavailable
		precondition *serviceerror.FailedPrecondition
		notReady     *serviceerror.WorkflowNotReady
		deadline     *serviceerror.DeadlineExceeded
	)
	switch {
	case errors.As(err, &namespace):
		return failed(fmt.Errorf("the Temporal server at %s has no namespace %q yet", t.address, t.namespace), "it may have just been started: type the same again; another one is named with --namespace")
	case errors.As(err, &notFound):
		return status.ErrNotFound
	case errors.As(err, &unavailable):
		return fmt.Errorf("%w at %s: %v", status.ErrUnreachable, t.address, err)
	case query && (errors.As(err, &precondition) || errors.As(err, &notReady) || errors.As(err, &deadline) || errors.Is(err, context.DeadlineExceeded)):
		return status.ErrNoWorker
	case errors.As(err, &deadline) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w at %s", status.ErrUnreachable, t.address)
	}
	return err
}

// filter says which workflows are listed.
type filter struct {
	kind    string // workflow type
	prefix  string // of the workflow id
	cluster string
	running bool
}

// query is the filter in Temporal's list language. What a continued workflow left behind is no instance of its own.
func (f filter) query() string {
	q := []string{fmt.Sprintf("WorkflowType = '%s'", f.kind), "ExecutionStatus != 'ContinuedAsNew'"}
	if f.prefix != "" {
		q = append(q, fmt.Sprintf("WorkflowId STARTS_WITH '%s'", f.prefix))
	}
	if f.cluster != "" {
		q = append(q, fmt.Sprintf("RollpatchCluster = '%s'", f.cluster))
	}
	if f.running {
		q = append(q, "ExecutionStatus = 'Running'")
	}
	return strings.Join(q, " AND ")
}

// nameForm is that of every name that ends up in a workflow id; anything else would be a query of its own.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (t *temporalServer) List(ctx context.Context, f filter) ([]status.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	var out []status.Execution
	var next []byte
	for len(out) < maxListed {
		r, err := t.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: t.namespace, PageSize: 200, NextPageToken: next, Query: f.query()})
		if err != nil {
			return nil, t.explain(err, false)
		}
		for _, info := range r.GetExecutions() {
			out = append(out, execution(info))
		}
		if next = r.GetNextPageToken(); len(next) == 0 {
			break
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Started.After(out[j].Started) })
	return out, nil
}

func execution(info *workflowpb.WorkflowExecutionInfo) status.Execution {
	e := status.Execution{ID: info.GetExecution().GetWorkflowId(), Started: info.GetStartTime().AsTime(), State: keyword(info.GetSearchAttributes(), "RollpatchState")}
	if info.GetCloseTime() != nil {
		e.Closed = info.GetCloseTime().AsTime()
	}
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		e.Status = status.Running
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		e.Status = "timed-out"
	default:
		e.Status = strings.ToLower(info.GetStatus().String())
	}
	return e
}

func keyword(attrs *commonpb.SearchAttributes, name string) string {
	var s string
	if p := attrs.GetIndexedFields()[name]; p != nil && converter.GetDefaultDataConverter().FromPayload(p, &s) == nil {
		return s
	}
	return ""
}

func (t *temporalServer) Start(ctx context.Context, st workflows.CampaignState) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	_, err := t.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflows.CampaignID(st.Instance), TaskQueue: workflows.Queue,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            st.Name + ": " + st.Why,
		StaticDetails:                            details(st),
		TypedSearchAttributes:                    workflows.StartAttributes(st.Instance),
	}, workflows.CampaignType, st)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) {
		return errTaken
	}
	if err != nil {
		return t.explain(err, false)
	}
	return nil
}

// details are what the Temporal UI shows of an instance before anything else is known of it.
func details(st workflows.CampaignState) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** · %s%s\n\nrequested by %s (claimed), plan `%s`\n\n", st.Instance, st.Why, inBrackets(st.Ticket), st.Requester, st.Plan)
	for i, name := range st.Stages {
		var clusters []string
		for _, r := range st.Clusters {
			if r.Stage == i {
				clusters = append(clusters, r.Name)
			}
		}
		if len(clusters) > 50 {
			clusters = append(clusters[:50], fmt.Sprintf("and %d more", len(clusters)-50))
		}
		fmt.Fprintf(&b, "- stage %s: %s\n", name, strings.Join(clusters, ", "))
	}
	return b.String()
}

func (t *temporalServer) Tell(ctx context.Context, workflowID, word string, m rollout.Message) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	h, err := t.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		// The server answers for an update id that it knows, whatever the update's name: another word is another request.
		WorkflowID: workflowID, UpdateName: word, UpdateID: word + "/" + m.ID, Args: []any{m}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = h.Get(ctx, nil)
	}
	var app *temporal.ApplicationError
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &app):
		return &refusal{app.Message()}
	case errors.As(err, &timeout) || errors.Is(err, context.DeadlineExceeded):
		return status.ErrNoWorker
	}
	return t.explain(err, true)
}
