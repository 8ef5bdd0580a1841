package recur

import (
	"fmt"
	"slices"
	"time"
)

// Most is how many times one rule may come about in the time that is asked for.
const Most = 5000

// farthest is more than any zone is away from UTC, and more than any transition.
const farthest = 48 * time.Hour

// Rule is something that comes again.
type Rule interface {
	// between lists its civil times from one until just before another, in order, and an error when there are more than [Most].
	between(from, until time.Time) ([]time.Time, error)
}

// Instants are those at which a rule comes about by the clocks of a zone, from one until just before another.
func Instants(r Rule, zone *time.Location, from, until time.Time) ([]time.Time, error) {
	civil, err := r.between(Civil(from, zone).Add(-farthest), Civil(until, zone).Add(farthest))
	if err != nil {
		return nil, err
	}
	var out []time.Time
	for _, c := range civil {
		if at := Local(c, zone); !at.Before(from) && at.Before(until) {
			out = append(out, at)
		}
	}
	return inOrder(out), nil
}

// inOrder sorts, and leaves out what is there twice: two civil times are the same instant where one of them is skipped.
func inOrder(times []time.Time) []time.Time {
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}

func tooMany(from, until time.Time) error {
	return fmt.Errorf("comes about more than %d times from %s until %s", Most, from.Format(time.DateOnly), until.Format(time.DateOnly))
}

// ParseDay reads a day, as 2026-12-24, as its first moment in civil time.
func ParseDay(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, fmt.Errorf("%q is no day: write it as 2026-12-24", text)
	}
	return t, nil
}

// ParseTime reads a time of day, as 22:00, as the time since midnight.
func ParseTime(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of day: write it as 22:00", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// Moment is a point in time as people write it: a day, a civil time, or an instant.
type Moment struct {
	At    time.Time // civil, or an instant
	Fixed bool      // it is an instant, whatever the zone
	Day   bool      // it is a whole day
}

// ParseMoment reads 2026-12-24, "2026-12-24 18:00" or 2026-12-24T18:00:00+01:00.
func ParseMoment(text string) (Moment, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return Moment{At: t, Day: true}, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return Moment{At: t}, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return Moment{At: t.UTC(), Fixed: true}, nil
	}
	return Moment{}, fmt.Errorf("%q is no point in time: write a day as 2026-12-24, a time as \"2026-12-24 18:00\", or with its offset as 2026-12-24T18:00:00+01:00", text)
}

// Start is the instant at which something from m on begins.
func (m Moment) Start(zone *time.Location) time.Time {
	if m.Fixed {
		return m.At
	}
	return Local(m.At, zone)
}

// End is the instant at which something until m ends: a day is a whole one.
func (m Moment) End(zone *time.Location) time.Time {
	if m.Day {
		m.At = m.At.AddDate(0, 0, 1)
	}
	return m.Start(zone)
}
