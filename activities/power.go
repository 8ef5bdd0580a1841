package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// PowerSwitch cycles the power of hosts, past whatever runs on them.
type PowerSwitch interface {
	// Cycle has the host's program do it. An error means that nobody knows whether it was done.
	Cycle(ctx context.Context, h inventory.Host) error
}

// powerWithin is how long the questions before it may take: after that the answer is old, and so is whoever asked.
const powerWithin = 30 * time.Second

// Power cycles the power of a host that went down for its reboot and did not come back. It begins at most once: not on another attempt,
// not after a pause, not while the host answers, nor in a freeze. Whether it helped is for the boot id to say, which the reboot goes on
// asking for.
func (a *Activities) Power(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		r.Nothing = true // until it begins
		lost, err := a.ours(ctx, s, in)
		if err != nil {
			return r.orUnknown(ctx, err)
		}
		if lost != "" {
			r.unknown(lost)
			return nil
		}
		if r.Frozen, err = a.Workflows.Frozen(ctx); err != nil {
			return r.orUnknown(ctx, fmt.Errorf("whether the estate is frozen: %w", err))
		}
		boot, err := a.Runner.BootID(ctx, s.target)
		switch {
		case err == nil:
			r.pass("it answers again, in boot " + boot + ": its power was left alone")
		case !away(err):
			r.unknown("its power was left alone: " + err.Error())
		case r.Frozen != "":
			r.unknown(r.Frozen)
		case ctx.Err() != nil:
			return ctx.Err()
		case !atOnce(ctx) || a.Now().Sub(s.began) > powerWithin:
			r.unknown("its power was left alone: the worker was away meanwhile")
		default:
			r.Nothing = false
			if err := a.Switch.Cycle(ctx, s.host); err != nil {
				r.fail(err.Error())
				return nil
			}
			r.pass("its power was cycled")
		}
		return nil
	})
}

// away says that an error tells nothing of the host but that it could not be reached.
func away(err error) bool {
	var lost interface{ Unreachable() bool }
	return errors.As(err, &lost) && lost.Unreachable()
}
