package calendar

import (
	"strconv"
	"strings"
	"time"
)

// reason says why no host may begin at t, and when the next may.
func (c Calendar) reason(t time.Time, n Need, next time.Time) string {
	return c.hindrance(t, n) + c.outlook(n, next)
}

// hindrance is what stands in the way at t.
func (c Calendar) hindrance(t time.Time, n Need) string {
	for _, f := range c.Freezes {
		if f.covers(t, 0) {
			return "freeze" + f.called() + " until " + stamp(f.End)
		}
	}
	open, found := Window{}, c.Always
	if !c.Always {
		open, found = c.open(t)
	}
	switch last, _ := open.last(n.Whole()); {
	case !found:
		return "no window is open"
	case !c.Always && !open.Cutoff.IsZero() && !t.Before(open.Cutoff):
		return "the cutoff of window" + open.called() + " was at " + stamp(open.Cutoff)
	case !c.Always && t.After(last):
		return "a host needs " + n.String() + ", and window" + open.called() + " ends at " + stamp(open.End)
	}
	for _, f := range c.Freezes {
		if f.covers(t, n.Whole()) {
			return "a host needs " + n.String() + ", and freeze" + f.called() + " begins at " + stamp(f.Start)
		}
	}
	return "a host needs " + n.String() + ", and windows and freezes are known until " + stamp(c.Until) + " only"
}

// open is the window around t that lasts longest.
func (c Calendar) open(t time.Time) (Window, bool) {
	best, found := Window{}, false
	for _, w := range c.Windows {
		if w.covers(t, 0) && (!found || w.End.After(best.End)) {
			best, found = w, true
		}
	}
	return best, found
}

// outlook says when a host may begin instead.
func (c Calendar) outlook(n Need, next time.Time) string {
	switch {
	case !next.IsZero():
		return "; the next host may begin at " + stamp(next)
	case c.Always:
		return ""
	case len(c.Windows) == 0:
		return "; there is none until " + stamp(c.Until)
	}
	if longest := c.Longest(); longest < n.Whole() {
		return "; a host needs " + n.String() + ", and the longest window until " + stamp(c.Until) + " is " + Length(longest)
	}
	return "; none fits until " + stamp(c.Until)
}

// Longest is the longest need that any of the windows has room for, freezes aside.
func (c Calendar) Longest() time.Duration {
	var longest time.Duration
	for _, w := range c.Windows {
		if w.Cutoff.IsZero() || w.Cutoff.After(w.Start) {
			longest = max(longest, w.End.Sub(w.Start))
		}
	}
	return longest
}

// String says the need with its parts.
func (n Need) String() string {
	if n.Backout == 0 {
		return Length(n.Work)
	}
	return Length(n.Whole()) + " (" + Length(n.Work) + " and " + Length(n.Backout) + " for a backout)"
}

func (s Span) called() string {
	if s.Name == "" {
		return ""
	}
	return " " + strconv.Quote(s.Name)
}

// Length writes a length of time with the units that it has: 25m, 1h30m, 2d4h.
func Length(d time.Duration) string {
	d = d.Truncate(time.Second)
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d -= n * u.size
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
