package plan

import (
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

func hours(n int) *inventory.Duration {
	d := inventory.Duration(time.Duration(n) * time.Hour)
	return &d
}

// windowed has windows of its own for the second stage's peers, and a freeze of the estate.
func windowed() (campaign.Campaign, inventory.Inventory) {
	c, inv := of([]string{"a"}, []string{"b", "c"}), estate(names("a", 2), names("b", 3), names("c", 1))
	c.Zone = "Europe/Berlin"
	c.Windows.All = []inventory.Window{{Name: "nightly", Cron: "0 22 * * *", Duration: hours(4)}}
	c.Stages[1].Windows.Peers = []inventory.Window{{Name: "weekly", Cron: "0 22 * * 2", Duration: hours(4)}}
	inv.Zone, inv.Freezes = "UTC", []inventory.Freeze{{Name: "fair", Reason: "shop", From: "2026-12-24", To: "2026-12-26"}}
	return c, inv
}

func TestWhen(t *testing.T) {
	t.Parallel()
	p, parts := Build(of([]string{"a"}), estate(names("a", 2)))
	if parts["a"].When != nil || p.Timed(parts) {
		t.Errorf("without windows and freezes: %+v", parts["a"].When)
	}
	c, inv := windowed()
	p, parts = Build(c, inv)
	for _, row := range []struct {
		cluster       string
		canary, peers string
	}{{"a", "nightly", "nightly"}, {"b", "nightly", "weekly"}, {"c", "nightly", "weekly"}} {
		w := parts[row.cluster].When
		if w == nil || w.Windows(true)[0].Name != row.canary || w.Windows(false)[0].Name != row.peers || w.Canary[0].Zone != "Europe/Berlin" || len(w.Freezes) != 1 || w.Freezes[0].Zone != "UTC" {
			t.Errorf("%s: %+v, want canaries %s and peers %s", row.cluster, w, row.canary, row.peers)
		}
		if n := parts[row.cluster].Need(); n != (calendar.Need{Work: 25 * time.Minute, Backout: 15 * time.Minute}) {
			t.Errorf("%s needs %s", row.cluster, n)
		}
	}
	if !p.Timed(parts) {
		t.Error("it has no dates")
	}
	freezes := inv
	freezes.Freezes = nil
	if _, other := Build(c, freezes); Digest(other["a"]) == Digest(parts["a"]) {
		t.Error("a plan without the freeze is the same plan")
	}
	only := of([]string{"a"})
	only.FinishBy, only.Zone = "2026-12-24", "UTC"
	if p, parts := Build(only, estate(names("a", 2))); !p.Timed(parts) || p.FinishBy != "2026-12-24" || p.Zone != "UTC" {
		t.Errorf("an end alone: %+v", p)
	}
}

func TestCourse(t *testing.T) {
	t.Parallel()
	c, inv := windowed()
	soak := inventory.Duration(2 * time.Hour)
	c.Clusters = map[string]campaign.Override{"b": {Soak: &soak, Estimate: campaign.EstimateOverride{Work: hours(1)}}}
	inv.Clusters[2].Members = append(inv.Clusters[2].Members, "b-1") // b and c share a host
	p, parts := Build(c, inv.Resolve())
	asked := ""
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	got := p.Course(parts, nil, start, start.Add(time.Hour), func(part Part, canary bool) calendar.Calendar {
		asked += part.Cluster.Name
		if canary {
			asked += "! "
			return calendar.Calendar{Always: true}
		}
		asked += " "
		return calendar.Calendar{Unknown: part.Cluster.Name}
	})
	if asked != "a! a b! b " {
		t.Errorf("asked for %q", asked)
	}
	if !got.Start.Equal(start) || !got.FinishBy.Equal(start.Add(time.Hour)) || got.Parallel != 5 || len(got.Stages) != 2 || !got.Stages[1].Canary.Always || got.Stages[1].Peers.Unknown != "b" {
		t.Errorf("%+v", got)
	}
	written := p
	written.FinishBy = "1h"
	if asks := written.Course(parts, nil, start, start.Add(time.Hour), func(Part, bool) calendar.Calendar { return calendar.Calendar{} }); !got.Again || asks.Again {
		t.Errorf("an end that nobody wrote is the next begin: %t, and one that is written: %t", got.Again, asks.Again)
	}
	b := got.Stages[1].Clusters[0]
	if b.Name != "b" || b.Need != (calendar.Need{Work: time.Hour, Backout: 15 * time.Minute}) || b.Soak != 2*time.Hour || b.Settle != 10*time.Minute || b.MaxMixed != 7*24*time.Hour || len(b.Shares) != 1 || len(b.Waves) != 2 {
		t.Errorf("%+v", b)
	}
}
