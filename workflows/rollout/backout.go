package rollout

import (
	"errors"
	"fmt"
	"time"
)

// A whole campaign is backed out by a person only.

// MayBackout says why there is nothing to bring back in the whole campaign, or nil.
func (c Campaign) MayBackout(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	switch {
	case c.Outcome != "":
		return fmt.Errorf("%s has ended: its way back is a new campaign", c.Instance)
	case c.BackoutFor != "":
		return fmt.Errorf("%s: %s already", c.Instance, c.BackoutFor)
	case c.runningCount() == 0:
		return errors.New("no cluster of " + c.Instance + " is on its way; to start none: rollpatch abort " + c.Instance)
	}
	return nil
}

// Backout starts nothing further; every cluster on its way is told to bring its patched members back. Clusters that have ended are not
// touched: their claims are given back, and what came after them may rest on them.
func (c Campaign) Backout(m Message) Campaign {
	if c.MayBackout(m) != nil {
		return c
	}
	c.BackoutFor = "backed out by " + m.Actor + " (claimed): " + m.Reason
	return c
}

// BackoutAll is what that is to one of its clusters: no member goes on that can still be left alone, all patched ones are brought back,
// and where none is, nothing further begins.
func (c Cluster) BackoutAll(m Message, now time.Time) Cluster {
	switch {
	case c.stopped():
		return c.Resume(m, now).unbind()
	case c.BackoutFor != "":
		c = c.unbind()
		c.Auto, c.Refused = false, "" // a person says so, and the breaker stops it no more
		return c.Retry(m, now)        // if it could not begin
	case c.MayBackout(m) != nil:
		return c.Abort(m, now)
	}
	return c.Backout(m, "backout of the campaign", now)
}
