package advisory

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Package is one that a host has installed.
type Package struct {
	Name          string
	Source        string // the source package that it is built from
	SourceVersion string
}

// What becomes of a package that an advisory tells of.
const (
	Safe    = "safe"    // it is at the fixed version, or beyond
	Pending = "pending" // its repositories offer the fix
	Lacking = "lacking" // they do not, or not to this host
	Unfixed = "unfixed" // no fixed version is named
	Renamed = "renamed" // the fix comes under another name, as a kernel's does: with what this package's name has of its version
)

// Affected is a package of a host that an advisory tells of. Versions are those of its source package.
type Affected struct {
	Advisory string `json:"advisory"`
	Package  string `json:"package"`
	Release  string `json:"release"`
	Source   string `json:"source"`
	Have     string `json:"have"`
	Fixed    string `json:"fixed,omitempty"`
	Offered  string `json:"offered,omitempty"` // what its repositories would bring; empty: nothing newer
	Kept     string `json:"kept,omitempty"`    // why they would not
	State    string `json:"state"`
}

// Told is what the advisories of an emergency mean for one host.
type Told struct {
	Affected []Affected `json:"affected,omitempty"` // empty: it has none of their packages
}

// On works that out, from what the host has installed, what its repositories would bring, as the version of its source, and what they would not
// bring, and why; both by name.
func On(advisories []Advisory, os, release string, installed []Package, offered, kept map[string]string) Told {
	var t Told
	for _, a := range advisories {
		for _, p := range installed {
			source := sourceOf(os, p)
			spans := a.about(os, release, source.Source)
			if len(spans) == 0 {
				continue
			}
			one := Affected{Advisory: a.ID, Package: p.Name, Release: spans[0].Release, Source: source.Source, Have: source.SourceVersion}
			fixed, hole := needs(spans, one.Have)
			switch {
			case !hole:
				one.State, one.Fixed = Safe, spans[len(spans)-1].Fixed // the highest
			case fixed == "":
				one.State = Unfixed
			case renamed.MatchString(p.Name):
				one.State, one.Fixed = Renamed, fixed
			default:
				one.State, one.Fixed, one.Offered, one.Kept = Lacking, fixed, offered[p.Name], kept[p.Name]
				if _, still := needs(spans, one.Offered); one.Offered != "" && !still {
					one.State = Pending
				}
			}
			t.Affected = append(t.Affected, one)
		}
	}
	return t
}

// Brings are the names of the packages of which the host would be brought the fix.
func (t Told) Brings() []string {
	var names []string
	for _, a := range t.Affected {
		if a.State == Pending && !slices.Contains(names, a.Package) {
			names = append(names, a.Package)
		}
	}
	return names
}

// about is what the advisory tells of a source package on a system, the lowest fixed version first.
func (a Advisory) about(os, release, source string) []Fix {
	for _, name := range ecosystems(os, release) {
		var all []Fix
		for _, f := range a.Fixes {
			if f.Source == source && (f.Release == name || strings.HasPrefix(f.Release, name+":")) {
				all = append(all, f)
			}
		}
		if slices.SortStableFunc(all, func(x, y Fix) int { return Compare(x.Fixed, y.Fixed) }); len(all) > 0 {
			return all
		}
	}
	return nil
}

// ecosystems are the names of osv.dev for a system: its usual archive first, then the one that is paid for. More may follow behind a colon, such as LTS.
func ecosystems(os, release string) []string {
	switch {
	case release == "":
	case os == "debian":
		return []string{"Debian:" + release}
	case os == "ubuntu":
		return []string{"Ubuntu:" + release, "Ubuntu:Pro:" + release}
	}
	return nil
}

// needs says whether a version has a hole, and in which that is closed: the highest of those that are named, empty where none is.
func needs(spans []Fix, version string) (fixed string, hole bool) {
	for _, f := range spans {
		if (f.From == "" || Compare(version, f.From) >= 0) && (f.Fixed == "" || Compare(version, f.Fixed) < 0) {
			hole, fixed = true, cmp.Or(f.Fixed, fixed)
		}
	}
	return fixed, hole
}

// renamed are packages that a newer version does not replace: it comes beside them, under another name.
var renamed = regexp.MustCompile(`^linux-.*-[0-9]`)

// sourceOf is the source package that advisories name. Kernels are built from it, and signed by a source package of their own.
func sourceOf(os string, p Package) Package {
	signed, found := strings.CutPrefix(p.Source, "linux-signed")
	switch {
	case !found:
	case os == "debian": // linux-signed-amd64 6.1.158+1 is linux 6.1.158-1
		p.Source = "linux"
		if i := strings.IndexByte(p.SourceVersion, '+'); i >= 0 && !strings.Contains(p.SourceVersion, "-") {
			p.SourceVersion = p.SourceVersion[:i] + "-" + p.SourceVersion[i+1:]
		}
	default: // linux-signed-aws is linux-aws
		p.Source = "linux" + signed
	}
	return p
}
