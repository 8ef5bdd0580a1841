package activities

import (
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

func (f facts) platform() plan.Platform {
	return plan.Platform{OS: f.OS, Release: f.Release, Arch: f.Arch}
}

// planned takes what is pending and was not when the plan was made out of what a canary wants: nobody approved it.
func (s scene) planned(f facts, want string) (rest string, left string) {
	p := s.part.Planned
	if p == nil {
		return want, ""
	}
	if _, known := p.On(f.platform()); !known {
		return want, "" // drifted says what is wrong with that
	}
	lines := map[string]string{}
	var names []string
	for line := range strings.Lines(want) {
		name, _, _ := strings.Cut(line, "\t")
		lines[name], names = line, append(names, name)
	}
	wanted, alone := p.Wanted(f.platform(), names)
	for _, name := range wanted {
		rest += lines[name]
	}
	if len(alone) > 0 {
		left = fmt.Sprintf(", %d pending ones are not in the plan and are left alone", len(alone))
	}
	return rest, left
}

// drifted holds a canary's transaction against the plan: why it must not happen, or what is to be told of it, and of that what came in
// another version.
func (s scene) drifted(f facts, changes []Change) (widens, told, newer string) {
	if s.part.Planned == nil {
		return "", "", ""
	}
	var transaction []plan.Version
	for _, c := range changes {
		transaction = append(transaction, plan.Version{Name: c.Name, Version: c.New})
	}
	d := s.part.Planned.Drift(f.platform(), transaction)
	if len(d.Widens) > 0 {
		return fmt.Sprintf("widens: %s; the plan that was approved does not hold that: make another (rollpatch plan CAMPAIGN.yaml --save FILE) and have it approved; when the other clusters are through, rollpatch abort %s --reason \"...\" and run that one", some(d.Widens), s.who), "", ""
	}
	if len(d.Others) > 0 {
		newer = "in another version than planned: " + some(d.Others)
		told += ", " + newer
	}
	if len(d.Narrows) > 0 {
		told += fmt.Sprintf(", %d planned ones are not pending here", len(d.Narrows))
	}
	return "", told, newer
}

// some lists the first of many.
func some(all []string) string {
	const most = 8
	if n := len(all) - most; n > 0 {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(", and %d more", n)
	}
	return strings.Join(all, ", ")
}
