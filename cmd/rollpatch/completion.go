package main

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/urfave/cli/v2"
)

func (d *desk) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell's completion script",
		ArgsUsage: "bash|zsh|fish",
		Description: "bash:  rollpatch completion bash > /etc/bash_completion.d/rollpatch\n" +
			"zsh:   rollpatch completion zsh > \"${fpath[1]}/_rollpatch\"\n" +
			"fish:  rollpatch completion fish > ~/.config/fish/completions/rollpatch.fish",
		Action: func(c *cli.Context) error {
			shell, err := argument(c, "bash, zsh or fish")
			if err != nil {
				return err
			}
			write := map[string]func(io.Writer, []completed){"bash": bash, "zsh": zsh, "fish": fish}[shell]
			if write == nil {
				return usage(fmt.Sprintf("completion: %q is neither bash, zsh nor fish", shell), "rollpatch completion --help says more")
			}
			write(d.out, completedOf(c.App.Commands))
			return nil
		},
	}
}

// completed is a command as completion offers it.
type completed struct {
	name, usage string
	flags       []completedFlag
	words       []string // arguments that are known beforehand
	file        bool     // arguments are files
	below       []completed
}

type completedFlag struct {
	long, usage string
	value, file bool
}

func completedOf(cmds []*cli.Command) []completed {
	var out []completed
	for _, c := range cmds {
		cc := completed{name: c.Name, usage: c.Usage, below: completedOf(c.Subcommands), file: strings.Contains(c.ArgsUsage, "yaml") || strings.Contains(c.ArgsUsage, "FILE")}
		if c.Name == "completion" {
			cc.words = strings.Split(c.ArgsUsage, "|")
		}
		for _, f := range c.Flags {
			if f.Names()[0] == "help" {
				continue
			}
			doc := f.(cli.DocGenerationFlag)
			_, path := f.(*cli.PathFlag)
			cc.flags = append(cc.flags, completedFlag{long: f.Names()[0], usage: strings.ReplaceAll(doc.GetUsage(), "`", ""), value: doc.TakesValue(), file: path})
		}
		cc.flags = append(cc.flags, completedFlag{long: "help", usage: "show help"})
		sort.Slice(cc.flags, func(i, j int) bool { return cc.flags[i].long < cc.flags[j].long })
		out = append(out, cc)
	}
	return out
}

// formats are what --output takes: its usage names those that not every command has.
func (f completedFlag) formats() string {
	all := "text json"
	for _, more := range []string{"markdown", "html"} {
		if strings.Contains(f.usage, more) {
			all += " " + more
		}
	}
	return all
}

func namesOf(cmds []completed) string {
	var names []string
	for _, c := range cmds {
		names = append(names, c.name)
	}
	return strings.Join(names, " ")
}

func (c completed) longs() string {
	var out []string
	for _, f := range c.flags {
		out = append(out, "--"+f.long)
	}
	return strings.Join(out, " ")
}

func bash(w io.Writer, cmds []completed) {
	fmt.Fprint(w, "_rollpatch() {\n"+
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"+
		"\tCOMPREPLY=()\n"+
		"\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n")
	fmt.Fprintf(w, "\t\tmapfile -t COMPREPLY < <(compgen -W %q -- \"$cur\")\n\t\treturn\n\tfi\n", namesOf(cmds))
	fmt.Fprint(w, "\tlocal flags='' words='' files='' formats=''\n\tcase ${COMP_WORDS[1]} in\n")
	bashCases(w, "\t", 1, cmds)
	fmt.Fprint(w, "\tesac\n"+
		"\tcase $prev in\n\t--output | -o) mapfile -t COMPREPLY < <(compgen -W \"$formats\" -- \"$cur\"); return ;;\n\tesac\n"+
		"\tcase $cur in\n"+
		"\t-*) mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$cur\") ;;\n"+
		"\t*)\n"+
		"\t\tif [ -n \"$words\" ]; then\n"+
		"\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"+
		"\t\telif [ -n \"$files\" ] || [[ $prev == -* ]]; then\n"+
		"\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"+
		"\t\tfi\n"+
		"\t\t;;\n"+
		"\tesac\n"+
		"}\n"+
		"complete -o filenames -F _rollpatch rollpatch\n")
}

// bashCases sets what a command's words may be; below a group, its next word says which command it is. at is where the commands stand.
func bashCases(w io.Writer, in string, at int, cmds []completed) {
	for _, c := range cmds {
		fmt.Fprintf(w, "%s%s)\n", in, c.name)
		if len(c.below) > 0 {
			fmt.Fprintf(w, "%[1]s\tif [ \"$COMP_CWORD\" -eq %[3]d ]; then\n%[1]s\t\twords=%[2]q\n%[1]s\tfi\n%[1]s\tcase ${COMP_WORDS[%[3]d]} in\n", in, namesOf(c.below), at+1)
			bashCases(w, in+"\t", at+1, c.below)
			fmt.Fprintf(w, "%[1]s\tesac\n%[1]s\t;;\n", in)
			continue
		}
		fmt.Fprintf(w, "%s\tflags=%q\n", in, c.longs())
		for _, f := range c.flags {
			if f.long == "output" {
				fmt.Fprintf(w, "%s\tformats=%q\n", in, f.formats())
			}
		}
		if len(c.words) > 0 {
			fmt.Fprintf(w, "%s\twords=%q\n", in, strings.Join(c.words, " "))
		}
		if c.file {
			fmt.Fprintf(w, "%s\tfiles=yes\n", in)
		}
		fmt.Fprintf(w, "%s\t;;\n", in)
	}
}

func zsh(w io.Writer, cmds []completed) {
	fmt.Fprint(w, "#compdef rollpatch\n\n_rollpatch() {\n\tlocal -a commands\n")
	zshCommands(w, "\t", cmds)
	fmt.Fprint(w, "}\n\n_rollpatch \"$@\"\n")
}

func zshCommands(w io.Writer, in string, cmds []completed) {
	fmt.Fprintf(w, "%scommands=(\n", in)
	for _, c := range cmds {
		fmt.Fprintf(w, "%s\t%s\n", in, quote(c.name+":"+c.usage))
	}
	fmt.Fprintf(w, "%[1]s)\n%[1]sif (( CURRENT == 2 )); then\n%[1]s\t_describe command commands\n%[1]s\treturn\n%[1]sfi\n%[1]sshift words\n%[1]s(( CURRENT-- ))\n%[1]scase $words[1] in\n", in)
	for _, c := range cmds {
		fmt.Fprintf(w, "%s%s)\n", in, c.name)
		if len(c.below) > 0 {
			zshCommands(w, in+"\t", c.below)
			fmt.Fprintf(w, "%s\t;;\n", in)
			continue
		}
		fmt.Fprintf(w, "%s\t_arguments", in)
		for _, f := range c.flags {
			spec := "--" + f.long
			if f.value {
				spec += "="
			}
			spec += "[" + strings.NewReplacer("[", "(", "]", ")", ":", " -").Replace(f.usage) + "]"
			switch {
			case f.long == "output":
				spec += ":format:(" + f.formats() + ")"
			case f.file:
				spec += ":file:_files"
			case f.value:
				spec += ":value:"
			}
			fmt.Fprintf(w, " \\\n%s\t\t%s", in, quote(spec))
		}
		switch {
		case len(c.words) > 0:
			fmt.Fprintf(w, " \\\n%s\t\t%s", in, quote("*:word:("+strings.Join(c.words, " ")+")"))
		case c.file:
			fmt.Fprintf(w, " \\\n%s\t\t%s", in, quote("*:file:_files"))
		}
		fmt.Fprintf(w, "\n%s\t;;\n", in)
	}
	fmt.Fprintf(w, "%sesac\n", in)
}

func fish(w io.Writer, cmds []completed) {
	fmt.Fprint(w, "complete -c rollpatch -f\n")
	for _, c := range cmds {
		fmt.Fprintf(w, "complete -c rollpatch -n __fish_use_subcommand -a %s -d %s\n", c.name, quote(c.usage))
	}
	// A word such as list stands below several commands, and alone.
	var groups []string
	for _, c := range cmds {
		if len(c.below) > 0 {
			groups = append(groups, c.name)
		}
	}
	fishFlags(w, cmds, func(c completed) string {
		if slices.ContainsFunc(cmds, func(g completed) bool { return slices.Contains(strings.Fields(namesOf(g.below)), c.name) }) {
			return "__fish_seen_subcommand_from " + c.name + "; and not __fish_seen_subcommand_from " + strings.Join(groups, " ")
		}
		return "__fish_seen_subcommand_from " + c.name
	})
	fishBelow(w, "", cmds)
}

// fishBelow offers what is below groups; in is what must have been typed before these.
func fishBelow(w io.Writer, in string, cmds []completed) {
	for _, g := range cmds {
		in := in + "__fish_seen_subcommand_from " + g.name + "; and "
		for _, c := range g.below {
			fmt.Fprintf(w, "complete -c rollpatch -n '%snot __fish_seen_subcommand_from %s' -a %s -d %s\n", in, namesOf(g.below), c.name, quote(c.usage))
		}
		fishFlags(w, g.below, func(c completed) string { return in + "__fish_seen_subcommand_from " + c.name })
		fishBelow(w, in, g.below)
	}
}

// fishFlags offers the flags and arguments of commands, each when it is the one that is typed.
func fishFlags(w io.Writer, cmds []completed, typed func(completed) string) {
	for _, c := range cmds {
		if len(c.below) > 0 {
			continue
		}
		in := "'" + typed(c) + "'"
		for _, f := range c.flags {
			fmt.Fprintf(w, "complete -c rollpatch -n %s -l %s", in, f.long)
			switch {
			case f.long == "output":
				fmt.Fprintf(w, " -x -a '%s'", f.formats())
			case f.file:
				fmt.Fprint(w, " -r -F")
			case f.value:
				fmt.Fprint(w, " -x")
			}
			fmt.Fprintf(w, " -d %s\n", quote(f.usage))
		}
		switch {
		case len(c.words) > 0:
			fmt.Fprintf(w, "complete -c rollpatch -n %s -a %s\n", in, quote(strings.Join(c.words, " ")))
		case c.file:
			fmt.Fprintf(w, "complete -c rollpatch -n %s -F\n", in)
		}
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
