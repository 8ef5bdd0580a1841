package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// The exit statuses of playbook scripts.
const (
	exitArgument = 2
	exitOther    = 10 // the transaction would touch something that is not listed
	exitLock     = 11
	exitVersion  = 12
	exitSpace    = 13
	exitSource   = 14
	exitManager  = 20
	exitNotClean = 21
)

// exitStatus is that of a script that was asked, or -1 where it did not come to its end.
func exitStatus(err error) int {
	var exit interface{ ExitStatus() int }
	if errors.As(err, &exit) {
		return exit.ExitStatus()
	}
	return -1
}

// untouched says that a status promises that the packages are as they were. One that the table does not know, such as that of a
// shell that stumbled half way, promises nothing.
func untouched(exit int) bool {
	return exit == exitArgument || exit >= exitOther && exit <= exitSource
}

// unreachableFor is how long an activity tries by itself before it reports that a host cannot be reached, so that people see
// what is waited for. The run on the host does not care.
const unreachableFor = 2 * time.Minute

// run starts or attaches to the step's run and follows it. When the outcome decides the step, r has a verdict; otherwise the
// run exited 0 and its output is returned.
func (a *Activities) run(ctx context.Context, s scene, in StepInput, script []byte, env map[string]string, deadline time.Duration, r *StepResult) (RunOutcome, error) {
	out, err := a.follow(ctx, s, in, Run{ID: in.Run, Seq: in.Seq, Step: in.Intent.Action, Script: script, Env: env, Deadline: deadline, Prune: a.prune(ctx, in)}, r)
	if err != nil {
		return out, err
	}
	switch {
	case r.Verdict != "":
	case out.State == RunInterrupted:
		r.fail("cut short: " + out.Reason)
		r.Interrupted = true
	case out.State != RunExited:
		r.unknown("the host says its run is " + string(out.State))
	case out.Exit != 0:
		r.fail(exitReason(out))
		r.Blame = blamed(out.Stderr)
		r.Nothing = untouched(out.Exit)
	}
	return out, nil
}

// follow starts the run or attaches to it, and follows it to its end as long as something is heard of its host. What could not be done is
// unknown.
func (a *Activities) follow(ctx context.Context, s scene, in StepInput, run Run, r *StepResult) (RunOutcome, error) {
	ctx2, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(unreachableFor, func() { cancel(errUnreachable) })
	defer quiet.Stop()
	out, err := a.once(ctx2, s, in, run, r, func(RunOutcome) { quiet.Reset(unreachableFor) })
	if err != nil {
		if errors.Is(context.Cause(ctx2), errUnreachable) && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errUnreachable, err)
		}
		return out, r.orUnknown(ctx, err)
	}
	r.Tail, r.Kept = tail(append(append([]byte(nil), out.Stderr...), out.Stdout...)), out.Kept
	return out, nil
}

// once starts the run or attaches to it, and follows it. A refused one may be known to the host with the script of another worker, of
// before or after an upgrade: what has begun is the run, and its outcome counts; what has not is withdrawn, and another run takes its
// place. A number that is not the host's any more stays refused, and no higher one is tried: it is whoever is stale that is refused.
func (a *Activities) once(ctx context.Context, s scene, in StepInput, run Run, r *StepResult, seen func(RunOutcome)) (RunOutcome, error) {
	if in.Attach || in.Gated && !atOnce(ctx) {
		out, err := a.Runner.Attach(ctx, s.target, run, seen)
		return out, r.notBegun(out, err)
	}
	if in.Gated {
		run.BeginBy = s.began.Add(rollout.GateCounts)
	}
	out, err := a.Runner.Run(ctx, s.target, run, seen)
	if err != nil || out.State != RunStale {
		return out, r.notBegun(out, err)
	}
	refusal := out.Reason
	if out, err = a.Runner.Attach(ctx, s.target, run, seen); err != nil {
		return out, err
	}
	switch out.State {
	case RunStale:
		r.unknown("refused by the host: " + out.Reason)
	case RunAbsent:
		r.unknown("refused by the host: " + refusal + "; " + out.Reason + ": a run of its own is next")
		r.Spent = true
	}
	return out, nil
}

// notBegun reads what the host says of a run that nothing was to start any more. If it has not begun it never will, and the gate is
// asked again: what that said is too old to begin anything that takes the member further (P2).
func (r *StepResult) notBegun(out RunOutcome, err error) error {
	switch {
	case err != nil:
	case out.State == RunStale:
		r.unknown("refused by the host: " + out.Reason)
	case out.State == RunAbsent:
		r.unknown("it was not begun at once; the peers are asked about again first")
		r.Spent, r.AskAgain = true, true
	}
	return err
}

// atOnce says that the activity runs right after it was scheduled, and for the first time: no worker was away or lost in between. Both
// times are the server's.
func atOnce(ctx context.Context) bool {
	info := activity.GetInfo(ctx)
	return info.Attempt <= 1 && info.StartedTime.Sub(info.ScheduledTime) <= rollout.GateCounts
}

// passing says that a run ended by a cause that clears by itself: the package lock, or the repository.
func passing(out RunOutcome) bool {
	return out.State == RunExited && (out.Exit == exitLock || out.Exit == exitSource)
}

// again makes an outcome that says nothing of the packages unknown: another run asks anew.
func (r *StepResult) again() {
	r.unknown(r.Reason)
	r.Nothing, r.Interrupted, r.Spent = false, false, true
}

var errUnreachable = errors.New("nothing heard of the host for " + unreachableFor.String())

// exitReason puts a script's status and its last words together.
func exitReason(out RunOutcome) string {
	why := map[int]string{
		exitArgument: "an argument is not what the script takes", exitOther: "the transaction would touch packages that are not listed", exitLock: "the package lock did not become free in time",
		exitVersion: "a version is not to be had", exitSpace: "not enough space", exitSource: "the repository cannot be reached or its signature is not valid",
		exitManager: "the package manager failed", exitNotClean: "the package database is not clean afterwards",
	}[out.Exit]
	if why == "" {
		why = fmt.Sprintf("the script ended with status %d", out.Exit)
	}
	if last := lastWords(out.Stderr); last != "" {
		why += ": " + last
	}
	return clip(why)
}

// orFail is for read-only scripts: a status of their own is a fail, but for those whose cause can clear itself; everything else is
// unknown.
func (r *StepResult) orFail(ctx context.Context, err error) error {
	if exit := exitStatus(err); exit >= 0 && exit != exitLock && exit != exitSource {
		r.Verdict, r.Reason = rollout.Fail, err.Error()
		return nil
	}
	return r.orUnknown(ctx, err)
}

// lastWords is the line that says most: the last one that the package manager marked as an error, else the last one.
func lastWords(stderr []byte) string {
	last, marked := "", ""
	for _, line := range strings.Split(string(stderr), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		if strings.HasPrefix(line, "E: ") || strings.HasPrefix(line, "dpkg: error") {
			marked = line
		}
	}
	if marked != "" {
		return marked
	}
	return last
}
