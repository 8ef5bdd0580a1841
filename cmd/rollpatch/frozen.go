package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"
)

// frozenWithin is how long a command that needs no server asks one whether the estate is frozen.
const frozenWithin = 2 * time.Second

// warnOfFreeze says that a freeze stands. A server that does not answer says nothing: what asks for this does without one.
func (d *desk) warnOfFreeze(ctx context.Context, srv server) {
	f, err := srv.Frozen(ctx)
	if err != nil || !f.Frozen {
		return
	}
	d.note("the whole estate is frozen since %s by %s (claimed): %s; no member is drained before: rollpatch thaw --reason \"...\"", dash(stamp(f.Since)), dash(f.By), dash(oneLine(f.Reason)))
}

// askForFreeze is warnOfFreeze for commands that have no server yet, and may find none.
func (d *desk) askForFreeze(c *cli.Context) {
	ctx, cancel := context.WithTimeout(c.Context, frozenWithin)
	defer cancel()
	srv, err := d.dial(ctx, d, settings{address: c.String("address"), namespace: c.String("namespace"), verbose: c.Bool("verbose"), quick: true})
	if err != nil {
		return
	}
	defer srv.Close()
	d.warnOfFreeze(ctx, srv)
}
