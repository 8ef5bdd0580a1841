package rollout

import (
	"strconv"
	"strings"
	"time"
)

// Phase is where a cluster stands.
type Phase string

// The phases of a cluster.
const (
	PhaseClaim   Phase = "claim"
	PhaseRoll    Phase = "roll"    // a wave is on its way
	PhaseSettle  Phase = "settle"  // between two members of a wave
	PhaseSoak    Phase = "soak"    // between two waves
	PhaseGate    Phase = "gate"    // the soak passed, a person has to agree
	PhaseHold    Phase = "hold"    // only a person's message goes on
	PhaseAsk     Phase = "ask"     // a soak failed: its campaign says whether it may back out by itself
	PhaseBackout Phase = "backout" // patched members are brought back
	PhaseRelease Phase = "release"
	PhaseEnded   Phase = "ended"
)

// ClusterOutcome is how a cluster's workflow ended.
type ClusterOutcome string

// The outcomes of a cluster.
const (
	ClusterDone    ClusterOutcome = "done"
	ClusterHalted  ClusterOutcome = "halted"
	ClusterAborted ClusterOutcome = "aborted"
	// ClusterSuperseded: an emergency took it over. What is left of its soak and of its members is a debt.
	ClusterSuperseded ClusterOutcome = "superseded"
)

// ClusterPolicy is what the rules of a cluster need of the campaign's policy.
type ClusterPolicy struct {
	Soak         time.Duration `json:"soak"`
	SoakPasses   int           `json:"soak_passes"` // passes in a row that a soak must end with
	SoakApproval bool          `json:"soak_approval,omitempty"`
	Settle       time.Duration `json:"settle"`
	RetryEvery   time.Duration `json:"retry_every"`
	WaitMax      time.Duration `json:"wait_max,omitempty"` // how long checks may stay inconclusive, or a claim without an answer, before a person is told; 0: for ever
	Unattended   bool          `json:"unattended,omitempty"`
	OnFailure    OnFailure     `json:"on_failure,omitempty"` // once a member failed Retries times more than once
	Retries      int           `json:"retries,omitempty"`
	Failures     int           `json:"failures,omitempty"` // how many members FailSkipMember may leave as they are
	// Windows: windows or freezes are asked before a member is started. OnFail is what becomes of members whose soak failed while none is open.
	Windows  bool          `json:"windows,omitempty"`
	OnFail   string        `json:"on_fail,omitempty"`
	MaxMixed time.Duration `json:"max_mixed,omitempty"` // how long some members may have what others do not have, before people are told; 0: for ever
	Updaters bool          `json:"updaters,omitempty"`  // automatic updates are off on every member while the cluster is worked on
	Staged   bool          `json:"staged,omitempty"`    // a member is begun only with versions that have finished in another stage
	// Emergency: others hand their clusters over to it, and it hands over to nobody.
	Emergency bool `json:"emergency,omitempty"`
}

// Slot is one member as its cluster keeps it.
type Slot struct {
	Host    string  `json:"host"`
	Mode    Mode    `json:"mode,omitempty"`    // of the workflow that runs, or ran last
	Tries   int     `json:"tries,omitempty"`   // workflows started for it
	Running bool    `json:"running,omitempty"` // its workflow was started and has not reported its end
	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Canary  bool    `json:"canary,omitempty"`
	// Changes is the digest of what its transaction changed: a body in the store.
	Changes  string `json:"changes,omitempty"`
	Count    int    `json:"count,omitempty"` // packages changed
	BootOld  string `json:"boot_old,omitempty"`
	BootNew  string `json:"boot_new,omitempty"`
	OutMilli int64  `json:"out_milli,omitempty"`
	OutAt    int64  `json:"out_at,omitempty"`   // unix milliseconds since when it is out of service, where its end left it so
	RunID    string `json:"run_id,omitempty"`   // of its workflow, to ask what became of it
	Failures int    `json:"failures,omitempty"` // ends of its workflow without a patch
	Cut      int    `json:"cut,omitempty"`      // how often its window closed while it waited for something else
	Left     bool   `json:"left,omitempty"`     // left as it is, by policy or a person's word
	HoldsAt  Step   `json:"holds_at,omitempty"` // the step before which its workflow holds, as it told
	Holds    string `json:"holds,omitempty"`    // and why; empty: it goes on
	Failed   bool   `json:"failed,omitempty"`   // it failed for good at least once: a failure of its stage
	Blame    string `json:"blame,omitempty"`    // the check or the package that it failed for last

	Platform string `json:"platform,omitempty"`
	Took     Took   `json:"took,omitzero"`      // its last patch
	TookBack Took   `json:"took_back,omitzero"` // its last way back

	OtherHand bool `json:"other_hand,omitempty"` // somebody else has changed it: a person was told, and only that one has it tried again

	Accepted []Accepted `json:"accepted,omitempty"` // findings that would have kept it from its drain

	Print   string  `json:"print,omitempty"`  // how it looked before its last patch: a digest
	Differs Differs `json:"differs,omitzero"` // and how differently after it, or what its way back did not restore

	Pulse *Pulse `json:"pulse,omitempty"` // the last one of its soak
}

// Cluster is the state of one cluster's workflow.
type Cluster struct {
	Instance   string `json:"instance"`
	Name       string `json:"name"`
	Stage      string `json:"stage"`
	Members    []Slot `json:"members"`        // in order of work
	Size       int    `json:"size,omitempty"` // of the whole cluster, where only some of its members are worked on
	MinHealthy int    `json:"min_healthy"`
	Accepted   string `json:"accepted,omitempty"` // why its impact is accepted by name
	// AcceptedUntil is when that, or the impact on another cluster that its members belong to, is accepted no more; zero: nothing relies on it.
	AcceptedUntil time.Time `json:"accepted_until,omitzero"`

	Undrained []string      `json:"undrained,omitempty"` // clusters that its members belong to, whose members are not drained, and nobody accepted that by name
	Policy    ClusterPolicy `json:"policy"`

	Phase    Phase     `json:"phase"`
	Since    time.Time `json:"since,omitzero"` // of the phase
	Asked    int       `json:"asked"`
	NextAsk  time.Time `json:"next_ask,omitzero"`
	WaitFor  string    `json:"wait_for,omitempty"`
	Stuck    time.Time `json:"stuck,omitzero"`    // since when nobody can be asked for what it waits for
	Held     bool      `json:"held,omitempty"`    // for so long that a person was told
	Claimed  bool      `json:"claimed,omitempty"` // the claim may be ours: a release is owed
	Manifest string    `json:"manifest,omitempty"`
	Wave     int       `json:"wave"`

	SoakNo   int       `json:"soak_no,omitempty"`
	Soaked   int       `json:"soaked,omitempty"` // members that were patched when a soak last passed, where only some of the cluster are worked on
	SoakEnds time.Time `json:"soak_ends,omitzero"`
	// Restarts is how often the soak of this wave began anew because something happened to a member, and Restarted what did last.
	Restarts  int     `json:"restarts,omitempty"`
	Restarted string  `json:"restarted,omitempty"`
	Passes    int     `json:"passes,omitempty"` // in a row, as the watch last told
	Verdict   Verdict `json:"verdict,omitempty"`
	Watched   string  `json:"watched,omitempty"` // what the watch last said
	// Suspect is a fail that could not be compared with an unpatched peer, because the only one was on its way.
	Suspect  string    `json:"suspect,omitempty"`
	Doubt    time.Time `json:"doubt,omitzero"`    // since when the verdict is inconclusive
	Doubted  bool      `json:"doubted,omitempty"` // for so long that a person was told
	Settling time.Time `json:"settling,omitzero"` // since when the checks of a settling wave pass
	// SampledAt is when the watch last told something, and Again how often the checks were asked anew because nobody had been there to hear.
	SampledAt time.Time `json:"sampled_at,omitzero"`
	Again     int       `json:"again,omitempty"`

	StopCampaign string         `json:"stop_campaign,omitempty"` // why no other cluster may go on either
	Paused       string         `json:"paused,omitempty"`        // why an operator holds it; takes effect at the next border
	HoldFor      string         `json:"hold_for,omitempty"`
	AbortFor     string         `json:"abort_for,omitempty"`
	BackoutFor   string         `json:"backout_for,omitempty"`
	Ending       ClusterOutcome `json:"ending,omitempty"` // what it ends as once the claim is released
	Outcome      ClusterOutcome `json:"outcome,omitempty"`
	Reason       string         `json:"reason,omitempty"`
	Approvals    []Approval     `json:"approvals,omitempty"`
	Outbox       Outbox         `json:"outbox"`

	Gate  Gate      `json:"gate,omitzero"`   // of its soak
	Found string    `json:"found,omitempty"` // of a soak that passed later: what somebody who agreed ahead has not seen
	Anew  time.Time `json:"anew,omitzero"`   // what was said before that counts no more

	Bad         string     `json:"bad,omitempty"`         // why what its members got is bad: a soak that failed, or a person's word
	Evidence    []Evidence `json:"evidence,omitempty"`    // of versions that are not on record yet
	EvidenceNo  int        `json:"evidence_no,omitempty"` // how often a record was asked for
	EvidenceAsk time.Time  `json:"evidence_ask,omitzero"`
	Shut        []string   `json:"shut,omitempty"`     // the transactions whose versions are on record
	LeftOut     string     `json:"left_out,omitempty"` // what its members did not get, because it is in quarantine

	AskFor     string `json:"ask_for,omitempty"`     // why it would be brought back, although no person said so
	AskSoak    bool   `json:"ask_soak,omitempty"`    // and that is a soak that failed: once a member goes back for it, what they got is bad
	Asks       int    `json:"asks,omitempty"`        // questions put to its campaign whether it may
	Refused    string `json:"refused,omitempty"`     // why it may not; takes effect at the next border
	Auto       bool   `json:"auto,omitempty"`        // it is brought back, and no person said so: the breaker may stop it
	Trip       int    `json:"trip,omitempty"`        // how often that had tripped when it was granted
	SoakFailed bool   `json:"soak_failed,omitempty"` // at least once: a failure of its stage
	SoakBlame  string `json:"soak_blame,omitempty"`  // and the check that it failed for

	FitAt      time.Time `json:"fit_at,omitzero"`      // when windows and freezes last said that a member may begin
	Closed     bool      `json:"closed,omitempty"`     // what it waits for is a window, or the end of a freeze
	Frozen     bool      `json:"frozen,omitempty"`     // of a freeze whose thaw is told
	Unbound    bool      `json:"unbound,omitempty"`    // a person had it brought back: no window is asked for
	Stands     []Freeze  `json:"stands,omitempty"`     // the freezes that keep it waiting
	Broken     []Broken  `json:"broken,omitempty"`     // those that do not, because their approvers broke them
	MixedSince time.Time `json:"mixed_since,omitzero"` // since when some members have what others do not have
	MixedTold  time.Time `json:"mixed_told,omitzero"`

	Updaters Updaters `json:"updaters,omitzero"`

	StagedAt time.Time `json:"staged_at,omitzero"` // when records last said that the next member may get what it would get

	Holds []HeldFor `json:"holds,omitempty"` // the last ones
	Said  Said      `json:"said,omitzero"`

	YieldTo string `json:"yield_to,omitempty"` // workflow id of the emergency's cluster that takes it over at its next safe point
}

// Approval is a person's word that a soak may end, or that a campaign goes on.
type Approval struct {
	Gate    string    `json:"gate,omitempty"`
	Soak    int       `json:"soak,omitempty"`
	Actor   string    `json:"actor"`
	Claimed bool      `json:"claimed"`       // the name was not proven by a signature
	Key     string    `json:"key,omitempty"` // that signed it
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"` // of a freeze that it breaks: then the freeze stands again
	// Standing is the name of the standing approval that it comes from; empty: he said it of this plan himself.
	Standing string `json:"standing,omitempty"`
}

// next is Next without the records of versions that failed.
func (c Cluster) next(now time.Time) Decision {
	d := Decision{Start: c.Outbox.actions()}
	if c.Outcome != "" {
		d.End = len(d.Start) == 0
		d.Reason = string(c.Outcome) + because(c.Reason)
		return d
	}
	if c.watching() {
		d.Start = append(d.Start, Action{ID: c.watchID(), Do: DoWatch})
	}
	if run, ok := c.running(); ok {
		d.Reason = string(run.Mode) + " of " + run.Host + " is on its way"
		return d
	}
	switch c.Phase {
	case PhaseClaim, PhaseRelease:
		if d.Reason = string(c.Phase); c.WaitFor != "" {
			d.Reason = c.waiting("for the " + string(c.Phase)) // the same while it is asked for again
		}
		if c.NextAsk.After(now) {
			d.WakeAt = c.NextAsk
			return d
		}
		if c.mustAsk(now) {
			return c.asks(d)
		}
		if c.unproven(now) {
			return c.asksStaged(d)
		}
		if c.Phase == PhaseRelease && len(c.Evidence) > 0 {
			return d // once they are on record
		}
		if c.Phase == PhaseRelease && c.Updaters.Owed {
			d.Start = append(d.Start, c.updaters(DoUpdatersOn))
			return d
		}
		do := DoClaim
		if c.Phase == PhaseRelease {
			do = DoRelease
		}
		d.Start = append(d.Start, Action{ID: string(do) + "." + strconv.Itoa(c.Asked), Do: do})
	case PhaseRoll, PhaseBackout:
		if c.Phase == PhaseRoll && c.Paused != "" {
			d.Reason = "held" + because(c.Paused)
			return d
		}
		if c.NextAsk.After(now) {
			d.WakeAt, d.Reason = c.NextAsk, c.waiting("")
			return d
		}
		if c.quiet() {
			d.Start = append(d.Start, c.updaters(DoUpdatersOff))
			if d.Reason = "turning automatic updates off on every member"; c.WaitFor != "" {
				d.Reason = c.waiting("")
			}
			return d
		}
		if c.Phase == PhaseRoll && c.watching() && c.Verdict == Inconclusive {
			d.WakeAt, d.Reason = c.doubtEnds(now), "waiting for the checks of every patched member"+c.watched()
			return d
		}
		i := c.nextMember()
		if i < 0 {
			d.Reason = "waiting for the checks of every patched member" + c.watched()
			return d
		}
		if c.mustAsk(now) {
			return c.asks(d)
		}
		if c.unproven(now) {
			return c.asksStaged(d)
		}
		m, mode := c.Members[i], ModePatch
		if c.Phase == PhaseBackout {
			mode = ModeBackout
		}
		d.Start = append(d.Start, Action{ID: "member." + m.Host + "." + strconv.Itoa(m.Tries+1) + "." + strconv.Itoa(c.Asked), Do: DoMember, Host: m.Host, Mode: mode, Canary: mode == ModePatch && c.Manifest == ""})
		d.Reason = string(mode) + " of " + m.Host + " begins"
	case PhaseSettle:
		ends := c.Settling.Add(c.Policy.Settle)
		d.Reason = "settling until " + stamp(ends) + c.watched()
		if now.Before(ends) {
			d.WakeAt = ends
		} else {
			d.WakeAt = c.doubtEnds(now)
			d.Reason += ", waiting for the checks of every patched member"
		}
	case PhaseSoak:
		d.Reason = "soak " + strconv.Itoa(c.SoakNo) + " since " + stamp(c.Since) + ", until " + stamp(c.SoakEnds) + c.watched()
		if c.Restarted != "" {
			d.Reason += ", begun anew because " + c.Restarted
		}
		if now.Before(c.SoakEnds) {
			d.WakeAt = c.SoakEnds
		} else {
			d.WakeAt = c.doubtEnds(now)
			d.Reason += ", waiting for " + strconv.Itoa(c.Policy.SoakPasses) + " passes in a row"
		}
	case PhaseGate:
		d.Reason = "soak " + strconv.Itoa(c.SoakNo) + " passed, waiting since " + stamp(c.Since) + " for a person to approve" + c.watched()
		if c.Gate.Why != "" || c.Gate.Proving {
			d.Reason += "; gate " + c.Gate.ID + " " + c.Gate.stands()
		}
		d.Start, d.WakeAt = append(d.Start, c.Gate.prove(now)...), c.Gate.wake(now)
	case PhaseAsk:
		d.Reason = c.AskFor + "; waits for its campaign's word that it may back out"
	case PhaseHold:
		d.Reason = "held since " + stamp(c.Since) + because(c.HoldFor)
	}
	return d
}

// Tick moves on what time alone moves: settling that is over, a soak that may end. The workflow calls it before Next.
func (c Cluster) Tick(now time.Time) Cluster {
	c = c.tellMixed(now)
	switch c.Phase {
	case PhaseRoll:
		_, running := c.running()
		switch {
		case running:
		case c.nextMember() < 0 && c.Verdict == Pass:
			return c.border(now)
		case c.watching() && (c.Paused == "" || c.nextMember() < 0):
			return c.doubt(now)
		}
	case PhaseSettle:
		if ends := c.Settling.Add(c.Policy.Settle); !now.Before(ends) && c.Verdict == Pass {
			if c.overslept(ends, now) {
				return c.askAnew(now)
			}
			if c = c.to(PhaseRoll, now); c.nextMember() < 0 {
				return c.border(now)
			}
			return c
		}
		return c.doubt(now)
	case PhaseSoak:
		if now.Before(c.SoakEnds) || c.Verdict != Pass || c.Passes < c.Policy.SoakPasses {
			return c.doubt(now) // the timer's end is no pass (P3)
		}
		if c.overslept(c.SoakEnds, now) {
			return c.askAnew(now)
		}
		if !c.Policy.SoakApproval {
			return c.nextWave(now)
		}
		return c.ripen(now)
	}
	return c
}

// tooLate is how long after its time a look at the clock shows that no worker was there to look.
const tooLate = 5 * time.Second

// overslept says that no worker was there when something was due: nobody has asked the checks since, and what they said before is old.
func (c Cluster) overslept(due, now time.Time) bool {
	return now.Sub(due) > tooLate && c.SampledAt.Before(due)
}

// askAnew has the checks asked from the beginning: as many passes in a row as if none had been seen.
func (c Cluster) askAnew(now time.Time) Cluster {
	c = c.unwatched()
	c.Again++
	c.Doubt = now
	return c
}

// doubt tells a person when checks that can be told neither way keep a cluster waiting for too long (P10). Nobody is there to
// be told in an unattended one: it halts. Where no worker was there meanwhile, nobody has asked the checks either: the wait begins anew.
func (c Cluster) doubt(now time.Time) Cluster {
	since := c.doubtSince()
	if c.Policy.WaitMax == 0 || c.Doubted || since.IsZero() || now.Sub(since) < c.Policy.WaitMax {
		return c
	}
	if c.Phase != PhaseRoll && c.overslept(since.Add(c.Policy.WaitMax), now) { // a cluster that rolls may have had no time to look
		c.Doubt = now
		return c
	}
	why := c.doubted()
	if c.Policy.Unattended {
		return c.finish(ClusterHalted, why, now)
	}
	c.Doubted, c.Found = true, "its checks could be told neither way for "+c.Policy.WaitMax.String()
	c.Outbox.tell(TellHold, "", "cluster "+c.Name+" holds: "+why, "rollpatch status "+c.Instance)
	return c
}

func (c Cluster) doubted() string { return "its checks can be told neither way" + because(c.Watched) }

// doubtSince is when the wait for a verdict began: not before one is due. Zero is not yet.
func (c Cluster) doubtSince() time.Time {
	due := c.SoakEnds
	if c.Phase == PhaseSettle {
		due = c.Since.Add(c.Policy.Settle)
	}
	switch {
	case c.Verdict == Pass, c.Phase == PhaseRoll && c.Verdict != Inconclusive:
		return time.Time{}
	case c.Doubt.After(due):
		return c.Doubt
	}
	return due
}

// doubtEnds is when to look whether the wait for a verdict took too long; zero is never.
func (c Cluster) doubtEnds(now time.Time) time.Time {
	since := c.doubtSince()
	if c.Policy.WaitMax == 0 || c.Doubted || since.IsZero() || !since.Add(c.Policy.WaitMax).After(now) {
		return time.Time{}
	}
	return since.Add(c.Policy.WaitMax)
}

// ClaimResult is what asking for something that others may have came to: the claim, its release, or a host for a member's workflow.
type ClaimResult struct {
	OK     bool   `json:"ok"`
	Held   bool   `json:"held,omitempty"` // another instance has it: that is waited for without end. Whatever else is not OK is trouble
	Reason string `json:"reason,omitempty"`
	// Holders are the workflows of this server that hold a claim for a cluster (claim, of an emergency).
	Holders []string `json:"holders,omitempty"`
}

// Claim applies the answer to a claim.
func (c Cluster) Claim(id string, r ClaimResult, now time.Time) Cluster {
	if c.Phase != PhaseClaim || id != "claim."+strconv.Itoa(c.Asked) {
		return c
	}
	c.Asked++
	c.Claimed = true // even a lost answer may have taken it
	switch {
	case c.AbortFor != "":
		return c.finish(ClusterAborted, c.aborted(), now)
	case c.YieldTo != "" && !r.Held:
		return c.superseded(now)
	case !r.OK:
		return c.contend(r, now).wait(r, now).stuck(now)
	}
	if size := max(c.Size, len(c.Members)); LosingOneBreaks(size, c.MinHealthy) && c.Accepted == "" {
		return c.finish(ClusterHalted, "losing one of "+strconv.Itoa(size)+" members breaks min_healthy "+strconv.Itoa(c.MinHealthy)+
			": add a member, or accept it by name in the campaign file with "+accepting(c.Name), now)
	}
	if (c.Accepted != "" || !c.AcceptedUntil.IsZero()) && !now.Before(c.AcceptedUntil) {
		return c.finish(ClusterHalted, over(c.Name, c.AcceptedUntil), now)
	}
	if len(c.Undrained) > 0 {
		return c.finish(ClusterHalted, "members of "+strings.Join(c.Undrained, ", ")+" would be patched while they serve (drain: none): give them another drain, "+
			"or accept it by name in the campaign file with "+accepting(c.Undrained[0]), now)
	}
	c.Updaters.Owed = c.Policy.Updaters
	return c.to(PhaseRoll, now)
}

// Released applies the answer to a release. One that is in trouble is never given up: the claim may be ours (P5).
func (c Cluster) Released(id string, r ClaimResult, now time.Time) Cluster {
	if c.Phase != PhaseRelease || id != "release."+strconv.Itoa(c.Asked) {
		return c
	}
	c.Asked++
	if !r.OK {
		return c.wait(r, now).stuck(now)
	}
	c.Claimed, c.Outcome = false, c.Ending
	return c.to(PhaseEnded, now)
}

// wait asks again after RetryEvery. An answer that names who has it is no trouble.
func (c Cluster) wait(r ClaimResult, now time.Time) Cluster {
	c.WaitFor, c.NextAsk = r.Reason, now.Add(c.Policy.RetryEvery)
	if c.WaitFor == "" {
		c.WaitFor = "no reason was given"
	}
	switch {
	case r.Held:
		c.Stuck, c.Held = time.Time{}, false
	case c.Stuck.IsZero():
		c.Stuck = now
	}
	return c
}

// stuck tells a person when trouble keeps a cluster waiting for too long (P10); it goes on by itself when the cause is gone.
// Unattended it halts before anything else is changed, but what is owed, a way back or a release, it owes until it is through.
func (c Cluster) stuck(now time.Time) Cluster {
	switch {
	case c.Policy.WaitMax == 0, c.Held, c.Stuck.IsZero(), now.Sub(c.Stuck) < c.Policy.WaitMax:
		return c
	case c.Suspect != "":
		return c // whether those that are patched must go back is told first
	}
	if c.Policy.Unattended && (c.Phase == PhaseClaim || c.Phase == PhaseRoll) {
		return c.finish(ClusterHalted, "gave up after "+c.Policy.WaitMax.String()+" "+c.StuckFor(), now)
	}
	c.Held = true
	c.Outbox.tell(TellHold, "", "cluster "+c.Name+" holds "+c.StuckFor(), "rollpatch why "+c.Instance)
	return c
}

// StuckFor says what trouble keeps the cluster from; empty when there is none.
func (c Cluster) StuckFor() string {
	if c.Stuck.IsZero() {
		return ""
	}
	before := string(c.Phase)
	switch c.Phase {
	case PhaseRoll:
		before = string(ModePatch)
	case PhaseRelease:
		before += " (" + string(c.Ending) + ")"
	}
	return "before " + before + because(c.WaitFor)
}

// waiting is what people read while something is asked for again and again.
func (c Cluster) waiting(what string) string {
	if c.Held {
		return "holding " + c.StuckFor() + " (since " + stamp(c.Stuck) + ")"
	}
	if c.Closed {
		what = "until a host may begin"
	}
	return strings.TrimSpace("waiting "+what) + because(c.WaitFor)
}

// Started records that a member's workflow runs. It is applied before the workflow is started, so that no crash can lead to
// a second one: what was recorded and never started is found by asking for it.
func (c Cluster) Started(host string, mode Mode, now time.Time) Cluster {
	if mode == ModeBackout && c.AskSoak { // not before: what many fail at once is no fault of the versions
		c.AskSoak = false
		c = c.suspect(c.BackoutFor, now)
	}
	c.FitAt = time.Time{} // each is asked for
	c.StagedAt = time.Time{}
	return c.slot(host, func(s *Slot) {
		s.Running, s.Mode, s.Tries, s.Reason, s.RunID = true, mode, s.Tries+1, "", ""
		s.Canary = s.Canary || mode == ModePatch && c.Manifest == ""
	})
}

// Confirmed records the run of a member's workflow, by which it is asked for when its report may be lost.
func (c Cluster) Confirmed(host, runID string) Cluster {
	c.Stuck, c.Held = time.Time{}, false
	return c.slot(host, func(s *Slot) { s.RunID = runID })
}

// NotStarted takes that back: the host's workflow id is taken, or its start failed for sure.
func (c Cluster) NotStarted(host string, r ClaimResult, now time.Time) Cluster {
	c = c.slot(host, func(s *Slot) {
		if s.Running {
			s.Running, s.Tries = false, s.Tries-1
		}
	})
	c.Asked++
	return c.wait(r, now).border(now).stuck(now)
}

// MemberEnd is what a member's workflow reports at its end.
type MemberEnd struct {
	Host     string  `json:"host"`
	Mode     Mode    `json:"mode"`
	Try      int     `json:"try,omitempty"` // which of the workflows for this host it was; a late report ends no other
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"`
	Blame    string  `json:"blame,omitempty"`    // the check or the package that it failed for
	Manifest string  `json:"manifest,omitempty"` // of a canary that was patched
	Changes  string  `json:"changes,omitempty"`
	Count    int     `json:"count,omitempty"`
	BootOld  string  `json:"boot_old,omitempty"`
	BootNew  string  `json:"boot_new,omitempty"`
	OutMilli int64   `json:"out_milli,omitempty"`
	OutAt    int64   `json:"out_at,omitempty"`   // of one that is still out
	TakenUp  bool    `json:"taken_up,omitempty"` // its workflow had been ended from outside
	Suspect  string  `json:"suspect,omitempty"`  // what speaks against the versions it got
	LeftOut  string  `json:"left_out,omitempty"` // what it did not get, because it is in quarantine
	// NotNow: nothing was changed on it, because its window closed or a freeze began; Next is when it may be tried again.
	NotNow  bool      `json:"not_now,omitempty"`
	Waited  bool      `json:"waited,omitempty"` // for something else until then
	Next    time.Time `json:"next,omitzero"`
	GivenUp bool      `json:"given_up,omitempty"` // a person skipped it while it held
	Widens  bool      `json:"widens,omitempty"`   // its transaction holds what the plan that was approved does not, or what has not finished in the stage that goes first
	// OtherHand: somebody else has changed what soaks for it.
	OtherHand bool       `json:"other_hand,omitempty"`
	Accepted  []Accepted `json:"accepted,omitempty"` // findings that would have kept it from its drain

	Print   string  `json:"print,omitempty"`  // how it looked before its patch: a digest
	Differs Differs `json:"differs,omitzero"` // and how differently it looks at its end

	Platform string `json:"platform,omitempty"`
	Took     Took   `json:"took,omitzero"`
	TookBack Took   `json:"took_back,omitzero"`
}

// failed says that it was to be patched, and was not.
func (e MemberEnd) failed() bool {
	return e.Mode == ModePatch && e.Outcome != Patched && e.Outcome != Unchanged && !e.NotNow
}

// Ended applies a member's end. Reports may come twice, as a signal and by asking: the second changes nothing.
func (c Cluster) Ended(e MemberEnd, now time.Time) Cluster {
	found, whole := false, c
	c, e = c.cut(e)
	c = c.slot(e.Host, func(s *Slot) {
		if !s.Running || s.Mode != e.Mode || e.Try != 0 && e.Try != s.Tries {
			return
		}
		found = true
		s.Running, s.Reason, s.HoldsAt, s.Holds = false, e.Reason, "", ""
		if e.Mode == ModePatch || e.Outcome != Returned && e.Outcome != Skipped {
			s.Outcome = e.Outcome // a backout that did not begin leaves the member patched
		}
		if e.NotNow {
			s.Outcome, s.Reason = "", ""
		}
		if e.Outcome == Unchanged {
			s.Canary = false // the first one that is patched is the canary
		}
		s.Left = s.Left || e.failed() && e.GivenUp
		if len(e.Accepted) > 0 {
			s.Accepted = e.Accepted
		}
		if e.Mode == ModePatch && e.Print != "" {
			s.Print = e.Print
		}
		s.Differs = e.Differs
		s.Pulse = nil
		if e.BootNew != "" && e.Mode == ModePatch {
			s.Pulse = &Pulse{Boot: e.BootNew, Killed: -1} // a boot after that one is none that we asked for
		}
		s.OutMilli, s.OutAt = s.OutMilli+e.OutMilli, e.OutAt
		s.took(e, now)
		if e.Changes != "" && e.Mode == ModePatch { // a backout undoes the transaction that is on record
			s.Changes, s.Count = e.Changes, e.Count
		}
		if e.BootOld != "" && s.BootOld == "" {
			s.BootOld = e.BootOld
		}
		if e.BootNew != "" {
			s.BootNew = e.BootNew
		}
	})
	if !found {
		return whole
	}
	c.Asked++
	c = c.asked()
	if e.Outcome == Patched && c.Manifest == "" {
		c.Manifest = e.Manifest
	}
	c = c.evident(e, now).mix(now)
	switch {
	case e.Mode == ModeBackout && e.Outcome != BackedOut && e.Outcome != Quarantined:
		c.Auto = false // only a person has it go on
		return c.hold("the backout of "+e.Host+" could not begin"+because(e.Reason), now)
	case c.BackoutFor != "" || c.AbortFor != "":
	case c.AskFor != "":
		c, _ = c.count(e)
	case e.TakenUp && e.Mode == ModePatch:
		return c.hold("somebody ended the workflow of "+e.Host+" from outside; it was taken up, and is "+string(e.Outcome)+because(e.Reason), now)
	case e.Outcome == Patched && c.Manifest == "":
		return c.ask(e.Host+" told no manifest: no peer could get what it got", now) // P4
	case c.Suspect != "" && e.Outcome != Patched:
		// The peer is as it was, and serves: the fault is the patch's.
		return c.failed(c.Suspect, now)
	case e.NotNow:
		return c.closed(e.Reason, e.Next, false, now).border(now)
	case e.failed() && e.GivenUp:
		c, _ = c.count(e)
	case e.failed():
		return c.failedMember(e, now)
	}
	c = c.border(now)
	if c.Phase == PhaseRoll && e.Outcome == Patched && c.Policy.Settle > 0 {
		c = c.unwatched().to(PhaseSettle, now) // the watch has not seen it yet
		c.Settling = now
	}
	return c
}

// border is where a cluster stands between two members: here messages that came meanwhile take effect.
func (c Cluster) border(now time.Time) Cluster {
	if _, running := c.running(); running || c.Outcome != "" || c.Phase == PhaseRelease || c.Phase == PhaseClaim {
		return c
	}
	if c.Refused != "" {
		return c.refused(now)
	}
	if c.Phase == PhaseAsk {
		return c // also of one that is aborted: the way back is finished first
	}
	if c.AbortFor != "" && c.BackoutFor != "" && (c.Phase == PhaseHold || c.WaitFor != "" || c.Policy.Emergency && !c.Unbound) {
		// The way back cannot begin, and a person gave up on it; or it is an emergency's, that nobody said backout to.
		return c.finish(ClusterAborted, c.aborted()+"; "+c.BackoutFor, now)
	}
	if c.BackoutFor != "" {
		if c.nextBackout() < 0 {
			return c.finish(ClusterHalted, c.BackoutFor, now)
		}
		if c.Phase != PhaseBackout {
			return c.to(PhaseBackout, now)
		}
		return c
	}
	if c.AbortFor != "" {
		return c.finish(ClusterAborted, c.aborted(), now)
	}
	if c.YieldTo != "" {
		return c.superseded(now)
	}
	if c.Phase != PhaseRoll {
		return c
	}
	if c.WaitFor != "" {
		return c // a member that could not be started is tried again
	}
	if c.nextMember() < 0 {
		if c.watching() && c.Verdict == Inconclusive {
			return c // done is a word for what passes: Tick goes on when the watch can tell
		}
		if why := c.unsafe(); why != "" {
			return c.finish(ClusterHalted, why, now)
		}
		if c.unsoaked() {
			return c.soak(now)
		}
		return c.finish(ClusterDone, c.left(), now)
	}
	if c.waveDone() {
		return c.soak(now)
	}
	return c
}

func (c Cluster) soak(now time.Time) Cluster {
	c.SoakNo++
	c.Gate, c.Found, c.Anew, c.Restarted = Gate{Asked: c.Gate.Asked}, "", time.Time{}, ""
	c = c.unwatched().to(PhaseSoak, now)
	c.SoakEnds = now.Add(c.Policy.Soak)
	return c
}

// unsoaked says that the last wave soaks as well. Where only some members of the cluster are worked on, what they get may be new to all of it, and others,
// which are not worked on now, follow in another instance: nothing else would prove it (P3).
func (c Cluster) unsoaked() bool { return c.SoaksLast() && c.patchedCount() > c.Soaked }

// SoaksLast says that a soak follows its last wave, too.
func (c Cluster) SoaksLast() bool { return c.Size > len(c.Members) }

// unwatched forgets what was sampled of fewer members.
func (c Cluster) unwatched() Cluster {
	c.Passes, c.Verdict, c.Watched, c.Doubt, c.Doubted = 0, "", "", time.Time{}, false
	return c
}

func (c Cluster) nextWave(now time.Time) Cluster {
	c.Wave++
	c.Restarts, c.Restarted = 0, ""
	if c.Size > 0 {
		c.Soaked = c.patchedCount()
	}
	if c = c.to(PhaseRoll, now); c.nextMember() < 0 {
		return c.border(now)
	}
	return c
}

// WatchResult is what the checks of the patched members said, beside those of their unpatched peers.
type WatchResult struct {
	// ID is that of the action: a watch of another soak, or of fewer members, says nothing about this one.
	ID      string  `json:"id,omitempty"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	Blame   string  `json:"blame,omitempty"`  // the check that failed
	Passes  int     `json:"passes,omitempty"` // in a row
	Samples int     `json:"samples,omitempty"`
	// Pulses are those of the patched members that told theirs.
	Pulses map[string]Pulse `json:"pulses,omitempty"`
}

// Sampled applies what the watch found. A fail backs the patched members out; inconclusive waits.
func (c Cluster) Sampled(r WatchResult, now time.Time) Cluster {
	if !c.watching() || r.ID != "" && r.ID != c.watchID() {
		return c
	}
	if r.Verdict != Fail {
		var anew bool
		if c, anew = c.felt(r.Pulses, now); anew {
			return c
		}
	}
	c.Verdict, c.Watched, c.SampledAt = r.Verdict, r.Reason, now
	if r.Verdict == Fail {
		c.SoakBlame = blame(r.Blame)
	}
	switch r.Verdict {
	case Pass:
		c.Passes, c.Doubt, c.Doubted, c.Suspect = r.Passes, time.Time{}, false, ""
		return c
	case Fail:
		if _, peers := c.Watch(); len(peers) == 0 {
			if run, running := c.running(); running {
				// Its only unpatched peer is on its way: whose fault it is can be told when that one is back (P10).
				c.Suspect = r.Reason
				c.Watched += "; to be told when " + run.Host + " is back"
				return c.unsure(now)
			}
		}
	default:
		return c.unsure(now)
	}
	return c.failed(r.Reason, now)
}

// failed is a soak that failed. Many that do so together have a fault that no backout mends: the campaign is asked first.
func (c Cluster) failed(why string, now time.Time) Cluster {
	c.Passes, c.Suspect = 0, ""
	c.SoakFailed = true
	c.Outbox.tell(TellFail, "", "the soak of "+c.Name+" failed: "+why, "rollpatch why "+c.Name)
	c.AskSoak = true
	return c.ask("soak failed: "+why, now)
}

// unsure records a sample that says neither.
func (c Cluster) unsure(now time.Time) Cluster {
	c.Passes, c.Verdict = 0, Inconclusive
	if c.Doubt.IsZero() {
		c.Doubt = now
	}
	c.Settling = now // settling is a time of passing checks
	return c
}

// backout brings every patched member back, the last one first, then the cluster halts.
func (c Cluster) backout(why string, now time.Time) Cluster {
	if c.BackoutFor == "" {
		c.BackoutFor = why
	}
	c.HoldFor, c.AskFor, c.AskSoak, c.Refused, c.Auto = "", "", false, "", false
	if c.Phase == PhaseAsk {
		c = c.to(PhaseRoll, now)
	}
	return c.border(now)
}

// hold stops the cluster at a failure. Unattended there is nobody to ask: it halts.
func (c Cluster) hold(why string, now time.Time) Cluster {
	if c.Policy.Unattended || c.AbortFor != "" {
		return c.finish(ClusterHalted, why, now)
	}
	c.HoldFor, c.Refused = why, ""
	c.Outbox.tell(TellHold, "", "cluster "+c.Name+" holds: "+why, "rollpatch status "+c.Instance)
	if c = c.to(PhaseHold, now); c.YieldTo != "" && c.BackoutFor == "" {
		return c.superseded(now)
	}
	return c
}

func (c Cluster) finish(o ClusterOutcome, why string, now time.Time) Cluster {
	c.Ending, c.Reason = o, why
	if o == ClusterHalted || o == ClusterSuperseded {
		c.Outbox.tell(TellHalted, "", "cluster "+c.Name+" "+string(o)+": "+why, "rollpatch status "+c.Instance)
	}
	return c.to(PhaseRelease, now)
}

// to moves on to another phase; what the one before waited for is over.
func (c Cluster) to(p Phase, now time.Time) Cluster {
	c = c.asked()
	c.Phase, c.Since = p, now
	return c
}

// asked ends a wait for an answer.
func (c Cluster) asked() Cluster {
	c.WaitFor, c.NextAsk, c.Stuck, c.Held, c.Closed, c.Frozen, c.Stands = "", time.Time{}, time.Time{}, false, false, false, nil
	return c
}

// watching says that the checks of patched members go on: after each wave, between members, until the cluster ends. They
// stop where they could change nothing: in a hold, which only a person ends, and on the way back.
func (c Cluster) watching() bool {
	if c.BackoutFor != "" || c.patchedCount() == 0 {
		return false
	}
	return c.Phase == PhaseSoak || c.Phase == PhaseGate || c.Phase == PhaseSettle || c.Phase == PhaseRoll && c.SoakNo > 0
}

// watchID changes with the soak, the members that are watched, and where the checks are asked anew.
func (c Cluster) watchID() string {
	id := "watch." + strconv.Itoa(c.SoakNo) + "." + strconv.Itoa(c.patchedCount())
	if c.Again > 0 {
		id += "." + strconv.Itoa(c.Again)
	}
	return id
}

// Watch lists the members whose checks count for the soak, and the peers that were not touched, for comparison.
func (c Cluster) Watch() (patched, peers []string) {
	for _, m := range c.Members {
		switch {
		case m.Running:
		case m.Outcome == Patched:
			patched = append(patched, m.Host)
		case m.Outcome == "" || m.Outcome == Unchanged && c.Manifest == "":
			peers = append(peers, m.Host)
		}
	}
	return patched, peers
}

func (c Cluster) running() (Slot, bool) {
	for _, m := range c.Members {
		if m.Running {
			return m, true
		}
	}
	return Slot{}, false
}

// nextMember is the member whose turn it is, or -1.
func (c Cluster) nextMember() int {
	if c.Phase == PhaseBackout {
		return c.nextBackout()
	}
	for i, m := range c.Members {
		if m.Outcome == "" && !m.Running {
			return i
		}
	}
	return -1
}

func (c Cluster) nextBackout() int {
	for i := len(c.Members) - 1; i >= 0; i-- {
		if c.Members[i].Outcome == Patched && !c.Members[i].Running {
			return i
		}
	}
	return -1
}

// waveDone says that as many members were patched as the waves up to this one hold. Members with nothing to do do not
// count: the first one that was patched is the canary.
func (c Cluster) waveDone() bool {
	want := 0
	for i, n := range Waves(len(c.Members)) {
		if i > c.Wave {
			break
		}
		want += n
	}
	return c.patchedCount() >= want
}

func (c Cluster) patchedCount() int {
	n := 0
	for _, m := range c.Members {
		if m.Outcome == Patched {
			n++
		}
	}
	return n
}

// unsafe names the members that are not in service, or of which nobody knows.
func (c Cluster) unsafe() string {
	var names []string
	for _, m := range c.Members {
		if !m.Outcome.Safe() {
			names = append(names, m.Host+" is "+string(m.Outcome))
		}
	}
	return strings.Join(names, ", ")
}

func (c Cluster) slot(host string, change func(*Slot)) Cluster {
	c.Members = append([]Slot(nil), c.Members...)
	for i := range c.Members {
		if c.Members[i].Host == host {
			change(&c.Members[i])
		}
	}
	return c
}

func (c Cluster) watched() string {
	if c.Verdict == "" {
		return ", no verdict yet"
	}
	s := ", verdict " + string(c.Verdict) + " (" + strconv.Itoa(c.Passes) + " in a row)"
	return s + because(c.Watched)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(why, "\n")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
