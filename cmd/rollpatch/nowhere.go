package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// lookFor asks the hosts of an emergency whether they have what it names, before its approvers are woken, and makes its plan by that. Where they
// cannot be asked, that is said, and it goes on: an emergency does not wait for a host that is silent. But what an advisory brings only hosts know.
func (d *desk) lookFor(c *cli.Context, m ordered) (plan.Plan, map[string]plan.Part, error) {
	answers, err := d.askHosts(c, m.plan, m.parts, inquiry{})
	switch {
	case c.Context.Err() != nil:
		return m.plan, m.parts, err
	case err != nil && len(m.urgent.advisories) > 0:
		return m.plan, m.parts, failed(fmt.Errorf("no host could be asked which of its packages %s is about: %w", strings.Join(m.urgent.ids(), ", "), err), byNameHint(c), nothingHint)
	case err != nil:
		d.note("no host could be asked whether it has %s: %v", strings.Join(m.plan.Emergency, ", "), err)
		return m.plan, m.parts, nil
	}
	if err := d.nowhere(c, plan.Saved{Plan: m.plan, Parts: m.parts, Answers: answers}); err != nil {
		return m.plan, m.parts, err
	}
	return d.advised(c, m, answers, true)
}

// nowhere refuses an emergency for a package that no host has, which is mostly a slip of the keyboard.
func (d *desk) nowhere(c *cli.Context, s plan.Saved) error {
	missing, untold := s.Nowhere()
	switch {
	case len(missing) == 0:
		return nil
	case len(s.Answers) == 0:
		d.note("no host was asked whether it has %s", strings.Join(s.Plan.Emergency, ", "))
		return nil
	}
	var lines, words []string
	right := map[string]string{}
	for _, m := range missing {
		words = append(words, m.Name)
		line := fmt.Sprintf("--package %s: no host of this campaign has such a package installed", m.Name)
		if right[m.Name] = "NAME"; m.Near != "" {
			line += fmt.Sprintf("; did you mean %q?", m.Near)
			right[m.Name] = m.Near
		}
		lines = append(lines, line)
	}
	if len(untold) > 0 {
		d.note("%s was found on no host that was asked; whether these have it is not known: %s", strings.Join(words, ", "), few(untold))
		return nil
	}
	meant := urgent{shelf: c.Path("advisories")}
	for _, name := range c.StringSlice("package") {
		if r, wrong := right[name]; wrong {
			name = r
		}
		meant.packages = append(meant.packages, name)
	}
	for _, a := range s.Plan.Advisories {
		meant.advisories = append(meant.advisories, advisory.Advisory{ID: a.ID})
	}
	again := "rollpatch " + c.Command.Name + inventoryOf(c) + meant.flags()
	hints := []string{again + " " + c.Args().First()}
	for _, part := range s.Parts {
		if len(part.Packages.Exclude) > 0 {
			hints = append(hints, "what packages.exclude leaves out does not count: "+strings.Join(part.Packages.Exclude, ", "))
			break // every part has the campaign's
		}
	}
	return &problem{code: exitUsage, err: errors.New(strings.Join(lines, "\n")), hints: append(hints, nothingHint)}
}
