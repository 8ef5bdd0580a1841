// Package staging says whether versions have finished in another stage, and long enough ago (P4). It knows nothing of where such records
// are kept, of clocks or of connections: every function is a pure function of its arguments.
package staging

import (
	"fmt"
	"strings"
	"time"
)

// Version is a package in an exact version. SHA256 is that of its file; empty: not known.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256,omitempty"`
}

func (v Version) String() string { return v.Name + " " + v.Version }

// Platform is what a version was built for.
type Platform struct {
	OS      string `json:"os"`
	Release string `json:"release"`
	Arch    string `json:"arch"`
}

// Record is that these versions finished in a cluster: its soaks passed, and it ended as done.
type Record struct {
	Stage    string    `json:"stage"`
	Cluster  string    `json:"cluster"`
	Instance string    `json:"instance"`
	At       time.Time `json:"at"` // when it had finished
	Platform
	Versions []Version `json:"versions"`
	// Emergency: it soaked only as long as an emergency waits, and its usual approval may have come later, or not at all.
	Emergency bool `json:"emergency,omitempty"`
}

// Shut is a version that is in quarantine in the stage that is asked for. An empty OS means any platform.
type Shut struct {
	Version
	Platform
	Name string // of its record
}

// Rule is what a stage requires before a member of it is begun.
type Rule struct {
	Stage  string
	MinAge time.Duration
	// Emergency: what finished in an emergency counts as well.
	Emergency bool
}

// Found is what the records say of one version.
type Found struct {
	Version
	Cluster  string    // where it finished first; empty: nowhere that counts
	Instance string    // by which instance
	At       time.Time // when
	Why      string    // nothing counts, and this is why
}

// Answer is what the records say of all of them.
type Answer struct {
	Rule    Rule
	Old     []Found // finished there, and long enough ago
	Young   []Found // finished there, and not long enough ago
	Missing []Found
	Ready   time.Time // when the last of the young ones is old enough
}

// Judge holds versions for a platform against the records. The oldest record of a version counts: what was found good again is not younger for it.
func (r Rule) Judge(p Platform, want []Version, records []Record, shut []Shut, now time.Time) Answer {
	a := Answer{Rule: r}
	for _, v := range want {
		f := r.find(p, v, records, shut)
		switch ready := f.At.Add(r.MinAge); {
		case f.Cluster == "":
			a.Missing = append(a.Missing, f)
		case ready.After(now):
			if a.Young = append(a.Young, f); ready.After(a.Ready) {
				a.Ready = ready
			}
		default:
			a.Old = append(a.Old, f)
		}
	}
	return a
}

func (r Rule) find(p Platform, v Version, records []Record, shut []Shut) Found {
	f := Found{Version: v}
	for _, s := range shut {
		if s.Version.Name == v.Name && s.Version.Version == v.Version && (s.OS == "" || s.Platform == p) {
			f.Why = "it is in quarantine there, as " + s.Name
			return f
		}
	}
	var newest time.Time
	var urgent string
	for _, rec := range records {
		if rec.Stage != r.Stage || rec.Platform != p {
			continue
		}
		for _, had := range rec.Versions {
			switch {
			case had.Name != v.Name:
			case had.Version != v.Version:
				if f.Cluster == "" && rec.At.After(newest) {
					f.Why, newest = had.Version+" has", rec.At
				}
			case had.SHA256 != "" && v.SHA256 != "" && had.SHA256 != v.SHA256:
				if f.Cluster == "" {
					f.Why, newest = "that version has, as another file: sha256 "+had.SHA256+", and this one is "+v.SHA256, rec.At
				}
			case rec.Emergency && !r.Emergency:
				urgent = "that version has, in the emergency " + rec.Instance + ", which does not count: requires: {emergency: true} would count it"
			case f.Cluster == "" || rec.At.Before(f.At):
				f.Cluster, f.Instance, f.At, f.Why = rec.Cluster, rec.Instance, rec.At, ""
			}
		}
	}
	if f.Cluster == "" && urgent != "" {
		f.Why = urgent
	}
	return f
}

// OK says that a member may begin.
func (a Answer) OK() bool { return len(a.Young)+len(a.Missing) == 0 }

// Lacks says which versions have not finished there; empty: each of them has.
func (a Answer) Lacks() string {
	if len(a.Missing) == 0 {
		return ""
	}
	return fmt.Sprintf("stage %s has to be through with it first: %s", a.Rule.Stage, few(a.Missing, func(f Found) string {
		text := f.Version.String() + " has not finished there"
		if f.Why != "" {
			text += " (" + f.Why + ")"
		}
		return text
	}))
}

// Waits says which versions are too young, since when and until when; empty: none is.
func (a Answer) Waits() string {
	if len(a.Young) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, and that has to be %s ago: until %s", few(a.Young, a.finished), Span(a.Rule.MinAge), stamp(a.Ready))
}

// Proven tells where each of those finished that may go, for whoever reads a plan.
func (a Answer) Proven() (lines []string) {
	for _, f := range a.Old {
		lines = append(lines, a.finished(f))
	}
	return lines
}

// Open tells of each of the others what is missing.
func (a Answer) Open() (lines []string) {
	for _, f := range a.Young {
		lines = append(lines, a.finished(f)+", and is old enough at "+stamp(f.At.Add(a.Rule.MinAge)))
	}
	for _, f := range a.Missing {
		text := f.Version.String() + " has not finished in stage " + a.Rule.Stage
		if f.Why != "" {
			text += " (" + f.Why + ")"
		}
		lines = append(lines, text)
	}
	return lines
}

func (a Answer) finished(f Found) string {
	return fmt.Sprintf("%s finished in stage %s at %s (%s in %s)", f.Version, a.Rule.Stage, stamp(f.At), f.Cluster, f.Instance)
}

// few lists the first of many.
func few(all []Found, text func(Found) string) string {
	const most = 5
	var out []string
	for i, f := range all {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		out = append(out, text(f))
	}
	return strings.Join(out, ", ")
}

// Span writes a length of time as files have it: 3d, 36h, 90m.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > day && d%day == 0: // one day stays 24h, as in files
		return fmt.Sprintf("%dd", d/day)
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d > 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
