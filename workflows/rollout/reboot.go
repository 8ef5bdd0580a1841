package rollout

import "time"

// notBack is a reboot that is not proven yet. Late is not failed: a person is told at once, and it is asked on. Another host key is a hard
// stop: nobody who waits for it to change waits for anything.
func (m Member) notBack(r MemberResult, now time.Time) Member {
	m.WentDown = r.Power && (m.WentDown || r.Begun)
	switch {
	case r.OtherKey:
		m = m.lookAgain(r.Reason, now)
		if !m.OtherKey {
			m.OtherKey, m.Held = true, false // told once, also where it holds for being late
		}
		return m.holdFor(r.Reason, now)
	case m.mayPower(now):
		m.Powered = true
		return m.lookAgain(r.Reason, now).turn(StepPower)
	case r.Late && !m.LateTold:
		m.LateTold = true
		m.Outbox.tell(TellHold, m.Host, m.Host+" is late: "+r.Reason+"; it is asked on", "rollpatch why "+m.Host)
	}
	return m.wait(r.Reason, now)
}

// mayPower says that the power may be cycled: of a host that went down for this very reboot and was not heard of since, once, when the
// policy's time is over. No step but the reboot is on its way then, and no package transaction: it waited for those before.
func (m Member) mayPower(now time.Time) bool {
	return m.Policy.PowerAfter > 0 && m.WentDown && !m.Powered && !now.Add(m.Policy.RetryEvery).Before(m.RebootAt.Add(m.Policy.PowerAfter))
}

// powerBy is when the reboot must say how it stands, so that the power is cycled in time.
func (m Member) powerBy(now time.Time) time.Time {
	if by := m.RebootAt.Add(m.Policy.PowerAfter); m.Step == StepReboot && m.Policy.PowerAfter > 0 && !m.Powered && by.After(now) {
		return by
	}
	return time.Time{}
}

// powered goes back to the reboot, whatever came of it: another boot id decides.
func (m Member) powered(r MemberResult, now time.Time) Member {
	m = m.turn(StepReboot)
	switch {
	case r.Nothing:
		m.Powered = false // it was left alone
	case r.Verdict == Pass:
		m.Outbox.tell(TellHold, m.Host, "the power of "+m.Host+" was cycled, as the policy says: "+m.WaitFor, "rollpatch why "+m.Host)
	default:
		m.Outbox.tell(TellHold, m.Host, "whether the power of "+m.Host+" was cycled nobody knows: "+r.Reason, "rollpatch why "+m.Host)
	}
	if r.Verdict == Pass {
		return m
	}
	return m.wait(r.Reason, now)
}
