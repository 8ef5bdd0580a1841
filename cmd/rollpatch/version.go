package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory"
)

func (d *desk) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "say which build this is",
		Action: func(c *cli.Context) error {
			if err := atMost(c, 0); err != nil {
				return err
			}
			_, err := fmt.Fprintln(d.out, "rollpatch "+build())
			return err
		},
	}
}

// build is what the toolchain wrote into this binary: its version, and the commit that it was made from.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown build)"
	}
	out := []string{info.Main.Version}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" || s.Key == "vcs.time":
			out = append(out, s.Value)
		case s.Key == "vcs.modified" && s.Value == "true":
			out = append(out, "modified")
		}
	}
	return strings.Join(append(out, info.GoVersion), " ")
}

// help is the word that people try before they know of --help. As a command of its own it would take the flag's place in the library.
func help(c *cli.Context) error {
	word := c.Args().Get(1)
	switch {
	case word == "":
		return cli.ShowAppHelp(c)
	case c.App.Command(word) == nil:
		return usage(fmt.Sprintf("unknown command %q%s", word, inventory.DidYouMean(word, commandNames(c.App.Commands))), "rollpatch --help lists the commands")
	}
	return c.App.RunContext(c.Context, append(append([]string{c.App.Name}, c.Args().Slice()[1:]...), "--help"))
}
