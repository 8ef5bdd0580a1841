package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// change asks whoever keeps changes for a number, or says how it ended: the same request for as long as the hook has time.
func (c *campaign) change(ctx workflow.Context, a rollout.Action) {
	in := activities.ChangeInput{Plan: c.Plan, Event: a.Name, Instance: c.Instance, Requester: c.requester().String()}
	summary := "ask for a change number"
	if a.Name == rollout.ChangeOpen {
		c.Campaign = c.ChangeAsked(workflow.Now(ctx))
	} else {
		in.Number, in.Ended, in.Counts = c.Change.Number, c.EndedAt, c.counts()
		in.Ending = activities.Ending{Outcome: string(c.Outcome), Why: c.Campaign.Reason}
		summary = "say how the change ended"
	}
	in.Intent = intend(ctx, &c.Audit, "change", "", c.Instance, a.Name+" "+in.Number)
	var r activities.ChangeResult
	err := workflow.ExecuteActivity(c.patiently(ctx, summary), "Change", in).Get(ctx, &r)
	switch now := workflow.Now(ctx); {
	case err != nil && ctx.Err() != nil:
		c.Unwritten.owe(in.Intent)
	case err != nil:
		why := cause(err)
		c.Unwritten.owe(in.Intent)
		c.Unwritten.add(ctx, &c.Audit, audit.Entry{Kind: audit.Outcome, Actor: "rollpatch", Action: "change", Run: c.Instance, Detail: a.Name, Result: "no answer: " + why})
		if a.Name == rollout.ChangeOpen {
			c.Campaign = c.ChangeUnknown(why, now)
		} else {
			c.Campaign = c.ChangeUntold(why)
		}
	default:
		c.Unwritten.adopt(ctx, &c.Audit, in.Intent, r.Audit)
		switch pass := r.Verdict == rollout.Pass; {
		case a.Name == rollout.ChangeOpen && pass:
			c.Campaign = c.ChangeOpened(r.Number)
		case a.Name == rollout.ChangeOpen:
			c.Campaign = c.ChangeRefused(r.Reason, now)
		case pass:
			c.Campaign = c.ChangeTold(now)
		default:
			c.Campaign = c.ChangeUntold("refused: " + r.Reason)
		}
	}
}

// patiently bounds every attempt, and all of them together.
func (c *campaign) patiently(ctx workflow.Context, summary string) workflow.Context {
	const own = 15 * time.Second // beside what the hook takes: the store and the audit chain
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SegmentQueue(""), StartToCloseTimeout: c.Change.Timeout + own, ScheduleToCloseTimeout: c.Change.Within + own, HeartbeatTimeout: heartbeatTimeout, Summary: summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second, NonRetryableErrorTypes: []string{activities.ErrBadInput},
		},
	})
}

// counts are what became of its clusters.
func (c *campaign) counts() *activities.Counts {
	var n activities.Counts
	for _, r := range c.Clusters {
		n.Hosts += r.Done
		switch r.Outcome {
		case rollout.ClusterDone:
			n.Done++
		case rollout.ClusterHalted:
			n.Halted++
		case rollout.ClusterAborted:
			n.Aborted++
		case rollout.ClusterSuperseded:
			n.Superseded++
		default:
			n.NotBegun++
		}
	}
	return &n
}
