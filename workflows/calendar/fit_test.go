package calendar

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// clock reads "10:30" as that time of the first day, and "2 10:30" of the second.
func clock(t *testing.T, text string) time.Time {
	t.Helper()
	day, hour := 1, text
	if head, tail, ok := strings.Cut(text, " "); ok {
		fmt.Sscan(head, &day)
		hour = tail
	}
	at, err := time.Parse("15:04", hour)
	if err != nil {
		t.Fatal(err)
	}
	return epoch.AddDate(0, 0, day-1).Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute)
}

// of reads a calendar: "w 22:00 2 02:00 cut 2 01:00", "f name 23:00 23:30", "always", "until 9 00:00", "unknown why".
func of(t *testing.T, text string) Calendar {
	t.Helper()
	var c Calendar
	for _, part := range strings.Split(text, ";") {
		word, rest, _ := strings.Cut(strings.TrimSpace(part), " ")
		switch word {
		case "always":
			c.Always = true
		case "until":
			c.Until = clock(t, rest)
		case "unknown":
			c.Unknown = rest
		case "w":
			span, cut, ok := strings.Cut(rest, " cut ")
			from, to, _ := strings.Cut(span, "-")
			w := Window{Span: Span{Start: clock(t, from), End: clock(t, to)}}
			if ok {
				w.Cutoff = clock(t, cut)
			}
			c.Windows = append(c.Windows, w)
		case "f":
			name, span, _ := strings.Cut(rest, " ")
			from, to, _ := strings.Cut(span, "-")
			c.Freezes = append(c.Freezes, Span{Name: name, Start: clock(t, from), End: clock(t, to)})
		default:
			t.Fatalf("%q", part)
		}
	}
	return c
}

var host = Need{Work: 25 * time.Minute, Backout: 15 * time.Minute}

func TestFit(t *testing.T) {
	t.Parallel()
	const night = "w 22:00-2 02:00 cut 2 01:30; until 9 00:00"
	for _, row := range []struct {
		sentence, calendar, at string
		next                   string // empty: it fits; -: never
		why                    string
	}{
		{"without windows a host may always begin", "always", "10:00", "", ""},
		{"before a window it may not", night, "21:59", "22:00", "no window is open; the next host may begin at 2026-11-01T22:00:00Z"},
		{"from a window's first instant on it may", night, "22:00", "", ""},
		{"as long as work and backout are done by its end", night, "2 01:20", "", ""},
		{"and not a minute later", night, "2 01:21", "-", `a host needs 40m (25m and 15m for a backout), and window ends at 2026-11-02T02:00:00Z; none fits until 2026-11-09T00:00:00Z`},
		{"from the cutoff on none begins, however much time is left", "w 10:00-20:00 cut 12:00; until 9 00:00", "12:00", "-", "the cutoff of window was at 2026-11-01T12:00:00Z; none fits until 2026-11-09T00:00:00Z"},
		{"up to it one may", "w 10:00-20:00 cut 12:00; until 9 00:00", "11:59", "", ""},
		{"without a cutoff the end alone counts", "w 10:00-20:00", "19:20", "", ""},
		{"at its end a window is closed", night, "2 02:00", "-", "no window is open; none fits until 2026-11-09T00:00:00Z"},
		{"of several windows the next one counts", night + "; w 3 22:00-4 02:00", "2 01:30", "3 22:00", "the cutoff of window was at 2026-11-02T01:30:00Z; the next host may begin at 2026-11-03T22:00:00Z"},
		{"a window that is too short is passed over", "w 10:00-10:30; w 12:00-13:00; until 2 00:00", "09:00", "12:00", "no window is open; the next host may begin at 2026-11-01T12:00:00Z"},
		{"when all are too short, that is said", "w 10:00-10:30; until 2 00:00", "09:00", "-", "no window is open; a host needs 40m (25m and 15m for a backout), and the longest window until 2026-11-02T00:00:00Z is 30m"},
		{"when there is none, that is said", "until 2 00:00", "09:00", "-", "no window is open; there is none until 2026-11-02T00:00:00Z"},
		{"windows that touch are two windows", "w 10:00-11:00; w 11:00-12:00", "10:30", "11:00", "a host needs 40m (25m and 15m for a backout), and window ends at 2026-11-01T11:00:00Z; the next host may begin at 2026-11-01T11:00:00Z"},
		{"of windows that overlap any will do", "w 10:00-11:00; w 10:15-12:00", "10:30", "", ""},
		{"in a freeze none begins", "always; f party 10:00-12:00", "10:00", "12:00", `freeze "party" until 2026-11-01T12:00:00Z; the next host may begin at 2026-11-01T12:00:00Z`},
		{"nor when it would not be done before one", "always; f party 10:00-12:00", "09:21", "12:00", `a host needs 40m (25m and 15m for a backout), and freeze "party" begins at 2026-11-01T10:00:00Z; the next host may begin at 2026-11-01T12:00:00Z`},
		{"but when it is done as one begins", "always; f party 10:00-12:00", "09:20", "", ""},
		{"at its end a freeze is over", "always; f party 10:00-12:00", "12:00", "", ""},
		{"freezes that touch are one", "always; f b 12:00-13:00; f a 10:00-12:00", "11:00", "13:00", `freeze "a" until 2026-11-01T12:00:00Z; the next host may begin at 2026-11-01T13:00:00Z`},
		{"freezes with too little between them too", "always; f b 12:39-13:00; f a 10:00-12:00", "11:00", "13:00", `freeze "a" until 2026-11-01T12:00:00Z; the next host may begin at 2026-11-01T13:00:00Z`},
		{"a freeze wins over a window", night + "; f party 22:30-2 00:00", "22:00", "2 00:00", `a host needs 40m (25m and 15m for a backout), and freeze "party" begins at 2026-11-01T22:30:00Z; the next host may begin at 2026-11-02T00:00:00Z`},
		{"a window that ends in a freeze has less room", night + "; f party 2 00:00-9 00:00", "23:30", "-", `a host needs 40m (25m and 15m for a backout), and freeze "party" begins at 2026-11-02T00:00:00Z; none fits until 2026-11-09T00:00:00Z`},
		{"what is not known is no window", "always; until 2 00:00", "23:21", "-", "a host needs 40m (25m and 15m for a backout), and windows and freezes are known until 2026-11-02T00:00:00Z only"},
		{"and a host that is done by then is right", "always; until 2 00:00", "23:20", "", ""},
		{"a source that cannot be read lets nothing begin", "always; unknown freezes.ics: no such file", "10:00", "-", "the windows and freezes are not known: freezes.ics: no such file"},
		{"a freeze that ends before it begins is none", "always; f x 12:00-10:00", "11:00", "", ""},
		{"a window that ends before it begins is none", "w 12:00-10:00; until 2 00:00", "11:00", "-", "no window is open; a host needs 40m (25m and 15m for a backout), and the longest window until 2026-11-02T00:00:00Z is 0s"},
		{"a window whose cutoff is its start is none", "w 10:00-12:00 cut 10:00; until 2 00:00", "10:00", "-", "the cutoff of window was at 2026-11-01T10:00:00Z; a host needs 40m (25m and 15m for a backout), and the longest window until 2026-11-02T00:00:00Z is 0s"},
	} {
		ok, why, next := of(t, row.calendar).Fit(clock(t, row.at), host)
		want := clock(t, row.at)
		switch row.next {
		case "":
		case "-":
			want = time.Time{}
		default:
			want = clock(t, row.next)
		}
		if ok != (row.next == "") || !next.Equal(want) || why != row.why {
			t.Errorf("%s: %q at %s: %v, %s, next %s\n got %s\nwant %s, next %s", row.sentence, row.calendar, row.at, ok, why, next, why, row.why, want)
		}
	}
}

// world is a calendar at random, its instants whole minutes of two days.
func world(r *rand.Rand) (Calendar, Need) {
	const days = 2 * 24 * 60
	at := func(minute int) time.Time { return epoch.Add(time.Duration(minute) * time.Minute) }
	c := Calendar{Always: r.Intn(4) == 0}
	if r.Intn(3) > 0 {
		c.Until = at(days - r.Intn(300))
	}
	for range r.Intn(6) {
		start := r.Intn(days)
		w := Window{Span: Span{Start: at(start), End: at(start + r.Intn(400) - 20)}}
		if r.Intn(2) == 0 {
			w.Cutoff = w.End.Add(-time.Duration(r.Intn(100)) * time.Minute)
		}
		c.Windows = append(c.Windows, w)
	}
	for range r.Intn(6) {
		start := r.Intn(days)
		c.Freezes = append(c.Freezes, Span{Start: at(start), End: at(start + r.Intn(300) - 20)})
	}
	return c, Need{Work: time.Duration(r.Intn(90)) * time.Minute, Backout: time.Duration(r.Intn(30)) * time.Minute}
}

// plainly says the same as Fit, minute by minute and without any thought.
func plainly(c Calendar, t time.Time, n Need) bool {
	end := t.Add(n.Work + n.Backout)
	if !c.Until.IsZero() && end.After(c.Until) {
		return false
	}
	open := c.Always
	for _, w := range c.Windows {
		cut := w.Cutoff
		if cut.IsZero() {
			cut = w.End
		}
		open = open || !t.Before(w.Start) && t.Before(cut) && t.Before(w.End) && !end.After(w.End)
	}
	for _, f := range c.Freezes {
		for m := t; m.Before(end) || m.Equal(t); m = m.Add(time.Minute) {
			if !m.Before(f.Start) && m.Before(f.End) {
				return false
			}
		}
	}
	return open
}

// Never outside a window or in a freeze; and next is the first instant that fits, or there is none.
func TestFitInRandomWorlds(t *testing.T) {
	t.Parallel()
	for seed := range int64(400) {
		r := rand.New(rand.NewSource(seed))
		c, n := world(r)
		from := epoch.Add(time.Duration(r.Intn(2*24*60)) * time.Minute)
		ok, why, next := c.Fit(from, n)
		want := time.Time{}
		for m := from; m.Before(epoch.AddDate(0, 0, 3)); m = m.Add(time.Minute) {
			if plainly(c, m, n) {
				want = m
				break
			}
		}
		if !next.Equal(want) || ok != want.Equal(from) || ok == (why != "") {
			t.Fatalf("seed %d: %+v.Fit(%s, %s) = %v, %q, %s; want %s", seed, c, from, n, ok, why, next, want)
		}
	}
}
