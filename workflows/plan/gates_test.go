package plan_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestRule(t *testing.T) {
	expiry := inventory.Duration(72 * time.Hour)
	c := campaign.Campaign{Gates: campaign.Gates{Soak: &campaign.Gate{
		Quorum: 2, Roles: []campaign.GateRole{campaign.GateManager, campaign.GateOwner}, Unsigned: true, Expiry: &expiry, OnExpiry: campaign.ExpiryAbort,
	}}}
	inv := inventory.Inventory{Approvers: []inventory.Approver{{Principal: "ann", Roles: []inventory.Role{inventory.RolePeer}}, {Principal: "olu", Owns: []string{"web team"}}}}
	want := approval.Rule{
		Quorum: 2, Roles: []approval.Role{approval.Manager, approval.Owner}, Unsigned: true, Expiry: 72 * time.Hour, OnExpiry: approval.ExpiryAborts,
		Approvers: []approval.Approver{{Principal: "ann", Roles: []approval.Role{approval.Peer}}, {Principal: "olu", Owns: []string{"web team"}}},
	}
	if got := plan.SoakRule(c, inv); !reflect.DeepEqual(got, want) {
		t.Errorf("SoakRule = %+v, want %+v", got, want)
	}
	if got := plan.Rule(campaign.Campaign{}, inventory.Inventory{}, campaign.Gate{}); !reflect.DeepEqual(got, approval.Rule{Quorum: 1}) {
		t.Errorf("a gate with nothing in it: %+v", got)
	}
	if got := plan.SoakRule(campaign.Campaign{}, inv); !reflect.DeepEqual(got, approval.Rule{Quorum: 1, Unsigned: true, AnyRequester: true}) {
		t.Errorf("without a gate: %+v", got)
	}
}
