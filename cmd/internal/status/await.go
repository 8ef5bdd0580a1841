package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// awaits lists what the instance waits for, and what a person may type.
func awaits(s Status, c workflows.CampaignState) []Await {
	if s.Over() {
		return nil
	}
	var out []Await
	g, waits := c.Due()
	switch {
	case c.Unknown != "":
		out = append(out, unidentified(s.Instance, c.Unknown))
	case c.Change != nil && c.Change.Number == "" && c.AbortFor == "":
		out = append(out, itsNumber(c))
	case waits && !g.Expired && g.Since.IsZero():
		out = append(out, Await{For: "its request to run to be verified; gate " + g.ID + " waits for people after that"})
	case waits && !g.Expired:
		out = append(out, atGate(s.Instance, g, agreeing(c, g.ID)))
	case c.Turn != nil && c.Turn.Begun.IsZero() && c.AbortFor == "" && c.BackoutFor == "" && !waits:
		out = append(out, itsTurn(*c.Turn))
	}
	if t := c.Turn; t != nil && t.Begun.IsZero() && len(t.Stands) > 0 && c.AbortFor == "" {
		out = append(out, breakable(c, t.Stands, Await{For: "its begin at " + t.Begin.UTC().Format(time.RFC3339)}))
	}
	if c.Paused != "" && c.AbortFor == "" {
		out = append(out, paused(s, c.Paused))
	}
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			if cl.paused != "" && c.Paused == "" {
				out = append(out, Await{Cluster: cl.Name, For: "its next border, then for a person to resume it: " + cl.paused, Person: true, Type: []string{say("resume", s.Instance, cl.Name)}})
			}
			out = append(out, cl.awaits(s.Instance, soakAgreeing(c, cl), func(stands []rollout.Freeze, a Await) Await { return breakable(c, stands, a) })...)
		}
	}
	return out
}

// unidentified is an instance of which nobody can tell who asked for it: no word of anybody opens a gate before that is mended.
func unidentified(instance, why string) Await {
	a := Await{For: "its cause to clear: nobody can tell who asked for it: " + why, Person: true, Mend: true, Type: []string{say("abort", instance, "")}}
	if strings.Contains(why, "--signers FILE") {
		a.Type = append([]string{"rollpatchd --signers FILE", "rollpatch worker --signers FILE"}, a.Type...)
	}
	return a
}

// itsNumber is that of its change, which whoever keeps changes has not given yet.
func itsNumber(c workflows.CampaignState) Await {
	a := Await{For: "its change number, from " + c.Change.By, Since: c.Change.Asked}
	if i := slices.IndexFunc(c.Gates, func(g rollout.Gate) bool { return g.Opened.IsZero() }); i >= 0 {
		a.For += "; gate " + c.Gates[i].ID + " waits for people after that"
	}
	return a
}

// itsTurn is the time at which an instance of a schedule begins, to which everybody has agreed.
func itsTurn(t rollout.Turn) Await {
	if t.Trouble != "" {
		return Await{For: "its turn, and nobody can tell whether its window is open: " + t.Trouble, Mend: true}
	}
	return Await{For: "its turn: its window opens at " + t.Begin.UTC().Format(time.RFC3339)}
}

// atGate is what a gate before the start, or before a stage, waits for.
func atGate(instance string, g rollout.Gate, who approval.Gate) Await {
	a := Await{For: "people to agree at gate " + g.ID, Since: g.Since, Person: true, Type: []string{sign(who, say("approve", instance, "")), sign(who, say("reject", instance, ""))}}
	if !g.Until.IsZero() {
		a.For += ", until " + g.Until.UTC().Format(time.RFC3339)
	}
	if g.After && !g.Since.IsZero() {
		a.For += ", which this emergency owes since it began, at the latest " + g.Since.Add(rollout.OwedWithin).UTC().Format(time.RFC3339)
	}
	switch {
	case g.Trouble != "":
		a.For += ": they did, and their keys cannot be looked at: " + g.Trouble
	case g.Why != "":
		a.For += ": " + g.Why
	}
	a.For += could(who)
	return a
}

// agreeing is who may agree at a gate of the campaign.
func agreeing(c workflows.CampaignState, id string) approval.Gate {
	for _, p := range c.Agreement.Gates {
		if p.ID == id {
			return approval.Gate{Rule: p.Rule, Owners: p.Owners, Requester: requester(c)}
		}
	}
	return approval.Gate{Rule: approval.Rule{Unsigned: true}}
}

// soakAgreeing is who may agree to a cluster's soak.
func soakAgreeing(c workflows.CampaignState, cl Cluster) approval.Gate {
	g := approval.Gate{Rule: c.Agreement.SoakRule(), Requester: requester(c)}
	if cl.Owner != "" {
		g.Owners = []string{cl.Owner}
	}
	return g
}

func requester(c workflows.CampaignState) approval.Signer {
	if c.Asker.Signed() {
		return c.Asker
	}
	return approval.Claimed(c.Requester)
}

// could says who may agree, and how, where that is not anybody in any way.
func could(g approval.Gate) string {
	s := ""
	if who := g.Could(); len(who) > 0 {
		s = "; who may: " + strings.Join(who, "; ")
	}
	if !g.Rule.Unsigned {
		s += "; it must be signed, with --key or the SSH agent"
	}
	return s
}

// sign is a message as it is typed where it must be signed.
func sign(g approval.Gate, typed string) string {
	if g.Rule.Unsigned {
		return typed
	}
	return typed + " --key FILE"
}

// paused is what a hold of the whole instance waits for: what is on its way is finished first, and where nothing else is left the hold
// stops nothing.
func paused(s Status, why string) Await {
	var onItsWay []string
	left := false
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			for _, m := range cl.Members {
				if m.State == OnItsWay {
					onItsWay = append(onItsWay, m.Host)
				}
			}
			left = left || cl.State == NotBegun || cl.left() || len(cl.Members) == 0 && !cl.ended && cl.Done < cl.Total
		}
	}
	first := strings.Join(onItsWay, ", ")
	switch {
	case !left && first == "":
		return Await{For: "the claims to be given back; nothing is left to hold: " + why}
	case !left:
		return Await{For: first + " to be finished; nothing is left to hold after that: " + why}
	case first != "":
		first += " to be finished, then for "
	}
	return Await{For: first + "a person to resume it: " + why, Person: true, Type: []string{say("resume", s.Instance, ""), say("abort", s.Instance, "")}}
}

// left says that there are members whose turn is yet to come.
func (c Cluster) left() bool {
	return slices.ContainsFunc(c.Members, func(m Member) bool { return m.State == Waiting })
}

// breakable adds to a wait for the end of freezes who may break them, and what they type.
func breakable(c workflows.CampaignState, stands []rollout.Freeze, a Await) Await {
	var named []string
	for _, s := range stands {
		f, known := c.Agreement.Freeze(s.Name)
		if !known || slices.Contains(named, s.Name) {
			continue
		}
		named = append(named, s.Name)
		text := fmt.Sprintf("; freeze %q (%s to %s)", s.Name, s.From.UTC().Format(time.RFC3339), s.To.UTC().Format(time.RFC3339))
		who := approval.Gate{Rule: approval.BreakRule(f.People), Requester: requester(c)}
		switch {
		case len(f.People) == 0:
			text += " names no approvers: nobody can break it"
		case !who.Requester.Signed():
			text += " cannot be broken for this instance: its request is not signed"
		default:
			text += " may be broken by an " + strings.Join(who.Could(), "; ") + "; it must be signed, with --key or the SSH agent"
			a.Type = append(a.Type, sign(who, fmt.Sprintf("rollpatch approve %s --freeze %s --reason %q", c.Instance, s.Name, "...")))
		}
		a.For += text
	}
	return a
}

func (c Cluster) awaits(instance string, who approval.Gate, breakable func([]rollout.Freeze, Await) Await) []Await {
	var out []Await
	a := Await{Cluster: c.Name, Since: c.Since}
	state := rollout.Phase(c.State)
	if c.stuck != "" {
		out, state = append(out, c.inTrouble(a, instance)), "" // nothing else of it is waited for
	}
	if c.closed != "" && c.stuck == "" {
		out, state = append(out, breakable(c.stands, c.itsTime(a, instance))), ""
	}
	switch state {
	case rollout.PhaseGate:
		a.Person = true
		a.For = "a person to approve the soak, which passed"
		if c.Soak != nil {
			a.For = fmt.Sprintf("a person to approve soak %d, which passed", c.Soak.Number)
		}
		if c.gate != "" {
			a.For += ": " + c.gate
		}
		a.For += could(who)
		a.Type = []string{sign(who, say("approve", instance, c.Name)), sign(who, say("reject", instance, c.Name))}
		out = append(out, a)
	case rollout.PhaseAsk:
		a.For = "its campaign's word that it may back out: " + c.asksFor
		a.Type = []string{say("backout", instance, c.Name)}
		out = append(out, a)
	case rollout.PhaseHold:
		a.Person = true
		a.For = "a person: " + c.Reason
		for _, word := range c.open {
			a.Type = append(a.Type, say(word, instance, c.Name))
		}
		a.Type = append(a.Type, say("abort", instance, ""))
		out = append(out, a)
	case rollout.PhaseSoak:
		if c.Soak != nil {
			a.For = fmt.Sprintf("soak %d to pass, not before %s", c.Soak.Number, c.Soak.Ends.UTC().Format(time.RFC3339))
			a.Type = []string{say("reject", instance, c.Name)}
			out = append(out, a)
		}
	case rollout.PhaseClaim:
		if a.For = strings.TrimPrefix(c.Reason, "waiting for "); a.For == string(rollout.PhaseClaim) {
			a.For = "its claim, which it has asked for"
		}
		if strings.Contains(a.For, " is claimed by ") {
			a.Type = []string{"rollpatch claims list"}
		}
		out = append(out, a)
		for _, owner := range c.claims {
			owner.Cluster = c.Name
			out = append(out, owner)
		}
	}
	if c.untaken.Name != "" {
		out = append(out, noWorker(c.Name, "", c.untaken))
	}
	for _, m := range c.Members {
		if m.untaken.Name != "" {
			out = append(out, noWorker(c.Name, m.Host, m.untaken))
		}
		if m.frozen {
			out = append(out, Await{Cluster: c.Name, Host: m.Host, For: "the end of the freeze: " + m.waitFor, Since: m.Since, Person: true, Type: []string{`rollpatch thaw --reason "..."`}})
		}
		if m.closed {
			w := Await{Cluster: c.Name, Host: m.Host, For: "its time: " + m.waitFor, Since: m.Since}
			if c.later {
				w.Type = []string{say("backout", instance, c.Name)}
			}
			out = append(out, breakable(m.stands, w))
		}
		if m.Held {
			out = append(out, Await{Cluster: c.Name, Host: m.Host, For: "its cause to clear, or a person: " + m.waitFor, Since: m.Since, Person: true, Type: c.toMember(instance, m.Host)})
		}
	}
	return out
}

// itsTime is a window, or the end of a freeze. It goes on by itself; a freeze that a person typed ends by a person, and a way back may
// begin now.
func (c Cluster) itsTime(a Await, instance string) Await {
	switch {
	case c.frozen:
		a.For, a.Person, a.Type = "the end of the freeze: "+c.closed, true, []string{`rollpatch thaw --reason "..."`}
	default:
		a.For = "its time: " + c.closed
		if c.later {
			a.Type = []string{say("backout", instance, c.Name)}
		}
	}
	return a
}

// toMember is what may be said of a member that holds.
func (c Cluster) toMember(instance, host string) []string {
	var out []string
	for _, word := range c.open {
		switch word {
		case "retry", "skip":
			out = append(out, say(word, instance, c.Name+" --host "+host))
		case "backout":
			out = append(out, say(word, instance, c.Name))
		}
	}
	return append(out, say("abort", instance, ""))
}

// inTrouble is a claim, a release or a member's start that nobody can be asked for.
func (c Cluster) inTrouble(a Await, instance string) Await {
	a.Mend, a.Person = true, c.State == Hold
	if c.stuck == rollout.PhaseRelease { // no message ends that: an answer that was lost may have left the claim ours
		a.For = "its cause to clear, since the claim may still be ours: " + c.trouble
		return a
	}
	a.For = "its cause to clear, or a person: " + c.trouble
	if c.stuck == rollout.PhaseRoll && c.has(rollout.Patched) {
		a.Type = append(a.Type, say("backout", instance, c.Name))
	}
	a.Type = append(a.Type, say("abort", instance, ""))
	return a
}

// noWorker is an activity that nobody takes: whoever runs the workers is asked, not whoever decides of the campaign.
func noWorker(cluster, host string, a Activity) Await {
	return Await{Cluster: cluster, Host: host, For: "a worker to take " + a.Name, Since: a.Since, Person: true, Type: []string{"rollpatch worker"}}
}

func (c Cluster) has(o rollout.Outcome) bool {
	for _, m := range c.Members {
		if m.Outcome == string(o) {
			return true
		}
	}
	return false
}

// say is a message as it is typed.
func say(word, instance, cluster string) string {
	s := "rollpatch " + word + " " + instance
	if cluster != "" {
		s += " --cluster " + cluster
	}
	return s + ` --reason "..."`
}
