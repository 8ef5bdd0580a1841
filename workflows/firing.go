package workflows

import (
	"errors"
	"fmt"
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

// askAnew is how long it takes at first until hosts that did not answer are asked anew; twice as long each time after.
const askAnew = time.Minute

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
		f.fails(err)
		return temporal.NewNonRetryableApplicationError(cause(err), ErrHalted, nil)
	}
	return err
}

// fails tells that no further instance is made. The server pauses the schedule of a firing that fails; one that was deleted meanwhile is told as
// that, and one that cannot be asked for as paused.
func (f *firing) fails(err error) {
	kept := true
	asked := workflow.ExecuteActivity(options(f.outlive, SegmentQueue(""), "is its schedule still there?", 0), "Scheduled", activities.ScheduledInput{Name: f.Name}).Get(f.outlive, &kept)
	switch {
	case kept || asked != nil:
		f.say("schedule "+f.Name+" is paused: "+cause(err), "rollpatch schedule resume "+f.Name+` --reason "..."`)
	case f.Instance != "":
		f.say("schedule "+f.Name+" was deleted, and this was its last instance: "+cause(err), "rollpatch status "+f.Instance)
	default:
		f.say("schedule "+f.Name+" was deleted: "+cause(err), "rollpatch schedule list")
	}
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
	if f.Begin = fire.Begin; fire.Trouble != "" {
		f.say("schedule "+f.Name+" could not be given its next firings: "+fire.Trouble+"; it goes on with those that the server has, and then it is over: the column ahead of rollpatch schedule list says how many. "+
			"Let the worker change schedules, or give them by hand: rollpatch schedule create CAMPAIGN.yaml", "rollpatch schedule list")
	}
	answers, err := f.ask(ctx)
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
	if draft.Unknown > 0 {
		f.say(fmt.Sprintf(`%d of %d hosts did not answer, and the plan of %s knows nothing of them: %s; it says nothing either of a cluster of which none did, which will hold on the night. `+
			`To have it made anew when they answer: rollpatch abort %s --reason "...", then: rollpatch schedule trigger %s --reason "..."`,
			draft.Unknown, draft.Asked, f.Instance, draft.Silent, f.Instance, f.Name), "rollpatch schedule plan "+f.Instance)
	}
	return fire.Next, begun, begun.GetChildWorkflowExecution().Get(f.outlive, nil)
}

// ask asks the hosts, and those of a batch anew of which some did not answer: for an hour, or for a quarter of the time until it is to begin.
func (f *firing) ask(ctx workflow.Context) ([]PlanAnswer, error) {
	until := workflow.Now(ctx).Add(planAgain)
	if quarter := workflow.Now(ctx).Add(f.Begin.Sub(workflow.Now(ctx)) / 4); !f.Begin.IsZero() && quarter.Before(until) {
		until = quarter
	}
	answers, err := Plan(ctx, f.Ask)
	for pause := askAnew; err == nil; pause *= 2 {
		var again PlanInput
		var of []int
		silent := 0
		for i, a := range answers {
			if a.Unknown > 0 {
				again.Batches, of = append(again.Batches, f.Ask.Batches[i]), append(of, i)
				silent += a.Unknown
			}
		}
		if len(of) == 0 || workflow.Now(ctx).Add(pause).After(until) {
			break
		}
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("**%s**: makes the plan of its next instance; %d hosts did not answer, and are asked anew in %s", f.Name, silent, pause))
		if err = workflow.Sleep(ctx, pause); err != nil {
			break
		}
		var more []PlanAnswer
		if more, err = Plan(ctx, again); err != nil {
			break
		}
		for j, i := range of {
			if more[j].Unknown <= answers[i].Unknown {
				answers[i] = more[j]
			}
		}
	}
	return answers, err
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
