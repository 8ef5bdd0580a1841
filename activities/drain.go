package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// sampleGap parts the two samples that prove a drain: a fresh agent, or a server that just lost its leader, can be wrong once.
const sampleGap = 500 * time.Millisecond

// peersGap is how often the servers are asked about the peers while a drain waits for something else.
const peersGap = time.Second

// Drain takes the member out of service: our record first, then maintenance on each of its services, then the proof that the
// servers no longer list it, that the DNS answers have run out, and that connections are gone. Peers may fall meanwhile: then it ends
// early, and the gate decides.
func (a *Activities) Drain(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		reason := Reason(in.Instance, s.host.Name)
		server, err := a.ServerID(ctx)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		record := Claim{Key: drainKey(s.host.Name), Owner: in.Instance, Since: in.Intent.Time, Reason: reason, Server: server, Plan: in.Plan}
		held, err := a.Claims.Take(ctx, s.consul(), []Claim{record})
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if len(held) > 0 {
			r.fail(fmt.Sprintf("%s is drained by %s since %s", s.host.Name, held[0].Owner, held[0].Since.UTC().Format("2006-01-02 15:04")))
			r.Foreign = true
			return nil
		}
		// The gate was asked right before, but hours may lie between: no worker was there, or one died. What is in our maintenance
		// already is out, and the samples below look at its peers.
		now, err := a.standing(ctx, s, in.Instance)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		may, why := rollout.MayBeOut(now.peers)
		switch {
		case !now.undrained:
		case !atOnce(ctx):
			r.unknown("it was not begun at once; the gate is asked again first")
			r.AskAgain = true
			return nil
		case !may:
			r.unknown("peers fell meanwhile: " + why)
			r.AskAgain = true
			return nil
		}
		// A member that cannot be reached for longer is asked about again first.
		soon, cancel := context.WithTimeout(ctx, rollout.GateCounts)
		defer cancel()
		var foreign *ForeignError
		for _, c := range s.clusters() {
			switch err := a.Catalog.Enter(soon, s.consulFor(c.Cluster), s.target, serviceNames(c.Cluster), reason); {
			case errors.As(err, &foreign):
				r.fail(foreign.Error())
				r.Foreign = true
				return nil
			case err != nil:
				r.AskAgain = soon.Err() != nil
				return r.orUnknown(ctx, err)
			}
		}
		deadline := a.Now().Add(time.Duration(s.part.Policy.Drain.Timeout))
		f := &floor{}
		for samples := 0; samples < 2; {
			now, err := a.standing(ctx, s, in.Instance)
			switch {
			case now.listed && a.Now().After(deadline):
				r.fail("the servers still list it as passing after " + s.part.Policy.Drain.Timeout.String())
				return nil
			case err != nil && a.Now().After(deadline):
				return r.orUnknown(ctx, err)
			case err == nil && !now.listed:
				samples++
			default:
				samples = 0
			}
			if f.broken(now.peers, err, r) {
				return nil
			}
			if samples < 2 {
				if err := wait(ctx, sampleGap); err != nil {
					return err
				}
			}
		}
		for until := a.Now().Add(dnsTTL(s.clusters())); a.Now().Before(until); {
			if err := wait(ctx, min(until.Sub(a.Now()), peersGap)); err != nil {
				return err
			}
			if a.floorBroken(ctx, s, f, r) {
				return nil
			}
		}
		return a.connectionsGone(ctx, s, deadline, f, r)
	})
}

// dnsTTL is how long consumers may go on using an answer about any of the clusters.
func dnsTTL(clusters []plan.Other) time.Duration {
	var ttl time.Duration
	for _, c := range clusters {
		if t := c.Cluster.Consul.DNSTTL; t != nil {
			ttl = max(ttl, time.Duration(*t))
		}
	}
	return ttl
}

// floor watches, while a member goes out of service, whether its peers still let it. Two samples in a row must say no: one server
// can be wrong once. A sample that could not be taken says nothing.
type floor struct{ below int }

func (f *floor) broken(peers []rollout.Redundancy, err error, r *StepResult) bool {
	if err != nil {
		return false
	}
	may, why := rollout.MayBeOut(peers)
	if may {
		f.below = 0
		return false
	}
	if f.below++; f.below < 2 {
		return false
	}
	r.unknown("peers fell meanwhile: " + why)
	r.AskAgain = true
	return true
}

func (a *Activities) floorBroken(ctx context.Context, s scene, f *floor, r *StepResult) bool {
	now, err := a.standing(ctx, s, "")
	return f.broken(now.peers, err, r)
}

func (a *Activities) connectionsGone(ctx context.Context, s scene, deadline time.Time, f *floor, r *StepResult) error {
	var ports []int
	for _, c := range s.clusters() {
		for _, svc := range c.Cluster.Services {
			ports = append(ports, svc.Port)
		}
	}
	limit := s.part.Policy.Drain.Connections
	looked := a.Now()
	for {
		n, err := a.Prober.Connections(ctx, s.target, ports)
		switch {
		case err == nil && n <= limit:
			r.pass(fmt.Sprintf("no longer listed by the servers, %d connections left", n))
			return nil
		case a.Now().Before(deadline):
		case err != nil:
			return r.orUnknown(ctx, err)
		default:
			r.fail(fmt.Sprintf("%d connections are left after %s, at most %d may", n, s.part.Policy.Drain.Timeout, limit))
			r.Leftover = true
			return nil
		}
		if a.Now().Sub(looked) >= peersGap {
			if a.floorBroken(ctx, s, f, r) {
				return nil
			}
			looked = a.Now()
		}
		if err := wait(ctx, sampleGap); err != nil {
			return err
		}
	}
}

// standing is how a host and its peers stand, as the servers say.
type standing struct {
	listed    bool   // given to those who ask for one of its services
	undrained bool   // one of its services is not in our maintenance
	ours      bool   // one of them is
	foreign   string // which maintenance of somebody else keeps it out of service
	peers     []rollout.Redundancy
}

func (a *Activities) standing(ctx context.Context, s scene, instance string) (standing, error) {
	var st standing
	for _, c := range s.clusters() {
		list, err := a.Catalog.Instances(ctx, s.consulFor(c.Cluster), serviceNames(c.Cluster))
		if err != nil {
			return standing{listed: st.listed}, err
		}
		st.peers = append(st.peers, redundancy(c, s, list))
		for _, svc := range c.Cluster.Services {
			one := inventory.Cluster{Services: []inventory.Service{svc}}
			st.listed = st.listed || inService(one, s.host.Name, s.host.Address, list)
		}
		for _, i := range list {
			if s.is(i) && st.foreign == "" {
				st.foreign = foreignOn(i, Reason(instance, s.host.Name))
			}
			switch {
			case !s.is(i):
			case slices.Contains(i.Maintenance, Reason(instance, s.host.Name)):
				st.ours = true
			default:
				st.undrained = true
			}
		}
	}
	return st, nil
}

// foreignOn names the maintenance of somebody else on a service, or "".
func foreignOn(i Instance, ours string) string {
	if i.NodeMaint != "" {
		return (&ForeignError{Node: i.Node, Reason: i.NodeMaint}).Error()
	}
	for _, reason := range i.Maintenance {
		if reason != ours {
			return (&ForeignError{Node: i.Node, Service: i.Service, Reason: reason}).Error()
		}
	}
	return ""
}

// back says whether the servers list the member in every cluster that it belongs to.
func (a *Activities) back(ctx context.Context, s scene) (bool, error) {
	for _, c := range s.clusters() {
		list, err := a.Catalog.Instances(ctx, s.consulFor(c.Cluster), serviceNames(c.Cluster))
		if err != nil {
			return false, err
		}
		if !inService(c.Cluster, s.host.Name, s.host.Address, list) {
			return false, nil
		}
	}
	return true, nil
}

// Undrain removes our maintenance and nothing else, waits until the servers list the member again, and checks it under
// traffic.
func (a *Activities) Undrain(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		var foreign *ForeignError
		for _, c := range s.clusters() {
			err := a.Catalog.Leave(ctx, s.consulFor(c.Cluster), s.target, serviceNames(c.Cluster), Reason(in.Instance, s.host.Name))
			if err != nil && !errors.As(err, &foreign) {
				return r.orUnknown(ctx, err)
			}
		}
		if err := a.Claims.Release(ctx, s.consul(), in.Instance, []string{drainKey(s.host.Name)}); err != nil {
			return r.orUnknown(ctx, err)
		}
		if foreign != nil {
			r.fail(foreign.Error())
			r.Foreign = true
			return nil
		}
		deadline := a.Now().Add(time.Duration(s.part.Policy.Checks.Timeout))
		for samples := 0; samples < 2; {
			back, err := a.back(ctx, s)
			if err == nil && back {
				samples++
			} else {
				samples = 0
				if a.Now().After(deadline) {
					if err != nil {
						return r.orUnknown(ctx, err)
					}
					r.fail("the servers do not list it as passing " + s.part.Policy.Checks.Timeout.String() + " after the undrain")
					return nil
				}
			}
			if samples < 2 {
				if err := wait(ctx, sampleGap); err != nil {
					return err
				}
			}
		}
		return a.checkHost(ctx, s, in.Peers, r)
	})
}
