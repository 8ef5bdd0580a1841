package campaign

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/recur"
)

// Windows are those of every wave, written as a list, or those of canaries and of peers by themselves.
type Windows struct {
	All []inventory.Window `json:"all,omitempty" yaml:"-"`
	// Canary is when canaries may begin.
	Canary []inventory.Window `json:"canary,omitempty" yaml:"canary,omitempty"`
	// Peers is when everybody else may begin.
	Peers []inventory.Window `json:"peers,omitempty" yaml:"peers,omitempty"`
}

// List is what a plain list in a file is.
func (w *Windows) List() any { return &w.All }

// of are the windows of canaries, or of peers, if it says any.
func (w Windows) of(canary bool) []inventory.Window {
	switch {
	case canary && len(w.Canary) > 0:
		return w.Canary
	case !canary && len(w.Peers) > 0:
		return w.Peers
	}
	return w.All
}

// Estimate is how long a host takes.
type Estimate struct {
	Work    inventory.Duration `json:"work"`
	Backout inventory.Duration `json:"backout"`
}

// EstimateOverride is an Estimate as a file gives it.
type EstimateOverride struct {
	// Work is how long a host takes, from the first look at it to its undrain; default 25m.
	Work *inventory.Duration `json:"work,omitempty" yaml:"work,omitempty"`
	// Backout is how long its way back takes, should the work fail; default 15m.
	Backout *inventory.Duration `json:"backout,omitempty" yaml:"backout,omitempty"`
}

// WindowsOf are the windows in which canaries, or peers, of a stage may begin: the stage's own, else the campaign's, else the inventory's,
// each with its zone. None means always.
func (c Campaign) WindowsOf(s Stage, inv inventory.Inventory, canary bool) []inventory.Window {
	if own := s.Windows.of(canary); len(own) > 0 {
		return inventory.InZone(own, c.Zone)
	}
	if whole := c.Windows.of(canary); len(whole) > 0 {
		return inventory.InZone(whole, c.Zone)
	}
	return inventory.InZone(inv.Windows, inv.Zone)
}

// FreezesOver are the inventory's freezes and the campaign's, each with its zone.
func (c Campaign) FreezesOver(inv inventory.Inventory) []inventory.Freeze {
	return append(inventory.FreezesInZone(inv.Freezes, inv.Zone), inventory.FreezesInZone(c.Freezes, c.Zone)...)
}

// Ends is when an instance that begins at start must be done; zero: whenever it is.
func (c Campaign) Ends(start time.Time) (time.Time, error) {
	if c.FinishBy == "" {
		return time.Time{}, nil
	}
	var after inventory.Duration
	if after.UnmarshalText([]byte(c.FinishBy)) == nil {
		return start.Add(time.Duration(after)), nil
	}
	m, err := recur.ParseMoment(c.FinishBy)
	if err != nil {
		return time.Time{}, err
	}
	zone := time.UTC
	if !m.Fixed {
		if zone, err = recur.Zone(c.Zone); err != nil {
			return time.Time{}, err
		}
	}
	return m.End(zone), nil
}

func (c Campaign) validateWindows(p *inventory.Problems) {
	p.Zone("zone", c.Zone)
	c.Windows.validate(p, "windows", c.Zone)
	for i, s := range c.Stages {
		s.Windows.validate(p, fmt.Sprintf("stages[%d].windows", i), c.Zone)
	}
	p.Freezes("freezes", c.Freezes, c.Zone)
	var after inventory.Duration
	if c.FinishBy == "" || after.UnmarshalText([]byte(c.FinishBy)) == nil {
		return
	}
	switch m, err := recur.ParseMoment(c.FinishBy); {
	case err != nil:
		p.Add("finish_by", "%q is neither a length of time, such as 14d, nor a day, such as 2026-12-24", c.FinishBy)
	case !m.Fixed && c.Zone == "":
		p.Add("zone", "is missing: say whose clocks finish_by means, such as Europe/Berlin or UTC")
	}
}

func (w Windows) validate(p *inventory.Problems, at, zone string) {
	p.Windows(at, w.All, zone)
	p.Windows(at+".canary", w.Canary, zone)
	p.Windows(at+".peers", w.Peers, zone)
}

// checkFreezes holds the campaign's freezes against the inventory's: a name is what they are broken by.
func (c Campaign) checkFreezes(p *inventory.Problems, inv inventory.Inventory) {
	for i, f := range c.Freezes {
		for _, other := range inv.Freezes {
			if f.Name != "" && f.Name == other.Name {
				p.Add(fmt.Sprintf("freezes[%d].name", i), "%q is already a freeze of the inventory", f.Name)
			}
		}
	}
}

// windowsWithPaths makes the paths of calendars absolute.
func (c Campaign) windowsWithPaths(dir, home string) Campaign {
	whole := func(w Windows) Windows {
		return Windows{All: inventory.WindowsWithPaths(w.All, dir, home), Canary: inventory.WindowsWithPaths(w.Canary, dir, home), Peers: inventory.WindowsWithPaths(w.Peers, dir, home)}
	}
	c.Windows, c.Freezes = whole(c.Windows), inventory.FreezesWithPaths(c.Freezes, dir, home)
	stages := append([]Stage(nil), c.Stages...)
	for i := range stages {
		stages[i].Windows = whole(stages[i].Windows)
	}
	c.Stages = stages
	return c
}
