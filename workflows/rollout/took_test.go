package rollout

import (
	"testing"
	"time"
)

// timed plays a member through steps that took as many seconds as their place, and applies what they came to.
func timed(m Member, at time.Time, results ...MemberResult) Member {
	for i, r := range results {
		took := time.Duration(i+1) * time.Second
		m.Outbox = Outbox{} // who is told takes no time
		d := m.Next(at)
		if len(d.Start) == 0 {
			at = d.WakeAt
			d = m.Next(at)
		}
		for _, a := range d.Start {
			at = at.Add(took)
			m = m.Timed(a.Do, r, took).Apply(a.ID, r, at)
		}
	}
	return m
}

func TestMemberIsTimed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	pass, fail, unknown := MemberResult{Verdict: Pass}, MemberResult{Verdict: Fail, Reason: "no"}, MemberResult{Verdict: Inconclusive, Reason: "away"}
	peers := MemberResult{Verdict: Pass, Peers: []Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 2}}}
	late := MemberResult{Verdict: Inconclusive, Reason: "not back", Late: true}
	changes := MemberResult{Verdict: Pass, Changes: 1}
	cut := MemberResult{Verdict: Fail, Reason: "power", Interrupted: true}
	policy := MemberPolicy{Reboot: RebootAlways, WaitMax: time.Hour, RetryEvery: 10 * time.Second}
	for _, row := range []struct {
		sentence    string
		results     []MemberResult
		outcome     Outcome
		patch, back Took
	}{
		{"a patch, without what the gate took", []MemberResult{pass, changes, peers, pass, peers, pass, peers, pass, pass, pass}, Patched,
			Took{Inspect: 1000, Fetch: 2000, Drain: 4000, Patch: 6000, Reboot: 8000, Check: 9000, Undrain: 10000}, Took{}},
		{"what came to nothing is part of a wait", []MemberResult{pass, unknown, unknown, changes, peers, pass, peers, pass, peers, pass, unknown, pass, pass}, Patched,
			Took{Inspect: 1000, Fetch: 4000, Drain: 6000, Patch: 8000, Reboot: 10000, Check: 12000, Undrain: 13000}, Took{}},
		{"a reboot that was late", []MemberResult{pass, changes, peers, pass, peers, pass, peers, late, pass, pass, pass}, Patched,
			Took{Inspect: 1000, Fetch: 2000, Drain: 4000, Patch: 6000, Reboot: 9000, Check: 10000, Undrain: 11000, Apart: "its reboot was late"}, Took{}},
		{"a patch that was cut short", []MemberResult{pass, changes, peers, pass, peers, cut, pass, peers, pass, pass, pass}, Patched,
			Took{Inspect: 1000, Fetch: 2000, Drain: 4000, Patch: 7000, Reboot: 9000, Check: 10000, Undrain: 11000, Apart: "its patch was cut short and begun again"}, Took{}},
		{"a way back has its own", []MemberResult{pass, changes, peers, pass, peers, fail, pass, pass, pass}, BackedOut,
			Took{Inspect: 1000, Fetch: 2000, Drain: 4000, Patch: 6000, Apart: "it was not patched, or not to the end"}, Took{Backout: 7000, Check: 8000, Undrain: 9000}},
		{"one that was refused", []MemberResult{pass, fail}, Returned, Took{Inspect: 1000, Fetch: 2000, Apart: "it was not patched, or not to the end"}, Took{}},
	} {
		m := timed(NewMember("monthly-1", "web", "web-1", ModePatch, true, policy), now, row.results...)
		patch, back := m.Measured()
		if m.Outcome != row.outcome || patch != row.patch || back != row.back {
			t.Errorf("%s: it is %s in %s: %s\npatch    %+v\nwant     %+v\nway back %+v\nwant     %+v", row.sentence, m.Outcome, m.Step, m.Reason, patch, row.patch, back, row.back)
		}
	}
	m := NewMember("monthly-1", "web", "web-1", ModePatch, true, policy).Timed(StepInspect, pass, 0)
	if m.Took.Apart != "a worker was lost over its inspect" {
		t.Errorf("nobody knows how long it took: %+v", m.Took)
	}
	if m := NewMember("monthly-1", "web", "web-1", ModePatch, true, policy).Timed(StepInspect, unknown, 0); m.Took != (Took{}) {
		t.Errorf("an attempt that came to nothing says nothing of the next: %+v", m.Took)
	}
	if m := NewMember("monthly-1", "web", "web-1", ModeReturn, false, policy).Timed(StepCheck, pass, time.Second); m.Took != (Took{}) {
		t.Errorf("a return is no patch: %+v", m.Took)
	}
	if m := NewMember("monthly-1", "web", "web-1", ModeBackout, false, policy).Timed(StepDrain, pass, time.Second); m.Took != (Took{}) || m.TookBack.Drain != 1000 {
		t.Errorf("all of a backout is a way back: %+v %+v", m.Took, m.TookBack)
	}
}

func TestClusterKeepsHowLongItsMembersTook(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	c := Cluster{Name: "web", Phase: PhaseRoll, Manifest: "sha256:m", Members: []Slot{
		{Host: "web-1", Mode: ModePatch, Tries: 1, Running: true}, {Host: "web-2", Mode: ModePatch, Tries: 1, Running: true}, {Host: "web-3"},
	}}
	good, bad := Took{Patch: 5, Undrain: 3}, Took{Patch: 7, Apart: "it was not patched, or not to the end"}
	c = c.Ended(MemberEnd{Host: "web-1", Mode: ModePatch, Try: 1, Outcome: Patched, Platform: "debian 12 amd64", Took: good}, now)
	c = c.Ended(MemberEnd{Host: "web-2", Mode: ModePatch, Try: 1, Outcome: BackedOut, Platform: "debian 12 amd64", Took: bad, TookBack: Took{Backout: 9}}, now.Add(time.Hour))
	c.Members[0].Running, c.Members[0].Mode, c.Members[0].Tries = true, ModeBackout, 2
	c = c.Ended(MemberEnd{Host: "web-1", Mode: ModeBackout, Try: 2, Outcome: BackedOut, TookBack: Took{Backout: 11}}, now.Add(2*time.Hour))
	good.At = now
	want := []MemberTook{
		{Host: "web-1", Platform: "debian 12 amd64", Took: good}, {Host: "web-1", Platform: "debian 12 amd64", Backout: true, Took: Took{Backout: 11, At: now.Add(2 * time.Hour)}},
		{Host: "web-2", Platform: "debian 12 amd64", Backout: true, Took: Took{Backout: 9, At: now.Add(time.Hour)}},
	}
	got := c.Measured()
	if len(got) != len(want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if c.Members[1].Took.Patch != 7 {
		t.Errorf("what does not count is told all the same: %+v", c.Members[1])
	}
}
