package property_test

import (
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// survey is what the sweeper asks of the inventory and of the one Consul.
func (a *act) survey() (time.Duration, func() any) {
	switch in := a.in.(type) {
	case activities.RecordsInput:
		return a.soon(), func() any { return a.found() }
	case activities.AskAllInput:
		return a.soon(), func() any {
			var all []activities.AskResult
			for _, id := range in.WorkflowIDs {
				r := a.whatBecameOf(activities.AskInput{WorkflowID: id})
				r.Result = nil
				all = append(all, r)
			}
			return all
		}
	case activities.HomesInput:
		return a.soon(), func() any { return a.homes(in) }
	case activities.DropInput:
		a.append(in.Intent)
		return a.soon(), func() any {
			for _, key := range in.Keys {
				a.drop(key, in.Owner.Instance)
			}
			return activities.DropResult{Audit: a.outcome(in.Intent, "dropped")}
		}
	}
	return a.soon(), func() any {
		if !a.inventory {
			return activities.Ways{Problem: activities.ErrNoInventory.Error()}
		}
		ways := activities.Ways{Server: "here"}
		for _, s := range a.specs {
			ways.Ways = append(ways.Ways, activities.Way{Cluster: s.name, Part: "part:" + s.name})
		}
		return ways
	}
}

// found is what stands in Consul.
func (w *world) found() activities.Found {
	var f activities.Found
	if w.isBlind() {
		f.Problem = "unreachable"
		return f
	}
	record := func(key, owner string) {
		f.Records = append(f.Records, activities.Claim{Key: key, Owner: owner, Server: "here", Since: epoch, Plan: "sha256:plan"})
	}
	for _, s := range w.specs {
		if owner := w.claims[s.name]; owner != "" {
			w.seen["surveyed"]++
			record(rollout.ClusterRecord+s.name, owner)
		}
	}
	for _, h := range w.machines {
		if h.quarantined {
			record(rollout.QuarantineRecord+h.name, "i0")
		}
		if h.ours != "" {
			record(rollout.DrainRecord+h.name, h.ours)
			f.Marks = append(f.Marks, rollout.Mark{Node: h.name, Service: "web", Reason: "rollpatch: " + h.ours + " " + h.name, Instance: h.ours, Host: h.name})
		}
	}
	for _, h := range w.machines {
		for _, s := range h.in {
			for _, c := range w.campaigns {
				if h.updatersOf(c.instance + "/" + s.name).record {
					record(rollout.UpdaterRecord+s.name+"/"+h.name, c.instance)
				}
			}
		}
	}
	return f
}

// homes are the clusters that suspects may be at work in, with those that share a host with them.
func (w *world) homes(in activities.HomesInput) activities.Homes {
	out := activities.Homes{Homes: map[string]activities.Home{}}
	for _, of := range in.Suspects {
		clusters, hosts := slices.Clone(of.Clusters), slices.Clone(of.Hosts)
		for _, host := range of.Hosts {
			for _, s := range w.machine(host).in {
				clusters = append(clusters, s.name)
			}
			c := w.campaign(of.Instance)
			s := w.machine(host).in[0]
			policy := c.member
			policy.Unattended = true
			out.Homes[host] = activities.Home{Cluster: s.name, Part: "part:" + s.name, Member: policy, Limits: map[rollout.Step]time.Duration{}}
		}
		for _, host := range of.Updaters {
			for _, s := range w.machine(host).in {
				clusters = append(clusters, s.name)
			}
		}
		for _, name := range slices.Clone(clusters) {
			clusters = append(clusters, w.spec(name).shares...)
		}
		for _, name := range clusters {
			for _, h := range w.spec(name).members {
				hosts = append(hosts, h.name)
			}
		}
		slices.Sort(clusters)
		slices.Sort(hosts)
		out.Reach = append(out.Reach, rollout.Suspect{Instance: of.Instance, Clusters: slices.Compact(clusters), Hosts: slices.Compact(hosts)})
	}
	return out
}

// drop gives a claim back for whom nobody works any more.
func (w *world) drop(key, owner string) {
	name, isClaim := strings.CutPrefix(key, rollout.ClusterRecord)
	if !isClaim || w.claims[name] != owner {
		return
	}
	for _, s := range w.specs {
		if r := w.latest(workflows.ClusterID(owner, s.name)); r.open() && (s.name == name || contains(s.shares, name)) {
			w.broken("P1: the survey gives back the claim of %s, and %s works on it", name, r.id)
		}
	}
	for _, h := range w.spec(name).members {
		if h.ours == owner && !h.quarantined {
			w.broken("P5: the survey gives back the claim of %s, and %s is drained for it", name, h.name)
		}
	}
	w.seen["given back by a survey"]++
	w.logf("the survey gives back the claim of %s for %s", name, owner)
	delete(w.claims, name)
}
