package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func clusterKey(name string) string    { return rollout.ClusterRecord + name }
func drainKey(host string) string      { return rollout.DrainRecord + host }
func quarantineKey(host string) string { return rollout.QuarantineRecord + host }

// at finds the record of exactly this key.
func at(list []Claim, key string) (Claim, bool) {
	for _, c := range list {
		if c.Key == key {
			return c, true
		}
	}
	return Claim{}, false
}

// record reads the record of exactly this key. Others that begin like it may be unreadable.
func (a *Activities) record(ctx context.Context, access ConsulAccess, key string) (Claim, bool, error) {
	list, err := a.Claims.List(ctx, access, key)
	if list, err = readable(list, err); err != nil {
		return Claim{}, false, err
	}
	claim, ok := at(list, key)
	if ok && claim.Broken != "" {
		return Claim{}, false, errors.New(claim.Broken)
	}
	return claim, ok, nil
}

// readable puts records that cannot be read among the others, for those who can do with the others alone.
func readable(list []Claim, err error) ([]Claim, error) {
	if some := (*UnreadableError)(nil); errors.As(err, &some) {
		return append(list, some.Records...), nil
	}
	return list, err
}

// owner is the instance, on the server that the worker works for.
func (a *Activities) owner(ctx context.Context, instance string) (Owner, error) {
	server, err := a.ServerID(ctx)
	return Owner{Instance: instance, Server: server}, err
}

// owner is whose records a step's are: a person may have it end what an instance of another server left behind.
func (in StepInput) owner(ctx context.Context, a *Activities) (Owner, error) {
	if in.Server != "" {
		return Owner{Instance: in.Instance, Server: in.Server}, nil
	}
	return a.owner(ctx, in.Instance)
}

// Claim locks the cluster, and every cluster that shares a host with it, for the instance: all or none.
func (a *Activities) Claim(ctx context.Context, in ClaimInput) (ClaimResult, error) {
	return a.claims(ctx, in, func(ctx context.Context, p plan.Part, r *ClaimResult) error {
		me, err := a.owner(ctx, in.Instance)
		if err != nil {
			return err
		}
		var want []Claim
		for _, name := range p.Claims() {
			want = append(want, Claim{Key: clusterKey(name), Owner: in.Instance, Since: in.Intent.Time, Reason: in.Reason, Server: me.Server, Plan: in.Plan, Workflow: in.Workflow, Emergency: in.Emergency})
		}
		held, err := a.Claims.Take(ctx, consulOf(p, p.Cluster.Consul, ""), want)
		if err != nil {
			return err
		}
		r.OK, r.Held = len(held) == 0, len(held) > 0
		var who []string
		for _, h := range held {
			if in.Emergency && h.Server == me.Server && h.Workflow != "" && !h.Emergency && !slices.Contains(r.Holders, h.Workflow) {
				r.Holders = append(r.Holders, h.Workflow)
			}
			who = append(who, fmt.Sprintf("%s is claimed by %s since %s (%s)", h.Key, me.name(h), h.Since.UTC().Format("2006-01-02 15:04"), h.Reason))
		}
		r.Reason = strings.Join(who, "; ")
		return nil
	})
}

// Release gives the cluster's claims back; those of quarantined members stay.
func (a *Activities) Release(ctx context.Context, in ClaimInput) (ClaimResult, error) {
	return a.claims(ctx, in, func(ctx context.Context, p plan.Part, r *ClaimResult) error {
		var keys []string
		for _, name := range p.Claims() {
			keys = append(keys, clusterKey(name))
		}
		me, err := a.owner(ctx, in.Instance)
		if err != nil {
			return err
		}
		if in.Finished != nil {
			if err := a.finished(ctx, p, in); err != nil {
				return err
			}
		}
		if in.YieldTo != "" {
			if waits, err := a.yield(ctx, in, p, me, keys, r); err != nil || waits {
				return err
			}
		}
		if err := a.Claims.Release(ctx, consulOf(p, p.Cluster.Consul, ""), me, keys); err != nil {
			return err
		}
		r.OK = true
		if err := a.took(ctx, p, in); err != nil { // a later plan is made without it
			r.Reason = clip("how long its members took is not on record: " + err.Error())
		}
		return nil
	})
}

// yield hands the claims over to an emergency, and waits until that has them: they are never free meanwhile. Where it has ended, nobody wants
// them any more, and they are given back.
func (a *Activities) yield(ctx context.Context, in ClaimInput, p plan.Part, me Owner, keys []string, r *ClaimResult) (waits bool, err error) {
	access := consulOf(p, p.Cluster.Consul, "")
	left, err := a.Claims.Yield(ctx, access, me, keys, in.YieldTo)
	if err != nil {
		return false, err
	}
	if len(left) == 0 {
		now, stands, err := a.record(ctx, access, clusterKey(p.Cluster.Name))
		switch {
		case err != nil:
			return false, err
		case stands:
			r.Reason = "handed over: it is " + me.name(now) + "'s"
		default:
			r.Reason = "there was nothing to hand over to " + in.YieldTo
		}
		return false, nil
	}
	to, err := a.Workflows.Ask(ctx, AskInput{WorkflowID: in.YieldTo})
	if err != nil {
		return false, err
	}
	if !to.Running {
		r.Reason = "given back: " + in.YieldTo + ", which it was to be handed over to, has ended"
		return false, nil
	}
	r.Held, r.Reason = true, "handed over to "+in.YieldTo+", which has not taken it yet"
	return true, nil
}

func (a *Activities) claims(ctx context.Context, in ClaimInput, work func(context.Context, plan.Part, *ClaimResult) error) (ClaimResult, error) {
	return a.claimsBy(ctx, in, func(ctx context.Context, _ plan.Part, do func(context.Context) (string, string, error)) (audit.Head, error) {
		return a.audited(ctx, in.Intent, do)
	}, work)
}

// claimsBy says with by how that goes on the audit chain.
func (a *Activities) claimsBy(ctx context.Context, in ClaimInput, by func(context.Context, plan.Part, func(context.Context) (string, string, error)) (audit.Head, error),
	work func(context.Context, plan.Part, *ClaimResult) error) (ClaimResult, error) {
	var r ClaimResult
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return r, err
	}
	r.Audit, err = by(ctx, p, func(ctx context.Context) (string, string, error) {
		if err := work(ctx, p, &r); err != nil {
			if ctx.Err() != nil {
				return "", "", ctx.Err()
			}
			r.ClaimResult = rollout.ClaimResult{Reason: clip(err.Error())}
		}
		return fmt.Sprintf("%t: %s", r.OK, r.Reason), "", nil
	})
	return r, err
}
