package plan

import (
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

func TestEstimates(t *testing.T) {
	t.Parallel()
	p, parts := Build(of([]string{"a", "b", "c"}), estate(names("a", 2), names("b", 2), names("c", 1)))
	took := func(host string, minutes int) Answer {
		return Answer{Host: host, OS: "debian", Release: "12", Arch: "amd64", Estimate: &calendar.Estimate{
			Need: calendar.Need{Work: time.Duration(minutes) * time.Minute, Backout: 15 * time.Minute}, WorkFrom: "p95 of 6 runs on debian 12 amd64", BackoutFrom: "the file's: 0 of 5 runs measured",
		}}
	}
	answers := []Answer{took("a-1", 12), took("a-2", 14), {Host: "b-1", Unknown: "no connection"}, took("c-1", 7)}
	for cluster, want := range map[string]string{
		"a": "14m (p95 of 6 runs on debian 12 amd64), 15m for a backout (the file's: 0 of 5 runs measured)", // the longest of its hosts
		"b": "25m, 15m for a backout (the file's: none of its hosts answered)",
		"c": "7m (p95 of 6 runs on debian 12 amd64), 15m for a backout (the file's: 0 of 5 runs measured)",
	} {
		if got := p.Estimates(parts, answers)[cluster].String(); got != want {
			t.Errorf("%s: %s\nwant %s", cluster, got, want)
		}
		if got := p.Estimates(parts, nil)[cluster].String(); got != "25m, 15m for a backout (the file's: no worker was asked)" {
			t.Errorf("%s, where nobody was asked: %s", cluster, got)
		}
	}
	course := p.Course(parts, answers, time.Time{}, time.Time{}, func(Part, bool) calendar.Calendar { return calendar.Calendar{Always: true} })
	if a, b := course.Stages[0].Clusters[0], course.Stages[0].Clusters[1]; a.Need.Work != 14*time.Minute || !a.Measured || b.Need.Work != 25*time.Minute || b.Measured {
		t.Errorf("the course takes %+v and %+v", a, b)
	}
	f := Foresee(p, parts, answers)
	if got := f.Clusters[0]; got.Takes != "24h28m" || got.Estimate != p.Estimates(parts, answers)["a"].String() {
		t.Errorf("two members of a take %s: %s", got.Takes, got.Estimate)
	}
}

// A change request has one figure: how long a cluster takes at least is how far its dates are apart where nothing is waited for.
func TestTakesIsWhatDatesSay(t *testing.T) {
	t.Parallel()
	c := of([]string{"a"})
	work, settle := inventory.Duration(40*time.Second), inventory.Duration(2*time.Minute)
	c.Policy.Estimate.Work, c.Policy.Settle = &work, &settle
	p, parts := Build(c, estate(names("a", 4)))
	measured := []Answer{{Host: "a-1", OS: "debian", Release: "12", Arch: "amd64", Estimate: &calendar.Estimate{Need: calendar.Need{Work: 7 * time.Minute, Backout: time.Minute}, WorkFrom: "p95 of 6 runs"}}}
	some, few := Only(p, parts, map[string][]string{"a": {"a-2", "a-3"}})
	for _, row := range []struct {
		sentence string
		plan     Plan
		parts    map[string]Part
		answers  []Answer
		want     string
	}{
		{"the file's estimate", p, parts, nil, "24h7m"}, // four of 40s and two pauses
		{"a measured one", p, parts, measured, "24h32m"},
		{"where only some are worked on, the last wave soaks", some, few, nil, "48h1m"},
	} {
		dates := calendar.Lay(row.plan.Course(row.parts, row.answers, time.Unix(0, 0), time.Time{}, func(Part, bool) calendar.Calendar { return calendar.Calendar{Always: true} }))
		laid := Span(dates.End.Sub(dates.Start))
		if got := Foresee(row.plan, row.parts, row.answers).Clusters[0].Takes; got != row.want || got != laid {
			t.Errorf("%s: it takes %s, and by its dates %s; want %s", row.sentence, got, laid, row.want)
		}
	}
}
