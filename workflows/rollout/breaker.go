package rollout

import (
	"strconv"
	"strings"
	"time"
)

// BreakerSpan is the time within which automatic backouts are counted.
const BreakerSpan = 15 * time.Minute

// Word is what a campaign says of automatic backouts: the answer to a cluster that asked, or to every cluster on its way that the
// breaker tripped.
type Word struct {
	Ask  int    `json:"ask,omitempty"` // the question that it answers; 0: nobody asked
	May  bool   `json:"may,omitempty"`
	Trip int    `json:"trip,omitempty"` // how often the breaker had tripped by then: the next time takes back what was granted
	Why  string `json:"why,omitempty"`
}

// asked decides whether a cluster may back out by itself: each question once, however often it is put. One cluster's fault is the
// patch's; a fault that many have at once is a shared one, and backing all of them out would make it worse.
func (c Campaign) asked(r Report, now time.Time) Campaign {
	ref, ok := c.find(r.Name)
	if !ok || ref.Outcome != "" || r.Ask <= ref.Ask {
		return c
	}
	before := c.granted(now)
	byWord := c.BackoutFor != "" // a person's word goes past the breaker
	may := byWord || c.Tripped == "" && (c.Breaker == 0 || len(before) < c.Breaker)
	c = c.ref(r.Name, func(ref *Ref) {
		ref.Ask, ref.May, ref.Granted = r.Ask, may, time.Time{}
		if may && !byWord {
			ref.Granted = now
		}
	})
	if may || c.Tripped != "" {
		return c
	}
	return c.trip(append(before, r.Name))
}

// granted names the clusters that were allowed to back out a short while ago.
func (c Campaign) granted(now time.Time) []string {
	var names []string
	for _, r := range c.Clusters {
		if !r.Granted.IsZero() && now.Sub(r.Granted) < BreakerSpan {
			names = append(names, r.Name)
		}
	}
	return names
}

// trip stops every automatic backout, and lets nothing further begin, until a person resumes the campaign.
func (c Campaign) trip(failed []string) Campaign {
	c.Trips++
	c.Tripped = "a shared fault: " + strconv.Itoa(len(failed)) + " clusters failed within " + strconv.Itoa(int(BreakerSpan/time.Minute)) + " minutes: " + c.blaming(failed)
	switch {
	case c.AbortFor != "":
	case c.Unattended:
		c.AbortFor = "stopped: " + c.Tripped
	default:
		c.Paused = "stopped: " + c.Tripped
	}
	c.Outbox.tell(TellHold, "", "campaign "+c.Instance+": no cluster is backed out any more unless a person says so, "+c.Tripped, "rollpatch status "+c.Instance)
	return c
}

// reset is a person's word that the campaign goes on: automatic backouts are counted anew.
func (c Campaign) reset() Campaign {
	if c.Tripped == "" {
		return c
	}
	c.Tripped = ""
	c.Clusters = append([]Ref(nil), c.Clusters...)
	for i := range c.Clusters {
		c.Clusters[i].Granted = time.Time{}
	}
	return c
}

// Answer is the word that a cluster's report asks for. It is said again whenever the report comes again: it may have been lost.
func (c Campaign) Answer(r Report) (Word, bool) {
	ref, ok := c.find(r.Name)
	if !ok || r.Ask == 0 || r.Ask != ref.Ask || ref.Outcome != "" {
		return Word{}, false
	}
	w := Word{Ask: r.Ask, May: c.BackoutFor != "" || ref.May && c.Tripped == "", Trip: c.Trips}
	if !w.May {
		if w.Why = c.Tripped; w.Why == "" {
			w.Why = "it was refused when the breaker had tripped"
		}
	}
	return w, true
}

// Warning is what every cluster on its way is told when the breaker trips.
func (c Campaign) Warning() Word { return Word{Trip: c.Trips, Why: c.Tripped} }

// ask has the campaign say whether the patched members may be brought back, which no person said.
func (c Cluster) ask(why string, now time.Time) Cluster {
	if c.BackoutFor != "" || c.AskFor != "" {
		return c.border(now)
	}
	c.Asks++
	c.AskFor, c.Refused = why, ""
	return c.to(PhaseAsk, now)
}

// asking is the number of the question that waits for its answer; 0 is none.
func (c Cluster) asking() int {
	if c.Phase != PhaseAsk || c.Refused != "" {
		return 0
	}
	return c.Asks
}

// Heed applies its campaign's word. Words may come twice, late and in any order: one that answers nothing changes nothing, and one
// that stops what was granted before it counts whichever comes first.
func (c Cluster) Heed(w Word, now time.Time) Cluster {
	asking := c.asking()
	switch {
	case asking > 0 && w.May && w.Ask == asking:
		soak := c.AskSoak
		c = c.backout(c.AskFor, now)
		c.Auto, c.Trip, c.AskSoak = true, w.Trip, soak
		return c
	case asking > 0 && !w.May && (w.Ask == asking || w.Ask == 0),
		c.Auto && w.Ask == 0 && w.Trip > c.Trip && c.Outcome == "" && c.Phase != PhaseHold && c.Phase != PhaseRelease:
		c.Refused = w.Why
		return c.border(now)
	}
	return c
}

// Orphaned is a cluster whose campaign is gone: nothing new begins, and nobody can say any more that it may back out.
func (c Cluster) Orphaned(campaign string, now time.Time) Cluster {
	c = c.Abort(Message{Actor: "rollpatch", Reason: "its campaign " + campaign + " is gone"}, now)
	if c.asking() > 0 {
		c.Refused = "its campaign is gone, and nobody else knows whether others fail too"
		c = c.border(now)
	}
	return c
}

// refused leaves the patched members as they are, in service: a person says what becomes of them. Unattended there is none to say it,
// and what everybody has is no reason to take more out.
func (c Cluster) refused(now time.Time) Cluster {
	why, left := c.Refused, c.patchedCount()
	c.Refused = ""
	if c.AskFor == "" && left == 0 {
		return c.border(now) // the way back came to its end before it could be stopped
	}
	what := c.AskFor + "; it is not backed out by itself"
	if c.AskFor == "" {
		what = c.BackoutFor + "; its backout was stopped on its way"
	}
	return c.hold(what+": "+why+"; members that stay patched: "+strconv.Itoa(left), now)
}

// watchAnew goes on with members that failed in a soak, on a person's word: they soak, or settle, from the beginning.
func (c Cluster) watchAnew(now time.Time) Cluster {
	if c.waveDone() && c.nextMember() >= 0 {
		return c.to(PhaseRoll, now).border(now)
	}
	c = c.unwatched().to(PhaseSettle, now)
	c.Settling = now
	return c
}

// few lists names, the first ones of many.
func few(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(len(names)-most) + " more"
}
