package rollout

import "time"

// TakeUp goes on with a member whose workflow was ended from outside, from its last State: nothing new begins, and its host is
// brought to a safe end (P5). how says what became of the workflow.
func (m Member) TakeUp(how string, now time.Time) Member {
	m.TakenUp, m.GateUntil = true, time.Time{}
	if m.Outcome != "" {
		return m // only its report is owed
	}
	m.Proven = m.Proven && m.Step == StepBackout // nobody looked after its drain meanwhile
	m.Outbox.tell(TellHold, m.Host, "the workflow of "+m.Host+" was "+how+" in "+string(m.Step)+"; it is taken up again, and only to bring the host to a safe end", "rollpatch why "+m.Host)
	if m.Step == StepPower {
		m = m.turn(StepReboot) // it may have been cycled, and is not again
	}
	return m.ApplyAbort(now)
}

// TakeUp goes on with a cluster whose workflow was ended from outside, from its last State: no further member begins, those on
// their way are waited for, and the claim is given back.
func (c Cluster) TakeUp(how string, now time.Time) Cluster {
	if c.Outcome != "" {
		return c
	}
	c.Outbox.tell(TellHold, "", "the workflow of cluster "+c.Name+" was "+how+" in "+string(c.Phase)+"; it is taken up again, and only to bring its members to a safe end", "rollpatch status "+c.Instance)
	return c.Abort(Message{Actor: "rollpatch", Reason: "its workflow was " + how}, now)
}
