package chaos

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
)

// inHost runs a shell script as root in a host.
func inHost(host, script string) func(*scene) error {
	return func(s *scene) error {
		_, err := s.exec(host, "sh", "-ec", script)
		return err
	}
}

// inNetwork runs a program of the machine in the network of a host, whose packet filter and interfaces are its own.
func (s *scene) inNetwork(host string, argv ...string) error {
	st, err := s.lab.Status(s.ctx)
	if err != nil {
		return err
	}
	for _, h := range st.Hosts {
		if h.Name == host && h.PID != 0 {
			enter := append([]string{"-t", strconv.Itoa(h.PID), "-n", "--"}, argv...)
			if out, err := exec.CommandContext(s.ctx, "nsenter", enter...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s in the network of %s: %w: %s", strings.Join(argv, " "), host, err, strings.TrimSpace(string(out)))
			}
			return nil
		}
	}
	return fmt.Errorf("host %q is off", host)
}

// blackHole has nothing reach the canary's sshd any more, on open connections neither; Consul and its service go on.
func blackHole(on bool) func(*scene) error {
	return func(s *scene) error {
		verb := map[bool]string{true: "-I", false: "-D"}[on]
		s.note(oracle.Event{Kind: map[bool]oracle.Kind{true: oracle.Cut, false: oracle.Healed}[on], Host: canary, Text: "ssh"})
		return s.inNetwork(canary, "iptables", "-w", verb, "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
	}
}

// refuses has the canary's machine refuse who wants its sshd; open connections are cut off with a reset.
func refuses(on bool) func(*scene) error {
	return func(s *scene) error {
		verb := map[bool]string{true: "-I", false: "-D"}[on]
		s.note(oracle.Event{Kind: map[bool]oracle.Kind{true: oracle.Cut, false: oracle.Healed}[on], Host: canary, Text: "ssh"})
		return s.inNetwork(canary, "iptables", "-w", verb, "INPUT", "-p", "tcp", "--dport", "22", "-j", "REJECT", "--reject-with", "tcp-reset")
	}
}

// serversAway has no agent reach Consul's servers any more, and no answer of theirs reach an agent; members go on to see each other.
func serversAway(away bool) func(*scene) error {
	return func(s *scene) (all error) {
		verb := map[bool]string{true: "-I", false: "-D"}[away]
		for _, host := range clusters()[0].Members {
			for _, way := range []string{"OUTPUT --dport", "INPUT --sport"} {
				chain, port, _ := strings.Cut(way, " ")
				all = errors.Join(all, s.inNetwork(host, "iptables", "-w", verb, chain, "-p", "tcp", port, "8300", "-j", "DROP"))
			}
		}
		return all
	}
}

// lossy loses every twentieth packet that reaches the canary's sshd.
func lossy(on bool) func(*scene) error {
	return func(s *scene) error {
		verb := map[bool]string{true: "-I", false: "-D"}[on]
		return s.inNetwork(canary, "iptables", "-w", verb, "INPUT", "-p", "tcp", "--dport", "22", "-m", "statistic", "--mode", "random", "--probability", "0.05", "-j", "DROP")
	}
}

// link takes the canary off the network: nobody is told, connections stay half open.
func link(up bool) func(*scene) error {
	return func(s *scene) error {
		s.note(oracle.Event{Kind: map[bool]oracle.Kind{false: oracle.Cut, true: oracle.Healed}[up], Host: canary, Text: "network"})
		return s.inNetwork(canary, "ip", "link", "set", "host0", map[bool]string{true: "up", false: "down"}[up])
	}
}

// powerCut takes the power of a host, and powerOn gives it back.
func powerCut(host string) func(*scene) error {
	return func(s *scene) error { return s.PowerCut(s.ctx, host) }
}

func powerOn(host string) func(*scene) error {
	return func(s *scene) error { return s.Start(s.ctx, host) }
}

// maintain is jane with Consul's own command line.
func maintain(service string, on bool) func(*scene) error {
	return func(s *scene) error {
		argv := []string{"consul", "maint", "-disable"}
		if on {
			argv = []string{"consul", "maint", "-enable", "-reason=jane looks at the disk"}
		} else {
			s.watch.hand(canary, service)
		}
		if service != "" {
			argv = append(argv, "-service="+service)
		}
		_, err := s.exec(canary, argv...)
		return err
	}
}

// holdLock has a program hold dpkg's lock in the way in which dpkg does, and returns once it has it.
var holdLock = inHost(canary, `systemd-run --quiet --unit=janes-upgrade perl -e '
	use Fcntl; open(F, ">", "/var/lib/dpkg/lock-frontend") or die; my $all = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
	fcntl(F, F_SETLKW, $all) or die; open(H, ">", "/run/janes-lock") or die; close(H); sleep 600;'
	timeout 10 sh -c 'until test -e /run/janes-lock; do sleep 0.1; done'`)

// agentRestarts restarts the canary's Consul agent again and again. A host that goes down for its reboot meanwhile takes no such command; the next
// one may meet it when it is back.
func agentRestarts(times int) func(*scene) error {
	return func(s *scene) error {
		for i := range times {
			if _, err := s.exec(canary, "systemctl", "restart", "consul.service"); err != nil && i == 0 {
				return err
			}
			if err := s.lasts(time.Second); err != nil {
				return err
			}
		}
		return nil
	}
}

// newKey gives the canary another host key.
var newKey = inHost(canary, "rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key")

// noOldPackages takes every former version away from the canary.
var noOldPackages = inHost(canary, "rm -f /etc/apt/sources.list.d/* /var/cache/apt/archives/*.deb; : >/etc/apt/sources.list; rm -rf /var/lib/rollpatch/ledger /var/lib/apt/lists/*")

// wake has a frozen worker go on.
func wake(s *scene) error { return syscall.Kill(s.worker.PID, syscall.SIGCONT) }

// onceEach: each of these hosts was upgraded in one transaction, and rebooted that often.
func onceEach(reboots int, hosts ...string) holds {
	return func(s *scene, log []oracle.Event) (problems []string) {
		began, booted := map[string]int{}, map[string]int{}
		for _, e := range log {
			switch e.Kind {
			case oracle.Begin:
				began[e.Host]++
			case oracle.Booted:
				booted[e.Host]++
			}
		}
		for _, host := range hosts {
			packages, err := s.DpkgLog(s.ctx, host)
			if n := strings.Count(packages, " upgrade lab-web:all "); err != nil || n != 1 || began[host] != 1 {
				problems = append(problems, fmt.Sprintf("%s was upgraded %d times in %d transactions: %v", host, n, began[host], err))
			}
			if booted[host] != reboots {
				problems = append(problems, fmt.Sprintf("%s booted %d times, want %d", host, booted[host], reboots))
			}
		}
		return problems
	}
}
