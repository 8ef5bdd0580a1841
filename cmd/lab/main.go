// Command lab brings labs of real hosts up and down, changes what their hosts
// find, and shows rollpatch at work on one. It knows the lab only: it imports
// nothing of the product, which the demo runs as it was built.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUsage marks wrong usage: exit status 2.
var errUsage = errors.New("wrong usage")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := app(stdin, stdout, stderr).RunContext(ctx, append([]string{"lab"}, args...))
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "lab: interrupted")
		return 130
	}
	fmt.Fprintf(stderr, "lab: %v\n", err)
	if errors.Is(err, testenv.ErrDown) {
		fmt.Fprintln(stderr, "lab: bring one up: go run ./cmd/lab up")
	}
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func app(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	usage := func(_ *cli.Context, err error, _ bool) error { return fmt.Errorf("%w: %w", errUsage, err) }
	dir := &cli.StringFlag{Name: "dir", Value: "build/lab", Usage: "the lab's `folder`"}
	output := &cli.StringFlag{Name: "output", Value: "table", Usage: "`format` of the result: table or json"}
	command := func(name, usageText, argsUsage string, args int, do func(*cli.Context, *testenv.Lab) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usageText, ArgsUsage: argsUsage, OnUsageError: usage,
			Action: func(c *cli.Context) error {
				if c.NArg() != args && args >= 0 || c.NArg() < -args {
					return fmt.Errorf("%w: lab %s %s", errUsage, name, argsUsage)
				}
				l, err := testenv.Attach(c.String("dir"))
				if err != nil {
					return err
				}
				return do(c, l)
			},
		}
	}
	status := command("status", "show the lab's hosts", "", 0, func(c *cli.Context, l *testenv.Lab) error {
		st, err := l.Status(c.Context)
		if err != nil {
			return err
		}
		return printStatus(stdout, c.String("output"), st)
	})
	status.Flags = []cli.Flag{output}
	publish := command("publish", "make a version of lab-web, or `security` updates, available to the hosts", "VERSION|security", 1,
		func(c *cli.Context, l *testenv.Lab) error {
			what := c.Args().First()
			if err := l.Publish(c.Context, what); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "lab: the hosts' apt finds %s from its next update on\n", what)
			return nil
		})
	publish.Description = "1.1       good\n" +
		"1.2       installs, and then fails its health: every page is an error\n" +
		"1.3       breaks in its postinst: the installation ends half way\n" +
		"1.4       good, and wants a reboot\n" +
		"1.5       installs, its health is fine, and its page is another one\n" +
		"security  Debian's own security updates\n" +
		"A fresh host has lab-web 1.0."
	down := command("down", "end the lab and everything it started", "", 0, func(_ *cli.Context, l *testenv.Lab) error {
		return l.Down()
	})
	attached := down.Action
	down.Action = func(c *cli.Context) error {
		// What is down already is as it should be.
		if err := attached(c); !errors.Is(err, testenv.ErrDown) {
			return err
		}
		fmt.Fprintln(stderr, "lab: no lab is up")
		return nil
	}
	return &cli.App{
		Name: "lab", Usage: "real hosts on one machine", Writer: stdout, ErrWriter: stderr, HideHelpCommand: true,
		Flags: []cli.Flag{dir}, OnUsageError: usage, ExitErrHandler: func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("%w: no command %q (see lab --help)", errUsage, c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			{
				Name: "up", Usage: "set up what is missing and bring a lab up", OnUsageError: usage,
				Action: func(c *cli.Context) error {
					if err := wantsReal(); err != nil {
						return err
					}
					_, err := testenv.Up(c.Context, testenv.Options{Dir: c.String("dir"), Log: stderr})
					return err
				},
			},
			down,
			status,
			publish,
			command("reset", "make the lab like new", "", 0,
				func(c *cli.Context, l *testenv.Lab) error { return l.Reset(c.Context) }),
			command("power-cut", "end everything in a host at once", "HOST", 1,
				func(c *cli.Context, l *testenv.Lab) error { return l.PowerCut(c.Context, c.Args().First()) }),
			command("start", "switch a host on", "HOST", 1,
				func(c *cli.Context, l *testenv.Lab) error { return l.Start(c.Context, c.Args().First()) }),
			simCommand(stdin, stdout, stderr, usage),
			demoCommand(stdout, usage),
			chaosCommand(stdout, usage),
			command("exec", "run a program as root in a host, past its sshd", "HOST PROGRAM [ARGUMENT...]", -2,
				func(c *cli.Context, l *testenv.Lab) error {
					out, err := l.Exec(c.Context, c.Args().First(), c.Args().Tail()...)
					fmt.Fprint(stdout, out)
					return err
				}),
		},
	}
}

func printStatus(w io.Writer, format string, st testenv.Status) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	case "table":
	default:
		return fmt.Errorf("%w: --output %q: table or json", errUsage, format)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "host\tcluster\taddress\tpid\tboot id\tssh\tconsul\tlab-web")
	for _, h := range st.Hosts {
		pid := "-"
		if h.PID != 0 {
			pid = fmt.Sprint(h.PID)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.Cluster, h.Address, pid,
			dash(strings.SplitN(h.BootID, "-", 2)[0]), dash(h.SSH), dash(h.Consul), dash(h.Labweb))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	published := st.Published
	if st.Security {
		published += " and security updates"
	}
	for _, name := range st.Ended {
		fmt.Fprintf(w, "\n%s has ended: see %s/log/%s.log\n", name, st.Dir, name)
	}
	_, err := fmt.Fprintf(w, "\nlab %d in %s, published: lab-web %s\nweb %s  consul http://%s/ui/\n", st.Number, st.Dir, published, st.WebURL, st.ConsulAddr)
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
