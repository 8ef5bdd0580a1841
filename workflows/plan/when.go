package plan

import (
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// When is when a cluster's members may be worked on, as the files say it: rules and sources, which are read anew each time.
type When struct {
	Work    inventory.Duration `json:"work"`
	Backout inventory.Duration `json:"backout"`
}

// Windowed says that windows or freezes are asked before a member begins.
func (p Part) Windowed() bool { return p.When != nil }

// Need is how long one of its members needs: what the file says, as long as nobody has measured it.
func (p Part) Need() calendar.Need {
	if p.When == nil {
		return calendar.Need{}
	}
	return calendar.Need{Work: time.Duration(p.When.Work), Backout: time.Duration(p.When.Backout)}
}
