package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

var now = time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)

// temporal is a server with these States.
type temporal struct {
	states  map[string]any
	runs    map[string]status.Execution
	broken  map[string]error
	queries map[string]int
}

func (s *temporal) State(_ context.Context, id string, into any) error {
	s.queries[id]++
	if err := s.broken[id]; err != nil {
		return err
	}
	st, ok := s.states[id]
	if !ok {
		return status.ErrNotFound
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (s *temporal) Describe(_ context.Context, id string) (status.Execution, error) {
	if e, ok := s.runs[id]; ok {
		return e, nil
	}
	if _, ok := s.states[id]; !ok {
		return status.Execution{}, status.ErrNotFound
	}
	return status.Execution{ID: id, Status: status.Running}, nil
}

// bodies are a store.
type bodies map[string][]byte

func (b bodies) put(v any) string {
	raw := plan.Body(v)
	b[plan.Digest(v)] = raw
	return plan.Digest(v)
}

func (b bodies) Get(_ context.Context, digest string) ([]byte, error) {
	if raw, ok := b[digest]; ok {
		return raw, nil
	}
	return nil, fs.ErrNotExist
}

// world is an instance i of two clusters, one of which is on its way with its member a.
func world() (*temporal, bodies) {
	b := bodies{}
	changes := b.put([]activities.Change{{Name: "openssl", Old: "1", New: "2"}})
	web := b.put(plan.Part{Cluster: inventory.Cluster{Name: "web", Owner: "web team", Contact: "web@example.org", Members: []string{"a", "b"}}})
	db := b.put(plan.Part{Cluster: inventory.Cluster{Name: "db", Members: []string{"c"}}})
	c := workflows.CampaignState{Campaign: rollout.Campaign{
		Instance: "i", Name: "monthly", Why: "because", Parallel: 1, Stages: []string{"one", "two"}, StartedAt: now.Add(-time.Hour),
		Clusters: []rollout.Ref{{Name: "web", Part: web, Running: true, Phase: rollout.PhaseRoll, Total: 2}, {Name: "db", Part: db, Stage: 1, Total: 1}},
	}}
	cl := workflows.ClusterState{Cluster: rollout.Cluster{
		Instance: "i", Name: "web", Phase: rollout.PhaseRoll, Since: now.Add(-time.Minute),
		Members: []rollout.Slot{{Host: "a", Running: true, Mode: rollout.ModePatch, Tries: 1, Canary: true}, {Host: "b"}},
	}}
	m := workflows.MemberState{Member: rollout.NewMember("i", "web", "a", rollout.ModePatch, true, rollout.MemberPolicy{}), Changed: changes, BootOld: "x", BootNew: "y"}
	m.Step, m.Changes, m.OutAt = rollout.StepReboot, 1, now.Add(-30*time.Second).UnixMilli()
	return &temporal{
		states:  map[string]any{workflows.CampaignID("i"): c, workflows.ClusterID("i", "web"): cl, workflows.MemberID("a"): m},
		runs:    map[string]status.Execution{},
		broken:  map[string]error{},
		queries: map[string]int{},
	}, b
}

func read(t *testing.T, r *status.Reader) status.Status {
	t.Helper()
	s, err := r.Read(context.Background(), "i")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reader(src *temporal, b bodies) *status.Reader {
	r := &status.Reader{Source: src, Now: func() time.Time { return now }}
	if b != nil {
		r.Bodies = b
	}
	return r
}

func TestReadWhatIsOnItsWay(t *testing.T) {
	src, b := world()
	s := read(t, reader(src, b))
	web, _ := s.Cluster("web")
	got, _ := web.Member("a")
	want := status.Member{
		Host: "a", State: status.OnItsWay, Mode: "patch", Step: "reboot", Canary: true, Count: 1, Changes: got.Changes,
		Packages: []activities.Change{{Name: "openssl", Old: "1", New: "2"}}, BootOld: "x", BootNew: "y", Rebooted: true, OutSeconds: 30,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("member = %+v, want %+v", got, want)
	}
	if s.State != status.Running || web.State != "roll" || web.Owner != "web team" || web.Contact != "web@example.org" || !web.Since.Equal(now.Add(-time.Minute)) {
		t.Errorf("%s, cluster %+v", s.State, web)
	}
	db, _ := s.Cluster("db")
	if db.State != status.NotBegun || len(db.Members) != 1 || db.Members[0].State != status.Waiting {
		t.Errorf("a cluster that has not begun is %+v", db)
	}
	for id, n := range src.queries {
		if n != 1 {
			t.Errorf("%s was asked %d times in one read", id, n)
		}
	}
}

// A member that was backed out by a workflow of its own counts no packages, and its transaction does.
func TestReadCountsFromTheTransaction(t *testing.T) {
	src, b := world()
	cl := src.states[workflows.ClusterID("i", "web")].(workflows.ClusterState)
	cl.Members[0] = rollout.Slot{Host: "a", Outcome: rollout.BackedOut, Changes: b.put([]activities.Change{{Name: "x"}, {Name: "y"}})}
	src.states[workflows.ClusterID("i", "web")] = cl
	web, _ := read(t, reader(src, b)).Cluster("web")
	if a, _ := web.Member("a"); a.Count != 2 {
		t.Errorf("member = %+v, want 2 packages", a)
	}
}

// The store may be on another machine.
func TestReadWithoutStore(t *testing.T) {
	src, _ := world()
	for name, b := range map[string]bodies{"no store": nil, "an empty one": {}} {
		web, _ := read(t, reader(src, b)).Cluster("web")
		a, _ := web.Member("a")
		if a.Packages != nil || a.Count != 1 || web.Owner != "" {
			t.Errorf("%s: %+v of %+v", name, a, web)
		}
	}
}

func TestReadSaysWhatTheStateCannot(t *testing.T) {
	for _, row := range []struct {
		name     string
		activity status.Activity
		reason   string
		since    time.Time
	}{
		{"an activity on its way says since when", status.Activity{Name: "Reboot", Attempt: 1, Taken: true, Since: now.Add(-time.Minute)}, "", now.Add(-time.Minute)},
		{"one that was just scheduled says no more", status.Activity{Name: "Reboot", Attempt: 1, Since: now.Add(-time.Second)}, "", now.Add(-time.Second)},
		{"one that lies there waits for a worker", status.Activity{Name: "Reboot", Attempt: 1, Since: now.Add(-time.Minute)}, "no worker has taken Reboot since 2026-11-01T01:59:00Z", now.Add(-time.Minute)},
		{"so does one whose worker was lost", status.Activity{Name: "Reboot", Attempt: 2, Since: now.Add(-time.Minute), Failure: "activity Heartbeat timeout"},
			"no worker has taken Reboot since 2026-11-01T01:59:00Z, when it was to be tried again: its worker was not heard of for too long", time.Time{}},
		{"one that its worker gave up says so in plain words", status.Activity{Name: "Patch", Attempt: 2, Taken: true, Since: now, Failure: "host a: step patch: context canceled"},
			"Patch is tried again: host a: step patch: its worker stopped it", time.Time{}},
		{"one that is about to be tried again does not", status.Activity{Name: "Reboot", Attempt: 2, Since: now.Add(time.Second), Failure: "i/o timeout"}, "Reboot is tried again: i/o timeout", time.Time{}},
		{"one that is tried again says why, and does not know since when", status.Activity{Name: "Reboot", Attempt: 3, Taken: true, Since: now.Add(-time.Minute), Failure: "i/o timeout"}, "Reboot is tried again: i/o timeout", time.Time{}},
	} {
		src, b := world()
		src.runs[workflows.MemberID("a")] = status.Execution{Status: status.Running, Pending: []status.Activity{row.activity}}
		web, _ := read(t, reader(src, b)).Cluster("web")
		a, _ := web.Member("a")
		if a.Reason != row.reason || !a.Since.Equal(row.since) {
			t.Errorf("%s: reason %q since %v, want %q since %v", row.name, a.Reason, a.Since, row.reason, row.since)
		}
		waits := slices.ContainsFunc(read(t, reader(src, b)).Awaits, func(w status.Await) bool {
			return w.Host == "a" && w.For == "a worker to take Reboot" && w.Since.Equal(row.activity.Since) && w.Person
		})
		if want := strings.HasPrefix(row.reason, "no worker"); waits != want {
			t.Errorf("%s: it waits for a worker: %v, want %v", row.name, waits, want)
		}
	}
}

// A host's workflow that works for another instance says nothing about this one.
func TestReadAnotherInstancesMember(t *testing.T) {
	src, b := world()
	m := src.states[workflows.MemberID("a")].(workflows.MemberState)
	m.Instance = "other"
	src.states[workflows.MemberID("a")] = m
	web, _ := read(t, reader(src, b)).Cluster("web")
	if a, _ := web.Member("a"); a.Step != "" || a.Changes != "" || a.OutSeconds != 0 {
		t.Errorf("member = %+v, told by another instance's workflow", a)
	}
}

// A cluster's start is recorded before its workflow is there.
func TestReadClusterThatStartsThisMoment(t *testing.T) {
	src, b := world()
	delete(src.states, workflows.ClusterID("i", "web"))
	web, _ := read(t, reader(src, b)).Cluster("web")
	if web.State != "roll" || len(web.Members) != 2 {
		t.Errorf("cluster = %+v", web)
	}
}

func TestReadEndedClustersOnce(t *testing.T) {
	src, b := world()
	c := src.states[workflows.CampaignID("i")].(workflows.CampaignState)
	c.Clusters[0].Running, c.Clusters[0].Outcome, c.Clusters[0].Reason = false, rollout.ClusterHalted, "its workflow ended without a report: terminated"
	src.states[workflows.CampaignID("i")] = c
	cl := src.states[workflows.ClusterID("i", "web")].(workflows.ClusterState)
	cl.Members[0] = rollout.Slot{Host: "a", Outcome: rollout.Lost}
	src.states[workflows.ClusterID("i", "web")] = cl
	r := reader(src, b)
	read(t, r)
	web, _ := read(t, r).Cluster("web")
	if web.State != "halted" || !strings.Contains(web.Reason, "terminated") {
		t.Errorf("a cluster that could not say how it ended is %q, %q: its campaign knows", web.State, web.Reason)
	}
	if n := src.queries[workflows.ClusterID("i", "web")]; n != 1 {
		t.Errorf("a cluster that has ended was asked %d times in two reads", n)
	}
}

// What a cluster says is newer than what its campaign has heard.
func TestReadHold(t *testing.T) {
	for _, row := range []struct {
		name           string
		heard, says    rollout.Phase
		want, wantType string
	}{
		{"both say hold", rollout.PhaseHold, rollout.PhaseHold, status.Hold, `rollpatch retry i --cluster web --reason "..."`},
		{"the cluster goes on already", rollout.PhaseHold, rollout.PhaseRoll, status.Running, ""},
		{"the campaign has not heard yet", rollout.PhaseRoll, rollout.PhaseHold, status.Running, `rollpatch retry i --cluster web --reason "..."`},
	} {
		src, b := world()
		c := src.states[workflows.CampaignID("i")].(workflows.CampaignState)
		c.Clusters[0].Phase = row.heard
		src.states[workflows.CampaignID("i")] = c
		cl := src.states[workflows.ClusterID("i", "web")].(workflows.ClusterState)
		cl.Phase, cl.HoldFor, cl.Members = row.says, "a is returned", []rollout.Slot{{Host: "a", Outcome: rollout.Returned}, {Host: "b"}}
		src.states[workflows.ClusterID("i", "web")] = cl
		s := read(t, reader(src, b))
		first := ""
		if len(s.Awaits) > 0 {
			first = s.Awaits[0].Type[0]
		}
		if held := strings.Contains(s.Reason, "web: a is returned"); held != (row.want == status.Hold) {
			t.Errorf("%s: reason %q", row.name, s.Reason)
		}
		if s.State != row.want || first != row.wantType {
			t.Errorf("%s: %s, type %q; want %s, type %q", row.name, s.State, first, row.want, row.wantType)
		}
	}
}

// What waits for a window says so, and what a person may type meanwhile.
func TestReadWhatWaitsForItsTime(t *testing.T) {
	const why = "no window is open; the next host may begin at 2026-12-01T21:00:00Z (Tue 2026-12-01 22:00 CET)"
	for _, row := range []struct {
		name   string
		change func(c *rollout.Cluster, m *rollout.Member)
		host   string
		want   string
		types  []string
	}{
		{"a wave", func(c *rollout.Cluster, _ *rollout.Member) { c.Phase = rollout.PhaseRoll }, "", "its time: " + why, nil},
		{"the claim", func(c *rollout.Cluster, _ *rollout.Member) { c.Phase = rollout.PhaseClaim }, "", "its time: " + why, nil},
		{"a typed freeze", func(c *rollout.Cluster, _ *rollout.Member) {
			c.Phase, c.Frozen, c.WaitFor = rollout.PhaseRoll, true, "frozen by ann"
		}, "", "the end of the freeze: frozen by ann", []string{`rollpatch thaw --reason "..."`}},
		{"a way back", func(c *rollout.Cluster, _ *rollout.Member) {
			c.Phase, c.BackoutFor = rollout.PhaseBackout, "soak failed"
		}, "", "its time: " + why, []string{`rollpatch backout i --cluster web --reason "..."`}},
		{"a member that is out", func(c *rollout.Cluster, m *rollout.Member) {
			c.Phase, c.BackoutFor, c.Closed = rollout.PhaseBackout, "soak failed", false
			c.Members[0].Running, c.Members[0].Mode, c.Members[0].Holds = true, rollout.ModeBackout, why
			m.Closed, m.WaitFor, m.Opens = true, why, now.Add(time.Hour)
		}, "a", "its time: " + why, []string{`rollpatch backout i --cluster web --reason "..."`}},
	} {
		src, b := world()
		cl := src.states[workflows.ClusterID("i", "web")].(workflows.ClusterState)
		cl.Policy.Windows, cl.Closed, cl.WaitFor, cl.NextAsk = true, true, why, now.Add(time.Hour)
		cl.Members = []rollout.Slot{{Host: "a", Outcome: rollout.Patched}, {Host: "b"}}
		m := src.states[workflows.MemberID("a")].(workflows.MemberState)
		m.NextAsk = now.Add(time.Hour)
		row.change(&cl.Cluster, &m.Member)
		src.states[workflows.ClusterID("i", "web")], src.states[workflows.MemberID("a")] = cl, m
		s := read(t, reader(src, b))
		var got *status.Await
		for i := range s.Awaits {
			if a := &s.Awaits[i]; a.Cluster == "web" && a.Host == row.host {
				got = a
			}
		}
		if got == nil || got.For != row.want || !slices.Equal(got.Type, row.types) {
			t.Errorf("%s: awaits %+v, want %q and %q", row.name, s.Awaits, row.want, row.types)
		}
		if web, _ := s.Cluster("web"); row.host == "" && web.Reason != "waiting until a host may begin: "+strings.TrimPrefix(strings.TrimPrefix(row.want, "its time: "), "the end of the freeze: ") {
			t.Errorf("%s: reason %q", row.name, web.Reason)
		}
	}
}

func TestReadInstanceEndedFromOutside(t *testing.T) {
	src, b := world()
	src.runs[workflows.CampaignID("i")] = status.Execution{Status: "terminated", Closed: now}
	s := read(t, reader(src, b))
	if s.State != "terminated" || !s.Over() || !s.Ended.Equal(now) || len(s.Awaits) > 0 {
		t.Errorf("%s, over %v, ended %v, awaits %v", s.State, s.Over(), s.Ended, s.Awaits)
	}
}

func TestReadOnlyOneCluster(t *testing.T) {
	src, b := world()
	r := reader(src, b)
	r.Only = "db"
	s := read(t, r)
	if web, _ := s.Cluster("web"); web.State != "roll" || web.Members != nil {
		t.Errorf("a cluster that was not asked for is %+v", web)
	}
	if src.queries[workflows.ClusterID("i", "web")] != 0 {
		t.Error("a cluster that was not asked for was asked")
	}
}

func TestReadErrorsKeepTheirKind(t *testing.T) {
	for _, id := range []string{workflows.CampaignID("i"), workflows.ClusterID("i", "web"), workflows.MemberID("a")} {
		src, b := world()
		src.broken[id] = status.ErrNoWorker
		if _, err := reader(src, b).Read(context.Background(), "i"); !errors.Is(err, status.ErrNoWorker) {
			t.Errorf("%s does not answer: Read = %v", id, err)
		}
	}
	src, b := world()
	if _, err := reader(src, b).Read(context.Background(), "j"); !errors.Is(err, status.ErrNotFound) {
		t.Errorf("no such instance: Read = %v", err)
	}
}
