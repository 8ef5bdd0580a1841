package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/report"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// TestOverrides holds that each way to get a rule out of the way is listed once, with rule, place, person and end, and counted.
func TestOverrides(t *testing.T) {
	s := newStage().cacheDone().begin("web").bad("web", "web-1")
	from, to := sceneStart.Add(-time.Hour), sceneStart.Add(48*time.Hour)
	until := s.at.Add(time.Hour)
	s.campaign.Emergency = "openssl"
	s.campaign.Approvals = []rollout.Approval{
		{Gate: "start", Actor: "ann", Key: "SHA256:a", At: s.at},
		{Gate: approval.GateEmergency, Actor: "mia", Key: "SHA256:m", Reason: "it is being used", At: s.at},
		{Gate: approval.GateFreeze("christmas", from, to), Actor: "olu", Key: "SHA256:o", Reason: "the hole", At: s.at, Until: until},
		{Gate: approval.GateFreeze("audit", from, to), Actor: "olu", Key: "SHA256:o", Reason: "was over", At: s.at, Until: s.at},
	}
	s.campaign.Broken = []rollout.Broken{{Freeze: rollout.Freeze{Name: "christmas", From: from, To: to}, Until: until}}
	s.campaign.Holds = []rollout.HeldFor{
		{Why: "stopped: a shared fault: 3 clusters failed within 15 minutes: web", Since: s.at, Until: s.at, By: "resume by bob (claimed)"},
		{Why: "stopped: stage production: 2 failures: web", Since: s.at, Until: s.at, By: "resume by bob (claimed)"},
		{Why: "a fire (ann)", Since: s.at, Until: s.at, By: "resume by ann (claimed)"},
	}
	web := s.clusters["web"]
	web.Members[1].Left = true
	web.Holds = []rollout.HeldFor{{Why: web.Members[1].Host + " is returned: no", Since: s.at, Until: s.at, By: "skip by carl (claimed)"}}
	web.Members[0].Accepted = []rollout.Accepted{{Check: "backup", Reason: "holds no data", Until: "2099-12-31"}, {Check: "space", Reason: "cleaned weekly", Until: "2026-10-01"}}
	web.Unbound, web.BackoutFor = true, "backout by ann (claimed): at once"

	in := reported(t, s)
	in.Trail = append(in.Trail, acts(s.at, "1", "break web", "break")...)
	in.Trail = append(in.Trail, acts(s.at, "2", "release web/3f2a versions", "release")...)
	in.Trail = append(in.Trail, acts(s.at, "3", "break elsewhere", "break")...)        // no cluster of the instance
	in.Trail = append(in.Trail, acts(s.at, "4", "break web", "")...)                   // refused
	in.Trail = append(in.Trail, acts(from, "5", "break web", "break")...)              // before it began
	in.Trail = append(in.Trail, acts(s.at, "6", "release web-1 return", "release")...) // whose checks passed
	r := report.Build(in)
	var got []string
	for _, o := range r.Overrides {
		got = append(got, strings.Join(strings.Fields(fmt.Sprintf("%s %s: %s %s by %s, %t: %s", o.Rule, o.Of, o.Cluster, o.Host, o.By, o.InForce, o.Reason)), " "))
	}
	want := []string{
		"emergency openssl: by mia, true: it is being used",
		"freeze christmas: by olu, true: the hole",
		"freeze audit: by olu, false: was over",
		"breaker : by bob (claimed), true: a shared fault: 3 clusters failed within 15 minutes: web",
		"stop_after : by bob (claimed), true: stage production: 2 failures: web",
		"accept backup: web web-1 by ann@desk (claimed), true: holds no data",
		"accept space: web web-1 by ann@desk (claimed), false: cleaned weekly",
		"skip : web web-2 by carl (claimed), true:",
		"backout outside windows : web by ann (claimed), true: at once",
		"claims break : web by bob (claimed), false: gone",
		"quarantine release web/3f2a: web by bob (claimed), false: gone",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the overrides are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := usedOf(r.Used); text != "2 accept, 1 backout outside windows, 1 breaker, 1 claims break, 1 emergency, 2 freeze, 1 quarantine release, 1 skip, 1 stop_after" {
		t.Errorf("they are counted as %s", text)
	}
	if n := in.Status.InForce(); n != 7 {
		t.Errorf("%d are in force, want 7", n)
	}
}

// acts are what one request about the records leaves on the audit trail; without an outcome it was refused.
func acts(at time.Time, id, said, done string) []audit.Entry {
	head := audit.Head{Chain: workflows.RecordsID(id)}
	first, head := head.Next(audit.Entry{Kind: audit.Message, Time: at, Actor: "bob (claimed)", Action: said, Detail: "gone"})
	if done == "" {
		return []audit.Entry{first}
	}
	second, _ := head.Next(audit.Entry{Kind: audit.Outcome, Time: at, Action: done, Result: "gone"})
	return []audit.Entry{first, second}
}
