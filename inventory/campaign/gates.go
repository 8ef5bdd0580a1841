package campaign

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// Gates are points where people must agree. A stage has its own.
type Gates struct {
	// Start is asked for before anything is done; default none.
	Start *Gate `json:"start,omitempty" yaml:"start,omitempty"`
	// Soak is asked for at the end of each soak that passed; default one word of anybody, signed or not, where soak_approval is true.
	Soak *Gate `json:"soak,omitempty" yaml:"soak,omitempty"`
}

// Gate is who must agree, and until when.
type Gate struct {
	// Quorum is how many different people must agree; default 1. Who asked for the instance does not count.
	Quorum int `json:"quorum,omitempty" yaml:"quorum,omitempty" jsonschema:"minimum=1"`
	// Roles must all be among those who agree, and only people with one of them count; owner is the owner of each cluster behind the gate;
	// default every approver, or where there are none, everybody whose key is known.
	Roles []GateRole `json:"roles,omitempty" yaml:"roles,omitempty"`
	// Unsigned lets words count that nobody signed, such as those from Temporal's UI; they are marked as claimed; default false.
	Unsigned bool `json:"unsigned,omitempty" yaml:"unsigned,omitempty"`
	// Expiry is how long it is waited for; default for ever.
	Expiry *inventory.Duration `json:"expiry,omitempty" yaml:"expiry,omitempty"`
	// OnExpiry is hold (default) or abort; a gate never opens by itself.
	OnExpiry OnExpiry `json:"on_expiry,omitempty" yaml:"on_expiry,omitempty"`
}

// GateRole is whose agreement a gate asks for.
type GateRole string

// The roles that a gate may ask for.
const (
	GatePeer    GateRole = "peer"
	GateManager GateRole = "manager"
	GateOwner   GateRole = "owner"
)

// Values lists what may be written.
func (GateRole) Values() []string {
	return []string{string(GatePeer), string(GateManager), string(GateOwner)}
}

// OnExpiry is what becomes of a gate that nobody opened in time.
type OnExpiry string

// What an expired gate does.
const (
	ExpiryHold  OnExpiry = "hold"
	ExpiryAbort OnExpiry = "abort"
)

// Values lists what may be written.
func (OnExpiry) Values() []string { return []string{string(ExpiryHold), string(ExpiryAbort)} }

// Signers are files on the worker: whose keys there are, and which of them are revoked. A worker that was given such files goes by its own.
type Signers struct {
	// Allowed is a file in the format of OpenSSH's allowed_signers, relative to the campaign file.
	Allowed string `json:"allowed" yaml:"allowed" jsonschema:"required"`
	// Revoked is a file with one public key a line, relative to the campaign file.
	Revoked string `json:"revoked,omitempty" yaml:"revoked,omitempty"`
}

// ApproversIn are the people whose agreement counts: the inventory's, or where that names none, the campaign's.
func (c Campaign) ApproversIn(inv inventory.Inventory) []inventory.Approver {
	if len(inv.Approvers) > 0 {
		return inv.Approvers
	}
	return c.Approvers
}

// People is how many must agree.
func (g Gate) People() int { return max(g.Quorum, 1) }

// placed is a gate, where it is written, and the clusters behind it.
type placed struct {
	at       string
	gate     *Gate
	clusters func(inv inventory.Inventory) []string
}

// gates lists those that the campaign has.
func (c Campaign) gates() []placed {
	var all []placed
	add := func(at string, g *Gate, clusters func(inventory.Inventory) []string) {
		if g != nil {
			all = append(all, placed{at, g, clusters})
		}
	}
	every := func(inv inventory.Inventory) []string {
		var names []string
		for _, s := range c.Stages {
			names = append(names, s.In(inv)...)
		}
		return names
	}
	add("gates.start", c.Gates.Start, every)
	add("gates.soak", c.Gates.Soak, func(inv inventory.Inventory) []string {
		return slices.DeleteFunc(every(inv), func(name string) bool { return !c.PolicyOf(name).SoakApproval })
	})
	for i, s := range c.Stages {
		add(fmt.Sprintf("stages[%d].gate", i), s.Gate, s.In)
	}
	return all
}

// validateGates checks what a campaign says of gates by itself.
func (c Campaign) validateGates(p *inventory.Problems) {
	for _, g := range c.gates() {
		if g.gate.Quorum < 0 {
			p.Add(g.at+".quorum", "%d is too few: write a number from 1", g.gate.Quorum)
		}
		seen := map[string]string{}
		for i, r := range g.gate.Roles {
			path := fmt.Sprintf("%s.roles[%d]", g.at, i)
			inventory.OneOf(p, path, r)
			p.Once(seen, string(r), path, "%q is already listed", r)
		}
		inventory.OneOf(p, g.at+".on_expiry", g.gate.OnExpiry)
		if e := g.gate.Expiry; e != nil && *e < inventory.Duration(time.Minute) {
			p.Add(g.at+".expiry", "%s is too short: people need at least 1m", e)
		}
		if g.gate.OnExpiry != "" && g.gate.Expiry == nil {
			p.Add(g.at+".on_expiry", "has no expiry to follow: give one, such as expiry: 3d")
		}
	}
	p.Emergency("emergency", c.Emergency)
	p.People("approvers", c.Approvers)
	if c.Signers != nil && c.Signers.Allowed == "" {
		p.Add("signers.allowed", "is missing: name a file in the format of OpenSSH's allowed_signers")
	}
}

// checkGates holds the gates against the people there are, and against the owners of clusters.
func (c Campaign) checkGates(p *inventory.Problems, inv inventory.Inventory) {
	if len(c.Approvers) > 0 && len(inv.Approvers) > 0 {
		p.Add("approvers", "are in the inventory already, and a campaign cannot name others: list them there")
	} else {
		p.Approvers("approvers", c.Approvers, inv.Clusters)
	}
	if c.Emergency != nil && inv.Emergency != nil {
		p.Add("emergency", "is in the inventory already, and a campaign cannot name others: say it there")
	}
	people := c.ApproversIn(inv)
	for _, g := range c.gates() {
		owners, unowned := Owners(inv, g.clusters(inv))
		may := 0
		for _, a := range people {
			if g.gate.counts(a, owners) {
				may++
			}
		}
		for i, role := range g.gate.Roles {
			path := fmt.Sprintf("%s.roles[%d]", g.at, i)
			switch {
			case role == GatePeer || role == GateManager:
				if !slices.ContainsFunc(people, func(a inventory.Approver) bool { return slices.Contains(a.Roles, inventory.Role(role)) }) {
					p.Add(path, "nobody is a %s: list people under approvers, such as {principal: ann@example.org, roles: [%s]}", role, role)
				}
			case role == GateOwner && len(unowned) > 0:
				p.Add(path, "the owner of each cluster is asked for, and the inventory names none for %s", strings.Join(firstOf(unowned), ", "))
			case role == GateOwner:
				for _, o := range owners {
					if !slices.ContainsFunc(people, func(a inventory.Approver) bool { return speaksFor(a, o) }) {
						p.Add(path, "nobody speaks for the owner %q: list somebody under approvers, such as {principal: ann@example.org, owns: [%s]}", o, o)
					}
				}
			}
		}
		if len(people) > 0 && may > 0 && may < g.gate.People() {
			p.Add(g.at+".quorum", "%d people must agree, and only %d may", g.gate.People(), may)
		}
	}
}

func firstOf(names []string) []string {
	if len(names) <= 5 {
		return names
	}
	return append(slices.Clone(names[:5]), fmt.Sprintf("and %d more", len(names)-5))
}

// Owners are the owners of these clusters, each once, and the clusters that have none.
func Owners(inv inventory.Inventory, clusters []string) (owners, unowned []string) {
	for _, name := range clusters {
		cl, ok := inv.Cluster(name)
		switch {
		case !ok:
		case cl.Owner == "":
			unowned = append(unowned, name)
		case !slices.Contains(owners, cl.Owner):
			owners = append(owners, cl.Owner)
		}
	}
	return owners, unowned
}

func speaksFor(a inventory.Approver, owner string) bool {
	return a.Principal == owner || slices.Contains(a.Owns, owner)
}

// counts says that an approver counts at a gate with these owners behind it.
func (g Gate) counts(a inventory.Approver, owners []string) bool {
	owns := slices.ContainsFunc(owners, func(o string) bool { return speaksFor(a, o) })
	if len(g.Roles) == 0 {
		return len(a.Roles) > 0 || owns
	}
	return slices.ContainsFunc(g.Roles, func(r GateRole) bool {
		return r == GateOwner && owns || slices.Contains(a.Roles, inventory.Role(r))
	})
}

// Signs is where a gate is written that takes signed words only; empty: there is none.
func (c Campaign) Signs() string {
	for _, g := range c.gates() {
		if !g.gate.Unsigned {
			return g.at
		}
	}
	return ""
}

// Open names the stages whose clusters begin without anybody's agreement.
func (c Campaign) Open() []Stage {
	if c.Gates.Start != nil {
		return nil
	}
	var open []Stage
	for _, s := range c.Stages {
		if s.Gate == nil {
			open = append(open, s)
		}
	}
	return open
}
