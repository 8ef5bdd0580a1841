package calendar

import (
	"fmt"
	"slices"
	"time"
)

// Opening is the first instant after t at which a window opens for a host with that need, or a freeze lets it; not found where no window is
// asked for and nothing is frozen, or none opens within what is known.
func (c Calendar) Opening(t time.Time, n Need) (at time.Time, found bool) {
	if ok, _, next := c.Fit(t, n); !ok || c.Always {
		return next, !ok && !next.IsZero()
	}
	later := c
	later.Windows = slices.DeleteFunc(slices.Clone(c.Windows), func(w Window) bool { return !w.Start.After(t) })
	return later.next(t, n)
}

// Firing is one time at which a schedule makes an instance: its plan is made at At, and it is to begin at Begin.
type Firing struct {
	At    time.Time `json:"at"`
	Begin time.Time `json:"begin"`
}

// FiringsMost is how many firings a schedule keeps: its rule is followed anew at each of them.
const FiringsMost = 32

// Firings are those of a rule's begins whose plan is still to be made, the next one first. It fails where a firing would come while the one before
// still waits for its begin: then every other one would be skipped.
func Firings(begins []time.Time, lead time.Duration, now time.Time) ([]Firing, error) {
	begins = slices.Clone(begins)
	slices.SortFunc(begins, time.Time.Compare)
	var out []Firing
	for i, b := range begins {
		if i > 0 && b.Sub(begins[i-1]) <= lead {
			return nil, fmt.Errorf("its lead of %s is not shorter than the time between its begins at %s and %s: a plan would be made while the instance before still waits for its own begin",
				Length(lead), stamp(begins[i-1]), stamp(b))
		}
		if f := (Firing{At: b.Add(-lead), Begin: b}); !f.At.Before(now) && len(out) < FiringsMost {
			out = append(out, f)
		}
	}
	return out, nil
}
