package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

func emergencyFlag() cli.Flag {
	return &cli.BoolFlag{Name: "emergency", Usage: "bring what --package names now: one emergency approver agrees before, everybody else within a day after (docs/emergency.md)"}
}

func packageFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "package", Usage: "`NAME` of a package that the emergency brings, or a glob such as 'libssl*'; again for each"}
}

func advisoryFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "advisory", Usage: "`ID` of an advisory; refused where repositories do not say which packages one names"}
}

// emergencyOf lists the packages of an emergency; none: it is no emergency.
func emergencyOf(c *cli.Context) ([]string, error) {
	packages := c.StringSlice("package")
	switch {
	case len(c.StringSlice("advisory")) > 0:
		return nil, usage("--advisory: the repositories of apt do not say which packages an advisory names", "name them yourself: rollpatch "+c.Command.Name+" --emergency --package NAME "+c.Args().First(), nothingHint)
	case c.Bool("emergency") && len(packages) == 0:
		return nil, usage("--emergency names no package: what is urgent, and nothing else, is brought at once", "rollpatch "+c.Command.Name+" --emergency --package openssl --package 'libssl*' "+c.Args().First(), nothingHint)
	case !c.Bool("emergency") && len(packages) > 0:
		return nil, usage("--package is for --emergency; what a campaign brings stands in its file, under packages", nothingHint)
	}
	return packages, nil
}

// approvers are the people whom a rule names.
func approvers(r approval.Rule) string {
	var names []string
	for _, a := range r.Approvers {
		names = append(names, a.Principal)
	}
	return strings.Join(names, ", ")
}
