package inventory_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// What an inventory says of windows and freezes is still there once it is resolved: a freeze that is lost on the way freezes nothing.
func TestResolveKeepsWindows(t *testing.T) {
	inv := inventory.Inventory{
		Zone:    "Europe/Berlin",
		Windows: []inventory.Window{{Name: "night", ICal: &inventory.ICal{File: "w.ics"}}},
		Freezes: []inventory.Freeze{{Name: "fair", ICal: &inventory.ICal{URL: &inventory.Secret{File: "f.url"}}}},
	}
	got := inv.Resolve()
	if got.Zone != inv.Zone || !reflect.DeepEqual(got.Windows, inv.Windows) || !reflect.DeepEqual(got.Freezes, inv.Freezes) {
		t.Errorf("resolved it is %+v", got)
	}
	got = got.WithPaths("/srv", "/home/ann")
	if got.Windows[0].ICal.File != "/srv/w.ics" || got.Freezes[0].ICal.URL.File != "/srv/f.url" || inv.Windows[0].ICal.File != "w.ics" {
		t.Errorf("with paths it is %+v and %+v, from %+v", got.Windows[0].ICal, got.Freezes[0].ICal, inv.Windows[0].ICal)
	}
}

func TestTakes(t *testing.T) {
	for _, row := range []struct {
		glob, summary string
		want          bool
	}{{"", "Party", true}, {"Freeze*", "Freeze for Christmas", true}, {"Freeze*", "Party", false}} {
		if got := (inventory.ICal{Events: row.glob}).Takes(row.summary); got != row.want {
			t.Errorf("%q takes %q: %v", row.glob, row.summary, got)
		}
	}
}

func TestDaysOfAnOffset(t *testing.T) {
	three := inventory.Duration(3 * 24 * time.Hour)
	if n := (inventory.Nth{Offset: &three}).Days(); n != 3 {
		t.Errorf("3d are %d days", n)
	}
	if n := (inventory.Nth{}).Days(); n != 0 {
		t.Errorf("no offset is %d days", n)
	}
}
