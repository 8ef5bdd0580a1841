package rollout

import (
	"slices"
	"time"
)

// A freeze of a file or a calendar is broken for one instance, by its own approvers, for one of its spans and until their words expire (P7).
// What is broken is said by the words that the campaign keeps; it tells its clusters, and these the members on their way. Whoever asks
// windows and freezes leaves out what is broken. A freeze that a person types is ended by the thaw, and by nothing else.

// Freeze is one span of a freeze.
type Freeze struct {
	Name string    `json:"name"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	// Of one that keeps somebody waiting: when he could begin if there were no freezes, and how long he needs; zero: nobody knows.
	Begin time.Time     `json:"begin,omitzero"`
	Takes time.Duration `json:"takes,omitempty"`
}

// Enough is until when it has to be broken at least, so that somebody who waits for it can begin and be done; zero: nobody knows.
func (f Freeze) Enough(now time.Time) time.Time {
	begin := f.Begin
	switch {
	case begin.IsZero() || f.Takes <= 0:
		return time.Time{}
	case begin.Before(now):
		begin = now
	}
	if done := begin.Add(f.Takes); done.Before(f.To) {
		return done
	}
	return f.To
}

// Broken is a freeze that its approvers broke.
type Broken struct {
	Freeze
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Key    string    `json:"key,omitempty"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"` // since when it is broken
}

// same says that both are one span.
func (f Freeze) same(o Freeze) bool {
	return f.Name == o.Name && f.From.Equal(o.From) && f.To.Equal(o.To)
}

// SameBroken says that both lists leave out the same for as long.
func SameBroken(a, b []Broken) bool {
	return slices.EqualFunc(a, b, func(x, y Broken) bool { return x.same(y.Freeze) && x.Until.Equal(y.Until) })
}

// Break applies which freezes are broken now, and tells of those that are new, and of those that stand again.
func (c Campaign) Break(list []Broken, gate func(Freeze) string, now time.Time) Campaign {
	if SameBroken(c.Broken, list) || c.Outcome != "" {
		return c
	}
	was := c.Broken
	c.Broken = list
	for _, b := range list {
		if slices.ContainsFunc(was, func(o Broken) bool { return o.same(b.Freeze) }) {
			continue
		}
		c.Approvals = append(slices.Clip(c.Approvals), Approval{Gate: gate(b.Freeze), Actor: b.By, Key: b.Key, Reason: b.Reason, At: b.At, Until: b.Until})
		c.Outbox.tell(TellGate, "", "freeze "+b.Name+" is broken for "+c.Instance+" by "+b.By+" until "+stamp(b.Until)+": "+b.Reason, "rollpatch status "+c.Instance)
	}
	for _, o := range was {
		if o.Until.After(now) && !slices.ContainsFunc(list, func(b Broken) bool { return b.same(o.Freeze) }) {
			c.Outbox.tell(TellGate, "", "freeze "+o.Name+" is not broken for "+c.Instance+" any more: who broke it took it back", "rollpatch status "+c.Instance)
		}
	}
	for _, r := range c.Clusters {
		if r.Ahead.Wanted && !r.Ahead.Done {
			c = c.ref(r.Name, func(r *Ref) { r.Ahead.Again = time.Time{} })
		}
	}
	if c.turns() {
		t := *c.Turn
		t.Anew = true
		c.Turn = &t
	}
	return c
}

// Break has a cluster ask windows and freezes anew, without those that are broken.
func (c Cluster) Break(list []Broken) Cluster {
	if SameBroken(c.Broken, list) {
		return c
	}
	c.Broken = list
	return c.AskAnew()
}

// AskAnew forgets what windows and freezes said: which freezes are broken has changed since they were asked.
func (c Cluster) AskAnew() Cluster {
	c.FitAt = time.Time{}
	if c.Closed && !c.Frozen {
		c.NextAsk = time.Time{}
	}
	return c
}

// Break has a member that waits for its time ask the gate anew.
func (m Member) Break(list []Broken) Member {
	if SameBroken(m.Broken, list) {
		return m
	}
	m.Broken = list
	return m.AskAnew()
}

// AskAnew has a member that waits for its time look again at once.
func (m Member) AskAnew() Member {
	if m.WaitFor != "" && (m.Closed || m.Frozen && !m.Opens.IsZero()) {
		m.NextAsk = time.Time{}
	}
	return m
}
