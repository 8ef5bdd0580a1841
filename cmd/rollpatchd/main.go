// Rollpatchd is rollpatch for one machine: a Temporal server on a SQLite file,
// its web UI and a worker, in one process. It knows how to start, watch and
// stop them; it must not know what a campaign is or how a host is patched.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal must end a stop that hangs, so the first one gives the
	// default handling back.
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// usageError is a wrong command line: exit status 2 and a way to the help.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// hintError carries the command that gets a person out of the error.
type hintError struct {
	err  error
	hint string
}

func (e hintError) Error() string { return e.err.Error() }
func (e hintError) Unwrap() error { return e.err }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := newApp(stdin, stdout, stderr).RunContext(ctx, args)
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "rollpatchd: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if hinted, ok := errors.AsType[hintError](err); ok {
		fmt.Fprintf(stderr, "rollpatchd: %s\n", hinted.hint)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(stderr, "rollpatchd: rollpatchd --help lists the flags")
		return exitUsage
	}
	return exitFailed
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	return &cli.App{
		Name:            "rollpatchd",
		Usage:           "Temporal server, web UI and worker of rollpatch for one machine",
		HideHelpCommand: true,
		Reader:          stdin,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return usageError{err}
		},
		Flags: append([]cli.Flag{
			&cli.PathFlag{Name: "db", Usage: "SQLite `FILE` of the server; made when absent", Value: defaultDatabase(os.Getenv), DefaultText: "$XDG_STATE_HOME/rollpatch/temporal.db"},
			&cli.StringFlag{Name: "address", Usage: "loopback `ADDRESS` of the Temporal server; port 0 takes a free one", Value: "127.0.0.1:7233"},
			&cli.StringFlag{Name: "ui", Usage: "loopback `ADDRESS` of the web UI; port 0 takes a free one, empty means no UI", Value: "127.0.0.1:8233"},
			&cli.StringFlag{Name: "namespace", Usage: "Temporal `NAMESPACE` of the campaigns; made when absent", Value: "default"},
			&cli.PathFlag{Name: "ready-file", Usage: "`FILE` that says in JSON where the server answers; written once it does, removed at the end"},
			&cli.BoolFlag{Name: "worker", Usage: "run a worker in this process; false is the server and its UI alone", Value: true},
			&cli.StringFlag{Name: "log-level", Usage: "lowest `LEVEL` logged: debug, info, warn, error", Value: "info"},
			&cli.StringFlag{Name: "server-log-level", Usage: "lowest `LEVEL` logged by the Temporal server inside", Value: "error"},
			&cli.IntFlag{Name: "suggest-continue-as-new", Usage: "`EVENTS` of history after which workflows begin a new run; 0 is the server's own figure", Hidden: true},
			&cli.BoolFlag{Name: "forget-workflows", Usage: "have the worker replay each workflow from its history at every task", Hidden: true},
			&cli.StringFlag{Name: "log-format", Usage: "`FORMAT` of the log on stderr: console or json", Value: "console"},
		}, wiring.Flags()...),
		Action: func(c *cli.Context) error {
			opts, err := parseOptions(c)
			if err != nil {
				return usageError{err}
			}
			return serve(c.Context, opts, stderr)
		},
	}
}

type options struct {
	database  string
	address   endpoint
	ui        *endpoint // nil: no UI
	namespace string
	readyFile string
	worker    bool
	work      wiring.Options
	suggest   int // events after which workflows continue as new; 0: the server's figure
	log       logOptions
}

func parseOptions(c *cli.Context) (options, error) {
	opts := options{
		namespace: c.String("namespace"),
		readyFile: c.Path("ready-file"),
		worker:    c.Bool("worker"),
		work:      wiring.FromFlags(c),
		suggest:   c.Int("suggest-continue-as-new"),
	}
	opts.work.Forget = c.Bool("forget-workflows")
	var problems []error
	note := func(flag string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	var err error
	if c.Args().Present() {
		problems = append(problems, fmt.Errorf("unexpected argument %q", c.Args().First()))
	}
	if strings.TrimSpace(c.Path("db")) == "" {
		note("db", errors.New("a file is needed: neither XDG_STATE_HOME nor HOME is set"))
	}
	opts.database, err = filepath.Abs(c.Path("db"))
	note("db", err)
	opts.address, err = parseEndpoint(c.String("address"))
	note("address", err)
	if value := c.String("ui"); value != "" {
		ui, err := parseEndpoint(value)
		note("ui", err)
		opts.ui = &ui
	}
	if opts.namespace == "" {
		note("namespace", errors.New("a name is needed"))
	}
	opts.log, err = parseLogOptions(c.String("log-level"), c.String("server-log-level"), c.String("log-format"))
	if err != nil {
		problems = append(problems, err)
	}
	return opts, errors.Join(problems...)
}

// defaultDatabase follows the XDG base directories. It is empty where neither
// variable is set, as for a daemon started with a bare environment.
func defaultDatabase(getenv func(string) string) string {
	state := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home := getenv("HOME")
		if home == "" {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "rollpatch", "temporal.db")
}
