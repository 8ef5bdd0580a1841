package activities

import (
	"context"
	"errors"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Signers know whose keys there are.
type Signers interface {
	// Verify says who signed a statement at that time, by the files as they are now. A word that must not count is an *approval.Refusal; any
	// other error means that nobody can tell.
	Verify(ctx context.Context, keys SignersFiles, signed approval.Signed, at time.Time) (approval.Signer, error)
}

// SignersFiles say whose keys there are, and which are revoked, as a campaign names them. A worker with files of its own goes by those alone.
type SignersFiles struct {
	Allowed string `json:"allowed,omitempty"`
	Revoked string `json:"revoked,omitempty"`
}

// VerifyInput has a person's word verified. The time that counts is the intent's.
type VerifyInput struct {
	approval.Signed
	Claimed string       `json:"claimed,omitempty"` // the name given with a word that nobody signed
	Signers SignersFiles `json:"signers,omitzero"`
	// Gate is where it is said, and Votes what was admitted there. Without a gate it is a request to run this instance of this plan.
	Gate     *approval.Gate  `json:"gate,omitempty"`
	Votes    []approval.Vote `json:"votes,omitempty"`
	Campaign string          `json:"campaign,omitempty"`
	Instance string          `json:"instance,omitempty"`
	Plan     string          `json:"plan,omitempty"`
	// Standing: it is a standing approval, at a gate, or handed in for schedule Campaign whose files say Plan.
	Standing bool        `json:"standing,omitempty"`
	Intent   audit.Entry `json:"intent"`
}

// VerifyResult is what became of it: it passes, it is refused (fail), or nobody can tell (inconclusive) and it does not count.
type VerifyResult struct {
	Verdict rollout.Verdict `json:"verdict"`
	Cause   approval.Cause  `json:"cause,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	By      approval.Signer `json:"by,omitzero"`
	Vote    approval.Vote   `json:"vote,omitzero"` // at a gate, when it passes
	Audit   audit.Head      `json:"audit"`
}

// Verify finds out who signed a statement and whether it counts. Refusals go on record like everything else.
func (a *Activities) Verify(ctx context.Context, in VerifyInput) (VerifyResult, error) {
	var r VerifyResult
	head, err := a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		if in.Standing {
			r = a.verifyStanding(ctx, in)
		} else {
			r = a.verify(ctx, in)
		}
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		r.Reason = clip(r.Reason)
		return r.told(in), "", nil
	})
	r.Audit = head
	return r, err
}

func (a *Activities) verify(ctx context.Context, in VerifyInput) VerifyResult {
	s, err := approval.Parse(in.Statement)
	if err != nil {
		return refused(VerifyResult{}, &approval.Refusal{Cause: approval.CauseForm, Text: err.Error()})
	}
	r := VerifyResult{By: approval.Claimed(in.Claimed)}
	if in.Signature != "" {
		if r.By, err = a.Signers.Verify(ctx, in.Signers, in.Signed, in.Intent.Time); err != nil {
			return refused(r, err)
		}
	}
	if in.Gate == nil {
		return refused(r, approval.Requested(in.Campaign, in.Instance, in.Plan, s, r.By, in.Intent.Time))
	}
	vote, err := in.Gate.Admit(in.Votes, s, r.By, in.Intent.Time)
	if r = refused(r, err); r.Verdict == rollout.Pass {
		r.Vote = vote
	}
	return r
}

// refused is r with what err makes of it: a refusal is a fail, anything else is not known.
func refused(r VerifyResult, err error) VerifyResult {
	var no *approval.Refusal
	switch {
	case err == nil:
		r.Verdict = rollout.Pass
	case errors.As(err, &no):
		r.Verdict, r.Cause, r.Reason = rollout.Fail, no.Cause, no.Text
	default:
		r.Verdict, r.Reason = rollout.Inconclusive, err.Error()
	}
	return r
}

// told is the result as it goes on record: what was said by whom with which key, and why it does not count. With the statement and its
// signature, which the intent holds, anybody can check it later.
func (r VerifyResult) told(in VerifyInput) string {
	who := r.By.String()
	switch {
	case r.By.Signed():
		who += " with key " + r.By.Key
	case len(r.By.Names) == 0:
		who = "signer unknown"
	}
	switch r.Verdict {
	case rollout.Pass:
		return string(r.Verdict) + ": " + who
	case rollout.Fail:
		return "refused, " + string(r.Cause) + ": " + r.Reason + " (" + who + ")"
	}
	return string(r.Verdict) + ": " + r.Reason + " (" + who + ")"
}
