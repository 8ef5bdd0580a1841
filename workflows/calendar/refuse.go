package calendar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Refusal is why a campaign must not begin as things stand, and the way to change that.
type Refusal struct {
	Stage   string `json:"stage,omitempty"`
	Cluster string `json:"cluster,omitempty"` // empty: the stage, or the whole campaign
	Why     string `json:"why"`
	Remedy  string `json:"remedy"`
}

const (
	remedyRoom    = "give longer windows, or a shorter estimate under policy: estimate: {work: 25m, backout: 15m}"
	remedyTook    = "give longer windows: so long the hosts took, as it was measured, and that counts for more than the file's estimate"
	remedyUnknown = "mend that source, or leave it out, and ask again"
	remedyNone    = "give windows that are still to come, or shorten the freezes"
)

// room says which hosts of the stage would never begin, whenever it is asked: a night on which nothing happens is told before it comes.
func (s Stage) room(from time.Time) []Refusal {
	canaries, peers := s.fitting(s.Canary, from, true), s.fitting(s.Peers, from, false)
	if canaries.why == peers.why || peers.all == 0 { // most have one calendar for both
		return canaries.plus(peers).refusal(s.Name, "hosts")
	}
	return append(canaries.refusal(s.Name, "canaries"), peers.refusal(s.Name, "peers")...)
}

// tally is how many hosts a calendar has room for, and why not for the others.
type tally struct {
	fit, all   int
	clusters   []string // those that do not fit
	why        string
	remedy     string
	everything bool // nothing can be said of any of them
}

func (t tally) plus(o tally) tally {
	t.fit, t.all = t.fit+o.fit, t.all+o.all
	for _, name := range o.clusters {
		if !slices.Contains(t.clusters, name) {
			t.clusters = append(t.clusters, name)
		}
	}
	return t
}

func (t tally) refusal(stage, hosts string) []Refusal {
	switch {
	case t.fit == t.all:
		return nil
	case t.everything:
		return []Refusal{{Stage: stage, Why: t.why, Remedy: t.remedy}}
	case t.fit == 0:
		return []Refusal{{Stage: stage, Why: fmt.Sprintf("0 of %d %s fit because %s", t.all, hosts, t.why), Remedy: t.remedy}}
	}
	return []Refusal{{Stage: stage, Why: fmt.Sprintf("%d of %d %s fit; those of %s do not, because %s", t.fit, t.all, hosts, few(t.clusters), t.why), Remedy: t.remedy}}
}

func (s Stage) fitting(cal Calendar, from time.Time, canary bool) tally {
	t := tally{}
	longest, measured := Need{}, false
	for _, c := range s.Clusters {
		n := 0
		for wave, size := range c.Waves {
			if (wave == 0) == canary {
				n += size
			}
		}
		t.all += n
		if n == 0 {
			continue
		}
		if _, ok := cal.next(from, c.Need); ok {
			t.fit += n
			continue
		}
		t.clusters = append(t.clusters, c.Name)
		if c.Need.Whole() > longest.Whole() {
			longest, measured = c.Need, c.Measured
		}
	}
	if t.fit < t.all {
		if t.why, t.remedy, t.everything = cal.never(from, longest); measured && t.remedy == remedyRoom {
			t.remedy = remedyTook
		}
	}
	return t
}

// never says why no host with that need can begin from an instant on.
func (c Calendar) never(from time.Time, n Need) (why, remedy string, everything bool) {
	if c.Unknown != "" {
		return "the windows and freezes are not known: " + c.Unknown, remedyUnknown, true
	}
	left := c.from(from)
	switch {
	case c.Always:
		return "freezes leave no room for the estimate of " + n.String() + " until " + stamp(c.Until) + frozenBy(c.Freezes), remedyNone, false
	case len(left.Windows) == 0:
		return "there is no window from " + stamp(from) + " until " + stamp(c.Until), remedyNone, false
	case left.Longest() < n.Whole():
		return "the estimate of " + n.String() + " is longer than " + left.longestWindow(), remedyRoom, false
	}
	return "every window from " + stamp(from) + " until " + stamp(c.Until) + " that has room for the estimate of " + n.String() + " is frozen" + frozenBy(c.Freezes), remedyNone, false
}

// from leaves out the windows in which nothing can begin any more.
func (c Calendar) from(t time.Time) Calendar {
	c.Windows = slices.DeleteFunc(slices.Clone(c.Windows), func(w Window) bool {
		last, ok := w.last(0)
		return !ok || last.Before(t)
	})
	return c
}

func (c Calendar) longestWindow() string {
	if len(c.Windows) == 1 {
		return "the window's " + Length(c.Longest())
	}
	return "the longest window's " + Length(c.Longest())
}

// frozenBy names freezes that people can look for.
func frozenBy(freezes []Span) string {
	var names []string
	for _, f := range freezes {
		if f.Name != "" && !slices.Contains(names, strconv.Quote(f.Name)) {
			names = append(names, strconv.Quote(f.Name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + few(names) + ")"
}

// endless is for a stage whose every host would fit somewhere, and that does not come to its end even so.
func (s Stage) endless(laid Laid) Refusal {
	var names []string
	for _, c := range laid.Clusters {
		if c.Done.IsZero() {
			names = append(names, c.Cluster)
		}
	}
	until := s.Canary.Until
	if until.IsZero() || !s.Peers.Until.IsZero() && s.Peers.Until.Before(until) {
		until = s.Peers.Until
	}
	return Refusal{Stage: s.Name, Why: "its windows until " + stamp(until) + ", which is how far they were followed, are not enough for " + few(names), Remedy: remedyRoom}
}

// late says which dates are too late.
func (d Dates) late(c Course) []Refusal {
	var out []Refusal
	for i, s := range d.Stages {
		for k, cl := range s.Clusters {
			most := c.Stages[i].Clusters[k].MaxMixed
			if most == 0 {
				most = DefaultMaxMixed
			}
			mixed := cl.Done.Sub(cl.Soak)
			if cl.Soak.IsZero() || cl.Done.IsZero() || mixed <= most {
				continue
			}
			out = append(out, Refusal{
				Stage: s.Stage, Cluster: cl.Cluster,
				Why: fmt.Sprintf("its peers would wait %s for what its canary has, longer than %s (max_mixed): canary back %s, soak until %s, first peer %s, last one back %s",
					Length(mixed), Length(most), stamp(cl.Soak), stamp(cl.Gate), stamp(cl.Peers), stamp(cl.Done)),
				Remedy: "give the peers windows that come sooner, or allow it: max_mixed: " + Length(mixed.Truncate(24*time.Hour)+24*time.Hour),
			})
		}
	}
	if !c.FinishBy.IsZero() && d.End.After(c.FinishBy) {
		said, way := "finish_by", "begin earlier, give more or longer windows, shorten soaks, or move finish_by"
		if c.Again {
			said, way = "the next instance begins then", "give more or longer windows, shorten soaks, or write a schedule that comes about less often"
		}
		out = append(out, Refusal{Why: "it would end " + stamp(d.End) + ", after " + stamp(c.FinishBy) + " (" + said + ")", Remedy: way})
	}
	return out
}

func few(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + " and " + strconv.Itoa(len(names)-5) + " more"
	}
	return strings.Join(names, ", ")
}
