package calendar

import (
	"testing"
	"time"
)

func TestReached(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 11, day, 21, 0, 0, 0, time.UTC) }
	d := Dates{Start: at(11), Stages: []Laid{
		{Stage: "staging", Start: at(11), End: at(12), Clusters: []LaidCluster{{Cluster: "cache", Canary: at(11), Gate: at(12), Done: at(12)}}},
		{Stage: "production", Start: at(15), Clusters: []LaidCluster{{Cluster: "mail", Canary: at(17)}, {Cluster: "web", Canary: at(16), Gate: at(18), Done: at(20)}}},
		{Stage: "rest", Clusters: []LaidCluster{{Cluster: "db"}}},
	}}
	for _, row := range []struct {
		stage        string
		gate, begins time.Time
	}{
		{"staging", at(11), at(11)}, {"production", at(12), at(16)}, {"rest", time.Time{}, time.Time{}}, {"none", time.Time{}, time.Time{}},
	} {
		if gate, begins := d.Reached(row.stage); !gate.Equal(row.gate) || !begins.Equal(row.begins) {
			t.Errorf("%s: its gate at %s, it begins at %s; want %s and %s", row.stage, gate, begins, row.gate, row.begins)
		}
	}
	for _, row := range []struct {
		cluster string
		number  int
		want    time.Time
	}{{"web", 1, at(18)}, {"web", 2, at(20)}, {"mail", 1, time.Time{}}, {"none", 1, time.Time{}}} {
		if got := d.Soaked(row.cluster, row.number); !got.Equal(row.want) {
			t.Errorf("soak %d of %s: %s, want %s", row.number, row.cluster, got, row.want)
		}
	}
}
