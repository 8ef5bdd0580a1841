package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/rollpatch/rollpatch/workflows"
)

// exec runs a command on a host, outside of rollpatch.
func (s *scene) exec(host string, argv ...string) string {
	s.Helper()
	run := s.Fleet().Exec
	if s.Lab() != nil {
		run = s.Lab().Exec
	}
	out, err := run(s.ctx, host, argv...)
	s.must(err)
	return out
}

// eager makes a host one that updates itself by unattended-upgrades whenever it can: its timer elapses every second, and what the lab
// publishes is what it installs. On simulated hosts no timer elapses.
const eager = `set -e
printf 'APT::Periodic::Enable "1";\nAPT::Periodic::Unattended-Upgrade "always";\nUnattended-Upgrade::Origins-Pattern { "origin=rollpatch lab"; };\n' >/etc/apt/apt.conf.d/99eager
for unit in apt-daily-upgrade.timer apt-daily-upgrade.service; do mkdir -p /etc/systemd/system/$unit.d; done
printf '[Timer]\nOnCalendar=\nOnCalendar=*-*-* *:*:*\nRandomizedDelaySec=0\nAccuracySec=100ms\n' >/etc/systemd/system/apt-daily-upgrade.timer.d/eager.conf
printf '[Service]\nExecStartPre=\n' >/etc/systemd/system/apt-daily-upgrade.service.d/eager.conf # which waits for a router
systemctl daemon-reload
systemctl restart apt-daily-upgrade.timer
`

// upgrades counts how often unattended-upgrades began on a host.
func (s *scene) upgrades(host string) int {
	s.Helper()
	return strings.Count(s.exec(host, "sh", "-c", "cat /var/log/unattended-upgrades/unattended-upgrades.log 2>/dev/null || :"), "Starting unattended upgrades script")
}

// updaters are what updates packages by itself, in the order in which their states are told.
const updaters = "apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service"

func (s *scene) updaters(host, want string) {
	s.Helper()
	if got := strings.Fields(s.exec(host, "sh", "-c", "systemctl is-active "+updaters+" || :")); strings.Join(got, " ") != want {
		s.Errorf("%s of %s are %v, want %s", updaters, host, got, want)
	}
}

// broughtBack is when a worker began to bring the automatic updates of web back.
func (s *scene) broughtBack(instance string) (at time.Time) {
	s.Helper()
	times, scheduled := 0, int64(-1)
	events := s.temporal.GetWorkflowHistory(s.ctx, workflows.ClusterID(instance, "web"), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		s.must(err)
		if a := e.GetActivityTaskScheduledEventAttributes(); a.GetActivityType().GetName() == "Updaters" {
			scheduled = e.GetEventId()
			times++
		}
		if a := e.GetActivityTaskStartedEventAttributes(); a != nil && a.GetScheduledEventId() == scheduled {
			at = e.GetEventTime().AsTime()
		}
	}
	if times != 2 {
		s.Fatalf("automatic updates were turned off and on in %d steps, want two", times)
	}
	return at
}

// upgraded is when a package log has lab-web go from one version to another.
func (s *scene) upgraded(log, from, to string) (time.Time, bool) {
	s.Helper()
	line := regexp.MustCompile(`(?m)^(\S+ \S+) upgrade lab-web:all ` + regexp.QuoteMeta(from+" "+to) + `$`).FindStringSubmatch(log)
	if line == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.DateTime, line[1])
	s.must(err)
	return at, true
}

// TestChangeRepositoryMovedOn: during the soak a newer version takes the place of the one that soaks, and a peer that updates itself knows of it
// and would install it. The peers get what soaked; the peer's own update begins when all is over, and does then what it would have done.
func TestChangeRepositoryMovedOn(t *testing.T) {
	s := begin(t)
	for _, h := range web {
		s.exec(h, "systemctl", "start", "apt-daily.timer", "apt-daily-upgrade.timer")
	}
	s.exec("web-3", "systemctl", "stop", "apt-daily.timer")
	s.exec("web-2", "systemctl", "start", "unattended-upgrades.service")
	onHosts := s.Lab() != nil
	if onHosts {
		s.exec("web-2", "sh", "-c", eager)
		s.eventually("unattended-upgrades of web-2", func() error {
			if s.upgrades("web-2") == 0 {
				return errors.New("it has not begun")
			}
			return nil
		})
	}
	s.publish("1.1")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	for _, h := range web {
		s.updaters(h, "inactive inactive inactive")
	}
	s.publish("1.4")
	peers, before := s.logs("web-2", "web-3"), 0
	if onHosts {
		before = s.upgrades("web-2")
		if known := s.exec("web-2", "sh", "-c", "apt-get -qq update && apt-cache policy lab-web"); !strings.Contains(known, "Candidate: 1.4") {
			t.Fatalf("what web-2 would update to is\n%s", known)
		}
	}
	// As at a boot, or by another hand: the update itself, which a start waits for, and what begins it.
	for _, unit := range append(strings.Fields(updaters), "apt-daily-upgrade.service") {
		s.exec("web-2", "systemctl", "start", unit)
	}
	s.updaters("web-2", "inactive inactive inactive")
	s.untouched(peers)
	if onHosts && s.upgrades("web-2") != before {
		t.Errorf("unattended-upgrades began %d times while the canary soaked", s.upgrades("web-2")-before)
	}
	s.say("approve", instance, "--cluster", "web")
	if end := s.ends(instance); end.State != "done" {
		s.Errorf("campaign is %s: %s", end.State, end.Reason)
	}
	s.at("1.1", "web-1", "web-3")
	s.safe()
	s.updaters("web-1", "active active inactive")
	s.updaters("web-3", "inactive active inactive")
	for _, h := range web {
		if left := s.exec(h, "sh", "-c", "cd \"${ROLLPATCH_ROOT:-/}\"; ls var/lib/rollpatch/updaters etc/systemd/system/*/rollpatch.conf 2>/dev/null || :"); strings.Contains(left, "rollpatch.conf") || strings.Contains(left, instance) {
			s.Errorf("left on %s: %s", h, left)
		}
	}
	if !onHosts {
		s.updaters("web-2", "active active active")
		s.at("1.1", "web-2")
		return
	}
	back := s.broughtBack(instance)
	s.eventually("web-2 to update itself", func() error {
		log := strings.TrimPrefix(s.logs("web-2")["web-2"], peers["web-2"])
		if _, ok := s.upgraded(log, "1.0", "1.1"); !ok {
			t.Fatalf("web-2 did not get what soaked:\n%s", log)
		}
		at, ok := s.upgraded(log, "1.1", "1.4")
		if !ok {
			return errors.New("it has not")
		}
		if earliest := back.Truncate(time.Second); at.Before(earliest) {
			t.Errorf("web-2 updated itself at %s, which is %s before its automatic updates were brought back", at, earliest.Sub(at))
		}
		return nil
	})
	s.updaters("web-2", "active active active")
}

// TestChangeNobodyHasWhatSoaked: the caches are emptied too. The peer waits, says why, and goes on when the version is published again.
func TestChangeNobodyHasWhatSoaked(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	s.publish("1.4")
	for _, h := range web {
		s.exec(h, "sh", "-c", "rm -rf \"${ROLLPATCH_ROOT:-}\"/var/lib/rollpatch/ledger/*/new; apt-get clean")
	}
	s.say("approve", instance, "--cluster", "web")
	s.eventually("the peer to say what it waits for", func() error {
		var m workflows.MemberState
		if err := s.query(workflows.MemberID("web-2"), &m); err != nil {
			return err
		}
		for _, word := range []string{"lab-web 1.1, which soaked, is not to be had", "web-1 does not have it", "web-3 does not have it", "/ledger/" + instance + "/new/lab-web_1.1_all.deb"} {
			if !strings.Contains(m.WaitFor, word) {
				return fmt.Errorf("it waits for %q, without a word of %q", m.WaitFor, word)
			}
		}
		return nil
	})
	s.at("1.0", "web-2", "web-3")
	s.publish("1.1")
	if st := s.ends(instance); st.State != "done" {
		s.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
}
