package plan

import (
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// When is when a cluster's members may be worked on, as the files say it: rules and sources, which are read anew each time.
type When struct {
	Work    inventory.Duration `json:"work"`
	Backout inventory.Duration `json:"backout"`
	Canary  []inventory.Window `json:"canary,omitempty"` // none: always
	Peers   []inventory.Window `json:"peers,omitempty"`
	Freezes []inventory.Freeze `json:"freezes,omitempty"`
}

// Windowed says that windows or freezes are asked before a member begins.
func (p Part) Windowed() bool { return p.When != nil }

// Need is how long one of its members needs, as the file says it; nothing where neither windows nor freezes are asked.
func (p Part) Need() calendar.Need {
	if p.When == nil {
		return calendar.Need{}
	}
	return calendar.Need{Work: time.Duration(p.When.Work), Backout: time.Duration(p.When.Backout)}
}

// Windows are those of canaries, or of peers.
func (w When) Windows(canary bool) []inventory.Window {
	if canary {
		return w.Canary
	}
	return w.Peers
}

// whenOf is when members of a stage's clusters may be worked on; nil: at any time.
func whenOf(c campaign.Campaign, inv inventory.Inventory, s campaign.Stage, p campaign.Policy) *When {
	w := When{
		Work: p.Estimate.Work, Backout: p.Estimate.Backout,
		Canary: c.WindowsOf(s, inv, true), Peers: c.WindowsOf(s, inv, false), Freezes: c.FreezesOver(inv),
	}
	if len(w.Canary)+len(w.Peers)+len(w.Freezes) == 0 {
		return nil
	}
	return &w
}
