// Testrun runs the project's groups of tests. It knows where their names and
// LAB come from; what the groups are is the library's to know.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/testrun"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal must end a stop that hangs.
	context.AfterFunc(ctx, restore)
	lab := testrun.Lab{Asked: os.Getenv("LAB"), Missing: testenv.Missing, Consul: testenv.Consul}
	os.Exit(testrun.Run(ctx, os.Args[1:], lab, os.Stdout, os.Stderr))
}
