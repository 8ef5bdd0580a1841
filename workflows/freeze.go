package workflows

import (
	"errors"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// FreezeID is the workflow id of the freeze of the whole estate: while it runs, no member is drained, patched or rebooted.
const FreezeID = "freeze"

// UpdateThaw ends the freeze.
const UpdateThaw = "thaw"

// FreezeState is the freeze's workflow. It stands for the freeze by running.
type FreezeState struct {
	Frozen    rollout.Message  `json:"frozen"`
	Thawed    *rollout.Message `json:"thawed,omitempty"`
	Waiting   []string         `json:"waiting,omitempty"` // workflow ids of members that look again at the thaw
	Audit     audit.Head       `json:"audit"`
	Unwritten unwritten        `json:"unwritten"`
}

// freezeMemo is where who froze the estate, and why, can be read without asking the workflow.
const freezeMemo = "frozen_by"

// FreezeMemo is the memo that the freeze's workflow is started with.
func FreezeMemo(m rollout.Message) map[string]any {
	return map[string]any{freezeMemo: m}
}

// FrozenBy reads it.
func FrozenBy(memo *commonpb.Memo) (rollout.Message, error) {
	var by rollout.Message
	err := converter.GetDefaultDataConverter().FromPayload(memo.GetFields()[freezeMemo], &by)
	return by, err
}

// Freeze runs until somebody thaws the estate. Members ask for it before each drain, patch and reboot.
func Freeze(ctx workflow.Context, st FreezeState) error {
	f := &freeze{carrier: newCarrier(ctx), FreezeState: st}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (FreezeState, error) { return f.FreezeState, nil }); err != nil {
		return err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateThaw, func(_ workflow.Context, m rollout.Message) error {
		f.hear(m)
		return nil
	}, workflow.UpdateHandlerOptions{Validator: f.mayThaw, Description: describe[UpdateThaw]})
	if err != nil {
		return err
	}
	onSignal(f.carrier, signalWaits, func(id string) {
		if !slices.Contains(f.Waiting, id) {
			f.Waiting = append(f.Waiting, id)
		}
	})
	f.onCancel(ctx, func() { f.hear(rollout.Message{Actor: "Temporal", Reason: "the workflow was cancelled"}) })
	if f.Audit.Chain == "" {
		info := workflow.GetInfo(ctx)
		f.Audit.Chain = info.WorkflowExecution.ID + "/" + info.WorkflowStartTime.UTC().Format("20060102T150405Z")
		f.Unwritten.add(f.ctx, &f.Audit, message("freeze", f.Frozen))
	}
	workflow.SetCurrentDetails(ctx, "The whole estate is frozen by "+f.Frozen.Actor+" (claimed): "+f.Frozen.Reason+"\n\nNo member is drained, patched or rebooted until `rollpatch thaw --reason \"...\"`, or the Update `thaw`."+updateForm)
	for f.Thawed == nil || len(f.Unwritten.Entries) > 0 {
		f.changed = false
		if len(f.Unwritten.Entries) > 0 {
			f.Unwritten.flush(f.ctx, SegmentQueue(""))
			continue
		}
		f.await(time.Time{})
	}
	for _, id := range f.Waiting { // one that hears nothing looks again by itself
		f.send(id, signalThawed, nil)
	}
	f.settle()
	return nil
}

type freeze struct {
	*carrier
	FreezeState
}

// mayThaw says why nothing can be thawed. A freeze that is over is on its way to its end, and is no freeze any more.
func (f *freeze) mayThaw(m rollout.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if f.Thawed != nil && f.Thawed.ID != m.ID {
		return errors.New("the estate is not frozen any more: " + f.Thawed.Actor + " (claimed) ended the freeze just now: " + f.Thawed.Reason)
	}
	return nil
}

func (f *freeze) hear(m rollout.Message) {
	if f.Thawed != nil {
		return
	}
	f.Thawed = &m
	f.Unwritten.add(f.ctx, &f.Audit, message(UpdateThaw, m))
	f.changed = true
}
