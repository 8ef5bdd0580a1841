package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory/recur"
)

// Window is when work may start, by exactly one of rrule, cron, nth, ical and from.
type Window struct {
	// Name is what people call it.
	Name string `json:"name,omitempty" yaml:"name,omitempty"`
	// RRule is a recurrence rule of RFC 5545, such as FREQ=MONTHLY;BYDAY=2TU.
	RRule string `json:"rrule,omitempty" yaml:"rrule,omitempty"`
	// Cron is the five fields of crontab(5), such as "0 22 * * 2".
	Cron string `json:"cron,omitempty" yaml:"cron,omitempty"`
	// Nth is the nth weekday of every month, or so many days after it.
	Nth *Nth `json:"nth,omitempty" yaml:"nth,omitempty"`
	// ICal is a calendar whose events are the windows.
	ICal *ICal `json:"ical,omitempty" yaml:"ical,omitempty"`
	// From is when a single window begins: "2026-12-24 18:00", a day, or a time with its offset.
	From string `json:"from,omitempty" yaml:"from,omitempty"`
	// To is when it ends; a day is a whole one.
	To string `json:"to,omitempty" yaml:"to,omitempty"`
	// At is the time of day of rrule and nth, such as "22:00".
	At string `json:"at,omitempty" yaml:"at,omitempty"`
	// Start is the day that an rrule counts from, where it counts.
	Start string `json:"start,omitempty" yaml:"start,omitempty"`
	// Zone says whose clocks are meant, such as Europe/Berlin or UTC; default the file's zone.
	Zone string `json:"zone,omitempty" yaml:"zone,omitempty"`
	// Duration is how long the window is open, as time that passes; required with rrule, cron and nth.
	Duration *Duration `json:"duration,omitempty" yaml:"duration,omitempty"`
	// Cutoff is how long before its end no further host begins; default not at all, as long as a host's estimate fits.
	Cutoff *Duration `json:"cutoff,omitempty" yaml:"cutoff,omitempty"`
}

// Freeze is when nothing may start, by exactly one of from, rrule, cron, nth and ical.
type Freeze struct {
	// Name is what people call it, and break it by.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Reason is why nothing may start then.
	Reason string `json:"reason" yaml:"reason" jsonschema:"required"`
	// From is when it begins: a day, "2026-12-24 18:00", or a time with its offset.
	From string `json:"from,omitempty" yaml:"from,omitempty"`
	// To is when it ends; a day is a whole one.
	To string `json:"to,omitempty" yaml:"to,omitempty"`
	// RRule is a recurrence rule of RFC 5545, such as FREQ=MONTHLY;BYMONTHDAY=-1.
	RRule string `json:"rrule,omitempty" yaml:"rrule,omitempty"`
	// Cron is the five fields of crontab(5), such as "0 8 * * 1-5".
	Cron string `json:"cron,omitempty" yaml:"cron,omitempty"`
	// Nth is the nth weekday of every month, or so many days after it.
	Nth *Nth `json:"nth,omitempty" yaml:"nth,omitempty"`
	// ICal is a calendar whose events are freezes.
	ICal *ICal `json:"ical,omitempty" yaml:"ical,omitempty"`
	// At is the time of day of rrule and nth, such as "08:00".
	At string `json:"at,omitempty" yaml:"at,omitempty"`
	// Start is the day that an rrule counts from, where it counts.
	Start string `json:"start,omitempty" yaml:"start,omitempty"`
	// Zone says whose clocks are meant, such as Europe/Berlin or UTC; default the file's zone.
	Zone string `json:"zone,omitempty" yaml:"zone,omitempty"`
	// Duration is how long it lasts, as time that passes; required with rrule, cron and nth.
	Duration *Duration `json:"duration,omitempty" yaml:"duration,omitempty"`
	// Approvers are those who alone may break it.
	Approvers []string `json:"approvers,omitempty" yaml:"approvers,omitempty"`
}

// Nth is a weekday of every month.
type Nth struct {
	// Weekday is its English name.
	Weekday Weekday `json:"weekday" yaml:"weekday" jsonschema:"required"`
	// N counts from the month's begin, or with -1 from its end.
	N int `json:"n" yaml:"n" jsonschema:"required"`
	// Offset is how many days after it.
	Offset *Duration `json:"offset,omitempty" yaml:"offset,omitempty"`
}

// Weekday is the name of one.
type Weekday string

// Values lists what may be written.
func (Weekday) Values() []string {
	return []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
}

// ICal is a calendar in iCalendar's format, read anew each time it is asked: exactly one of File and URL.
type ICal struct {
	// File is a path on the worker, relative to the file that names it.
	File string `json:"file,omitempty" yaml:"file,omitempty"`
	// URL is where it is fetched from: a reference, because such addresses often hold a secret.
	URL *Secret `json:"url,omitempty" yaml:"url,omitempty"`
	// Events is a glob over the summaries of events; default all of them.
	Events string `json:"events,omitempty" yaml:"events,omitempty"`
}

// When is what a window and a freeze have in common.
type When struct {
	RRule, Cron, From, To, At, Start, Zone string
	Nth                                    *Nth
	ICal                                   *ICal
	Duration                               *Duration
}

// When is when the window comes about.
func (w Window) When() When {
	return When{RRule: w.RRule, Cron: w.Cron, From: w.From, To: w.To, At: w.At, Start: w.Start, Zone: w.Zone, Nth: w.Nth, ICal: w.ICal, Duration: w.Duration}
}

// When is when the freeze comes about.
func (f Freeze) When() When {
	return When{RRule: f.RRule, Cron: f.Cron, From: f.From, To: f.To, At: f.At, Start: f.Start, Zone: f.Zone, Nth: f.Nth, ICal: f.ICal, Duration: f.Duration}
}

// Takes reports whether an event of that summary counts.
func (c ICal) Takes(summary string) bool {
	ok, err := path.Match(c.Events, summary)
	return c.Events == "" || ok && err == nil
}

// Days is the offset, which is whole days.
func (n Nth) Days() int {
	if n.Offset == nil {
		return 0
	}
	return int(time.Duration(*n.Offset) / day)
}

// InZone fills the zone in where a window names none.
func InZone(windows []Window, zone string) []Window {
	windows = slices.Clone(windows)
	for i := range windows {
		if windows[i].Zone == "" {
			windows[i].Zone = zone
		}
	}
	return windows
}

// FreezesInZone fills the zone in where a freeze names none.
func FreezesInZone(freezes []Freeze, zone string) []Freeze {
	freezes = slices.Clone(freezes)
	for i := range freezes {
		if freezes[i].Zone == "" {
			freezes[i].Zone = zone
		}
	}
	return freezes
}

// WindowsWithPaths returns a copy in which the path of every calendar is absolute.
func WindowsWithPaths(windows []Window, dir, home string) []Window {
	windows = slices.Clone(windows)
	for i := range windows {
		windows[i].ICal = windows[i].ICal.withPaths(dir, home)
	}
	return windows
}

// FreezesWithPaths returns a copy in which the path of every calendar is absolute.
func FreezesWithPaths(freezes []Freeze, dir, home string) []Freeze {
	freezes = slices.Clone(freezes)
	for i := range freezes {
		freezes[i].ICal = freezes[i].ICal.withPaths(dir, home)
	}
	return freezes
}

func (c *ICal) withPaths(dir, home string) *ICal {
	if c == nil {
		return nil
	}
	out := *c
	out.File, out.URL = Absolute(c.File, dir, home), c.URL.WithPaths(dir, home)
	return &out
}

// Zone checks the zone of a file.
func (p *Problems) Zone(at, name string) {
	if name == "" {
		return
	}
	if _, err := recur.Zone(name); err != nil {
		p.Add(at, "%s", err)
	}
}

// Windows checks a list of windows; zone is that of their file.
func (p *Problems) Windows(at string, windows []Window, zone string) {
	for i, w := range windows {
		here := fmt.Sprintf("%s[%d]", at, i)
		p.when(here, w.When(), zone)
		if w.Cutoff != nil && w.Duration != nil && *w.Cutoff >= *w.Duration {
			p.Add(here+".cutoff", "%s leaves nothing of a window of %s: it is how long before the window's end no further host begins", w.Cutoff, w.Duration)
		}
	}
}

// Freezes checks a list of freezes; zone is that of their file.
func (p *Problems) Freezes(at string, freezes []Freeze, zone string) {
	names := map[string]string{}
	for i, f := range freezes {
		here := fmt.Sprintf("%s[%d]", at, i)
		p.Name(here+".name", f.Name, "quarter-end")
		p.Once(names, f.Name, here+".name", "%q is already used", f.Name)
		if strings.TrimSpace(f.Reason) == "" {
			p.Add(here+".reason", "is missing: say why nothing may start then")
		}
		approvers := map[string]string{}
		for j, name := range f.Approvers {
			if name == "" || strings.ContainsAny(name, "*?!, \t\"#") {
				p.Add(fmt.Sprintf("%s.approvers[%d]", here, j), "%q is no name of one person: write it as in the file of allowed signers, such as ann@example.org", name)
			}
			p.Once(approvers, name, fmt.Sprintf("%s.approvers[%d]", here, j), "%q is already listed", name)
		}
		p.when(here, f.When(), zone)
	}
}

// when checks one rule and what belongs to it.
func (p *Problems) when(at string, w When, zone string) {
	if given := countTrue(w.RRule != "", w.Cron != "", w.Nth != nil, w.ICal != nil, w.From != ""); given != 1 {
		p.Add(at, "needs exactly one of rrule, cron, nth, ical and from, such as nth: {weekday: tuesday, n: 2}")
	}
	recurs := w.RRule != "" || w.Cron != "" || w.Nth != nil
	switch {
	case recurs && w.Duration == nil:
		p.Add(at+".duration", "is missing: say how long it lasts, such as duration: 4h")
	case !recurs && w.Duration != nil:
		p.Add(at+".duration", "belongs to rrule, cron and nth: this one says itself when it ends")
	case w.Duration != nil && *w.Duration < Duration(time.Minute):
		p.Add(at+".duration", "%s is too short: write 1m or more", w.Duration)
	}
	p.whose(at, w, zone)
	if w.At != "" {
		if _, err := recur.ParseTime(w.At); err != nil {
			p.Add(at+".at", "%s", err)
		}
		if w.RRule == "" && w.Nth == nil {
			p.Add(at+".at", "belongs to rrule and nth")
		}
	}
	if w.Start != "" {
		if _, err := recur.ParseDay(w.Start); err != nil {
			p.Add(at+".start", "%s", err)
		}
		if w.RRule == "" {
			p.Add(at+".start", "belongs to rrule")
		}
	}
	if w.RRule != "" {
		p.rrule(at, w)
	}
	if w.Cron != "" {
		if _, err := recur.ParseCron(w.Cron); err != nil {
			p.Add(at+".cron", "%s", err)
		}
	}
	p.nth(at, w)
	p.single(at, w)
	p.ical(at+".ical", w.ICal)
}

// whose checks that it is said whose clocks are meant: nobody guesses that.
func (p *Problems) whose(at string, w When, zone string) {
	p.Zone(at+".zone", w.Zone)
	if w.Zone != "" || zone != "" {
		return
	}
	from, fromErr := recur.ParseMoment(w.From)
	to, toErr := recur.ParseMoment(w.To)
	if w.From != "" && (fromErr != nil || from.Fixed) && (toErr != nil || to.Fixed) {
		return
	}
	p.Add(at+".zone", "is missing: say whose clocks are meant, such as Europe/Berlin or UTC, here or once at the top of the file")
}

func (p *Problems) rrule(at string, w When) {
	anchored, timed, err := recur.CheckRRule(w.RRule)
	switch {
	case err != nil:
		p.Add(at+".rrule", "%s", err)
	case timed && w.At != "":
		p.Add(at+".at", "the rule names its hours itself (BYHOUR)")
	case !timed && w.At == "":
		p.Add(at+".at", "is missing: say at what time of day, such as at: \"22:00\"")
	}
	if err == nil && anchored && w.Start == "" {
		p.Add(at+".start", "is missing: %s counts from a day, such as start: 2026-01-06", w.RRule)
	}
}

func (p *Problems) nth(at string, w When) {
	if w.Nth == nil {
		return
	}
	if w.Nth.Weekday == "" {
		p.Add(at+".nth.weekday", "is missing: write a weekday, such as tuesday")
	}
	OneOf(p, at+".nth.weekday", w.Nth.Weekday)
	switch n := w.Nth.N; {
	case n == 0:
		p.Add(at+".nth.n", "is missing: write 2 for the second of a month, -1 for its last")
	case n < -5 || n > 5:
		p.Add(at+".nth.n", "%d: a month has five of a weekday at the most", n)
	}
	if o := w.Nth.Offset; o != nil && (time.Duration(*o)%day != 0 || *o > Duration(60*day)) {
		p.Add(at+".nth.offset", "%s: write whole days up to 60d; the time of day goes under at", o)
	}
	if w.At == "" {
		p.Add(at+".at", "is missing: say at what time of day, such as at: \"22:00\"")
	}
}

func (p *Problems) single(at string, w When) {
	from, err := recur.ParseMoment(w.From)
	if w.From != "" && err != nil {
		p.Add(at+".from", "%s", err)
	}
	to, toErr := recur.ParseMoment(w.To)
	switch {
	case w.To != "" && w.From == "":
		p.Add(at+".to", "belongs to from")
	case w.From != "" && w.To == "":
		p.Add(at+".to", "is missing: say when it ends")
	case w.To != "" && toErr != nil:
		p.Add(at+".to", "%s", toErr)
	case w.From != "" && err == nil && !to.End(time.UTC).After(from.Start(time.UTC)) && from.Fixed == to.Fixed:
		p.Add(at+".to", "%s is not after %s", w.To, w.From)
	}
}

func (p *Problems) ical(at string, c *ICal) {
	if c == nil {
		return
	}
	if countTrue(c.File != "", c.URL != nil) != 1 {
		p.Add(at, "needs exactly one of file and url, such as {file: freezes.ics}")
	}
	p.filePath(at+".file", c.File)
	p.Secret(at+".url", c.URL)
	if _, err := path.Match(c.Events, ""); err != nil {
		p.Add(at+".events", "%q is no glob: write * for any letters, ? for one and [a-z] for one of several", c.Events)
	}
}

// Recurs checks a rule that comes again by itself, without a calendar or a single time; zone is that of its file.
func (p *Problems) Recurs(at string, w When, zone string) {
	if countTrue(w.RRule != "", w.Cron != "", w.Nth != nil) != 1 {
		p.Add(at, "needs exactly one of rrule, cron and nth, such as nth: {weekday: tuesday, n: 2}")
		return
	}
	p.when(at, w, zone)
}
