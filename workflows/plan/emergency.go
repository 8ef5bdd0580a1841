package plan

import (
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// urgently is who must agree to an emergency: one named person before anything begins, and everybody whom the campaign asks before its
// start, its stages and the end of its soaks, afterwards.
func urgently(c campaign.Campaign, inv inventory.Inventory) Agreement {
	usual := agreed(c, inv)
	now := approval.Rule{Quorum: 1, Roles: []approval.Role{approval.Urgent}}
	if e := c.EmergencyIn(inv); e != nil {
		for _, name := range e.Approvers {
			now.Approvers = append(now.Approvers, approval.Approver{Principal: name, Roles: now.Roles})
		}
	}
	if len(usual.Gates) == 0 && usual.Soak != nil {
		var all []string
		for _, s := range c.Stages {
			all = append(all, s.In(inv)...)
		}
		g := Gate{ID: approval.GateStart, Rule: *usual.Soak}
		g.Owners, g.Unowned = campaign.Owners(inv, all)
		usual.Gates = append(usual.Gates, g)
	}
	a := Agreement{Gates: []Gate{{ID: approval.GateEmergency, Rule: now}}, Signers: usual.Signers, Freezes: usual.Freezes}
	for _, g := range usual.Gates {
		g.Stage, g.After = 0, true
		g.Rule.Expiry, g.Rule.OnExpiry = 0, "" // what is owed does not lapse
		a.Gates = append(a.Gates, g)
	}
	return a
}
