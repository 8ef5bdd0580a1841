package rollout

import "time"

// HeldFor is one hold, for those who ask later.
type HeldFor struct {
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	By    string    `json:"by,omitempty"` // the word that ended it, and whose; empty: it ended by itself
}

// Said is the last word that a person said.
type Said struct {
	Word  string    `json:"word"`
	Actor string    `json:"actor"`
	At    time.Time `json:"at"`
}

// holdsMost bounds what a workflow keeps of its holds: the last ones.
const holdsMost = 50

// booked is holds with what keeps it now: why is empty while nothing does.
func booked(holds []HeldFor, why string, said Said, now time.Time) []HeldFor {
	n := len(holds)
	open := n > 0 && holds[n-1].Until.IsZero()
	if open == (why != "") {
		return holds
	}
	holds = append([]HeldFor(nil), holds...)
	if !open {
		return append(holds[max(0, n+1-holdsMost):], HeldFor{Why: why, Since: now})
	}
	last := &holds[n-1]
	if last.Until = now; said.Word != "" && !said.At.Before(last.Since) {
		last.By = said.Word + " by " + said.Actor + " (claimed)"
	}
	return holds
}

// Book notes when a hold of the cluster begins and when it ends, and by whose word.
func (c Cluster) Book(now time.Time) Cluster {
	why := ""
	if r := c.Report(); r.Phase == PhaseHold && c.Outcome == "" {
		if why = r.Reason; why == "" {
			why = "held"
		}
	}
	c.Holds = booked(c.Holds, why, c.Said, now)
	return c
}

// Book notes the same of the whole campaign.
func (c Campaign) Book(now time.Time) Campaign {
	why := c.Paused
	if c.Outcome != "" {
		why = ""
	}
	c.Holds = booked(c.Holds, why, c.Said, now)
	return c
}
