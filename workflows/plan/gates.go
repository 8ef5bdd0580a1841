package plan

import (
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// Rule is what a gate of the campaign asks for, for the rules of approval. It holds the approvers, so that a plan in which others may agree is
// another plan.
func Rule(c campaign.Campaign, inv inventory.Inventory, g campaign.Gate) approval.Rule {
	r := approval.Rule{Quorum: g.People(), Unsigned: g.Unsigned, OnExpiry: approval.OnExpiry(g.OnExpiry)}
	for _, role := range g.Roles {
		r.Roles = append(r.Roles, approval.Role(role))
	}
	if g.Expiry != nil {
		r.Expiry = time.Duration(*g.Expiry)
	}
	for _, a := range c.ApproversIn(inv) {
		who := approval.Approver{Principal: a.Principal, Owns: a.Owns}
		for _, role := range a.Roles {
			who.Roles = append(who.Roles, approval.Role(role))
		}
		r.Approvers = append(r.Approvers, who)
	}
	return r
}

// SoakRule is the rule at the end of a soak, where the policy asks for approval. Without a gate in the file it is one word of anybody.
func SoakRule(c campaign.Campaign, inv inventory.Inventory) approval.Rule {
	if c.Gates.Soak == nil {
		return approval.Rule{Quorum: 1, Unsigned: true, AnyRequester: true}
	}
	return Rule(c, inv, *c.Gates.Soak)
}
