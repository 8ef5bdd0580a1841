// Package testrun knows which groups of tests there are, runs them and says what
// ran, what was skipped and why. It must not know what any test does, nor bring
// up a lab: a group's own tests do that.
package testrun

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

const usage = `usage: testrun [GROUP...]

Runs the named groups, or all of them:
%s
LAB=real asks for real hosts and fails where they cannot be had, LAB=sim asks
for the simulated fleet, LAB=auto (the default) takes real hosts where it can.
`

// Lab is what groups need to know of labs.
type Lab struct {
	Asked   string        // what the environment's LAB says
	Missing func() string // why real hosts cannot be had here, or nothing
	// Consul returns the path of the lab's Consul, which it builds if need be.
	Consul func(ctx context.Context, log io.Writer) (string, error)
}

// Run runs the groups that args name, or all, from the top folder of the project
// and returns the exit status.
func Run(ctx context.Context, args []string, lab Lab, stdout, stderr io.Writer) int {
	chosen, err := choose(args)
	if err != nil {
		fmt.Fprintf(stderr, "testrun: %v\n", err)
		fmt.Fprintf(stderr, usage, groupList())
		return 2
	}
	asked, err := parseLab(lab.Asked)
	if err != nil {
		fmt.Fprintf(stderr, "testrun: %v\n", err)
		return 2
	}
	machine := inspectMachine(asked, lab, stderr)
	report := report{Lab: machine.lab, Asked: asked, LabMissing: machine.missing}
	for _, batch := range together(chosen) {
		if ctx.Err() != nil {
			break
		}
		for _, r := range runBatch(ctx, batch, machine, stdout) {
			report.Groups = append(report.Groups, r)
			if r.Name == buildGroup && r.Failed == 0 {
				if machine.built, err = filepath.Abs("build"); err != nil {
					fmt.Fprintf(stderr, "testrun: %v\n", err)
					return 1
				}
			}
		}
	}
	report.finish(chosen, ctx.Err())
	if err := report.write("build/test.json"); err != nil {
		fmt.Fprintf(stderr, "testrun: %v\n", err)
		return 1
	}
	report.print(stdout)
	if ctx.Err() != nil {
		return 130
	}
	if report.Failed > 0 {
		return 1
	}
	return 0
}

func choose(names []string) ([]group, error) {
	if len(names) == 0 {
		return groups, nil
	}
	var chosen []group
	for _, name := range names {
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no group %q", name)
		}
		chosen = append(chosen, groups[i])
	}
	return chosen, nil
}

func groupList() string {
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "  %-12s %s\n", g.name, g.about)
	}
	return b.String()
}
