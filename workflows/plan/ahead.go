package plan

import (
	"slices"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Ahead says that a cluster's packages are fetched before its turn, as soon as the plan is approved.
type Ahead struct {
	Segment string `json:"segment,omitempty"` // from which its members are reached
}

// ahead is whether the packages of a stage's cluster are fetched before its turn. They are where its members said what they would get, and time passes
// between what approves it and its turn: what begins at once fetches for itself.
func (p Plan) ahead(stage int, part Part) *Ahead {
	if part.Planned == nil || part.Policy.Fetch != campaign.FetchApproved {
		return nil
	}
	gated := slices.ContainsFunc(p.Agreement.Gates, func(g Gate) bool { return g.Stage == stage })
	aged := part.Requires != nil && part.Requires.MinAge > 0
	if !part.Windowed() && !aged && (stage == 0 || gated) {
		return nil
	}
	return &Ahead{Segment: part.Segment()}
}

// FetchedMeanwhile is a plan whose instance waits for its turn: what its first stage gets is fetched meanwhile, also where no window is set.
func (p Plan) FetchedMeanwhile(parts map[string]Part) Plan {
	if len(p.Stages) == 0 {
		return p
	}
	p.Stages = slices.Clone(p.Stages)
	first := &p.Stages[0]
	first.Clusters = slices.Clone(first.Clusters)
	for i, c := range first.Clusters {
		if part := parts[c.Name]; part.Planned != nil && part.Policy.Fetch == campaign.FetchApproved {
			first.Clusters[i].Ahead = &Ahead{Segment: part.Segment()}
		}
	}
	return p
}

func (a *Ahead) state() rollout.Ahead {
	if a == nil {
		return rollout.Ahead{}
	}
	return rollout.Ahead{Wanted: true, Segment: a.Segment}
}

// Brought is a package's file that a host has.
type Brought struct {
	Version
	File string
}

// Other names the files among these that are planned, and not with that digest.
func (p Planned) Other(on Platform, files []Brought) (others []Brought) {
	there, _ := p.On(on)
	for _, f := range files {
		known, same := false, false
		for _, v := range there.Packages {
			if v.Name == f.Name && v.Version == f.Version.Version && v.SHA256 != "" {
				known, same = true, same || v.SHA256 == f.SHA256
			}
		}
		if known && !same {
			others = append(others, f)
		}
	}
	return others
}

// Exact is what is planned for a platform in one version each, and the names of what is planned in several.
func (p Planned) Exact(on Platform) (exact []Version, several []string) {
	there, _ := p.On(on)
	for _, v := range there.Packages {
		i := slices.IndexFunc(exact, func(o Version) bool { return o.Name == v.Name })
		switch {
		case v.Version == "":
		case i < 0:
			exact = append(exact, v)
		case exact[i].Version != v.Version && !slices.Contains(several, v.Name):
			several = append(several, v.Name)
		}
	}
	return exact, several
}
