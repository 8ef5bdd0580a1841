package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Gate asks whether the claim is still ours, whether the estate is frozen, what windows and freezes say, how many peers of each of the host's clusters are in
// service, and whether our maintenance stands on the host itself. The rules decide what follows from it.
func (a *Activities) Gate(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		lost, err := a.ours(ctx, s, in)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if lost != "" {
			r.unknown(lost)
			return nil
		}
		if r.Frozen, err = a.Workflows.Frozen(ctx); err != nil {
			return r.orUnknown(ctx, fmt.Errorf("whether the estate is frozen: %w", err))
		}
		if in.Ask != "" {
			e := calendar.OfFile(s.part.Estimate(), "")
			if in.Ask == rollout.AskFit { // nothing else asks for time
				e = a.estimate(ctx, s.part, in.Host, "")
			}
			says, err := a.timing(ctx, s.part, in.Canary, in.Ask, need(e, in.Mode, in.Spent), in.Broken)
			if err != nil {
				return r.orUnknown(ctx, err)
			}
			r.Closed, r.Next, r.Stands = says.closed, says.next, says.stands
			if r.Frozen == "" {
				r.Frozen = says.freeze
			} else {
				r.Next, r.Stands = time.Time{}, nil // a person ends it
			}
		}
		now, err := a.standing(ctx, s, in)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		r.Undrained, r.Ours, r.Peers = now.undrained, now.ours, now.peers
		r.pass(peersInWords(r.Peers) + timesInWords(in.Ask, r))
		return nil
	})
}

// ours says which claim is not ours any more, or nothing.
func (a *Activities) ours(ctx context.Context, s scene, in StepInput) (lost string, err error) {
	me, err := in.owner(ctx, a)
	if err != nil {
		return "", err
	}
	for _, name := range s.part.Claims() {
		switch claim, ok, err := a.record(ctx, s.consul(), clusterKey(name)); {
		case err != nil:
			return "", err
		case !ok:
			return fmt.Sprintf("the claim of cluster %q is not ours: it is gone", name), nil
		case claim.By() != me:
			return fmt.Sprintf("the claim of cluster %q is not ours: %s has it", name, me.name(claim)), nil
		}
	}
	return "", nil
}

// redundancy counts the peers that are in service: each service listed the way its consumers ask.
func redundancy(c plan.Other, s scene, list []Instance) rollout.Redundancy {
	red := budgetOf(c)
	var out []string
	for _, name := range c.Cluster.Members {
		if name == s.host.Name {
			continue
		}
		if inService(c.Cluster, name, s.address(name), list) {
			red.PeersIn++
		} else {
			out = append(out, name)
		}
	}
	red.PeersOut = strings.Join(out, ", ")
	return red
}

// budgetOf is what a cluster may lose; nobody is counted yet.
func budgetOf(c plan.Other) rollout.Redundancy {
	size := len(c.Cluster.Members)
	return rollout.Redundancy{
		Cluster: c.Cluster.Name, Size: size, MaxOut: c.Cluster.MaxUnavailable.Of(size), MinHealthy: c.Cluster.MinHealthy, Accepted: c.Accepted != "", Until: c.Ends(),
	}
}

// address of a member; hosts of other clusters are known to Consul by their name.
func (s scene) address(name string) string {
	if h, ok := s.part.Host(name); ok {
		return h.Address
	}
	return ""
}

// inService says whether every service of the cluster lists the member the way its consumers ask. A cluster without services cannot tell:
// none of its members counts as in service.
func inService(c inventory.Cluster, name, address string, list []Instance) bool {
	for _, svc := range c.Services {
		listed := false
		for _, i := range list {
			if i.Service != svc.Name || i.Node != name && (address == "" || i.Address != address) {
				continue
			}
			ok := i.Status == "passing" || svc.PassingMeans == inventory.NotCritical && i.Status == "warning"
			listed = listed || ok && len(i.Maintenance) == 0 && i.NodeMaint == ""
		}
		if !listed {
			return false
		}
	}
	return len(c.Services) > 0
}

func peersInWords(rs []rollout.Redundancy) string {
	var parts []string
	for _, r := range rs {
		parts = append(parts, fmt.Sprintf("%s: %d of %d peers in service", r.Cluster, r.PeersIn, r.Size-1))
	}
	return strings.Join(parts, "; ")
}

// timesInWords is what windows and freezes said, for the record.
func timesInWords(ask rollout.Ask, r *StepResult) string {
	switch {
	case ask == "":
		return ""
	case r.Frozen != "":
		return "; frozen: " + r.Frozen
	case r.Closed != "":
		return "; closed: " + r.Closed
	case ask == rollout.AskFreeze:
		return "; no freeze"
	}
	return "; its window is open"
}
