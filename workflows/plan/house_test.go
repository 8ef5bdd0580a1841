package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// housed marks hosts as parts of the house.
func housed(inv inventory.Inventory, parts map[string]string) inventory.Inventory {
	for i, h := range inv.Hosts {
		inv.Hosts[i].House = parts[h.Name]
	}
	return inv
}

func TestHouse(t *testing.T) {
	inv := housed(estate([]string{"consul", "consul-1", "consul-2"}, []string{"temporal", "db-1", "db-2"}, []string{"web", "web-1", "web-2"}, []string{"consul-b", "consul-3", "consul-4"}, []string{"cache", "cache-1", "cache-2"}),
		map[string]string{"consul-1": "consul", "consul-2": "consul", "db-2": "temporal", "consul-3": "consul", "consul-4": "consul"})
	p, parts := Build(of([]string{"consul", "web", "temporal", "cache"}, []string{"consul-b"}), inv)
	var order []string
	for _, c := range p.Stages[0].Clusters {
		order = append(order, c.Name)
	}
	if want := []string{"web", "cache", "consul", "temporal"}; !slices.Equal(order, want) {
		t.Errorf("the first stage is %v, want %v: its own house last, otherwise as it was written", order, want)
	}
	for name, want := range map[string]struct{ house, shares, claims []string }{
		"consul":   {[]string{"consul"}, []string{"consul-b"}, []string{"consul", "consul-b"}},
		"consul-b": {[]string{"consul"}, []string{"consul"}, []string{"consul-b", "consul"}},
		"temporal": {[]string{"temporal"}, nil, []string{"temporal"}},
		"web":      {nil, nil, []string{"web"}},
	} {
		c := p.cluster(t, name)
		if !slices.Equal(c.House, want.house) || !slices.Equal(c.Shares, want.shares) || !slices.Equal(parts[name].Claims(), want.claims) {
			t.Errorf("%s is of %v, not beside %v, claims %v; want %+v", name, c.House, c.Shares, parts[name].Claims(), want)
		}
	}
	last := map[string]bool{}
	for _, r := range p.Campaign("monthly-1", "ann", time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)).Clusters {
		last[r.Name] = r.Last
	}
	for name, want := range map[string]bool{"web": false, "cache": false, "consul": true, "temporal": true, "consul-b": true} {
		if last[name] != want {
			t.Errorf("%s goes last: %t, want %t", name, last[name], want)
		}
	}
}

// A cluster that shares a host with one of the same part is claimed once.
func TestHouseThatSharesAHost(t *testing.T) {
	inv := housed(estate([]string{"a", "1", "2"}, []string{"b", "2", "3"}), map[string]string{"1": "consul", "3": "consul"})
	_, parts := Build(of([]string{"a", "b"}), inv)
	if got, want := parts["a"].Claims(), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("a claims %v, want %v", got, want)
	}
}
