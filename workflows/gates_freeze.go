package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// freezeMeant is the freeze that a word would break, or keep, as a gate of this instance. It takes the people of that freeze only.
func (c *campaign) freezeMeant(gates []string) (approval.Gate, error) {
	if len(gates) != 1 {
		return approval.Gate{}, errors.New("it is for " + strings.Join(gates[:min(len(gates), 5)], ", ") + ": a word about a freeze is about that one alone")
	}
	name, _, to, ok := approval.FreezeOf(gates[0])
	f, known := c.Agreement.Freeze(name)
	switch {
	case !ok:
		return approval.Gate{}, fmt.Errorf("%q names no freeze: rollpatch approve %s --freeze NAME signs for the one that stands in its way", gates[0], c.Instance)
	case c.Outcome != "" || c.AbortFor != "":
		return approval.Gate{}, errors.New(c.Instance + " has ended, or is about to: no freeze is broken for it any more")
	case !known:
		return approval.Gate{}, fmt.Errorf("the plan of %s has no freeze %q; it has: %s", c.Instance, name, cmp.Or(strings.Join(c.Agreement.FreezeNames(), ", "), "none"))
	case len(f.People) == 0:
		return approval.Gate{}, fmt.Errorf("freeze %q names no approvers in the files, and so nobody can break it: it ends at %s", name, to.Format(time.RFC3339))
	case !to.After(c.now()):
		return approval.Gate{}, fmt.Errorf("that span of freeze %q ended at %s", name, to.Format(time.RFC3339))
	case !c.requester().Signed():
		return approval.Gate{}, fmt.Errorf("nobody can tell who asked for %s, who must not break a freeze for himself: a freeze is broken only for an instance whose request is signed (rollpatch run FILE --key KEY)", c.Instance)
	}
	return c.freezeGate(gates[0], f.People), nil
}

func (c *campaign) freezeGate(id string, people []string) approval.Gate {
	return approval.Gate{ID: id, Campaign: c.Name, Instance: c.Instance, Plan: c.Plan, Rule: approval.BreakRule(people), Requester: c.requester(), Ripe: true}
}

// breakFreezes works out from the words that were taken which freezes are broken now, and tells the clusters on their way where that has changed.
func (c *campaign) breakFreezes() {
	list := c.broken()
	if rollout.SameBroken(list, c.Broken) {
		return
	}
	c.Campaign = c.Break(list, func(f rollout.Freeze) string { return approval.GateFreeze(f.Name, f.From, f.To) }, c.now())
	c.sendAll(signalBroken, c.Broken)
}

func (c *campaign) broken() []rollout.Broken {
	var out []rollout.Broken
	var seen []string
	for _, k := range c.Ballots.Kept {
		name, from, to, is := approval.FreezeOf(k.Gate)
		if !is || slices.Contains(seen, k.Gate) {
			continue
		}
		seen = append(seen, k.Gate)
		f, _ := c.Agreement.Freeze(name)
		words, until := approval.Broken(c.freezeGate(k.Gate, f.People), c.Ballots.at(k.Gate, time.Time{}), c.now())
		if len(words) > 0 {
			w := words[0]
			out = append(out, rollout.Broken{Freeze: rollout.Freeze{Name: name, From: from, To: to}, Until: until, By: w.By.Name(), Key: w.By.Key, Reason: w.Reason, At: w.Taken})
		}
	}
	return out
}

// breakFreezes applies which freezes the campaign says are broken, and hands it on to the members on their way.
func (c *cluster) breakFreezes(list []rollout.Broken) {
	if rollout.SameBroken(c.Broken, list) {
		return
	}
	c.Cluster = c.Break(list)
	for _, s := range c.Members {
		if s.Running && s.RunID != "" { // one that is being started is told by follow
			c.send(MemberID(s.Host), signalBroken, memberBroken{c.Instance, list})
		}
	}
}
