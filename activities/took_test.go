package activities

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// tooks are the world's records of how long members took.
type tooks struct{ *world }

func (s tooks) Add(_ context.Context, acc ConsulAccess, key string, runs []calendar.Run, now time.Time) error {
	s.accesses = append(s.accesses, acc)
	if s.untook != nil {
		return s.untook
	}
	if s.took == nil {
		s.took = map[string]calendar.Record{}
	}
	s.took[key] = s.took[key].With(runs, now)
	return nil
}

func (s tooks) Measured(_ context.Context, acc ConsulAccess, key string) (calendar.Record, error) {
	s.Lock()
	defer s.Unlock()
	s.accesses = append(s.accesses, acc)
	return s.took[key], s.untook
}

func patches(n int, took time.Duration) (runs []calendar.Run) {
	for i := range n {
		runs = append(runs, calendar.Run{Instance: "monthly-1", Cluster: "web", Host: "web-1", Platform: "debian 12 amd64", At: bubble.Add(-time.Duration(i) * time.Hour), Steps: map[string]int64{
			"fetch": time.Minute.Milliseconds(), "drain": 0, "patch": (took - time.Minute).Milliseconds(),
		}})
	}
	return runs
}

func TestReleaseRecordsHowLongMembersTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(), webPart()
		in := ClaimInput{Instance: instance, Intent: intent("release", ""), Took: []rollout.MemberTook{
			{Host: "web-1", Platform: "debian 12 amd64", Took: rollout.Took{Drain: 1000, Patch: 2000, Undrain: 500, At: bubble.Add(-time.Hour)}},
			{Host: "web-2", Platform: "odd/../one", Backout: true, Took: rollout.Took{Backout: 3000, At: bubble.Add(-time.Hour)}},
		}}
		in.Part, _ = w.Put(t.Context(), plan.Body(p))
		w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
		for range 2 { // a result that was lost
			if r, err := do(t, nil, w.activities().Release, in); err != nil || !r.OK || r.Reason != "" || len(w.records) != 0 {
				t.Fatalf("%+v, %v, records %v", r, err, w.records)
			}
		}
		first := calendar.Run{Instance: instance, Cluster: "web", Host: "web-1", Platform: "debian 12 amd64", At: bubble.Add(-time.Hour), Steps: map[string]int64{"drain": 1000, "patch": 2000, "undrain": 500}}
		second := calendar.Run{Instance: instance, Cluster: "web", Host: "web-2", Platform: "odd/../one", At: bubble.Add(-time.Hour), Backout: true, Steps: map[string]int64{"backout": 3000}}
		want := map[string]calendar.Record{"cluster/web": {Runs: []calendar.Run{first, second}}, "platform/debian-12-amd64": {Runs: []calendar.Run{first}}, "platform/odd-..-one": {Runs: []calendar.Run{second}}}
		if !reflect.DeepEqual(w.took, want) {
			t.Errorf("on record is %+v\nwant %+v", w.took, want)
		}
		w.proveNoSecret(t, w.took)

		w.untook = errAway
		w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
		r, err := do(t, nil, w.activities().Release, in)
		if err != nil || !r.OK || len(w.records) != 0 || !strings.Contains(r.Reason, "how long its members took is not on record") {
			t.Errorf("what cannot be kept keeps nobody from the release, and is noted: %+v, %v, records %v", r, err, w.records)
		}
		if last := w.entries[len(w.entries)-1]; !strings.Contains(last.Result, "how long its members took is not on record") {
			t.Errorf("the audit chain says %q", last.Result)
		}
	})
}

// A host begins by what was measured, and by the file where that is too little, or cannot be read.
func TestWindowAsksForWhatWasMeasured(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence string
		open     time.Duration // how long the window is open yet
		given    func(w *world, p *plan.Part)
		ok       bool
		closed   string
	}{
		{"four runs", 30 * time.Minute, func(w *world, _ *plan.Part) {
			w.took = map[string]calendar.Record{"cluster/web": {Runs: patches(4, 10*time.Minute)}}
		}, false, "a host needs 40m (25m and 15m for a backout)"},
		{"five runs", 30 * time.Minute, func(w *world, _ *plan.Part) {
			w.took = map[string]calendar.Record{"cluster/web": {Runs: patches(5, 10*time.Minute)}}
		}, true, ""},
		{"five that took longer than the file says", 45 * time.Minute, func(w *world, _ *plan.Part) {
			w.took = map[string]calendar.Record{"cluster/web": {Runs: patches(5, 50*time.Minute)}}
		}, false, "a host needs 1h5m (50m and 15m for a backout)"},
		{"five of its platform, one of them of its cluster", 30 * time.Minute, func(w *world, _ *plan.Part) {
			w.took = map[string]calendar.Record{"cluster/web": {Runs: patches(1, 10*time.Minute)}, "platform/debian-12-amd64": {Runs: patches(5, 10*time.Minute)}}
		}, true, ""},
		{"five of a platform that nobody knows it has", 30 * time.Minute, func(w *world, _ *plan.Part) {
			w.took = map[string]calendar.Record{"platform/debian-12-amd64": {Runs: patches(5, 10*time.Minute)}}
		}, false, "a host needs 40m"},
		{"five of the one that the plan knows", 30 * time.Minute, func(w *world, p *plan.Part) {
			w.took = map[string]calendar.Record{"platform/debian-12-amd64": {Runs: patches(5, 10*time.Minute)}}
			p.Planned = &plan.Planned{Platforms: []plan.Platform{{OS: "debian", Release: "12", Arch: "amd64"}}}
		}, true, ""},
		{"what cannot be read", 30 * time.Minute, func(w *world, _ *plan.Part) {
			w.took, w.untook = map[string]calendar.Record{"cluster/web": {Runs: patches(5, 10*time.Minute)}}, errAway
		}, false, "a host needs 40m"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, p, in := newWorld(), timed(), WindowInput{Instance: instance, Host: "web-1", Canary: true, Mode: rollout.ModePatch}
			row.given(w, &p)
			w.calendar = map[bool]calendar.Calendar{true: {Windows: []calendar.Window{open(time.Hour, row.open, 0)}}}
			in.Part, _ = w.Put(t.Context(), plan.Body(p))
			r, err := do(t, nil, w.activities().Window, in)
			if err != nil || r.OK != row.ok || !strings.HasPrefix(r.Closed, row.closed) {
				t.Errorf("%s: %+v, %v; want %t, %q", row.sentence, r, err, row.ok, row.closed)
			}
		})
	}
}

// A plan says of every host how long it is taken to need.
func TestAskHostsSaysWhatWasMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAsked()
		h.took = map[string]calendar.Record{"platform/debian-12-amd64": {Runs: patches(6, 10*time.Minute)}}
		_, answers, err := askBatch(t, h, timed(), "web-1", "web-2")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			if want := "10m (p95 of 6 runs on debian 12 amd64), 15m for a backout (the file's: 0 of 5 runs measured)"; a.Estimate == nil || a.Estimate.String() != want {
				t.Errorf("%s: %s, want %s", a.Host, a.Estimate, want)
			}
		}
	})
}

func TestNeedAtTheGate(t *testing.T) {
	t.Parallel()
	e := calendar.Estimate{Need: calendar.Need{Work: 30 * time.Minute, Backout: 10 * time.Minute}, Out: 25 * time.Minute}
	if n := need(e, rollout.ModePatch, time.Hour); n.Work != 25*time.Minute || n.Backout != 10*time.Minute {
		t.Errorf("what was measured from the drain on is needed, however long it waited: %s", n)
	}
	if n := need(e, rollout.ModePatch, 0); n.Work != 30*time.Minute {
		t.Errorf("before the first look it is all of it: %s", n)
	}
	if n := need(e, rollout.ModeBackout, time.Hour); n.Work != 10*time.Minute || n.Backout != 0 {
		t.Errorf("a way back: %s", n)
	}
}
