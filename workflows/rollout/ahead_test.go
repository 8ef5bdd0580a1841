package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFetchedAhead(t *testing.T) {
	now := time.Date(2026, 12, 1, 20, 0, 0, 0, time.UTC)
	open := now.Add(-time.Hour)
	some := func(change func(c *Campaign)) Campaign {
		c := Campaign{Instance: "i", Parallel: 5, Stages: []string{"staging", "production"}, Clusters: []Ref{
			{Name: "cache", Ahead: Ahead{Wanted: true}}, {Name: "web", Stage: 1, Ahead: Ahead{Wanted: true}}, {Name: "db", Stage: 1},
		}}
		change(&c)
		return c
	}
	for _, row := range []struct {
		says string
		c    Campaign
		want string
		wake time.Time
	}{
		{"where no gate stands it begins at once, for every stage", some(func(c *Campaign) {}), "cache web", time.Time{}},
		{"nothing is fetched before the start is agreed to", some(func(c *Campaign) { c.Gates = []Gate{{ID: "start"}} }), "", time.Time{}},
		{"and all of it once it is", some(func(c *Campaign) { c.Gates = []Gate{{ID: "start", Opened: open}} }), "cache web", time.Time{}},
		{"a stage that has a gate of its own waits for that", some(func(c *Campaign) {
			c.Gates = []Gate{{ID: "start", Opened: open}, {ID: "stage/production", Stage: 1}}
		}), "cache", time.Time{}},
		{"an expired gate is a shut one", some(func(c *Campaign) { c.Gates = []Gate{{ID: "start", Expired: true}} }), "", time.Time{}},
		{"a hold keeps it", some(func(c *Campaign) { c.Paused = "wait" }), "", time.Time{}},
		{"an abort ends it", some(func(c *Campaign) { c.AbortFor = "stop" }), "", time.Time{}},
		{"and a backout", some(func(c *Campaign) { c.BackoutFor = "stop" }), "", time.Time{}},
		{"nobody knows who asked for it", some(func(c *Campaign) { c.Unknown = "no answer" }), "", time.Time{}},
		{"what is there is not fetched again", some(func(c *Campaign) { c.Clusters[0].Ahead.Done = true }), "web", time.Time{}},
		{"a cluster that waits for its window has not begun", some(func(c *Campaign) { c.Clusters[0].Running, c.Clusters[0].Phase = true, PhaseClaim }), "cache web", time.Time{}},
		{"one that has begun fetches for itself", some(func(c *Campaign) { c.Clusters[0].Running, c.Clusters[0].Phase = true, PhaseRoll }), "web", time.Time{}},
		{"so does one that has ended", some(func(c *Campaign) { c.Clusters[0].Outcome = ClusterHalted }), "web", time.Time{}},
		{"one that failed waits for its time", some(func(c *Campaign) { c.Clusters[0].Ahead.Again = now.Add(time.Minute) }), "web", now.Add(time.Minute)},
		{"and is tried again then", some(func(c *Campaign) { c.Clusters[0].Ahead.Again = now }), "cache web", time.Time{}},
		{"for so many clusters at a time", some(func(c *Campaign) {
			for _, name := range []string{"a", "b", "c"} {
				c.Clusters = append(c.Clusters, Ref{Name: name, Ahead: Ahead{Wanted: true}})
			}
		}), "cache web a b", time.Time{}},
	} {
		var got []string
		d := row.c.Next(now)
		for _, a := range d.Start {
			if a.Do == DoAhead {
				got = append(got, a.Name)
			}
		}
		if strings.Join(got, " ") != row.want || !d.WakeAt.Equal(row.wake) {
			t.Errorf("%s: it fetches for %q and wakes at %s, want %q and %s", row.says, got, d.WakeAt, row.want, row.wake)
		}
	}
}

func TestWhatFetchingAheadComesTo(t *testing.T) {
	now := time.Date(2026, 12, 1, 20, 0, 0, 0, time.UTC)
	c := Campaign{Instance: "i", Parallel: 5, Stages: []string{"production"}, Clusters: []Ref{{Name: "web", Running: true, Phase: PhaseClaim, Ahead: Ahead{Wanted: true}}}}
	ahead := func(c Campaign) Ahead { return c.Clusters[0].Ahead }
	told := func(c Campaign, event, text string) (n int) {
		for _, p := range c.Outbox.Pending {
			if p.Event == event && strings.Contains(p.Text, text) {
				n++
			}
		}
		return n
	}
	done := c.Fetched("web", AheadResult{}, now)
	if a := ahead(done); !a.Done || a.Why != "" || len(done.Outbox.Pending) > 0 || strings.Contains(done.Next(now).Reason, "fetched ahead") {
		t.Errorf("all is there: %+v, %v, %q", a, done.Outbox, done.Next(now).Reason)
	}
	failed := c.Fetched("web", AheadResult{Why: "web-2: no answer"}, now)
	if a := ahead(failed); a.Done || !a.Again.Equal(now.Add(time.Hour)) || len(failed.Outbox.Pending) > 0 || failed.Clusters[0].Failed > 0 {
		t.Errorf("one failed: %+v, %v: want another try, and no word to anybody yet", a, failed.Outbox)
	}
	if why := failed.Next(now).Reason; !strings.Contains(why, "; packages fetched ahead for 0 of 1 cluster (web: web-2: no answer)") {
		t.Errorf("its reason is %q", why)
	}
	if failed.Held() {
		t.Error("it counts as held")
	}
	if a := ahead(c.Fetched("web", AheadResult{Why: "frozen", Again: now.Add(time.Minute)}, now)); !a.Again.Equal(now.Add(time.Minute)) {
		t.Errorf("a freeze that ends soon: %+v", a)
	}
	if a := ahead(c.Fetched("web", AheadResult{Why: "frozen", Again: now.Add(24 * time.Hour)}, now)); !a.Again.Equal(now.Add(time.Hour)) {
		t.Errorf("a freeze that ends late may be lifted: %+v", a)
	}
	other := AheadResult{Why: "web-2: widens", Other: "web-2: another file"}
	if c := c.Fetched("web", other, now).Fetched("web", other, now.Add(time.Hour)); told(c, TellHold, "will hold it: web-2: another file") != 1 {
		t.Errorf("another file is told once: %v", c.Outbox.Pending)
	}
	begins := func(c Campaign) Campaign {
		r := Report{Name: "web", Phase: PhaseRoll}
		return c.Reported(r, now).Reported(r, now)
	}
	if c := begins(failed); told(c, TellWait, "cluster web begins, and not all of its packages were fetched before: web-2: no answer") != 1 {
		t.Errorf("its turn came: %v", c.Outbox.Pending)
	}
	if c := begins(c); told(c, TellWait, "it takes longer than that") != 1 {
		t.Errorf("its turn came while it was being fetched: %v", c.Outbox.Pending)
	}
	if c := begins(done); slices.ContainsFunc(c.Outbox.Pending, func(n Notice) bool { return n.Event == TellWait }) {
		t.Errorf("all was there: %v", c.Outbox.Pending)
	}
}
