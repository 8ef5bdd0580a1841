package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/rollpatch/rollpatch/testenv/demo"
)

// demoDir is not the folder of the lab that a person may have up for other purposes.
const demoDir = "build/demo"

func demoCommand(stdout io.Writer, usage cli.OnUsageErrorFunc) *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "patch a lab of its own while traffic flows over it", OnUsageError: usage,
		Description: "LAB=real asks for real hosts, LAB=sim for simulated ones. DEMO_KEEP=0 takes all down when it is over.\n" +
			"Writes into " + demoDir + ", or the folder of --dir, and a report beside it: " + demoDir + ".json.",
		Flags: []cli.Flag{&cli.StringFlag{Name: "bin", Value: "build", Usage: "`folder` of the built rollpatch and rollpatchd"}},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("%w: lab demo", errUsage)
			}
			dir := demoDir
			if c.IsSet("dir") {
				dir = c.String("dir")
			}
			kind := os.Getenv("LAB")
			if kind == "auto" { // the default by its name, as the tests have it
				kind = ""
			}
			// Who cannot type Enter is not waited for by it.
			var in io.Reader
			if term.IsTerminal(int(os.Stdin.Fd())) {
				in = os.Stdin
			}
			ctx, cancel := untilOrphaned(c.Context)
			defer cancel()
			return demo.Run(ctx, demo.Options{
				Kind: kind, Dir: dir, Report: dir + ".json", Bin: c.String("bin"), Keep: os.Getenv("DEMO_KEEP") != "0",
			}, in, stdout)
		},
	}
}

// untilOrphaned ends with the process that started this one: `go run` dies of a SIGTERM without passing it on, and nobody would
// be left to end the demo.
func untilOrphaned(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		cancel()
	}()
	return ctx, cancel
}
