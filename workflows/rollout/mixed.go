package rollout

import (
	"strconv"
	"time"
)

// A cluster is mixed while some of its members have what others do not have yet. People allow for both meanwhile, and forget it: one that
// is mixed for longer than MaxMixed is told every day.

func (c Cluster) mixed() bool {
	if c.Outcome != "" || c.Phase == PhaseRelease {
		return false
	}
	patched, others := 0, 0
	for _, m := range c.Members {
		switch {
		case m.Outcome == Patched:
			patched++
		case m.Outcome != Unchanged && !m.Left:
			others++
		}
	}
	return patched > 0 && (others > 0 || c.BackoutFor != "")
}

// mix keeps since when it is mixed.
func (c Cluster) mix(now time.Time) Cluster {
	switch mixed := c.mixed(); {
	case !mixed:
		c.MixedSince, c.MixedTold = time.Time{}, time.Time{}
	case c.MixedSince.IsZero():
		c.MixedSince = now
	}
	return c
}

// tellMixed tells people when it has been so for too long, and every day from then on.
func (c Cluster) tellMixed(now time.Time) Cluster {
	if due := c.mixedDue(); due.IsZero() || now.Before(due) {
		return c
	}
	c.MixedTold = now
	text := "cluster " + c.Name + " is mixed since " + stamp(c.MixedSince) + ": " + strconv.Itoa(c.patchedCount()) + " of " + strconv.Itoa(len(c.Members)) + " members are patched"
	if c.WaitFor != "" {
		text += "; it waits" + because(c.WaitFor)
	}
	c.Outbox.tell(TellHold, "", text, "rollpatch why "+c.Name)
	return c
}

// mixedDue is when people are told next; zero is never.
func (c Cluster) mixedDue() time.Time {
	switch {
	case c.Policy.MaxMixed == 0 || !c.mixed() || c.MixedSince.IsZero():
		return time.Time{}
	case c.MixedTold.IsZero():
		return c.MixedSince.Add(c.Policy.MaxMixed)
	}
	return c.MixedTold.Add(RemindEvery)
}
