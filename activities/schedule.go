package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Schedules are those that the Temporal server keeps.
type Schedules interface {
	// Renew has a schedule fire at these times from now on. One that is gone is no error.
	Renew(ctx context.Context, name string, at []time.Time) error
	// Kept says whether a schedule is still there.
	Kept(ctx context.Context, name string) (bool, error)
}

// ScheduledInput is a schedule that may have been deleted.
type ScheduledInput struct {
	Name string `json:"name"`
}

// Scheduled says whether the server still keeps a schedule: one that is gone is not paused.
func (a *Activities) Scheduled(ctx context.Context, in ScheduledInput) (bool, error) {
	return a.Schedules.Kept(ctx, in.Name)
}

// FireInput is a schedule that fires, at the time for which it was meant to.
type FireInput struct {
	Name     string        `json:"name"`
	Files    string        `json:"files"` // digest of the plan as the files alone say it
	Schedule plan.Schedule `json:"schedule"`
	At       time.Time     `json:"at"`
}

// FireResult is what the firing is for.
type FireResult struct {
	Begin  time.Time        `json:"begin,omitzero"`   // its window opens; zero: a person had it fire, and it begins as one that a person runs
	Stands []rollout.Freeze `json:"stands,omitempty"` // the freezes that keep it from an earlier begin
	Next   []time.Time      `json:"next,omitempty"`   // when it fires after this
	// Wanted is when the schedule would have it begin, whatever windows and freezes say.
	Wanted time.Time `json:"wanted,omitzero"`
	// Trouble is why the server was not told of these: it still knows those that it was told of before.
	Trouble string `json:"trouble,omitempty"`
}

// Fire finds out what a firing is for, and has the schedule renewed: the server keeps times, and rules are followed here.
func (a *Activities) Fire(ctx context.Context, in FireInput) (FireResult, error) {
	var r FireResult
	rule, err := a.Calendars.Calendar(ctx, plan.Begins(in.Schedule), true, in.At)
	if err != nil {
		return r, err
	}
	firings, err := plan.Firings(in.Schedule, rule, in.At)
	if err != nil {
		return r, fmt.Errorf("the schedule's rule: %w", err)
	}
	begin := time.Time{}
	for _, f := range firings {
		if f.At.Equal(in.At) {
			begin = f.Begin
		} else {
			r.Next = append(r.Next, f.At)
		}
	}
	if err := a.Schedules.Renew(ctx, in.Name, r.Next); err != nil {
		r.Trouble = clip(err.Error())
	}
	if begin.IsZero() {
		return r, nil
	}
	o, err := a.opening(ctx, in.Files, begin, nil)
	if err != nil {
		return r, err
	}
	if r.Begin, r.Wanted = begin, begin; !o.OK && !o.Next.IsZero() {
		r.Begin, r.Stands = o.Next, o.Stands
	}
	return r, nil
}

// DraftBatch is a batch of hosts that were asked for a plan, and what came of it.
type DraftBatch struct {
	Question string `json:"question"` // digest
	Answers  string `json:"answers,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// DraftInput is a plan that is made of what the files and the hosts say.
type DraftInput struct {
	Files   string       `json:"files"` // digest of the plan as the files alone say it
	Batches []DraftBatch `json:"batches"`
	At      time.Time    `json:"at"`
	By      string       `json:"by"` // who asked for it
	// Waits: its instance waits for its turn.
	Waits bool `json:"waits,omitempty"`
}

// DraftResult is the instance of that plan, as it begins.
type DraftResult struct {
	Campaign  rollout.Campaign `json:"campaign"`
	Agreement plan.Agreement   `json:"agreement,omitzero"`
	Tell      bool             `json:"tell,omitempty"`
	Saved     string           `json:"saved"` // digest of the plan.Saved that people read
	Asked     int              `json:"asked,omitempty"`
	Unknown   int              `json:"unknown,omitempty"` // hosts that did not answer
	Silent    string           `json:"silent,omitempty"`  // which, and why, as far as there is room
}

// Draft puts a plan together and keeps it where workers and people find it.
func (a *Activities) Draft(ctx context.Context, in DraftInput) (DraftResult, error) {
	var r DraftResult
	var pl plan.Plan
	if err := a.load(ctx, in.Files, &pl); err != nil {
		return r, err
	}
	parts := map[string]plan.Part{}
	for _, s := range pl.Stages {
		for _, c := range s.Clusters {
			part, err := a.part(ctx, c.Part)
			if err != nil {
				return r, err
			}
			parts[c.Name] = part
		}
	}
	var all []plan.Answer
	for _, b := range in.Batches {
		answers, err := a.answersOf(ctx, b)
		if err != nil {
			return r, err
		}
		all = append(all, answers...)
	}
	silent := map[string]error{}
	for _, one := range all {
		if one.Unknown != "" {
			silent[one.Host] = errors.New(one.Unknown)
		}
	}
	if r.Asked, r.Unknown = len(all), len(silent); r.Unknown > 0 {
		r.Silent = clip(listFailed(silent))
	}
	if r.Asked > 0 && r.Unknown == r.Asked {
		return r, nobody(pl.Name, r)
	}
	saved := plan.Saved{Made: in.At.UTC(), By: in.By, Answers: all}
	saved.Plan, saved.Parts = plan.Answered(pl, parts, all)
	if in.Waits {
		saved.Plan = saved.Plan.FetchedMeanwhile(saved.Parts)
	}
	saved.Digest = plan.Digest(saved.Plan)
	if err := untold(saved); err != nil {
		return r, err
	}
	for _, p := range saved.Parts {
		if _, err := a.save(ctx, p); err != nil {
			return r, err
		}
	}
	if _, err := a.save(ctx, saved.Plan); err != nil {
		return r, err
	}
	var err error
	r.Saved, err = a.save(ctx, saved)
	r.Campaign = saved.Plan.Campaign(saved.Plan.Instance(in.At), in.By, in.At.UTC())
	r.Agreement, r.Tell = saved.Plan.Agreement, len(saved.Plan.Notify) > 0
	return r, err
}

// nobody refuses a plan of which no host said anything: people would agree to nothing, and on the night every canary would get more than that.
func nobody(name string, r DraftResult) error {
	why := fmt.Sprintf("none of %d hosts answered: %s; when they do, resume it, and to have this one made after all: rollpatch schedule trigger %s --reason \"...\"", r.Asked, r.Silent, name)
	return temporal.NewNonRetryableApplicationError(why, ErrBadInput, nil)
}

// untold refuses a plan as the command plan does.
func untold(s plan.Saved) error {
	var whys []string
	for _, r := range s.Untold() {
		whys = append(whys, fmt.Sprintf("cluster %q is refused: %s", r.Cluster, r.Reason))
	}
	if len(whys) == 0 {
		return nil
	}
	why := clip(strings.Join(whys, "; ")) + `; when the files are mended: rollpatch schedule create CAMPAIGN.yaml, then resume it`
	return temporal.NewNonRetryableApplicationError(why, ErrBadInput, nil)
}

// answersOf reads the answers to a batch. Where there are none, every host of it is unknown.
func (a *Activities) answersOf(ctx context.Context, b DraftBatch) ([]plan.Answer, error) {
	var answers []plan.Answer
	if b.Problem == "" {
		return answers, a.load(ctx, b.Answers, &answers)
	}
	var q plan.Question
	if err := a.load(ctx, b.Question, &q); err != nil {
		return nil, err
	}
	for _, h := range q.Hosts {
		answers = append(answers, plan.Answer{Host: h.Host, Unknown: b.Problem})
	}
	return answers, nil
}

// TurnInput is an instance of a schedule whose window should open now.
type TurnInput struct {
	Plan string `json:"plan"` // digest
	// Broken are the freezes that their approvers broke for this instance.
	Broken []rollout.Broken `json:"broken,omitempty"`
	// From is when it may begin at the earliest; zero: now.
	From time.Time `json:"from,omitzero"`
}

// Turn says whether the first canary may begin now, and when the next window opens.
func (a *Activities) Turn(ctx context.Context, in TurnInput) (rollout.Opening, error) {
	at := a.Now().UTC()
	if in.From.After(at) {
		at = in.From
	}
	o, err := a.opening(ctx, in.Plan, at, in.Broken)
	if err != nil || !o.OK || at.After(a.Now()) {
		return o, err
	}
	// A freeze that a person typed stands in no calendar, and nobody knows when it ends.
	switch typed, err := a.Workflows.Frozen(ctx); {
	case ctx.Err() != nil:
		return rollout.Opening{}, ctx.Err()
	case err != nil:
		o = rollout.Opening{Unknown: clip(fmt.Sprintf("whether the estate is frozen: %v", err))}
	case typed != "":
		o.OK, o.Why = false, clip(typed)
	}
	return o, nil
}

// opening asks the windows of the first stage's canaries at one time.
func (a *Activities) opening(ctx context.Context, digest string, at time.Time, broken []rollout.Broken) (rollout.Opening, error) {
	var pl plan.Plan
	if err := a.load(ctx, digest, &pl); err != nil {
		return rollout.Opening{}, err
	}
	p, err := pl.First(func(c plan.Cluster) (plan.Part, error) { return a.part(ctx, c.Part) })
	if err != nil || !p.Windowed() {
		return rollout.Opening{OK: true}, err
	}
	cal, err := a.Calendars.Calendar(ctx, p, true, at)
	switch {
	case ctx.Err() != nil:
		return rollout.Opening{}, ctx.Err()
	case err != nil:
		return rollout.Opening{Unknown: clip(err.Error())}, nil
	case cal.Unknown != "":
		return rollout.Opening{Unknown: clip(cal.Unknown)}, nil
	}
	cal = without(cal, broken)
	// It takes its time to get here: a window that is as long as a host needs fits one that asks as it opens.
	need := a.estimate(ctx, p, "", "").Need
	barely := calendar.Need{Work: need.Work - min(askTakes, need.Work/20), Backout: need.Backout}
	ok, why, _ := cal.Fit(at, barely)
	next, found := cal.Opening(at, need)
	if !found {
		next = time.Time{}
	}
	o := rollout.Opening{OK: ok, Why: clip(why), Next: next}
	if !ok {
		o.Stands = inTheWay(cal, at, need, broken)
	}
	return o, nil
}
