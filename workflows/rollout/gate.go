package rollout

import (
	"strconv"
	"time"
)

// A gate is a point where people must agree. It is neither a hold nor a wait that ends: time never opens it. Who counts, and whether enough
// have agreed, is judged by package approval and comes in as a Judgment; what that means to a campaign or a cluster is decided here.

// Gate is how one gate stands.
type Gate struct {
	ID    string    `json:"id"`              // what people agree to, as it is signed
	Stage int       `json:"stage,omitempty"` // of a campaign's gate: the stage before which it stands
	Since time.Time `json:"since,omitzero"`  // people can agree since
	Until time.Time `json:"until,omitzero"`  // and until then; zero: without end
	Again time.Time `json:"again,omitzero"`  // when its standing may change although nobody says anything
	Why   string    `json:"why,omitempty"`   // who has agreed, and who is missing

	Could  string `json:"could,omitempty"`  // whose words count, where that is not anybody
	Signed bool   `json:"signed,omitempty"` // and only signed ones do

	Told    bool      `json:"told,omitempty"`    // people were told that it waits for them
	Warned  bool      `json:"warned,omitempty"`  // and that it expires soon
	Expired bool      `json:"expired,omitempty"` // nobody opened it in time: a person has it wait once more
	After   bool      `json:"after,omitempty"`   // nothing waits for it: an emergency is agreed to afterwards
	Opened  time.Time `json:"opened,omitzero"`

	// Proving: enough have agreed, and their keys are looked at once more before it opens: one may be revoked since.
	Proving bool      `json:"proving,omitempty"`
	Asked   int       `json:"asked,omitempty"`
	NextAsk time.Time `json:"next_ask,omitzero"`
	Trouble string    `json:"trouble,omitempty"` // why that could not be done

	Looks    int       `json:"looks,omitempty"` // for standing approvals
	LookAt   time.Time `json:"look_at,omitzero"`
	Unlooked string    `json:"unlooked,omitempty"` // why nobody could look for them last
}

// Judgment is how a gate stands with the words that were said.
type Judgment struct {
	Gate     string
	Open     bool
	Proven   bool       // the keys behind it were looked at just now, or there are none
	By       []Approval // who agreed
	Rejected string     // by whom, and why
	Expired  bool
	Abort    bool   // what an expired gate does; else it holds
	Why      string // for people
	Could    string // whose words count; empty: anybody's
	Signed   bool   // only signed words count
	Until    time.Time
	Again    time.Time
}

// SoakGate names the gate at the end of one soak of a cluster.
func SoakGate(cluster string, number int) string {
	return "soak/" + cluster + "/" + strconv.Itoa(number)
}

// proveAgain is how long it takes until keys that could not be looked at are asked for again.
const proveAgain = time.Minute

// heard takes a judgment in. Who is awaited is told once, and once more before it is too late; without tell, not yet.
func (g Gate) heard(j Judgment, now time.Time, tell func(g Gate, text string)) Gate {
	g.Why, g.Until, g.Again, g.Could, g.Signed = j.Why, j.Until, j.Again, j.Could, j.Signed
	switch {
	case j.Open && !j.Proven:
		if !g.Proving {
			g.Proving, g.Asked = true, g.Asked+1
		}
	default:
		g.Proving, g.Trouble, g.NextAsk = false, "", time.Time{}
	}
	if j.Rejected != "" || j.Expired || j.Open || tell == nil {
		return g
	}
	if g.Unlooked != "" {
		g.Why += "; standing approvals could not be looked for: " + g.Unlooked
	}
	until := ""
	if !g.Until.IsZero() {
		until = ", until " + stamp(g.Until)
	}
	switch {
	case !g.Told:
		g.Told = true
		tell(g, "waits for approval"+until+because(g.Why)+g.who())
	case !g.Warned && g.warns(now):
		g.Warned = true
		tell(g, "still waits for approval, and expires at "+stamp(g.Until)+because(g.Why)+g.who())
	}
	return g
}

// who says whose words count, and how, to whoever is to find them.
func (g Gate) who() string {
	s := ""
	if g.Could != "" {
		s = "; who may: " + g.Could
	}
	if g.Signed {
		s += "; it must be signed, with --key or the SSH agent"
	}
	return s
}

// Type is the word that agrees, as it is typed; of names the instance, and a cluster of it with its flag.
func (g Gate) Type(of string) string {
	typed := "rollpatch approve " + of + ` --reason "..."`
	if g.Signed {
		typed += " --key FILE"
	}
	return typed
}

// warning is when people are told that a gate expires soon: a quarter of its time before, a day at the most.
func (g Gate) warning() time.Time {
	if g.Until.IsZero() || g.Warned {
		return time.Time{}
	}
	return g.Until.Add(-min(g.Until.Sub(g.Since)/4, 24*time.Hour))
}

func (g Gate) warns(now time.Time) bool {
	at := g.warning()
	return !at.IsZero() && !now.Before(at)
}

// expired says why it holds what it keeps, or ends it.
func (g Gate) expired() string { return "gate " + g.ID + " " + g.Why }

// wake is when to look at it again; zero: when somebody says something.
func (g Gate) wake(now time.Time) time.Time {
	var first time.Time
	for _, t := range []time.Time{g.Until, g.Again, g.warning(), g.NextAsk, g.LookAt} {
		if t.After(now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// prove is the look at the keys, when it is due.
func (g Gate) prove(now time.Time) []Action {
	if !g.Proving || g.NextAsk.After(now) {
		return nil
	}
	return []Action{{ID: "prove." + strconv.Itoa(g.Asked), Do: DoProve, Name: g.ID}}
}

// proves says that this look at the keys is the one that is waited for.
func (g Gate) proves(id string) bool { return g.Proving && id == "prove."+strconv.Itoa(g.Asked) }

// unproven has the keys looked at again; the gate stays shut meanwhile (P10).
func (g Gate) unproven(why string, now time.Time, tell func(g Gate, text string)) Gate {
	if g.Trouble == "" {
		tell(g, "is agreed to, and does not open, because the keys cannot be looked at: "+why)
	}
	g.Trouble, g.NextAsk = why, now.Add(proveAgain)
	return g
}

// stands says how it stands, for people.
func (g Gate) stands() string {
	s := "since " + stamp(g.Since)
	if !g.Until.IsZero() {
		s += ", until " + stamp(g.Until)
	}
	switch {
	case g.Trouble != "":
		return s + ": agreed to; the keys cannot be looked at: " + g.Trouble
	case g.Proving:
		return s + ": agreed to; the keys are looked at once more"
	}
	return s + because(g.Why)
}

// Awaits is the gate that nothing of the campaign's stage begins before. There is none where no stage begins any more.
func (c Campaign) Awaits() (Gate, bool) {
	if i := c.awaits(); i >= 0 {
		return c.Gates[i], true
	}
	return Gate{}, false
}

func (c Campaign) awaits() int {
	if c.Outcome != "" || c.AbortFor != "" || c.BackoutFor != "" || c.Change.pending() {
		return -1
	}
	for i, g := range c.Gates {
		if g.Opened.IsZero() && g.Stage <= c.Stage && !g.After {
			return i
		}
	}
	return -1
}

func (c Campaign) gate(i int, g Gate) Campaign {
	c.Gates = append([]Gate(nil), c.Gates...)
	c.Gates[i] = g
	return c
}

// Convene lets people agree to what comes next: a gate's time begins when its turn comes.
func (c Campaign) Convene(now time.Time) Campaign {
	if i := c.awaits(); i >= 0 && c.Gates[i].Since.IsZero() {
		g := c.Gates[i]
		g.Since = now
		return c.gate(i, g)
	}
	return c.conveneAfter(now)
}

// Judged applies how the gate stands that it waits at.
func (c Campaign) Judged(j Judgment, now time.Time) Campaign {
	i := c.due()
	if i < 0 || c.Gates[i].ID != j.Gate || c.Gates[i].Since.IsZero() || c.Gates[i].Expired {
		return c
	}
	tell := c.tellGate
	if c.unlooked(c.Gates[i]) {
		tell = nil
	}
	g := c.Gates[i].heard(j, now, tell)
	switch {
	case g.After:
		return c.judgedAfter(i, g, j, now)
	case j.Rejected != "":
		return c.gate(i, g).finish(CampaignAborted, "gate "+g.ID+" was rejected by "+j.Rejected, now)
	case j.Expired:
		g.Expired = true
		if c = c.gate(i, g); j.Abort {
			c.AbortFor = g.expired()
			return c.border(now)
		}
		return c.halt(g.expired()).border(now)
	case j.Open && j.Proven:
		g.Opened = now
		c.Approvals = append(c.Approvals[:len(c.Approvals):len(c.Approvals)], j.By...)
		c.tellStood(g.ID, j.By)
	}
	return c.gate(i, g)
}

// Proves says that the gate that it waits at waits for this look at the keys.
func (c Campaign) Proves(id string) bool {
	g, ok := c.Due()
	return ok && g.proves(id)
}

// Unproven is a look at the keys that could not be had.
func (c Campaign) Unproven(id, why string, now time.Time) Campaign {
	if !c.Proves(id) {
		return c
	}
	i := c.due()
	return c.gate(i, c.Gates[i].unproven(why, now, c.tellGate))
}

// tellGate tells people of a gate, with the word to type.
func (c *Campaign) tellGate(g Gate, text string) {
	if c.turns() {
		text += "; without that it does not begin in its window, which opens at " + stamp(c.Turn.Begin) + ". Its plan: rollpatch schedule plan " + c.Instance
	}
	c.Outbox.tell(TellGate, "", "gate "+g.ID+" of "+c.Instance+c.urgently()+" "+text, g.Type(c.Instance))
}

// reconvene has a gate that expired wait once more; what was said at it still counts for as long as it says itself.
func (c Campaign) reconvene() Campaign {
	if i := c.awaits(); i >= 0 && c.Gates[i].Expired {
		return c.gate(i, Gate{ID: c.Gates[i].ID, Stage: c.Gates[i].Stage, Asked: c.Gates[i].Asked, Looks: c.Gates[i].Looks})
	}
	return c
}

// waits is what people read while a gate keeps the campaign; empty when none does.
func (c Campaign) waits() string {
	g, ok := c.Awaits()
	switch {
	case !ok:
		return c.owing()
	case g.Expired: // what that came to is told beside it
		return ""
	case g.Since.IsZero(): // nobody can agree yet
		return "; its request to run is being verified, then gate " + g.ID + " waits for people to agree"
	}
	return "; waits at gate " + g.ID + " for people to agree, " + g.stands()
}

// Finding is what went wrong before a stage: who agreed to it ahead had not seen that. Empty: nothing.
func (c Campaign) Finding(stage int) string {
	var names []string
	for _, r := range c.Clusters {
		if r.Stage < stage && r.Failed > 0 {
			names = append(names, r.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "failures in " + few(names)
}

// askWho is how long it takes until it is asked again who signed the request to run.
const askWho = time.Minute

// Unidentified is an instance of which nobody can tell who asked for it: it waits, and people are told once (P10).
func (c Campaign) Unidentified(why string, now time.Time) Campaign {
	if c.Unknown == "" {
		c.Outbox.tell(TellWait, "", c.Instance+" waits, because nobody can tell who asked for it: "+why, "rollpatch status "+c.Instance)
	}
	c.Unknown, c.AskWho = why, now.Add(askWho)
	return c
}

// Identified is one of which that is known.
func (c Campaign) Identified(requester string) Campaign {
	c.Requester, c.Unknown, c.AskWho = requester, "", time.Time{}
	return c
}

// NotStarted ends an instance that nobody who may do so asked for.
func (c Campaign) NotStarted(why string, now time.Time) Campaign {
	c.Unknown, c.AskWho = "", time.Time{}
	return c.finish(CampaignAborted, "not started: "+why, now)
}
