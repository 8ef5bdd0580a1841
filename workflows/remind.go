package workflows

import (
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// remind tells people once a day what is in quarantine, until they have ended it. What began since then they heard when it began.
func (m *mending) remind(ctx workflow.Context) {
	now := workflow.Now(ctx)
	if m.Reminded.IsZero() {
		m.Reminded = now
	}
	if now.Sub(m.Reminded) < rollout.RemindEvery {
		return
	}
	m.Reminded = now
	var kept []rollout.Kept
	for _, r := range m.found.Records {
		if r.Server != m.found.Server { // its own server tells of it
			continue
		}
		c := m.found.claims[m.found.ours(r.Key, r.Owner)]
		if k, ok := keptBy(c); ok {
			kept = append(kept, k)
		}
	}
	for _, r := range rollout.Reminders(kept, now) {
		m.told++
		m.tell(ctx, r.Plan, m.head.Chain, activities.Notice{Event: rollout.TellQuarantine, Cluster: r.Cluster, Text: r.Text, Next: "rollpatch quarantine list"}, m.told)
	}
}

// keptBy is what a record says of a quarantine, if it is one.
func keptBy(c activities.Claim) (rollout.Kept, bool) {
	k := rollout.Kept{Name: c.Key, Plan: c.Plan, Why: c.Reason, Since: c.Since}
	if host, ok := strings.CutPrefix(c.Key, rollout.QuarantineRecord); ok {
		k.Name = host
	} else if c.Suspects == nil {
		return rollout.Kept{}, false
	}
	if c.Suspects != nil {
		k.Review = c.Suspects.Review
	}
	if c.Told != nil {
		k.Cluster, k.Owner, k.Contact = c.Told.Cluster, c.Told.Owner, c.Told.Contact
	}
	return k, true
}
