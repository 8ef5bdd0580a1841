package consul

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/catalog"
)

func everyService(string) bool { return true }

func direct(addr string) activities.ConsulAccess {
	return activities.ConsulAccess{Consul: inventory.Consul{Via: inventory.ViaDirect, Address: addr}}
}

// estate answers the questions of Listed, and fails for whatever is not a consistent read.
func estate(t *testing.T, policy string, nodes, services int) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		_, consistent := r.URL.Query()["consistent"]
		if r.Method != http.MethodGet || !consistent && r.URL.Path != "/v1/catalog/datacenters" {
			t.Errorf("%s %s is no consistent read", r.Method, r.URL)
		}
		w.Header().Set("X-Consul-LastContact", "0") // without it the library reads no header behind it
		w.Header().Set("X-Consul-Default-ACL-Policy", policy)
		switch {
		case r.URL.Path == "/v1/catalog/nodes":
			var all []api.Node
			for i := range nodes {
				all = append(all, api.Node{Node: fmt.Sprint("n", i), Address: "192.0.2.1", Datacenter: "fra"})
			}
			answer(w, all)
		case r.URL.Path == "/v1/catalog/datacenters":
			answer(w, []string{"fra", "ams"})
		case r.URL.Path == "/v1/health/state/any":
			answer(w, []api.HealthCheck{{Node: "n0", CheckID: "serfHealth", Status: "passing"}})
		case r.URL.Path == "/v1/catalog/services":
			all := map[string][]string{"consul": {}}
			for i := range services {
				all[fmt.Sprint("s", i)] = nil
			}
			answer(w, all)
		case strings.HasPrefix(r.URL.Path, "/v1/health/service/"):
			name := strings.TrimPrefix(r.URL.Path, "/v1/health/service/")
			answer(w, []api.ServiceEntry{{Node: &api.Node{Node: "n0"}, Service: &api.AgentService{Service: name, ID: name, Port: 80}}})
		default:
			t.Errorf("asked for %s", r.URL)
		}
		return true
	}
}

func TestListedReadsWhatIsChosen(t *testing.T) {
	f, addr := agent(t)
	f.hook = estate(t, "allow", 1, 3)
	got, err := New(nil, nil).Listed(t.Context(), direct(addr), "", func(s string) bool { return s == "s1" })
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range got.Instances {
		names = append(names, i.Service)
	}
	if got.Datacenter != "fra" || fmt.Sprint(got.Others) != "[ams]" || fmt.Sprint(names) != "[consul s1]" || len(got.Nodes) != 1 || len(got.Checks) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestListedRefusesWhatMayBeAPart(t *testing.T) {
	for want, hook := range map[string]func(t *testing.T) func(http.ResponseWriter, *http.Request) bool{
		"no token is given, and the ACLs deny by default": func(t *testing.T) func(http.ResponseWriter, *http.Request) bool { return estate(t, "deny", 1, 1) },
		"the token may not see all of it": func(t *testing.T) func(http.ResponseWriter, *http.Request) bool {
			all := estate(t, "allow", 1, 1)
			return func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("X-Consul-Results-Filtered-By-ACLs", "true")
				return all(w, r)
			}
		},
		"1001 services are listed, and at most 1000": func(t *testing.T) func(http.ResponseWriter, *http.Request) bool { return estate(t, "allow", 1, 1000) },
		"10001 nodes are listed, and at most 10000":  func(t *testing.T) func(http.ResponseWriter, *http.Request) bool { return estate(t, "allow", 10001, 1) },
		"consul lists no node at all":                func(t *testing.T) func(http.ResponseWriter, *http.Request) bool { return estate(t, "allow", 0, 1) },
		"checks: it answered 500: No cluster leader": func(t *testing.T) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/v1/health/state") {
					leaderless(w, r)
					return true
				}
				return estate(t, "allow", 1, 1)(w, r)
			}
		},
	} {
		f, addr := agent(t)
		f.hook = hook(t)
		got, err := New(nil, nil).Listed(t.Context(), direct(addr), "", everyService)
		if err == nil || !strings.Contains(err.Error(), want) || len(got.Nodes) != 0 {
			t.Errorf("got %d nodes and %v, want none and %q", len(got.Nodes), err, want)
		}
	}
}

// A real Consul lists what was registered, from agents and into the catalog, and the draft of it is an inventory.
func TestRealListed(t *testing.T) {
	l := realLab(t)
	for i := range 2 {
		node := fmt.Sprint("app-", i)
		eventually(t, "register "+node, func() error {
			_, err := l.server.client("").Catalog().Register(&api.CatalogRegistration{
				Node: node, Address: fmt.Sprint("192.0.2.", 10+i), NodeMeta: map[string]string{"rack": node},
				Service: &api.AgentService{ID: "app", Service: "app", Port: 8080, Tags: []string{"v1"}, Meta: map[string]string{"owner": "shop"}},
				Checks: api.HealthChecks{
					{Node: node, CheckID: catalog.Serf, Name: "Agent alive", Status: api.HealthPassing},
					{Node: node, CheckID: "app-page", Name: "page", ServiceID: "app", Status: api.HealthPassing},
				},
			}, nil)
			return err
		})
	}
	c := New(nil, func(_ context.Context, s inventory.Secret) (string, error) { return s.Env, nil })
	var got catalog.Listed
	eventually(t, "the datacenter is listed", func() (err error) {
		got, err = c.Listed(t.Context(), direct(l.member.addr), "", everyService)
		return err
	})
	d, err := got.Draft(catalog.Options{User: "ops", Address: l.member.addr})
	if err != nil {
		t.Fatal(err)
	}
	text := d.YAML()
	for _, want := range []string{
		"members: [app-0, app-1]", "      - {name: app, port: 8080}\n", "owner: shop", `labels: {datacenter: dc1, v1: "yes"}`, "  - {name: app-0, address: 192.0.2.10, labels: {datacenter: dc1, rack: app-0}}\n",
		"# app: checked by Consul: page\n", "# consul-1 web-1: left out, because its address in Consul, 127.0.0.1,",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if got, err := c.Listed(t.Context(), direct(l.member.addr), "nowhere", everyService); err == nil || len(got.Nodes) > 0 {
		t.Errorf("an unknown datacenter lists %d nodes, %v", len(got.Nodes), err)
	}
}
