package rollout

import (
	"strconv"
	"strings"
	"time"
)

// Standing approvals may open a gate of an instance that a schedule made by itself. They are looked for when people could agree first, and again
// while it waits: somebody may hand one in meanwhile. Which of them counts is judged by package approval, like every other word.

const (
	lookEvery = time.Hour
	lookSoon  = time.Minute // after a look that could not be had
)

// stands says that standing approvals are looked for at a gate.
func (c Campaign) stands(g Gate) bool {
	return c.Standing != "" && c.Emergency == "" && !g.After && g.Opened.IsZero() && !g.Expired
}

// unlooked says that nobody has looked for them yet: until then nobody is told that it waits for people, and it is not too late.
func (c Campaign) unlooked(g Gate) bool { return c.stands(g) && g.Looks == 0 }

// look is the look for them, when it is due.
func (c Campaign) look(g Gate, now time.Time) []Action {
	if !c.stands(g) || g.Since.IsZero() || g.Proving || g.LookAt.After(now) {
		return nil
	}
	return []Action{{ID: lookID(g.Looks), Do: DoLook, Name: g.ID}}
}

func lookID(n int) string { return "look." + strconv.Itoa(n) }

// Looks says that the gate that it waits at waits for this look for standing approvals.
func (c Campaign) Looks(gate, id string) bool {
	g, ok := c.Awaits()
	return ok && g.ID == gate && c.stands(g) && !g.Since.IsZero() && id == lookID(g.Looks)
}

// Looked is that look: what was found is among the votes, or trouble says why nobody could look. Then it is looked again soon.
func (c Campaign) Looked(gate, id, trouble string, now time.Time) Campaign {
	if !c.Looks(gate, id) {
		return c
	}
	i := c.awaits()
	g := c.Gates[i]
	g.Looks, g.Unlooked, g.LookAt = g.Looks+1, trouble, now.Add(lookEvery)
	if trouble != "" {
		g.LookAt = now.Add(lookSoon)
	}
	return c.gate(i, g)
}

// tellStood tells people that a gate is open which nobody was asked at.
func (c *Campaign) tellStood(gate string, by []Approval) {
	var names []string
	for _, a := range by {
		if a.Standing != "" {
			names = append(names, a.Standing+" of "+a.Actor)
		}
	}
	if len(names) == 0 {
		return
	}
	what := "the standing approval "
	if len(names) > 1 {
		what = "the standing approvals "
	}
	c.Outbox.tell(TellGate, "", "gate "+gate+" of "+c.Instance+" is open by "+what+strings.Join(names, ", ")+"; its plan: rollpatch schedule plan "+c.Instance+"; if it must not run: rollpatch abort "+c.Instance+` --reason "..."`,
		"rollpatch schedule plan "+c.Instance)
}
