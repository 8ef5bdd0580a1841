package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory/campaign"
)

// Forecast is what follows from the answers, cluster by cluster: for whoever reads a plan and approves it.
type Forecast struct {
	Asked    int        `json:"asked"`
	Answered int        `json:"answered"`
	Unknown  []Unknown  `json:"unknown,omitempty"`
	Clusters []Expected `json:"clusters"` // in order of work
	Risks    []Risk     `json:"risks,omitempty"`
}

// Unknown is a host that said nothing.
type Unknown struct {
	Cluster string `json:"cluster"`
	Host    string `json:"host"`
	Why     string `json:"why"`
}

// Expected is what members of one cluster on one platform would get.
type Expected struct {
	Stage     string        `json:"stage"`
	Cluster   string        `json:"cluster"`
	Platform  string        `json:"platform,omitempty"` // empty: of no member anything is known
	Hosts     []string      `json:"hosts,omitempty"`
	Packages  []Shared      `json:"packages,omitempty"`
	Security  int           `json:"security"`
	Untold    int           `json:"untold,omitempty"` // of which nobody knows whether they are security fixes
	Download  int64         `json:"download"`         // the most that one member downloads, in bytes
	Reboot    string        `json:"reboot"`           // always, never, yes, likely or no sign
	Because   []string      `json:"because,omitempty"`
	Finished  []string      `json:"finished,omitempty"` // what has finished in the stage that goes first, and where
	Estimated time.Duration `json:"-"`
	Takes     string        `json:"takes"` // at least, from the first look at its canary to the last undrain, or the soak after it

	Estimate string `json:"estimate"` // how long each member is taken to need, and how that is known
}

// Shared is a package, and which of the members would get it.
type Shared struct {
	Package
	Hosts []string `json:"hosts"`
}

// Risk is something about a cluster that whoever approves should have read.
type Risk struct {
	Cluster string `json:"cluster"`
	Text    string `json:"text"`
}

// Takes is how long the cluster takes at least, where nothing is waited for: members one after the other, what lies between them, and soaks.
func (p Part) Takes(waves []int, each time.Duration) time.Duration {
	var t time.Duration
	for i, n := range waves {
		t += time.Duration(n)*each + time.Duration(n-1)*time.Duration(p.Policy.Settle)
		if i < len(waves)-1 || len(p.Only) > 0 { // as dates have it: where only some members are worked on, the last wave soaks too
			t += time.Duration(p.Policy.Soak)
		}
	}
	return t
}

// Span writes a length of time as people estimate it: 26h15m.
func Span(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		return strings.TrimSuffix(text, "0m")
	}
	return text
}

// Foresee puts together what the answers mean for a plan.
func Foresee(p Plan, parts map[string]Part, answers []Answer) Forecast {
	f := Forecast{}
	said := ByHost(answers)
	asked := map[string]bool{}
	estimates := p.Estimates(parts, answers)
	for _, s := range p.Stages {
		for _, c := range s.Clusters {
			part := parts[c.Name]
			var platforms []Platform
			by := map[string][]Answer{}
			for _, name := range c.Members {
				a, ok := said[name]
				switch {
				case !ok:
					a.Unknown = "it was not asked"
				case !asked[name]:
					asked[name] = true
					f.Asked++
					if a.Unknown == "" {
						f.Answered++
					}
				}
				if a.Unknown != "" {
					f.Unknown = append(f.Unknown, Unknown{c.Name, name, a.Unknown})
					continue
				}
				at := a.platform()
				if _, known := by[at.String()]; !known {
					platforms = append(platforms, at)
				}
				by[at.String()] = append(by[at.String()], a)
			}
			first := len(f.Clusters)
			for _, at := range platforms {
				f.Clusters = append(f.Clusters, expected(s.Name, part, at, by[at.String()]))
			}
			if len(platforms) == 0 {
				f.Clusters = append(f.Clusters, Expected{Stage: s.Name, Cluster: c.Name, Reboot: reboot(part.Policy.Reboot, nil)})
			}
			each := estimates[c.Name]
			for i := range f.Clusters[first:] {
				e := &f.Clusters[first+i]
				e.Estimated, e.Estimate = part.Takes(c.Waves, each.Work), each.String()
				e.Takes = Span(e.Estimated)
			}
			f.Risks = append(f.Risks, risks(p, c, part, platforms, by, said)...)
		}
	}
	return f
}

func expected(stage string, part Part, at Platform, members []Answer) Expected {
	e := Expected{Stage: stage, Cluster: part.Cluster.Name, Platform: at.String()}
	var signs []Sign
	place := map[string]int{}
	for _, a := range members {
		e.Hosts = append(e.Hosts, a.Host)
		var size int64
		for _, k := range a.Packages {
			size += k.Size
			key := k.Name + " " + k.Old + " " + k.New
			i, there := place[key]
			if !there {
				i, place[key] = len(e.Packages), len(e.Packages)
				e.Packages = append(e.Packages, Shared{Package: k})
			}
			e.Packages[i].Hosts = append(e.Packages[i].Hosts, a.Host)
		}
		e.Download = max(e.Download, size)
		e.Finished = once(e.Finished, a.Finished)
		signs = append(signs, a.Reboot...)
		if a.Pending {
			signs = append(signs, Sign{Sure: true, Why: a.Host + " asks for one already"})
		}
	}
	for _, k := range e.Packages {
		switch k.Security {
		case SecurityYes:
			e.Security++
		case SecurityUnknown:
			e.Untold++
		}
	}
	// Security fixes first, then by name.
	slices.SortStableFunc(e.Packages, func(a, b Shared) int {
		return cmp.Or(cmp.Compare(b2i(b.Security == SecurityYes), b2i(a.Security == SecurityYes)), strings.Compare(a.Name, b.Name), strings.Compare(a.New, b.New))
	})
	e.Reboot = reboot(part.Policy.Reboot, signs)
	for _, sure := range []bool{true, false} {
		for _, s := range signs {
			why := s.Why
			if s.Package != "" {
				why = s.Package + ": " + why
			}
			if s.Sure == sure && !slices.Contains(e.Because, why) {
				e.Because = append(e.Because, why)
			}
		}
	}
	return e
}

// once adds the lines that are not there yet: members of a platform say the same.
func once(lines, more []string) []string {
	for _, l := range more {
		if !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	return lines
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reboot says whether members are expected to be rebooted.
func reboot(policy campaign.Reboot, signs []Sign) string {
	switch {
	case policy != campaign.RebootIfNeeded:
		return string(policy)
	case slices.ContainsFunc(signs, func(s Sign) bool { return s.Sure }):
		return "yes"
	case len(signs) > 0:
		return "likely"
	}
	return "no sign"
}

// risks lists what somebody who approves the cluster's patch should have read.
func risks(p Plan, c Cluster, part Part, platforms []Platform, by map[string][]Answer, said map[string]Answer) []Risk {
	var all []Risk
	note := func(format string, args ...any) { all = append(all, Risk{c.Name, fmt.Sprintf(format, args...)}) }
	for _, r := range p.Refusals {
		if r.Cluster == c.Name {
			note("refused: %s: %s", r.Reason, r.Remedy)
		}
	}
	if c.Accepted != "" {
		note("its impact is accepted until %s: %s", c.Until, c.Accepted)
	}
	if len(part.Cluster.Checks) == 0 {
		note("it has no checks: Consul alone says whether a member is healthy")
	}
	if part.Policy.Reboot == campaign.RebootNever {
		for _, at := range platforms {
			if slices.ContainsFunc(by[at.String()], func(a Answer) bool { return len(a.Reboot) > 0 || a.Pending }) {
				note("members on %s will ask for a reboot, and the policy is never: they go on running what they had", at)
			}
		}
	}
	if len(platforms) > 1 {
		var rest []string
		for _, at := range platforms[1:] {
			for _, a := range by[at.String()] {
				rest = append(rest, a.Host+" ("+at.String()+")")
			}
		}
		note("only members on the canary's platform, %s, are patched: nothing soaks for %s", platforms[0], strings.Join(rest, ", "))
	}
	lone := map[string]bool{}
	for _, name := range c.Members {
		a := said[name]
		for _, t := range a.Trouble {
			note("%s: %s", name, t)
		}
		if len(a.Held) > 0 {
			note("%s holds %s: they stay as they are", name, strings.Join(a.Held, ", "))
		}
		if len(a.Phased) > 0 {
			note("%s: its repository gives %s to some hosts only yet; they are installed all the same, so that members do not differ", name, strings.Join(a.Phased, ", "))
		}
		if len(a.LeftOut) > 0 {
			note("%s: left out, because of a quarantine: %s", name, strings.Join(a.LeftOut, ", "))
		}
		for _, k := range a.Packages {
			if strings.HasPrefix(k.Name, "linux-image-") && k.New != "" && !lone[k.Name] {
				lone[k.Name] = true
				note("%s %s is a kernel: a backout brings packages back, and boots no former kernel", k.Name, k.New)
			}
		}
	}
	var unfinished []string
	for _, name := range c.Members {
		unfinished = once(unfinished, said[name].Unfinished)
	}
	for _, text := range unfinished {
		note("as things stand it would not begin yet: %s", text)
	}
	if len(c.Members) == 0 {
		return all
	}
	if first, ok := said[c.Members[0]]; ok && first.Unknown == "" {
		if debt := owed(first, by[first.platform().String()]); len(debt) > 0 {
			note("only peers have these pending, and they do not soak on %s, the canary: %s; they stay as they are", first.Host, strings.Join(debt, ", "))
		}
	}
	return all
}

// owed lists what peers on the canary's platform have pending and it has not.
func owed(canary Answer, members []Answer) []string {
	var names []string
	for _, a := range members {
		for _, k := range a.Packages {
			has := slices.ContainsFunc(canary.Packages, func(o Package) bool { return o.Name == k.Name && o.New == k.New })
			if name := strings.TrimSpace(k.Name + " " + k.New); !has && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
