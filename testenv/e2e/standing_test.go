package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities/auditlog"
	"github.com/rollpatch/rollpatch/workflows"
)

// standing writes a campaign over web whose start wants a signed word, and which begins at this minute, once a year.
func (p people) standing(begin time.Time) (file string) {
	p.Helper()
	text := fmt.Sprintf(`name: %s
reason: November security updates
unattended: true
zone: UTC
schedule: {cron: %q, lead: 1m}
gates: {start: {roles: [manager]}}
approvers:
  - {principal: ann@example.org, roles: [manager]}
  - {principal: ben@example.org, roles: [manager]}
  - {principal: rita@example.org, roles: [manager]}
signers: {allowed: %q, revoked: %q}
notify: [{name: nobody, command: ["true"]}]
stages:
  - {name: production, clusters: [web]}
%s`, p.name(), begin.UTC().Format("4 15 2 1 *"), p.file("allowed_signers"), p.file("revoked_keys"), policy)
	file, err := p.Write(p.name()+".yaml", text)
	p.must(err)
	return file
}

// fires has a schedule made that begins within two minutes.
func (p people) fires() (begins time.Time) {
	p.Helper()
	begins = time.Now().UTC().Add(75 * time.Second).Truncate(time.Minute).Add(time.Minute) // its plan is made in 15 to 75 seconds
	p.cli(0, "schedule", "create", "-i", p.InventoryFile(), "--key", p.file("rita"), p.standing(begins))
	return begins
}

// TestChangeStandingApproval: a schedule, a standing approval, and a night with nobody awake. One whose packages are outside of its limits waits for
// a person, and says why; so does one whose standing approval was withdrawn.
func TestChangeStandingApproval(t *testing.T) {
	s := begin(t)
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Minute) // four of them pass until the windows open
	defer cancel()
	s.ctx = ctx
	s.publish("1.1")
	p := s.identities()
	stands := func(who, pattern string) string {
		t.Helper()
		out, _ := s.cli(0, "standing", "give", s.name(), "--cluster", "web", "--package", pattern, "--expires", "30d", "--any-files", "--key", p.file(who), "--reason", "our usual night")
		name, _, _ := strings.Cut(out, ":")
		return name
	}
	p.fires()
	for who, says := range map[string]string{"mallory": "is not in ", "carl": "is revoked"} {
		if _, told := s.cli(1, "standing", "give", s.name(), "--cluster", "web", "--package", "*", "--expires", "30d", "--key", p.file(who), "--reason", "me too"); !strings.Contains(told, says) {
			t.Errorf("a standing approval of %s is answered %q", who, told)
		}
	}
	outside, gone := stands("ann", "openssl*"), stands("ben", "lab-*")
	s.say("standing", "withdraw", gone)
	if list, _ := s.cli(0, "standing", "list"); !strings.Contains(list, outside) || !strings.Contains(list, "withdrawn") {
		t.Errorf("the list says\n%s", list)
	}
	before := s.logs(web...)
	instance, _ := s.made()
	s.eventually("why it waits for a person", func() error {
		if a := s.why(instance); !strings.Contains(a.Reason, "standing approval "+outside+" of ann@example.org does not count: not within: lab-web of cluster web is not among packages openssl*") {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	s.untouched(before)
	s.say("reject", instance, "--key", p.file("ben"))
	if end := s.ends(instance); end.State != "aborted" {
		t.Fatalf("%s ended %s: %s", instance, end.State, end.Reason)
	}
	s.eventually("the firing to end", func() error {
		if kept, _ := s.keptSchedule(); len(kept.Running) > 0 {
			return fmt.Errorf("%+v", kept)
		}
		return nil
	})

	within := stands("ben", "lab-*")
	begins := p.fires()
	var st workflows.CampaignState
	s.eventually("an instance whose gate is open", func() error {
		kept, _ := s.keptSchedule()
		if len(kept.Running) == 0 {
			return fmt.Errorf("no firing is on its way: %+v", kept)
		}
		var f workflows.FiringState
		if err := s.query(kept.Running[0], &f); err != nil {
			return err
		}
		if f.Instance == "" {
			return fmt.Errorf("no plan is made yet: %+v", f)
		}
		if instance = f.Instance; s.query(workflows.CampaignID(instance), &st) != nil || st.Gates[0].Opened.IsZero() {
			return fmt.Errorf("%s has the gates %+v", instance, st.Gates)
		}
		return nil
	})
	if end := s.ends(instance); end.State != "done" {
		t.Fatalf("%s ended %s: %s", instance, end.State, end.Reason)
	}
	s.begun("web-1", begins)
	s.at("1.1", web...)
	if report, _ := s.cli(0, "report", instance); !strings.Contains(report, "standing approval "+within+", signed with SHA256:") {
		t.Errorf("the report says\n%s", report)
	}
	entries, err := auditlog.Read(s.Daemon.AuditFile())
	s.must(err)
	taken := 0
	for _, e := range entries {
		if e.Chain == workflows.CampaignID(instance) && strings.HasPrefix(e.Detail, "approve once more, before the gate opens: rollpatch standing approval 1\n") {
			taken++
		}
	}
	if taken != 1 {
		t.Errorf("as its gate opened, %d standing approvals were looked at once more, want one", taken)
	}
	s.say("schedule", "delete", s.name())
	s.say("standing", "withdraw", within)
	s.safe()
}
