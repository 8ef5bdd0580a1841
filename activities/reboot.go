package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// rebootPoll is how often a rebooting host is asked for its boot id. Each ask is a real handshake: a bare connect would be
// punished by sshd.
const rebootPoll = time.Second

// Reboot reboots the host once and proves it by another boot id over a new connection. Late is not failed: after the policy's
// time-out it is unknown, and the next call goes on asking. Another host key is no proof of anything, and is said at once.
func (a *Activities) Reboot(ctx context.Context, in StepInput) (StepResult, error) {
	return a.step(ctx, in, func(ctx context.Context, s scene, r *StepResult) error {
		if in.Boot == "" {
			return temporal.NewNonRetryableApplicationError("no boot id to tell the next boot from", ErrBadInput, nil)
		}
		began := a.Now()
		deadline := began.Add(time.Duration(s.part.Policy.Timeouts.Reboot))
		if !in.By.IsZero() && in.By.Before(deadline) {
			deadline = in.By
		}
		var asked time.Time
		for {
			now, err := a.Runner.BootID(ctx, s.target)
			// Not only at first: a host that could not be reached then has not been told to reboot.
			if err == nil && now == in.Boot && asked.IsZero() {
				asked = a.Now()
				if err := a.askReboot(ctx, s, in, r); err != nil || r.Verdict != "" {
					return err
				}
				continue
			}
			if err == nil && now == in.Boot && a.Now().Sub(asked) > goesDownWithin {
				r.Begun = false
			}
			if err == nil && now != in.Boot {
				back := fmt.Sprintf("back with boot id %s after %s", now, a.Now().Sub(began).Round(100*time.Millisecond))
				again, err := a.stillOut(ctx, s, in, back, r)
				if err != nil || r.Verdict != "" {
					return err
				}
				if again {
					back += ", and taken out of service again: its agent had lost its maintenance"
				}
				r.Boot = now
				r.pass(back)
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var key interface{ HostKeyChanged() bool }
			if errors.As(err, &key) && key.HostKeyChanged() {
				r.OtherKey = true
				r.unknown("it came back with another host key, which is never accepted: " + err.Error())
				return nil
			}
			if a.Now().After(deadline) {
				r.Late, r.Power = true, err != nil && away(err) && s.host.Power != nil
				if err == nil {
					err = errors.New("it is up and has not rebooted")
				}
				r.unknown(fmt.Sprintf("not back %s after the reboot: %v", s.part.Policy.Timeouts.Reboot, err))
				return nil
			}
			if err := wait(ctx, rebootPoll); err != nil {
				return err
			}
		}
	})
}

// readBackWithin is how long a host that has rebooted may take to be seen out of service by the servers.
const readBackWithin = 15 * time.Second

// stillOut reads the drain back from the servers, in two samples, now that the host has rebooted: an agent that lost what it had on its
// disk brings the member into service by itself. It is taken out again while its peers let it; where they do not it is needed, and stays.
func (a *Activities) stillOut(ctx context.Context, s scene, in StepInput, back string, r *StepResult) (bool, error) {
	again := false
	deadline := a.Now().Add(readBackWithin)
	for samples := 0; samples < 2; {
		var now standing
		var err error
		for _, w := range a.ways(s) {
			if w, ok := w.(byConsul); ok && err == nil {
				var one standing
				one, err = w.standing(ctx, s, in.Instance, false)
				now = now.and(one)
			}
		}
		may, _ := rollout.MayBeOut(now.peers)
		switch {
		case err == nil && (!now.undrained || now.foreign != "" || !may):
			samples++
		case err == nil:
			samples = 0
			if err = a.enterAgain(ctx, s, in, r); err == nil {
				again = true
				err = errors.New("the servers have lost its maintenance, and do not hear of it again")
			}
		default:
			samples = 0
		}
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case r.Verdict != "":
			r.unknown(back + ", and is not out of service any more: " + r.Reason)
			return false, nil
		case samples < 2 && a.Now().After(deadline):
			return false, r.orUnknown(ctx, fmt.Errorf("%s, and whether it is still out of service cannot be told: %w", back, err))
		case samples < 2:
			if err := wait(ctx, sampleGap); err != nil {
				return false, err
			}
		}
	}
	return again, nil
}

// enterAgain sets our maintenance anew where the servers have lost it.
func (a *Activities) enterAgain(ctx context.Context, s scene, in StepInput, r *StepResult) error {
	for _, w := range a.ways(s) {
		if w, ok := w.(byConsul); ok {
			if err := w.enter(ctx, s, in, a.Now().Add(rollout.GateCounts), r); err != nil || r.Verdict != "" {
				return err
			}
		}
	}
	return nil
}

// goesDownWithin is how long a host that was told to reboot may go on answering. One that answers for longer waits for something first, such as
// the package lock: should it fall silent then, nobody knows what it is in the middle of.
const goesDownWithin = time.Minute

// rebootDeadline is longer than the reboot's script waits for the package lock.
const rebootDeadline = 15 * time.Minute

// askReboot starts the reboot's run, or attaches to it. The connection dies with the host: whatever it says but a refusal, the boot id
// decides.
func (a *Activities) askReboot(ctx context.Context, s scene, in StepInput, r *StepResult) error {
	osID, err := a.osID(ctx, s)
	if err != nil {
		return r.orUnknown(ctx, err)
	}
	script, err := s.script(a, osID, "reboot")
	if err != nil {
		return err
	}
	started, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	out, err := a.once(started, s, in, Run{ID: in.Run, Seq: in.Seq, Step: in.Intent.Action, Script: script, Deadline: rebootDeadline}, r,
		func(RunOutcome) { r.Begun = !in.Attach })
	switch {
	case err == nil && out.State == RunInterrupted:
		// The going down reads the same way: the boot id, asked by the caller, tells them apart. If it stays, the next call runs it anew.
		r.Spent, r.Begun = true, !in.Attach
	case err == nil && out.State == RunExited && out.Exit != 0:
		r.unknown("the reboot was refused: " + exitReason(out))
		r.Spent, r.Begun = true, false // what refused it may clear: the next call asks with a run of its own
	case err == nil && out.State == RunExited:
		r.Begun = !in.Attach
	}
	return nil
}
