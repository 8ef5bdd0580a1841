package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Drift is how the transaction that a member would have now differs from what was planned for it.
type Drift struct {
	// Widens is what nobody approved: the member is refused before its drain, and its cluster holds.
	Widens []string `json:"widens,omitempty"`
	// Narrows is what was planned and is not there any more. It is told, and goes on.
	Narrows []string `json:"narrows,omitempty"`
	// Others is what comes in another version than it was planned in, which is no difference.
	Others []string `json:"others,omitempty"`
}

// Wanted takes what nobody planned out of what is pending: it is left alone, as what a peer has pending that did not soak.
func (p Planned) Wanted(on Platform, pending []string) (wanted, alone []string) {
	there, _ := p.On(on)
	for _, name := range pending {
		if slices.ContainsFunc(there.Packages, func(v Version) bool { return v.Name == name }) {
			wanted = append(wanted, name)
		} else {
			alone = append(alone, name)
		}
	}
	return wanted, alone
}

// Drift holds a transaction against what was planned for the platform.
func (p Planned) Drift(on Platform, transaction []Version) Drift {
	var d Drift
	there, known := p.On(on)
	if !known {
		d.Widens = []string{fmt.Sprintf("its platform %s is not in the plan: no member on it answered when it was made", on)}
		return d
	}
	versions := map[string][]string{}
	for _, v := range there.Packages {
		versions[v.Name] = append(versions[v.Name], v.Version)
	}
	seen := map[string]bool{}
	for _, v := range transaction {
		seen[v.Name] = true
		was, listed := versions[v.Name]
		switch {
		case v.Version == "" && !slices.Contains(was, ""):
			d.Widens = append(d.Widens, "it would remove "+v.Name)
		case !listed:
			d.Widens = append(d.Widens, "it would bring "+v.Name+" "+v.Version)
		case !slices.Contains(was, v.Version):
			d.Others = append(d.Others, fmt.Sprintf("%s %s in place of %s", v.Name, v.Version, strings.Join(was, " or ")))
		}
	}
	for _, v := range there.Packages {
		if !seen[v.Name] {
			seen[v.Name] = true
			d.Narrows = append(d.Narrows, v.Name+" "+v.Version)
		}
	}
	return d
}
