package calendar

import "time"

// DefaultMaxMixed is how long a cluster may stay mixed when nothing else is said.
const DefaultMaxMixed = 7 * 24 * time.Hour

// Course is a campaign as far as it takes time.
type Course struct {
	Start    time.Time // when the instance begins
	Parallel int       // how many clusters are on their way at the same time
	FinishBy time.Time // zero: no end is asked for
	Again    bool      // FinishBy is when the next instance begins: nobody wrote it
	Stages   []Stage
}

// Stage is the clusters that may go at the same time, in order, and when: canaries by one calendar, peers by another.
type Stage struct {
	Name   string
	Canary Calendar
	Peers  Calendar
	Steps  []int // of its ramp; none: all begin together
	// Behind is a stage before it that has to be through for so long already; empty: none.
	Behind   string
	Aged     time.Duration
	Clusters []Cluster
}

// Cluster is one cluster as far as it takes time. Its members go one after the other.
type Cluster struct {
	Name  string
	Waves []int  // the first one is the canary
	Need  Need   // of each member
	Says  string // how that is known
	// Measured: it is what runs took, and no file makes it shorter.
	Measured bool
	Settle   time.Duration
	Soak     time.Duration
	// MaxMixed is how long peers may wait for what their canary has; zero: DefaultMaxMixed.
	MaxMixed time.Duration
	Shares   []string // clusters that cannot be on their way beside it
	Last     bool     // after every other of its stage
	// SoaksLast: a soak follows the last wave, too.
	SoaksLast bool
}

// Dates is a course laid over its calendars, as it goes when nothing fails and everybody approves at once.
type Dates struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end,omitzero"` // zero: it does not end within what is known
	Stages   []Laid    `json:"stages"`
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Laid is a stage with its dates.
type Laid struct {
	Stage    string        `json:"stage"`
	Start    time.Time     `json:"start,omitzero"`
	End      time.Time     `json:"end,omitzero"`
	Clusters []LaidCluster `json:"clusters"`
}

// LaidCluster is a cluster with its dates; those that cannot be said are zero.
type LaidCluster struct {
	Cluster string    `json:"cluster"`
	Canary  time.Time `json:"canary,omitzero"` // its canary begins
	Soak    time.Time `json:"soak,omitzero"`   // its canary is back, and soaks
	Gate    time.Time `json:"gate,omitzero"`   // the soak is over, and people are asked
	Peers   time.Time `json:"peers,omitzero"`  // the first peer begins
	Done    time.Time `json:"done,omitzero"`   // the last member is back

	Estimate string `json:"estimate,omitempty"` // how long each member is taken to need, and how that is known
}

// Lay lays a course over its calendars: the dates as far as they are known, and every reason why it must not begin like that.
func Lay(c Course) Dates {
	d := Dates{Start: c.Start}
	now, known := c.Start, true
	for _, s := range c.Stages {
		for _, before := range d.Stages {
			if before.Stage == s.Behind && known {
				now = later(now, before.End.Add(s.Aged))
			}
		}
		room := s.room(c.Start)
		d.Refusals = append(d.Refusals, room...)
		laid := Laid{Stage: s.Name}
		if known {
			if laid = s.lay(now, c.Parallel); laid.End.IsZero() && len(room) == 0 {
				d.Refusals = append(d.Refusals, s.endless(laid))
			}
		} else {
			for _, cl := range s.Clusters {
				laid.Clusters = append(laid.Clusters, LaidCluster{Cluster: cl.Name, Estimate: cl.Says})
			}
		}
		d.Stages = append(d.Stages, laid)
		if now = laid.End; now.IsZero() {
			known = false
		}
	}
	if known {
		d.End = now
	}
	d.Refusals = append(d.Refusals, d.late(c)...)
	return d
}

// way is a cluster on its way.
type way struct {
	laid  LaidCluster
	begun bool
	back  time.Time // zero: its canary is never back
	end   time.Time // zero: it never ends
}

// lay starts the stage's clusters by the same rules as a campaign does: in order, so many beside each other, in steps, none beside one that it
// shares a host with, and rollpatch's own house last.
func (s Stage) lay(start time.Time, parallel int) Laid {
	ways := make([]way, len(s.Clusters))
	for now := start; ; {
		s.begin(ways, now, parallel)
		next := time.Time{}
		for _, w := range ways {
			for _, t := range []time.Time{w.back, w.end} {
				if t.After(now) && (next.IsZero() || t.Before(next)) {
					next = t
				}
			}
		}
		if next.IsZero() {
			break
		}
		now = next
	}
	laid, ended := Laid{Stage: s.Name, Start: start}, true
	for i, w := range ways {
		w.laid.Cluster, w.laid.Estimate = s.Clusters[i].Name, s.Clusters[i].Says
		laid.Clusters = append(laid.Clusters, w.laid)
		ended = ended && !w.end.IsZero()
		laid.End = later(laid.End, w.end)
	}
	switch {
	case !ended:
		laid.End = time.Time{}
	case len(ways) == 0:
		laid.End = start
	}
	return laid
}

// begin starts whatever may begin now.
func (s Stage) begin(ways []way, now time.Time, parallel int) {
	over := func(w way) bool { return w.begun && !w.end.IsZero() && !w.end.After(now) }
	running := func(w way) bool { return w.begun && !over(w) }
	slots, ordinary := parallel, true
	for i, w := range ways {
		if running(w) {
			slots--
		}
		if !s.Clusters[i].Last && !over(w) {
			ordinary = false
		}
	}
	for i := range min(len(ways), s.opened(ways, now)) {
		c := s.Clusters[i]
		if slots <= 0 {
			return
		}
		beside := false
		for k, o := range s.Clusters {
			for _, name := range c.Shares {
				beside = beside || o.Name == name && running(ways[k])
			}
		}
		if ways[i].begun || beside || c.Last && !ordinary {
			continue
		}
		ways[i] = s.send(c, now)
		slots--
	}
}

// opened says how many of the clusters may have begun: a step begins when every canary of the one before is back.
func (s Stage) opened(ways []way, now time.Time) int {
	n := 0
	for _, size := range s.Steps {
		before := n
		n = min(len(ways), n+size)
		for _, w := range ways[before:n] {
			if w.back.IsZero() || w.back.After(now) {
				return n
			}
		}
	}
	return len(ways)
}

// send lays one cluster that begins at t.
func (s Stage) send(c Cluster, t time.Time) way {
	w := way{begun: true}
	for wave, size := range c.Waves {
		cal := s.Peers
		if wave == 0 {
			cal = s.Canary
		}
		for i := range size {
			begin, ok := cal.next(t, c.Need)
			if !ok {
				return w
			}
			switch {
			case wave == 0 && i == 0:
				w.laid.Canary = begin
			case w.laid.Peers.IsZero() && wave > 0:
				w.laid.Peers = begin
			}
			if t = begin.Add(c.Need.Work); wave == 0 && i == 0 {
				w.back = t
			}
			if i < size-1 {
				t = t.Add(c.Settle)
			}
		}
		if wave == len(c.Waves)-1 && !c.SoaksLast {
			break
		}
		if wave == 0 {
			w.laid.Soak, w.laid.Gate = t, t.Add(c.Soak)
		}
		t = t.Add(c.Soak)
	}
	if len(c.Waves) == 0 {
		w.back = t
	}
	w.laid.Done, w.end = t, t
	return w
}
