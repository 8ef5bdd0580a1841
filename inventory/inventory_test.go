package inventory_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollpatch/rollpatch/inventory"
)

func TestDuration(t *testing.T) {
	for _, row := range []struct {
		text string
		want time.Duration
		back string
	}{
		{"90s", 90 * time.Second, "90s"},
		{"15m", 15 * time.Minute, "15m"},
		{"24h", 24 * time.Hour, "24h"},
		{"2d", 48 * time.Hour, "2d"},
		{"1d12h", 36 * time.Hour, "36h"},
		{"1h30m", 90 * time.Minute, "90m"},
		{"500ms", 500 * time.Millisecond, "500ms"},
		{"1s500ms", 1500 * time.Millisecond, "1500ms"},
		{"0s", 0, "0s"},
	} {
		var d inventory.Duration
		if err := d.UnmarshalText([]byte(row.text)); err != nil || time.Duration(d) != row.want {
			t.Errorf("%q reads as %v, %v; want %v", row.text, time.Duration(d), err, row.want)
		}
		if d.String() != row.back {
			t.Errorf("%q is written as %q, want %q", row.text, d, row.back)
		}
	}
	for text, want := range map[string]string{
		"":                         "is no length of time",
		"30":                       "has no unit",
		"1h30":                     "has no unit",
		"-5m":                      "is negative",
		"1.5h":                     "is no length of time",
		"5 m":                      "is no length of time",
		"5w":                       "is no length of time",
		"m":                        "is no length of time",
		"99999999999999999999999s": "is too long",
		"106752d":                  "is too long",
		"106751d24h":               "is too long",
	} {
		var d inventory.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q reads as %v, error %v; want one that says %q", text, d, err, want)
		}
	}
}

func TestDurationReadsBackWhatItWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := inventory.Duration(rapid.Int64Range(0, int64(106751*24*time.Hour)/int64(time.Millisecond)).Draw(t, "ms") * int64(time.Millisecond))
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got inventory.Duration
		if err := json.Unmarshal(raw, &got); err != nil || got != want {
			t.Fatalf("%s reads back as %v, %v; want %v", raw, got, err, want)
		}
	})
}

func TestBudget(t *testing.T) {
	for _, row := range []struct {
		name, text string
		size, want int
	}{
		{"a number is itself", "2", 5, 2},
		{"a percent is a share", "50%", 4, 2},
		{"a percent rounds down, for it must not take out more than allowed", "50%", 5, 2},
		{"a percent that rounds to nothing is one, or nothing could ever be patched", "10%", 3, 1},
		{"a hundred percent is all", "100%", 7, 7},
	} {
		var b inventory.Budget
		if err := b.UnmarshalText([]byte(row.text)); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if got := b.Of(row.size); got != row.want {
			t.Errorf("%s: %s of %d = %d, want %d", row.name, row.text, row.size, got, row.want)
		}
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		var back inventory.Budget
		if err := json.Unmarshal(raw, &back); err != nil || back != b {
			t.Errorf("%s reads back as %v, %v; want %v", raw, back, err, b)
		}
	}
	for _, text := range []string{"", "0", "0%", "-1", "101%", "half", "1.5", "%", "1 %", "99999999999"} {
		var b inventory.Budget
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as the budget %v", text, b)
		}
	}
}

func hosts(names ...string) []inventory.Host {
	var out []inventory.Host
	for i, n := range names {
		out = append(out, inventory.Host{Name: n, Address: "192.0.2." + string(rune('1'+i))})
	}
	return out
}

func TestResolve(t *testing.T) {
	ttl, none := inventory.Duration(30*time.Second), inventory.Duration(0)
	token := &inventory.Secret{Env: "TOKEN"}
	inv := inventory.Inventory{
		Access: inventory.Access{User: "patch", Port: 2200},
		Consul: inventory.Consul{DNSTTL: &ttl, Token: token},
		Hosts: []inventory.Host{
			{Name: "a", Address: "a", Access: inventory.Access{User: "root"}},
			{Name: "b", Address: "b", Segment: "dmz", Access: inventory.Access{Port: 22, IdentityFile: "key"}},
			{Name: "c", Address: "c", Segment: "dmz"},
		},
		Clusters: []inventory.Cluster{
			{
				Name: "one", Members: []string{"a"},
				Services: []inventory.Service{{Name: "one", Port: 1}, {Name: "two", Port: 2, PassingMeans: inventory.NotCritical}},
				Checks:   []inventory.Check{{Name: "x", HTTP: &inventory.HTTPCheck{URL: "http://x"}}},
			},
			{Name: "two", Members: []string{"c", "b"}, MaxUnavailable: inventory.Budget{Percent: 50}, Consul: inventory.Consul{DNSTTL: &none}},
			{Name: "three", Members: []string{"a", "b", "c"}, Consul: inventory.Consul{Via: inventory.ViaDirect}},
		},
	}
	before, err := json.Marshal(inv)
	if err != nil {
		t.Fatal(err)
	}
	got := inv.Resolve()
	want := inventory.Inventory{
		Access: inventory.Access{User: "patch", Port: 2200, KnownHosts: "~/.ssh/known_hosts"},
		Consul: inventory.Consul{Via: "ssh", Address: "127.0.0.1:8500", Hosts: []string{"a", "b", "c"}, DNSTTL: &ttl, Token: token},
		Hosts: []inventory.Host{
			{Name: "a", Address: "a", Segment: "default", Access: inventory.Access{User: "root", Port: 2200, KnownHosts: "~/.ssh/known_hosts"}},
			{Name: "b", Address: "b", Segment: "dmz", Access: inventory.Access{User: "patch", Port: 22, IdentityFile: "key", KnownHosts: "~/.ssh/known_hosts"}},
			{Name: "c", Address: "c", Segment: "dmz", Access: inventory.Access{User: "patch", Port: 2200, KnownHosts: "~/.ssh/known_hosts"}},
		},
		Clusters: []inventory.Cluster{
			{
				Name: "one", Members: []string{"a"}, MaxUnavailable: inventory.Budget{Number: 1}, MinHealthy: 1, Drain: inventory.DrainConsul,
				Services: []inventory.Service{{Name: "one", Port: 1, PassingMeans: "passing"}, {Name: "two", Port: 2, PassingMeans: "not-critical"}},
				Checks:   []inventory.Check{{Name: "x", HTTP: &inventory.HTTPCheck{URL: "http://x", Status: 200}}},
				Consul:   inventory.Consul{Via: "ssh", Address: "127.0.0.1:8500", Hosts: []string{"a"}, DNSTTL: &ttl, Token: token},
			},
			{
				Name: "two", Members: []string{"c", "b"}, MaxUnavailable: inventory.Budget{Percent: 50}, MinHealthy: 1, Drain: inventory.DrainConsul,
				Consul: inventory.Consul{Via: "ssh", Address: "127.0.0.1:8500", Hosts: []string{"b", "c"}, DNSTTL: &none, Token: token},
			},
			{
				Name: "three", Members: []string{"a", "b", "c"}, MaxUnavailable: inventory.Budget{Number: 1}, MinHealthy: 2, Drain: inventory.DrainConsul,
				Consul: inventory.Consul{Via: "direct", Address: "127.0.0.1:8500", DNSTTL: &ttl, Token: token},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Resolve() = %+v\nwant %+v", got, want)
	}
	if again := got.Resolve(); !reflect.DeepEqual(again, got) {
		t.Errorf("resolving twice changed\n%+v\nto\n%+v", got, again)
	}
	if after, err := json.Marshal(inv); err != nil || string(after) != string(before) {
		t.Errorf("Resolve changed what it was given to\n%s\nfrom\n%s", after, before)
	}
}

func TestDefaultConsulHostsAreBounded(t *testing.T) {
	inv := inventory.Inventory{}
	var members []string
	for i := range 40 {
		name := "h" + string(rune('A'+i))
		inv.Hosts = append(inv.Hosts, inventory.Host{Name: name, Segment: []string{"x", "y"}[i%2]})
		members = append(members, name)
	}
	inv.Clusters = []inventory.Cluster{{Name: "all", Members: members}, {Name: "y", Members: []string{members[39]}}}
	got := inv.Resolve()
	if want := members[:10]; !slices.Equal(got.Consul.Hosts, want) || !slices.Equal(got.Clusters[0].Consul.Hosts, want) {
		t.Errorf("hosts = %v and %v, want %v", got.Consul.Hosts, got.Clusters[0].Consul.Hosts, want)
	}
	if hosts := got.Clusters[1].Consul.Hosts; len(hosts) != 10 || hosts[0] != members[1] || hosts[9] != members[19] {
		t.Errorf("hosts of segment y = %v, want the first ten of that segment", hosts)
	}
}

// What Resolve fills in must break no rule that held before.
func TestResolvedIsAsValidAsWritten(t *testing.T) {
	inv := inventory.Inventory{
		Access: inventory.Access{User: "patch"},
		Hosts:  hosts("a", "b", "c"),
		Clusters: []inventory.Cluster{
			{Name: "x", Members: []string{"a", "b"}, Services: []inventory.Service{{Name: "x", Port: 1}}},
			{Name: "y", Members: []string{"c"}, Services: []inventory.Service{{Name: "y", Port: 2}}, Consul: inventory.Consul{Via: "direct"}},
		},
	}
	if p := inv.Validate(); len(p) > 0 {
		t.Errorf("written: %v", p)
	}
	if p := inv.Resolve().Validate(); len(p) > 0 {
		t.Errorf("resolved: %v", p)
	}
}

func TestLookups(t *testing.T) {
	inv := inventory.Inventory{
		Hosts:    hosts("a", "b"),
		Clusters: []inventory.Cluster{{Name: "x", Members: []string{"a"}}, {Name: "y", Members: []string{"b"}}, {Name: "z", Members: []string{"b", "a"}}},
	}
	if h, ok := inv.Host("b"); !ok || h.Name != "b" {
		t.Errorf("Host(b) = %+v, %v", h, ok)
	}
	if h, ok := inv.Host("c"); ok {
		t.Errorf("Host(c) = %+v, which is not there", h)
	}
	if c, ok := inv.Cluster("y"); !ok || c.Name != "y" {
		t.Errorf("Cluster(y) = %+v, %v", c, ok)
	}
	if c, ok := inv.Cluster("w"); ok {
		t.Errorf("Cluster(w) = %+v, which is not there", c)
	}
	var names []string
	for _, c := range inv.ClustersOf("a") {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"x", "z"}) {
		t.Errorf("ClustersOf(a) = %v, want [x z]", names)
	}
}

func TestLabels(t *testing.T) {
	have := inventory.Labels{"env": "production", "tier": "front"}
	for _, row := range []struct {
		name string
		want inventory.Labels
		ok   bool
	}{
		{"one of them", inventory.Labels{"env": "production"}, true},
		{"all of them", inventory.Labels{"env": "production", "tier": "front"}, true},
		{"another value", inventory.Labels{"env": "staging"}, false},
		{"another label", inventory.Labels{"env": "production", "rack": "1"}, false},
		{"an absent label is not an empty one", inventory.Labels{"rack": ""}, false},
		{"no label selects nothing, or a lost label would select everything", nil, false},
	} {
		if got := have.Match(row.want); got != row.ok {
			t.Errorf("%s: %v.Match(%v) = %v, want %v", row.name, have, row.want, got, row.ok)
		}
	}
}

func TestWithPaths(t *testing.T) {
	inv := inventory.Inventory{
		Access: inventory.Access{IdentityFile: "~/.ssh/id", KnownHosts: "hosts"},
		Consul: inventory.Consul{Token: &inventory.Secret{File: "../token"}},
		Hosts: []inventory.Host{
			{Name: "a", Access: inventory.Access{IdentityFile: "/etc/keys/../id"}},
			{Name: "b", Power: &inventory.Power{Command: []string{"cycle"}, Env: map[string]inventory.Secret{"IPMI_PASSWORD": {File: "ipmi"}}}},
		},
		Clusters: []inventory.Cluster{
			{Name: "x", Consul: inventory.Consul{Token: &inventory.Secret{Env: "TOKEN"}}},
			{Name: "y", Consul: inventory.Consul{Token: &inventory.Secret{File: "~"}}},
		},
	}
	before, err := json.Marshal(inv)
	if err != nil {
		t.Fatal(err)
	}
	got := inv.WithPaths("/srv/rollpatch", "/home/ann")
	want := inventory.Inventory{
		Access: inventory.Access{IdentityFile: "/home/ann/.ssh/id", KnownHosts: "/srv/rollpatch/hosts"},
		Consul: inventory.Consul{Token: &inventory.Secret{File: "/srv/token"}},
		Hosts: []inventory.Host{
			{Name: "a", Access: inventory.Access{IdentityFile: "/etc/id"}},
			{Name: "b", Power: &inventory.Power{Command: []string{"cycle"}, Env: map[string]inventory.Secret{"IPMI_PASSWORD": {File: "/srv/rollpatch/ipmi"}}}},
		},
		Clusters: []inventory.Cluster{
			{Name: "x", Consul: inventory.Consul{Token: &inventory.Secret{Env: "TOKEN"}}},
			{Name: "y", Consul: inventory.Consul{Token: &inventory.Secret{File: "/home/ann"}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("WithPaths = %+v\nwant %+v", got, want)
	}
	if after, err := json.Marshal(inv); err != nil || string(after) != string(before) {
		t.Errorf("WithPaths changed what it was given to\n%s\nfrom\n%s", after, before)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"web-1", "web-2", "address", "interval", "tcp"}
	for word, want := range map[string]string{
		"adress": "address", "addres": "address", "Address": "address", "intreval": "interval", "inteval": "interval",
		"wbe-2": "web-2", "web-3": "web-1", "db-9": "", "x": "", "": "", "colour": "", "tpc": "tcp",
	} {
		if got := inventory.Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := inventory.Nearest("web-3", known, "web-1"); got != "web-2" {
		t.Errorf("Nearest(web-3) but web-1 = %q, want web-2", got)
	}
	if got := inventory.DidYouMean("web-3", known, "web-1", "web-3", "web-2"); got != "" {
		t.Errorf("DidYouMean(web-3) offers what stands there already: %q", got)
	}
}

func TestProblemString(t *testing.T) {
	var p inventory.Problems
	p.Clash("hosts[1].name", "hosts[0].name", "%q is already used", "a")
	p.Add("hosts", "is missing")
	if got := p[0].String() + "\n" + p[1].String(); got != "hosts[1].name: \"a\" is already used at hosts[0].name\nhosts: is missing" {
		t.Errorf("got %s", got)
	}
}

// What an inventory says is still there once it is resolved, whatever key is new: approvers that are lost on the way let anybody agree.
func TestResolveLosesNothing(t *testing.T) {
	one := inventory.Duration(time.Second)
	inv := inventory.Inventory{
		Access: inventory.Access{User: "patch"}, Consul: inventory.Consul{Via: inventory.ViaDirect, DNSTTL: &one}, Emergency: &inventory.Emergency{Approvers: []string{"mia@example.org"}}, Approvers: []inventory.Approver{{Principal: "mia"}},
		Hosts: []inventory.Host{{Name: "web-1"}}, Clusters: []inventory.Cluster{{Name: "web"}},
		Zone: "UTC", Windows: []inventory.Window{{Name: "night"}}, Freezes: []inventory.Freeze{{Name: "fair"}}, Accept: []inventory.Accept{{Check: "units"}},
	}
	given, got := reflect.ValueOf(inv), reflect.ValueOf(inv.Resolve())
	for i := range given.NumField() {
		name := given.Type().Field(i).Name
		if given.Field(i).IsZero() {
			t.Errorf("this test gives no %s", name)
		} else if got.Field(i).IsZero() {
			t.Errorf("%s is lost", name)
		}
	}
}
