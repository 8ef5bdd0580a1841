package calendar

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

var measuredAt = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// took is runs of so many seconds, of which ten went by before the drain.
func took(backout bool, seconds ...int) (runs []Run) {
	for i, s := range seconds {
		runs = append(runs, Run{Instance: "monthly-1", Cluster: "web", Host: fmt.Sprintf("web-%d", i), Platform: "debian 12 amd64", At: measuredAt.Add(time.Duration(i) * time.Minute), Backout: backout,
			Steps: map[string]int64{"inspect": 4000, "fetch": 6000, "drain": 1000, "patch": int64(s-11) * 1000}})
	}
	return runs
}

// upTo is the numbers from one to n, each so many seconds.
func upTo(n, seconds int) (all []int) {
	for i := range n {
		all = append(all, (i+1)*seconds)
	}
	return all
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	file := Need{Work: 25 * time.Minute, Backout: 15 * time.Minute}
	scope := func(of string, runs ...[]Run) Scope { return Scope{Of: of, Runs: slices.Concat(runs...)} }
	for _, row := range []struct {
		sentence string
		file     Need
		scopes   []Scope
		says     string
		out      time.Duration
	}{
		{"nothing was measured", file, nil, "25m, 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"four runs are too few", file, []Scope{scope("x", took(false, 600, 600, 600, 600))}, "25m (the file's: 4 of 5 runs measured), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"five are enough: the longest of them counts", file, []Scope{scope("debian 12 amd64", took(false, 600, 660, 720, 600, 600))}, "12m (p95 of 5 runs on debian 12 amd64), 15m for a backout (the file's: 0 of 5 runs measured)", 710 * time.Second},
		{"of twenty the longest but one", file, []Scope{scope("x", took(false, upTo(20, 60)...))}, "19m (p95 of 20 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"of twenty-one too", file, []Scope{scope("x", took(false, upTo(21, 60)...))}, "20m (p95 of 21 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"of nineteen the longest", file, []Scope{scope("x", took(false, upTo(19, 60)...))}, "19m (p95 of 19 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"it is longer than the file's", file, []Scope{scope("x", took(false, 3600, 3600, 3600, 3600, 3600))}, "1h (p95 of 5 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"never less than five minutes", file, []Scope{scope("x", took(false, 20, 20, 20, 20, 20))}, "5m (p95 of 5 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 5 * time.Minute},
		{"but a file's that is less", Need{Work: 10 * time.Second, Backout: time.Second}, []Scope{scope("x", took(false, 20, 20, 20, 20, 20))}, "20s (p95 of 5 runs on x), 1s for a backout (the file's: 0 of 5 runs measured)", 10 * time.Second},
		{"never less than it took", file, []Scope{scope("x", took(false, 661, 600, 600, 600, 600))}, "12m (p95 of 5 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"ways back are counted by themselves", file, []Scope{scope("x", took(true, 420, 420, 420, 420, 420), took(false, 600))}, "25m (the file's: 1 of 5 runs measured), 7m for a backout (p95 of 5 runs on x)", 0},
		{"the nearest that has enough", file, []Scope{scope("db", took(false, 3000, 3000, 3000, 3000, 3000)), scope("x", took(false, upTo(20, 60)...))}, "50m (p95 of 5 runs on db), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"else the next", file, []Scope{scope("db", took(false, 3000)), scope("x", took(false, upTo(20, 60)...))}, "19m (p95 of 20 runs on x), 15m for a backout (the file's: 0 of 5 runs measured)", 0},
		{"each for itself", file, []Scope{scope("db", took(false, 3000, 3000, 3000, 3000, 3000)), scope("x", took(true, 600, 600, 600, 600, 600))}, "50m (p95 of 5 runs on db), 10m for a backout (p95 of 5 runs on x)", 0},
	} {
		e := Measure(row.file, row.scopes...)
		if e.String() != row.says {
			t.Errorf("%s: %s\nwant %s", row.sentence, e, row.says)
		}
		if row.out != 0 && e.Out < row.out || e.Measured() != (e.Out > 0) || e.Out > e.Work {
			t.Errorf("%s: %s of %s are left from the drain on, want %s at least", row.sentence, e.Out, e.Work, row.out)
		}
	}
	if got := OfFile(file, "no worker was asked").String(); got != "25m, 15m for a backout (the file's: no worker was asked)" {
		t.Error(got)
	}
}

// What takes its time before the drain is not needed any more once the member may be drained.
func TestMeasureFromTheDrainOn(t *testing.T) {
	t.Parallel()
	slow := took(false, 660, 660, 660, 660, 660)
	for i := range slow {
		slow[i].Steps["fetch"] += 1200_000
	}
	if e := Measure(Need{Work: 25 * time.Minute}, Scope{Of: "x", Runs: slow}); e.Work != 31*time.Minute || e.Out != 11*time.Minute {
		t.Errorf("%s in all, %s from the drain on; want 31m and 11m", e.Work, e.Out)
	}
}

func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	now := measuredAt.Add(24 * time.Hour)
	runs := took(false, upTo(70, 60)...)
	r := Record{}.With(runs, now)
	if len(r.Runs) != 50 || r.Runs[0].Host != "web-20" || r.Runs[49].Host != "web-69" {
		t.Fatalf("%d runs from %s to %s, want the last 50, the oldest first", len(r.Runs), r.Runs[0].Host, r.Runs[len(r.Runs)-1].Host)
	}
	if again := r.With(runs[60:], now); len(again.Runs) != 50 || again.Runs[0].Host != "web-20" {
		t.Errorf("said twice: %d runs, the first of %s", len(again.Runs), again.Runs[0].Host)
	}
	if both := r.With(took(true, 60, 60), now); len(both.Runs) != 52 {
		t.Errorf("ways back push out patches: %d runs", len(both.Runs))
	}
	other := took(false, 60)
	other[0].Platform = "debian 13 amd64"
	if both := r.With(other, now); len(both.Runs) != 51 || len(both.On("debian 13 amd64")) != 1 {
		t.Errorf("one platform pushes out another: %d runs", len(both.Runs))
	}
	if old := r.With(nil, now.Add(401*24*time.Hour)); len(old.Runs) != 0 {
		t.Errorf("%d runs are kept for more than 400 days", len(old.Runs))
	}
}

func TestRecordKnowsThePlatform(t *testing.T) {
	t.Parallel()
	runs := took(false, 60, 60, 60)
	runs[1].Platform, runs[2].Platform, runs[2].Host = "debian 13 amd64", "debian 11 amd64", "web-0"
	r := Record{}.With(runs, measuredAt)
	for host, want := range map[string]string{"web-0": "debian 11 amd64", "web-1": "debian 13 amd64", "web-9": "debian 11 amd64"} {
		if got := r.Platform(host); got != want {
			t.Errorf("%s had %q, want %q", host, got, want)
		}
	}
	if got := (Record{}).Platform("web-0"); got != "" {
		t.Errorf("nothing is known, and it had %q", got)
	}
}

// Where what was measured is too long for every window, a shorter estimate in a file is no way out.
func TestRemedyOfWhatWasMeasured(t *testing.T) {
	t.Parallel()
	night := Calendar{Windows: []Window{{Span: Span{Start: measuredAt, End: measuredAt.Add(30 * time.Minute)}, Cutoff: measuredAt.Add(30 * time.Minute)}}}
	for _, measured := range []bool{false, true} {
		d := Lay(Course{Start: measuredAt, Parallel: 1, Stages: []Stage{{Name: "production", Canary: night, Peers: night, Clusters: []Cluster{
			{Name: "web", Waves: []int{1, 2}, Need: Need{Work: time.Hour}, Says: "1h (somehow)", Measured: measured},
		}}}})
		want := map[bool]string{false: remedyRoom, true: remedyTook}[measured]
		if len(d.Refusals) != 1 || d.Refusals[0].Remedy != want || d.Stages[0].Clusters[0].Estimate != "1h (somehow)" {
			t.Errorf("measured %t: %+v", measured, d)
		}
	}
}
