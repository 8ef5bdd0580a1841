package plan

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// Requires is what must have finished before a member of the cluster is begun, and every Consul that may have it on record.
type Requires struct {
	Stage  string             `json:"stage"`
	MinAge inventory.Duration `json:"min_age,omitempty"`
	From   []Way              `json:"from"`
	// Emergency: what finished in an emergency counts as well.
	Emergency bool `json:"emergency,omitempty"`
}

// Way is a way to a Consul.
type Way struct {
	Consul inventory.Consul `json:"consul"`
	Via    []inventory.Host `json:"via,omitempty"`
}

// Rule is what the records are held to.
func (r Requires) Rule() staging.Rule {
	return staging.Rule{Stage: r.Stage, MinAge: time.Duration(r.MinAge), Emergency: r.Emergency}
}

// requiresOf is what a stage requires; nil: nothing. Where the other stage's clusters are nobody knows: it may be another campaign's.
func requiresOf(inv inventory.Inventory, s campaign.Stage) *Requires {
	if s.Requires == nil {
		return nil
	}
	r := Requires{Stage: s.Requires.Stage, MinAge: s.Requires.MinAge, Emergency: s.Requires.Emergency}
	for _, p := range Reach(inv) {
		r.From = append(r.From, Way{Consul: p.Cluster.Consul, Via: p.Via})
	}
	return &r
}

// Required says of a stage what must have finished before it, or "".
func (s Stage) Required() string {
	if s.Requires == nil {
		return ""
	}
	text := fmt.Sprintf("stage %s begins only with versions that have finished in stage %s", s.Name, s.Requires.Stage)
	if s.Requires.MinAge > 0 {
		text += ", " + s.Requires.MinAge.String() + " ago at least"
	}
	if s.Requires.Emergency {
		text += ", emergencies included"
	}
	return text
}

// WouldGet is what an answer says that the host would get, as another stage's records have it. What is not in the plan is left alone by a canary.
func (p Part) WouldGet(a Answer) (all []staging.Version) {
	for _, k := range a.Packages {
		if p.Planned != nil {
			if _, known := p.Planned.On(a.platform()); known {
				if names, _ := p.Planned.Wanted(a.platform(), []string{k.Name}); len(names) == 0 {
					continue
				}
			}
		}
		if k.New != "" {
			all = append(all, staging.Version{Name: k.Name, Version: k.New, SHA256: k.SHA256})
		}
	}
	return all
}
