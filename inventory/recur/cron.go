package recur

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

// cron is kept as text: the library's value changes while it is asked.
type cron string

// ParseCron reads the five fields of crontab(5).
func ParseCron(text string) (Rule, error) {
	switch n := len(strings.Fields(text)); {
	case strings.HasPrefix(strings.TrimSpace(text), "@"):
		return nil, fmt.Errorf("%q is no cron rule here: write its five fields, such as \"0 22 * * 2\"", text)
	case n != 5:
		return nil, fmt.Errorf("%q has %d fields: cron wants five: minute, hour, day of the month, month, day of the week", text, n)
	}
	if _, err := cronexpr.Parse(text); err != nil {
		return nil, fmt.Errorf("%q is no cron rule: %w", text, err)
	}
	return cron(text), nil
}

func (c cron) between(from, until time.Time) ([]time.Time, error) {
	expr, err := cronexpr.Parse(string(c))
	if err != nil {
		return nil, err
	}
	var out []time.Time
	for t := expr.Next(from.Add(-time.Second)); !t.IsZero() && t.Before(until); t = expr.Next(t) {
		if out = append(out, t); len(out) > Most {
			return nil, tooMany(from, until)
		}
	}
	if len(out) == 0 && expr.Next(from).IsZero() {
		return nil, errors.New("never comes about")
	}
	return out, nil
}
