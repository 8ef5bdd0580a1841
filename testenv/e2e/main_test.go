// Package e2e runs whole campaigns over a lab, through the built binaries, and judges them by what the lab itself says: package logs,
// boot ids, Consul's catalog and counted requests.
package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/testenv/estate"
)

// all is the one lab that the tests share; each begins with hosts made like new.
var all *estate.Estate

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 29*time.Minute)
	defer cancel()
	// What is ended from outside is taken up within seconds; inherited by all that is started here.
	if err := os.Setenv("ROLLPATCH_SWEEP", "1s"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	kind := os.Getenv("LAB")
	if kind == "auto" {
		kind = ""
	}
	dir, err := os.MkdirTemp("", "rollpatch-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin, err := estate.Binaries(ctx, "../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	all, err = estate.Up(ctx, estate.Options{Kind: kind, Dir: dir, Bin: bin, Log: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if all.Lacking != "" {
		fmt.Fprintf(os.Stderr, "e2e: %s; on the simulated fleet: %s\n", all.Lacking, estate.Unproven)
	}
	code := m.Run()
	if err := all.Down(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	if code == 0 {
		_ = os.RemoveAll(dir)
	} else {
		fmt.Fprintln(os.Stderr, "e2e: logs are kept in", dir)
	}
	return code
}
