package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

const signedInventory = `
access: {user: patch}
approvers:
  - {principal: ann@example.org, roles: [peer, manager]}
  - {principal: olu@example.org, owns: [web team, cache team]}
hosts:
  - {name: web-1, address: 192.0.2.11}
  - {name: web-2, address: 192.0.2.12}
  - {name: cache-1, address: 192.0.2.21}
  - {name: cache-2, address: 192.0.2.22}
clusters:
  - {name: cache, owner: cache team, members: [cache-1, cache-2], services: [{name: cache, port: 6379}]}
  - {name: web, owner: web team, members: [web-1, web-2], services: [{name: web, port: 80}]}
`

const signedCampaign = `
name: monthly
reason: November security updates
zone: Europe/Berlin
windows: [{name: nightly, cron: "0 22 * * 1-4", duration: 4h, cutoff: 30m}]
finish_by: 2d
stages:
  - {name: staging, clusters: [cache]}
  - name: production
    clusters: [web]
    gate: {quorum: 2, roles: [manager, owner], expiry: 5d, on_expiry: abort}
gates:
  start: {}
  soak: {roles: [owner], expiry: 3d}
clusters: {cache: {soak_approval: false}}
`

// savedPlan is what the files alone say.
func savedPlan(t *testing.T, inventory, campaign string) plan.Saved {
	t.Helper()
	inv, err := file.ParseInventory(file.Source{Name: "inventory.yaml", Raw: []byte(inventory)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := file.ParseCampaign(file.Source{Name: "campaign.yaml", Raw: []byte(campaign)})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Saved{}
	s.Plan, s.Parts = plan.Build(c.Value, inv.Value.Resolve())
	s.Digest = plan.Digest(s.Plan)
	return s
}

// sectionOf is one section of a change request as Markdown.
func sectionOf(t *testing.T, d document, title string) string {
	t.Helper()
	i := slices.IndexFunc(d.sections, func(s section) bool { return s.title == title })
	if i < 0 {
		t.Fatalf("no section %q", title)
	}
	d.sections = d.sections[i : i+1]
	var b bytes.Buffer
	if err := d.markdown(&b); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(b.String(), "## "+title+"\n\n")
	return text
}

// What is approved says whose word is asked for, and when what happens.
func TestRequestSaysWhoAgreesAndWhen(t *testing.T) {
	s := savedPlan(t, signedInventory, signedCampaign)
	d := &desk{now: func() time.Time { return sceneStart }}
	dates, err := d.dates(t.Context(), s.Plan, s.Parts, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := request(s, plan.Foresee(s.Plan, s.Parts, nil), dates, "campaign.yaml")
	want := `- Before anything begins: 1 signed approval, not counting whoever asked for it.
- Before stage production begins: at least 2 signed approvals by managers or owners (web team), and one for each of these, not counting whoever asked for it; without that within 5d it is aborted.
- Before the peers of web follow their canary, when its soak has passed: 1 signed approval by the cluster's owner, not counting whoever asked for it; without that within 3d it holds.
- The peers of cache follow by policy when the soak passed.

| approver | as | owns clusters of |
| --- | --- | --- |
| ann@example.org | peer, manager | - |
| olu@example.org | - | web team, cache team |
`
	if got := sectionOf(t, r, "Approvers"); got != want {
		t.Errorf("approvers\n%s\nwant\n%s", got, want)
	}
	window := sectionOf(t, r, "Window")
	for _, want := range []string{
		"dates if it begins at 2026-11-01T01:00:00Z, nothing fails and everybody approves at once:\n",
		"| staging | cache | Mon 2026-11-02 22:00 CET (21:00Z) | Tue 2026-11-03 22:25 CET (21:25Z) |",
		"| production | web | Tue 2026-11-03 22:",
		"- the campaign is refused: it would end ",
	} {
		if !strings.Contains(window, want) {
			t.Errorf("the window does not say %q:\n%s", want, window)
		}
	}
}

func TestRequestWithoutGatesAndWindows(t *testing.T) {
	const campaign = "name: monthly\nreason: November\nstages:\n  - {name: staging, clusters: [cache]}\n  - {name: production, clusters: [web]%s}\n"
	s := savedPlan(t, signedInventory, strings.Replace(campaign, "%s", "", 1))
	r := request(s, plan.Foresee(s.Plan, s.Parts, nil), nil, "campaign.yaml")
	want := "- To begin: whoever starts the instance.\n- Before the peers of cache, web follow their canary, when its soak has passed: 1 approval.\n"
	if got := sectionOf(t, r, "Approvers"); got != want {
		t.Errorf("approvers\n%s\nwant\n%s", got, want)
	}
	if got := sectionOf(t, r, "Window"); got != "None is set: it begins when somebody starts it.\n" {
		t.Errorf("window %q", got)
	}
	// A gate before a later stage keeps nobody from beginning.
	s = savedPlan(t, signedInventory, strings.Replace(campaign, "%s", ", gate: {unsigned: true}", 1))
	want = "- To begin: whoever starts the instance.\n- Before stage production begins: 1 approval, not counting whoever asked for it.\n"
	if got := sectionOf(t, request(s, plan.Foresee(s.Plan, s.Parts, nil), nil, "campaign.yaml"), "Approvers"); !strings.HasPrefix(got, want) {
		t.Errorf("approvers\n%s\nwant\n%s", got, want)
	}
}

func TestWhoAgrees(t *testing.T) {
	for _, row := range []struct {
		rule   approval.Rule
		owners []string
		want   string
	}{
		{approval.Rule{Quorum: 1, Unsigned: true, AnyRequester: true}, nil, "1 approval"},
		{approval.Rule{Quorum: 2}, nil, "2 signed approvals, not counting whoever asked for it"},
		{approval.Rule{Quorum: 2, Roles: []approval.Role{approval.Peer}, AnyRequester: true}, nil, "2 signed approvals by peers"},
		{approval.Rule{Quorum: 1, Roles: []approval.Role{approval.Owner}, AnyRequester: true}, []string{"web team"}, "1 signed approval by owners (web team)"},
		{approval.Rule{Quorum: 1, Roles: []approval.Role{approval.Owner}, AnyRequester: true}, []string{"web team", "dba"}, "at least 1 signed approval by owners (web team, dba), and one for each of these"},
		{approval.Rule{Quorum: 1, AnyRequester: true, Expiry: time.Hour}, nil, "1 signed approval; without that within 1h it holds"},
	} {
		if got := whoAgrees(row.rule, row.owners); got != row.want {
			t.Errorf("%+v of %v: %q, want %q", row.rule, row.owners, got, row.want)
		}
	}
}
