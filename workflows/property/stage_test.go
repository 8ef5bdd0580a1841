package property_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// run is one run of a workflow.
type run struct {
	id, kind, runID string
	instance        string
	cluster, host   string // of a member
	returns         bool   // it puts its host back for a survey
	next            *run   // it continued as new

	turns, last int // how often it asked about its history, and after how often that is long
	cancel      workflow.CancelFunc
	killed      bool
	forgotten   bool
	ended       time.Time
	status      string // "" while it runs
	result      json.RawMessage
	state       json.RawMessage // what its query answered last, of one that was ended from outside
}

func (r *run) open() bool { return r != nil && r.status == "" }

// stage is the root workflow: it starts the instances, and ends when all is over, or nothing moves any more.
func (w *world) stage(ctx workflow.Context) error {
	w.template = *workflow.GetInfo(ctx)
	for _, c := range w.campaigns {
		workflow.Go(ctx, func(ctx workflow.Context) {
			if workflow.Sleep(ctx, c.delay) == nil {
				w.startChild(ctx, workflows.CampaignID(c.instance), workflows.CampaignType, c.begin())
			}
		})
	}
	if w.kills {
		w.startChild(ctx, workflows.SweeperID, workflows.SweeperType, workflows.SweeperState{Every: 20 * time.Minute})
	}
	for !w.over() {
		if err := workflow.Sleep(ctx, 10*time.Minute); err != nil {
			return err
		}
	}
	w.judging = true
	for _, r := range w.openRuns() {
		w.kill(r, false)
	}
	for len(w.openRuns()) > 0 {
		if err := workflow.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) startChild(ctx workflow.Context, id, kind string, in any) {
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id, TaskQueue: workflows.Queue, ParentClosePolicy: parentCloseAbandon})
	if err := workflow.ExecuteChildWorkflow(child, kind, in).GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		w.broken("%s was not started: %v", id, err)
	}
}

// tracer puts the world between the workflows and what they call: activities, signals, children and the length of the history.
type tracer struct {
	interceptor.WorkerInterceptorBase
	w *world
}

func (t *tracer) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	i := &inbound{w: t.w}
	i.Next = next
	return i
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	w   *world
	out *outbound
}

func (i *inbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	i.out = &outbound{w: i.w}
	i.out.Next = out
	return i.Next.Init(i.out)
}

const stageType = "stage"

// ExecuteWorkflow runs a workflow so that it can be cancelled, and ended from outside.
func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	info := i.out.Next.GetInfo(ctx)
	if info.WorkflowType.Name == stageType {
		return i.Next.ExecuteWorkflow(ctx, in)
	}
	w := i.w
	r := w.opens(info, in.Args)
	i.out.run = r
	var (
		out  any
		err  error
		done bool
	)
	own, _ := workflow.NewDisconnectedContext(ctx)
	ctx, r.cancel = workflow.WithCancel(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() {
			if p := recover(); p != nil {
				w.broken("%s panicked: %v\n%s", r.id, p, debug.Stack())
				done = true
			}
		}()
		out, err = i.Next.ExecuteWorkflow(ctx, in)
		done = true
	})
	if werr := workflow.Await(own, func() bool { return done || r.killed }); werr != nil {
		return nil, werr
	}
	if !done {
		r.status, r.ended = "Terminated", w.now()
		w.dropped(r)
		return nil, &temporal.TerminatedError{}
	}
	w.closes(r, out, err)
	return out, err
}

// opens books a new run.
func (w *world) opens(info *workflow.Info, args []any) *run {
	id := info.WorkflowExecution.ID
	r := &run{id: id, kind: info.WorkflowType.Name, runID: info.WorkflowExecution.RunID}
	if w.tired > 0 && w.rng("history "+id).Float64() < w.tired {
		r.last = 1 + w.rng("history "+id).IntN(60)
	}
	switch st := args[0].(type) {
	case workflows.CampaignState:
		r.instance = st.Instance
	case workflows.ClusterState:
		r.instance = st.Instance
	case workflows.MemberState:
		r.instance, r.cluster, r.host, r.returns = st.Instance, st.Cluster, st.Host, st.Mode == rollout.ModeReturn
		w.memberOpens(st)
	}
	if before := w.latest(id); before != nil && before.status == "ContinuedAsNew" && before.next == nil {
		before.next = r
		w.seen["continued as new: "+r.kind]++
	}
	w.runs[id] = append(w.runs[id], r)
	w.logf("%s opens as run %s", id, r.runID)
	return r
}

func (w *world) latest(id string) *run {
	if all := w.runs[id]; len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

// closes books a run's end.
func (w *world) closes(r *run, out any, err error) {
	var (
		again *workflow.ContinueAsNewError
		app   *temporal.ApplicationError
	)
	r.ended = w.now()
	switch {
	case errors.As(err, &again):
		r.status = "ContinuedAsNew"
		w.logf("%s continues as new", r.id)
		return
	case err == nil:
		r.status = "Completed"
		r.result = body(out)
	case errors.As(err, &app) && app.HasDetails():
		r.status = "Failed"
		var member workflows.MemberReport
		var cluster workflows.ClusterReport
		switch {
		case r.kind == workflows.MemberType && app.Details(&member) == nil:
			r.result, out = body(member), member
		case r.kind == workflows.ClusterType && app.Details(&cluster) == nil:
			r.result, out = body(cluster), cluster
		}
	default:
		r.status = "Failed"
	}
	w.logf("%s ends %s: %v", r.id, r.status, err)
	if w.kills {
		r.state = w.ask(r)
	}
	switch report := out.(type) {
	case workflows.MemberReport:
		w.memberCloses(report)
	case workflows.ClusterReport:
		w.clusterCloses(r.instance, report)
	case rollout.Campaign:
		w.campaignCloses(report)
	default:
		if r.kind == workflows.CampaignType && err != nil {
			var st workflows.CampaignState
			if w.state(r.id, &st) {
				w.campaignCloses(st.Campaign)
			}
		}
	}
}

func body(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// ask is the State of a run that is there.
func (w *world) ask(r *run) json.RawMessage {
	v, err := w.env.QueryWorkflowByID(r.id, workflows.QueryState)
	if err != nil {
		return nil
	}
	var raw json.RawMessage
	if v.Get(&raw) != nil {
		return nil
	}
	return raw
}

// state reads a workflow's State; false when it has none to tell.
func (w *world) state(id string, into any) bool {
	if w.latest(id) == nil {
		return false
	}
	raw := w.ask(w.latest(id))
	return raw != nil && json.Unmarshal(raw, into) == nil
}

func (w *world) openRuns() []*run {
	var out []*run
	for _, id := range w.ids() {
		if r := w.latest(id); r.open() {
			out = append(out, r)
		}
	}
	return out
}

// kill ends a run from outside.
func (w *world) kill(r *run, told bool) {
	if told {
		r.state = w.ask(r)
		w.logf("somebody terminates %s", r.id)
		w.seen["terminated: "+r.kind]++
	}
	r.killed = true
	w.wake(r)
}

// wake has a run look again.
func (w *world) wake(r *run) {
	_ = w.env.SignalWorkflowByID(r.id, "wake", nil)
}

// outbound is what one run calls.
type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	w   *world
	run *run
}

// GetInfo says that history is long, once it is. Only the test environment can, of the stage: its answer is lent.
func (o *outbound) GetInfo(ctx workflow.Context) *workflow.Info {
	info := o.Next.GetInfo(ctx)
	if o.run == nil || o.run.last == 0 {
		return info
	}
	if o.run.turns++; o.run.turns < o.run.last {
		return info
	}
	lent := o.w.template
	from, to := reflect.ValueOf(info).Elem(), reflect.ValueOf(&lent).Elem()
	for i := range to.NumField() {
		if to.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return &lent
}

// ExecuteActivity has the world do it, on the clock of the test environment, with the attempts that its options allow.
func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	if o.run == nil {
		return o.Next.ExecuteActivity(ctx, name, args...)
	}
	f, set := workflow.NewFuture(ctx)
	own, _ := workflow.NewDisconnectedContext(ctx)
	var in any
	if len(args) > 0 {
		in = args[0]
	}
	workflow.Go(own, func(own workflow.Context) {
		set.Set(o.w.perform(own, ctx, o.run, name, in))
	})
	return f
}

// perform is an activity's life: attempts until one has a result, the workflow no longer wants it, or its time is over.
func (w *world) perform(own, ctx workflow.Context, r *run, name string, in any) (any, error) {
	opts, rng := workflow.GetActivityOptions(ctx), w.rng(r.id)
	deadline := workflow.Now(own).Add(opts.ScheduleToCloseTimeout)
	a := &act{world: w, run: r, rng: rng, name: name, in: in}
	a.asked()
	pause := opts.RetryPolicy.InitialInterval
	for ; ; a.attempt++ {
		fault, takes, finish := a.fault(), w.grid(rng, time.Second, 5*time.Second), func() any { return nil }
		switch fault {
		case none, lostReply:
			takes, finish = a.begin()
		case noWorker: // nobody takes it until its time is over
			takes = deadline.Sub(workflow.Now(own))
		}
		if err := w.pass(own, ctx, takes, opts.WaitForCancellation, rng); err != nil {
			a.end()
			return nil, a.told(nil, err)
		}
		switch fault {
		case none:
			out := finish()
			if _, bad := out.(error); !bad {
				a.end()
				_ = a.told(out, nil)
				return out, nil
			}
			w.seen["error"]++
		case lostReply:
			finish() // it was done, and nobody heard
			w.seen["lost reply"]++
		case noWorker:
			w.seen["timeout"]++
		default:
			w.seen["error"]++
		}
		a.end()
		if most := int(opts.RetryPolicy.MaximumAttempts); most > 0 && a.attempt+1 >= most && fault != badInput {
			return nil, a.told(nil, temporal.NewApplicationError("connection reset", "Unavailable"))
		}
		if fault == badInput {
			return nil, a.told(nil, temporal.NewNonRetryableApplicationError("body is missing", activities.ErrBadInput, nil))
		}
		if !workflow.Now(own).Add(pause).Before(deadline) {
			return nil, a.told(nil, temporal.NewTimeoutError(timeoutScheduleToClose, errors.New("no worker")))
		}
		if err := w.pass(own, ctx, pause, opts.WaitForCancellation, rng); err != nil {
			return nil, a.told(nil, err)
		}
		pause = min(time.Duration(float64(pause)*opts.RetryPolicy.BackoffCoefficient), opts.RetryPolicy.MaximumInterval)
	}
}

// pass lets time pass. Who is no longer wanted hears of it by a heartbeat, unless nobody waits for that.
func (w *world) pass(own, ctx workflow.Context, d time.Duration, waits bool, rng *rand.Rand) error {
	timers, stop := workflow.WithCancel(own)
	defer stop()
	timer := workflow.NewTimer(timers, d)
	over, wanted := false, true
	s := workflow.NewSelector(own).AddFuture(timer, func(workflow.Future) { over = true })
	if ctx.Err() == nil && ctx.Done() != nil {
		s.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { wanted = false })
	} else if ctx.Err() != nil {
		wanted = false
	}
	if wanted {
		s.Select(own)
	}
	if over {
		return nil
	}
	if waits {
		w.seen["cancelled activity"]++
		_ = workflow.Sleep(own, min(d, time.Duration(1+rng.IntN(5))*time.Second))
	}
	return temporal.NewCanceledError()
}

// SignalExternalWorkflow delivers between the grid of everything else, so that nobody is in the middle of something.
func (o *outbound) SignalExternalWorkflow(ctx workflow.Context, id, runID, name string, arg any) workflow.Future {
	if o.run == nil {
		return o.Next.SignalExternalWorkflow(ctx, id, runID, name, arg)
	}
	w, rng := o.w, o.w.rng("signals of "+o.run.id)
	f, set := workflow.NewFuture(ctx)
	own, _ := workflow.NewDisconnectedContext(ctx)
	takes := w.grid(rng, 0, 2*time.Second)
	if w.trouble(rng, 0.1) {
		takes = w.grid(rng, time.Second, time.Minute)
	}
	lost := (name == "member-ended" || name == "cluster-report") && w.trouble(rng, 0.02)
	twice := w.trouble(rng, 0.05)
	workflow.Go(own, func(own workflow.Context) {
		_ = workflow.Sleep(own, takes+25*time.Millisecond)
		for {
			target := w.latest(id)
			if target != nil && target.status == "ContinuedAsNew" {
				_ = workflow.Sleep(own, 100*time.Millisecond) // its next run opens in a moment
				continue
			}
			if !target.open() || target.killed {
				set.Set(nil, &temporal.UnknownExternalWorkflowExecutionError{})
				return
			}
			break
		}
		if lost {
			w.seen["lost signal"]++
			w.logf("the signal %s to %s is lost", name, id)
			set.Set(nil, nil)
			return
		}
		w.delivered(id, name, arg)
		err := o.Next.SignalExternalWorkflow(own, id, runID, name, arg).Get(own, nil)
		set.Set(nil, err)
		if twice && err == nil {
			_ = workflow.Sleep(own, w.grid(rng, time.Second, time.Hour))
			if w.latest(id).open() && !w.latest(id).killed && strings.HasPrefix(id, "c") { // what a host's next workflow hears is not this
				w.seen["signal twice"]++
				_ = o.Next.SignalExternalWorkflow(own, id, runID, name, arg).Get(own, nil)
			}
		}
	})
	return f
}

// ExecuteChildWorkflow judges what is started, and sometimes does not let it.
func (o *outbound) ExecuteChildWorkflow(ctx workflow.Context, kind string, args ...any) workflow.ChildWorkflowFuture {
	w := o.w
	if o.run != nil && len(args) == 1 {
		switch st := args[0].(type) {
		case workflows.ClusterState:
			w.mayStartCluster(st)
		case workflows.MemberState:
			w.mayStartMember(o.run, st)
			rng := w.rng("starts of " + o.run.id)
			switch {
			case o.run.kind != workflows.ClusterType:
			case w.trouble(rng, 0.05):
				w.seen["host taken"]++
				return refuse(ctx, serviceerror.NewWorkflowExecutionAlreadyStarted("taken", "", ""))
			case w.trouble(rng, 0.03):
				w.seen["not started"]++
				return refuse(ctx, errors.New("the server is busy"))
			}
		}
	}
	return o.Next.ExecuteChildWorkflow(ctx, kind, args...)
}

// refused is a child that was not started.
type refused struct {
	workflow.Future
	execution workflow.Future
}

func refuse(ctx workflow.Context, err error) workflow.ChildWorkflowFuture {
	result, set := workflow.NewFuture(ctx)
	execution, started := workflow.NewFuture(ctx)
	started.Set(nil, err)
	set.Set(nil, err)
	return refused{result, execution}
}

func (r refused) GetChildWorkflowExecution() workflow.Future { return r.execution }

func (r refused) SignalChildWorkflow(ctx workflow.Context, name string, _ any) workflow.Future {
	f, set := workflow.NewFuture(ctx)
	set.Set(nil, fmt.Errorf("signal %s: it was not started", name))
	return f
}
