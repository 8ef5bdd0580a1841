package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
)

// noticeFor is how long an undelivered notice is tried again; after it the workflow fails, which the UI shows.
const noticeFor = 24 * time.Hour

// Notice delivers one notice to each who wants it, trying again until it is delivered.
func Notice(ctx workflow.Context, in activities.TellInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SegmentQueue(""), StartToCloseTimeout: time.Minute, ScheduleToCloseTimeout: noticeFor, Summary: in.Notice.Event + ": " + in.Notice.Text,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Minute},
	})
	var names []string
	if err := workflow.ExecuteActivity(ctx, "Receivers", in).Get(ctx, &names); err != nil {
		return err
	}
	var told []workflow.Future
	for _, name := range names {
		one := in
		one.Receiver = name
		told = append(told, workflow.ExecuteActivity(ctx, "Tell", one))
	}
	var all error
	for _, f := range told {
		all = errors.Join(all, f.Get(ctx, nil))
	}
	return all
}
