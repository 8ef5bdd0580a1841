// Package windows finds out when work may start: it reads the sources of windows and freezes, anew each time, and follows their rules to
// instants in UTC. It must not decide whether anything fits; workflows/calendar does. What cannot be read is unknown, never left out.
package windows

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/recur"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// Ahead is how far windows and freezes are followed: a window that comes once a year is found.
const Ahead = 400 * 24 * time.Hour

// Calendar is when canaries, or peers, of a part may be worked on, from an instant on.
func (r *Reader) Calendar(ctx context.Context, p plan.Part, canary bool, from time.Time) (calendar.Calendar, error) {
	return r.reading(from).calendar(ctx, p.When, canary), ctx.Err()
}

// Laid lays a plan over its windows and freezes. Each source is read once.
func (r *Reader) Laid(ctx context.Context, p plan.Plan, parts map[string]plan.Part, answers []plan.Answer, start, finishBy time.Time) calendar.Dates {
	one := r.reading(start)
	return calendar.Lay(p.Course(parts, answers, start, finishBy, func(part plan.Part, canary bool) calendar.Calendar {
		return one.calendar(ctx, part.When, canary)
	}))
}

// reading is what was found out at one time.
type reading struct {
	*Reader
	from, until time.Time
	files       map[string]body
	known       map[string]calendar.Calendar
}

func (r *Reader) reading(from time.Time) *reading {
	from = from.UTC()
	return &reading{Reader: r, from: from, until: from.Add(Ahead), files: map[string]body{}, known: map[string]calendar.Calendar{}}
}

func (r *reading) calendar(ctx context.Context, w *plan.When, canary bool) calendar.Calendar {
	if w == nil {
		return calendar.Calendar{Always: true}
	}
	windows := w.Windows(canary)
	if len(windows)+len(w.Freezes) == 0 {
		return calendar.Calendar{Always: true}
	}
	key := digest(windows, w.Freezes)
	if c, ok := r.known[key]; ok {
		return c
	}
	c := r.follow(ctx, windows, w.Freezes)
	r.known[key] = c
	return c
}

func digest(of ...any) string {
	raw, err := json.Marshal(of)
	if err != nil {
		panic(err) // texts and numbers
	}
	sum := sha256.Sum256(raw)
	return string(sum[:])
}

// follow asks every source, also when one of them is unknown: all that is wrong is told at once.
func (r *reading) follow(ctx context.Context, windows []inventory.Window, freezes []inventory.Freeze) calendar.Calendar {
	c := calendar.Calendar{Always: len(windows) == 0, Until: r.until}
	var unknown []string
	for i, w := range windows {
		spans, err := r.spans(ctx, w.When())
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("window %s: %s", called(w.Name, i), err))
			continue
		}
		for _, s := range spans {
			if w.Name != "" {
				s.Name = w.Name
			}
			open := calendar.Window{Span: s, Cutoff: s.End}
			if w.Cutoff != nil {
				open.Cutoff = s.End.Add(-time.Duration(*w.Cutoff))
			}
			c.Windows = append(c.Windows, open)
		}
	}
	for i, f := range freezes {
		spans, err := r.spans(ctx, f.When())
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("freeze %s: %s", called(f.Name, i), err))
			continue
		}
		for _, s := range spans {
			s.Name = f.Name // what it is broken by
			c.Freezes = append(c.Freezes, s)
		}
	}
	if len(unknown) > 0 {
		return calendar.Calendar{Unknown: strings.Join(unknown, "; ")}
	}
	slices.SortStableFunc(c.Windows, func(a, b calendar.Window) int { return a.Start.Compare(b.Start) })
	slices.SortStableFunc(c.Freezes, func(a, b calendar.Span) int { return a.Start.Compare(b.Start) })
	return c
}

func called(name string, i int) string {
	if name == "" {
		return fmt.Sprintf("%d of the list", i+1)
	}
	return fmt.Sprintf("%q", name)
}

// spans are the stretches that are not over yet.
func (r *reading) spans(ctx context.Context, w inventory.When) ([]calendar.Span, error) {
	zone := time.UTC
	if w.Zone != "" {
		var err error
		if zone, err = recur.Zone(w.Zone); err != nil {
			return nil, err
		}
	}
	switch {
	case w.ICal != nil:
		return r.events(ctx, *w.ICal, zone)
	case w.From != "":
		return r.single(w, zone)
	}
	rule, source, err := ruleOf(w, zone)
	if err != nil {
		return nil, err
	}
	if w.Duration == nil {
		return nil, fmt.Errorf("%s: its duration is missing", source)
	}
	length := time.Duration(*w.Duration)
	starts, err := recur.Instants(rule, zone, r.from.Add(-length), r.until)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	var out []calendar.Span
	for _, s := range starts {
		if end := s.Add(length); end.After(r.from) {
			out = append(out, calendar.Span{Start: s, End: end, Source: source})
		}
	}
	return out, nil
}

func (r *reading) single(w inventory.When, zone *time.Location) ([]calendar.Span, error) {
	from, err := recur.ParseMoment(w.From)
	if err != nil {
		return nil, err
	}
	to, err := recur.ParseMoment(w.To)
	if err != nil {
		return nil, err
	}
	s := calendar.Span{Start: from.Start(zone), End: to.End(zone), Source: "from " + w.From + " to " + w.To}
	if !s.End.After(r.from) || !s.Start.Before(r.until) {
		return nil, nil
	}
	return []calendar.Span{s}, nil
}

// anchor is what rules count from that do not count.
const anchor = "2000-01-01"

// ruleOf is a rule that comes again, and how it was written.
func ruleOf(w inventory.When, zone *time.Location) (rule recur.Rule, source string, err error) {
	at := time.Duration(0)
	if w.At != "" {
		if at, err = recur.ParseTime(w.At); err != nil {
			return nil, "", err
		}
	}
	switch {
	case w.RRule != "":
		day := w.Start
		if day == "" {
			day = anchor
		}
		start, err := recur.ParseDay(day)
		if err != nil {
			return nil, "", err
		}
		rule, err = recur.ParseRRule(w.RRule, start.Add(at), zone)
		return rule, w.RRule, err
	case w.Cron != "":
		rule, err = recur.ParseCron(w.Cron)
		return rule, "cron " + w.Cron, err
	case w.Nth != nil:
		day, err := recur.ParseWeekday(string(w.Nth.Weekday))
		return recur.Nth{Weekday: day, N: w.Nth.N, Days: w.Nth.Days(), At: at}, fmt.Sprintf("%s %d of the month", w.Nth.Weekday, w.Nth.N), err
	}
	return nil, "", fmt.Errorf("it says neither rrule, cron, nth, ical nor from")
}
