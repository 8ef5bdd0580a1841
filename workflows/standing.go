package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// StandingID is the workflow id of the standing approvals for what a schedule makes.
func StandingID(schedule string) string { return "standing/" + schedule }

// The messages to it.
const (
	UpdateHandIn   = "hand-in"
	UpdateWithdraw = "withdraw"
)

// StandingState is the standing approvals for what a schedule makes. They are kept until they expire, those that were withdrawn too: what is
// remembered is not handed in again.
type StandingState struct {
	Schedule  string     `json:"schedule"`
	Given     []Given    `json:"given,omitempty"`
	Audit     audit.Head `json:"audit"`
	Unwritten unwritten  `json:"unwritten"`
	Seen      seen       `json:"seen"`
}

// Given is one of them.
type Given struct {
	Name string `json:"name"` // schedule/<the begin of its nonce>
	approval.Signed
	By        approval.Signer `json:"by"`
	Taken     time.Time       `json:"taken"`
	Expires   time.Time       `json:"expires"`
	Withdrawn *Withdrawn      `json:"withdrawn,omitempty"`
}

// Withdrawn is who withdrew one, when and why.
type Withdrawn struct {
	By     string    `json:"by"` // claimed
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// StandingWord is what a person says to it: a standing approval that is handed in, with the plan as the files of its schedule say it; or the name of one to withdraw.
type StandingWord struct {
	rollout.Message
	Plan string `json:"plan,omitempty"` // digest
	Name string `json:"name,omitempty"`
}

// Stands are those that were not withdrawn, as they were signed.
func (s StandingState) Stands() []approval.Signed {
	var out []approval.Signed
	for _, g := range s.Given {
		if g.Withdrawn == nil {
			out = append(out, g.Signed)
		}
	}
	return out
}

// The bounds of what is kept, and how long one that keeps nothing yet waits for its first.
const (
	givenMost    = 20
	standingWait = time.Minute
)

// Standing keeps the standing approvals for what a schedule makes, and ends when the last one has expired. Whether one counts at a gate is asked there.
func Standing(ctx workflow.Context, st StandingState) error {
	s := &standing{carrier: newCarrier(ctx), StandingState: st}
	if s.Audit.Chain == "" {
		info := workflow.GetInfo(ctx)
		s.Audit.Chain = info.WorkflowExecution.ID + "/" + info.WorkflowStartTime.UTC().Format("20060102T150405Z")
	}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (StandingState, error) { return s.StandingState, nil }); err != nil {
		return err
	}
	check := func(w StandingWord) error { return w.Check() }
	if err := workflow.SetUpdateHandlerWithOptions(s.ctx, UpdateHandIn, s.handIn, workflow.UpdateHandlerOptions{Description: describe[UpdateHandIn], Validator: check}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(s.ctx, UpdateWithdraw, s.withdraw, workflow.UpdateHandlerOptions{Description: describe[UpdateWithdraw], Validator: check}); err != nil {
		return err
	}
	first := workflow.Now(s.ctx).Add(standingWait)
	for {
		s.Unwritten.flush(s.ctx, SegmentQueue(""))
		s.changed = false
		wake := s.expire(workflow.Now(s.ctx))
		workflow.SetCurrentDetails(ctx, s.details())
		switch {
		case wake.IsZero() && len(s.Given) == 0 && len(s.inFlight) == 0 && !workflow.Now(s.ctx).Before(first):
			s.settle()
			s.Unwritten.flush(s.outlive, SegmentQueue(""))
			return nil
		case s.idle(ctx) && len(s.inFlight) == 0:
			s.settle()
			return workflow.NewContinueAsNewError(ctx, StandingType, s.StandingState)
		case wake.IsZero():
			wake = first
		}
		s.await(wake)
	}
}

type standing struct {
	*carrier
	StandingState
	words int
}

// expire forgets those that have expired, and says when the next one does; zero: none is left.
func (s *standing) expire(now time.Time) (next time.Time) {
	s.Given = slices.DeleteFunc(slices.Clone(s.Given), func(g Given) bool { return !g.Expires.After(now) })
	for _, g := range s.Given {
		if next.IsZero() || g.Expires.Before(next) {
			next = g.Expires
		}
	}
	return next
}

// handIn keeps one that somebody known has signed. It is verified beside what else goes on, and on record whatever comes of it.
func (s *standing) handIn(ctx workflow.Context, w StandingWord) (given Given, err error) {
	if i := slices.IndexFunc(s.Given, func(g Given) bool { return s.Seen.has(UpdateHandIn, w.ID) && g.Statement == w.Statement }); i >= 0 {
		return s.Given[i], nil
	}
	done := false
	s.words++
	s.start("word."+itoa(s.words), func(ctx workflow.Context) {
		given, err = s.take(ctx, w)
		done = true
	})
	own, _ := workflow.NewDisconnectedContext(ctx)
	if wait := workflow.Await(own, func() bool { return done }); wait != nil {
		return Given{}, wait
	}
	return given, err
}

func (s *standing) take(ctx workflow.Context, w StandingWord) (Given, error) {
	a, err := approval.ParseStanding(w.Statement)
	if err != nil {
		return Given{}, s.refuse(ctx, UpdateHandIn, w, err.Error())
	}
	in := activities.VerifyInput{Signed: signed(w.Message), Claimed: w.Actor, Standing: true, Campaign: s.Schedule, Plan: w.Plan}
	in.Intent = intend(ctx, &s.Audit, "verify", "", "", UpdateHandIn+": "+in.Record())
	var r activities.VerifyResult
	if err := workflow.ExecuteActivity(brief(ctx, "", "verify who signed "+a.Name()), "Verify", in).Get(ctx, &r); err != nil {
		s.Unwritten.owe(in.Intent)
		return Given{}, s.refuse(ctx, UpdateHandIn, w, "nobody could verify it: "+cause(err)+"; say it again")
	}
	s.Unwritten.adopt(ctx, &s.Audit, in.Intent, r.Audit)
	switch {
	case r.Verdict == rollout.Inconclusive:
		return Given{}, s.refuse(ctx, UpdateHandIn, w, "nobody can tell who signed it: "+r.Reason+"; say it again when that is mended")
	case r.Verdict != rollout.Pass:
		return Given{}, s.refuse(ctx, UpdateHandIn, w, r.Reason)
	case len(s.Given) >= givenMost:
		return Given{}, s.refuse(ctx, UpdateHandIn, w, fmt.Sprintf("%d standing approvals for schedule %s are kept until they expire, and no more are", givenMost, s.Schedule))
	}
	if i := slices.IndexFunc(s.Given, func(g Given) bool { return g.Name == a.Name() }); i >= 0 {
		why := "it was handed in already, by " + s.Given[i].By.String()
		if gone := s.Given[i].Withdrawn; gone != nil {
			why += ", and withdrawn by " + gone.By + ": sign anew"
		}
		return Given{}, s.refuse(ctx, UpdateHandIn, w, why)
	}
	g := Given{Name: a.Name(), Signed: signed(w.Message), By: r.By, Taken: workflow.Now(ctx).UTC(), Expires: a.Expires}
	s.Given = append(slices.Clone(s.Given), g)
	s.Seen.twice(UpdateHandIn, w.ID)
	s.Unwritten.add(ctx, &s.Audit, audit.Entry{Kind: audit.Message, Actor: g.By.String(), Action: UpdateHandIn, Detail: a.Reason, Run: w.ID, Result: "standing approval " + g.Name + " is taken, until " + g.Expires.UTC().Format(time.RFC3339)})
	s.changed = true
	return g, nil
}

// withdraw has one count no more, at any gate that is not open yet. Everybody may: people are asked then, as without it.
func (s *standing) withdraw(ctx workflow.Context, w StandingWord) (Given, error) {
	i := slices.IndexFunc(s.Given, func(g Given) bool { return g.Name == w.Name })
	switch {
	case i < 0:
		return Given{}, s.refuse(ctx, UpdateWithdraw, w, fmt.Sprintf("there is no standing approval %q; there are: %s", w.Name, s.names()))
	case s.Given[i].Withdrawn != nil && s.Seen.has(UpdateWithdraw, w.ID):
		return s.Given[i], nil
	case s.Given[i].Withdrawn != nil:
		return Given{}, s.refuse(ctx, UpdateWithdraw, w, w.Name+" was withdrawn already, by "+s.Given[i].Withdrawn.By+": "+s.Given[i].Withdrawn.Reason)
	}
	s.Given = slices.Clone(s.Given)
	s.Given[i].Withdrawn = &Withdrawn{By: w.Actor + " (claimed)", Reason: w.Reason, At: workflow.Now(ctx).UTC()}
	s.Seen.twice(UpdateWithdraw, w.ID)
	e := message(UpdateWithdraw, w.Message)
	e.Result = "standing approval " + w.Name + " counts at no gate that is not open yet"
	s.Unwritten.add(ctx, &s.Audit, e)
	s.changed = true
	return s.Given[i], nil
}

func (s *standing) refuse(ctx workflow.Context, word string, w StandingWord, why string) error {
	e := message(word, w.Message)
	e.Action, e.Result = word+" refused", why
	s.Unwritten.add(ctx, &s.Audit, e)
	s.changed = true
	return refusal(why)
}

func (s *standing) names() string {
	var out []string
	for _, g := range s.Given {
		if g.Withdrawn == nil {
			out = append(out, g.Name)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// details is what people read in the Temporal UI.
func (s *standing) details() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Standing approvals for what schedule **%s** makes:\n\n| name | by | expires | |\n| --- | --- | --- | --- |\n", s.Schedule)
	for _, g := range s.Given {
		state := ""
		if g.Withdrawn != nil {
			state = "withdrawn by " + g.Withdrawn.By
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.Name, g.By.Name(), g.Expires.UTC().Format(time.RFC3339), state)
	}
	b.WriteString("\nOne is withdrawn by `rollpatch standing withdraw NAME --reason \"...\"`, or the Update `withdraw` with its `name`." + updateForm)
	return b.String()
}

// Stood is a standing approval as it was found at one gate of an instance.
type Stood struct {
	Gate  string `json:"gate"`
	Name  string `json:"name"`
	Nonce string `json:"nonce"`
	By    string `json:"by,omitempty"`
	Why   string `json:"why,omitempty"` // it does not count; empty: it does
}

// look looks for standing approvals at the gate that the campaign waits at. What counts there is kept like every other word; what does not is noted with its reason.
func (c *campaign) look(ctx workflow.Context, a rollout.Action) {
	if !c.Looks(a.Name, a.ID) {
		return
	}
	err := c.lookFor(ctx, a)
	if ctx.Err() != nil {
		return
	}
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	c.Campaign = c.Looked(a.Name, a.ID, trouble, workflow.Now(ctx))
}

func (c *campaign) lookFor(ctx workflow.Context, a rollout.Action) error {
	k := c.keeper()
	all, err := k.standing(ctx)
	if err != nil {
		return err
	}
	var unknown error
	for _, s := range all {
		st, err := approval.ParseStanding(s.Statement)
		if err != nil || slices.ContainsFunc(c.Stood, func(o Stood) bool { return o.Gate == a.Name && o.Nonce == st.Nonce }) {
			continue
		}
		g, waits := c.Awaits()
		if !waits || g.ID != a.Name {
			return nil
		}
		gate := c.gateOf(g)
		r, err := k.ask(ctx, "standing approval "+st.Name(), activities.VerifyInput{Signed: s, Standing: true, Signers: files(k.signers), Gate: &gate, Votes: k.kept.said(gate.ID)})
		switch {
		case err != nil:
			unknown = errors.New(cause(err))
			continue
		case r.Verdict == rollout.Inconclusive:
			unknown = errors.New(r.Reason)
			continue
		}
		stood := Stood{Gate: a.Name, Name: st.Name(), Nonce: st.Nonce, By: r.By.Name()}
		if r.Verdict != rollout.Pass {
			stood.Why = r.Reason
		} else if err := k.keep(ctx, "standing approval", rollout.Message{Actor: r.By.Name(), Reason: st.Reason}, Ballot{Vote: r.Vote, Signed: s}); err != nil {
			stood.Why = cause(err)
		}
		c.Stood = append(slices.Clone(c.Stood), stood)
		c.changed = true
	}
	return unknown
}

// standing reads the standing approvals for what the schedule makes.
func (k *gatekeeper) standing(ctx workflow.Context) ([]approval.Signed, error) {
	var all []approval.Signed
	if err := workflow.ExecuteActivity(brief(ctx, "", "read the standing approvals for "+k.schedule), "Standing", activities.StandingInput{Schedule: k.schedule}).Get(ctx, &all); err != nil {
		return nil, errors.New(cause(err))
	}
	return all, nil
}

// withdrawn has the standing approvals at a gate that would open count no more that were withdrawn since. It fails where nobody can tell.
func (k *gatekeeper) withdrawn(ctx workflow.Context, gate string) error {
	if !slices.ContainsFunc(k.kept.Kept, func(b Ballot) bool { return b.Gate == gate && b.Void == "" && b.Standing != "" }) {
		return nil
	}
	all, err := k.standing(ctx)
	if err != nil {
		return err
	}
	for _, b := range slices.Clone(k.kept.Kept) {
		stands := slices.ContainsFunc(all, func(s approval.Signed) bool { return s.Statement == b.Signed.Statement })
		if b.Gate == gate && b.Void == "" && b.Standing != "" && !stands {
			k.kept.void(b.Nonce, "standing approval "+b.Standing+" is withdrawn")
			k.unwritten.add(ctx, k.audit, audit.Entry{Kind: audit.Message, Actor: "rollpatch", Action: "standing approval", Detail: b.Standing, Result: "counts no more at gate " + gate + ": it is withdrawn"})
		}
	}
	return nil
}

// notStanding says which standing approvals do not count at a gate, and why.
func (c *campaign) notStanding(gate string) string {
	out := ""
	for _, s := range c.Stood {
		if s.Gate == gate && s.Why != "" {
			out += "; standing approval " + s.Name + " of " + s.By + " does not count: " + s.Why
		}
	}
	return out
}
