package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a person may say where a member failed, or holds: one word for each idea. retry has it tried again, skip leaves it as it is,
// backout undoes the cluster, and resume ends only what a person held.

// failedMembers are the members that failed, and of which nobody has said what becomes of them.
func (c Cluster) failedMembers() []Slot {
	var out []Slot
	for _, m := range c.Members {
		if !m.Running && !m.Left && m.Outcome != "" && m.Outcome != Patched && m.Outcome != Unchanged {
			out = append(out, m)
		}
	}
	return out
}

// failing says that the hold is one for a member that failed, or for a way back that could not begin.
func (c Cluster) failing() bool { return c.BackoutFor != "" || len(c.failedMembers()) > 0 }

// spared says that it holds because its campaign refused its backout: what is patched stays so, and no failed member is what it is about.
func (c Cluster) spared() bool { return c.Phase == PhaseHold && c.AskFor != "" }

// stopped says that it holds because the breaker stopped its backout on its way.
func (c Cluster) stopped() bool { return c.Phase == PhaseHold && c.BackoutFor != "" && c.Auto }

// unnamed says that its canary got what no manifest names. Whoever goes on from there would patch another canary beside it, with what never
// soaked on this one (P4): it goes back, or stays and the cluster ends.
func (c Cluster) unnamed() bool {
	return c.Manifest == "" && c.BackoutFor == "" && c.patchedCount() > 0
}

// goesOn says that resume is the word for its hold.
func (c Cluster) goesOn() bool {
	return c.Phase == PhaseHold && !c.unnamed() && (c.spared() || c.stopped() || !c.failing())
}

// resumable says that a person's hold keeps it, or one that is over but for a person's word.
func (c Cluster) resumable() bool { return c.Paused != "" || c.goesOn() }

// Open are the words that a cluster which holds takes now.
func (c Cluster) Open() []string {
	m := Message{Actor: "a person", Reason: "because"}
	var out []string
	if c.resumable() {
		out = append(out, "resume")
	}
	if c.MayRetry(m) == nil {
		out = append(out, "retry")
	}
	if c.MaySkip(m) == nil {
		out = append(out, "skip")
	}
	if c.MayBackout(m) == nil && (c.BackoutFor == "" || c.Later()) {
		out = append(out, "backout")
	}
	return out
}

// MayResume says why there is no hold that a person set, or nil.
func (c Cluster) MayResume(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	switch {
	case c.resumable():
	case c.Phase != PhaseHold:
		return fmt.Errorf("cluster %q: nothing to resume, it is in %s", c.Name, c.Phase)
	default:
		lines := []string{fmt.Sprintf("cluster %q: nobody held it, so that resume says too little: %s", c.Name, c.HoldFor)}
		for _, word := range c.Open() {
			lines = append(lines, "  rollpatch "+word+" "+c.Instance+" --cluster "+c.Name+` --reason "..."`)
		}
		return errors.New(strings.Join(append(lines, "  rollpatch abort "+c.Instance+` --reason "..."`), "\n"))
	}
	return nil
}

// MayRetry says why there is nothing to try again, or nil.
func (c Cluster) MayRetry(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if run, running := c.running(); running {
		return c.holding(run, m.Host)
	}
	if err := c.held(m.Host); err != nil || c.BackoutFor != "" {
		return err
	}
	for _, s := range c.failedMembers() {
		if (m.Host == "" || m.Host == s.Host) && s.Outcome.Safe() {
			return nil
		}
	}
	return fmt.Errorf("cluster %q: %s, which is never tried again; to go on without: rollpatch skip %s --cluster %s", c.Name, c.HoldFor, c.Instance, c.Name)
}

// Retry tries members that failed again, or the way back that could not begin. Of one that holds only its own workflow hears.
func (c Cluster) Retry(m Message, now time.Time) Cluster {
	if _, running := c.running(); running || c.MayRetry(m) != nil {
		return c
	}
	c.Paused, c.HoldFor, c.StopCampaign = "", "", ""
	if c.BackoutFor == "" {
		for _, s := range c.failedMembers() {
			if s.Outcome.Safe() {
				c = c.again(s.Host)
			}
		}
	}
	return c.to(PhaseRoll, now).border(now)
}

// MaySkip says why no member can be skipped now, or nil.
func (c Cluster) MaySkip(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if run, running := c.running(); running {
		switch err := c.holding(run, m.Host); {
		case err != nil:
			return err
		case run.Mode == ModeBackout:
			return fmt.Errorf("cluster %q: %s is on its way back, which is not skipped; to give up on it: rollpatch abort %s", c.Name, run.Host, c.Instance)
		case run.HoldsAt == StepUndrain || run.HoldsAt == StepQuarantine:
			return fmt.Errorf("cluster %q: %s holds before %s, which is asked for until it is through: nobody else would put the host back, or on record", c.Name, run.Host, run.HoldsAt)
		}
		return nil
	}
	if c.BackoutFor != "" {
		return fmt.Errorf("cluster %q: it is on its way back, and no member of it is skipped", c.Name)
	}
	return c.held(m.Host)
}

// holding says why nothing can be said to the member on its way.
func (c Cluster) holding(run Slot, host string) error {
	switch {
	case host != "" && host != run.Host:
		return fmt.Errorf("cluster %q: %s is on its way, not %s", c.Name, run.Host, host)
	case run.Holds == "":
		return fmt.Errorf("cluster %q: %s is on its way, and does not hold", c.Name, run.Host)
	case run.Holds == kept:
		return fmt.Errorf("cluster %q: %s failed, and %s; to bring it back to them: rollpatch backout %s --cluster %s", c.Name, run.Host, kept, c.Instance, c.Name)
	}
	return nil
}

// held says that no member that failed holds the cluster, or not this one.
func (c Cluster) held(host string) error {
	switch {
	case c.Phase != PhaseHold:
		return fmt.Errorf("cluster %q: no member that failed holds it, it is in %s", c.Name, c.Phase)
	case c.unnamed():
		return fmt.Errorf("cluster %q: nobody can get what its canary got, no manifest names it; to bring that back: rollpatch backout %s --cluster %s; to leave it so and end: rollpatch abort %s",
			c.Name, c.Instance, c.Name, c.Instance)
	case c.stopped():
		return fmt.Errorf("cluster %q: its backout was stopped on its way; to have it go on: rollpatch resume %s --cluster %s", c.Name, c.Instance, c.Name)
	case c.spared():
		return fmt.Errorf("cluster %q: no member that failed holds it, but a backout that was refused: to have it watched anew: rollpatch resume %s --cluster %s; to bring its members back: rollpatch backout %s --cluster %s",
			c.Name, c.Instance, c.Name, c.Instance, c.Name)
	case c.BackoutFor != "":
		return nil
	case !c.failing():
		return fmt.Errorf("cluster %q: no member failed; to go on: rollpatch resume %s --cluster %s", c.Name, c.Instance, c.Name)
	case host == "":
		return nil
	}
	for _, s := range c.failedMembers() {
		if s.Host == host {
			return nil
		}
	}
	return fmt.Errorf("cluster %q: it does not hold for %s: %s", c.Name, host, c.HoldFor)
}

// Holding records that a member on its way holds, or goes on. One of an older try says nothing.
func (c Cluster) Holding(h Holding) Cluster {
	return c.slot(h.Host, func(s *Slot) {
		if s.Running && h.Try == s.Tries {
			s.HoldsAt, s.Holds = h.Step, h.Why
		}
	})
}
