package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Receivers lists who wants a notice, by the plan. Each is told by a Tell of its own: one that cannot be reached must not have the
// others told again.
func (a *Activities) Receivers(ctx context.Context, in TellInput) ([]string, error) {
	var p plan.Plan
	if err := a.load(ctx, in.Plan, &p); err != nil {
		return nil, err
	}
	var names []string
	for _, n := range p.Notify {
		if n.Wants(campaign.Event(in.Notice.Event)) {
			names = append(names, n.Name)
		}
	}
	return names, nil
}

// Tell delivers one notice to one receiver of the plan; an undelivered one is an error, and is retried.
func (a *Activities) Tell(ctx context.Context, in TellInput) error {
	var p plan.Plan
	if err := a.load(ctx, in.Plan, &p); err != nil {
		return err
	}
	for _, n := range p.Notify {
		if n.Name == in.Receiver {
			if err := a.Notifier.Notify(ctx, n, in.Notice); err != nil {
				return fmt.Errorf("notify %q: %w", n.Name, err)
			}
			return nil
		}
	}
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("notify %q: the plan names no such receiver", in.Receiver), ErrBadInput, nil)
}

// Ask says what became of a workflow whose report may be lost.
func (a *Activities) Ask(ctx context.Context, in AskInput) (AskResult, error) {
	return a.Workflows.Ask(ctx, in)
}

// Record appends an entry that is not an action on a host: a person's message, a child's last digest.
func (a *Activities) Record(ctx context.Context, in RecordInput) error {
	for _, e := range in.Entries {
		if err := a.Audit.Append(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// Begin works out the state in which a cluster's workflow begins, from its part of the plan.
func (a *Activities) Begin(ctx context.Context, in BeginInput) (BeginResult, error) {
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return BeginResult{}, err
	}
	r := BeginResult{Cluster: p.State(in.Instance, in.Unattended), Member: p.MemberPolicy(in.Unattended), Segments: map[string]string{}, Owner: p.Cluster.Owner}
	for _, h := range p.Hosts {
		r.Segments[h.Name] = h.Segment
	}
	r.Limits = limits(p)
	return r, nil
}

// limits bound the steps of the cluster's members.
func limits(p plan.Part) map[rollout.Step]time.Duration {
	t, c := p.Policy.Timeouts, time.Duration(p.Policy.Checks.Timeout)
	drain := time.Duration(p.Policy.Drain.Timeout) + dnsTTL(append([]plan.Other{{Cluster: p.Cluster}}, p.Others...))
	limits := map[rollout.Step]time.Duration{
		rollout.StepFetch: time.Duration(t.Fetch), rollout.StepDrain: drain, rollout.StepPatch: time.Duration(t.Patch),
		rollout.StepBackout: time.Duration(t.Patch), rollout.StepReboot: time.Duration(t.Reboot), rollout.StepCheck: c, rollout.StepUndrain: 2 * c,
	}
	if n := time.Duration(p.Scripted()); n > 0 { // the scripts take their time too: those of a drain together, those of an undrain one after the other
		limits[rollout.StepDrain] += time.Duration(p.Policy.Drain.Timeout)
		limits[rollout.StepUndrain] += 2 * n * c
	}
	return limits
}
