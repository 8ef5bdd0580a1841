package recur

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ical "github.com/arran4/golang-ical"
)

// MostEvents is how many events a calendar may hold.
const MostEvents = 5000

// Event is one time that a calendar names.
type Event struct {
	Start, End time.Time
	Summary    string
}

// Calendar is what a text in iCalendar's format (RFC 5545) says.
type Calendar struct {
	zone   *time.Location // of times that name none, and of whole days
	zones  map[string]clock
	series []series

	zoneRules int // how many rules its zones have
}

// series is one VEVENT: an event with all its repetitions, or what became of one of them.
type series struct {
	uid     string
	summary string
	start   point
	length  length
	rules   []Rule
	dates   []dated // RDATE
	except  []point // EXDATE
	instead *point  // RECURRENCE-ID: it takes the place of that one
	gone    bool    // STATUS:CANCELLED
	seq     int     // SEQUENCE
}

// point is a civil time with its clock, or a whole day.
type point struct {
	civil time.Time
	day   bool
	clock clock
}

func (p point) at() time.Time { return p.clock.instant(p.civil) }

// length is how long something takes: days by the calendar, then time that passes.
type length struct {
	days int
	time time.Duration
}

func (l length) end(start point) time.Time {
	if l.days != 0 {
		start.civil = start.civil.AddDate(0, 0, l.days)
	}
	return start.at().Add(l.time)
}

// dated is an RDATE, which may have a length of its own.
type dated struct {
	point
	length *length
}

// clock turns civil times into instants.
type clock interface {
	instant(civil time.Time) time.Time
	civil(at time.Time) time.Time
}

type location struct{ *time.Location }

func (l location) instant(civil time.Time) time.Time { return Local(civil, l.Location) }
func (l location) civil(at time.Time) time.Time      { return Civil(at, l.Location) }

// ParseCalendar reads a calendar. Times that name no zone, and whole days, are those of the zone given. What it cannot make sense of is an
// error, never left out: a freeze that is not seen is worse than one that is asked about.
func ParseCalendar(raw []byte, zone *time.Location) (Calendar, error) {
	c := Calendar{zone: zone, zones: map[string]clock{}}
	parsed, err := ical.ParseCalendar(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	if err != nil {
		return c, fmt.Errorf("is no calendar in iCalendar's format: %w", err)
	}
	if len(parsed.Components) == 0 && !bytes.Contains(bytes.ToUpper(raw), []byte("END:VCALENDAR")) {
		return c, errors.New("is no calendar in iCalendar's format: it does not end with END:VCALENDAR")
	}
	for _, co := range parsed.Components {
		if z, ok := co.(*ical.VTimezone); ok {
			if err := c.timezone(z); err != nil {
				return c, err
			}
		}
	}
	for _, co := range parsed.Components {
		e, ok := co.(*ical.VEvent)
		if !ok {
			continue
		}
		if len(c.series) == MostEvents {
			return c, fmt.Errorf("has more than %d events", MostEvents)
		}
		s, err := c.event(e)
		if err != nil {
			return c, fmt.Errorf("event %s: %w", called(s), err)
		}
		c.series = append(c.series, s)
	}
	return c, nil
}

func called(s series) string {
	if s.summary != "" {
		return strconv.Quote(s.summary)
	}
	return strconv.Quote(s.uid)
}

func (c *Calendar) event(e *ical.VEvent) (series, error) {
	var s series
	var end, took *ical.IANAProperty
	var rules []string
	hasStart := false
	for i := range e.Properties {
		p := &e.Properties[i]
		switch strings.ToUpper(p.IANAToken) {
		case "UID":
			s.uid = p.Value
		case "SUMMARY":
			s.summary = oneLine(p.Value)
		case "STATUS":
			s.gone = strings.EqualFold(p.Value, "CANCELLED")
		case "SEQUENCE":
			s.seq, _ = strconv.Atoi(p.Value)
		case "DTEND":
			end = p
		case "DURATION":
			took = p
		case "RRULE":
			rules = append(rules, p.Value)
		case "EXRULE":
			return s, errors.New("EXRULE is not supported: RFC 5545 gave it up for EXDATE")
		}
	}
	for i := range e.Properties {
		p := &e.Properties[i]
		var err error
		switch strings.ToUpper(p.IANAToken) {
		case "DTSTART":
			s.start, err = c.point(p, p.Value)
			hasStart = true
		case "RECURRENCE-ID":
			if slices.Contains(p.ICalParameters["RANGE"], "THISANDFUTURE") {
				return s, errors.New("RECURRENCE-ID with RANGE=THISANDFUTURE is not supported")
			}
			var id point
			id, err = c.point(p, p.Value)
			s.instead = &id
		case "EXDATE":
			for _, text := range strings.Split(p.Value, ",") {
				var x point
				if x, err = c.point(p, text); err != nil {
					break
				}
				s.except = append(s.except, x)
			}
		case "RDATE":
			for _, text := range strings.Split(p.Value, ",") {
				var d dated
				if d, err = c.dated(p, text); err != nil {
					break
				}
				s.dates = append(s.dates, d)
			}
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", strings.ToUpper(p.IANAToken), err)
		}
	}
	if !hasStart {
		if s.gone && s.instead != nil {
			return s, nil
		}
		return s, errors.New("DTSTART is missing")
	}
	if s.start.civil.Year() < 1900 {
		return s, errors.New("DTSTART lies before 1900")
	}
	var err error
	if s.length, err = c.length(s.start, end, took); err != nil {
		return s, err
	}
	for _, text := range rules {
		r, err := c.rule(text, s.start)
		if err != nil {
			return s, err
		}
		s.rules = append(s.rules, r)
	}
	return s, nil
}

// rule reads an RRULE, whose UNTIL in UTC is one by the clock that the event goes by.
func (c *Calendar) rule(text string, start point) (Rule, error) {
	var kept []string
	for _, part := range strings.Split(strings.ToUpper(text), ";") {
		if until, ok := strings.CutPrefix(part, "UNTIL="); ok && strings.HasSuffix(until, "Z") {
			t, err := time.Parse("20060102T150405Z", until)
			if err != nil {
				return nil, fmt.Errorf("RRULE: UNTIL=%s is no time such as 20261231T235959Z", until)
			}
			part = "UNTIL=" + start.clock.civil(t).Format("20060102T150405")
		}
		kept = append(kept, part)
	}
	return ParseRRule(strings.Join(kept, ";"), start.civil, time.UTC)
}

// length is how long the event takes: by its end, by its duration, or else a day for a whole day, and no time for a time.
func (c *Calendar) length(start point, end, took *ical.IANAProperty) (length, error) {
	switch {
	case end != nil:
		e, err := c.point(end, end.Value)
		if err != nil {
			return length{}, fmt.Errorf("DTEND: %w", err)
		}
		if e.day != start.day {
			return length{}, errors.New("one of DTSTART and DTEND is a day, the other a time")
		}
		if e.day {
			return length{days: int(e.civil.Sub(start.civil) / (24 * time.Hour))}, nil
		}
		return length{time: e.at().Sub(start.at())}, nil
	case took != nil:
		l, err := parseLength(took.Value)
		if err != nil {
			return l, fmt.Errorf("DURATION: %w", err)
		}
		return l, nil
	case start.day:
		return length{days: 1}, nil
	}
	return length{}, nil
}

// point reads a day or a time, with the zone that its property names.
func (c *Calendar) point(p *ical.IANAProperty, text string) (point, error) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse("20060102", text); err == nil {
		return point{civil: t, day: true, clock: location{c.zone}}, nil
	}
	if t, err := time.Parse("20060102T150405Z", text); err == nil {
		return point{civil: t, clock: location{time.UTC}}, nil
	}
	t, err := time.Parse("20060102T150405", text)
	if err != nil {
		return point{}, fmt.Errorf("%q is no day and no time", text)
	}
	if ids := p.ICalParameters["TZID"]; len(ids) > 0 {
		k, err := c.clock(ids[0])
		return point{civil: t, clock: k}, err
	}
	return point{civil: t, clock: location{c.zone}}, nil
}

// clock finds a zone by its name, which is IANA's, or by what the calendar says of it.
func (c *Calendar) clock(id string) (clock, error) {
	id = strings.Trim(id, `"`)
	if zone, err := Zone(strings.TrimPrefix(id, "/")); err == nil {
		return location{zone}, nil
	}
	if k, ok := c.zones[id]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("time zone %q is neither IANA's nor explained by a VTIMEZONE", id)
}

// dated reads a time of RDATE, which may be a period.
func (c *Calendar) dated(p *ical.IANAProperty, text string) (dated, error) {
	first, rest, period := strings.Cut(text, "/")
	start, err := c.point(p, first)
	if err != nil || !period {
		return dated{point: start}, err
	}
	if strings.HasPrefix(rest, "P") {
		l, err := parseLength(rest)
		return dated{start, &l}, err
	}
	end, err := c.point(p, rest)
	if err != nil {
		return dated{}, err
	}
	return dated{start, &length{time: end.at().Sub(start.at())}}, nil
}

// parseLength reads a DURATION: P1D, PT2H30M, P1W.
func parseLength(text string) (length, error) {
	wrong := fmt.Errorf("%q is no length of time such as PT2H30M or P1D", text)
	rest, ok := strings.CutPrefix(strings.TrimPrefix(text, "+"), "P")
	if !ok || rest == "" {
		return length{}, wrong
	}
	var l length
	inTime := false
	for rest != "" {
		if tail, ok := strings.CutPrefix(rest, "T"); ok && !inTime {
			inTime, rest = true, tail
			continue
		}
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits > 6 || digits == len(rest) {
			return length{}, wrong
		}
		n, _ := strconv.Atoi(rest[:digits])
		switch unit := rest[digits]; {
		case unit == 'W' && !inTime:
			l.days += 7 * n
		case unit == 'D' && !inTime:
			l.days += n
		case unit == 'H' && inTime:
			l.time += time.Duration(n) * time.Hour
		case unit == 'M' && inTime:
			l.time += time.Duration(n) * time.Minute
		case unit == 'S' && inTime:
			l.time += time.Duration(n) * time.Second
		default:
			return length{}, wrong
		}
		rest = rest[digits+1:]
	}
	return l, nil
}

// Between lists the events that are not over at one instant and begin before another, in order. It gives up as ctx ends.
func (c Calendar) Between(ctx context.Context, from, until time.Time) ([]Event, error) {
	replaced := map[string]map[int64]series{}
	for _, s := range c.series {
		if s.instead == nil {
			continue
		}
		of := replaced[s.uid]
		if of == nil {
			of = map[int64]series{}
			replaced[s.uid] = of
		}
		at := s.instead.at().Unix()
		if before, ok := of[at]; !ok || before.seq <= s.seq {
			of[at] = s
		}
	}
	var out []Event
	for _, s := range c.series {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("its events could not be followed in time: %w", err)
		}
		if s.instead != nil {
			if last := replaced[s.uid][s.instead.at().Unix()]; !s.gone && last.seq == s.seq {
				out = s.add(out, dated{point: s.start}, from, until)
			}
			continue
		}
		if s.gone {
			continue
		}
		starts, err := s.starts(from, until)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", called(s), err)
		}
		for _, d := range starts {
			if _, ok := replaced[s.uid][d.at().Unix()]; !ok {
				out = s.add(out, d, from, until)
			}
		}
		if len(out) > Most {
			return nil, fmt.Errorf("names more than %d times from %s until %s", Most, from.Format(time.DateOnly), until.Format(time.DateOnly))
		}
	}
	slices.SortStableFunc(out, func(a, b Event) int { return a.Start.Compare(b.Start) })
	return out, nil
}

// starts are the times at which the series comes about, without those that it leaves out.
func (s series) starts(from, until time.Time) ([]dated, error) {
	all := append([]dated{{point: s.start}}, s.dates...)
	long := time.Duration(s.length.days)*24*time.Hour + s.length.time
	for _, r := range s.rules {
		civil, err := r.between(s.start.clock.civil(from).Add(-long-farthest), s.start.clock.civil(until).Add(farthest))
		if err != nil {
			return nil, err
		}
		for _, t := range civil {
			all = append(all, dated{point: point{civil: t, day: s.start.day, clock: s.start.clock}})
		}
	}
	seen := map[int64]bool{}
	for _, x := range s.except {
		seen[x.at().Unix()] = true
	}
	var out []dated
	for _, d := range all {
		if at := d.at().Unix(); !seen[at] && !s.excludesDay(d.point) {
			seen[at] = true
			out = append(out, d)
		}
	}
	return out, nil
}

// excludesDay says that an EXDATE names the whole day of an event that has a time: calendars write that, and mean it.
func (s series) excludesDay(p point) bool {
	return slices.ContainsFunc(s.except, func(x point) bool {
		return x.day && !p.day && x.civil.Equal(p.civil.Truncate(24*time.Hour))
	})
}

// add appends the event that begins at d, if some of it lies in the time that is asked for.
func (s series) add(out []Event, d dated, from, until time.Time) []Event {
	l := s.length
	if d.length != nil {
		l = *d.length
	}
	e := Event{Start: d.at(), End: l.end(d.point), Summary: s.summary}
	if e.End.After(e.Start) && e.End.After(from) && e.Start.Before(until) {
		out = append(out, e)
	}
	return out
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
