package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// simDir is not the folder of the lab of real hosts, which may be up at the same time.
const simDir = "build/lab-sim"

// simTimes are about those of small virtual machines, so that there is something to watch.
var simTimes = sim.Times{Stop: time.Second, Boot: 4 * time.Second, Service: time.Second, Check: time.Second, Work: 300 * time.Millisecond}

const simWords = "publish VERSION|security, reset, power-cut HOST, start HOST, exec HOST PROGRAM [ARGUMENT...], status"

// simCommand brings simulated hosts up. They live in this process, so it stays, and what the other commands are for is typed into it.
func simCommand(stdin io.Reader, stdout, stderr io.Writer, usage cli.OnUsageErrorFunc) *cli.Command {
	return &cli.Command{
		Name: "sim", Usage: "bring simulated hosts up until Ctrl-C: no root, no virtual machines", OnUsageError: usage,
		Description: estate.Unproven + ".\nWrites into " + simDir + ", or the folder of --dir. Each line of its input is one of: " + simWords + ".",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("%w: lab sim", errUsage)
			}
			dir := simDir
			if c.IsSet("dir") {
				dir = c.String("dir")
			}
			dir, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			ctx, cancel := untilOrphaned(c.Context)
			defer cancel()
			fleet, err := sim.Up(context.WithoutCancel(ctx), sim.Options{Dir: dir, Times: simTimes, Log: zap.NewNop()})
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "simulated hosts are up until Ctrl-C: %s\ninventory %s\nweb %s  consul http://%s\n\ntype: %s\n",
				estate.Unproven, fleet.InventoryFile(), fleet.WebURL(), fleet.ConsulAddr(), simWords)
			lines := make(chan string)
			go func() {
				in := bufio.NewScanner(stdin)
				for in.Scan() {
					select {
					case lines <- in.Text():
					case <-ctx.Done():
						return
					}
				}
			}()
			for {
				select {
				case line := <-lines:
					if err := simDo(ctx, fleet, strings.Fields(line), stdout); err != nil {
						fmt.Fprintf(stderr, "lab: %v\n", err)
					}
				case <-ctx.Done():
					return fleet.Close()
				}
			}
		},
	}
}

var errWord = errors.New("type " + simWords)

// simDo does what one line says.
func simDo(ctx context.Context, fleet *sim.Fleet, words []string, out io.Writer) error {
	if len(words) == 0 {
		return nil
	}
	args := words[1:]
	done := func(err error) error {
		if err == nil {
			fmt.Fprintln(out, "done")
		}
		return err
	}
	switch {
	case words[0] == "publish" && len(args) == 1:
		return done(fleet.Publish(ctx, args[0]))
	case words[0] == "reset" && len(args) == 0:
		return done(fleet.Reset(ctx))
	case words[0] == "power-cut" && len(args) == 1:
		return done(fleet.PowerCut(ctx, args[0]))
	case words[0] == "start" && len(args) == 1:
		return done(fleet.Start(ctx, args[0]))
	case words[0] == "exec" && len(args) > 1:
		said, err := fleet.Exec(ctx, args[0], args[1:]...)
		fmt.Fprint(out, said)
		return err
	case words[0] == "status" && len(args) == 0:
		st, err := fleet.Status(ctx)
		if err != nil {
			return err
		}
		t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "host\tcluster\taddress\tboot id\tconsul\tlab-web")
		for _, h := range st.Hosts {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.Cluster, h.Address, dash(strings.SplitN(h.BootID, "-", 2)[0]), dash(h.Consul), dash(h.Labweb))
		}
		return t.Flush()
	}
	return fmt.Errorf("%q: %w", strings.Join(words, " "), errWord)
}

// wantsReal refuses to take real hosts for simulated ones.
func wantsReal() error {
	switch kind := os.Getenv("LAB"); kind {
	case "", "auto", estate.Real:
		return nil
	case estate.Sim:
		return fmt.Errorf("%w: LAB=sim: the lab's hosts are real ones; for simulated ones: make lab-sim", errUsage)
	default:
		return fmt.Errorf("%w: LAB=%s: want real, or nothing", errUsage, kind)
	}
}
