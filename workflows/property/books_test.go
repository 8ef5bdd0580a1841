package property_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// memberBook is what the world remembers of one try of an instance at a host: what was asked, what was done and what was told.
type memberBook struct {
	*world
	h    *machine
	cl   *clusterBook
	name string
	mode rollout.Mode
	from int // the version before
	to   int // the version fetched
	over bool

	canary bool

	cuts     map[string]int // interruptions told
	begun    map[string]int // scripts begun
	last     string         // the step that was told last
	may      bool           // what the gate was told, if that was it
	gateAt   time.Time      // and when
	foreign  bool           // inspect met somebody else's maintenance
	checked  bool           // the last check passed, and nothing was changed since
	changed  bool           // a script that changes the host was begun
	proven   bool           // its drain was told to be through, and was not undone since
	badBoot  bool           // a reboot failed
	failed   bool           // something was told to have failed
	restored bool           // a backout was told to be through
	blamed   bool           // it was told a fail of what it got, or a person wanted it back
	given    bool           // a person skipped it while it held
	serves   bool           // it was never drained, or its last undrain met nobody else's maintenance
	drainID  string         // of the drain that began last
	below    bool           // it is out, and the servers said that its peers are below their floor
	fell     time.Time      // when a drain told that they fell; zero once that was answered
}

func (w *world) memberOpens(st workflows.MemberState) {
	key := st.Instance + "/" + st.Cluster + "/" + st.Host + "/" + strconv.Itoa(st.Try)
	b := w.members[key]
	if b == nil {
		b = &memberBook{
			world: w, h: w.machine(st.Host), cl: w.cluster(st.Instance, st.Cluster), name: key + "(" + string(st.Mode) + ")", mode: st.Mode, canary: st.Canary,
			cuts: map[string]int{}, begun: map[string]int{}, serves: true,
		}
		b.from = b.h.version
		if st.Mode == rollout.ModeBackout {
			b.failed = true
			if _, err := fmt.Sscanf(st.Changed, "%d>%d", &b.from, &b.to); err != nil {
				w.broken("%s does not know to what: %q", b.name, st.Changed)
			}
		}
		w.members[key] = b
	}
	w.at[st.Host] = b
}

func (w *world) book(in activities.StepInput) *memberBook {
	if b := w.at[in.Host]; b != nil {
		return b
	}
	panic("nobody works on " + in.Host)
}

// asked judges what a member's workflow does next by what it was told before.
func (b *memberBook) asked(a *act, in activities.StepInput) {
	h, step := b.h, a.name
	a.logf("%s asks for %s %s (gated %t, attach %t): version %d half %t ours %q foreign %t", b.name, step, in.Run, in.Gated, in.Attach, h.version, h.half, h.ours, h.foreign)
	known := in.Run != "" && h.scripts[in.Run] != nil // what has begun is only asked for
	if in.Run != "" {
		if other := a.owners[in.Run]; other != nil && other != b {
			a.broken("P6: %s asks for the run %s, which is that of %s", b.name, in.Run, other.name)
		}
		a.owners[in.Run] = b
	}
	if b.over {
		a.broken("%s goes on to %s after its end", b.name, step)
	}
	if b.foreign && step != "Inspect" && b.mode == rollout.ModePatch {
		a.broken("P8: %s goes on to %s of a host that somebody else has in maintenance", b.name, step)
	}
	switch unchanged := h.version == b.from && !h.half; {
	case !b.below || step == "Check" || step == "Undrain" || known:
	case unchanged && b.mode == rollout.ModePatch && !b.restored, step == "Patch", step == "Reboot", step == "Drain":
		a.broken("P2: %s goes on to %s, out while its peers are below their floor", b.name, step)
	}
	if !b.fell.IsZero() && (a.now().After(b.fell) || step != "Gate" && step != "Check" && step != "Undrain") {
		a.broken("P2: peers of %s fell in its drain, and %s follows %s later", b.name, step, a.now().Sub(b.fell))
	}
	b.fell = time.Time{}
	first := in.Run != "" && !known && !in.Repair && !in.Attach
	switch {
	case step == "Drain", first && (step == "Patch" || step == "Reboot"):
		if b.last != "Gate" || !b.may {
			a.broken("P2: %s begins %s without a yes of the gate right before; it was told %s", b.name, step, b.last)
		}
		if first && a.now().Sub(b.gateAt) > rollout.GateCounts {
			a.broken("P2: %s begins %s %s after the gate's word", b.name, step, a.now().Sub(b.gateAt))
		}
	}
	if step == "Drain" || first && (step == "Patch" || step == "Backout") && b.begun[step] == 0 {
		b.mayBegin(step)
	}
	switch step {
	case "Patch", "Backout":
		if !b.proven && !known {
			a.broken("P10: %s begins %s, and its drain was never told to be through", b.name, step)
		}
	}
	if step == "Backout" && !b.failed {
		a.broken("P10: %s is backed out, and nothing was told to have failed", b.name)
	}
	if step == "Drain" && b.mode == rollout.ModePatch && !b.begunAny() {
		b.cl.mayTouch(b)
	}
}

func (b *memberBook) begunAny() bool { return len(b.begun) > 0 }

// told is what the workflow heard.
func (b *memberBook) told(a *act, in activities.StepInput, r rollout.MemberResult) {
	a.logf("%s is told %s: %s", b.name, a.name, inWords(r))
	if r.Verdict == rollout.Inconclusive {
		a.seen["unknown "+strings.ToLower(a.name)]++
	}
	b.last = a.name
	b.may = a.name == "Gate" && r.Verdict == rollout.Pass && r.Frozen == "" && mayBeOut(r.Peers)
	if r.Verdict == rollout.Fail && !r.Foreign && a.name != "Power" {
		b.failed = true
		b.blamed = b.blamed || !r.Nothing && (a.name == "Patch" || a.name == "Reboot" || a.name == "Check" || a.name == "Undrain")
	}
	if r.Interrupted {
		b.cuts[a.name]++
	}
	switch a.name {
	case "Gate":
		b.gateAt = a.now()
		if r.Verdict != rollout.Inconclusive && r.Undrained {
			b.proven = false
		}
		if b.below = r.Verdict != rollout.Inconclusive && b.h.ours != "" && !b.may; b.below {
			a.seen["peers fell while it was out"]++
		}
	case "Drain":
		b.proven = r.Verdict == rollout.Pass || r.Leftover
		if r.AskAgain {
			b.fell = a.now()
		}
	case "Undrain":
		b.below = false
		b.serves = r.Verdict != rollout.Inconclusive && !r.Foreign
		b.proven = false
	case "Check":
		b.checked = r.Verdict == rollout.Pass
	case "Backout":
		b.restored = r.Verdict == rollout.Pass
	}
}

func (b *memberBook) inspect() rollout.MemberResult {
	h, me := b.h, b.cl.camp.instance
	for _, s := range h.scripts {
		if b.now().Before(s.until) {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "a run still goes on there"}
		}
	}
	switch {
	case !b.up(h) || b.isBlind():
		return unknown
	case h.foreign || h.ours != "" && h.ours != me || h.quarantined && b.mode == rollout.ModePatch:
		b.foreign = h.ours != me // drained by us and forgotten is another story
		b.seen["inspect met somebody else"]++
		return rollout.MemberResult{Verdict: rollout.Fail, Foreign: true, Reason: "somebody else's maintenance"}
	case h.half:
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "package database not clean"}
	}
	return rollout.MemberResult{Verdict: rollout.Pass, Ours: h.ours == me}
}

func (b *memberBook) fetch(in activities.StepInput) rollout.MemberResult {
	want := b.newest()
	if in.Manifest != "" {
		want, _ = strconv.Atoi(in.Manifest)
	} else {
		for ; want > b.h.version && b.leftOut(want); want-- {
			b.seen["versions left out"]++
		}
	}
	switch {
	case want > b.h.version && b.leftOut(want):
		return rollout.MemberResult{Verdict: rollout.Pass, Nothing: true, Reason: "nothing to do", LeftOut: "left out"}
	case !b.up(b.h):
		return unknown
	case want <= b.h.version:
		return rollout.MemberResult{Verdict: rollout.Pass, Nothing: true, Reason: "nothing to do"}
	}
	b.to = want
	return rollout.MemberResult{Verdict: rollout.Pass, Changes: 1}
}

// leftOut says that a version is in quarantine for a host, but for what this very instance put there.
func (b *memberBook) leftOut(version int) bool {
	for _, c := range b.h.in {
		if by := b.shut[c.name][version]; by != "" && (by != b.cl.camp.instance || c != b.cl.spec) {
			return true
		}
	}
	return false
}

func (b *memberBook) gate(a *act, in activities.StepInput) rollout.MemberResult {
	h, me := b.h, b.cl.camp.instance
	if a.isBlind() || a.claims[b.cl.spec.name] != me || a.trouble(a.rng, 0.03) {
		return unknown
	}
	if h.ours == me && a.trouble(a.rng, 0.02) {
		a.seen["undrained by hand"]++
		h.ours = ""
	}
	r := rollout.MemberResult{Verdict: rollout.Pass, Peers: a.peers(h), Undrained: h.ours != me, Ours: h.ours == me}
	if a.now().Before(a.frozen) {
		a.seen["frozen"]++
		r.Frozen = "the estate is frozen"
	} else if !b.timed(a, in, &r) {
		return unknown
	}
	return r
}

func (b *memberBook) drain(a *act, in activities.StepInput) rollout.MemberResult {
	h, me := b.h, b.cl.camp.instance
	if b.drainID != in.Intent.Digest {
		b.drainID, b.serves = in.Intent.Digest, false
	}
	if !a.up(h) || a.isBlind() || a.trouble(a.rng, 0.04) {
		return unknown // it never got there
	}
	if h.foreign || h.ours != "" && h.ours != me {
		a.seen["drain met somebody else"]++
		if a.rng.Float64() < 0.5 && (h.ours == "" || h.ours == me) {
			h.ours = me // on the services that came before
		}
		return rollout.MemberResult{Verdict: rollout.Fail, Foreign: true, Reason: "somebody else's maintenance"}
	}
	if h.ours == "" && (a.attempt > 0 || !mayBeOut(a.peers(h))) {
		a.seen["not drained at once"]++
		return rollout.MemberResult{Verdict: rollout.Inconclusive, AskAgain: true, Reason: "peers fell meanwhile, or hours lie between"}
	}
	h.ours = me
	switch {
	case a.trouble(a.rng, 0.05):
		return unknown
	case a.trouble(a.rng, 0.04):
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "still listed"}
	case a.trouble(a.rng, 0.15):
		a.seen["connections left"]++
		return rollout.MemberResult{Verdict: rollout.Fail, Leftover: true, Reason: "3 connections left"}
	}
	return rollout.MemberResult{Verdict: rollout.Pass}
}

func (b *memberBook) undrain(a *act, in activities.StepInput) rollout.MemberResult {
	h := b.h
	if h.half && b.begunAny() {
		a.broken("P5: %s is put back with its packages half way", b.name)
	}
	if t := a.trait(h.version); h.version != b.from && b.mode == rollout.ModePatch && (t == failsCheck || t == failsPatch) {
		a.broken("P5: %s is put back with version %d, which fails its checks", b.name, h.version)
	}
	if b.mode == rollout.ModeReturn && h.half {
		a.broken("P5: %s is put back with its packages half way", b.name)
	}
	if (b.changed || h.version != b.from || b.mode == rollout.ModeReturn) && !b.checked {
		a.broken("P10: %s is put back without a check that passed", b.name)
	}
	if !a.up(h) || a.isBlind() || a.trouble(a.rng, 0.04) {
		return unknown
	}
	if h.ours == in.Instance {
		h.ours = ""
	}
	switch {
	case a.trouble(a.rng, 0.04):
		return unknown
	case h.foreign:
		a.seen["undrain met somebody else"]++
		return rollout.MemberResult{Verdict: rollout.Fail, Foreign: true, Reason: "somebody else's maintenance"}
	}
	return rollout.MemberResult{Verdict: rollout.Pass}
}

// verdict is what the host's checks say.
func (b *memberBook) verdict(traffic bool) rollout.MemberResult {
	switch {
	case !b.up(b.h):
		return unknown
	case !b.healthy(b.h, traffic):
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "checks do not pass"}
	}
	return rollout.MemberResult{Verdict: rollout.Pass}
}

func (b *memberBook) quarantine(a *act) rollout.MemberResult {
	if a.trouble(a.rng, 0.2) {
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "no record"}
	}
	b.h.quarantined = true
	return rollout.MemberResult{Verdict: rollout.Pass}
}

// runs starts a detached run, or attaches to it.
func (b *memberBook) runs(a *act, in activities.StepInput) (takes time.Duration, s *script, told func() rollout.MemberResult) {
	h := b.h
	if s = h.scripts[in.Run]; s != nil {
		if a.attempt > 0 {
			a.seen["attached after a lost attempt"]++
		}
		return max(s.until.Sub(a.now()), 0) + time.Second, s, nil
	}
	if in.Attach || in.Gated && (a.attempt > 0 || a.trouble(a.rng, 0.03)) { // no worker was there while the gate's word was new
		a.seen["not begun at once"]++
		return 10 * time.Second, nil, func() rollout.MemberResult {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, AskAgain: true, Reason: "not begun at once"}
		}
	}
	if !a.up(h) || a.trouble(a.rng, 0.04) {
		return time.Minute, nil, func() rollout.MemberResult { return unknown }
	}
	if h.ours != in.Instance {
		a.broken("P2: %s begins %s in service", b.name, a.name)
	}
	s = b.begin(a, in)
	return s.until.Sub(a.now()) + time.Second, s, nil
}

// begin is the one time that a script starts (P6); what it does to the host it does at its end, watched or not.
func (b *memberBook) begin(a *act, in activities.StepInput) *script {
	h := b.h
	if in.Seq <= h.seq {
		a.broken("P6: %s begins %s with the number %d, its host is at %d", b.name, in.Run, in.Seq, h.seq)
	}
	h.seq = max(h.seq, in.Seq)
	s := &script{result: rollout.MemberResult{Verdict: rollout.Pass}, until: a.now().Add(a.grid(a.rng, 10*time.Second, 3*time.Minute))}
	h.scripts[in.Run] = s
	b.begun[a.name]++
	b.changed, b.checked = true, false
	if cuts := b.cuts[a.name]; a.name != "Reboot" && in.Repair != (cuts > 0) {
		a.broken("P6: %s begins %s, as a repair: %t, after %d interruptions", b.name, in.Run, in.Repair, cuts)
	}
	atEnd := func(change func()) { a.later(s.until.Sub(a.now()), change) }
	switch a.name {
	case "Patch":
		if b.begun["Patch"] > 1+b.cuts["Patch"] {
			a.broken("P6: %s starts its patch %d times after %d interruptions", b.name, b.begun["Patch"], b.cuts["Patch"])
		}
		b.cl.gets(b)
		if a.trouble(a.rng, 0.06) {
			s.result = rollout.MemberResult{Verdict: rollout.Fail, Nothing: true, Reason: "lock not free"}
			a.seen["patch refused"]++
			b.changed = b.begun["Patch"] > 1
			return s
		}
		h.half = true
		switch {
		case a.trouble(a.rng, 0.15):
			s.result = rollout.MemberResult{Verdict: rollout.Fail, Interrupted: true, Reason: "power cut"}
			a.seen["patch interrupted"]++
		case a.trait(b.to) == failsPatch || a.trouble(a.rng, 0.02):
			s.result = rollout.MemberResult{Verdict: rollout.Fail, Reason: "postinst failed"}
			atEnd(func() { h.version, h.patchedAt = b.to, a.now() })
		default:
			s.result.NeedsReboot = b.to%2 == 0
			atEnd(func() { h.version, h.half, h.patchedAt = b.to, false, a.now() })
		}
	case "Backout":
		if a.trouble(a.rng, 0.06) {
			s.result, s.spent = rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "lock not free"}, true
			return s
		}
		h.half = true
		a.seen["backout"]++
		switch {
		case a.trouble(a.rng, 0.15):
			s.result = rollout.MemberResult{Verdict: rollout.Fail, Interrupted: true, Reason: "power cut"}
		case a.trouble(a.rng, 0.08):
			s.result = rollout.MemberResult{Verdict: rollout.Fail, Reason: "an old package is gone"}
		default:
			s.result.NeedsReboot = b.to%2 == 0
			atEnd(func() { h.version, h.half = b.from, false })
		}
	case "Reboot":
		a.seen["reboot"]++
		h.boots++
		h.rebootAt, h.powered = a.now(), false
		h.downUntil = a.now().Add(a.grid(a.rng, 10*time.Second, 2*time.Minute))
		if a.trouble(a.rng, 0.08) {
			a.seen["late reboot"]++
			h.downUntil = a.now().Add(a.grid(a.rng, 10*time.Minute, 2*time.Hour))
		}
		if a.trouble(a.rng, 0.03) {
			s.result = rollout.MemberResult{Verdict: rollout.Fail, Reason: "old kernel"}
			b.badBoot = true
		}
		s.until = a.now().Add(3 * time.Minute)
	}
	return s
}

// power cycles the power of a host that went down for its reboot and is not back: once, when its time is over.
func (b *memberBook) power(a *act) rollout.MemberResult {
	h, p := b.h, b.cl.camp.member
	switch {
	case p.PowerAfter == 0 || b.begun["Reboot"] == 0:
		a.broken("%s cycles the power of a host that it did not reboot, or unasked", b.name)
	case a.now().Add(p.RetryEvery).Before(h.rebootAt.Add(p.PowerAfter)):
		a.broken("%s cycles the power %s after the reboot, want %s", b.name, a.now().Sub(h.rebootAt), p.PowerAfter)
	case h.powered:
		a.broken("%s cycles the power twice in one reboot", b.name)
	case a.attempt > 0:
		a.broken("%s cycles the power in another attempt: what came of the first nobody knows", b.name)
	}
	if a.trouble(a.rng, 0.2) {
		h.downUntil = a.now() // it is back just now
	}
	switch {
	case a.up(h):
		a.seen["power left alone"]++
		return rollout.MemberResult{Verdict: rollout.Pass, Nothing: true, Reason: "it answers again"}
	case a.now().Before(a.frozen):
		a.seen["power left alone"]++
		return rollout.MemberResult{Verdict: rollout.Inconclusive, Nothing: true, Reason: "the estate is frozen"}
	}
	h.powered = true
	a.seen["power cycled"]++
	if a.trouble(a.rng, 0.3) {
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "its switch does not answer"}
	}
	h.boots++
	h.downUntil = a.now().Add(a.grid(a.rng, 10*time.Second, 2*time.Minute))
	return rollout.MemberResult{Verdict: rollout.Pass}
}

// memberCloses holds the end of a member against its host.
func (w *world) memberCloses(r workflows.MemberReport) {
	if w.judging {
		return
	}
	b := w.at[r.Host]
	h, ours := b.h, b.h.ours == b.cl.camp.instance
	b.over = true
	w.seen["member "+string(r.Outcome)]++
	want := b.from
	switch r.Outcome {
	case rollout.Patched:
		want = b.to
	case rollout.Unchanged, rollout.Skipped, rollout.Returned, rollout.BackedOut:
	case rollout.Quarantined:
		if !h.quarantined {
			w.broken("P5: %s ends in quarantine, but that is nowhere on record", b.name)
		}
		want = h.version
	default:
		w.broken("%s ends %q", b.name, r.Outcome)
	}
	if b.foreign && b.mode == rollout.ModePatch && r.Outcome != rollout.Skipped && !r.TakenUp {
		w.broken("P8: %s ends %s on a host that somebody else has in maintenance", b.name, r.Outcome)
	}
	switch t := w.trait(h.version); {
	case r.Outcome == rollout.Quarantined:
	case !b.serves && r.Outcome != rollout.Skipped:
		w.broken("P5: %s ends %s and does not serve", b.name, r.Outcome)
	case ours && !h.quarantined:
		w.broken("P5: %s ends %s and leaves its host drained", b.name, r.Outcome)
	case h.version != want || h.half && b.begunAny():
		w.broken("P5: %s ends %s with version %d (half %t), want %d", b.name, r.Outcome, h.version, h.half, want)
	case r.Outcome == rollout.Patched && (t != good && t != failsSoak || b.badBoot):
		w.broken("P10: %s ends %s with version %d, which does not work", b.name, r.Outcome, h.version)
	}
	if b.mode == rollout.ModeReturn {
		if r.Outcome != rollout.Quarantined {
			w.broken("P5: %s was drained by who is forgotten, and ends %s: whether it was changed nobody knows", b.name, r.Outcome)
		}
		return
	}
	b.cl.ended(b, r)
}

// clusterBook is what the world remembers of one cluster of an instance.
type clusterBook struct {
	*world
	camp *campaign
	spec *spec

	first      *memberBook // the canary: the first that was patched
	firstAt    time.Time
	passesFrom time.Time // when the soak is over if nothing else is heard
	passed     bool
	approved   bool
	longer     time.Duration // what people added to the soak
	verdict    rollout.Verdict
	verdictAt  time.Time
	patchedAt  time.Time
	last       map[string]rollout.Outcome
	fails      map[string]int
	judged     bool            // its soak failed, or a person spoke against what its members got
	owes       bool            // and somebody got it: that goes on record
	mayBackout bool            // a check failed, a person said so, or the policy does
	failed     string          // why nobody else may be touched
	aborted    bool            // a person said so
	unforgiven map[string]bool // hosts that ended badly, and nobody has said go on
	outcome    rollout.ClusterOutcome
	answers    int
	quiet      bool            // it turned automatic updates off, and did not bring them back yet
	closing    bool            // it has begun to bring them back
	exempt     map[string]bool // hosts that were in quarantine when they were turned off
	fitAt      time.Time       // when windows said last that a member may begin
	person     bool            // a person said that it is brought back
	cut        map[string]int  // how often a member's window closed while it waited
}

func (w *world) cluster(instance, name string) *clusterBook {
	key := instance + "/" + name
	c := w.clusters[key]
	if c == nil {
		c = &clusterBook{world: w, camp: w.campaign(instance), spec: w.spec(name), last: map[string]rollout.Outcome{}, fails: map[string]int{}, unforgiven: map[string]bool{}, exempt: map[string]bool{}, cut: map[string]int{}}
		w.clusters[key] = c
	}
	return c
}

func (c *clusterBook) name() string { return c.camp.instance + "/" + c.spec.name }
func (c *clusterBook) id() string   { return workflows.ClusterID(c.camp.instance, c.spec.name) }

// mayStartMember judges the start of a member's workflow.
func (w *world) mayStartMember(by *run, st workflows.MemberState) {
	if by.kind != workflows.ClusterType {
		if st.Mode == rollout.ModeReturn {
			w.mayPutBack(st)
		}
		return // the sweeper takes it up
	}
	c := w.cluster(st.Instance, st.Cluster)
	w.logf("%s starts %s of %s, canary %t, try %d", c.name(), st.Mode, st.Host, st.Canary, st.Try)
	if w.claims[c.spec.name] != st.Instance {
		w.broken("%s starts %s without its claim", c.name(), st.Host)
	}
	if on := c.working(); on != "" {
		w.broken("P1: %s starts %s beside %s", c.name(), st.Host, on)
	}
	c.mayStart(st.Mode)
	switch st.Mode {
	case rollout.ModeBackout:
		if !c.mayBackout {
			w.broken("P10: %s backs %s out, and nothing failed and nobody said so", c.name(), st.Host)
		}
	case rollout.ModePatch:
		if c.failed != "" || c.aborted {
			w.broken("P3: %s starts %s after %q (aborted %t)", c.name(), st.Host, c.failed, c.aborted)
		}
		c.isQuiet()
		if st.Canary != (c.first == nil) {
			w.broken("P4: %s starts %s with canary %t, but %v was first", c.name(), st.Host, st.Canary, c.first)
		}
		if st.Canary != (st.Manifest == "") {
			w.broken("P4: %s starts %s, canary %t, with the manifest %q", c.name(), st.Host, st.Canary, st.Manifest)
		}
		if c.camp.cluster.Settle > 0 && !c.patchedAt.IsZero() && (w.now().Before(c.patchedAt.Add(c.camp.cluster.Settle)) && c.first != nil && c.patchedCount() > 1) {
			w.broken("P3: %s starts %s before the one before it has settled", c.name(), st.Host)
		}
	}
}

func (c *clusterBook) patchedCount() int {
	n := 0
	for _, o := range c.last {
		if o == rollout.Patched {
			n++
		}
	}
	return n
}

// working names a member of the cluster that its instance works on.
func (c *clusterBook) working() string {
	for _, h := range c.spec.members {
		if r := c.latest(workflows.MemberID(h.name)); r.open() && !r.killed && r.instance == c.camp.instance && !r.returns && !c.forsaken(r) {
			return h.name
		}
	}
	return ""
}

// mayTouch is P3, asked when a member that is to be patched is drained.
func (c *clusterBook) mayTouch(b *memberBook) {
	for host := range c.unforgiven {
		if host != b.h.name {
			c.broken("P3: %s is drained although %s ended badly and nobody said go on", b.name, host)
		}
	}
	if c.first == nil || c.first.h == b.h {
		return
	}
	if !c.soaked() {
		c.broken("P3: %s is drained before the soak of %s passed", b.name, c.first.h.name)
	}
	if gate := approval.GateSoak(c.spec.name, 1); c.camp.cluster.SoakApproval && c.camp.isShut(gate, c.camp.soak) {
		c.broken("P7: %s is drained, and %d people agreed to %s", b.name, len(c.camp.agreed[gate]), gate)
	}
	if c.camp.cluster.SoakApproval && c.camp.soak == nil && !c.approved {
		c.broken("P3: %s is drained and nobody approved the soak", b.name)
	}
}

func (c *clusterBook) soaked() bool {
	return c.passed || !c.passesFrom.IsZero() && !c.now().Before(c.passesFrom)
}

// gets is P4, asked when a patch begins.
func (c *clusterBook) gets(b *memberBook) {
	if c.first != nil && b.to != c.first.to {
		c.broken("P4: %s gets version %d, but %d soaked", b.name, b.to, c.first.to)
	}
}

func (c *clusterBook) ended(b *memberBook, r workflows.MemberReport) {
	host := b.h.name
	delete(c.unforgiven, host)
	c.last[host] = r.Outcome
	if b.mode == rollout.ModePatch && c.notNow(r.MemberEnd) {
		return
	}
	if b.mode == rollout.ModeBackout {
		if r.Outcome == rollout.Patched || r.Outcome == rollout.Returned {
			c.unforgiven[host] = true
		}
		return
	}
	switch r.Outcome {
	case rollout.Patched:
		c.patchedAt, c.owes = c.now(), c.owes || c.judged && c.failed != "" // what was on its way when it was judged too
		if c.first == nil {
			c.first, c.firstAt = b, c.now()
		}
		if r.TakenUp {
			c.unforgiven[host] = true
		}
		return
	case rollout.Unchanged:
		return
	}
	if b.given && r.GivenUp && !r.TakenUp {
		c.seen["skip of a member that held"]++
		return
	}
	c.fails[host]++
	p := c.camp.cluster
	switch {
	case r.TakenUp, !r.Outcome.Safe():
		c.unforgiven[host] = true
	case c.fails[host] <= p.Retries:
		c.unforgiven[host] = true // itself may be tried again
	case p.OnFailure == rollout.FailSkipMember && c.first != nil:
		c.seen["left by policy"]++
	case p.OnFailure == rollout.FailBackoutCluster && c.patchedCount() > 0:
		c.mayBackout = true
		c.failed = host + " failed"
	default:
		c.unforgiven[host] = true
	}
}

// heard keeps the books of the first soak.
func (c *clusterBook) heard(r rollout.WatchResult) {
	c.verdict, c.verdictAt = r.Verdict, c.now()
	switch r.Verdict {
	case rollout.Pass:
		if r.Passes >= c.camp.cluster.SoakPasses && c.passesFrom.IsZero() {
			if c.passesFrom = c.firstAt.Add(c.camp.cluster.Soak + c.longer); c.passesFrom.Before(c.now()) {
				c.passesFrom = c.now()
			}
		}
		return
	case rollout.Fail:
		c.seen["soak failed"]++
		c.mayBackout, c.judged = true, true
		if c.working() == "" && !c.aborted {
			c.failed, c.owes = "a failed soak", c.owes || c.patchedCount() > 0
		}
	default:
		c.seen["unknown watch"]++
	}
	c.passed, c.passesFrom = c.soaked(), time.Time{}
}

// delivered is what reached a workflow as a signal.
func (w *world) delivered(id, name string, arg any) {
	rest, isCluster := strings.CutPrefix(id, "cluster/")
	if !isCluster {
		return
	}
	instance, cluster, _ := strings.Cut(rest, "/")
	c := w.cluster(instance, cluster)
	w.logf("%s hears the signal %s", c.name(), name)
	switch name {
	case "abort":
		w.seen["heard abort"]++
		c.aborted = true
	case "backout":
		w.seen["heard backout"]++
		c.undo()
	case "hold", "unpause":
		w.seen["heard "+name]++
	}
}

// undo is a campaign's backout, heard by one of its clusters: what was patched is brought back, and where nothing was, nothing more begins.
func (c *clusterBook) undo() {
	var st workflows.ClusterState
	switch known := c.state(c.id(), &st) && st.Phase != ""; {
	case known && st.MayBackout(rollout.Message{Actor: "jane", Reason: "because"}) == nil:
		c.spokenAgainst("a campaign's backout")
	case !known || st.BackoutFor == "" && st.Phase != rollout.PhaseRelease && st.Outcome == "":
		c.aborted = true
	}
}

// spokenAgainst is a person's word against what the members of the cluster got.
func (c *clusterBook) spokenAgainst(why string) {
	c.person = true
	c.failed, c.mayBackout, c.judged, c.owes = why, true, true, c.owes || c.patchedCount() > 0
}

// blames says that a check, a soak or a person spoke against a version.
func (c *clusterBook) blames(version int) bool {
	if c.judged && c.first != nil && c.first.to == version {
		return true
	}
	for _, b := range c.members {
		if b.cl == c && b.blamed && b.to == version {
			return true
		}
	}
	return false
}

// mayRelease holds that what failed is on record before another instance may come.
func (c *clusterBook) mayRelease() {
	if c.quiet {
		c.broken("P8: %s gives its claim back, and did not bring automatic updates back", c.name())
	}
	if c.owes && !c.kills && c.first != nil && c.shut[c.spec.name][c.first.to] == "" {
		c.broken("%s gives its claim back, and version %d, which failed, is not on record", c.name(), c.first.to)
	}
}

func (w *world) clusterCloses(instance string, r workflows.ClusterReport) {
	if w.judging {
		return
	}
	c := w.cluster(instance, r.Name)
	c.outcome = r.Outcome
	w.seen["cluster "+string(r.Outcome)]++
	if on := c.working(); on != "" {
		w.broken("P5: %s ends while %s is worked on", c.name(), on)
	}
	for _, h := range c.spec.members {
		if !c.camp.works(c.spec, h) {
			if c.last[h.name] != "" {
				w.broken("%s ends, and %s is %s although only others were to be worked on", c.name(), h.name, c.last[h.name])
			}
			continue
		}
		switch o := c.last[h.name]; {
		case r.Outcome == rollout.ClusterDone && o != rollout.Patched && o != rollout.Unchanged && !c.forgiven(h.name):
			w.broken("%s is done, but %s is %q", c.name(), h.name, o)
		case c.failed != "" && !c.aborted && o == rollout.Patched && !w.kills:
			w.broken("P3: %s ends %s after %s, and %s stays patched", c.name(), r.Outcome, c.failed, h.name)
		}
	}
	if some := c.camp.first(c.spec).SoaksLast(); some && r.Outcome == rollout.ClusterDone && c.first != nil {
		w.seen["soaked after the last wave"]++
		if !c.soaked() || c.now().Before(c.patchedAt.Add(c.camp.cluster.Soak)) {
			w.broken("P3: %s works on some members only, and is done without a soak of what was patched at %s", c.name(), c.patchedAt)
		}
	}
	if r.Outcome == rollout.ClusterDone && c.failed != "" {
		w.broken("P3: %s is done in spite of %s", c.name(), c.failed)
	}
	for _, name := range append([]string{c.spec.name}, c.spec.shares...) {
		if w.claims[name] == instance && !w.otherClaims(instance, r.Name, name) {
			w.broken("P5: %s ends and %s stays claimed", c.name(), name)
		}
	}
}

// otherClaims says that another cluster of the instance holds the claim too.
func (w *world) otherClaims(instance, not, name string) bool {
	for _, s := range w.specs {
		if s.name != not && (s.name == name || contains(s.shares, name)) && w.latest(workflows.ClusterID(instance, s.name)).open() {
			return true
		}
	}
	return false
}

// forgiven says that a person, or the policy, left a member that failed as it is.
func (c *clusterBook) forgiven(host string) bool { return !c.unforgiven[host] && c.last[host] != "" }

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// mayStartCluster judges the start of a cluster's workflow.
func (w *world) mayStartCluster(st workflows.ClusterState) {
	if st.Phase != "" {
		return // the sweeper takes it up
	}
	c := w.campaign(st.Instance)
	if c.undone {
		w.broken("P3: %s starts %s after it was backed out", c.instance, st.Name)
	}
	running := 0
	for _, name := range c.started {
		book := w.cluster(c.instance, name)
		on := book.reported() == "" && !w.lost(book)
		if on {
			running++
		}
		if name == st.Name {
			w.broken("%s starts %s twice", c.instance, st.Name)
		}
		if on && contains(w.spec(st.Name).shares, name) {
			w.broken("P1: %s starts %s while %s works on a host of it", c.instance, st.Name, name)
		}
	}
	for _, s := range w.specs {
		if c.stages[s.name] < c.stages[st.Name] && w.cluster(c.instance, s.name).reported() != rollout.ClusterDone {
			w.broken("P3: %s starts %s before %s of the stage before is done", c.instance, st.Name, s.name)
		}
	}
	if c.isShut(approval.GateStart, c.start) {
		w.broken("P7: %s starts %s, and %d people agreed to its start", c.instance, st.Name, len(c.agreed[approval.GateStart]))
	}
	if running >= c.parallel {
		w.broken("%s starts %s beside %d, at most %d may run", c.instance, st.Name, running, c.parallel)
	}
	c.started = append(c.started, st.Name)
}

// reported is its outcome, which it tells a moment before its end.
func (c *clusterBook) reported() rollout.ClusterOutcome {
	if c.outcome != "" || !c.latest(c.id()).open() {
		return c.outcome
	}
	var st workflows.ClusterState
	c.state(c.id(), &st)
	return st.Outcome
}

// lost says that a cluster's workflow ended without a report.
func (w *world) lost(c *clusterBook) bool {
	r := w.latest(c.id())
	return r != nil && !r.open() && r.status != "ContinuedAsNew"
}

func (w *world) campaignCloses(st rollout.Campaign) {
	if w.judging {
		return
	}
	c := w.campaign(st.Instance)
	c.outcome = st.Outcome
	w.seen["campaign "+string(st.Outcome)]++
	w.logf("%s ends %s: %s", st.Instance, st.Outcome, st.Reason)
	for _, name := range c.started {
		book := w.cluster(c.instance, name)
		outcome := book.reported()
		if outcome == "" && !w.lost(book) {
			w.broken("%s ends while %s works", c.instance, name)
		}
		if st.Outcome == rollout.CampaignDone && outcome != rollout.ClusterDone {
			w.broken("%s is done, but %s is %q", c.instance, name, outcome)
		}
	}
}
