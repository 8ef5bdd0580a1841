package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/inventory/recur"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// breakable says that a freeze has people who may break it, and may still stand on some day. One of a single date that is over cannot.
func breakable(f inventory.Freeze, now time.Time) bool {
	if len(f.Approvers) == 0 {
		return false
	}
	to, err := recur.ParseMoment(f.To)
	if f.From == "" || err != nil {
		return true
	}
	zone, err := recur.Zone(f.Zone)
	if err != nil {
		zone = time.UTC
	}
	return to.End(zone).After(now)
}

// unbreakable names the freezes of a plan that nobody can break for it where its request is not signed.
func unbreakable(parts map[string]plan.Part, now time.Time) (names []string) {
	for _, p := range parts {
		if p.When == nil {
			continue
		}
		for _, f := range p.When.Freezes {
			if name := strconv.Quote(f.Name); breakable(f, now) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// warnOfUnsigned says that a request is not signed although that is what it takes to break a freeze.
func (d *desk) warnOfUnsigned(parts map[string]plan.Part, whose, how string) {
	if names := unbreakable(parts, d.now()); len(names) > 0 {
		d.note("a freeze cannot be broken for %s, not even by its approvers (%s): its request is not signed; %s", whose, strings.Join(names, ", "), how)
	}
}

// warnOfFreezes says the same of campaigns that nobody signs unless he is told to. Where a gate asks for signatures, or a key is at hand, run signs.
func (d *desk) warnOfFreezes(doc file.Document[campaign.Campaign], inv file.Document[inventory.Inventory]) {
	if doc.Value.Signs() != "" || d.getenv("ROLLPATCH_KEY") != "" {
		return
	}
	how := "start it with rollpatch run --key FILE"
	if doc.Value.Schedule != nil {
		how = "create it with rollpatch schedule create --key FILE"
	}
	warn := func(freezes []inventory.Freeze, zone string, where func(string) (string, int)) bool {
		i := slices.IndexFunc(inventory.FreezesInZone(freezes, zone), func(f inventory.Freeze) bool { return breakable(f, d.now()) })
		if i < 0 {
			return false
		}
		path := fmt.Sprintf("freezes[%d].approvers", i)
		name, line := where(path)
		d.note("%s:%d: %s: no gate of %s asks for signatures, and freeze %q cannot be broken for an instance whose request is not signed: %s", name, line, path, doc.Value.Name, freezes[i].Name, how)
		return true
	}
	if !warn(doc.Value.Freezes, doc.Value.Zone, doc.Where) {
		warn(inv.Value.Freezes, inv.Value.Zone, inv.Where)
	}
}
