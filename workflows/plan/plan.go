// Package plan works out what an instance will do from what the files say: order, waves, refusals, and the parts that workers
// need; and what hosts' answers add to that. It knows nothing of Temporal, SSH or Consul, and asks no host itself: the same input gives the same plan
// and digest.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Plan is what an instance will do.
type Plan struct {
	Name       string            `json:"name"`
	Reason     string            `json:"reason"`
	Ticket     string            `json:"ticket,omitempty"`
	Unattended bool              `json:"unattended,omitempty"`
	Parallel   int               `json:"parallel"`
	Ramp       []int             `json:"ramp,omitempty"` // how many clusters of a stage begin in each step, then the rest
	Breaker    int               `json:"breaker"`        // how many clusters may be backed out by themselves within 15 minutes
	StopSame   int               `json:"stop_same"`      // how many failures for the same cause stop a stage
	Stages     []Stage           `json:"stages"`
	Refusals   []Refusal         `json:"refusals,omitempty"`
	Notify     []campaign.Notify `json:"notify,omitempty"`
	FinishBy   string            `json:"finish_by,omitempty"` // as written, by the clocks of Zone
	Zone       string            `json:"zone,omitempty"`
	Schedule   *Schedule         `json:"schedule,omitempty"` // nil: only when a person runs it
	Agreement  Agreement         `json:"agreement,omitzero"`
	Change     *campaign.Change  `json:"change,omitempty"`    // who must give a change number before anything starts
	Emergency  []string          `json:"emergency,omitempty"` // the packages that an emergency brings; none: it is no emergency

	Advisories []advisory.Advisory `json:"advisories,omitempty"` // by which it brings some of them
}

// Stage is the clusters that may go at the same time.
type Stage struct {
	Name     string    `json:"name"`
	Clusters []Cluster `json:"clusters"`
	Steps    []int     `json:"steps,omitempty"` // how many of them begin together, where that is not all at once
	StopAny  int       `json:"stop_any"`        // how many failures stop it

	Requires *campaign.Requires `json:"requires,omitempty"` // what must have finished in another stage
}

// Cluster is one cluster of the plan. Its part holds everything that workers need to know of it.
type Cluster struct {
	Name       string   `json:"name"`
	Part       string   `json:"part"` // digest
	Members    []string `json:"members"`
	Waves      []int    `json:"waves"`
	MinHealthy int      `json:"min_healthy"`
	MaxOut     int      `json:"max_out"`
	Soak       string   `json:"soak"`
	Approval   bool     `json:"approval"`
	Reboot     string   `json:"reboot"`
	Shares     []string `json:"shares,omitempty"`   // clusters of this campaign that cannot go at the same time: their claims overlap
	Accepted   string   `json:"accepted,omitempty"` // why its impact is accepted
	Until      string   `json:"until,omitempty"`    // and the last day of that, as the file has it
	Drain      string   `json:"drain"`              // how its members go out of service
	House      []string `json:"house,omitempty"`    // the parts of rollpatch's own house that its members are: it goes last
	Ahead      *Ahead   `json:"ahead,omitempty"`    // its packages are fetched as soon as the plan is approved
	// Affects are the clusters that need it, the nearest first, each with the chain through which it does.
	Affects []inventory.Dependent `json:"affects,omitempty"`
}

// Refusal is a cluster that will not be touched as things stand, and the way to change that.
type Refusal struct {
	Cluster string `json:"cluster"`
	Reason  string `json:"reason"`
	Remedy  string `json:"remedy"`
}

// Part is what workers need to know of one cluster. It holds references to secrets, never secrets.
type Part struct {
	Cluster  inventory.Cluster `json:"cluster"` // resolved
	Stage    string            `json:"stage"`
	Hosts    []inventory.Host  `json:"hosts"`         // its members, in order of work
	Via      []inventory.Host  `json:"via,omitempty"` // whose agents are asked
	Others   []Other           `json:"others,omitempty"`
	Beside   []string          `json:"beside,omitempty"` // clusters of the same part of rollpatch's own house
	Asked    []inventory.Host  `json:"asked,omitempty"`  // who else is asked what is in service, where Consul is not, and runs scripts of drains
	Policy   campaign.Policy   `json:"policy"`
	Packages campaign.Packages `json:"packages"`
	Accepted string            `json:"accepted,omitempty"`
	Until    string            `json:"until,omitempty"`    // the last day on which its impact is accepted, as the file has it
	When     *When             `json:"when,omitempty"`     // nil: at any time
	Only     []string          `json:"only,omitempty"`     // the members that are worked on, where it is not all of them
	Planned  *Planned          `json:"planned,omitempty"`  // what the members said that they would get; nil: they were not asked
	Requires *Requires         `json:"requires,omitempty"` // what must have finished in another stage; nil: nothing
	// Accept are findings of the preflight that count for nothing on its members, each until its day.
	Accept []inventory.Accept `json:"accept,omitempty"`
	// Emergency: it takes clusters over, and what fails stays out of service as it is.
	Emergency bool `json:"emergency,omitempty"`
}

// Worked are the members that are worked on, in order of work.
func (p Part) Worked() []string {
	if len(p.Only) > 0 {
		return p.Only
	}
	return p.Cluster.Members
}

// Other is another cluster that one of the hosts belongs to: its budget counts as well, and it is claimed with this one.
type Other struct {
	Cluster  inventory.Cluster `json:"cluster"`
	Accepted string            `json:"accepted,omitempty"`
	Until    string            `json:"until,omitempty"`
}

// Ends is when its impact is not accepted any more; zero where it is not accepted at all.
func (o Other) Ends() time.Time {
	if o.Accepted == "" {
		return time.Time{}
	}
	end, _ := inventory.EndOf(o.Until) // Validate refuses what is no day
	return end
}

// acceptedUntil is when the first of the impacts that the cluster's members rely on is not accepted any more; zero: they rely on none.
func (p Part) acceptedUntil() time.Time {
	var first time.Time
	for _, o := range append([]Other{{Cluster: p.Cluster, Accepted: p.Accepted, Until: p.Until}}, p.Others...) {
		if end := o.Ends(); !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}

// Host finds a member.
func (p Part) Host(name string) (inventory.Host, bool) {
	for _, h := range p.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return inventory.Host{}, false
}

// Reached finds a host that is a member, or that is asked about members of the cluster or of another that shares a host with it.
func (p Part) Reached(name string) (inventory.Host, bool) {
	if h, ok := p.Host(name); ok {
		return h, true
	}
	for _, h := range p.Asked {
		if h.Name == name {
			return h, true
		}
	}
	return inventory.Host{}, false
}

// Scripted says in how many of its clusters, at the most, one member is drained and undrained by scripts.
func (p Part) Scripted() int {
	most := 0
	for _, h := range p.Hosts {
		n := 0
		for _, c := range append([]Other{{Cluster: p.Cluster}}, p.Others...) {
			if c.Cluster.Drain == inventory.DrainCommand && c.Cluster.Has(h.Name) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// undrained lists the clusters whose members would be patched while they serve, although nobody accepted that.
func (p Part) undrained() []string {
	var names []string
	for _, o := range append([]Other{{Cluster: p.Cluster, Accepted: p.Accepted}}, p.Others...) {
		if o.Cluster.Drain == inventory.DrainNone && o.Accepted == "" {
			names = append(names, o.Cluster.Name)
		}
	}
	return names
}

// Claims lists the names of the clusters that are claimed together: this one, every one that shares a host with it, and every one of the same
// part of rollpatch's own house.
func (p Part) Claims() []string {
	names := []string{p.Cluster.Name}
	for _, o := range p.Others {
		names = append(names, o.Cluster.Name)
	}
	for _, name := range p.Beside {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Build works the plan out. Both files must be valid, resolved, and checked against each other.
func Build(c campaign.Campaign, inv inventory.Inventory) (Plan, map[string]Part) {
	return build(c, inv, agreed(c, inv), nil)
}

// BuildEmergency works out how the campaign brings these packages in an emergency, and those of advisories. Which these are only hosts can tell
// (Advised): before that the plan brings none of them.
func BuildEmergency(c campaign.Campaign, inv inventory.Inventory, packages []string, advisories ...advisory.Advisory) (Plan, map[string]Part, error) {
	names := slices.Clone(packages)
	for _, a := range advisories {
		of := a.Packages
		if len(of) == 0 { // without any name a campaign brings everything that is pending; no package has the name of an advisory
			of = []string{a.ID}
		}
		for _, name := range of {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	urgent, now, err := c.Urgent(inv, names)
	if err != nil {
		return Plan{}, nil, err
	}
	p, parts := build(urgent, now, urgently(c, inv), names)
	p.Advisories = advisories
	return p, parts, nil
}

func build(c campaign.Campaign, inv inventory.Inventory, agreement Agreement, emergency []string) (Plan, map[string]Part) {
	base, all := c.Base(), 0
	p := Plan{
		Name: c.Name, Reason: c.Reason, Ticket: c.Ticket, Unattended: c.Unattended, Parallel: base.Parallel, Ramp: base.Ramp, StopSame: base.StopAfter.Same,
		Notify: c.Notify, Agreement: agreement, FinishBy: c.FinishBy, Emergency: emergency,
	}
	if c.Change != nil {
		hook := c.Change.Resolve()
		p.Change = &hook
	}
	if p.Schedule = c.Scheduled(); c.FinishBy != "" {
		p.Zone = c.Zone
	}
	parts, dependents := map[string]Part{}, inv.Dependents()
	for _, s := range c.Stages {
		stage, members := Stage{Name: s.Name, Requires: s.Requires}, 0
		for _, name := range s.In(inv) {
			cl, _ := inv.Cluster(name)
			part := partOf(c, inv, s.Name, cl)
			part.Emergency = len(emergency) > 0
			part.When, part.Requires = whenOf(c, inv, s, part.Policy), requiresOf(inv, s)
			members += len(cl.Members)
			parts[name] = part
			pc := Cluster{
				Name: name, Part: Digest(part), Members: cl.Members, Waves: rollout.Waves(len(cl.Members)), MinHealthy: cl.MinHealthy,
				MaxOut: cl.MaxUnavailable.Of(len(cl.Members)), Soak: part.Policy.Soak.String(), Approval: part.Policy.SoakApproval,
				Reboot: string(part.Policy.Reboot), Accepted: part.Accepted, Until: part.Until, Drain: string(cl.Drain), House: house(inv, cl), Affects: dependents(name),
			}
			if size := len(cl.Members); rollout.LosingOneBreaks(size, cl.MinHealthy) && part.Accepted == "" {
				p.Refusals = append(p.Refusals, Refusal{Cluster: name, Reason: losingOne(size, cl.MinHealthy), Remedy: "add a member, or accept the outage by name in the campaign file: " + campaign.Accepting(name)})
			}
			stage.Clusters = append(stage.Clusters, pc)
		}
		stage.houseLast()
		if steps := rollout.Steps(base.Ramp, len(stage.Clusters)); len(steps) > 1 {
			stage.Steps = steps
		}
		stage.StopAny = base.StopAfter.Any.Of(members)
		all += len(stage.Clusters)
		p.Stages = append(p.Stages, stage)
	}
	p.Breaker = base.Breaker.Of(all)
	shares(&p, parts)
	return p, parts
}

// losingOne says what the loss of one member means where it breaks min_healthy.
func losingOne(size, minHealthy int) string {
	members := "members"
	if size == 1 {
		members = "member"
	}
	return fmt.Sprintf("losing one of %d %s leaves %d in service, and min_healthy is %d", size, members, size-1, minHealthy)
}

// shares notes which clusters must go one after the other: those whose claims overlap, because the release of one would take a
// claim away from under the other.
func shares(p *Plan, parts map[string]Part) {
	for i := range p.Stages {
		for k := range p.Stages[i].Clusters {
			c := &p.Stages[i].Clusters[k]
			for _, s := range p.Stages {
				for _, o := range s.Clusters {
					if o.Name != c.Name && overlap(parts[c.Name].Claims(), parts[o.Name].Claims()) {
						c.Shares = append(c.Shares, o.Name)
					}
				}
			}
		}
	}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

// PartOf is the part of a cluster outside of any campaign, with the policy's defaults: to look at its records, and to put one of its
// members back into service.
func PartOf(inv inventory.Inventory, cluster string) (Part, bool) {
	cl, ok := inv.Cluster(cluster)
	if !ok {
		return Part{}, false
	}
	return partOf(campaign.Campaign{}, inv, "", cl), true
}

// Reach is one part for each way to a Consul that the inventory has.
func Reach(inv inventory.Inventory) []Part {
	var parts []Part
	seen := map[string]bool{}
	for _, cl := range inv.Clusters {
		way := cl.Consul
		way.DNSTTL = nil // how long its answers are used is no other way to it
		if d := Digest(way); !seen[d] {
			seen[d] = true
			parts = append(parts, partOf(campaign.Campaign{}, inv, "", cl))
		}
	}
	return parts
}

// Segment is the network from which the cluster's Consul is reached: that of its first member.
func (p Part) Segment() string {
	if len(p.Hosts) == 0 {
		return ""
	}
	return p.Hosts[0].Segment
}

func partOf(c campaign.Campaign, inv inventory.Inventory, stage string, cl inventory.Cluster) Part {
	p := Part{Cluster: cl, Stage: stage, Policy: c.PolicyOf(cl.Name), Packages: c.Packages, Accepted: c.AcceptImpact[cl.Name].Reason, Until: c.AcceptImpact[cl.Name].Until}
	seen := map[string]bool{cl.Name: true}
	for _, name := range cl.Members {
		if h, ok := inv.Host(name); ok {
			p.Hosts = append(p.Hosts, h)
		}
		for _, o := range inv.ClustersOf(name) {
			if !seen[o.Name] {
				seen[o.Name] = true
				p.Others = append(p.Others, Other{Cluster: o, Accepted: c.AcceptImpact[o.Name].Reason, Until: c.AcceptImpact[o.Name].Until})
			}
		}
	}
	p.Beside = beside(inv, cl)
	for _, name := range cl.Consul.Hosts {
		if h, ok := inv.Host(name); ok {
			p.Via = append(p.Via, h)
		}
	}
	for _, o := range append([]Other{{Cluster: cl}}, p.Others...) {
		p.ask(inv, o.Cluster)
	}
	for _, a := range inv.Accept {
		if slices.ContainsFunc(p.Hosts, func(h inventory.Host) bool { return a.For(h.Name, p.clustersOf(h.Name)) }) {
			p.Accept = append(p.Accept, a)
		}
	}
	return p
}

// clustersOf names the clusters that a member belongs to.
func (p Part) clustersOf(host string) []string {
	var names []string
	for _, o := range append([]Other{{Cluster: p.Cluster}}, p.Others...) {
		if o.Cluster.Has(host) {
			names = append(names, o.Cluster.Name)
		}
	}
	return names
}

// ask adds who is asked what is in service where Consul is not: every member, and the hosts that the scripts run on.
func (p *Part) ask(inv inventory.Inventory, c inventory.Cluster) {
	if c.Drain != inventory.DrainCommand && c.Drain != inventory.DrainNone {
		return
	}
	names := slices.Clone(c.Members)
	if c.DrainCommands != nil {
		names = append(names, c.DrainCommands.On...)
	}
	for _, name := range names {
		h, known := inv.Host(name)
		if _, there := p.Reached(name); known && !there {
			p.Asked = append(p.Asked, h)
		}
	}
}

// Instance names one run of the campaign: <name>-<UTC start>.
func (p Plan) Instance(start time.Time) string {
	return p.Name + "-" + start.UTC().Format("20060102T150405Z")
}

// Campaign is the state in which the instance's workflow begins. Refused clusters are part of it: they are refused again when
// it runs, so that the record shows them.
func (p Plan) Campaign(instance, requester string, start time.Time) rollout.Campaign {
	c := rollout.Campaign{
		Instance: instance, Name: p.Name, Why: p.Reason, Ticket: p.Ticket, Requester: requester, Plan: Digest(p),
		Unattended: p.Unattended, Parallel: p.Parallel, Ramp: p.Ramp, Breaker: p.Breaker, StopSame: p.StopSame, StartedAt: start,
		Gates: p.Agreement.gates(), Emergency: strings.Join(p.Emergency, ", "),
	}
	for _, a := range p.Advisories {
		c.Advisories = append(c.Advisories, rollout.Advisory{ID: a.ID, Summary: a.Summary, Fixed: a.Fixed(), Packages: a.Packages})
	}
	if h := p.Change; h != nil {
		c.Change = &rollout.Change{By: h.String(), Timeout: time.Duration(h.Timeout), Within: time.Duration(h.Within)}
	}
	for i, s := range p.Stages {
		c.Stages, c.StopAny = append(c.Stages, s.Name), append(c.StopAny, s.StopAny)
		for _, cl := range s.Clusters {
			c.Clusters = append(c.Clusters, rollout.Ref{Name: cl.Name, Stage: i, Part: cl.Part, Shares: cl.Shares, Last: len(cl.House) > 0, Total: len(cl.Members), Ahead: cl.Ahead.state()})
		}
	}
	return c
}

// retryEvery is how often a cause that can clear itself is looked at again: a thirtieth of the longest wait, between one and
// thirty seconds.
func retryEvery(waitMax time.Duration) time.Duration {
	return min(max(waitMax/30, time.Second), 30*time.Second)
}

// State is the state in which the cluster's workflow begins.
func (p Part) State(instance string, unattended bool) rollout.Cluster {
	pol := p.Policy
	c := rollout.Cluster{
		Instance: instance, Name: p.Cluster.Name, Stage: p.Stage, MinHealthy: p.Cluster.MinHealthy, Accepted: p.Accepted, AcceptedUntil: p.acceptedUntil(), Undrained: p.undrained(), Phase: rollout.PhaseClaim,
		Policy: rollout.ClusterPolicy{
			Soak: time.Duration(pol.Soak), SoakPasses: pol.SoakPasses, WaitMax: time.Duration(pol.WaitMax), SoakApproval: pol.SoakApproval, Settle: time.Duration(pol.Settle),
			RetryEvery: retryEvery(time.Duration(pol.WaitMax)), Unattended: unattended, OnFailure: rollout.OnFailure(pol.OnFailure), Retries: pol.Retries, Failures: pol.Failures, Updaters: true,
			Windows: p.Windowed(), OnFail: string(pol.SoakOnFail), MaxMixed: time.Duration(pol.MaxMixed), Staged: p.Requires != nil, Emergency: p.Emergency,
		},
	}
	if len(p.Only) > 0 {
		c.Size = len(p.Cluster.Members)
	}
	for _, m := range p.Worked() {
		c.Members = append(c.Members, rollout.Slot{Host: m})
	}
	return c
}

// MemberPolicy is what the rules of one member need.
func (p Part) MemberPolicy(unattended bool) rollout.MemberPolicy {
	m := rollout.MemberPolicy{
		Reboot: string(p.Policy.Reboot), Unattended: unattended, WaitMax: time.Duration(p.Policy.WaitMax),
		RetryEvery: retryEvery(time.Duration(p.Policy.WaitMax)), Leftover: string(p.Policy.Drain.Leftover),
		PowerAfter: time.Duration(p.Policy.PowerAfter), Windows: p.Windowed(), AtCutoff: string(p.Policy.AtCutoff), OnFail: string(p.Policy.SoakOnFail), Keep: p.Emergency,
	}
	if p.Policy.OnTimeout != campaign.TimeoutHold {
		m.HoldMax = time.Duration(p.Policy.HoldMax)
	}
	return m
}

// Body is the canonical form of a plan or a part, as it is stored.
func Body(v any) []byte {
	body, err := json.Marshal(v) // struct fields in order, map keys sorted
	if err != nil {
		panic(err) // plans and parts are strings, numbers and lists
	}
	return body
}

// Digest is the store's name of a plan or a part.
func Digest(v any) string {
	sum := sha256.Sum256(Body(v))
	return "sha256:" + hex.EncodeToString(sum[:])
}
