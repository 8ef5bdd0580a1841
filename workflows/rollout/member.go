package rollout

import (
	"strconv"
	"strings"
	"time"
)

// Mode is what a member's workflow is for.
type Mode string

// The modes of a member's workflow.
const (
	ModePatch   Mode = "patch"
	ModeBackout Mode = "backout" // bring a member that was patched and undrained back to its ledger
	ModeReturn  Mode = "return"  // check a member in quarantine, or one that was left drained, and put it back into service
)

// Outcome is how a member's workflow ended. In each of them but quarantined the member is in service.
type Outcome string

// The outcomes of a member.
const (
	Patched     Outcome = "patched"
	Unchanged   Outcome = "unchanged"   // nothing to do
	BackedOut   Outcome = "backed-out"  // tried, failed, exactly its former versions, in service
	Returned    Outcome = "returned"    // given up before anything was changed, in service
	Skipped     Outcome = "skipped"     // never touched: somebody else's maintenance
	Quarantined Outcome = "quarantined" // not touched again, a person was told: drained, or serving with versions that are not what was wanted
	Lost        Outcome = "lost"        // its workflow ended without a report: nobody knows how its host stands
)

// Safe says that the member is in service with versions we know.
func (o Outcome) Safe() bool { return o != "" && o != Quarantined && o != Lost }

// Reboot policies.
const (
	RebootAlways   = "always"
	RebootIfNeeded = "if-needed"
	RebootNever    = "never"
)

// What to do about connections that outlive the drain's time-out. Whatever else is said means hold.
const (
	LeftoverUndrain = "undrain"
	LeftoverProceed = "proceed"
)

// MemberPolicy is what the rules of one member need of the campaign's policy.
type MemberPolicy struct {
	Reboot     string        `json:"reboot"`
	Unattended bool          `json:"unattended,omitempty"`
	WaitMax    time.Duration `json:"wait_max"`    // a wait becomes a hold after it
	RetryEvery time.Duration `json:"retry_every"` // how often a cause that can clear itself is looked at again
	Leftover   string        `json:"leftover"`    // connections left after the drain's time-out
	// PowerAfter is how long after its reboot the power of a host that went down and is not back is cycled; 0: never.
	PowerAfter time.Duration `json:"power_after,omitempty"`
	// HoldMax is how long a hold may keep the member out of service before its safest exit is taken unasked; 0: for ever.
	HoldMax time.Duration `json:"hold_max,omitempty"`
	// Windows: the gate asks windows or freezes. AtCutoff is what becomes of a member that is drained and unchanged when its window closes,
	// OnFail of one whose soak failed while none is open.
	Windows  bool   `json:"windows,omitempty"`
	AtCutoff string `json:"at_cutoff,omitempty"`
	OnFail   string `json:"on_fail,omitempty"`
	// Keep: what failed stays out of service as it is, and is brought back on a person's word only.
	Keep bool `json:"keep,omitempty"`
}

// maxInterruptions is how often a script that was cut short is begun again after a repair, before it counts as failed.
const maxInterruptions = 2

// Member is the state of one member's workflow.
type Member struct {
	Instance string       `json:"instance"`
	Cluster  string       `json:"cluster"`
	Host     string       `json:"host"`
	Mode     Mode         `json:"mode"`
	Canary   bool         `json:"canary,omitempty"`
	Policy   MemberPolicy `json:"policy"`

	Step    Step `json:"step"`
	Asked   int  `json:"asked"`   // how often any step was asked: makes action ids unique
	Attempt int  `json:"attempt"` // of the script of this step
	// Work is the step that follows once the member is out of service.
	Work Step `json:"work,omitempty"`

	Drained  bool `json:"drained,omitempty"`   // the drain may have begun: an undrain is owed (P5)
	Proven   bool `json:"proven,omitempty"`    // the drain is through
	Touched  bool `json:"touched,omitempty"`   // the patch may have begun
	Applied  bool `json:"applied,omitempty"`   // the patch is through
	Rebooted bool `json:"rebooted,omitempty"`  // the reboot may have begun
	WentDown bool `json:"went_down,omitempty"` // for its reboot, and has not been heard of since
	LateTold bool `json:"late_told,omitempty"` // that the reboot is late
	Powered  bool `json:"powered,omitempty"`   // its power may have been cycled in this reboot
	OtherKey bool `json:"other_key,omitempty"` // who answers after this reboot has another host key
	Failed   bool `json:"failed,omitempty"`    // the patch failed: the way is back
	BackOut  bool `json:"back_out,omitempty"`  // the ledger is restored
	Served   bool `json:"served,omitempty"`    // the undrain is through
	Theirs   bool `json:"theirs,omitempty"`    // its drain met somebody else's maintenance
	Again    bool `json:"again,omitempty"`     // after the undrain, ask the gate again: peers had fallen below their floor
	Abort    bool `json:"abort,omitempty"`
	Found    bool `json:"found,omitempty"`    // drained by a life of this workflow that the server has forgotten: it was put back to a copy
	TakenUp  bool `json:"taken_up,omitempty"` // its workflow was ended from outside, and this one goes on for it
	Overdue  bool `json:"overdue,omitempty"`  // it was given up because its hold lasted too long

	GivenUp string `json:"given_up,omitempty"` // why it ends as by an abort, where that is not an abort of its cluster
	Undo    string `json:"undo,omitempty"`     // why a person wants it back at its former versions, said while it held

	Changes  int    `json:"changes,omitempty"` // packages in the transaction
	Why      string `json:"why,omitempty"`     // the first cause of a failure, kept for the end
	Suspect  string `json:"suspect,omitempty"` // what speaks against the versions it got
	LeftOut  string `json:"left_out,omitempty"`
	Newer    string `json:"newer,omitempty"`   // what it got in another version than planned
	Widens   bool   `json:"widens,omitempty"`  // its transaction is not the one that was planned, or has not finished in the stage that goes first
	Blame    string `json:"blame,omitempty"`   // the check or the package that it is about
	OutAt    int64  `json:"out_at,omitempty"`  // unix milliseconds when the drain began
	BackAt   int64  `json:"back_at,omitempty"` // and when the undrain was through
	OutMilli int64  `json:"out_milli,omitempty"`
	Platform string `json:"platform,omitempty"`
	Took     Took   `json:"took,omitzero"`      // its patch
	TookBack Took   `json:"took_back,omitzero"` // its way back
	// OtherHand: somebody else has changed what soaks for it, since automatic updates were turned off.
	OtherHand bool `json:"other_hand,omitempty"`
	// Accepted are findings that would have kept it from its drain.
	Accepted []Accepted `json:"accepted,omitempty"`
	// Differs is how it looked after its patch, against before; Remains what of it its way back did not restore.
	Differs Differs `json:"differs,omitzero"`
	Remains Differs `json:"remains,omitzero"`

	WaitSince time.Time `json:"wait_since,omitzero"`
	WaitFor   string    `json:"wait_for,omitempty"`
	Held      bool      `json:"held,omitempty"`
	HeldAt    time.Time `json:"held_at,omitzero"`  // since when it holds, or since a person had it tried again
	Frozen    bool      `json:"frozen,omitempty"`  // what is waited for is the end of a freeze
	Closed    bool      `json:"closed,omitempty"`  // what is waited for is a window
	Lame      bool      `json:"lame,omitempty"`    // its checks failed a moment ago: its way back takes nothing from its peers
	Unbound   bool      `json:"unbound,omitempty"` // on its way back on a person's word, which asks for no window
	Stands    []Freeze  `json:"stands,omitempty"`  // the freezes that keep it waiting
	Broken    []Broken  `json:"broken,omitempty"`  // those that do not, because their approvers broke them
	NotNow    bool      `json:"not_now,omitempty"` // it ends unchanged, because its window closed or a freeze began
	Waited    bool      `json:"waited,omitempty"`  // for something else until then
	Opens     time.Time `json:"opens,omitzero"`    // when it may be tried again
	Began     time.Time `json:"began,omitzero"`    // when its workflow was started
	NextAsk   time.Time `json:"next_ask,omitzero"`
	LateSince time.Time `json:"late_since,omitzero"` // since when work is not begun while the gate's word is new
	RebootAt  time.Time `json:"reboot_at,omitzero"`  // when the reboot was begun
	GateUntil time.Time `json:"gate_until,omitzero"` // until then what the gate said counts for the step that it was asked for

	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Outbox  Outbox  `json:"outbox"`
}

// MemberResult is what a step of a member came to.
type MemberResult struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	// Blame is the check or the package that a fail is about, in the same words wherever it comes up.
	Blame string `json:"blame,omitempty"`
	// Widens: the transaction holds what the plan that was approved does not, or what has not finished in the stage that goes first (fetch).
	Widens bool `json:"widens,omitempty"`
	// Foreign: somebody else's maintenance was found (inspect, drain, undrain).
	Foreign bool `json:"foreign,omitempty"`
	// Nothing: there is nothing to do (fetch), or the step left the host as it was (patch, power).
	Nothing bool `json:"nothing,omitempty"`
	// Changes counts the packages of the transaction (fetch).
	Changes int `json:"changes,omitempty"`
	// OtherHand: what soaks for it has been changed by somebody else since automatic updates were turned off (fetch).
	OtherHand bool `json:"other_hand,omitempty"`
	// LeftOut says what is pending and not brought, because it is in quarantine (fetch).
	LeftOut string `json:"left_out,omitempty"`
	// Accepted are findings that would have kept it from its drain, and that somebody accepts (inspect).
	Accepted []Accepted `json:"accepted,omitempty"`
	// Differs is how the host looks now, against before its patch (check).
	Differs Differs `json:"differs,omitzero"`
	// Newer says what comes in another version than it was planned in, which is no difference (fetch).
	Newer string `json:"newer,omitempty"`
	// NeedsReboot: at least one signal says so (patch, backout).
	NeedsReboot bool `json:"needs_reboot,omitempty"`
	// Interrupted: the script was cut short (patch, backout).
	Interrupted bool `json:"interrupted,omitempty"`
	// Leftover: connections outlived the drain's time-out (drain).
	Leftover bool `json:"leftover,omitempty"`
	// AskAgain: the gate is asked at once. Peers fell while the step waited, and it ended early for them (drain); or it was not begun
	// while the gate's word was new, and never will be under this run (patch, reboot).
	AskAgain bool `json:"ask_again,omitempty"`
	// Frozen: why the whole estate is frozen, or empty (gate).
	Frozen string `json:"frozen,omitempty"`
	// Closed: why its window does not let it begin, or empty. Next: when windows and freezes let it; zero: nobody knows (gate).
	Closed string    `json:"closed,omitempty"`
	Next   time.Time `json:"next,omitzero"`
	// Stands are the freezes of files and calendars that keep it from beginning (gate).
	Stands []Freeze `json:"stands,omitempty"`
	// Late: the reboot's time is over (reboot). Begun: the host was told to, just now, and fell silent. Power: it cannot be reached, and its
	// power can be cycled. OtherKey: who answers has another host key.
	Late     bool `json:"late,omitempty"`
	Begun    bool `json:"begun,omitempty"`
	Power    bool `json:"power,omitempty"`
	OtherKey bool `json:"other_key,omitempty"`
	// Ours: maintenance of this instance stands on the member (inspect, fetch, gate).
	Ours bool `json:"ours,omitempty"`
	// Undrained: our maintenance does not stand on the member; as it is before its drain (gate).
	Undrained bool `json:"undrained,omitempty"`
	// Peers is what the servers say of the clusters the host belongs to (gate).
	Peers []Redundancy `json:"peers,omitempty"`
}

// NewMember is the state in which a member's workflow begins.
func NewMember(instance, cluster, host string, mode Mode, canary bool, p MemberPolicy) Member {
	m := Member{Instance: instance, Cluster: cluster, Host: host, Mode: mode, Canary: canary, Policy: p, Step: StepInspect, Attempt: 1, Work: StepPatch}
	if mode == ModeBackout {
		m.Work, m.Touched, m.Applied, m.Failed = StepBackout, true, true, true
	}
	if mode == ModeReturn {
		m.Step, m.Drained, m.Proven = StepCheck, true, true // drained or not: the undrain is owed
	}
	return m
}

// Next says what the member's workflow does now.
func (m Member) Next(now time.Time) Decision {
	d := Decision{Start: m.Outbox.actions()}
	if m.Outcome != "" {
		d.End = len(d.Start) == 0
		d.Reason = string(m.Outcome)
		if m.Reason != "" {
			d.Reason += ": " + m.Reason
		}
		return d
	}
	if m.NextAsk.After(now) {
		d.WakeAt, d.Reason = m.NextAsk, m.waiting()
		return d
	}
	a := Action{ID: string(m.Step) + "." + strconv.Itoa(m.Asked), Do: m.Step, Host: m.Host, Attempt: m.Attempt, Mode: m.Mode, Canary: m.Canary, Gated: m.gated(), Attach: m.gated() && now.After(m.GateUntil), By: m.powerBy(now)}
	if m.Step == StepGate {
		if a.Ask = m.ask(); a.Ask == AskFit {
			a.Spent = m.spent(now)
		}
	}
	d.Start = append(d.Start, a)
	d.Reason = m.doing()
	return d
}

func (m Member) doing() string {
	if m.Step == StepPower {
		return "cycling the power of " + m.Host + ": " + m.WaitFor
	}
	if m.WaitFor != "" {
		return m.waiting()
	}
	if m.Step == StepGate {
		return "asking whether " + m.Host + " may be out of service"
	}
	return string(m.Step) + " " + m.Host
}

// at is the step that a wait is for.
func (m Member) at() Step {
	switch {
	case m.Step == StepPower:
		return StepReboot
	case m.Step != StepGate:
		return m.Step
	case !m.Proven:
		return StepDrain
	}
	return m.Work
}

func (m Member) waiting() string {
	word := "waiting"
	if m.Held {
		word = "holding"
	}
	s := word + " before " + string(m.at()) + " of " + m.Host + " since " + m.WaitSince.UTC().Format(time.RFC3339) + ": " + m.WaitFor
	if until := m.until(); !until.IsZero() {
		s += "; given up at " + stamp(until)
	}
	return s
}

// ApplyAbort records that nothing new may begin. A member that is not patched yet goes back into service; from the patch on
// the work is finished first.
func (m Member) ApplyAbort(now time.Time) Member {
	if m.Outcome != "" || m.Abort {
		return m
	}
	waiting := m.NextAsk.After(now) // nothing is in flight
	m.Abort = true
	m.NextAsk = time.Time{} // look now, not at the end of a wait
	if enough, why := m.enough(); enough != "" {
		return m.end(enough, why)
	}
	switch {
	case m.Mode == ModePatch && !m.Touched && m.Step != StepDrain && m.Step != StepUndrain: // those two report before it turns round
		return m.giveUp(m.over())
	case m.Step == StepGate && m.draining() && m.sound():
		return m.callOff()
	case m.Held && waiting && m.Step != StepCheck: // which is asked once more, now
		m, _ = m.exit(m.over() + " while holding before " + string(m.at()) + ": " + m.WaitFor)
	}
	return m
}

// enough says how an aborted member that serves may end at once: what is left to do for it would take it out again.
func (m Member) enough() (Outcome, string) {
	switch {
	case m.Drained || m.Step != StepGate:
		return "", ""
	case m.BackOut:
		return BackedOut, m.Why
	case m.sound():
		return Patched, m.notRebooted()
	}
	return "", ""
}

// sound says that the patch is through and nothing was found wrong with it.
func (m Member) sound() bool { return m.Applied && !m.Failed }

// owed says that the step is asked until it is through, whatever happens: nobody else puts the member back, or on record (P5).
func (m Member) owed() bool { return m.Step == StepUndrain || m.Step == StepQuarantine }

// Apply is what the result of an action changes. Results of actions that are not the awaited one change nothing.
func (m Member) Apply(id string, r MemberResult, now time.Time) Member {
	if m.Outcome != "" || id != string(m.Step)+"."+strconv.Itoa(m.Asked) {
		return m
	}
	m.Asked++
	m.GateUntil = time.Time{}
	if (m.gated() || m.Step == StepDrain) && !r.AskAgain {
		m.LateSince = time.Time{}
	}
	if m.Mode == ModeReturn && !m.Found && r.Verdict != Pass {
		if m.Step == StepUndrain && r.Verdict == Fail && !r.Foreign {
			return m.end(Quarantined, "it is in service again, and fails there: "+r.Reason)
		}
		return m.end(Quarantined, r.Reason) // its record stands: a person says it again, or something else
	}
	if r.Ours && !m.Drained && !m.Touched && !m.Served && m.Mode == ModePatch {
		return m.found("it was found out of service by this very instance, which does not remember it: was the server put back to a copy?")
	}
	if m.Step == StepPower {
		return m.powered(r, now)
	}
	if r.Verdict != Pass && r.Verdict != Fail {
		switch {
		case m.Step == StepDrain && m.Abort && !m.Touched:
			return m.giveUp(m.over())
		case m.Step == StepDrain && r.AskAgain && m.Abort && m.sound():
			return m.callOff()
		case (m.Step == StepDrain || m.gated()) && r.AskAgain:
			return m.notBegun(r.Reason, now)
		case m.Step == StepReboot:
			return m.notBack(r, now)
		}
		return m.wait(r.Reason, now).drainAgain()
	}
	if r.Verdict == Fail && !m.Failed && (m.Touched || m.Why == "") {
		m.Blame = r.Blame
	}
	switch m.Step {
	case StepInspect:
		return m.inspected(r, now)
	case StepFetch:
		return m.fetched(r)
	case StepGate:
		return m.asked(r, now)
	case StepDrain:
		return m.drained(r, now)
	case StepPatch:
		return m.patched(r)
	case StepReboot:
		return m.rebooted(r)
	case StepCheck:
		return m.looked(r).checked(r, now)
	case StepUndrain:
		return m.undrained(r, now)
	case StepBackout:
		return m.backedOut(r)
	case StepQuarantine:
		if r.Verdict == Fail {
			return m.wait(r.Reason, now) // it must be on record
		}
		return m.end(Quarantined, m.Why)
	}
	return m
}

// found is a member that was drained by a life of this workflow which the server has forgotten. Whether anything was changed nobody
// knows: it is inspected, and goes back into service only if its checks pass.
func (m Member) found(why string) Member {
	m.Found, m.Drained, m.Proven, m.Touched = true, true, true, true
	m.Why = why
	m.Outbox.tell(TellHold, m.Host, m.Host+": "+m.Why+" It goes back into service if its checks pass", "rollpatch why "+m.Host)
	return m.to(StepInspect)
}

func (m Member) inspected(r MemberResult, now time.Time) Member {
	switch {
	case m.Mode == ModeBackout && r.Foreign:
		return m.wait(r.Reason, now) // the way back is owed, but not against somebody else's maintenance
	case m.Mode == ModeBackout:
		return m.to(StepGate)
	case m.Found && r.Foreign:
		return m.wait(r.Reason, now)
	case m.Found && r.Verdict == Fail:
		return m.quarantine("not in order: " + r.Reason)
	case m.Found:
		return m.to(StepCheck)
	case r.Foreign:
		return m.end(Skipped, r.Reason)
	case r.Verdict == Fail:
		return m.end(Returned, r.Reason)
	case m.Abort:
		return m.giveUp(m.over())
	}
	m.Accepted = r.Accepted
	return m.to(StepFetch)
}

func (m Member) fetched(r MemberResult) Member {
	m.LeftOut, m.Newer, m.OtherHand = r.LeftOut, r.Newer, r.OtherHand
	switch {
	case r.Verdict == Fail:
		m.Widens = r.Widens
		return m.end(Returned, r.Reason)
	case r.Nothing:
		return m.end(Unchanged, r.Reason)
	case m.Abort:
		return m.giveUp(m.over())
	}
	m.Changes = r.Changes
	return m.to(StepGate)
}

// gated says that the step begins on the gate's word only. A repair does not: the packages are half way already.
func (m Member) gated() bool {
	return m.Step == StepPatch && m.Attempt == 1 || m.Step == StepReboot
}

// notBegun has the gate asked again: its word was used up before the step began, and now it never will under that run; or peers fell
// while it drained, and the gate's own look turns it round.
func (m Member) notBegun(why string, now time.Time) Member {
	if m.Step == StepPatch {
		m.Touched = false
		if m.Abort {
			return m.giveUp(m.over())
		}
	}
	if m.LateSince.IsZero() {
		m.LateSince = now
	}
	m = m.turn(StepGate)
	if now.Sub(m.LateSince) < m.Policy.WaitMax {
		return m // it is out, and every second counts
	}
	m.WaitSince = m.LateSince // workers that are always late keep a member out for ever: that is a wait like any other
	return m.wait(why, now)
}

// asked answers P1 and P2 from what the servers say right now.
func (m Member) asked(r MemberResult, now time.Time) Member {
	if m.Abort && !m.Touched {
		return m.giveUp(m.over())
	}
	if why := Lapsed(r.Peers, now); why != "" && r.Verdict != Fail && m.unchanged() && !m.out() {
		return m.giveUp(why)
	}
	may, why := MayBeOut(r.Peers)
	if m.keeps() {
		r.Closed, r.Next = kept, time.Time{}
	}
	if r.Verdict == Fail {
		may, why = false, r.Reason
	}
	if r.Frozen != "" {
		may, why = false, r.Frozen
	}
	if !may {
		m.LateSince = time.Time{} // it waits for others now, not for a worker that is late
	}
	if r.Undrained {
		m.Proven = false // somebody may have taken the drain away: it is made and proven again before anything is done
	}
	lame := m.Lame && m.Proven
	m.Lame = false
	switch {
	case m.Policy.Windows && first(r.Frozen, r.Closed) != "" && m.unchanged():
		return m.notNow(first(r.Frozen, r.Closed), r)
	case m.stays() && (lame || may):
		return m.quarantine("it stays out of service as it is: " + kept)
	case lame:
		return m.lamely(r, now)
	case !may && m.Drained && !m.Served:
		// Peers fell below their floor while this one is out: if it can serve, it goes back at once, unasked.
		m.Again = true
		return m.turn(StepCheck)
	case r.Frozen != "":
		return m.thaw(why, r, now)
	case r.Closed != "" && m.ask() == AskFreeze:
		return m.turn(StepGate) // a person said so while it was asked
	case r.Closed != "" && !m.drainsFirst():
		return m.closed(r, now)
	case !may:
		return m.wait(why, now)
	case !m.Drained:
		m.OutAt, m.Drained, m.Served = now.UnixMilli(), true, false
		return m.to(StepDrain)
	case !m.Proven:
		return m.turn(StepDrain)
	}
	return m.begin(m.Work, now)
}

// GateCounts is how long something may begin on what the gate said: long enough for a new connection to a host, no longer (P2).
const GateCounts = 5 * time.Second

func (m Member) begin(work Step, now time.Time) Member {
	m.GateUntil = now.Add(GateCounts)
	switch work {
	case StepPatch:
		m.Touched = true
	case StepReboot:
		m.Rebooted, m.RebootAt = true, now
		m.WentDown, m.LateTold, m.Powered, m.OtherKey = false, false, false, false
	}
	return m.to(work)
}

func (m Member) drained(r MemberResult, now time.Time) Member {
	proceed := r.Leftover && (m.Policy.Leftover == LeftoverProceed || m.Failed && m.Policy.Leftover == LeftoverUndrain)
	switch {
	case r.Verdict == Pass && !r.Foreign && !r.Leftover || proceed && !r.Foreign:
		m.Proven = true
		if m.Abort && !m.Touched {
			return m.giveUp(m.over())
		}
		return m.to(StepGate)
	case !m.Touched && (m.Abort || r.Foreign || !r.Leftover || m.Policy.Leftover == LeftoverUndrain):
		m.Theirs = r.Foreign
		return m.giveUp(r.Reason) // ours, as far as it was set, is taken back; theirs stays (P8)
	case m.Abort && m.sound():
		return m.callOff()
	}
	// The policy says hold, or a reboot or the way back is still owed and must not end here.
	return m.wait(r.Reason, now).drainAgain()
}

// drainAgain has the gate asked before a drain that is not through is tried again: peers may have fallen meanwhile.
func (m Member) drainAgain() Member {
	if m.Step == StepDrain {
		m.Step = StepGate
	}
	return m
}

// draining says that the member waits for its drain, the gate before it included.
func (m Member) draining() bool {
	return m.Step == StepDrain || m.Step == StepGate && m.Drained && !m.Proven
}

func (m Member) patched(r MemberResult) Member {
	switch {
	case r.Interrupted && m.Attempt <= maxInterruptions:
		m.Attempt++ // the next attempt repairs first (P6)
		return m.to(StepPatch)
	case r.Verdict == Fail && r.Nothing && m.Attempt == 1:
		m.Touched = false // after an interruption, what an earlier attempt did stays done
		return m.giveUp(r.Reason)
	case r.Verdict == Fail || r.Interrupted:
		cut := r.Interrupted || m.Attempt > 1
		if m = m.fail(r.Reason); cut {
			m.Suspect = "" // a transaction that was cut off says nothing of its versions
		}
		return m
	}
	m.Applied = true
	if m.reboots(r.NeedsReboot) {
		m.Work = StepReboot
		return m.to(StepGate)
	}
	return m.to(StepCheck)
}

func (m Member) reboots(needed bool) bool {
	return m.Policy.Reboot == RebootAlways || (m.Policy.Reboot == RebootIfNeeded && needed)
}

// rebooted goes on to the checks. A reboot that failed is a fail of the patch, unless the way back was already taken.
func (m Member) rebooted(r MemberResult) Member {
	switch {
	case r.Verdict == Pass:
		return m.to(StepCheck)
	case m.BackOut:
		return m.quarantine("backed out, but its reboot failed: " + r.Reason)
	}
	return m.fail(r.Reason)
}

// fail turns the member round: out of service as it is, or after another drain, its ledger is restored.
func (m Member) fail(why string) Member {
	if !m.Failed {
		next := "; its former versions are being restored"
		if m.Policy.Keep && m.Undo == "" && !m.Unbound {
			next = "; it stays out of service as it is: " + kept
		}
		m.Outbox.tell(TellFail, m.Host, "the patch of "+m.Host+" failed: "+why+next, "")
	}
	if !m.Failed || m.Why == "" {
		m.Why = why
	}
	m.Suspect = first(m.Suspect, why)
	m.Failed, m.Again, m.Work = true, false, StepBackout
	if m.Served {
		m.Drained = false
	}
	if !m.Proven || m.keeps() {
		return m.to(StepGate)
	}
	return m.to(StepBackout)
}

// callOff leaves a reboot that has not begun: the member goes back if its checks pass without it.
func (m Member) callOff() Member {
	m.Why, m.Again = m.notRebooted(), false
	return m.to(StepCheck)
}

func (m Member) checked(r MemberResult, now time.Time) Member {
	switch {
	case r.Verdict == Pass:
		return m.to(StepUndrain)
	case !m.Touched:
		// Unchanged by us and not healthy: it was so before, or broke by itself. Our drain is taken back all the same.
		m.Why = first(m.Why, r.Reason)
		return m.to(StepUndrain)
	case m.Found:
		return m.quarantine("its checks do not pass: " + r.Reason)
	case m.Again && (m.Work == StepReboot || !m.Proven):
		// Peers are below their floor and it cannot serve before its reboot, which would need them: that says nothing
		// about the patch. And a drain that is not through may have met somebody else's maintenance.
		m.Again = false
		return m.turn(StepGate).wait(r.Reason, now)
	case m.BackOut:
		return m.quarantine("backed out, but its checks do not pass: " + r.Reason)
	case m.Again && m.Failed && (m.Mode == ModeBackout || m.keeps()):
		m.Again, m.Lame = false, true // its way back has not begun: what the gate says now counts, not what it said before
		return m.turn(StepGate)
	case m.Again && m.Failed:
		m.Again = false
		return m.begin(m.Work, now) // it cannot serve as it is, so the way back takes nothing from the peers
	case m.Overdue && m.sound() && !m.Rebooted:
		return m.quarantine("its checks do not pass without its reboot: " + r.Reason) // which says nothing about the patch
	}
	return m.fail(r.Reason)
}

func (m Member) undrained(r MemberResult, now time.Time) Member {
	switch {
	case r.Foreign && m.Theirs:
		return m.end(Skipped, m.Why) // as it was found
	case r.Foreign:
		return m.wait(r.Reason, now)
	}
	m.Served, m.Proven = true, false
	if m.OutAt > 0 {
		m.BackAt = now.UnixMilli()
		m.OutMilli += m.BackAt - m.OutAt
		m.OutAt = 0
	}
	if r.Verdict == Fail { // under traffic
		switch {
		case m.Found:
			return m.quarantine("its checks do not pass in service: " + r.Reason)
		case m.BackOut:
			return m.quarantine("backed out, but its checks do not pass in service: " + r.Reason)
		case m.Touched:
			return m.fail(r.Reason)
		}
		m.Why, m.NotNow = first(m.Why, r.Reason), false // it would be so again
	}
	if m.Found {
		return m.quarantine("it serves again, but whether it was changed nobody knows")
	}
	switch {
	case m.Again && (!m.Abort || m.Failed && !m.BackOut): // an abort does not call off the way back
		m.Again, m.Drained = false, false
		if !m.Touched {
			m.Why = "" // it is tried again
		}
		return m.to(StepGate)
	case m.BackOut:
		if !m.Remains.IsZero() {
			m.Outbox.tell(TellBackout, m.Host, m.Host+" has its former versions back, and does not look as before: "+m.Remains.String(), "rollpatch why "+m.Host)
		}
		return m.end(BackedOut, m.remains(m.Why))
	case m.sound():
		return m.end(Patched, m.differs(first(m.Why, strings.Trim(m.LeftOut+"; "+m.Newer, "; "))))
	}
	return m.end(Returned, m.Why)
}

func (m Member) backedOut(r MemberResult) Member {
	switch {
	case r.Interrupted && m.Attempt <= maxInterruptions:
		m.Attempt++
		return m.to(StepBackout)
	case r.Verdict == Fail || r.Interrupted:
		return m.quarantine("the backout failed: " + r.Reason)
	}
	m.BackOut = true
	m.Outbox.tell(TellBackout, m.Host, m.Host+" has its former versions back", "")
	if m.Policy.Reboot != RebootNever && (m.Rebooted || r.NeedsReboot || m.Mode == ModeBackout && m.Policy.Reboot == RebootAlways) {
		m.Work = StepReboot
		return m.to(StepGate)
	}
	return m.to(StepCheck)
}

// giveUp ends a member that nothing was changed on, or nothing that it cannot serve with: what we drained goes back into
// service.
func (m Member) giveUp(why string) Member {
	m.Why = first(m.Why, why)
	if m.Drained && !m.Served {
		m.Again = false
		return m.to(StepUndrain)
	}
	return m.end(Returned, m.Why)
}

// thaw waits for the end of a freeze, however long: a person said so, and another ends it.
func (m Member) thaw(why string, r MemberResult, now time.Time) Member {
	if !m.Frozen {
		if m.Failed {
			m.Outbox.tell(TellHold, m.Host, "the way back of "+m.Host+" waits: "+why, "rollpatch thaw --reason \"...\"")
		}
		m.WaitSince, m.Frozen, m.Closed, m.Held, m.HeldAt = now, true, false, false, time.Time{}
	}
	m.WaitFor, m.NextAsk, m.Opens, m.Stands = why, now.Add(m.Policy.RetryEvery), r.Next, r.Stands
	if r.Next.After(now) { // a calendar's freeze
		m.NextAsk = askAgain(r.Next, now, m.Policy.RetryEvery)
	}
	return m
}

// thawWithin is how long the freeze may take to be gone once it told of its end.
const thawWithin = 2 * time.Second

// Thawed has a member that waits for the end of a freeze look again soon.
func (m Member) Thawed(now time.Time) Member {
	if soon := now.Add(thawWithin); m.Frozen && m.NextAsk.After(soon) {
		m.NextAsk = soon
	}
	return m
}

// wait looks again after RetryEvery. After WaitMax comes the safest exit, and where there is none a hold, and a person is told.
func (m Member) wait(why string, now time.Time) Member {
	m = m.lookAgain(why, now)
	if m.mayUndo() {
		return m.undo()
	}
	if !m.Held && now.Sub(m.WaitSince) < m.Policy.WaitMax {
		return m
	}
	if m.Skipped() { // the person's word ends it, and not how long it may wait
		return m.holdFor(m.over()+" while holding before "+string(m.at())+": "+m.WaitFor, now)
	}
	return m.holdFor("gave up after "+m.Policy.WaitMax.String()+" before "+string(m.at())+": "+m.WaitFor, now)
}

// lookAgain is a wait for now.
func (m Member) lookAgain(why string, now time.Time) Member {
	if why == "" {
		why = "no reason was given"
	}
	if m.WaitSince.IsZero() || m.Frozen || m.Closed {
		m.WaitSince, m.Frozen, m.Closed = now, false, false
	}
	m.WaitFor, m.NextAsk, m.Lame = why, now.Add(m.Policy.RetryEvery), false
	return m
}

// holdFor takes the safest exit from a wait, and where there is none it holds, and a person is told.
func (m Member) holdFor(why string, now time.Time) Member {
	if left, ok := m.exit(why); ok {
		return left
	}
	if !m.Held {
		m.Held, m.HeldAt = true, now
		m.Outbox.tell(TellHold, m.Host, m.Host+" holds before "+string(m.at())+": "+m.WaitFor, "rollpatch why "+m.Host)
	}
	return m.timeout(now)
}

// exit is the safest end of a wait that took too long: what was not changed goes back into service. What was changed holds,
// and goes on record as it is where nobody is going to say more.
func (m Member) exit(why string) (Member, bool) {
	alone := m.Policy.Unattended || m.Abort
	switch {
	case m.owed():
		return m, false
	case !m.Touched && (alone || !m.draining()):
		return m.giveUp(why), true
	case !alone:
		return m, false
	case m.BackOut && !m.Drained:
		return m.end(BackedOut, m.Why+"; not rebooted: "+why), true
	case m.Abort && m.sound() && (m.Step == StepGate || m.Step == StepDrain):
		return m.callOff(), true
	}
	return m.quarantine(why), true
}

// to moves on to another step; a wait is over.
func (m Member) to(s Step) Member {
	m.WaitFor, m.WaitSince, m.Held, m.HeldAt, m.Frozen, m.Closed, m.Stands = "", time.Time{}, false, time.Time{}, false, false, nil
	return m.turn(s)
}

// turn asks another step while the cause of a wait stays.
func (m Member) turn(s Step) Member {
	if s != m.Step {
		m.Attempt = 1
	}
	m.Step, m.NextAsk = s, time.Time{}
	return m
}

// quarantine puts the member on record as it is; the cause that a person must read first comes first.
func (m Member) quarantine(why string) Member {
	if m.Why != "" && m.Why != why {
		why += " (after: " + m.Why + ")"
	}
	m.Why = why
	m.Outbox.tell(TellQuarantine, m.Host, m.Host+" is put into quarantine: "+why, "rollpatch why "+m.Host)
	return m.to(StepQuarantine)
}

func (m Member) end(o Outcome, why string) Member {
	m.Outcome, m.Reason = o, why
	return m
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func itoa(n int) string { return strconv.Itoa(n) }
