package approval_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

var (
	seeds = flag.Int("approval.seeds", 600, "how many random stories at a gate")
	one   = flag.Int("approval.seed", -1, "play this one only")
)

// TestNoGateOpensWithoutItsQuorum plays stories of signed, claimed, replayed, expired, held back, conflicting and foreign words and of standing
// approvals, with keys that are revoked on the way, and holds each verdict against a count of its own. A fifth of the gates are freezes, and
// another one are those of a stage of what a schedule made.
func TestNoGateOpensWithoutItsQuorum(t *testing.T) {
	opened, broke, refused, rejected, stood, spoke := 0, 0, map[approval.Cause]int{}, 0, 0, 0
	from, to := 0, *seeds
	if *one >= 0 {
		from, to = *one, *one+1
	}
	for seed := from; seed < to; seed++ {
		w := newStory(seed)
		for range 4 + w.rnd.IntN(20) {
			w.step()
			got := approval.Judge(w.gate, w.votes, w.now)
			must, why := w.count()
			if got.Open && !must {
				t.Fatalf("seed %d: the gate opens at %s, and %s\nverdict %+v\ngate %+v\nlog:\n%s\nplay it again: go test ./workflows/approval -run Quorum -approval.seed=%d", seed, w.now, why, got, w.gate, w.log, seed)
			}
			if !got.Open && must {
				t.Fatalf("seed %d: the gate stays shut at %s although enough agreed\nverdict %+v\ngate %+v\nlog:\n%s", seed, w.now, got, w.gate, w.log)
			}
			if got.Open && (got.Rejected != "" || got.Expired != "" || len(got.Missing) > 0) {
				t.Fatalf("seed %d: open, and %+v", seed, got)
			}
			if words, until := approval.Broken(w.gate, w.votes, w.now); approval.IsFreeze(w.gate.ID) {
				if stands := !must || !w.now.Before(start.Add(6*time.Hour)); stands != (len(words) == 0) || stands != until.IsZero() || until.After(start.Add(6*time.Hour)) {
					t.Fatalf("seed %d: broken until %s at %s by %d words, and it stands is %t: %s\nlog:\n%s", seed, until, w.now, len(words), stands, why, w.log)
				}
				if len(words) > 0 {
					broke++
				}
			} else if len(words) > 0 {
				t.Fatalf("seed %d: %s is no freeze, and is broken", seed, w.gate.ID)
			}
			// Order and repetition change nothing, and neither does what was refused.
			again := append(w.shuffled(), w.shuffled()...)
			if other := approval.Judge(w.gate, append(again, w.refusedVotes...), w.now); !reflect.DeepEqual(other, got) {
				t.Fatalf("seed %d: the same votes in another order, twice, with those that were refused:\n%+v\nwant\n%+v\nlog:\n%s", seed, other, got, w.log)
			}
			if got.Open {
				opened++
				if w.rests() {
					stood++
				}
			}
			if w.outspoken {
				spoke++
			}
			if got.Rejected != "" {
				rejected++
			}
		}
		for cause, n := range w.refusals {
			refused[cause] += n
		}
	}
	if *one >= 0 {
		return
	}
	// A test in which no gate opens, or nothing is ever refused, would hold anything.
	if opened < *seeds/4 || rejected < *seeds/4 || broke < *seeds/20 || stood < *seeds/20 || spoke < *seeds/50 {
		t.Errorf("open %d times, broken %d times, rejected %d times, opened by standing approvals %d times, which somebody's own word outweighed %d times, in %d stories", opened, broke, rejected, stood, spoke, *seeds)
	}
	for _, cause := range []approval.Cause{
		approval.CauseUnknownKey, approval.CauseRevokedKey, approval.CauseUnsigned, approval.CauseGate, approval.CauseSoak, approval.CauseInstance, approval.CausePlan,
		approval.CauseRequester, approval.CauseRole, approval.CauseExpired, approval.CauseFuture, approval.CauseReplayed, approval.CauseNotYet, approval.CauseOverruled, approval.CauseLimits,
	} {
		if refused[cause] < *seeds/50 {
			t.Errorf("refused for %q: %d times in %d stories", cause, refused[cause], *seeds)
		}
	}
}

// human is somebody in the story: keys and names are his whatever the rules make of them.
type human struct {
	name      string
	names     []string
	principal string // the one of his names that the approvers are listed by, and that he claims to have
	keys      []string
	roles     map[approval.Role]bool
}

// spoken is what was really said, as the books keep it.
type spoken struct {
	human  int
	signed bool
	stmt   approval.Statement
	key    string
}

type story struct {
	rnd          *rand.Rand
	now          time.Time
	gate         approval.Gate
	people       []human
	revoked      map[string]bool
	votes        []approval.Vote
	refusedVotes []approval.Vote
	said         []spoken // everything ever sent, to be sent again
	books        []spoken // what counts by the books
	nonces       map[string]bool
	refusals     map[approval.Cause]int
	stands       []stood // standing approvals that count by the books
	behind       approval.Behind
	stage        bool // its gate is one that standing approvals may open
	outspoken    bool // somebody with a standing approval has said something else himself
	log          string
	n            int
}

func newStory(seed int) *story {
	w := &story{rnd: rand.New(rand.NewPCG(uint64(seed), 1)), now: start, revoked: map[string]bool{}, nonces: map[string]bool{}, refusals: map[approval.Cause]int{}}
	g := approval.Gate{ID: "soak/web/2", Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Owners: []string{"web team"}, Ripe: w.rnd.IntN(3) > 0, Since: start}
	for i, name := range []string{"ann", "ben", "mia", "olu", "eve", "zoe"} {
		h := human{name: name, names: []string{name}, keys: []string{"SHA256:" + name}, roles: map[approval.Role]bool{}}
		if w.rnd.IntN(3) == 0 {
			h.keys = append(h.keys, "SHA256:"+name+"-2")
		}
		if w.rnd.IntN(3) == 0 {
			h.names = append(h.names, name+"@example.org")
		}
		h.principal = h.names[w.rnd.IntN(len(h.names))]
		a := approval.Approver{Principal: h.principal}
		for _, role := range []approval.Role{approval.Peer, approval.Manager} {
			if w.rnd.IntN(2) == 0 {
				a.Roles, h.roles[role] = append(a.Roles, role), true
			}
		}
		if w.rnd.IntN(4) == 0 {
			a.Owns, h.roles[approval.Owner] = []string{"web team"}, true
		}
		if i < 5 { // zoe is nobody here
			g.Rule.Approvers = append(g.Rule.Approvers, a)
		} else {
			h.roles = nil
		}
		w.people = append(w.people, h)
	}
	g.Requester = approval.Signer{Names: w.people[4].names, Key: w.people[4].keys[0]}
	g.Rule.Quorum = 1 + w.rnd.IntN(3)
	for _, role := range []approval.Role{approval.Peer, approval.Manager, approval.Owner} {
		if w.rnd.IntN(4) == 0 {
			g.Rule.Roles = append(g.Rule.Roles, role)
		}
	}
	g.Rule.Unsigned = w.rnd.IntN(4) == 0
	if w.rnd.IntN(3) == 0 {
		g.Rule.Expiry = time.Duration(1+w.rnd.IntN(24)) * time.Hour
	}
	if w.rnd.IntN(2) == 0 {
		g.Schedule, g.Files = "monthly", "sha256:files"
	}
	w.gate = g
	switch seed % 5 {
	case 4:
		w.freeze()
	case 3:
		w.made()
	}
	return w
}

// freeze makes the story one about a freeze: whatever somebody's roles are, what counts is whom that freeze names.
func (w *story) freeze() {
	g := &w.gate
	g.ID, g.Ripe, g.Since, g.Owners = approval.GateFreeze("christmas", start.Add(-time.Hour), start.Add(6*time.Hour)), true, time.Time{}, nil
	var named []string
	for i := range w.people {
		h := &w.people[i]
		h.roles = nil
		if w.rnd.IntN(2) == 0 {
			named, h.roles = append(named, h.principal), map[approval.Role]bool{approval.Breaker: true}
		}
	}
	g.Rule = approval.BreakRule(named)
}

func (w *story) note(format string, args ...any) {
	w.log += w.now.Format("15:04:05 ") + fmt.Sprintf(format, args...) + "\n"
}

func (w *story) step() {
	w.now = w.now.Add(time.Duration(w.rnd.IntN(3600)) * time.Second)
	if w.stage && w.rnd.IntN(3) == 0 || w.rnd.IntN(20) == 0 {
		w.stand()
		return
	}
	switch w.rnd.IntN(12) {
	case 0:
		h := w.people[w.rnd.IntN(len(w.people))]
		key := h.keys[w.rnd.IntN(len(h.keys))]
		w.revoked[key] = true
		w.note("%s is revoked", key)
	case 1:
		w.gate.Ripe = true
		w.note("ripe")
	case 2:
		if w.rnd.IntN(4) == 0 {
			w.gate.Finding = "check page failed"
			w.note("a finding")
		}
	case 3, 4: // sent again, as it was
		if len(w.said) > 0 {
			w.send(w.said[w.rnd.IntN(len(w.said))])
		}
	default:
		w.send(w.fresh())
	}
}

// fresh is a new word, most of the time one that is as it should be.
func (w *story) fresh() spoken {
	w.n++
	i := w.rnd.IntN(len(w.people))
	h := w.people[i]
	s := approval.Statement{
		Decision: approval.Approve, Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Gates: []string{"soak/db/1", w.gate.ID}, Reason: "because",
		At: w.now, Expires: w.now.Add(time.Duration(1+w.rnd.IntN(12)) * time.Hour), Nonce: fmt.Sprintf("nonce-number-%08d", w.n),
	}
	if w.rnd.IntN(8) == 0 {
		s.Decision = approval.Reject
	} else {
		s.WhenPass = w.rnd.IntN(3) == 0
	}
	switch w.rnd.IntN(30) {
	case 0:
		s.Plan = "sha256:2"
	case 1:
		s.Gates = []string{"soak/web/1"}
		if approval.IsFreeze(w.gate.ID) { // its next span, or one that was announced to be longer
			s.Gates = []string{approval.GateFreeze("christmas", start.Add(-time.Hour), start.Add(time.Duration(7+w.rnd.IntN(3))*time.Hour))}
		}
	case 2:
		s.Gates = []string{"soak/db/2", "start"}
	case 3:
		s.Instance = "monthly-0"
	case 4:
		s.Instance = ""
	case 5:
		s.At, s.Expires = s.At.Add(time.Hour), s.Expires.Add(time.Hour)
	case 6:
		s.At, s.Expires = s.At.Add(-48*time.Hour), s.Expires.Add(-48*time.Hour)
	case 7, 8: // held back: it was said before
		s.At = s.At.Add(-time.Duration(w.rnd.IntN(7200)) * time.Second)
	case 9:
		s.Campaign = "weekly"
	}
	sp := spoken{human: i, signed: w.rnd.IntN(5) > 0, stmt: s, key: h.keys[w.rnd.IntN(len(h.keys))]}
	if w.rnd.IntN(20) == 0 {
		sp.key = "SHA256:stranger"
	}
	return sp
}

// send does with a word what an activity and a workflow do, and keeps the books beside it.
func (w *story) send(sp spoken) {
	w.said = append(w.said, sp)
	h := w.people[sp.human]
	by := approval.Claimed(h.principal)
	if sp.signed {
		by = approval.Signer{Names: h.names, Key: sp.key}
	}
	w.keepBooks(sp)
	cause := approval.Cause("")
	var vote approval.Vote
	switch {
	case sp.signed && sp.key == "SHA256:stranger":
		cause, by = approval.CauseUnknownKey, approval.Signer{Key: sp.key}
	case sp.signed && w.revoked[sp.key]:
		cause = approval.CauseRevokedKey
	default:
		v, err := w.gate.Admit(w.votes, sp.stmt, by, w.now)
		if cause, vote = causeOf(err), v; err == nil {
			w.votes = append(w.votes, vote)
		}
	}
	if cause != "" {
		w.refusals[cause]++
	}
	// Some refusals are of the word itself. Such a vote in the list, however it got there, does not count.
	switch cause {
	case approval.CauseGate, approval.CauseSoak, approval.CauseInstance, approval.CausePlan, approval.CauseRequester, approval.CauseRole, approval.CauseUnsigned:
		gate := sp.stmt.Gates[len(sp.stmt.Gates)-1]
		w.refusedVotes = append(w.refusedVotes, approval.Vote{
			Gate: gate, Decision: sp.stmt.Decision, By: by, Campaign: sp.stmt.Campaign, Instance: sp.stmt.Instance, Plan: sp.stmt.Plan, At: sp.stmt.At, Expires: sp.stmt.Expires, Nonce: sp.stmt.Nonce,
		})
	}
	w.note("%s (%v, %s) %s when-pass=%v at %s until %s gates %v nonce %s: %q", h.name, sp.signed, sp.key, sp.stmt.Decision, sp.stmt.WhenPass, sp.stmt.At.Format("15:04:05"), sp.stmt.Expires.Format("02 15:04"), sp.stmt.Gates, sp.stmt.Nonce, cause)
}

// keepBooks writes down what counts, by the rules as people are told them, without a look at the code.
func (w *story) keepBooks(sp spoken) {
	s := sp.stmt
	here := false
	for _, g := range s.Gates {
		here = here || g == w.gate.ID
	}
	known := !sp.signed || sp.key != "SHA256:stranger" && !w.revoked[sp.key]
	binds := here && s.Campaign == "monthly" && (s.Instance == "monthly-1" || s.Instance == "") && s.Plan == "sha256:1"
	inTime := s.Expires.After(w.now) && !s.At.After(w.now.Add(5*time.Minute))
	may := sp.human != 4 && w.asked(sp.human) && (sp.signed || w.gate.Rule.Unsigned)
	ripe := w.gate.Ripe || s.WhenPass || s.Decision == approval.Reject
	if !known || !binds || !inTime || !may || !ripe || w.nonces[s.Nonce] {
		return
	}
	for _, b := range w.books {
		if b.human == sp.human && (b.signed && !sp.signed || b.signed == sp.signed && b.stmt.At.After(s.At)) {
			return // something stronger or later of the same person stands already
		}
	}
	w.nonces[s.Nonce] = true
	w.books = append(w.books, sp)
}

// asked says that a human has a role that the gate asks for.
func (w *story) asked(i int) bool {
	h := w.people[i]
	if len(w.gate.Rule.Roles) == 0 {
		return len(h.roles) > 0
	}
	for _, r := range w.gate.Rule.Roles {
		if h.roles[r] {
			return true
		}
	}
	return false
}

// count says whether the gate may open, from the books alone.
func (w *story) count() (bool, string) {
	w.outspoken = false
	agreed, roles := 0, map[approval.Role]bool{}
	for i, h := range w.people {
		var last *spoken
		for k := range w.books {
			b := &w.books[k]
			if b.human != i {
				continue
			}
			switch {
			case last == nil, b.signed && !last.signed, b.signed == last.signed && b.stmt.At.After(last.stmt.At):
				last = b
			case b.signed == last.signed && b.stmt.At.Equal(last.stmt.At) && b.stmt.Decision == approval.Reject:
				last = b
			}
		}
		w.outspoken = w.outspoken || last != nil && w.standsFor(i)
		switch {
		case last == nil && w.standsFor(i) && w.gate.Finding == "":
			agreed++
			for r := range h.roles {
				roles[r] = true
			}
		case last == nil:
		case last.stmt.Decision == approval.Reject:
			return false, h.name + " said no"
		case !last.stmt.Expires.After(w.now), last.stmt.WhenPass && w.gate.Finding != "":
		default:
			agreed++
			for r := range h.roles {
				roles[r] = true
			}
		}
	}
	if !w.gate.Ripe {
		return false, "it is not ripe"
	}
	if e := w.gate.Rule.Expiry; e > 0 && !w.now.Before(start.Add(e)) {
		return false, "it expired"
	}
	if agreed < w.gate.Rule.Quorum {
		return false, fmt.Sprintf("%d of %d agreed", agreed, w.gate.Rule.Quorum)
	}
	for _, r := range w.gate.Rule.Roles {
		if !roles[r] {
			return false, "no " + string(r) + " agreed"
		}
	}
	return true, ""
}

func (w *story) shuffled() []approval.Vote {
	out := append([]approval.Vote(nil), w.votes...)
	w.rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
