package wiring

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// schedules are those that the Temporal server keeps.
type schedules struct{ c client.Client }

// Renew has a schedule fire at these times from now on, and leaves it as it is otherwise: paused or not.
func (s schedules) Renew(ctx context.Context, name string, at []time.Time) error {
	err := s.c.ScheduleClient().GetHandle(ctx, name).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		is := in.Description.Schedule
		spec := FiresAt(at)
		is.Spec = &spec
		return &client.ScheduleUpdate{Schedule: &is}, nil
	}})
	if gone := new(serviceerror.NotFound); errors.As(err, &gone) {
		return nil
	}
	return err
}

// Kept says whether a schedule is still there.
func (s schedules) Kept(ctx context.Context, name string) (bool, error) {
	_, err := s.c.ScheduleClient().GetHandle(ctx, name).Describe(ctx)
	if gone := new(serviceerror.NotFound); errors.As(err, &gone) {
		return false, nil
	}
	return err == nil, err
}

// FiresAt is a schedule that fires at these times and never again. The server's own rules know neither an offset from a weekday nor what becomes
// of a time that a change of clocks skips, so that they are given instants.
func FiresAt(times []time.Time) client.ScheduleSpec {
	only := func(n int) []client.ScheduleRange { return []client.ScheduleRange{{Start: n}} }
	var spec client.ScheduleSpec
	for _, t := range times {
		t = t.UTC()
		spec.Calendars = append(spec.Calendars, client.ScheduleCalendarSpec{
			Second: only(t.Second()), Minute: only(t.Minute()), Hour: only(t.Hour()), DayOfMonth: only(t.Day()), Month: only(int(t.Month())), Year: only(t.Year()),
		})
	}
	return spec
}

// Instants are the times that a schedule was given, the first one first. A rule that somebody else gave it is none.
func Instants(spec *client.ScheduleSpec) []time.Time {
	if spec == nil {
		return nil
	}
	var out []time.Time
	for _, c := range spec.Calendars {
		var n [6]int
		whole := true
		for i, r := range [][]client.ScheduleRange{c.Year, c.Month, c.DayOfMonth, c.Hour, c.Minute, c.Second} {
			if whole = whole && len(r) == 1; whole {
				n[i] = r[0].Start
			}
		}
		if whole {
			out = append(out, time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC))
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}
