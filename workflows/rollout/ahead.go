package rollout

import (
	"slices"
	"strconv"
	"time"
)

// Packages of an approved plan are fetched before their turn, so that the very versions are there on the night. That changes no package: it waits for no window
// and no claim, only for approval, and for the end of a freeze. What cannot be fetched is no failure: the member's own fetch tries again.

// DoAhead fetches the packages of a cluster before its turn.
const DoAhead Step = "fetch-ahead"

const (
	// aheadAtOnce is how many clusters are fetched for at the same time.
	aheadAtOnce = 4
	// aheadAgain is how long it takes until members that lack something are tried again.
	aheadAgain = time.Hour
)

// Ahead is how far that has come for one cluster.
type Ahead struct {
	Wanted  bool      `json:"wanted,omitempty"`
	Segment string    `json:"segment,omitempty"`
	Tries   int       `json:"tries,omitempty"`
	Done    bool      `json:"done,omitempty"`   // every member has what is planned for it
	Why     string    `json:"why,omitempty"`    // why not
	Left    string    `json:"left,omitempty"`   // members that were left alone, because they are in quarantine
	Again   time.Time `json:"again,omitzero"`   // when it is tried again
	Told    bool      `json:"told,omitempty"`   // that its turn came before that
	Warned  bool      `json:"warned,omitempty"` // that a file is not the planned one
}

// AheadResult is what a try came to.
type AheadResult struct {
	Why   string    `json:"why,omitempty"`   // empty: every member has all of it
	Left  string    `json:"left,omitempty"`  // members that were left alone, because they are in quarantine: they lack nothing
	Other string    `json:"other,omitempty"` // what has another digest than the planned one
	Again time.Time `json:"again,omitzero"`  // when the freeze ends that it met; zero: nobody knows, or there is none
}

// approved says that whoever has to has agreed to a stage: nothing of it is fetched before.
func (c Campaign) approved(stage int) bool {
	return !slices.ContainsFunc(c.Gates, func(g Gate) bool { return !g.After && g.Stage <= stage && g.Opened.IsZero() })
}

// mayAhead says that a cluster's packages are still to be fetched before its turn.
func (c Campaign) mayAhead(r Ref) bool {
	return r.Ahead.Wanted && !r.Ahead.Done && !r.begun() && c.approved(r.Stage)
}

// begun says that its turn has come.
func (r Ref) begun() bool { return r.Outcome != "" || r.Running && r.Phase != PhaseClaim }

// aheads is what is fetched now, and when to look again.
func (c Campaign) aheads(now time.Time) (start []Action, wake time.Time) {
	if c.Paused != "" || c.AbortFor != "" || c.BackoutFor != "" {
		return nil, time.Time{}
	}
	for _, r := range c.Clusters {
		switch again := r.Ahead.Again; {
		case !c.mayAhead(r):
		case again.After(now):
			if wake.IsZero() || again.Before(wake) {
				wake = again
			}
		case len(start) < aheadAtOnce:
			start = append(start, Action{ID: string(DoAhead) + "." + r.Name + "." + strconv.Itoa(r.Ahead.Tries), Do: DoAhead, Name: r.Name})
		}
	}
	return start, wake
}

// Fetched applies what a try came to.
func (c Campaign) Fetched(name string, res AheadResult, now time.Time) Campaign {
	var warns bool
	c = c.ref(name, func(r *Ref) {
		a := &r.Ahead
		a.Tries++
		a.Done, a.Why, a.Left, a.Again = res.Why == "", res.Why, res.Left, time.Time{}
		if a.Done {
			return
		}
		a.Again = now.Add(aheadAgain)
		if res.Again.After(now) && res.Again.Before(a.Again) {
			a.Again = res.Again
		}
		if warns = res.Other != "" && !a.Warned && c.Outcome == ""; warns {
			a.Warned = true
		}
	})
	if warns {
		c.Outbox.tell(TellHold, "", "what was fetched for cluster "+name+" is not what is planned, and will hold it: "+res.Other, "rollpatch status "+c.Instance)
	}
	return c
}

// late tells once that a cluster's turn came before all of it was there.
func (c Campaign) late(name string) Campaign {
	r, ok := c.find(name)
	if !ok || !r.Ahead.Wanted || r.Ahead.Done || r.Ahead.Told || !r.Running || r.Phase == PhaseClaim {
		return c
	}
	why := r.Ahead.Why
	if why == "" {
		why = "it takes longer than that"
	}
	c = c.ref(name, func(r *Ref) { r.Ahead.Told = true })
	c.Outbox.tell(TellWait, "", "cluster "+name+" begins, and not all of its packages were fetched before: "+why+"; its members fetch what is missing themselves, which may be a newer version", "rollpatch status "+c.Instance)
	return c
}

// fetched says how far it has come, for people; empty where nothing is left to fetch.
func (c Campaign) fetched() string {
	done, all, why, left := 0, 0, "", ""
	for _, r := range c.Clusters {
		if !r.Ahead.Wanted {
			continue
		}
		all++
		if r.Ahead.Left != "" && !r.begun() {
			left += "; in quarantine, and left alone: " + r.Ahead.Left
		}
		if r.Ahead.Done || !c.mayAhead(r) && c.approved(r.Stage) {
			done++
		} else if why == "" && r.Ahead.Why != "" {
			why = " (" + r.Name + ": " + r.Ahead.Why + ")"
		}
	}
	if done == all && left == "" || c.Outcome != "" {
		return ""
	}
	return "; packages fetched ahead for " + strconv.Itoa(done) + " of " + strconv.Itoa(all) + one(all, " cluster", " clusters") + why + left
}
