package rollout

import (
	"strconv"
	"time"
)

// An instance that a schedule made is there before its window, so that people can agree to its plan. Nothing of it begins before its turn comes:
// its window opens, everybody has agreed by then, and no freeze stands against it. A turn that passes without that is told, and the next
// window is tried.

// Turn is when an instance of a schedule may begin.
type Turn struct {
	Begin time.Time `json:"begin"`           // its window opens
	Last  time.Time `json:"last,omitzero"`   // when the schedule makes the next instance: no window from then on is tried
	Unmet string    `json:"unmet,omitempty"` // why it does not begin in this window, although that is open
	Past  int       `json:"past,omitempty"`  // windows that passed without a start

	Asked   int       `json:"asked,omitempty"`
	NextAsk time.Time `json:"next_ask,omitzero"`
	Trouble string    `json:"trouble,omitempty"` // why nobody can tell whether the window is open
	Stands  []Freeze  `json:"stands,omitempty"`  // the freezes that keep it from an earlier begin
	Wanted  time.Time `json:"wanted,omitzero"`   // when the schedule would have it begin: never before, whatever is broken
	Anew    bool      `json:"anew,omitempty"`    // which freezes are broken has changed since that was asked

	Begun time.Time `json:"begun,omitzero"`
}

// Opening is what windows and freezes say when a turn comes.
type Opening struct {
	OK      bool      `json:"ok,omitempty"`
	Why     string    `json:"why,omitempty"`     // it is not
	Next    time.Time `json:"next,omitzero"`     // when the next window opens; zero: none does within what is known
	Unknown string    `json:"unknown,omitempty"` // why nobody can tell
	Stands  []Freeze  `json:"stands,omitempty"`  // the freezes that keep it from beginning
}

// turnAgain is how long it takes until windows that nobody could read are asked again.
const turnAgain = time.Minute

// turns says that its turn is still to come.
func (c Campaign) turns() bool {
	return c.Turn != nil && c.Turn.Begun.IsZero() && c.Outcome == "" && c.AbortFor == "" && c.BackoutFor == ""
}

// due says that its window opens now, or did.
func (t Turn) due(now time.Time) bool { return !now.Before(t.Begin) }

// From is the time that windows and freezes are asked for.
func (t Turn) From(now time.Time) time.Time {
	if t.Wanted.After(now) {
		return t.Wanted
	}
	return now
}

// turn adds what comes next while its turn is still to come.
func (c Campaign) turn(d Decision, now time.Time) Decision {
	t := c.Turn
	wake := t.Begin
	if !t.due(now) && t.Anew && !t.NextAsk.After(now) {
		d.Start = append(d.Start, Action{ID: turnID(t.Asked), Do: DoTurn})
	}
	if t.due(now) {
		wake = t.NextAsk
		if _, waits := c.Awaits(); waits && t.Unmet == "" {
			wake = time.Time{} // they have agreed, and their keys are looked at
		} else if !t.NextAsk.After(now) {
			d.Start = append(d.Start, Action{ID: turnID(t.Asked), Do: DoTurn})
		}
	}
	if wake.After(now) && (d.WakeAt.IsZero() || wake.Before(d.WakeAt)) {
		d.WakeAt = wake
	}
	return d
}

func turnID(n int) string { return "turn." + strconv.Itoa(n) }

// TurnDue applies the time: who has not agreed when the window opens has not agreed to it, and who holds the campaign then keeps it out of it.
func (c Campaign) TurnDue(now time.Time) Campaign {
	if !c.turns() || !c.Turn.due(now) || c.Turn.Unmet != "" {
		return c
	}
	t := *c.Turn
	g, waits := c.Awaits()
	switch {
	case c.Unknown != "":
		t.Unmet = "nobody can tell who asked for it: " + c.Unknown
	case waits && !g.Proving && !c.unlooked(g):
		t.Unmet = "it was not approved by " + stamp(t.Begin) + ": gate " + g.ID + " " + g.Why
	case c.Paused != "":
		t.Unmet = "it is held: " + c.Paused
	default:
		return c
	}
	c.Turn = &t
	return c
}

// TurnAsked applies what windows and freezes say.
func (c Campaign) TurnAsked(id string, o Opening, now time.Time) Campaign {
	if !c.turns() || id != turnID(c.Turn.Asked) || !c.Turn.due(now) && !c.Turn.Anew {
		return c
	}
	c = c.TurnDue(now) // what was said while it was asked counts
	t := *c.Turn
	c.Turn = &t
	t.Asked++
	t.Anew, t.Stands = false, o.Stands
	if !t.due(now) {
		return c.anew(o, now)
	}
	why := t.Unmet
	switch {
	case o.Unknown != "":
		if t.Trouble == "" {
			c.Outbox.tell(TellWait, "", c.Instance+" waits with its begin, because nobody can tell whether its window is open: "+o.Unknown, "rollpatch status "+c.Instance)
		}
		t.Trouble, t.NextAsk = o.Unknown, now.Add(turnAgain)
		return c
	case o.OK && why == "":
		t.Begun, t.Trouble, t.NextAsk = now, "", time.Time{}
		return c
	case why == "":
		why = o.Why
	}
	missed := t.Begin
	t.Begin, t.Unmet, t.Trouble, t.NextAsk, t.Past = o.Next, "", "", time.Time{}, t.Past+1
	if o.Next.IsZero() || !t.Last.IsZero() && !o.Next.Before(t.Last) {
		t.Begin = missed
		last := "; no other window opens"
		if !t.Last.IsZero() {
			last += " before the schedule's next instance is made at " + stamp(t.Last)
		}
		c.Outbox.tell(TellSkip, "", c.Instance+" does not begin in its window: "+why+last, "rollpatch schedule list")
		return c.finish(CampaignAborted, "not started: "+why+last, now)
	}
	c.Outbox.tell(TellSkip, "", c.Instance+" does not begin in its window: "+why+"; the next one that it tries opens at "+stamp(t.Begin), "rollpatch status "+c.Instance)
	return c
}

// anew applies what windows say since other freezes are broken than before. An open window is begun in where nobody is waited for; where
// somebody is, the next one is his.
func (c Campaign) anew(o Opening, now time.Time) Campaign {
	t, at := c.Turn, c.Turn.From(now)
	_, waits := c.Awaits()
	switch {
	case o.Unknown != "":
		t.Anew, t.NextAsk = true, now.Add(turnAgain)
		return c
	case o.OK && (!waits || at.After(now)):
		t.Begin = at
	case !o.Next.IsZero() && (t.Last.IsZero() || o.Next.Before(t.Last)):
		t.Begin = o.Next
	}
	t.NextAsk = time.Time{}
	return c
}

// begins is what people read while its turn is still to come.
func (c Campaign) begins() string {
	if !c.turns() {
		return ""
	}
	s := "; begins at " + stamp(c.Turn.Begin)
	if !c.approved(c.Stage) {
		s += " if everybody has agreed by then"
	}
	if c.Turn.Trouble != "" {
		s = "; begins when somebody can tell that its window is open: " + c.Turn.Trouble
	}
	if c.Turn.Past > 0 {
		s += ", after " + strconv.Itoa(c.Turn.Past) + one(c.Turn.Past, " window", " windows") + " without a start"
	}
	return s
}

// NeverBegan says that an instance of a schedule ended before its turn: nothing was touched, and nothing failed.
func (c Campaign) NeverBegan() bool { return c.Turn != nil && c.Turn.Begun.IsZero() }
