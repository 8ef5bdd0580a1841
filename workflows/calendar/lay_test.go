package calendar

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// nights are windows of the given length that begin at 22:00 of each of the days.
func nights(length time.Duration, days ...int) Calendar {
	c := Calendar{Until: epoch.AddDate(0, 0, 60)}
	for _, d := range days {
		start := epoch.AddDate(0, 0, d-1).Add(22 * time.Hour)
		c.Windows = append(c.Windows, Window{Span: Span{Start: start, End: start.Add(length)}})
	}
	return c
}

// cluster has a soak of a day and no settling.
func cluster(name string, waves ...int) Cluster {
	return Cluster{Name: name, Waves: waves, Need: host, Soak: 24 * time.Hour}
}

// told writes dates as days and hours, a cluster a line.
func told(d Dates) string {
	say := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return fmt.Sprintf("%d %s", int(t.Sub(epoch)/(24*time.Hour))+1, t.Format("15:04"))
	}
	var lines []string
	for _, s := range d.Stages {
		for _, c := range s.Clusters {
			lines = append(lines, fmt.Sprintf("%s: %s, %s, %s, %s, %s", c.Cluster, say(c.Canary), say(c.Soak), say(c.Gate), say(c.Peers), say(c.Done)))
		}
	}
	return strings.Join(append(lines, "end "+say(d.End)), "\n")
}

func TestLay(t *testing.T) {
	t.Parallel()
	always := Calendar{Always: true}
	both := func(name string, c Calendar, clusters ...Cluster) Stage {
		return Stage{Name: name, Canary: c, Peers: c, Clusters: clusters}
	}
	for _, row := range []struct {
		sentence string
		course   Course
		dates    string
		refusals []Refusal
	}{
		{"without windows everything follows at once", Course{Parallel: 5, Stages: []Stage{both("p", always, cluster("web", 1, 2))}},
			"web: 1 00:00, 1 00:25, 2 00:25, 2 00:25, 2 01:15\nend 2 01:15", nil},
		{"members settle, but not before a soak nor after the last", Course{Parallel: 5, Stages: []Stage{both("p", always, Cluster{Name: "web", Waves: []int{1, 2, 2}, Need: host, Soak: time.Hour, Settle: 10 * time.Minute})}},
			"web: 1 00:00, 1 00:25, 1 01:25, 1 01:25, 1 04:25\nend 1 04:25", nil},
		{"one member has neither soak nor peers", Course{Parallel: 5, Stages: []Stage{both("p", always, cluster("web", 1))}},
			"web: 1 00:00, -, -, -, 1 00:25\nend 1 00:25", nil},
		{"the soak runs outside windows, peers go in the next one after it", Course{Parallel: 5, Stages: []Stage{both("p", nights(2*time.Hour, 1, 2, 3), cluster("web", 1, 2))}},
			"web: 1 22:00, 1 22:25, 2 22:25, 2 22:25, 2 23:15\nend 2 23:15", nil},
		{"what is not done by a window's end goes on in the next", Course{Parallel: 5, Stages: []Stage{both("p", nights(time.Hour, 1, 2, 3, 4), cluster("web", 1, 2))}},
			"web: 1 22:00, 1 22:25, 2 22:25, 3 22:00, 4 22:25\nend 4 22:25",
			[]Refusal(nil)},
		{"canaries and peers have windows of their own", Course{Parallel: 5, Stages: []Stage{{Name: "p", Canary: nights(2*time.Hour, 1), Peers: nights(2*time.Hour, 5), Clusters: []Cluster{cluster("web", 1, 2)}}}},
			"web: 1 22:00, 1 22:25, 2 22:25, 5 22:00, 5 22:50\nend 5 22:50", nil},
		{"peers that would wait four weeks are refused with the dates", Course{Parallel: 5, Stages: []Stage{{Name: "p", Canary: nights(2*time.Hour, 1), Peers: nights(2*time.Hour, 29), Clusters: []Cluster{cluster("web", 1, 2)}}}},
			"web: 1 22:00, 1 22:25, 2 22:25, 29 22:00, 29 22:50\nend 29 22:50",
			[]Refusal{{Stage: "p", Cluster: "web", Why: "its peers would wait 28d25m for what its canary has, longer than 7d (max_mixed): canary back 2026-11-01T22:25:00Z, soak until 2026-11-02T22:25:00Z, first peer 2026-11-29T22:00:00Z, last one back 2026-11-29T22:50:00Z", Remedy: "give the peers windows that come sooner, or allow it: max_mixed: 29d"}}},
		{"unless that is allowed", Course{Parallel: 5, Stages: []Stage{{Name: "p", Canary: nights(2*time.Hour, 1), Peers: nights(2*time.Hour, 29), Clusters: []Cluster{{Name: "web", Waves: []int{1, 2}, Need: host, Soak: 24 * time.Hour, MaxMixed: 29 * 24 * time.Hour}}}}},
			"web: 1 22:00, 1 22:25, 2 22:25, 29 22:00, 29 22:50\nend 29 22:50", nil},
		{"one that requires another waits until that is old enough", Course{Parallel: 5, Stages: []Stage{
			both("s", always, cluster("a", 1)), both("t", always, cluster("b", 1)), {Name: "p", Canary: nights(2*time.Hour, 2, 3), Peers: always, Behind: "s", Aged: 48 * time.Hour, Clusters: []Cluster{cluster("c", 1)}},
		}}, "a: 1 00:00, -, -, -, 1 00:25\nb: 1 00:25, -, -, -, 1 00:50\nc: 3 22:00, -, -, -, 3 22:25\nend 3 22:25", nil},
		{"and one that requires another campaign's does not", Course{Parallel: 5, Stages: []Stage{
			both("s", always, cluster("a", 1)), {Name: "p", Canary: always, Peers: always, Behind: "elsewhere", Aged: 48 * time.Hour, Clusters: []Cluster{cluster("c", 1)}},
		}}, "a: 1 00:00, -, -, -, 1 00:25\nc: 1 00:25, -, -, -, 1 00:50\nend 1 00:50", nil},
		{"stages go one after the other", Course{Parallel: 5, Stages: []Stage{both("s", always, cluster("a", 1)), both("p", always, cluster("b", 1))}},
			"a: 1 00:00, -, -, -, 1 00:25\nb: 1 00:25, -, -, -, 1 00:50\nend 1 00:50", nil},
		{"so many clusters beside each other, soaks included", Course{Parallel: 2, Stages: []Stage{both("p", always, cluster("a", 1, 1), cluster("b", 1), cluster("c", 1))}},
			"a: 1 00:00, 1 00:25, 2 00:25, 2 00:25, 2 00:50\nb: 1 00:00, -, -, -, 1 00:25\nc: 1 00:25, -, -, -, 1 00:50\nend 2 00:50", nil},
		{"those that share a host go one after the other", Course{Parallel: 5, Stages: []Stage{both("p", always, cluster("a", 1), Cluster{Name: "b", Waves: []int{1}, Need: host, Shares: []string{"a"}})}},
			"a: 1 00:00, -, -, -, 1 00:25\nb: 1 00:25, -, -, -, 1 00:50\nend 1 00:50", nil},
		{"a ramp lets the next step begin when the canaries are back", Course{Parallel: 5, Stages: []Stage{{Name: "p", Canary: always, Peers: always, Steps: []int{1, 2}, Clusters: []Cluster{cluster("a", 1, 1), cluster("b", 1), cluster("c", 1)}}}},
			"a: 1 00:00, 1 00:25, 2 00:25, 2 00:25, 2 00:50\nb: 1 00:25, -, -, -, 1 00:50\nc: 1 00:25, -, -, -, 1 00:50\nend 2 00:50", nil},
		{"the own house goes last", Course{Parallel: 5, Stages: []Stage{both("p", always, cluster("a", 1, 1), Cluster{Name: "dns", Waves: []int{1}, Need: host, Last: true})}},
			"a: 1 00:00, 1 00:25, 2 00:25, 2 00:25, 2 00:50\ndns: 2 00:50, -, -, -, 2 01:15\nend 2 01:15", nil},
		{"an end that is too late is refused", Course{Parallel: 5, FinishBy: epoch.Add(24 * time.Hour), Stages: []Stage{both("p", always, cluster("web", 1, 2))}},
			"web: 1 00:00, 1 00:25, 2 00:25, 2 00:25, 2 01:15\nend 2 01:15",
			[]Refusal{{Why: "it would end 2026-11-02T01:15:00Z, after 2026-11-02T00:00:00Z (finish_by)", Remedy: "begin earlier, give more or longer windows, shorten soaks, or move finish_by"}}},
		{"nobody wrote an end that is the next begin", Course{Parallel: 5, FinishBy: epoch.Add(24 * time.Hour), Again: true, Stages: []Stage{both("p", always, cluster("web", 1, 2))}},
			"web: 1 00:00, 1 00:25, 2 00:25, 2 00:25, 2 01:15\nend 2 01:15",
			[]Refusal{{Why: "it would end 2026-11-02T01:15:00Z, after 2026-11-02T00:00:00Z (the next instance begins then)", Remedy: "give more or longer windows, shorten soaks, or write a schedule that comes about less often"}}},
		{"windows too short for anybody are no silent night", Course{Parallel: 5, Stages: []Stage{both("p", nights(30*time.Minute, 1, 2, 3), cluster("web", 1, 29), cluster("db", 1, 11))}},
			"web: -, -, -, -, -\ndb: -, -, -, -, -\nend -",
			[]Refusal{{Stage: "p", Why: "0 of 42 hosts fit because the estimate of 40m (25m and 15m for a backout) is longer than the longest window's 30m", Remedy: remedyRoom}}},
		{"too short for the peers only is said of them", Course{Parallel: 5, Stages: []Stage{{Name: "p", Canary: nights(time.Hour, 1), Peers: nights(30*time.Minute, 3), Clusters: []Cluster{cluster("web", 1, 2)}}}},
			"web: 1 22:00, 1 22:25, 2 22:25, -, -\nend -",
			[]Refusal{{Stage: "p", Why: "0 of 2 peers fit because the estimate of 40m (25m and 15m for a backout) is longer than the window's 30m", Remedy: remedyRoom}}},
		{"too short for some clusters names them", Course{Parallel: 5, Stages: []Stage{both("p", nights(time.Hour, 1, 3), cluster("web", 1), Cluster{Name: "db", Waves: []int{1, 1}, Need: Need{Work: time.Hour, Backout: time.Hour}})}},
			"web: 1 22:00, -, -, -, 1 22:25\ndb: -, -, -, -, -\nend -",
			[]Refusal{{Stage: "p", Why: "1 of 3 hosts fit; those of db do not, because the estimate of 2h (1h and 1h for a backout) is longer than the longest window's 1h", Remedy: remedyRoom}}},
		{"no window at all", Course{Parallel: 5, Stages: []Stage{both("p", Calendar{Until: epoch.AddDate(1, 0, 0)}, cluster("web", 1))}},
			"web: -, -, -, -, -\nend -",
			[]Refusal{{Stage: "p", Why: "0 of 1 hosts fit because there is no window from 2026-11-01T00:00:00Z until 2027-11-01T00:00:00Z", Remedy: remedyNone}}},
		{"windows that are over are none", Course{Start: epoch.AddDate(0, 0, 9), Parallel: 5, Stages: []Stage{both("p", nights(time.Hour, 1, 2), cluster("web", 1))}},
			"web: -, -, -, -, -\nend -",
			[]Refusal{{Stage: "p", Why: "0 of 1 hosts fit because there is no window from 2026-11-10T00:00:00Z until 2026-12-31T00:00:00Z", Remedy: remedyNone}}},
		{"every window frozen", Course{Parallel: 5, Stages: []Stage{both("p", frozen(nights(time.Hour, 1, 2), "quarter-end"), cluster("web", 1))}},
			"web: -, -, -, -, -\nend -",
			[]Refusal{{Stage: "p", Why: `0 of 1 hosts fit because every window from 2026-11-01T00:00:00Z until 2026-12-31T00:00:00Z that has room for the estimate of 40m (25m and 15m for a backout) is frozen ("quarter-end")`, Remedy: remedyNone}}},
		{"a source that cannot be read is told once, and the stages after it have no dates", Course{Parallel: 5, Stages: []Stage{both("s", Calendar{Always: true, Unknown: "a.ics: gone"}, cluster("a", 1, 1)), both("p", always, cluster("b", 1))}},
			"a: -, -, -, -, -\nb: -, -, -, -, -\nend -",
			[]Refusal{{Stage: "s", Why: "the windows and freezes are not known: a.ics: gone", Remedy: remedyUnknown}}},
		{"windows that do not suffice", Course{Parallel: 5, Stages: []Stage{both("p", nights(time.Hour, 1, 3), cluster("web", 1, 2), cluster("db", 1))}},
			"web: 1 22:00, 1 22:25, 2 22:25, 3 22:00, -\ndb: 1 22:00, -, -, -, 1 22:25\nend -",
			[]Refusal{{Stage: "p", Why: "its windows until 2026-12-31T00:00:00Z, which is how far they were followed, are not enough for web", Remedy: remedyRoom}}},
		{"a stage without clusters takes no time", Course{Parallel: 5, Stages: []Stage{both("s", always), both("p", always, cluster("b", 1))}},
			"b: 1 00:00, -, -, -, 1 00:25\nend 1 00:25", nil},
	} {
		if row.course.Start.IsZero() {
			row.course.Start = epoch
		}
		got := Lay(row.course)
		if told(got) != row.dates || !reflect.DeepEqual(got.Refusals, row.refusals) {
			t.Errorf("%s:\n%s\nwant\n%s\nrefused: %+v\nwant     %+v", row.sentence, told(got), row.dates, got.Refusals, row.refusals)
		}
	}
}

// frozen is the calendar with a freeze over all of it.
func frozen(c Calendar, name string) Calendar {
	c.Freezes = []Span{{Name: name, Start: epoch, End: c.Until}}
	return c
}

// Whatever the windows: nothing begins outside them, no peer before its canary soaked, no stage before the one before; not more at a time
// than allowed; and what has no date is told of.
func TestLayInRandomWorlds(t *testing.T) {
	t.Parallel()
	dated := 0
	for seed := range int64(400) {
		r := rand.New(rand.NewSource(seed))
		c := Course{Start: epoch.Add(time.Duration(r.Intn(600)) * time.Minute), Parallel: 1 + r.Intn(3)}
		for s := range 1 + r.Intn(3) {
			st := Stage{Name: fmt.Sprint("stage", s)}
			st.Canary, _ = world(r)
			st.Peers = st.Canary
			if r.Intn(2) == 0 {
				st.Peers, _ = world(r)
			}
			if r.Intn(2) == 0 {
				st.Steps = []int{1, 2, 1}
			}
			for k := range r.Intn(5) {
				_, need := world(r)
				need.Work /= 4
				cl := Cluster{Name: fmt.Sprint("c", s, k), Waves: []int{1, 1 + r.Intn(4), 2}[:1+r.Intn(3)], Need: need, Soak: time.Duration(r.Intn(300)) * time.Minute, Settle: time.Duration(r.Intn(9)) * time.Minute, MaxMixed: 1000 * 24 * time.Hour, Last: r.Intn(5) == 0}
				if k > 0 && r.Intn(4) == 0 {
					cl.Shares = []string{fmt.Sprint("c", s, k-1)}
				}
				st.Clusters = append(st.Clusters, cl)
			}
			c.Stages = append(c.Stages, st)
		}
		d := Lay(c)
		if d.End.IsZero() == (len(d.Refusals) == 0) {
			t.Fatalf("seed %d: end %s, refused: %+v", seed, d.End, d.Refusals)
		}
		now := c.Start
		for i, laid := range d.Stages {
			st := c.Stages[i]
			if laid.Start.IsZero() {
				break
			}
			if !laid.Start.Equal(now) {
				t.Fatalf("seed %d: %s begins %s, want %s", seed, laid.Stage, laid.Start, now)
			}
			type span struct {
				cluster  Cluster
				from, to time.Time
			}
			var spans []span
			for k, l := range laid.Clusters {
				cl := st.Clusters[k]
				for _, begun := range []struct {
					at  time.Time
					cal Calendar
				}{{l.Canary, st.Canary}, {l.Peers, st.Peers}} {
					if ok, why, _ := begun.cal.Fit(begun.at, cl.Need); !begun.at.IsZero() && !ok {
						t.Fatalf("seed %d: %s begins at %s: %s", seed, l.Cluster, begun.at, why)
					}
				}
				if !l.Canary.IsZero() && l.Canary.Before(laid.Start) || !l.Peers.IsZero() && (l.Peers.Before(l.Gate) || l.Gate.Sub(l.Soak) != cl.Soak || l.Soak.Before(l.Canary.Add(cl.Need.Work))) {
					t.Fatalf("seed %d: %+v of %+v", seed, l, cl)
				}
				if l.Done.IsZero() {
					continue
				}
				dated++
				if l.Done.After(laid.End) && !laid.End.IsZero() {
					t.Fatalf("seed %d: %s is done after its stage: %+v", seed, l.Cluster, laid)
				}
				spans = append(spans, span{cl, l.Canary, l.Done})
			}
			for k, a := range spans {
				beside := 0
				for j, b := range spans {
					if !b.from.After(a.from) && b.to.After(a.from) {
						beside++
						if j != k && slices.Contains(a.cluster.Shares, b.cluster.Name) {
							t.Fatalf("seed %d: %s goes beside %s: %+v", seed, a.cluster.Name, b.cluster.Name, laid)
						}
					}
				}
				if beside > c.Parallel {
					t.Fatalf("seed %d: %d at a time: %+v", seed, beside, laid)
				}
			}
			now = laid.End
		}
		if !d.End.IsZero() && !d.End.Equal(now) {
			t.Fatalf("seed %d: ends %s, want %s", seed, d.End, now)
		}
	}
	if dated < 400 {
		t.Errorf("only %d clusters were laid to their end", dated)
	}
}
