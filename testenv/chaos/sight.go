package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
)

// The same steps on real hosts, as what they wrote down shows them.
var (
	sawDrain     = sight("drain", did(oracle.Drained, canary, ""))
	sawPatch     = sight("patch", did(oracle.Begin, canary, "patch"))
	sawPrerm     = inPackages("prerm", " status half-configured lab-web:all 1.0\n") // the first of two packages, of which none is unpacked
	sawUnpack    = inPackages("unpack", " status half-installed lab-web:all ")
	sawConfigure = inPackages("configure", " status half-configured lab-web:all 1.4\n")
	sawPatched   = sight("patched", did(oracle.End, canary, "patch"))
	sawReboot    = sight("reboot", did(oracle.RebootAsked, canary, "reboot"))
	sawCheck     = sight("check", did(oracle.RebootAsked, canary, "reboot"), did(oracle.Booted, canary, ""), did(oracle.Up, canary, ""))
	sawBackout   = sight("backout", did(oracle.Begin, canary, "backout"))
)

func did(kind oracle.Kind, host, step string) func(oracle.Event) bool {
	return func(e oracle.Event) bool { return e.Kind == kind && e.Host == host && e.Step == step }
}

// sight is when the last of these is seen to have come after the ones before it.
func sight(name string, each ...func(oracle.Event) bool) Step {
	return Step{name, func(s *scene) error {
		return s.eventually(s.ctx, "the step "+name, func(context.Context) error {
			seen := 0
			for _, e := range s.log() {
				if seen < len(each) && each[seen](e) {
					seen++
				}
			}
			if seen < len(each) {
				return fmt.Errorf("%d of %d signs of it were seen", seen, len(each))
			}
			return nil
		})
	}}
}

// inPackages is when dpkg says so on the canary, in its own log. It is looked for without a pause: dpkg does not make any.
func inPackages(name, line string) Step {
	return Step{name, func(s *scene) error {
		for {
			log, err := s.DpkgLog(s.ctx, canary)
			switch {
			case err == nil && strings.Contains(log, line):
				return nil
			case s.ctx.Err() != nil:
				return fmt.Errorf("waited in vain for %s in the package log of %s: %w", line, canary, errors.Join(err, s.ctx.Err()))
			}
		}
	}}
}

// seeMore waits for a line of the hosts that comes after the fault hit. What was on its way when it hit is not meant.
func (s *scene) seeMore(what string, match func(trace) bool) error {
	since := s.hitAt.Add(time.Second)
	return s.eventually(s.ctx, what, func(context.Context) error {
		for _, l := range s.watch.lines() {
			if l.at.After(since) && match(l) {
				return nil
			}
		}
		return errors.New("not yet")
	})
}
