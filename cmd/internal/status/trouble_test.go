package status_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// A cluster that can ask nobody says what it waits for, since when, and who has to do something about it.
func TestReadTrouble(t *testing.T) {
	const why = "consul through a, b: unreachable: no answer"
	patched := []rollout.Slot{{Host: "a", Outcome: rollout.Patched}, {Host: "b"}}
	since := now.Add(-time.Hour)
	abort, backout := `rollpatch abort i --reason "..."`, `rollpatch backout i --cluster web --reason "..."`
	for _, row := range []struct {
		name   string
		in     rollout.Cluster
		state  string
		reason string
		want   status.Await
	}{
		{"a claim, not for long", rollout.Cluster{Phase: rollout.PhaseClaim, WaitFor: why, Stuck: since}, "claim", "waiting for the claim: " + why,
			status.Await{For: "its cause to clear, or a person: before claim: " + why, Type: []string{abort}}},
		{"a claim, for too long", rollout.Cluster{Phase: rollout.PhaseClaim, WaitFor: why, Stuck: since, Held: true}, "hold", "before claim: " + why,
			status.Await{For: "its cause to clear, or a person: before claim: " + why, Person: true, Type: []string{abort}}},
		{"a release, not for long", rollout.Cluster{Phase: rollout.PhaseRelease, Ending: rollout.ClusterAborted, WaitFor: why, Stuck: since}, "release", "waiting for the release: " + why,
			status.Await{For: "its cause to clear, since the claim may still be ours: before release (aborted): " + why}},
		{"a release, for too long", rollout.Cluster{Phase: rollout.PhaseRelease, Ending: rollout.ClusterAborted, WaitFor: why, Stuck: since, Held: true}, "hold", "before release (aborted): " + why,
			status.Await{For: "its cause to clear, since the claim may still be ours: before release (aborted): " + why, Person: true}},
		{"a member's start", rollout.Cluster{Phase: rollout.PhaseRoll, Members: patched, WaitFor: why, Stuck: since, Held: true}, "hold", "before patch: " + why,
			status.Await{For: "its cause to clear, or a person: before patch: " + why, Person: true, Type: []string{backout, abort}}},
		{"a way back", rollout.Cluster{Phase: rollout.PhaseBackout, BackoutFor: "reject", Members: patched, WaitFor: why, Stuck: since, Held: true}, "hold", "before backout: " + why,
			status.Await{For: "its cause to clear, or a person: before backout: " + why, Person: true, Type: []string{abort}}},
	} {
		src, b := world()
		row.in.Instance, row.in.Name, row.in.Since, row.in.NextAsk = "i", "web", now.Add(-2*time.Hour), now.Add(time.Second)
		if row.in.Members == nil {
			row.in.Members = []rollout.Slot{{Host: "a"}, {Host: "b"}}
		}
		c := src.states[workflows.CampaignID("i")].(workflows.CampaignState)
		c.Campaign = c.Reported(row.in.Report(), now)
		src.states[workflows.CampaignID("i")] = c
		src.states[workflows.ClusterID("i", "web")] = workflows.ClusterState{Cluster: row.in}
		s := read(t, reader(src, b))
		web, _ := s.Cluster("web")
		if web.State != row.state || web.Reason != row.reason || !web.Since.Equal(since) {
			t.Errorf("%s: %s since %s: %q; want %s since %s: %q", row.name, web.State, web.Since, web.Reason, row.state, since, row.reason)
		}
		row.want.Cluster, row.want.Since, row.want.Mend = "web", since, true
		if len(s.Awaits) != 1 || !reflect.DeepEqual(s.Awaits[0], row.want) {
			t.Errorf("%s: awaits %+v\nwant %+v", row.name, s.Awaits, row.want)
		}
		if held := s.State == status.Hold; held != row.want.Person {
			t.Errorf("%s: the instance is in %s", row.name, s.State)
		}
	}
}

// While a person holds the cluster nothing is asked for, and the trouble may be over.
func TestReadTroubleBehindAnOperatorsHold(t *testing.T) {
	src, b := world()
	src.states[workflows.ClusterID("i", "web")] = workflows.ClusterState{Cluster: rollout.Cluster{
		Instance: "i", Name: "web", Phase: rollout.PhaseRoll, Members: []rollout.Slot{{Host: "a"}}, Paused: "lunch (bob)", WaitFor: "x", Stuck: now, Held: true,
	}}
	s := read(t, reader(src, b))
	if len(s.Awaits) != 1 || s.Awaits[0].Mend || s.Awaits[0].Type[0] != `rollpatch resume i --cluster web --reason "..."` {
		t.Errorf("awaits %+v, want a person to resume it", s.Awaits)
	}
}
