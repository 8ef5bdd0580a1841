package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

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

// ticking makes a host's automatic update one that starts every second and only says so. On simulated hosts no timer elapses.
const ticking = `set -e
rm -f /root/ticks
for unit in apt-daily-upgrade.timer apt-daily-upgrade.service; do mkdir -p /etc/systemd/system/$unit.d; done
printf '[Timer]\nOnCalendar=\nOnCalendar=*-*-* *:*:*\nRandomizedDelaySec=0\nAccuracySec=100ms\n' >/etc/systemd/system/apt-daily-upgrade.timer.d/often.conf
printf '[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/sh -c "echo >>/root/ticks"\n' >/etc/systemd/system/apt-daily-upgrade.service.d/often.conf
systemctl daemon-reload
systemctl start apt-daily-upgrade.timer
`

func (s *scene) ticks(host string) int {
	s.Helper()
	return len(s.exec(host, "sh", "-c", "cat /root/ticks 2>/dev/null || :"))
}

// ticked waits until the automatic update has begun since it had begun n times.
func (s *scene) ticked(host string, n int) {
	s.Helper()
	s.eventually("the automatic update of "+host, func() error {
		if s.ticks(host) <= n {
			return errors.New("it has not begun")
		}
		return nil
	})
}

const timers = "systemctl is-active apt-daily.timer apt-daily-upgrade.timer || :"

func (s *scene) timers(host, want string) {
	s.Helper()
	if got := strings.Fields(s.exec(host, "sh", "-c", timers)); strings.Join(got, " ") != want {
		s.Errorf("apt-daily.timer and apt-daily-upgrade.timer of %s are %v, want %s", host, got, want)
	}
}

// TestChangeRepositoryMovedOn: during the soak a newer version takes the place of the one that soaks, and an automatic update is due
// on a peer. The peers get what soaked, and the update begins when all is over.
func TestChangeRepositoryMovedOn(t *testing.T) {
	s := begin(t)
	for _, h := range web {
		s.exec(h, "systemctl", "start", "apt-daily.timer", "apt-daily-upgrade.timer")
	}
	s.exec("web-3", "systemctl", "stop", "apt-daily.timer")
	if s.Lab() != nil {
		s.exec("web-2", "sh", "-c", ticking)
		s.ticked("web-2", 0)
	}
	s.publish("1.1")
	instance := s.start(s.campaign(true, "web"))
	s.gate(instance)
	before := 0
	for _, h := range web {
		s.timers(h, "inactive inactive")
	}
	if s.Lab() != nil {
		before = s.ticks("web-2")
		s.exec("web-2", "systemctl", "start", "apt-daily-upgrade.timer") // as at a boot, or by another hand
	}
	s.publish("1.4")
	s.say("approve", instance, "--cluster", "web")
	var st workflows.ClusterState
	s.eventually("the last member", func() error {
		if err := s.query(workflows.ClusterID(instance, "web"), &st); err != nil {
			return err
		}
		if st.Members[2].Outcome == "" {
			return errors.New("it is not done")
		}
		if s.Lab() != nil && st.Outcome == "" && st.Updaters.Off {
			if n := s.ticks("web-2"); n != before {
				return fmt.Errorf("an automatic update began, %d times", n-before)
			}
		}
		return nil
	})
	if end := s.ends(instance); end.State != "done" {
		s.Errorf("campaign is %s: %s", end.State, end.Reason)
	}
	s.at("1.1", web...)
	s.safe()
	s.timers("web-1", "active active")
	s.timers("web-3", "inactive active")
	for _, h := range web {
		if left := s.exec(h, "sh", "-c", "cd \"${ROLLPATCH_ROOT:-/}\"; ls var/lib/rollpatch/updaters etc/systemd/system/*/rollpatch.conf 2>/dev/null || :"); strings.Contains(left, "rollpatch.conf") || strings.Contains(left, instance) {
			s.Errorf("left on %s: %s", h, left)
		}
	}
	if s.Lab() != nil {
		s.ticked("web-2", before)
	}
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
