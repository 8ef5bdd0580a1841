package plan

import (
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/preflight"
)

// Preflight is what the facts of a member are held against: the backups of all its clusters, the strictest first, and what of its findings
// somebody accepts.
func (p Part) Preflight(host string) (backup *inventory.Backup, rule *preflight.BackupRule, accept []preflight.Acceptance) {
	for _, o := range append([]Other{{Cluster: p.Cluster}}, p.Others...) {
		if b := o.Cluster.Backup; b != nil && o.Cluster.Has(host) && (backup == nil || b.MaxAge < backup.MaxAge) {
			backup = b
		}
	}
	if backup != nil {
		rule = &preflight.BackupRule{MaxAge: time.Duration(backup.MaxAge), Proven: backup.Proven()}
	}
	for _, a := range p.Accept {
		if end, err := a.Ends(); err == nil && a.For(host, p.clustersOf(host)) {
			accept = append(accept, preflight.Acceptance{Check: string(a.Check), Reason: a.Reason, Until: end, Written: a.Until})
		}
	}
	return backup, rule, accept
}

// ForCheck is the parts of clusters that are looked at outside of any campaign.
func ForCheck(inv inventory.Inventory, clusters []string) (Plan, map[string]Part) {
	return Build(campaign.Campaign{Name: "check", Stages: []campaign.Stage{{Name: "check", Clusters: clusters}}}, inv)
}
