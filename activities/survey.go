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

// Ways are the ways to every Consul of the inventory, as it is now.
type Ways struct {
	Server string `json:"server"` // which records are ours
	Ways   []Way  `json:"ways,omitempty"`
	// Problem: why there are none: no inventory was given, or it cannot be read.
	Problem string `json:"problem,omitempty"`
}

// Way is one of them: through the hosts of a cluster.
type Way struct {
	Cluster string `json:"cluster"`
	Part    string `json:"part"` // digest
	Segment string `json:"segment,omitempty"`
}

// Found is what stands in one Consul.
type Found struct {
	Records []Claim        `json:"records,omitempty"`
	Marks   []rollout.Mark `json:"marks,omitempty"`
	// Problem: why it could not be asked. Then the lists say nothing.
	Problem string `json:"problem,omitempty"`
}

// HomesInput asks where instances may be at work, and how the hosts are reached that they have drained.
type HomesInput struct {
	Suspects []rollout.Suspect `json:"suspects"`
}

// Homes is the answer.
type Homes struct {
	// Reach is, of each of them, the clusters that it may be at work in, and all of their members.
	Reach []rollout.Suspect `json:"reach"`
	Homes map[string]Home   `json:"homes,omitempty"` // by host that is left drained; one that is not there is in no cluster of the inventory
}

// Home is where a host is worked on outside of any campaign.
type Home struct {
	Cluster string                         `json:"cluster"`
	Part    string                         `json:"part"` // digest
	Segment string                         `json:"segment,omitempty"`
	Member  rollout.MemberPolicy           `json:"member"`
	Limits  map[rollout.Step]time.Duration `json:"limits"`
}

// ErrNoInventory is what a worker says that was started without one.
var ErrNoInventory = errors.New("no inventory was given: claims and drained members of instances that the server does not know are not looked for; start every worker, or rollpatchd, with --inventory FILE")

// Ways reads the inventory, and puts what leads to each Consul into the store.
func (a *Activities) Ways(ctx context.Context) (Ways, error) {
	var w Ways
	inv, err := a.Inventory()
	if err != nil {
		w.Problem = err.Error()
		return w, nil
	}
	if w.Server, err = a.ServerID(ctx); err != nil {
		return w, err
	}
	for _, p := range plan.Reach(inv) {
		digest, err := a.save(ctx, p)
		if err != nil {
			return w, err
		}
		w.Ways = append(w.Ways, Way{Cluster: p.Cluster.Name, Part: digest, Segment: p.Segment()})
	}
	return w, nil
}

// surveyFor bounds the questions to one Consul, below the time that the activity has: who could not be reached is a better answer than none.
const surveyFor = 45 * time.Second

// Survey lists what stands in the Consul of a part's cluster: every record, and every service in maintenance whose reason names us. The
// records come first: a member that is drained in between has its record, and is missed until the next survey.
func (a *Activities) Survey(ctx context.Context, in RecordsInput) (Found, error) {
	ctx, stop := a.beating(ctx)
	defer stop()
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return Found{}, err
	}
	var f Found
	access := consulOf(p, p.Cluster.Consul, "")
	soon, cancel := context.WithTimeout(ctx, surveyFor)
	defer cancel()
	if f.Records, err = readable(a.Claims.List(soon, access, "")); err != nil {
		return unanswered(ctx, err)
	}
	for i, c := range f.Records {
		if c.Suspects != nil { // lists of versions are too much for a history, and nobody asks for them here
			s := *c.Suspects
			s.Versions, f.Records[i].Suspects = nil, &s
		}
	}
	marked, err := a.Catalog.Marked(soon, access, reasonPrefix)
	if err != nil {
		return unanswered(ctx, err)
	}
	for _, i := range marked {
		for _, reason := range i.Maintenance {
			m := rollout.Mark{Node: i.Node, Service: i.ServiceID, Reason: reason}
			if words := strings.Fields(reason); len(words) == 3 {
				m.Instance, m.Host = words[1], words[2]
			}
			f.Marks = append(f.Marks, m)
		}
	}
	return f, nil
}

// unanswered says that a Consul could not be asked: the sweep goes on with the others, and the next one asks again.
func unanswered(ctx context.Context, err error) (Found, error) {
	if ctx.Err() != nil {
		return Found{}, ctx.Err()
	}
	return Found{Problem: clip(err.Error())}, nil
}

// AskAllInput asks what became of several workflows.
type AskAllInput struct {
	WorkflowIDs []string `json:"workflow_ids"`
}

// AskAll asks about each workflow by its id: lists of workflows lag behind. What they reported is left out.
func (a *Activities) AskAll(ctx context.Context, in AskAllInput) ([]AskResult, error) {
	ctx, stop := a.beating(ctx)
	defer stop()
	all := make([]AskResult, 0, len(in.WorkflowIDs))
	for _, id := range in.WorkflowIDs {
		r, err := a.Workflows.Ask(ctx, AskInput{WorkflowID: id})
		if err != nil {
			return nil, fmt.Errorf("what became of %s: %w", id, err)
		}
		r.Result = nil
		all = append(all, r)
	}
	return all, nil
}

// Homes looks up in the inventory where these instances may be at work, and how the hosts are reached that they have drained. Nobody
// watches over what is done there, so the policy is that of an unattended campaign.
func (a *Activities) Homes(ctx context.Context, in HomesInput) (Homes, error) {
	out := Homes{Homes: map[string]Home{}}
	inv, err := a.Inventory()
	if err != nil {
		return out, err
	}
	for _, s := range in.Suspects {
		clusters, hosts := reaches(inv, s)
		out.Reach = append(out.Reach, rollout.Suspect{Instance: s.Instance, Clusters: clusters, Hosts: hosts})
		for _, host := range s.Hosts {
			p, ok := homeOf(inv, s, host)
			if !ok {
				continue
			}
			digest, err := a.save(ctx, p)
			if err != nil {
				return out, err
			}
			h, _ := p.Host(host)
			out.Homes[host] = Home{Cluster: p.Cluster.Name, Part: digest, Segment: h.Segment, Member: p.MemberPolicy(true), Limits: limits(p)}
		}
	}
	return out, nil
}

// reaches lists the clusters that the instance may be at work in, and their members: those that it has claimed or drained a member of, and
// those that share a host with one of these, because one claim covers both.
func reaches(inv inventory.Inventory, s rollout.Suspect) (clusters, hosts []string) {
	clusters, hosts = slices.Clone(s.Clusters), slices.Clone(s.Hosts)
	for _, host := range slices.Concat(s.Hosts, s.Updaters) {
		for _, c := range inv.ClustersOf(host) {
			clusters = append(clusters, c.Name)
		}
	}
	for _, name := range slices.Clone(clusters) {
		if p, ok := plan.PartOf(inv, name); ok {
			clusters = append(clusters, p.Claims()...)
		}
	}
	for _, name := range clusters {
		if c, ok := inv.Cluster(name); ok {
			hosts = append(hosts, c.Members...)
		}
	}
	slices.Sort(clusters)
	slices.Sort(hosts)
	return slices.Compact(clusters), slices.Compact(hosts)
}

// homeOf is the part of the cluster in which a host that is left drained is worked on: one that its instance has claimed, if there is
// one, because the host's record is in that one's Consul.
func homeOf(inv inventory.Inventory, s rollout.Suspect, host string) (plan.Part, bool) {
	in := inv.ClustersOf(host)
	if len(in) == 0 {
		return plan.Part{}, false
	}
	i := max(0, slices.IndexFunc(in, func(c inventory.Cluster) bool { return slices.Contains(s.Clusters, c.Name) }))
	return plan.PartOf(inv, in[i].Name)
}
