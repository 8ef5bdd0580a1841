package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// TestRollingFailedBackoutIsQuarantinedAndTold takes every old package away from a host whose patch failed: it stays out of service
// on record, people are told by the command that the campaign names, its peers are not touched, and the next campaign leaves it
// alone. Once it is repaired by hand, a person releases it: it is checked and serves again.
func TestRollingFailedBackoutIsQuarantinedAndTold(t *testing.T) {
	s := begin(t)
	if s.Kind != estate.Real {
		t.Skip("the way back is taken away on a real host: " + s.Lacking)
	}
	s.publish("1.2")
	peers := s.logs("web-2", "web-3")
	told := filepath.Join(t.TempDir(), "told")
	file, err := s.Write(s.name()+".yaml", "name: "+s.name()+"\nreason: November security updates\nunattended: true\nstages:\n  - {name: production, clusters: [web]}\n"+
		"notify: [{name: pager, command: [sh, -c, \"cat >>"+told+"; echo >>"+told+"\"]}]\n"+policy)
	s.must(err)
	traffic := s.traffic(func() {
		instance := s.start(file)
		if s.member(instance, "web-1", rollout.StepCheck) {
			s.Fatal("the check of web-1 was over before it was seen")
		}
		_, err := s.Lab().Exec(s.ctx, "web-1", "sh", "-c", "mkdir /root/apt; mv /etc/apt/sources.list.d/* /etc/apt/sources.list /root/apt; rm -rf /var/lib/rollpatch/ledger /var/cache/apt/archives/*.deb /var/lib/apt/lists/*; : >/etc/apt/sources.list")
		s.must(err)
		st := s.ends(instance)
		if st.State != "halted" {
			s.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		if m := st.Stages[0].Clusters[0].Members[0]; m.Outcome != string(rollout.Quarantined) || !strings.Contains(m.Reason, "backout failed") {
			s.Errorf("web-1 is %s: %q, want quarantined because its backout failed", m.Outcome, m.Reason)
		}
	})
	s.lossless(traffic)
	s.untouched(peers)
	s.outOfService("web-1")

	events := map[string]bool{}
	s.eventually("everybody to be told", func() error {
		body, err := os.ReadFile(told)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
			var n struct{ Event string }
			if err := json.Unmarshal([]byte(line), &n); err != nil {
				return err
			}
			events[n.Event] = true
		}
		for _, want := range []string{rollout.TellFail, rollout.TellQuarantine, rollout.TellHalted} {
			if !events[want] {
				return &missing{want}
			}
		}
		return nil
	})

	s.publish("1.1")
	again := s.run(s.campaign(false, "web"), 3)
	if !strings.Contains(again.Reason, "quarantine") {
		s.Errorf("the next campaign says %q, want that web-1 is in quarantine", again.Reason)
	}
	s.untouched(peers)

	if a := s.why("web-1"); !a.names("rollpatch quarantine release web-1") {
		s.Errorf("why says %+v, want the way out of the quarantine", a)
	}
	out, _ := s.cli(0, "quarantine", "list", "-i", s.InventoryFile(), "-o", "json")
	var shut []shutOut
	s.must(json.Unmarshal([]byte(out), &shut))
	if len(shut) != 2 || shut[1].State != "left-out" || shut[0].Host != "web-1" || shut[0].State != "drained" || !strings.Contains(shut[0].Reason, "backout failed") {
		s.Errorf("quarantine list prints %s", out)
	}
	_, err = s.Lab().Exec(s.ctx, "web-1", "sh", "-ec", "rm -f /etc/apt/sources.list; mv /root/apt/sources.list /etc/apt/; mv /root/apt/* /etc/apt/sources.list.d/; dpkg --configure -a || true; apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq -y --allow-downgrades install lab-web=1.1 lab-web-data=1.1")
	s.must(err)
	s.cli(0, "quarantine", "release", "web-1", "--return", "-i", s.InventoryFile(), "--reason", "repaired by hand")
	s.serving("web-1")
	s.safe()
}

// shutOut is one entry of quarantine list.
type shutOut struct {
	Name, Host, State, Reason, Scope string
	Versions                         []activities.Change
}

// TestRollingVersionsInQuarantine: a version that failed is left out by the next campaign, which says so and is done; the one that mends it
// is installed, and a person ends it.
func TestRollingVersionsInQuarantine(t *testing.T) {
	s := begin(t)
	s.publish("1.2")
	s.run(s.campaign(false, "web"), 3)
	out, _ := s.cli(0, "quarantine", "list", "-i", s.InventoryFile(), "-o", "json")
	var shut []shutOut
	s.must(json.Unmarshal([]byte(out), &shut))
	want := []activities.Change{{Name: "lab-web", Old: "1.0", New: "1.2"}, {Name: "lab-web-data", Old: "1.0", New: "1.2"}}
	if len(shut) != 1 || shut[0].Host != "web-1" || shut[0].Scope != "cluster web" || !slices.Equal(shut[0].Versions, want) || !strings.Contains(shut[0].Reason, "page") {
		s.Fatalf("quarantine list prints %s", out)
	}
	logs := s.logs(web...)
	again := s.run(s.campaign(false, "web"), 0)
	s.untouched(logs)
	cl := again.Stages[0].Clusters[0]
	if !strings.Contains(cl.Reason, "left out: lab-web 1.2, lab-web-data 1.2") || !strings.Contains(cl.Members[0].Reason, "rollpatch quarantine release "+shut[0].Name) {
		s.Errorf("the next campaign says %q, its canary %q; want what was left out and what ends that", cl.Reason, cl.Members[0].Reason)
	}
	// Widened, they stay out when the first record is gone, until that is released too.
	_, id, _ := strings.Cut(shut[0].Name, "/")
	s.cli(0, "quarantine", "widen", shut[0].Name, "-i", s.InventoryFile(), "--all", "--reason", "openssl is broken")
	s.cli(0, "quarantine", "release", shut[0].Name, "-i", s.InventoryFile(), "--reason", "it was our configuration")
	again = s.run(s.campaign(false, "web"), 0)
	s.untouched(logs)
	if cl = again.Stages[0].Clusters[0]; !strings.Contains(cl.Reason, "left out: lab-web 1.2, lab-web-data 1.2") || !strings.Contains(cl.Members[0].Reason, "widened from "+shut[0].Name) {
		s.Errorf("once widened, the campaign says %q, its canary %q; want what was left out, and who said so", cl.Reason, cl.Members[0].Reason)
	}
	shut[0].Name = "+all/" + id
	s.publish("1.4")
	s.lossless(s.traffic(func() { s.run(s.campaign(false, "web"), 0) }))
	s.at("1.4", web...)
	s.cli(0, "quarantine", "release", shut[0].Name, "-i", s.InventoryFile(), "--reason", "it was our configuration")
	if out, _ := s.cli(0, "quarantine", "list", "-i", s.InventoryFile(), "-o", "json"); strings.TrimSpace(out) != "[]" {
		s.Errorf("after its release quarantine list prints %s", out)
	}
	if _, stderr := s.cli(1, "quarantine", "release", shut[0].Name, "-i", s.InventoryFile(), "--reason", "once more"); !strings.Contains(stderr, "no versions are in quarantine as "+shut[0].Name) {
		s.Errorf("a second release is refused with %q", stderr)
	}
	s.safe()
}

type missing struct{ event string }

func (m *missing) Error() string { return "nobody was told of " + m.event }

// outOfService checks that a host is drained by us, and on record as quarantined.
func (s *scene) outOfService(host string) {
	s.Helper()
	checks, _, err := s.catalog.Health().Node(host, nil)
	s.must(err)
	drained := false
	for _, c := range checks {
		drained = drained || strings.HasPrefix(c.CheckID, "_service_maintenance:") && strings.HasPrefix(c.Notes, "rollpatch ")
	}
	if !drained {
		s.Errorf("%s is not in our maintenance: %v", host, checks)
	}
	keys, _, err := s.catalog.KV().Keys("rollpatch/", "", &api.QueryOptions{RequireConsistent: true})
	s.must(err)
	if !contains(keys, "rollpatch/claims/quarantine/"+host) {
		s.Errorf("no record of the quarantine of %s in %v", host, keys)
	}
	for _, k := range keys {
		if strings.Contains(k, "/cluster/") {
			s.Errorf("the claim %s is left", k)
		}
	}
}
