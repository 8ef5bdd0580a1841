// Package calendar decides when work may begin: inside a window, in no freeze, and only what would be done before either ends it.
// It knows nothing of rules, zones, files or clocks: it is given instants in UTC, and every function is one of its arguments.
package calendar

import (
	"time"
)

// Span is a stretch of time from Start until just before End, in UTC.
type Span struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Name   string    `json:"name,omitempty"`   // what people call it
	Source string    `json:"source,omitempty"` // which entry of which file it comes from
}

// Window is when work may start: no host begins that would not be done before End, none at all from Cutoff on.
type Window struct {
	Span
	Cutoff time.Time `json:"cutoff"`
}

// Calendar is what the sources said.
type Calendar struct {
	// Always says that no window is asked for.
	Always bool `json:"always,omitempty"`
	// Windows and Freezes come in any order, and may overlap.
	Windows []Window `json:"windows,omitempty"`
	Freezes []Span   `json:"freezes,omitempty"`
	// Until is how far the sources were followed: nothing fits that would end later. Zero: there was no source to follow.
	Until time.Time `json:"until,omitzero"`
	// Unknown is why a source could not be read: then nothing fits.
	Unknown string `json:"unknown,omitempty"`
}

// Need is how long a host needs.
type Need struct {
	Work    time.Duration `json:"work"`
	Backout time.Duration `json:"backout,omitempty"` // should the work fail
}

// Whole is the time that must be left when a host begins.
func (n Need) Whole() time.Duration { return n.Work + n.Backout }

// Fit says whether a host may begin at t. If not, why says so in words for people, and next is the first instant from t on at which it
// may; zero: there is none within what is known, and the sources must be read again.
func (c Calendar) Fit(t time.Time, n Need) (ok bool, why string, next time.Time) {
	if c.Unknown != "" {
		return false, "the windows and freezes are not known: " + c.Unknown, time.Time{}
	}
	next, found := c.next(t, n)
	if found && next.Equal(t) {
		return true, "", t
	}
	return false, c.reason(t, n, next), next
}

// next is the first instant from t on at which a host may begin.
func (c Calendar) next(t time.Time, n Need) (time.Time, bool) {
	need := n.Whole()
	best, found := time.Time{}, false
	if c.Unknown != "" {
		return best, found
	}
	consider := func(from, last time.Time, bounded bool) {
		at := c.thawed(from, need)
		if bounded && at.After(last) || !c.Until.IsZero() && at.Add(need).After(c.Until) {
			return
		}
		if !found || at.Before(best) {
			best, found = at, true
		}
	}
	if c.Always {
		consider(t, time.Time{}, false)
		return best, found
	}
	for _, w := range c.Windows {
		from := later(t, w.Start)
		last, ok := w.last(need)
		if !ok || from.After(last) || found && !from.Before(best) {
			continue
		}
		consider(from, last, true)
	}
	return best, found
}

// last is the last instant of the window at which a host with that need may begin.
func (w Window) last(need time.Duration) (time.Time, bool) {
	last := w.End.Add(-need)
	if cut := w.Cutoff.Add(-1); w.Cutoff.IsZero() {
		last = earlier(last, w.End.Add(-1))
	} else {
		last = earlier(last, cut)
	}
	return last, !last.Before(w.Start)
}

// thawed is the first instant from t on that is followed by so much time without a freeze.
func (c Calendar) thawed(t time.Time, need time.Duration) time.Time {
	for {
		moved := false
		for _, f := range c.Freezes {
			if t.Before(f.End) && f.covers(t, need) {
				t, moved = f.End, true
			}
		}
		if !moved {
			return t
		}
	}
}

// covers says that some of the time from t on lies in the span; of no time, that t itself does.
func (s Span) covers(t time.Time, need time.Duration) bool {
	return t.Before(s.End) && s.Start.Before(s.End) && (!t.Before(s.Start) || t.Add(need).After(s.Start))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
