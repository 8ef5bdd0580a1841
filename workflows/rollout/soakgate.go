package rollout

import (
	"strconv"
	"strings"
	"time"
)

// GateNo is the number of the soak that people may agree to: the one that goes on or has passed, else the next one; 0: none is left.
func (c Cluster) GateNo() int {
	switch {
	case c.Outcome != "" || c.Ending != "" || c.BackoutFor != "" || c.AbortFor != "":
		return 0
	case c.Phase == PhaseSoak || c.Phase == PhaseGate:
		return c.SoakNo
	case c.Wave+1 < len(Waves(len(c.Members))):
		return c.SoakNo + 1
	}
	return 0
}

// Ripe says that the soak passed, so that people can agree to what there is.
func (c Cluster) Ripe() bool { return c.Phase == PhaseGate && c.Verdict == Pass }

// Finding is what speaks against going on unseen, although the soak passed: who agreed ahead had not seen it. Empty: nothing.
func (c Cluster) Finding() string {
	var found []string
	if c.SoakFailed {
		found = append(found, "a soak failed before ("+c.SoakBlame+")")
	}
	for _, m := range c.Members {
		switch {
		case m.Outcome != "" && m.Outcome != Patched && m.Outcome != Unchanged && !m.Running:
			found = append(found, m.Host+" is "+string(m.Outcome))
		case m.Failures > 0:
			found = append(found, m.Host+" failed before it was patched")
		}
	}
	if c.Found != "" {
		found = append(found, c.Found)
	}
	if c.LeftOut != "" {
		found = append(found, c.LeftOut)
	}
	return strings.Join(found, "; ")
}

// ripen opens the gate of a soak that passed for people's words.
func (c Cluster) ripen(now time.Time) Cluster {
	c = c.to(PhaseGate, now)
	c.Gate = Gate{ID: SoakGate(c.Name, c.SoakNo), Since: now, Asked: c.Gate.Asked}
	return c
}

// Judged applies how the gate of its soak stands.
func (c Cluster) Judged(j Judgment, now time.Time) Cluster {
	if c.Phase != PhaseGate || c.Gate.ID != j.Gate {
		return c
	}
	j.Open = j.Open && c.Ripe() // a check that cannot be told now keeps it shut (P3)
	c.Gate = c.Gate.heard(j, now, c.tellGate)
	switch {
	case j.Expired:
		c.Gate.Expired = true
		if j.Abort && c.AbortFor == "" {
			c.AbortFor = c.Gate.expired()
			c.Outbox.tell(TellHold, "", "cluster "+c.Name+": "+c.AbortFor, "rollpatch status "+c.Instance)
			return c.border(now)
		}
		return c.hold(c.Gate.expired(), now)
	case j.Open && j.Proven:
		c.Gate.Opened = now
		c.Approvals = append(c.Approvals[:len(c.Approvals):len(c.Approvals)], j.By...)
		return c.nextWave(now)
	}
	return c
}

// Proves says that its gate waits for this look at the keys.
func (c Cluster) Proves(id string) bool { return c.Phase == PhaseGate && c.Gate.proves(id) }

// Unproven is a look at the keys that could not be had.
func (c Cluster) Unproven(id, why string, now time.Time) Cluster {
	if c.Proves(id) {
		c.Gate = c.Gate.unproven(why, now, c.tellGate)
	}
	return c
}

func (c *Cluster) tellGate(g Gate, text string) {
	c.Outbox.tell(TellGate, "", "soak "+strconv.Itoa(c.SoakNo)+" of "+c.Name+" passed and "+text, g.Type(c.Instance+" --cluster "+c.Name))
}

// anew has people agree once more: what was said before does not count any more.
func (c Cluster) anew(why string, now time.Time) Cluster {
	c.Found, c.Anew = why, now
	return c
}

// resoak has a soak whose gate expired pass once more, and people agree to it then.
func (c Cluster) resoak(now time.Time) Cluster {
	c = c.unwatched().to(PhaseSoak, now)
	c.SoakEnds, c.Gate = now, Gate{Asked: c.Gate.Asked}
	return c
}
