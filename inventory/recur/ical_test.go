package recur

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// outlook explains a zone by a name that is not IANA's, as Exchange does.
const outlook = `BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
`

// text puts events into a calendar, with the line ends of the format.
func text(body string) []byte {
	body = strings.ReplaceAll(body, "EVENT\n", "BEGIN:VEVENT\nUID:1\nSUMMARY:s\n")
	body = strings.ReplaceAll(body, "DONE\n", "END:VEVENT\n")
	return []byte(strings.ReplaceAll("BEGIN:VCALENDAR\nVERSION:2.0\n"+body+"END:VCALENDAR\n", "\n", "\r\n"))
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	berlin, err := Zone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ sentence, body, want string }{
		{"a time in UTC", "EVENT\nDTSTART:20261224T170000Z\nDTEND:20261224T190000Z\nDONE\n", "12-24T17:00-12-24T19:00"},
		{"a time without a zone is the calendar's own", "EVENT\nDTSTART:20261224T180000\nDTEND:20261224T200000\nDONE\n", "12-24T17:00-12-24T19:00"},
		{"a time in another zone", "EVENT\nDTSTART;TZID=America/New_York:20261224T120000\nDTEND;TZID=America/New_York:20261224T140000\nDONE\n", "12-24T17:00-12-24T19:00"},
		{"a time in a zone that the calendar explains, in winter", outlook + "EVENT\nDTSTART;TZID=W. Europe Standard Time:20261224T180000\nDTEND;TZID=W. Europe Standard Time:20261224T200000\nDONE\n", "12-24T17:00-12-24T19:00"},
		{"and in summer", outlook + "EVENT\nDTSTART;TZID=W. Europe Standard Time:20260701T180000\nDTEND;TZID=W. Europe Standard Time:20260701T200000\nDONE\n", "07-01T16:00-07-01T18:00"},
		{"and in its gap", outlook + "EVENT\nDTSTART;TZID=W. Europe Standard Time:20260329T023000\nDURATION:PT1H\nDONE\n", "03-29T01:30-03-29T02:30"},
		{"and in its hour that comes twice", outlook + "EVENT\nDTSTART;TZID=W. Europe Standard Time:20261025T023000\nDURATION:PT1H\nDONE\n", "10-25T00:30-10-25T01:30"},
		{"a whole day", "EVENT\nDTSTART;VALUE=DATE:20261224\nDONE\n", "12-23T23:00-12-24T23:00"},
		{"several whole days, up to the day before the end", "EVENT\nDTSTART;VALUE=DATE:20261220\nDTEND;VALUE=DATE:20261224\nDONE\n", "12-19T23:00-12-23T23:00"},
		{"whole days over a change of clocks", "EVENT\nDTSTART;VALUE=DATE:20260328\nDTEND;VALUE=DATE:20260330\nDONE\n", "03-27T23:00-03-29T22:00"},
		{"so many days", "EVENT\nDTSTART;VALUE=DATE:20261220\nDURATION:P4D\nDONE\n", "12-19T23:00-12-23T23:00"},
		{"so many hours", "EVENT\nDTSTART:20261224T170000Z\nDURATION:PT1H30M\nDONE\n", "12-24T17:00-12-24T18:30"},
		{"a day by the calendar has 23 hours as clocks are put forward", "EVENT\nDTSTART;TZID=Europe/Berlin:20260328T180000\nDURATION:P1D\nDONE\n", "03-28T17:00-03-29T16:00"},
		{"24 hours are 24 hours", "EVENT\nDTSTART;TZID=Europe/Berlin:20260328T180000\nDURATION:PT24H\nDONE\n", "03-28T17:00-03-29T17:00"},
		{"what takes no time is none", "EVENT\nDTSTART:20261224T170000Z\nDONE\n", ""},
		{"weekly over a change of clocks, so long each", "EVENT\nDTSTART;TZID=Europe/Berlin:20261018T030000\nDTEND;TZID=Europe/Berlin:20261018T050000\nRRULE:FREQ=WEEKLY;COUNT=3\nDONE\n",
			"10-18T01:00-10-18T03:00 10-25T02:00-10-25T04:00 11-01T02:00-11-01T04:00"},
		{"an exception", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20261202T170000Z\nDONE\n", "12-01T17:00-12-01T18:00 12-03T17:00-12-03T18:00"},
		{"several, in another zone", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20261202T180000,20261203T180000\nDONE\n", "12-01T17:00-12-01T18:00 12-04T17:00-12-04T18:00"},
		{"an exception that names the day", "EVENT\nDTSTART;TZID=Europe/Berlin:20261201T180000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20261202\nDONE\n", "12-01T17:00-12-01T18:00 12-03T17:00-12-03T18:00"},
		{"an exception as clocks are put back, of a time that comes twice", "EVENT\nDTSTART;TZID=Europe/Berlin:20261024T023000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;TZID=Europe/Berlin:20261025T023000\nDONE\n", "10-24T00:30-10-24T01:30 10-26T01:30-10-26T02:30"},
		{"an exception as clocks are put forward, of a time that is skipped", "EVENT\nDTSTART;TZID=Europe/Berlin:20260328T023000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;TZID=Europe/Berlin:20260329T023000\nDONE\n", "03-28T01:30-03-28T02:30 03-30T00:30-03-30T01:30"},
		{"and given in UTC, in New York", "EVENT\nDTSTART;TZID=America/New_York:20260307T023000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260308T073000Z\nDONE\n", "03-07T07:30-03-07T08:30 03-09T06:30-03-09T07:30"},
		{"the first one excepted", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20261201T170000Z\nDONE\n", "12-02T17:00-12-02T18:00"},
		{"an exception of a whole day", "EVENT\nDTSTART;VALUE=DATE:20261201\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20261202\nDONE\n", "11-30T23:00-12-01T23:00 12-02T23:00-12-03T23:00"},
		{"more dates", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRDATE:20261203T170000Z,20261210T200000Z\nDONE\n", "12-01T17:00-12-01T18:00 12-03T17:00-12-03T18:00 12-10T20:00-12-10T21:00"},
		{"more dates with a length of their own", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRDATE;VALUE=PERIOD:20261203T170000Z/PT3H,20261204T170000Z/20261204T173000Z\nDONE\n", "12-01T17:00-12-01T18:00 12-03T17:00-12-03T20:00 12-04T17:00-12-04T17:30"},
		{"a date that is there twice counts once", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nRDATE:20261202T170000Z\nDONE\n", "12-01T17:00-12-01T18:00 12-02T17:00-12-02T18:00"},
		{"its start counts where the rule leaves it out", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=WE;COUNT=1\nDONE\n", "12-01T17:00-12-01T18:00 12-02T17:00-12-02T18:00"},
		{"until an instant, by the event's own clocks", "EVENT\nDTSTART;TZID=Europe/Berlin:20261201T180000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20261202T170000Z\nDONE\n", "12-01T17:00-12-01T18:00 12-02T17:00-12-02T18:00"},
		{"one that was moved", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nDONE\nEVENT\nRECURRENCE-ID:20261202T170000Z\nDTSTART:20261202T200000Z\nDURATION:PT2H\nDONE\n", "12-01T17:00-12-01T18:00 12-02T20:00-12-02T22:00 12-03T17:00-12-03T18:00"},
		{"one that was moved twice: the last word counts", "EVENT\nRECURRENCE-ID:20261202T170000Z\nSEQUENCE:2\nDTSTART:20261202T200000Z\nDURATION:PT2H\nDONE\nEVENT\nRECURRENCE-ID:20261202T170000Z\nSEQUENCE:1\nDTSTART:20261202T210000Z\nDURATION:PT2H\nDONE\nEVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nDONE\n", "12-01T17:00-12-01T18:00 12-02T20:00-12-02T22:00"},
		{"one that was cancelled", "EVENT\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nDONE\nEVENT\nSTATUS:CANCELLED\nRECURRENCE-ID:20261202T170000Z\nDTSTART:20261202T170000Z\nDURATION:PT1H\nDONE\n", "12-01T17:00-12-01T18:00 12-03T17:00-12-03T18:00"},
		{"all cancelled", "EVENT\nSTATUS:CANCELLED\nDTSTART:20261201T170000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nDONE\n", ""},
		{"one that began before counts as long as it lasts", "EVENT\nDTSTART;VALUE=DATE:20251220\nDTEND;VALUE=DATE:20260103\nDONE\n", "12-19T23:00-01-02T23:00"},
		{"one that is over does not", "EVENT\nDTSTART;VALUE=DATE:20251220\nDTEND;VALUE=DATE:20251231\nDONE\n", ""},
		{"one that lasts for years", "EVENT\nDTSTART:20200101T000000Z\nDTEND:20300101T000000Z\nDONE\n", "01-01T00:00-01-01T00:00"},
		{"what is no event is passed over", "BEGIN:VTODO\nUID:2\nDUE:20261224T170000Z\nEND:VTODO\nEVENT\nDTSTART:20261224T170000Z\nDURATION:PT1H\nBEGIN:VALARM\nTRIGGER:-PT15M\nACTION:DISPLAY\nEND:VALARM\nDONE\n", "12-24T17:00-12-24T18:00"},
		{"a line that is folded", "EVENT\nDTSTART:202612\n 24T170000Z\nDURATION:PT1H\nDONE\n", "12-24T17:00-12-24T18:00"},
		{"no event at all", "", ""},
	} {
		c, err := ParseCalendar(text(row.body), berlin)
		if err != nil {
			t.Errorf("%s: %v", row.sentence, err)
			continue
		}
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		got, err := c.Between(context.Background(), from, from.AddDate(1, 0, 0))
		var words []string
		for _, e := range got {
			words = append(words, e.Start.Format("01-02T15:04-")+e.End.Format("01-02T15:04"))
			if e.Summary != "s" {
				t.Errorf("%s: summary %q", row.sentence, e.Summary)
			}
		}
		if err != nil || strings.Join(words, " ") != row.want {
			t.Errorf("%s: %s, %v; want %s", row.sentence, strings.Join(words, " "), err, row.want)
		}
	}
}

func TestWrongCalendars(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ sentence, body, want string }{
		{"no calendar", "<html>sign in</html>", "is no calendar in iCalendar's format"},
		{"nothing", "", "is no calendar in iCalendar's format"},
		{"half a calendar", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "does not end with END:VCALENDAR"},
		{"half an event", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n", "ran out of lines"},
		{"a zone that nobody knows", string(text("EVENT\nDTSTART;TZID=Mars Standard Time:20261224T180000\nDONE\n")), `event "s": DTSTART: time zone "Mars Standard Time" is neither IANA's nor explained by a VTIMEZONE`},
		{"no start", string(text("EVENT\nDONE\n")), `event "s": DTSTART is missing`},
		{"no time", string(text("EVENT\nDTSTART:tomorrow\nDONE\n")), `event "s": DTSTART: "tomorrow" is no day and no time`},
		{"no rule", string(text("EVENT\nDTSTART:20261224T170000Z\nRRULE:FREQ=NEVER\nDONE\n")), `event "s": "FREQ=NEVER" is no RRULE that can be used`},
		{"hourly", string(text("EVENT\nDTSTART:20261224T170000Z\nRRULE:FREQ=HOURLY\nDONE\n")), "FREQ is YEARLY, MONTHLY, WEEKLY or DAILY"},
		{"no duration", string(text("EVENT\nDTSTART:20261224T170000Z\nDURATION:1H\nDONE\n")), `DURATION: "1H" is no length of time`},
		{"a day and a time", string(text("EVENT\nDTSTART:20261224T170000Z\nDTEND;VALUE=DATE:20261225\nDONE\n")), "one of DTSTART and DTEND is a day, the other a time"},
		{"this and all that follow", string(text("EVENT\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261224T170000Z\nDTSTART:20261224T170000Z\nDONE\n")), "THISANDFUTURE is not supported"},
		{"no exception", string(text("EVENT\nDTSTART:20261224T170000Z\nEXDATE:never\nDONE\n")), `EXDATE: "never" is no day and no time`},
		{"a zone without clocks", string(text("BEGIN:VTIMEZONE\nTZID:X\nEND:VTIMEZONE\n")), `VTIMEZONE "X" has neither STANDARD nor DAYLIGHT`},
	} {
		if _, err := ParseCalendar([]byte(row.body), time.UTC); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %s", row.sentence, err, row.want)
		}
	}
	if _, err := ParseCalendar(text(strings.Repeat(outlook, 26)), time.UTC); err == nil || !strings.Contains(err.Error(), "more than 50 rules") {
		t.Errorf("too many rules of zones: %v", err)
	}
	var many strings.Builder
	for range MostEvents + 1 {
		many.WriteString("EVENT\nDTSTART:20261224T170000Z\nDURATION:PT1H\nDONE\n")
	}
	if _, err := ParseCalendar(text(many.String()), time.UTC); err == nil || !strings.Contains(err.Error(), "has more than 5000 events") {
		t.Errorf("too many events: %v", err)
	}
	many.Reset()
	for i := range 20 {
		fmt.Fprintf(&many, "EVENT\nDTSTART:20260101T%02d0000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nDONE\n", i)
	}
	c, err := ParseCalendar(text(many.String()), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := c.Between(context.Background(), from, from.AddDate(1, 0, 0)); err == nil || !strings.Contains(err.Error(), "names more than 5000 times") {
		t.Errorf("too many times: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Between(ctx, from, from.AddDate(1, 0, 0)); err == nil || !strings.Contains(err.Error(), "could not be followed in time") {
		t.Errorf("no time left: %v", err)
	}
}

// A calendar comes from elsewhere: whatever it holds, reading it ends, and in an error or in events that are in order.
func FuzzCalendar(f *testing.F) {
	f.Add([]byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"))
	f.Add(text(outlook + "EVENT\nDTSTART;TZID=W. Europe Standard Time:20261224T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3\nEXDATE;VALUE=DATE:20261231\nRDATE;VALUE=PERIOD:20261203T170000Z/PT3H\nDONE\nEVENT\nRECURRENCE-ID:20261202T170000Z\nDTSTART:20261202T200000Z\nDURATION:P2D\nDONE\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseCalendar(raw, time.UTC)
		if err != nil {
			return
		}
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		events, err := c.Between(context.Background(), from, from.AddDate(1, 0, 0))
		if err != nil {
			return
		}
		for i, e := range events {
			if !e.End.After(e.Start) || !e.End.After(from) || i > 0 && e.Start.Before(events[i-1].Start) {
				t.Fatalf("%q: %v", raw, events)
			}
		}
	})
}
