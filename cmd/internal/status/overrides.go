package status

import (
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Override is a rule that a person had not apply, in one place.
type Override struct {
	Rule    string    `json:"rule"`         // what they are counted by: one of those below
	Of      string    `json:"of,omitempty"` // the check, the freeze or the versions that are meant
	Cluster string    `json:"cluster,omitempty"`
	Host    string    `json:"host,omitempty"` // without either, the whole instance
	By      string    `json:"by"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"` // zero: with its cluster, or the instance
	InForce bool      `json:"in_force"`
}

// The rules that are got out of the way, by the word or the key that does it.
const (
	AcceptImpact = "accept_impact"
	AcceptCheck  = "accept"
	BreakFreeze  = "freeze"
	Emergency    = "emergency"
	Skip         = "skip"
	BackoutNow   = "backout outside windows"
	Breaker      = "breaker"
	StopAfter    = "stop_after"
	BreakClaim   = "claims break"
	ReleaseThem  = "quarantine release"
)

// overridesOf are those of the whole instance.
func overridesOf(c workflows.CampaignState, now time.Time) (out []Override) {
	going := c.Outcome == ""
	for _, a := range c.Approvals {
		o := Override{By: whose(a.Actor, a.Claimed), Reason: a.Reason, Since: a.At}
		name, from, to, broken := approval.FreezeOf(a.Gate)
		switch {
		case broken:
			o.Rule, o.Of, o.Until = BreakFreeze, name, a.Until
			o.InForce = going && now.Before(a.Until) && slices.ContainsFunc(c.Broken, func(b rollout.Broken) bool {
				return b.Name == name && b.From.Equal(from) && b.To.Equal(to)
			})
		case a.Gate == approval.GateEmergency:
			o.Rule, o.Of, o.InForce = Emergency, c.Emergency, going
		default:
			continue
		}
		out = append(out, o)
	}
	for _, h := range c.Holds {
		by, resumed := strings.CutPrefix(h.By, "resume by ")
		why, stopped := strings.CutPrefix(h.Why, "stopped: ")
		if !resumed || !stopped {
			continue
		}
		o := Override{Rule: StopAfter, By: by, Reason: why, Since: h.Until, InForce: going}
		if strings.HasPrefix(why, "a shared fault: ") {
			o.Rule = Breaker
		}
		out = append(out, o)
	}
	return out
}

// asker is who asked for the instance, with his files.
func asker(c workflows.CampaignState) string {
	if c.Asker.Signed() {
		return c.Asker.Name()
	}
	return whose(c.Requester, true)
}

func whose(actor string, claimed bool) string {
	if claimed {
		return actor + " (claimed)"
	}
	return actor
}

// overridesIn are those of one cluster that has begun. What files say is of whoever asked for the instance with them.
func overridesIn(c workflows.ClusterState, p plan.Part, asker string, now time.Time) (out []Override) {
	going := c.Outcome == ""
	add := func(o Override) {
		o.InForce = going && (o.Until.IsZero() || now.Before(o.Until))
		out = append(out, o)
	}
	for _, o := range append([]plan.Other{{Cluster: p.Cluster, Accepted: p.Accepted, Until: p.Until}}, p.Others...) {
		if o.Accepted != "" {
			add(Override{Rule: AcceptImpact, Cluster: o.Cluster.Name, By: asker, Reason: o.Accepted, Until: o.Ends()})
		}
	}
	for _, s := range c.Members {
		for _, a := range s.Accepted {
			until, _ := inventory.EndOf(a.Until) // the inventory was valid
			add(Override{Rule: AcceptCheck, Of: a.Check, Cluster: c.Name, Host: s.Host, By: asker, Reason: a.Reason, Until: until})
		}
		if s.Left {
			add(Override{Rule: Skip, Cluster: c.Name, Host: s.Host, By: skipped(c.Holds, s.Host), Reason: s.Reason})
		}
	}
	if c.Unbound {
		o := Override{Rule: BackoutNow, Cluster: c.Name, Reason: c.BackoutFor}
		if _, said, ok := strings.Cut(c.BackoutFor, " by "); ok {
			o.By, o.Reason, _ = strings.Cut(said, ": ")
		}
		add(o)
	}
	return out
}

// skipped is who had a member left as it is: a person, in the hold that it brought about, or else the policy.
func skipped(holds []rollout.HeldFor, host string) string {
	for _, h := range holds {
		if by, ok := strings.CutPrefix(h.By, "skip by "); ok && strings.HasPrefix(h.Why, host+" ") {
			return by
		}
	}
	return "policy.on_failure, or a word while the member held"
}

// once leaves out what two clusters say of a third.
func once(all []Override) (out []Override) {
	for _, o := range all {
		same := func(x Override) bool {
			return x.Rule == o.Rule && x.Of == o.Of && x.Cluster == o.Cluster && x.Host == o.Host && x.Since.Equal(o.Since)
		}
		if i := slices.IndexFunc(out, same); i < 0 {
			out = append(out, o)
		} else {
			out[i].InForce = out[i].InForce || o.InForce
		}
	}
	return out
}

// InForce counts the overrides that still keep a rule from applying.
func (s Status) InForce() int {
	n := 0
	for _, o := range s.Overrides {
		if o.InForce {
			n++
		}
	}
	return n
}
