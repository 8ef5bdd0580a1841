package activities

import (
	"context"
	"errors"
	"fmt"
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
		if err := a.foundOut(ctx, s, in, r); err != nil || r.Verdict != "" {
			return err
		}
		reason := Reason(in.Instance, s.host.Name)
		me, err := in.owner(ctx, a)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		record := Claim{Key: drainKey(s.host.Name), Owner: in.Instance, Since: in.Intent.Time, Reason: reason, Server: me.Server, Plan: in.Plan}
		held, err := a.Claims.Take(ctx, s.consul(), []Claim{record})
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if len(held) > 0 {
			r.fail(fmt.Sprintf("%s is drained by %s since %s", s.host.Name, me.name(held[0]), held[0].Since.UTC().Format("2006-01-02 15:04")))
			r.Foreign = true
			return nil
		}
		// The gate was asked right before, but hours may lie between: no worker was there, or one died. What is in our maintenance
		// already is out, and the samples below look at its peers.
		now, err := a.standing(ctx, s, in)
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
		if err := a.enter(ctx, s, in, r); err != nil || r.Verdict != "" {
			return err
		}
		r.Spent = s.drains(inventory.DrainCommand) // what they did may be undone: the next drain runs its scripts anew
		deadline := a.Now().Add(time.Duration(s.part.Policy.Drain.Timeout))
		f := &floor{}
		for samples := 0; samples < 2; {
			now, err := a.standing(ctx, s, in)
			switch {
			case now.listed != "" && a.Now().After(deadline):
				r.fail(now.listed + " after " + s.part.Policy.Drain.Timeout.String())
				return nil
			case err != nil && a.Now().After(deadline):
				return r.orUnknown(ctx, err)
			case now.unsure != "" && a.Now().After(deadline):
				r.unknown(now.unsure)
				return nil
			case err == nil && now.listed == "" && now.unsure == "":
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

// foundOut looks before our record is made, where only that record tells our drain from another's: who is out of service already was taken
// out by somebody else, and stays out (P8).
func (a *Activities) foundOut(ctx context.Context, s scene, in StepInput, r *StepResult) error {
	if !s.drains(inventory.DrainCommand) {
		return nil
	}
	now, err := a.standing(ctx, s, in)
	switch {
	case err != nil:
		return r.orUnknown(ctx, err)
	case now.foreign != "":
		r.fail(now.foreign)
		r.Foreign = true
	case now.unsure != "" && !now.ours:
		r.unknown(now.unsure)
	}
	return nil
}

// enter takes the member out in each of its clusters. All of it begins while the gate's word is new: scripts, which take their time, begin
// together.
func (a *Activities) enter(ctx context.Context, s scene, in StepInput, r *StepResult) error {
	until := a.Now().Add(rollout.GateCounts)
	var scripted []func(*StepResult) error
	for _, w := range a.ways(s) {
		if w, ok := w.(byCommand); ok {
			scripted = append(scripted, func(r *StepResult) error { return w.enter(ctx, s, in, until, r) })
			continue
		}
		if err := w.enter(ctx, s, in, until, r); err != nil || r.Verdict != "" {
			return err
		}
	}
	return r.together(scripted)
}

// dnsTTL is how long consumers may go on using an answer about any of the clusters that they find through Consul.
func dnsTTL(clusters []plan.Other) time.Duration {
	var ttl time.Duration
	for _, c := range clusters {
		if t := c.Cluster.Consul.DNSTTL; t != nil && c.Cluster.Drain != inventory.DrainCommand && c.Cluster.Drain != inventory.DrainNone {
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
	now, err := a.standing(ctx, s, StepInput{})
	return f.broken(now.peers, err, r)
}

func (a *Activities) connectionsGone(ctx context.Context, s scene, deadline time.Time, f *floor, r *StepResult) error {
	var ports []int
	for _, c := range s.clusters() {
		ports = append(ports, c.Cluster.DrainPorts()...)
	}
	if len(ports) == 0 {
		r.pass("it stays in service (drain: none)")
		return nil
	}
	out := "no longer listed by the servers"
	if s.drains(inventory.DrainCommand) {
		out = "out of service, as the state scripts say"
	}
	limit := s.part.Policy.Drain.Connections
	looked := a.Now()
	for {
		n, err := a.Prober.Connections(ctx, s.target, ports)
		switch {
		case err == nil && n <= limit:
			r.pass(fmt.Sprintf("%s, %d connections left", out, n))
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

// Undrain removes our maintenance and nothing else, waits until the member is given to those who ask for it again, and checks it under
// traffic.
func (a *Activities) Undrain(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		var foreign *ForeignError
		recorded, err := a.recorded(ctx, s, in)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		for _, w := range a.ways(s) {
			err := w.leave(ctx, s, in, recorded, r)
			if r.Verdict != "" {
				return nil
			}
			if err != nil && !errors.As(err, &foreign) {
				return r.orUnknown(ctx, err)
			}
		}
		me, err := in.owner(ctx, a)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if err := a.Claims.Release(ctx, s.consul(), me, []string{drainKey(s.host.Name)}); err != nil {
			return r.orUnknown(ctx, err)
		}
		if foreign != nil {
			r.fail(foreign.Error())
			r.Foreign = true
			return nil
		}
		deadline := a.Now().Add(time.Duration(s.part.Policy.Checks.Timeout))
		for samples := 0; samples < 2; {
			back, why, err := a.back(ctx, s)
			if err == nil && back {
				samples++
			} else {
				samples = 0
				if a.Now().After(deadline) {
					if err != nil {
						return r.orUnknown(ctx, err)
					}
					r.fail(why + " " + s.part.Policy.Checks.Timeout.String() + " after the undrain")
					r.Blame = blameCheck(inCatalog.Name)
					return nil
				}
			}
			if samples < 2 {
				if err := wait(ctx, sampleGap); err != nil {
					return err
				}
			}
		}
		return a.checkHost(ctx, s, in.Peers, "", r)
	})
}
