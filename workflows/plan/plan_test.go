package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// estate is an inventory of these clusters, each given as its name and members.
func estate(clusters ...[]string) inventory.Inventory {
	var inv inventory.Inventory
	known := map[string]bool{}
	for _, c := range clusters {
		for _, name := range c[1:] {
			if !known[name] {
				known[name] = true
				inv.Hosts = append(inv.Hosts, inventory.Host{Name: name, Address: name + ".example"})
			}
		}
		inv.Clusters = append(inv.Clusters, inventory.Cluster{Name: c[0], Members: c[1:], Services: []inventory.Service{{Name: c[0], Port: 80}}})
	}
	inv.Access.User = "patch"
	return inv.Resolve()
}

func of(stages ...[]string) campaign.Campaign {
	c := campaign.Campaign{Name: "monthly", Reason: "patch night", Ticket: "CHG-7"}
	for i, names := range stages {
		c.Stages = append(c.Stages, campaign.Stage{Name: fmt.Sprintf("stage-%d", i+1), Clusters: names})
	}
	return c
}

func (p Plan) cluster(t *testing.T, name string) Cluster {
	t.Helper()
	for _, s := range p.Stages {
		for _, c := range s.Clusters {
			if c.Name == name {
				return c
			}
		}
	}
	t.Fatalf("cluster %q is not in the plan", name)
	return Cluster{}
}

func names(prefix string, n int) []string {
	out := []string{prefix}
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%d", prefix, i+1))
	}
	return out
}

func TestBuild(t *testing.T) {
	inv := estate(names("web", 3), names("cache", 2))
	inv.Clusters[0].DependsOn = []string{"cache"}
	c := of([]string{"cache"}, []string{"web"})
	soak := inventory.Duration(2 * time.Hour)
	c.Clusters = map[string]campaign.Override{"cache": {Soak: &soak}}
	p, parts := Build(c, inv)
	want := Plan{
		Name: "monthly", Reason: "patch night", Ticket: "CHG-7", Parallel: 5, Ramp: []int{1, 5, 25}, Breaker: 3, StopSame: 2,
		Stages: []Stage{
			{Name: "stage-1", StopAny: 2, Clusters: []Cluster{{
				Name: "cache", Part: Digest(parts["cache"]), Members: []string{"cache-1", "cache-2"}, Waves: []int{1, 1}, MinHealthy: 1, MaxOut: 1, Soak: "2h", Approval: true,
				Reboot: "always", Affects: []inventory.Dependent{{Name: "web", Chain: []string{"cache", "web"}}}, Drain: "consul",
			}}},
			{Name: "stage-2", StopAny: 2, Clusters: []Cluster{{
				Name: "web", Part: Digest(parts["web"]), Members: []string{"web-1", "web-2", "web-3"}, Waves: []int{1, 2}, MinHealthy: 2, MaxOut: 1, Soak: "24h", Approval: true, Reboot: "always", Drain: "consul",
			}}},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("Build = %+v\nwant    %+v", p, want)
	}
	part := parts["web"]
	if part.Cluster.Name != "web" || part.Stage != "stage-2" || len(part.Hosts) != 3 || len(part.Via) != 5 || part.Others != nil || !reflect.DeepEqual(part.Policy, c.PolicyOf("web")) {
		t.Errorf("part %+v", part)
	}
	if h, ok := part.Host("web-2"); !ok || h.Address != "web-2.example" || h.Access.User != "patch" {
		t.Errorf("Host(web-2) = %+v, %t", h, ok)
	}
	if h, ok := part.Host("cache-1"); ok {
		t.Errorf("Host(cache-1) = %+v: it is no member", h)
	}
}

func TestBuildWaves(t *testing.T) {
	for size, want := range map[int][]int{2: {1, 1}, 9: {1, 8}, 10: {1, 3, 6}, 100: {1, 25, 74}} {
		p, _ := Build(of([]string{"web"}), estate(names("web", size)))
		if got := p.cluster(t, "web").Waves; !slices.Equal(got, want) {
			t.Errorf("waves of %d members = %v, want %v", size, got, want)
		}
	}
}

// The numbers of a large campaign: percents are of the instance's clusters, and of a stage's members.
func TestBuildLimits(t *testing.T) {
	var clusters [][]string
	var stage []string
	for i := range 100 {
		name := fmt.Sprintf("c%d", i)
		clusters, stage = append(clusters, names(name, 3)), append(stage, name)
	}
	c := of(stage[:1], stage[1:])
	p, _ := Build(c, estate(clusters...))
	if p.Breaker != 5 || p.StopSame != 2 || p.Stages[0].StopAny != 2 || p.Stages[1].StopAny != 14 {
		t.Errorf("breaker %d, same %d, any %d and %d; want 5, 2, 2 and 14", p.Breaker, p.StopSame, p.Stages[0].StopAny, p.Stages[1].StopAny)
	}
	if got := p.Stages[1].Steps; p.Stages[0].Steps != nil || !slices.Equal(got, []int{1, 5, 25, 68}) {
		t.Errorf("steps %v, then %v; want none of one cluster, and 1, 5, 25, 68", p.Stages[0].Steps, got)
	}
	c.Policy.Ramp, c.Policy.Breaker = &[]int{}, &inventory.Limit{Percent: 50}
	if p, _ = Build(c, estate(clusters...)); p.Breaker != 50 || p.Stages[1].Steps != nil || len(p.Ramp) > 0 {
		t.Errorf("breaker %d, steps %v, ramp %v; want half of all, and no ramp", p.Breaker, p.Stages[1].Steps, p.Ramp)
	}
}

func TestShares(t *testing.T) {
	for _, row := range []struct {
		says     string
		clusters [][]string
		stages   [][]string
		want     map[string][]string // cluster to those that it cannot go with
		claims   map[string][]string
	}{
		{"clusters without a common host share nothing", [][]string{{"a", "1", "2"}, {"b", "3", "4"}}, [][]string{{"a", "b"}},
			map[string][]string{"a": nil, "b": nil}, map[string][]string{"a": {"a"}}},
		{"clusters with a common host go one after the other, each claiming both", [][]string{{"a", "1", "2"}, {"b", "2", "3"}}, [][]string{{"a", "b"}},
			map[string][]string{"a": {"b"}, "b": {"a"}}, map[string][]string{"a": {"a", "b"}, "b": {"b", "a"}}},
		{"clusters that each share a host with a third one claim it both", [][]string{{"a", "1", "2"}, {"b", "2", "3"}, {"c", "3", "4"}}, [][]string{{"a", "b", "c"}},
			map[string][]string{"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}, map[string][]string{"a": {"a", "b"}, "b": {"b", "a", "c"}}},
		{"also when the third one is no part of the campaign", [][]string{{"a", "1", "2"}, {"b", "2", "3"}, {"c", "3", "4"}}, [][]string{{"a", "c"}},
			map[string][]string{"a": {"c"}, "c": {"a"}}, map[string][]string{"a": {"a", "b"}, "c": {"c", "b"}}},
		{"a chain of four leaves its ends free of each other", [][]string{{"a", "1", "2"}, {"b", "2", "3"}, {"c", "3", "4"}, {"d", "4", "5"}}, [][]string{{"a", "d"}},
			map[string][]string{"a": nil, "d": nil}, nil},
		{"stages do not matter", [][]string{{"a", "1", "2"}, {"b", "2", "3"}}, [][]string{{"b"}, {"a"}},
			map[string][]string{"a": {"b"}, "b": {"a"}}, nil},
	} {
		p, parts := Build(of(row.stages...), estate(row.clusters...))
		for name, want := range row.want {
			if got := p.cluster(t, name).Shares; !slices.Equal(got, want) {
				t.Errorf("%s: %s shares with %v, want %v", row.says, name, got, want)
			}
		}
		for name, want := range row.claims {
			if got := parts[name].Claims(); !slices.Equal(got, want) {
				t.Errorf("%s: %s claims %v, want %v", row.says, name, got, want)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, row := range []struct {
		says     string
		given    func(*campaign.Campaign, *inventory.Inventory)
		refused  string // part of the reason; "" for none
		accepted string
	}{
		{"a cluster of one cannot lose it", func(*campaign.Campaign, *inventory.Inventory) {}, "losing one of 1 member leaves 0 in service, and min_healthy is 1", ""},
		{"a cluster that needs all of its members cannot lose one", func(_ *campaign.Campaign, inv *inventory.Inventory) {
			*inv = estate(names("solo", 3))
			inv.Clusters[0].MinHealthy = 3
		}, "losing one of 3 members leaves 2 in service, and min_healthy is 3", ""},
		{"a budget of everything still keeps one", func(_ *campaign.Campaign, inv *inventory.Inventory) {
			*inv = estate(names("solo", 1))
			inv.Clusters[0].MaxUnavailable, inv.Clusters[0].MinHealthy = inventory.Budget{Percent: 100}, 0
			*inv = inv.Resolve()
		}, "losing one of 1 member leaves 0 in service, and min_healthy is 1", ""},
		{"a cluster of two can lose one", func(_ *campaign.Campaign, inv *inventory.Inventory) { *inv = estate(names("solo", 2)) }, "", ""},
		{"accepted by name it may go", func(c *campaign.Campaign, _ *inventory.Inventory) {
			c.AcceptImpact = map[string]campaign.Impact{"solo": {Reason: "maintenance is announced", Until: "2027-01-31"}}
		}, "", "maintenance is announced"},
		{"accepting another cluster accepts nothing here", func(c *campaign.Campaign, _ *inventory.Inventory) {
			c.AcceptImpact = map[string]campaign.Impact{"web": {Reason: "announced", Until: "2027-01-31"}}
		}, "min_healthy", ""},
	} {
		c, inv := of([]string{"solo"}), estate(names("solo", 1))
		row.given(&c, &inv)
		p, parts := Build(c, inv)
		if got := p.cluster(t, "solo"); got.Accepted != row.accepted || parts["solo"].Accepted != row.accepted {
			t.Errorf("%s: accepted %q, in the part %q, want %q", row.says, got.Accepted, parts["solo"].Accepted, row.accepted)
		}
		if (len(p.Refusals) == 0) != (row.refused == "") {
			t.Errorf("%s: refusals %v", row.says, p.Refusals)
		}
		for _, r := range p.Refusals {
			if r.Cluster != "solo" || !strings.Contains(r.Reason, row.refused) || !strings.Contains(r.Remedy, `accept_impact: {solo: {reason: "<reason>", until: <day>}}`) {
				t.Errorf("%s: refusal %+v", row.says, r)
			}
		}
	}
}

func TestOthers(t *testing.T) {
	inv := estate([]string{"web", "1", "2"}, []string{"db", "2", "3"}, []string{"far", "8", "9"})
	c := of([]string{"web", "db"})
	c.AcceptImpact = map[string]campaign.Impact{"db": {Reason: "announced", Until: "2027-01-31"}}
	_, parts := Build(c, inv)
	got := parts["web"].Others
	if len(got) != 1 || got[0].Cluster.Name != "db" || got[0].Accepted != "announced" {
		t.Errorf("others of web = %+v, want db with what was accepted for it", got)
	}
}

// sample is a whole campaign and inventory, so that every field of a plan and a part has a value.
func sample() (campaign.Campaign, inventory.Inventory) {
	inv := estate([]string{"web", "web-1", "web-2"}, []string{"db", "web-2", "db-2"})
	ttl := inventory.Duration(5 * time.Second)
	secret := &inventory.Secret{Env: "TOKEN", File: "/etc/token", Command: []string{"pass", "token"}}
	for i := range inv.Hosts {
		h := &inv.Hosts[i]
		h.Labels, h.Playbook = inventory.Labels{"site": "a"}, "apt"
		h.Access.IdentityFile = "/etc/key"
		h.House, h.Power = "consul", &inventory.Power{Command: []string{"cycle"}, Env: map[string]inventory.Secret{"IPMI_PASSWORD": *secret}}
	}
	for i := range inv.Clusters {
		c := &inv.Clusters[i]
		c.Owner, c.Contact, c.Labels, c.DependsOn = "ops", "ops@example", inventory.Labels{"env": "prod"}, []string{"web", "db"}
		c.MaxUnavailable, c.Consul.DNSTTL, c.Consul.Token = inventory.Budget{Number: 1}, &ttl, secret
		script := func(name string) inventory.Script { return inventory.Script{File: name + ".sh", Body: "echo " + name} }
		c.Drain, c.Ports = inventory.DrainCommand, []int{81}
		c.DrainCommands = &inventory.DrainCommands{Drain: script("drain"), Undrain: script("undrain"), State: script("state"), On: []string{"lb-1"}}
		c.Checks = []inventory.Check{{Name: "page", Unit: "nginx.service", TCP: "127.0.0.1:80", HTTP: &inventory.HTTPCheck{URL: "http://x", Status: 200, Body: "ok"}, Command: []string{"true"}}}
		c.Backup = &inventory.Backup{File: "/b", Command: []string{"b"}, MaxAge: inventory.Duration(time.Hour), RestoreProven: "2026-09-30"}
	}
	inv.Accept = []inventory.Accept{{Check: "units", Host: inv.Clusters[0].Members[0], Cluster: inv.Clusters[1].Name, Reason: "known", Until: "2027-01-31"}}
	c := of([]string{"web", "db"})
	c.Unattended, c.Packages = true, campaign.Packages{Include: []string{"a*"}, Exclude: []string{"b*"}, Security: true}
	yes := true
	connections := 3
	c.Policy.SoakApproval, c.Policy.Drain.Connections, c.Policy.Retries = &yes, &connections, &connections
	late := inventory.Duration(time.Hour)
	c.Policy.PowerAfter = &late
	c.AcceptImpact = map[string]campaign.Impact{"web": {Reason: "announced", Until: "2027-01-31"}, "db": {Reason: "announced", Until: "2027-01-31"}}
	w := inventory.Window{
		Name: "night", RRule: "FREQ=DAILY", Cron: "0 22 * * *", Nth: &inventory.Nth{Weekday: "tuesday", N: 2, Offset: &late}, ICal: &inventory.ICal{File: "w.ics", URL: secret, Events: "W*"},
		From: "2026-12-24", To: "2026-12-26", At: "22:00", Start: "2026-01-01", Zone: "UTC", Duration: &late, Cutoff: &late,
	}
	c.Windows.Canary, c.Windows.Peers = []inventory.Window{w}, []inventory.Window{w}
	c.Freezes = []inventory.Freeze{{
		Name: "fair", Reason: "shop", RRule: w.RRule, Cron: w.Cron, Nth: w.Nth, ICal: w.ICal, From: w.From, To: w.To, At: w.At, Start: w.Start, Zone: w.Zone, Duration: w.Duration, Approvers: []string{"ann"},
	}}
	c.FinishBy, c.Zone = "2026-12-24", "UTC"
	c.Stages[0].Requires = &campaign.Requires{Stage: "staging", MinAge: late, Emergency: true}
	c.Notify = []campaign.Notify{{Name: "pager", Command: []string{"page"}, Events: []campaign.Event{campaign.EventHold}, Webhook: &campaign.Webhook{URL: *secret}}}
	return c, inv
}

// Where Consul does not say who is in service, the part holds whoever does; and who is not drained is told to the rules.
func TestDrains(t *testing.T) {
	inv := estate([]string{"web", "web-1", "web-2"}, []string{"batch", "web-2", "batch-2"}, []string{"lb", "lb-1", "lb-2"})
	inv.Clusters[0].Drain, inv.Clusters[0].DrainCommands = inventory.DrainCommand, &inventory.DrainCommands{On: []string{"lb-1", "lb-2"}}
	inv.Clusters[1].Drain = inventory.DrainNone
	c := of([]string{"web", "lb"})
	_, parts := Build(c, inv)
	var asked []string
	for _, h := range parts["web"].Asked {
		asked = append(asked, h.Name)
	}
	if want := []string{"lb-1", "lb-2", "batch-2"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	if h, ok := parts["web"].Reached("batch-2"); !ok || h.Address != "batch-2.example" {
		t.Errorf("Reached(batch-2) = %+v, %t", h, ok)
	}
	if _, ok := parts["web"].Host("batch-2"); ok {
		t.Error("who is only asked is no member")
	}
	if len(parts["lb"].Asked) > 0 || parts["lb"].Scripted() != 0 || parts["web"].Scripted() != 1 {
		t.Errorf("lb asks %v, scripted %d; web scripted %d", parts["lb"].Asked, parts["lb"].Scripted(), parts["web"].Scripted())
	}
	if got := parts["web"].State("monthly-1", false).Undrained; !slices.Equal(got, []string{"batch"}) {
		t.Errorf("undrained %v, want batch", got)
	}
	c.AcceptImpact = map[string]campaign.Impact{"batch": {Reason: "at night", Until: "2027-01-31"}}
	_, parts = Build(c, inv)
	if got := parts["web"].State("monthly-1", false).Undrained; got != nil {
		t.Errorf("undrained %v although it is accepted", got)
	}
}

func TestDigestIsStable(t *testing.T) {
	c, inv := sample()
	first, parts := Build(c, inv)
	for range 20 {
		again, others := Build(c, inv)
		if Digest(again) != Digest(first) || !reflect.DeepEqual(parts, others) {
			t.Fatal("the same files give another plan")
		}
	}
	var p Plan
	var part Part
	if err := json.Unmarshal(Body(first), &p); err != nil || Digest(p) != Digest(first) {
		t.Errorf("a plan that was stored and read has another digest (%v)", err)
	}
	if err := json.Unmarshal(Body(parts["web"]), &part); err != nil || Digest(part) != Digest(parts["web"]) {
		t.Errorf("a part that was stored and read has another digest (%v)", err)
	}
	if got := Digest(first); !strings.HasPrefix(got, "sha256:") || len(got) != 7+64 {
		t.Errorf("Digest = %q", got)
	}
}

// eachField calls change-and-restore on every value below v. It names fields that have no value yet, since a change of those would prove little.
func eachField(t *testing.T, path string, v reflect.Value, changed func(path string)) {
	t.Helper()
	with := func(to reflect.Value) {
		was := reflect.ValueOf(v.Interface())
		v.Set(to)
		changed(path)
		v.Set(was)
	}
	if v.IsZero() {
		t.Errorf("%s has no value: the sample must give it one", path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if b, ok := v.Interface().(inventory.Budget); ok {
			with(reflect.ValueOf(inventory.Budget{Number: b.Number + 1}))
			with(reflect.ValueOf(inventory.Budget{Percent: 50}))
			return
		}
		for i := range v.NumField() {
			eachField(t, path+"."+v.Type().Field(i).Name, v.Field(i), changed)
		}
	case reflect.Pointer:
		with(reflect.Zero(v.Type()))
		eachField(t, path, v.Elem(), changed)
	case reflect.Slice:
		with(v.Slice(0, v.Len()-1))
		for i := range v.Len() {
			eachField(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i), changed)
		}
	case reflect.Map:
		other := reflect.MakeMap(v.Type())
		if v.Type().Elem().Kind() != reflect.String {
			with(other)
			return
		}
		for _, key := range v.MapKeys() {
			other.SetMapIndex(key, reflect.ValueOf("another").Convert(v.Type().Elem()))
		}
		with(other)
	case reflect.String:
		with(reflect.ValueOf(v.String() + "x").Convert(v.Type()))
	case reflect.Bool:
		with(reflect.ValueOf(!v.Bool()))
	case reflect.Int:
		with(reflect.ValueOf(v.Int() + 1).Convert(v.Type()))
	case reflect.Int64: // a duration; what is finer than a millisecond is refused
		with(reflect.ValueOf(v.Int() + int64(time.Millisecond)).Convert(v.Type()))
	default:
		t.Errorf("%s is a %s, which this walk does not know", path, v.Kind())
	}
}

func TestDigestSeesEveryField(t *testing.T) {
	c, inv := sample()
	p, parts := Build(c, inv)
	p.Refusals = []Refusal{{"web", "alone", "add one"}}
	lead, offset := inventory.Duration(time.Hour), inventory.Duration(24*time.Hour)
	p.Schedule = &Schedule{
		RRule: "FREQ=MONTHLY", Cron: "0 22 * * 2", Nth: &inventory.Nth{Weekday: "tuesday", N: 2, Offset: &offset}, At: "22:00", Start: "2026-11-01", Zone: "UTC", Lead: &lead,
	}
	rule := approval.Rule{
		Quorum: 2, Roles: []approval.Role{approval.Peer}, Unsigned: true, AnyRequester: true, Expiry: time.Hour, OnExpiry: approval.ExpiryAborts,
		Approvers: []approval.Approver{{Principal: "ann", Roles: []approval.Role{approval.Peer}, Owns: []string{"ops"}}},
	}
	p.Agreement = Agreement{
		Gates: []Gate{{ID: "stage/first", Stage: 1, Rule: rule, Owners: []string{"ops"}, Unowned: []string{"db"}, After: true}}, Soak: &rule,
		Signers: &Signers{Allowed: "allowed_signers", Revoked: "revoked_keys"},
		Freezes: []Freeze{{Name: "fair", Reason: "shop", People: []string{"mia@example.org"}}},
	}
	on := bookworm
	on.Packages = []Version{{"libssl3", "2", "aa"}}
	for i := range p.Stages {
		for k := range p.Stages[i].Clusters {
			p.Stages[i].Clusters[k].Ahead = &Ahead{Segment: "dmz"}
		}
	}
	part := parts["web"]
	part.Planned, part.Only = &Planned{[]Platform{on}}, []string{"web-1"}
	part.Policy.Fingerprint = map[string]campaign.FingerprintRule{"users": {Action: campaign.FingerprintIgnore, Allow: []string{"x *"}}}
	ref := &inventory.Secret{Env: "CHANGE", File: "change", Command: []string{"vault"}}
	hook := campaign.Change{Command: []string{"open-change"}, URL: ref, Secret: ref}.Resolve()
	p.Change = &hook
	p.Emergency, part.Emergency = []string{"openssl"}, true
	p.Advisories = []advisory.Advisory{{
		ID: "DSA-1", Summary: "openssl", Records: []string{"DSA-1"}, Fixes: []advisory.Fix{{Release: "Debian:12", Source: "openssl", From: "1", Fixed: "3"}}, Packages: []string{"openssl"}, Safe: []string{"web-1"},
	}}
	fields := 0
	for _, v := range []reflect.Value{reflect.ValueOf(&p).Elem(), reflect.ValueOf(&part).Elem()} {
		before := Digest(v.Interface())
		eachField(t, v.Type().Name(), v, func(path string) {
			fields++
			if Digest(v.Interface()) == before {
				t.Errorf("another %s, and the same digest", path)
			}
		})
		if Digest(v.Interface()) != before {
			t.Fatalf("the walk over %s does not restore", v.Type())
		}
	}
	if fields < 150 {
		t.Errorf("only %d changes were tried", fields)
	}
}

// TestPartHoldsReferencesOnly walks the types: a field that could hold a secret itself must be an inventory.Secret, which only says where one is.
func TestPartHoldsReferencesOnly(t *testing.T) {
	seen := map[reflect.Type]bool{}
	references := 0
	var walk func(path string, v reflect.Type)
	walk = func(path string, v reflect.Type) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(path, v.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if v == reflect.TypeFor[inventory.Secret]() {
			references++
			return
		}
		if seen[v] {
			return
		}
		seen[v] = true
		for i := range v.NumField() {
			f := v.Field(i)
			name := strings.ToLower(f.Name)
			for _, word := range []string{"token", "password", "secret", "url", "private", "credential"} {
				plain := f.Type != reflect.TypeFor[inventory.Secret]() && f.Type != reflect.TypeFor[*inventory.Secret]()
				if strings.Contains(name, word) && plain && v != reflect.TypeFor[inventory.HTTPCheck]() {
					t.Errorf("%s.%s is a %s, not a reference", path, f.Name, f.Type)
				}
			}
			walk(path+"."+f.Name, f.Type)
		}
	}
	walk("Plan", reflect.TypeFor[Plan]())
	walk("Part", reflect.TypeFor[Part]())
	if references != 6 { // the webhook's address, the change hook's and its token, Consul's token, what a power program needs and a calendar's address
		t.Errorf("%d references found, want 6", references)
	}
	c, inv := sample()
	t.Setenv("TOKEN", "correct-horse")
	p, parts := Build(c, inv)
	for _, body := range [][]byte{Body(p), Body(parts["web"])} {
		if strings.Contains(string(body), "correct-horse") {
			t.Errorf("the secret is in %s", body)
		}
	}
	if !strings.Contains(string(Body(parts["web"])), `"token":{"env":"TOKEN"`) {
		t.Error("the part has lost the reference to the token")
	}
}

func TestPartOfAClusterOutsideOfACampaign(t *testing.T) {
	inv := estate([]string{"web", "1", "2"}, []string{"db", "2", "3"})
	part, ok := PartOf(inv, "web")
	if !ok || part.Cluster.Name != "web" || len(part.Hosts) != 2 || len(part.Via) == 0 || !slices.Equal(part.Claims(), []string{"web", "db"}) {
		t.Errorf("%t, %+v", ok, part)
	}
	if want := campaign.Default(false); !reflect.DeepEqual(part.Policy, want) {
		t.Errorf("policy %+v, want the defaults %+v", part.Policy, want)
	}
	if _, ok := PartOf(inv, "cache"); ok {
		t.Error("there is a part of a cluster that there is not")
	}
}

func TestReach(t *testing.T) {
	inv := estate(names("web", 2), names("db", 2), names("cache", 2), names("mq", 2), names("ldap", 2))
	ttl := inventory.Duration(time.Second)
	inv.Clusters[1].Consul.DNSTTL = &ttl
	inv.Clusters[2].Consul.Address = "127.0.0.1:9500"
	inv.Clusters[3].Consul.Hosts = []string{"mq-1", "mq-2"}
	inv.Clusters[4].Consul.Token = &inventory.Secret{Env: "TOKEN"}
	var got []string
	for _, p := range Reach(inv) {
		got = append(got, p.Cluster.Name)
	}
	if want := []string{"web", "cache", "mq", "ldap"}; !slices.Equal(got, want) {
		t.Errorf("ways lead through %v, want %v: of each address, token and choice of hosts one", got, want)
	}
}

func TestSegmentOfAPart(t *testing.T) {
	inv := estate(names("web", 2))
	inv.Hosts[0].Segment = "dmz"
	part, _ := PartOf(inv, "web")
	if got := part.Segment(); got != "dmz" {
		t.Errorf("Segment = %q, want that of its first member", got)
	}
	if got := (Part{}).Segment(); got != "" {
		t.Errorf("Segment of no hosts = %q", got)
	}
}

func TestInstance(t *testing.T) {
	start := time.Date(2026, 11, 21, 1, 2, 3, 999, time.FixedZone("CET", 3600))
	if got, want := (Plan{Name: "monthly"}).Instance(start), "monthly-20261121T000203Z"; got != want {
		t.Errorf("Instance = %q, want %q", got, want)
	}
}

func TestCampaign(t *testing.T) {
	inv := estate([]string{"web", "1", "2", "3"}, []string{"db", "3", "4"}, names("solo", 1))
	p, parts := Build(of([]string{"db"}, []string{"web", "solo"}), inv)
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	got := p.Campaign("monthly-1", "alice", start)
	want := rollout.Campaign{
		Instance: "monthly-1", Name: "monthly", Why: "patch night", Ticket: "CHG-7", Requester: "alice", Plan: Digest(p), Parallel: 5, StartedAt: start,
		Ramp: []int{1, 5, 25}, Breaker: 3, StopSame: 2, StopAny: []int{2, 2},
		Stages: []string{"stage-1", "stage-2"},
		Clusters: []rollout.Ref{
			{Name: "db", Stage: 0, Part: Digest(parts["db"]), Shares: []string{"web"}, Total: 2},
			{Name: "web", Stage: 1, Part: Digest(parts["web"]), Shares: []string{"db"}, Total: 3},
			{Name: "solo", Stage: 1, Part: Digest(parts["solo"]), Total: 1}, // refused, and refused again when it runs
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Campaign = %+v\nwant       %+v", got, want)
	}
}

func TestState(t *testing.T) {
	c, inv := of([]string{"web"}), estate(names("web", 2))
	c.AcceptImpact = map[string]campaign.Impact{"web": {Reason: "announced", Until: "2027-01-31"}}
	_, parts := Build(c, inv)
	got := parts["web"].State("monthly-1", true)
	want := rollout.Cluster{
		Instance: "monthly-1", Name: "web", Stage: "stage-1", Members: []rollout.Slot{{Host: "web-1"}, {Host: "web-2"}}, MinHealthy: 1, Accepted: "announced", Phase: rollout.PhaseClaim,
		AcceptedUntil: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC),
		Policy: rollout.ClusterPolicy{
			Soak: 24 * time.Hour, SoakPasses: 3, SoakApproval: true, Settle: 10 * time.Minute, RetryEvery: 30 * time.Second, WaitMax: 30 * time.Minute, Unattended: true,
			OnFailure: rollout.FailStopCluster, Failures: 1, Updaters: true, OnFail: "drain", MaxMixed: 7 * 24 * time.Hour,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("State = %+v\nwant    %+v", got, want)
	}
	policy := parts["web"].MemberPolicy(true)
	if want := (rollout.MemberPolicy{Reboot: "always", Unattended: true, WaitMax: 30 * time.Minute, RetryEvery: 30 * time.Second, Leftover: "hold", HoldMax: 4 * time.Hour, AtCutoff: "return", OnFail: "drain"}); policy != want {
		t.Errorf("MemberPolicy = %+v, want %+v", policy, want)
	}
	part := parts["web"]
	part.When = &When{}
	if !part.State("monthly-1", true).Policy.Windows || !part.MemberPolicy(true).Windows {
		t.Error("it has windows, and its cluster and members do not ask them")
	}
}

func TestRetryEvery(t *testing.T) {
	for waitMax, want := range map[time.Duration]time.Duration{
		0: time.Second, 10 * time.Second: time.Second, 5 * time.Minute: 10 * time.Second, 30 * time.Minute: 30 * time.Second, 24 * time.Hour: 30 * time.Second,
	} {
		if got := retryEvery(waitMax); got != want {
			t.Errorf("retryEvery(%s) = %s, want %s", waitMax, got, want)
		}
	}
}
