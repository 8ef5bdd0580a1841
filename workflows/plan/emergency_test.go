package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

const urgentInventory = `
access: {user: patch}
emergency: {approvers: [mia@example.org], soak: 30m}
approvers: [{principal: ann@example.org, roles: [manager]}]
windows: [{cron: "0 22 * * 1-4", duration: 4h}]
freezes: [{name: christmas, reason: nobody is there, from: 2026-12-20, to: 2027-01-06}]
hosts: [{name: web-1, address: 192.0.2.11}, {name: web-2, address: 192.0.2.12}]
clusters: [{name: web, members: [web-1, web-2], services: [{name: web, port: 80}]}]
`

const urgentCampaign = `
name: monthly
reason: November security updates
unattended: true
zone: Europe/Berlin
stages: [{name: production, clusters: [web], gate: {roles: [manager], expiry: 5d}}]
packages: {exclude: [linux-*], security: true}
policy: {soak: 2d, soak_approval: true, on_failure: backout-cluster}
clusters: {web: {soak: 3d}}
`

func TestBuildEmergency(t *testing.T) {
	inv, err := file.ParseInventory(file.Source{Name: "inventory.yaml", Raw: []byte(urgentInventory)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := file.ParseCampaign(file.Source{Name: "campaign.yaml", Raw: []byte(urgentCampaign)})
	if err != nil {
		t.Fatal(err)
	}
	p, parts, err := plan.BuildEmergency(c.Value, inv.Value.Resolve(), []string{"openssl", "libssl*"})
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
		if _, _, err := plan.BuildEmergency(c.Value, inv.Value.Resolve(), []string{row.packages}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("--package %s: %v, want %s", row.packages, err, row.want)
		}
	}
	nobody := inv.Value.Resolve()
	nobody.Emergency = nil
	if _, _, err := plan.BuildEmergency(c.Value, nobody, []string{"openssl"}); err == nil || !strings.Contains(err.Error(), "nobody may have an emergency begin") {
		t.Errorf("without anybody named: %v", err)
	}
}
