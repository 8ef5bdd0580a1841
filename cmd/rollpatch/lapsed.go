package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// lapsed says which outages the campaign accepts until a day that is over: they are not accepted any more.
func lapsed(doc file.Document[campaign.Campaign], now time.Time) (out file.Findings) {
	for _, name := range slices.Sorted(maps.Keys(doc.Value.AcceptImpact)) {
		until := doc.Value.AcceptImpact[name].Until
		if end, err := inventory.EndOf(until); err == nil && !now.Before(end) {
			at := "accept_impact" + inventory.Key(name) + ".until"
			from, line := doc.Where(at)
			out = append(out, file.Finding{File: from, Line: line, Path: at,
				Msg: fmt.Sprintf("%s is over, and the outage of cluster %q is not accepted any more: agree on another day, or take it out", until, name)})
		}
	}
	return out
}

// warnOfOverrides counts what the inventory accepts, and names what it does for longer than anybody looks ahead, or not any more.
func (d *desk) warnOfOverrides(inv file.Document[inventory.Inventory]) {
	now, standing := d.now(), 0
	for i, a := range inv.Value.Accept {
		end, err := a.Ends()
		if err != nil {
			continue
		}
		at := fmt.Sprintf("accept[%d].until", i)
		name, line := inv.Where(at)
		switch {
		case !now.Before(end):
			d.note("%s:%d: %s: %s is over, and the finding counts again: agree on another day, or take it out", name, line, at, a.Until)
			continue
		case end.After(now.AddDate(1, 0, 1)):
			d.note("%s:%d: %s: %s is more than a year away: what nobody looks at again is no exception any more", name, line, at, a.Until)
		}
		standing++
	}
	if standing > 0 {
		d.note("overrides in force: the inventory accepts %s of the preflight", many(standing, "finding"))
	}
}
