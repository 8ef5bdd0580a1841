package chaos

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
)

// holds says what must hold beside the promises, and does not.
type holds = func(*scene, []oracle.Event) []string

func all(each ...holds) holds {
	return func(s *scene, log []oracle.Event) (problems []string) {
		for _, h := range each {
			problems = append(problems, h(s, log)...)
		}
		return problems
	}
}

// untouched: nothing was drained, patched or rebooted on these hosts.
func untouched(hosts ...string) holds {
	return func(_ *scene, log []oracle.Event) (problems []string) {
		for _, e := range log {
			if (e.Kind == oracle.Drained || e.Kind == oracle.Begin || e.Kind == oracle.RebootAsked) && slices.Contains(hosts, e.Host) {
				return []string{e.Host + " was touched: " + e.String()}
			}
		}
		return nil
	}
}

// quarantined: the canary is on record.
func quarantined(_ *scene, log []oracle.Event) []string {
	for _, e := range log {
		if e.Kind == oracle.Quarantined && e.Host == canary {
			return nil
		}
	}
	return []string{canary + " is not in quarantine"}
}

// keptOut: the canary did not come back before it was patched and had booted.
func keptOut(_ *scene, log []oracle.Event) []string {
	patched := false
	for _, e := range log {
		switch {
		case e.Host != canary:
		case e.Kind == oracle.End && e.Step == "patch":
			patched = true
		case e.Kind == oracle.Undrained && !patched:
			return []string{canary + " was given up: " + e.String()}
		case e.Kind == oracle.Undrained:
			return nil
		}
	}
	return nil
}

// takenOutAgain: the canary, which came into service by itself with its boot, was out again before it was given back.
func takenOutAgain(_ *scene, log []oracle.Event) []string {
	booted := false
	for _, e := range log {
		switch {
		case e.Host != canary:
		case e.Kind == oracle.Booted:
			booted = true
		case booted && e.Kind == oracle.Drained:
			return nil
		}
	}
	return []string{canary + " was not taken out of service again"}
}

// notEntered: nothing was sent to the canary since it came back as somebody else.
func notEntered(s *scene, _ []oracle.Event) []string {
	rebooting, back := false, false
	see := func(reboots, boots, enters bool) bool {
		rebooting = rebooting || reboots
		back = back || rebooting && boots
		return back && enters
	}
	entered := false
	if s.watch != nil {
		for _, l := range s.watch.lines() {
			if l.host == canary {
				entered = entered || see(l.what == "acts" && strings.HasPrefix(l.more, "systemctl reboot"), l.what == ofLab+"boot", l.what == "login")
			}
		}
	} else {
		for _, c := range s.fleet.Calls()[s.from:] {
			if c.Host == canary {
				entered = entered || see(c.Event == "reboot asked", c.Event == "boot", c.Event == "ssh")
			}
		}
	}
	if entered {
		return []string{canary + " was entered although its key was another one"}
	}
	return nil
}

// startedOnce: nothing was repeated on the canary, since nothing there was interrupted.
func startedOnce(_ *scene, log []oracle.Event) (problems []string) {
	ran := map[string]int{}
	for _, e := range log {
		if e.Kind == oracle.Ran && e.Host == canary {
			if ran[e.Try]++; ran[e.Try] == 2 {
				problems = append(problems, e.Try+" was started twice")
			}
		}
	}
	return problems
}

// never: nobody gets this version.
func never(version string) holds {
	return func(_ *scene, log []oracle.Event) (problems []string) {
		for _, e := range log {
			if e.Kind == oracle.Begin && e.Packages["lab-web"] == version {
				problems = append(problems, e.Host+" got "+version)
			}
		}
		return problems
	}
}

// whole: no host is left with a package half there.
func whole(s *scene, _ []oracle.Event) (problems []string) {
	for _, c := range clusters() {
		for _, host := range c.Members {
			out, err := s.exec(host, "dpkg", "--audit")
			if err != nil || out != "" {
				problems = append(problems, fmt.Sprintf("%s: dpkg --audit: %v %s", host, err, strings.TrimSpace(out)))
			}
		}
	}
	return problems
}
