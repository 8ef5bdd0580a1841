package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// unfired is why a schedule makes no instance, which key of it says so, and what to write instead.
type unfired struct{ path, why, instead string }

func (u unfired) Error() string { return u.path + ": " + u.why + ": " + u.instead }

// unfiredBy is a schedule that fires never.
func unfiredBy(path, why, instead string) error {
	return &problem{code: exitUsage, err: unfired{path, why, instead}, hints: []string{nothingHint}}
}

// ruleOf is the key of a schedule that its rule is written under.
func ruleOf(s plan.Schedule) string {
	switch {
	case s.RRule != "":
		return "schedule.rrule"
	case s.Cron != "":
		return "schedule.cron"
	}
	return "schedule.nth"
}

// placed is the same error with the file and the line.
func placed(err error, where func(path string) (string, int)) error {
	var u unfired
	if !errors.As(err, &u) {
		return err
	}
	return invalid(file.Findings{u.finding(where)})
}

func (u unfired) finding(where func(path string) (string, int)) file.Finding {
	name, line := where(u.path)
	return file.Finding{File: name, Line: line, Path: u.path, Msg: fmt.Sprintf("%s: %s", u.why, u.instead)}
}

// unfires says what keeps a campaign's schedule from making instances. One that is not well written has findings of its own.
func (d *desk) unfires(ctx context.Context, doc file.Document[campaign.Campaign]) file.Findings {
	s := doc.Value.Scheduled()
	if s == nil {
		return nil
	}
	var p inventory.Problems
	p.Recurs("schedule", s.Window().When(), "")
	if len(p) > 0 {
		return nil
	}
	_, err := d.firings(ctx, *s)
	var u unfired
	if !errors.As(err, &u) {
		return nil
	}
	return file.Findings{u.finding(doc.Where)}
}
