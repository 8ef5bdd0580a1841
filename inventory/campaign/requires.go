package campaign

import (
	"fmt"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// Requires is what a stage asks of the versions that its hosts would get.
type Requires struct {
	// Stage is where the very same versions must have finished, soak passed: an earlier stage of this campaign, or a stage of any other.
	Stage string `json:"stage" yaml:"stage" jsonschema:"required"`
	// MinAge is how long ago at least; default 0s.
	MinAge inventory.Duration `json:"min_age,omitempty" yaml:"min_age,omitempty"`
	// Emergency counts what finished there in an emergency, after its short soak, like the rest; default false.
	Emergency bool `json:"emergency,omitempty" yaml:"emergency,omitempty"`
}

// validateRequires checks what stages require. A stage that is not in this file may be another campaign's.
func (c Campaign) validateRequires(p *inventory.Problems) {
	for i, s := range c.Stages {
		if s.Requires == nil {
			continue
		}
		at := fmt.Sprintf("stages[%d].requires.stage", i)
		if p.Name(at, s.Requires.Stage, "staging"); s.Requires.Stage == "" {
			continue
		}
		if most := inventory.Duration(90 * 24 * time.Hour); s.Requires.MinAge > most {
			p.Add(fmt.Sprintf("stages[%d].requires.min_age", i), "%s is too long: at most %s, what has finished is not on record for ever", s.Requires.MinAge, most)
		}
		for j, other := range c.Stages {
			switch {
			case other.Name != s.Requires.Stage || j < i:
			case j == i:
				p.Add(at, "%q is the stage itself: name one that goes before it", s.Requires.Stage)
			default:
				p.Clash(at, fmt.Sprintf("stages[%d].name", j), "%q comes after this stage, and would never be through before it: put it first", s.Requires.Stage)
			}
		}
	}
}

// checkRequires holds a stage of this very campaign that is required against its clusters: of one without a soak nothing is ever on record.
func (c Campaign) checkRequires(p *inventory.Problems, inv inventory.Inventory) {
	for i, s := range c.Stages {
		for _, other := range c.Stages[:i] {
			names := other.In(inv)
			if s.Requires == nil || other.Name != s.Requires.Stage || len(names) == 0 {
				continue
			}
			soaks := slices.ContainsFunc(names, func(name string) bool { cl, _ := inv.Cluster(name); return len(cl.Members) > 1 })
			if !soaks {
				p.Add(fmt.Sprintf("stages[%d].requires.stage", i), "no cluster of stage %q has a second member, so that nothing soaks in it: nothing would ever count as finished there", other.Name)
			}
		}
	}
}
