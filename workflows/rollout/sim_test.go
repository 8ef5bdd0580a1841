package rollout

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

var (
	simSeed  = flag.Int("rollout.seed", -1, "replay this one seed of the simulator and print what happens")
	simSeeds = flag.Int("rollout.seeds", 2000, "how many seeds the simulator runs")
)

// TestSimulation drives whole campaigns over a model world with random trouble, random messages and crashes, and holds the
// promises at every instant. A seed always plays the same.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *simSeed >= 0 {
		if why, _ := simulate(*simSeed, func(line string) { t.Log(line) }); why != "" {
			t.Errorf("seed %d: %s", *simSeed, why)
		}
		return
	}
	var (
		next, failed atomic.Int64
		all          sync.WaitGroup
		lock         sync.Mutex
		seen         = map[string]int{}
	)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := int(next.Add(1)) - 1; seed < *simSeeds && failed.Load() < 3; seed = int(next.Add(1)) - 1 {
				why, did := simulate(seed, nil)
				if why != "" {
					failed.Add(1)
					t.Errorf("seed %d: %s\n%s\nreplay: go test ./workflows/rollout -run TestSimulation -v -rollout.seed=%d", seed, why, lastLines(seed, 40), seed)
				}
				lock.Lock()
				for what, n := range did {
					seen[what] += n
				}
				lock.Unlock()
			}
		})
	}
	all.Wait()
	// A simulator that never reaches the rare paths proves nothing about them. The rarest come once in some thousand seeds.
	if *simSeeds < 10_000 || failed.Load() > 0 {
		return
	}
	for _, what := range strings.Split("campaign done,campaign halted,campaign aborted,cluster done,cluster halted,cluster aborted,member patched,"+
		"member unchanged,member backed-out,member returned,member skipped,member quarantined,told hold,told fail,told backout,told quarantine,told gate,"+
		"told halted,told done,reboot,backout,undrained by hand,patch interrupted,patch repaired,patch refused,connections left,inspect met somebody else,drain met somebody else,"+
		"undrain met somebody else,peers fell while it was out,peers fell in its drain,frozen in patch,frozen in backout,backout refused,host taken,claim waited,soak approved,soak rejected,soak failed,soak inconclusive,"+
		"quarantined while it serves,left by policy,skipped a failure,one too many failed,retried a failure,campaign backed out,said retry to a member,said skip to a member,said backout to a member,told no manifest,"+
		"held for too long and returned,held for too long and quarantined,held for too long and patched,soak extended,campaign stopped,backed out while soaking,three waves,shared host,not drained and not accepted,accepted until a time that was over,late watch,crash,no worker,still waiting for a person,"+
		"late reboot,another host key,another name,another name after the way back,power cycled,power left alone,own house went last,held in claim,held in roll,held in backout,held in release,gave up in claim,gave up in roll,went on by itself,"+
		"versions quarantined,versions left out,quarantine in trouble,transaction widened,updaters-off,updaters-on,updaters in trouble,updaters came too late,updaters taken over,updaters left to the sweeper,"+
		"gate opened by several,campaign's gate opened,campaign's gate expired,soak's gate expired,refused at a gate,said again at a gate,revoked before its gate opened,keys not looked at,"+
		"breaker tripped,granted,refused,stopped on its way back,went on with it,question lost,word lost,went on in spite of a failed soak,spared the versions,ramp waited,ramp ended it,stage stopped,"+
		"waited for a window in claim,waited for a window in roll,waited for a window in backout,closed for patch asked fit,closed for patch asked open,closed for backout asked fit,"+
		"calendar freeze in patch,calendar freeze in backout,calendar cannot be read,freeze announced,freeze broken,went on in a freeze that was broken for it,finished past its window,not now,"+
		"fetched ahead,not fetched ahead,its turn came first,change refused,change unknown,change closed,change not closed,"+
		"told skip,window passed without a start,began in its turn,turn not known,kept out of its window,nobody known asked for it,its place in the ramp was taken,never began,"+
		"taken over,superseded in soak,superseded in gate,superseded in hold,superseded in settle,superseded in roll,cluster superseded,finishes its member first,kept as it failed,an emergency was undone,"+
		"brought back on a person's word,only some members,soaked after the last wave,waited for another stage,lacks another stage in claim,lacks another stage in roll,soak begun anew,soak begun anew too often", ",") {
		if seen[what] == 0 {
			t.Errorf("in %d seeds this never happened: %s", *simSeeds, what)
		}
	}
}

func lastLines(seed, n int) string {
	var lines []string
	simulate(seed, func(line string) { lines = append(lines, line) })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// simulate plays one seed and says which promise it broke, or "".
func simulate(seed int, trace func(string)) (why string, seen map[string]int) {
	w := newWorld(seed, trace)
	defer func() {
		if v, ok := recover().(violation); ok {
			why, seen = string(v), w.seen
		} else if v != "" {
			panic(v)
		}
	}()
	w.play()
	return "", w.seen
}

func newWorld(seed int, trace func(string)) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(uint64(seed), 7)), odds: rand.New(rand.NewPCG(uint64(seed), 8)), outages: rand.New(rand.NewPCG(uint64(seed), 11)), early: rand.New(rand.NewPCG(uint64(seed), 13)), turns: rand.New(rand.NewPCG(uint64(seed), 23)), some: rand.New(rand.NewPCG(uint64(seed), 29)), now: epoch, trace: trace, claims: map[string]string{}, shut: map[string]map[int]string{}, at: map[string]*memberRun{},
		traits: []trait{good, good}, told: map[string]int{}, omitted: map[string]bool{}, seen: map[string]int{}, revoked: map[string]bool{}, kind: simKind(seed % 5),
	}
	if w.kind > deaf {
		w.kind = troubled
	}
	w.updating = seed%2 == 1
	w.publish()
	if w.epidemic = w.kind != cooperative && w.chance(0.2); w.epidemic {
		if w.nameless = w.odds.Float64() < 0.3; !w.nameless {
			w.traits[w.latest] = failsSoak
		}
	}
	w.openWindows(seed)
	w.moody(seed)
	w.build()
	w.stageFirst(seed)
	for i := range 1 + w.rng.IntN(2) {
		w.campaign(i)
		w.runs[i].keep(seed)
	}
	w.emergencies(seed)
	return w
}

// build makes one to three clusters; two of them may share a host.
func (w *world) build() {
	clusters := 1 + w.rng.IntN(3)
	if w.epidemic {
		clusters = 3
	}
	for i := range clusters {
		c := &spec{name: fmt.Sprintf("c%d", i), stage: w.rng.IntN(2), last: w.chance(0.3)}
		size := 1 + w.rng.IntN(5)
		if w.epidemic {
			c.stage, size = 0, 2+w.rng.IntN(2)
		} else if w.chance(0.08) {
			size = 10 + w.rng.IntN(3)
			w.seen["three waves"]++
		}
		if i == 1 && !w.epidemic && w.chance(0.4) {
			c.members = append(c.members, w.clusters[0].members[0])
			c.shares, w.clusters[0].shares = []string{"c0"}, []string{"c1"}
			w.seen["shared host"]++
		}
		for len(c.members) < size {
			h := &host{name: fmt.Sprintf("h%d", len(w.hosts)), version: 1, runs: map[string]*hostRun{}}
			if !w.epidemic && w.chance(0.1) {
				h.version = w.latest
			}
			w.hosts = append(w.hosts, h)
			c.members = append(c.members, h)
		}
		c.maxOut = 1
		if w.chance(0.2) {
			c.maxOut = max(1, size*40/100)
		}
		c.minHealthy = max(1, size-c.maxOut)
		switch {
		case size-1 < c.minHealthy:
			c.accepted = w.kind == cooperative || w.chance(0.5)
		case w.chance(0.1):
			c.minHealthy = size
			c.accepted = w.kind == cooperative || w.chance(0.7)
		}
		if c.until = end; c.accepted && w.kind != cooperative && w.chance(0.3) {
			c.until = w.now.Add(w.between(time.Minute, 24*time.Hour)).Truncate(time.Second)
		}
		if w.kind != cooperative && w.chance(0.03) {
			c.undrained = true
			w.seen["not drained and not accepted"]++
		}
		w.clusters = append(w.clusters, c)
	}
	for _, c := range w.clusters {
		for _, h := range c.members {
			h.in = append(h.in, c)
			if w.kind != cooperative && w.chance(0.02) { // a former instance could not reach it
				st := h.updatersOf("former/" + c.name)
				st.off, st.record = true, true
			}
		}
	}
}

func (w *world) campaign(i int) {
	r := &campaignRun{world: w, flights: flights{}, clusters: map[string]*clusterRun{}, granted: map[string]bool{}, failures: map[string]int{}}
	unattended := w.kind == deaf || w.kind == troubled && w.chance(0.3)
	r.c = Campaign{Instance: "i" + strconv.Itoa(i), Name: "monthly", Parallel: 1 + w.rng.IntN(3), Stages: []string{"staging", "production"}, Unattended: unattended}
	r.c.Ramp = [][]int{nil, {1}, {1, 1}, {2}, {1, 5, 25}}[w.rng.IntN(5)]
	r.c.Breaker, r.c.StopSame, r.c.StopAny = 1+w.rng.IntN(2), []int{0, 2, 3}[w.rng.IntN(3)], []int{2 + w.rng.IntN(3), 2 + w.rng.IntN(3)}
	stages := map[int]bool{}
	for _, c := range w.clusters {
		stages[c.stage] = true
	}
	for _, c := range w.clusters {
		stage := c.stage
		if !stages[0] {
			stage = 0 // a plan has no stage without clusters
		}
		r.c.Clusters = append(r.c.Clusters, Ref{Name: c.name, Stage: stage, Shares: c.shares, Last: c.last, Total: len(c.members)})
	}
	slices.SortStableFunc(r.c.Clusters, func(a, b Ref) int { // as a plan has them
		return strings.Compare(fmt.Sprint(a.Last), fmt.Sprint(b.Last))
	})
	r.cluster = ClusterPolicy{
		Soak: w.between(20*time.Minute, 3*time.Hour), SoakPasses: 1 + w.rng.IntN(3), SoakApproval: !unattended || w.kind == troubled && w.chance(0.2),
		RetryEvery: 5 * time.Minute, WaitMax: time.Hour, Unattended: unattended,
	}
	if w.chance(0.7) {
		r.cluster.Settle = 10 * time.Minute
	}
	r.cluster.OnFailure = []OnFailure{"", FailStopCluster, FailSkipMember, FailStopCampaign, FailBackoutCluster}[w.rng.IntN(5)]
	r.cluster.Retries = max(0, w.rng.IntN(5)-2)
	r.cluster.Failures = 1 + w.rng.IntN(2)
	r.cluster.Updaters = w.updating
	r.member = MemberPolicy{
		Reboot: []string{RebootAlways, RebootIfNeeded, RebootNever}[w.rng.IntN(3)], Unattended: unattended, WaitMax: 30 * time.Minute,
		RetryEvery: 5 * time.Minute, Leftover: []string{"hold", LeftoverUndrain, LeftoverProceed}[w.rng.IntN(3)],
		PowerAfter: []time.Duration{0, 20 * time.Minute, 40 * time.Minute}[w.rng.IntN(3)],
		HoldMax:    []time.Duration{0, 20 * time.Minute, 2 * time.Hour}[w.rng.IntN(3)],
	}
	r.bind()
	r.cluster.Staged = w.records != nil
	r.wantsAhead()
	r.people, r.soakRule, r.gateRules = w.assembly(r.c.Instance), anybody, map[string]approval.Rule{}
	r.people.gate = r.gateOf
	if w.chance(0.4) {
		r.soakRule = w.gateRule()
	}
	for stage, id := range []string{"stage/staging", "stage/production"} {
		if stage == 0 && w.chance(0.2) {
			r.c.Gates = append(r.c.Gates, Gate{ID: "start"})
			r.gateRules["start"] = w.gateRule()
		}
		if w.chance(0.15) {
			r.c.Gates = append(r.c.Gates, Gate{ID: id, Stage: stage})
			r.gateRules[id] = w.gateRule()
		}
	}
	if w.epidemic {
		r.c.Parallel, r.c.Ramp, r.c.Breaker, r.c.StopSame, r.c.StopAny = 3, nil, 1, 0, []int{9, 9}
	}
	r.schedule(w.turns)
	w.runs = append(w.runs, r)
	w.after(time.Duration(i)*w.between(0, 4*time.Hour), r.step)
}

const (
	horizon   = 60 * 24 * time.Hour
	maxEvents = 200_000
)

// play lets time pass until every campaign has ended, or nothing moves any more.
func (w *world) play() {
	if w.kind != cooperative {
		w.after(w.between(4*time.Hour, 24*time.Hour), w.calmDown)
		w.after(w.between(0, time.Hour), w.somethingHappens)
	}
	w.after(w.between(time.Minute, 30*time.Minute), w.crashes)
	if w.outages.IntN(3) == 0 {
		w.after(time.Duration(w.outages.Int64N(int64(36*time.Hour))), w.away)
	}
	if w.kind != cooperative {
		w.calendarHappens()
		w.recordsHappen()
	}
	if w.kind == cooperative || w.kind == troubled {
		w.after(w.between(time.Minute, time.Hour), w.peopleCome)
	}
	for w.queue.Len() > 0 {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		if w.over() {
			w.judge()
			return
		}
		if w.n > maxEvents || w.now.Sub(epoch) > horizon {
			break
		}
		if w.kind == deserted && w.now.Sub(epoch) > w.desertedFor() {
			break
		}
	}
	if w.kind != deserted {
		w.broken("bounded progress: after %d events it has not ended: %s", w.n, w.excuses())
	}
	w.waitsForPeople()
}

func (w *world) over() bool {
	for _, r := range w.runs {
		if !r.over {
			return false
		}
		for _, c := range r.clusters {
			if !c.over {
				return false // it has people to tell
			}
		}
	}
	return true
}

func (w *world) excuses() string {
	var out []string
	for _, r := range w.runs {
		out = append(out, r.c.Instance+": "+r.c.Next(w.now).Reason)
		for _, c := range r.ordered() {
			if !c.over {
				out = append(out, c.name()+": "+c.c.Next(w.now).Reason)
			}
		}
	}
	for _, m := range w.working() {
		out = append(out, m.name()+": "+m.m.Next(w.now).Reason)
	}
	return strings.Join(out, "; ")
}

// working lists the members' workflows that run, in order of their hosts.
func (w *world) working() []*memberRun {
	var out []*memberRun
	for _, h := range w.hosts {
		if m := w.at[h.name]; m != nil {
			out = append(out, m)
		}
	}
	return out
}

// waitsForPeople holds for a campaign that nobody answered: somebody was told what it waits for, and it is safe.
func (w *world) waitsForPeople() {
	w.seen["still waiting for a person"]++
	stuck := true
	for _, r := range w.runs {
		if g, waits := r.c.Due(); !r.over && waits && !g.Expired {
			stuck = false
			// Nobody is asked to agree while nobody can tell who asked for it, which people hear instead.
			if w.told["gate "+r.c.Instance] == 0 && (r.c.Unknown == "" || w.told["wait "+r.c.Instance] == 0) {
				w.broken("nobody was told that %s waits at gate %s", r.c.Instance, g.ID)
			}
		}
		if !r.over && r.c.Paused != "" {
			stuck = false
			if w.told["hold "+r.c.Instance] == 0 {
				w.broken("nobody was told what %s is stopped for", r.c.Instance)
			}
		}
	}
	for _, r := range w.runs {
		stuck = stuck && (r.over || !r.c.turns()) // its window comes by itself
		for _, c := range r.ordered() {
			switch {
			case c.over:
			case c.c.Phase == PhaseGate && w.told["gate "+c.name()] == 0, c.waitsForAPerson() && w.told["hold "+c.name()] == 0:
				w.broken("nobody was told what %s waits for", c.name())
			}
		}
	}
	for _, m := range w.working() {
		if m.m.Held && w.told["hold "+m.h.name] == 0 {
			w.broken("nobody was told what %s holds for", m.name())
		}
		if m.m.Closed && m.m.keeps() {
			stuck = false
			if w.told["wait "+m.h.name] == 0 {
				w.broken("nobody was told that %s waits for a person", m.name())
			}
		}
		stuck = stuck && !m.m.Held
	}
	for _, r := range w.runs {
		for _, c := range r.ordered() {
			stuck = stuck && (c.over || c.c.Phase != PhaseGate && !c.waitsForAPerson())
		}
	}
	if stuck && !w.waitsForAWindow() {
		w.broken("it waits, and for nobody: %s", w.excuses())
	}
}

// judge holds the promises at the end.
func (w *world) judge() {
	for _, h := range w.hosts {
		if h.ours != "" && (!h.quarantined || w.told["quarantine "+h.name] == 0) {
			w.broken("P5: %s is left drained by %s, and nobody was told", h.name, h.ours)
		}
		if h.half && (!h.quarantined || w.told["quarantine "+h.name] == 0) {
			w.broken("P5: %s is left half way, and nobody was told", h.name)
		}
	}
	w.judgeUpdaters()
	if len(w.claims) > 0 {
		w.broken("all is over, and claims are left: %v", w.claims)
	}
	if left := w.working(); len(left) > 0 {
		w.broken("all is over, and %s goes on", left[0].name())
	}
	for _, r := range w.runs {
		if w.kind != cooperative {
			continue
		}
		if r.c.Outcome != CampaignDone && !r.superseded() {
			w.broken("everything went well, and %s ended %s: %s", r.c.Instance, r.c.Outcome, r.c.Reason)
		}
		for _, h := range w.hosts {
			if h.version != w.latest && !w.omitted[h.name] || !w.inService(h) {
				w.broken("everything went well, and %s has version %d (in service %t), want %d", h.name, h.version, w.inService(h), w.latest)
			}
		}
	}
}

// Trouble.

func (w *world) calmDown() {
	w.calm = true
	w.logf("all is calm")
	w.blind, w.mute, w.idle, w.frozen = w.now, w.now, w.now, w.now
	w.calendar.calmDown(w.now)
	for _, h := range w.hosts {
		h.foreign, h.sickUntil, h.keyUntil, h.cling = false, w.now, w.now, w.now
		if h.downUntil.After(w.now) {
			h.downUntil = w.now.Add(time.Minute)
		}
	}
}

func (w *world) somethingHappens() {
	if w.calm {
		return
	}
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	lasts := w.between(time.Minute, 3*time.Hour)
	switch what := w.rng.IntN(13); {
	case what < 3:
		h.downUntil = w.now.Add(lasts)
		w.logf("%s goes down for %s", h.name, lasts)
	case what < 5:
		h.sickUntil = w.now.Add(lasts)
		w.logf("%s is sick for %s", h.name, lasts)
	case what < 7:
		if !h.foreign {
			h.foreign = true
			w.logf("somebody takes %s into maintenance for %s", h.name, lasts)
			w.after(lasts, func() { h.foreign = false })
		}
	case what < 8:
		if w.chance(0.8) {
			lasts /= 3
		}
		w.blind = w.now.Add(lasts)
		w.logf("the servers cannot be read for %s", lasts)
	case what < 9:
		w.publish()
	case what < 10:
		w.mute = w.now.Add(lasts)
		w.logf("nobody answers to a claim for %s", lasts)
	case what < 11:
		w.idle = w.now.Add(lasts)
		w.logf("no member can be started for %s", lasts)
	case what < 12:
		w.frozen = w.now.Add(lasts)
		w.logf("somebody freezes the estate for %s", lasts)
	default:
		if w.kind == troubled {
			w.somebodySays()
		}
	}
	w.after(w.between(2*time.Minute, time.Hour), w.somethingHappens)
}

// away is a time in which no worker is there: what was due in it comes when one is back, each thing in its turn.
func (w *world) away() {
	lasts := time.Minute + time.Duration(w.outages.Int64N(int64(8*time.Hour)))
	w.logf("no worker is there for %s", lasts)
	w.seen["no worker"]++
	w.wentAt, w.backAt = w.now, w.now.Add(lasts)
	var due eventQueue
	for w.queue.Len() > 0 && w.queue[0].at.Before(w.backAt) {
		due = append(due, heap.Pop(&w.queue).(event))
	}
	for i, e := range due {
		e.at = w.backAt.Add(time.Duration(i))
		heap.Push(&w.queue, e)
	}
	if w.now.Sub(epoch) < 3*24*time.Hour {
		w.after(lasts+time.Duration(w.outages.Int64N(int64(24*time.Hour))), w.away)
	}
}

// missed says that something came due while no worker was there, and that nobody asked the checks since.
func (c *clusterRun) missed(due time.Time) bool {
	return due.After(c.wentAt) && c.backAt.Sub(due) > tooLate && c.verdictAt.Before(c.backAt)
}

// crashes kills a workflow's memory and what it has in flight.
func (w *world) crashes() {
	var all []interface{ crash() }
	for _, r := range w.runs {
		if r.over {
			continue
		}
		all = append(all, r)
		for _, c := range r.ordered() {
			if !c.over {
				all = append(all, c)
			}
		}
	}
	for _, m := range w.working() {
		all = append(all, m)
	}
	if len(all) > 0 {
		w.seen["crash"]++
		all[w.rng.IntN(len(all))].crash()
	}
	if w.now.Sub(epoch) < 3*24*time.Hour {
		w.after(w.between(time.Minute, 90*time.Minute), w.crashes)
	}
}

// People.

// somebodySays sends any message to anybody.
func (w *world) somebodySays() {
	r := w.runs[w.rng.IntN(len(w.runs))]
	if r.over {
		return
	}
	words := []string{"approve", "reject", "backout", "hold", "resume", "retry", "abort", "extend", "skip"}
	if w.chance(0.4) {
		w.somebodyVotes(r)
		return
	}
	word := words[w.rng.IntN(len(words))]
	if word == "abort" && w.chance(0.6) {
		word = "hold"
	}
	for _, m := range w.working() {
		if m.m.Held && w.chance(0.5) {
			m.cl.hear([]string{"retry", "skip", "backout"}[w.rng.IntN(3)])
			return
		}
	}
	if cs := r.ordered(); len(cs) > 0 && w.chance(0.7) {
		c := cs[w.rng.IntN(len(cs))]
		if c.c.Phase == PhaseSoak && w.odds.Float64() < 0.1 { // what fits there is said too rarely by chance
			word = "extend"
		}
		c.hear(word)
		return
	}
	r.hear(word)
}

// peopleCome looks after what waits, when all is calm; in a cooperative world they approve what passed.
func (w *world) peopleCome() {
	for _, r := range w.runs {
		if r.over {
			continue
		}
		if (w.calm || w.kind == cooperative) && r.c.Paused != "" {
			r.hear("resume")
		}
		if _, waits := r.gateOf(); waits && r.begun {
			r.people.speak(true)
			r.step()
		}
		for _, c := range r.ordered() {
			switch {
			case c.over:
			case c.c.Phase == PhaseGate && (w.trouble(0.3) || w.calm && c.c.Verdict != Pass):
				c.hear("reject")
			case c.c.Phase == PhaseGate:
				c.people.speak(true)
				c.step()
			case c.c.Phase == PhaseHold && c.c.Gate.Expired && c.expiries < 10:
				c.expiries++
				c.hear("resume")
			case c.c.Phase == PhaseHold && c.c.Gate.Expired: // too few are left whose keys are good
				c.hear("abort")
			case !w.calm:
			case c.c.Paused != "" && c.c.Phase != PhaseHold:
				c.hear("resume")
			case c.c.Phase == PhaseHold && c.answers < 3:
				c.answers++
				c.hear([]string{"resume", "retry", "backout", "abort", "skip"}[w.rng.IntN(5)])
			case c.keptOut():
				c.hear("backout")
			case c.c.Phase == PhaseHold, c.holds():
				c.hear("abort")
			case c.c.Doubted:
				c.hear("reject")
				c.hear("abort") // where no soak is open to reject
			}
		}
	}
	w.after(w.between(10*time.Minute, time.Hour), w.peopleCome)
}

// clusterRun is the workflow of one cluster.
type clusterRun struct {
	*world
	camp *campaignRun
	spec *spec
	c    Cluster
	flights
	wake      time.Time
	over      bool
	members   []*memberRun
	reported  Report
	reportsAt time.Time
	answers   int
	cut       map[string]int
	fitAt     time.Time // when windows and freezes last said that a member may begin
	proven    bool      // records said so of the next member
	provenAt  time.Time // and when
	people    *assembly
	expiries  int       // of its gates, after which it was resumed
	doubted   time.Time // since when something speaks against what people said before
	doubtedIn int       // of this soak

	first      *memberRun // the canary: the first that was patched
	firstAt    time.Time
	streak     int       // passes in a row since then
	passesFrom time.Time // when the soak is over if nothing else is heard
	passed     bool
	approved   bool
	verdict    Verdict // heard last
	verdictAt  time.Time
	patchedAt  time.Time // when the last one was patched
	settledAt  time.Time // and that, once it settled
	last       map[string]Outcome
	failed     string            // why nobody else may be touched
	suspect    bool              // a fail that could be compared with nobody; a pass clears it
	aborted    bool              // a person said so
	fails      map[string]int    // ends of a host's workflow without a patch
	longer     time.Duration     // what people added to the soak
	unforgiven map[string]bool   // hosts that ended badly, and nobody has said go on
	gone       map[string]bool   // hosts that were left as they are
	judged     bool              // a soak failed and its backout began, or a person said that what was patched is bad
	owed       []int             // versions that failed on a member
	felt       map[string]string // boots of those that soak, as they told them last
	stuck      time.Time         // since when what it asks for is in trouble
	stuckIn    Phase
	person     bool            // a person said that it is brought back
	may        int             // how often the breaker had tripped when it was told that it may by itself; -1: it was not told, or that was taken back
	warned     bool            // it was told that it may not
	exempt     map[string]bool // hosts that were in quarantine when the updaters were turned off
}

// waitsForAPerson says that somebody must have been told.
func (c *clusterRun) waitsForAPerson() bool { return c.c.Phase == PhaseHold || c.c.Doubted || c.c.Held }

func (c *clusterRun) name() string { return c.camp.c.Instance + "/" + c.spec.name }

// holds says that a member of it holds for a person.
func (c *clusterRun) holds() bool {
	for _, r := range c.members {
		if !r.over && r.m.Held && c.now.Sub(r.m.WaitSince) > 3*time.Hour {
			return true
		}
	}
	return false
}

func (c *clusterRun) step() {
	for again := true; again && !c.over; {
		again = false
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Tick(c.now) })
		c.judge(false)
		d := c.c.Next(c.now)
		c.said(c.name(), d)
		if failed := c.c.failedMembers(); c.c.Phase == PhaseHold && c.c.BackoutFor == "" && len(failed) > 1 {
			c.broken("%s holds for %d members: which of them retry and skip mean, nobody says", c.name(), len(failed))
		}
		c.report()
		if strings.Contains(c.c.HoldFor+c.c.Reason, "stopped on its way") {
			c.seen["stopped on its way back"]++
		}
		if d.End {
			c.finish()
			return
		}
		wanted := map[string]bool{}
		for _, a := range d.Start {
			wanted[a.ID] = true
			if c.flights[a.ID] != nil {
				continue
			}
			switch a.Do {
			case DoNotify:
				c.notify(c.flights, a, c.name(), func(n int) { c.c.Outbox.Sent(n) }, c.step)
			case DoClaim, DoRelease:
				c.claim(a)
			case DoWindow:
				c.window(a)
			case DoStaged:
				c.staged(a)
			case DoUpdatersOff, DoUpdatersOn:
				c.updaters(a)
			case DoWatch:
				c.watch(a)
			case DoProve:
				c.prove(a)
			case StepQuarantine:
				c.quarantine(a)
			case DoMember:
				c.start(a)
				again = true
			default:
				c.broken("%s wants %+v", c.name(), a)
			}
		}
		for id, f := range c.flights {
			if strings.HasPrefix(id, "watch.") && !wanted[id] {
				f.lost = true
				delete(c.flights, id)
			}
		}
		if !d.WakeAt.IsZero() && !d.WakeAt.Equal(c.wake) {
			c.wake = d.WakeAt
			if d.WakeAt.Before(c.now) {
				c.broken("%s wants to wake in the past", c.name())
			}
			c.after(d.WakeAt.Sub(c.now), c.step)
		}
	}
}

// interrupt has somebody say something while an action is in flight.
func (c *clusterRun) interrupt() {
	p := 0.008
	if c.c.Phase == PhaseClaim && c.c.Asked > 0 {
		p = 0.05
	}
	if c.kind == troubled && !c.calm && c.chance(p) {
		word := []string{"reject", "backout", "hold", "resume", "abort", "abort"}[c.rng.IntN(6)]
		c.after(c.between(0, 20*time.Second), func() { c.hear(word) })
	}
}

// quarantine puts a version that failed on record.
func (c *clusterRun) quarantine(a Action) {
	e := c.c.Evidence[0]
	from, version := 0, 0
	if _, err := fmt.Sscanf(e.Changes, "%d>%d", &from, &version); err != nil {
		c.broken("%s puts %q into quarantine", c.name(), e.Changes)
	}
	if !c.blamed(version) {
		c.broken("%s puts version %d into quarantine, and nothing speaks against it: %s", c.name(), version, e.Why)
	}
	c.launch(c.flights, a.ID, c.between(time.Second, 20*time.Second), func() {
		lost := c.now.Before(c.mute) || c.trouble(0.2)
		if !lost || c.chance(0.5) { // else it was not even heard
			if c.shut[c.spec.name] == nil {
				c.shut[c.spec.name] = map[int]string{}
			}
			c.shut[c.spec.name][version] = c.camp.c.Instance
			c.seen["versions quarantined"]++
		}
		r := ClaimResult{OK: !lost}
		if lost {
			r.Reason = "unreachable"
			c.seen["quarantine in trouble"]++
		}
		c.logf("%s %s of version %d: %+v", c.name(), a.ID, version, r)
		before := c.c
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Recorded(a.ID, r, c.now) })
		switch {
		case before.Phase != PhaseRelease: // it goes on with what it does
		case r.OK:
			c.stuck = time.Time{}
		default:
			c.troubled(before, r)
		}
		c.step()
	})
}

// blamed says that a check, a soak or a person spoke against a version.
func (c *clusterRun) blamed(version int) bool {
	if c.judged && c.first != nil && c.first.to == version {
		return true
	}
	for _, r := range c.members {
		if r.blamed && r.to == version {
			return true
		}
	}
	return false
}

// owesRecord says which version must be on record before the claim is given back, or 0.
func (c *clusterRun) owesRecord() int {
	if c.judged && c.first != nil && c.shut[c.spec.name][c.first.to] == "" {
		return c.first.to
	}
	for _, v := range c.owed {
		if c.shut[c.spec.name][v] == "" {
			return v
		}
	}
	return 0
}

func (c *clusterRun) claim(a Action) {
	if a.Do == DoRelease {
		c.mayLeave()
	}
	if v := c.owesRecord(); a.Do == DoRelease && v != 0 {
		c.broken("%s gives its claim back, and version %d, which failed, is not on record", c.name(), v)
	}
	c.interrupt()
	c.launch(c.flights, a.ID, c.between(time.Second, 20*time.Second), func() {
		names, taken := append([]string{c.spec.name}, c.spec.shares...), ""
		for _, name := range names {
			if owner := c.taken(name); owner != "" {
				taken = name + " is claimed by " + owner
			}
		}
		waits, lost := false, c.now.Before(c.mute) || c.trouble(0.2)
		switch release := a.Do == DoRelease; {
		case lost && c.chance(0.5): // it was not even heard
		case release:
			waits = c.handsOver(names)
		case taken == "":
			c.takes(names)
		default:
			c.seen["claim waited"]++
			c.demands(names)
		}
		r := ClaimResult{OK: a.Do == DoRelease && !waits || a.Do == DoClaim && taken == "", Held: a.Do == DoClaim && taken != "" || waits, Reason: taken}
		if lost {
			r = ClaimResult{Reason: "unreachable"}
		}
		c.logf("%s %s: %+v", c.name(), a.ID, r)
		before := c.c
		if a.Do == DoRelease {
			c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Released(a.ID, r, c.now) })
		} else {
			c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Claim(a.ID, r, c.now) })
		}
		c.troubled(before, r)
		c.step()
	})
}

// troubled holds what trouble comes to against books of its own: it is told once, when it lasts too long and not before, and what
// another instance has is no trouble.
func (c *clusterRun) troubled(before Cluster, r ClaimResult) {
	switch {
	case r.OK || r.Held:
		c.stuck = time.Time{}
	case c.stuck.IsZero() || c.stuckIn != before.Phase:
		c.stuck, c.stuckIn = c.now, before.Phase
	}
	late := !c.stuck.IsZero() && c.now.Sub(c.stuck) >= c.c.Policy.WaitMax && (before.Suspect == "" || before.Held)
	gives := c.c.Policy.Unattended && (before.Phase == PhaseClaim || before.Phase == PhaseRoll)
	if gave := strings.HasPrefix(c.c.Reason, "gave up after") && before.Ending == ""; gave != (late && gives && before.AbortFor == "" && before.BackoutFor == "") {
		c.broken("%s, in trouble in %s since %s, ends it: %t", c.name(), before.Phase, c.stuck, gave)
	} else if gave {
		c.seen["gave up in "+string(before.Phase)]++
	}
	if c.c.Phase != before.Phase {
		return
	}
	if c.c.Policy.Emergency && r.Held && before.Phase == PhaseClaim && before.WaitFor == "" {
		before.Outbox.Last++ // people hear whom it waits for
	}
	if told := c.c.Outbox.Last > before.Outbox.Last; late != c.c.Held || told != (late && !before.Held) {
		c.broken("%s, in trouble in %s since %s: held %t, told %t", c.name(), before.Phase, c.stuck, c.c.Held, told)
	}
	if c.c.Held {
		c.seen["held in "+string(c.c.Phase)]++
		if c.c.Report().Phase != PhaseHold {
			c.broken("%s is held, and reports %+v", c.name(), c.c.Report())
		}
	}
	if before.Held && !c.c.Held {
		c.seen["went on by itself"]++
	}
}

// start records a member's start, then makes it.
func (c *clusterRun) start(a Action) {
	if c.claims[c.spec.name] != c.camp.c.Instance {
		c.broken("%s starts %s without its claim", c.name(), a.ID)
	}
	if a.Mode == ModePatch {
		if c.failed != "" || c.aborted {
			c.broken("P3: %s starts %s after %q (aborted %t)", c.name(), a.Host, c.failed, c.aborted)
		}
		c.maySettle(a.Host)
		if c.first != nil && c.last[a.Host] == "" && c.missed(c.c.SoakEnds) {
			c.broken("P3: %s starts %s, and nobody looked since the soak ended while no worker was there", c.name(), a.Host)
		}
		if a.Canary != (c.first == nil) {
			c.broken("P4: %s starts %s with canary %t, but %v was first", c.name(), a.Host, a.Canary, c.first)
		}
	} else if c.judged = c.judged || c.failed == "a failed soak"; c.failed == "" {
		c.broken("%s backs %s out, and nobody said so", c.name(), a.Host)
	} else if !c.person && c.may < 0 {
		c.broken("%s backs %s out by itself, and its campaign has not said that it may", c.name(), a.Host)
	}
	c.mayBegin(a)
	c.mayShip(a)
	c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Started(a.Host, a.Mode, c.now) })
	c.begin(c.slotOf(a.Host))
}

func (c *clusterRun) slotOf(host string) Slot {
	for _, s := range c.c.Members {
		if s.Host == host {
			return s
		}
	}
	return Slot{}
}

// begin starts the workflow of a slot that is recorded as running, unless it exists.
func (c *clusterRun) begin(s Slot) {
	c.launch(c.flights, fmt.Sprintf("start.%s.%d", s.Host, s.Tries), c.between(time.Second, 5*time.Second), func() {
		var r ClaimResult
		switch {
		case c.at[s.Host] != nil || c.trouble(0.05):
			c.seen["host taken"]++
			r = ClaimResult{Held: true, Reason: "another instance works on " + s.Host}
		case c.now.Before(c.idle):
			r = ClaimResult{Reason: "the workflow of " + s.Host + " cannot be started"}
		default:
			c.run(s)
			return
		}
		c.logf("%s cannot start %s: %+v", c.name(), s.Host, r)
		before := c.c
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.NotStarted(s.Host, r, c.now) })
		c.troubled(before, r)
		c.step()
	})
}

// run is the workflow of a slot, which was started.
func (c *clusterRun) run(s Slot) {
	r := &memberRun{
		world: c.world, cl: c, try: s.Tries, serves: true, flights: flights{}, runNo: map[Step]int{}, inUse: map[Step]bool{}, cuts: map[Step]int{},
		m: NewMember(c.camp.c.Instance, c.spec.name, s.Host, s.Mode, s.Canary, c.camp.member).Begins(c.c.Unbound, c.now),
	}
	r.m.Broken = c.c.Broken
	for _, h := range c.spec.members {
		if h.name == s.Host {
			r.h = h
		}
	}
	r.from, r.wasRenamed = r.h.version, r.h.renamed
	if s.Mode == ModePatch {
		r.manifest, _ = strconv.Atoi(c.c.Manifest)
	} else if _, err := fmt.Sscanf(s.Changes, "%d>%d", &r.from, &r.to); err != nil {
		c.broken("%s backs %s out and does not know to what: %q", c.name(), s.Host, s.Changes)
	}
	c.members = append(c.members, r)
	c.at[s.Host] = r
	before := c.c
	c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Confirmed(s.Host, r.name()) })
	c.troubled(before, ClaimResult{OK: true})
	r.step()
}

// mayTouch is P3, asked when a member that is to be patched is drained.
func (c *clusterRun) mayTouch(r *memberRun) {
	c.mayPatch(r)
	for _, o := range r.h.in {
		if o.undrained {
			c.broken("%s is worked on although %s is not drained, and nobody accepted that", r.name(), o.name)
		}
		if o.accepted && !r.m.Touched && !time.UnixMilli(r.m.OutAt).Before(o.until) {
			c.broken("%s is begun although the outage of %s was accepted until %s only", r.name(), o.name, o.until)
		}
	}
	for host := range c.unforgiven {
		if host != r.h.name {
			c.broken("P3: %s is drained although %s ended badly and nobody said go on", r.name(), host)
		}
	}
	if c.first == nil || c.first.h == r.h {
		return
	}
	if !c.soaked() {
		c.broken("P3: %s is drained before the soak of %s passed", r.name(), c.first.h.name)
	}
	if c.c.Policy.SoakApproval && !c.approved {
		c.broken("P3: %s is drained and nobody approved the soak", r.name())
	}
}

// maySettle holds that a wave's next member waits for passing checks of the one before.
func (c *clusterRun) maySettle(host string) {
	if c.patchedAt.Equal(c.settledAt) {
		return
	}
	c.settledAt = c.patchedAt
	if c.now.Before(c.patchedAt.Add(c.c.Policy.Settle)) {
		c.broken("%s starts %s before the one before it has settled", c.name(), host)
	}
	if c.missed(c.c.Settling.Add(c.c.Policy.Settle)) {
		c.broken("%s starts %s, and nobody looked since the one before it was to have settled, while no worker was there", c.name(), host)
	}
	if c.c.Policy.Settle > 0 && (c.verdict != Pass || c.verdictAt.Before(c.patchedAt)) {
		c.broken("%s starts %s with %q of the one before it", c.name(), host, c.verdict)
	}
}

func (c *clusterRun) soaked() bool {
	return c.passed || !c.passesFrom.IsZero() && !c.now.Before(c.passesFrom)
}

// gets is P4, asked when a patch begins.
func (c *clusterRun) gets(r *memberRun) {
	if c.first != nil && r.to != c.first.to {
		c.broken("P4: %s gets version %d, but %d soaked", r.name(), r.to, c.first.to)
	}
}

func (c *clusterRun) ended(r *memberRun) {
	delete(c.unforgiven, r.h.name)
	c.last[r.h.name] = r.m.Outcome
	if r.m.Mode == ModePatch && !r.end.NotNow && r.m.Outcome != Patched && r.m.Outcome != Unchanged && !r.given {
		c.fails[r.h.name]++
	}
	if c.notNow(r) {
		return
	}
	if r.blamed && r.cuts[StepPatch] == 0 && r.m.Outcome == BackedOut && c.fails[r.h.name] > c.c.Policy.Retries && (c.c.Policy.OnFailure != FailSkipMember || c.first == nil) {
		c.owed = append(c.owed, r.to)
	}
	if r.m.Outcome == Patched {
		c.patchedAt = c.now
	}
	switch {
	case r.m.Mode == ModeBackout:
		if c.first != nil && c.first.h == r.h && r.m.Outcome == BackedOut {
			c.seen["backed out while soaking"]++
		}
	case r.m.Outcome == Patched:
		if c.first == nil {
			c.first, c.firstAt = r, c.now
			if r.end.Manifest == "" && c.failed == "" {
				c.seen["told no manifest"]++
				c.failed = "a canary without a manifest"
			}
		}
	case r.m.Outcome == Unchanged:
	case r.given:
		c.gone[r.h.name] = true
	case c.failed == "" && c.undoes(r):
		c.failed = "a member that failed"
	case c.c.Policy.OnFailure == FailSkipMember && c.first != nil && r.m.Outcome.Safe() && len(c.gone) < c.c.Policy.Failures && c.fails[r.h.name] > c.c.Policy.Retries:
		c.seen["left by policy"]++
		c.gone[r.h.name] = true
	default:
		if c.c.Policy.OnFailure == FailSkipMember && len(c.gone) >= c.c.Policy.Failures {
			c.seen["one too many failed"]++
		}
		c.unforgiven[r.h.name] = true
	}
}

// hears is the end of a member as its cluster is told of it: a pass until then speaks for the patch.
func (c *clusterRun) hears(r *memberRun) {
	if c.suspect && !r.reported && r.m.Outcome != Patched && !c.aborted {
		c.suspect, c.failed = false, "a failed soak"
	}
	r.reported = true
	delete(c.felt, r.h.name)
}

// watch samples the checks once.
func (c *clusterRun) watch(a Action) {
	patched, peers := c.c.Watch()
	passes, takes := c.c.Passes, 10*time.Minute
	if c.c.Verdict == "" {
		takes = 10 * time.Second
	}
	if c.trouble(0.1) {
		takes = c.between(10*time.Minute, time.Hour)
	}
	sample := func() WatchResult {
		r := WatchResult{ID: a.ID, Verdict: Pass, Passes: passes + 1, Samples: 1, Pulses: c.pulses(patched)}
		for _, h := range c.spec.members {
			if !contains(patched, h.name) || c.healthy(h, true) {
				continue
			}
			r.Verdict, r.Passes, r.Reason, r.Blame = Fail, 0, h.name+" fails its checks", "check page"
			for _, p := range c.spec.members {
				if contains(peers, p.name) && !c.healthy(p, true) || !c.up(h) {
					r.Verdict = Inconclusive
				}
			}
		}
		if c.trouble(0.05) {
			r.Verdict, r.Passes, r.Reason = Inconclusive, 0, "unreachable"
		}
		return r
	}
	c.launch(c.flights, a.ID, takes, func() {
		r := sample()
		c.logf("%s %s: %+v", c.name(), a.ID, r)
		if c.feels(r) {
			c.soaksAnew()
		} else {
			c.heard(r.Verdict)
		}
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Sampled(r, c.now) })
		c.step()
	})
	if c.chance(0.1) {
		c.after(c.between(takes+time.Second, 5*time.Hour), func() { // its cancel came too late
			for _, want := range c.c.Next(c.now).Start {
				if want.ID == a.ID {
					return
				}
			}
			c.seen["late watch"]++
			r := sample()
			if after := c.c.Sampled(r, c.now); !c.over && fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", c.c) {
				c.broken("%s: the late %s changed %+v to %+v", c.name(), a.ID, c.c, after)
			}
		})
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// heard keeps the oracle's own books of the first soak.
func (c *clusterRun) heard(v Verdict) {
	c.verdict, c.verdictAt = v, c.now
	if v == Pass {
		c.suspect = false
		c.streak++
		if c.streak == c.c.Policy.SoakPasses {
			c.passesFrom = c.firstAt.Add(c.c.Policy.Soak + c.longer)
			if c.passesFrom.Before(c.now) {
				c.passesFrom = c.now
			}
		}
		return
	}
	switch {
	case v == Fail && c.alone():
		c.suspect = true
		c.seen["soak suspect"]++
	case v == Fail:
		c.failed = "a failed soak"
		c.seen["soak failed"]++
	default:
		c.seen["soak inconclusive"]++
	}
	c.passed = c.soaked()
	c.streak, c.passesFrom = 0, time.Time{}
}

// alone says that nobody is left to compare with: the only member that is not patched is the one on its way.
func (c *clusterRun) alone() bool {
	on := c.unheard()
	for _, r := range c.members {
		on = on || !r.over
	}
	for _, h := range c.spec.members {
		on = on || c.starting(h.name)
		if !c.works(h.name) {
			continue
		}
		if c.last[h.name] == "" && !c.working(h.name) && !c.starting(h.name) || c.last[h.name] == Unchanged && c.c.Manifest == "" {
			return false
		}
	}
	return on
}

// unheard says that a member was patched, and its report is still on its way to the cluster.
func (c *clusterRun) unheard() bool {
	for _, s := range c.c.Members {
		if s.Running && s.Mode == ModePatch && !c.working(s.Host) && c.last[s.Host] == Patched {
			return true
		}
	}
	return false
}

// starting says that the start of a member's workflow is in flight: it is on record as on its way.
func (c *clusterRun) starting(host string) bool {
	for id := range c.flights {
		if strings.HasPrefix(id, "start."+host+".") {
			return true
		}
	}
	return false
}

func (c *clusterRun) working(host string) bool {
	for _, r := range c.members {
		if !r.over && r.h.name == host {
			return true
		}
	}
	return false
}

// hear applies a person's message as the workflow does: its validator first.
func (c *clusterRun) hear(word string) {
	if c.over {
		return
	}
	m := jane
	if err := may(c.c, word, m); err != nil {
		after := c.c
		switch word {
		case "approve":
			after = agree(after, 0, c.now)
			after.Gate = c.c.Gate
		case "backout":
			after = after.Backout(m, word, c.now)
		}
		if fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", c.c) {
			c.broken("%s: a refused %s changed %+v to %+v", c.name(), word, c.c, after)
		}
		return
	}
	c.logf("somebody says %s to %s (%s)", word, c.name(), c.c.Phase)
	before := c.c
	switch word {
	case "approve":
		c.people.speak(true)
	case "reject", "backout":
		if word == "reject" {
			c.seen["soak rejected"]++
		}
		c.failed, c.judged, c.person = word, true, true
		c.c = before.Backout(m, word, c.now)
		c.tell(before, "backout")
	case "hold":
		c.c = before.Hold(m)
	case "skip":
		c.c = before.Skip(m, c.now)
		if _, running := before.running(); running {
			c.tell(before, word)
			break
		}
		c.seen["skipped a failure"]++
		clear(c.unforgiven)
		for host, o := range c.last {
			if o != Patched && o != Unchanged {
				c.gone[host] = true
			}
		}
	case "extend":
		c.seen["soak extended"]++
		c.doubted, c.doubtedIn = c.now, before.SoakNo
		c.c = before.Extend(forHalfADay(m), c.now)
		if c.c.Wave == 0 {
			c.longer = c.c.SoakEnds.Sub(c.firstAt.Add(c.c.Policy.Soak))
			c.passed, c.streak, c.passesFrom = false, 0, time.Time{}
		}
	case "resume":
		c.c = before.Resume(m, c.now)
		switch {
		case before.Phase == PhaseHold && before.Restarts > mostRestarts && c.c.Phase == PhaseSoak:
			clear(c.felt)
			c.soaksAnew()
		case before.stopped():
			c.seen["went on with it"]++
			c.person, c.stuck = true, time.Time{}
		case before.spared():
			c.anew()
		}
	case "retry":
		c.c = before.Retry(m, c.now)
		c.tell(before, word)
		if c.c.Phase != before.Phase {
			c.seen["retried a failure"]++
			clear(c.unforgiven)
			c.person, c.stuck = c.person || before.BackoutFor != "", time.Time{}
		}
	case "undo-all":
		switch {
		case before.BackoutFor != "":
			if c.person = true; before.Phase == PhaseHold {
				c.stuck = time.Time{} // it is begun anew
			}
		case before.MayBackout(m) == nil:
			c.failed, c.judged, c.person = word, true, true
		default:
			c.aborted = c.aborted || before.Phase != PhaseRelease
		}
		c.c = before.BackoutAll(m, c.now)
		c.tell(before, "backout")
		if run, running := before.running(); !running || run.Holds == "" {
			c.abortMembers(ModePatch)
		}
	case "abort":
		c.aborted = c.aborted || c.c.Phase != PhaseRelease
		c.c = before.Abort(m, c.now)
		c.abortMembers(ModePatch, ModeBackout)
	}
	c.step()
}

func (c *clusterRun) abortMembers(modes ...Mode) {
	abort := Member.ApplyAbort
	if c.c.Unbound {
		abort = Member.ApplyBackout
	}
	for _, r := range c.members {
		if !r.over && slices.Contains(modes, r.m.Mode) {
			c.after(c.between(0, time.Minute), func() {
				if !r.over {
					r.logf("%s is told to abort", r.name())
					r.m = untouched(r.world, r.m, func(st Member) Member { return abort(st, r.now) })
					r.step()
				}
			})
		}
	}
}

// tell hands a word on to the member that holds.
func (c *clusterRun) tell(before Cluster, word string) {
	run, running := before.running()
	for _, r := range c.members {
		if running && run.Holds != "" && !r.over && r.h.name == run.Host {
			r.isTold(word)
		}
	}
}

// anew is what a person's resume after a failed soak comes to: it is watched from the beginning.
func (c *clusterRun) anew() {
	c.seen["went on in spite of a failed soak"]++
	if c.person, c.may = false, -1; c.first == nil || c.first.end.Manifest != "" {
		c.failed = "" // what no manifest names nobody goes on from
	}
	clear(c.unforgiven)
	for host := range c.gone {
		if !c.left(host) {
			delete(c.gone, host)
		}
	}
	c.patchedAt = c.now // it settles again
	if c.c.Wave == 0 {
		c.firstAt, c.longer, c.passed, c.approved, c.streak, c.passesFrom = c.now, 0, false, false, 0, time.Time{}
	}
}

// heed is a word of its campaign: sooner or later, in any order, and sometimes twice. An answer may be lost.
func (c *clusterRun) heed(w Word) {
	if w.Ask > 0 && c.trouble(0.3) {
		c.seen["word lost"]++
		return
	}
	deliver := func() {
		if c.over {
			return
		}
		before := c.c
		c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Heed(w, c.now) })
		switch {
		case w.May && w.Ask == before.asking():
			c.seen["granted"]++
			c.may = w.Trip
		case !w.May && w.Trip > c.may:
			c.may, c.warned = -1, true
			if before.asking() > 0 {
				c.seen["refused"]++
				if !c.judged {
					c.seen["spared the versions"]++
				}
			}
		}
		c.logf("%s is told %+v, and is in %s", c.name(), w, c.c.Phase)
		c.step()
	}
	c.after(c.between(0, time.Minute), deliver)
	if c.chance(0.2) {
		c.after(c.between(time.Minute, 3*time.Hour), deliver)
	}
}

// asksAgain puts a question again that was not answered.
func (c *clusterRun) asksAgain() {
	if now := c.c.Report(); !c.over && now.Ask > 0 {
		c.after(c.between(0, 30*time.Second), func() { c.camp.hears(now) })
		c.after(time.Minute, c.asksAgain)
	}
}

// report tells the campaign what changed: in order, sooner or later, and sometimes twice.
func (c *clusterRun) report() {
	now := c.c.Report()
	if now == c.reported {
		return
	}
	c.reported = now
	if at := c.now.Add(c.between(0, 30*time.Second)); at.After(c.reportsAt) {
		c.reportsAt = at
	}
	deliver := func() { c.camp.hears(now) }
	if now.Ask > 0 {
		c.after(time.Minute, c.asksAgain)
		if c.trouble(0.3) {
			c.seen["question lost"]++
			return
		}
	}
	c.after(c.reportsAt.Sub(c.now), deliver)
	if c.chance(0.2) {
		c.after(c.between(time.Minute, 3*time.Hour), deliver)
	}
}

func (c *clusterRun) finish() {
	c.over = true
	c.seen["cluster "+string(c.c.Outcome)]++
	c.logf("%s ends %s: %s", c.name(), c.c.Outcome, c.c.Reason)
	for _, r := range c.members {
		if !r.over {
			c.broken("%s ends while %s works", c.name(), r.name())
		}
	}
	for _, h := range c.spec.members {
		if !c.works(h.name) {
			if c.last[h.name] != "" {
				c.broken("%s ends, and %s is %s although only others were to be worked on", c.name(), h.name, c.last[h.name])
			}
			continue
		}
		switch o := c.last[h.name]; {
		case c.c.Outcome == ClusterDone && o != Patched && o != Unchanged:
			if !c.left(h.name) {
				c.broken("%s is done, but %s is %q", c.name(), h.name, o)
			}
		case c.c.Outcome == ClusterSuperseded && strings.Contains(c.c.Reason, "it held") && strings.Contains(c.c.Reason, "patched: "): // a person had not said what becomes of it
		case c.failed != "" && !c.aborted && o == Patched && !(c.warned && !c.person && c.c.Policy.Unattended):
			c.broken("%s ends %s after %s, and %s stays patched", c.name(), c.c.Outcome, c.failed, h.name)
		}
	}
	if c.c.Outcome == ClusterDone && c.suspect {
		c.broken("%s is done although its last word was a fail that nobody could compare", c.name())
	}
	if c.c.Outcome == ClusterDone && c.failed != "" {
		c.broken("%s is done in spite of %s", c.name(), c.failed)
	}
	if c.c.Claimed {
		c.broken("%s ends with its claim", c.name())
	}
	c.maySkipSoak()
}

func (c *clusterRun) crash() {
	c.logf("the worker of %s crashes", c.name())
	c.lose()
	c.c = reborn(c.world, c.c)
	for _, s := range c.c.Members {
		if !s.Running {
			continue
		}
		var mine *memberRun
		for _, r := range c.members {
			if r.h.name == s.Host && r.try == s.Tries && r.m.Mode == s.Mode {
				mine = r
			}
		}
		switch {
		case mine == nil:
			c.begin(s)
		case mine.over:
			c.after(c.between(0, time.Minute), mine.report)
		}
	}
	c.step()
}

// campaignRun is the workflow of one instance.
type campaignRun struct {
	*world
	c       Campaign
	cluster ClusterPolicy
	member  MemberPolicy
	flights
	wake      time.Time
	people    *assembly
	soakRule  approval.Rule
	gateRules map[string]approval.Rule
	keeper    *keeper
	opened    []string // gates
	clusters  map[string]*clusterRun
	over      bool
	begun     bool
	undone    bool            // a person had the whole campaign backed out
	grants    []time.Time     // of automatic backouts, since a person last resumed it
	granted   map[string]bool // the questions that were answered by a yes
	failures  map[string]int  // by cluster, as they were reported
	excused   int             // of these, what a person had seen
	turning   *turning        // nil: a person started it
}

// ordered lists its clusters' workflows in the order of the inventory.
func (r *campaignRun) ordered() []*clusterRun {
	var out []*clusterRun
	for _, s := range r.world.clusters {
		if c := r.clusters[s.name]; c != nil {
			out = append(out, c)
		}
	}
	return out
}

func (r *campaignRun) step() {
	for again := true; again && !r.over; {
		again, r.begun = false, true
		r.identify()
		r.judge(false)
		r.open()
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.TurnDue(r.now) })
		d := r.c.Next(r.now)
		r.said(r.c.Instance, d)
		if strings.Contains(d.Reason, "not begun until") {
			r.seen["ramp waited"]++
		}
		if strings.Contains(d.Reason, "not begun, because") {
			r.seen["ramp ended it"]++
		}
		if d.End {
			r.finish()
			return
		}
		for _, a := range d.Start {
			if r.flights[a.ID] != nil {
				continue
			}
			if a.Do == DoNotify {
				r.notify(r.flights, a, r.c.Instance, func(n int) { r.c.Outbox.Sent(n) }, r.step)
				continue
			}
			if a.Do == DoProve {
				r.prove(a)
				continue
			}
			if a.Do == DoAhead {
				r.fetchesAhead(a)
				continue
			}
			if a.Do == DoChange {
				r.change(a)
				continue
			}
			if a.Do == DoTurn {
				r.turn(a)
				continue
			}
			if a.Do == DoLook {
				r.look(a)
				continue
			}
			r.mayStart(a.Name)
			r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Started(a.Name) })
			r.begin(a.Name)
			again = true
		}
		if !d.WakeAt.IsZero() && !d.WakeAt.Equal(r.wake) {
			r.wake = d.WakeAt
			if d.WakeAt.Before(r.now) {
				r.broken("%s wants to wake in the past", r.c.Instance)
			}
			r.after(d.WakeAt.Sub(r.now), r.step)
		}
	}
}

func (r *campaignRun) mayStart(name string) {
	ref := func(name string) Ref {
		for _, c := range r.c.Clusters {
			if c.Name == name {
				return c
			}
		}
		return Ref{}
	}
	me, running := ref(name), 0
	if r.undone {
		r.broken("%s starts %s, and a person had it backed out", r.c.Instance, name)
	}
	if r.clusters[name] != nil {
		r.broken("%s starts %s twice", r.c.Instance, name)
	}
	for _, c := range r.c.Clusters {
		if c.Running {
			running++
		}
		if c.Running && contains(me.Shares, c.Name) {
			r.broken("%s starts %s while %s works on a host of it", r.c.Instance, name, c.Name)
		}
		if c.Stage == me.Stage && me.Last && !c.Last {
			if r.clusters[c.Name] == nil || r.clusters[c.Name].c.Outcome == "" {
				r.broken("%s starts %s of its own house before %s has ended", r.c.Instance, name, c.Name)
			}
			r.seen["own house went last"]++
		}
		if c.Stage < me.Stage && (r.clusters[c.Name] == nil || r.clusters[c.Name].c.Outcome != ClusterDone) {
			r.broken("%s starts %s before %s of the stage before is done", r.c.Instance, name, c.Name)
		}
	}
	r.mayRamp(me)
	r.mayBegin(me)
	r.mayChange(name)
	r.mayTurn(name)
	if n := r.failedIn(me.Stage) - r.excused; n >= r.c.StopAny[me.Stage] {
		r.broken("%s starts %s after %d failures in its stage", r.c.Instance, name, n)
	}
	if running >= r.c.Parallel {
		r.broken("%s starts %s beside %d, at most %d may run", r.c.Instance, name, running, r.c.Parallel)
	}
}

// mayRamp holds that the canaries of every step before have been back.
func (r *campaignRun) mayRamp(me Ref) {
	var before []string
	for _, c := range r.c.Clusters {
		if c.Name == me.Name {
			break
		}
		if c.Stage == me.Stage && !r.saysNothing(c.Name) {
			before = append(before, c.Name)
		}
	}
	full := 0 // the clusters of the steps before its own
	for _, n := range r.c.Ramp {
		if full+n > len(before) {
			break
		}
		full += n
	}
	for _, name := range before[:full] {
		if c := r.clusters[name]; c == nil || c.first == nil && c.c.Ending != ClusterDone { // with nothing to patch, or on a person's word
			r.broken("%s starts %s, and the canary of %s has not been back", r.c.Instance, me.Name, name)
		}
	}
}

// saysNothing of the patch does a cluster whose canary was not back, and in which nothing had failed, as an emergency took it over.
func (r *campaignRun) saysNothing(name string) bool {
	c := r.clusters[name]
	if c == nil || c.c.Outcome != ClusterSuperseded || c.first != nil || r.failures[name] > 0 {
		return false
	}
	r.seen["its place in the ramp was taken"]++
	return true
}

func (r *campaignRun) failedIn(stage int) int {
	n := 0
	for _, c := range r.c.Clusters {
		if c.Stage == stage {
			n += r.failures[c.Name]
		}
	}
	return n
}

func (r *campaignRun) begin(name string) {
	r.launch(r.flights, "start."+name, r.between(time.Second, 5*time.Second), func() {
		if r.clusters[name] != nil {
			return
		}
		for _, s := range r.world.clusters {
			if s.name != name {
				continue
			}
			c := &clusterRun{world: r.world, camp: r, spec: s, flights: flights{}, unforgiven: map[string]bool{}, last: map[string]Outcome{}, fails: map[string]int{}, gone: map[string]bool{}, cut: map[string]int{}, felt: map[string]string{}, may: -1}
			c.c = Cluster{Instance: r.c.Instance, Name: name, MinHealthy: s.minHealthy, Policy: r.cluster, Phase: PhaseClaim, Since: r.now}
			if s.accepted {
				c.c.Accepted, c.c.AcceptedUntil = "there is no other", s.until
			}
			for _, o := range r.world.clusters {
				if o.undrained && (o == s || slices.Contains(s.shares, o.name)) {
					c.c.Undrained = append(c.c.Undrained, o.name)
				}
			}
			for _, h := range s.members {
				c.c.Members = append(c.c.Members, Slot{Host: h.name})
			}
			r.narrows(&c.c)
			c.people = r.assembly(c.name())
			c.people.gate = c.gateOf
			r.clusters[name] = c
			c.c.Broken = r.c.Broken
			if r.c.Paused != "" {
				c.c = c.c.Hold(jane)
			}
			c.step()
			if r.c.AbortFor != "" {
				c.hear("abort")
			}
			if r.undone {
				c.hear("undo-all")
			}
		}
	})
}

func (r *campaignRun) hears(rep Report) {
	if !r.over {
		paused, aborted, trips, stage := r.c.Paused, r.c.AbortFor, r.c.Trips, r.c.Stage
		r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Reported(rep, r.now) })
		r.failures[rep.Name] = max(r.failures[rep.Name], rep.Failed)
		if r.c.Stage != stage {
			r.excused = 0
		}
		r.answer(rep)
		if r.c.Trips != trips {
			r.seen["breaker tripped"]++
			for _, c := range r.ordered() {
				c.heed(r.c.Warning())
			}
		}
		if r.c.Limited {
			r.seen["stage stopped"]++
		}
		switch {
		case r.c.AbortFor != aborted:
			r.pass("abort")
		case r.c.Paused != paused:
			r.seen["campaign stopped"]++
			r.pass("hold")
		}
		r.step()
	}
}

// answer hands the answer to a question on, and holds that no more clusters may back out by themselves than the breaker lets.
func (r *campaignRun) answer(rep Report) {
	w, asked := r.c.Answer(rep)
	if !asked {
		return
	}
	if question := fmt.Sprint(rep.Name, rep.Ask); w.May && !r.granted[question] && !r.undone {
		r.granted[question] = true
		r.grants = append(r.grants, r.now)
		n := 0
		for _, at := range r.grants {
			if r.now.Sub(at) < 15*time.Minute {
				n++
			}
		}
		if n > r.c.Breaker {
			r.broken("%s lets %d clusters back out by themselves within 15 minutes, at most %d may", r.c.Instance, n, r.c.Breaker)
		}
	}
	r.clusters[rep.Name].heed(w)
}

func (r *campaignRun) hear(word string) {
	if !r.begun {
		return
	}
	r.logf("somebody says %s to %s", word, r.c.Instance)
	switch word {
	case "hold":
		r.c = r.c.Hold(jane)
	case "resume":
		if r.c.Tripped != "" {
			r.grants = nil
		}
		r.excused = r.failedIn(r.c.Stage)
		r.c = r.c.Resume()
	case "abort":
		r.c = r.c.Abort(jane, r.now)
	case "backout":
		if r.c.MayBackout(jane) != nil {
			return
		}
		r.seen["campaign backed out"]++
		r.undone, word = true, "undo-all"
		r.c = r.c.Backout(jane)
	default:
		return
	}
	r.pass(word)
	r.step()
}

func (r *campaignRun) pass(word string) {
	for _, c := range r.ordered() {
		r.after(r.between(0, time.Minute), func() { c.hear(word) })
	}
}

func (r *campaignRun) finish() {
	r.over = true
	r.changeClosed()
	r.seen["campaign "+string(r.c.Outcome)]++
	r.logf("%s ends %s: %s", r.c.Instance, r.c.Outcome, r.c.Reason)
	if r.told["done "+r.c.Instance]+r.told["halted "+r.c.Instance] == 0 {
		r.broken("nobody was told that %s is over", r.c.Instance)
	}
	r.mayNeverBegin()
	for _, c := range r.ordered() {
		if c.c.Outcome == "" {
			r.broken("%s ends while %s works", r.c.Instance, c.name())
		}
		if r.undone != strings.HasPrefix(r.c.Reason, "backed out by") || r.undone && r.c.Outcome != CampaignHalted {
			r.broken("%s was backed out (%t), and ended %s: %s", r.c.Instance, r.undone, r.c.Outcome, r.c.Reason)
		}
		if r.c.Outcome == CampaignDone && c.c.Outcome != ClusterDone {
			r.broken("%s is done, but %s is %s", r.c.Instance, c.name(), c.c.Outcome)
		}
	}
}

func (r *campaignRun) crash() {
	r.logf("the worker of %s crashes", r.c.Instance)
	r.lose()
	r.c = reborn(r.world, r.c)
	for _, ref := range r.c.Clusters {
		if ref.Running && r.clusters[ref.Name] == nil {
			r.begin(ref.Name)
		}
	}
	if r.begun {
		r.step()
	}
}

func TestSeedPlaysTheSameTwice(t *testing.T) {
	t.Parallel()
	for seed := range 20 {
		var first, second []string
		simulate(seed, func(line string) { first = append(first, line) })
		simulate(seed, func(line string) { second = append(second, line) })
		for i := range first {
			if i >= len(second) || first[i] != second[i] {
				t.Fatalf("seed %d: line %d is %q at first", seed, i, first[i])
			}
		}
		if len(first) == 0 || len(first) != len(second) {
			t.Fatalf("seed %d: %d lines, then %d", seed, len(first), len(second))
		}
	}
}

// undoes says that the policy brings the patched members back for this one.
func (c *clusterRun) undoes(r *memberRun) bool {
	if c.c.Policy.OnFailure != FailBackoutCluster || c.aborted || !r.m.Outcome.Safe() || c.fails[r.h.name] <= c.c.Policy.Retries {
		return false
	}
	for _, o := range c.last {
		if o == Patched {
			return true
		}
	}
	return false
}

// left says that a member was left as it is, by policy or on a person's word.
func (c *clusterRun) left(host string) bool {
	for _, s := range c.c.Members {
		if s.Host == host {
			return s.Left
		}
	}
	return false
}
