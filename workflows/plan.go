package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
)

// PlanBatch is hosts of one segment that are asked together.
type PlanBatch struct {
	Segment  string `json:"segment,omitempty"`
	Question string `json:"question"` // digest
	Hosts    int    `json:"hosts"`
}

// PlanInput is everybody who is asked when a plan is made.
type PlanInput struct {
	Batches []PlanBatch `json:"batches"`
}

// PlanAnswer is where the answers to a batch are, or why there are none.
type PlanAnswer struct {
	Answers string `json:"answers,omitempty"` // digest
	Unknown int    `json:"unknown,omitempty"`
	Problem string `json:"problem,omitempty"`
}

const (
	// PlanBatchSize is how many hosts are asked by one activity.
	PlanBatchSize = 25
	// planAtOnce is how many batches of a segment are on their way at the same time: so many times eight hosts of it are asked at once.
	planAtOnce = 6
	// planBegin is how long a batch waits for a worker of its segment.
	planBegin = 2 * time.Minute
	// planLimit bounds a batch in which every host takes all the time that it has.
	planLimit = 15 * time.Minute
)

// Plan asks hosts what they would get. It changes nothing, and history gets digests and counts only. The answers are in the order of the
// batches; one that could not be asked keeps nobody from the others.
func Plan(ctx workflow.Context, in PlanInput) ([]PlanAnswer, error) {
	answers := make([]PlanAnswer, len(in.Batches))
	var all []workflow.Future
	running, deserted := map[string]workflow.Semaphore{}, map[string]string{}
	for i, b := range in.Batches {
		room, ok := running[b.Segment]
		if !ok {
			room = workflow.NewSemaphore(ctx, planAtOnce)
			running[b.Segment] = room
		}
		done, set := workflow.NewFuture(ctx)
		all = append(all, done)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer set.Set(nil, nil)
			if err := room.Acquire(ctx, 1); err != nil {
				answers[i] = PlanAnswer{Unknown: b.Hosts, Problem: cause(err)}
				return
			}
			defer room.Release(1)
			if why := deserted[b.Segment]; why != "" {
				answers[i] = PlanAnswer{Unknown: b.Hosts, Problem: why}
				return
			}
			var r activities.AskHostsResult
			err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
				TaskQueue: SegmentQueue(b.Segment), ScheduleToStartTimeout: planBegin, StartToCloseTimeout: planLimit, HeartbeatTimeout: heartbeatTimeout,
				Summary:     fmt.Sprintf("ask %d hosts what they would get", b.Hosts),
				RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 3, NonRetryableErrorTypes: []string{activities.ErrBadInput}},
			}), "AskHosts", activities.AskHostsInput{Question: b.Question}).Get(ctx, &r)
			if timeout := (*temporal.TimeoutError)(nil); errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START {
				deserted[b.Segment] = "no worker of segment " + segmentName(b.Segment) + " took it up within " + planBegin.String()
			}
			if err != nil {
				answers[i] = PlanAnswer{Unknown: b.Hosts, Problem: cause(err)}
				if why := deserted[b.Segment]; why != "" {
					answers[i].Problem = why
				}
				return
			}
			answers[i] = PlanAnswer{Answers: r.Answers, Unknown: r.Unknown}
		})
	}
	for _, f := range all {
		if err := f.Get(ctx, nil); err != nil {
			return nil, err
		}
	}
	return answers, ctx.Err()
}

func segmentName(segment string) string {
	if segment == "" {
		return "default"
	}
	return segment
}
