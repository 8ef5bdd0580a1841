package workflows

import (
	"fmt"
	"strconv"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func (c *cluster) keeper() *gatekeeper {
	if c.gates == nil {
		c.gates = &gatekeeper{carrier: c.carrier, kept: &c.Ballots, audit: &c.Audit, unwritten: &c.Unwritten, seen: &c.Seen, signers: c.Agreement.Signers}
	}
	return c.gates
}

// gateOf is the gate of one of its soaks, as people agree to it.
func (c *cluster) gateOf(soak int) approval.Gate {
	g := approval.Gate{
		ID: approval.GateSoak(c.Name, soak), Campaign: c.Agreement.Campaign, Instance: c.Instance, Plan: c.Agreement.Plan, Rule: c.Agreement.rule(),
		Requester: c.Agreement.Requester, Finding: c.Finding(),
	}
	if c.Phase == rollout.PhaseGate && soak == c.SoakNo {
		g.Since, g.Ripe = c.Gate.Since, c.Ripe()
	}
	if c.Agreement.Owner != "" {
		g.Owners = []string{c.Agreement.Owner}
	} else {
		g.Unowned = []string{c.Name}
	}
	return g
}

// meant is the gate that a word is for.
func (c *cluster) meant() (approval.Gate, error) {
	no := c.GateNo()
	if c.Phase == rollout.PhaseHold && c.Gate.Expired {
		return approval.Gate{}, fmt.Errorf("gate %s %s; to have it wait once more: rollpatch resume %s --cluster %s", c.Gate.ID, c.Gate.Why, c.Instance, c.Name)
	}
	if no == 0 {
		return approval.Gate{}, fmt.Errorf("cluster %q has no soak left to agree to", c.Name)
	}
	return c.gateOf(no), nil
}

// judge applies how the gate of its soak stands.
func (c *cluster) judge() {
	if c.Phase != rollout.PhaseGate {
		return
	}
	j := c.Ballots.judgment(c.gateOf(c.SoakNo), c.Anew, c.now())
	if c.Agreement.Soak == nil {
		j.Why = "" // one word of anybody: there is nothing more to say
	}
	c.Cluster = c.Judged(j, c.now())
	c.Ballots.drop(func(gate string) bool {
		number, _ := strconv.Atoi(gate[strings.LastIndex(gate, "/")+1:])
		return number < c.SoakNo
	})
}

// prove looks once more at the keys of who agreed, and ends the soak if enough are left.
func (c *cluster) prove(ctx workflow.Context, a rollout.Action) {
	if !c.Proves(a.ID) {
		return
	}
	err := c.keeper().prove(ctx, c.gateOf(c.SoakNo))
	switch {
	case ctx.Err() != nil || !c.Proves(a.ID):
	case err != nil:
		c.Cluster = c.Unproven(a.ID, err.Error(), workflow.Now(ctx))
	default:
		j := c.Ballots.judgment(c.gateOf(c.SoakNo), c.Anew, workflow.Now(ctx))
		j.Proven = true
		c.Cluster = c.Judged(j, workflow.Now(ctx))
	}
}

// vote takes an approve or a reject of its soak. Where nobody in particular is asked, a reject that nobody signed is a backout by another name.
func (c *cluster) vote(ctx workflow.Context, word string, m rollout.Message) error {
	if word == UpdateReject && m.Statement == "" && c.Agreement.Soak == nil {
		c.hear(word, m)
		return nil
	}
	if err := c.keeper().take(ctx, word, m, func() (approval.Gate, error) {
		if word == UpdateReject {
			if err := c.MayReject(m); err != nil {
				return approval.Gate{}, err
			}
		}
		return c.meant()
	}); err != nil {
		return err
	}
	if word == UpdateReject {
		last := c.Ballots.Kept[len(c.Ballots.Kept)-1]
		m.Actor, m.Proven = last.By.Name(), last.By.Signed()
		c.undo(word, m)
	}
	c.judge()
	return nil
}
