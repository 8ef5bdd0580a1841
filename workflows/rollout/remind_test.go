package rollout

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReminders(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 3, 0, 0, 0, time.UTC) }
	host := func(name, plan string, since int) Kept {
		return Kept{Name: name, Cluster: "web", Owner: "web team", Contact: "web@rollpatch.invalid", Plan: plan, Why: "the backout failed", Since: day(since)}
	}
	versions := Kept{Name: "versions/web/3f2a9c1b7d20", Cluster: "web", Owner: "web team", Contact: "web@rollpatch.invalid", Plan: "p1", Why: "the soak failed", Since: day(2), Review: day(10)}
	web := "in quarantine in cluster web (web team web@rollpatch.invalid): "
	for _, row := range []struct {
		says string
		kept []Kept
		want []Reminder
	}{
		{"nothing is nothing", nil, nil},
		{"a host", []Kept{host("web-1", "p1", 1)}, []Reminder{{"p1", "web", web + "web-1 since 2026-11-01: the backout failed"}}},
		{"versions that nobody has looked at in time", []Kept{versions}, []Reminder{{"p1", "web", web + "versions/web/3f2a9c1b7d20 since 2026-11-02, overdue for a person's look since 2026-11-10: the soak failed"}}},
		{"one plan hears of one cluster once", []Kept{versions, host("web-1", "p1", 1)}, []Reminder{{"p1", "web", web + "web-1 since 2026-11-01: the backout failed; versions/web/3f2a9c1b7d20 since 2026-11-02, overdue for a person's look since 2026-11-10: the soak failed"}}},
		{"each plan has people of its own", []Kept{host("web-2", "p2", 3), host("web-1", "p1", 1)}, []Reminder{
			{"p1", "web", web + "web-1 since 2026-11-01: the backout failed"}, {"p2", "web", web + "web-2 since 2026-11-03: the backout failed"},
		}},
		{"a cluster that nobody owns", []Kept{{Name: "db-1", Cluster: "db", Plan: "p1", Since: day(1)}}, []Reminder{{"p1", "db", "in quarantine in cluster db: db-1 since 2026-11-01"}}},
	} {
		if got := Reminders(row.kept, day(12)); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %q, want %q", row.says, got, row.want)
		}
	}
	var many []Kept
	for range 8 {
		many = append(many, host("web-1", "p1", 1))
	}
	if got := Reminders(many, day(12)); len(got) != 1 || !strings.HasSuffix(got[0].Text, "; and 3 more") {
		t.Errorf("of many: %q, want the first ones and how many more", got)
	}
}
