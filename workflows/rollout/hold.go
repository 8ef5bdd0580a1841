package rollout

import "time"

// A hold of a member ends with its cause, by a person's word, or by its time-out.

// Holding is what a member tells its cluster: before which step it holds, and why. Without a cause it goes on.
type Holding struct {
	Host string `json:"host"`
	Try  int    `json:"try,omitempty"`
	Step Step   `json:"step,omitempty"`
	Why  string `json:"why,omitempty"`
}

// Holding is the member's hold, if it has one.
func (m Member) Holding() Holding {
	h := Holding{Host: m.Host}
	if (m.Held || m.Closed && (m.Mode == ModeBackout || m.keeps())) && m.Outcome == "" {
		h.Step, h.Why = m.at(), m.WaitFor
	}
	return h
}

// Hear applies what a person said to a member that holds: retry, skip or backout. One that holds no more goes its way.
func (m Member) Hear(word, why string, now time.Time) Member {
	switch {
	case m.Outcome != "":
	case (m.Closed && m.Mode == ModeBackout || m.keeps()) && word == "backout":
		return m.unbind()
	case !m.Held:
	case word == "retry": // at once, and with its whole time once more
		m.HeldAt, m.NextAsk = now, time.Time{}
	case m.Abort || m.owed():
	case word == "skip", word == "backout" && !m.Touched: // the safest exit, as by an abort of this one
		m.GivenUp = why
		return m.ApplyAbort(now)
	case word == "backout":
		waiting := m.NextAsk.After(now) // nothing is in flight
		if m.Undo, m.NextAsk = why, (time.Time{}); waiting && m.mayUndo() {
			return m.undo()
		}
	}
	return m
}

// mayUndo says that a backout which was asked for may begin: never blindly (P10). A patch or a reboot that cannot be told is asked for
// until it can, and what was found drained has no ledger.
func (m Member) mayUndo() bool {
	return m.Undo != "" && m.sound() && !m.Found && (m.Step == StepGate || m.Step == StepDrain || m.Step == StepCheck)
}

// undo turns it round, which is no fail of the patch that anybody need be told of.
func (m Member) undo() Member {
	m.Failed, m.Why, m.Unbound = true, m.Undo, m.Policy.Keep
	return m.fail(m.Undo)
}

// timeout takes the safest exit of a hold that has kept the member out of service for too long, because nobody was there to say more.
// One that waits in service may wait on; an undrain and a record are owed, whatever the hour.
func (m Member) timeout(now time.Time) Member {
	if m.Policy.HoldMax == 0 || m.Abort || m.owed() || !m.out() || now.Sub(m.HeldAt) < m.Policy.HoldMax {
		return m
	}
	m.Abort, m.Overdue, m.GivenUp = true, true, "held for "+m.Policy.HoldMax.String()
	left, _ := m.exit(m.GivenUp + " before " + string(m.at()) + ": " + m.WaitFor)
	if left.Step == StepCheck {
		left.Outbox.tell(TellHold, m.Host, m.Host+" "+m.GivenUp+" before its reboot: it goes back into service without, if its checks pass", "rollpatch why "+m.Host)
	}
	return left
}

// Orphaned is a member that holds and whose cluster is gone: no word reaches it any more, so it is brought to a safe end as by an abort (P5).
func (m Member) Orphaned(cluster string, now time.Time) Member {
	if m.Outcome != "" || m.Abort || m.Holding().Step == "" {
		return m
	}
	m.Outbox.tell(TellHold, m.Host, m.Host+" holds and the workflow "+cluster+" is gone, so that no word reaches it any more: it is brought to a safe end", "rollpatch why "+m.Host)
	return m.ApplyAbort(now)
}

// Skipped says that a person gave up on it, and not the clock.
func (m Member) Skipped() bool { return m.GivenUp != "" && !m.Overdue }

// out says that it is out of service, or about to be.
func (m Member) out() bool { return m.Drained && !m.Served }

// until is when a hold ends unasked; zero is never.
func (m Member) until() time.Time {
	if !m.Held || m.Policy.HoldMax == 0 || m.owed() || !m.out() {
		return time.Time{}
	}
	return m.HeldAt.Add(m.Policy.HoldMax)
}

// over is why nothing new may begin on it.
func (m Member) over() string {
	if m.GivenUp != "" {
		return m.GivenUp
	}
	return "aborted"
}

func (m Member) notRebooted() string {
	if m.GivenUp != "" {
		return "not rebooted: " + m.GivenUp
	}
	return "aborted before its reboot"
}
