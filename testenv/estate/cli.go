package estate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Result is how a command of the CLI ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Command is the CLI, ready to be started with the estate's settings. It ends with an interrupt, as a Ctrl-C does.
func (e *Estate) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(e.opts.Bin, "rollpatch"), args...)
	cmd.Env = e.env()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// env is the environment of every `rollpatch` of the estate.
func (e *Estate) env() []string {
	return append(append(os.Environ(), e.opts.Env...), "TEMPORAL_ADDRESS="+e.Daemon.Address, "ROLLPATCH_STORE="+e.Store(), "NO_COLOR=1")
}

// Rollpatch runs the CLI to its end. also gets what it prints while it runs; it may be nil.
func (e *Estate) Rollpatch(ctx context.Context, also io.Writer, args ...string) (Result, error) {
	var out, errs bytes.Buffer
	cmd := e.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if also != nil {
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, also), io.MultiWriter(&errs, also)
	}
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) || err == nil || ctx.Err() != nil {
		return r, nil
	}
	return r, err
}
