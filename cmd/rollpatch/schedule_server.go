package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// scheduler is what commands need of Temporal's schedules.
type scheduler interface {
	// Schedules lists them by name.
	Schedules(ctx context.Context) ([]scheduled, error)
	// Schedule is one of them, or status.ErrNotFound.
	Schedule(ctx context.Context, name string) (scheduled, error)
	// Put creates a schedule, or replaces one of that name, which stays paused where it is.
	Put(ctx context.Context, s scheduling) (replaced bool, err error)
	// Change pauses, resumes, triggers or deletes one, or is status.ErrNotFound.
	Change(ctx context.Context, name, word, note string) error
}

// The words that are said about a schedule.
const (
	schedulePause   = "pause"
	scheduleResume  = "resume"
	scheduleTrigger = "trigger"
	scheduleDelete  = "delete"
)

// scheduling is a schedule to be kept.
type scheduling struct {
	Firing  workflows.FiringState `json:"firing"` // what each of its firings is given
	At      []time.Time           `json:"at"`
	CatchUp time.Duration         `json:"catch_up"`
	Note    string                `json:"note"`
}

// scheduled is a schedule as it is kept.
type scheduled struct {
	Name    string            `json:"name"`
	Paused  bool              `json:"paused,omitempty"`
	Note    string            `json:"note,omitempty"` // who said what last
	By      string            `json:"by,omitempty"`   // who created it, claimed
	Plan    string            `json:"plan,omitempty"` // digest of what its files say
	Lead    string            `json:"lead,omitempty"`
	Next    []calendar.Firing `json:"next,omitempty"`
	Ahead   int               `json:"ahead"`             // firings that the server knows of: each one has it told of further ones
	Until   time.Time         `json:"until,omitzero"`    // the last of them
	Last    time.Time         `json:"last,omitzero"`     // when it fired last
	Running []string          `json:"running,omitempty"` // workflows of firings whose instance is on its way
	Skipped int               `json:"skipped,omitempty"` // firings that came while one was
	Late    int               `json:"late,omitempty"`    // firings that came too late for their window, because no server was there
}

func (t *temporalServer) Schedules(ctx context.Context) ([]scheduled, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	all, err := t.client.ScheduleClient().List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return nil, t.explain(err, false)
	}
	out := []scheduled{}
	for all.HasNext() {
		e, err := all.Next()
		if err != nil {
			return nil, t.explain(err, false)
		}
		if e.WorkflowType.Name != workflows.FiringType {
			continue
		}
		s, err := t.Schedule(ctx, e.ID)
		if errors.Is(err, status.ErrNotFound) {
			continue // it was deleted just now
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b scheduled) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (t *temporalServer) Schedule(ctx context.Context, name string) (scheduled, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	is, err := t.client.ScheduleClient().GetHandle(ctx, name).Describe(ctx)
	if err != nil {
		return scheduled{}, t.explain(err, false)
	}
	action, ok := is.Schedule.Action.(*client.ScheduleWorkflowAction)
	if !ok || len(action.Args) != 1 {
		return scheduled{}, status.ErrNotFound
	}
	var f workflows.FiringState
	payload, _ := action.Args[0].(*commonpb.Payload)
	if err := converter.GetDefaultDataConverter().FromPayload(payload, &f); err != nil {
		return scheduled{}, err
	}
	s := scheduled{
		Name: name, Paused: is.Schedule.State.Paused, Note: is.Schedule.State.Note, By: f.By, Plan: f.Files, Lead: calendar.Length(f.Schedule.Before()),
		Skipped: is.Info.NumActionsSkippedOverlap, Late: is.Info.NumActionsMissedCatchupWindow,
	}
	for _, at := range is.Info.NextActionTimes {
		s.Next = append(s.Next, calendar.Firing{At: at.UTC(), Begin: at.UTC().Add(f.Schedule.Before())})
	}
	for _, at := range wiring.Instants(is.Schedule.Spec) {
		if at.After(time.Now()) {
			s.Ahead, s.Until = s.Ahead+1, at
		}
	}
	if n := len(is.Info.RecentActions); n > 0 {
		s.Last = is.Info.RecentActions[n-1].ActualTime.UTC()
	}
	for _, run := range is.Info.RunningWorkflows {
		s.Running = append(s.Running, run.WorkflowID)
	}
	return s, nil
}

func (t *temporalServer) Put(ctx context.Context, s scheduling) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	spec := wiring.FiresAt(s.At)
	action := &client.ScheduleWorkflowAction{
		ID: workflows.ScheduleID(s.Firing.Name), Workflow: workflows.FiringType, Args: []any{s.Firing}, TaskQueue: workflows.Queue,
		StaticSummary: "makes the next instance of " + s.Firing.Name + ", and stays until it has ended",
	}
	policy := client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.CatchUp, PauseOnFailure: true}
	_, err := t.client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: s.Firing.Name, Spec: spec, Action: action, Overlap: policy.Overlap, CatchupWindow: policy.CatchupWindow, PauseOnFailure: policy.PauseOnFailure, Note: s.Note,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return false, t.scheduleError(err)
	}
	err = t.client.ScheduleClient().GetHandle(ctx, s.Firing.Name).Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		state := *in.Description.Schedule.State
		if !state.Paused { // else why it is paused stays
			state.Note = s.Note
		}
		return &client.ScheduleUpdate{Schedule: &client.Schedule{Spec: &spec, Action: action, Policy: &policy, State: &state}}, nil
	}})
	return true, t.scheduleError(err)
}

func (t *temporalServer) Change(ctx context.Context, name, word, note string) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	h := t.client.ScheduleClient().GetHandle(ctx, name)
	var err error
	switch word {
	case schedulePause:
		err = h.Pause(ctx, client.SchedulePauseOptions{Note: note})
	case scheduleResume:
		err = h.Unpause(ctx, client.ScheduleUnpauseOptions{Note: note})
	case scheduleTrigger:
		err = h.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP})
	case scheduleDelete:
		err = h.Delete(ctx)
	}
	return t.scheduleError(err)
}

func (t *temporalServer) scheduleError(err error) error {
	if err == nil {
		return nil
	}
	return t.explain(err, false)
}
