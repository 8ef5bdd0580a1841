package activities

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// theSecret is what the references of every test's inventory lead to; nothing that leaves an activity may hold it.
const theSecret = "correct-horse-battery-staple"

var secretFile string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "activities")
	if err != nil {
		panic(err)
	}
	secretFile = filepath.Join(dir, "token")
	if err := errors.Join(os.WriteFile(secretFile, []byte(theSecret), 0o600), os.Setenv("ROLLPATCH_TEST_TOKEN", theSecret)); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// world is everything that activities touch. What it is asked stands in log, in order.
type world struct {
	sync.Mutex  // scripts of several hosts run at a time
	log         []string
	boots       []any // what the host says of its boot id: a string or an error; the last one stays
	outcome     func(Run) (RunOutcome, error)
	known       func(ctx context.Context, seen func(RunOutcome)) (RunOutcome, error) // of a run that it refused to start
	silent      bool                                                                 // the host says nothing of its run
	stdout      string                                                               // of runs
	stop        chan struct{}                                                        // of the worker
	runs        []Run
	says        map[string]string            // script to its output
	given       map[string]map[string]string // script to its arguments
	cannot      map[string]error             // script to the error of asking it
	instances   []Instance
	catalog     func(asked int) error
	foreign     map[string]*ForeignError // by service
	enter       error
	leave       error
	sticky      bool // the servers never hear of maintenance
	records     map[string]Claim
	claims      error
	frozen      string        // why the estate is frozen
	unfrozen    error         // of asking whether it is
	going       []string      // instances that have not ended
	untold      error         // of asking which those are
	broken      error         // of cycling power
	slow        time.Duration // how long a boot id takes
	begun       []string      // runs that have
	unreached   error         // of asking whether one has
	server      error         // of asking which server this is
	estate      inventory.Inventory
	unread      error // of reading the inventory
	ask         func(id string) (AskResult, error)
	probe       func(host, check string, asked int) (bool, string, error)
	left        func(asked int) (int, error) // connections
	undelivered map[string]error
	told        []string
	bodies      map[string][]byte
	entries     []audit.Entry
	auditFails  audit.Kind
	accesses    []ConsulAccess
	ports       []int
	counts      map[string]int
	said        map[string]string // "<member> on <host>" to what the state script says there; absent: in
	deaf        bool              // the scripts of drain and undrain do nothing
	mute        map[string]error  // host to the error of asking a state script there
	mutes       []string          // hosts that let us in and do not answer
	changing    func(looks int)   // before each look at web-1's state
	scriptEnd   func(place string, r Run) (RunOutcome, error)
	calendar    map[bool]calendar.Calendar // of canaries, and of peers
	undated     error                      // of reading it
	kept        []staging.Record           // what finished in the stage that is asked for
	unkept      error                      // of asking for it
	took        map[string]calendar.Record // how long members took
	untook      error                      // of asking for it, and of keeping it
	updaters    map[string]error           // host to the error of asking its updaters
	spoilt      bool                       // what is read of a file that soaked is another one
	roots       map[string]string          // host to the folder that its scripts which are no playbook's work in; absent: it cannot be reached
}

func newWorld() *world {
	w := &world{
		says: map[string]string{osRelease: "debian\n", "preflight": healthyHost, "fingerprint": asBefore, pulseScript: "boot\tboot-a\nkilled\t0\n"}, cannot: map[string]error{}, records: map[string]Claim{}, bodies: map[string][]byte{},
		foreign: map[string]*ForeignError{}, undelivered: map[string]error{}, counts: map[string]int{}, given: map[string]map[string]string{}, boots: []any{"boot-a"},
		said: map[string]string{}, mute: map[string]error{}, changing: func(int) {},
		catalog: func(int) error { return nil },
		probe:   func(string, string, int) (bool, string, error) { return true, "", nil },
		left:    func(int) (int, error) { return 0, nil },
	}
	w.outcome = func(Run) (RunOutcome, error) {
		return RunOutcome{State: RunExited, BootID: "boot-a", Stdout: []byte(w.stdout)}, nil
	}
	w.scriptEnd = func(string, Run) (RunOutcome, error) { return RunOutcome{State: RunExited, BootID: "boot-a"}, nil }
	w.known = func(context.Context, func(RunOutcome)) (RunOutcome, error) {
		return RunOutcome{State: RunStale, Reason: "number 7 is below 9"}, nil
	}
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		w.instances = append(w.instances, Instance{Node: name, Service: "http", ServiceID: "http", Status: "passing"})
	}
	return w
}

func (w *world) activities() *Activities {
	return &Activities{Runner: w, Catalog: w, Claims: claims{w}, Stagings: stagings{w}, Took: tooks{w}, Prober: w, Notifier: w, Store: w, Audit: w, Scripts: w, Workflows: w, Instances: w, Switch: w, Calendars: w, Actor: "worker-1", Now: time.Now,
		ServerID: func(context.Context) (string, error) { return theServer, w.server }, Inventory: func() (inventory.Inventory, error) { return w.estate, w.unread }}
}

// theServer is the id of the one that the activities work for.
const theServer = "a7c0c8be-0000-4000-8000-000000000001"

// another is that of a rollpatch with a database of its own: its instances may have the same names.
const another = "a7c0c8be-0000-4000-8000-000000000002"

func (w *world) Frozen(context.Context) (string, error) {
	w.note("frozen")
	return w.frozen, w.unfrozen
}

func (w *world) Cycle(_ context.Context, h inventory.Host) error {
	w.note("cycle %s", h.Name)
	return w.broken
}

func (w *world) Calendar(_ context.Context, _ plan.Part, canary bool, _ time.Time) (calendar.Calendar, error) {
	w.note("calendar")
	return w.calendar[canary], w.undated
}

func (w *world) Unfinished(context.Context) ([]string, error) { return w.going, w.untold }

func (w *world) Ask(_ context.Context, in AskInput) (AskResult, error) {
	if w.ask != nil {
		return w.ask(in.WorkflowID)
	}
	return AskResult{}, fmt.Errorf("nobody was to ask for %s", in.WorkflowID)
}

func (w *world) Orphans(context.Context, []string) ([]Orphan, error) {
	return []Orphan{{WorkflowID: "host/web-1", RunID: "run-1"}}, nil
}

func (w *world) LastRun(_ context.Context, in LastRunInput) (LastRun, error) {
	return LastRun{RunID: in.RunID}, nil
}

func (w *world) note(format string, args ...any) int {
	line := fmt.Sprintf(format, args...)
	w.log = append(w.log, line)
	w.counts[line]++
	return w.counts[line]
}

func (w *world) did(line string) int { return w.counts[line] }

func (w *world) Script(family, osID, name string) ([]byte, error) {
	if family+osID != "debian" {
		return nil, fmt.Errorf("no playbook for %q", family+osID)
	}
	return []byte(name), nil
}

func (w *world) Run(ctx context.Context, t Target, r Run, seen func(RunOutcome)) (RunOutcome, error) {
	if r.Lane != "" {
		w.Lock()
		defer w.Unlock()
		w.note("run %s on %s", r.Script, t.Host)
		w.runs = append(w.runs, r)
		out, err := w.scriptEnd(t.Host, r)
		if err == nil && out.State == RunExited && out.Exit == 0 && !w.deaf {
			w.said[r.Env["ROLLPATCH_HOST"]+" on "+t.Host] = map[string]string{"drain": "out", "undrain": "in"}[string(r.Script)]
		}
		return out, err
	}
	w.note("run %s", r.Script)
	w.runs = append(w.runs, r)
	if w.silent {
		<-ctx.Done()
		return RunOutcome{}, ctx.Err()
	}
	return w.outcome(r)
}

func (w *world) Attach(ctx context.Context, t Target, r Run, seen func(RunOutcome)) (RunOutcome, error) {
	w.note("attach to %s", r.ID)
	if w.silent {
		<-ctx.Done()
		return RunOutcome{}, ctx.Err()
	}
	return w.known(ctx, seen)
}

// refuses has the host refuse every start, and say this of what it knows under the run's id.
func (w *world) refuses(known RunOutcome) {
	w.outcome = func(Run) (RunOutcome, error) {
		return RunOutcome{State: RunStale, Reason: "the host knows this run with another script"}, nil
	}
	w.scriptEnd = func(string, Run) (RunOutcome, error) { return RunOutcome{State: RunExited, BootID: "boot-a"}, nil }
	w.known = func(context.Context, func(RunOutcome)) (RunOutcome, error) { return known, nil }
}

func (w *world) Begun(_ context.Context, _ Target, id string) (bool, error) {
	return slices.Contains(w.begun, id), w.unreached
}

func (w *world) BootID(ctx context.Context, _ Target) (string, error) {
	n := w.note("boot id")
	if err := wait(ctx, w.slow); err != nil {
		return "", err
	}
	switch b := w.boots[min(n, len(w.boots))-1].(type) {
	case error:
		return "", b
	default:
		return b.(string), nil
	}
}

func (w *world) Query(ctx context.Context, t Target, script []byte, env map[string]string) ([]byte, error) {
	if slices.Contains(w.mutes, t.Host) { // it lets us in, and answers no more
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.Lock()
	defer w.Unlock()
	for name := range env {
		if !strings.HasPrefix(name, "ROLLPATCH_") { // as the real one does
			return nil, fmt.Errorf("argument %q: names are ROLLPATCH_ followed by capitals", name)
		}
	}
	if string(script) == "state" {
		who := env["ROLLPATCH_HOST"] + " on " + t.Host
		n := w.note("state of %s", who)
		if env["ROLLPATCH_HOST"] == "web-1" {
			w.changing(n)
		}
		if err := w.mute[t.Host]; err != nil {
			return nil, err
		}
		if word, ok := w.said[who]; ok {
			return []byte(word + "\n"), nil
		}
		return []byte("in\n"), nil
	}
	if string(script) == "updaters" {
		w.note("updaters of %s %s for %s, turn %s", t.Host, env["ROLLPATCH_UPDATERS"], env["ROLLPATCH_OWNER"], env["ROLLPATCH_TURN"])
		return nil, w.updaters[t.Host]
	}
	if strings.HasPrefix(string(script), aheadList) && w.roots == nil {
		return nil, nil // nothing was fetched ahead
	}
	if strings.HasPrefix(string(script), soakedFile) || strings.HasPrefix(string(script), aheadList) {
		return w.inFolder(t.Host, script, env)
	}
	w.given[string(script)] = env
	if err := w.cannot[string(script)]; err != nil {
		return nil, err
	}
	return []byte(w.says[string(script)]), nil
}

func (w *world) Instances(_ context.Context, c ConsulAccess, services []string) ([]Instance, error) {
	w.accesses = append(w.accesses, c)
	if err := w.catalog(w.note("catalog")); err != nil {
		return nil, err
	}
	var out []Instance
	for _, i := range w.instances {
		if slices.Contains(services, i.Service) {
			out = append(out, i)
		}
	}
	return out, nil
}

func (w *world) Enter(_ context.Context, c ConsulAccess, m Target, services []string, reason string) error {
	w.accesses = append(w.accesses, c)
	for _, s := range services {
		w.note("enter %s", s)
		if f := w.foreign[s]; f != nil {
			return f
		}
	}
	if w.enter != nil {
		return w.enter
	}
	for i := range w.instances {
		if in := &w.instances[i]; in.Node == m.Host && slices.Contains(services, in.Service) && !w.sticky {
			in.Maintenance = []string{reason}
		}
	}
	return nil
}

func (w *world) Leave(_ context.Context, c ConsulAccess, m Target, services []string, reason string) error {
	w.accesses = append(w.accesses, c)
	if w.leave != nil {
		return w.leave
	}
	var foreign error
	for _, s := range services {
		w.note("leave %s", s)
		if f := w.foreign[s]; f != nil {
			foreign = f
		}
	}
	for i := range w.instances {
		if in := &w.instances[i]; in.Node == m.Host && slices.Contains(services, in.Service) {
			in.Maintenance = slices.DeleteFunc(in.Maintenance, func(r string) bool { return r == reason })
		}
	}
	return foreign
}

func (w *world) Marked(_ context.Context, c ConsulAccess, prefix string) ([]Instance, error) {
	w.accesses = append(w.accesses, c)
	if err := w.catalog(w.note("marked")); err != nil {
		return nil, err
	}
	var out []Instance
	for _, i := range w.instances {
		var ours []string
		for _, reason := range i.Maintenance {
			if strings.HasPrefix(reason, prefix) {
				ours = append(ours, reason)
			}
		}
		if i.Maintenance = ours; len(ours) > 0 {
			out = append(out, i)
		}
	}
	return out, nil
}

func (w *world) Probe(_ context.Context, t Target, c inventory.Check) (bool, string, error) {
	w.Lock()
	defer w.Unlock()
	return w.probe(t.Host, c.Name, w.note("probe %s %s", t.Host, c.Name))
}

func (w *world) Connections(_ context.Context, _ Target, ports []int) (int, error) {
	w.ports = ports
	return w.left(w.note("connections"))
}

func (w *world) Notify(_ context.Context, n campaign.Notify, _ Notice) error {
	w.told = append(w.told, n.Name)
	return w.undelivered[n.Name]
}

func (w *world) Put(_ context.Context, body []byte) (string, error) {
	d := fmt.Sprintf("sha256:%x", sha256.Sum256(body))
	w.bodies[d] = body
	return d, nil
}

func (w *world) Get(_ context.Context, digest string) ([]byte, error) {
	body, ok := w.bodies[digest]
	if !ok {
		return nil, errors.New("not there")
	}
	return body, nil
}

func (w *world) Append(_ context.Context, e audit.Entry) error {
	if e.Kind == w.auditFails {
		return errors.New("disk full")
	}
	w.note("audit %s", e.Kind)
	w.entries = append(w.entries, e)
	return nil
}

// claims is apart because a store of records and a catalog both have a List.
type claims struct{ *world }

func (c claims) Take(_ context.Context, acc ConsulAccess, list []Claim) (held []Claim, err error) {
	c.accesses = append(c.accesses, acc)
	if c.claims != nil {
		return nil, c.claims
	}
	for _, want := range list {
		c.note("take %s", want.Key)
		adopts := want.Adopts != "" && c.records[want.Adopts].By() == want.By()
		if now, ok := c.records[want.Key]; ok && now.By() != want.By() && (now.Yields == "" || !want.Emergency) && !adopts {
			held = append(held, now)
		}
	}
	for _, want := range list {
		if now, ok := c.records[want.Key]; len(held) == 0 && (!ok || now.By() != want.By()) { // else it stays as it was written first
			if ok && want.Adopts != "" {
				want = want.Adopted(now)
			}
			want.Adopts = ""
			c.records[want.Key] = want
		}
	}
	return held, nil
}

func (c claims) Release(_ context.Context, acc ConsulAccess, owner Owner, keys []string) error {
	c.accesses = append(c.accesses, acc)
	for _, k := range keys {
		c.note("release %s", k)
		if c.records[k].By() == owner {
			delete(c.records, k)
		}
	}
	return c.claims
}

func (c claims) Yield(_ context.Context, acc ConsulAccess, owner Owner, keys []string, to string) (left []string, err error) {
	c.accesses = append(c.accesses, acc)
	for _, k := range keys {
		c.note("yield %s", k)
		if now := c.records[k]; now.By() == owner {
			now.Yields, left = to, append(left, k)
			c.records[k] = now
		}
	}
	return left, c.claims
}

func (c claims) List(_ context.Context, acc ConsulAccess, prefix string) ([]Claim, error) {
	c.Lock()
	defer c.Unlock()
	c.accesses = append(c.accesses, acc)
	var out []Claim
	var broken UnreadableError
	for k, v := range c.records {
		switch {
		case !strings.HasPrefix(k, prefix):
		case v.Broken != "":
			broken.Records = append(broken.Records, v)
		default:
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Claim) int { return strings.Compare(a.Key, b.Key) }) // as Consul does
	if c.claims == nil && len(broken.Records) > 0 {
		return out, &broken
	}
	return out, c.claims
}

// statusError is what a script's own status comes as.
type statusError int

func (e statusError) Error() string   { return fmt.Sprintf("ended with status %d", int(e)) }
func (e statusError) ExitStatus() int { return int(e) }

type keyError struct{}

func (keyError) Error() string        { return "host key changed" }
func (keyError) HostKeyChanged() bool { return true }

// lost is a host that cannot be reached.
type lost struct{}

func (lost) Error() string     { return "no answer" }
func (lost) Unreachable() bool { return true }

const instance = "monthly-20261121T120000Z"

// webPart is a cluster of three behind one service, with one check.
func webPart() plan.Part {
	part := plan.Part{
		Cluster: inventory.Cluster{
			Name: "web", Members: []string{"web-1", "web-2", "web-3"}, Services: []inventory.Service{{Name: "http", Port: 80, PassingMeans: inventory.PassingOnly}},
			MaxUnavailable: inventory.Budget{Number: 1}, MinHealthy: 2, Checks: []inventory.Check{{Name: "page", TCP: "127.0.0.1:80"}},
			Consul: inventory.Consul{Via: inventory.ViaSSH, Address: "127.0.0.1:8500", Token: &inventory.Secret{Env: "ROLLPATCH_TEST_TOKEN"}},
		},
		Policy: campaign.Default(false),
	}
	for i, name := range part.Cluster.Members {
		part.Hosts = append(part.Hosts, inventory.Host{Name: name, Address: fmt.Sprintf("10.0.0.%d", i+1), Access: inventory.Access{User: "patch", Port: 22, IdentityFile: secretFile}})
	}
	part.Via = part.Hosts
	// The test environment ends an activity after ten minutes.
	part.Policy.Drain.Timeout, part.Policy.Checks.Timeout = inventory.Duration(time.Minute), inventory.Duration(time.Minute)
	part.Policy.Timeouts.Reboot = inventory.Duration(5 * time.Minute)
	return part
}

// dbCluster has web-1 as a member too.
func dbCluster() plan.Other {
	return plan.Other{Cluster: inventory.Cluster{
		Name: "db", Members: []string{"web-1", "db-2"}, Services: []inventory.Service{{Name: "sql", Port: 5432}},
		MaxUnavailable: inventory.Budget{Number: 1}, MinHealthy: 1, Consul: inventory.Consul{Token: &inventory.Secret{File: secretFile}},
	}}
}

// byScripts has the cluster of web-1 drained by scripts on two load balancers, or on the members themselves.
func byScripts(p *plan.Part, on ...string) {
	c := &p.Cluster
	c.Services, c.Ports, c.Drain = nil, []int{80}, inventory.DrainCommand
	script := func(body string) inventory.Script { return inventory.Script{File: body + ".sh", Body: body} }
	c.DrainCommands = &inventory.DrainCommands{Drain: script("drain"), Undrain: script("undrain"), State: script("state"), On: on}
	for i, name := range on {
		p.Asked = append(p.Asked, inventory.Host{Name: name, Address: fmt.Sprintf("10.0.1.%d", i+1), Access: p.Hosts[0].Access})
	}
}

func sharedHost(w *world, p *plan.Part) {
	p.Others = []plan.Other{dbCluster()}
	for _, name := range []string{"web-1", "db-2"} {
		w.instances = append(w.instances, Instance{Node: name, Service: "sql", ServiceID: "sql", Status: "passing"})
	}
}

func intent(action, host string) audit.Entry {
	e, _ := audit.Head{Chain: "host/" + host}.Next(audit.Entry{Kind: audit.Intent, Time: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Action: action, Host: host})
	return e
}

// do runs one activity as a worker does. stop, if there is one, is the worker's.
func do[I, R any](t *testing.T, stop chan struct{}, activity func(context.Context, I) (R, error), in I) (R, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	if stop != nil {
		env.SetWorkerStopChannel(stop)
	}
	env.RegisterActivity(activity)
	var r R
	v, err := env.ExecuteActivity(activity, in)
	if err == nil {
		err = v.Get(&r)
	}
	return r, err
}

type stepFunc func(*Activities, context.Context, StepInput) (StepResult, error)

// stepRow is one story of a step of web-1.
type stepRow struct {
	says    string
	given   func(w *world, p *plan.Part, in *StepInput)
	verdict rollout.Verdict
	reason  string // part of it
	also    func(t *testing.T, w *world, r StepResult)
}

// tell runs the rows. Whatever the story, the intent is written before anything is touched, the outcome after everything, and no secret leaves.
func tell(t *testing.T, action string, step stepFunc, rows []stepRow) {
	for _, row := range rows {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, p, in := newWorld(), webPart(), StepInput{Instance: instance, Host: "web-1", Run: "run-1", Seq: 7, Peers: []string{"web-1", "web-2", "web-3"}, Intent: intent(action, "web-1")}
				if row.given != nil {
					row.given(w, &p, &in)
				}
				in.Part, _ = w.Put(t.Context(), plan.Body(p))
				a := w.activities()
				r, err := do(t, nil, func(ctx context.Context, in StepInput) (StepResult, error) { return step(a, ctx, in) }, in)
				if err != nil {
					t.Fatalf("error: %v", err)
				}
				if r.Verdict != row.verdict || !strings.Contains(r.Reason, row.reason) {
					t.Errorf("verdict %q, reason %q; want %q and %q in the reason", r.Verdict, r.Reason, row.verdict, row.reason)
				}
				w.proveAudit(t, in.Intent, r.Audit)
				w.proveNoSecret(t, r)
				if row.also != nil {
					row.also(t, w, r)
				}
			})
		})
	}
}

func (w *world) proveAudit(t *testing.T, intent audit.Entry, head audit.Head) {
	t.Helper()
	if first, last := w.log[0], w.log[len(w.log)-1]; first != "audit intent" || last != "audit outcome" {
		t.Errorf("began with %q and ended with %q; want the intent and the outcome around everything", first, last)
	}
	last := len(w.entries) - 1 // work on several hosts has an entry more, which names them
	if named := last == 2 && w.entries[1].Kind == audit.Intent && w.entries[1].Host != ""; last != 1 && !named || w.entries[0] != intent || w.entries[last].Head() != head {
		t.Errorf("entries %+v do not end at the head %+v", w.entries, head)
	}
	if strays, err := audit.Verify(head, w.entries); err != nil || len(strays) > 0 {
		t.Errorf("chain: %v, strays %v", err, strays)
	}
}

func (w *world) proveNoSecret(t *testing.T, result any) {
	t.Helper()
	for what, v := range map[string]any{"result": result, "audit": w.entries, "access": w.accesses, "bodies": w.bodies, "runs": w.runs} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if bodies, ok := v.(map[string][]byte); ok { // JSON writes bytes in base64
			text = nil
			for _, body := range bodies {
				text = append(text, body...)
			}
		}
		if strings.Contains(string(text), theSecret) {
			t.Errorf("the secret is in the %s: %s", what, text)
		}
	}
	for _, acc := range w.accesses {
		if acc.Consul.Token == nil || acc.Consul.Token.Env+acc.Consul.Token.File == "" {
			t.Errorf("access %+v has lost its reference to the token", acc)
		}
	}
}

// errorType is the type that workflows see.
func errorType(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type()
	}
	return ""
}
