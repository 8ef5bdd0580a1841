package activities

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// bubble is when the clocks of synctest begin.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// open is a window from so long before the bubble begins until so long after.
func open(before, after, cutoff time.Duration) calendar.Window {
	return calendar.Window{Span: calendar.Span{Start: bubble.Add(-before), End: bubble.Add(after)}, Cutoff: bubble.Add(after - cutoff)}
}

func freeze(from, to time.Duration) calendar.Span {
	return calendar.Span{Start: bubble.Add(from), End: bubble.Add(to), Name: "launch"}
}

var tomorrow = open(-24*time.Hour, 28*time.Hour, 0)

// timed is a part whose hosts need 25 minutes, and 15 more for a backout.
func timed() plan.Part {
	p := webPart()
	p.When = &plan.When{Work: inventory.Duration(25 * time.Minute), Backout: inventory.Duration(15 * time.Minute)}
	return p
}

type timingRow struct {
	sentence     string
	cal          calendar.Calendar
	ask          rollout.Ask
	mode         rollout.Mode
	spent        time.Duration
	frozen, shut string // what is said begins so; both empty: it may begin
	next         time.Duration
}

var timingRows = []timingRow{
	{"a window that is open for long", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, time.Hour, 0)}}, rollout.AskFit, rollout.ModePatch, 0, "", "", 0},
	{"one that is exactly as long as a host needs, asked for as it opened", calendar.Calendar{Windows: []calendar.Window{open(time.Second, 40*time.Minute-time.Second, 0)}}, rollout.AskFit, rollout.ModePatch, 0, "", "", 0},
	{"one that closes too soon for a backout", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, 30*time.Minute, 0), tomorrow}}, rollout.AskFit, rollout.ModePatch, 0, "", "a host needs 40m (25m and 15m for a backout), and window ends", 24 * time.Hour},
	{"a backout needs less", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, 30*time.Minute, 0)}}, rollout.AskFit, rollout.ModeBackout, 0, "", "", 0},
	{"what is behind it counts", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, 30*time.Minute, 0)}}, rollout.AskFit, rollout.ModePatch, 10 * time.Minute, "", "", 0},
	{"but half of the work is always left", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, 25*time.Minute, 0), tomorrow}}, rollout.AskFit, rollout.ModePatch, time.Hour, "", "a host needs", 24 * time.Hour},
	{"no host begins after the cutoff", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, 2*time.Hour, 2*time.Hour), tomorrow}}, rollout.AskFit, rollout.ModePatch, 0, "", "the cutoff of window", 24 * time.Hour},
	{"one that was begun goes on after it", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, time.Minute, time.Minute)}}, rollout.AskOpen, rollout.ModePatch, 0, "", "", 0},
	{"but not after the window's end", calendar.Calendar{Windows: []calendar.Window{open(time.Hour, 0, 0), tomorrow}}, rollout.AskOpen, rollout.ModePatch, 0, "", "no window is open", 24 * time.Hour},
	{"unless no window is asked for", calendar.Calendar{Windows: []calendar.Window{tomorrow}}, rollout.AskFreeze, rollout.ModePatch, 0, "", "", 0},
	{"a freeze", calendar.Calendar{Always: true, Freezes: []calendar.Span{freeze(-time.Hour, 5*time.Hour)}}, rollout.AskFit, rollout.ModePatch, 0, `freeze "launch" until`, "", 5 * time.Hour},
	{"after a freeze the next window is named", calendar.Calendar{Windows: []calendar.Window{tomorrow}, Freezes: []calendar.Span{freeze(-time.Hour, 5*time.Hour)}}, rollout.AskFit, rollout.ModePatch, 0, `freeze "launch" until`, "", 24 * time.Hour},
	{"a freeze that begins before it would be done", calendar.Calendar{Always: true, Freezes: []calendar.Span{freeze(30*time.Minute, 5*time.Hour)}}, rollout.AskFit, rollout.ModePatch, 0, "", "a host needs", 5 * time.Hour},
	{"a freeze for one that was begun", calendar.Calendar{Always: true, Freezes: []calendar.Span{freeze(-time.Minute, time.Hour)}}, rollout.AskOpen, rollout.ModePatch, 0, `freeze "launch" until`, "", time.Hour},
	{"a freeze where no window is asked for", calendar.Calendar{Windows: []calendar.Window{tomorrow}, Freezes: []calendar.Span{freeze(-time.Minute, time.Hour)}}, rollout.AskFreeze, rollout.ModeBackout, 0, `freeze "launch" until`, "", time.Hour},
}

func TestGateAsksWindows(t *testing.T) {
	var rows []stepRow
	for _, row := range timingRows {
		rows = append(rows, stepRow{row.sentence, func(w *world, p *plan.Part, in *StepInput) {
			*p = timed()
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			w.calendar = map[bool]calendar.Calendar{true: row.cal, false: {Unknown: "nobody asks for that of peers"}}
			in.Ask, in.Mode, in.Canary, in.Spent = row.ask, row.mode, true, row.spent
		}, rollout.Pass, "peers in service", func(t *testing.T, w *world, r StepResult) {
			if !strings.HasPrefix(r.Frozen, row.frozen) || !strings.HasPrefix(r.Closed, row.shut) || (r.Frozen == "") != (row.frozen == "") || (r.Closed == "") != (row.shut == "") {
				t.Errorf("frozen %q, closed %q; want %q and %q", r.Frozen, r.Closed, row.frozen, row.shut)
			}
			if want := bubble.Add(row.next); row.next != 0 && !r.Next.Equal(want) || row.next == 0 && !r.Next.IsZero() {
				t.Errorf("next %s, want %s", r.Next, want)
			}
			if (row.frozen+row.shut) != "" && !strings.Contains(r.Reason, row.frozen+row.shut) {
				t.Errorf("on record is %q, which does not say why", r.Reason)
			}
		}})
	}
	rows = append(rows, stepRow{"what cannot be read is inconclusive", func(w *world, p *plan.Part, in *StepInput) {
		*p = timed()
		w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
		w.calendar = map[bool]calendar.Calendar{false: {Unknown: "freezes.ics: no such file"}}
		in.Ask, in.Mode = rollout.AskOpen, rollout.ModePatch
	}, rollout.Inconclusive, "the windows and freezes are not known: freezes.ics: no such file", nil},
		stepRow{"so is a reader that fails", func(w *world, p *plan.Part, in *StepInput) {
			*p = timed()
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			w.undated = errAway
			in.Ask, in.Mode = rollout.AskFreeze, rollout.ModePatch
		}, rollout.Inconclusive, "the windows and freezes are not known", nil},
		stepRow{"where nothing is asked of them nobody reads them", func(w *world, p *plan.Part, in *StepInput) {
			*p = timed()
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			w.undated = errAway
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if n := w.did("calendar"); n != 0 {
				t.Errorf("they were read %d times", n)
			}
		}},
		stepRow{"a freeze that a person typed is no date", func(w *world, p *plan.Part, in *StepInput) {
			*p = timed()
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			w.frozen = "frozen by ann"
			w.calendar = map[bool]calendar.Calendar{false: {Windows: []calendar.Window{tomorrow}}}
			in.Ask, in.Mode = rollout.AskFit, rollout.ModePatch
		}, rollout.Pass, "", func(t *testing.T, w *world, r StepResult) {
			if r.Frozen != "frozen by ann" || !r.Next.IsZero() {
				t.Errorf("frozen %q until %s", r.Frozen, r.Next)
			}
		}})
	tell(t, "gate", (*Activities).Gate, rows)
}

func TestWindow(t *testing.T) {
	ask := func(t *testing.T, given func(w *world, p *plan.Part, in *WindowInput)) (r rollout.FitResult) {
		synctest.Test(t, func(t *testing.T) {
			w, p, in := newWorld(), timed(), WindowInput{Instance: instance, Host: "web-1", Canary: true, Mode: rollout.ModePatch}
			given(w, &p, &in)
			in.Part, _ = w.Put(t.Context(), plan.Body(p))
			var err error
			if r, err = do(t, nil, w.activities().Window, in); err != nil {
				t.Fatal(err)
			}
		})
		return r
	}
	for _, row := range timingRows {
		if row.ask != rollout.AskFit || row.spent != 0 {
			continue
		}
		r := ask(t, func(w *world, p *plan.Part, in *WindowInput) {
			w.calendar = map[bool]calendar.Calendar{true: row.cal}
			in.Mode = row.mode
		})
		why := row.frozen + row.shut
		if r.OK != (why == "") || !strings.HasPrefix(r.Closed, why) || r.Frozen || r.Reason != "" || row.next != 0 && !r.Next.Equal(bubble.Add(row.next)) {
			t.Errorf("%s: %+v, want %q until %s", row.sentence, r, why, bubble.Add(row.next))
		}
	}
	peers := ask(t, func(w *world, p *plan.Part, in *WindowInput) {
		w.calendar, in.Canary = map[bool]calendar.Calendar{true: {Windows: []calendar.Window{tomorrow}}, false: {Always: true}}, false
	})
	if !peers.OK {
		t.Errorf("a peer asks for the windows of peers: %+v", peers)
	}
	typed := ask(t, func(w *world, p *plan.Part, in *WindowInput) {
		w.frozen, w.calendar = "frozen by ann", map[bool]calendar.Calendar{true: {Always: true}}
	})
	if typed.OK || typed.Closed != "frozen by ann" || !typed.Frozen {
		t.Errorf("a freeze that a person typed: %+v", typed)
	}
	for what, r := range map[string]rollout.FitResult{
		"a server that cannot be asked for a freeze": ask(t, func(w *world, p *plan.Part, in *WindowInput) { w.unfrozen = errAway }),
		"a calendar that cannot be read":             ask(t, func(w *world, p *plan.Part, in *WindowInput) { w.undated = errAway }),
		"one that is not known": ask(t, func(w *world, p *plan.Part, in *WindowInput) {
			w.calendar = map[bool]calendar.Calendar{true: {Unknown: "why"}}
		}),
	} {
		if r.OK || r.Closed != "" || r.Reason == "" {
			t.Errorf("%s: %+v, want neither yes nor no", what, r)
		}
	}
	zoned := ask(t, func(w *world, p *plan.Part, in *WindowInput) {
		p.When.Canary = []inventory.Window{{Zone: "Europe/Berlin"}}
		w.calendar = map[bool]calendar.Calendar{true: {Windows: []calendar.Window{tomorrow}}}
	})
	if want := "; the next host may begin at 2000-01-02T00:00:00Z (Sun 2000-01-02 01:00 CET)"; !strings.HasSuffix(zoned.Closed, want) {
		t.Errorf("it says %q, want it to end with %q", zoned.Closed, want)
	}
}

// Who would break a freeze reads from what stands in the way when a host could begin without it, and how long that takes.
func TestWhatStandsInTheWayTellsHowLongItWouldHaveToBeBroken(t *testing.T) {
	at := func(h int) time.Time { return bubble.Add(time.Duration(h) * time.Hour) }
	cal := calendar.Calendar{
		Windows: []calendar.Window{{Span: calendar.Span{Name: "night", Start: at(2), End: at(6)}, Cutoff: at(6)}},
		Freezes: []calendar.Span{{Name: "fair", Start: at(-1), End: at(9)}, {Name: "audit", Start: at(1), End: at(8)}},
	}
	got := inTheWay(cal, bubble, calendar.Need{Work: 25 * time.Minute, Backout: 15 * time.Minute}, nil)
	if len(got) == 0 {
		t.Fatal("nothing stands in the way")
	}
	for _, f := range got {
		if !f.Begin.Equal(at(2)) || f.Takes != 40*time.Minute {
			t.Errorf("without them it begins at %s and takes %s: %+v", f.Begin, f.Takes, f)
		}
	}
}
