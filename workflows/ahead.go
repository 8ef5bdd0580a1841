package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// aheadLimit bounds one try for all members of a cluster. What they have by then is not fetched again.
const aheadLimit = 2 * time.Hour

// fetchAhead has the packages of a cluster fetched before its turn, through its first member's segment.
func (c *campaign) fetchAhead(ctx workflow.Context, a rollout.Action) {
	for _, r := range c.Clusters {
		if r.Name != a.Name {
			continue
		}
		in := activities.AheadInput{Instance: c.Instance, Part: r.Part, Broken: c.Broken}
		in.Intent = intend(ctx, &c.Audit, string(a.Do), "", "", r.Name)
		var out activities.AheadResult
		err := workflow.ExecuteActivity(options(ctx, SegmentQueue(r.Ahead.Segment), "fetch the packages of "+r.Name+" ahead", aheadLimit), "FetchAhead", in).Get(ctx, &out)
		switch {
		case err != nil:
			c.Unwritten.owe(in.Intent)
			if temporal.IsCanceledError(err) {
				return
			}
			out.AheadResult = rollout.AheadResult{Why: cause(err)}
		default:
			c.Unwritten.adopt(ctx, &c.Audit, in.Intent, out.Audit)
		}
		c.Campaign = c.Fetched(r.Name, out.AheadResult, workflow.Now(ctx))
	}
}
