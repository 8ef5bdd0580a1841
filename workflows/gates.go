package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Ballot is a word that was taken at a gate. What was signed is kept with it: its key is looked at once more before the gate opens.
type Ballot struct {
	approval.Vote
	Signed approval.Signed `json:"signed,omitzero"`
	// Void is why it counts no more, although it was taken.
	Void string `json:"void,omitempty"`
}

// Agreement is what the words said at a cluster's gates are bound to, and by what rule they count.
type Agreement struct {
	Campaign  string          `json:"campaign,omitempty"`
	Plan      string          `json:"plan,omitempty"` // digest
	Requester approval.Signer `json:"requester,omitzero"`
	Soak      *approval.Rule  `json:"soak,omitempty"`  // of its soaks; nil: one word of anybody
	Owner     string          `json:"owner,omitempty"` // of the cluster
	Signers   *plan.Signers   `json:"signers,omitempty"`
}

// rule is what the gate at a soak's end asks for.
func (a Agreement) rule() approval.Rule { return plan.Agreement{Soak: a.Soak}.SoakRule() }

// ballots are the words that a workflow keeps.
type ballots struct {
	Kept []Ballot `json:"kept,omitempty"`
}

// ballotsMost bounds what a workflow keeps of words: who has said one has his last one kept.
const ballotsMost = 200

// at lists the words at one gate. Those that were said before a time count no more.
func (b ballots) at(gate string, anew time.Time) []approval.Vote {
	var out []approval.Vote
	for _, k := range b.Kept {
		if k.Gate == gate && k.Void == "" && !k.Taken.Before(anew) {
			out = append(out, k.Vote)
		}
	}
	return out
}

// said lists every word at one gate, counted or not: a new one must be none of these.
func (b ballots) said(gate string) []approval.Vote {
	var out []approval.Vote
	for _, k := range b.Kept {
		if k.Gate == gate {
			out = append(out, k.Vote)
		}
	}
	return out
}

func (b ballots) signedAt(gate string) bool {
	return slices.ContainsFunc(b.Kept, func(k Ballot) bool { return k.Gate == gate && k.Void == "" && k.By.Signed() })
}

// drop forgets the words for gates that are over: one that comes again is for another gate.
func (b *ballots) drop(over func(gate string) bool) {
	if is := func(k Ballot) bool { return over(k.Gate) }; slices.ContainsFunc(b.Kept, is) {
		b.Kept = slices.DeleteFunc(slices.Clone(b.Kept), is)
	}
}

// expire forgets the words that have expired: one of these that comes again is refused for that.
func (b *ballots) expire(now time.Time) {
	b.Kept = slices.DeleteFunc(slices.Clone(b.Kept), func(k Ballot) bool { return !k.Expires.After(now) })
}

// void has a word count no more.
func (b *ballots) void(nonce, why string) {
	b.Kept = slices.Clone(b.Kept)
	for i := range b.Kept {
		if b.Kept[i].Nonce == nonce {
			b.Kept[i].Void = why
		}
	}
}

// judgment is how a gate stands with these words.
func (b ballots) judgment(g approval.Gate, anew, now time.Time) rollout.Judgment {
	votes := b.at(g.ID, anew)
	v := approval.Judge(g, votes, now)
	j := rollout.Judgment{
		Gate: g.ID, Open: v.Open, Proven: !b.signedAt(g.ID), Rejected: v.Rejected, Expired: v.Expired != "", Abort: v.Expired == approval.ExpiryAborts, Why: v.Why, Again: v.Again,
		Could: strings.Join(g.Could(), "; "), Signed: !g.Rule.Unsigned,
	}
	if g.Rule.Expiry > 0 && !g.Since.IsZero() {
		j.Until = g.Since.Add(g.Rule.Expiry)
	}
	for _, k := range b.Kept {
		if k.Gate == g.ID && k.Void != "" {
			j.Why += "; what " + k.By.String() + " said counts no more: " + k.Void
		}
	}
	for _, name := range v.Agreed {
		i := slices.IndexFunc(votes, func(w approval.Vote) bool { return w.By.String() == name && w.Decision == approval.Approve })
		if i < 0 {
			continue
		}
		w := votes[i]
		j.By = append(j.By, rollout.Approval{Gate: g.ID, Actor: w.By.Name(), Claimed: !w.By.Signed(), Key: w.By.Key, Reason: w.Reason, At: w.Taken, Standing: w.Standing})
	}
	return j
}

// claimed makes a statement of a word that nobody signed. Its place on the chain makes it another one than all others.
func claimed(word string, m rollout.Message, g approval.Gate, head audit.Head, now time.Time) approval.Statement {
	s := g.Unsigned(approval.Decision(word), m.Reason, itoa(int(head.Seq))+" "+m.ID, now)
	s.WhenPass = m.WhenPass
	return s
}

// gatekeeper takes words at the gates of one workflow.
type gatekeeper struct {
	*carrier
	kept      *ballots
	audit     *audit.Head
	unwritten *unwritten
	seen      *seen
	signers   *plan.Signers
	schedule  string // whose standing approvals count
	words     int    // that were heard in this run
}

// refusal is a word that is not taken. It is answered to who said it, and on record.
func refusal(why string) error { return temporal.NewNonRetryableApplicationError(why, ErrRefused, nil) }

// take has a word heard at a gate: verified if it is signed, and kept if it counts. gate says which one is meant as things stand then.
func (k *gatekeeper) take(ctx workflow.Context, word string, m rollout.Message, gate func() (approval.Gate, error)) error {
	g, err := gate()
	if err != nil {
		return k.refuse(ctx, word, m, err)
	}
	if m.Statement == "" {
		now := workflow.Now(ctx)
		v, err := g.Admit(k.kept.said(g.ID), claimed(word, m, g, *k.audit, now), approval.Claimed(m.Actor), now)
		if err != nil {
			return k.refuse(ctx, word, m, err)
		}
		return k.keep(ctx, word, m, Ballot{Vote: v})
	}
	s := signed(m)
	r, err := k.verify(ctx, word, s, m.Actor, &g)
	switch {
	case k.seen.has(word, m.ID):
		return nil // it was said twice at once, and the other one was taken
	case err != nil:
		return k.refuse(ctx, word, m, errors.New("nobody could verify it: "+cause(err)+"; say it again"))
	case r.Verdict == rollout.Inconclusive:
		return k.refuse(ctx, word, m, errors.New("nobody can tell who signed it: "+r.Reason+"; say it again when that is mended"))
	case r.Verdict != rollout.Pass:
		return k.refuse(ctx, word, m, errors.New(r.Reason))
	case r.Vote.Decision != approval.Decision(word):
		return k.refuse(ctx, word, m, fmt.Errorf("what was signed says %s, and not %s", r.Vote.Decision, word))
	}
	// While it was verified, others may have spoken, and the gate may be another one.
	now, err := gate()
	if err != nil {
		return k.refuse(ctx, word, m, err)
	}
	parsed, err := approval.Parse(m.Statement)
	if err != nil {
		return k.refuse(ctx, word, m, err)
	}
	v, err := now.Admit(k.kept.said(now.ID), parsed, r.By, workflow.Now(ctx))
	if err != nil {
		return k.refuse(ctx, word, m, err)
	}
	return k.keep(ctx, word, m, Ballot{Vote: v, Signed: s})
}

func signed(m rollout.Message) approval.Signed {
	return approval.Signed{Statement: m.Statement, Signature: m.Signature}
}

func (k *gatekeeper) keep(ctx workflow.Context, word string, m rollout.Message, b Ballot) error {
	if len(k.kept.Kept) >= ballotsMost {
		k.kept.expire(workflow.Now(ctx))
	}
	if len(k.kept.Kept) >= ballotsMost {
		return k.refuse(ctx, word, m, fmt.Errorf("%d words were taken already, and no more are kept", ballotsMost))
	}
	kept := slices.Clone(k.kept.Kept)
	if !b.By.Signed() { // what the same person claimed before need not be remembered: nobody can send it again
		kept = slices.DeleteFunc(kept, func(o Ballot) bool { return o.Gate == b.Gate && !o.By.Signed() && o.By.Is(b.By) })
	}
	k.kept.Kept = append(kept, b)
	k.seen.twice(word, m.ID)
	k.unwritten.add(ctx, k.audit, audit.Entry{Kind: audit.Message, Actor: b.By.String(), Action: word, Detail: b.Reason, Run: m.ID, Result: "taken at gate " + b.Gate})
	k.changed = true
	return nil
}

// refuse puts a refusal on record, and answers it.
func (k *gatekeeper) refuse(ctx workflow.Context, word string, m rollout.Message, why error) error {
	e := message(word, m)
	e.Action, e.Result = e.Action+" refused", why.Error()
	k.unwritten.add(ctx, k.audit, e)
	k.changed = true
	return refusal(why.Error())
}

// verify has a signature looked at by the keys' file as it is now.
func (k *gatekeeper) verify(ctx workflow.Context, word string, s approval.Signed, claims string, g *approval.Gate) (activities.VerifyResult, error) {
	in := activities.VerifyInput{Signed: s, Claimed: claims, Signers: files(k.signers), Gate: g, Votes: k.kept.said(g.ID)}
	return k.ask(ctx, word, in)
}

func (k *gatekeeper) ask(ctx workflow.Context, word string, in activities.VerifyInput) (activities.VerifyResult, error) {
	in.Intent = intend(ctx, k.audit, "verify", "", "", word+": "+in.Record())
	var r activities.VerifyResult
	err := workflow.ExecuteActivity(options(ctx, SegmentQueue(""), "verify who signed "+word, 0), "Verify", in).Get(ctx, &r)
	if err != nil {
		k.unwritten.owe(in.Intent)
		return r, err
	}
	k.unwritten.adopt(ctx, k.audit, in.Intent, r.Audit)
	return r, nil
}

func files(s *plan.Signers) activities.SignersFiles {
	if s == nil {
		return activities.SignersFiles{}
	}
	return activities.SignersFiles{Allowed: s.Allowed, Revoked: s.Revoked}
}

// prove looks once more at the keys of those who said something at a gate that would open. Who lost his key since counts no more. It fails
// where nobody can tell.
func (k *gatekeeper) prove(ctx workflow.Context, g approval.Gate) error {
	if err := k.withdrawn(ctx, g.ID); err != nil {
		return err
	}
	for _, b := range slices.Clone(k.kept.Kept) {
		if b.Gate != g.ID || b.Void != "" || !b.By.Signed() {
			continue
		}
		alone := g
		r, err := k.ask(ctx, string(b.Decision)+" once more, before the gate opens", activities.VerifyInput{Signed: b.Signed, Claimed: b.By.Name(), Signers: files(k.signers), Gate: &alone, Standing: b.Standing != ""})
		switch {
		case err != nil:
			return errors.New(cause(err))
		case r.Verdict == rollout.Inconclusive:
			return errors.New(r.Reason)
		case r.Verdict != rollout.Pass:
			k.kept.void(b.Nonce, r.Reason)
		}
	}
	return nil
}

// hears has a word taken. What was signed is verified beside what else goes on, and a run does not end while one is heard.
func (k *gatekeeper) hears(ctx workflow.Context, m rollout.Message, work func(ctx workflow.Context) error) error {
	if m.Statement == "" {
		return work(ctx)
	}
	var done bool
	var err error
	k.words++
	k.start("word."+itoa(k.words), func(ctx workflow.Context) {
		err = work(ctx)
		done = true
	})
	own, _ := workflow.NewDisconnectedContext(ctx)
	if wait := workflow.Await(own, func() bool { return done }); wait != nil {
		return wait
	}
	return err
}
