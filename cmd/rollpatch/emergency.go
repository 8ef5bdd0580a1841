package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

func emergencyFlag() cli.Flag {
	return &cli.BoolFlag{Name: "emergency", Usage: "bring what --package and --advisory name now: one emergency approver agrees before, everybody else within a day after (docs/emergency.md)"}
}

func packageFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "package", Usage: "`NAME` of a package that the emergency brings, or a glob such as 'libssl*'; again for each"}
}

func advisoryFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "advisory", Usage: "`ID` of an advisory, such as DSA-5724-1, USN-6859-1 or CVE-2024-6387, whose packages the emergency brings; again for each"}
}

// urgent is what an emergency names; nothing: it is no emergency.
type urgent struct {
	packages   []string
	advisories []advisory.Advisory
	shelf      string // where these are looked up, as it was typed; empty: where emergency.advisories says
}

func (u urgent) none() bool { return len(u.packages) == 0 && len(u.advisories) == 0 }

// urgentOf is what is named, before any file is read.
func urgentOf(c *cli.Context) (urgent, error) {
	packages, ids := c.StringSlice("package"), c.StringSlice("advisory")
	switch {
	case c.Bool("emergency") && len(packages) == 0 && len(ids) == 0:
		return urgent{}, usage("--emergency names no package and no advisory: what is urgent, and nothing else, is brought at once", "rollpatch "+c.Command.Name+" --emergency --package openssl --package 'libssl*' "+c.Args().First(),
			"rollpatch "+c.Command.Name+" --emergency --advisory DSA-5724-1 "+c.Args().First(), nothingHint)
	case !c.Bool("emergency") && len(packages) > 0:
		return urgent{}, usage("--package is for --emergency; what a campaign brings stands in its file, under packages", nothingHint)
	case !c.Bool("emergency") && len(ids) > 0:
		return urgent{}, usage("--advisory is for --emergency; what a campaign brings stands in its file, under packages", nothingHint)
	case len(ids) == 0 && c.Path("advisories") != "":
		return urgent{}, usage("--advisories is where --advisory ID is looked up, and none is named", nothingHint)
	}
	return urgent{packages: packages, shelf: c.Path("advisories")}, nil
}

// approvers are the people whom a rule names.
func approvers(r approval.Rule) string {
	var names []string
	for _, a := range r.Approvers {
		names = append(names, a.Principal)
	}
	return strings.Join(names, ", ")
}
