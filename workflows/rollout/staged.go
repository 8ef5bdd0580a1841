package rollout

import (
	"strconv"
	"time"
)

// Staging first (P4): where a stage requires it, a member is begun only with versions that have finished in another stage, and long enough
// ago. A cluster asks for the records before it claims anything, and again for each member: a record counts no more once its version is in
// quarantine. It waits with no member on its way. A canary asks again when it knows its transaction.

// missingEvery is how often records are asked for anew where there are none. Those that are too young are old enough at a time that is known:
// what is recorded later is younger still.
const missingEvery = time.Hour

// stagedCounts is how long a member is begun on what the records said. While a claim is waited for they are asked for as seldom as where there are none: hosts
// read their repositories for it.
const stagedCounts = 5 * time.Minute

// StagedResult is what the records say of the versions that a member would get.
type StagedResult struct {
	OK      bool      `json:"ok"`
	Young   string    `json:"young,omitempty"` // which have not finished long enough ago
	Until   time.Time `json:"until,omitzero"`  // when the last of them has
	Missing string    `json:"missing,omitempty"`
	Reason  string    `json:"reason,omitempty"` // why it could not be told
}

// Finished is what a cluster that is done leaves for stages that require it: its manifest soaked, and passed.
type Finished struct {
	Manifest string    `json:"manifest"` // digest
	At       time.Time `json:"at"`
}

// Finished is on record before the claim is given back; nil: no soak of it passed, or it ends otherwise.
func (c Cluster) Finished() *Finished {
	if c.Phase != PhaseRelease || c.Ending != ClusterDone || c.SoakNo == 0 || c.Manifest == "" || c.Bad != "" {
		return nil
	}
	return &Finished{Manifest: c.Manifest, At: c.Since}
}

// unproven says that the records are asked for before the next member is begun, or asked again.
func (c Cluster) unproven(now time.Time) bool {
	if !c.Policy.Staged {
		return false
	}
	switch age := now.Sub(c.StagedAt); c.Phase {
	case PhaseClaim:
		return c.StagedAt.IsZero() || age >= missingEvery
	case PhaseRoll:
		return c.StagedAt.IsZero() || age >= stagedCounts
	}
	return false
}

// asksStaged adds the question for the member whose turn it is.
func (c Cluster) asksStaged(d Decision) Decision {
	a := Action{ID: c.stagedID(), Do: DoStaged}
	if i := c.nextMember(); i >= 0 {
		a.Host = c.Members[i].Host
	}
	d.Start = append(d.Start, a)
	if d.Reason = "asking whether what " + a.Host + " would get has finished in another stage"; c.WaitFor != "" {
		d.Reason = c.waiting("") // the same while it is asked again
	}
	return d
}

func (c Cluster) stagedID() string { return string(DoStaged) + "." + strconv.Itoa(c.Asked) }

// Staged applies what the records say. What is too young is waited for like a window. Where there are none a person is told at once: it is
// looked at again all the same, and goes on by itself. Unattended nobody is there to be told, and the cluster halts.
func (c Cluster) Staged(id string, r StagedResult, now time.Time) Cluster {
	if id != c.stagedID() || !c.unproven(now) {
		return c
	}
	c.Asked++
	switch {
	case c.AbortFor != "" && c.Phase == PhaseClaim:
		return c.finish(ClusterAborted, c.aborted(), now)
	case r.OK:
		c = c.asked()
		c.StagedAt = now
		return c
	case r.Missing != "":
		c = c.wait(ClaimResult{Reason: r.Missing}, now)
		if c.Suspect == "" { // whether those that are patched must go back is told first
			c.NextAsk = now.Add(missingEvery)
		}
		return c.border(now).lacking(now)
	case r.Young != "":
		c = c.closed(r.Young, r.Until, false, now)
		if r.Until.After(now) {
			c.NextAsk = r.Until
		}
		return c.border(now)
	}
	return c.wait(ClaimResult{Reason: r.Reason}, now).border(now).stuck(now)
}

// lacking tells a person that there are no records, or halts.
func (c Cluster) lacking(now time.Time) Cluster {
	switch {
	case c.Held, c.Suspect != "", c.Stuck.IsZero(), c.Phase != PhaseClaim && c.Phase != PhaseRoll:
		return c
	case c.Policy.Unattended:
		return c.finish(ClusterHalted, c.StuckFor(), now)
	}
	c.Held = true
	c.Outbox.tell(TellHold, "", "cluster "+c.Name+" holds "+c.StuckFor(), "rollpatch why "+c.Instance)
	return c
}
