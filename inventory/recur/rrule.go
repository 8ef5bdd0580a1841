package recur

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// The bounds of a rule. Who wants more than that does not mean a window or a freeze.
const (
	mostInterval = 1000
	mostCount    = 10000
	mostADay     = 96
	mostSteps    = 300000 // how many times of its past are passed over
	lastYear     = 9990   // a little before the library's
)

// weekdays are the library's, by Go's.
var weekdays = []rrule.Weekday{rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA}

// rule is an RRULE with the civil time that it counts from. Both that and COUNT are looked after here: of a first week that the rule begins
// in the middle of, the library would not know the days before.
type rule struct {
	option rrule.ROption
	start  time.Time
	count  int
}

// ParseRRule reads an RRULE that counts from a civil time. Zone is that of the time: an UNTIL in UTC is turned into it.
func ParseRRule(text string, start time.Time, zone *time.Location) (Rule, error) {
	r, _, err := parseRRule(text, start, zone)
	if err != nil {
		return nil, fmt.Errorf("%q is no RRULE that can be used: %w", text, err)
	}
	return r, nil
}

// CheckRRule reads an RRULE without knowing what it counts from. Anchored says that it means nothing without: every second week is every
// second one since when? Timed says that it names its hours itself.
func CheckRRule(text string) (anchored, timed bool, err error) {
	_, keys, err := parseRRule(text, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC)
	if err != nil {
		return false, false, fmt.Errorf("%q is no RRULE that can be used: %w", text, err)
	}
	has := func(key string) bool { _, ok := keys[key]; return ok }
	anchored = has("INTERVAL") && keys["INTERVAL"] != "1" || has("COUNT")
	switch keys["FREQ"] {
	case "WEEKLY":
		anchored = anchored || !has("BYDAY")
	case "MONTHLY":
		anchored = anchored || !has("BYDAY") && !has("BYMONTHDAY")
	case "YEARLY":
		anchored = anchored || !has("BYDAY") && !has("BYMONTHDAY") && !has("BYYEARDAY")
	}
	return anchored, has("BYHOUR"), nil
}

func parseRRule(text string, start time.Time, zone *time.Location) (rule, map[string]string, error) {
	text = strings.ToUpper(strings.TrimSpace(text))
	text = strings.TrimPrefix(text, "RRULE:")
	keys := map[string]string{}
	for _, part := range strings.Split(text, ";") {
		key, value, ok := strings.Cut(part, "=")
		if !ok || value == "" {
			return rule{}, nil, fmt.Errorf("%q is no key with a value, such as FREQ=MONTHLY", part)
		}
		if _, twice := keys[key]; twice {
			return rule{}, nil, errors.New(key + " is given twice")
		}
		keys[key] = value
	}
	for _, key := range []string{"DTSTART", "BYEASTER"} {
		if _, ok := keys[key]; ok {
			return rule{}, nil, errors.New(key + " is no part of an RRULE")
		}
	}
	until := keys["UNTIL"]
	var rest []string
	for _, part := range strings.Split(text, ";") {
		if !strings.HasPrefix(part, "UNTIL=") {
			rest = append(rest, part)
		}
	}
	o, err := rrule.StrToROptionInLocation(strings.Join(rest, ";"), time.UTC)
	if err != nil {
		return rule{}, nil, err
	}
	o.Dtstart = start
	if until != "" {
		if o.Until, err = parseUntil(until, zone); err != nil {
			return rule{}, nil, err
		}
	}
	if err := sound(*o, keys); err != nil {
		return rule{}, nil, err
	}
	o.Byweekday = counted(*o)
	if _, err := rrule.NewRRule(*o); err != nil {
		return rule{}, nil, err
	}
	r := rule{option: *o, start: start, count: o.Count}
	r.option.Count = 0
	if o.Freq == rrule.WEEKLY {
		if len(o.Byweekday) == 0 {
			r.option.Byweekday = []rrule.Weekday{weekdays[start.Weekday()]}
		}
		r.option.Dtstart = start.AddDate(0, 0, -(weekdays[start.Weekday()].Day()-o.Wkst.Day()+7)%7)
	}
	return r, keys, nil
}

// counted gives every weekday a number where one of them has one: the library wants a day to be among those with a number and among those
// without, RFC 5545 one of them.
func counted(o rrule.ROption) []rrule.Weekday {
	without := func(d rrule.Weekday) bool { return d.N() == 0 }
	if !slices.ContainsFunc(o.Byweekday, without) || !slices.ContainsFunc(o.Byweekday, func(d rrule.Weekday) bool { return !without(d) }) {
		return o.Byweekday
	}
	most := 5
	if o.Freq == rrule.YEARLY && len(o.Bymonth) == 0 {
		most = 53
	}
	var out []rrule.Weekday
	for _, d := range o.Byweekday {
		if !without(d) {
			out = append(out, d)
			continue
		}
		for n := range most {
			out = append(out, d.Nth(n+1))
		}
	}
	return out
}

// sound names what RFC 5545 forbids and the library lets pass, and what would take more time than it can be worth.
func sound(o rrule.ROption, keys map[string]string) error {
	has := func(key string) bool { _, ok := keys[key]; return ok }
	numbered := false
	for _, d := range o.Byweekday {
		numbered = numbered || d.N() != 0
	}
	another := false
	for key := range keys {
		another = another || strings.HasPrefix(key, "BY") && key != "BYSETPOS"
	}
	times := max(1, len(o.Byhour)) * max(1, len(o.Byminute)) * max(1, len(o.Bysecond))
	switch {
	case o.Freq > rrule.DAILY:
		return errors.New("FREQ is YEARLY, MONTHLY, WEEKLY or DAILY; for several times a day write BYHOUR")
	case has("INTERVAL") && (o.Interval < 1 || o.Interval > mostInterval):
		return fmt.Errorf("INTERVAL is a number from 1 to %d", mostInterval)
	case has("COUNT") && (o.Count < 1 || o.Count > mostCount):
		return fmt.Errorf("COUNT is a number from 1 to %d", mostCount)
	case has("COUNT") && has("UNTIL"):
		return errors.New("COUNT and UNTIL exclude each other")
	case numbered && o.Freq != rrule.MONTHLY && o.Freq != rrule.YEARLY:
		return errors.New("BYDAY with a number wants FREQ=MONTHLY or YEARLY")
	case numbered && has("BYWEEKNO"):
		return errors.New("BYDAY with a number and BYWEEKNO exclude each other")
	case has("BYWEEKNO") && o.Freq != rrule.YEARLY:
		return errors.New("BYWEEKNO wants FREQ=YEARLY")
	case has("BYWEEKNO") && !has("BYDAY"):
		return errors.New("BYWEEKNO wants BYDAY: a week has seven days")
	case has("BYWEEKNO") && (has("BYSETPOS") || o.Interval > 1):
		return errors.New("BYWEEKNO goes with neither BYSETPOS nor INTERVAL: both count by years, and a week may lie in two")
	case has("BYYEARDAY") && o.Freq != rrule.YEARLY:
		return errors.New("BYYEARDAY wants FREQ=YEARLY")
	case has("BYMONTHDAY") && o.Freq == rrule.WEEKLY:
		return errors.New("BYMONTHDAY and FREQ=WEEKLY exclude each other")
	case has("BYSETPOS") && !another:
		return errors.New("BYSETPOS wants another BY rule")
	case times > mostADay:
		return fmt.Errorf("%d times a day are more than %d", times, mostADay)
	}
	for _, n := range o.Byweekno {
		if n < -51 {
			return errors.New("BYWEEKNO counts backwards to -51: what comes before is 1 or 2")
		}
	}
	for key, value := range keys {
		if !strings.HasPrefix(key, "BY") || key == "BYDAY" {
			continue
		}
		for _, n := range strings.Split(value, ",") {
			if i, _ := strconv.Atoi(n); i == 0 && key != "BYHOUR" && key != "BYMINUTE" && key != "BYSECOND" {
				return errors.New(key + " counts from 1, or from -1 backwards")
			}
		}
	}
	return nil
}

// parseUntil reads the last moment at which a rule may come about, in civil time.
func parseUntil(text string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse("20060102", text); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil // that day included
	}
	if t, err := time.Parse("20060102T150405", text); err == nil {
		return t, nil
	}
	t, err := time.Parse("20060102T150405Z", text)
	if err != nil {
		return t, fmt.Errorf("UNTIL=%s is neither a day such as 20261231 nor a time such as 20261231T235959Z", text)
	}
	return Civil(t, zone), nil
}

func (r rule) between(from, until time.Time) ([]time.Time, error) {
	o := r.option
	if o.Until.IsZero() || o.Until.After(until) {
		o.Until = until // without one, the library stops 290 years after the start
	}
	// A rule that never comes about is followed to the library's last year. The calendar is the same again every 400 years, so the rule is
	// followed as close to that year as it goes.
	away := (lastYear - until.Year()) / 400 * 400
	o.Dtstart, o.Until = o.Dtstart.AddDate(away, 0, 0), o.Until.AddDate(away, 0, 0)
	rr, err := rrule.NewRRule(o)
	if err != nil {
		return nil, err
	}
	var out []time.Time
	times, next := 0, rr.Iterator()
	for t, ok := next(); ok; t, ok = next() {
		if t = t.AddDate(-away, 0, 0); !t.Before(until) {
			break
		}
		if t.Before(r.start) {
			continue
		}
		if times++; r.count > 0 && times > r.count {
			break
		}
		if times > mostSteps {
			return nil, fmt.Errorf("comes about more than %d times before %s: let it begin later", mostSteps, from.Format(time.DateOnly))
		}
		if t.Before(from) {
			continue
		}
		if out = append(out, t); len(out) > Most {
			return nil, tooMany(from, until)
		}
	}
	return out, nil
}
