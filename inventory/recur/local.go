// Package recur knows how often something comes again: by RRULE, by cron, on the nth weekday of a month, or as a calendar in iCalendar's
// format says. It must not know what for, nor where a text comes from: no files, network, environment or clock, and no type of inventory.
//
// Every rule is followed in civil time, as a wall calendar without zones; only then each single time becomes an instant, by one rule for
// all of them, which is that of [Local]. The libraries therefore never see a zone.
package recur

import (
	"fmt"
	"time"
	_ "time/tzdata" // zones are the same on every machine, and there on one without any
)

// Zone finds a zone by its IANA name.
func Zone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // Go's word for the machine's own zone, which is another one on each worker
		return nil, fmt.Errorf("%q is no zone: write a name such as Europe/Berlin, or UTC", name)
	}
	return zone, nil
}

// Local is the instant at which clocks of the zone show a civil time, which is written as if it were UTC. A time that is skipped as clocks
// are put forward is taken as if they had not been, so it comes as much later as they were put forward; of one that comes twice, as clocks are
// put back, the first counts. RFC 5545, section 3.3.5, says the same.
func Local(civil time.Time, zone *time.Location) time.Time {
	y, m, d := civil.Date()
	at := time.Date(y, m, d, civil.Hour(), civil.Minute(), civil.Second(), 0, zone)
	start, end := at.ZoneBounds()
	before := func(transition time.Time) time.Time { // as if the zone had stayed as it was before
		_, offset := transition.Add(-time.Second).Zone()
		return time.Date(y, m, d, civil.Hour(), civil.Minute(), civil.Second(), 0, time.UTC).Add(-time.Duration(offset) * time.Second)
	}
	if Civil(at, zone).Before(civilOf(civil)) { // skipped, and Go took it for a time before the transition
		return before(end).UTC()
	}
	if !start.IsZero() {
		if first := before(start); first.Before(start) { // it was shown before clocks were put back, too
			return first.UTC()
		}
	}
	return at.UTC()
}

// Civil is what clocks of the zone show at an instant, written as if it were UTC.
func Civil(at time.Time, zone *time.Location) time.Time { return civilOf(at.In(zone)) }

func civilOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}
