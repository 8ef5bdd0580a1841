package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/preflight"
)

// Question is hosts that are asked together when a plan is made: the body of one batch.
type Question struct {
	Hosts []Asking `json:"hosts"`
	// Check: they are asked what stands against patching them, and not what they would get.
	Check bool `json:"check,omitempty"`
	// Advisories are those that an emergency names: what of their packages a host has is wanted, too.
	Advisories []advisory.Advisory `json:"advisories,omitempty"`
}

// Asking is one host that is asked, and the part of a cluster that says how it is reached.
type Asking struct {
	Host string `json:"host"`
	Part string `json:"part"` // digest
}

// Answer is what one host said when the plan was made, or why nothing is known of it.
type Answer struct {
	Host     string    `json:"host"`
	Unknown  string    `json:"unknown,omitempty"`
	OS       string    `json:"os,omitempty"`
	Release  string    `json:"release,omitempty"`
	Arch     string    `json:"arch,omitempty"`
	Kernel   string    `json:"kernel,omitempty"`
	Packages []Package `json:"packages,omitempty"` // its transaction: what is pending and wanted, and what comes with that
	Alone    []string  `json:"alone,omitempty"`    // pending, and not wanted by the campaign
	Held     []string  `json:"held,omitempty"`     // name and version of what the host holds
	Phased   []string  `json:"phased,omitempty"`   // name, version and percent of what its repository gives to some hosts only yet
	LeftOut  []string  `json:"left_out,omitempty"` // versions in quarantine, and what goes only with them
	Reboot   []Sign    `json:"reboot,omitempty"`   // what will ask for a reboot
	Pending  bool      `json:"pending,omitempty"`  // a reboot is asked for already
	Trouble  []string  `json:"trouble,omitempty"`  // why it would be refused, were it patched now
	Untold   string    `json:"untold,omitempty"`   // that of it for which there is no plan: nobody can tell which updates are security updates

	Finished   []string `json:"finished,omitempty"`   // what of it has finished in the stage that goes first, and where
	Unfinished []string `json:"unfinished,omitempty"` // and what has not, or not long enough ago

	Named []Named `json:"named,omitempty"` // what an emergency names, and whether it has that; empty: it did not tell

	Advised *advisory.Told `json:"advised,omitempty"` // what its advisories mean for it; nil: it did not tell

	Estimate *calendar.Estimate `json:"estimate,omitempty"` // how long it is taken to need, by what was measured

	Findings []preflight.Finding `json:"findings,omitempty"` // what stands against patching it, where that was asked
}

// Sign is something that will ask for a reboot.
type Sign struct {
	Sure    bool   `json:"sure,omitempty"` // else likely
	Package string `json:"package,omitempty"`
	Why     string `json:"why"`
}

// Package is one package of a transaction. An empty Old means that it is not installed, an empty New that it goes.
type Package struct {
	Name     string `json:"name"`
	Old      string `json:"old,omitempty"`
	New      string `json:"new,omitempty"`
	Origin   string `json:"origin,omitempty"`
	Security string `json:"security,omitempty"` // yes, no or unknown
	Size     int64  `json:"size,omitempty"`     // of the download, in bytes
	SHA256   string `json:"sha256,omitempty"`   // of its file, as the repository says it
}

// Whether the new version of a package is a security fix. Unknown is one whose repository does not tell.
const (
	SecurityYes     = "yes"
	SecurityNo      = "no"
	SecurityUnknown = "unknown"
)

func (a Answer) platform() Platform { return Platform{OS: a.OS, Release: a.Release, Arch: a.Arch} }

// Platform is an operating system and what hosts of it would get.
type Platform struct {
	OS       string    `json:"os"`
	Release  string    `json:"release"`
	Arch     string    `json:"arch"`
	Packages []Version `json:"packages,omitempty"`
}

func (p Platform) String() string { return p.OS + " " + p.Release + " " + p.Arch }

// same says that it is the same platform, whatever is planned for it.
func (p Platform) same(o Platform) bool {
	return p.OS == o.OS && p.Release == o.Release && p.Arch == o.Arch
}

// Version is a package in an exact version. An empty one means that the package goes.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256,omitempty"` // of its file; empty where the repository did not say
}

// Planned is what the members of a cluster said that they would get: names and exact versions of each platform. It is part of what is
// approved. Empty, no member answered.
type Planned struct {
	Platforms []Platform `json:"platforms,omitempty"`
}

// On is what is planned for a platform.
func (p Planned) On(platform Platform) (Platform, bool) {
	i := slices.IndexFunc(p.Platforms, platform.same)
	if i < 0 {
		return Platform{}, false
	}
	return p.Platforms[i], true
}

// Answered adds to a plan what its hosts said. Every part says from then on what is planned for its members, also where none of them
// answered: then it is nothing.
func Answered(p Plan, parts map[string]Part, answers []Answer) (Plan, map[string]Part) {
	said := ByHost(answers)
	return planned(p, parts, func(part Part) *Planned {
		all := Planned{}
		for _, name := range part.Worked() {
			if a, ok := said[name]; ok && a.Unknown == "" {
				all.add(a)
			}
		}
		for _, pl := range all.Platforms {
			slices.SortFunc(pl.Packages, func(a, b Version) int {
				return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(a.SHA256, b.SHA256))
			})
		}
		slices.SortFunc(all.Platforms, func(a, b Platform) int { return strings.Compare(a.String(), b.String()) })
		return &all
	})
}

// ByHost finds answers by their hosts.
func ByHost(answers []Answer) map[string]Answer {
	all := make(map[string]Answer, len(answers))
	for _, a := range answers {
		all[a.Host] = a
	}
	return all
}

// bare is a plan as it comes from the files alone.
func bare(p Plan, parts map[string]Part) (Plan, map[string]Part) {
	return planned(p, parts, func(Part) *Planned { return nil })
}

// planned gives every part what is planned for it, and the plan the parts' new digests. What it is given stays as it is.
func planned(p Plan, parts map[string]Part, of func(Part) *Planned) (Plan, map[string]Part) {
	next := make(map[string]Part, len(parts))
	for name, part := range parts {
		part.Planned = of(part)
		next[name] = part
	}
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		s := &p.Stages[i]
		s.Clusters = slices.Clone(s.Clusters)
		for k := range s.Clusters {
			part := next[s.Clusters[k].Name]
			s.Clusters[k].Part, s.Clusters[k].Ahead = Digest(part), p.ahead(i, part)
		}
	}
	return p, next
}

// add puts what one host would get to that of its platform. What goes is listed too, with no version.
func (p *Planned) add(a Answer) {
	at := a.platform()
	i := slices.IndexFunc(p.Platforms, at.same)
	if i < 0 {
		i, p.Platforms = len(p.Platforms), append(p.Platforms, at)
	}
	for _, k := range a.Packages {
		if v := (Version{k.Name, k.New, k.SHA256}); !slices.Contains(p.Platforms[i].Packages, v) {
			p.Platforms[i].Packages = append(p.Platforms[i].Packages, v)
		}
	}
}
