package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// mostRestarts is how often the soak of a wave begins anew by itself.
const mostRestarts = 3

// Pulse is what a member that soaks tells of itself at every sample: what does not change on a host that nothing happens to.
type Pulse struct {
	Boot    string    `json:"boot"`
	Killed  int64     `json:"killed,omitempty"` // processes that the kernel ended for want of memory, since the boot; below 0: nobody asked
	Crashes []Crashes `json:"crashes,omitempty"`
}

// Crashes are how often systemd restarted a watched unit after it had ended by itself, since somebody last started it.
type Crashes struct {
	Unit string `json:"unit"`
	N    int64  `json:"n"`
}

// Since says what happened to the member after another pulse of it; empty: nothing that counts. A count that shrank was begun anew by
// somebody's hand, and says nothing.
func (p Pulse) Since(was Pulse) string {
	if p.Boot != was.Boot {
		return "booted (boot id " + was.Boot + ", then " + p.Boot + ")"
	}
	if n := p.Killed - was.Killed; n > 0 && was.Killed >= 0 {
		return "ran out of memory, and its kernel killed " + plural(n, "process", "processes")
	}
	for _, c := range p.Crashes {
		i := slices.IndexFunc(was.Crashes, func(o Crashes) bool { return o.Unit == c.Unit })
		if i >= 0 && c.N > was.Crashes[i].N {
			return "had its " + c.Unit + " restarted by systemd after it had ended by itself"
		}
	}
	return ""
}

// Anew says that a count was begun anew since another pulse, by somebody's hand: what comes after is counted from there.
func (p Pulse) Anew(was Pulse) bool {
	return p.Killed < was.Killed || slices.ContainsFunc(p.Crashes, func(c Crashes) bool {
		return slices.ContainsFunc(was.Crashes, func(o Crashes) bool { return o.Unit == c.Unit && c.N < o.N })
	})
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

// Pulses are those that members told last, by host.
func (c Cluster) Pulses() map[string]Pulse {
	var all map[string]Pulse
	for _, m := range c.Members {
		if m.Pulse != nil && !m.Running && m.Outcome == Patched {
			if all == nil {
				all = map[string]Pulse{}
			}
			all[m.Host] = *m.Pulse
		}
	}
	return all
}

// felt takes in the pulses of those that soak. What happened to one of them makes what was seen before worth nothing: its soak begins anew, and
// whoever agreed to it has to look again (P3).
func (c Cluster) felt(pulses map[string]Pulse, now time.Time) (Cluster, bool) {
	why := ""
	for _, m := range c.Members {
		p, told := pulses[m.Host]
		if !told || m.Running || m.Outcome != Patched {
			continue
		}
		if m.Pulse != nil && why == "" {
			if what := p.Since(*m.Pulse); what != "" {
				why = m.Host + " " + what
			}
		}
		c = c.slot(m.Host, func(s *Slot) { s.Pulse = &p })
	}
	switch {
	case why == "":
		return c, false
	case c.Phase != PhaseSoak && c.Phase != PhaseGate:
		// No soak that could begin anew: its checks pass, and whoever looks after it should know before the next soak ends.
		c.Outbox.tell(TellFail, "", why+" after its patch, while other members of "+c.Name+" are worked on; its checks pass", "rollpatch status "+c.Instance)
		return c, false
	}
	return c.restart(why, now), true
}

// restart has a soak begin anew, but not for ever: what happens again and again is for a person.
func (c Cluster) restart(why string, now time.Time) Cluster {
	if c.Restarts++; c.Restarts > mostRestarts {
		return c.hold(fmt.Sprintf("soak %d cannot be trusted: %s, after it had begun anew %d times for such things", c.SoakNo, why, mostRestarts), now)
	}
	c.Outbox.tell(TellFail, "", fmt.Sprintf("soak %d of %s begins anew: %s", c.SoakNo, c.Name, why), "rollpatch status "+c.Instance)
	c = c.soakAnew(now)
	c.Restarted = why
	return c
}

// soakAnew begins its soak anew. It does not end earlier than before: a person may have had it last longer.
func (c Cluster) soakAnew(now time.Time) Cluster {
	ends := c.SoakEnds
	if c = c.soak(now); ends.After(c.SoakEnds) {
		c.SoakEnds = ends
	}
	return c
}
