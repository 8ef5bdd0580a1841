package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// drainer is one cluster's way of taking a member out of service and of putting it back.
type drainer interface {
	// standing says how the member and its peers stand in the cluster. recorded: there is a record of our drain.
	standing(ctx context.Context, s scene, instance string, recorded bool) (standing, error)
	// enter takes the member out, and begins with that before the time given. A verdict in r ends the step.
	enter(ctx context.Context, s scene, in StepInput, until time.Time, r *StepResult) error
	// leave puts it back as far as we took it out; *ForeignError: somebody else keeps it out. A verdict in r ends the step.
	leave(ctx context.Context, s scene, in StepInput, recorded bool, r *StepResult) error
	// serves says whether a host of the cluster is given to those who ask for it.
	serves(ctx context.Context, s scene, h inventory.Host) (ok bool, reason string, err error)
	// number is the highest that the hosts which run scripts for the member have seen for it.
	number(ctx context.Context, s scene) (int64, error)
}

// ways are how the host goes out of service, and comes back, in each of its clusters.
func (a *Activities) ways(s scene) []drainer {
	var all []drainer
	scripted := 0
	for _, c := range s.clusters() {
		all = append(all, a.way(c, scripted))
		if c.Cluster.Drain == inventory.DrainCommand {
			scripted++
		}
	}
	return all
}

// way is that of one cluster; no counts those of the host's clusters with scripts that come before it.
func (a *Activities) way(c plan.Other, no int) drainer {
	switch c.Cluster.Drain {
	case inventory.DrainCommand:
		return byCommand{a, c, no}
	case inventory.DrainNone:
		return byNothing{a, c}
	default:
		return byConsul{a, c}
	}
}

// drains says whether the host goes out of service in that way in any of its clusters.
func (s scene) drains(by inventory.DrainBy) bool {
	return slices.ContainsFunc(s.clusters(), func(c plan.Other) bool { return c.Cluster.Drain == by })
}

// standing is how a host and its peers stand, as the servers say, or the scripts.
type standing struct {
	listed    string // who gives it to those who ask for what it offers, or ""
	unsure    string // why it cannot be told whether anybody does
	undrained bool   // in one of its clusters it is not in our maintenance
	ours      bool   // in one of them it is
	foreign   string // which maintenance of somebody else keeps it out of service
	peers     []rollout.Redundancy
}

func (st standing) and(o standing) standing {
	return standing{
		listed: firstOf(st.listed, o.listed), unsure: firstOf(st.unsure, o.unsure), undrained: st.undrained || o.undrained, ours: st.ours || o.ours,
		foreign: firstOf(st.foreign, o.foreign), peers: append(st.peers, o.peers...),
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (a *Activities) standing(ctx context.Context, s scene, in StepInput) (standing, error) {
	var st standing
	recorded, err := a.recorded(ctx, s, in)
	if err != nil {
		return st, err
	}
	for _, w := range a.ways(s) {
		one, err := w.standing(ctx, s, in.Instance, recorded)
		if err != nil {
			return standing{listed: st.listed}, err
		}
		st = st.and(one)
	}
	return st, nil
}

// recorded says whether our record of the drain stands. Consul's maintenance says by itself whose it is, and is not asked twice.
func (a *Activities) recorded(ctx context.Context, s scene, in StepInput) (bool, error) {
	if in.Instance == "" || !s.drains(inventory.DrainCommand) && !s.drains(inventory.DrainNone) {
		return false, nil
	}
	me, err := in.owner(ctx, a)
	if err != nil {
		return false, err
	}
	record, ok, err := a.record(ctx, s.consul(), drainKey(s.host.Name))
	return ok && record.By() == me, err
}

// back says whether the member is given to those who ask for it in every cluster that it belongs to.
func (a *Activities) back(ctx context.Context, s scene) (ok bool, reason string, err error) {
	for _, w := range a.ways(s) {
		if ok, reason, err := w.serves(ctx, s, s.host); err != nil || !ok {
			return false, reason, err
		}
	}
	return true, "", nil
}

// highest is the number of the last run that a host has begun for this one; more than seq, which is its own.
func (a *Activities) highest(ctx context.Context, s scene, seq int64) (int64, error) {
	for _, w := range a.ways(s) {
		n, err := w.number(ctx, s)
		if err != nil {
			return 0, err
		}
		seq = max(seq, n)
	}
	return seq, nil
}

// byConsul is service maintenance, and the catalog.
type byConsul struct {
	*Activities
	c plan.Other
}

func (d byConsul) standing(ctx context.Context, s scene, instance string, _ bool) (standing, error) {
	var st standing
	list, err := d.Catalog.Instances(ctx, s.consulFor(d.c.Cluster), serviceNames(d.c.Cluster))
	if err != nil {
		return st, err
	}
	st.peers = []rollout.Redundancy{redundancy(d.c, s, list)}
	for _, svc := range d.c.Cluster.Services {
		one := inventory.Cluster{Services: []inventory.Service{svc}}
		if inService(one, s.host.Name, s.host.Address, list) {
			st.listed = "the servers still list it as passing"
		}
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
	return st, nil
}

// enter does not wait for a member that cannot be reached: the gate is asked about it again first.
func (d byConsul) enter(ctx context.Context, s scene, in StepInput, until time.Time, r *StepResult) error {
	soon, cancel := context.WithTimeout(ctx, until.Sub(d.Now()))
	defer cancel()
	var foreign *ForeignError
	switch err := d.Catalog.Enter(soon, s.consulFor(d.c.Cluster), s.target, serviceNames(d.c.Cluster), Reason(in.Instance, s.host.Name)); {
	case errors.As(err, &foreign):
		r.fail(foreign.Error())
		r.Foreign = true
	case err != nil:
		r.AskAgain = soon.Err() != nil
		return r.orUnknown(ctx, err)
	}
	return nil
}

func (d byConsul) leave(ctx context.Context, s scene, in StepInput, _ bool, _ *StepResult) error {
	return d.Catalog.Leave(ctx, s.consulFor(d.c.Cluster), s.target, serviceNames(d.c.Cluster), Reason(in.Instance, s.host.Name))
}

// serves asks the servers. Maintenance that a person set after the undrain says nothing about the patch: it is unknown.
func (d byConsul) serves(ctx context.Context, s scene, h inventory.Host) (ok bool, reason string, err error) {
	list, err := d.Catalog.Instances(ctx, consulOf(s.part, d.c.Cluster.Consul, h.Name), serviceNames(d.c.Cluster))
	if err != nil {
		return false, "", err
	}
	for _, i := range list {
		if i.Node != h.Name && i.Address != h.Address {
			continue
		}
		if i.NodeMaint != "" {
			return false, "", &ForeignError{Node: i.Node, Reason: i.NodeMaint}
		}
		if len(i.Maintenance) > 0 {
			return false, "", &ForeignError{Node: i.Node, Service: i.Service, Reason: i.Maintenance[0]}
		}
	}
	return inService(d.c.Cluster, h.Name, h.Address, list), "the servers do not list it as passing", nil
}

func (byConsul) number(context.Context, scene) (int64, error) { return 0, nil }

// byNothing leaves the member in service: what is in service is what passes the cluster's checks, and somebody accepted that by name.
type byNothing struct {
	*Activities
	c plan.Other
}

func (d byNothing) standing(ctx context.Context, s scene, _ string, recorded bool) (standing, error) {
	peers, err := d.passing(ctx, s, d.c, d.serves)
	return standing{ours: recorded, undrained: !recorded, peers: []rollout.Redundancy{peers}}, err
}

func (byNothing) enter(context.Context, scene, StepInput, time.Time, *StepResult) error { return nil }

func (byNothing) leave(context.Context, scene, StepInput, bool, *StepResult) error { return nil }

func (byNothing) serves(context.Context, scene, inventory.Host) (bool, string, error) {
	return true, "", nil
}

func (byNothing) number(context.Context, scene) (int64, error) { return 0, nil }
