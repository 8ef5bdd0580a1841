package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
)

// asks runs the making of a plan; most is how many batches of a segment were on their way at the same time.
func asks(t *testing.T, in workflows.PlanInput, answer func(question string) (activities.AskHostsResult, error)) (out []workflows.PlanAnswer, most map[string]int, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(30 * time.Second)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.PlanID("monthly", "1"), TaskQueue: workflows.Queue})
	workflows.Register(env)
	var mu sync.Mutex
	now := map[string]int{}
	most = map[string]int{}
	env.RegisterActivityWithOptions(func(ctx context.Context, in activities.AskHostsInput) (activities.AskHostsResult, error) {
		queue := activity.GetInfo(ctx).TaskQueue
		mu.Lock()
		now[queue]++
		most[queue] = max(most[queue], now[queue])
		mu.Unlock()
		defer func() { mu.Lock(); now[queue]--; mu.Unlock() }()
		return answer(in.Question)
	}, activity.RegisterOptions{Name: "AskHosts"})
	env.ExecuteWorkflow(workflows.PlanType, in)
	if err = env.GetWorkflowError(); err == nil {
		err = env.GetWorkflowResult(&out)
	}
	return out, most, err
}

func TestAThousandHostsAreAskedInBatches(t *testing.T) {
	var in workflows.PlanInput
	for i := range 40 {
		in.Batches = append(in.Batches, workflows.PlanBatch{Segment: []string{"", "dmz"}[i%2], Question: fmt.Sprintf("sha256:question-%d", i), Hosts: workflows.PlanBatchSize})
	}
	// The first of both segments end only when all that may begin have begun.
	var begun sync.WaitGroup
	begun.Add(12)
	var n atomic.Int32
	out, most, err := asks(t, in, func(q string) (activities.AskHostsResult, error) {
		if n.Add(1) <= 12 {
			begun.Done()
		}
		begun.Wait()
		for range 1000 {
			runtime.Gosched()
		}
		return activities.AskHostsResult{Answers: strings.Replace(q, "question", "answer", 1), Asked: workflows.PlanBatchSize, Unknown: 1}, nil
	})
	if err != nil || len(out) != 40 {
		t.Fatalf("%d answers, %v", len(out), err)
	}
	for i, a := range out {
		if a.Answers != fmt.Sprintf("sha256:answer-%d", i) || a.Unknown != 1 || a.Problem != "" {
			t.Errorf("batch %d: %+v, want its own answers", i, a)
		}
	}
	for _, queue := range []string{"rollpatch.default", "rollpatch.dmz"} {
		if most[queue] != 6 {
			t.Errorf("%d batches of %s were on their way at the same time, want 6", most[queue], queue)
		}
	}
	if raw, _ := json.Marshal(out); len(raw) > 4<<10 {
		t.Errorf("a thousand answers are %d bytes of history, want digests and counts only", len(raw))
	}
}

func TestABatchThatCannotBeAskedKeepsNobodyFromTheOthers(t *testing.T) {
	in := workflows.PlanInput{Batches: []workflows.PlanBatch{{Question: "a", Hosts: 25}, {Question: "b", Hosts: 3}, {Question: "c", Hosts: 2}}}
	tries := 0
	out, _, err := asks(t, in, func(q string) (activities.AskHostsResult, error) {
		switch q {
		case "b":
			return activities.AskHostsResult{}, temporal.NewNonRetryableApplicationError("body b: not there", activities.ErrBadInput, nil)
		case "c":
			if tries++; tries < 3 {
				return activities.AskHostsResult{}, errors.New("disk full")
			}
		}
		return activities.AskHostsResult{Answers: "sha256:" + q}, nil
	})
	want := []workflows.PlanAnswer{{Answers: "sha256:a"}, {Unknown: 3, Problem: "body b: not there"}, {Answers: "sha256:c"}}
	if err != nil || !slices.Equal(out, want) {
		t.Errorf("%+v, %v; want %+v", out, err, want)
	}
}

// Where no worker serves a segment, one batch waits for that, and not one after the other.
func TestASegmentWithoutAWorkerIsSaidOnce(t *testing.T) {
	var in workflows.PlanInput
	for i := range 20 {
		in.Batches = append(in.Batches, workflows.PlanBatch{Segment: "dmz", Question: fmt.Sprint(i), Hosts: 25})
	}
	in.Batches = append(in.Batches, workflows.PlanBatch{Question: "here", Hosts: 1})
	asked := 0
	var mu sync.Mutex
	out, _, err := asks(t, in, func(q string) (activities.AskHostsResult, error) {
		if q == "here" {
			return activities.AskHostsResult{Answers: "sha256:here"}, nil
		}
		mu.Lock()
		defer mu.Unlock()
		asked++
		return activities.AskHostsResult{}, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
	})
	if err != nil || len(out) != 21 || out[20].Answers != "sha256:here" {
		t.Fatalf("%+v, %v", out, err)
	}
	for i, a := range out[:20] {
		if a.Problem != "no worker of segment dmz took it up within 2m0s" || a.Unknown != 25 {
			t.Errorf("batch %d: %+v", i, a)
		}
	}
	if asked > 6*3 {
		t.Errorf("%d attempts for a segment that nobody serves, want those of the first six batches at most", asked)
	}
}
