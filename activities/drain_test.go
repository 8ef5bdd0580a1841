package activities

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

var errAway = errors.New("the servers are away")

func TestDrain(t *testing.T) {
	ttl := inventory.Duration(30 * time.Second)
	began := time.Time{}
	// falls takes a peer out of service from the n-th look at the servers on, for so many looks.
	falls := func(w *world, peer, n, looks int) {
		began = time.Now()
		w.catalog = func(asked int) error {
			w.instances[peer].Status = "passing"
			if asked >= n && asked < n+looks {
				w.instances[peer].Status = "critical"
			}
			return nil
		}
	}
	stay := func(int) (int, error) { return 1, nil } // connections
	early := func(t *testing.T, w *world, r StepResult) {
		if took := time.Since(began); !r.AskAgain || r.Leftover || took > 5*time.Second {
			t.Errorf("ask again %t, leftover %t, after %s; want it early", r.AskAgain, r.Leftover, took)
		}
	}
	toTheEnd := func(t *testing.T, w *world, r StepResult) {
		if took := time.Since(began); r.AskAgain || !r.Leftover || took < time.Minute {
			t.Errorf("ask again %t, leftover %t, after %s; want it to take its time", r.AskAgain, r.Leftover, took)
		}
	}
	tell(t, "drain", (*Activities).Drain, []stepRow{
		{"the record comes first, then maintenance, then two looks at the servers, then the connections", nil, rollout.Pass, "0 connections left",
			func(t *testing.T, w *world, r StepResult) {
				want := []string{"audit intent", "take drain/web-1", "catalog", "enter http", "catalog", "catalog", "connections", "audit outcome"}
				if !slices.Equal(w.log, want) {
					t.Errorf("did %q, want %q", w.log, want)
				}
				if got := w.instances[0].Maintenance; !slices.Equal(got, []string{"rollpatch " + instance + " web-1"}) {
					t.Errorf("maintenance %q does not name us", got)
				}
				if w.records["drain/web-1"].Owner != instance {
					t.Errorf("records %v", w.records)
				}
				for _, v := range w.accesses[0].Via {
					if v.Host == "web-1" {
						t.Error("the member itself is asked about itself")
					}
				}
			}},
		{"peers that fell since the gate was asked are seen before anything is set", func(w *world, p *plan.Part, in *StepInput) {
			w.instances[1].Status = "critical"
		}, rollout.Inconclusive, "peers fell meanwhile", func(t *testing.T, w *world, r StepResult) {
			if !r.AskAgain || len(w.instances[0].Maintenance) > 0 {
				t.Errorf("ask again %t, maintenance %q", r.AskAgain, w.instances[0].Maintenance)
			}
		}},
		{"one sample that no longer lists it proves nothing when the next one lists it again", func(w *world, p *plan.Part, in *StepInput) {
			w.catalog = func(n int) error {
				w.instances[0].Maintenance = nil
				if n != 2 {
					w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
				}
				return nil
			}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.did("catalog") != 4 {
				t.Errorf("looked %d times, want 4: out, in, out, out", w.did("catalog"))
			}
		}},
		{"an error of the catalog is no proof that it is not listed", func(w *world, p *plan.Part, in *StepInput) {
			w.catalog = func(n int) error {
				if n == 2 {
					return errAway
				}
				return nil
			}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.did("catalog") != 4 {
				t.Errorf("looked %d times, want 4: out, error, out, out", w.did("catalog"))
			}
		}},
		{"a catalog that stays away is inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			w.catalog = func(int) error { return errAway }
		}, rollout.Inconclusive, "the servers are away", nil},
		{"servers that go on listing it are a fail", func(w *world, p *plan.Part, in *StepInput) { w.sticky = true }, rollout.Fail, "still list it as passing after 1m", nil},
		{"a member that consumers take while it warns is listed while it warns", func(w *world, p *plan.Part, in *StepInput) {
			p.Cluster.Services[0].PassingMeans = inventory.NotCritical
			w.sticky, w.instances[0].Status = true, "warning"
		}, rollout.Fail, "still list it", nil},
		{"the answers of the DNS run out before the connections are counted", func(w *world, p *plan.Part, in *StepInput) {
			p.Cluster.Consul.DNSTTL, began = &ttl, time.Now()
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if took := time.Since(began); took < 30*time.Second {
				t.Errorf("took %s", took)
			}
		}},
		{"connections may take until the time-out to go", func(w *world, p *plan.Part, in *StepInput) {
			w.left = func(n int) (int, error) { return 100 - n, nil }
		}, rollout.Pass, "", nil},
		{"as many as the policy lets stay may stay", func(w *world, p *plan.Part, in *StepInput) {
			p.Policy.Drain.Connections = 5
			w.left = func(int) (int, error) { return 5, nil }
		}, rollout.Pass, "5 connections left", nil},
		{"connections that outlive the time-out are a fail of their own kind", func(w *world, p *plan.Part, in *StepInput) {
			w.left = func(int) (int, error) { return 1, nil }
		}, rollout.Fail, "1 connections are left after 1m, at most 0 may", func(t *testing.T, w *world, r StepResult) {
			if !r.Leftover {
				t.Error("not marked as leftover")
			}
		}},
		{"connections that cannot be counted are inconclusive", func(w *world, p *plan.Part, in *StepInput) {
			w.left = func(int) (int, error) { return 0, errors.New("no ss on the host") }
		}, rollout.Inconclusive, "no ss on the host", nil},
		{"a peer that falls while connections are left ends it early, and the gate is asked", func(w *world, p *plan.Part, in *StepInput) {
			w.left = stay
			falls(w, 1, 3, 1000)
		}, rollout.Inconclusive, `peers fell meanwhile: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-2)`, func(t *testing.T, w *world, r StepResult) {
			early(t, w, r)
			if w.did("leave http") > 0 || len(w.records) != 1 {
				t.Errorf("did %q: whether it goes back is not the drain's to say", w.log)
			}
		}},
		{"so does one that falls while the answers of the DNS run out", func(w *world, p *plan.Part, in *StepInput) {
			p.Cluster.Consul.DNSTTL = &ttl
			falls(w, 1, 3, 1000)
		}, rollout.Inconclusive, "peers fell meanwhile", early},
		{"and while the servers still list it", func(w *world, p *plan.Part, in *StepInput) {
			w.sticky = true
			falls(w, 1, 3, 1000)
		}, rollout.Inconclusive, "peers fell meanwhile", early},
		{"and a peer of the other of its clusters", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			w.left = stay
			falls(w, 4, 5, 1000)
		}, rollout.Inconclusive, `peers fell meanwhile: cluster "db"`, early},
		{"one look that misses a peer is not enough", func(w *world, p *plan.Part, in *StepInput) {
			w.left = stay
			falls(w, 1, 3, 1)
		}, rollout.Fail, "1 connections are left", toTheEnd},
		{"nor are looks that come to nothing", func(w *world, p *plan.Part, in *StepInput) {
			w.left = stay
			falls(w, 1, 3, 1)
			once := w.catalog
			w.catalog = func(n int) error {
				if n > 3 {
					return errAway
				}
				return once(n)
			}
		}, rollout.Fail, "1 connections are left", toTheEnd},
		{"an accepted impact is this one member", func(w *world, p *plan.Part, in *StepInput) {
			p.Cluster.MinHealthy, p.Accepted = 3, "said so"
			w.left, began = stay, time.Now()
		}, rollout.Fail, "1 connections are left", toTheEnd},
		{"and never a second one", func(w *world, p *plan.Part, in *StepInput) {
			p.Cluster.MinHealthy, p.Accepted = 3, "said so"
			w.left = stay
			falls(w, 1, 3, 1000)
		}, rollout.Inconclusive, "peers fell meanwhile", early},
		{"the servers are asked about the peers once a second", func(w *world, p *plan.Part, in *StepInput) {
			w.left, began = stay, time.Now()
		}, rollout.Fail, "1 connections are left", func(t *testing.T, w *world, r StepResult) {
			if n := w.did("catalog"); n < 55 || n > 65 {
				t.Errorf("asked %d times in a minute", n)
			}
		}},
		{"maintenance of somebody else is left as it is", func(w *world, p *plan.Part, in *StepInput) {
			w.instances[0].Maintenance = []string{"ticket 7"}
			w.foreign["http"] = &ForeignError{Node: "web-1", Service: "http", Reason: "ticket 7"}
		}, rollout.Fail, `service http on web-1 is in maintenance by somebody else: "ticket 7"`, func(t *testing.T, w *world, r StepResult) {
			if !r.Foreign || !slices.Equal(w.instances[0].Maintenance, []string{"ticket 7"}) {
				t.Errorf("foreign %t, maintenance %q", r.Foreign, w.instances[0].Maintenance)
			}
		}},
		{"a member that another instance drained is not touched", func(w *world, p *plan.Part, in *StepInput) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: "other-1", Server: theServer, Since: in.Intent.Time}
		}, rollout.Fail, "web-1 is drained by other-1 since 2026-11-21 12:00", func(t *testing.T, w *world, r StepResult) {
			if !r.Foreign || w.did("enter http") > 0 {
				t.Errorf("foreign %t, did %q", r.Foreign, w.log)
			}
		}},
		{"nor one that an instance of the same name drained, on another server", func(w *world, p *plan.Part, in *StepInput) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: another, Since: in.Intent.Time}
		}, rollout.Fail, "web-1 is drained by " + instance + " of another rollpatch since", func(t *testing.T, w *world, r StepResult) {
			if !r.Foreign || w.did("enter http") > 0 {
				t.Errorf("foreign %t, did %q", r.Foreign, w.log)
			}
		}},
		{"without a record there is no maintenance", func(w *world, p *plan.Part, in *StepInput) { w.claims = errAway }, rollout.Inconclusive, "away",
			func(t *testing.T, w *world, r StepResult) {
				if w.did("enter http") > 0 {
					t.Errorf("did %q", w.log)
				}
			}},
		{"an agent that cannot be asked is inconclusive", func(w *world, p *plan.Part, in *StepInput) { w.enter = errors.New("agent away") }, rollout.Inconclusive, "agent away", nil},
		{"a host of two clusters goes out of service in both", func(w *world, p *plan.Part, in *StepInput) { sharedHost(w, p) }, rollout.Pass, "",
			func(t *testing.T, w *world, r StepResult) {
				if w.did("enter http") != 1 || w.did("enter sql") != 1 || !slices.Equal(w.ports, []int{80, 5432}) {
					t.Errorf("did %q, ports %v", w.log, w.ports)
				}
			}},
		{"listed in the other of its clusters is not drained", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			w.sticky, w.instances[0].Status = true, "critical"
		}, rollout.Fail, "still list it", nil},
		{"a cluster that only its peers belong to is left alone", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			p.Others[0].Cluster.Members = []string{"web-2", "db-2"}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.did("enter sql") > 0 {
				t.Errorf("did %q", w.log)
			}
		}},
	})
}

func TestUndrain(t *testing.T) {
	drained := func(w *world) {
		w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
		w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: instance, Server: theServer}
	}
	tell(t, "undrain", (*Activities).Undrain, []stepRow{
		{"our maintenance and our record go, the servers list it twice, and the checks pass under traffic", func(w *world, p *plan.Part, in *StepInput) { drained(w) },
			rollout.Pass, "1 checks passed 3 times", func(t *testing.T, w *world, r StepResult) {
				if len(w.instances[0].Maintenance) > 0 || len(w.records) > 0 || w.did("catalog") != 2 {
					t.Errorf("maintenance %q, records %v, did %q", w.instances[0].Maintenance, w.records, w.log)
				}
			}},
		{"maintenance of somebody else stays, and is told", func(w *world, p *plan.Part, in *StepInput) {
			drained(w)
			w.instances[0].Maintenance = append(w.instances[0].Maintenance, "ticket 7")
			w.foreign["http"] = &ForeignError{Node: "web-1", Service: "http", Reason: "ticket 7"}
		}, rollout.Fail, "ticket 7", func(t *testing.T, w *world, r StepResult) {
			if !r.Foreign || !slices.Equal(w.instances[0].Maintenance, []string{"ticket 7"}) || len(w.records) > 0 {
				t.Errorf("foreign %t, maintenance %q, records %v", r.Foreign, w.instances[0].Maintenance, w.records)
			}
		}},
		{"the record of another instance stays", func(w *world, p *plan.Part, in *StepInput) {
			w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: "other-1", Server: theServer}
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if w.records["drain/web-1"].Owner != "other-1" {
				t.Errorf("records %v", w.records)
			}
		}},
		{"an agent that does not answer leaves the record where it is", func(w *world, p *plan.Part, in *StepInput) {
			drained(w)
			w.leave = errors.New("agent away")
		}, rollout.Inconclusive, "agent away", func(t *testing.T, w *world, r StepResult) {
			if len(w.records) != 1 {
				t.Errorf("records %v", w.records)
			}
		}},
		{"it waits for the listing", func(w *world, p *plan.Part, in *StepInput) {
			drained(w)
			w.instances[0].Status = "critical"
			w.catalog = func(n int) error {
				if n == 20 {
					w.instances[0].Status = "passing"
				}
				return nil
			}
		}, rollout.Pass, "", nil},
		{"a member that the servers never list again is a fail", func(w *world, p *plan.Part, in *StepInput) { w.instances[0].Status = "critical" },
			rollout.Fail, "do not list it as passing 1m after the undrain", nil},
		{"servers that stay away are inconclusive", func(w *world, p *plan.Part, in *StepInput) { w.catalog = func(int) error { return errAway } }, rollout.Inconclusive, "away", nil},
		{"failing under traffic is a fail", func(w *world, p *plan.Part, in *StepInput) {
			w.probe = func(host, _ string, _ int) (bool, string, error) { return host != "web-1", "status 500", nil }
		}, rollout.Fail, `check "page" on web-1: status 500`, nil},
		{"a host of two clusters comes back in both, also when one of them has maintenance of somebody else", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			w.foreign["http"] = &ForeignError{Node: "web-1", Service: "http", Reason: "ticket 7"}
		}, rollout.Fail, "ticket 7", func(t *testing.T, w *world, r StepResult) {
			if w.did("leave sql") != 1 {
				t.Errorf("did %q", w.log)
			}
		}},
		{"not listed in the other of its clusters is not back", func(w *world, p *plan.Part, in *StepInput) {
			sharedHost(w, p)
			w.instances[3].Status = "critical"
		}, rollout.Fail, "do not list it", nil},
	})
}
