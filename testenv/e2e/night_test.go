package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// monthly writes a campaign as a monthly process has it: a schedule, a change number, a window, a gate for each of two people, and production only
// with what has been through staging. What people are told goes into the file told.
func (p people) monthly(begin time.Time, change, told string) (file string) {
	p.Helper()
	night := p.announce(event{"Patch night", begin, begin.Add(20 * time.Minute)})
	text := fmt.Sprintf(`name: %s
reason: November security updates
ticket: OPS-7
unattended: true
zone: UTC
schedule: {cron: %q, lead: 1m}
windows: [{name: night, ical: {file: %q, events: Patch*}}]
change: {url: {file: %s}, within: 1m}
packages: {security: true, include: [tzdata]}
stages:
  - {name: staging, clusters: [cache]}
  - {name: production, clusters: [web], gate: {roles: [peer]}, requires: {stage: staging, min_age: 1s}}
gates:
  start: {roles: [manager]}
approvers:
  - {principal: ann@example.org, roles: [manager]}
  - {principal: ben@example.org, roles: [peer]}
  - {principal: rita@example.org, roles: [manager, peer]}
signers: {allowed: %q, revoked: %q}
notify: [{name: people, command: [sh, -c, "cat >>%s; echo >>%s"]}]
%s  estimate: {work: 16s, backout: 4s}
`, p.name(), begin.UTC().Format("4 15 2 1 *"), night, filepath.Base(change), p.file("allowed_signers"), p.file("revoked_keys"), told, told, policy)
	file, err := p.Write(p.name()+".yaml", text)
	p.must(err)
	return file
}

// account is a report as a program reads it.
type account struct {
	State, Change, Closed, Requester, Key, Plan string
	Schedule                                    struct {
		Name       string
		Due, Begun time.Time
	}
	Clusters []struct {
		Stage, Name, State string
		Soaks              int
	}
	Hosts []struct {
		Host, State string
		Canary      bool
		Packages    []struct{ Name, Old, New, Planned, Note string }
	}
	Approvals []struct {
		Gate, Actor string
		Claimed     bool
	}
	Leftovers []struct{}
}

// TestChangeNight is a month of a campaign, from its schedule to its report, with no hand on it but two signatures: it is fired, asks the hosts, gets
// its change number, waits for two people who are not the requester, has its packages brought ahead, begins with its window, goes through staging,
// and with what soaked there through production.
func TestChangeNight(t *testing.T) {
	s := begin(t)
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute) // two of them pass until the window opens
	defer cancel()
	s.ctx = ctx
	s.publish("security")
	p := s.identities()
	k := &keeper{numbers: map[string]string{}, asked: map[string]int{}, closed: map[string]string{}}
	srv := httptest.NewServer(k)
	defer srv.Close()
	change, err := s.Write("change.url", srv.URL+"/hidden\n")
	s.must(err)
	told, hosts := filepath.Join(t.TempDir(), "told"), append([]string{"cache-1", "cache-2"}, web...)
	begins := time.Now().UTC().Add(70 * time.Second).Truncate(time.Minute).Add(time.Minute) // its plan is made in 10 to 70 seconds
	file := p.monthly(begins, change, told)
	if out, _ := s.cli(0, "schedule", "create", "-i", s.InventoryFile(), "--key", p.file("rita"), file); !strings.Contains(out, "created") {
		t.Errorf("schedule create says %q", out)
	}
	before := s.logs(hosts...)

	instance, st := s.made()
	if st.Turn == nil || !st.Turn.Begin.Equal(begins) || st.Change == nil || st.Change.Number != "CHG0001" || st.Requester != "rita@example.org" {
		t.Fatalf("it is %+v with change %+v for %s, want a begin at %s", st.Turn, st.Change, st.Requester, begins)
	}
	if page, _ := s.cli(0, "schedule", "plan", instance, "--output", "markdown"); !strings.Contains(page, "| tzdata |") || !strings.Contains(page, st.Plan) || !strings.Contains(page, "ann@example.org") {
		t.Errorf("its change request is\n%s", page)
	}
	if a := s.why(instance); !strings.Contains(a.Reason, "waits at gate start for people to agree") || !strings.Contains(a.Reason, "begins at "+begins.Format(time.RFC3339)+" if everybody has agreed by then") || !a.names("rollpatch approve "+instance) {
		t.Errorf("why says %+v", a)
	}
	p.refused(instance, p.signs("rita", p.statement(instance)), approval.CauseRequester, "rita@example.org asked for this instance: somebody else has to decide")
	s.cli(0, "approve", instance, "--key", p.file("ann"), "--reason", "as announced")
	s.cli(0, "approve", instance, "--stage", "production", "--when-pass", "--key", p.file("ben"), "--reason", "if staging is fine")
	if now := time.Now(); !now.Before(begins) {
		t.Fatalf("they agreed %s after the window had opened: the machine is too slow for this test", now.Sub(begins))
	}
	s.eventually("staging's packages to be there", func() error {
		s.must(s.query(workflows.CampaignID(instance), &st))
		if a := st.Clusters[0].Ahead; !a.Done {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	if now := time.Now(); now.Before(begins) {
		if a := s.why(instance); strings.Contains(a.Reason, "waits at gate") || len(a.Awaits) != 1 || a.Awaits[0].For != "its turn: its window opens at "+begins.Format(time.RFC3339) {
			t.Errorf("with everybody's agreement why says %+v", a)
		}
		s.untouched(before)
	} else {
		t.Errorf("they were there %s after the window had opened", now.Sub(begins))
	}

	if end := s.ends(instance); end.State != "done" {
		t.Fatalf("%s ended %s: %s", instance, end.State, end.Reason)
	}
	s.begun("cache-1", begins)
	s.begun("web-1", s.started("cache-2", "Undrain").GetEventTime().AsTime())
	s.begun("web-2", s.started("web-1", "Undrain").GetEventTime().AsTime())
	if keys, _, err := s.catalog.KV().Keys("rollpatch/staged/staging/cache/"+instance, "", nil); err != nil || len(keys) != 1 {
		t.Errorf("staging left the records %v, %v; want one", keys, err)
	}
	s.safe()
	s.chained()
	for name, gate := range map[string]string{"ann": "start", "ben": "stage/production"} {
		if p.vouched(instance, name, gate) == 0 {
			t.Errorf("the audit trail proves no word of %s at gate %s", name, gate)
		}
	}
	s.accounted(instance, begins)
	s.eventually("the firing to end, and everybody to be told", func() error {
		kept, _ := s.keptSchedule()
		text, _ := os.ReadFile(told)
		k.Lock()
		defer k.Unlock()
		switch {
		case len(kept.Running) > 0 || kept.Paused:
			return fmt.Errorf("the list has %+v", kept)
		case len(k.numbers) != 1 || k.closed["CHG0001"] != "done":
			return fmt.Errorf("changes %v, closed %v", k.numbers, k.closed)
		}
		for _, word := range []string{"gate start of " + instance + " waits for approval", "schedule plan " + instance, "campaign " + instance + " is done"} {
			if !strings.Contains(string(text), word) {
				return fmt.Errorf("nobody was told %q:\n%s", word, text)
			}
		}
		return nil
	})
	text, err := os.ReadFile(told)
	s.must(err)
	t.Logf("people were told:\n%s", text)
	s.say("schedule", "delete", s.name())
}

// accounted checks the report: what was planned against what every host has, who agreed, the change and the schedule.
func (s *scene) accounted(instance string, begins time.Time) {
	s.Helper()
	page, _ := s.cli(0, "report", instance, "--audit", s.Daemon.AuditFile())
	for _, want := range []string{"| change | CHG0001 (", "| ticket | OPS-7 |", "| made by | schedule " + s.name() + ", to begin at " + begins.Format(time.RFC3339), "rita@example.org (signed with SHA256:", "| approve refused | campaign | the test says so | rita@example.org asked for this instance: somebody else has to decide", "| as announced |", "Nothing: every member has what was planned"} {
		if !strings.Contains(page, want) {
			s.Errorf("the report lacks %q:\n%s", want, page)
		}
	}
	out, _ := s.cli(0, "report", instance, "--audit", s.Daemon.AuditFile(), "--output", "json")
	var r account
	s.must(json.Unmarshal([]byte(out), &r))
	if late := r.Schedule.Begun.Sub(begins); r.Schedule.Name != s.name() || !r.Schedule.Due.Equal(begins) || late < 0 || late > 30*time.Second {
		s.Errorf("it was made by %+v, want a begin at %s", r.Schedule, begins)
	}
	if r.State != "done" || r.Change != "CHG0001" || r.Requester != "rita@example.org" || r.Key == "" || r.Plan == "" || len(r.Leftovers) > 0 {
		s.Errorf("the report says %+v", r)
	}
	var by, stages, hosts []string
	for _, a := range r.Approvals {
		by = append(by, fmt.Sprintf("%s %s claimed=%t", a.Gate, a.Actor, a.Claimed))
	}
	for _, c := range r.Clusters {
		stages = append(stages, fmt.Sprintf("%s %s %s %d", c.Stage, c.Name, c.State, c.Soaks))
	}
	for _, h := range r.Hosts {
		packages := 0
		for _, k := range h.Packages {
			if packages++; k.New == "" || k.New != k.Planned || k.New == k.Old {
				s.Errorf("%s has %+v, want it as planned", h.Host, k)
			}
		}
		if packages == 0 {
			s.Errorf("no version of %s is in the report", h.Host)
		}
		hosts = append(hosts, fmt.Sprintf("%s %s %t", h.Host, h.State, h.Canary))
	}
	if want := []string{"start ann@example.org claimed=false", "stage/production ben@example.org claimed=false"}; !slices.Equal(by, want) {
		s.Errorf("agreed to by %q, want %q", by, want)
	}
	if want := []string{"staging cache done 1", "production web done 1"}; !slices.Equal(stages, want) {
		s.Errorf("clusters are %q, want %q", stages, want)
	}
	if want := []string{"cache-1 patched true", "cache-2 patched false", "web-1 patched true", "web-2 patched false", "web-3 patched false"}; !slices.Equal(hosts, want) {
		s.Errorf("hosts are %q, want %q", hosts, want)
	}
}
