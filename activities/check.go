package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Check asks the member's checks until they passed often enough in a row and it looks as it did before its patch, or the time for that is over.
func (a *Activities) Check(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		// An undrain may be next, and begin with this member's workflow. Where the numbers cannot be read, that is told then.
		r.Scripted = s.drains(inventory.DrainCommand)
		if n, err := a.highest(ctx, s, 0); err == nil {
			r.Seq = n
		}
		return a.checkHost(ctx, s, in.Peers, in.Print, r)
	})
}

func (a *Activities) checkHost(ctx context.Context, s scene, peers []string, before string, r *StepResult) error {
	pol := s.part.Policy.Checks
	deadline := a.Now().Add(time.Duration(pol.Timeout))
	for passes := 0; ; {
		round := a.probe(ctx, s, s.host, s.part.Cluster.Checks)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if round.good() {
			passes++
		} else {
			passes = 0
		}
		if passes >= pol.Passes {
			r.pass(fmt.Sprintf("%d checks passed %d times in a row", len(s.part.Cluster.Checks), passes))
			if before == "" {
				return nil
			}
			if done, err := a.resembles(ctx, s, before, a.Now().After(deadline), r); done || err != nil {
				return err
			}
		} else if a.Now().After(deadline) {
			r.Verdict, r.Reason, r.Blame = judge(round, a.probePeers(ctx, s, peers, round.failed))
			return nil
		}
		if err := wait(ctx, time.Duration(pol.Interval)); err != nil {
			return err
		}
	}
}

// round is one look at all checks of one host.
type round struct {
	host    string
	failed  []inventory.Check
	reasons []string
	unasked []string // names of checks
	unknown error    // why
}

func (r round) good() bool { return len(r.failed) == 0 && r.unknown == nil }

func (r round) String() string {
	if len(r.failed) == 0 && r.unknown != nil {
		return r.unknown.Error()
	}
	return strings.Join(r.reasons, "; ")
}

// inCatalog stands among the checks of a soak: the servers give the member to those who ask for its services. No check of a file can
// have this name.
var inCatalog = inventory.Check{Name: "in service"}

func (a *Activities) probe(ctx context.Context, s scene, h inventory.Host, checks []inventory.Check) round {
	r := round{host: h.Name}
	for _, c := range checks {
		var (
			ok     bool
			reason string
			err    error
		)
		if c.Name == inCatalog.Name {
			ok, reason, err = a.way(plan.Other{Cluster: s.part.Cluster}, 0).serves(ctx, s, h)
		} else {
			ok, reason, err = a.Prober.Probe(ctx, targetOf(h), c)
		}
		switch {
		case err != nil:
			r.unasked = append(r.unasked, c.Name)
			r.unknown = errors.Join(r.unknown, fmt.Errorf("check %q on %s: %w", c.Name, h.Name, err))
		case !ok:
			r.failed = append(r.failed, c)
			r.reasons = append(r.reasons, fmt.Sprintf("check %q on %s: %s", c.Name, h.Name, reason))
		}
	}
	return r
}

// probePeers asks the failed checks on members that were not patched.
func (a *Activities) probePeers(ctx context.Context, s scene, peers []string, failed []inventory.Check) []round {
	var out []round
	for _, name := range peers {
		h, ok := s.part.Host(name)
		if !ok || name == s.host.Name || len(failed) == 0 {
			continue
		}
		out = append(out, a.probe(ctx, s, h, failed))
	}
	return out
}

// judge tells the patch's fault from a shared one: a check that an unpatched peer fails too says nothing about the patch, and neither
// does one that no peer could be asked (P10). Where there is no unpatched peer, the check stands for itself. A fail is blamed on the first check
// that is not shared.
func judge(mine round, peers []round) (v rollout.Verdict, why, blame string) {
	if len(mine.failed) == 0 {
		return rollout.Inconclusive, mine.String(), ""
	}
	var shared []string
	for _, c := range mine.failed {
		why, isShared := sharedCause(c.Name, peers)
		if !isShared {
			return rollout.Fail, mine.String(), blameCheck(c.Name)
		}
		if !slices.Contains(shared, why) {
			shared = append(shared, why)
		}
	}
	return rollout.Inconclusive, mine.String() + "; but " + strings.Join(shared, ", "), ""
}

// sharedCause says why a failed check may not be the patch's fault.
func sharedCause(check string, peers []round) (why string, ok bool) {
	passed := false
	for _, p := range peers {
		switch {
		case slices.ContainsFunc(p.failed, func(c inventory.Check) bool { return c.Name == check }):
			return "its unpatched peer " + p.host + " fails the same", true
		case slices.Contains(p.unasked, check):
			why, ok = "its unpatched peers could not be asked", true
		default:
			passed = true
		}
	}
	if passed {
		return "", false
	}
	return why, ok
}
