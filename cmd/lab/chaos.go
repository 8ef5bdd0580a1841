package main

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/testenv/chaos"
)

// chaosDir is the folder of chaos's fleets, which are its own.
const chaosDir = "build/chaos"

func chaosCommand(stdout io.Writer, usage cli.OnUsageErrorFunc) *cli.Command {
	return &cli.Command{
		Name: "chaos", Usage: "break things under campaigns, and judge each by what the hosts recorded", OnUsageError: usage,
		Description: "CHAOS='F16,F21/soak' runs some faults, or a fault in some step; LAB=real|sim those on real or simulated hosts only.\n" +
			"Writes into " + chaosDir + ", or the folder of --dir, and a report beside it: " + chaosDir + ".json.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bin", Value: "build", Usage: "`folder` of the built rollpatch and rollpatchd"},
			&cli.IntFlag{Name: "lanes", Value: 5, Usage: "`number` of simulated fleets at the same time"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("%w: lab chaos", errUsage)
			}
			dir := chaosDir
			if c.IsSet("dir") {
				dir = c.String("dir")
			}
			kind := os.Getenv("LAB")
			if kind == "auto" { // the default by its name, as the tests have it
				kind = ""
			}
			ctx, cancel := untilOrphaned(c.Context)
			defer cancel()
			failed, err := chaos.Run(ctx, chaos.Options{
				Only: os.Getenv("CHAOS"), Dir: dir, Report: dir + ".json", Bin: c.String("bin"), Lanes: c.Int("lanes"), Kind: kind,
			}, stdout)
			if err == nil && failed > 0 {
				err = fmt.Errorf("chaos: %d did not pass", failed)
			}
			return err
		},
	}
}
