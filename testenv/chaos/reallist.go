package chaos

import (
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
)

// RealFaults is the list on real hosts: each fault in the step where it hurts most. It lacks what containers share with their machine
// (clock, kernel, disk) and what one Consul server cannot show.
func RealFaults() []Fault {
	nginx := func(host, verb string) func(*scene) error { return inHost(host, "systemctl "+verb+" nginx.service") }
	flapping := func(s *scene, off bool) {
		verb := "start"
		if off {
			verb = "stop"
		}
		_ = nginx(canary, verb)(s) // one that was too late for this turn has its next one
	}
	interrupted := sight("interrupted", func(e oracle.Event) bool { return e.Kind == oracle.Interrupted && e.Host == canary })
	list := []Fault{
		{ID: "F0", Name: "nothing goes wrong", Whole: true, Steps: []Step{before}, Holds: onceEach(1, clusters()[0].Members...)},
		{
			ID: "F1", Name: "rollpatchd killed", Whole: true, Steps: []Step{sawPatch}, Within: recovery,
			Inject: func(s *scene) error { return s.Daemon.Kill() }, Clear: func(s *scene) error { return s.Daemon.Start(s.ctx) }, Holds: onceEach(1, canary, peer),
		},
		{ID: "F7", Name: "consul's servers answer nobody", Steps: []Step{sawDrain}, Inject: serversAway(true), Lasts: 8 * time.Second, Clear: serversAway(false), Holds: onceEach(1, canary)},
		{ID: "F9", Name: "agent restarts again and again", Steps: []Step{sawDrain}, Inject: agentRestarts(5), Holds: all(keptOut, onceEach(1, canary))},
		{ID: "F10", Name: "ssh goes into a black hole in mid-command", Steps: []Step{sawPatch}, Inject: blackHole(true), Lasts: 15 * time.Second, Clear: blackHole(false), Holds: onceEach(1, canary)},
		{ID: "F11", Name: "link of the host down", Steps: []Step{sawPatch}, Inject: link(false), Lasts: 10 * time.Second, Clear: link(true), Holds: onceEach(1, canary)},
		{ID: "F12", Name: "every twentieth packet of ssh is lost", Steps: []Step{before}, Setup: lossy(true), Inject: nothing, Holds: onceEach(1, canary)},
		{ID: "F13", Name: "sshd refuses", Steps: []Step{sawPatch}, Inject: refuses(true), Lasts: 8 * time.Second, Clear: refuses(false), Holds: onceEach(1, canary)},
		{ID: "F15", Name: "package lock held", Steps: []Step{sawDrain}, Inject: holdLock, Lasts: 8 * time.Second, Clear: inHost(canary, "systemctl stop janes-upgrade.service"), Holds: onceEach(1, canary)},
		{
			// dpkg's work is repaired, and the transaction finished.
			ID: "F16", Name: "power cut in mid-transaction", Steps: []Step{sawPrerm, sawUnpack, sawConfigure}, Ends: []string{"done"},
			Inject: powerCut(canary), Lasts: time.Second, Clear: powerOn(canary), Holds: whole,
		},
		{ID: "F16", Name: "power cut in the way back", Steps: []Step{sawBackout}, Version: "1.2", Ends: halted, Inject: powerCut(canary), Lasts: time.Second, Clear: powerOn(canary), Holds: whole},
		{ID: "F17", Name: "maintainer script fails", Steps: []Step{before}, Version: "1.3", Ends: halted, Holds: all(untouched(peer), whole)},
		{
			ID: "F17", Name: "maintainer script hangs", Steps: []Step{before}, Limit: 6 * time.Minute, Ends: []string{"done", "halted"},
			// The package stops nginx before it is replaced, and nginx does not stop.
			Setup: inHost(canary, "touch /root/hang; mkdir -p /etc/systemd/system/nginx.service.d; printf '[Service]\\nExecStop=\\nExecStop=/bin/sh -c \"while test -e /root/hang; do sleep 1; done\"\\nTimeoutStopSec=infinity\\n' "+
				">/etc/systemd/system/nginx.service.d/hang.conf; systemctl daemon-reload"),
			Inject: nothing, Until: interrupted.at, Clear: inHost(canary, "rm /root/hang"), Holds: whole,
		},
		{ID: "F18", Name: "host never returns", Steps: []Step{sawReboot}, Ends: halted, Inject: powerCut(canary), Holds: all(untouched(peer), quarantined)},
		{ID: "F19", Name: "host returns with another key", Steps: []Step{sawPatch}, Ends: halted, Inject: newKey, Holds: all(untouched(peer), quarantined, notEntered)},
		{ID: "F21", Name: "flapping health", Steps: []Step{sawCheck}, Ends: []string{"done", "halted"}, Loses: serving, Inject: flap(flapping, 1500*time.Millisecond), Lasts: 9 * time.Second, Clear: calm(nginx(canary, "start"))},
		{ID: "F22", Name: "health is green, and the service is wrong", Steps: []Step{before}, Version: "1.5", Ends: halted, Holds: all(untouched(peer), whole)},
		{
			ID: "F24", Name: "two campaigns at once", Whole: true, Steps: []Step{sawPatch}, Holds: onceEach(1, canary, peer), Inject: func(s *scene) error {
				instance, err := s.start(s.file)
				s.more = append(s.more, instance)
				return err
			},
		},
		{ID: "F25", Name: "jane's maintenance before", Steps: []Step{before}, Setup: maintain("web", true), Inject: nothing, Ends: halted, Holds: untouched(canary, peer)},
		{ID: "F25", Name: "jane's maintenance while it is out", Steps: []Step{sawPatch}, Inject: maintain("", true), Until: toldOf("hold"), Clear: maintain("", false), Holds: onceEach(1, canary)},
		{
			ID: "F26", Name: "jane patches a peer by hand", Whole: true, Steps: []Step{inSoak}, Loses: always, Ends: []string{"done", "halted"},
			Inject: inHost(peer, "/usr/bin/apt-get -qq update; DEBIAN_FRONTEND=noninteractive /usr/bin/apt-get -qq -y install lab-web lab-web-data"),
		},
		{ID: "F26", Name: "jane reboots the canary", Whole: true, Steps: []Step{inSoak}, Loses: always, Ends: []string{"done", "halted"}, Inject: inHost(canary, "/usr/bin/systemctl reboot")},
		{ID: "F27", Name: "another member falls ill", Steps: []Step{sawDrain}, Loses: always, Return: 2 * returned, Ends: []string{"done", "halted"}, Inject: nginx("web-3", "kill -s KILL"), Lasts: 8 * time.Second, Clear: nginx("web-3", "start")},
		{ID: "F27", Name: "another member loses its power", Steps: []Step{sawPatch}, Loses: always, Return: 2 * returned, Ends: []string{"done", "halted"}, Inject: powerCut("web-3"), Lasts: 8 * time.Second, Clear: powerOn("web-3")},
		{
			ID: "F28", Name: "repository moves on", Whole: true, Steps: []Step{inSoak}, Version: "1.1", Ends: []string{"done", "halted"}, Holds: never("1.4"),
			Inject: func(s *scene) error { return s.Publish(s.ctx, "1.4") },
		},
		{
			ID: "F29", Name: "repository answers 404", Steps: []Step{before}, Setup: inHost(canary, "sed -i.good 's|/lab lab|/no-lab lab|' /etc/apt/sources.list.d/lab.list"),
			Inject: nothing, Lasts: 8 * time.Second, Clear: inHost(canary, "mv /etc/apt/sources.list.d/lab.list.good /etc/apt/sources.list.d/lab.list"), Holds: onceEach(1, canary),
		},
		{ID: "F32", Name: "command killed", Steps: []Step{sawPatch}, Begin: watched, Inject: func(s *scene) error { return s.cli.Process.Kill() }, Holds: onceEach(1, canary)},
		{ID: "F33", Name: "abort", Steps: []Step{sawPatch}, Ends: []string{"aborted"}, Inject: said("abort"), Holds: all(untouched(peer), onceEach(1, canary))},
		{ID: "F33", Name: "campaign terminated", Whole: true, Steps: []Step{sawReboot}, Ends: []string{"terminated"}, Inject: terminate(func(s *scene) string { return campaignID(s.instance) })},
		{ID: "F33", Name: "cluster terminated", Steps: []Step{sawReboot}, Ends: halted, Inject: terminate(func(s *scene) string { return clusterID(s.instance, "web") })},
		{ID: "F33", Name: "member terminated", Steps: []Step{sawPatch}, Ends: halted, Inject: terminate(func(*scene) string { return memberID(canary) }), Holds: untouched(peer)},
		{ID: "F34", Name: "the way back is gone", Steps: []Step{sawPatched}, Version: "1.2", Inject: noOldPackages, Ends: halted, Holds: all(untouched(peer), quarantined)},
		{
			ID: "F1", Name: "worker alone killed", Steps: []Step{sawReboot}, Workers: true, Within: recovery,
			Inject: func(s *scene) error { return s.worker.Kill() }, Clear: func(s *scene) error { return s.worker.Start(s.ctx) }, Holds: onceEach(1, canary),
		},
		{ID: "F2", Name: "worker frozen, wakes late", Steps: []Step{sawPatched}, Workers: true, Inject: freeze, Until: attended, Clear: wake, Holds: onceEach(1, canary)},
		{
			ID: "F5", Name: "what the worker says does not reach the server", Steps: []Step{sawPatched}, Workers: true, Inject: cutOff, Until: attended,
			Clear: func(s *scene) error { s.way.mend(); return nil }, Holds: onceEach(1, canary),
		},
		{
			ID: "F3", Name: "server alone killed", Steps: []Step{sawPatch}, Workers: true, Lasts: 5 * time.Second,
			Inject: func(s *scene) error { return s.Daemon.Kill() }, Clear: func(s *scene) error { return s.Daemon.Start(s.ctx) }, Holds: onceEach(1, canary),
		},
	}
	for i := range list {
		list[i].Hosts = estate.Real
	}
	return list
}

// nothing is the cause of what was set up before the campaign began.
func nothing(*scene) error { return nil }
