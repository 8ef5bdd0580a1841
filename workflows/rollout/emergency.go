package rollout

import (
	"strconv"
	"strings"
	"time"
)

// An emergency is agreed to by one named person before it begins, and by everybody else afterwards. It waits for no window, soaks for a
// shorter time, and what fails stays out of service as it is: its way back would open the hole again, and a person says so. Where another
// instance has its cluster, that one hands it over at its next safe point, and never in the midst of a member. Claims, P1 and P2 are what
// they always are.

// OwedWithin is how long the usual approval of an emergency may take once it has begun.
const OwedWithin = 24 * time.Hour

// Yield has the cluster handed over to an emergency's at its next safe point: with no member on its way, and no way back begun. What an
// emergency has it keeps.
func (c Cluster) Yield(to string, now time.Time) Cluster {
	if c.Outcome != "" || c.Ending != "" || c.Policy.Emergency || to == "" {
		return c
	}
	c.YieldTo = to
	switch _, running := c.running(); {
	case running, c.BackoutFor != "", c.AbortFor != "", c.Refused != "": // its next border sees to it
	case c.yieldsUnclaimed() && c.NextAsk.After(now): // else the question that is in flight answers first
		return c.superseded(now)
	case c.Phase == PhaseRoll, c.Phase == PhaseSettle, c.Phase == PhaseSoak, c.Phase == PhaseGate, c.Phase == PhaseHold:
		return c.superseded(now)
	}
	return c
}

// yieldsUnclaimed says that it hands over a claim that may be its own, although no answer said so.
func (c Cluster) yieldsUnclaimed() bool {
	return c.YieldTo != "" && c.Phase == PhaseClaim && c.Claimed
}

// superseded ends it for the emergency. What it leaves unfinished is named: a debt that nobody else remembers.
func (c Cluster) superseded(now time.Time) Cluster {
	why := "taken over by an emergency (" + c.YieldTo + ")"
	switch c.Phase {
	case PhaseSoak, PhaseGate:
		why += "; soak " + strconv.Itoa(c.SoakNo) + " since " + stamp(c.Since) + " is not finished: it was to end at " + stamp(c.SoakEnds) + c.watched()
	case PhaseHold:
		why += "; it held" + because(c.HoldFor)
	}
	var patched, others []string
	for _, m := range c.Members {
		if m.Outcome == Patched {
			patched = append(patched, m.Host)
		} else if m.Outcome != Unchanged {
			others = append(others, m.Host)
		}
	}
	if len(patched) > 0 {
		why += "; patched: " + strings.Join(patched, ", ")
	}
	if len(others) > 0 {
		why += "; not patched: " + few(others)
	}
	return c.finish(ClusterSuperseded, why, now)
}

// HandsOverTo is who takes its claim over as it ends: it is never free in between. Empty: it is given back.
func (c Cluster) HandsOverTo() string {
	if c.Ending != ClusterSuperseded {
		return ""
	}
	return c.YieldTo
}

// contend is the wait for a claim that another instance has: an emergency's is told, and what others were to hand over nobody wants any more.
func (c Cluster) contend(r ClaimResult, now time.Time) Cluster {
	if r.Held {
		c.YieldTo = "" // it has nothing to hand over
	}
	if c.Policy.Emergency && r.Held && c.WaitFor == "" {
		text := "the emergency in cluster " + c.Name + " waits: " + r.Reason
		if len(r.Holders) > 0 {
			text += "; it is handed over as soon as no member is on its way there"
		}
		c.Outbox.tell(TellWait, "", text, "rollpatch why "+c.Instance)
	}
	return c
}

// keeps says that what failed is not undone by itself: it stays out of service until a person says backout. An abort is no such word.
func (m Member) keeps() bool {
	return m.Policy.Keep && m.Failed && !m.BackOut && !m.Unbound
}

// stays says that nobody is going to say so any more: out of service as it is, it goes on record.
func (m Member) stays() bool { return m.keeps() && m.Abort && m.Proven && m.out() }

// ApplyBackout is an abort by a person who said backout: what fails, or has failed, gets its former versions back in an emergency too.
func (m Member) ApplyBackout(now time.Time) Member {
	m.Unbound = m.Unbound || m.Policy.Keep
	return m.ApplyAbort(now)
}

// kept is what people read of such a one.
const kept = "an emergency is not undone by itself: the former versions have what it was for"

// due is the gate that people may agree to now: one that keeps the campaign, or one that is owed afterwards; -1: none.
func (c Campaign) due() int {
	if i := c.awaits(); i >= 0 {
		return i
	}
	return c.owed()
}

// Due is that gate.
func (c Campaign) Due() (Gate, bool) {
	if i := c.due(); i >= 0 {
		return c.Gates[i], true
	}
	return Gate{}, false
}

// owed is the first gate that is agreed to afterwards, and is not yet; -1: none. Who ends the emergency ends that too: its reason says so.
func (c Campaign) owed() int {
	if c.Outcome != "" || c.AbortFor != "" || c.BackoutFor != "" || c.awaits() >= 0 {
		return -1
	}
	for i, g := range c.Gates {
		if g.After && g.Opened.IsZero() {
			return i
		}
	}
	return -1
}

// Owes is the approval that an emergency still owes.
func (c Campaign) Owes() (Gate, bool) {
	if i := c.owed(); i >= 0 {
		return c.Gates[i], true
	}
	return Gate{}, false
}

// onlyOwes says that its work is over, and nothing but people's words is missing.
func (c Campaign) onlyOwes() bool {
	if c.owed() < 0 {
		return false
	}
	for _, r := range c.Clusters {
		if r.Outcome == "" && r.Stage <= c.Stage {
			return false
		}
	}
	return true
}

// conveneAfter lets people agree to what has begun, and tells them every day what is overdue.
func (c Campaign) conveneAfter(now time.Time) Campaign {
	if c.owed() < 0 {
		return c
	}
	for i, g := range c.Gates {
		if g.After && g.Since.IsZero() {
			g.Since = now
			c = c.gate(i, g)
		}
	}
	if due := c.owedDue(); !now.Before(due) {
		g, _ := c.Owes()
		c.OwedTold = now
		c.Outbox.tell(TellGate, "", "the approval of emergency "+c.Instance+c.urgently()+" is overdue since "+stamp(g.Since.Add(OwedWithin))+": gate "+g.ID+because(g.Why)+g.who(), g.Type(c.Instance))
	}
	return c
}

// Advisory is one that an emergency names.
type Advisory struct {
	ID       string   `json:"id"`
	Summary  string   `json:"summary,omitempty"`
	Fixed    []string `json:"fixed,omitempty"`    // in which versions of which source packages
	Packages []string `json:"packages,omitempty"` // that it brings
}

// String is it in one line, as people are told of it.
func (a Advisory) String() string {
	text := a.ID
	if a.Summary != "" {
		text += ": " + a.Summary
	}
	if len(a.Fixed) > 0 {
		text += ", fixed in " + strings.Join(a.Fixed, ", ")
	}
	return text
}

// urgently names the packages of an emergency and its advisories, behind its name: who is woken for it sees what for.
func (c Campaign) urgently() string {
	if c.Emergency == "" {
		return ""
	}
	text := ", for " + c.Emergency
	for i, a := range c.Advisories {
		text += map[bool]string{true: " (", false: "; "}[i == 0] + a.String()
	}
	if len(c.Advisories) > 0 {
		text += ")"
	}
	return text + ","
}

// owedDue is when people are told next that it is overdue.
func (c Campaign) owedDue() time.Time {
	g, owed := c.Owes()
	switch {
	case !owed, g.Since.IsZero():
		return time.Time{}
	case c.OwedTold.IsZero():
		return g.Since.Add(OwedWithin)
	}
	return c.OwedTold.Add(RemindEvery)
}

// judgedAfter applies how a gate stands that is agreed to afterwards. A no ends what is left to do; what was done stays as it is.
func (c Campaign) judgedAfter(i int, g Gate, j Judgment, now time.Time) Campaign {
	switch {
	case j.Rejected != "":
		c = c.gate(i, g)
		c.AbortFor = "gate " + g.ID + " was rejected afterwards by " + j.Rejected
		return c.border(now)
	case j.Open && j.Proven:
		g.Opened = now
		c.OwedTold = time.Time{}
		c.Approvals = append(c.Approvals[:len(c.Approvals):len(c.Approvals)], j.By...)
		return c.gate(i, g).border(now)
	}
	return c.gate(i, g)
}

// owing is what people read of an approval that is owed; empty: none is.
func (c Campaign) owing() string {
	g, owed := c.Owes()
	if !owed {
		return ""
	}
	s := "; owes the usual approval of gate " + g.ID
	if g.Since.IsZero() {
		return s
	}
	if !c.OwedTold.IsZero() {
		return s + ", overdue since " + stamp(g.Since.Add(OwedWithin)) + because(g.Why)
	}
	return s + " until " + stamp(g.Since.Add(OwedWithin)) + because(g.Why)
}

// earlier is the first of two times that is still to come; zero: neither is.
func earlier(a, b, now time.Time) (first time.Time) {
	for _, t := range []time.Time{a, b} {
		if t.After(now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
