package rollout

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// moods are what a seed's hosts do by themselves: boot, now and then, while they soak. They throw dice of their own: seeds play as they did before there
// were any.
type moods struct {
	dice  *rand.Rand
	boots map[string]int
}

// moody gives a fourth of the seeds hosts that boot by themselves.
func (w *world) moody(seed int) {
	if seed%4 == 2 {
		w.moods = moods{dice: rand.New(rand.NewPCG(uint64(seed), 7)), boots: map[string]int{}}
	}
}

// pulses are what the watched members tell of themselves.
func (c *clusterRun) pulses(patched []string) map[string]Pulse {
	if c.moods.dice == nil || c.calm || c.kind == cooperative {
		return nil
	}
	all := map[string]Pulse{}
	for _, host := range patched {
		if c.moods.dice.Float64() < 0.03 {
			c.moods.boots[host]++
		}
		all[host] = Pulse{Boot: "boot-" + strconv.Itoa(c.moods.boots[host])}
	}
	return all
}

// feels says that something happened to one that soaks since it was last heard of: what was seen before proves nothing (P3).
func (c *clusterRun) feels(r WatchResult) (anew bool) {
	if r.Verdict == Fail || r.ID != c.c.watchID() || !c.c.watching() {
		return false
	}
	for host, p := range r.Pulses {
		was, known := c.felt[host]
		anew = anew || known && was != p.Boot
		c.felt[host] = p.Boot
	}
	return anew && (c.c.Phase == PhaseSoak || c.c.Phase == PhaseGate)
}

// soaksAnew has the oracle's own books of the first soak begin again.
func (c *clusterRun) soaksAnew() {
	c.seen["soak begun anew"]++
	if c.c.Restarts == mostRestarts {
		c.seen["soak begun anew too often"]++ // the next time is a person's
	}
	c.verdict = ""
	if c.c.Wave == 0 {
		// What people added to it holds: it does not end before.
		c.longer = max(0, c.firstAt.Add(c.longer).Sub(c.now))
		c.firstAt, c.passed, c.approved, c.streak, c.passesFrom = c.now, false, false, 0, time.Time{}
	}
}
