// Package campaign knows what a campaign file says: which clusters, in which stages, by which policy, and who is told.
// It must not know how any of it is carried out, what a host looks like today, or where the file lies.
package campaign

import (
	"path"
	"slices"

	"github.com/rollpatch/rollpatch/inventory"
)

// Campaign is one file: what is patched, in which order, how carefully, and why.
type Campaign struct {
	// Name of the campaign; each run of it is an instance named after it.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Reason is why this is done, for those who approve it and those who ask later.
	Reason string `json:"reason" yaml:"reason" jsonschema:"required"`
	// Ticket is the change request that this belongs to.
	Ticket string `json:"ticket,omitempty" yaml:"ticket,omitempty"`
	// Unattended ends soaks by policy and halts on a failure, instead of holding for a person.
	Unattended bool `json:"unattended,omitempty" yaml:"unattended,omitempty"`
	// Zone says whose clocks windows, freezes and finish_by mean where they do not say it themselves, such as Europe/Berlin or UTC.
	Zone string `json:"zone,omitempty" yaml:"zone,omitempty"`
	// Windows are when hosts may begin: a list, or {canary: [...], peers: [...]}; default the inventory's, or always.
	Windows Windows `json:"windows,omitzero" yaml:"windows,omitempty"`
	// Freezes are when nothing may begin, beside the inventory's.
	Freezes []inventory.Freeze `json:"freezes,omitempty" yaml:"freezes,omitempty"`
	// FinishBy is when it must be done: so long after its start, such as 14d, or a day or a time.
	FinishBy string `json:"finish_by,omitempty" yaml:"finish_by,omitempty"`
	// Schedule is when instances begin by themselves; default never.
	Schedule *Schedule `json:"schedule,omitempty" yaml:"schedule,omitempty"`
	// Stages are worked through one after the other.
	Stages []Stage `json:"stages" yaml:"stages" jsonschema:"required"`
	// Packages narrows down what is patched; default everything pending.
	Packages Packages `json:"packages,omitzero" yaml:"packages,omitempty"`
	// Policy overrides the defaults for every cluster.
	Policy Override `json:"policy,omitzero" yaml:"policy,omitempty"`
	// Clusters overrides the policy for single clusters.
	Clusters map[string]Override `json:"clusters,omitempty" yaml:"clusters,omitempty"`
	// AcceptImpact gives, per cluster that cannot lose a member without an outage, why that is accepted, and until when.
	AcceptImpact map[string]Impact `json:"accept_impact,omitempty" yaml:"accept_impact,omitempty"`
	// Gates are points where people must agree.
	Gates Gates `json:"gates,omitzero" yaml:"gates,omitempty"`
	// Approvers are the people whose agreement counts, where the inventory names none.
	Approvers []inventory.Approver `json:"approvers,omitempty" yaml:"approvers,omitempty"`
	// Emergency is who may have an emergency begin, where the inventory does not say.
	Emergency *inventory.Emergency `json:"emergency,omitempty" yaml:"emergency,omitempty"`
	// Signers are the files by which signatures are verified, where a worker has none of its own.
	Signers *Signers `json:"signers,omitempty" yaml:"signers,omitempty"`
	// Change is whoever keeps changes: it must give a number before anything starts, and is told how it ended.
	Change *Change `json:"change,omitempty" yaml:"change,omitempty"`
	// Notify says who is told, and of what.
	Notify []Notify `json:"notify,omitempty" yaml:"notify,omitempty"`
}

// Impact is an outage of one cluster that somebody lives with until a day.
type Impact struct {
	// Reason is who accepted the outage, and why.
	Reason string `json:"reason" yaml:"reason" jsonschema:"required"`
	// Until is the last day on which it is accepted, such as 2027-01-31, in UTC; from then on no further member begins.
	Until string `json:"until" yaml:"until" jsonschema:"required"`
}

// Stage is a set of clusters that may go at the same time.
type Stage struct {
	// Name of the stage.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Clusters are names of clusters.
	Clusters []string `json:"clusters,omitempty" yaml:"clusters,omitempty"`
	// Selector adds every cluster that it matches.
	Selector *Selector `json:"selector,omitempty" yaml:"selector,omitempty"`
	// Windows are when its hosts may begin; default the campaign's.
	Windows Windows `json:"windows,omitzero" yaml:"windows,omitempty"`
	// Gate is asked for before the stage begins; default none.
	Gate *Gate `json:"gate,omitempty" yaml:"gate,omitempty"`
	// Requires is what must have finished in another stage before a host of this one is begun; default nothing.
	Requires *Requires `json:"requires,omitempty" yaml:"requires,omitempty"`
}

// Selector matches clusters.
type Selector struct {
	// Labels that a cluster must have, all of them.
	Labels inventory.Labels `json:"labels" yaml:"labels" jsonschema:"required"`
}

// Packages says what of what is pending is patched: globs over names of packages.
type Packages struct {
	// Include names what is patched; default everything pending.
	Include []string `json:"include,omitempty" yaml:"include,omitempty"`
	// Exclude names what is left alone, whatever include says.
	Exclude []string `json:"exclude,omitempty" yaml:"exclude,omitempty"`
	// Security leaves alone what is no security update, and not needed by one. Where a repository does not tell which are, that is an error.
	Security bool `json:"security,omitempty" yaml:"security,omitempty"`
}

// Notify is somebody who is told, by exactly one of Command and Webhook.
type Notify struct {
	// Name of the notice's receiver.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Command is a program and its arguments, run by the worker.
	Command []string `json:"command,omitempty" yaml:"command,omitempty"`
	// Webhook is posted to.
	Webhook *Webhook `json:"webhook,omitempty" yaml:"webhook,omitempty"`
	// Events narrows down what is told; default all.
	Events []Event `json:"events,omitempty" yaml:"events,omitempty"`
}

// Webhook is an address that notices are posted to.
type Webhook struct {
	// URL is a reference, because such addresses often hold a secret.
	URL inventory.Secret `json:"url" yaml:"url" jsonschema:"required"`
}

// Event is what somebody is told of.
type Event string

// The events.
const (
	EventHold       Event = "hold"
	EventFail       Event = "fail"
	EventBackout    Event = "backout"
	EventQuarantine Event = "quarantine"
	EventGate       Event = "gate"
	EventWait       Event = "wait"
	EventHalted     Event = "halted"
	EventDone       Event = "done"
	EventSkip       Event = "skip"
)

// Values lists what may be written.
func (Event) Values() []string {
	return []string{string(EventHold), string(EventFail), string(EventBackout), string(EventQuarantine), string(EventGate), string(EventWait), string(EventHalted), string(EventDone), string(EventSkip)}
}

// Wants reports whether the receiver is told of e.
func (n Notify) Wants(e Event) bool { return len(n.Events) == 0 || slices.Contains(n.Events, e) }

// Match reports whether a package of that name is patched.
func (p Packages) Match(name string) bool {
	return (len(p.Include) == 0 || anyGlob(p.Include, name)) && !anyGlob(p.Exclude, name)
}

func anyGlob(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return ok && err == nil
	})
}

// In lists the names of the stage's clusters in inv, each once: first those it names, in its order, then those its selector matches, in the
// inventory's order. A name that inv does not know is left out.
func (s Stage) In(inv inventory.Inventory) []string {
	known, matched := map[string]bool{}, []string(nil)
	for _, c := range inv.Clusters {
		known[c.Name] = true
		if s.Selector != nil && c.Labels.Match(s.Selector.Labels) {
			matched = append(matched, c.Name)
		}
	}
	var names []string
	taken := map[string]bool{}
	for _, name := range append(slices.Clone(s.Clusters), matched...) {
		if known[name] && !taken[name] {
			taken[name] = true
			names = append(names, name)
		}
	}
	return names
}

// WithPaths returns a copy in which every path of a file is absolute: ~ is home, and a relative path starts at dir, the folder of the
// campaign file.
func (c Campaign) WithPaths(dir, home string) Campaign {
	c = c.windowsWithPaths(dir, home)
	c.Notify = slices.Clone(c.Notify)
	for i, n := range c.Notify {
		if n.Webhook != nil {
			c.Notify[i].Webhook = &Webhook{URL: *n.Webhook.URL.WithPaths(dir, home)}
		}
	}
	c.Change, c.Emergency = c.Change.withPaths(dir, home), c.Emergency.WithPaths(dir, home)
	if c.Signers != nil {
		c.Signers = &Signers{Allowed: inventory.Absolute(c.Signers.Allowed, dir, home), Revoked: inventory.Absolute(c.Signers.Revoked, dir, home)}
	}
	return c
}
