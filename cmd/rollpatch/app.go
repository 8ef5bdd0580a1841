package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/inventory"
)

func (d *desk) app() *cli.App {
	app := &cli.App{
		Name:            "rollpatch",
		Usage:           "patch redundant servers one cluster member at a time",
		Reader:          d.in,
		Writer:          d.out,
		ErrWriter:       d.err,
		HideHelpCommand: true,
		HideVersion:     true,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    onUsageError,
		Commands: []*cli.Command{
			d.validateCommand(), d.checkCommand(), d.planCommand(), d.runCommand(), d.listCommand(), d.statusCommand(), d.watchCommand(), d.whyCommand(), d.reportCommand(),
			d.approveCommand(), d.rejectCommand(), d.extendCommand(), d.retryCommand(), d.skipCommand(), d.holdCommand(), d.resumeCommand(), d.abortCommand(), d.backoutCommand(),
			d.scheduleCommand(), d.standingCommand(), d.freezeCommand(), d.thawCommand(), d.claimsCommand(), d.quarantineCommand(),
			d.inventoryCommand(), d.accessCommand(), d.workerCommand(), d.completionCommand(), d.versionCommand(),
		},
	}
	app.Action = func(c *cli.Context) error {
		if word := c.Args().First(); word == "help" {
			return help(c)
		} else if word != "" {
			return usage(fmt.Sprintf("unknown command %q%s", word, inventory.DidYouMean(word, commandNames(app.Commands))), "rollpatch --help lists the commands")
		}
		return cli.ShowAppHelp(c)
	}
	prepare(app.Commands)
	return app
}

// prepare has commands, and those below them, complain the way all do: by themselves they print their help to stdout.
func prepare(cmds []*cli.Command) {
	for _, c := range cmds {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		prepare(c.Subcommands)
	}
}

func commandNames(cmds []*cli.Command) []string {
	var names []string
	for _, c := range cmds {
		names = append(names, c.Name)
	}
	return names
}

// group is a command that is only the first of two words, or of three. Said alone it does nothing, and must not look as if it had.
func group(name, usageText string, cmds ...*cli.Command) *cli.Command {
	words := strings.Join(commandNames(cmds), " or ")
	return &cli.Command{Name: name, Usage: usageText, Subcommands: cmds, Action: func(c *cli.Context) error {
		name := called(c)
		help := "rollpatch " + name + " --help says more"
		if word := c.Args().First(); word != "" {
			return usage(fmt.Sprintf("%s: unknown command %q%s: it is %s", name, word, inventory.DidYouMean(word, commandNames(cmds)), words), help)
		}
		return usage(name+": "+words+" is missing", help)
	}}
}

// called is the command as it is typed, without rollpatch.
func called(c *cli.Context) string { return strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ") }

func onUsageError(c *cli.Context, err error, _ bool) error {
	help := "rollpatch --help lists the commands"
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != c.App.Name {
		help = "rollpatch " + called(c) + " --help lists the flags"
	}
	return usage(err.Error(), help)
}

// interspersed puts flags before arguments: people add `--reason` at the end, and the library stops looking for flags at the
// first argument.
func interspersed(app *cli.App, args []string) []string {
	at := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
	if at < 0 {
		return args
	}
	cmd := app.Command(args[at])
	if cmd == nil {
		return args
	}
	for len(cmd.Subcommands) > 0 {
		if at++; at == len(args) || cmd.Command(args[at]) == nil {
			return args
		}
		cmd = cmd.Command(args[at])
	}
	flags, words := []string(nil), []string(nil)
	rest := args[at+1:]
	for i := 0; i < len(rest); i++ {
		a := rest[i]
		if a == "--" {
			words = append(words, rest[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			words = append(words, a)
			continue
		}
		flags = append(flags, a)
		name, _, hasValue := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !hasValue && takesValue(cmd, name) && i+1 < len(rest) {
			i++
			flags = append(flags, rest[i])
		}
	}
	out := append(slices.Clone(args[:at+1]), flags...)
	if len(words) > 0 {
		out = append(append(out, "--"), words...)
	}
	return out
}

func takesValue(cmd *cli.Command, name string) bool {
	for _, f := range cmd.Flags {
		if _, isBool := f.(*cli.BoolFlag); !isBool && slices.Contains(f.Names(), name) {
			return true
		}
	}
	return false
}

// argument is the one argument of a command.
func argument(c *cli.Context, what string) (string, error) {
	if err := atMost(c, 1); err != nil {
		return "", err
	}
	if c.Args().First() == "" {
		return "", usage(called(c)+": "+what+" is missing", "rollpatch "+called(c)+" --help says more")
	}
	return c.Args().First(), nil
}

func atMost(c *cli.Context, n int) error {
	if c.NArg() > n {
		return usage(fmt.Sprintf("%s: unexpected argument %q", called(c), c.Args().Get(n)), "rollpatch "+called(c)+" --help says more")
	}
	return nil
}

// The flags that several commands share.

func outputFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of what is printed: text or json", Value: "text"}}
}

func inventoryFlags() []cli.Flag {
	return []cli.Flag{&cli.PathFlag{Name: "inventory", Aliases: []string{"i"}, Usage: "inventory `FILE`; the files of a folder inventory.d beside it are added", Value: "inventory.yaml"}}
}

func (d *desk) storeFlags() []cli.Flag {
	return []cli.Flag{&cli.PathFlag{Name: "store", Usage: "`DIR` of plan and ledger bodies, the same as the workers'", DefaultText: "ROLLPATCH_STORE, $XDG_STATE_HOME/rollpatch/store"}}
}

func serverFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "address", Usage: "`ADDRESS` of the Temporal server", DefaultText: "TEMPORAL_ADDRESS, temporal.toml, " + defaultAddress},
		&cli.StringFlag{Name: "namespace", Usage: "Temporal `NAMESPACE`", DefaultText: "TEMPORAL_NAMESPACE, temporal.toml, default"},
		&cli.BoolFlag{Name: "verbose", Usage: "log what the Temporal client does on stderr"},
	}
}

func join(groups ...[]cli.Flag) []cli.Flag { return slices.Concat(groups...) }
