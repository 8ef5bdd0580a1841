package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong usage or wrong files; nothing was touched
	exitHalted      = 3 // halted, aborted, or held: a person is needed
	exitInterrupted = 130
)

// problem is an error for a person: what is wrong, what to type, and how the process ends.
type problem struct {
	code  int
	err   error
	hints []string
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

func usage(text string, hints ...string) error {
	return &problem{code: exitUsage, err: errors.New(text), hints: hints}
}

func failed(err error, hints ...string) error {
	return &problem{code: exitFailed, err: err, hints: hints}
}

// report prints what went wrong and returns the exit code.
func (d *desk) report(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	p := &problem{code: exitFailed, err: err}
	if !errors.As(err, &p) {
		switch {
		case ctx.Err() != nil:
			p = &problem{code: exitInterrupted, err: errors.New("interrupted")}
		case errors.Is(err, status.ErrNoWorker):
			p.hints = []string{"start one with: rollpatch worker (rollpatchd has one inside); nothing is lost meanwhile", "one that asked for work within the last minute is there and has too much to do: type the same again"}
		case errors.Is(err, status.ErrUnreachable):
			p.hints = []string{"it may have too much to do, or start: type the same again; hosts stay safe meanwhile", daemonHint}
		}
	}
	for line := range strings.Lines(p.Error()) {
		d.note("%s", strings.TrimSuffix(line, "\n"))
	}
	for _, h := range p.hints {
		d.note("%s", h)
	}
	return p.code
}

// note says something beside the result.
func (d *desk) note(format string, args ...any) {
	fmt.Fprintf(d.err, "rollpatch: "+format+"\n", args...)
}
