package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// Step is a moment in a campaign. Most are known from what the fleet itself records, so that none can be missed; a phase that lasts
// is asked for.
type Step struct {
	Name string
	at   func(*scene) error
}

// The steps of the canary, and of the campaign around it, in their order.
var (
	before  = Step{"before", nil} // nothing has been started yet
	claim   = kvStep("claim", "kv set", claims+"cluster/web")
	inspect = Step{"inspect", func(s *scene) error {
		return s.await("the inspection of "+canary, on(canary, func(c sim.Call) bool { return c.Event == "ssh" }))
	}}
	fetch = unitStep("fetch", canary, "fetch", "unit acts")
	gate  = unitStep("gate", canary, "fetch", "unit success")
	drain = kvStep("drain", "kv set", claims+"drain/"+canary)
	// The last question of the drain is who is still connected; who logs in after it is about to patch, and has not begun.
	patching = login("patching", func(c sim.Call) bool { return len(c.Argv) > 0 && c.Argv[0] == "ss" && c.Exit != nil }, "")
	patch    = unitStep("patch", canary, "patch", "transaction")
	// The transaction is 14 steps of dpkg's, at 80 ms each.
	unpack    = later("unpack", patch, 300*time.Millisecond)
	configure = later("configure", patch, 800*time.Millisecond)
	patched   = unitStep("patched", canary, "patch", "transaction ended")
	// The boot id is asked as the plain user, which nothing else is after the transaction: who asks it is about to reboot the host.
	rebooting = login("rebooting", func(c sim.Call) bool { return c.Event == "transaction ended" }, "/bin/sh -s")
	reboot    = unitStep("reboot", canary, "reboot", "reboot asked")
	down      = after("down", "reboot asked", "down")
	booted    = after("booted", "reboot asked", "boot")
	check     = Step{"check", func(s *scene) error {
		through := false
		return s.await("the checks of "+canary, on(canary, func(c sim.Call) bool {
			through = through || c.Event == "transaction ended"
			return through && slices.Equal(c.Argv, []string{"systemctl", "is-active", "--", "nginx.service"})
		}))
	}}
	undrain = Step{"undrain", func(s *scene) error {
		return s.await("the undrain of "+canary, on(canary, func(c sim.Call) bool {
			return c.Event == "service maintenance off" && c.By == sim.ByAgent
		}))
	}}
	inSoak   = phaseStep("soak", "soak")
	onPeer   = unitStep("peer", peer, "patch", "transaction")
	settling = phaseStep("settle", "settle")
	backout  = unitStep("backout", canary, "backout", "transaction")
)

// every lists the steps that a fault which knows no better is tried in.
var every = []Step{claim, inspect, fetch, gate, drain, patching, patch, configure, rebooting, reboot, down, check, undrain, inSoak, onPeer, settling}

func on(host string, match func(sim.Call) bool) func(sim.Call) bool {
	return func(c sim.Call) bool { return c.Host == host && match(c) }
}

func kvStep(name, event, key string) Step {
	return Step{name, func(s *scene) error {
		return s.await(name, func(c sim.Call) bool { return c.Event == event && c.Text == key })
	}}
}

// unitStep is when something happens to a run of the host.
func unitStep(name, host, step, event string) Step {
	return Step{name, func(s *scene) error {
		return s.await(name+" of "+host, on(host, func(c sim.Call) bool {
			return c.Event == event && ofRun(oracle.Event{}, c.Unit).Step == step
		}))
	}}
}

// login is when somebody logs in to the canary after another call, with this command or ("") any.
func login(name string, first func(sim.Call) bool, command string) Step {
	return Step{name, func(s *scene) error {
		saw := false
		return s.await(name, on(canary, func(c sim.Call) bool {
			saw = saw || first(c)
			return saw && c.Event == "ssh" && (command == "" || c.Argv[len(c.Argv)-1] == command)
		}))
	}}
}

// after is when the canary's second event comes after its first.
func after(name, first, second string) Step {
	return Step{name, func(s *scene) error {
		saw := false
		return s.await(name, on(canary, func(c sim.Call) bool {
			saw = saw || c.Event == first
			return saw && c.Event == second
		}))
	}}
}

func later(name string, begins Step, d time.Duration) Step {
	return Step{name, func(s *scene) error {
		if err := begins.at(s); err != nil {
			return err
		}
		return s.lasts(d)
	}}
}

func phaseStep(name, phase string) Step {
	return Step{name, func(s *scene) error {
		return s.eventually(s.ctx, "the phase "+phase+" of web", func(ctx context.Context) error {
			st, err := s.query(ctx, clusterID(s.instance, "web"))
			switch {
			case err != nil:
				return err
			case st.Phase == phase:
				return nil
			case st.Outcome != "":
				return errors.New("it has ended: " + st.Reason)
			}
			return fmt.Errorf("it is in %s", st.Phase)
		})
	}}
}
