package calendar

import (
	"strings"
	"testing"
	"time"
)

func TestOpening(t *testing.T) {
	day := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	at := func(hours int) time.Time { return day.Add(time.Duration(hours) * time.Hour) }
	window := func(from, to int) Window { return Window{Span: Span{Start: at(from), End: at(to)}, Cutoff: at(to)} }
	nights := []Window{window(22, 26), window(46, 50), window(70, 71)}
	for _, row := range []struct {
		name string
		c    Calendar
		from int
		want int // 0: none
	}{
		{"before a window", Calendar{Windows: nights}, 10, 22},
		{"as it opens, the next one is meant", Calendar{Windows: nights}, 22, 46},
		{"within one", Calendar{Windows: nights}, 23, 46},
		{"too late in one", Calendar{Windows: nights}, 25, 46},
		{"a window that is too short is none", Calendar{Windows: nights}, 46, 0},
		{"a freeze over a window's begin lets it later", Calendar{Windows: nights, Freezes: []Span{{Start: at(40), End: at(47)}}}, 23, 47},
		{"a freeze over the one it is in, too", Calendar{Windows: nights, Freezes: []Span{{Start: at(22), End: at(23)}}}, 22, 23},
		{"a freeze over a whole window", Calendar{Windows: nights, Freezes: []Span{{Start: at(40), End: at(52)}}}, 23, 0},
		{"no window is asked for", Calendar{Always: true}, 23, 0},
		{"no window is asked for, and it is frozen", Calendar{Always: true, Freezes: []Span{{Start: at(20), End: at(30)}}}, 23, 30},
		{"nothing is known", Calendar{Unknown: "no connection", Windows: nights}, 10, 0},
	} {
		got, found := row.c.Opening(at(row.from), Need{Work: 2 * time.Hour})
		if found != (row.want != 0) || found && !got.Equal(at(row.want)) {
			t.Errorf("%s: opens at %s (%t), want %s", row.name, got, found, at(row.want))
		}
	}
}

func TestFirings(t *testing.T) {
	start := time.Date(2026, 11, 11, 21, 0, 0, 0, time.UTC)
	week := 7 * 24 * time.Hour
	begins := []time.Time{start.Add(week), start, start.Add(2 * week)}
	for _, row := range []struct {
		name string
		lead time.Duration
		now  time.Time
		want []int // weeks from start on
		err  string
	}{
		{name: "all are to come", lead: 5 * 24 * time.Hour, now: start.Add(-week), want: []int{0, 1, 2}},
		{name: "one whose plan should have been made", lead: 5 * 24 * time.Hour, now: start.Add(-time.Hour), want: []int{1, 2}},
		{name: "one whose plan is made right now", lead: 5 * 24 * time.Hour, now: start.Add(-5 * 24 * time.Hour), want: []int{0, 1, 2}},
		{name: "none is left", lead: time.Hour, now: start.Add(3 * week)},
		{name: "a lead as long as the time between two", lead: week, now: start.Add(-2 * week), err: "its lead of 7d is not shorter than the time between its begins at 2026-11-11T21:00:00Z and 2026-11-18T21:00:00Z"},
	} {
		got, err := Firings(begins, row.lead, row.now)
		if row.err != "" {
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: error %v, want %q", row.name, err, row.err)
			}
			continue
		}
		if err != nil || len(got) != len(row.want) {
			t.Errorf("%s: %v, %v", row.name, got, err)
			continue
		}
		for i, n := range row.want {
			if begin := start.Add(time.Duration(n) * week); !got[i].Begin.Equal(begin) || !got[i].At.Equal(begin.Add(-row.lead)) {
				t.Errorf("%s: firing %d is %v", row.name, i, got[i])
			}
		}
	}
}
