package main

import (
	"context"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

func (f *fake) Standing(_ context.Context, schedule, word string, w workflows.StandingWord) (workflows.Given, error) {
	e, there := f.now()[workflows.StandingID(schedule)]
	switch {
	case !there && word == workflows.UpdateWithdraw:
		return workflows.Given{}, status.ErrNotFound
	case e.Refuses != "":
		return workflows.Given{}, &refusal{e.Refuses}
	}
	g := workflows.Given{Name: w.Name, Signed: approval.Signed{Statement: w.Statement, Signature: w.Signature}, By: approval.Claimed("bob")}
	if s, err := approval.ParseStanding(w.Statement); err == nil {
		g.Name, g.Expires = s.Name(), s.Expires
	}
	return g, f.record(map[string]any{"standing": schedule, "word": word, "name": g.Name, "plan": w.Plan, "statement": w.Statement, "signed": w.Signature != "", "reason": w.Reason})
}
