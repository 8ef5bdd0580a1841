package rollout

import "time"

// A change is what an instance is in the books of whoever keeps changes. Nothing begins, and nobody is asked to agree, before its number is
// known; and who gave it is told how the instance ended. Nobody's host waits for that.

// The two things that whoever keeps changes is asked for.
const (
	ChangeOpen  = "open"
	ChangeClose = "close"
)

// Change is how that stands.
type Change struct {
	By      string        `json:"by"`               // for people: the program, or that it is a URL
	Timeout time.Duration `json:"timeout"`          // of one attempt
	Within  time.Duration `json:"within"`           // how long it is asked again
	Asked   time.Time     `json:"asked,omitzero"`   // since when; from then on somebody may have opened one
	Number  string        `json:"number,omitempty"` // the answer
	Refused string        `json:"refused,omitempty"`
	Unknown string        `json:"unknown,omitempty"` // why there was no answer in time: whether one is open nobody knows
	Told    time.Time     `json:"told,omitzero"`     // how it ended
	Untold  string        `json:"untold,omitempty"`  // why that could not be told
}

// pending says that there is no answer yet.
func (c *Change) pending() bool {
	return c != nil && c.Number == "" && c.Refused == "" && c.Unknown == ""
}

// changeActions are what is to be asked of whoever keeps changes. What was asked is waited for also when the instance has ended meanwhile: the
// number that comes has to be told how it did.
func (c Campaign) changeActions() []Action {
	switch h := c.Change; {
	case h == nil:
	case h.pending() && (!h.Asked.IsZero() || c.Outcome == "" && c.Paused == "" && c.AbortFor == "" && c.BackoutFor == ""):
		return []Action{{ID: "change." + ChangeOpen, Do: DoChange, Name: ChangeOpen}}
	case c.Outcome != "" && (h.Number != "" || h.Unknown != "") && h.Told.IsZero() && h.Untold == "":
		return []Action{{ID: "change." + ChangeClose, Do: DoChange, Name: ChangeClose}}
	}
	return nil
}

// changed is c with another standing of its change.
func (c Campaign) changed(set func(*Change)) Campaign {
	if c.Change == nil {
		return c
	}
	h := *c.Change
	set(&h)
	c.Change = &h
	return c
}

// ChangeAsked records that a number is asked for; applied before that is done.
func (c Campaign) ChangeAsked(now time.Time) Campaign {
	return c.changed(func(h *Change) {
		if h.Asked.IsZero() {
			h.Asked = now
		}
	})
}

// ChangeOpened is the number. The first one counts.
func (c Campaign) ChangeOpened(number string) Campaign {
	if !c.Change.pending() {
		return c
	}
	return c.changed(func(h *Change) { h.Number = number })
}

// ChangeRefused ends an instance that whoever keeps changes does not want.
func (c Campaign) ChangeRefused(why string, now time.Time) Campaign {
	if !c.Change.pending() {
		return c
	}
	c = c.changed(func(h *Change) { h.Refused = why })
	return c.withoutNumber("its change was refused by "+c.Change.By+": "+why, now)
}

// ChangeUnknown ends one that nobody answered for in time: without a number nothing begins (P10).
func (c Campaign) ChangeUnknown(why string, now time.Time) Campaign {
	if !c.Change.pending() {
		return c
	}
	c = c.changed(func(h *Change) { h.Unknown = why })
	return c.withoutNumber("no change number from "+c.Change.By+" within "+c.Change.Within.String()+": "+why, now)
}

func (c Campaign) withoutNumber(why string, now time.Time) Campaign {
	if c.Outcome != "" { // by a person, meanwhile
		return c
	}
	next := "rollpatch run CAMPAIGN.yaml"
	if c.Turn != nil {
		next = "rollpatch schedule trigger " + c.Name + ` --reason "..."; the schedule makes one at its next firing anyway`
	}
	return c.NotStarted(why+"; no host was touched; once that is mended, start another instance: "+next, now)
}

// ChangeTold records that whoever keeps changes knows how it ended.
func (c Campaign) ChangeTold(now time.Time) Campaign {
	return c.changed(func(h *Change) { h.Told = now })
}

// ChangeUntold gives that up, and tells a person, who can say it himself.
func (c Campaign) ChangeUntold(why string) Campaign {
	if c.Change == nil || c.Change.Untold != "" || !c.Change.Told.IsZero() {
		return c
	}
	c = c.changed(func(h *Change) { h.Untold = why })
	name := c.Change.Number
	if name == "" {
		name = "that may have been opened for it"
	}
	c.Outbox.tell(TellFail, "", "campaign "+c.Instance+" ended "+string(c.Outcome)+", and "+c.Change.By+" could not be told: "+why+"; close the change "+name+" by hand", "rollpatch report "+c.Instance)
	return c
}

// waits is what people read while there is no number; empty when there is one.
func (c *Change) waits() string {
	switch {
	case !c.pending():
		return ""
	case c.Asked.IsZero():
		return "; nothing begins before " + c.By + " gives it a change number"
	}
	return "; waits for a change number of " + c.By + ", asked for since " + stamp(c.Asked) + ", for at most " + c.Within.String()
}
