package main

import (
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// agreements say before what a plan asks for people's words, and for whose: a line for each gate.
func agreements(pl plan.Plan) []string {
	var lines []string
	for _, g := range pl.Agreement.Gates {
		before := "anything begins"
		if g.After {
			lines = append(lines, "within "+rollout.OwedWithin.String()+" after it began, gate "+g.ID+": "+whoAgrees(g.Rule, g.Owners))
			continue
		}
		if g.ID == approval.GateEmergency {
			lines = append(lines, "before anything begins: "+whoAgrees(g.Rule, nil)+" ("+approvers(g.Rule)+")")
			continue
		}
		if g.ID != approval.GateStart {
			before = "stage " + pl.Stages[g.Stage].Name + " begins"
		}
		lines = append(lines, "before "+before+": "+whoAgrees(g.Rule, g.Owners))
	}
	if asks := soaksEnd(pl, "person"); len(asks) > 0 {
		lines = append(lines, "before the peers of "+strings.Join(asks, ", ")+" follow their canary, when its soak has passed: "+whoAgrees(pl.Agreement.SoakRule(), nil))
	}
	return lines
}

// soaksEnd lists the clusters whose soaks end so: by person, or by policy.
func soaksEnd(pl plan.Plan, by string) []string {
	var names []string
	for _, s := range pl.Stages {
		for _, c := range s.Clusters {
			if approvalOf(c) == by {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// whoAgrees is whose word a gate asks for. owners are those of the clusters behind it; none: each cluster's own.
func whoAgrees(r approval.Rule, owners []string) string {
	words := many(r.Quorum, "signed approval")
	if r.Unsigned {
		words = many(r.Quorum, "approval")
	}
	var roles []string
	each := len(r.Roles) > 1
	for _, role := range r.Roles {
		text := string(role) + "s"
		if role == approval.Owner {
			text = "the cluster's owner"
			if len(owners) > 0 {
				text = "owners (" + strings.Join(owners, ", ") + ")"
			}
			each = each || len(owners) > 1
		}
		roles = append(roles, text)
	}
	if len(roles) > 0 {
		words += " by " + strings.Join(roles, " or ")
	}
	if each {
		words = "at least " + words + ", and one for each of these"
	}
	if !r.AnyRequester {
		words += ", not counting whoever asked for it"
	}
	if r.Expiry > 0 {
		end := "it holds"
		if r.OnExpiry == approval.ExpiryAborts {
			end = "it is aborted"
		}
		words += fmt.Sprintf("; without that within %s %s", inventory.Duration(r.Expiry), end)
	}
	return words
}

// approversOf are the people whose words count at the plan's gates. Every gate has the same.
func approversOf(pl plan.Plan) []approval.Approver {
	if gates := pl.Agreement.Gates; len(gates) > 0 {
		return gates[0].Rule.Approvers
	}
	return pl.Agreement.SoakRule().Approvers
}

func rolesOf(a approval.Approver) string {
	var roles []string
	for _, r := range a.Roles {
		roles = append(roles, string(r))
	}
	return strings.Join(roles, ", ")
}

// agreement prints who must agree, where the campaign asks for more than one word of anybody.
func (p printer) agreement(pl plan.Plan) {
	if len(pl.Agreement.Gates) == 0 && pl.Agreement.Soak == nil {
		return
	}
	for _, line := range agreements(pl) {
		fmt.Fprintln(p.w, line)
	}
	var who []string
	for _, a := range approversOf(pl) {
		as := rolesOf(a)
		if len(a.Owns) > 0 {
			as = strings.TrimPrefix(as+", owner: "+strings.Join(a.Owns, ", "), ", ")
		}
		who = append(who, a.Principal+inBrackets(as))
	}
	if len(who) > 0 {
		fmt.Fprintf(p.w, "approvers: %s\n", strings.Join(who, "; "))
	}
}
