package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func urgentFiles() (campaign.Campaign, inventory.Inventory) {
	long, longer, half, yes, back := inventory.Duration(48*time.Hour), inventory.Duration(72*time.Hour), inventory.Duration(30*time.Minute), true, campaign.FailBackoutCluster
	expiry := inventory.Duration(5 * 24 * time.Hour)
	inv := inventory.Inventory{
		Access: inventory.Access{User: "patch"}, Emergency: &inventory.Emergency{Approvers: []string{"mia@example.org"}, Soak: &half},
		Approvers: []inventory.Approver{{Principal: "ann@example.org", Roles: []inventory.Role{inventory.RoleManager}}},
		Windows:   []inventory.Window{{Cron: "0 22 * * 1-4"}}, Zone: "UTC",
		Freezes:  []inventory.Freeze{{Name: "christmas", Reason: "nobody is there"}},
		Hosts:    []inventory.Host{{Name: "web-1", Address: "192.0.2.11"}, {Name: "web-2", Address: "192.0.2.12"}},
		Clusters: []inventory.Cluster{{Name: "web", Members: []string{"web-1", "web-2"}, Services: []inventory.Service{{Name: "web", Port: 80}}}},
	}
	return campaign.Campaign{
		Name: "monthly", Reason: "November security updates", Unattended: true,
		Stages:   []campaign.Stage{{Name: "production", Clusters: []string{"web"}, Gate: &campaign.Gate{Roles: []campaign.GateRole{campaign.GateManager}, Expiry: &expiry}}},
		Packages: campaign.Packages{Exclude: []string{"linux-*"}, Security: true},
		Policy:   campaign.Override{Soak: &long, SoakApproval: &yes, OnFailure: &back},
		Clusters: map[string]campaign.Override{"web": {Soak: &longer}},
	}, inv.Resolve()
}

func TestBuildEmergency(t *testing.T) {
	c, inv := urgentFiles()
	p, parts, err := plan.BuildEmergency(c, inv, []string{"openssl", "libssl*"})
	if err != nil {
		t.Fatal(err)
	}
	web := parts["web"]
	if p.Name != "monthly-emergency" || p.Unattended || !slices.Equal(web.Packages.Include, []string{"openssl", "libssl*"}) || web.Packages.Security {
		t.Errorf("it is %q, unattended %t, and brings %+v", p.Name, p.Unattended, web.Packages)
	}
	if web.When == nil || len(web.When.Canary)+len(web.When.Peers) > 0 || len(web.When.Freezes) != 1 {
		t.Errorf("no window is waited for, and freezes hold: %+v", web.When)
	}
	st, member := web.State("e", false), web.MemberPolicy(false)
	if !st.Policy.Emergency || st.Policy.Soak != 30*time.Minute || st.Policy.SoakApproval || st.Policy.OnFailure != "stop-cluster" || !member.Keep || st.Policy.OnFail != "drain" {
		t.Errorf("its policy is %+v, %+v", st.Policy, member)
	}
	gates := p.Agreement.Gates
	if len(gates) != 2 || gates[0].ID != approval.GateEmergency || gates[0].After || gates[0].Rule.Unsigned || !gates[1].After || gates[1].Rule.Expiry != 0 || p.FreeToBegin() {
		t.Fatalf("it is agreed to at %+v", gates)
	}
	gate := approval.Gate{ID: gates[0].ID, Rule: gates[0].Rule, Ripe: true}
	for who, counts := range map[string]bool{"mia@example.org": true, "ann@example.org": false} {
		v := approval.Vote{Gate: gate.ID, Decision: approval.Approve, By: approval.Signer{Names: []string{who}, Key: "k"}, Expires: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
		gate.Requester = approval.Signer{Names: []string{"bob"}, Key: "b"}
		if got := approval.Judge(gate, []approval.Vote{v}, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); got.Open != counts {
			t.Errorf("%s lets an emergency begin: %t, want %t (%s)", who, got.Open, counts, got.Why)
		}
	}
	for _, row := range []struct{ packages, want string }{{"linux-image", "packages.exclude leaves it out"}, {"[", "is no glob"}} {
		if _, _, err := plan.BuildEmergency(c, inv, []string{row.packages}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("--package %s: %v, want %s", row.packages, err, row.want)
		}
	}
	nobody := inv
	nobody.Emergency = nil
	if _, _, err := plan.BuildEmergency(c, nobody, []string{"openssl"}); err == nil || !strings.Contains(err.Error(), "nobody may have an emergency begin") {
		t.Errorf("without anybody named: %v", err)
	}
}
