package recur

import (
	"fmt"
	"strings"
	"time"
)

// Nth is the nth weekday of every month, or so many days after it: Days may well reach into the next month. N counts from the month's
// end where it is negative.
type Nth struct {
	Weekday time.Weekday
	N       int
	Days    int
	At      time.Duration // since midnight
}

// ParseWeekday reads the English name of a weekday.
func ParseWeekday(text string) (time.Weekday, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String(), text) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is no weekday: write monday, tuesday and so on", text)
}

func (n Nth) between(from, until time.Time) ([]time.Time, error) {
	var out []time.Time
	// A month's weekday may come so many days later.
	first := from.AddDate(0, 0, -n.Days)
	for month := time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC); month.Before(until); month = month.AddDate(0, 1, 0) {
		day, ok := n.of(month)
		if !ok {
			continue
		}
		if at := day.AddDate(0, 0, n.Days).Add(n.At); !at.Before(from) && at.Before(until) {
			out = append(out, at)
		}
		if len(out) > Most {
			return nil, tooMany(from, until)
		}
	}
	return out, nil
}

// of is the weekday in a month that begins at first; not every month has a fifth.
func (n Nth) of(first time.Time) (time.Time, bool) {
	if n.N > 0 {
		day := first.AddDate(0, 0, (int(n.Weekday)-int(first.Weekday())+7)%7+7*(n.N-1))
		return day, day.Month() == first.Month()
	}
	last := first.AddDate(0, 1, -1)
	day := last.AddDate(0, 0, -(int(last.Weekday())-int(n.Weekday)+7)%7+7*(n.N+1))
	return day, n.N < 0 && day.Month() == first.Month()
}
