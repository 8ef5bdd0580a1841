package windows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

var november = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func of(d time.Duration) *inventory.Duration {
	out := inventory.Duration(d)
	return &out
}

// known are secrets by the name of their variable.
type known map[string]string

func (k known) Resolve(_ context.Context, s inventory.Secret) (string, error) {
	if v, ok := k[s.Env]; ok {
		return v, nil
	}
	return "", fmt.Errorf("secret from environment variable %q: it is not set", s.Env)
}

func part(windows []inventory.Window, freezes ...inventory.Freeze) plan.Part {
	return plan.Part{When: &plan.When{Canary: windows, Freezes: freezes}}
}

// spans writes the first few as their days and hours.
func spans(c calendar.Calendar) string {
	var out []string
	for _, w := range c.Windows {
		out = append(out, fmt.Sprintf("%s %s-%s cut %s", w.Name, w.Start.Format("01-02T15:04"), w.End.Format("01-02T15:04"), w.Cutoff.Format("15:04")))
	}
	for _, f := range c.Freezes {
		out = append(out, fmt.Sprintf("frozen %s %s-%s", f.Name, f.Start.Format("01-02T15:04"), f.End.Format("01-02T15:04")))
	}
	if len(out) > 3 {
		out = out[:3]
	}
	return strings.Join(out, ", ")
}

const christmas = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" +
	"BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Freeze for Christmas\r\nDTSTART;VALUE=DATE:20261220\r\nDTEND;VALUE=DATE:20270107\r\nEND:VEVENT\r\n" +
	"BEGIN:VEVENT\r\nUID:2\r\nSUMMARY:Party\r\nDTSTART:20261210T170000Z\r\nDURATION:PT3H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.ics")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	file := write(t, christmas)
	for _, row := range []struct {
		sentence string
		windows  []inventory.Window
		freezes  []inventory.Freeze
		want     string
		always   bool
	}{
		{"neither windows nor freezes", nil, nil, "", true},
		{"cron, by clocks in Berlin, with a cutoff", []inventory.Window{{Name: "w", Cron: "0 22 * * 2", Zone: "Europe/Berlin", Duration: of(4 * time.Hour), Cutoff: of(time.Hour)}}, nil,
			"w 11-03T21:00-11-04T01:00 cut 00:00, w 11-10T21:00-11-11T01:00 cut 00:00, w 11-17T21:00-11-18T01:00 cut 00:00", false},
		{"without a cutoff it is the end", []inventory.Window{{Name: "w", Cron: "0 22 11 11 *", Zone: "UTC", Duration: of(time.Hour)}}, nil, "w 11-11T22:00-11-11T23:00 cut 23:00, w 11-11T22:00-11-11T23:00 cut 23:00", false},
		{"an RRULE", []inventory.Window{{Name: "w", RRule: "FREQ=MONTHLY;BYDAY=2TU", At: "22:00", Zone: "UTC", Duration: of(time.Hour)}}, nil, "w 11-10T22:00-11-10T23:00 cut 23:00, w 12-08T22:00-12-08T23:00 cut 23:00, w 01-12T22:00-01-12T23:00 cut 23:00", false},
		{"an RRULE that counts", []inventory.Window{{Name: "w", RRule: "FREQ=WEEKLY;INTERVAL=4;BYDAY=TH", Start: "2026-01-01", At: "22:00", Zone: "UTC", Duration: of(time.Hour)}}, nil, "w 11-05T22:00-11-05T23:00 cut 23:00, w 12-03T22:00-12-03T23:00 cut 23:00, w 12-31T22:00-12-31T23:00 cut 23:00", false},
		{"Patch Tuesday and three days", []inventory.Window{{Name: "w", Nth: &inventory.Nth{Weekday: "tuesday", N: 2, Offset: of(72 * time.Hour)}, At: "22:00", Zone: "UTC", Duration: of(time.Hour)}}, nil, "w 11-13T22:00-11-13T23:00 cut 23:00, w 12-11T22:00-12-11T23:00 cut 23:00, w 01-15T22:00-01-15T23:00 cut 23:00", false},
		{"a single one", []inventory.Window{{Name: "w", From: "2026-11-05 22:00", To: "2026-11-06 02:00", Zone: "America/New_York"}}, nil, "w 11-06T03:00-11-06T07:00 cut 07:00", false},
		{"one that is over is none", []inventory.Window{{Name: "w", From: "2026-10-05 22:00", To: "2026-10-06 02:00", Zone: "UTC"}}, nil, "", false},
		{"one that is open counts", []inventory.Window{{Name: "w", Cron: "0 22 31 10 *", Zone: "UTC", Duration: of(4 * time.Hour)}}, nil, "w 10-31T22:00-11-01T02:00 cut 02:00, w 10-31T22:00-11-01T02:00 cut 02:00", false},
		{"over the night that clocks are put back it lasts as long as ever", []inventory.Window{{Name: "w", From: "2026-11-01 00:00", To: "2026-11-01 03:00", Zone: "America/New_York"}, {Name: "x", Cron: "0 0 1 11 *", Zone: "America/New_York", Duration: of(3 * time.Hour)}}, nil, "w 11-01T04:00-11-01T08:00 cut 08:00, x 11-01T04:00-11-01T07:00 cut 07:00, x 11-01T04:00-11-01T07:00 cut 07:00", false},
		{"a calendar's events", []inventory.Window{{ICal: &inventory.ICal{File: file}, Zone: "Europe/Berlin"}}, nil, "Party 12-10T17:00-12-10T20:00 cut 20:00, Freeze for Christmas 12-19T23:00-01-06T23:00 cut 23:00", false},
		{"a freeze goes by its own name", nil, []inventory.Freeze{{Name: "announced", ICal: &inventory.ICal{File: file, Events: "Freeze*"}, Zone: "Europe/Berlin"}}, "frozen announced 12-19T23:00-01-06T23:00", true},
		{"a freeze of days, the last one included", nil, []inventory.Freeze{{Name: "fair", From: "2026-11-05", To: "2026-11-06", Zone: "UTC"}}, "frozen fair 11-05T00:00-11-07T00:00", true},
	} {
		c, err := New(known{}).Calendar(context.Background(), part(row.windows, row.freezes...), true, november)
		until := november.Add(Ahead)
		if len(row.windows)+len(row.freezes) == 0 {
			until = time.Time{}
		}
		if err != nil || spans(c) != row.want || c.Unknown != "" || c.Always != row.always || !c.Until.Equal(until) {
			t.Errorf("%s: %s (%s), always %v, until %s, %v\nwant %s", row.sentence, spans(c), c.Unknown, c.Always, c.Until, err, row.want)
		}
	}
	if c, err := New(known{}).Calendar(context.Background(), plan.Part{}, true, november); err != nil || !c.Always {
		t.Errorf("a part at any time: %+v, %v", c, err)
	}
}

// What cannot be read is unknown: all of it is told, and no secret.
func TestUnknown(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse"
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/" + secret + "/large":
			fmt.Fprint(w, strings.Repeat("x", mostBytes+1))
		case "/" + secret + "/login":
			fmt.Fprint(w, "<html>sign in</html>")
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	defer web.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	secrets := known{"FORBIDDEN": web.URL + "/" + secret, "LARGE": web.URL + "/" + secret + "/large", "LOGIN": web.URL + "/" + secret + "/login", "GONE": gone.URL + "/" + secret, "NONE": secret}
	for _, row := range []struct {
		ical inventory.ICal
		want string
	}{
		{inventory.ICal{File: "/nowhere/c.ics"}, "calendar /nowhere/c.ics: no such file or directory"},
		{inventory.ICal{File: os.DevNull}, "calendar /dev/null: is no file"},
		{inventory.ICal{File: write(t, "half")}, "is no calendar in iCalendar's format"},
		{inventory.ICal{File: write(t, strings.Repeat("x", mostBytes+1))}, "is larger than 4 MiB"},
		{inventory.ICal{URL: &inventory.Secret{Env: "FORBIDDEN"}}, "calendar at the address in FORBIDDEN: the answer was 403 Forbidden"},
		{inventory.ICal{URL: &inventory.Secret{Env: "LARGE"}}, "is larger than 4 MiB"},
		{inventory.ICal{URL: &inventory.Secret{Env: "LOGIN"}}, "is no calendar in iCalendar's format"},
		{inventory.ICal{URL: &inventory.Secret{Env: "GONE"}}, "connection refused"},
		{inventory.ICal{URL: &inventory.Secret{Env: "NONE"}}, "is no address that begins with https:// or http://"},
		{inventory.ICal{URL: &inventory.Secret{Env: "UNSET"}}, `environment variable "UNSET": it is not set`},
	} {
		p := part(nil, inventory.Freeze{Name: "fair", From: "2026-11-05", To: "2026-11-06", Zone: "UTC"}, inventory.Freeze{Name: "announced", ICal: &row.ical, Zone: "UTC"})
		c, err := New(secrets).Calendar(context.Background(), p, true, november)
		if err != nil || !strings.HasPrefix(c.Unknown, `freeze "announced": calendar `) || !strings.Contains(c.Unknown, row.want) || strings.Contains(c.Unknown, secret) {
			t.Errorf("%+v: %q, %v; want %s", row.ical, c.Unknown, err, row.want)
		}
		if ok, _, _ := c.Fit(november, calendar.Need{}); ok || len(c.Freezes) > 0 {
			t.Errorf("%+v: something fits, or half of it is known: %+v", row.ical, c)
		}
	}
	two := part([]inventory.Window{{ICal: &inventory.ICal{File: "/nowhere/w.ics"}, Zone: "UTC"}}, inventory.Freeze{Name: "x", ICal: &inventory.ICal{File: "/nowhere/f.ics"}, Zone: "UTC"})
	c, _ := New(secrets).Calendar(context.Background(), two, true, november)
	if want := `window 1 of the list: calendar /nowhere/w.ics: no such file or directory; freeze "x": calendar /nowhere/f.ics: no such file or directory`; c.Unknown != want {
		t.Errorf("two sources: %s, want %s", c.Unknown, want)
	}
}

// A server that never answers does not hold anybody up.
func TestPatience(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer web.Close()
	defer close(stuck)
	r := New(known{"URL": web.URL})
	r.patience = 50 * time.Millisecond
	p := part(nil, inventory.Freeze{Name: "announced", ICal: &inventory.ICal{URL: &inventory.Secret{Env: "URL"}}, Zone: "UTC"})
	c, err := r.Calendar(context.Background(), p, true, november)
	if want := `freeze "announced": calendar at the address in URL: no answer within 50ms`; err != nil || c.Unknown != want {
		t.Errorf("%q, %v; want %q", c.Unknown, err, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Calendar(ctx, p, true, november); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever gives up is told %v", err)
	}
}

// A plan asks each source once, and the next one asks anew.
func TestLaid(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	text := atomic.Value{}
	text.Store(christmas)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, text.Load())
	}))
	defer web.Close()
	when := &plan.When{
		Canary:  []inventory.Window{{Cron: "0 22 * * *", Duration: of(4 * time.Hour), Zone: "UTC"}},
		Peers:   []inventory.Window{{Cron: "0 22 * * 2", Duration: of(4 * time.Hour), Zone: "UTC"}},
		Freezes: []inventory.Freeze{{Name: "announced", ICal: &inventory.ICal{URL: &inventory.Secret{Env: "URL"}}, Zone: "UTC"}},
	}
	p := plan.Plan{Parallel: 5, Stages: []plan.Stage{{Name: "s", Clusters: []plan.Cluster{{Name: "a", Waves: []int{1, 1}}}}, {Name: "p", Clusters: []plan.Cluster{{Name: "b", Waves: []int{1, 1}}}}}}
	one := plan.Part{When: when}
	one.Policy.Estimate.Work, one.Policy.Soak = inventory.Duration(25*time.Minute), inventory.Duration(24*time.Hour)
	parts := map[string]plan.Part{"a": one, "b": one}
	r := New(known{"URL": web.URL})
	d := r.Laid(context.Background(), p, parts, nil, november, time.Time{})
	if want := time.Date(2026, 11, 10, 22, 25, 0, 0, time.UTC); len(d.Refusals) != 0 || !d.End.Equal(want) || asked.Load() != 1 {
		t.Errorf("ends %s, want %s; %d times asked; %+v", d.End, want, asked.Load(), d.Refusals)
	}
	text.Store(strings.Replace(christmas, "20261220", "20261105", 1)) // announced since
	if d = r.Laid(context.Background(), p, parts, nil, november, time.Time{}); d.End.Before(time.Date(2027, 1, 7, 0, 0, 0, 0, time.UTC)) || asked.Load() != 2 {
		t.Errorf("ends %s before the freeze does; %d times asked", d.End, asked.Load())
	}
}
