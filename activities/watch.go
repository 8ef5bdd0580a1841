package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// watchFor is how long one watch lasts at most when nothing changes.
const watchFor = time.Hour

// Watch samples the checks of the patched members at the policy's interval. It returns when the verdict changes, when the
// passes that a soak needs are reached, and after an hour. A fail is asked again, quickly, as often as a pass is needed in a
// row, and compared with the unpatched peers.
func (a *Activities) Watch(ctx context.Context, in WatchInput) (WatchResult, error) {
	var r WatchResult
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return r, err
	}
	r.Audit, err = a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		r.Passes = in.Passes
		until := a.Now().Add(watchFor)
		if in.Verdict == rollout.Inconclusive || in.Verdict == rollout.Pass {
			// What is told may differ at every look: without the interval, one look would follow the other.
			if err := wait(ctx, time.Duration(p.Policy.SoakInterval)); err != nil {
				return "", "", err
			}
		}
		for {
			verdict, reason, blame, err := a.sample(ctx, p, in)
			if err != nil {
				return "", "", err
			}
			r.Samples++
			var pulses map[string]rollout.Pulse
			if verdict == rollout.Pass { // another verdict says enough, and must not wait for a host that does not answer
				var unknown error
				if pulses, unknown = a.pulses(ctx, p, in); unknown != nil {
					verdict, reason = rollout.Inconclusive, clip(unknown.Error())
				}
				if ctx.Err() != nil {
					return "", "", ctx.Err()
				}
			}
			r.Verdict, r.Reason, r.Blame, r.Pulses = verdict, reason, blame, pulses
			if verdict == rollout.Pass {
				r.Passes++
			} else {
				r.Passes = 0
			}
			need := p.Policy.SoakPasses
			if news(pulses, in.Pulses) || verdict != in.Verdict || reason != in.Reason || r.Passes >= need && in.Passes < need || a.Now().After(until) {
				return fmt.Sprintf("%s: %s (%d samples)", r.Verdict, r.Reason, r.Samples), "", nil
			}
			if err := wait(ctx, time.Duration(p.Policy.SoakInterval)); err != nil {
				return "", "", err
			}
		}
	})
	return r, err
}

// news says that a member is heard of for the first time in its soak, that something happened to it, or that a count was begun anew: what comes
// after is counted from there.
func news(now, before map[string]rollout.Pulse) bool {
	for host, p := range now {
		if was, known := before[host]; !known || p.Since(was) != "" || p.Anew(was) {
			return true
		}
	}
	return false
}

// sample is one look at all patched members.
func (a *Activities) sample(ctx context.Context, p plan.Part, in WatchInput) (verdict rollout.Verdict, reason, blame string, err error) {
	if len(in.Patched) == 0 {
		return rollout.Inconclusive, "no patched member to look at", "", nil
	}
	verdict, reasons := rollout.Pass, []string(nil)
	checks := append(slices.Clone(p.Cluster.Checks), inCatalog)
	for _, name := range in.Patched {
		s, err := a.scene(ctx, in.Part, name)
		if err != nil {
			return "", "", "", err // nobody looked at is no pass
		}
		s.who = in.Instance
		bad := a.probe(ctx, s, s.host, checks)
		for again := 1; !bad.good() && again < p.Policy.Checks.Passes; again++ {
			if err := wait(ctx, time.Duration(p.Policy.Checks.Interval)); err != nil {
				return "", "", "", err
			}
			bad = a.probe(ctx, s, s.host, checks)
		}
		if ctx.Err() != nil {
			return "", "", "", ctx.Err()
		}
		if bad.good() {
			continue
		}
		v, why, of := judge(bad, a.probePeers(ctx, s, in.Peers, bad.failed))
		reasons = append(reasons, why)
		if v == rollout.Fail || verdict == rollout.Pass {
			verdict = v
		}
		if blame == "" {
			blame = of
		}
	}
	return verdict, clip(strings.Join(reasons, "; ")), blame, nil
}
