package workflows

import (
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// updatersLimit is how long all members of a cluster may take.
const updatersLimit = 10 * time.Minute

// updaters turns the automatic updates of the members off, or back to what they were. Both never run at the same time: an abort may come while
// they are being turned off.
func (c *cluster) updaters(ctx workflow.Context, a rollout.Action) {
	off := a.Do == rollout.DoUpdatersOff
	summary, apply := "turn automatic updates off on every member of "+c.Name, rollout.Cluster.UpdatersOff
	if !off {
		summary, apply = "bring the automatic updates of "+c.Name+" back to what they were", rollout.Cluster.UpdatersOn
		_ = workflow.Await(ctx, func() bool {
			for _, id := range workflow.DeterministicKeys(c.inFlight) {
				if strings.HasPrefix(id, string(rollout.DoUpdatersOff)) {
					return false
				}
			}
			return true
		})
	}
	c.Cluster = c.Cluster.Turned()
	in := activities.UpdatersInput{ClaimInput: activities.ClaimInput{Instance: c.Instance, Part: c.Part, Plan: c.Plan}, Off: off, Turn: c.Cluster.Updaters.Turn, Leave: c.Unreachable()}
	in.Intent = intend(ctx, &c.Audit, string(a.Do), "", "", c.Name)
	var r activities.ClaimResult
	if err := workflow.ExecuteActivity(options(ctx, c.queue(), summary, updatersLimit), "Updaters", in).Get(ctx, &r); err != nil {
		r.ClaimResult = rollout.ClaimResult{Reason: cause(err)}
		c.Unwritten.owe(in.Intent)
	} else {
		c.Unwritten.adopt(ctx, &c.Audit, in.Intent, r.Audit)
	}
	if r.Before != "" {
		c.Before = r.Before
	}
	c.Cluster = apply(c.Cluster, a.ID, r.ClaimResult, workflow.Now(ctx))
}
