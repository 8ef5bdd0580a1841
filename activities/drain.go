package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// sampleGap parts the two samples that prove a drain: a fresh agent, or a server that just lost its leader, can be wrong once.
const sampleGap = 500 * time.Millisecond

// Drain takes the member out of service: our record first, then maintenance on each of its services, then the proof that the
// servers no longer list it, that the DNS answers have run out, and that connections are gone.
func (a *Activities) Drain(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		reason := Reason(in.Instance, s.host.Name)
		record := Claim{Key: drainKey(s.host.Name), Owner: in.Instance, Since: in.Intent.Time, Reason: reason}
		held, err := a.Claims.Take(ctx, s.consul(), []Claim{record})
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if len(held) > 0 {
			r.fail(fmt.Sprintf("%s is drained by %s since %s", s.host.Name, held[0].Owner, held[0].Since.UTC().Format("2006-01-02 15:04")))
			r.Foreign = true
			return nil
		}
		var foreign *ForeignError
		for _, c := range s.clusters() {
			switch err := a.Catalog.Enter(ctx, s.consulFor(c.Cluster), s.target, serviceNames(c.Cluster), reason); {
			case errors.As(err, &foreign):
				r.fail(foreign.Error())
				r.Foreign = true
				return nil
			case err != nil:
				return r.orUnknown(ctx, err)
			}
		}
		deadline := a.Now().Add(time.Duration(s.part.Policy.Drain.Timeout))
		for samples := 0; samples < 2; {
			listed, err := a.listed(ctx, s)
			switch {
			case err != nil && a.Now().After(deadline):
				return r.orUnknown(ctx, err)
			case err == nil && !listed:
				samples++
			default:
				samples = 0
			}
			if listed && a.Now().After(deadline) {
				r.fail("the servers still list it as passing after " + s.part.Policy.Drain.Timeout.String())
				return nil
			}
			if samples < 2 {
				if err := wait(ctx, sampleGap); err != nil {
					return err
				}
			}
		}
		var ttl time.Duration
		for _, c := range s.clusters() {
			if t := c.Cluster.Consul.DNSTTL; t != nil {
				ttl = max(ttl, time.Duration(*t))
			}
		}
		if err := wait(ctx, ttl); err != nil {
			return err
		}
		return a.connectionsGone(ctx, s, deadline, r)
	})
}

func (a *Activities) connectionsGone(ctx context.Context, s scene, deadline time.Time, r *StepResult) error {
	var ports []int
	for _, c := range s.clusters() {
		for _, svc := range c.Cluster.Services {
			ports = append(ports, svc.Port)
		}
	}
	limit := s.part.Policy.Drain.Connections
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
		if err := wait(ctx, sampleGap); err != nil {
			return err
		}
	}
}

// listed says whether the servers still give the member to consumers of any of its services.
func (a *Activities) listed(ctx context.Context, s scene) (bool, error) {
	for _, c := range s.clusters() {
		list, err := a.Catalog.Instances(ctx, s.consulFor(c.Cluster), serviceNames(c.Cluster))
		if err != nil {
			return false, err
		}
		for _, svc := range c.Cluster.Services {
			one := inventory.Cluster{Services: []inventory.Service{svc}}
			if inService(one, s.host.Name, s.host.Address, list) {
				return true, nil
			}
		}
	}
	return false, nil
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
