package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// advised is the plan with the packages that the advisories of an emergency bring, for the hosts that need one; without advisories it is what it
// was. An emergency for what nobody has, or whose fix the repositories do not offer, is refused before anybody is woken. say: hosts were asked
// just now, and what else they told of it is said.
func (d *desk) advised(c *cli.Context, m ordered, answers []plan.Answer, say bool) (plan.Plan, map[string]plan.Part, error) {
	if len(m.urgent.advisories) == 0 {
		return m.plan, m.parts, nil
	}
	got := plan.Saved{Plan: m.plan, Parts: m.parts, Answers: answers}.Advised()
	again := "rollpatch " + c.Command.Name + inventoryOf(c) + m.urgent.flags() + " " + c.Args().First()
	var lines, hints []string
	var stop, stay []plan.Hole // a fix that does not exist keeps nobody from those that do
	for _, h := range got.Wrong {
		if h.State == advisory.Unfixed && got.Needed() {
			stay = append(stay, h)
		} else {
			stop = append(stop, h)
		}
	}
	wrong, kernel := holes(stop)
	if lines = append(lines, wrong...); len(wrong) > 0 {
		hints = append(hints, "when that has changed: "+again)
	}
	if kernel {
		hints = append(hints, "a kernel comes beside the one that is there, by its meta package: rollpatch "+c.Command.Name+inventoryOf(c)+" --emergency --package 'linux-image-*' "+c.Args().First())
	}
	for _, id := range got.Nowhere {
		if len(got.Untold) == 0 {
			lines = append(lines, fmt.Sprintf("--advisory %s: no host of this campaign has a package installed that it is about: %s", id, about(m.urgent.advisories, id)))
		}
	}
	if len(lines) == 0 && !got.Needed() && (len(m.urgent.packages) == 0 || len(got.Hosts) == 0) {
		line := "there is nothing to bring: no host that was asked needs " + strings.Join(m.urgent.ids(), ", ")
		if len(got.Untold) > 0 {
			line += fmt.Sprintf("; whether these do is not known: %s", few(got.Untold))
		}
		lines = append(lines, line)
	}
	if say {
		for _, a := range got.Advisories {
			if len(a.Safe) > 0 {
				d.note("%s is fixed already on %s", a.ID, few(a.Safe))
			}
		}
		open, _ := holes(stay)
		for _, line := range open {
			d.note("stays as it is: %s", strings.TrimPrefix(line, "--advisory "))
		}
	}
	if len(lines) > 0 {
		return m.plan, m.parts, &problem{code: exitUsage, err: errors.New(strings.Join(lines, "\n")), hints: append(hints, byNameHint(c), nothingHint)}
	}
	if say && len(got.Untold) > 0 {
		d.note("whether these need %s is not known, and they are worked on too: %s", strings.Join(m.urgent.ids(), ", "), few(got.Untold))
	}
	return m.files.narrowed(d, got.Hosts, urgent{packages: m.urgent.packages, advisories: got.Advisories})
}

// holes says what an emergency cannot mend, in one line for all hosts with the same; kernel: one of it is a kernel.
func holes(all []plan.Hole) (lines []string, kernel bool) {
	on := map[string][]string{}
	for _, h := range all {
		line := "--advisory " + h.Advisory + ": "
		kernel = kernel || h.State == advisory.Renamed
		switch {
		case h.Excluded:
			line += fmt.Sprintf("the campaign's packages.exclude leaves out %s, which has the hole", h.Package)
		case h.State == advisory.Renamed:
			line += fmt.Sprintf("the fix of %s comes under another name", h.Package)
		case h.State == advisory.Unfixed:
			line += fmt.Sprintf("it names no version of %s for %s in which %s is fixed", h.Source, h.Release, h.Package)
		case h.Offered != "":
			line += fmt.Sprintf("the repository does not offer the fix yet: %s is of %s %s, fixed in %s, and %s is what would come", h.Package, h.Source, h.Have, h.Fixed, h.Offered)
		default:
			line += fmt.Sprintf("the repository does not offer the fix yet: %s is of %s %s, fixed in %s, and nothing newer would come", h.Package, h.Source, h.Have, h.Fixed)
		}
		if h.Kept != "" && !h.Excluded {
			line += " (" + h.Kept + ")"
		}
		if on[line] == nil {
			lines = append(lines, line)
		}
		on[line] = append(on[line], h.Host)
	}
	for i, line := range lines {
		lines[i] = line + ": " + few(on[line])
	}
	return lines, kernel
}

// about are the source packages and releases that an advisory tells of.
func about(all []advisory.Advisory, id string) string {
	var sources, releases []string
	for _, a := range all {
		if a.ID != id {
			continue
		}
		for _, f := range a.Fixes {
			sources, releases = append(sources, f.Source), append(releases, f.Release)
		}
	}
	slices.Sort(sources)
	slices.Sort(releases)
	return few(slices.Compact(sources)) + " (" + few(slices.Compact(releases)) + ")"
}

// few names the first of many.
func few(names []string) string {
	const most = 5
	text := strings.Join(names[:min(most, len(names))], ", ")
	if n := len(names) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// flags are those that name it.
func (u urgent) flags() string {
	text := " --emergency"
	for _, name := range u.packages {
		if strings.ContainsAny(name, "*?[]") {
			name = quote(name)
		}
		if word := " --package " + name; !strings.Contains(text+" ", word+" ") {
			text += word
		}
	}
	for _, id := range u.ids() {
		text += " --advisory " + id
	}
	if u.shelf != "" {
		text += " --advisories " + u.shelf
	}
	return text
}

func (u urgent) ids() []string {
	var ids []string
	for _, a := range u.advisories {
		ids = append(ids, a.ID)
	}
	return ids
}

// advisoryLine is an advisory of a plan in one line, with what it brings.
func advisoryLine(a advisory.Advisory) string {
	text := "for " + a.ID
	if a.Summary != "" {
		text += " (" + a.Summary + ")"
	}
	if len(a.Packages) > 0 {
		text += ": " + strings.Join(a.Packages, ", ")
	}
	if fixed := a.Fixed(); len(fixed) > 0 {
		text += ", fixed in " + strings.Join(fixed, ", ")
	}
	if len(a.Records) > 0 {
		text += "; by " + strings.Join(a.Records, ", ")
	}
	if len(a.Safe) > 0 {
		text += "; has it already: " + few(a.Safe)
	}
	return text
}
