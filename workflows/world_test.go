package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// world stands for everything that activities touch. Each step passes unless the test says otherwise.
type world struct {
	updaters updaters
	mu       sync.Mutex
	calls    []string // "step host"
	servers  []string // "step server", of steps in the name of an instance of another server
	runs     []string // run ids, in the order in which scripts were started
	seqs     map[string]int64
	entries  []audit.Entry
	notices  []activities.Notice
	plans    []string // that name whom they were told
	members  []string
	policy   rollout.ClusterPolicy
	member   rollout.MemberPolicy
	minimum  int
	on       map[string]func(call int) rollout.MemberResult // by "step host"
	errs     map[string]func(call int) error
	count    map[string]int
	watch    func(call int) rollout.WatchResult
	watchOf  func(patched []string) rollout.WatchResult
	claim    func(call int) rollout.ClaimResult
	release  func(call int) rollout.ClaimResult
	more     []rollout.Ref           // clusters beside "web", of the same members
	hosts    map[string][]string     // members of clusters that have their own
	rules    func(*rollout.Campaign) // of the campaign, beside the usual ones
	ask      func(activities.AskInput) activities.AskResult
	spent    string                     // a step whose inconclusive results use its run up
	shut     []activities.EvidenceInput // versions that were put on record
	record   func(call int) rollout.ClaimResult
	// scripted: drains and undrains run scripts, whose numbers the hosts that run them have seen up to this.
	scripted int64
	hours    *hours // windows and freezes; nil: there are none
	stages   *stages
	// agreement is who must agree, and keys whose signatures count: name by key.
	agreement plan.Agreement
	request   *approval.Signed
	keys      keyring
	numbers   map[string]int64 // of runs, by id
	ahead     func(call int) (rollout.AheadResult, error)
	changes   activities.Changes
	inspected []string             // host and mode
	took      []rollout.MemberTook // as the last release was told
	standing  func(call int) ([]approval.Signed, error)
	bodies    bodies
}

func newWorld(members ...string) *world {
	return &world{
		members: members, minimum: len(members) - 1, seqs: map[string]int64{}, on: map[string]func(int) rollout.MemberResult{},
		errs: map[string]func(int) error{}, count: map[string]int{}, numbers: map[string]int64{},
		policy: rollout.ClusterPolicy{Soak: 24 * time.Hour, SoakPasses: 3, Settle: 10 * time.Minute, RetryEvery: 30 * time.Second, Unattended: true},
		member: rollout.MemberPolicy{Reboot: rollout.RebootAlways, Unattended: true, WaitMax: 30 * time.Minute, RetryEvery: 30 * time.Second, Leftover: "hold"},
	}
}

func (w *world) step(_ context.Context, name string, in activities.StepInput) (activities.StepResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := name + " " + in.Host
	w.hours.note(key)
	w.count[key]++
	w.calls = append(w.calls, key)
	if in.Server != "" {
		w.servers = append(w.servers, name+" "+in.Server)
	}
	if in.Run != "" {
		w.runs = append(w.runs, in.Run)
		if in.Seq <= w.seqs[in.Host] && w.runs[len(w.runs)-1] == "" {
			return activities.StepResult{}, fmt.Errorf("stale number %d", in.Seq)
		}
		w.seqs[in.Host], w.numbers[in.Run] = in.Seq, in.Seq
	}
	if fail := w.errs[key]; fail != nil {
		if err := fail(w.count[key]); err != nil {
			return activities.StepResult{}, err
		}
	}
	r := activities.StepResult{MemberResult: rollout.MemberResult{Verdict: rollout.Pass}, TookMilli: 1000}
	switch name {
	case "inspect":
		w.inspected = append(w.inspected, in.Host+" "+string(in.Mode))
		r.Platform = "debian 13 amd64"
		r.Boot, r.Seq, r.Scripted = "boot-1", max(w.seqs[in.Host], w.scripted), w.scripted > 0
	case "check":
		r.Seq, r.Scripted = max(w.seqs[in.Host], w.scripted), w.scripted > 0
	case "fetch":
		w.updaters.before = append(w.updaters.before, in.Host+" "+in.Before)
		r.MemberResult.Changes, r.Changes = 2, "sha256:changes"
		if in.Manifest == "" {
			r.Manifest = "sha256:manifest"
		}
	case "reboot":
		r.Boot = in.Boot + "'"
	case "gate":
		r.Peers = []rollout.Redundancy{{Cluster: "web", Size: len(w.members), MaxOut: 1, MinHealthy: w.minimum, PeersIn: len(w.members) - 1}}
		w.hours.gate(in, &r.MemberResult)
	}
	if f := w.on[key]; f != nil {
		keep := r
		r.MemberResult = f(w.count[key])
		r.Spent = key == w.spent && r.Verdict == rollout.Inconclusive
		if r.MemberResult.Peers == nil {
			r.MemberResult.Peers = keep.Peers
		}
	}
	w.entries = append(w.entries, in.Intent)
	e, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: name, Host: in.Host, Result: string(r.Verdict)})
	w.entries = append(w.entries, e)
	r.Audit = head
	return r, nil
}

func (w *world) register(env *testsuite.TestWorkflowEnvironment) {
	for step, name := range map[string]string{
		"inspect": "Inspect", "fetch": "Fetch", "gate": "Gate", "drain": "Drain", "patch": "Patch", "reboot": "Reboot", "check": "Check",
		"undrain": "Undrain", "backout": "Backout", "quarantine": "Quarantine", "power": "Power",
	} {
		env.RegisterActivityWithOptions(func(ctx context.Context, in activities.StepInput) (activities.StepResult, error) {
			return w.step(ctx, step, in)
		}, activity.RegisterOptions{Name: name})
	}
	claims := func(name string) {
		env.RegisterActivityWithOptions(func(_ context.Context, in activities.ClaimInput) (activities.ClaimResult, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.calls = append(w.calls, strings.ToLower(name))
			w.count[name]++
			r := activities.ClaimResult{ClaimResult: rollout.ClaimResult{OK: true}}
			if f := map[string]func(int) rollout.ClaimResult{"Claim": w.claim, "Release": w.release}[name]; f != nil {
				r.ClaimResult = f(w.count[name])
			}
			if r.OK {
				w.stages.released(in)
			}
			w.took = in.Took
			w.entries = append(w.entries, in.Intent)
			e, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: name})
			w.entries = append(w.entries, e)
			r.Audit = head
			return r, nil
		}, activity.RegisterOptions{Name: name})
	}
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.EvidenceInput) (activities.ClaimResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls = append(w.calls, "quarantine versions")
		w.shut = append(w.shut, in)
		r := activities.ClaimResult{ClaimResult: rollout.ClaimResult{OK: true, Reason: "lab-web 1.2"}}
		if w.record != nil {
			r.ClaimResult = w.record(len(w.shut))
		}
		w.entries = append(w.entries, in.Intent)
		e, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: "quarantine"})
		w.entries = append(w.entries, e)
		r.Audit = head
		return r, nil
	}, activity.RegisterOptions{Name: "QuarantineVersions"})
	claims("Claim")
	claims("Release")
	// A real watch returns when something changes, and after an hour at the latest: here always after the hour.
	watch := func(_ context.Context, in activities.WatchInput) (activities.WatchResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count["watch"]++
		w.calls = append(w.calls, "watch "+strings.Join(in.Patched, ","))
		r := activities.WatchResult{WatchResult: rollout.WatchResult{Verdict: rollout.Pass, Passes: 3, Samples: 3}}
		if w.watch != nil {
			r.WatchResult = w.watch(w.count["watch"])
		}
		if w.watchOf != nil {
			r.WatchResult = w.watchOf(in.Patched)
		}
		w.entries = append(w.entries, in.Intent)
		e, head := in.Intent.Head().Next(audit.Entry{Kind: audit.Outcome, Action: "watch"})
		w.entries = append(w.entries, e)
		r.Audit = head
		return r, nil
	}
	env.RegisterActivityWithOptions(watch, activity.RegisterOptions{Name: "Watch"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.BeginInput) (activities.BeginResult, error) {
		c := rollout.Cluster{Instance: in.Instance, Name: strings.TrimPrefix(in.Part, "part:"), Stage: "production", MinHealthy: w.minimum, Phase: rollout.PhaseClaim, Policy: w.policy}
		members := w.members
		if own := w.hosts[c.Name]; own != nil {
			members = own
		}
		for _, m := range members {
			c.Members = append(c.Members, rollout.Slot{Host: m})
		}
		w.stages.begin(&c)
		return activities.BeginResult{Cluster: c, Member: w.member, Segments: map[string]string{}, Limits: w.hours.limits()}, nil
	}, activity.RegisterOptions{Name: "Begin"})
	env.RegisterActivityWithOptions(func(context.Context, activities.TellInput) ([]string, error) {
		return []string{"pager"}, nil
	}, activity.RegisterOptions{Name: "Receivers"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.TellInput) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.notices, w.plans = append(w.notices, in.Notice), append(w.plans, in.Plan)
		return nil
	}, activity.RegisterOptions{Name: "Tell"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.RecordInput) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.entries = append(w.entries, in.Entries...)
		return nil
	}, activity.RegisterOptions{Name: "Record"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.AskInput) (activities.AskResult, error) {
		if w.ask != nil {
			return w.ask(in), nil
		}
		return activities.AskResult{Running: true, Status: "Running"}, nil
	}, activity.RegisterOptions{Name: "Ask"})
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.AskInput) (activities.DemandedResult, error) {
		if in.WorkflowID != theEmergency {
			return activities.DemandedResult{No: in.WorkflowID + " is no cluster of an emergency"}, nil
		}
		return activities.DemandedResult{}, nil
	}, activity.RegisterOptions{Name: "Demanded"})
	env.RegisterActivityWithOptions((&activities.Activities{Signers: &w.keys, Store: w.bodies, Audit: chain{w}, Now: time.Now}).Verify, activity.RegisterOptions{Name: "Verify"})
	env.RegisterActivityWithOptions((&activities.Activities{Changes: w.changes, Store: planned{}, Audit: chain{w}, Now: time.Now}).Change, activity.RegisterOptions{Name: "Change"})
	w.registerStanding(env)
	w.registerUpdaters(env)
	w.registerAhead(env)
	w.hours.register(env, w)
	w.stages.register(env, w)
	env.OnActivity("Watch", mock.Anything, mock.Anything).After(time.Hour).Return(watch)
}

const instance = "monthly-20261101T020000Z"

// deeds are the calls that do something. A watch that was cancelled only reads, and may come when all is over.
func (w *world) deeds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.calls), func(c string) bool { return strings.HasPrefix(c, "watch ") })
}

// environment is where a test runs a workflow. That a goroutine of it does not get on for a second is the fault of a busy machine here: what
// workflows may do is workflowcheck's.
func environment(suite *testsuite.WorkflowTestSuite) *testsuite.TestWorkflowEnvironment {
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 30 * time.Second})
	return env
}

// campaign runs an instance with one cluster "web" to its end and returns its state.
func (w *world) campaign(t *testing.T, meanwhile func(env *testsuite.TestWorkflowEnvironment)) (workflows.CampaignState, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetWorkflowRunTimeout(90 * 24 * time.Hour)
	env.SetStartWorkflowOptions(startOptions())
	workflows.Register(env)
	w.register(env)
	if meanwhile != nil {
		meanwhile(env)
	}
	c := rollout.Campaign{
		Instance: instance, Name: "monthly", Why: "security updates", Requester: "ann", Plan: "sha256:plan", Parallel: 5, Unattended: w.policy.Unattended,
		Stages: []string{"production"}, Clusters: append([]rollout.Ref{{Name: "web", Part: "part:web", Total: len(w.members)}}, w.more...),
	}
	if w.rules != nil {
		w.rules(&c)
	}
	for _, g := range w.agreement.Gates {
		c.Gates = append(c.Gates, rollout.Gate{ID: g.ID, Stage: g.Stage, After: g.After})
	}
	env.ExecuteWorkflow(workflows.CampaignType, workflows.CampaignState{Tell: true, Campaign: c, Agreement: w.agreement, Request: w.request})
	if !env.IsWorkflowCompleted() {
		t.Fatalf("the campaign did not end; calls:\n%s", strings.Join(w.calls, "\n"))
	}
	var st workflows.CampaignState
	v, err := env.QueryWorkflow(workflows.QueryState)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(&st); err != nil {
		t.Fatal(err)
	}
	return st, env.GetWorkflowError()
}

func halted(err error) bool {
	var app *temporal.ApplicationError
	return asApp(err, &app) && app.Type() == workflows.ErrHalted
}
