package campaign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

// windows are named, one a word.
func windows(names ...string) []inventory.Window {
	var out []inventory.Window
	for _, n := range names {
		out = append(out, inventory.Window{Name: n})
	}
	return out
}

// The nearest word counts: the stage's, else the campaign's, else the inventory's; for canaries and peers each.
func TestWindowsOf(t *testing.T) {
	inv := inventory.Inventory{Zone: "UTC", Windows: windows("estate")}
	for _, row := range []struct {
		name          string
		whole, stage  campaign.Windows
		inv           inventory.Inventory
		canary, peers string
	}{
		{"nobody says any: always", campaign.Windows{}, campaign.Windows{}, inventory.Inventory{}, "", ""},
		{"the inventory's", campaign.Windows{}, campaign.Windows{}, inv, "estate UTC", "estate UTC"},
		{"the campaign's, in its zone", campaign.Windows{All: windows("a", "b")}, campaign.Windows{}, inv, "a Europe/Berlin b Europe/Berlin", "a Europe/Berlin b Europe/Berlin"},
		{"the stage's", campaign.Windows{All: windows("a")}, campaign.Windows{All: windows("s")}, inv, "s Europe/Berlin", "s Europe/Berlin"},
		{"a wave's own", campaign.Windows{All: windows("a")}, campaign.Windows{Canary: windows("c"), Peers: windows("p")}, inv, "c Europe/Berlin", "p Europe/Berlin"},
		{"one wave's own, the other's of the campaign", campaign.Windows{All: windows("a")}, campaign.Windows{Peers: windows("p")}, inv, "a Europe/Berlin", "p Europe/Berlin"},
		{"one wave's own, the other's of the inventory", campaign.Windows{Canary: windows("c")}, campaign.Windows{}, inv, "c Europe/Berlin", "estate UTC"},
	} {
		c := campaign.Campaign{Zone: "Europe/Berlin", Windows: row.whole}
		for canary, want := range map[bool]string{true: row.canary, false: row.peers} {
			var got []string
			for _, w := range c.WindowsOf(campaign.Stage{Windows: row.stage}, row.inv, canary) {
				got = append(got, w.Name, w.Zone)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s, canary %v: %q, want %q", row.name, canary, strings.Join(got, " "), want)
			}
		}
	}
	if inv.Windows[0].Zone != "" {
		t.Error("the inventory was changed")
	}
}

func TestFreezesOver(t *testing.T) {
	inv := inventory.Inventory{Zone: "UTC", Freezes: []inventory.Freeze{{Name: "estate"}, {Name: "there", Zone: "Asia/Kolkata"}}}
	c := campaign.Campaign{Zone: "Europe/Berlin", Freezes: []inventory.Freeze{{Name: "own"}}}
	var got []string
	for _, f := range c.FreezesOver(inv) {
		got = append(got, f.Name, f.Zone)
	}
	if want := "estate UTC there Asia/Kolkata own Europe/Berlin"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEnds(t *testing.T) {
	start := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct{ by, zone, want string }{
		{"", "", ""},
		{"14d", "", "2026-12-15T12:00:00Z"},
		{"2026-12-24", "Europe/Berlin", "2026-12-24T23:00:00Z"},
		{"2026-12-24 06:00", "Europe/Berlin", "2026-12-24T05:00:00Z"},
		{"2026-12-24T06:00:00+02:00", "", "2026-12-24T04:00:00Z"},
	} {
		got, err := campaign.Campaign{FinishBy: row.by, Zone: row.zone}.Ends(start)
		if err != nil || row.want == "" && !got.IsZero() || row.want != "" && got.Format(time.RFC3339) != row.want {
			t.Errorf("%q in %q: %s, %v; want %s", row.by, row.zone, got, err, row.want)
		}
	}
}

func TestPathsOfCalendars(t *testing.T) {
	ical := func(file string) []inventory.Window { return []inventory.Window{{ICal: &inventory.ICal{File: file}}} }
	c := campaign.Campaign{
		Windows: campaign.Windows{All: ical("w.ics")},
		Freezes: []inventory.Freeze{{ICal: &inventory.ICal{URL: &inventory.Secret{File: "~/url"}}}},
		Stages:  []campaign.Stage{{Windows: campaign.Windows{Peers: ical("/p.ics")}}},
	}
	got := c.WithPaths("/srv", "/home/ann")
	if f := got.Windows.All[0].ICal.File; f != "/srv/w.ics" {
		t.Errorf("windows: %s", f)
	}
	if f := got.Freezes[0].ICal.URL.File; f != "/home/ann/url" {
		t.Errorf("freezes: %s", f)
	}
	if f := got.Stages[0].Windows.Peers[0].ICal.File; f != "/p.ics" {
		t.Errorf("peers: %s", f)
	}
	if c.Windows.All[0].ICal.File != "w.ics" || c.Freezes[0].ICal.URL.File != "~/url" {
		t.Error("WithPaths changed what it was given")
	}
}
