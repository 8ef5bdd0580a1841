package rollout

import (
	"strings"
	"testing"
	"time"
)

func TestLapsed(t *testing.T) {
	until := epoch.Add(time.Hour)
	solo := Redundancy{Cluster: "solo", Size: 1, MaxOut: 1, MinHealthy: 1, Accepted: true, Until: until}
	for _, row := range []struct {
		sentence string
		clusters []Redundancy
		now      time.Time
		want     string
	}{
		{"what nobody accepted cannot end", []Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 2}}, until, ""},
		{"before its end an outage is accepted", []Redundancy{solo}, until.Add(-time.Second), ""},
		{"at its end it is not", []Redundancy{solo}, until, `cluster "solo": that a member is out was accepted until 2026-11-21, which is over`},
		{"of several clusters one is enough", []Redundancy{{Cluster: "web"}, solo}, until, `cluster "solo"`},
		{"without an end it never was", []Redundancy{{Cluster: "solo", Accepted: true}}, epoch, `cluster "solo"`},
	} {
		if got := Lapsed(row.clusters, row.now); (got == "") != (row.want == "") || !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: Lapsed(%+v) = %q, want %q", row.sentence, row.clusters, got, row.want)
		}
	}
}

// Nobody begins on an outage that is not accepted any more; who has begun is finished.
func TestAnAcceptedOutageEnds(t *testing.T) {
	peers := []Redundancy{{Cluster: "solo", Size: 1, MaxOut: 1, MinHealthy: 1, Accepted: true, Until: epoch.Add(time.Hour)}}
	for _, row := range []struct {
		sentence string
		given    func(m *Member)
		now      time.Time
		step     Step
		outcome  Outcome
	}{
		{"before its end it is drained", func(*Member) {}, epoch, StepDrain, ""},
		{"at its end it is returned, unchanged", func(*Member) {}, epoch.Add(time.Hour), StepGate, Returned},
		{"who is out already is patched", func(m *Member) { m.Drained, m.Proven = true, true }, epoch.Add(time.Hour), StepPatch, ""},
		{"who is patched already is drained for its reboot", func(m *Member) { m.Touched, m.Applied, m.Work = true, true, StepReboot }, epoch.Add(time.Hour), StepDrain, ""},
	} {
		m := NewMember("monthly-1", "solo", "solo-1", ModePatch, true, MemberPolicy{RetryEvery: time.Minute, WaitMax: time.Hour})
		m.Step = StepGate
		row.given(&m)
		got := m.Apply("gate.0", MemberResult{Verdict: Pass, Peers: peers}, row.now)
		if got.Step != row.step || got.Outcome != row.outcome {
			t.Errorf("%s: it is at %s, outcome %q (%s), want %s, %q", row.sentence, got.Step, got.Outcome, got.Reason, row.step, row.outcome)
		}
	}
}
