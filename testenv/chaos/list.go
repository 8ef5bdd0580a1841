package chaos

import (
	"errors"
	"syscall"
	"time"
)

// recovery is how soon work must go on when its worker was killed: the heartbeat timeout and five seconds.
const recovery = 25 * time.Second

// returned is how soon a member is back that its peers need: a gate, checks that must pass twice, and a busy machine.
const returned = 10 * time.Second

var halted = []string{"halted"}

// Faults is the list: what the simulated fleet can bring about, each in every step where it can hit.
func Faults() []Fault {
	jane := func(service string, on bool) func(*scene) error {
		return func(s *scene) error { return s.fleet.Maintain(canary, service, on, "jane looks at the disk") }
	}
	leader := func(present bool) func(*scene) error {
		return func(s *scene) error { s.fleet.Leader(present); return nil }
	}
	archive := func(present bool) func(*scene) error {
		return func(s *scene) error { s.fleet.Archive(present); return nil }
	}
	lock := func(who string) func(*scene) error {
		return func(s *scene) error { return s.fleet.HoldPackageLock(canary, who) }
	}
	broken := func(host string, is bool) func(*scene) error {
		return func(s *scene) error { return s.fleet.Break(host, is) }
	}
	return []Fault{
		{ID: "F0", Name: "nothing goes wrong", Whole: true, Steps: []Step{before}},
		{
			ID: "F1", Name: "rollpatchd killed", Steps: every, Often: patch, Within: recovery,
			Inject: func(s *scene) error { return s.Daemon.Kill() }, Clear: func(s *scene) error { return s.Daemon.Start(s.ctx) },
		},
		{
			ID: "F1", Name: "worker alone killed", Steps: []Step{gate, drain, patching, rebooting, check, undrain}, Workers: true, Within: recovery,
			Inject: func(s *scene) error { return s.worker.Kill() }, Clear: func(s *scene) error { return s.worker.Start(s.ctx) },
		},
		{
			ID: "F1", Name: "rollpatchd killed again and again", Steps: []Step{drain, patch, down, undrain}, Within: recovery,
			Inject: again(4), Clear: func(s *scene) error { return s.Daemon.Start(s.ctx) },
		},
		{
			ID: "F2", Name: "worker frozen, wakes late", Steps: []Step{inspect, gate, drain, patching, patch, patched, rebooting, reboot, check, undrain}, Often: gate, Workers: true, Limit: 3 * time.Minute,
			Inject: freeze, Until: attended, Clear: func(s *scene) error { return syscall.Kill(s.worker.PID, syscall.SIGCONT) },
		},
		{
			ID: "F3", Name: "server alone killed", Steps: []Step{claim, gate, drain, patch, down, check, undrain, inSoak, settling}, Often: patch, Workers: true, Lasts: 3 * time.Second,
			Inject: func(s *scene) error { return s.Daemon.Kill() }, Clear: func(s *scene) error { return s.Daemon.Start(s.ctx) },
		},
		{
			ID: "F3", Name: "rollpatchd away for longer than anybody waits", Steps: []Step{gate, drain, patch, down, undrain, inSoak, settling},
			Inject: func(s *scene) error { return s.Daemon.Kill() }, Lasts: 40 * time.Second, Clear: func(s *scene) error { return s.Daemon.Start(s.ctx) },
		},
		{
			ID: "F4", Name: "rollpatchd cannot write its database", Steps: []Step{claim, gate, drain, patch, down, check, undrain, inSoak, settling}, Often: patch,
			Inject: fullDisk(true), Lasts: 8 * time.Second, Clear: fullDisk(false),
		},
		{
			ID: "F5", Name: "what the worker says does not reach the server", Steps: []Step{inspect, gate, drain, patching, patch, patched, rebooting, reboot, check, undrain}, Often: patched, Workers: true,
			Limit: 3 * time.Minute, Inject: cutOff, Until: attended, Clear: func(s *scene) error { s.way.mend(); return nil },
		},
		{ID: "F6", Name: "consul loses its leader again and again", Steps: []Step{claim, gate, drain, patch, down, undrain, inSoak, settling}, Often: drain, Inject: flap(func(s *scene, off bool) { s.fleet.Leader(!off) }, 700*time.Millisecond), Lasts: 6 * time.Second, Clear: calm(leader(true))},
		{ID: "F7", Name: "consul without a leader", Steps: []Step{claim, gate, drain, patch, down, undrain, inSoak, settling}, Often: gate, Inject: leader(false), Lasts: 8 * time.Second, Clear: leader(true)},
		{
			ID: "F7", Name: "consul without a leader for longer than anybody waits", Steps: []Step{claim, gate, drain, patch, down, undrain, inSoak}, Inject: leader(false), Lasts: 40 * time.Second,
			Clear: leader(true), Ends: []string{"done", "halted"},
		},
		{
			ID: "F9", Name: "agent restarts and lies", Steps: []Step{drain, patch, booted, check}, Often: booted, Inject: func(s *scene) error { return s.fleet.RestartAgent(canary, 4*time.Second) },
			Holds: keptOut,
		},
		{
			ID: "F9", Name: "agent loses its disk with the reboot", Steps: []Step{down}, Inject: func(s *scene) error { return s.fleet.LoseAgentDisk(canary) },
			Loses: serving, Holds: takenOutAgain,
		},
		{
			ID: "F10", Name: "network cut in mid-command", Steps: []Step{inspect, fetch, gate, drain, patch, reboot, down, check, undrain, inSoak}, Often: patch,
			Inject: func(s *scene) error { return s.fleet.Cut(canary) }, Lasts: 8 * time.Second, Clear: func(s *scene) error { return s.fleet.Heal(canary) }, Loses: serving,
		},
		{
			ID: "F10", Name: "network of a peer cut", Steps: []Step{inspect, gate, drain, patch, down, check, undrain, inSoak}, Loses: always, Ends: []string{"done", "halted"},
			Inject: func(s *scene) error { return s.fleet.Cut(peer) }, Lasts: 8 * time.Second, Clear: func(s *scene) error { return s.fleet.Heal(peer) },
		},
		{
			ID: "F11", Name: "connections die without a word", Steps: []Step{inspect, fetch, gate, drain, check, inSoak}, Loses: serving, Ends: []string{"done", "halted"},
			Inject: func(s *scene) error { return s.fleet.PowerCut(s.ctx, canary) }, Lasts: time.Second, Clear: func(s *scene) error { return s.fleet.Start(s.ctx, canary) },
		},
		{
			ID: "F11", Name: "connections are reset", Steps: []Step{inspect, fetch, gate, drain, patch, configure, check, undrain}, Often: configure,
			Inject: func(s *scene) error { return s.fleet.CutConnections(canary) },
		},
		{
			ID: "F11", Name: "clients do not leave", Steps: []Step{gate}, Inject: func(s *scene) error { return s.fleet.HoldConnections(canary, 80, 3) }, Lasts: 5 * time.Second,
			Clear: func(s *scene) error { return s.fleet.HoldConnections(canary, 80, 0) },
		},
		{
			ID: "F13", Name: "sshd refuses", Steps: []Step{inspect, fetch, gate, drain, patch, down, check, undrain, inSoak}, Lasts: 6 * time.Second,
			Inject: func(s *scene) error {
				return errors.Join(s.fleet.Refuse(canary, true), s.fleet.CutConnections(canary))
			},
			Clear: func(s *scene) error { return s.fleet.Refuse(canary, false) },
		},
		{ID: "F14", Name: "disk full", Steps: []Step{claim}, Often: claim, Inject: func(s *scene) error { return s.fleet.FreeSpace(canary, 1<<10) }, Ends: halted, Holds: untouched(canary, peer)},
		{ID: "F15", Name: "package lock held", Steps: []Step{inspect, gate, drain, patched}, Often: gate, Inject: lock("unattended-upgr"), Lasts: 5 * time.Second, Clear: lock("")},
		{
			ID: "F16", Name: "power cut in mid-transaction", Steps: []Step{patch, unpack, configure, patched}, Often: unpack,
			Inject: func(s *scene) error { return s.fleet.PowerCut(s.ctx, canary) }, Lasts: time.Second, Clear: func(s *scene) error { return s.fleet.Start(s.ctx, canary) },
			Holds: whole,
		},
		{
			ID: "F16", Name: "power cut in the way back", Steps: []Step{backout}, Version: "1.2", Ends: halted,
			Inject: func(s *scene) error {
				return errors.Join(s.lasts(300*time.Millisecond), s.fleet.PowerCut(s.ctx, canary))
			},
			Lasts: time.Second, Clear: func(s *scene) error { return s.fleet.Start(s.ctx, canary) }, Holds: whole,
		},
		{ID: "F17", Name: "maintainer script fails", Steps: []Step{before}, Version: "1.3", Ends: halted, Holds: untouched(peer)},
		{
			ID: "F18", Name: "host never returns", Steps: []Step{down}, Often: down, Ends: halted,
			// A moment later: the fleet tells that it is down before it has begun to start it again.
			Inject: func(s *scene) error {
				return errors.Join(s.lasts(100*time.Millisecond), s.fleet.PowerCut(s.ctx, canary))
			},
			Holds: all(untouched(peer), quarantined),
		},
		{
			ID: "F19", Name: "host returns with another key", Steps: []Step{patch}, Often: patch, Inject: func(s *scene) error { return s.fleet.NewHostKey(canary) }, Ends: halted,
			Holds: all(untouched(peer), quarantined, notEntered),
		},
		{
			ID: "F21", Name: "flapping health", Steps: []Step{booted, check, undrain, inSoak}, Often: check, Ends: []string{"done", "halted"}, Loses: serving,
			Inject: flap(func(s *scene, off bool) { _ = s.fleet.Break(canary, off) }, 450*time.Millisecond), Lasts: 9 * time.Second, Clear: calm(broken(canary, false)),
		},
		{ID: "F22", Name: "health is green, and the service is wrong", Steps: []Step{before}, Version: "1.5", Ends: halted, Holds: all(untouched(peer), whole)},
		{ID: "F25", Name: "jane's maintenance before", Steps: []Step{before}, Often: before, Setup: jane("web", true), Ends: halted, Holds: untouched(canary, peer)},
		{ID: "F25", Name: "jane's maintenance of the node before", Steps: []Step{before}, Setup: jane("", true), Ends: halted, Holds: untouched(canary, peer)},
		{ID: "F25", Name: "jane's maintenance just before the drain", Steps: []Step{fetch, gate}, Inject: jane("web", true), Ends: halted, Holds: untouched(peer)},
		{
			ID: "F25", Name: "jane's maintenance while it is out", Steps: []Step{patch, down, check}, Often: patch, Inject: jane("", true), Until: toldOf("hold"), Clear: jane("", false),
		},
		{ID: "F25", Name: "jane's maintenance in the soak", Steps: []Step{inSoak}, Inject: jane("web", true), Ends: halted, Holds: untouched(peer)},
		{
			ID: "F27", Name: "another member falls ill", Steps: []Step{inspect, gate, drain, patch, reboot, check, undrain, inSoak}, Often: drain, Inject: broken("web-3", true), Lasts: 6 * time.Second,
			Clear: broken("web-3", false), Loses: always, Return: returned, Ends: []string{"done", "halted"},
		},
		{
			ID: "F27", Name: "another member falls ill while nobody works", Steps: []Step{gate, drain, patching, patched, rebooting, check}, Loses: always, Ends: []string{"done", "halted"}, Limit: 3 * time.Minute,
			Inject: func(s *scene) error {
				return errors.Join(s.Daemon.Kill(), s.fleet.Break("web-3", true), s.lasts(grace+2*time.Second), s.Daemon.Start(s.ctx))
			},
			Lasts: 40 * time.Second, Clear: broken("web-3", false),
		},
		{
			ID: "F27", Name: "another member falls ill while it cannot be reached", Steps: []Step{gate, drain, patching, rebooting, check}, Loses: always, Ends: []string{"done", "halted"},
			Inject: func(s *scene) error { return errors.Join(s.fleet.Cut(canary), s.fleet.Break("web-3", true)) }, Lasts: 8 * time.Second,
			Clear: func(s *scene) error {
				return errors.Join(s.fleet.Heal(canary), s.lasts(10*time.Second), s.fleet.Break("web-3", false))
			},
		},
		{
			ID: "F27", Name: "another member loses its power", Steps: []Step{gate, patch, down}, Loses: always, Return: returned, Ends: []string{"done", "halted"},
			Inject: func(s *scene) error { return s.fleet.PowerCut(s.ctx, "web-3") }, Lasts: 6 * time.Second, Clear: func(s *scene) error { return s.fleet.Start(s.ctx, "web-3") },
		},
		{ID: "F28", Name: "repository moves on", Whole: true, Steps: []Step{drain, patch, inSoak, onPeer}, Often: inSoak, Version: "1.1", Inject: func(s *scene) error { return s.fleet.Publish(s.ctx, "1.4") }, Ends: []string{"done", "halted"}, Holds: never("1.4")},
		{ID: "F29", Name: "repository away", Steps: []Step{claim, fetch, gate, patch, inSoak}, Inject: archive(false), Lasts: 4 * time.Second, Clear: archive(true)},
		{
			ID: "DB", Name: "database of before the campaign", Steps: []Step{inspect, drain, patch, down, check, inSoak, onPeer}, Leaves: true, Setup: copyDatabase, Inject: restoreDatabase, End: mended, Ends: []string{"mended"}, Loses: always, Limit: 8 * time.Minute,
		},
		{
			ID: "DB", Name: "database of the fetch", Steps: []Step{patch, check, inSoak, onPeer, settling}, Leaves: true, Begin: begunWithCopyAt(gate), Inject: restoreDatabase, End: endsMended, Ends: []string{"done", "halted"}, Limit: 8 * time.Minute,
		},
		{
			ID: "DB", Name: "database of before the fetch", Whole: true, Steps: []Step{inSoak, onPeer}, Leaves: true, Begin: begunWithCopyAt(inspect), Inject: restoreDatabase, End: endsMended, Ends: []string{"done", "halted"}, Limit: 8 * time.Minute,
		},
		{
			ID: "F30", Name: "rollpatchd upgraded", Steps: []Step{claim, gate, drain, patch, configure, rebooting, down, check, undrain, onPeer, settling}, Often: patch, Another: true, Within: handover,
			Inject: func(s *scene) error { return s.Daemon.Stop() }, Clear: startOther, Holds: ownScripts,
		},
		{
			ID: "F30", Name: "rollpatchd upgraded in the soak", Whole: true, Steps: []Step{inSoak}, Often: inSoak, Another: true, Within: handover,
			Inject: func(s *scene) error { return errors.Join(s.readSoak(), s.Daemon.Stop()) }, Clear: startOther, Holds: all(ownScripts, sameSoak),
		},
		{
			ID: "F30", Name: "rollpatchd upgraded, and the old one put back", Steps: []Step{gate, patch, inSoak}, Another: true, Within: handover,
			Inject: func(s *scene) error { return errors.Join(s.Daemon.Stop(), startOther(s)) }, Lasts: 2 * time.Second,
			Clear: func(s *scene) error { return errors.Join(s.Daemon.Stop(), s.startBuild(s.bin)) },
		},
		{
			ID: "F30", Name: "workers of two builds, one after the other away", Whole: true, Steps: []Step{drain}, Often: drain, Another: true, Workers: true, Within: recovery,
			Setup: besideOther, Inject: oldThenNew, Clear: startThird, Holds: eachWorked,
		},
		{ID: "F32", Name: "command killed", Steps: []Step{inspect, patch, inSoak}, Often: patch, Begin: watched, Inject: func(s *scene) error { return s.cli.Process.Kill() }},
		{ID: "F33", Name: "hold, resume", Steps: every, Inject: said("hold"), Lasts: 2 * time.Second, Clear: said("resume")},
		{ID: "F33", Name: "abort", Steps: every, Often: reboot, Inject: said("abort"), Ends: []string{"aborted"}},
		{ID: "F33", Name: "campaign cancelled", Steps: []Step{drain, patch, inSoak}, Ends: []string{"aborted"}, Inject: func(s *scene) error {
			byHand(s, "cancel")
			return s.temporal.CancelWorkflow(s.ctx, campaignID(s.instance), "")
		}},
		{ID: "F33", Name: "campaign terminated", Steps: every, Ends: []string{"terminated"}, Inject: terminate(func(s *scene) string { return campaignID(s.instance) })},
		{ID: "F33", Name: "cluster terminated", Steps: every, Ends: halted, Inject: terminate(func(s *scene) string { return clusterID(s.instance, "web") })},
		{ID: "F33", Name: "member terminated", Steps: []Step{inspect, fetch, gate, drain, patch, configure, reboot, down, check, undrain}, Often: drain, Ends: halted, Inject: terminateOnce(func(*scene) string { return memberID(canary) })},
		{
			ID: "F34", Name: "the way back is gone", Steps: []Step{check}, Often: check, Version: "1.2", Inject: noWayBack, Ends: halted, Holds: all(untouched(peer), quarantined),
		},
		{
			ID: "F23", Name: "the host's clock jumps two hours ahead", Steps: []Step{inspect, gate, patch, rebooting, check}, Often: patch,
			Inject: func(s *scene) error { return s.fleet.Clock(canary, 2*time.Hour) }, Holds: startedOnce,
		},
		{
			ID: "F23", Name: "the host's clock jumps two hours back", Steps: []Step{inspect, gate, patch, rebooting, check},
			Inject: func(s *scene) error { return s.fleet.Clock(canary, -2*time.Hour) }, Holds: startedOnce,
		},
		{
			ID: "F24", Name: "two campaigns at once", Steps: []Step{claim, patch, inSoak}, Often: patch, Inject: func(s *scene) error {
				instance, err := s.start(s.file)
				s.more = append(s.more, instance)
				return err
			},
		},
		{ID: seedsID, Name: "rollpatchd killed at random, random faults", Whole: true, Steps: worlds(1000)},
		{ID: "F35", Name: "everything at once", Whole: true, Steps: seeds(12), Inject: swizzle, Loses: always, Ends: []string{"done", "halted"}, Limit: 4 * time.Minute},
	}
}
