package recur

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ical "github.com/arran4/golang-ical"
)

// explained is a zone that a calendar explains itself, as Outlook does: its names are not IANA's. It holds when clocks are set, in order.
type explained []transition

// transition is when clocks are set, and how far they are ahead of UTC before and after.
type transition struct {
	at            time.Time
	before, after time.Duration
}

// The years for which a calendar's zones are followed.
var (
	zonesFrom  = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	zonesUntil = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// mostZoneRules is how many rules the zones of one calendar may have: they are followed when it is read, each through two centuries.
const mostZoneRules = 50

// timezone reads a VTIMEZONE.
func (c *Calendar) timezone(z *ical.VTimezone) error {
	name := ""
	for _, p := range z.Properties {
		if strings.EqualFold(p.IANAToken, "TZID") {
			name = p.Value
		}
	}
	var k explained
	for _, sub := range z.Components {
		var properties []ical.IANAProperty
		switch sub := sub.(type) {
		case *ical.Standard:
			properties = sub.Properties
		case *ical.Daylight:
			properties = sub.Properties
		default:
			continue
		}
		for _, p := range properties {
			if strings.EqualFold(p.IANAToken, "RRULE") {
				c.zoneRules++
			}
		}
		if c.zoneRules > mostZoneRules {
			return fmt.Errorf("VTIMEZONE %q: the calendar's zones have more than %d rules", name, mostZoneRules)
		}
		set, err := transitions(properties)
		if err != nil {
			return fmt.Errorf("VTIMEZONE %q: %w", name, err)
		}
		k = append(k, set...)
	}
	if name == "" || len(k) == 0 {
		return fmt.Errorf("VTIMEZONE %q has neither STANDARD nor DAYLIGHT", name)
	}
	slices.SortFunc(k, func(a, b transition) int { return a.at.Compare(b.at) })
	c.zones[name] = k
	return nil
}

// transitions reads a STANDARD or a DAYLIGHT.
func transitions(properties []ical.IANAProperty) ([]transition, error) {
	var before, after time.Duration
	var start time.Time
	var starts []time.Time // by the clocks before
	rule := ""
	for _, p := range properties {
		var err error
		switch strings.ToUpper(p.IANAToken) {
		case "DTSTART":
			start, err = time.Parse("20060102T150405", p.Value)
		case "TZOFFSETFROM":
			before, err = parseOffset(p.Value)
		case "TZOFFSETTO":
			after, err = parseOffset(p.Value)
		case "RDATE":
			for _, text := range strings.Split(p.Value, ",") {
				var t time.Time
				if t, err = time.Parse("20060102T150405", text); err != nil {
					break
				}
				starts = append(starts, t)
			}
		case "RRULE":
			rule = p.Value
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%s: %w", p.IANAToken, p.Value, err)
		}
	}
	if start.IsZero() {
		return nil, errors.New("DTSTART is missing")
	}
	starts = append(starts, start)
	if rule != "" {
		r, err := ParseRRule(rule, start, time.FixedZone("", int(before/time.Second)))
		if err != nil {
			return nil, err
		}
		more, err := r.between(zonesFrom, zonesUntil)
		if err != nil {
			return nil, err
		}
		starts = append(starts, more...)
	}
	var out []transition
	for _, s := range starts {
		out = append(out, transition{at: s.Add(-before), before: before, after: after})
	}
	return out, nil
}

// parseOffset reads +0100 or -043000.
func parseOffset(text string) (time.Duration, error) {
	for _, layout := range []string{"-0700", "-070000"} {
		if t, err := time.Parse(layout, text); err == nil {
			_, offset := t.Zone()
			return time.Duration(offset) * time.Second, nil
		}
	}
	return 0, fmt.Errorf("%q is no offset such as +0100", text)
}

func (z explained) civil(at time.Time) time.Time {
	offset := z[0].before
	for _, t := range z {
		if !t.at.After(at) {
			offset = t.after
		}
	}
	return at.Add(offset).UTC()
}

// instant goes by the same rule as Local: of two offsets it takes the one before.
func (z explained) instant(civil time.Time) time.Time {
	offset := z[0].before
	for _, t := range z {
		if !civil.Before(t.at.Add(max(t.before, t.after))) {
			offset = t.after
		}
	}
	return civil.Add(-offset)
}
