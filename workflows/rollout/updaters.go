package rollout

import (
	"strconv"
	"time"
)

// Between the canary's patch and the last peer's way back nobody else may patch the cluster's hosts: what soaked would not be what is there.
// So automatic updates are off on every member, from before the first one is worked on to the cluster's end.

// The actions of a cluster that turn the automatic updates of its members off, and back to what they were.
const (
	DoUpdatersOff Step = "updaters-off"
	DoUpdatersOn  Step = "updaters-on"
)

// UpdaterRecord is the beginning of the keys of hosts whose automatic updates are off.
const UpdaterRecord = "updaters/"

// Updaters is how far a cluster is with them.
type Updaters struct {
	Owed bool `json:"owed,omitempty"` // they may be off: to bring them back is owed (P8)
	Off  bool `json:"off,omitempty"`  // they are off on every member
	Turn int  `json:"turn,omitempty"` // of the last time that hosts were asked for either: a later one outnumbers an earlier one there
}

// quiet says that the updaters are to be turned off before the next member is worked on.
func (c Cluster) quiet() bool { return c.Policy.Updaters && !c.Updaters.Off && c.Phase == PhaseRoll }

func (c Cluster) updaters(do Step) Action {
	return Action{ID: string(do) + "." + strconv.Itoa(c.Asked), Do: do}
}

// Turned counts how often hosts were asked. The workflow calls it before it asks.
func (c Cluster) Turned() Cluster {
	c.Updaters.Turn++
	return c
}

// UpdatersOff applies the answer to turning them off. A member that cannot be reached is waited for: it would be patched by another hand.
func (c Cluster) UpdatersOff(id string, r ClaimResult, now time.Time) Cluster {
	if !c.quiet() || id != c.updaters(DoUpdatersOff).ID {
		return c
	}
	c.Asked++
	if !r.OK {
		r.Held = false // who has the claim waits for nobody: what keeps it is trouble, whoever has to do with it
		return c.wait(r, now).border(now).stuck(now)
	}
	c.Updaters.Off = true
	return c.asked().border(now)
}

// UpdatersOn applies the answer to bringing them back. What cannot be brought back for too long stays on record, and the sweeper asks on: the
// claim is not kept for a host that may never come back.
func (c Cluster) UpdatersOn(id string, r ClaimResult, now time.Time) Cluster {
	if c.Phase != PhaseRelease || !c.Updaters.Owed || id != c.updaters(DoUpdatersOn).ID {
		return c
	}
	c.Asked++
	if !r.OK {
		if c = c.wait(r, now); c.Policy.WaitMax == 0 || c.Stuck.IsZero() || now.Sub(c.Stuck) < c.Policy.WaitMax {
			return c
		}
	}
	if r.Reason != "" {
		c.Outbox.tell(TellHold, "", "automatic updates are not back as they were in cluster "+c.Name+": "+r.Reason+". The sweeper asks until they are", "rollpatch claims list")
	}
	c.Updaters.Owed, c.Updaters.Off = false, false
	return c.asked()
}

// Unreachable are the members that the end of the cluster does not wait for: nobody knows whether they come back.
func (c Cluster) Unreachable() (hosts []string) {
	for _, m := range c.Members {
		if m.Outcome == Quarantined || m.Outcome == Lost {
			hosts = append(hosts, m.Host)
		}
	}
	return hosts
}
