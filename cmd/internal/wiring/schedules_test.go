package wiring

import (
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
)

// TestInstantsOfASchedule reads back what a server was given. Some servers say where a range of one ends.
func TestInstantsOfASchedule(t *testing.T) {
	at := []time.Time{time.Date(2026, 11, 6, 21, 0, 5, 0, time.UTC), time.Date(2027, 1, 31, 0, 59, 0, 0, time.UTC)}
	spec := FiresAt(at)
	spec.Calendars[0].Hour[0].End = spec.Calendars[0].Hour[0].Start
	if got := Instants(&spec); !slices.Equal(got, at) {
		t.Errorf("given %s, read %s", at, got)
	}
	spec.Calendars = append(spec.Calendars, client.ScheduleCalendarSpec{Hour: []client.ScheduleRange{{Start: 3}}})
	if got := Instants(&spec); !slices.Equal(got, at) {
		t.Errorf("a rule is read as instants: %s", got)
	}
	if got := Instants(nil); got != nil {
		t.Errorf("of nothing %s", got)
	}
}
