package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// People agree, or do not, in the simulator: with signatures and without, for this gate and for others, once and again. What they said is
// kept in books of its own, by what was meant when it was made up: whether a gate may open is never asked of package approval here.

// requester asked for every instance; mallory's key nobody knows.
var electors = []string{"bob", "carol", "dave", "requester", "mallory"}

// spoken is one word, as the books have it.
type spoken struct {
	who      string
	gate     string
	no       bool
	signed   bool
	alien    bool // for another plan, another instance
	whenPass bool
	at       time.Time
	expires  time.Time
}

// assembly is who speaks at the gates of one workflow, and what of it that keeps.
type assembly struct {
	*world
	about string
	gate  func() (approval.Gate, bool) // that a word is for now
	votes []approval.Vote
	void  map[string]bool // by nonce
	last  *approval.Statement
	by    approval.Signer
	books []spoken
	said  int

	stands []*stood
}

func (a *assembly) signer(who string) approval.Signer {
	if who == "mallory" {
		return approval.Signer{Key: "k-mallory"}
	}
	return approval.Signer{Names: []string{who}, Key: "k-" + who}
}

// speak has somebody say something: what fits where earnest, anything else otherwise.
func (a *assembly) speak(earnest bool) {
	g, ok := a.gate()
	if !ok {
		return
	}
	a.said++
	s := approval.Statement{
		Decision: approval.Approve, Campaign: g.Campaign, Instance: g.Instance, Plan: g.Plan, Gates: []string{g.ID}, Reason: "because",
		At: a.now, Expires: a.now.Add(a.between(24*time.Hour, 240*time.Hour)), Nonce: fmt.Sprintf("nonce-%s-%012d", a.about, a.said),
	}
	who, signed, alien := electors[a.rng.IntN(3)], true, false
	s.WhenPass = !g.Ripe
	if refuser, signs, refused := a.refuser(g); earnest && refused { // he is talked to
		who, signed = refuser, signs
	}
	if !earnest {
		who, signed = electors[a.rng.IntN(len(electors))], a.chance(0.6)
		switch a.rng.IntN(9) {
		case 0:
			s.Plan, alien = "sha256:another", true
		case 1:
			s.Instance, alien = "another", true
		case 2:
			s.Expires = a.now.Add(time.Second)
		case 3:
			s.At, s.Expires = a.now.Add(-2*time.Hour), a.now.Add(-time.Hour)
		case 4:
			s.Gates = []string{g.ID + "0"} // a later soak
		case 5:
			if i := strings.LastIndex(g.ID, "/"); i > 0 {
				s.Gates = []string{g.ID[:i] + "/0"} // an earlier one
			}
		case 6:
			s.WhenPass = a.chance(0.5)
		case 7:
			if a.chance(0.2) {
				s.Decision, s.WhenPass = approval.Reject, false
			}
		case 8:
			if a.last != nil { // replayed
				a.seen["said again at a gate"]++
				a.hand(g, *a.last, a.by)
				return
			}
		}
	}
	by := a.signer(who)
	if !signed {
		by = approval.Claimed(who)
	}
	a.books = append(a.books, spoken{
		who: who, gate: s.Gates[0], no: s.Decision == approval.Reject, signed: signed, alien: alien, whenPass: s.WhenPass, at: s.At, expires: s.Expires,
	})
	a.last, a.by = &s, by
	a.hand(g, s, by)
}

// refuser is who said no at the gate, and has not taken it back.
func (a *assembly) refuser(g approval.Gate) (who string, signed, refused bool) {
	no := a.judgment(g, time.Time{}, true).Rejected
	for _, who := range electors {
		switch {
		case strings.HasPrefix(no, a.signer(who).String()+":"):
			return who, true, true
		case strings.HasPrefix(no, approval.Claimed(who).String()+":"):
			return who, false, true
		}
	}
	return "", false, false
}

// ballotsMost is how many words a workflow keeps.
const ballotsMost = 200

// hand is what the workflow does with a word: verify who signed it, admit it, keep it.
func (a *assembly) hand(g approval.Gate, s approval.Statement, by approval.Signer) {
	if by.Signed() && (len(by.Names) == 0 || a.revoked[by.Key]) {
		a.seen["refused at a gate"]++
		return
	}
	var here []approval.Vote
	for _, v := range a.votes {
		if v.Gate == g.ID {
			here = append(here, v)
		}
	}
	v, err := g.Admit(here, s, by, a.now)
	if err != nil {
		a.seen["refused at a gate"]++
		return
	}
	if len(a.votes) == ballotsMost {
		a.votes = slices.DeleteFunc(a.votes, func(v approval.Vote) bool { return !v.Expires.After(a.now) })
	}
	if len(a.votes) == ballotsMost {
		a.seen["refused at a gate"]++
		return
	}
	a.logf("%s says %s at gate %s of %s", by, s.Decision, g.ID, a.about)
	a.votes = append(a.votes, v)
}

// judgment is how a gate stands with what was kept.
func (a *assembly) judgment(g approval.Gate, anew time.Time, proven bool) Judgment {
	var votes []approval.Vote
	for _, v := range a.votes {
		if v.Gate == g.ID && !a.void[v.Nonce] && !v.Taken.Before(anew) {
			votes = append(votes, v)
		}
	}
	v := approval.Judge(g, votes, a.now)
	j := Judgment{
		Gate: g.ID, Open: v.Open, Rejected: v.Rejected, Expired: v.Expired != "", Abort: v.Expired == approval.ExpiryAborts, Why: v.Why, Again: v.Again,
		Proven: proven || !slices.ContainsFunc(votes, func(v approval.Vote) bool { return v.By.Signed() }),
	}
	if g.Rule.Expiry > 0 && !g.Since.IsZero() {
		j.Until = g.Since.Add(g.Rule.Expiry)
	}
	for range v.Agreed {
		j.By = append(j.By, Approval{Gate: g.ID})
	}
	return j
}

// prove drops the words of keys that were revoked since.
func (a *assembly) prove(g approval.Gate) {
	a.proveStanding()
	for _, v := range a.votes {
		if v.Gate == g.ID && v.By.Signed() && a.revoked[v.By.Key] {
			a.void[v.Nonce] = true
			a.seen["revoked before its gate opened"]++
		}
	}
}

// mayOpen is P3 and P7: so many different people agreed to exactly this, and nobody who counts said no.
func (a *assembly) mayOpen(g approval.Gate, anew time.Time, found bool) {
	a.seen["gate opened"]++
	words := map[string]spoken{}
	for _, s := range a.books {
		switch {
		case s.gate != g.ID, s.alien, s.who == "mallory" && s.signed, s.at.Before(anew), !s.expires.After(a.now):
		case s.signed && a.revoked["k-"+s.who], !s.signed && !g.Rule.Unsigned, s.who == "requester" && !g.Rule.AnyRequester:
		case s.whenPass && found && !s.no:
		case words[s.who].signed && !s.signed:
		default:
			words[s.who] = s
		}
	}
	var agreed []string
	for who, s := range words {
		if !s.no {
			agreed = append(agreed, who)
		}
	}
	agreed = append(agreed, a.standing(g, words, found)...)
	if len(agreed) < g.Rule.Quorum {
		slices.Sort(agreed)
		a.broken("P7: gate %s of %s opens, agreed to by %v; %d are needed", g.ID, a.about, agreed, g.Rule.Quorum)
	}
	if g.Rule.Quorum > 1 {
		a.seen["gate opened by several"]++
	}
}

// gateRule is a rule of some gate; one that nobody would ever open must end by itself.
func (w *world) gateRule() approval.Rule {
	r := approval.Rule{Quorum: 1 + w.rng.IntN(2), Unsigned: w.chance(0.4)}
	if w.kind == deaf || w.chance(0.3) {
		r.Expiry = w.between(2*time.Hour, 30*time.Hour)
		if w.kind == cooperative {
			r.Expiry += 18 * time.Hour // longer than no worker is there: who is not heard is late through nobody's fault
		}
		if w.chance(0.4) {
			r.OnExpiry = approval.ExpiryAborts
		}
	}
	return r
}

var anybody = approval.Rule{Quorum: 1, Unsigned: true, AnyRequester: true}

func (w *world) assembly(about string) *assembly {
	return &assembly{world: w, about: about, void: map[string]bool{}}
}

// asked is who asked for an instance.
var asked = approval.Signer{Names: []string{"requester"}, Key: "k-requester"}

// gateOf is the gate of the cluster's soak, as its workflow has it.
func (c *clusterRun) gateOf() (approval.Gate, bool) {
	no := c.c.GateNo()
	if no == 0 || c.over {
		return approval.Gate{}, false
	}
	g := approval.Gate{ID: SoakGate(c.c.Name, no), Campaign: "monthly", Instance: c.camp.c.Instance, Plan: "sha256:plan", Rule: c.camp.soakRule, Requester: asked, Finding: c.c.Finding()}
	if c.c.Phase == PhaseGate && no == c.c.SoakNo {
		g.Since, g.Ripe = c.c.Gate.Since, c.c.Ripe()
	}
	return g, true
}

// judge applies how the gate of its soak stands, and holds that it opens only as it may.
func (c *clusterRun) judge(proven bool) {
	if c.c.Phase != PhaseGate {
		return
	}
	g, _ := c.gateOf()
	j := c.people.judgment(g, c.c.Anew, proven)
	wave := c.c.Wave
	c.c = untouched(c.world, c.c, func(st Cluster) Cluster { return st.Judged(j, c.now) })
	if c.c.Wave == wave {
		if c.c.Gate.Expired {
			c.seen["soak's gate expired"]++
		}
		return
	}
	if !c.soaked() || c.verdict != Pass {
		c.broken("P3: the gate of %s opens before its soak passed, or with verdict %q", c.name(), c.verdict)
	}
	c.seen["soak approved"]++
	c.approved = true
	if c.doubtedIn != c.c.SoakNo {
		c.doubted = time.Time{}
	}
	c.people.mayOpen(g, c.doubted, !c.doubted.IsZero())
}

// prove is a look at the keys, which may fail.
func (c *clusterRun) prove(a Action) {
	c.launch(c.flights, a.ID, c.between(time.Second, time.Minute), func() {
		switch g, ok := c.gateOf(); {
		case !ok || !c.c.Proves(a.ID):
		case c.trouble(0.3):
			c.seen["keys not looked at"]++
			c.c = c.c.Unproven(a.ID, "permission denied", c.now)
		default:
			c.people.prove(g)
			c.judge(true)
		}
		c.step()
	})
}

// gateOf is the gate that the campaign waits at.
func (r *campaignRun) gateOf() (approval.Gate, bool) {
	g, ok := r.c.Due()
	if !ok || g.Expired || r.over {
		return approval.Gate{}, false
	}
	return approval.Gate{
		ID: g.ID, Campaign: "monthly", Instance: r.c.Instance, Plan: "sha256:plan", Rule: r.gateRules[g.ID], Requester: asked, Schedule: r.c.Standing, Since: g.Since, Ripe: !g.Since.IsZero(), Finding: r.c.Finding(g.Stage),
	}, true
}

// judge applies how its gate stands.
func (r *campaignRun) judge(proven bool) {
	r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Convene(r.now) })
	g, ok := r.gateOf()
	if !ok {
		return
	}
	j := r.people.judgment(g, time.Time{}, proven)
	r.c = untouched(r.world, r.c, func(c Campaign) Campaign { return c.Judged(j, r.now) })
	for _, after := range r.c.Gates {
		switch {
		case after.ID != g.ID:
		case after.Expired:
			r.seen["campaign's gate expired"]++
		case !after.Opened.IsZero():
			r.seen["campaign's gate opened"]++
			r.people.mayOpen(g, time.Time{}, g.Finding != "")
			r.opened = append(r.opened, g.ID)
			r.judge(false)
		}
	}
}

func (r *campaignRun) prove(a Action) {
	r.launch(r.flights, a.ID, r.between(time.Second, time.Minute), func() {
		switch g, ok := r.gateOf(); {
		case !ok || !r.c.Proves(a.ID):
		case r.trouble(0.3):
			r.c = r.c.Unproven(a.ID, "permission denied", r.now)
		default:
			r.people.prove(g)
			r.judge(true)
		}
		r.step()
	})
}

// mayBegin holds that every gate before a stage was opened.
func (r *campaignRun) mayBegin(me Ref) {
	for _, g := range r.c.Gates {
		if g.Stage <= me.Stage && !g.After && !slices.Contains(r.opened, g.ID) {
			r.broken("P7: %s starts %s, and gate %s is shut", r.c.Instance, me.Name, g.ID)
		}
	}
}

// somebodyVotes says anything at any gate, and loses a key now and then.
func (w *world) somebodyVotes(r *campaignRun) {
	if w.chance(0.05) {
		w.revoked["k-"+electors[w.rng.IntN(2)]] = true // one is left who can agree, and another who cannot sign
	}
	if r.begun {
		r.people.speak(false)
	}
	for _, c := range r.ordered() {
		if !c.over && w.chance(0.5) {
			c.people.speak(w.chance(0.3))
			c.step()
		}
	}
	if r.begun {
		r.step()
	}
}
