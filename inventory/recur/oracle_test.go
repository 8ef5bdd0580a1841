package recur

import (
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// plain is an RRULE as the table in RFC 5545, section 3.3.10, describes it, read day by day: a second implementation, which has nothing in
// common with the library's but that table. It asks of each single day whether it is one, and is as slow as that.
type plain struct {
	freq                                           string
	interval, count                                int
	until, start                                   time.Time
	wkst                                           time.Weekday
	month, monthday, yearday, weekno, setpos, hour []int
	byday                                          []plainDay
}

type plainDay struct {
	n   int
	day time.Weekday
}

var dayNames = []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

func (p plain) String() string {
	out := []string{"FREQ=" + p.freq}
	if p.interval > 1 {
		out = append(out, fmt.Sprint("INTERVAL=", p.interval))
	}
	if p.count > 0 {
		out = append(out, fmt.Sprint("COUNT=", p.count))
	}
	if !p.until.IsZero() {
		out = append(out, "UNTIL="+p.until.Format("20060102T150405"))
	}
	if p.wkst != time.Monday {
		out = append(out, "WKST="+dayNames[p.wkst])
	}
	list := func(name string, of []int) {
		if len(of) > 0 {
			out = append(out, name+"="+strings.Trim(strings.ReplaceAll(fmt.Sprint(of), " ", ","), "[]"))
		}
	}
	list("BYMONTH", p.month)
	list("BYWEEKNO", p.weekno)
	list("BYYEARDAY", p.yearday)
	list("BYMONTHDAY", p.monthday)
	var days []string
	for _, d := range p.byday {
		if d.n != 0 {
			days = append(days, fmt.Sprint(d.n)+dayNames[d.day])
		} else {
			days = append(days, dayNames[d.day])
		}
	}
	if len(days) > 0 {
		out = append(out, "BYDAY="+strings.Join(days, ","))
	}
	list("BYHOUR", p.hour)
	list("BYSETPOS", p.setpos)
	return strings.Join(out, ";")
}

// period names the year, month, week or day that a day belongs to, counted from the one of the rule's start.
func (p plain) period(d time.Time) int {
	week := func(t time.Time) time.Time { return t.AddDate(0, 0, -((int(t.Weekday()) - int(p.wkst) + 7) % 7)) }
	midnight := p.start.Truncate(24 * time.Hour)
	switch p.freq {
	case "YEARLY":
		if len(p.weekno) > 0 {
			y, _ := p.week(d)
			return y - p.start.Year()
		}
		return d.Year() - p.start.Year()
	case "MONTHLY":
		return (d.Year()-p.start.Year())*12 + int(d.Month()) - int(p.start.Month())
	case "WEEKLY":
		return int(week(d).Sub(week(midnight)) / (7 * 24 * time.Hour))
	}
	return int(d.Sub(midnight) / (24 * time.Hour))
}

// week is the number of a day's week, and the year that it is counted in: the one that most of its days lie in.
func (p plain) week(d time.Time) (year, n int) {
	first := d.AddDate(0, 0, -((int(d.Weekday()) - int(p.wkst) + 7) % 7))
	year = first.AddDate(0, 0, 3).Year()
	return year, (first.AddDate(0, 0, 3).YearDay()-1)/7 + 1
}

func (p plain) weeks(year int) int {
	_, n := p.week(time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -3))
	return n
}

// is says that a day is one of the rule's, its place within a set aside.
func (p plain) is(d time.Time) bool {
	last := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	days := time.Date(d.Year(), 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
	either := func(of []int, n, whole int) bool {
		return len(of) == 0 || slices.Contains(of, n) || slices.Contains(of, n-whole-1)
	}
	if len(p.month) > 0 && !slices.Contains(p.month, int(d.Month())) || !either(p.monthday, d.Day(), last) || !either(p.yearday, d.YearDay(), days) {
		return false
	}
	if len(p.weekno) > 0 {
		if year, n := p.week(d); !either(p.weekno, n, p.weeks(year)) {
			return false
		}
	}
	if len(p.byday) > 0 {
		found := false
		for _, b := range p.byday {
			if b.day != d.Weekday() {
				continue
			}
			from, to := d.Day(), last // its number within the month
			if p.freq == "YEARLY" && len(p.month) == 0 {
				from, to = d.YearDay(), days // or the year
			}
			found = found || b.n == 0 || b.n > 0 && (from-1)/7+1 == b.n || b.n < 0 && -((to-from)/7+1) == b.n
		}
		return found
	}
	if len(p.monthday) > 0 || len(p.yearday) > 0 || len(p.weekno) > 0 {
		return true
	}
	switch p.freq { // what the rule does not say is as it was at its start
	case "YEARLY":
		return d.Day() == p.start.Day() && (len(p.month) > 0 || d.Month() == p.start.Month())
	case "MONTHLY":
		return d.Day() == p.start.Day()
	case "WEEKLY":
		return d.Weekday() == p.start.Weekday()
	}
	return true
}

// times lists the rule's times, from its start until just before an instant.
func (p plain) times(until time.Time) []time.Time {
	var out, set []time.Time
	left, now := p.count, 0
	hours := slices.Sorted(slices.Values(p.hour))
	if len(hours) == 0 {
		hours = []int{p.start.Hour()}
	}
	flush := func() bool {
		for i, t := range set {
			if len(p.setpos) > 0 && !slices.Contains(p.setpos, i+1) && !slices.Contains(p.setpos, i-len(set)) {
				continue
			}
			if t.Before(p.start) {
				continue
			}
			if !p.until.IsZero() && t.After(p.until) || !t.Before(until) {
				return false
			}
			if out = append(out, t); p.count > 0 {
				if left--; left == 0 {
					return false
				}
			}
		}
		set = nil
		return true
	}
	// The first period may begin before its start: its days count for BYSETPOS.
	for d := p.start.Truncate(24*time.Hour).AddDate(-1, 0, -7); d.Before(until.AddDate(1, 0, 7)); d = d.AddDate(0, 0, 1) {
		n := p.period(d)
		if n < 0 {
			continue
		}
		if n != now {
			if !flush() {
				return out
			}
			now = n
		}
		if n%p.interval == 0 && p.is(d) {
			for _, h := range hours {
				set = append(set, time.Date(d.Year(), d.Month(), d.Day(), h, p.start.Minute(), 0, 0, time.UTC))
			}
		}
	}
	return out
}

// random makes a rule that RFC 5545 allows.
func random(r *rand.Rand) plain {
	start := time.Date(2015+r.Intn(15), time.Month(1+r.Intn(12)), 1+r.Intn(31), r.Intn(24), 30*r.Intn(2), 0, 0, time.UTC)
	p := plain{freq: []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY"}[r.Intn(4)], interval: 1, start: start, wkst: time.Monday}
	some := func(odds, most int, back bool) []int {
		if r.Intn(odds) > 0 {
			return nil
		}
		var out []int
		for range 1 + r.Intn(3) {
			n := 1 + r.Intn(most)
			if back && r.Intn(3) == 0 {
				n = -n
			}
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
		return out
	}
	if r.Intn(3) == 0 {
		p.interval = 1 + r.Intn(4)
	}
	switch r.Intn(4) {
	case 0:
		p.count = 1 + r.Intn(20)
	case 1:
		p.until = start.AddDate(r.Intn(4), r.Intn(12), r.Intn(30))
	}
	if r.Intn(4) == 0 {
		p.wkst = time.Weekday(r.Intn(7))
	}
	p.month = some(3, 12, false)
	if p.freq != "WEEKLY" {
		p.monthday = some(4, 31, true)
	}
	if p.freq == "YEARLY" {
		p.yearday = some(6, 366, true)
		p.weekno = some(6, 51, true)
	}
	if r.Intn(2) == 0 || len(p.weekno) > 0 {
		for range 1 + r.Intn(3) {
			d := plainDay{day: time.Weekday(r.Intn(7))}
			if (p.freq == "MONTHLY" || p.freq == "YEARLY") && len(p.weekno) == 0 && r.Intn(2) == 0 {
				if d.n = 1 + r.Intn(5); r.Intn(3) == 0 {
					d.n = -d.n
				}
			}
			p.byday = append(p.byday, d)
		}
	}
	p.hour = append(p.hour, some(5, 23, false)...)
	if len(p.month)+len(p.monthday)+len(p.yearday)+len(p.weekno)+len(p.byday)+len(p.hour) > 0 {
		p.setpos = some(4, 4, true)
	}
	if len(p.weekno) > 0 { // a week may lie in two years, and nobody says which one's it is then
		p.setpos, p.interval = nil, 1
	}
	return p
}

// agree holds the library's times against the second implementation's.
func agree(t testing.TB, p plain) int {
	t.Helper()
	text := p.String()
	rule, err := ParseRRule(text, p.start, time.UTC)
	if err != nil {
		t.Fatalf("%s from %s: %v", text, p.start, err)
	}
	until := p.start.AddDate(6, 0, 0)
	got, err := rule.between(p.start.AddDate(-1, 0, 0), until)
	want := p.times(until)
	if err != nil && len(want) <= Most || err == nil && !slices.EqualFunc(got, want, time.Time.Equal) {
		n := 0
		for n < min(len(got), len(want)) && got[n].Equal(want[n]) {
			n++
		}
		t.Fatalf("%s from %s (%s): %v\nthey part after %d of %d and %d:\n got %v\nwant %v", text, p.start.Format(time.RFC3339), p.start.Weekday(), err, n, len(got), len(want), got[n:min(len(got), n+4)], want[n:min(len(want), n+4)])
	}
	return len(want)
}

var seeds = flag.Int("recur.seeds", 150, "how many random rules the two implementations are asked")

func TestRandomRules(t *testing.T) {
	t.Parallel()
	times := 0
	for seed := range int64(*seeds) {
		times += agree(t, random(rand.New(rand.NewSource(seed))))
	}
	if times < 20**seeds {
		t.Errorf("the rules came about %d times only", times)
	}
}

func FuzzRules(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, seed int64) { agree(t, random(rand.New(rand.NewSource(seed)))) })
}
