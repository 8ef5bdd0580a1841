// Package power cycles the power of hosts by the programs that the inventory names. It must not know when that is right, nor try again,
// and what a program prints goes nowhere: it may repeat what it was given.
package power

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

var _ activities.PowerSwitch = (*Switch)(nil)

// limit bounds a program: a management card that hangs must not keep people from hearing of it.
const limit = 2 * time.Minute

// Resolve finds the secret that a reference names.
type Resolve func(context.Context, inventory.Secret) (string, error)

// Switch runs the programs, on the machine of the worker.
type Switch struct {
	resolve Resolve
	limit   time.Duration
}

// New returns a Switch that finds secrets by resolve.
func New(resolve Resolve) *Switch { return &Switch{resolve: resolve, limit: limit} }

// Cycle runs the host's program. It learns the host from its environment, and its secrets there as well: a process list shows arguments.
func (s *Switch) Cycle(ctx context.Context, h inventory.Host) error {
	if h.Power == nil || len(h.Power.Command) == 0 {
		return fmt.Errorf("host %q has no power: in the inventory", h.Name)
	}
	env := []string{"ROLLPATCH_HOST=" + h.Name, "ROLLPATCH_ADDRESS=" + h.Address}
	for _, name := range slices.Sorted(maps.Keys(h.Power.Env)) {
		value, err := s.resolve(ctx, h.Power.Env[name])
		if err != nil {
			return fmt.Errorf("power of %q: %s: %w", h.Name, name, err)
		}
		env = append(env, name+"="+value)
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Power.Command[0], h.Power.Command[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(inherited(os.LookupEnv), env...)
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		// The second: it ended well, and left a child behind that holds its output.
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("power of %q: command %q did not end: %w", h.Name, h.Power.Command[0], ctx.Err())
	}
	return fmt.Errorf("power of %q: command %q: %w", h.Name, h.Power.Command[0], err)
}

// inherited is what a program of others gets of the worker's environment: its tokens are none of that.
func inherited(lookup func(string) (string, bool)) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
