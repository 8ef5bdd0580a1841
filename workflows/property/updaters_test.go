package property_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// updaters is what a host and Consul have of the automatic updates that a cluster of an instance turned off.
type updaters struct {
	off    bool     // on the host
	record bool     // in Consul
	turn   int      // the highest that the host was asked for
	had    []string // whose it took over
}

// updaters are those of one owner, a cluster's book.
func (h *machine) updatersOf(owner string) *updaters {
	if h.updaters == nil {
		h.updaters = map[string]*updaters{}
	}
	if h.updaters[owner] == nil {
		h.updaters[owner] = &updaters{}
	}
	return h.updaters[owner]
}

// turns asks the members of a cluster. What was done and could not be told is done all the same.
func (a *act) turns(in activities.UpdatersInput) (time.Duration, func() any) {
	a.append(in.Intent)
	c := a.cluster(in.Instance, strings.TrimPrefix(in.Part, "part:"))
	if in.Off && c.closing {
		a.broken("P8: %s turns automatic updates off while it brings them back", c.name())
	}
	c.closing, c.quiet = !in.Off, in.Off
	return a.grid(a.rng, time.Second, 2*time.Minute), func() any {
		r := rollout.ClaimResult{OK: true}
		lost := a.now().Before(a.mute) || a.trouble(a.rng, 0.1)
		if in.Off {
			clear(c.exempt)
		}
		for _, h := range c.spec.members {
			st := h.updatersOf(c.name())
			switch {
			case lost && a.rng.Float64() < 0.5, in.Off && h.quarantined, !in.Off && !st.record:
				c.exempt[h.name] = in.Off && h.quarantined
				continue
			}
			if st.record = true; in.Off {
				c.adopts(h)
			}
			if !a.up(h) || a.trouble(a.rng, 0.1) || in.Turn < st.turn {
				r.Reason = h.name + " cannot be reached"
				r.OK = r.OK && !in.Off && contains(in.Leave, h.name)
				a.seen["updaters in trouble"]++
				continue
			}
			if !in.Off {
				h.endFormer(st)
			}
			st.off, st.turn, st.record = in.Off, in.Turn, in.Off
		}
		if lost {
			r = rollout.ClaimResult{Reason: "unreachable"}
		}
		a.logf("%s turns automatic updates off %t: %+v", c.name(), in.Off, r)
		return activities.ClaimResult{ClaimResult: r, Audit: a.outcome(in.Intent, fmt.Sprint(r.OK))}
	}
}

// adopts takes over what others left on record for this very cluster: it has the claim.
func (c *clusterBook) adopts(h *machine) {
	for _, owner := range slices.Sorted(maps.Keys(h.updaters)) {
		st := h.updaters[owner]
		if _, cluster, _ := strings.Cut(owner, "/"); st.record && owner != c.name() && cluster == c.spec.name {
			if c.claims[c.spec.name] != c.camp.instance {
				c.broken("P8: %s takes over the automatic updates of %s from %s, and has no claim", c.name(), h.name, owner)
			}
			mine := h.updatersOf(c.name())
			mine.had = append(append(mine.had, st.had...), owner)
			st.record, st.had = false, nil
			c.seen["updaters taken over"]++
		}
	}
}

// endFormer turns on what former owners have off.
func (h *machine) endFormer(st *updaters) {
	for _, owner := range st.had {
		*h.updatersOf(owner) = updaters{turn: 1 << 30}
	}
	st.had = nil
}

// known says that what the owner turned off is on record, its own or that of who took it over.
func (h *machine) known(owner string) bool {
	if h.updatersOf(owner).record {
		return true
	}
	for _, st := range h.updaters {
		if st.record && slices.Contains(st.had, owner) {
			return true
		}
	}
	return false
}

// isQuiet holds that nobody else patches the members of a cluster when one of them is begun.
func (c *clusterBook) isQuiet() {
	if !c.camp.cluster.Updaters {
		return
	}
	for _, h := range c.spec.members {
		if !h.updatersOf(c.name()).off && !c.exempt[h.name] {
			c.broken("%s starts a member, and the automatic updates of %s are on", c.name(), h.name)
		}
	}
}

// restores brings back what was left off, for a survey.
func (a *act) restores(in activities.RestoreInput) (time.Duration, func() any) {
	a.append(in.Intent)
	cluster, host, _ := strings.Cut(strings.TrimPrefix(in.Key, rollout.UpdaterRecord), "/")
	c, h := a.cluster(in.Owner.Instance, cluster), a.machine(host)
	if r := a.latest(c.id()); r.open() {
		a.broken("the survey turns automatic updates of %s on, and %s works", host, r.id)
	}
	return a.soon(), func() any {
		if !a.up(h) {
			return errors.New(host + " cannot be reached")
		}
		if a.latest(workflows.CampaignID(in.Owner.Instance)).open() {
			a.seen["updaters back while their campaign goes on"]++
		}
		a.seen["updaters back by a survey"]++
		if st := h.updatersOf(c.name()); st.record { // else somebody has taken it over meanwhile
			h.endFormer(st)
			*st = updaters{turn: 1 << 30}
		}
		return activities.DropResult{Audit: a.outcome(in.Intent, "as they were")}
	}
}

// updatersOwed says that automatic updates are off which a survey turns on.
func (w *world) updatersOwed() bool {
	if !w.kills || !w.inventory {
		return false
	}
	for _, h := range w.machines {
		for _, st := range h.updaters {
			if st.record {
				return true
			}
		}
	}
	return false
}

// judgeUpdaters holds that they are as they were, or on record, and people were told.
func (w *world) judgeUpdaters() {
	for _, h := range w.machines {
		for owner, st := range h.updaters {
			switch {
			case st.off && !h.known(owner):
				w.broken("P8: the automatic updates of %s are left off by %s, and nobody knows", h.name, owner)
			case st.record && w.kind == cooperative:
				w.broken("everything went well, and the automatic updates of %s are left off by %s", h.name, owner)
			case st.record && w.told["updaters "+owner] == 0:
				w.broken("P8: the automatic updates of %s are left off by %s, and nobody was told", h.name, owner)
			case st.record:
				w.seen["updaters left to the sweeper"]++
			}
		}
	}
}
