package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/cmd/internal/report"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// reported is a scene as a report finds it: what hosts said when it was planned, what they got, and the audit trail.
func reported(t *testing.T, s *stage) report.Input {
	t.Helper()
	_, parts := sceneFiles()
	store := sceneStore{"sha256:changes": plan.Body([]activities.Change{{Name: "libssl3", Old: "3.0.15-1", New: "3.0.17-1"}, {Name: "tzdata", Old: "2025a-0", New: "2025c-0"}})}
	for i, ref := range s.campaign.Clusters {
		p := parts[ref.Name]
		p.Planned = &plan.Planned{Platforms: []plan.Platform{{OS: "debian", Release: "12", Arch: "amd64", Packages: []plan.Version{{Name: "libssl3", Version: "3.0.17-1"}, {Name: "tzdata", Version: "2025b-0"}, {Name: "zlib1g", Version: "1:1.3"}}}}}
		parts[ref.Name] = p
		s.campaign.Clusters[i].Part = plan.Digest(p)
		store[plan.Digest(p)] = plan.Body(p)
	}
	srv := &fake{Frames: []frame{s.frame()}}
	in := report.Input{Now: s.at, Clusters: map[string]workflows.ClusterState{}, Parts: parts, Campaign: workflows.CampaignState{Campaign: s.campaign}}
	var err error
	if in.Status, err = (&status.Reader{Source: srv, Now: srv.time, Bodies: store}).Read(context.Background(), sceneInstance); err != nil {
		t.Fatal(err)
	}
	for _, ref := range s.campaign.Clusters {
		if ref.Running || ref.Outcome != "" {
			st := *s.clusters[ref.Name]
			if st.Members = slices.Clone(st.Members); ref.Name == "web" {
				st.Members[0].Took = rollout.Took{Inspect: 900, Fetch: 2100, Drain: 4000, Patch: 30_000, Reboot: 95_000, Check: 3000, Undrain: 2500}
				st.Members[1].Took = rollout.Took{Inspect: 900, Fetch: 2100, Drain: 4000, Patch: 30_000, Apart: "it was not patched, or not to the end"}
				st.Members[1].TookBack = rollout.Took{Backout: 20_000, Check: 3000, Undrain: 2500}
			}
			in.Clusters[ref.Name] = st
		}
	}
	head := audit.Head{Chain: workflows.ClusterID(sceneInstance, "web")}
	for _, e := range []audit.Entry{
		{Kind: audit.Intent, Action: "patch", Host: "web-1"},
		{Kind: audit.Message, Actor: "eve (claimed)", Action: "approve refused", Detail: "let me | in", Result: "the key is revoked"},
		{Kind: audit.Message, Actor: "bob", Action: "approve", Detail: "looks fine", Result: "taken at gate soak/web/1"},
	} {
		e.Time = s.at
		e, head = head.Next(e)
		in.Trail = append(in.Trail, e)
	}
	other, _ := audit.Head{Chain: workflows.CampaignID("weekly-20261101T010000Z")}.Next(audit.Entry{Kind: audit.Message, Actor: "somebody", Action: "abort"})
	in.Trail = append(in.Trail, other)
	return in
}

// TestReport holds the reports of three instances against testdata/report.golden, which is there to be read as a whole.
func TestReport(t *testing.T) {
	done := newStage().asksForChange()
	done.campaign = done.campaign.ChangeOpened("CHG0031")
	done = finished(done.cacheDone(), nil)
	done.campaign = done.campaign.ChangeTold(done.at)
	web := done.clusters["web"]
	web.Approvals = []rollout.Approval{{Gate: "soak/web/1", Actor: "bob", Key: "SHA256:abc", Reason: "looks fine", At: done.at}, {Soak: 1, Actor: "carl", Claimed: true, At: done.at.Add(time.Minute)}}
	web.Holds = []rollout.HeldFor{{Why: "a fire (ann)", Since: sceneStart, Until: sceneStart.Add(90 * time.Minute), By: "resume by ann (claimed)"}, {Why: "no answer", Since: sceneStart.Add(2 * time.Hour), Until: sceneStart.Add(3 * time.Hour)}}
	web.Members[0].Differs.Add(rollout.Difference{Item: "sysctl", Gone: "vm.swappiness 1", New: "vm.swappiness 60"})
	ended := reported(t, done)
	ended.Campaign.Asker = approval.Signer{Names: []string{"ann"}, Key: "SHA256:xyz"}
	ended.Campaign.Made, ended.Campaign.Turn = &workflows.Made{Schedule: "monthly"}, &rollout.Turn{Begin: sceneStart, Begun: sceneStart.Add(2 * time.Second), Past: 1}

	stopped := reported(t, halted())
	stopped.Trail, stopped.NoTrail = nil, "audit log: permission denied"
	stopped.Campaign.Made, stopped.Campaign.Turn = &workflows.Made{Schedule: "monthly"}, &rollout.Turn{Begin: sceneStart}

	held := newStage().cacheDone().begin("web").bad("web", "web-1")
	held.clusters["web"].Cluster = held.clusters["web"].Book(held.at)
	held.clusters["web"].Members[1].Left = true
	running := reported(t, held)
	running.Campaign.Made = &workflows.Made{Schedule: "monthly"}
	delete(running.Parts, "cache")

	var got bytes.Buffer
	for _, in := range []report.Input{ended, stopped, running} {
		if err := reportPage(report.Build(in)).markdown(&got); err != nil {
			t.Fatal(err)
		}
		got.WriteString("\n")
	}
	path := filepath.Join("testdata", "report.golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the reports are not those of %s; go test -update writes them anew, then read the difference:\n%s", path, got.String())
	}
}

// The command that a report of an emergency names is one for the same packages, and the CLI takes it.
func TestAnEmergencysFollowUpIsOne(t *testing.T) {
	in := reported(t, halted())
	in.Status.Instance, in.Campaign.Emergency = "monthly-emergency-20261101T010000Z", "openssl, libssl*"
	r := report.Build(in)
	want := "rollpatch run --emergency --package openssl --package 'libssl*' --only leftovers --of monthly-emergency-20261101T010000Z CAMPAIGN.yaml"
	if got := r.FollowUp(); got != want {
		t.Errorf("a follow-up is\n%s, want\n%s", got, want)
	}
	if !slices.ContainsFunc(r.Debts, func(d report.Debt) bool { return d.Next == want }) {
		t.Errorf("no debt names it: %+v", r.Debts)
	}
	in.Campaign.Emergency, in.Campaign.Advisories = "libssl*, ssh, sshd", []rollout.Advisory{{ID: "DSA-1", Summary: "openssh", Packages: []string{"ssh", "sshd"}}}
	r = report.Build(in)
	want = "rollpatch run --emergency --advisory DSA-1 --package 'libssl*' --only leftovers --of monthly-emergency-20261101T010000Z CAMPAIGN.yaml"
	if got := r.FollowUp(); got != want {
		t.Errorf("a follow-up by advisory is\n%s, want\n%s", got, want)
	}
	var page bytes.Buffer
	if err := reportPage(r).markdown(&page); err != nil || !strings.Contains(page.String(), "| advisory | DSA-1: openssh |") {
		t.Errorf("the report does not name it: %v\n%s", err, &page)
	}
}

func TestLeftoversAreWhatWasNotBroughtThere(t *testing.T) {
	var members []status.Member
	for _, outcome := range []rollout.Outcome{rollout.Patched, rollout.Unchanged, rollout.BackedOut, rollout.Returned, rollout.Skipped, rollout.Quarantined, rollout.Lost} {
		members = append(members, status.Member{Host: "h-" + string(outcome), State: string(outcome), Outcome: string(outcome), Reason: "because"})
	}
	members = append(members, status.Member{Host: "h-waiting", State: status.NotTouched})
	s := status.Status{Stages: []status.Stage{{Name: "production", Clusters: []status.Cluster{{Name: "web", Reason: "aborted", Members: members}}}}}
	var got []string
	for _, l := range report.Leftovers(s) {
		got = append(got, fmt.Sprint(l.Host, " ", l.Why, " ", l.Out))
	}
	want := []string{
		"h-backed-out backed out: because false", "h-returned returned: because false", "h-skipped skipped: because false", "h-quarantined quarantined: because true", "h-lost lost: because false",
		"h-waiting not touched: web: aborted false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("leftovers are %q, want %q", got, want)
	}
}
