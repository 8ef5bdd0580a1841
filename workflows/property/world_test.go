// Package property_test runs the workflows themselves, in Temporal's test environment, through random worlds: activities that fail,
// whose answers are lost or never come, messages at any time, histories that are too long at any point, and runs ended from outside. The
// world judges what it is asked to do by books of its own. The rules alone go through many more worlds in package rollout.
package property_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const (
	parentCloseAbandon     = enumspb.PARENT_CLOSE_POLICY_ABANDON
	timeoutScheduleToClose = enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
)

var epoch = time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)

// world is what the workflows of a seed act upon: hosts, packages, claims and people.
type world struct {
	seed     int
	env      *testsuite.TestWorkflowEnvironment
	template workflow.Info // of the stage, which says that history is long
	trace    func(string)
	why      string // the promise that was broken first
	judging  bool   // all is over: what still runs is ended, and touches nothing

	kind  kind
	calm  bool
	kills bool    // runs are ended from outside
	tired float64 // how many of the runs have long histories
	rngs  map[string]*rand.Rand
	runs  map[string][]*run // by workflow id
	order []string          // of the ids

	machines  []*machine
	specs     []*spec
	campaigns []*campaign
	members   map[string]*memberBook  // by instance, cluster, host and try
	owners    map[string]*memberBook  // by the id of a run on a host
	at        map[string]*memberBook  // by host: who works on it
	clusters  map[string]*clusterBook // by instance and cluster
	claims    map[string]string
	shut      map[string]map[int]string // by cluster and version in quarantine: the instance
	forgot    bool                      // the server has forgotten something
	gone      map[string]bool           // by instance and host: who drained it and is forgotten
	inventory bool                      // the sweeper has one, and surveys
	blind     time.Time                 // until then the servers cannot be read
	mute      time.Time                 // until then nobody answers to a claim or a release
	frozen    time.Time                 // until then a person has the estate frozen
	traits    []trait
	calendar  *calendar // nil: no windows

	entries map[string]audit.Entry // by digest
	inOrder []audit.Entry
	said    map[string]bool // request ids that were taken
	told    map[string]int  // by event and whom it is about
	seen    map[string]int  // what happened at least once
}

// kind is how a seed's people and things behave.
type kind int

const (
	cooperative kind = iota // everything goes well in the end, and people answer
	troubled                // trouble and random messages, then calm and people who answer
	deserted                // trouble, and nobody ever answers
	deaf                    // like deserted, unattended: it must end by itself once things are calm
)

// trait is what a package version does to its host.
type trait int

const (
	good trait = iota
	failsPatch
	failsCheck
	failsTraffic
	failsSoak
)

// machine is one host.
type machine struct {
	name        string
	version     int
	half        bool   // packages between two versions
	ours        string // the instance whose maintenance is on it
	foreign     bool   // somebody else's maintenance is on it
	quarantined bool
	rebootAt    time.Time // when a reboot's script was begun last
	powered     bool      // its power was cycled since
	downUntil   time.Time // unreachable and out of service
	sickUntil   time.Time // fails its checks, by no fault of a version
	patchedAt   time.Time
	boots       int
	seq         int64 // of the last run that began
	scripts     map[string]*script
	busy        string // what changes it now
	in          []*spec
	updaters    map[string]*updaters // by owner
}

// script is a run that goes on whoever watches.
type script struct {
	result rollout.MemberResult
	until  time.Time
	spent  bool // it ended by what clears by itself: another one asks again
}

// spec is one cluster of the inventory.
type spec struct {
	name       string
	members    []*machine
	maxOut     int
	minHealthy int
	accepted   bool
	stage      int
	shares     []string
}

func newWorld(seed int, trace func(string)) *world {
	w := &world{
		seed: seed, trace: trace, kind: kind(seed % 5), rngs: map[string]*rand.Rand{}, runs: map[string][]*run{}, members: map[string]*memberBook{}, owners: map[string]*memberBook{},
		at: map[string]*memberBook{}, clusters: map[string]*clusterBook{}, claims: map[string]string{}, gone: map[string]bool{}, shut: map[string]map[int]string{}, entries: map[string]audit.Entry{},
		traits: []trait{good, good}, said: map[string]bool{}, told: map[string]int{}, seen: map[string]int{},
	}
	if w.kind > deaf {
		w.kind = troubled
	}
	rng := w.rng("world")
	w.kills = (w.kind == troubled || w.kind == deaf) && rng.Float64() < 0.25
	w.tired = []float64{0, 0.5, 1}[rng.IntN(3)]
	p := w.rng("inventory").Float64()
	w.inventory = p < 0.4 || w.kills && p < 0.8
	w.publish(rng)
	w.build(rng)
	w.campaigns = append(w.campaigns, w.newCampaign(rng, 0))
	if rng.Float64() < 0.2 {
		w.campaigns = append(w.campaigns, w.newCampaign(rng, 1))
	}
	return w
}

// rng is the random stream of one actor: who draws when does not change what the others draw.
func (w *world) rng(of string) *rand.Rand {
	r := w.rngs[of]
	if r == nil {
		h := fnv.New64a()
		h.Write([]byte(of))
		r = rand.New(rand.NewPCG(uint64(w.seed), h.Sum64()))
		w.rngs[of] = r
	}
	return r
}

// grid is a time between two, in tenths of a second: whatever happens at all happens at one of them.
func (w *world) grid(rng *rand.Rand, low, high time.Duration) time.Duration {
	const step = 100 * time.Millisecond
	return low + step*time.Duration(rng.Int64N(int64((high-low)/step)+1))
}

func (w *world) trouble(rng *rand.Rand, p float64) bool {
	return w.kind != cooperative && !w.calm && rng.Float64() < p
}

func (w *world) now() time.Time { return w.env.Now() }

// later runs something on the clock of the test environment.
func (w *world) later(d time.Duration, do func()) { w.env.RegisterDelayedCallback(do, d) }

// between has it happen when nobody is in the middle of anything.
func (w *world) between(d time.Duration, do func()) { w.later(d+50*time.Millisecond, do) }

// ids are the workflow ids in the order in which they were first seen.
func (w *world) ids() []string {
	for id := range w.runs {
		if !slices.Contains(w.order, id) {
			w.order = append(w.order, id)
		}
	}
	slices.Sort(w.order)
	return w.order
}

func (w *world) broken(format string, args ...any) {
	if w.why == "" && !w.judging {
		w.why = w.stamp() + " " + fmt.Sprintf(format, args...)
		w.logf("BROKEN: %s", w.why)
	}
}

func (w *world) stamp() string { return "+" + w.now().Sub(epoch).String() }

func (w *world) logf(format string, args ...any) {
	if w.trace != nil {
		w.trace(w.stamp() + " " + fmt.Sprintf(format, args...))
	}
}

func (w *world) newest() int { return len(w.traits) - 1 }

func (w *world) publish(rng *rand.Rand) {
	next := good
	if w.kind != cooperative && rng.Float64() < 0.5 {
		next = trait(1 + rng.IntN(4))
	}
	w.traits = append(w.traits, next)
}

// build makes one or two clusters, which may share a host.
func (w *world) build(rng *rand.Rand) {
	for i := range 1 + rng.IntN(2) {
		c := &spec{name: "c" + strconv.Itoa(i), stage: rng.IntN(2), maxOut: 1}
		size := 1 + rng.IntN(4)
		if i == 1 && rng.Float64() < 0.4 {
			c.members = append(c.members, w.specs[0].members[0])
			c.shares, w.specs[0].shares = []string{"c0"}, []string{"c1"}
			w.seen["shared host"]++
		}
		for len(c.members) < size {
			h := &machine{name: "h" + strconv.Itoa(len(w.machines)), version: 1, scripts: map[string]*script{}}
			if rng.Float64() < 0.1 {
				h.version = w.newest()
			}
			w.machines = append(w.machines, h)
			c.members = append(c.members, h)
		}
		if rng.Float64() < 0.2 {
			c.maxOut = max(1, size*40/100)
		}
		c.minHealthy = max(1, size-c.maxOut)
		switch {
		case size-1 < c.minHealthy:
			c.accepted = w.kind == cooperative || rng.Float64() < 0.5
		case rng.Float64() < 0.1:
			c.minHealthy = size
			c.accepted = w.kind == cooperative || rng.Float64() < 0.7
		}
		w.specs = append(w.specs, c)
	}
	for _, c := range w.specs {
		for _, h := range c.members {
			h.in = append(h.in, c)
		}
	}
}

func (w *world) machine(name string) *machine {
	for _, h := range w.machines {
		if h.name == name {
			return h
		}
	}
	return nil
}

func (w *world) spec(name string) *spec {
	for _, s := range w.specs {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (w *world) trait(version int) trait { return w.traits[version] }
func (w *world) up(h *machine) bool      { return !w.now().Before(h.downUntil) }
func (w *world) isBlind() bool           { return w.now().Before(w.blind) }

// healthy says whether the host's checks pass; in traffic some versions fail that pass outside.
func (w *world) healthy(h *machine, traffic bool) bool {
	switch {
	case !w.up(h) || h.half || w.now().Before(h.sickUntil):
		return false
	case w.trait(h.version) == failsCheck, w.trait(h.version) == failsPatch:
		return false
	case w.trait(h.version) == failsTraffic:
		return !traffic
	case w.trait(h.version) == failsSoak:
		return w.now().Before(h.patchedAt.Add(20 * time.Minute))
	}
	return true
}

func (w *world) inService(h *machine) bool {
	return h.ours == "" && !h.foreign && w.healthy(h, false)
}

// peers is what the servers say of the host's clusters.
func (w *world) peers(h *machine) []rollout.Redundancy {
	var out []rollout.Redundancy
	for _, c := range h.in {
		r := rollout.Redundancy{Cluster: c.name, Size: len(c.members), MaxOut: c.maxOut, MinHealthy: c.minHealthy, Accepted: c.accepted, Until: end}
		for _, m := range c.members {
			if m != h && w.inService(m) {
				r.PeersIn++
			}
		}
		out = append(out, r)
	}
	return out
}

// end is when accepted outages are over: after every world.
var end = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// mayBeOut is P1 and P2 once more, in other words than the product's.
func mayBeOut(peers []rollout.Redundancy) bool {
	for _, p := range peers {
		most := p.MaxOut
		if p.Accepted {
			most = max(most, 1)
		}
		if p.Size-p.PeersIn > most || p.PeersIn < p.MinHealthy && !p.Accepted {
			return false
		}
	}
	return len(peers) > 0
}

// campaign is one instance.
type campaign struct {
	*world
	instance string
	delay    time.Duration
	stages   map[string]int
	cluster  rollout.ClusterPolicy
	member   rollout.MemberPolicy
	parallel int
	outcome  rollout.CampaignOutcome
	started  []string
	undone   bool // a person had all of it backed out

	soak, start *approval.Rule // that ask for signatures; nil: nobody is asked, or anybody is
	agreed      map[string]map[string]bool
	stands      []approval.Signed // standing approvals; nil: nobody may look for them
	words       int
}

func (w *world) newCampaign(rng *rand.Rand, i int) *campaign {
	unattended := w.kind == deaf || w.kind == troubled && rng.Float64() < 0.3
	c := &campaign{world: w, instance: "i" + strconv.Itoa(i), delay: time.Second + time.Duration(i)*w.grid(rng, 0, 4*time.Hour), parallel: 1 + rng.IntN(2), stages: map[string]int{}}
	c.cluster = rollout.ClusterPolicy{
		Soak: w.grid(rng, 20*time.Minute, 3*time.Hour), SoakPasses: 1 + rng.IntN(3), SoakApproval: !unattended || w.kind == troubled && rng.Float64() < 0.2,
		RetryEvery: 5 * time.Minute, WaitMax: time.Hour, Unattended: unattended,
	}
	if rng.Float64() < 0.7 {
		c.cluster.Settle = 10 * time.Minute
	}
	c.cluster.OnFailure = []rollout.OnFailure{"", rollout.FailStopCluster, rollout.FailSkipMember, rollout.FailStopCampaign, rollout.FailBackoutCluster}[rng.IntN(5)]
	c.cluster.Retries = max(0, rng.IntN(5)-2)
	c.member = rollout.MemberPolicy{
		Reboot: []string{rollout.RebootAlways, rollout.RebootIfNeeded, rollout.RebootNever}[rng.IntN(3)], Unattended: unattended, WaitMax: 30 * time.Minute,
		RetryEvery: 5 * time.Minute, Leftover: []string{"hold", rollout.LeftoverUndrain, rollout.LeftoverProceed}[rng.IntN(3)],
	}
	more := w.rng("holds and power of " + c.instance)
	c.member.PowerAfter = []time.Duration{0, 20 * time.Minute, 40 * time.Minute}[more.IntN(3)]
	c.member.HoldMax = []time.Duration{0, 20 * time.Minute, 2 * time.Hour}[more.IntN(3)]
	c.gated(w.rng("gates of " + c.instance))
	c.cluster.Updaters = w.seed%4 == 1 || w.seed%4 == 2 // the others play as they did before there were any
	if w.seed%4 >= 2 {
		c.windowed(w.rng("windows of " + c.instance))
	}
	lowest := 1
	for _, s := range w.specs {
		lowest = min(lowest, s.stage)
	}
	for _, s := range w.specs {
		c.stages[s.name] = s.stage - lowest // a plan has no stage without clusters
	}
	return c
}

// begin is the State that the instance's workflow is started with.
func (c *campaign) begin() workflows.CampaignState {
	st := workflows.CampaignState{Tell: true, Campaign: rollout.Campaign{
		Instance: c.instance, Name: "monthly", Why: "security updates", Requester: "ann", Plan: "sha256:plan", Parallel: c.parallel, Unattended: c.cluster.Unattended,
		Stages: []string{"staging", "production"},
	}}
	if !slices.ContainsFunc(c.specs, func(s *spec) bool { return c.stages[s.name] == 1 }) {
		st.Stages = st.Stages[:1]
	}
	for _, s := range c.specs {
		st.Clusters = append(st.Clusters, rollout.Ref{Name: s.name, Stage: c.stages[s.name], Shares: s.shares, Part: "part:" + s.name, Total: len(s.members)})
	}
	c.agreement(&st)
	return st
}

func (w *world) campaign(instance string) *campaign {
	for _, c := range w.campaigns {
		if c.instance == instance {
			return c
		}
	}
	return nil
}

// first is the State that a cluster begins in.
func (c *campaign) first(s *spec) rollout.Cluster {
	st := rollout.Cluster{Instance: c.instance, Name: s.name, Stage: []string{"staging", "production"}[c.stages[s.name]], MinHealthy: s.minHealthy, Policy: c.cluster, Phase: rollout.PhaseClaim}
	if s.accepted {
		st.Accepted, st.AcceptedUntil = "there is no other", end
	}
	for _, h := range s.members {
		if c.works(s, h) {
			st.Members = append(st.Members, rollout.Slot{Host: h.name})
		}
	}
	if len(st.Members) < len(s.members) {
		st.Size = len(s.members)
	}
	return st
}

// works says that the instance works on the host: in a third of the seeds clusters are worked on without their first members, as a follow-up of leftovers does.
func (c *campaign) works(s *spec, h *machine) bool {
	if c.seed%3 != 1 {
		return true
	}
	n := rand.New(rand.NewPCG(uint64(c.seed), uint64(len(c.instance)+2*len(s.name)))).IntN(len(s.members))
	return slices.Index(s.members, h) >= n
}

// append writes to the audit chain; what is written twice stands there once.
func (w *world) append(entries ...audit.Entry) {
	for _, e := range entries {
		if _, known := w.entries[e.Digest]; !known {
			w.entries[e.Digest] = e
			w.inOrder = append(w.inOrder, e)
		}
	}
}

func inWords(r rollout.MemberResult) string {
	var b strings.Builder
	b.WriteString(string(r.Verdict))
	for _, f := range []struct {
		is   bool
		name string
	}{{r.Foreign, "foreign"}, {r.Nothing, "nothing"}, {r.Interrupted, "interrupted"}, {r.Leftover, "leftover"}, {r.AskAgain, "ask again"}, {r.Undrained, "undrained"}, {r.Ours, "ours"}, {r.Frozen != "", "frozen"}} {
		if f.is {
			b.WriteString(" " + f.name)
		}
	}
	if r.Reason != "" {
		b.WriteString(": " + r.Reason)
	}
	for _, p := range r.Peers {
		fmt.Fprintf(&b, ", %s: %d of %d peers in, %d may be out", p.Cluster, p.PeersIn, p.Size-1, p.MaxOut)
	}
	return b.String()
}
