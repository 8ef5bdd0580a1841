package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/catalog"
	"github.com/rollpatch/rollpatch/inventory/draft"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// heard are checks that say of nodes that their agents are there.
func heard(nodes ...string) (out []catalog.Check) {
	for _, n := range nodes {
		out = append(out, catalog.Check{Node: n, ID: catalog.Serf, Name: "Serf Health Status", Passing: true})
	}
	return out
}

func nodes(names ...string) (out []catalog.Node) {
	for i, n := range names {
		out = append(out, catalog.Node{Name: n, Address: "192.0.2." + string(rune('1'+i))})
	}
	return out
}

func offered(service string, port int, on ...string) (out []catalog.Instance) {
	for _, n := range on {
		out = append(out, catalog.Instance{Service: service, ID: service, Node: n, Port: port})
	}
	return out
}

func join[T any](lists ...[]T) (out []T) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func TestDraft(t *testing.T) {
	tagged := offered("pg", 5432, "a", "b")
	tagged[0].Tags, tagged[1].Tags = []string{"primary", "env=prod", "sql"}, []string{"env=prod", "sql"}
	owned := offered("web", 80, "a", "b")
	owned[0].Meta, owned[1].Meta = map[string]string{"owner": "shop", "contact": "#shop"}, map[string]string{"owner": "shop", "contact": "#other"}
	other := offered("web", 80, "a", "b")
	other[1].Port = 8080
	mesh := append(offered("web", 80, "a", "b"), catalog.Instance{Service: "web-sidecar-proxy", ID: "p", Node: "a", Port: 21000, Mesh: true})
	for _, row := range []struct {
		what     string
		listed   catalog.Listed
		services []string
		want     []string
		not      []string
	}{
		{
			what:   "a service is a cluster, drained by Consul",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: offered("web", 80, "a", "b"), Checks: heard("a", "b")},
			want: []string{"access: {user: ops}\n", "  - {name: a, address: 192.0.2.1, labels: {datacenter: fra}}\n", "  - name: web\n", "    members: [a, b]\n", "      - {name: web, port: 80}\n",
				"# web: no check of it in Consul on a b: it counts as in service there as long as the agent is heard\n", "# to write: owner, contact, checks\n"},
			not: []string{"drain:"},
		},
		{
			what:   "services of exactly the same hosts are one cluster",
			listed: catalog.Listed{Nodes: nodes("a", "b", "c"), Instances: join(offered("web", 80, "a", "b"), offered("api", 81, "b", "a"), offered("db", 5432, "c")), Checks: heard("a", "b", "c")},
			want:   []string{"  - name: api\n", "      - {name: api, port: 81}\n      - {name: web, port: 80}\n", "  - name: db\n", "# one host: nothing takes over"},
			not:    []string{"  - name: web\n", "in several clusters"},
		},
		{
			what:   "what runs on every host is said to overlap",
			listed: catalog.Listed{Nodes: nodes("a", "b", "c"), Instances: join(offered("web", 80, "a", "b"), offered("exporter", 9100, "a", "b", "c")), Checks: heard("a", "b", "c")},
			want:   []string{"# a b: in several clusters."},
		},
		{
			what: "only the services asked for", services: []string{"w*"},
			listed: catalog.Listed{Nodes: nodes("a", "b", "c"), Instances: join(offered("web", 80, "a", "b"), offered("exporter", 9100, "a", "b", "c")), Checks: heard("a", "b", "c")},
			want:   []string{"# c: in no cluster, so no campaign touches them."},
			not:    []string{"name: exporter", "in several clusters"},
		},
		{
			what:   "without one port there is nothing to wait for",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: other, Checks: heard("a", "b")},
			want:   []string{"    drain: none\n", "in place of drain: none", "# no port, or not the same one everywhere, is registered for web"},
			not:    []string{"services:\n"},
		},
		{
			what: "no agent, no host",
			listed: catalog.Listed{
				Nodes:     append(nodes("a", "b"), catalog.Node{Name: "rds", Address: "db.example.com", Meta: map[string]string{"external-node": "true"}}),
				Instances: join(offered("web", 80, "a", "b"), offered("pg", 5432, "rds")), Checks: heard("a", "b"),
			},
			want: []string{"# rds: left out, because no agent of Consul runs there"},
			not:  []string{"name: rds", "name: pg"},
		},
		{
			what: "a loopback address, and one machine under two names",
			listed: catalog.Listed{
				Nodes:     append(nodes("a", "b"), catalog.Node{Name: "dev", Address: "127.0.0.1"}, catalog.Node{Name: "b-old", Address: "192.0.2.2"}),
				Instances: offered("web", 80, "a", "b", "b-old", "dev"), Checks: heard("a", "b", "dev", "b-old"),
			},
			want: []string{"# dev: left out, because its address in Consul, 127.0.0.1, leads nobody else there", "# b-old: left out, because b is the same machine.", "members: [a, b]"},
			not:  []string{"name: dev"},
		},
		{
			what:   "who is not heard is named",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: offered("web", 80, "a", "b"), Checks: []catalog.Check{heard("a")[0], {Node: "b", ID: catalog.Serf}, {Node: "b", ID: "p", Name: "page", ServiceID: "web"}}},
			want: []string{"  # Consul does not hear its agent: strike it out", "# web: no check of it in Consul on a:", "# web: checked by Consul: page\n",
				"# web: not passing when this was made: b\n"},
		},
		{
			what:   "tags and owners that all have, and those that some have",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: tagged, Checks: heard("a", "b")},
			want:   []string{`    labels: {datacenter: fra, env: prod, sql: "yes"}`, "# pg: tag primary only on a: members are not alike"},
		},
		{
			what:   "an owner that all name",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: owned, Checks: heard("a", "b")},
			want:   []string{"    owner: shop\n", "# to write: contact, checks\n"},
			not:    []string{"contact: \"", "#other\""},
		},
		{
			what: "meta of nodes become labels, segments and datacenters are told",
			listed: catalog.Listed{
				Others:    []string{"ams"},
				Nodes:     []catalog.Node{{Name: "a", Address: "192.0.2.1", Meta: map[string]string{"rack": "r1", "env": "prod", "consul-version": "1.2", "consul-network-segment": "dmz"}}, {Name: "b", Address: "192.0.2.2", Meta: map[string]string{"rack": "r2", "env": "prod"}}},
				Instances: offered("web", 80, "a", "b"), Checks: heard("a", "b"),
			},
			want: []string{"labels: {datacenter: fra, env: prod, network_segment: dmz, rack: r1}", "    labels: {datacenter: fra, env: prod}\n", "# a: in segment dmz of Consul's network", "# Not in here: datacenters ams."},
			not:  []string{"consul-version"},
		},
		{
			what:   "Consul's own servers",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: join(offered("consul", 8300, "a", "b"), offered("web", 80, "a", "b")), Checks: heard("a", "b")},
			want:   []string{"  - name: consul\n", "have to keep a quorum", "    drain: none\n", "house: consul", "      - {name: web, port: 80}\n"},
			not:    []string{"name: consul, port"},
		},
		{
			what:   "the mesh",
			listed: catalog.Listed{Nodes: nodes("a", "b"), Instances: mesh, Checks: heard("a", "b")},
			want:   []string{"# web-sidecar-proxy: no clusters, because proxies and gateways"},
			not:    []string{"name: web-sidecar-proxy"},
		},
		{
			what:   "one host is asked for directly",
			listed: catalog.Listed{Nodes: nodes("a"), Instances: offered("web", 80, "a"), Checks: heard("a")},
			want:   []string{`consul: {via: direct, address: "192.0.2.9:8500"}`},
		},
		{
			what: "names and remarks that would be more than that",
			listed: catalog.Listed{Nodes: []catalog.Node{{Name: "_a: {\n", Address: "192.0.2.1"}, {Name: "b", Address: "192.0.2.2", Meta: map[string]string{"x\ny": "1\n2"}}},
				Instances: offered("-web/x", 80, "_a: {\n", "b"), Checks: heard("_a: {\n", "b")},
			want: []string{"name: a-, address", "# is _a: {  to Consul", "  - name: web-x\n", "# -web/x: a name that cannot stand here", "    drain: none\n"},
		},
	} {
		t.Run(row.what, func(t *testing.T) {
			row.listed.Datacenter = "fra"
			d, err := row.listed.Draft(catalog.Options{User: "ops", Services: row.services, Address: "192.0.2.9:8500"})
			if err != nil {
				t.Fatal(err)
			}
			text := d.YAML()
			if _, err := file.ParseInventory(file.Source{Name: "the result", Raw: []byte(text)}); err != nil {
				t.Errorf("the result is none of ours: %v", err)
			}
			for _, w := range row.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q is missing", w)
				}
			}
			for _, w := range row.not {
				if strings.Contains(text, w) {
					t.Errorf("%q is there", w)
				}
			}
			if t.Failed() {
				t.Logf("the result:\n%s", text)
			}
		})
	}
}

func TestUnfit(t *testing.T) {
	web := catalog.Listed{Datacenter: "fra", Nodes: nodes("a"), Instances: offered("web", 80, "a"), Checks: heard("a")}
	deaf := web
	deaf.Checks = nil
	for want, row := range map[string]struct {
		listed catalog.Listed
		o      catalog.Options
	}{
		"nothing in Consul says who logs in to hosts":                     {web, catalog.Options{}},
		"no node is left that could be a host\na: left out, because no a": {deaf, catalog.Options{User: "ops"}},
		"no service is offered by a host that is left":                    {web, catalog.Options{User: "ops", Services: []string{"db"}}},
		`--services "[" is no pattern`:                                    {web, catalog.Options{User: "ops", Services: []string{"["}}},
	} {
		_, err := row.listed.Draft(row.o)
		if u := new(draft.Unfit); !errors.As(err, &u) || !strings.HasPrefix(u.Why, want) || u.Hint == "" {
			t.Errorf("got %v, want %q and what to type", err, want)
		}
	}
}

// A host of Consul's own servers is of rollpatch's own house.
func TestServersAreHouse(t *testing.T) {
	d, err := catalog.Listed{Datacenter: "fra", Nodes: nodes("a", "b"), Instances: join(offered("consul", 8300, "a"), offered("web", 80, "b")), Checks: heard("a", "b")}.Draft(catalog.Options{User: "ops"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range d.Hosts {
		got[h.Name] = h.House
	}
	if got["a"] != "consul" || got["b"] != "" || d.Clusters[0].Drain != inventory.DrainNone {
		t.Errorf("got %v, drain %q, want a alone in house consul, not drained", got, d.Clusters[0].Drain)
	}
}
