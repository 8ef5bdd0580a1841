package workflows

import (
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// ScheduleID is the workflow id of a schedule's firings; the server adds the time for which each was meant.
func ScheduleID(name string) string { return "schedule/" + name }

// scheduledFor is where the server says for which time a firing was meant: it may come later.
var scheduledFor = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// FiringState is one firing of a schedule, and its input: what the files said when the schedule was created.
type FiringState struct {
	Name     string           `json:"name"`  // of the campaign, and of its schedule
	Files    string           `json:"files"` // digest of the plan as the files alone say it
	Schedule plan.Schedule    `json:"schedule"`
	Ask      PlanInput        `json:"ask"`
	By       string           `json:"by"` // who created the schedule, claimed
	Why      string           `json:"why,omitempty"`
	Request  *approval.Signed `json:"request,omitempty"` // his request to run what the files say

	For      time.Time `json:"for,omitzero"`       // when it was meant to fire
	Begin    time.Time `json:"begin,omitzero"`     // and its instance to begin; zero: at once
	Instance string    `json:"instance,omitempty"` // that it made
	Skipped  int       `json:"skipped,omitempty"`  // firings that came while the instance was on its way
	Told     int       `json:"told,omitempty"`
}

// planAgain bounds how long it is tried to make a firing's plan: gates that open late leave people no time.
const planAgain = time.Hour

// Firing makes the plan of a schedule's next instance, starts that, and stays until it has ended: the server skips firings that come meanwhile, and
// this tells of each. It fails where the plan cannot be made and where the instance does, upon which the server pauses the schedule.
func Firing(ctx workflow.Context, st FiringState) error {
	f := &firing{carrier: newCarrier(ctx), FiringState: st}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (FiringState, error) { return f.FiringState, nil }); err != nil {
		return err
	}
	f.For = workflow.Now(ctx).Truncate(time.Second)
	if at, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(scheduledFor); ok {
		f.For = at
	}
	f.For = f.For.UTC()
	next, begun, err := f.make(ctx)
	if err != nil {
		err = errors.New("no plan was made: " + cause(err))
	} else {
		err = f.follow(begun, next)
	}
	if err != nil && ctx.Err() == nil {
		f.say("schedule "+f.Name+" is paused: "+cause(err), "rollpatch schedule resume "+f.Name+` --reason "..."`)
		return temporal.NewNonRetryableApplicationError(cause(err), ErrHalted, nil)
	}
	return err
}

type firing struct {
	*carrier
	FiringState
}

// say tells people, under the campaign's notify.
func (f *firing) say(text, next string) {
	f.Told++
	f.tell(f.outlive, f.Files, workflow.GetInfo(f.outlive).WorkflowExecution.ID, activities.Notice{Event: rollout.TellSkip, Text: text, Next: next}, f.Told)
}

// make asks the hosts, and starts the instance with its gates open. next is when the schedule fires after this.
func (f *firing) make(ctx workflow.Context) (next []time.Time, begun workflow.ChildWorkflowFuture, err error) {
	workflow.SetCurrentDetails(ctx, "**"+f.Name+"**: makes the plan of its next instance")
	short := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SegmentQueue(""), StartToCloseTimeout: planLimit, ScheduleToCloseTimeout: planAgain,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, NonRetryableErrorTypes: []string{activities.ErrBadInput}},
	})
	var fire activities.FireResult
	if err := workflow.ExecuteActivity(short, "Fire", activities.FireInput{Name: f.Name, Files: f.Files, Schedule: f.Schedule, At: f.For}).Get(ctx, &fire); err != nil {
		return nil, nil, err
	}
	f.Begin = fire.Begin
	answers, err := Plan(ctx, f.Ask)
	if err != nil {
		return nil, nil, err
	}
	in := activities.DraftInput{Files: f.Files, At: workflow.Now(ctx).UTC(), By: f.By, Waits: !f.Begin.IsZero()}
	for i, b := range f.Ask.Batches {
		in.Batches = append(in.Batches, activities.DraftBatch{Question: b.Question, Answers: answers[i].Answers, Problem: answers[i].Problem})
	}
	var draft activities.DraftResult
	if err := workflow.ExecuteActivity(short, "Draft", in).Get(ctx, &draft); err != nil {
		return nil, nil, err
	}
	st := CampaignState{Campaign: draft.Campaign, Tell: draft.Tell, Agreement: draft.Agreement, Request: f.Request, Made: &Made{Schedule: f.Name, Files: f.Files, Saved: draft.Saved}}
	if f.Instance = st.Instance; !f.Begin.IsZero() {
		st.Standing = f.Name
		st.Turn = &rollout.Turn{Begin: f.Begin, Wanted: fire.Wanted, Stands: fire.Stands}
		if len(fire.Next) > 0 {
			st.Turn.Last = fire.Next[0]
		}
	}
	begun = workflow.ExecuteChildWorkflow(workflow.WithChildOptions(f.outlive, workflow.ChildWorkflowOptions{
		WorkflowID: CampaignID(f.Instance), TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:         f.Name + ": " + st.Why, TypedSearchAttributes: StartAttributes(f.Instance),
	}), CampaignType, st)
	return fire.Next, begun, begun.GetChildWorkflowExecution().Get(f.outlive, nil)
}

// follow waits for the instance's end, and tells of every firing that it has skipped.
func (f *firing) follow(begun workflow.ChildWorkflowFuture, next []time.Time) error {
	workflow.SetCurrentDetails(f.outlive, "**"+f.Name+"**: `"+CampaignID(f.Instance)+"` is on its way; firings are skipped until it has ended")
	workflow.Go(f.outlive, func(ctx workflow.Context) {
		_ = begun.Get(ctx, nil)
		f.changed = true
	})
	for !begun.IsReady() {
		wake := time.Time{}
		if len(next) > 0 {
			wake = next[0]
		}
		f.await(wake)
		if len(next) > 0 && !workflow.Now(f.outlive).Before(next[0]) && !begun.IsReady() {
			next = next[1:]
			f.Skipped++
			f.say("schedule "+f.Name+" skips its firing at "+wake.UTC().Format(time.RFC3339)+": "+f.Instance+" is still on its way", "rollpatch status "+f.Instance)
		}
	}
	err := begun.Get(f.outlive, nil)
	var app *temporal.ApplicationError
	if asApplication(err, &app) && app.Type() == ErrNotStarted {
		return nil
	}
	if err != nil {
		return errors.New(f.Instance + ": " + cause(err))
	}
	return nil
}

// Made says how an instance came about that a schedule made.
type Made struct {
	Schedule string `json:"schedule"`
	// Files is the digest of the plan as the files alone say it: what whoever created the schedule asked for.
	Files string `json:"files"`
	// Saved is the digest of the plan as people read it.
	Saved string `json:"saved"`
}

// asked is the plan that the request to run was signed for.
func (c *campaign) asked() string {
	if c.Made != nil {
		return c.Made.Files
	}
	return c.Plan
}

// turn asks windows and freezes whether the instance may begin.
func (c *campaign) turn(ctx workflow.Context, id string) {
	var o rollout.Opening
	broken := c.Broken
	if err := workflow.ExecuteActivity(options(ctx, SegmentQueue(""), "may it begin?", 0), "Turn", activities.TurnInput{Plan: c.Plan, Broken: c.Broken, From: c.Turn.From(workflow.Now(ctx))}).Get(ctx, &o); err != nil {
		if ctx.Err() != nil {
			return
		}
		o = rollout.Opening{Unknown: cause(err)}
	}
	if !rollout.SameBroken(broken, c.Broken) {
		return // it is asked anew, without what is broken now
	}
	past := c.Turn.Past
	if c.Campaign = c.TurnAsked(id, o, workflow.Now(ctx)); c.Turn.Past > past {
		c.Unwritten.add(ctx, &c.Audit, audit.Entry{Kind: audit.Message, Actor: "rollpatch", Action: "window passed", Detail: "window " + itoa(c.Turn.Past) + " of " + c.Made.Schedule + " passed without a start"})
	}
}
