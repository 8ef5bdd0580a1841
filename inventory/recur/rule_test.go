package recur

import (
	"strings"
	"testing"
	"time"
)

// read makes a rule of "rrule …", "cron …" or "nth tuesday 2 +3 22:00". An RRULE counts from the day and time behind @.
func read(t testing.TB, text string, zone *time.Location) (Rule, error) {
	t.Helper()
	kind, rest, _ := strings.Cut(text, " ")
	switch kind {
	case "cron":
		return ParseCron(rest)
	case "rrule":
		rule, from, _ := strings.Cut(rest, " @ ")
		start, err := time.Parse("2006-01-02 15:04", from)
		if err != nil {
			t.Fatal(err)
		}
		return ParseRRule(rule, start, zone)
	}
	words := strings.Fields(rest)
	day, err := ParseWeekday(words[0])
	if err != nil {
		return nil, err
	}
	n := Nth{Weekday: day}
	for _, w := range words[1:] {
		switch {
		case strings.Contains(w, ":"):
			if n.At, err = ParseTime(w); err != nil {
				return nil, err
			}
		case strings.HasPrefix(w, "+"):
			n.Days = number(w[1:])
		default:
			n.N = number(w)
		}
	}
	return n, nil
}

func number(text string) int {
	n, sign := 0, 1
	for _, r := range text {
		if r == '-' {
			sign = -1
		} else {
			n = n*10 + int(r-'0')
		}
	}
	return sign * n
}

// Clocks in Berlin are put forward at 01:00 UTC on 29 March 2026 and back at 01:00 UTC on 25 October; in New York at 07:00 UTC on 8 March and
// at 06:00 UTC on 1 November; on Lord Howe Island by half an hour, back at 15:00 UTC on 4 April and forward at 15:30 UTC on 3 October.
func TestInstants(t *testing.T) {
	t.Parallel()
	const (
		berlin, york, howe = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
		cairo, kolkata     = "Africa/Cairo", "Asia/Kolkata"
	)
	for _, row := range []struct {
		sentence, rule, zone string
		from, until          string // days in UTC
		want                 string // as 01-02T15:04, in UTC
	}{
		// Patch Tuesday and its offsets.
		{"the second Tuesday", "nth tuesday 2 22:00", "UTC", "2026-10-01", "2027-01-01", "10-13T22:00 11-10T22:00 12-08T22:00"},
		{"three days after it", "nth tuesday 2 +3 22:00", "UTC", "2026-10-01", "2027-01-01", "10-16T22:00 11-13T22:00 12-11T22:00"},
		{"an offset that crosses a month", "nth tuesday 2 +20 22:00", "UTC", "2026-01-20", "2026-04-01", "02-02T22:00 03-02T22:00 03-30T22:00"},
		{"and a year", "nth tuesday 2 +28 22:00", "UTC", "2025-12-31", "2026-02-01", "01-06T22:00"},
		{"an offset that crosses February of a leap year", "nth tuesday 4 +3 22:00", "UTC", "2028-02-01", "2028-03-10", "02-25T22:00"},
		{"and its 29th", "nth friday 4 +5 22:00", "UTC", "2028-02-10", "2028-03-10", "03-01T22:00"},
		{"and the end of a shorter February", "nth friday 4 +2 22:00", "UTC", "2027-02-01", "2027-03-10", "02-28T22:00"},
		{"the last Sunday", "nth sunday -1 02:00", "UTC", "2026-02-01", "2026-05-01", "02-22T02:00 03-29T02:00 04-26T02:00"},
		{"the last Sunday but one", "nth sunday -2 02:00", "UTC", "2026-02-01", "2026-04-01", "02-15T02:00 03-22T02:00"},
		{"the day after the last Saturday, in the next month", "nth saturday -1 +1 02:00", "UTC", "2026-01-20", "2026-03-05", "02-01T02:00 03-01T02:00"},
		{"a fifth Friday only where there is one", "nth friday 5 01:00", "UTC", "2026-01-01", "2026-08-01", "01-30T01:00 05-29T01:00 07-31T01:00"},
		{"the first Wednesday when the month begins with one", "nth wednesday 1 00:00", "UTC", "2026-04-01", "2026-05-01", "04-01T00:00"},
		{"by clocks in Berlin, in winter", "nth tuesday 2 22:00", berlin, "2026-02-01", "2026-03-01", "02-10T21:00"},
		{"and in summer", "nth tuesday 2 22:00", berlin, "2026-07-01", "2026-08-01", "07-14T20:00"},
		{"early in Kolkata it is the day before", "nth tuesday 2 02:00", kolkata, "2026-11-01", "2026-12-01", "11-09T20:30"},
		{"late in New York it is the day after", "nth tuesday 2 22:00", york, "2026-11-01", "2026-12-01", "11-11T03:00"},
		{"an offset that lands on the night clocks are put forward", "nth tuesday 2 +19 02:30", berlin, "2026-03-20", "2026-04-01", "03-29T01:30"},

		// Clocks put forward: a time that is skipped comes as much later.
		{"Berlin: before the gap", "cron 30 1 * * *", berlin, "2026-03-28", "2026-03-31", "03-28T00:30 03-29T00:30 03-29T23:30 03-30T23:30"},
		{"Berlin: in the gap", "cron 30 2 * * *", berlin, "2026-03-28", "2026-03-31", "03-28T01:30 03-29T01:30 03-30T00:30"},
		{"Berlin: at its begin", "cron 0 2 29 3 *", berlin, "2026-03-28", "2026-03-31", "03-29T01:00"},
		{"Berlin: at its end", "cron 0 3 29 3 *", berlin, "2026-03-28", "2026-03-31", "03-29T01:00"},
		{"Berlin: both of them are one instant", "cron 0 2,3 29 3 *", berlin, "2026-03-28", "2026-03-31", "03-29T01:00"},
		{"Berlin: weekly over it", "rrule FREQ=WEEKLY;BYDAY=SU @ 2026-01-04 02:30", berlin, "2026-03-20", "2026-04-10", "03-22T01:30 03-29T01:30 04-05T00:30"},
		{"Berlin: monthly on that day", "rrule FREQ=MONTHLY;BYMONTHDAY=29 @ 2026-01-01 02:15", berlin, "2026-03-01", "2026-05-01", "03-29T01:15 04-29T00:15"},
		{"New York: before the gap", "cron 59 1 8 3 *", york, "2026-03-07", "2026-03-10", "03-08T06:59"},
		{"New York: in the gap", "cron 30 2 * * *", york, "2026-03-07", "2026-03-10", "03-07T07:30 03-08T07:30 03-09T06:30"},
		{"New York: after the gap", "cron 0 3 8 3 *", york, "2026-03-07", "2026-03-10", "03-08T07:00"},
		{"New York: an RRULE in the gap", "rrule FREQ=DAILY @ 2026-03-06 02:30", york, "2026-03-07", "2026-03-10", "03-07T07:30 03-08T07:30 03-09T06:30"},
		{"Lord Howe: before its half hour", "cron 59 1 4 10 *", howe, "2026-10-02", "2026-10-06", "10-03T15:29"},
		{"Lord Howe: in it", "cron 15 2 * * *", howe, "2026-10-02", "2026-10-05", "10-02T15:45 10-03T15:45 10-04T15:15"},
		{"Lord Howe: after it", "cron 30 2 4 10 *", howe, "2026-10-02", "2026-10-06", "10-03T15:30"},
		{"Cairo: a midnight that is skipped", "cron 0 0 * * *", cairo, "2026-04-23", "2026-04-25", "04-23T22:00 04-24T21:00"},

		// Clocks put back: of a time that comes twice, the first.
		{"Berlin: before it", "cron 30 1 * * *", berlin, "2026-10-24", "2026-10-26", "10-24T23:30"},
		{"Berlin: a time that comes twice", "cron 30 2 * * *", berlin, "2026-10-24", "2026-10-27", "10-24T00:30 10-25T00:30 10-26T01:30"},
		{"Berlin: the first that comes once again", "cron 0 3 25 10 *", berlin, "2026-10-24", "2026-10-27", "10-25T02:00"},
		{"Berlin: the last that came once", "cron 59 1 25 10 *", berlin, "2026-10-24", "2026-10-27", "10-24T23:59"},
		{"Berlin: an RRULE", "rrule FREQ=WEEKLY;BYDAY=SU @ 2026-01-04 02:30", berlin, "2026-10-17", "2026-11-02", "10-18T00:30 10-25T00:30 11-01T01:30"},
		{"New York: a time that comes twice", "cron 30 1 * * *", york, "2026-10-31", "2026-11-03", "10-31T05:30 11-01T05:30 11-02T06:30"},
		{"New York: after it", "cron 0 2 1 11 *", york, "2026-10-31", "2026-11-03", "11-01T07:00"},
		{"New York: an RRULE", "rrule FREQ=DAILY @ 2026-10-30 01:30", york, "2026-10-31", "2026-11-03", "10-31T05:30 11-01T05:30 11-02T06:30"},
		{"New York: by quarters of an hour through the hour that comes twice", "cron 0,30 0-2 1 11 *", york, "2026-10-31", "2026-11-03", "11-01T04:00 11-01T04:30 11-01T05:00 11-01T05:30 11-01T07:00 11-01T07:30"},
		{"Lord Howe: a time that comes twice", "cron 45 1 * * *", howe, "2026-04-03", "2026-04-06", "04-03T14:45 04-04T14:45 04-05T15:15"},
		{"Lord Howe: after it", "cron 0 2 5 4 *", howe, "2026-04-03", "2026-04-06", "04-04T15:30"},

		// Leap years.
		{"the 29th of February", "cron 0 22 29 2 *", "UTC", "2026-01-01", "2033-01-01", "02-29T22:00 02-29T22:00"},
		{"the same by RRULE", "rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29 @ 2024-02-29 22:00", "UTC", "2026-01-01", "2033-01-01", "02-29T22:00 02-29T22:00"},
		{"yearly since a 29th of February", "rrule FREQ=YEARLY @ 2024-02-29 22:00", "UTC", "2026-01-01", "2033-01-01", "02-29T22:00 02-29T22:00"},
		{"the last day of February", "rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1 @ 2024-02-29 22:00", "UTC", "2027-01-01", "2029-01-01", "02-28T22:00 02-29T22:00"},
		{"the 60th day of a year", "rrule FREQ=YEARLY;BYYEARDAY=60 @ 2020-01-01 22:00", "UTC", "2027-01-01", "2029-01-01", "03-01T22:00 02-29T22:00"},
		{"the 366th day of a year", "rrule FREQ=YEARLY;BYYEARDAY=366 @ 2020-01-01 22:00", "UTC", "2026-01-01", "2033-01-01", "12-31T22:00 12-31T22:00"},
		{"the 100th year is none", "cron 0 0 29 2 *", "UTC", "2096-03-01", "2099-01-01", ""},
		{"the 31st only where there is one", "rrule FREQ=MONTHLY;BYMONTHDAY=31 @ 2026-01-01 22:00", "UTC", "2026-01-01", "2026-06-01", "01-31T22:00 03-31T22:00 05-31T22:00"},
		{"the last day of each month", "rrule FREQ=MONTHLY;BYMONTHDAY=-1 @ 2026-01-01 22:00", "UTC", "2028-01-01", "2028-04-01", "01-31T22:00 02-29T22:00 03-31T22:00"},

		// RRULE.
		{"Patch Tuesday", "rrule FREQ=MONTHLY;BYDAY=2TU @ 2026-01-01 22:00", "UTC", "2026-10-01", "2027-01-01", "10-13T22:00 11-10T22:00 12-08T22:00"},
		{"the first working day", "rrule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1 @ 2026-01-01 22:00", "UTC", "2026-07-01", "2026-10-01", "07-01T22:00 08-03T22:00 09-01T22:00"},
		{"the last working day", "rrule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1 @ 2026-01-01 22:00", "UTC", "2026-01-01", "2026-04-01", "01-30T22:00 02-27T22:00 03-31T22:00"},
		{"every second week", "rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=TH @ 2026-01-01 22:00", "UTC", "2026-01-01", "2026-02-10", "01-01T22:00 01-15T22:00 01-29T22:00"},
		{"every second week from Monday, or from Sunday", "rrule FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU @ 1997-08-05 09:00", "UTC", "1997-08-01", "1997-10-01", "08-05T09:00 08-17T09:00 08-19T09:00 08-31T09:00"},
		{"so many times", "rrule FREQ=DAILY;COUNT=3 @ 2026-01-01 22:00", "UTC", "2026-01-02", "2027-01-01", "01-02T22:00 01-03T22:00"},
		{"until a day, that one included", "rrule FREQ=DAILY;UNTIL=20260103 @ 2026-01-01 22:00", "UTC", "2026-01-01", "2027-01-01", "01-01T22:00 01-02T22:00 01-03T22:00"},
		{"until an instant", "rrule FREQ=DAILY;UNTIL=20260103T210000Z @ 2026-01-01 22:00", berlin, "2026-01-01", "2027-01-01", "01-01T21:00 01-02T21:00 01-03T21:00"},
		{"and a second less", "rrule FREQ=DAILY;UNTIL=20260103T205959Z @ 2026-01-01 22:00", berlin, "2026-01-01", "2027-01-01", "01-01T21:00 01-02T21:00"},
		{"several times a day", "rrule FREQ=DAILY;BYHOUR=4,22;BYMINUTE=30 @ 2026-01-01 00:00", "UTC", "2026-01-01", "2026-01-03", "01-01T04:30 01-01T22:30 01-02T04:30 01-02T22:30"},
		{"by weeks of the year", "rrule FREQ=YEARLY;BYWEEKNO=53;BYDAY=FR @ 2020-01-01 22:00", "UTC", "2026-01-01", "2028-01-01", "01-01T22:00"},
		{"in lower case, with its name", "rrule rrule:freq=monthly;byday=2tu @ 2026-01-01 22:00", "UTC", "2026-11-01", "2026-12-01", "11-10T22:00"},
		{"what never comes about", "rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30 @ 2026-01-01 22:00", "UTC", "2026-01-01", "2030-01-01", ""},

		// cron.
		{"every Tuesday", "cron 0 22 * * 2", "UTC", "2026-11-01", "2026-11-20", "11-03T22:00 11-10T22:00 11-17T22:00"},
		{"by name", "cron 0 22 * NOV tue", "UTC", "2026-11-01", "2026-11-20", "11-03T22:00 11-10T22:00 11-17T22:00"},
		{"Sunday is 0 and 7", "cron 0 22 * * 7", "UTC", "2026-11-01", "2026-11-10", "11-01T22:00 11-08T22:00"},
		{"a day of the month or of the week, as crontab(5) has it", "cron 0 22 13 * 5", "UTC", "2026-11-01", "2026-11-21", "11-06T22:00 11-13T22:00 11-20T22:00"},
		{"every six hours", "cron 0 */6 1 1 *", "UTC", "2026-01-01", "2026-02-01", "01-01T00:00 01-01T06:00 01-01T12:00 01-01T18:00"},
		{"from its first instant on", "cron 0 0 * * *", "UTC", "2026-01-01", "2026-01-03", "01-01T00:00 01-02T00:00"},
	} {
		zone, err := Zone(row.zone)
		if err != nil {
			t.Fatal(err)
		}
		rule, err := read(t, row.rule, zone)
		if err != nil {
			t.Errorf("%s: %v", row.sentence, err)
			continue
		}
		from, _ := ParseDay(row.from)
		until, _ := ParseDay(row.until)
		got, err := Instants(rule, zone, from, until)
		var words []string
		for _, at := range got {
			words = append(words, at.Format("01-02T15:04"))
		}
		if err != nil || strings.Join(words, " ") != row.want {
			t.Errorf("%s: %q in %s, %s to %s: %s, %v; want %s", row.sentence, row.rule, row.zone, row.from, row.until, strings.Join(words, " "), err, row.want)
		}
	}
}

func TestWrongRules(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ rule, want string }{
		{"rrule FREQ=HOURLY @ 2026-01-01 22:00", "FREQ is YEARLY, MONTHLY, WEEKLY or DAILY; for several times a day write BYHOUR"},
		{"rrule FREQ=MONTHLY;BYDAY=2XX @ 2026-01-01 22:00", "is no RRULE that can be used"},
		{"rrule BYDAY=2TU @ 2026-01-01 22:00", "FREQ is required"},
		{"rrule FREQ=MONTHLY;FREQ=DAILY @ 2026-01-01 22:00", "FREQ is given twice"},
		{"rrule FREQ=MONTHLY; @ 2026-01-01 22:00", "is no key with a value"},
		{"rrule FREQ=MONTHLY;BYMONTHDAY=32 @ 2026-01-01 22:00", "bymonthday must be between 1 and 31"},
		{"rrule FREQ=MONTHLY;BYMONTHDAY=0 @ 2026-01-01 22:00", "BYMONTHDAY counts from 1"},
		{"rrule FREQ=MONTHLY;DTSTART=20260101 @ 2026-01-01 22:00", "DTSTART is no part of an RRULE"},
		{"rrule FREQ=WEEKLY;BYDAY=2TU @ 2026-01-01 22:00", "BYDAY with a number wants FREQ=MONTHLY or YEARLY"},
		{"rrule FREQ=WEEKLY;INTERVAL=0 @ 2026-01-01 22:00", "INTERVAL is a number from 1 to 1000"},
		{"rrule FREQ=DAILY;COUNT=3;UNTIL=20260101 @ 2026-01-01 22:00", "COUNT and UNTIL exclude each other"},
		{"rrule FREQ=DAILY;UNTIL=tomorrow @ 2026-01-01 22:00", "UNTIL=TOMORROW is neither a day"},
		{"rrule FREQ=YEARLY;BYWEEKNO=20 @ 2026-01-01 22:00", "BYWEEKNO wants BYDAY"},
		{"rrule FREQ=MONTHLY;BYSETPOS=1 @ 2026-01-01 22:00", "BYSETPOS wants another BY rule"},
		{"rrule FREQ=DAILY;BYMINUTE=0,1,2,3,4,5,6,7,8,9;BYHOUR=0,1,2,3,4,5,6,7,8,9 @ 2026-01-01 22:00", "100 times a day are more than 96"},
		{"cron 0 22 * *", `"0 22 * *" has 4 fields: cron wants five: minute, hour, day of the month, month, day of the week`},
		{"cron 0 0 22 * * 2", "has 6 fields"},
		{"cron @daily", "is no cron rule here"},
		{"cron 0 25 * * *", "is no cron rule"},
		{"nth someday 2 22:00", `"someday" is no weekday: write monday, tuesday and so on`},
		{"nth tuesday 2 22:60", `"22:60" is no time of day: write it as 22:00`},
	} {
		if _, err := read(t, row.rule, time.UTC); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: %v; want %s", row.rule, err, row.want)
		}
	}
	if _, err := Zone("Europe/Berlim"); err == nil || !strings.Contains(err.Error(), `"Europe/Berlim" is no zone: write a name such as Europe/Berlin, or UTC`) {
		t.Errorf("a zone that is none: %v", err)
	}
	if _, err := Zone("Local"); err == nil {
		t.Error("the machine's own zone is taken")
	}
	every, err := ParseCron("* * * * *")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Instants(every, time.UTC, time.Unix(0, 0), time.Unix(0, 0).AddDate(1, 0, 0)); err == nil || !strings.Contains(err.Error(), "comes about more than 5000 times") {
		t.Errorf("every minute of a year: %v", err)
	}
	never, err := ParseCron("0 0 31 2 *")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Instants(never, time.UTC, time.Unix(0, 0), time.Unix(0, 0).AddDate(1, 0, 0)); err == nil || !strings.Contains(err.Error(), "never comes about") {
		t.Errorf("the 31st of February: %v", err)
	}
}

func TestCheckRRule(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rule            string
		anchored, timed bool
	}{
		{"FREQ=MONTHLY;BYDAY=2TU", false, false},
		{"FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22", false, true},
		{"FREQ=MONTHLY", true, false},
		{"FREQ=MONTHLY;BYMONTHDAY=-1", false, false},
		{"FREQ=WEEKLY", true, false},
		{"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", true, false},
		{"FREQ=DAILY", false, false},
		{"FREQ=DAILY;COUNT=3", true, false},
		{"FREQ=YEARLY;BYMONTH=3", true, false},
		{"FREQ=YEARLY;BYYEARDAY=1", false, false},
	} {
		if anchored, timed, err := CheckRRule(row.rule); err != nil || anchored != row.anchored || timed != row.timed {
			t.Errorf("%q: anchored %v, timed %v, %v; want %v, %v", row.rule, anchored, timed, err, row.anchored, row.timed)
		}
	}
}

func TestMoments(t *testing.T) {
	t.Parallel()
	zone, err := Zone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ text, start, end string }{
		{"2026-12-24", "2026-12-23T23:00:00Z", "2026-12-24T23:00:00Z"},
		{"2026-12-24 18:00", "2026-12-24T17:00:00Z", "2026-12-24T17:00:00Z"},
		{"2026-12-24T18:00", "2026-12-24T17:00:00Z", "2026-12-24T17:00:00Z"},
		{"2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"},
		{"2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{"2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25 hours
		{"2026-02-30", "", ""},
		{"tomorrow", "", ""},
	} {
		m, err := ParseMoment(row.text)
		if (err != nil) != (row.start == "") {
			t.Errorf("%q: %v", row.text, err)
			continue
		}
		if err == nil && (m.Start(zone).Format(time.RFC3339) != row.start || m.End(zone).Format(time.RFC3339) != row.end) {
			t.Errorf("%q: from %s, until %s; want %s, %s", row.text, m.Start(zone), m.End(zone), row.start, row.end)
		}
	}
}
