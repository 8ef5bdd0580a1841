package plan

import (
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Signers are files on the worker: whose keys there are, and which of them are revoked.
type Signers = campaign.Signers

// Agreement is who must agree to what. It is part of the plan: one in which others may agree is another plan.
type Agreement struct {
	Gates   []Gate         `json:"gates,omitempty"` // in the order in which the campaign comes to them
	Soak    *approval.Rule `json:"soak,omitempty"`  // at the end of soaks; nil: one word of anybody
	Signers *Signers       `json:"signers,omitempty"`
	Freezes []Freeze       `json:"freezes,omitempty"`
}

// Gate is a gate before a stage.
type Gate struct {
	ID      string        `json:"id"`
	Stage   int           `json:"stage,omitempty"`
	Rule    approval.Rule `json:"rule"`
	Owners  []string      `json:"owners,omitempty"`  // of the clusters behind it
	Unowned []string      `json:"unowned,omitempty"` // clusters that have none
	After   bool          `json:"after,omitempty"`   // of an emergency: nothing waits for it, and it is agreed to afterwards
}

// Freeze is who may break a freeze.
type Freeze struct {
	Name   string   `json:"name"`
	Reason string   `json:"reason"`
	People []string `json:"people,omitempty"` // none: nobody may
}

// Freeze finds one by its name.
func (a Agreement) Freeze(name string) (Freeze, bool) {
	i := slices.IndexFunc(a.Freezes, func(f Freeze) bool { return f.Name == name })
	if i < 0 {
		return Freeze{}, false
	}
	return a.Freezes[i], true
}

// FreezeNames lists the freezes.
func (a Agreement) FreezeNames() []string {
	var names []string
	for _, f := range a.Freezes {
		names = append(names, f.Name)
	}
	return names
}

// SoakRule is what the gate at a soak's end asks for.
func (a Agreement) SoakRule() approval.Rule {
	if a.Soak == nil {
		return SoakRule(campaign.Campaign{}, inventory.Inventory{})
	}
	return *a.Soak
}

// Signed says that one of these gates takes signed words only.
func (a Agreement) Signed(gates ...string) bool {
	return slices.ContainsFunc(gates, func(id string) bool {
		if approval.IsFreeze(id) {
			return true
		}
		if strings.HasPrefix(id, "soak/") {
			return !a.SoakRule().Unsigned
		}
		i := slices.IndexFunc(a.Gates, func(g Gate) bool { return g.ID == id })
		return i >= 0 && !a.Gates[i].Rule.Unsigned
	})
}

// AnySigned says that some gate takes signed words only, so that the request to run is signed too.
func (a Agreement) AnySigned() bool {
	return !a.SoakRule().Unsigned || slices.ContainsFunc(a.Gates, func(g Gate) bool { return !g.Rule.Unsigned })
}

// FreeToBegin says that the first stage begins without anybody's agreement.
func (p Plan) FreeToBegin() bool {
	return !slices.ContainsFunc(p.Agreement.Gates, func(g Gate) bool { return g.Stage == 0 && !g.After })
}

// agreed works out who must agree.
func agreed(c campaign.Campaign, inv inventory.Inventory) Agreement {
	a := Agreement{Signers: c.Signers}
	for _, f := range c.FreezesOver(inv) {
		a.Freezes = append(a.Freezes, Freeze{Name: f.Name, Reason: f.Reason, People: f.Approvers})
	}
	var all []string
	for _, s := range c.Stages {
		all = append(all, s.In(inv)...)
	}
	add := func(id string, stage int, g *campaign.Gate, clusters []string) {
		if g == nil {
			return
		}
		gate := Gate{ID: id, Stage: stage, Rule: Rule(c, inv, *g)}
		gate.Owners, gate.Unowned = campaign.Owners(inv, clusters)
		a.Gates = append(a.Gates, gate)
	}
	add(approval.GateStart, 0, c.Gates.Start, all)
	for i, s := range c.Stages {
		add(approval.GateStage(s.Name), i, s.Gate, s.In(inv))
	}
	if c.Gates.Soak != nil {
		rule := SoakRule(c, inv)
		a.Soak = &rule
	}
	return a
}

// gates are those of the instance, none of which is open.
func (a Agreement) gates() []rollout.Gate {
	var out []rollout.Gate
	for _, g := range a.Gates {
		out = append(out, rollout.Gate{ID: g.ID, Stage: g.Stage, After: g.After})
	}
	return out
}
