package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// The random worlds: each seed is one campaign's life over a cluster of its own, with faults at random moments, while the one rollpatchd
// that carries all of them out is killed at random, and forgets every workflow between two of its tasks. What the seeds share (when
// rollpatchd is killed, when Consul has no leader) follows from the first of them.

// lifePolicy is a patch night in fewer seconds: what is shown of a life is that nothing breaks, not that anything waits for long.
const lifePolicy = `
policy:
  soak: 2s
  soak_interval: 1s
  soak_passes: 1
  settle: 1s
  reboot: if-needed
  drain: {timeout: 10s}
  checks: {passes: 1, interval: 1s, timeout: 5s}
  wait_max: 15s
  timeouts: {patch: 1m, reboot: 10s, fetch: 1m}
`

const (
	// lifeSoak is that of lifePolicy.
	lifeSoak = 2 * time.Second
	// lifeLimit is when every life has ended, although rollpatchd was killed again and again.
	lifeLimit = 4 * time.Minute
	// youth is how far into a life something can be done to it: about as long as it lasts when nothing is.
	youth = 25 * time.Second
	// haunted is for how long rollpatchd is killed again and again. Each time costs what it was at a worker's heartbeat timeout.
	haunted = youth + 15*time.Second
	// lifeGrace is that of the other runs, on a machine that carries many campaigns at once.
	lifeGrace = 5 * time.Second
)

// life is one seed.
type life struct {
	seed    uint64
	cluster sim.Cluster
	deeds   []deed
	scene   *scene
	hook    string // file with the address of who is told
}

// deed is something that is done to a life: after a while, and for a while.
type deed struct {
	name        string
	after, last time.Duration
	do, undo    func(*scene) error // undo may be nil
}

func (d deed) String() string {
	s := fmt.Sprintf("%s after %s", d.name, d.after)
	if d.undo != nil {
		s += " for " + d.last.String()
	}
	return s
}

// newLife is what a seed says.
func newLife(seed uint64) *life {
	r := rand.New(rand.NewPCG(seed, 1))
	name := fmt.Sprintf("s%d", seed)
	members := 2
	if r.IntN(4) == 0 {
		members = 3 // with a peer to spare
	}
	l := &life{seed: seed, cluster: sim.Cluster{Name: name, Members: sim.Members(name, members), Kind: sim.Page}}
	if seed%everyOther == 0 {
		l.clogged(r)
		return l
	}
	end := time.Duration(0)
	for range 1 + r.IntN(3) {
		d := l.deed(r)
		d.after = end + time.Duration(r.Int64N(int64(youth-end))).Round(100*time.Millisecond)
		d.last = 500*time.Millisecond + time.Duration(r.IntN(60))*100*time.Millisecond
		l.deeds = append(l.deeds, d)
		if end = d.after + d.last; end >= youth {
			break
		}
	}
	return l
}

// everyOther is how many lives there are to one that has everything done to it at once (F35).
const everyOther = 5

// clogged has some deeds done one by one, and undone in another order once all are done.
func (l *life) clogged(r *rand.Rand) {
	after := time.Duration(r.Int64N(int64(youth / 2))).Round(100 * time.Millisecond)
	for want := 2 + r.IntN(3); len(l.deeds) < want; {
		d := l.deed(r)
		if d.undo == nil || slices.ContainsFunc(l.deeds, func(o deed) bool { return o.name == d.name }) {
			continue
		}
		d.after = after
		l.deeds = append(l.deeds, d)
		after += time.Duration(r.IntN(20)) * 100 * time.Millisecond
	}
	ends := make([]time.Duration, len(l.deeds))
	for i := range ends {
		after += time.Duration(1+r.IntN(20)) * 100 * time.Millisecond
		ends[i] = after
	}
	for i, n := range r.Perm(len(ends)) {
		l.deeds[i].last = ends[n] - l.deeds[i].after
	}
}

// moves are its deeds and their ends, in the order of time.
func (l *life) moves() (all []move) {
	for _, d := range l.deeds {
		all = append(all, move{d.after, d.name, d.do})
		if d.undo != nil {
			all = append(all, move{d.after + d.last, "end of " + d.name, d.undo})
		}
	}
	slices.SortStableFunc(all, func(a, b move) int { return cmp.Compare(a.at, b.at) })
	return all
}

// move is a moment of a life.
type move struct {
	at   time.Duration
	name string
	do   func(*scene) error
}

// deed is a random one.
func (l *life) deed(r *rand.Rand) deed {
	host := l.cluster.Members[r.IntN(len(l.cluster.Members))]
	ended := func(what string, id func(*scene) string) deed {
		return deed{name: what + " terminated", do: terminate(id)}
	}
	all := []deed{
		{name: "network of " + host + " cut", do: func(s *scene) error { return s.fleet.Cut(host) }, undo: func(s *scene) error { return s.fleet.Heal(host) }},
		{name: "power of " + host + " cut", do: func(s *scene) error { return s.fleet.PowerCut(s.ctx, host) }, undo: func(s *scene) error { return s.fleet.Start(s.ctx, host) }},
		{name: host + " ill", do: func(s *scene) error { return s.fleet.Break(host, true) }, undo: func(s *scene) error { return s.fleet.Break(host, false) }},
		{
			name: "sshd of " + host + " refuses",
			do:   func(s *scene) error { return errors.Join(s.fleet.Refuse(host, true), s.fleet.CutConnections(host)) },
			undo: func(s *scene) error { return s.fleet.Refuse(host, false) },
		},
		{name: "connections of " + host + " reset", do: func(s *scene) error { return s.fleet.CutConnections(host) }},
		{name: "agent of " + host + " restarts and lies", do: func(s *scene) error { return s.fleet.RestartAgent(host, 2*time.Second) }},
		{name: "package lock of " + host + " held", do: func(s *scene) error { return s.fleet.HoldPackageLock(host, "unattended-upgr") }, undo: func(s *scene) error { return s.fleet.HoldPackageLock(host, "") }},
		{
			name: "jane's maintenance of " + host,
			do:   func(s *scene) error { return s.fleet.Maintain(host, "", true, "jane looks at the disk") },
			undo: func(s *scene) error { return s.fleet.Maintain(host, "", false, "") },
		},
		{name: "hold", do: said("hold"), undo: resumed},
		{name: "abort", do: said("abort")},
		ended("campaign", func(s *scene) string { return campaignID(s.instance) }),
		ended("cluster", func(s *scene) string { return clusterID(s.instance, l.cluster.Name) }),
		ended(host, func(*scene) string { return memberID(host) }),
	}
	return all[r.IntN(len(all))]
}

// resumed ends a hold. A person whose word was lost with rollpatchd says it again, for as long as there is somebody to hear it.
func resumed(s *scene) error {
	for {
		err := s.say("resume")
		if err == nil {
			return nil
		}
		if status, askErr := s.closed(s.ctx, campaignID(s.instance)); askErr == nil && status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return err
		}
		if err := s.lasts(time.Second); err != nil {
			return err
		}
	}
}

func (l *life) String() string {
	s := fmt.Sprintf("seed %d, %d members", l.seed, len(l.cluster.Members))
	for _, d := range l.deeds {
		s += "; " + d.String()
	}
	return s
}

func (l *life) facts() oracle.Facts {
	n := len(l.cluster.Members)
	return oracle.Facts{Grace: lifeGrace, Clusters: []oracle.Cluster{{Name: l.cluster.Name, Members: l.cluster.Members, MaxUnavailable: 1, MinHealthy: n - 1, Soak: lifeSoak}}}
}

// events are what of a log is about this life.
func (l *life) events(all []oracle.Event) (log []oracle.Event) {
	for _, e := range all {
		if e.Cluster == l.cluster.Name || slices.Contains(l.cluster.Members, e.Host) || strings.HasPrefix(e.Instance, l.cluster.Name+"-") {
			log = append(log, e)
		}
	}
	return log
}

// live is the life itself.
func (l *life) live() error {
	s := l.scene
	text := fmt.Sprintf("name: %s\nreason: a life\nunattended: true\npackages: {include: [lab-web, lab-web-data]}\nstages:\n  - {name: production, clusters: [%s]}\nnotify: [{name: pager, webhook: {url: {file: %q}}}]\n%s",
		l.cluster.Name, l.cluster.Name, l.hook, lifePolicy)
	var err error
	if s.file, err = s.Write(l.cluster.Name+".yaml", text); err != nil {
		return err
	}
	// A command that ends without an answer may have started it: the record tells.
	if err := s.eventually(s.ctx, "its start", func(context.Context) error {
		if s.instance, err = s.start(s.file); err == nil {
			return nil
		}
		return errors.Join(err, s.lasts(time.Second))
	}); err != nil {
		return err
	}
	began := time.Now()
	for _, m := range l.moves() {
		if err := s.lasts(max(0, m.at-time.Since(began))); err != nil {
			return err
		}
		// What is not there to be broken, or has ended already, is none.
		s.note(oracle.Event{Kind: "deed", Cluster: l.cluster.Name, Text: m.name})
		_ = m.do(s)
	}
	return l.ends()
}

// ends waits for the campaign's end, asking seldom: every question to a workflow is answered from its whole history here.
func (l *life) ends() error {
	s := l.scene
	for {
		if err := s.lasts(time.Second); err != nil {
			s.ctx = context.WithoutCancel(s.ctx)
			s.note(oracle.Event{Kind: oracle.Waits, Instance: s.instance, Text: s.why(s.instance)})
			return fmt.Errorf("%s has not ended within %s", s.instance, lifeLimit)
		}
		status, err := s.closed(s.ctx, campaignID(s.instance))
		if err != nil || status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			continue
		}
		st := state{Outcome: "terminated"}
		if status == enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED {
			if l.holdsAnything() {
				continue
			}
		} else if st, err = s.query(s.ctx, campaignID(s.instance)); err != nil {
			continue
		}
		s.outcome = st.Outcome
		s.note(oracle.Event{Kind: oracle.Ended, Instance: s.instance, Outcome: st.Outcome, Text: st.Reason})
		return nil
	}
}

// holdsAnything: its cluster is claimed, or one of its members is drained and not in quarantine.
func (l *life) holdsAnything() bool {
	left := map[string]bool{}
	for _, e := range l.events(l.scene.log()) {
		switch e.Kind {
		case oracle.Taken:
			left[e.Cluster] = true
		case oracle.Released:
			delete(left, e.Cluster)
		case oracle.Noted:
			left[e.Host] = true
		case oracle.Forgotten, oracle.Quarantined:
			delete(left, e.Host)
		}
	}
	return len(left) > 0
}

// Lives are what some seeds came to.
type Lives struct {
	Rows  []Row // one for each seed
	Kills int   // of rollpatchd
	lives []*life
	log   []oracle.Event
	said  string // the log of rollpatchd
}

// live runs seeds at the same time over one fleet and one rollpatchd, and judges each.
func live(ctx context.Context, dir, bin, network string, seeds []uint64) (*Lives, error) {
	lives := make([]*life, len(seeds))
	o := estate.Options{
		Kind: estate.Sim, Dir: dir, Bin: bin, Args: append(slices.Clone(noUI), "--forget-workflows"), Env: []string{"ROLLPATCH_SWEEP=" + sweep},
		Fleet: sim.Options{Times: times, Net: network},
	}
	for i, seed := range seeds {
		lives[i] = newLife(seed)
		o.Fleet.Clusters = append(o.Fleet.Clusters, lives[i].cluster)
	}
	e, err := estate.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	all := &scene{Estate: e, fleet: e.Fleet()}
	defer func() { _ = all.close() }() // its processes end with ours at the latest
	if all.told, err = receive(all.note); err != nil {
		return nil, err
	}
	if all.temporal, err = e.Daemon.Client(ctx); err != nil {
		return nil, err
	}
	if err := all.Publish(ctx, "1.4"); err != nil {
		return nil, err
	}
	hook := all.told.file(all)
	limited, cancel := context.WithTimeout(ctx, lifeLimit)
	defer cancel()
	done := make(chan struct{})
	result := &Lives{Rows: make([]Row, len(lives)), lives: lives, said: e.Daemon.LogFile()}
	var killer, living sync.WaitGroup
	var killErr error
	killer.Go(func() { result.Kills, killErr = all.haunt(ctx, seeds[0], done) })
	for i, l := range lives {
		l.scene = &scene{Estate: e, fleet: all.fleet, told: all.told, temporal: all.temporal, ctx: limited, name: l.cluster.Name, cluster: l.cluster.Name}
		l.hook = hook
		living.Go(func() {
			began := time.Now()
			row := Row{Fault: seedsID, Name: l.String(), Step: fmt.Sprint(l.seed), Hosts: estate.Sim, Judged: true}
			if err := l.live(); err != nil {
				row.Problems = append(row.Problems, err.Error())
			}
			row.Ended, row.Took = l.scene.outcome, round(time.Since(began))
			result.Rows[i] = row
		})
	}
	living.Wait()
	close(done)
	killer.Wait()
	if err := errors.Join(killErr, ctx.Err()); err != nil {
		return nil, err
	}
	all.ctx = ctx
	all.rest(lives)
	result.log = all.log()
	for i, l := range lives {
		row := &result.Rows[i]
		for _, v := range oracle.Check(l.events(result.log), l.facts()) {
			row.Violations = append(row.Violations, v)
			row.Problems = append(row.Problems, v.String())
		}
		row.Passed = len(row.Problems) == 0
	}
	return result, nil
}

// seedsFrom are n seeds.
func seedsFrom(first uint64, n int) (seeds []uint64) {
	for i := range n {
		seeds = append(seeds, first+uint64(i))
	}
	return seeds
}

// atOneTime is how many random worlds share a fleet.
const atOneTime = 60

// worlds are the steps of the random worlds: the first and the last seed of those that live beside each other.
func worlds(n int) (all []Step) {
	for first := 1; first <= n; first += atOneTime {
		all = append(all, Step{Name: fmt.Sprintf("%d-%d", first, min(n, first+atOneTime-1))})
	}
	return all
}

// seedsOf are those of such a step.
func seedsOf(s Step) []uint64 {
	var first, last uint64
	if _, err := fmt.Sscanf(s.Name, "%d-%d", &first, &last); err != nil {
		panic(err) // worlds wrote it
	}
	return seedsFrom(first, int(last-first)+1)
}

// story is what happened in the life of a row.
func (l *Lives) story(row int) string {
	var b strings.Builder
	for _, e := range l.lives[row].events(l.log) {
		fmt.Fprintln(&b, e)
	}
	// What rollpatchd itself said of it comes last, where it said anything.
	raw, err := os.ReadFile(l.said)
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, l.lives[row].cluster.Name+"-") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// ends counts the lives by how they ended.
func (l *Lives) ends() map[string]int {
	all := map[string]int{}
	for _, row := range l.Rows {
		all[row.Ended]++
	}
	return all
}

// seedsID is how the random worlds are called in the list of faults.
const seedsID = "SEEDS"

// haunt kills rollpatchd, and takes the leader from Consul, at random until done.
func (s *scene) haunt(ctx context.Context, seed uint64, done <-chan struct{}) (kills int, err error) {
	r := rand.New(rand.NewPCG(seed, 2))
	pause := func(from, to time.Duration) bool {
		select {
		case <-time.After(from + time.Duration(r.Int64N(int64(to-from)))):
			return true
		case <-done:
		case <-ctx.Done():
		}
		return false
	}
	for began := time.Now(); pause(5*time.Second, 20*time.Second) && time.Since(began) < haunted; {
		if kills > 0 && r.IntN(4) == 0 {
			s.fleet.Leader(false)
			pause(time.Second, 4*time.Second)
			s.fleet.Leader(true)
			continue
		}
		kills++
		if err := s.Daemon.Kill(); err != nil {
			return kills, err
		}
		pause(0, 2*time.Second)
		if err := s.Daemon.Start(ctx); err != nil {
			return kills, err
		}
	}
	return kills, nil
}

// rest waits until what was healed shows, and notes the maintenance that is left.
func (s *scene) rest(lives []*life) {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	// Whether they came back is the oracle's to say.
	_ = s.eventually(ctx, "agents to have looked", func(ctx context.Context) error {
		critical, err := s.critical(ctx)
		if err == nil && len(critical) > 0 {
			err = fmt.Errorf("critical: %v", critical)
		}
		return err
	})
	for _, l := range lives {
		for _, host := range l.cluster.Members {
			all, err := s.fleet.Maintenance(host)
			if err != nil {
				continue
			}
			for _, service := range []string{"", l.cluster.Name} {
				s.note(oracle.Event{Kind: oracle.Found, Host: host, Service: service, Text: all[service]})
			}
		}
	}
}
