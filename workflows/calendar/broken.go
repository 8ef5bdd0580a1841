package calendar

import (
	"slices"
	"time"
)

// Break is one span of a freeze that its approvers have broken, until a time.
type Break struct {
	Span
	Until time.Time
}

// Broken is the calendar for whom these freezes are broken: the very span that was named is none until the break ends, and stands again from
// there on. A span of that name that begins or ends at another time is another one.
func (c Calendar) Broken(breaks []Break) Calendar {
	if len(breaks) == 0 {
		return c
	}
	c.Freezes = slices.Clone(c.Freezes)
	for i, f := range c.Freezes {
		for _, b := range breaks {
			if b.Name == f.Name && b.Start.Equal(f.Start) && b.End.Equal(f.End) {
				c.Freezes[i].Start = later(c.Freezes[i].Start, earlier(b.Until, f.End))
			}
		}
	}
	c.Freezes = slices.DeleteFunc(c.Freezes, func(f Span) bool { return !f.Start.Before(f.End) })
	return c
}

// InTheWay lists the freezes that keep a host from beginning at t, or from the next window that it would have without them.
func (c Calendar) InTheWay(t time.Time, n Need) []Span {
	next, found := c.next(t, n)
	var out []Span
	for i, f := range c.Freezes {
		without := c
		without.Freezes = slices.Delete(slices.Clone(c.Freezes), i, i+1)
		earlier, would := without.next(t, n)
		if f.covers(t, n.Whole()) || would && (!found || earlier.Before(next)) {
			out = append(out, f)
		}
	}
	return out
}

// Unfrozen says when a host could begin, from t on, if there were no freezes; false: not within what is known.
func (c Calendar) Unfrozen(t time.Time, n Need) (time.Time, bool) {
	c.Freezes = nil
	return c.next(t, n)
}
