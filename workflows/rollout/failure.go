package rollout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// OnFailure is what a cluster does when a member could not be patched and is safe again.
type OnFailure string

// What may be done about a member that failed, once it was tried often enough.
const (
	FailStopCluster    OnFailure = "stop-cluster" // hold; unattended, halt
	FailSkipMember     OnFailure = "skip-member"  // go on with the next one, unless it is the canary (P3)
	FailStopCampaign   OnFailure = "stop-campaign"
	FailBackoutCluster OnFailure = "backout-cluster"
)

// failedMember decides what follows the end of a member that was not patched. Whatever the policy says, a member that is not safe
// stops its cluster, and no other becomes canary in place of one that failed: a person says so (P3).
func (c Cluster) failedMember(e MemberEnd, now time.Time) Cluster {
	why := e.Host + " is " + string(e.Outcome) + because(e.Reason)
	if e.Widens {
		return c.hold(why, now) // nothing failed: what it would get wants its approvals anew, or another stage first, in this cluster alone
	}
	c, failures := c.count(e)
	switch {
	case !e.Outcome.Safe():
	case e.OtherHand: // whatever the policy forgives: nobody knows what else that hand does
		c = c.slot(e.Host, func(s *Slot) { s.OtherHand = true })
	case failures <= c.Policy.Retries:
		c = c.again(e.Host)
		c.WaitFor, c.NextAsk = "trying "+e.Host+" again, "+strconv.Itoa(failures)+" of "+strconv.Itoa(c.Policy.Retries)+" times: "+why, now.Add(c.Policy.RetryEvery)
		return c
	case c.Policy.OnFailure == FailSkipMember && c.Manifest != "":
		most, failed := c.Policy.Failures, c.leftCount()+1
		if failed <= most {
			return c.leave().border(now)
		}
		why += "; that is number " + strconv.Itoa(failed) + ", and at most " + strconv.Itoa(most) + " may fail"
	case c.Policy.OnFailure == FailBackoutCluster && c.patchedCount() > 0:
		return c.ask(why, now)
	case c.Policy.OnFailure == FailStopCampaign:
		c.StopCampaign = why
	}
	return c.hold(why, now)
}

// count keeps how often a member failed. Once for good it is a failure of its stage: also one that policy or a person left as it is.
func (c Cluster) count(e MemberEnd) (_ Cluster, failures int) {
	c = c.slot(e.Host, func(s *Slot) {
		if e.failed() {
			s.Failures++
		}
		failures = s.Failures
		if e.failed() && e.Outcome != Skipped && (failures > c.Policy.Retries || e.GivenUp || !e.Outcome.Safe()) { // whom somebody else has, we did not try
			s.Failed, s.Blame = true, blame(e.Blame)
		}
	})
	return c, failures
}

// leave marks every member that failed as one that stays as it is.
func (c Cluster) leave() Cluster {
	c.Members = append([]Slot(nil), c.Members...)
	for i := range c.Members {
		m := &c.Members[i]
		m.Left = m.Left || m.Outcome != "" && m.Outcome != Patched && m.Outcome != Unchanged
	}
	return c
}

// left names the members that were left as they are, and the versions that were left out.
func (c Cluster) left() string {
	var names []string
	for _, m := range c.Members {
		if m.Left {
			names = append(names, m.Host+" is "+string(m.Outcome))
		}
	}
	if len(names) == 0 {
		return c.LeftOut
	}
	return strings.TrimSuffix("left as they are: "+strings.Join(names, ", ")+"; "+c.LeftOut, "; ")
}

func (c Cluster) leftCount() int {
	n := 0
	for _, m := range c.Members {
		if m.Left {
			n++
		}
	}
	return n
}

// again has a member tried once more.
func (c Cluster) again(host string) Cluster {
	return c.slot(host, func(s *Slot) { s.Outcome, s.Reason = "", "" })
}

// Skip leaves members that failed as they are and goes on with the next one. After a canary, that one becomes the canary: a
// person said so (P3). A member that holds is given up first: its workflow hears of it too.
func (c Cluster) Skip(m Message, now time.Time) Cluster {
	if c.MaySkip(m) != nil {
		return c
	}
	if _, running := c.running(); running {
		return c // it says so at its end, if it heard that while it held
	}
	c.Paused, c.HoldFor, c.StopCampaign = "", "", ""
	return c.leave().to(PhaseRoll, now).border(now)
}

// MayExtend says why no soak can be extended now, or nil.
func (c Cluster) MayExtend(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if c.Phase != PhaseSoak && c.Phase != PhaseGate {
		return fmt.Errorf("cluster %q: no soak to extend, it is in %s", c.Name, c.Phase)
	}
	if m.Soak != 0 && m.Soak != c.SoakNo {
		return fmt.Errorf("cluster %q: soak %d is open, not soak %d", c.Name, c.SoakNo, m.Soak)
	}
	_, err := span(m.For)
	return err
}

// Extend makes a soak last longer; one that waits for approval soaks again.
func (c Cluster) Extend(m Message, now time.Time) Cluster {
	longer, err := span(m.For)
	if err != nil || c.MayExtend(m) != nil {
		return c
	}
	if c.SoakEnds.Before(now) {
		c.SoakEnds = now
	}
	c.SoakEnds = c.SoakEnds.Add(longer)
	c = c.anew(m.Actor+" had it soak longer: "+m.Reason, now)
	if c.Phase == PhaseGate {
		since := c.Since
		c = c.to(PhaseSoak, now)
		c.Since = since
	}
	return c
}

// longestExtension bounds a slip of the finger.
const longestExtension = 30 * 24 * time.Hour

// span reads how much longer: 90m, 12h, 2d.
func span(text string) (time.Duration, error) {
	if text == "" {
		return 0, errors.New(`for is missing: how much longer, such as {"for": "12h"}`)
	}
	unit := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil {
			unit = strconv.Itoa(24*n) + "h"
		}
	}
	d, err := time.ParseDuration(unit)
	switch {
	case err != nil:
		return 0, fmt.Errorf("for is %q: want a time with its unit, such as 90m, 12h or 2d", text)
	case d <= 0 || d > longestExtension:
		return 0, fmt.Errorf("for is %q: want more than nothing, and at most 30d", text)
	}
	return d, nil
}
