package rollout

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"
)

// world is what the simulator's campaigns act upon: hosts, packages, claims and people, with a clock of its own. It judges
// what happens by its own books, never by the State of the package.
type world struct {
	rng   *rand.Rand
	odds  *rand.Rand // of rare things that came later: what they draw moves no other seed
	now   time.Time
	queue eventQueue
	// outages are when no worker is there, of their own so that the rest of a seed is what it was; the last one was from wentAt to backAt.
	outages        *rand.Rand
	early          *rand.Rand      // what is fetched ahead, likewise
	turns          *rand.Rand      // of schedules, of their own for the same reason
	some           *rand.Rand      // of instances that work on some members only
	omitted        map[string]bool // hosts that one of these left alone
	wentAt, backAt time.Time
	n              int // events so far: their order at one instant
	trace          func(string)

	kind     simKind
	updating bool // clusters turn automatic updates off
	epidemic bool // the newest version fails its soaks, everywhere
	nameless bool // or canaries tell no manifests
	calm     bool // nothing goes wrong any more
	blind    time.Time
	mute     time.Time // until then nobody answers to a claim or a release
	idle     time.Time // until then no member's workflow can be started
	frozen   time.Time // until then somebody keeps the whole estate as it is
	calendar *calendar // nil: no windows
	moods    moods     // of hosts that boot by themselves
	records  *records  // what another stage has on record; nil: none is required
	hosts    []*host
	clusters []*spec
	claims   map[string]string         // cluster -> instance
	yields   map[string]bool           // clusters that whose claim it is hands over to an emergency
	holders  map[string]*clusterRun    // whose workflow has the claim
	crisis   *rand.Rand                // nil: no emergency
	shut     map[string]map[int]string // cluster -> version in quarantine -> instance
	at       map[string]*memberRun
	latest   int // newest version to be had
	traits   []trait
	runs     []*campaignRun
	revoked  map[string]bool
	told     map[string]int // by event and host or cluster
	seen     map[string]int // what happened at least once
}

// simKind is how a seed's people and things behave.
type simKind int

const (
	cooperative simKind = iota // everything goes well, and people answer
	troubled                   // trouble and random messages, then calm and people who answer
	deserted                   // trouble, and nobody ever answers
	deaf                       // like deserted, unattended: it must end by itself once things are calm
)

// trait is what a package version does to its host.
type trait int

const (
	good trait = iota
	failsPatch
	failsCheck
	failsTraffic
	failsSoak
	renames // its checks pass, and its host looks different
)

// host is one machine.
type host struct {
	name        string
	version     int
	half        bool   // packages between two versions
	renamed     bool   // by a version, and not as it was before
	ours        string // the instance whose maintenance is on it
	foreign     bool   // somebody else's maintenance is on it
	quarantined bool
	downUntil   time.Time // unreachable and out of service
	sickUntil   time.Time // fails its checks, by no fault of a version
	keyUntil    time.Time // answers with another host key
	cling       time.Time // until then its connections do not end
	patchedAt   time.Time
	runs        map[string]*hostRun
	busy        string                   // the action in flight that changes it
	updaters    map[string]*updaterState // by owner
	in          []*spec
}

// hostRun is a script that runs detached.
type hostRun struct {
	result MemberResult
	until  time.Time
	spent  bool // it ended by what clears by itself: another one asks again
}

// spec is one cluster of the inventory.
type spec struct {
	name       string
	members    []*host
	maxOut     int
	minHealthy int
	accepted   bool
	until      time.Time // when that is over
	undrained  bool      // its members are not drained, and nobody accepted that: neither they nor who shares a host with them are touched
	stage      int
	shares     []string
	last       bool // of rollpatch's own house
}

// violation ends a seed.
type violation string

func (w *world) broken(format string, args ...any) {
	panic(violation(w.stamp() + " " + fmt.Sprintf(format, args...)))
}

func (w *world) stamp() string { return "+" + w.now.Sub(epoch).String() }

func (w *world) logf(format string, args ...any) {
	if w.trace != nil {
		w.trace(w.stamp() + " " + fmt.Sprintf(format, args...))
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.n++
	heap.Push(&w.queue, event{at: w.now.Add(d), n: w.n, do: do})
}

type event struct {
	at time.Time
	n  int
	do func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].n < q[j].n
	}
	return q[i].at.Before(q[j].at)
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// chance is true with probability p; trouble too, but never in calm.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }
func (w *world) trouble(p float64) bool {
	return w.kind != cooperative && !w.calm && w.chance(p)
}

func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)+1))
}

func (w *world) trait(version int) trait { return w.traits[version] }

func (w *world) publish() {
	next := good
	if w.kind != cooperative && w.chance(0.5) {
		next = trait(1 + w.rng.IntN(5))
	}
	w.traits = append(w.traits, next)
	w.latest = len(w.traits) - 1
	w.logf("version %d is published (%d)", w.latest, next)
}

func (w *world) up(h *host) bool { return !w.now.Before(h.downUntil) }

// healthy says whether the host's checks pass; in traffic some versions fail that pass outside.
func (w *world) healthy(h *host, traffic bool) bool {
	switch {
	case !w.up(h) || h.half || w.now.Before(h.sickUntil):
		return false
	case w.trait(h.version) == failsCheck, w.trait(h.version) == failsPatch:
		return false
	case w.trait(h.version) == failsTraffic:
		return !traffic
	case w.trait(h.version) == failsSoak:
		return w.now.Before(h.patchedAt.Add(20 * time.Minute))
	}
	return true
}

// end is when accepted outages are over that no world sees the end of.
var end = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) inService(h *host) bool {
	return h.ours == "" && !h.foreign && w.healthy(h, false)
}

// peers is what the servers say of the host's clusters.
func (w *world) peers(h *host) []Redundancy {
	var out []Redundancy
	for _, c := range h.in {
		r := Redundancy{Cluster: c.name, Size: len(c.members), MaxOut: c.maxOut, MinHealthy: c.minHealthy, Accepted: c.accepted, Until: c.until}
		for _, m := range c.members {
			if m != h && w.inService(m) {
				r.PeersIn++
			}
		}
		out = append(out, r)
	}
	return out
}

// mayBeOut is P1 and P2 once more, in other words than the package's.
func (w *world) mayBeOut(h *host) string {
	for _, c := range h.in {
		in, out := 0, 1
		for _, m := range c.members {
			switch {
			case m == h:
			case w.inService(m):
				in++
			default:
				out++
			}
		}
		if out > c.maxOut {
			return fmt.Sprintf("P1: %s would be number %d out of %s, %d may", h.name, out, c.name, c.maxOut)
		}
		if in < c.minHealthy && !c.accepted {
			return fmt.Sprintf("P2: without %s %d are left in %s, %d must", h.name, in, c.name, c.minHealthy)
		}
	}
	return ""
}

// Workflows: each holds its State, and what it has in flight.

type flights map[string]*flight

type flight struct{ lost bool }

// launch starts an action unless it is in flight. done is called at its completion, unless a crash lost it.
func (w *world) launch(f flights, id string, takes time.Duration, done func()) {
	this := &flight{}
	f[id] = this
	w.after(takes, func() {
		if !this.lost {
			delete(f, id)
			done()
		}
	})
}

func (f flights) lose() {
	for id, one := range f {
		one.lost = true
		delete(f, id)
	}
}

// reborn is a state as a new worker gets it: through JSON, which must lose nothing.
func reborn[T any](w *world, st T) T {
	raw, err := json.Marshal(st)
	if err != nil {
		w.broken("state cannot be written: %v", err)
	}
	var again T
	if err := json.Unmarshal(raw, &again); err != nil {
		w.broken("state cannot be read: %v", err)
	}
	if !reflect.DeepEqual(st, again) {
		w.broken("a crash changed the state\nfrom %+v\n  to %+v", st, again)
	}
	return again
}

// untouched calls change and proves now and then that it left the state it started from alone.
func untouched[T any](w *world, st T, change func(T) T) T {
	if !w.chance(0.02) {
		return change(st)
	}
	before := fmt.Sprintf("%+v", st)
	after := change(st)
	if again := fmt.Sprintf("%+v", st); again != before {
		w.broken("a change of state wrote into the state before it\nfrom %s\n  to %s", before, again)
	}
	return after
}

// said is what every decision owes: a reason, and no action twice.
func (w *world) said(who string, d Decision) {
	if d.Reason == "" {
		w.broken("%s does not say what it waits for: %+v", who, d)
	}
	ids := map[string]bool{}
	for _, a := range d.Start {
		if ids[a.ID] {
			w.broken("%s wants %s twice", who, a.ID)
		}
		ids[a.ID] = true
	}
}

// notify delivers a notice, sooner or later.
func (w *world) notify(f flights, a Action, about string, sent func(n int), step func()) {
	w.launch(f, a.ID, w.between(time.Second, 10*time.Second), func() {
		if !w.trouble(0.3) {
			w.told[a.Notice.Event+" "+about]++
			w.seen["told "+a.Notice.Event]++
			w.logf("%s is told: %s: %s", about, a.Notice.Event, a.Notice.Text)
			sent(a.Notice.N)
		}
		step()
	})
}

// memberRun is the workflow of one member.
type memberRun struct {
	*world
	cl  *clusterRun
	h   *host
	m   Member
	try int
	flights
	wake time.Time
	over bool
	end  MemberEnd

	manifest   int  // the version that soaked; 0 for a canary
	from       int  // the version before
	wasRenamed bool // before its patch
	to         int  // the version fetched
	runNo      map[Step]int
	inUse      map[Step]bool // the number is that of a run that was not told yet
	cuts       map[Step]int  // interruptions told
	patches    int           // scripts begun
	last       Step          // the step that was told last
	may        bool          // what the gate was told, if that was it
	foreign    bool          // inspect met somebody else's maintenance
	checked    bool          // the last check passed, and nothing was changed since
	changed    bool          // a script that changes the host was begun
	badBoot    bool          // a reboot failed
	blamed     bool          // it was told a fail of what it got
	serves     bool          // it was never drained, or its last undrain met nobody else's maintenance
	drainID    string        // of the drain that began last
	below      bool          // it is out, and the servers said that its peers are below their floor
	fell       time.Time     // when a drain told that they fell; zero once that was answered
	rebootAt   time.Time     // when a reboot's script was begun last
	powerID    string        // of the power cycle in that reboot
	reported   bool          // its cluster was told how it ended
	heldIn     Step          // before which its cluster heard that it holds
	given      bool          // a person skipped it while it held
	heldAt     time.Time     // since when it holds, or since a person had it tried again
	toldBack   bool          // a person had it brought back
}

func (r *memberRun) name() string {
	return fmt.Sprintf("%s/%s/%s.%d(%s)", r.cl.camp.c.Instance, r.cl.spec.name, r.h.name, r.try, r.m.Mode)
}

func (r *memberRun) step() {
	if r.over {
		return
	}
	d := r.m.Next(r.now)
	r.said(r.name(), d)
	r.maySit()
	r.holds()
	if d.End {
		r.finish()
		return
	}
	for _, a := range d.Start {
		if r.flights[a.ID] != nil {
			continue
		}
		if a.Do == DoNotify {
			r.notify(r.flights, a, r.h.name, func(n int) { r.m.Outbox.Sent(n) }, r.step)
			continue
		}
		r.carryOut(a)
	}
	if !d.WakeAt.IsZero() && !d.WakeAt.Equal(r.wake) {
		r.wake = d.WakeAt
		if d.WakeAt.Before(r.now) {
			r.broken("%s wants to wake in the past", r.name())
		}
		r.after(d.WakeAt.Sub(r.now), r.step)
	}
}

// holds tells the cluster when it begins to hold, and when it goes on, and holds that nobody is kept out of service for longer than the
// policy says: books of its own say since when.
func (r *memberRun) holds() {
	h := r.m.Holding()
	if h.Step != r.heldIn && r.m.Outcome == "" {
		r.heldIn = h.Step
		r.after(r.between(0, 30*time.Second), func() {
			if now := r.m.Holding(); !r.cl.over && !r.over {
				now.Try = r.try
				r.cl.c = untouched(r.world, r.cl.c, func(c Cluster) Cluster { return c.Holding(now) })
			}
		})
	}
	switch most := r.m.Policy.HoldMax; {
	case h.Why == "" || !r.m.Held:
		if r.heldAt = (time.Time{}); h.Why != "" && r.kind == troubled && r.calendar != nil && r.chance2(0.01) { // it waits for its window
			r.after(time.Minute, func() { r.cl.hear("backout") })
		}
	case r.heldAt.IsZero():
		r.heldAt = r.now
		if r.kind == troubled && r.trouble(0.3) { // somebody looks after it
			word := []string{"retry", "skip", "backout"}[r.rng.IntN(3)]
			r.after(r.between(time.Minute, time.Hour), func() { r.cl.hear(word) })
		}
	case most > 0 && r.h.ours == r.cl.camp.c.Instance && h.Step != StepUndrain && h.Step != StepQuarantine && min(r.now.Sub(r.heldAt), r.now.Sub(r.backAt)) > most+30*time.Minute:
		r.broken("%s has been kept out of service since %s, and nobody was there to say so", r.name(), r.heldAt)
	}
}

// isTold hands a person's word on to it, a moment later.
func (r *memberRun) isTold(word string) {
	r.after(r.between(0, time.Minute), func() {
		if r.over {
			return
		}
		r.toldBack = r.toldBack || word == "backout"
		if r.m.Held {
			r.seen["said "+word+" to a member"]++
			r.logf("%s is told to %s", r.name(), word)
			switch step := r.m.Holding().Step; {
			case word == "retry":
				r.heldAt = r.now
			case word == "backout":
				r.blamed = true // a person judged what it got
			case word == "skip" && !r.m.Abort && step != StepUndrain && step != StepQuarantine:
				r.given = true
			}
		}
		r.m = untouched(r.world, r.m, func(m Member) Member { return m.Hear(word, word+" by jane", r.now) })
		r.step()
	})
}

var unknown = MemberResult{Verdict: Inconclusive, Reason: "unreachable"}

// carryOut begins one action. What changes the host changes it now; what reads it reads it at the end.
func (r *memberRun) carryOut(a Action) {
	h := r.h
	if r.foreign && a.Do != StepInspect && r.m.Mode == ModePatch {
		r.broken("P8: %s goes on to %s of a host that somebody else has in maintenance", r.name(), a.Do)
	}
	switch unchanged := h.version == r.from && !h.half && !r.inUse[StepBackout]; { // what came of a way back that was not told, nobody knows
	case !r.below || a.Do == StepCheck || a.Do == StepUndrain || r.inUse[a.Do]: // what has begun is only asked for
	case unchanged && r.m.Mode == ModePatch && !r.m.BackOut, a.Do == StepPatch, a.Do == StepReboot, a.Do == StepDrain:
		r.broken("P2: %s goes on to %s, out while its peers are below their floor", r.name(), a.Do)
	}
	if !r.fell.IsZero() && (r.now.After(r.fell) || a.Do != StepGate && a.Do != StepCheck && a.Do != StepUndrain) {
		r.broken("P2: peers of %s fell in its drain, and %s follows %s later", r.name(), a.Do, r.now.Sub(r.fell))
	}
	r.fell = time.Time{}
	r.cl.interrupt()
	r.logf("%s begins %s (attempt %d): version %d half %t ours %q foreign %t", r.name(), a.ID, a.Attempt, h.version, h.half, h.ours, h.foreign)
	switch a.Do {
	case StepInspect:
		r.read(a, 5*time.Second, r.inspect)
	case StepFetch:
		r.read(a, 30*time.Second, r.fetch)
	case StepGate:
		r.read(a, time.Second, func() MemberResult { return r.gate(a) })
	case StepCheck:
		r.read(a, 20*time.Second, func() MemberResult { return r.verdict(false) })
	case StepQuarantine:
		r.read(a, 5*time.Second, r.quarantine)
	case StepDrain:
		r.change(a, r.drain(a.ID))
	case StepUndrain:
		r.change(a, r.undrain())
	case StepPatch, StepBackout, StepReboot:
		r.runScript(a)
	case StepPower:
		r.cyclePower(a)
	default:
		r.broken("%s wants %+v", r.name(), a)
	}
}

func (r *memberRun) read(a Action, takes time.Duration, ask func() MemberResult) {
	r.launch(r.flights, a.ID, takes, func() {
		res := unknown
		if !r.trouble(0.04) {
			res = ask()
		}
		r.tell(a, res)
	})
}

// change occupies the host until it is told: two at once would be two hands on one host.
func (r *memberRun) change(a Action, res MemberResult) {
	r.occupy(a)
	r.launch(r.flights, a.ID, r.between(time.Second, 2*time.Minute), func() {
		if a.Do == StepUndrain && res.Verdict == Pass {
			res = r.verdict(true)
			if res.Verdict == Inconclusive {
				res.Verdict = Fail // listed as passing is part of it
			}
		}
		if a.Do == StepDrain && r.h.ours != "" && !res.Foreign && !r.now.Before(r.blind) && !r.mayBeOutOf(MemberResult{Peers: r.peers(r.h)}) {
			r.seen["peers fell in its drain"]++
			res = MemberResult{Verdict: Inconclusive, AskAgain: true, Reason: "peers fell meanwhile"}
		}
		r.h.busy = ""
		r.tell(a, res)
	})
}

func (r *memberRun) occupy(a Action) {
	if r.h.busy != "" {
		r.broken("%s begins %s while %s is in flight", r.name(), a.ID, r.h.busy)
	}
	for key, run := range r.h.runs {
		if r.now.Before(run.until) && key != r.key(a.Do) {
			r.broken("%s begins %s while the run %s goes on", r.name(), a.ID, key)
		}
	}
	r.h.busy = r.name() + " " + a.ID
}

// tell applies a result, sometimes after a late copy of it, and sometimes with one to follow.
func (r *memberRun) tell(a Action, res MemberResult) {
	r.logf("%s is told %s: %s", r.name(), a.ID, inWords(res))
	if res.Verdict != Inconclusive {
		r.inUse[a.Do] = false
	}
	r.last, r.may = a.Do, a.Do == StepGate && res.Verdict == Pass && res.Frozen == "" && r.mayBeOutOf(res)
	if a.Do == StepCheck {
		r.checked = res.Verdict == Pass
	}
	if a.Do == StepUndrain {
		r.serves = res.Verdict != Inconclusive && !res.Foreign
	}
	if res.Interrupted {
		r.cuts[a.Do]++
	}
	if res.Verdict == Fail && (r.m.Mode == ModePatch || r.h.version == r.to) && !res.Nothing && !res.Interrupted && !res.Foreign && (a.Do == StepPatch || a.Do == StepReboot || a.Do == StepCheck || a.Do == StepUndrain) {
		r.blamed = true
	}
	r.watchFloor(a, res)
	r.m = untouched(r.world, r.m, func(m Member) Member { return m.Apply(a.ID, res, r.now) })
	if a.Do == StepGate && Lapsed(res.Peers, r.now) != "" && r.m.Outcome == Returned {
		r.seen["accepted until a time that was over"]++
	}
	if res.OtherKey && !r.m.Held && r.m.Step != StepQuarantine {
		r.broken("%s met another host key, and goes on to %s", r.name(), r.m.Next(r.now).Reason)
	}
	if r.chance(0.05) {
		r.after(r.between(time.Second, time.Hour), func() {
			if again := r.m.Apply(a.ID, res, r.now); !r.over && !reflect.DeepEqual(again, r.m) {
				r.broken("%s: a late copy of %s changed %+v to %+v", r.name(), a.ID, r.m, again)
			}
		})
	}
	r.step()
}

func inWords(res MemberResult) string {
	s := string(res.Verdict) + because(res.Reason)
	for _, p := range res.Peers {
		s += fmt.Sprintf(", %s: %d peers of %d in, %d may be out", p.Cluster, p.PeersIn, p.Size, p.MaxOut)
	}
	return s
}

func (r *memberRun) mayBeOutOf(res MemberResult) bool {
	for _, p := range res.Peers {
		if p.Size-p.PeersIn > p.MaxOut || p.PeersIn < p.MinHealthy && !p.Accepted {
			return false
		}
	}
	return true
}

// watchFloor is the second half of P2: once the servers said that peers are below their floor while this unchanged member is
// out, nothing but its way back may follow, until they say otherwise.
func (r *memberRun) watchFloor(a Action, res MemberResult) {
	if res.AskAgain && a.Do == StepDrain {
		r.fell = r.now
	}
	switch {
	case a.Do == StepUndrain || a.Do == StepGate && res.Verdict == Inconclusive:
		r.below = false
	case a.Do == StepGate:
		r.below = r.h.ours != "" && !r.may
		if r.below {
			r.seen["peers fell while it was out"]++
		}
	}
}

func (r *memberRun) inspect() MemberResult {
	h := r.h
	switch {
	case !r.up(h) || r.now.Before(r.blind):
		return unknown
	case h.foreign || h.quarantined && r.m.Mode == ModePatch:
		r.foreign = true
		r.seen["inspect met somebody else"]++
		return MemberResult{Verdict: Fail, Foreign: true, Reason: "somebody else's maintenance"}
	case h.half || r.trouble(0.02):
		return MemberResult{Verdict: Fail, Reason: "package database not clean"}
	}
	return MemberResult{Verdict: Pass}
}

func (r *memberRun) fetch() MemberResult {
	want := r.manifest
	if want == 0 {
		for want = r.latest; want > r.h.version && r.leftOut(want); want-- {
			r.seen["versions left out"]++
		}
	}
	switch {
	case want > r.h.version && r.leftOut(want):
		return MemberResult{Verdict: Pass, Nothing: true, Reason: "nothing to do", LeftOut: "left out"}
	case !r.up(r.h):
		return unknown
	case r.trouble(0.02):
		return MemberResult{Verdict: Fail, Reason: "a version is not to be had"}
	case r.manifest == 0 && r.trouble(0.02):
		r.seen["transaction widened"]++
		return MemberResult{Verdict: Fail, Widens: true, Reason: "it would bring what is not in the plan"}
	case want <= r.h.version:
		return MemberResult{Verdict: Pass, Nothing: true, Reason: "nothing to do"}
	}
	r.to = want
	return MemberResult{Verdict: Pass, Changes: 1}
}

// leftOut says that a version is in quarantine for a host, but for what this very instance put there.
func (r *memberRun) leftOut(version int) bool {
	for _, c := range r.h.in {
		if by := r.shut[c.name][version]; by != "" && (by != r.cl.camp.c.Instance || c != r.cl.spec) {
			return true
		}
	}
	return false
}

func (r *memberRun) gate(a Action) MemberResult {
	if r.now.Before(r.blind) || r.claims[r.cl.spec.name] != r.cl.camp.c.Instance {
		return unknown
	}
	if r.trouble(0.01) {
		return MemberResult{Verdict: Fail, Reason: "the window is closed"}
	}
	if r.h.ours == r.cl.camp.c.Instance && r.trouble(0.02) {
		r.seen["undrained by hand"]++
		r.h.ours = ""
	}
	frozen := ""
	if r.now.Before(r.frozen) {
		frozen = "frozen by ann"
		r.seen["frozen in "+string(r.m.Mode)]++
	}
	res := MemberResult{Verdict: Pass, Frozen: frozen, Peers: r.peers(r.h), Undrained: r.h.ours != r.cl.camp.c.Instance, Ours: r.h.ours == r.cl.camp.c.Instance}
	if !r.timed(a, &res) {
		return unknown
	}
	return res
}

// asked is the rest of P2: the gate said yes right before.
func (r *memberRun) asked(step Step) {
	if r.last != StepGate || !r.may {
		r.broken("P2: %s begins %s without a yes of the gate right before; it was told %s", r.name(), step, r.last)
	}
}

func (r *memberRun) drain(id string) MemberResult {
	h := r.h
	if r.drainID != id { // after a crash it goes on
		begins := r.serves
		r.drainID, r.serves = id, false
		r.asked(StepDrain)
		if why := r.mayBeOut(h); why != "" && h.ours == "" {
			r.broken("%s drains: %s", r.name(), why)
		}
		if r.isThawed(); begins {
			r.mayDrain()
		}
		if r.m.Mode == ModePatch {
			r.cl.mayTouch(r)
		}
	}
	if !r.up(h) || r.now.Before(r.blind) || r.trouble(0.05) {
		return unknown // it never got there
	}
	if h.foreign {
		r.seen["drain met somebody else"]++
		if r.chance(0.5) {
			h.ours = r.cl.camp.c.Instance // on the services that came before
		}
		return MemberResult{Verdict: Fail, Foreign: true, Reason: "somebody else's maintenance"}
	}
	h.ours = r.cl.camp.c.Instance
	switch {
	case r.trouble(0.05):
		return unknown
	case r.trouble(0.04):
		return MemberResult{Verdict: Fail, Reason: "still listed"}
	case r.now.Before(h.cling), r.trouble(0.15):
		r.seen["connections left"]++
		if r.trouble(0.4) {
			h.cling = r.now.Add(r.between(0, 5*time.Hour))
		}
		return MemberResult{Verdict: Fail, Leftover: true, Reason: "3 connections left"}
	}
	return MemberResult{Verdict: Pass}
}

func (r *memberRun) undrain() MemberResult {
	h := r.h
	if r.m.Outcome != "" || h.half {
		r.broken("P5: %s is put back with its packages half way", r.name())
	}
	if t := r.trait(h.version); h.version != r.from && r.m.Mode == ModePatch && (t == failsCheck || t == failsPatch) {
		r.broken("P5: %s is put back with version %d, which fails its checks", r.name(), h.version)
	}
	if (r.changed || h.version != r.from) && !r.checked {
		r.broken("P5: %s is put back without a check that passed", r.name())
	}
	if h.renamed && !r.wasRenamed {
		r.broken("P5: %s is put back, and does not look as before", r.name())
	}
	if !r.up(h) || r.now.Before(r.blind) || r.trouble(0.04) {
		return unknown
	}
	if h.ours == r.cl.camp.c.Instance {
		h.ours = ""
	}
	switch {
	case r.trouble(0.04):
		return unknown
	case h.foreign:
		r.seen["undrain met somebody else"]++
		return MemberResult{Verdict: Fail, Foreign: true, Reason: "somebody else's maintenance"}
	}
	return MemberResult{Verdict: Pass}
}

// verdict is what the host's checks say.
func (r *memberRun) verdict(traffic bool) MemberResult {
	switch {
	case !r.up(r.h):
		return unknown
	case !r.healthy(r.h, traffic):
		return MemberResult{Verdict: Fail, Reason: "checks do not pass", Blame: "check page"}
	case !traffic && r.h.renamed && !r.wasRenamed:
		r.seen["another name"]++
		if r.m.BackOut {
			r.seen["another name after the way back"]++
		}
		return MemberResult{Verdict: Fail, Reason: "its name is another", Blame: "check hostname", Differs: Differs{First: []Difference{{Item: "hostname", New: "other", Fails: true}}}}
	}
	return MemberResult{Verdict: Pass}
}

// rename is what some versions do to their host.
func (r *memberRun) rename() { r.h.renamed = r.h.renamed || r.trait(r.to) == renames }

func (r *memberRun) quarantine() MemberResult {
	if r.trouble(0.2) {
		return MemberResult{Verdict: Fail, Reason: "no record"}
	}
	r.h.quarantined = true
	return MemberResult{Verdict: Pass}
}

func (r *memberRun) key(step Step) string {
	no := r.runNo[step]
	if !r.inUse[step] {
		no++
	}
	return fmt.Sprintf("%s.%s.%d", r.name(), step, no)
}

// runScript starts a detached run, or attaches to it.
func (r *memberRun) runScript(a Action) {
	h, key := r.h, r.key(a.Do)
	r.occupy(a)
	if h.ours != r.cl.camp.c.Instance {
		r.broken("%s begins %s in service", r.name(), a.Do)
	}
	r.mayChange(a)
	run := h.runs[key]
	fresh := run == nil
	if run == nil && (a.Attach || a.Gated && r.trouble(0.03)) { // no worker was there while the gate's word was new
		r.seen["not begun at once"]++
		r.launch(r.flights, a.ID, time.Minute, func() {
			h.busy = ""
			r.tell(a, MemberResult{Verdict: Inconclusive, AskAgain: true, Reason: "not begun at once"})
		})
		return
	}
	if run == nil && a.Do != StepBackout && a.Attempt == 1 {
		r.asked(a.Do)
	}
	if !r.inUse[a.Do] {
		r.inUse[a.Do] = true
		r.runNo[a.Do]++
	}
	if run == nil && (!r.up(h) || r.trouble(0.05)) {
		r.launch(r.flights, a.ID, time.Minute, func() { h.busy = ""; r.tell(a, unknown) })
		return
	}
	if run == nil {
		run = r.begin(a, key)
	}
	r.launch(r.flights, a.ID, max(run.until.Sub(r.now), 0)+time.Second, func() {
		h.busy = ""
		res := run.result
		if a.Do == StepReboot && (!r.up(h) || r.now.Before(h.keyUntil)) {
			res = r.late(fresh)
		} else if !r.up(h) || r.trouble(0.05) {
			res = unknown // it went on without us
		} else if run.spent {
			r.inUse[a.Do] = false
		}
		r.tell(a, res)
	})
}

// begin is the one time that a script starts (P6); what it does to the host it does at its end, watched or not.
func (r *memberRun) begin(a Action, key string) *hostRun {
	h := r.h
	run := &hostRun{result: MemberResult{Verdict: Pass}, until: r.now.Add(r.between(10*time.Second, 3*time.Minute))}
	h.runs[key] = run
	r.changed, r.checked = true, false
	if a.Attempt != r.cuts[a.Do]+1 {
		r.broken("P6: %s begins attempt %d of %s after %d interruptions", r.name(), a.Attempt, a.Do, r.cuts[a.Do])
	}
	finish := func(change func()) {
		r.after(run.until.Sub(r.now), change)
	}
	switch a.Do {
	case StepPatch:
		r.patches++
		if r.patches > 1 {
			r.seen["patch repaired"]++
		}
		if r.patches > 1+r.cuts[StepPatch] {
			r.broken("P6: %s starts its patch %d times after %d interruptions", r.name(), r.patches, r.cuts[StepPatch])
		}
		r.cl.gets(r)
		if r.trouble(0.03) {
			r.blind = r.now.Add(r.between(0, 3*time.Hour))
			r.logf("the servers cannot be read until %s", r.blind)
		}
		if r.leftOut(r.to) {
			r.broken("%s gets version %d, which is in quarantine", r.name(), r.to)
		}
		if r.trouble(0.06) {
			run.result = MemberResult{Verdict: Fail, Nothing: true, Reason: "lock not free"}
			r.seen["patch refused"]++
			r.changed = r.patches > 1
			return run
		}
		h.half = true
		switch {
		case r.trouble(0.15):
			run.result = MemberResult{Verdict: Fail, Interrupted: true, Reason: "power cut"}
			r.seen["patch interrupted"]++
		case r.trait(r.to) == failsPatch || r.trouble(0.02):
			run.result = MemberResult{Verdict: Fail, Reason: "postinst failed", Blame: "package web"}
			finish(func() { h.version, h.patchedAt = r.to, r.now; r.rename() })
		default:
			run.result.NeedsReboot = r.to%2 == 0
			finish(func() { h.version, h.half, h.patchedAt = r.to, false, r.now; r.rename() })
		}
	case StepBackout:
		r.mayUndo(a)
		if r.trouble(0.06) {
			run.result, run.spent = MemberResult{Verdict: Inconclusive, Reason: "lock not free"}, true
			r.seen["backout refused"]++
			return run
		}
		h.half = true
		r.seen["backout"]++
		switch {
		case r.trouble(0.15):
			run.result = MemberResult{Verdict: Fail, Interrupted: true, Reason: "power cut"}
		case r.trouble(0.08):
			run.result = MemberResult{Verdict: Fail, Reason: "an old package is gone"}
		default:
			run.result.NeedsReboot = r.to%2 == 0
			finish(func() {
				h.version, h.half = r.from, false
				if r.to%3 != 0 { // some ways back bring a name back, and some do not
					h.renamed = r.wasRenamed
				}
			})
		}
	case StepReboot:
		r.seen["reboot"]++
		r.rebootAt, r.powerID = r.now, ""
		if r.trouble(0.03) {
			h.keyUntil = r.now.Add(r.between(time.Minute, 3*time.Hour))
		}
		h.downUntil = r.now.Add(r.between(10*time.Second, 2*time.Minute))
		if r.trouble(0.08) {
			h.downUntil = r.now.Add(r.between(10*time.Minute, 2*time.Hour))
		}
		if r.trouble(0.03) {
			run.result = MemberResult{Verdict: Fail, Reason: "old kernel"}
			r.badBoot = true
		}
		run.until = r.now.Add(3 * time.Minute)
	}
	return run
}

// late is what is told of a host that is not back.
func (r *memberRun) late(fresh bool) MemberResult {
	if r.up(r.h) {
		r.seen["another host key"]++
		return MemberResult{Verdict: Inconclusive, OtherKey: true, Reason: "another host key"}
	}
	r.seen["late reboot"]++
	return MemberResult{Verdict: Inconclusive, Late: true, Begun: fresh, Power: !r.trouble(0.2), Reason: "no answer"}
}

// cyclePower is for a host that went down for its reboot and is not back: once, when its time is over. The activity asks whether it answers
// before it does anything.
func (r *memberRun) cyclePower(a Action) {
	h, p := r.h, r.cl.camp.member
	switch {
	case p.PowerAfter == 0 || r.rebootAt.IsZero():
		r.broken("%s cycles the power of a host that nobody rebooted, or unasked", r.name())
	case r.now.Add(p.RetryEvery).Before(r.rebootAt.Add(p.PowerAfter)):
		r.broken("%s cycles the power %s after the reboot, want %s", r.name(), r.now.Sub(r.rebootAt), p.PowerAfter)
	case r.powerID != "" && r.powerID != a.ID:
		r.broken("%s cycles the power twice in one reboot", r.name())
	}
	r.occupy(a)
	res := MemberResult{Verdict: Pass}
	switch {
	case r.powerID == a.ID: // whoever began it is gone
		res = unknown
	case r.up(h):
		res.Nothing = true
		r.seen["power left alone"]++
	case r.trouble(0.2):
		res = MemberResult{Verdict: Inconclusive, Nothing: true, Reason: "frozen"}
		r.seen["power left alone"]++
	default:
		r.seen["power cycled"]++
		r.powerID = a.ID
		h.downUntil = r.now.Add(r.between(time.Minute, 3*time.Minute))
		if r.trouble(0.2) {
			res = unknown
		}
	}
	r.launch(r.flights, a.ID, 5*time.Second, func() {
		h.busy = ""
		r.tell(a, res)
	})
}

// finish holds the end against the host, and reports it: sooner or later, and sometimes twice.
func (r *memberRun) finish() {
	h, ours := r.h, r.h.ours == r.cl.camp.c.Instance
	r.over = true
	r.seen["member "+string(r.m.Outcome)]++
	if r.m.Overdue {
		r.seen["held for too long and "+string(r.m.Outcome)]++
	}
	r.logf("%s ends %s: %s", r.name(), r.m.Outcome, r.m.Reason)
	want := r.from
	switch r.m.Outcome {
	case Patched:
		want = r.to
	case Unchanged, Skipped, Returned, BackedOut:
	case Quarantined:
		if !h.quarantined || r.told["quarantine "+h.name] == 0 {
			r.broken("P5: %s ends in quarantine, but that is nowhere on record, or nobody was told", r.name())
		}
		want = h.version
	default:
		r.broken("%s ends %q", r.name(), r.m.Outcome)
	}
	if r.m.Mode == ModeBackout && r.m.Outcome != BackedOut && r.m.Outcome != Quarantined {
		r.broken("%s ends %s", r.name(), r.m.Outcome)
	}
	if r.foreign && r.m.Mode == ModePatch && r.m.Outcome != Skipped {
		r.broken("P8: %s ends %s on a host that somebody else has in maintenance", r.name(), r.m.Outcome)
	}
	switch t := r.trait(h.version); {
	case r.m.Outcome == Quarantined:
		if !ours {
			r.seen["quarantined while it serves"]++
		}
	case !r.serves && r.m.Outcome != Skipped:
		r.broken("P5: %s ends %s and does not serve", r.name(), r.m.Outcome)
	case ours && !h.quarantined:
		r.broken("P5: %s ends %s and leaves its host drained", r.name(), r.m.Outcome)
	case h.version != want || h.half && r.patches > 0:
		r.broken("P5: %s ends %s with version %d (half %t), want %d", r.name(), r.m.Outcome, h.version, h.half, want)
	case r.m.Outcome == Patched && (t != good && t != failsSoak && !(t == renames && r.wasRenamed) || r.badBoot):
		r.broken("P5: %s ends %s with version %d, which does not work", r.name(), r.m.Outcome, h.version)
	}
	if r.at[h.name] == r {
		delete(r.at, h.name)
	}
	r.end = MemberEnd{
		Host: h.name, Mode: r.m.Mode, Try: r.try, Outcome: r.m.Outcome, Reason: r.m.Reason, Blame: r.m.Blame, Changes: fmt.Sprintf("%d>%d", r.from, r.to), Suspect: r.m.Suspect, LeftOut: r.m.LeftOut,
		GivenUp: r.m.Skipped(), NotNow: r.m.NotNow && r.m.Outcome == Returned, Next: r.m.Opens, Widens: r.m.Widens,
	}
	if r.end.NotNow {
		r.end.Waited = r.m.Waited
		r.seen["not now"]++
	}
	if r.m.Outcome == Patched {
		r.end.Manifest = fmt.Sprint(r.to)
	}
	if lost := r.odds.Float64(); r.m.Canary && (r.nameless && lost < 0.9 || r.kind != cooperative && !r.calm && lost < 0.02) {
		r.end.Manifest = ""
	}
	r.cl.ended(r)
	r.after(r.between(0, time.Minute), r.report)
	if r.chance(0.3) {
		r.after(r.between(0, 6*time.Hour), r.report)
	}
}

func (r *memberRun) report() {
	if !r.cl.over {
		r.cl.hears(r)
		before, _ := r.cl.c.failures()
		stopped := r.cl.c.StopCampaign != "" // by another, before a report that comes twice
		r.cl.c = untouched(r.world, r.cl.c, func(c Cluster) Cluster { return c.Ended(r.end, r.now) })
		if after, _ := r.cl.c.failures(); r.end.Widens && after != before {
			r.broken("P7: %s would get what nobody approved, and that counts as a failure of its stage", r.name())
		}
		if r.end.Widens && r.cl.c.StopCampaign != "" && !stopped {
			r.broken("P7: %s would get what nobody approved, and that holds other clusters too", r.name())
		}
		r.cl.step()
	}
}

func (r *memberRun) crash() {
	r.logf("the worker of %s crashes", r.name())
	if strings.HasPrefix(r.h.busy, r.name()+" ") {
		r.h.busy = ""
	}
	r.lose()
	r.m = reborn(r.world, r.m)
	r.step()
}
