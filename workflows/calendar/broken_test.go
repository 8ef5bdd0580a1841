package calendar

import (
	"reflect"
	"strings"
	"testing"
)

func TestBroken(t *testing.T) {
	t.Parallel()
	const all = "always; f party 10:00-12:00; f party 18:00-20:00; f audit 11:00-13:00"
	for _, row := range []struct {
		says               string
		name, from, to     string
		until              string
		at, want, calendar string
	}{
		{"for its whole span", "party", "10:00", "12:00", "12:00", "10:10", "10:10", all},
		{"the time that is left before the other freeze is too short for a host", "party", "10:00", "12:00", "12:00", "10:30", "13:00", all},
		{"before it begins", "party", "10:00", "12:00", "12:00", "09:50", "09:50", "always; f party 10:00-12:00"},
		{"for a while: a host that would not be done by then does not begin", "party", "10:00", "12:00", "11:00", "10:30", "12:00", "always; f party 10:00-12:00"},
		{"for a while that is long enough", "party", "10:00", "12:00", "11:00", "10:10", "10:10", "always; f party 10:00-12:00"},
		{"for a while that is over", "party", "10:00", "12:00", "10:05", "10:10", "12:00", "always; f party 10:00-12:00"},
		{"longer than it lasts", "party", "10:00", "12:00", "23:00", "11:30", "11:30", "always; f party 10:00-12:00"},
		{"not the next one of that name", "party", "10:00", "12:00", "23:00", "18:30", "20:00", all},
		{"not one of another name", "party", "11:00", "13:00", "13:00", "12:30", "13:00", all},
		{"not one that ends later than what was signed", "party", "10:00", "11:00", "11:00", "10:10", "12:00", "always; f party 10:00-12:00"},
		{"not one that begins earlier", "party", "10:30", "12:00", "12:00", "10:40", "12:00", "always; f party 10:00-12:00"},
	} {
		c := of(t, row.calendar)
		was := of(t, row.calendar)
		b := Break{Span: Span{Name: row.name, Start: clock(t, row.from), End: clock(t, row.to)}, Until: clock(t, row.until)}
		ok, _, next := c.Broken([]Break{b}).Fit(clock(t, row.at), host)
		if ok != (row.at == row.want) || !next.Equal(clock(t, row.want)) {
			t.Errorf("%s: a host may begin at %s, want %s", row.says, next, row.want)
		}
		if !reflect.DeepEqual(c, was) {
			t.Errorf("%s: the calendar itself is now %+v", row.says, c)
		}
	}
}

func TestInTheWay(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ says, calendar, at, want, begin string }{
		{"none", "always", "10:00", "", "10:00"},
		{"one that stands", "always; f party 10:00-12:00", "11:00", "party", "11:00"},
		{"one that begins too soon", "always; f party 10:00-12:00", "09:30", "party", "09:30"},
		{"one that is far enough away", "always; f party 10:00-12:00", "08:00", "", "08:00"},
		{"two at once", "always; f party 10:00-12:00; f audit 11:00-13:00", "11:30", "party, audit", "11:30"},
		{"one over the next window", "w 22:00-23:30; w 2 22:00-2 23:30; f party 21:00-2 01:00", "12:00", "party", "22:00"},
		{"one that is over before the next window", "w 22:00-23:30; f party 14:00-15:00", "12:00", "", "22:00"},
	} {
		var names []string
		cal := of(t, row.calendar)
		for _, f := range cal.InTheWay(clock(t, row.at), host) {
			names = append(names, f.Name)
		}
		if begin, ok := cal.Unfrozen(clock(t, row.at), host); !ok || !begin.Equal(clock(t, row.begin)) {
			t.Errorf("%s: without them it begins at %s, want %s", row.says, begin, row.begin)
		}
		if got := strings.Join(names, ", "); got != row.want {
			t.Errorf("%s: %q, want %q", row.says, got, row.want)
		}
	}
}
