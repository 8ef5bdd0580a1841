package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Scripts are the playbooks.
type Scripts interface {
	// Script returns a family's script, its library included. family "" means: find it by the os-release id.
	Script(family, osID, name string) ([]byte, error)
}

// Workflows asks the Temporal server what became of workflows.
type Workflows interface {
	Ask(ctx context.Context, in AskInput) (AskResult, error)
	// Orphans lists so many of them at a time; those that are known stand beside them.
	Orphans(ctx context.Context, known []string) ([]Orphan, error)
	LastRun(ctx context.Context, in LastRunInput) (LastRun, error)
	// Frozen says why the whole estate is frozen, by whom and since when; empty when it is not.
	Frozen(ctx context.Context) (string, error)
}

// Activities holds what the steps need of the world. Its methods are the activities.
type Activities struct {
	Runner    Runner
	Catalog   Catalog
	Claims    Claims
	Stagings  Stagings
	Took      Measurements
	Prober    Prober
	Notifier  Notifier
	Changes   Changes
	Store     Store
	Audit     AuditSink
	Scripts   Scripts
	Workflows Workflows
	Instances Instances
	Switch    PowerSwitch
	Calendars Calendars
	Signers   Signers
	Schedules Schedules
	Standings Standings
	// ServerID tells one Temporal database from another, also where both have the same address and names; every record says whose it is.
	ServerID func(ctx context.Context) (string, error)
	// Inventory reads the worker's inventory as it is now, or says why there is none.
	Inventory func() (inventory.Inventory, error)
	Actor     string // who acts, for the audit chain: the worker's identity
	Now       func() time.Time
	Log       *zap.Logger

	parts sync.Map // digest -> plan.Part; content-addressed, so never stale
}

// Error types that workflows branch on; errors.Is does not cross Temporal.
const (
	ErrBadInput = "BadInput" // asking again cannot help: a body is missing or unreadable
)

// part reads a cluster's part of the plan.
func (a *Activities) part(ctx context.Context, digest string) (plan.Part, error) {
	if p, ok := a.parts.Load(digest); ok {
		return p.(plan.Part), nil
	}
	var p plan.Part
	if err := a.load(ctx, digest, &p); err != nil {
		return p, err
	}
	a.parts.Store(digest, p)
	return p, nil
}

func (a *Activities) load(ctx context.Context, digest string, into any) error {
	body, err := a.Store.Get(ctx, digest)
	if err != nil {
		return fmt.Errorf("body %s: %w", digest, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("body %s: %v", digest, err), ErrBadInput, err)
	}
	return nil
}

func (a *Activities) save(ctx context.Context, v any) (string, error) {
	return a.Store.Put(ctx, plan.Body(v))
}

// scene is one step's host in its cluster.
type scene struct {
	part   plan.Part
	who    string // the instance
	host   inventory.Host
	target Target
	began  time.Time // the step's attempt, by this worker's clock
}

func (a *Activities) scene(ctx context.Context, part, host string) (scene, error) {
	p, err := a.part(ctx, part)
	if err != nil {
		return scene{}, err
	}
	h, ok := p.Host(host)
	if !ok {
		return scene{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf("host %q is not in the part of cluster %q", host, p.Cluster.Name), ErrBadInput, nil)
	}
	return scene{part: p, host: h, target: targetOf(h), began: a.Now()}, nil
}

func targetOf(h inventory.Host) Target {
	return Target{Host: h.Name, Addr: net.JoinHostPort(h.Address, strconv.Itoa(h.Access.Port)), Access: h.Access}
}

// clusters are those that the host belongs to, the one that is worked on first. It goes out of service in all of them, and comes back in all.
func (s scene) clusters() []plan.Other {
	all := []plan.Other{{Cluster: s.part.Cluster, Accepted: s.part.Accepted, Until: s.part.Until}}
	for _, o := range s.part.Others {
		if o.Cluster.Has(s.host.Name) {
			all = append(all, o)
		}
	}
	return all
}

// consulFor is how the servers of one of these clusters are asked.
func (s scene) consulFor(c inventory.Cluster) ConsulAccess {
	return consulOf(s.part, c.Consul, s.host.Name)
}

// consul is how the cluster's servers are asked: never through the member being worked on, whose agent may be down or lie.
func (s scene) consul() ConsulAccess { return s.consulFor(s.part.Cluster) }

func consulOf(p plan.Part, c inventory.Consul, not string) ConsulAccess {
	acc := ConsulAccess{Consul: c}
	for _, h := range p.Via {
		if h.Name != not {
			acc.Via = append(acc.Via, targetOf(h))
		}
	}
	return acc
}

func (s scene) script(a *Activities, osID, name string) ([]byte, error) {
	body, err := a.Scripts.Script(s.host.Playbook, osID, name)
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(fmt.Sprintf("host %q: playbook script %q: %v", s.host.Name, name, err), ErrBadInput, err)
	}
	return body, nil
}

func serviceNames(c inventory.Cluster) []string {
	var names []string
	for _, s := range c.Services {
		names = append(names, s.Name)
	}
	return names
}

// reasonPrefix begins the text of all maintenance that names us.
const reasonPrefix = "rollpatch "

// Reason is the text of our maintenance: only maintenance with exactly this reason is ever removed (P8).
func Reason(instance, host string) string { return reasonPrefix + instance + " " + host }

// audited writes the intent before the work and its outcome after it (P9). A retry writes the same intent again, which changes
// nothing.
func (a *Activities) audited(ctx context.Context, intent audit.Entry, work func(ctx context.Context) (result, output string, err error)) (audit.Head, error) {
	if err := a.intend(ctx, intent); err != nil {
		return audit.Head{}, err
	}
	ctx, stop := a.beating(ctx)
	defer stop()
	result, output, err := work(ctx)
	if err != nil {
		return audit.Head{}, err
	}
	outcome, head := intent.Head().Next(audit.Entry{
		Kind: audit.Outcome, Time: a.Now(), Actor: a.Actor, Action: intent.Action, Host: intent.Host, Run: intent.Run, Result: result, Output: output,
	})
	if err := a.Audit.Append(ctx, outcome); err != nil {
		return audit.Head{}, fmt.Errorf("audit: outcome of %s: %w", intent.Action, err)
	}
	return head, nil
}

func (a *Activities) intend(ctx context.Context, intent audit.Entry) error {
	if err := a.Audit.Append(ctx, intent); err != nil {
		return fmt.Errorf("audit: intent of %s: %w", intent.Action, err)
	}
	return nil
}

// auditedOn is audited for work on several hosts: an entry that names them stands between the intent and the first of them (P9).
func (a *Activities) auditedOn(ctx context.Context, intent audit.Entry, hosts []string, work func(ctx context.Context) (result, output string, err error)) (audit.Head, error) {
	if err := a.intend(ctx, intent); err != nil {
		return audit.Head{}, err
	}
	named, _ := intent.Head().Next(audit.Entry{
		Kind: audit.Intent, Time: intent.Time, Actor: intent.Actor, Action: intent.Action, Host: strings.Join(hosts, ","), Run: intent.Run, Detail: intent.Detail,
	})
	return a.audited(ctx, named, work)
}

// beat is how often a long activity says that it lives; the server gives its work to another worker after four of them.
const beat = 5 * time.Second

// beating heartbeats until stop. The context ends when the server says that the activity is no longer ours, and when the
// worker stops: what runs on a host goes on there, and the next attempt attaches to it.
func (a *Activities) beating(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			activity.RecordHeartbeat(ctx)
			select {
			case <-ctx.Done():
				return
			case <-activity.GetWorkerStopChannel(ctx):
				cancel()
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// step runs one step of a member under the audit chain.
func (a *Activities) step(ctx context.Context, in StepInput, work func(ctx context.Context, s scene, r *StepResult) error) (StepResult, error) {
	var r StepResult
	s, err := a.scene(ctx, in.Part, in.Host)
	if err != nil {
		return r, err
	}
	s.who = in.Instance
	r.Audit, err = a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		if err := work(ctx, s, &r); err != nil {
			return "", "", in.wrap(err)
		}
		r.Reason = clip(r.Reason)
		if activity.GetInfo(ctx).Attempt == 1 {
			r.TookMilli = max(1, a.Now().Sub(s.began).Milliseconds())
		}
		result := string(r.Verdict)
		if r.Reason != "" {
			result += ": " + r.Reason
		}
		return result, r.Changes, nil
	})
	return r, err
}

// wrap names the host and the step. Temporal sees the outermost error only: what asking again cannot help must be said there.
func (in StepInput) wrap(err error) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NonRetryable() {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("host %q: step %q: %s", in.Host, in.Intent.Action, app.Message()), app.Type(), err)
	}
	return fmt.Errorf("host %q: step %q: %w", in.Host, in.Intent.Action, err)
}

func (r *StepResult) pass(reason string)    { r.Verdict, r.Reason = rollout.Pass, reason }
func (r *StepResult) fail(reason string)    { r.Verdict, r.Reason = rollout.Fail, reason }
func (r *StepResult) unknown(reason string) { r.Verdict, r.Reason = rollout.Inconclusive, reason }

// join adds what one of several hosts came to: a fail says more than what could not be told, and that more than a pass.
func (r *StepResult) join(o StepResult) {
	if o.Verdict != "" && (r.Verdict == "" || o.Verdict == rollout.Fail && r.Verdict != rollout.Fail) {
		r.Verdict, r.Reason = o.Verdict, o.Reason
	}
	r.Foreign, r.AskAgain, r.Spent = r.Foreign || o.Foreign, r.AskAgain || o.AskAgain, r.Spent || o.Spent
	if r.Tail == "" {
		r.Tail, r.Kept = o.Tail, o.Kept
	}
}

// orUnknown reports trouble as unknown, so that people see what is waited for.
func (r *StepResult) orUnknown(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // the activity is no longer ours: no result, another attempt follows
	}
	r.unknown(err.Error())
	return nil
}

// wait sleeps, or returns when the context ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// reasonSize bounds a reason, which people read and history keeps: what it is made of, such as a list of processes, may be long.
const reasonSize = 1 << 10

func clip(s string) string {
	if len(s) > reasonSize {
		s = s[:reasonSize] + " ..."
	}
	return strings.ToValidUTF8(s, "?")
}

// tailSize bounds what of an output enters history.
const tailSize = 4 << 10

func tail(b []byte) string {
	if len(b) > tailSize {
		b = b[len(b)-tailSize:]
	}
	return strings.ToValidUTF8(string(b), "?")
}
