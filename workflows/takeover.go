package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
)

// demandEvery is how often an emergency asks again whoever does not hand over: a signal may be lost, and a history is finite.
const demandEvery = 10 * time.Minute

// demand asks those who have its claim to hand it over at their next safe point.
func (c *cluster) demand(holders []string) {
	for _, id := range holders {
		if last, asked := c.demanded[id]; asked && c.now().Before(last.Add(demandEvery)) {
			continue
		}
		if c.demanded == nil {
			c.demanded = map[string]time.Time{}
		}
		c.demanded[id] = c.now()
		c.send(id, signalYield, ClusterID(c.Instance, c.Name))
	}
}

// yield is such a request to this one. It counts once who asks was found to be an emergency; where nobody can tell, it is asked again anyway.
func (c *cluster) yield(to string) {
	if to == "" || to == c.YieldTo || c.Policy.Emergency {
		return
	}
	c.start("demanded "+to, func(ctx workflow.Context) {
		var r activities.DemandedResult
		if err := workflow.ExecuteActivity(brief(ctx, "", "ask who wants "+c.Name+": "+to), "Demanded", activities.AskInput{WorkflowID: to}).Get(ctx, &r); err != nil {
			workflow.GetLogger(ctx).Warn("who asks for the cluster cannot be told", "who", to, "error", cause(err))
			return
		}
		if r.No != "" {
			c.Unwritten.add(c.outlive, &c.Audit, audit.Entry{Kind: audit.Message, Actor: to, Action: "take over refused", Detail: "it is handed over to nobody: " + r.No, Result: r.No})
			return
		}
		before := c.YieldTo
		if c.Cluster = c.Yield(to, c.now()); c.YieldTo != before {
			c.Unwritten.add(c.outlive, &c.Audit, audit.Entry{Kind: audit.Message, Actor: to, Action: "take over", Detail: "an emergency takes the cluster over at its next safe point"})
		}
	})
}
