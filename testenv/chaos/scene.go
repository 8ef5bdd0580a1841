package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// The small fleet of every run: a cluster with a peer to spare, and one without.
func clusters() []sim.Cluster {
	return []sim.Cluster{
		{Name: "web", Members: sim.Members("web", 3), Port: 80, Kind: sim.Page},
		{Name: "cache", Members: sim.Members("cache", 2), Service: "redis", Port: 6379, Kind: sim.Redis},
	}
}

// canary is the member that faults hit, peer the one that comes after it.
const (
	canary = "web-1"
	peer   = "web-2"
)

// times let each step last for long enough to be hit.
var times = sim.Times{Stop: 300 * time.Millisecond, Boot: time.Second, Work: 80 * time.Millisecond}

// soak is that of both policies: longer than the passes take that it must end with.
const soak = 4 * time.Second

// policy is a patch night in seconds.
const policy = `
policy:
  soak: 4s
  soak_interval: 1s
  soak_passes: 2
  settle: 1s
  ramp: [] # both clusters at once
  stop_after: {same: 9, any: 9} # a fault in one is no reason to end the other
  reboot: if-needed
  drain: {timeout: 10s}
  checks: {passes: 2, interval: 1s, timeout: 6s}
  wait_max: 30s # longer than it takes to notice that a worker is gone
  timeouts: {patch: 1m, reboot: 10s, fetch: 1m}
`

// realPolicy is the same on real hosts, whose package manager, reboots and Consul take their own time.
const realPolicy = `
policy:
  soak: 4s
  soak_interval: 1s
  soak_passes: 2
  settle: 1s
  reboot: if-needed
  drain: {timeout: 20s}
  checks: {passes: 2, interval: 1s, timeout: 12s}
  wait_max: 30s
  timeouts: {patch: 1m, reboot: 20s, fetch: 1m}
`

// sweep is how often workflows that were ended from outside are looked for.
const sweep = "2s"

// grace is what the oracle lets the world lag by: Consul's own delays, and the way from an answer to what follows from it on a busy
// machine.
const grace = 3 * time.Second

func facts() oracle.Facts {
	f := oracle.Facts{Grace: grace}
	for _, c := range clusters() {
		f.Clusters = append(f.Clusters, oracle.Cluster{Name: c.Name, Members: c.Members, MaxUnavailable: 1, MinHealthy: len(c.Members) - 1, Soak: soak})
	}
	return f
}

// scene is one run of one fault in one step.
type scene struct {
	*estate.Estate
	ctx    context.Context
	fleet  *sim.Fleet     // simulated hosts, which keep the record themselves,
	lab    *testenv.Lab   // or real ones,
	watch  *watch         // whose record this is
	worker *estate.Worker // where rollpatchd has none inside
	others []*estate.Worker
	way    *relay   // between the worker and its server
	args   []string // of rollpatchd with its worker inside
	bin    string   // folder of the build that is tried,
	other  string   // and of another one, where the fault wants it
	mixed  bool     // what runs is not what a run begins with: another build, or no worker
	told   *receiver

	name     string // of the campaign
	cluster  string // that people speak of
	step     string // in which the fault hits
	from     int    // the fleet's record's length at the beginning
	hit      int    // and when the fault hit
	hitAt    time.Time
	since    time.Time         // when another build was started
	soak     estate.SoakStatus // as it was before that
	pids     []int             // of the workers, in their order
	file     string
	instance string
	more     []string // other instances
	cli      *exec.Cmd
	temporal client.Client
	outcome  string
	stop     []func()
}

// noUI has rollpatchd do without what nobody looks at here. Its port would have to be free each time it comes back.
var noUI = []string{"--ui", ""}

// open brings an estate up.
func open(ctx context.Context, kind, dir, bin, network string) (*scene, error) {
	o := estate.Options{Kind: kind, Dir: dir, Bin: bin, Fleet: sim.Options{Clusters: clusters(), Times: times, Net: network}, Args: noUI, Env: []string{"ROLLPATCH_SWEEP=" + sweep}}
	e, err := estate.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &scene{Estate: e, fleet: e.Fleet(), lab: e.Lab(), bin: bin, args: e.Daemon.Args}
	if s.lab != nil {
		s.watch, err = newWatch(s.lab)
	}
	if err == nil {
		s.told, err = receive(s.note)
	}
	if err != nil {
		return nil, errors.Join(err, e.Down())
	}
	if s.way, err = newRelay(e.Daemon.Address); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// apart starts rollpatchd anew with its worker inside, or beside it: one of its own can be killed, or frozen, while the server goes on.
// What an upgrade left is put back.
func (s *scene) apart(ctx context.Context, apart bool) error {
	if apart == (s.worker != nil) && !s.mixed {
		return nil
	}
	err := s.Daemon.Stop()
	s.Daemon.Args, s.Daemon.Address = s.args, "" // nobody is connected, and its port may be somebody else's by now
	s.Daemon.Bin, s.mixed = filepath.Join(s.bin, "rollpatchd"), false
	if s.worker != nil {
		err = errors.Join(err, s.worker.Kill())
		s.worker = nil
	}
	if apart {
		s.Daemon.Args = append(slices.Clone(s.args), "--worker=false")
	}
	if err = errors.Join(err, s.Daemon.Start(ctx)); err == nil && apart {
		s.way.lead(s.Daemon.Address)
		s.worker = s.Worker("worker")
		s.worker.Address = s.way.address()
		err = s.worker.Start(ctx)
	}
	return err
}

func (s *scene) close() error {
	s.leave()
	if s.watch != nil {
		s.watch.end()
	}
	s.told.close()
	var all error
	if s.worker != nil {
		all = s.worker.Kill()
	}
	if s.way != nil {
		all = errors.Join(all, s.way.close())
	}
	return errors.Join(all, s.Down())
}

// enter begins a run on the estate; leave ends what only that run had.
func (s *scene) enter(ctx context.Context, name string) (err error) {
	s.ctx, s.name, s.cluster, s.instance, s.more, s.outcome, s.cli, s.hitAt = ctx, name, clusters()[0].Name, "", nil, "", nil, time.Time{}
	if err := s.Reset(ctx); err != nil {
		return err
	}
	if s.watch != nil {
		err = s.watch.begin(ctx)
	} else {
		s.from = s.fleet.Recorded()
	}
	if err != nil {
		return err
	}
	s.temporal, err = s.Daemon.Client(ctx)
	return err
}

func (s *scene) leave() {
	for _, f := range slices.Backward(s.stop) {
		f()
	}
	s.stop = nil
	for _, w := range s.others {
		_ = w.Kill() // it may have ended
	}
	s.others = nil
	if s.temporal != nil {
		s.temporal.Close()
		s.temporal = nil
	}
}

// log is the record of this run.
func (s *scene) log() []oracle.Event {
	if s.watch != nil {
		return s.watch.log()
	}
	return events(s.fleet.Calls()[s.from:])
}

// note adds to the record what happened beside the hosts.
func (s *scene) note(e oracle.Event) {
	if s.watch != nil {
		s.watch.note(e)
		return
	}
	note(s.fleet, e)
}

// exec runs a program as root in a host.
func (s *scene) exec(host string, argv ...string) (string, error) {
	if s.lab != nil {
		return s.lab.Exec(s.ctx, host, argv...)
	}
	return s.fleet.Exec(s.ctx, host, argv...)
}

// begin starts the campaign: by a command that only starts it.
func (s *scene) begin() error {
	if err := s.write(); err != nil {
		return err
	}
	instance, err := s.start(s.file)
	s.instance = instance
	return err
}

// write writes the campaign's file.
func (s *scene) write() (err error) {
	over, nights := "web, cache", policy
	if s.lab != nil {
		over, nights = "web", realPolicy
	}
	text := fmt.Sprintf("name: %s\nreason: a fault on the way\nunattended: true\npackages: {include: [lab-web, lab-web-data, tzdata]}\nstages:\n  - {name: production, clusters: [%s]}\nnotify: [{name: pager, webhook: {url: {file: %q}}}]\n%s", s.name, over, s.told.file(s), nights)
	s.file, err = s.Write(s.name+".yaml", text)
	return err
}

// start starts an instance of a file and returns its name. A second one of the same file and the same second is refused for its name: then the
// same is typed again, as the command says.
func (s *scene) start(file string) (string, error) {
	r, err := s.Rollpatch(s.ctx, nil, "run", "--detach", "-i", s.InventoryFile(), file)
	for err == nil && r.Code != 0 && strings.Contains(r.Stderr, "in this very second") {
		r, err = s.Rollpatch(s.ctx, nil, "run", "--detach", "-i", s.InventoryFile(), file)
	}
	if err != nil {
		return "", err
	}
	if r.Code != 0 {
		return "", fmt.Errorf("rollpatch run --detach exited %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	instance := strings.TrimSpace(r.Stdout)
	s.note(oracle.Event{Kind: oracle.Started, Instance: instance})
	return instance, nil
}

// say sends a person's message.
func (s *scene) say(word string, args ...string) error {
	s.note(oracle.Event{Kind: oracle.Said, Instance: s.instance, Cluster: s.cluster, By: oracle.Person, Text: word})
	r, err := s.Rollpatch(s.ctx, nil, append([]string{word, s.instance, "--reason", "the fault wants it"}, args...)...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("rollpatch %s exited %d: %s", word, r.Code, strings.TrimSpace(r.Stderr))
	}
	return err
}

// await waits for something in the record of this run.
func (s *scene) await(what string, match func(sim.Call) bool) error {
	_, _, err := s.fleet.Await(s.ctx, s.from, match)
	if err != nil {
		return fmt.Errorf("waited in vain for %s: %w", what, err)
	}
	return nil
}

// awaitMore waits for something that comes after the fault hit.
func (s *scene) awaitMore(what string, match func(sim.Call) bool) error {
	_, _, err := s.fleet.Await(s.ctx, s.hit, match)
	if err != nil {
		return fmt.Errorf("waited in vain for %s: %w", what, err)
	}
	return nil
}

// poll is how often a condition is looked at that nobody tells of.
const poll = 50 * time.Millisecond

// seldom is how often one is whose moment does not matter: a workflow is asked, and the machine has other campaigns to carry.
const seldom = 500 * time.Millisecond

// eventually waits for a condition.
func (s *scene) eventually(ctx context.Context, what string, holds func(context.Context) error) error {
	return s.every(ctx, poll, what, holds)
}

// every is eventually, asked so often.
func (s *scene) every(ctx context.Context, pause time.Duration, what string, holds func(context.Context) error) error {
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, err)
		case <-time.After(pause):
		}
	}
}

// lasts is how long a fault lasts that nothing ends earlier.
func (s *scene) lasts(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// state is what a workflow's state query says, as far as it is read here: only for when to act, and for what people are told.
type state struct {
	Instance string `json:"instance"`
	Step     string `json:"step"`
	Phase    string `json:"phase"`
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason"`
}

func (s *scene) query(ctx context.Context, id string) (st state, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	v, err := s.temporal.QueryWorkflow(ctx, id, "", "state")
	if err != nil {
		return st, err
	}
	return st, v.Get(&st)
}

func (s *scene) closed(ctx context.Context, id string) (enumspb.WorkflowExecutionStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	d, err := s.temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return 0, err
	}
	return d.GetWorkflowExecutionInfo().GetStatus(), nil
}

func campaignID(instance string) string      { return "campaign/" + instance }
func clusterID(instance, name string) string { return "cluster/" + instance + "/" + name }
func memberID(host string) string            { return "host/" + host }

// ends waits until every instance has ended, or the limit is over: then it says what it waits for.
func (s *scene) ends(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	for _, instance := range append([]string{s.instance}, s.more...) {
		st, err := s.endOf(ctx, instance)
		if err != nil {
			s.note(oracle.Event{Kind: oracle.Waits, Instance: instance, Text: s.why(instance)})
			return fmt.Errorf("%s has not ended within %s: %w", instance, limit, err)
		}
		s.note(oracle.Event{Kind: oracle.Ended, Instance: instance, Outcome: st.Outcome, Text: st.Reason})
		if instance == s.instance {
			s.outcome = st.Outcome
		}
	}
	return nil
}

// endOf waits for the end of one instance. One whose workflow was ended from outside has ended when nothing is claimed for it.
func (s *scene) endOf(ctx context.Context, instance string) (st state, err error) {
	err = s.every(ctx, seldom, "the end of "+instance, func(ctx context.Context) (err error) {
		if st, err = s.query(ctx, campaignID(instance)); err == nil && st.Outcome != "" {
			return nil
		}
		status, err := s.closed(ctx, campaignID(instance))
		switch {
		case err != nil:
			return err
		case status == enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
			st.Outcome = "terminated"
			left := map[string]bool{}
			for _, e := range s.log() {
				switch {
				case e.Kind == oracle.Taken && e.Instance == instance:
					left[e.Cluster] = true
				case e.Kind == oracle.Released && e.Instance == instance:
					delete(left, e.Cluster)
				}
			}
			if len(left) > 0 {
				return fmt.Errorf("it was terminated, and %d clusters are claimed for it", len(left))
			}
			return nil
		}
		return errors.New("it goes on")
	})
	return st, err
}

// why is what people are told of an instance that has not ended.
func (s *scene) why(instance string) string {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	r, err := s.Rollpatch(ctx, nil, "status", instance, "--output", "json")
	if err != nil || r.Code != 0 {
		return ""
	}
	var st estate.Status
	if json.Unmarshal([]byte(r.Stdout), &st) != nil {
		return ""
	}
	text := st.Reason
	for _, stage := range st.Stages {
		for _, c := range stage.Clusters {
			for _, m := range c.Members {
				if m.Outcome == "" && m.Step != "" {
					text += "; " + m.Host + " in " + m.Step + ": " + m.Reason
				}
			}
		}
	}
	return text
}

// finish waits a moment for what comes after the end: notices on their way, agents that have not looked yet.
func (s *scene) finish() {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	// Whether they came is the oracle's to say.
	_ = s.eventually(ctx, "the last notice", func(context.Context) error {
		for _, e := range s.log() {
			if e.Kind == oracle.Told && e.Instance == s.instance && (strings.HasPrefix(e.Text, "done") || strings.HasPrefix(e.Text, "halted")) {
				return nil
			}
		}
		return errors.New("not yet")
	})
	_ = s.eventually(ctx, "agents to have looked", func(context.Context) error {
		critical, err := s.critical(ctx)
		if err == nil && len(critical) > 0 {
			err = fmt.Errorf("critical: %v", critical)
		}
		return err
	})
	for _, c := range clusters() {
		service := c.Service
		if service == "" {
			service = c.Name
		}
		for _, host := range c.Members {
			all, err := s.maintenance(host)
			if err != nil {
				continue
			}
			for _, service := range []string{"", service} {
				s.note(oracle.Event{Kind: oracle.Found, Host: host, Service: service, Text: all[service]})
			}
		}
	}
}

// critical are the hosts that run and whose services Consul's servers hold for ill.
func (s *scene) critical(ctx context.Context) (hosts []string, err error) {
	add := func(name, boot, consul string) {
		if boot != "" && consul == "critical" {
			hosts = append(hosts, name)
		}
	}
	if s.lab != nil {
		st, err := s.lab.Status(ctx)
		for _, h := range st.Hosts {
			add(h.Name, h.BootID, h.Consul)
		}
		return hosts, err
	}
	st, err := s.fleet.Status(ctx)
	for _, h := range st.Hosts {
		add(h.Name, h.BootID, h.Consul)
	}
	return hosts, err
}

// maintenance is what the services of a host are in, by service.
func (s *scene) maintenance(host string) (map[string]string, error) {
	if s.watch != nil {
		return s.watch.maintenance(s.ctx, host)
	}
	return s.fleet.Maintenance(host)
}

// receiver is who is told.
type receiver struct {
	ln  net.Listener
	srv *http.Server
}

func receive(tell func(oracle.Event)) (*receiver, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{ln: ln, srv: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n struct{ Event, Instance, Cluster, Host, Text string }
		raw, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(raw, &n) != nil {
			http.Error(w, "this is no notice", http.StatusBadRequest)
			return
		}
		tell(oracle.Event{Kind: oracle.Told, Instance: n.Instance, Host: n.Host, Cluster: n.Cluster, Text: n.Event + ": " + n.Text})
	})}}
	go func() { _ = r.srv.Serve(ln) }() // ends with close, and says so
	return r, nil
}

// file holds the receiver's address, which is a secret to rollpatch.
func (r *receiver) file(s *scene) string {
	path, err := s.Write("webhook", "http://"+r.ln.Addr().String()+"/\n")
	if err != nil {
		panic(err) // the estate writes into the same folder
	}
	return path
}

func (r *receiver) close() { r.srv.Close() }
