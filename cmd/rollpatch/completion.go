package main

import (
	"fmt"
	"io"
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
			write(d.out, completedOf(c.App))
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
}

type completedFlag struct {
	long, usage string
	value, file bool
}

func completedOf(app *cli.App) []completed {
	var out []completed
	for _, c := range app.Commands {
		cc := completed{name: c.Name, usage: c.Usage, file: strings.Contains(c.ArgsUsage, "yaml") || strings.Contains(c.ArgsUsage, "FILE")}
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
	var names []string
	for _, c := range cmds {
		names = append(names, c.name)
	}
	fmt.Fprintf(w, "\t\tmapfile -t COMPREPLY < <(compgen -W %q -- \"$cur\")\n\t\treturn\n\tfi\n", strings.Join(names, " "))
	fmt.Fprint(w, "\tcase $prev in\n\t--output | -o) mapfile -t COMPREPLY < <(compgen -W \"text json\" -- \"$cur\"); return ;;\n\tesac\n")
	fmt.Fprint(w, "\tlocal flags='' words='' files=''\n\tcase ${COMP_WORDS[1]} in\n")
	for _, c := range cmds {
		fmt.Fprintf(w, "\t%s)\n\t\tflags=%q\n", c.name, c.longs())
		if len(c.words) > 0 {
			fmt.Fprintf(w, "\t\twords=%q\n", strings.Join(c.words, " "))
		}
		if c.file {
			fmt.Fprint(w, "\t\tfiles=yes\n")
		}
		fmt.Fprint(w, "\t\t;;\n")
	}
	fmt.Fprint(w, "\tesac\n"+
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

func zsh(w io.Writer, cmds []completed) {
	fmt.Fprint(w, "#compdef rollpatch\n\n_rollpatch() {\n\tlocal -a commands\n\tcommands=(\n")
	for _, c := range cmds {
		fmt.Fprintf(w, "\t\t%s\n", quote(c.name+":"+c.usage))
	}
	fmt.Fprint(w, "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tshift words\n\t(( CURRENT-- ))\n\tcase $words[1] in\n")
	for _, c := range cmds {
		fmt.Fprintf(w, "\t%s)\n\t\t_arguments", c.name)
		for _, f := range c.flags {
			spec := "--" + f.long
			if f.value {
				spec += "="
			}
			spec += "[" + strings.NewReplacer("[", "(", "]", ")", ":", " -").Replace(f.usage) + "]"
			switch {
			case f.long == "output":
				spec += ":format:(text json)"
			case f.file:
				spec += ":file:_files"
			case f.value:
				spec += ":value:"
			}
			fmt.Fprintf(w, " \\\n\t\t\t%s", quote(spec))
		}
		switch {
		case len(c.words) > 0:
			fmt.Fprintf(w, " \\\n\t\t\t%s", quote("*:word:("+strings.Join(c.words, " ")+")"))
		case c.file:
			fmt.Fprintf(w, " \\\n\t\t\t%s", quote("*:file:_files"))
		}
		fmt.Fprint(w, "\n\t\t;;\n")
	}
	fmt.Fprint(w, "\tesac\n}\n\n_rollpatch \"$@\"\n")
}

func fish(w io.Writer, cmds []completed) {
	fmt.Fprint(w, "complete -c rollpatch -f\n")
	for _, c := range cmds {
		fmt.Fprintf(w, "complete -c rollpatch -n __fish_use_subcommand -a %s -d %s\n", c.name, quote(c.usage))
	}
	for _, c := range cmds {
		in := "'__fish_seen_subcommand_from " + c.name + "'"
		for _, f := range c.flags {
			fmt.Fprintf(w, "complete -c rollpatch -n %s -l %s", in, f.long)
			switch {
			case f.long == "output":
				fmt.Fprint(w, " -x -a 'text json'")
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
