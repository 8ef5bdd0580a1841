package consul

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
)

func TestInstance(t *testing.T) {
	check := func(id, status, notes string) *api.HealthCheck {
		return &api.HealthCheck{CheckID: id, Status: status, Notes: notes}
	}
	node := &api.Node{Node: "web-1", Address: "10.0.0.1"}
	for _, row := range []struct {
		says   string
		checks api.HealthChecks
		want   activities.Instance
	}{
		{"an instance without checks passes", nil, activities.Instance{Status: "passing"}},
		{"a warning is worse than a pass", api.HealthChecks{check("a", "passing", ""), check("b", "warning", "")}, activities.Instance{Status: "warning"}},
		{"critical is the worst", api.HealthChecks{check("a", "critical", ""), check("b", "warning", "")}, activities.Instance{Status: "critical"}},
		{"a state that nobody knows is not counted on", api.HealthChecks{check("a", "splendid", "")}, activities.Instance{Status: "critical"}},
		{"maintenance comes with its reason", api.HealthChecks{check("_service_maintenance:web-id", "critical", "ours")}, activities.Instance{Status: "critical", Maintenance: []string{"ours"}}},
		{"maintenance of another service is not this one's", api.HealthChecks{check("_service_maintenance:web-id2", "critical", "theirs")}, activities.Instance{Status: "critical"}},
		{"node maintenance comes with its reason", api.HealthChecks{check("_node_maintenance", "critical", "jane")}, activities.Instance{Status: "critical", NodeMaint: "jane"}},
		{"maintenance without a reason is still seen", api.HealthChecks{check("_node_maintenance", "critical", ""), check("_service_maintenance:web-id", "critical", "")},
			activities.Instance{Status: "critical", NodeMaint: "no reason given", Maintenance: []string{"no reason given"}}},
	} {
		row.want.Node, row.want.Address, row.want.Service, row.want.ServiceID = "web-1", "10.0.0.1", "web", "web-id"
		got := instance(&api.ServiceEntry{Node: node, Service: &api.AgentService{ID: "web-id", Service: "web"}, Checks: row.checks})
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: instance = %+v, want %+v", row.says, got, row.want)
		}
	}
	own := instance(&api.ServiceEntry{Node: node, Service: &api.AgentService{ID: "web-id", Service: "web", Address: "10.9.9.9"}})
	if own.Address != "10.9.9.9" {
		t.Errorf("a service with an address of its own is at %s, want that", own.Address)
	}
}

const ours = "rollpatch monthly-1 web-1"

func enter(t *testing.T, f *fake, addr string) error {
	t.Helper()
	return quick(&hosts{addrs: map[string]string{"web-1": addr, "web-2": addr}}).Enter(t.Context(), viaSSH("web-2"), targets("web-1")[0], []string{"web", "api"}, ours)
}

// Whatever goes wrong in the middle, a member is never left half out of service.
func TestEnterIsAllOrNothing(t *testing.T) {
	for _, row := range []struct {
		says    string
		prepare func(f *fake)
		want    string            // in the error
		foreign bool              // the error is a ForeignError
		left    map[string]string // maintenance afterwards
	}{
		{"all goes well", func(*fake) {}, "", false, map[string]string{"web": ours, "api": ours}},
		{"an earlier attempt did a part", func(f *fake) { f.notes["web"] = ours }, "", false, map[string]string{"web": ours, "api": ours}},
		{"an earlier attempt did all", func(f *fake) { f.notes["web"], f.notes["api"] = ours, ours }, "", false, map[string]string{"web": ours, "api": ours}},
		{"a second instance on the host is drained too", func(f *fake) { f.services["web-b"] = "web" }, "", false, map[string]string{"web": ours, "web-b": ours, "api": ours}},
		{"the second service is refused", func(f *fake) { f.hook = within("maintenance/web?enable=true", 0, leaderless) }, `service "web": it answered 500`, false, map[string]string{}},
		{"the second service's answer is lost", func(f *fake) {
			f.hook = within("maintenance/web?enable=true", 0, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r); cut(w, r) })
		}, "EOF", false, map[string]string{}},
		{"what an earlier attempt did stays when this one fails", func(f *fake) {
			f.notes["api"] = ours
			f.hook = within("maintenance/web?enable=true", 0, leaderless)
		}, `service "web": it answered 500`, false, map[string]string{"api": ours}},
		{"an agent that does not do it is not believed", func(f *fake) {
			f.hook = within("maintenance/web?enable=true", 0, func(http.ResponseWriter, *http.Request) {})
		}, `service "web": maintenance was set, and is not there`, false, map[string]string{}},
		{"an agent that cannot be asked afterwards is not believed", func(f *fake) {
			// The second and the third: HTTP asks once more by itself.
			seen := false
			f.hook = within("agent/checks", 3, func(w http.ResponseWriter, r *http.Request) {
				if seen {
					cut(w, r)
				}
				seen = true
				f.serve(w, r)
			})
		}, "checks: EOF", false, map[string]string{}},
		{"somebody has a service already", func(f *fake) { f.notes["web"] = "jane" }, "jane", true, map[string]string{"web": "jane"}},
		{"somebody came after an earlier attempt's part", func(f *fake) { f.notes["api"], f.notes["web"] = ours, "jane" }, "jane", true, map[string]string{"web": "jane"}},
		{"somebody has the node", func(f *fake) { f.nodeNote = "jane" }, "jane", true, map[string]string{}},
		{"another instance has the service", func(f *fake) { f.notes["web"] = "rollpatch monthly-0 web-1" }, "monthly-0", true, map[string]string{"web": "rollpatch monthly-0 web-1"}},
		{"somebody is quicker", func(f *fake) {
			f.hook = within("maintenance/web?enable=true", 1, func(w http.ResponseWriter, r *http.Request) {
				f.mu.Lock()
				f.notes["web"] = "jane"
				f.mu.Unlock()
				f.serve(w, r)
			})
		}, "jane", true, map[string]string{"web": "jane"}},
		{"the servers know of somebody, a fresh agent does not", func(f *fake) { f.seen = map[string]string{"web": "jane"} }, "jane", true, map[string]string{}},
		{"the servers cannot be asked", func(f *fake) { f.hook = within("health/service", 0, leaderless) }, "No cluster leader", false, map[string]string{}},
		{"a service is not registered", func(f *fake) { delete(f.services, "web") }, "knows no service web", false, map[string]string{}},
		{"a sidecar is not the service", func(f *fake) { f.services["web-sidecar"] = "web-sidecar-proxy" }, "", false, map[string]string{"web": ours, "api": ours}},
	} {
		t.Run(row.says, func(t *testing.T) {
			f, addr := agent(t)
			row.prepare(f)
			err := enter(t, f, addr)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("Enter = %v, want an error with %q", err, row.want)
			}
			var foreign *activities.ForeignError
			if errors.As(err, &foreign) != row.foreign {
				t.Errorf("Enter = %#v, want it foreign: %v", err, row.foreign)
			}
			if got := f.maintained(); !reflect.DeepEqual(got, row.left) {
				t.Errorf("maintenance afterwards is %v, want %v", got, row.left)
			}
		})
	}
}

func TestEnterSaysWhenItCouldNotTakeBack(t *testing.T) {
	f, addr := agent(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.RequestURI(), "enable=false") {
			leaderless(w, r)
			return true
		}
		if strings.Contains(r.URL.RequestURI(), "maintenance/web?enable=true") {
			f.mu.Lock()
			f.notes["web"] = "jane"
			f.mu.Unlock()
		}
		return false
	}
	err := enter(t, f, addr)
	var foreign *activities.ForeignError
	if err == nil || errors.As(err, &foreign) || !strings.Contains(err.Error(), "jane") || !strings.Contains(err.Error(), "may be left on some services") {
		t.Errorf("Enter = %v, want an error that tells both and is asked again", err)
	}
}

func TestEnterTakesBackForWhoGaveUp(t *testing.T) {
	f, addr := agent(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.hook = within("maintenance/web?enable=true", 0, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r); cancel(); slow(w, r) })
	c := New(&hosts{addrs: map[string]string{"web-1": addr}}, nil)
	err := c.Enter(ctx, viaSSH("web-1"), targets("web-1")[0], []string{"web", "api"}, ours)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Enter = %v, want context.Canceled", err)
	}
	if got := f.maintained(); len(got) != 0 {
		t.Errorf("maintenance afterwards is %v, want none", got)
	}
}

func TestLeaveRemovesOursAlone(t *testing.T) {
	for _, row := range []struct {
		says    string
		prepare func(f *fake)
		want    string
		foreign bool
		left    map[string]string
	}{
		{"ours goes", func(f *fake) { f.notes["web"], f.notes["api"] = ours, ours }, "", false, map[string]string{}},
		{"what is gone stays gone", func(*fake) {}, "", false, map[string]string{}},
		{"theirs stays, and is told after ours is gone", func(f *fake) { f.notes["api"], f.notes["web"] = ours, "jane" }, "jane", true, map[string]string{"web": "jane"}},
		{"a reason that only begins like ours is theirs", func(f *fake) { f.notes["web"] = ours + "0" }, ours + "0", true, map[string]string{"web": ours + "0"}},
		{"node maintenance stays, and is told after ours is gone", func(f *fake) { f.notes["web"], f.nodeNote = ours, "jane" }, "jane", true, map[string]string{}},
		{"other services are nobody's business", func(f *fake) { f.services["db"], f.notes["db"], f.notes["web"] = "db", ours, ours }, "", false, map[string]string{"db": ours}},
		{"one that fails does not keep the other", func(f *fake) {
			f.notes["web"], f.notes["api"] = ours, ours
			f.hook = within("maintenance/api?enable=false", 0, leaderless)
		}, `service "api": it answered 500`, false, map[string]string{"api": ours}},
		{"an agent that does not do it is not believed", func(f *fake) {
			f.notes["web"] = ours
			f.hook = within("maintenance/web?enable=false", 0, func(http.ResponseWriter, *http.Request) {})
		}, "maintenance was removed, and is still there", false, map[string]string{"web": ours}},
		{"a fresh agent that does not know yet is not believed", func(f *fake) { f.seen = map[string]string{"web": ours} }, "the servers list our maintenance", false, map[string]string{}},
		{"a service that is gone has no maintenance", func(f *fake) { delete(f.services, "web"); f.notes["api"] = ours }, "", false, map[string]string{}},
		{"without servers ours still goes", func(f *fake) {
			f.notes["web"] = ours
			f.hook = within("health/service", 0, leaderless)
		}, "", false, map[string]string{}},
		{"nothing here and no servers to ask is unknown", func(f *fake) { f.hook = within("health/service", 0, leaderless) }, "No cluster leader", false, map[string]string{}},
	} {
		t.Run(row.says, func(t *testing.T) {
			f, addr := agent(t)
			row.prepare(f)
			c := quick(&hosts{addrs: map[string]string{"web-1": addr, "web-2": addr}})
			err := c.Leave(t.Context(), viaSSH("web-2"), targets("web-1")[0], []string{"web", "api"}, ours)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("Leave = %v, want an error with %q", err, row.want)
			}
			var foreign *activities.ForeignError
			if errors.As(err, &foreign) != row.foreign {
				t.Errorf("Leave = %#v, want it foreign: %v", err, row.foreign)
			}
			if got := f.maintained(); !reflect.DeepEqual(got, row.left) {
				t.Errorf("maintenance afterwards is %v, want %v", got, row.left)
			}
		})
	}
}

func TestAnAgentWithoutChecksIsAskedForItsName(t *testing.T) {
	f, addr := agent(t)
	f.seen = map[string]string{"web": "jane"}
	f.hook = within("/v1/agent/", 0, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/agent/checks":
			answer(w, map[string]any{})
		case "/v1/agent/self":
			answer(w, map[string]any{"Config": map[string]any{"NodeName": "web-1", "Server": false}})
		default:
			f.serve(w, r)
		}
	})
	var foreign *activities.ForeignError
	if err := enter(t, f, addr); !errors.As(err, &foreign) || foreign.Node != "web-1" || foreign.Reason != "jane" {
		t.Errorf("Enter = %v, want what the servers list for web-1", err)
	}
}

func TestMarkedListsOurMaintenanceAndNobodyElses(t *testing.T) {
	f, addr := agent(t)
	f.notes = map[string]string{"web": ours, "api": "jane looks at the disk"}
	f.nodeNote = "rollpatch monthly-1 web-1" // that of a node is never ours
	c := quick(&hosts{addrs: map[string]string{"web-2": addr}})
	got, err := c.Marked(t.Context(), viaSSH("web-2"), "rollpatch ")
	want := []activities.Instance{{Node: "web-1", Service: "web", ServiceID: "web", Status: "critical", Maintenance: []string{ours}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Marked = %+v, %v; want %+v", got, err, want)
	}
	for _, r := range f.requests() {
		if !r.URL.Query().Has("consistent") {
			t.Errorf("%s may be answered from what is stale", r.URL)
		}
	}
	f.hook = within("health/state", 0, leaderless)
	if got, err := c.Marked(t.Context(), viaSSH("web-2"), "rollpatch "); err == nil || len(got) > 0 {
		t.Errorf("without a leader: %+v, %v; want an error, and never an empty list", got, err)
	}
	f.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
		w.Header().Set("X-Consul-LastContact", "0")
		answer(w, api.HealthChecks{})
		return true
	}
	if got, err := c.Marked(t.Context(), viaSSH("web-2"), "rollpatch "); err == nil || len(got) > 0 {
		t.Errorf("with a token that may not see all: %+v, %v; want an error", got, err)
	}
}
