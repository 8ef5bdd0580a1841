package rollout

import (
	"strconv"
	"time"
)

// Evidence is a transaction that failed: the versions that it brought are put into quarantine, and this is why.
type Evidence struct {
	Host     string    `json:"host"`               // whose transaction it was
	Changes  string    `json:"changes"`            // digest
	Manifest string    `json:"manifest,omitempty"` // digest: it names the platform
	Why      string    `json:"why"`
	At       time.Time `json:"at"`
}

// Next says what the cluster's workflow does now. Versions that failed are put on record beside whatever else it does.
func (c Cluster) Next(now time.Time) Decision {
	d := c.next(now)
	if due := c.mixedDue(); due.After(now) && (d.WakeAt.IsZero() || due.Before(d.WakeAt)) {
		d.WakeAt = due
	}
	switch {
	case c.Outcome != "" || len(c.Evidence) == 0:
	case !c.EvidenceAsk.After(now):
		d.Start = append(d.Start, Action{ID: c.evidenceID(), Do: StepQuarantine, Host: c.Evidence[0].Host})
	case d.WakeAt.IsZero() || c.EvidenceAsk.Before(d.WakeAt):
		d.WakeAt = c.EvidenceAsk
	}
	return d
}

func (c Cluster) evidenceID() string {
	return string(StepQuarantine) + "." + strconv.Itoa(c.EvidenceNo)
}

// Recorded applies the answer to a record of versions that failed. It is asked for until it is through: the claim stays until then, so
// that no other instance can install them before.
func (c Cluster) Recorded(id string, r ClaimResult, now time.Time) Cluster {
	if len(c.Evidence) == 0 || id != c.evidenceID() {
		return c
	}
	c.EvidenceNo++
	if !r.OK {
		c.EvidenceAsk = now.Add(c.Policy.RetryEvery)
		if c.Phase == PhaseRelease {
			return c.wait(r, now).stuck(now)
		}
		return c
	}
	e := c.Evidence[0]
	c.EvidenceAsk, c.Shut = time.Time{}, append(c.Shut[:len(c.Shut):len(c.Shut)], e.Changes)
	if c.Evidence = c.Evidence[1:]; len(c.Evidence) == 0 {
		c.Evidence = nil
	}
	if c.Phase == PhaseRelease {
		c = c.asked()
	}
	c.Outbox.tell(TellQuarantine, "", "versions that failed in cluster "+c.Name+" are in quarantine, later instances leave them out"+because(r.Reason), "rollpatch quarantine list")
	return c
}

// evident keeps what a member's end says of the versions it got.
func (c Cluster) evident(e MemberEnd, now time.Time) Cluster {
	c.LeftOut = first(c.LeftOut, e.LeftOut)
	switch {
	case e.Outcome == Patched && c.Bad != "":
		return c.suspect(c.Bad, now) // it was on its way when they were judged
	case e.Suspect != "" && !c.forgiven(e):
		return c.charge(Evidence{Host: e.Host, Changes: e.Changes, Manifest: first(e.Manifest, c.Manifest), Why: e.Suspect, At: now})
	}
	return c
}

// forgiven says that the policy takes the fail for the host's own: the member is tried once more, or left as it is while its peers go on
// to the same versions.
func (c Cluster) forgiven(e MemberEnd) bool {
	if c.AbortFor != "" || c.BackoutFor != "" || c.AskFor != "" || c.Suspect != "" || e.TakenUp || !e.Outcome.Safe() {
		return false
	}
	for _, s := range c.Members {
		if s.Host == e.Host && s.Failures < c.Policy.Retries {
			return true
		}
	}
	return c.Policy.OnFailure == FailSkipMember && c.Manifest != ""
}

// suspect keeps that what the patched members got is bad. The canary's transaction holds all of it.
func (c Cluster) suspect(why string, now time.Time) Cluster {
	c.Bad = first(c.Bad, why)
	var all []Slot
	for _, s := range c.Members {
		switch {
		case s.Outcome != Patched:
		case s.Canary:
			all = append([]Slot{s}, all...)
		default:
			all = append(all, s)
		}
	}
	for _, s := range all {
		c = c.charge(Evidence{Host: s.Host, Changes: s.Changes, Manifest: c.Manifest, Why: why, At: now})
		if s.Canary {
			break
		}
	}
	return c
}

// charge adds evidence, once for each transaction.
func (c Cluster) charge(e Evidence) Cluster {
	if e.Changes == "" {
		return c
	}
	for _, known := range c.Shut {
		if known == e.Changes {
			return c
		}
	}
	for _, known := range c.Evidence {
		if known.Changes == e.Changes {
			return c
		}
	}
	c.Evidence = append(c.Evidence[:len(c.Evidence):len(c.Evidence)], e)
	return c
}
