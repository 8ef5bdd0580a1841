package rollout

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Message is what a person sends: one JSON object that can be typed into the Temporal UI as well.
type Message struct {
	ID     string `json:"id,omitempty"` // request id; the same id twice is done once
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
	// Soak is the number of the soak that is meant; 0 means the one whose gate is open.
	Soak int `json:"soak,omitempty"`
	// For is how much longer a soak lasts, with its unit: 90m, 12h, 2d (extend).
	For string `json:"for,omitempty"`
	// Host is the member that is meant (retry, skip); empty means the one that failed, or holds. There is one at the most: a name can only be
	// the wrong one.
	Host string `json:"host,omitempty"`
	// WhenPass: it is said ahead, for a soak that passes without a finding (approve).
	WhenPass bool `json:"when_pass,omitempty"`
	// Statement and Signature are what was signed, and the armoured signature over it (approve, reject); both empty: the actor is claimed.
	Statement string `json:"statement,omitempty"`
	Signature string `json:"signature,omitempty"`
	// Proven: the actor is who signed it. Nobody can say that of himself.
	Proven bool `json:"-"`
}

// by is who says it, and that the name is claimed where it is.
func (m Message) by() string {
	if m.Proven {
		return m.Actor
	}
	return m.Actor + " (claimed)"
}

// Check says what is missing in a message.
func (m Message) Check() error {
	switch {
	case m.Actor == "":
		return errors.New(`actor is missing: send {"actor": "<your name>", "reason": "<why>"}`)
	case m.Reason == "":
		return errors.New(`reason is missing: send {"actor": "<your name>", "reason": "<why>"}`)
	}
	return nil
}

// MayApprove says why a soak cannot be approved now, or nil.
func (c Cluster) MayApprove(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	switch {
	case m.WhenPass && c.GateNo() == 0:
		return fmt.Errorf("cluster %q: no soak is left to agree to, it is in %s", c.Name, c.Phase)
	case m.WhenPass && m.Soak != 0 && m.Soak != c.GateNo():
		return fmt.Errorf("cluster %q: soak %d comes next, not soak %d", c.Name, c.GateNo(), m.Soak)
	case m.WhenPass:
		return nil
	case c.Phase == PhaseSoak:
		return fmt.Errorf("cluster %q: soak %d has not ended: it runs until %s%s", c.Name, c.SoakNo, stamp(c.SoakEnds), c.watched())
	case c.Phase != PhaseGate:
		return fmt.Errorf("cluster %q: nothing waits for approval, it is in %s", c.Name, c.Phase)
	case m.Soak != 0 && m.Soak != c.SoakNo:
		return fmt.Errorf("cluster %q: soak %d waits for approval, not soak %d", c.Name, c.SoakNo, m.Soak)
	case c.Verdict != Pass:
		return fmt.Errorf("cluster %q: soak %d cannot be approved while its verdict is %s%s", c.Name, c.SoakNo, c.Verdict, because(c.Watched))
	}
	return nil
}

// MayReject says why nothing can be rejected now, or nil.
func (c Cluster) MayReject(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if c.Phase != PhaseSoak && c.Phase != PhaseGate {
		return fmt.Errorf("cluster %q: no soak to reject, it is in %s; to bring patched members back, use backout", c.Name, c.Phase)
	}
	if m.Soak != 0 && m.Soak != c.SoakNo {
		return fmt.Errorf("cluster %q: soak %d is open, not soak %d", c.Name, c.SoakNo, m.Soak)
	}
	return nil
}

// MayBackout says why nothing can be backed out now, or nil.
func (c Cluster) MayBackout(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if c.Outcome != "" || c.Phase == PhaseRelease {
		return fmt.Errorf("cluster %q has ended: start a new instance", c.Name)
	}
	if c.Phase == PhaseHold && c.BackoutFor != "" {
		what, word := "to try that again", "retry"
		if c.stopped() {
			what, word = "to have that go on", "resume"
		}
		return fmt.Errorf("cluster %q: it is on its way back already: %s; %s: rollpatch %s %s --cluster %s", c.Name, c.HoldFor, what, word, c.Instance, c.Name)
	}
	if _, running := c.running(); c.patchedCount() == 0 && !running {
		return fmt.Errorf("cluster %q: no member is patched, nothing to back out", c.Name)
	}
	return nil
}

// Backout brings every patched member back; a member on its way is finished first. Reject is the same, said at a soak.
func (c Cluster) Backout(m Message, word string, now time.Time) Cluster {
	if c.MayBackout(m) != nil {
		return c
	}
	c.Outbox.tell(TellBackout, "", "cluster "+c.Name+": "+m.by()+" said "+word+": "+m.Reason, "rollpatch watch "+c.Instance)
	why := word + " by " + m.by() + ": " + m.Reason
	c = c.suspect(why, now).backout(why, now)
	if word != "reject" { // which has time until the window
		c = c.unbind()
	}
	return c
}

// Hold takes effect at the next border: never between a member's drain and undrain.
func (c Cluster) Hold(m Message) Cluster {
	c.Paused = m.Reason + " (" + m.Actor + ")"
	return c
}

// Unpause ends an operator's hold, and nothing else: a hold after a failure wants a word of its own.
func (c Cluster) Unpause() Cluster {
	c.Paused = ""
	return c
}

// Resume ends an operator's hold, and has what the breaker stopped go on: a refused soak from its beginning, a way back that was begun. A
// hold for a member that failed wants a word that says what becomes of it.
func (c Cluster) Resume(m Message, now time.Time) Cluster {
	if c.MayResume(m) != nil {
		return c
	}
	goesOn := c.goesOn()
	if c.Paused = ""; !goesOn {
		return c
	}
	spared := c.AskFor != ""
	c.HoldFor, c.StopCampaign, c.AskFor = "", "", ""
	switch {
	case c.BackoutFor != "":
		c.Auto = false // a person says so
	case spared:
		c.AskSoak = false
		for _, s := range c.failedMembers() {
			if s.Outcome.Safe() {
				c = c.again(s.Host)
			}
		}
		if unsafe := c.failedMembers(); len(unsafe) > 0 { // of one that is not safe nobody has said yet what becomes of it
			return c.hold(unsafe[0].Host+" is "+string(unsafe[0].Outcome)+because(unsafe[0].Reason), now)
		}
		return c.watchAnew(now)
	case c.Gate.Expired:
		return c.resoak(now)
	case c.Restarts > mostRestarts:
		c.Restarts = 0
		for _, m := range c.Members {
			c = c.slot(m.Host, func(s *Slot) { s.Pulse = nil }) // who has it go on knows what happened meanwhile
		}
		return c.soakAnew(now)
	}
	return c.to(PhaseRoll, now).border(now)
}

// aborted says why it ends, and what stays as it is then.
func (c Cluster) aborted() string {
	if n := c.patchedCount(); n > 0 {
		return c.AbortFor + "; members that stay patched: " + strconv.Itoa(n)
	}
	return c.AbortFor
}

// Abort starts nothing new. A soaking canary stays patched and is reported.
func (c Cluster) Abort(m Message, now time.Time) Cluster {
	if c.Outcome != "" || c.AbortFor != "" || c.Phase == PhaseRelease {
		return c
	}
	c.AbortFor = "aborted by " + m.Actor + ": " + m.Reason
	if c.Phase == PhaseClaim {
		if !c.NextAsk.After(now) {
			return c // the claim that is in flight answers first, or it would outlive its release
		}
		return c.finish(ClusterAborted, c.aborted(), now)
	}
	return c.border(now)
}
