package plan

import (
	"testing"
	"time"

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
