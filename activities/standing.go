package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// Standings knows the standing approvals that were handed in.
type Standings interface {
	// Standing lists those for what a schedule makes that were not withdrawn, as they were signed. No list is an error; an empty one is none.
	Standing(ctx context.Context, schedule string) ([]approval.Signed, error)
}

// StandingInput asks for the standing approvals for what a schedule makes.
type StandingInput struct {
	Schedule string `json:"schedule"`
}

// Standing lists them. Whether one counts is asked of each by Verify.
func (a *Activities) Standing(ctx context.Context, in StandingInput) ([]approval.Signed, error) {
	return a.Standings.Standing(ctx, in.Schedule)
}

// verifyStanding finds out who signed a standing approval, and whether it counts at a gate; without a gate, whether it can be kept for its schedule.
func (a *Activities) verifyStanding(ctx context.Context, in VerifyInput) VerifyResult {
	s, err := approval.ParseStanding(in.Statement)
	if err != nil {
		return refused(VerifyResult{}, &approval.Refusal{Cause: approval.CauseForm, Text: err.Error()})
	}
	r := VerifyResult{By: approval.Claimed(in.Claimed)}
	digest := in.Plan
	if in.Gate != nil {
		digest = in.Gate.Plan
	}
	var pl plan.Plan
	if err := a.load(ctx, digest, &pl); err != nil {
		return refused(r, err)
	}
	keys := in.Signers
	if pl.Agreement.Signers != nil {
		keys = SignersFiles{Allowed: pl.Agreement.Signers.Allowed, Revoked: pl.Agreement.Signers.Revoked}
	}
	if in.Signature != "" {
		if r.By, err = a.Signers.Verify(ctx, keys, in.Signed, in.Intent.Time); err != nil {
			return refused(r, err)
		}
	}
	if in.Gate == nil {
		if err := approval.HandIn(in.Campaign, s, r.By, in.Intent.Time); err != nil {
			return refused(r, err)
		}
		return refused(r, gatesOf(pl, s))
	}
	behind, err := pl.Behind(in.Gate.ID, func(c plan.Cluster) (plan.Part, error) { return a.part(ctx, c.Part) })
	if err != nil {
		return refused(r, err)
	}
	vote, err := in.Gate.AdmitStanding(behind, in.Votes, s, r.By, in.Intent.Time)
	if err != nil {
		return refused(r, err)
	}
	r = refused(r, nil)
	r.Vote = vote
	return r
}

// gatesOf refuses what names a gate that the plan does not have: it would never count.
func gatesOf(pl plan.Plan, s approval.Standing) error {
	var names []string
	for _, g := range pl.Agreement.Gates {
		names = append(names, g.ID)
	}
	for _, id := range s.Gates {
		if !slices.Contains(names, id) {
			has := strings.Join(names, ", ")
			if has == "" {
				has = "none"
			}
			return &approval.Refusal{Cause: approval.CauseGate, Text: fmt.Sprintf("the files of schedule %s have no gate %s; they have: %s", s.Schedule, id, has)}
		}
	}
	return nil
}
