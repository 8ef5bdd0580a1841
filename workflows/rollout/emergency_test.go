package rollout

import (
	"strings"
	"testing"
	"time"
)

// A cluster is handed over with no member on its way and no way back begun, and nowhere else.
func TestYield(t *testing.T) {
	t.Parallel()
	patched, waits := Slot{Host: "web-1", Outcome: Patched}, Slot{Host: "web-2"}
	soaking := Cluster{Name: "web", Instance: "i", Claimed: true, Phase: PhaseSoak, SoakNo: 1, Since: epoch, SoakEnds: epoch.Add(24 * time.Hour), Members: []Slot{patched, waits}}
	with := func(change func(*Cluster)) Cluster {
		c := soaking
		c.Members = append([]Slot(nil), c.Members...)
		change(&c)
		return c
	}
	busy := func(c *Cluster) { c.Phase, c.Members[1].Running, c.Members[1].Mode = PhaseRoll, true, ModePatch }
	for _, row := range []struct {
		sentence string
		c        Cluster
		yields   bool
	}{
		{"a soak ends, and is a debt", soaking, true},
		{"so does one that waits for people", with(func(c *Cluster) { c.Phase = PhaseGate }), true},
		{"or for a window", with(func(c *Cluster) { c.Phase, c.Closed, c.WaitFor = PhaseRoll, true, "closed" }), true},
		{"or for a person, after a failure", with(func(c *Cluster) { c.Phase, c.HoldFor = PhaseHold, "web-2 is returned" }), true},
		{"a member on its way is finished first", with(busy), false},
		{"and so is a way back", with(func(c *Cluster) { c.Phase, c.BackoutFor = PhaseBackout, "soak failed" }), false},
		{"which nothing begins anew", with(func(c *Cluster) { c.Phase, c.BackoutFor, c.HoldFor = PhaseHold, "soak failed", "stopped" }), false},
		{"and the question whether there is one", with(func(c *Cluster) { c.Phase, c.AskFor = PhaseAsk, "soak failed" }), false},
		{"who waits for a claim has nothing to hand over", with(func(c *Cluster) { c.Phase, c.Claimed = PhaseClaim, false }), false},
		{"but one that may be its own it has", with(func(c *Cluster) { c.Phase, c.NextAsk = PhaseClaim, epoch.Add(time.Hour) }), true},
		{"an emergency keeps what it has", with(func(c *Cluster) { c.Policy.Emergency = true }), false},
	} {
		got := row.c.Yield("cluster/e/web", epoch)
		if yields := got.Ending == ClusterSuperseded; yields != row.yields || !yields && got.Phase != row.c.Phase {
			t.Errorf("%s: it is in %s, ending %q", row.sentence, got.Phase, got.Ending)
		}
		if row.yields && (got.HandsOverTo() != "cluster/e/web" || got.Phase != PhaseRelease) {
			t.Errorf("%s: it hands over to %q in %s", row.sentence, got.HandsOverTo(), got.Phase)
		}
	}
	why := soaking.Yield("cluster/e/web", epoch).Reason
	for _, want := range []string{"taken over by an emergency (cluster/e/web)", "soak 1", "is not finished", "patched: web-1", "not patched: web-2"} {
		if !strings.Contains(why, want) {
			t.Errorf("its debt is %q, and does not say %q", why, want)
		}
	}
	after := with(busy).Yield("cluster/e/web", epoch)
	after = after.Ended(MemberEnd{Host: "web-2", Mode: ModePatch, Outcome: Returned, Reason: "peers"}, epoch)
	if after.Ending != ClusterSuperseded {
		t.Errorf("after its member it is in %s, ending %q", after.Phase, after.Ending)
	}
	held := with(func(c *Cluster) { c.Phase, c.Claimed, c.YieldTo = PhaseClaim, false, "cluster/e/web" }).Claim("claim.0", ClaimResult{Held: true, Reason: "taken"}, epoch)
	if held.YieldTo != "" || held.Ending != "" {
		t.Errorf("who has no claim waits for it, and forgets the emergency: %+v", held)
	}
}

// What fails in an emergency stays out of service as it is, until a person says backout. An abort, and so the no of those who are asked
// afterwards, puts it on record like that.
func TestEmergencyKeepsWhatFailed(t *testing.T) {
	t.Parallel()
	failed := func() Member {
		m := NewMember("i", "web", "web-1", ModePatch, true, MemberPolicy{Keep: true, WaitMax: time.Hour, RetryEvery: time.Minute, HoldMax: time.Hour})
		m.Step, m.Drained, m.Proven, m.Touched, m.Applied = StepCheck, true, true, true, true
		return m.Apply("check.0", MemberResult{Verdict: Fail, Reason: "no page"}, epoch)
	}
	ask := func(m Member) Member {
		return m.Apply("gate."+itoa(m.Asked), MemberResult{Verdict: Pass, Peers: []Redundancy{{Cluster: "web", Size: 3, MaxOut: 1, MinHealthy: 2, PeersIn: 2}}}, epoch)
	}
	m := ask(failed())
	if m.Step != StepGate || !m.Closed || !m.Drained || m.Holding().Why != kept {
		t.Fatalf("it is in %s, drained %t, and waits for %q", m.Step, m.Drained, m.WaitFor)
	}
	if later := ask(m); later.Step != StepGate {
		t.Errorf("asked again, it goes on to %s", later.Step)
	}
	if back := ask(m.Hear("backout", "because", epoch)); back.Step != StepBackout {
		t.Errorf("a person said backout, and it is in %s: %s", back.Step, back.WaitFor)
	}
	for says, over := range map[string]Member{
		"it was aborted":                         m.ApplyAbort(epoch),
		"it was aborted before it failed":        NewMember("i", "web", "web-1", ModePatch, true, m.Policy),
		"its cluster is gone":                    m.Orphaned("cluster/i/web", epoch),
		"its soak had failed, and it is aborted": NewMember("i", "web", "web-1", ModeBackout, false, m.Policy),
	} {
		switch {
		case over.Mode == ModeBackout:
			over.Step, over.Drained, over.Proven = StepGate, true, true
			over = over.ApplyAbort(epoch)
		case !over.Touched:
			over.Step, over.Drained, over.Proven, over.Touched, over.Applied = StepCheck, true, true, true, true
			over = over.ApplyAbort(epoch).Apply("check.0", MemberResult{Verdict: Fail, Reason: "no page"}, epoch)
		}
		over = ask(over)
		if over.Step != StepQuarantine || !over.Drained || !strings.Contains(over.Why, kept) {
			t.Errorf("%s, and it is in %s, drained %t: %s", says, over.Step, over.Drained, over.Why)
		}
	}
	serves := m.ApplyAbort(epoch)
	serves.Drained, serves.Proven = false, false
	if serves = ask(serves); serves.Step != StepDrain {
		t.Errorf("one that serves, as it is, is in %s", serves.Step)
	}
	if back := ask(m.ApplyBackout(epoch)); back.Step != StepBackout {
		t.Errorf("a person backed all of it out, and it is in %s: %s", back.Step, back.WaitFor)
	}
}

// Nor does an abort bring back those whose soak failed: only what is on its way is finished, as it is.
func TestAnAbortedEmergencyBringsNobodyBack(t *testing.T) {
	t.Parallel()
	for _, unbound := range []bool{false, true} {
		c := newCluster(3, 2, ClusterPolicy{Emergency: true, RetryEvery: time.Minute})
		c.Phase, c.Claimed, c.BackoutFor, c.Unbound = PhaseBackout, true, "soak failed", unbound
		c.Members[0].Outcome, c.Members[1].Outcome = Patched, Patched
		c = c.Started("web-2", ModeBackout, epoch).Abort(jane, epoch)
		c = c.Ended(MemberEnd{Host: "web-2", Mode: ModeBackout, Try: 1, Outcome: Quarantined}, epoch)
		if over := c.Phase == PhaseRelease && c.Ending == ClusterAborted; over == unbound {
			t.Errorf("backed out by a person %t: it is in %s, ending %q", unbound, c.Phase, c.Ending)
		}
	}
}

// The usual approval is owed once an emergency has begun: it keeps nothing from beginning, and people hear every day what is overdue.
// Who is woken for an emergency sees what for.
func TestEmergencysNoticeNamesItsAdvisories(t *testing.T) {
	t.Parallel()
	c := Campaign{Instance: "e", Parallel: 1, Stages: []string{"one"}, Clusters: []Ref{{Name: "web", Total: 2}}, Gates: []Gate{{ID: "emergency"}}, Emergency: "openssl, ssh"}
	notice := func() string {
		pending := c.Convene(epoch).Judged(Judgment{Gate: "emergency", Why: "1 person is missing"}, epoch).Outbox.Pending
		if len(pending) == 0 {
			return ""
		}
		return pending[0].Text
	}
	if got := notice(); !strings.HasPrefix(got, "gate emergency of e, for openssl, ssh, ") {
		t.Errorf("by packages it says %q", got)
	}
	c.Advisories = []Advisory{{ID: "DSA-1", Summary: "openssh - security update", Fixed: []string{"openssh 2 (Debian:12)"}, Packages: []string{"ssh"}}, {ID: "USN-2"}}
	if got := notice(); !strings.HasPrefix(got, "gate emergency of e, for openssl, ssh (DSA-1: openssh - security update, fixed in openssh 2 (Debian:12); USN-2), ") {
		t.Errorf("by advisories it says %q", got)
	}
}

func TestEmergencyOwesTheUsualApproval(t *testing.T) {
	t.Parallel()
	c := Campaign{Instance: "e", Parallel: 1, Stages: []string{"one"}, Clusters: []Ref{{Name: "web", Total: 2}}, Gates: []Gate{{ID: "emergency"}, {ID: "start", After: true}}}
	judge := func(gate string, j Judgment, now time.Time) {
		j.Gate = gate
		c = c.Convene(now).Judged(j, now).Convene(now)
	}
	open := Judgment{Open: true, Proven: true, By: []Approval{{Actor: "ann"}}}
	if d := c.Convene(epoch).Next(epoch); len(d.Start) != 0 {
		t.Fatalf("it begins %v before anybody agreed", d.Start)
	}
	judge("start", open, epoch)
	if c.Gates[1].Opened != (time.Time{}) {
		t.Fatal("the usual approval is no emergency approver's")
	}
	judge("emergency", open, epoch)
	if d := c.Next(epoch); len(d.Start) != 1 || d.Start[0].Do != DoCluster || !d.WakeAt.Equal(epoch.Add(OwedWithin)) {
		t.Fatalf("agreed to by one, it does %+v", d)
	}
	c = c.Started("web").Reported(Report{Name: "web", Outcome: ClusterDone, Phase: PhaseEnded}, epoch.Add(time.Hour))
	if c.Outcome != "" || !c.Held() {
		t.Fatalf("its work is over, and it ended %q, held %t", c.Outcome, c.Held())
	}
	for day, at := 0, epoch.Add(OwedWithin-time.Minute); day < 4; day, at = day+1, at.Add(24*time.Hour) {
		told := 0
		c = c.Convene(at).Convene(at.Add(2 * time.Minute)).Convene(at.Add(time.Hour))
		for _, n := range c.Outbox.Pending {
			if strings.Contains(n.Text, "is overdue since") {
				told++
			}
		}
		if told != day+1 {
			t.Fatalf("on day %d people were told %d times", day+1, told)
		}
	}
	if s := c.Next(epoch.Add(100 * time.Hour)).Reason; !strings.Contains(s, "overdue since") {
		t.Errorf("people read %q", s)
	}
	refused := c.Convene(epoch).Judged(Judgment{Gate: "start", Rejected: "bob: no"}, epoch)
	if refused.Outcome != CampaignAborted || !strings.Contains(refused.Reason, "rejected afterwards by bob: no") {
		t.Errorf("refused afterwards it is %q: %s", refused.Outcome, refused.Reason)
	}
	judge("start", open, epoch.Add(90*time.Hour))
	if c.Outcome != CampaignDone || len(c.Approvals) != 2 {
		t.Errorf("agreed to at last it is %q with %v", c.Outcome, c.Approvals)
	}
}

// What is fetched ahead for its later stages is tried again in time, whatever it owes.
func TestFetchAheadIsTriedAgainWhileApprovalIsOwed(t *testing.T) {
	t.Parallel()
	c := Campaign{
		Instance: "e", Parallel: 1, Stages: []string{"one", "two"}, Gates: []Gate{{ID: "start", After: true}},
		Clusters: []Ref{{Name: "lab", Running: true, Phase: PhaseRoll}, {Name: "web", Stage: 1, Ahead: Ahead{Wanted: true}}},
	}
	c = c.Convene(epoch).Fetched("web", AheadResult{Why: "no connection"}, epoch)
	if _, owed := c.Owes(); !owed {
		t.Fatalf("it owes nothing: %+v", c)
	}
	if d := c.Next(epoch); !d.WakeAt.Equal(epoch.Add(aheadAgain)) {
		t.Errorf("it looks again at %s, want %s", d.WakeAt, epoch.Add(aheadAgain))
	}
}
