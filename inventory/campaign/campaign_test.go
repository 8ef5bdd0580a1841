package campaign_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func duration(d time.Duration) *inventory.Duration {
	out := inventory.Duration(d)
	return &out
}

func of[T any](v T) *T { return &v }

// The values that the documentation promises.
func TestDefaultPolicy(t *testing.T) {
	raw, err := json.Marshal(campaign.Campaign{}.PolicyOf("web"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"soak":"24h","soak_interval":"5m","soak_passes":3,"soak_approval":true,"settle":"10m","parallel":5,"ramp":[1,5,25],"breaker":"3 or 5%","stop_after":{"same":2,"any":"2 or 5%"},"reboot":"always",` +
		`"drain":{"timeout":"15m","connections":0,"leftover":"hold"},"checks":{"passes":3,"interval":"5s","timeout":"5m"},` +
		`"wait_max":"30m","hold_max":"4h","on_timeout":"safest","on_failure":"stop-cluster","retries":0,"failures":1,"review":"30d","timeouts":{"patch":"1h","reboot":"15m","fetch":"30m"},"estimate":{"work":"25m","backout":"15m"},"max_mixed":"7d","at_cutoff":"return","soak_on_fail":"drain","fetch":"approved","preflight":"on"}`
	if string(raw) != want {
		t.Errorf("default policy\n%s\nwant\n%s", raw, want)
	}
	if (campaign.Campaign{Unattended: true}).Base().SoakApproval {
		t.Error("an unattended campaign waits for a person to approve")
	}
}

func TestPolicyOf(t *testing.T) {
	c := campaign.Campaign{
		Unattended: true,
		Policy: campaign.Override{
			Soak: duration(time.Hour), SoakApproval: of(true), Drain: campaign.DrainOverride{Connections: of(5), Leftover: of(campaign.LeftoverProceed)},
		},
		Clusters: map[string]campaign.Override{
			"web":   {SoakApproval: of(false), Drain: campaign.DrainOverride{Connections: of(0)}},
			"cache": {Checks: campaign.ChecksOverride{Passes: of(1)}, Reboot: of(campaign.RebootNever)},
		},
	}
	base := campaign.Default(true)
	base.Soak, base.SoakApproval, base.Drain.Connections, base.Drain.Leftover = inventory.Duration(time.Hour), true, 5, campaign.LeftoverProceed
	web, cache := base, base
	web.SoakApproval, web.Drain.Connections = false, 0
	cache.Checks.Passes, cache.Reboot = 1, campaign.RebootNever
	for _, row := range []struct {
		name, cluster string
		want          campaign.Policy
	}{
		{"a cluster of its own has the campaign's policy over the defaults", "db", base},
		{"an override to zero or false is an override", "web", web},
		{"each key is overridden by itself", "cache", cache},
	} {
		if got := c.PolicyOf(row.cluster); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: PolicyOf(%q) = %+v, want %+v", row.name, row.cluster, got, row.want)
		}
	}
}

// Every key of a policy can be overridden, and an override of it reaches the policy.
func TestEveryKeyIsOverridden(t *testing.T) {
	var keys func(policy, override reflect.Type, at string)
	var paths [][]int
	var walk func(override reflect.Type, index []int)
	keys = func(policy, override reflect.Type, at string) {
		if policy.NumField() != override.NumField() {
			t.Errorf("%s: %d keys in the policy, %d in the override", at, policy.NumField(), override.NumField())
			return
		}
		for i := range policy.NumField() {
			p, o := policy.Field(i), override.Field(i)
			name, _, _ := strings.Cut(o.Tag.Get("json"), ",")
			yaml, _, _ := strings.Cut(o.Tag.Get("yaml"), ",")
			if whole, _, _ := strings.Cut(p.Tag.Get("json"), ","); whole != name || yaml != name {
				t.Errorf("%s: key %q of the policy, %q and %q of the override", at, whole, name, yaml)
			}
			if o.Type.Kind() == reflect.Struct {
				keys(p.Type, o.Type, at+"."+name)
			}
		}
	}
	keys(reflect.TypeFor[campaign.Policy](), reflect.TypeFor[campaign.Override](), "policy")

	walk = func(override reflect.Type, index []int) {
		for i := range override.NumField() {
			at := append(slices.Clone(index), i)
			if override.Field(i).Type.Kind() == reflect.Struct {
				walk(override.Field(i).Type, at)
			} else {
				paths = append(paths, at)
			}
		}
	}
	walk(reflect.TypeFor[campaign.Override](), nil)
	for _, path := range paths {
		var o campaign.Override
		field := reflect.ValueOf(&o).Elem().FieldByIndex(path)
		if field.Kind() == reflect.Map {
			continue // TestFingerprintIsOverriddenItemByItem
		}
		field.Set(reflect.New(field.Type().Elem()))
		under := campaign.Default(false)
		under.Drain.Connections, under.Retries, under.PowerAfter = 7, 7, 7 // the defaults that are zero, which is what they are overridden by here
		want := under
		reflect.ValueOf(&want).Elem().FieldByIndex(path).SetZero()
		if got := under.Apply(o); !reflect.DeepEqual(got, want) || reflect.DeepEqual(got, under) {
			t.Errorf("overriding %v gives %+v, want %+v", path, got, want)
		}
	}
}

func TestPackagesMatch(t *testing.T) {
	for _, row := range []struct {
		name     string
		packages campaign.Packages
		pkg      string
		want     bool
	}{
		{"everything by default", campaign.Packages{}, "openssl", true},
		{"only what is included", campaign.Packages{Include: []string{"lab-*"}}, "openssl", false},
		{"a glob includes", campaign.Packages{Include: []string{"nginx", "lab-*"}}, "lab-web", true},
		{"exclude wins over include", campaign.Packages{Include: []string{"lab-*"}, Exclude: []string{"lab-w?b"}}, "lab-web", false},
		{"exclude alone leaves the rest", campaign.Packages{Exclude: []string{"linux-*"}}, "openssl", true},
	} {
		if got := row.packages.Match(row.pkg); got != row.want {
			t.Errorf("%s: %+v.Match(%q) = %v, want %v", row.name, row.packages, row.pkg, got, row.want)
		}
	}
}

func TestStageIn(t *testing.T) {
	inv := inventory.Inventory{Clusters: []inventory.Cluster{
		{Name: "a", Labels: inventory.Labels{"env": "production"}},
		{Name: "b", Labels: inventory.Labels{"env": "staging"}},
		{Name: "c", Labels: inventory.Labels{"env": "production"}},
	}}
	production := &campaign.Selector{Labels: inventory.Labels{"env": "production"}}
	for _, row := range []struct {
		name  string
		stage campaign.Stage
		want  []string
	}{
		{"names keep their order", campaign.Stage{Clusters: []string{"c", "a"}}, []string{"c", "a"}},
		{"a selector takes the inventory's order", campaign.Stage{Selector: production}, []string{"a", "c"}},
		{"named first, and each once", campaign.Stage{Clusters: []string{"b", "c"}, Selector: production}, []string{"b", "c", "a"}},
		{"an empty selector matches nothing", campaign.Stage{Selector: &campaign.Selector{}}, nil},
		{"an unknown name is left out", campaign.Stage{Clusters: []string{"x", "b"}}, []string{"b"}},
	} {
		if got := row.stage.In(inv); !slices.Equal(got, row.want) {
			t.Errorf("%s: In = %v, want %v", row.name, got, row.want)
		}
	}
}

func TestNotifyWants(t *testing.T) {
	for _, e := range (campaign.Event("")).Values() {
		if !(campaign.Notify{}).Wants(campaign.Event(e)) {
			t.Errorf("without a list, %s is not told", e)
		}
	}
	some := campaign.Notify{Events: []campaign.Event{campaign.EventHold}}
	if !some.Wants(campaign.EventHold) || some.Wants(campaign.EventDone) {
		t.Errorf("%v wants hold: %v, done: %v", some.Events, some.Wants(campaign.EventHold), some.Wants(campaign.EventDone))
	}
}

func TestWithPaths(t *testing.T) {
	c := campaign.Campaign{Notify: []campaign.Notify{
		{Name: "chat", Webhook: &campaign.Webhook{URL: inventory.Secret{File: "chat.url"}}},
		{Name: "pager", Command: []string{"page"}},
	}}
	got := c.WithPaths("/srv/rollpatch", "/home/ann")
	if file := got.Notify[0].Webhook.URL.File; file != "/srv/rollpatch/chat.url" {
		t.Errorf("file = %q", file)
	}
	if file := c.Notify[0].Webhook.URL.File; file != "chat.url" {
		t.Errorf("WithPaths changed what it was given to %q", file)
	}
}

// Problems come in the same order every time, although clusters are a map.
func TestValidateIsSteady(t *testing.T) {
	c := campaign.Campaign{Clusters: map[string]campaign.Override{}, AcceptImpact: map[string]campaign.Impact{}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		c.Clusters[name] = campaign.Override{Soak: duration(0)}
		c.AcceptImpact[name] = campaign.Impact{}
	}
	first := c.Validate()
	for range 20 {
		again := campaign.Campaign{Clusters: maps.Clone(c.Clusters), AcceptImpact: maps.Clone(c.AcceptImpact)}.Validate()
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("Validate() = %v, then %v", first, again)
		}
	}
}
