package campaign_test

import (
	"slices"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

// The inventory's approvers are the only ones where it names any: no campaign lets others agree to itself.
func TestApproversIn(t *testing.T) {
	ours, theirs := []inventory.Approver{{Principal: "ann"}}, []inventory.Approver{{Principal: "mallory"}}
	c := campaign.Campaign{Approvers: theirs}
	if got := c.ApproversIn(inventory.Inventory{Approvers: ours}); !slices.EqualFunc(got, ours, func(a, b inventory.Approver) bool { return a.Principal == b.Principal }) {
		t.Errorf("approvers = %v", got)
	}
	if got := c.ApproversIn(inventory.Inventory{}); len(got) != 1 || got[0].Principal != "mallory" {
		t.Errorf("approvers = %v", got)
	}
	inv := inventory.Inventory{Approvers: ours, Clusters: []inventory.Cluster{{Name: "web"}}}
	found := campaign.Campaign{Approvers: theirs, Stages: []campaign.Stage{{Name: "all", Clusters: []string{"web"}}}}.Check(inv)
	if len(found) != 1 || found[0].Path != "approvers" {
		t.Errorf("Check = %v, want one about approvers", found)
	}
}

// A gate at the end of soaks asks for approval, whatever the campaign is by default.
func TestSoakGateAsksForApproval(t *testing.T) {
	c := campaign.Campaign{Unattended: true, Clusters: map[string]campaign.Override{"cache": {SoakApproval: of(false)}}}
	if c.PolicyOf("web").SoakApproval {
		t.Error("an unattended campaign waits for a person")
	}
	c.Gates.Soak = &campaign.Gate{}
	if !c.PolicyOf("web").SoakApproval || c.PolicyOf("cache").SoakApproval {
		t.Errorf("with gates.soak: web %v, cache, which says no, %v", c.PolicyOf("web").SoakApproval, c.PolicyOf("cache").SoakApproval)
	}
}

func TestOpen(t *testing.T) {
	c := campaign.Campaign{Stages: []campaign.Stage{{Name: "staging"}, {Name: "production", Gate: &campaign.Gate{}}}}
	if open := c.Open(); len(open) != 1 || open[0].Name != "staging" {
		t.Errorf("Open = %v", open)
	}
	c.Gates.Start = &campaign.Gate{}
	if open := c.Open(); len(open) != 0 {
		t.Errorf("with a gate before the start: Open = %v", open)
	}
}
