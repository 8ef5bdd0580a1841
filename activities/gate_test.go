package activities

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestInService(t *testing.T) {
	two := inventory.Cluster{Services: []inventory.Service{{Name: "http"}, {Name: "admin"}}}
	one := inventory.Cluster{Services: two.Services[:1]}
	lenient := inventory.Cluster{Services: []inventory.Service{{Name: "http", PassingMeans: inventory.NotCritical}}}
	http := Instance{Node: "web-1", Address: "10.0.0.1", Service: "http", Status: "passing"}
	with := func(change func(*Instance)) Instance {
		i := http
		change(&i)
		return i
	}
	for _, row := range []struct {
		says    string
		cluster inventory.Cluster
		list    []Instance
		want    bool
	}{
		{"listed as passing is in service", one, []Instance{http}, true},
		{"not registered is not in service", one, nil, false},
		{"critical is not in service", one, []Instance{with(func(i *Instance) { i.Status = "critical" })}, false},
		{"a warning is not passing", one, []Instance{with(func(i *Instance) { i.Status = "warning" })}, false},
		{"a warning is good enough where consumers take what is not critical", lenient, []Instance{with(func(i *Instance) { i.Status = "warning" })}, true},
		{"critical is never good enough", lenient, []Instance{with(func(i *Instance) { i.Status = "critical" })}, false},
		{"maintenance counts whatever the checks say", one, []Instance{with(func(i *Instance) { i.Maintenance = []string{"ticket 7"} })}, false},
		{"node maintenance counts as well", one, []Instance{with(func(i *Instance) { i.NodeMaint = "ticket 7" })}, false},
		{"another node's instance is not its own", one, []Instance{with(func(i *Instance) { i.Node, i.Address = "web-2", "10.0.0.2" })}, false},
		{"a node of another name is known by its address", one, []Instance{with(func(i *Instance) { i.Node = "ip-10-0-0-1" })}, true},
		{"every service must be listed", two, []Instance{http}, false},
		{"all services listed is in service", two, []Instance{http, with(func(i *Instance) { i.Service = "admin" })}, true},
		{"of a cluster without services nothing is known", inventory.Cluster{}, []Instance{http}, false},
	} {
		if got := inService(row.cluster, "web-1", "10.0.0.1", row.list); got != row.want {
			t.Errorf("%s: inService = %t, want %t", row.says, got, row.want)
		}
	}
	if inService(one, "db-9", "", []Instance{{Node: "other", Service: "http", Status: "passing"}}) {
		t.Error("a member without a known address is taken for an instance without one")
	}
}

func TestGate(t *testing.T) {
	ours := func(w *world, names ...string) {
		for _, name := range names {
			w.records["cluster/"+name] = Claim{Key: "cluster/" + name, Owner: instance, Server: theServer}
		}
	}
	peers := func(want ...rollout.Redundancy) func(*testing.T, *world, StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if !reflect.DeepEqual(r.Peers, want) {
				t.Errorf("peers %+v, want %+v", r.Peers, want)
			}
		}
	}
	web := rollout.Redundancy{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 2}
	web1 := web
	web1.PeersIn, web1.PeersOut = 1, "web-3"
	tell(t, "gate", (*Activities).Gate, []stepRow{
		{"peers in service are counted, the member itself is not", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances[0].Status = "critical"
		}, rollout.Pass, "web: 2 of 2 peers in service", peers(web)},
		{"a peer in somebody else's maintenance is out", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances[2].Maintenance = []string{"ticket 7"}
		}, rollout.Pass, "1 of 2", peers(web1)},
		{"a peer whose node is in maintenance is out", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances[2].NodeMaint = "ticket 7"
		}, rollout.Pass, "1 of 2", peers(web1)},
		{"a peer that is not registered is out", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances = w.instances[:2]
		}, rollout.Pass, "1 of 2", peers(web1)},
		{"a registered node that the inventory does not know is no peer", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances[2].Node = "web-9"
		}, rollout.Pass, "1 of 2", peers(web1)},
		{"a budget in percent is counted from the inventory's size", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			p.Cluster.MaxUnavailable, p.Accepted, p.Until = inventory.Budget{Percent: 70}, "said so", "2027-01-31"
		}, rollout.Pass, "", peers(rollout.Redundancy{Cluster: "web", Size: 3, MaxOut: 2, MinHealthy: 2, PeersIn: 2, Accepted: true, Until: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)})},
		{"every cluster that the host belongs to is counted", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			ours(w, "web", "db")
		}, rollout.Pass, "web: 2 of 2 peers in service; db: 1 of 1 peers in service",
			peers(web, rollout.Redundancy{Cluster: "db", Size: 2, MaxOut: 1, MinHealthy: 1, PeersIn: 1})},
		{"a cluster that only a peer belongs to has no say, but its claim is asked for", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			p.Others[0].Cluster.Members = []string{"web-2", "db-2"}
			ours(w, "web", "db")
		}, rollout.Pass, "", peers(web)},
		{"a claim of another instance is inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: "other-1", Server: theServer}
		}, rollout.Inconclusive, `the claim of cluster "web" is not ours: other-1 has it`, peers()},
		{"so is one of an instance of the same name on another server", func(w *world, p *plan.Part, in *StepInput) {
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: another}
		}, rollout.Inconclusive, `the claim of cluster "web" is not ours: ` + instance + " of another rollpatch has it", peers()},
		{"a claim that is gone is inconclusive, also of the other cluster", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			ours(w, "web", "db-old")
		}, rollout.Inconclusive, `the claim of cluster "db" is not ours`, peers()},
		{"a freeze is told, and why; the peers count all the same", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.frozen = "frozen by ann (claimed): incident 12"
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if r.Frozen != w.frozen {
				t.Errorf("frozen %q, want %q", r.Frozen, w.frozen)
			}
			peers(web)(t, w, r)
		}},
		{"where there is no freeze none is told", func(w *world, p *plan.Part, in *StepInput) { ours(w, "web") }, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if r.Frozen != "" || w.did("frozen") != 1 {
				t.Errorf("frozen %q, asked %d times", r.Frozen, w.did("frozen"))
			}
		}},
		{"a freeze that cannot be asked for is inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.unfrozen = errAway
		}, rollout.Inconclusive, "whether the estate is frozen", peers()},
		{"a member that our maintenance does not hold is told to be undrained", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances[0].Maintenance = []string{"ticket 7"}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if !r.Undrained {
				t.Error("our maintenance is not on it, and the result does not say so")
			}
		}},
		{"one that it holds is not", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.instances[0].Maintenance = []string{Reason(instance, "web-1"), "ticket 7"}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if r.Undrained {
				t.Error("our maintenance is on it, and the result does not say so")
			}
		}},
		{"claims that cannot be read are inconclusive", func(w *world, p *plan.Part, in *StepInput) { w.claims = errAway }, rollout.Inconclusive, "away", peers()},
		{"servers that cannot be asked are inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			ours(w, "web")
			w.catalog = func(int) error { return errAway }
		}, rollout.Inconclusive, "away", peers()},
	})
}

const debian = "os\tdebian\nrelease\t12\narch\tamd64\nkernel\t6.1\nhostname\tweb-1\nboot_id\tboot-a\nseq\t6\nuptime\t9\ndpkg\tclean\n" +
	"pkg\topenssl\t1.0\tamd64\tinstall\npkg\ttzdata\t2025\tall\thold\n"

func TestInspect(t *testing.T) {
	given := func(also func(w *world, p *plan.Part)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"] = debian
			also(w, p)
		}
	}
	foreign := func(t *testing.T, w *world, r StepResult) {
		if !r.Foreign {
			t.Error("not marked as somebody else's")
		}
	}
	tell(t, "inspect", (*Activities).Inspect, []stepRow{
		{"facts are told in one line", given(func(w *world, p *plan.Part) {}), rollout.Pass, "debian 12, kernel 6.1, 2 packages", func(t *testing.T, w *world, r StepResult) {
			if r.Boot != "boot-a" || r.Seq != 6 {
				t.Errorf("boot %q, seq %d", r.Boot, r.Seq)
			}
		}},
		{"a playbook that the inventory names is not looked for", given(func(w *world, p *plan.Part) {
			p.Hosts[0].Playbook = "debian"
			w.cannot[osRelease] = errAway
		}), rollout.Pass, "", nil},
		{"a package database that is not clean is a fail", given(func(w *world, p *plan.Part) { w.says["facts"] = strings.Replace(debian, "clean", "dirty", 1) }), rollout.Fail, "not clean", nil},
		{"facts that cannot be read are inconclusive", given(func(w *world, p *plan.Part) { w.says["facts"] = "" }), rollout.Inconclusive, "no os or boot id", nil},
		{"a host that cannot be reached is inconclusive", given(func(w *world, p *plan.Part) { w.cannot["facts"] = errAway }), rollout.Inconclusive, "away", nil},
		{"a member in quarantine is not touched", given(func(w *world, p *plan.Part) {
			w.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Owner: "last-month", Server: theServer, Reason: "its backout failed"}
		}), rollout.Fail, "by last-month: its backout failed", foreign},
		{"a drain of this very instance is told, for the server may have forgotten it", given(func(w *world, p *plan.Part) {
			w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
		}), rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if !r.Ours || r.Foreign {
				t.Errorf("ours %t, foreign %t", r.Ours, r.Foreign)
			}
		}},
		{"nothing is judged while a run goes on there", given(func(w *world, p *plan.Part) {
			w.says["facts"] = debian + "run\tmonthly-1.web-1.patch.1-1\n"
		}), rollout.Inconclusive, "the run monthly-1.web-1.patch.1-1 still goes on there", nil},
		{"the quarantine of another host is not its own", given(func(w *world, p *plan.Part) {
			w.records["quarantine/web-10"] = Claim{Key: "quarantine/web-10", Owner: "last-month", Server: theServer}
		}), rollout.Pass, "", nil},
		{"nor is a record of another host that cannot be read", given(func(w *world, p *plan.Part) {
			w.records["quarantine/web-10"] = Claim{Key: "quarantine/web-10", Broken: "no JSON"}
		}), rollout.Pass, "", nil},
		{"a record of its own that cannot be read is inconclusive", given(func(w *world, p *plan.Part) {
			w.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Broken: "no JSON"}
		}), rollout.Inconclusive, "no JSON", nil},
		{"maintenance of somebody else is told", given(func(w *world, p *plan.Part) { w.instances[0].Maintenance = []string{"ticket 7"} }), rollout.Fail,
			`service http on web-1 is in maintenance by somebody else: "ticket 7"`, foreign},
		{"maintenance of another instance is somebody else's", given(func(w *world, p *plan.Part) { w.instances[0].Maintenance = []string{Reason("last-month", "web-1")} }), rollout.Fail, "last-month", foreign},
		{"node maintenance is always somebody else's", given(func(w *world, p *plan.Part) { w.instances[0].NodeMaint = Reason(instance, "web-1") }), rollout.Fail, "node web-1 is in maintenance by somebody else", foreign},
		{"our own maintenance, left by an earlier attempt, is no obstacle", given(func(w *world, p *plan.Part) { w.instances[0].Maintenance = []string{Reason(instance, "web-1")} }), rollout.Pass, "", nil},
		{"a peer's maintenance is not its own", given(func(w *world, p *plan.Part) { w.instances[1].Maintenance = []string{"ticket 7"} }), rollout.Pass, "", nil},
		{"maintenance on what it offers in its other cluster is told", given(func(w *world, p *plan.Part) {
			sharedHost(w, p)
			w.instances[3].Maintenance = []string{"ticket 7"}
		}), rollout.Fail, "service sql on web-1", foreign},
		{"records that cannot be read are inconclusive", given(func(w *world, p *plan.Part) { w.claims = errAway }), rollout.Inconclusive, "away", nil},
		{"servers that cannot be asked are inconclusive", given(func(w *world, p *plan.Part) { w.catalog = func(int) error { return errAway } }), rollout.Inconclusive, "away", nil},
	})
}

func TestQuarantine(t *testing.T) {
	why := func(w *world, p *plan.Part, in *StepInput) { in.Why = "the backout failed" }
	tell(t, "quarantine", (*Activities).Quarantine, []stepRow{
		{"the record says who, since when and why", why, rollout.Pass, "in quarantine: the backout failed", func(t *testing.T, w *world, r StepResult) {
			got := w.records["quarantine/web-1"]
			got.Told = nil
			if want := (Claim{Key: "quarantine/web-1", Owner: instance, Since: w.entries[0].Time, Reason: "the backout failed", Server: theServer}); got != want {
				t.Errorf("record %+v, want %+v", got, want)
			}
		}},
		{"a record that somebody else made is enough, and stays", func(w *world, p *plan.Part, in *StepInput) {
			why(w, p, in)
			w.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Owner: "last-month", Server: theServer}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.records["quarantine/web-1"].Owner != "last-month" {
				t.Errorf("records %v", w.records)
			}
		}},
		{"what could not be recorded is inconclusive", func(w *world, p *plan.Part, in *StepInput) { w.claims = errAway }, rollout.Inconclusive, "away", nil},
	})
}
