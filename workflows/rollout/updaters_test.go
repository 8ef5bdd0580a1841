package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// updaterState is what one owner has done to a host's automatic updates.
type updaterState struct {
	off    bool
	turn   int      // the highest one that the host has heard
	record bool     // stands in Consul: the sweeper turns them on
	had    []string // whose it took over with that
}

// known says that what the owner turned off is on record, its own or that of who took it over.
func (h *host) known(owner string) bool {
	if h.updatersOf(owner).record {
		return true
	}
	for _, st := range h.updaters {
		if st.record && slices.Contains(st.had, owner) {
			return true
		}
	}
	return false
}

// adopts takes over what others left on record for this cluster, which is its own now.
func (c *clusterRun) adopts(h *host) {
	me := c.name()
	var owners []string
	for owner := range h.updaters {
		owners = append(owners, owner)
	}
	slices.Sort(owners)
	for _, owner := range owners {
		if st := h.updaters[owner]; owner != me && st.record && strings.HasSuffix(owner, "/"+c.spec.name) {
			if c.claims[c.spec.name] != c.camp.c.Instance {
				c.broken("%s takes over what %s turned off, and has no claim", me, owner)
			}
			h.updatersOf(me).had = append(append(h.updatersOf(me).had, st.had...), owner)
			st.record, st.had = false, nil
			c.seen["updaters taken over"]++
		}
	}
}

func (h *host) updatersOf(owner string) *updaterState {
	if h.updaters == nil {
		h.updaters = map[string]*updaterState{}
	}
	if h.updaters[owner] == nil {
		h.updaters[owner] = &updaterState{}
	}
	return h.updaters[owner]
}

// updaters is the activity. What it does on a host may come much later than its answer, when its worker was frozen in the middle.
func (c *clusterRun) updaters(a Action) {
	c.interrupt()
	c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Turned() })
	me, off, turn, leave := c.name(), a.Do == DoUpdatersOff, c.c.Updaters.Turn, c.c.Unreachable()
	for id := range c.flights {
		if !off && strings.HasPrefix(id, string(DoUpdatersOff)) {
			return // the workflow waits for its end
		}
	}
	takes := c.between(time.Second, 20*time.Second)
	lost := c.now.Before(c.mute) || c.trouble(0.1)
	r := ClaimResult{OK: true}
	if off {
		c.exempt = map[string]bool{}
	}
	for _, h := range c.spec.members {
		st := h.updatersOf(me)
		if off {
			c.exempt[h.name] = h.quarantined
		}
		if lost && c.chance(0.5) || off && h.quarantined || !off && !st.record {
			continue
		}
		if st.record = true; off {
			c.adopts(h)
		}
		reached, late := !c.trouble(0.1), time.Duration(0)
		if !reached {
			r.Reason = h.name + " cannot be reached"
			r.OK = r.OK && !off && slices.Contains(leave, h.name)
			if late = c.between(0, 2*time.Hour); c.chance(0.5) {
				continue
			}
		}
		c.after(takes+late, func() {
			if turn < st.turn {
				c.seen["updaters came too late"]++
				return
			}
			st.off, st.turn = off, turn
			for _, owner := range st.had {
				if former := h.updatersOf(owner); !off {
					former.off, former.turn = false, 1<<30
				}
			}
			if reached && !off {
				st.record, st.had = false, nil
			}
		})
	}
	if lost {
		r = ClaimResult{Reason: "unreachable"}
	}
	c.launch(c.flights, a.ID, takes+time.Second, func() {
		c.logf("%s %s: %+v", me, a.ID, r)
		c.seen[string(a.Do)]++
		if !r.OK {
			c.seen["updaters in trouble"]++
		}
		before := c.c
		if off {
			c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.UpdatersOff(a.ID, r, c.now) })
			c.troubled(before, r)
		} else {
			c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.UpdatersOn(a.ID, r, c.now) })
			c.stuck = time.Time{}
		}
		c.step()
	})
}

// mayPatch says that no other hand patches the cluster while one of its members is.
func (c *clusterRun) mayPatch(r *memberRun) {
	if !c.c.Policy.Updaters {
		return
	}
	for _, h := range c.spec.members {
		if !c.exempt[h.name] && !h.updatersOf(c.name()).off {
			c.broken("%s is drained while the automatic updates of %s are on", r.name(), h.name)
		}
	}
}

// mayLeave is P8, asked when the claim is given back: what the cluster turned off is on, or on record.
func (c *clusterRun) mayLeave() {
	for _, h := range c.spec.members {
		if st := h.updatersOf(c.name()); st.off && !h.known(c.name()) {
			c.broken("P8: %s gives its claim back, and the automatic updates of %s are off and nobody knows", c.name(), h.name)
		}
	}
}

// judgeUpdaters asks the same when all is over.
func (w *world) judgeUpdaters() {
	for _, h := range w.hosts {
		for owner, st := range h.updaters {
			switch {
			case st.off && !h.known(owner):
				w.broken("P8: the automatic updates of %s are left off by %s, and nobody knows", h.name, owner)
			case w.kind == cooperative && (st.off || st.record):
				w.broken("everything went well, and the automatic updates of %s are left off by %s", h.name, owner)
			case st.off:
				w.seen["updaters left to the sweeper"]++
			}
		}
	}
}

// asks lists what a cluster starts but notices, and why.
func asks(c Cluster, now time.Time) (ids, why string) {
	d := c.Next(now)
	for _, a := range d.Start {
		if a.Do != DoNotify {
			ids += a.ID + " "
		}
	}
	return strings.TrimSpace(ids), d.Reason
}

func quietCluster(t *testing.T) Cluster {
	t.Helper()
	c := newCluster(3, 2, ClusterPolicy{RetryEvery: time.Minute, WaitMax: 10 * time.Minute, Updaters: true})
	return c.Claim("claim.0", ClaimResult{OK: true}, epoch)
}

func TestUpdaters(t *testing.T) {
	yes, no := ClaimResult{OK: true}, ClaimResult{Reason: "web-2 cannot be reached"}
	c := quietCluster(t)
	if got, _ := asks(c, epoch); got != "updaters-off.1" || !c.Updaters.Owed {
		t.Fatalf("a cluster that has its claim starts %q, owed %t", got, c.Updaters.Owed)
	}
	waits := c.UpdatersOff("updaters-off.1", no, epoch)
	if got, why := asks(waits, epoch); got != "" || !strings.Contains(why, "web-2 cannot be reached") {
		t.Errorf("with one that cannot be reached it starts %q: %s", got, why)
	}
	if got, _ := asks(waits, epoch.Add(time.Minute)); got != "updaters-off.2" {
		t.Errorf("and then %q, want it asked again", got)
	}
	if told := waits.UpdatersOff("updaters-off.2", no, epoch.Add(10*time.Minute)); !told.Held || told.Outbox.Last != 1 {
		t.Errorf("after wait_max: held %t, told %d", told.Held, told.Outbox.Last)
	}
	if other := waits.UpdatersOff("updaters-off.2", ClaimResult{Held: true, Reason: "weekly-1 has them off"}, epoch.Add(10*time.Minute)); !other.Held || other.Outbox.Last != 1 {
		t.Errorf("another's record is no claim, that is waited for without end: held %t, told %d", other.Held, other.Outbox.Last)
	}
	alone := waits
	alone.Policy.Unattended = true
	if gave := alone.UpdatersOff("updaters-off.2", no, epoch.Add(10*time.Minute)); gave.Phase != PhaseRelease || gave.Ending != ClusterHalted {
		t.Errorf("with nobody there it is in %s, ending %s; want halted", gave.Phase, gave.Ending)
	}
	off := c.UpdatersOff("updaters-off.1", yes, epoch)
	if got, _ := asks(off, epoch); got != "member.web-1.1.2" {
		t.Errorf("with all off it starts %q, want the first member", got)
	}
	if late := off.UpdatersOff("updaters-off.1", no, epoch); late.WaitFor != "" || !late.Updaters.Off {
		t.Errorf("an answer that comes twice changes it: %+v", late.Updaters)
	}

	// An abort before they are off for sure owes them all the same.
	for says, at := range map[string]Cluster{"while they are turned off": c, "while it waits": waits, "with all off": off} {
		out := at.Abort(jane, epoch)
		want := "updaters-on." + itoa(out.Asked)
		if got, _ := asks(out, epoch); got != want || out.Phase != PhaseRelease {
			t.Errorf("aborted %s it starts %q in %s, want %q", says, got, out.Phase, want)
		}
		if out = out.UpdatersOn(want, yes, epoch); out.Updaters.Owed {
			t.Errorf("aborted %s it owes them for ever", says)
		}
		if got, _ := asks(out, epoch); got != "release."+itoa(out.Asked) {
			t.Errorf("aborted %s and with all on it starts %q, want the release", says, got)
		}
	}

	// What cannot be brought back for too long stays on record, and a person is told.
	out := off.Abort(jane, epoch)
	out = out.UpdatersOn("updaters-on.2", no, epoch)
	if got, _ := asks(out, epoch.Add(time.Minute)); got != "updaters-on.3" {
		t.Errorf("with one that cannot be reached it starts %q, want it asked again", got)
	}
	last := out.Outbox.Last
	out = out.UpdatersOn("updaters-on.3", no, epoch.Add(10*time.Minute))
	if got, _ := asks(out, epoch.Add(10*time.Minute)); !strings.HasSuffix(got, "release.4") || out.Outbox.Last != last+1 {
		t.Errorf("after wait_max it starts %q, and told %d things", got, out.Outbox.Last-last)
	}
}

// A member that nobody waits for keeps neither the claim nor the others' updates.
func TestUpdatersOfAHostThatMayNeverComeBack(t *testing.T) {
	c := quietCluster(t)
	c.Members = []Slot{{Host: "web-1", Outcome: Quarantined}, {Host: "web-2", Outcome: Lost}, {Host: "web-3", Outcome: BackedOut}}
	if got := c.Unreachable(); !slices.Equal(got, []string{"web-1", "web-2"}) {
		t.Errorf("Unreachable = %v", got)
	}
	c.Phase = PhaseRelease
	c = c.UpdatersOn("updaters-on.1", ClaimResult{OK: true, Reason: "they are still off on web-1: away"}, epoch)
	if c.Updaters.Owed || c.Outbox.Last != 1 || !strings.Contains(c.Outbox.Pending[0].Text, "still off on web-1") {
		t.Errorf("owed %t, told %v", c.Updaters.Owed, c.Outbox.Pending)
	}
}

func TestSurveyFindsUpdatersThatWereLeftOff(t *testing.T) {
	s := Survey{Server: here, Records: stands(here, "updaters/web/web-2", "quarantine/web-2", "updaters/web/web-3 of weekly-1")}
	s.Records = append(s.Records, stands("server-2", "updaters/mq/mq-1 of daily-2")...)
	if got := s.Suspects(); len(got) != 2 || !slices.Equal(got[0].Updaters, []string{"web-2"}) || !slices.Equal(got[1].Updaters, []string{"web-3"}) || len(got[0].Hosts) > 0 {
		t.Fatalf("Suspects = %+v", got)
	}
	if got := s.Suspects(); !slices.Equal(got[0].Quiet, []string{"web"}) {
		t.Errorf("off for the clusters %v, want web", got[0].Quiet)
	}
	owners := map[string]Owner{"monthly-1": {Ended: "terminated"}, "weekly-1": {Works: "cluster/weekly-1/web"}}
	_, seen, _ := s.Mend(owners, nil, epoch, epoch)
	todo, _, _ := s.Mend(owners, seen, epoch.Add(Patience), epoch.Add(Patience))
	var did []string
	for _, m := range todo {
		did = append(did, m.Do+" "+m.Host)
	}
	if want := []string{MendUpdate + " web-2", MendNote + " "}; !slices.Equal(did, want) {
		t.Errorf("it does %q, want %q: of those that nobody works for, and of ours", did, want)
	}
}

// A campaign of weeks is not waited for by the hosts of a cluster that has ended.
func TestUpdatersLeftOffAreAskedForOnceTheirClusterHasEnded(t *testing.T) {
	s := Survey{Server: here, Records: stands(here, "updaters/web/web-1", "updaters/db/db-1")}
	owners := map[string]Owner{"monthly-1": {Runs: true, Over: map[string]bool{"web": true, "db": false}}}
	todo, seen, due := s.Mend(owners, nil, epoch, epoch)
	if len(todo) > 0 || len(seen) != 1 || !due.Equal(epoch.Add(Patience)) {
		t.Fatalf("at once it does %+v, and has seen %v, due %s", todo, seen, due)
	}
	todo, _, _ = s.Mend(owners, seen, epoch.Add(Patience), epoch.Add(Patience))
	if want := "automatic updates of web-1 were left off by monthly-1, whose work on cluster web has ended"; len(todo) != 1 || todo[0].Do != MendUpdate || todo[0].Key != "updaters/web/web-1" || todo[0].Text != want {
		t.Errorf("it does %+v, want %q", todo, want)
	}
}

// A peer that another hand has changed holds its cluster, whatever the policy forgives; a person who has seen it says go on.
func TestAnotherHandHoldsTheCluster(t *testing.T) {
	p := patient
	p.Retries, p.OnFailure, p.Failures = 3, FailSkipMember, 3
	c := newCluster(3, 2, p).Claim("claim.0", ClaimResult{OK: true}, epoch)
	c = endedAs(c, "web-1", Patched, "")
	c.Phase, c.SoakNo, c.Wave = PhaseRoll, 0, 1
	c = c.Started("web-2", ModePatch, epoch)
	c = c.Ended(MemberEnd{Host: "web-2", Mode: ModePatch, Try: 1, Outcome: Returned, Reason: "somebody else has changed it", OtherHand: true}, epoch)
	if c.Phase != PhaseHold || !strings.Contains(c.HoldFor, "somebody else has changed it") || !c.Members[1].OtherHand || c.Outbox.Last == 0 {
		t.Fatalf("in %s for %q, told %d", c.Phase, c.HoldFor, c.Outbox.Last)
	}
	c = c.Retry(jane, epoch)
	if ids, _ := asks(c, epoch); !strings.Contains(ids, "member.web-2.2") {
		t.Errorf("after a retry it starts %q", ids)
	}
	m := NewMember("monthly-1", "web", "web-2", ModePatch, false, MemberPolicy{}).to(StepFetch)
	if m = m.Apply("fetch.0", MemberResult{Verdict: Fail, Reason: "somebody else has changed it", OtherHand: true}, epoch); m.Outcome != Returned || !m.OtherHand {
		t.Errorf("the member is %s, by another hand: %t", m.Outcome, m.OtherHand)
	}
}
