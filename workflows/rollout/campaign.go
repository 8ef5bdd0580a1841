package rollout

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// CampaignOutcome is how an instance ended.
type CampaignOutcome string

// The outcomes of an instance. Halted and aborted leave every host safe.
const (
	CampaignDone    CampaignOutcome = "done"
	CampaignHalted  CampaignOutcome = "halted"
	CampaignAborted CampaignOutcome = "aborted"
)

// Ref is one cluster as its campaign keeps it: about 150 bytes, whatever the cluster's size.
type Ref struct {
	Name  string `json:"name"`
	Stage int    `json:"stage"`
	Part  string `json:"part"` // digest of its part of the plan
	// Shares names clusters of this instance whose claims overlap with its own: they go one after the other.
	Shares  []string       `json:"shares,omitempty"`
	Last    bool           `json:"last,omitempty"` // of rollpatch's own house
	Running bool           `json:"running,omitempty"`
	Phase   Phase          `json:"phase,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Outcome ClusterOutcome `json:"outcome,omitempty"`
	Done    int            `json:"done,omitempty"` // members that ended
	Total   int            `json:"total,omitempty"`
	RunID   string         `json:"run_id,omitempty"`

	Back    bool               `json:"back,omitempty"`   // its canary is back and healthy, or it is done
	Failed  int                `json:"failed,omitempty"` // members that failed, and soaks
	Blames  [blamedKept]Blamed `json:"blames,omitzero"`  // what for
	Ask     int                `json:"ask,omitempty"`    // its last question whether it may back out by itself
	May     bool               `json:"may,omitempty"`    // and the answer
	Granted time.Time          `json:"granted,omitzero"` // when that was a yes

	Ahead Ahead `json:"ahead,omitzero"`
}

// Campaign is the state of an instance's workflow.
type Campaign struct {
	Instance   string    `json:"instance"`
	Name       string    `json:"name"`
	Why        string    `json:"why"`
	Ticket     string    `json:"ticket,omitempty"`
	Requester  string    `json:"requester"`
	Plan       string    `json:"plan"` // digest
	Unattended bool      `json:"unattended,omitempty"`
	Parallel   int       `json:"parallel"`
	Stages     []string  `json:"stages"`
	Clusters   []Ref     `json:"clusters"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`

	Stage    int             `json:"stage"`
	Paused   string          `json:"paused,omitempty"`
	Stopped  string          `json:"stopped,omitempty"` // what it was stopped for last: a person who resumes is not asked twice
	AbortFor string          `json:"abort_for,omitempty"`
	Outcome  CampaignOutcome `json:"outcome,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Outbox   Outbox          `json:"outbox"`

	BackoutFor string `json:"backout_for,omitempty"`

	Ramp     []int   `json:"ramp,omitempty"`      // how many clusters of a stage begin in each step
	Breaker  int     `json:"breaker,omitempty"`   // how many clusters may back out by themselves within BreakerSpan
	StopSame int     `json:"stop_same,omitempty"` // how many failures for the same cause stop a stage
	StopAny  []int   `json:"stop_any,omitempty"`  // and how many of any, by stage
	Trips    int     `json:"trips,omitempty"`     // how often the breaker tripped
	Tripped  string  `json:"tripped,omitempty"`   // why no cluster backs out by itself now
	Limited  bool    `json:"limited,omitempty"`   // too much failed, and nobody has resumed it since
	Excused  Excused `json:"excused,omitzero"`

	Unknown string    `json:"unknown,omitempty"` // why nobody can tell who asked for it
	AskWho  time.Time `json:"ask_who,omitzero"`  // when that is asked again

	Holds []HeldFor `json:"holds,omitempty"` // the last ones
	Said  Said      `json:"said,omitzero"`

	Change *Change `json:"change,omitempty"` // nil: nobody asks for a number

	Emergency string    `json:"emergency,omitempty"` // the packages that it brings, as a person named them
	OwedTold  time.Time `json:"owed_told,omitzero"`  // when people were last told of an approval that is overdue

	Advisories []Advisory `json:"advisories,omitempty"` // by which an emergency brings some of its packages

	Gates     []Gate     `json:"gates,omitempty"` // in the order in which it comes to them
	Approvals []Approval `json:"approvals,omitempty"`

	Broken []Broken `json:"broken,omitempty"` // freezes, by their approvers

	Turn *Turn `json:"turn,omitempty"` // of an instance that a schedule made; nil: it begins at once
	// Standing is the schedule that made it by itself, whose standing approvals may open its gates; empty: none may.
	Standing string `json:"standing,omitempty"`
}

// Next says what the campaign's workflow does now.
func (c Campaign) Next(now time.Time) Decision {
	d := Decision{Start: c.Outbox.actions()}
	if c.Outcome != "" {
		d.Start = append(d.Start, c.changeActions()...)
		d.End = len(d.Start) == 0
		d.Reason = string(c.Outcome) + because(c.Reason)
		return d
	}
	d.Reason = c.summary() + c.Change.waits() + c.fetched() + c.waits() + c.begins()
	if c.Unknown != "" {
		d.Reason += "; nobody can tell who asked for it: " + c.Unknown
		if d.WakeAt = c.AskWho; c.turns() {
			return c.turn(d, now) // its windows pass meanwhile
		}
		return d
	}
	if c.Change.pending() {
		d.Start = append(d.Start, c.changeActions()...)
		return d
	}
	ahead, wake := c.aheads(now)
	d.Start, d.WakeAt = append(d.Start, ahead...), wake
	g, waits := c.Awaits()
	if waits {
		d.Start = append(append(d.Start, g.prove(now)...), c.look(g, now)...)
		if at := g.wake(now); !at.IsZero() && (wake.IsZero() || at.Before(wake)) {
			d.WakeAt = at
		}
	}
	if c.turns() {
		return c.turn(d, now)
	}
	if waits {
		return d
	}
	if g, owed := c.Owes(); owed {
		d.Start, d.WakeAt = append(d.Start, g.prove(now)...), earlier(wake, earlier(g.wake(now), c.owedDue(), now), now)
	}
	if c.Paused != "" || c.AbortFor != "" || c.BackoutFor != "" {
		return d
	}
	slots := c.Parallel - c.runningCount()
	open, _ := c.opened()
	for _, r := range c.Clusters {
		if slots <= 0 || open <= 0 {
			break
		}
		if r.Stage == c.Stage && !r.untried() {
			open--
		}
		if r.Stage != c.Stage || r.Running || r.Outcome != "" || c.sharesRunning(r, d.Start) || c.waitsForOthers(r) {
			continue
		}
		d.Start = append(d.Start, Action{ID: "cluster." + r.Name, Do: DoCluster, Name: r.Name})
		slots--
	}
	return d
}

// sharesRunning says that a cluster with a host in common runs, or is about to.
func (c Campaign) sharesRunning(r Ref, starting []Action) bool {
	for _, other := range r.Shares {
		for _, o := range c.Clusters {
			if o.Name == other && o.Running {
				return true
			}
		}
		for _, a := range starting {
			if a.Do == DoCluster && a.Name == other {
				return true
			}
		}
	}
	return false
}

// Started records that a cluster's workflow runs; applied before it is started.
func (c Campaign) Started(name string) Campaign {
	return c.ref(name, func(r *Ref) { r.Running, r.Phase = true, PhaseClaim })
}

// Confirmed records the run of a cluster's workflow, by which it is asked for when its report may be lost.
func (c Campaign) Confirmed(name, runID string) Campaign {
	return c.ref(name, func(r *Ref) { r.RunID = runID })
}

// Report is what a cluster tells its campaign whenever its phase changes, and at its end.
type Report struct {
	Name    string         `json:"name"`
	Phase   Phase          `json:"phase"`
	Reason  string         `json:"reason,omitempty"`
	Outcome ClusterOutcome `json:"outcome,omitempty"`
	Done    int            `json:"done"`
	Total   int            `json:"total"`
	Audit   string         `json:"audit,omitempty"` // last digest of its chain
	// Stop is why no other cluster of the campaign may go on either.
	Stop   string             `json:"stop,omitempty"`
	Back   bool               `json:"back,omitempty"` // see Ref
	Failed int                `json:"failed,omitempty"`
	Blames [blamedKept]Blamed `json:"blames,omitzero"`
	Ask    int                `json:"ask,omitempty"` // the number of the question whether it may back out by itself; 0: it asks nothing
}

// Report is what the cluster's state says to its campaign.
func (c Cluster) Report() Report {
	r := Report{Name: c.Name, Phase: c.Phase, Outcome: c.Outcome, Total: len(c.Members), Stop: c.StopCampaign, Back: c.back(), Ask: c.asking()}
	r.Failed, r.Blames = c.failures()
	for _, m := range c.Members {
		if m.Outcome != "" && !m.Running {
			r.Done++
		}
	}
	switch c.Phase {
	case PhaseGate:
		r.Reason = "soak " + strconv.Itoa(c.SoakNo) + " passed and waits for a person: " + c.Gate.Type(c.Instance+" --cluster "+c.Name)
	case PhaseHold:
		r.Reason = c.HoldFor
	case PhaseAsk:
		r.Reason = c.AskFor
	case PhaseRelease, PhaseEnded:
		r.Reason = c.Reason
	case PhaseClaim:
		r.Reason = c.WaitFor
	case PhaseSoak, PhaseSettle:
		if c.Doubted {
			r.Phase, r.Reason = PhaseHold, c.doubted()
		}
	case PhaseRoll:
		if _, running := c.running(); c.Paused != "" && !running {
			r.Phase, r.Reason = PhaseHold, c.Paused
		} else if c.Doubted && !running {
			r.Phase, r.Reason = PhaseHold, c.doubted()
		}
	}
	if c.Held && (c.Phase != PhaseRoll || c.Paused == "") { // while a person holds it, nothing is asked for
		r.Phase, r.Reason = PhaseHold, c.StuckFor()
	}
	r.Reason = brief(r.Reason)
	return r
}

// brief keeps a reason as short as a report of many clusters has room for. It ends where a clause does: half a command is worse than none.
func brief(reason string) string {
	const longest, more = 300, " ..."
	if len(reason) <= longest {
		return reason
	}
	kept := strings.ToValidUTF8(reason[:longest-len(more)], "")
	for _, border := range []string{"; ", ": ", " "} {
		if i := strings.LastIndex(kept, border); i > 0 {
			return kept[:i] + more
		}
	}
	return kept + more
}

// Reported applies a cluster's report. Reports may come twice and late: after its end nothing changes a cluster.
func (c Campaign) Reported(r Report, now time.Time) Campaign {
	c = c.ref(r.Name, func(ref *Ref) {
		if ref.Outcome != "" {
			return
		}
		ref.Phase, ref.Reason, ref.Done, ref.Total, ref.Outcome = r.Phase, r.Reason, r.Done, r.Total, r.Outcome
		ref.Running = r.Outcome == ""
		if ref.Back = r.Back || r.Outcome == ClusterDone; r.Failed >= ref.Failed {
			ref.Failed, ref.Blames = r.Failed, r.Blames
		}
	})
	c = c.asked(r, now).late(r.Name)
	switch of := "cluster " + r.Name + ": "; {
	case r.Stop != "":
		c = c.stop(of+r.Stop, now)
	case strings.HasPrefix(c.Stopped, of):
		c.Stopped = "" // a person had it go on: what fails after that stops the campaign anew
	}
	if ended := c.border(now); ended.Outcome != "" {
		return ended // there is nothing left to stop
	}
	return c.limit().border(now)
}

// stop is halt for a cluster that wants it, once for each cause.
func (c Campaign) stop(why string, now time.Time) Campaign {
	if c.Outcome != "" || c.AbortFor != "" || c.BackoutFor != "" || c.Stopped == why {
		return c
	}
	c.Stopped = why
	return c.halt(why)
}

// halt lets nothing further begin in any cluster. A person decides how it goes on; unattended there is none, and it ends.
func (c Campaign) halt(why string) Campaign {
	if c.Unattended {
		c.AbortFor = "stopped: " + why
	} else {
		c.Paused = "stopped: " + why
		c.Outbox.tell(TellHold, "", "campaign "+c.Instance+" holds: "+why, "rollpatch status "+c.Instance)
	}
	return c
}

// border moves on to the next stage when every cluster of this one is done, and ends what cannot go on.
func (c Campaign) border(now time.Time) Campaign {
	if c.Outcome != "" || c.runningCount() > 0 {
		return c
	}
	if c.BackoutFor != "" {
		return c.finish(CampaignHalted, c.BackoutFor, now)
	}
	if c.AbortFor != "" {
		return c.finish(CampaignAborted, c.AbortFor, now)
	}
	var halted []string
	never, awaited := c.later() // nothing runs: who is awaited has ended, and its canary does not come back
	for _, r := range c.Clusters {
		switch {
		case r.Stage != c.Stage:
		case r.Outcome == "" && slices.Contains(never, r.Name):
		case r.Outcome == "":
			return c
		case r.Outcome != ClusterDone:
			halted = append(halted, r.Name+" ("+string(r.Outcome)+because(r.Reason)+")")
		}
	}
	if _, owed := c.Owes(); owed && (len(halted) > 0 || c.Stage+1 == len(c.Stages)) {
		return c // its work is over; the usual approval, or a person who gives up on it, ends it
	}
	if len(halted) > 0 {
		why := "not done: " + strings.Join(halted, ", ")
		if len(never) > 0 {
			why += "; not begun, because " + canaries(awaited, "not back") + ": " + few(never)
		}
		return c.finish(CampaignHalted, why, now)
	}
	if c.Stage+1 < len(c.Stages) {
		c.Stage++
		c.Excused = Excused{}
		return c.border(now)
	}
	return c.finish(CampaignDone, "", now)
}

func (c Campaign) finish(o CampaignOutcome, why string, now time.Time) Campaign {
	c.Outcome, c.Reason, c.EndedAt = o, why, now
	switch o {
	case CampaignDone:
		c.Outbox.tell(TellDone, "", "campaign "+c.Instance+" is done", "rollpatch status "+c.Instance)
	default:
		c.Outbox.tell(TellHalted, "", "campaign "+c.Instance+" "+string(o)+": "+why, "rollpatch status "+c.Instance)
	}
	return c
}

// Hold starts no further cluster; the clusters that run are told to hold at their next border.
func (c Campaign) Hold(m Message) Campaign {
	c.Paused = m.Reason + " (" + m.Actor + ")"
	return c
}

// Resume ends a hold. What had failed by then is known to who says it, and automatic backouts are counted anew.
func (c Campaign) Resume() Campaign {
	c.Paused = ""
	c = c.reconvene()
	if c.Limited || c.Tripped != "" {
		c = c.excuse()
	}
	return c.reset()
}

// Abort starts nothing new; the clusters that run are told to abort.
func (c Campaign) Abort(m Message, now time.Time) Campaign {
	if c.Outcome != "" || c.AbortFor != "" {
		return c
	}
	c.AbortFor = "aborted by " + m.Actor + " (claimed): " + m.Reason
	return c.border(now)
}

// Held says that nothing moves without a person: every cluster that runs is in a hold, or the campaign itself is.
func (c Campaign) Held() bool {
	running, held := 0, 0
	for _, r := range c.Clusters {
		if r.Running {
			running++
			if r.Phase == PhaseHold {
				held++
			}
		}
	}
	return c.Outcome == "" && (running > 0 && running == held && c.Next(time.Time{}).idle() || running == 0 && (c.Paused != "" || c.onlyOwes()))
}

func (d Decision) idle() bool {
	for _, a := range d.Start {
		if a.Do != DoNotify && a.Do != DoAhead { // what is fetched ahead moves nothing on
			return false
		}
	}
	return true
}

func (c Campaign) runningCount() int {
	n := 0
	for _, r := range c.Clusters {
		if r.Running {
			n++
		}
	}
	return n
}

func (c Campaign) summary() string {
	done, held, gates := 0, 0, 0
	for _, r := range c.Clusters {
		if r.Outcome != "" {
			done++
		}
		if r.Phase == PhaseGate && r.Running {
			gates++
		}
		if r.Phase == PhaseHold {
			held++
		}
	}
	s := ""
	if c.Stage < len(c.Stages) {
		s = "stage " + c.Stages[c.Stage] + ": "
	}
	s += strconv.Itoa(done) + " of " + strconv.Itoa(len(c.Clusters)) + one(len(c.Clusters), " cluster", " clusters") + " ended, "
	s += strconv.Itoa(c.runningCount()) + one(c.runningCount(), " on its way", " on their way")
	if held > 0 {
		s += ", " + strconv.Itoa(held) + " held"
	}
	if gates > 0 {
		s += ", " + strconv.Itoa(gates) + " waiting for approval"
	}
	if c.AbortFor == "" && c.BackoutFor == "" {
		s += c.ramped()
	}
	switch {
	case c.BackoutFor != "":
		s += "; " + c.BackoutFor
	case c.AbortFor != "":
		s += "; " + c.AbortFor
	case c.Paused != "":
		s += "; held: " + c.Paused
	}
	return s
}

// one chooses the words for one or for several.
func one(n int, single, several string) string {
	if n == 1 {
		return single
	}
	return several
}

func (c Campaign) find(name string) (Ref, bool) {
	for _, r := range c.Clusters {
		if r.Name == name {
			return r, true
		}
	}
	return Ref{}, false
}

func (c Campaign) ref(name string, change func(*Ref)) Campaign {
	c.Clusters = append([]Ref(nil), c.Clusters...)
	for i := range c.Clusters {
		if c.Clusters[i].Name == name {
			change(&c.Clusters[i])
		}
	}
	return c
}
