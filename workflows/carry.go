package workflows

import (
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// carrier is what the three workflows share: what is in flight, and whether something happened since Next was last asked.
type carrier struct {
	ctx      workflow.Context // of the work: a cancel of the workflow means abort, and does not reach it
	stop     workflow.CancelFunc
	outlive  workflow.Context // of children: never cancelled, or the child would be told to abort
	inFlight map[string]workflow.CancelFunc
	sending  int // signals on their way
	changed  bool
	details  string
	attrs    string
}

func newCarrier(ctx workflow.Context) *carrier {
	own, _ := workflow.NewDisconnectedContext(ctx)
	ctx, stop := workflow.WithCancel(own)
	return &carrier{ctx: ctx, stop: stop, outlive: own, inFlight: map[string]workflow.CancelFunc{}}
}

// start runs work in a coroutine of its own, unless an action of that id is in flight.
func (c *carrier) start(id string, work func(ctx workflow.Context)) {
	if _, running := c.inFlight[id]; running {
		return
	}
	ctx, cancel := workflow.WithCancel(c.ctx)
	c.inFlight[id] = cancel
	workflow.Go(ctx, func(ctx workflow.Context) {
		work(ctx)
		delete(c.inFlight, id)
		c.changed = true
	})
}

// await returns when something happened, or at the time to look again.
func (c *carrier) await(wake time.Time) {
	happened := func() bool { return c.changed }
	if wake.IsZero() {
		_ = workflow.Await(c.ctx, happened)
	} else if d := wake.Sub(workflow.Now(c.ctx)); d > 0 {
		_, _ = workflow.AwaitWithOptions(c.ctx, workflow.AwaitOptions{Timeout: d, TimerOptions: workflow.TimerOptions{Summary: "look again at " + wake.UTC().Format(time.RFC3339)}}, happened)
	}
	c.changed = false
}

// asks says that a word is being verified, keys are looked at, or whoever keeps changes is asked.
func (c *carrier) asks() bool {
	for _, id := range workflow.DeterministicKeys(c.inFlight) {
		if strings.HasPrefix(id, "word.") || strings.HasPrefix(id, "prove.") || strings.HasPrefix(id, "change.") || strings.HasPrefix(id, "look.") {
			return true
		}
	}
	return false
}

// settle cancels what is in flight and waits for it, so that nothing outlives the workflow.
func (c *carrier) settle() {
	c.stop()
	_ = workflow.Await(c.outlive, func() bool { return len(c.inFlight) == 0 && c.sending == 0 && workflow.AllHandlersFinished(c.outlive) })
}

// send signals another workflow; one that is gone hears nothing. A run does not end before its signals are on their way.
func (c *carrier) send(workflowID, signal string, payload any) {
	c.sending++
	workflow.Go(c.outlive, func(ctx workflow.Context) {
		_ = workflow.SignalExternalWorkflow(ctx, workflowID, "", signal, payload).Get(ctx, nil)
		c.sending--
		c.changed = true
	})
}

// idle says that history is long enough for a new run, and that nothing which came so far is unheard: signals that were not read
// would be lost with this run.
func (c *carrier) idle(ctx workflow.Context) bool {
	if !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return false
	}
	turn := false
	workflow.Go(c.outlive, func(workflow.Context) { turn = true }) // it runs after all who listen
	_ = workflow.Await(c.outlive, func() bool { return turn })
	return !c.changed && c.sending == 0 && workflow.AllHandlersFinished(ctx)
}

// onCancel calls abort when the workflow is cancelled: Temporal's Cancel means abort.
func (c *carrier) onCancel(ctx workflow.Context, abort func()) {
	workflow.Go(c.ctx, func(own workflow.Context) {
		ctx.Done().Receive(own, nil)
		if ctx.Err() != nil {
			abort()
			c.changed = true
		}
	})
}

// onSignal calls handle for every signal of that name.
func onSignal[T any](c *carrier, name string, handle func(T)) {
	ch := workflow.GetSignalChannel(c.ctx, name)
	workflow.Go(c.ctx, func(ctx workflow.Context) {
		for {
			var v T
			if !ch.Receive(ctx, &v) {
				return
			}
			handle(v)
			c.changed = true
		}
	})
}

// heartbeatTimeout is four of the heartbeats that package activities sends: after it a worker counts as dead.
const heartbeatTimeout = 20 * time.Second

// spare is added to a step's limit: what the activity needs beside the work that the limit bounds.
const spare = 15 * time.Minute

// options are those of an activity on a segment's queue. Attempts are not limited within its time: what was begun on a host goes on
// there, and each attempt attaches to it.
func options(ctx workflow.Context, queue, summary string, limit time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queue,
		StartToCloseTimeout: limit + spare,
		HeartbeatTimeout:    heartbeatTimeout,
		// What cannot be done for that long, or is taken by no worker, is told as unknown: the next ask attaches to the same run.
		ScheduleToCloseTimeout: limit + 2*spare,
		WaitForCancellation:    true,
		Summary:                summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 4 * time.Second,
			NonRetryableErrorTypes: []string{activities.ErrBadInput},
		},
	})
}

// tell hands a notice on, under an id that is its own within the chain: it is delivered, and retried, by a workflow of its own, so that nothing waits for a pager.
func (c *carrier) tell(ctx workflow.Context, plan, chain string, n activities.Notice, no int) {
	if plan == "" {
		return
	}
	n.Time = workflow.Now(ctx).UTC().Format(time.RFC3339)
	id := "notice/" + chain + "/" + itoa(no)
	own, _ := workflow.NewDisconnectedContext(ctx)
	child := workflow.WithChildOptions(own, workflow.ChildWorkflowOptions{
		WorkflowID: id, TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon, StaticSummary: n.Event + ": " + n.Text,
	})
	_ = workflow.ExecuteChildWorkflow(child, NoticeType, activities.TellInput{Plan: plan, Notice: n}).GetChildWorkflowExecution().Get(own, nil)
}

// intend fixes an intent on the chain before its activity is scheduled.
func intend(ctx workflow.Context, head *audit.Head, action, host, run, detail string) audit.Entry {
	e, next := head.Next(audit.Entry{Kind: audit.Intent, Time: workflow.Now(ctx).UTC(), Actor: "rollpatch", Action: action, Host: host, Run: run, Detail: detail})
	*head = next
	return e
}

// adopt takes an activity's outcome as the end of the chain. Where something was added while it was in flight, the outcome stands
// on a branch at its intent, and an entry of its own ties it to the chain.
func (u *unwritten) adopt(ctx workflow.Context, head *audit.Head, intent audit.Entry, outcome audit.Head) {
	if *head == intent.Head() {
		*head = outcome
		return
	}
	u.add(ctx, head, audit.Entry{Kind: audit.Child, Actor: intent.Actor, Action: intent.Action, Host: intent.Host, Run: intent.Run, Result: outcome.Digest})
}

// unwritten keeps entries that no activity of their own writes until one does.
type unwritten struct {
	Entries []audit.Entry `json:"entries,omitempty"`
}

func (u *unwritten) add(ctx workflow.Context, head *audit.Head, e audit.Entry) {
	e.Time = workflow.Now(ctx).UTC()
	e, next := head.Next(e)
	*head = next
	u.Entries = append(u.Entries, e)
}

// owe keeps the intent of an activity that told nothing: whether it was ever taken, and so wrote it, nobody knows. Written twice it
// breaks no chain.
func (u *unwritten) owe(intent audit.Entry) {
	u.Entries = append(u.Entries, intent)
}

// flush writes them.
func (u *unwritten) flush(ctx workflow.Context, queue string) {
	for len(u.Entries) > 0 {
		batch := u.Entries
		u.Entries = nil
		in := activities.RecordInput{Entries: batch}
		if err := workflow.ExecuteActivity(options(ctx, queue, "write the audit chain", 0), "Record", in).Get(ctx, nil); err != nil {
			u.Entries = append(batch, u.Entries...) // they are owed
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// message is a person's word as an entry.
func message(word string, m rollout.Message) audit.Entry {
	if m.For != "" {
		word += " for " + m.For
	}
	return audit.Entry{Kind: audit.Message, Actor: m.Actor + " (claimed)", Action: word, Host: m.Host, Detail: m.Reason, Run: m.ID}
}

// seen remembers the requests of the last 200 messages: their words and ids. Another word under the same id is another request,
// or a reject would be taken for the approve before it and count as done.
type seen struct {
	IDs []string `json:"ids,omitempty"`
}

func (s seen) has(word, id string) bool {
	return id != "" && slices.Contains(s.IDs, word+" "+id)
}

func (s *seen) twice(word, id string) bool {
	if id == "" {
		return false
	}
	if s.has(word, id) {
		return true
	}
	s.IDs = append(s.IDs, word+" "+id)
	if len(s.IDs) > 200 {
		s.IDs = s.IDs[1:]
	}
	return false
}
