package workflows

import (
	"time"

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

// yield is such a request to this one.
func (c *cluster) yield(to string) {
	before := c.YieldTo
	if c.Cluster = c.Yield(to, c.now()); c.YieldTo != before {
		c.Unwritten.add(c.outlive, &c.Audit, audit.Entry{Kind: audit.Message, Actor: to, Action: "take over", Detail: "an emergency takes the cluster over at its next safe point"})
	}
}
