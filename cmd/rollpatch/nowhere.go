package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// lookFor asks the hosts of an emergency whether they have what it names, before its approvers are woken. Where they cannot be asked, that is
// said, and it goes on: an emergency does not wait for a host that is silent.
func (d *desk) lookFor(c *cli.Context, pl plan.Plan, parts map[string]plan.Part) error {
	if len(pl.Emergency) == 0 {
		return nil
	}
	s := plan.Saved{Plan: pl, Parts: parts}
	answers, err := d.askHosts(c, pl, parts, inquiry{})
	switch {
	case c.Context.Err() != nil:
		return err
	case err != nil:
		d.note("no host could be asked whether it has %s: %v", strings.Join(pl.Emergency, ", "), err)
		return nil
	}
	s.Answers = answers
	return d.nowhere(c, s)
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
		const most = 5
		hosts := strings.Join(untold[:min(most, len(untold))], ", ")
		if n := len(untold) - most; n > 0 {
			hosts += fmt.Sprintf(" and %d more", n)
		}
		d.note("%s was found on no host that was asked; whether these have it is not known: %s", strings.Join(words, ", "), hosts)
		return nil
	}
	again := "rollpatch " + c.Command.Name + inventoryOf(c) + " --emergency"
	for _, name := range s.Plan.Emergency {
		if r, wrong := right[name]; wrong {
			name = r
		}
		if strings.ContainsAny(name, "*?[]") {
			name = quote(name)
		}
		if word := " --package " + name; !strings.Contains(again+" ", word+" ") {
			again += word
		}
	}
	hints := []string{again + " " + c.Args().First()}
	for _, part := range s.Parts {
		if len(part.Packages.Exclude) > 0 {
			hints = append(hints, "what packages.exclude leaves out does not count: "+strings.Join(part.Packages.Exclude, ", "))
			break // every part has the campaign's
		}
	}
	return &problem{code: exitUsage, err: errors.New(strings.Join(lines, "\n")), hints: append(hints, nothingHint)}
}
