package workflows

import (
	"encoding/json"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// CampaignState is an instance's workflow.
type CampaignState struct {
	rollout.Campaign
	Tell      bool       `json:"tell,omitempty"` // the plan names people to notify
	Audit     audit.Head `json:"audit"`
	Unwritten unwritten  `json:"unwritten"`
	Seen      seen       `json:"seen"`
	// Request is the signed request to run, whose signer is the requester; nil: the requester is claimed.
	Request   *approval.Signed `json:"request,omitempty"`
	Asker     approval.Signer  `json:"asker,omitzero"` // who that is, once it is verified
	Agreement plan.Agreement   `json:"agreement,omitzero"`
	Ballots   ballots          `json:"ballots,omitzero"`
	Made      *Made            `json:"made,omitempty"` // by a schedule; nil: a person ran it
	Stood     []Stood          `json:"stood,omitempty"`
}

// Campaign carries an instance through its stages.
func Campaign(ctx workflow.Context, st CampaignState) (rollout.Campaign, error) {
	c := &campaign{carrier: newCarrier(ctx), CampaignState: st}
	if c.Audit.Chain == "" {
		c.Audit.Chain = workflow.GetInfo(ctx).WorkflowExecution.ID
		word := "run"
		if c.Made != nil {
			word = "run by schedule " + c.Made.Schedule
		}
		c.Unwritten.add(ctx, &c.Audit, audit.Entry{Kind: audit.Message, Actor: c.Requester + " (claimed)", Action: word, Detail: c.Why, Output: c.Plan})
	}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (CampaignState, error) { return c.CampaignState, nil }); err != nil {
		return c.Campaign, err
	}
	if err := c.listen(ctx); err != nil {
		return c.Campaign, err
	}
	c.findChildren()
	for {
		c.Unwritten.flush(c.ctx, SegmentQueue(""))
		c.identify()
		c.changed = false // what came while it was written is in the State that Next sees
		c.judge()
		c.breakFreezes()
		c.Campaign = c.TurnDue(c.now()).Book(c.now())
		d := c.Next(c.now())
		c.show(ctx, d)
		if d.End {
			return c.finish()
		}
		if c.mayContinueAsNew(ctx) {
			c.settle()
			return c.Campaign, workflow.NewContinueAsNewError(ctx, CampaignType, c.CampaignState)
		}
		for _, a := range d.Start {
			switch a.Do {
			case rollout.DoCluster:
				c.startCluster(a.Name)
				continue
			case rollout.DoProve:
				c.start(a.ID, func(ctx workflow.Context) { c.prove(ctx, a) })
				continue
			case rollout.DoLook:
				c.start(a.ID, func(ctx workflow.Context) { c.look(ctx, a) })
				continue
			case rollout.DoAhead:
				c.start(a.ID, func(ctx workflow.Context) { c.fetchAhead(ctx, a) })
				continue
			case rollout.DoChange:
				c.start(a.ID, func(ctx workflow.Context) { c.change(ctx, a) })
				continue
			case rollout.DoTurn:
				c.start(a.ID, func(ctx workflow.Context) { c.turn(ctx, a.ID) })
				continue
			}
			c.start(a.ID, func(ctx workflow.Context) {
				c.tell(ctx, c.plan(), c.Audit.Chain, notice(c.Instance, "", *a.Notice), a.Notice.N)
				c.Outbox.Sent(a.Notice.N)
			})
		}
		c.await(d.WakeAt)
	}
}

type campaign struct {
	*carrier
	CampaignState
	gates *gatekeeper
}

func (c *campaign) now() time.Time { return workflow.Now(c.ctx) }

// plan is the digest that notices are addressed by; empty when nobody is to be told.
func (c *campaign) plan() string {
	if !c.Tell {
		return ""
	}
	return c.Plan
}

func (c *campaign) listen(ctx workflow.Context) error {
	c.onCancel(ctx, func() { c.hear(UpdateAbort, rollout.Message{Actor: "Temporal", Reason: "the workflow was cancelled"}) })
	onSignal(c.carrier, signalReport, func(r ClusterReport) { c.reported(r) })
	for _, word := range []string{UpdateApprove, UpdateReject} {
		err := workflow.SetUpdateHandlerWithOptions(c.ctx, word, func(ctx workflow.Context, m rollout.Message) (rollout.CampaignOutcome, error) {
			if c.Seen.has(word, m.ID) {
				return c.Outcome, nil
			}
			err := c.keeper().hears(ctx, m, func(ctx workflow.Context) error { return c.vote(ctx, word, m) })
			return c.Outcome, err
		}, workflow.UpdateHandlerOptions{Description: describe["campaign "+word], Validator: func(m rollout.Message) error {
			if err := m.Check(); err != nil || m.Statement != "" || c.Seen.has(word, m.ID) {
				return err // what was signed is answered on record, whatever it is for
			}
			_, err := c.meant(nil)
			return err
		}})
		if err != nil {
			return err
		}
	}
	for _, word := range []string{UpdateHold, UpdateResume, UpdateAbort, UpdateBackout} {
		err := workflow.SetUpdateHandlerWithOptions(c.ctx, word, func(_ workflow.Context, m rollout.Message) (rollout.CampaignOutcome, error) {
			c.hear(word, m)
			return c.Outcome, nil
		}, workflow.UpdateHandlerOptions{Description: describe[word], Validator: func(m rollout.Message) error {
			if word == UpdateBackout && !c.Seen.has(word, m.ID) {
				return c.MayBackout(m)
			}
			return m.Check()
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// hear applies a person's message, once per request id, and hands it on to the clusters on their way.
func (c *campaign) hear(word string, m rollout.Message) {
	if c.Seen.twice(word, m.ID) || c.Outcome != "" {
		return
	}
	c.Unwritten.add(c.ctx, &c.Audit, message(word, m))
	c.Said = rollout.Said{Word: word, Actor: m.Actor, At: c.now()}
	switch word {
	case UpdateHold:
		c.Campaign = c.Hold(m)
	case UpdateResume:
		c.Campaign = c.Resume()
	case UpdateAbort:
		c.Campaign = c.Abort(m, c.now())
	case UpdateBackout:
		c.Campaign = c.Backout(m)
	}
	signal := map[string]string{UpdateHold: signalHold, UpdateResume: signalUnpause, UpdateAbort: signalAbort, UpdateBackout: signalBackout}[word]
	c.sendAll(signal, m)
	c.changed = true
}

// sendAll tells every cluster on its way.
func (c *campaign) sendAll(signal string, payload any) {
	for _, r := range c.Clusters {
		if r.Running {
			c.send(ClusterID(c.Instance, r.Name), signal, payload)
		}
	}
}

// pass hands a message on to a cluster.
func (c *campaign) pass(cluster, signal string, m rollout.Message) {
	c.send(ClusterID(c.Instance, cluster), signal, m)
}

func (c *campaign) reported(r ClusterReport) {
	before, paused, aborted, trips := c.outcomeOf(r.Name), c.Paused, c.AbortFor, c.Trips
	c.Campaign = c.Reported(r.Report, c.now())
	if w, asked := c.Answer(r.Report); asked {
		c.send(ClusterID(c.Instance, r.Name), signalMay, w)
	}
	if c.Trips != trips {
		c.sendAll(signalMay, c.Warning())
	}
	switch {
	case c.AbortFor != aborted:
		c.sendAll(signalAbort, rollout.Message{Actor: "the campaign", Reason: c.AbortFor})
	case c.Paused != paused:
		c.sendAll(signalHold, rollout.Message{Actor: "the campaign", Reason: c.Paused})
	}
	if before == "" && r.Outcome != "" {
		c.Unwritten.add(c.ctx, &c.Audit, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: "cluster", Detail: r.Name + ": " + string(r.Outcome), Result: r.Audit.Digest})
	}
	c.changed = true
}

func (c *campaign) outcomeOf(name string) rollout.ClusterOutcome {
	for _, r := range c.Clusters {
		if r.Name == name {
			return r.Outcome
		}
	}
	return ""
}

// startCluster records the start before it is made.
func (c *campaign) startCluster(name string) {
	c.Campaign = c.Campaign.Started(name)
	for _, r := range c.Clusters {
		if r.Name == name {
			workflow.Go(c.outlive, func(ctx workflow.Context) {
				c.follow(ctx, r)
				c.changed = true
			})
		}
	}
}

func (c *campaign) follow(ctx workflow.Context, r rollout.Ref) {
	st := ClusterState{Part: r.Part, Plan: c.plan(), Parent: CampaignID(c.Instance), Why: c.Why, Unattended: c.Unattended}
	st.Instance, st.Name, st.Stage, st.Broken = c.Instance, r.Name, c.Stages[r.Stage], c.Broken
	st.Agreement = Agreement{Campaign: c.Name, Plan: c.Plan, Requester: c.requester(), Soak: c.Agreement.Soak, Signers: c.Agreement.Signers}
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: ClusterID(c.Instance, r.Name), TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         "cluster " + r.Name + " of " + c.Instance,
		TypedSearchAttributes: attributes(c.Instance, r.Name, c.Stages[r.Stage], "", string(rollout.PhaseClaim)),
	}), ClusterType, st)
	var run workflow.Execution
	if err := child.GetChildWorkflowExecution().Get(ctx, &run); err != nil {
		c.reported(lostCluster(r.Name, cause(err)))
		return
	}
	c.Campaign = c.Confirmed(r.Name, run.RunID)
	if c.Paused != "" { // it was said while the cluster started
		c.pass(r.Name, signalHold, rollout.Message{Actor: "the campaign's hold", Reason: c.Paused})
	}
	if c.AbortFor != "" {
		c.pass(r.Name, signalAbort, rollout.Message{Actor: "the campaign's abort", Reason: c.AbortFor})
	}
	if c.BackoutFor != "" {
		c.pass(r.Name, signalBackout, rollout.Message{Actor: "the campaign", Reason: c.BackoutFor})
	}
	if !rollout.SameBroken(c.Broken, st.Broken) {
		c.send(ClusterID(c.Instance, r.Name), signalBroken, c.Broken)
	}
	c.handOn(r.Name)
	var report ClusterReport
	if err := child.Get(ctx, &report); err != nil && c.outcomeOf(r.Name) == "" && !(fromOutside(err) && c.takenUp(ctx, r.Name)) {
		report = lostCluster(r.Name, cause(err))
	}
	if report.Name != "" {
		c.reported(report)
	}
}

// takenUp waits for the end of a cluster whose workflow was ended from outside: the sweeper takes it up, in another run. It is false
// when none has worked for so long that none will.
func (c *campaign) takenUp(ctx workflow.Context, name string) bool {
	gone := func() bool { return c.outcomeOf(name) != "" }
	for idle, pause := time.Duration(0), takeUpAskFirst; idle < takeUpWithin; pause = min(2*pause, takeUpAsk) {
		if done, err := workflow.AwaitWithTimeout(ctx, pause, gone); done || err != nil {
			return true
		}
		r, err := askFor(ctx, SegmentQueue(""), ClusterID(c.Instance, name), "")
		var report ClusterReport
		switch {
		case err != nil, r.Running:
		case json.Unmarshal(r.Result, &report) == nil && report.Outcome != "":
			c.reported(report)
			return true
		default:
			idle += pause
		}
	}
	return false
}

func lostCluster(name, why string) ClusterReport {
	return ClusterReport{Report: rollout.Report{Name: name, Phase: rollout.PhaseEnded, Outcome: rollout.ClusterHalted, Reason: "its workflow ended without a report: " + why}}
}

// findChildren asks for the clusters that a former run of this workflow started.
func (c *campaign) findChildren() {
	for _, r := range c.Clusters {
		if r.Running && r.RunID != "" {
			c.start("ask."+r.Name, func(ctx workflow.Context) { c.ask(ctx, r) })
		}
	}
}

func (c *campaign) ask(ctx workflow.Context, r rollout.Ref) {
	for {
		a, err := askFor(ctx, SegmentQueue(""), ClusterID(c.Instance, r.Name), r.RunID)
		if err != nil {
			return
		}
		if !a.Running {
			var report ClusterReport
			if json.Unmarshal(a.Result, &report) != nil || report.Outcome == "" {
				if a.EndedFromOutside && c.takenUp(ctx, r.Name) {
					return
				}
				report = lostCluster(r.Name, a.Status)
			}
			c.reported(report)
			return
		}
		if done, err := workflow.AwaitWithTimeout(ctx, askEvery, func() bool { return c.outcomeOf(r.Name) != "" }); done || err != nil {
			return
		}
	}
}

func (c *campaign) finish() (rollout.Campaign, error) {
	c.settle()
	c.Unwritten.flush(c.outlive, SegmentQueue(""))
	if c.NeverBegan() {
		return c.Campaign, temporal.NewNonRetryableApplicationError(string(c.Outcome)+": "+c.Reason, ErrNotStarted, nil)
	}
	if c.Outcome != rollout.CampaignDone {
		return c.Campaign, temporal.NewNonRetryableApplicationError(string(c.Outcome)+": "+c.Reason, ErrHalted, nil)
	}
	return c.Campaign, nil
}

func (c *campaign) mayContinueAsNew(ctx workflow.Context) bool {
	if !c.idle(ctx) || len(c.Outbox.Pending) > 0 || c.asks() {
		return false
	}
	for _, r := range c.Clusters {
		if r.Running && r.RunID == "" {
			return false
		}
	}
	return true
}
