package rollout

import (
	"strconv"
	"time"
)

// Windows and freezes (P7). A cluster asks them before it starts a member, and waits with no member on its way: then its soak's checks
// still have peers to compare with, what is fetched is fetched on the night, and whatever a person says takes effect at once. A member
// asks again before it is drained, before its patch and before a way back. One that was begun is finished.

// Ask is what the gate asks windows and freezes.
type Ask string

// What may be asked. Nothing is asked where no windows are, and while a member that was changed is brought to its end.
const (
	AskFit    Ask = "fit"    // does it fit: is a window open for as long as a host needs, its backout included?
	AskOpen   Ask = "open"   // is a window still open, for one that was begun?
	AskFreeze Ask = "freeze" // is there a freeze? No window is asked for
)

// CutoffFinish has a member that is drained and unchanged finished when its window closes. Whatever else is said means that it goes back.
const CutoffFinish = "finish"

// OnFailWait leaves members whose soak failed in service while no window is open. Whatever else is said takes them out of service, as far
// as their peers allow.
const OnFailWait = "wait"

const (
	// windowEvery is how often windows and freezes are read anew by who waits for one: calendars change.
	windowEvery = time.Hour
	// fitCounts is how long a cluster begins on what they said.
	fitCounts = 5 * time.Minute
)

// FitResult is what windows and freezes say to a cluster that would start a member.
type FitResult struct {
	OK     bool      `json:"ok"`
	Closed string    `json:"closed,omitempty"` // why no host may begin now
	Next   time.Time `json:"next,omitzero"`    // when one may; zero: nobody knows
	Frozen bool      `json:"frozen,omitempty"` // a person froze the estate, whose thaw is told
	Stands []Freeze  `json:"stands,omitempty"` // the freezes of files and calendars that keep it from beginning
	Reason string    `json:"reason,omitempty"` // why it could not be told
}

// askAgain is when to ask again: as soon as one may begin, and every hour until then.
func askAgain(next, now time.Time, every time.Duration) time.Time {
	switch latest := now.Add(windowEvery); {
	case next.IsZero() || next.After(latest):
		return latest
	case next.After(now):
		return next
	}
	return now.Add(every) // its clock is behind ours, or it changed its mind
}

// mustAsk says that windows and freezes are asked before the next member is started.
func (c Cluster) mustAsk(now time.Time) bool {
	switch {
	case !c.Policy.Windows, !c.FitAt.IsZero() && now.Sub(c.FitAt) < fitCounts:
		return false
	case c.Phase == PhaseBackout:
		return !c.Unbound && c.Policy.OnFail == OnFailWait // else its gate asks, and it may be out of service meanwhile
	}
	return c.Phase == PhaseClaim || c.Phase == PhaseRoll
}

// asks adds the question for the member whose turn it is.
func (c Cluster) asks(d Decision) Decision {
	a := Action{ID: c.windowID(), Do: DoWindow, Mode: ModePatch}
	if c.Phase == PhaseBackout {
		a.Mode = ModeBackout
	}
	if i := c.nextMember(); i >= 0 {
		a.Host = c.Members[i].Host
		a.Canary = a.Mode == ModePatch && c.Manifest == "" || a.Mode == ModeBackout && c.Members[i].Canary
	}
	d.Start = append(d.Start, a)
	if d.Reason = "asking whether " + a.Host + " may begin now"; c.WaitFor != "" {
		d.Reason = c.waiting("") // the same while it is asked again
	}
	return d
}

func (c Cluster) windowID() string { return string(DoWindow) + "." + strconv.Itoa(c.Asked) }

// Fitted applies what windows and freezes said. What they cannot be asked for is trouble like any other; what is closed is waited for
// without end.
func (c Cluster) Fitted(id string, r FitResult, now time.Time) Cluster {
	if id != c.windowID() || !c.mustAsk(now) {
		return c
	}
	c.Asked++
	switch {
	case c.AbortFor != "" && c.Phase == PhaseClaim:
		return c.finish(ClusterAborted, c.aborted(), now)
	case c.yieldsUnclaimed():
		return c.superseded(now)
	case r.OK:
		c = c.asked()
		c.FitAt = now
		return c
	case r.Closed == "":
		return c.wait(ClaimResult{Reason: r.Reason}, now).border(now).stuck(now)
	}
	c = c.closed(r.Closed, r.Next, r.Frozen, now)
	c.Stands = r.Stands
	return c.border(now)
}

// closed waits for a window, or for the end of a freeze. People are told once.
func (c Cluster) closed(why string, next time.Time, frozen bool, now time.Time) Cluster {
	if !c.Closed {
		hint := "rollpatch status " + c.Instance
		if c.Phase == PhaseBackout {
			hint = "rollpatch backout " + c.Instance + " --cluster " + c.Name + ` --reason "..."`
		}
		c.Outbox.tell(TellWait, "", "cluster "+c.Name+" waits: "+why, hint)
	}
	if c.FitAt, c.WaitFor, c.NextAsk = (time.Time{}), why, askAgain(next, now, c.Policy.RetryEvery); frozen && !c.Frozen {
		c.NextAsk = now.Add(c.Policy.RetryEvery) // the thaw may have come before the freeze knew who waits for it
	}
	c.Closed, c.Frozen, c.Stuck, c.Held = true, frozen, time.Time{}, false
	return c
}

// Thawed has a cluster that waits for the end of a freeze look again soon.
func (c Cluster) Thawed(now time.Time) Cluster {
	if soon := now.Add(thawWithin); c.Frozen && c.NextAsk.After(soon) {
		c.NextAsk = soon
	}
	return c
}

// unbind has a way back begin now, window or not, on a person's word. Freezes hold all the same.
func (c Cluster) unbind() Cluster {
	c.Unbound = true
	if c.Closed && !c.Frozen {
		c.NextAsk = time.Time{}
	}
	return c
}

// Later says that the way back waits for its window, and begins now on a person's word.
func (c Cluster) Later() bool {
	run, running := c.running()
	if running && run.Holds == kept {
		return true
	}
	return c.Policy.Windows && !c.Unbound && c.Phase == PhaseBackout && (running && run.Holds != "" || !running && c.Closed && !c.Frozen)
}

// Begins is the member as its workflow is started: on its way back on a person's word it asks for no window.
func (m Member) Begins(unbound bool, now time.Time) Member {
	m.Began, m.Unbound = now, unbound && m.Mode == ModeBackout
	return m
}

// spent is how much of the time that a host needs is behind it: what is fetched need not be fetched again.
func (m Member) spent(now time.Time) time.Duration {
	if !m.unchanged() || m.Began.IsZero() {
		return 0
	}
	return now.Sub(m.Began)
}

// maxCut is how often a member's window may close while it waits for something else: from then on that is a failure, which people hear of.
const maxCut = 3

// cut is a member's end that its window brought about while it waited for something else.
func (c Cluster) cut(e MemberEnd) (Cluster, MemberEnd) {
	if !e.NotNow || !e.Waited {
		return c, e
	}
	c = c.slot(e.Host, func(s *Slot) {
		if s.Cut++; s.Cut >= maxCut {
			s.Cut, e.NotNow = 0, false
			e.Reason += ", for the " + strconv.Itoa(maxCut) + "rd time"
		}
	})
	return c, e
}

// ask is what the gate asks windows and freezes for the member as it stands.
func (m Member) ask() Ask {
	switch {
	case !m.Policy.Windows, m.Mode == ModeReturn, m.Found:
	case m.unchanged() && !m.out():
		return AskFit
	case m.unchanged() && m.Policy.AtCutoff == CutoffFinish:
		return AskFreeze
	case m.unchanged():
		return AskOpen
	case m.Mode == ModeBackout && m.Unbound:
		return AskFreeze
	case m.Mode == ModeBackout && !m.BackOut, !m.out() && (m.sound() || m.BackOut): // it serves, and owes a reboot only
		return AskFit
	}
	return ""
}

// unchanged says that it was to be patched, and nothing was changed on it yet.
func (m Member) unchanged() bool { return m.Mode == ModePatch && !m.Touched }

// notNow ends a member that nothing was changed on: what was drained goes back into service, and its cluster waits with it.
func (m Member) notNow(why string, r MemberResult) Member {
	if m.Waited = m.WaitFor != ""; m.Waited {
		why += "; until then it waited" + because(m.WaitFor)
	}
	m.NotNow, m.Opens, m.Why = true, r.Next, why
	return m.giveUp(why)
}

// drainsFirst says that members which failed go out of service before they may be brought back.
func (m Member) drainsFirst() bool {
	return (m.Mode == ModeBackout || m.keeps()) && !m.BackOut && !m.Proven && m.Policy.OnFail != OnFailWait
}

// closed waits for a window without end, as it stands. People are told once.
func (m Member) closed(r MemberResult, now time.Time) Member {
	if !m.Closed {
		text, hint := m.Host+" waits before "+string(m.at())+": "+r.Closed, "rollpatch why "+m.Host
		if (m.Mode == ModeBackout || m.keeps()) && !m.BackOut {
			hint = "rollpatch backout " + m.Instance + " --cluster " + m.Cluster + ` --reason "..."`
			if m.out() {
				text = m.Host + " was taken out of service, and its former versions are restored later: " + r.Closed
			}
		}
		m.Outbox.tell(TellWait, m.Host, text, hint)
		m.WaitSince, m.Closed, m.Frozen, m.Held, m.HeldAt = now, true, false, false, time.Time{}
	}
	m.WaitFor, m.NextAsk, m.Opens, m.Stands = r.Closed, askAgain(r.Next, now, m.Policy.RetryEvery), r.Next, r.Stands
	return m
}

// lamely is the gate's answer for one that is to be brought back and cannot serve as it is. Peers are not asked; windows and freezes are (P7),
// and what they did not say is no yes. Until then it stays out, and its checks are run again soon: with a pass it goes back.
func (m Member) lamely(r MemberResult, now time.Time) Member {
	switch {
	case r.Verdict == Fail:
		return m.wait(r.Reason, now)
	case r.Frozen != "":
		m = m.thaw(r.Frozen, r, now)
	case r.Closed != "" && m.ask() == AskFreeze:
		m.Lame = true
		return m.turn(StepGate) // a person said so while it was asked
	case r.Closed != "":
		m = m.closed(r, now)
	default:
		return m.begin(m.Work, now)
	}
	if soon := now.Add(m.Policy.RetryEvery); m.NextAsk.After(soon) {
		m.NextAsk = soon
	}
	return m
}

// unbind has a way back that waits for its window begin now, on a person's word.
func (m Member) unbind() Member {
	m.Unbound, m.NextAsk = true, time.Time{}
	return m
}
