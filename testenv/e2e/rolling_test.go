package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/activities/auditlog"
	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/testenv/load"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// rate is the steady traffic under which campaigns run.
const rate = 200

// traffic runs work under load and returns what became of the requests.
func (s *scene) traffic(work func()) load.Result {
	s.Helper()
	l := load.Start(s.ctx, s.WebURL(), rate)
	s.eventually("the first hundred requests", func() error {
		if n := l.Snapshot().Sent; n < 100 {
			return fmt.Errorf("%d sent", n)
		}
		return nil
	})
	work()
	return l.Stop()
}

// lossless checks that nobody outside noticed.
func (s *scene) lossless(r load.Result) {
	s.Helper()
	s.Logf("%d requests at %.1f/s, %d failed %v", r.Sent, r.Rate, r.Failed, r.Errors)
	if r.Failed > 0 {
		s.Errorf("%d of %d requests failed: %v", r.Failed, r.Sent, r.Errors)
	}
	if r.Rate < 0.99*rate {
		s.Errorf("only %.1f requests/s of %d were sent: the count says nothing", r.Rate, rate)
	}
}

func TestRollingGoodPatch(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	s.lossless(s.traffic(func() {
		st := s.run(s.campaign(false, "web"), 0)
		if st.State != "done" {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		for _, m := range st.Stages[0].Clusters[0].Members {
			if m.Outcome != string(rollout.Patched) || m.Count != 2 || m.OutSeconds <= 0 {
				s.Errorf("member %+v: want patched, two packages, some seconds out of service", m)
			}
		}
	}))
	s.at("1.1", web...)
	s.safe()
	s.chained()
}

// chained verifies the audit chains of everything that ran.
func (s *scene) chained() {
	s.Helper()
	entries, err := auditlog.Read(s.Daemon.AuditFile())
	s.must(err)
	var c workflows.CampaignState
	s.must(s.query(workflows.CampaignID(s.latest()), &c))
	if _, err := audit.Verify(c.Audit, entries); err != nil {
		s.Errorf("audit: %v", err)
	}
	// Every child's last digest stands in its parent's chain, and heads a whole chain of its own.
	heads := map[string]audit.Entry{}
	for _, e := range entries {
		heads[e.Digest] = e
	}
	children := 0
	for _, e := range entries {
		if e.Kind != audit.Child || !strings.Contains(e.Chain, c.Instance) {
			continue
		}
		children++
		last, ok := heads[e.Result]
		if !ok {
			s.Errorf("audit: the last entry of a child of %s is missing: %+v", e.Chain, e)
			continue
		}
		if _, err := audit.Verify(last.Head(), entries); err != nil {
			s.Errorf("audit: %v", err)
		}
	}
	if children < 2 {
		s.Errorf("audit: %d children on the chains of %s, want the cluster and its members", children, c.Instance)
	}
}

func TestRollingReboot(t *testing.T) {
	s := begin(t)
	s.publish("1.4")
	before := s.boots(web...)
	s.lossless(s.traffic(func() { s.run(s.campaign(false, "web"), 0) }))
	s.at("1.4", web...)
	for h, id := range s.boots(web...) {
		if id == before[h] {
			s.Errorf("%s was not rebooted", h)
		}
	}
	s.safe()
}

// bad runs a campaign whose patch fails on the canary.
func bad(t *testing.T, version, why string) {
	s := begin(t)
	s.publish(version)
	peers := s.logs("web-2", "web-3")
	s.lossless(s.traffic(func() {
		st := s.run(s.campaign(false, "web"), 3)
		if st.State != "halted" || !strings.Contains(st.Reason, why) {
			s.Errorf("campaign is %s: %q, want halted because of %q", st.State, st.Reason, why)
		}
		if m := st.Stages[0].Clusters[0].Members[0]; m.Outcome != string(rollout.BackedOut) {
			s.Errorf("the canary is %s, want backed-out", m.Outcome)
		}
	}))
	s.at("1.0", web...)
	s.untouched(peers)
	s.safe()
}

func TestRollingBadPatch(t *testing.T)       { bad(t, "1.2", "page") }
func TestRollingBrokenPostinst(t *testing.T) { bad(t, "1.3", "package manager failed") }

func TestRollingSecurityUpdates(t *testing.T) {
	s := begin(t)
	s.publish("security")
	before, err := s.Versions(s.ctx, "cache-1")
	s.must(err)
	file := s.campaign(false, "cache")
	raw, err := os.ReadFile(file)
	s.must(err)
	s.must(os.WriteFile(file, []byte("packages: {security: true}\n"+string(raw)), 0o644))
	st := s.run(file, 0)
	changed := 0
	for _, m := range st.Stages[0].Clusters[0].Members {
		if m.Host == "cache-1" {
			changed = len(m.Packages)
		}
		now, err := s.Versions(s.ctx, m.Host)
		s.must(err)
		for _, p := range m.Packages {
			if now[p.Name] != p.New || before[p.Name] != p.Old {
				s.Errorf("%s on %s went from %q to %q, the ledger says %q to %q", p.Name, m.Host, before[p.Name], now[p.Name], p.Old, p.New)
			}
		}
	}
	if changed == 0 {
		s.Error("no security update was pending: the lab's base lacks none")
	}
	s.Logf("%d packages a host", changed)
	s.safe()
}

func TestRollingSoakApproved(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	s.at("1.0", "web-2", "web-3")
	s.say("approve", instance, "--cluster", "web")
	if st := s.ends(instance); st.State != "done" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
}

// gate waits until the soak of web waits for a person.
func (s *scene) gate(instance string) {
	s.Helper()
	s.gateOf(instance, 0)
}

// gateOf waits for a person to be asked whether that soak may end; 0 is any.
func (s *scene) gateOf(instance string, soak int) {
	s.Helper()
	s.eventually("the gate of the soak", func() error {
		var c workflows.ClusterState
		if err := s.query(workflows.ClusterID(instance, "web"), &c); err != nil {
			return err
		}
		if c.Phase != rollout.PhaseGate || soak != 0 && c.SoakNo != soak {
			return fmt.Errorf("it is in %s, soak %d", c.Phase, c.SoakNo)
		}
		return nil
	})
}

func TestRollingSoakRejected(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	peers := s.logs("web-2", "web-3")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	s.say("reject", instance, "--cluster", "web")
	if st := s.ends(instance); st.State != "halted" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.0", web...)
	s.untouched(peers)
	s.safe()
}

func TestRollingCtrlCLeavesTheCampaignRunning(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	file := s.campaign(false, "web")
	ctx, interrupt := context.WithCancel(s.ctx)
	started := &trigger{fire: interrupt}
	r, err := s.Rollpatch(ctx, started, "run", "-i", s.InventoryFile(), file)
	s.must(err)
	instance := s.latest()
	if r.Code != 130 || !strings.Contains(r.Stderr, "rollpatch watch "+instance) {
		s.Errorf("exited %d, want 130 and how to come back\n%s", r.Code, r.Stderr)
	}
	if st := s.ends(instance); st.State != "done" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
}

// trigger fires once when what is written holds a word.
type trigger struct {
	fire func()
	seen strings.Builder
}

func (t *trigger) Write(p []byte) (int, error) {
	t.seen.Write(p)
	if regexp.MustCompile(`web-1\s+(drain|patch|check|undrain)`).MatchString(t.seen.String()) {
		t.fire()
	}
	return len(p), nil
}

func TestRollingForeignMaintenanceStays(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	logs := s.logs(web...)
	s.maintain("web-1", "web", "jane looks at the disk")
	st := s.run(s.campaign(false, "web"), 3)
	if !strings.Contains(st.Reason, "jane looks at the disk") {
		s.Errorf("reason %q does not name the maintenance", st.Reason)
	}
	checks, _, err := s.catalog.Health().Node("web-1", nil)
	s.must(err)
	found := ""
	for _, c := range checks {
		if strings.HasPrefix(c.CheckID, "_service_maintenance:") {
			found = c.Notes
		}
	}
	if found != "jane looks at the disk" {
		s.Errorf("the maintenance is now %q", found)
	}
	s.untouched(logs)
	s.safe("web-1")
}

// maintain puts a service into maintenance by somebody else's hand.
func (s *scene) maintain(host, service, reason string) {
	s.Helper()
	type maintainer interface {
		Maintain(name, service string, on bool, reason string) error
	}
	if f, ok := s.Hosts.(maintainer); ok {
		s.must(f.Maintain(host, service, true, reason))
	} else {
		_, err := s.Lab().Exec(s.ctx, host, "consul", "maint", "-enable", "-service="+service, "-reason="+reason)
		s.must(err)
	}
	s.eventually("the maintenance", func() error {
		checks, _, err := s.catalog.Health().Node(host, nil)
		if err != nil {
			return err
		}
		for _, c := range checks {
			if c.Notes == reason {
				return nil
			}
		}
		return fmt.Errorf("not listed yet")
	})
}

func TestRollingSameFileTwicePatchesTwice(t *testing.T) {
	s := begin(t)
	file := s.campaign(false, "web")
	s.publish("1.1")
	first := s.run(file, 0)
	s.at("1.1", web...)
	s.publish("1.4")
	second := s.run(file, 0)
	s.at("1.4", web...)
	if first.Instance == second.Instance {
		s.Errorf("both runs are %s", first.Instance)
	}
	// Six patches of web were measured by now, and a plan says from how many it knows how long a host takes.
	if pair, _, err := s.catalog.KV().Get("rollpatch/took/cluster/web", nil); err != nil || pair == nil {
		s.Errorf("how long members of web took is not on record: %v, %v", pair, err)
	}
	_, f := s.planned(file, "measured")
	if len(f.Clusters) != 1 || !regexp.MustCompile(`^\S+ \(p95 of \d+ runs on \S+ \S+ \S+ of cluster web\), `).MatchString(f.Clusters[0].Estimate) {
		s.Errorf("the plan says %+v", f.Clusters)
	}
	s.safe()
}

// TestRollingWithoutDrainLosesRequests is the control of every zero that the others count: when the drain takes out what nobody
// asks for, the same traffic sees failures.
func TestRollingWithoutDrainLosesRequests(t *testing.T) {
	s := begin(t)
	if s.Kind != estate.Real {
		t.Skip("the decoy service is registered with real Consul agents: " + s.Lacking)
	}
	s.publish("1.4")
	for _, h := range web {
		_, err := s.Lab().Exec(s.ctx, h, "consul", "services", "register", "-name=decoy", "-port=81")
		s.must(err)
	}
	inventory, err := os.ReadFile(s.InventoryFile())
	s.must(err)
	text := strings.Replace(string(inventory), "services: [{name: web, port: 80}]", "services: [{name: decoy, port: 81}]", 1)
	if text == string(inventory) {
		s.Fatal("the inventory has no service web to replace")
	}
	path, err := s.Write("no-drain-inventory.yaml", text)
	s.must(err)
	r := s.traffic(func() {
		r, err := s.Rollpatch(s.ctx, nil, "run", "-i", path, s.campaign(false, "web"))
		s.must(err)
		if r.Code != 0 {
			s.Errorf("exited %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	})
	if r.Failed == 0 {
		s.Errorf("none of %d requests failed although nothing was drained: the count cannot see an outage", r.Sent)
	}
	s.Logf("without a drain %d of %d requests failed: %v", r.Failed, r.Sent, r.Errors)
}
