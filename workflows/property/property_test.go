package property_test

import (
	"cmp"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/workflows"
)

var (
	oneSeed = flag.Int("workflows.seed", -1, "replay this one seed and print what happens")
	seeds   = flag.Int("workflows.seeds", 40, "through how many random worlds the workflows are run")
)

// regressions are seeds that once failed, and why. They are run whatever -workflows.seeds says.
var regressions = []struct {
	seed int
	why  string
}{
	{0, "a host of two clusters of one instance got the same run ids in both"},
	{8, "the intent of an activity that no worker took was never written, and the next entry named it"},
	{372, "the intent of a record of versions was never written, where that told nothing"},
}

// TestWorkflowsInRandomWorlds runs whole campaigns, workflows and all, and holds the promises at every action and at the end.
func TestWorkflowsInRandomWorlds(t *testing.T) {
	t.Parallel()
	if *oneSeed >= 0 {
		if why, _ := simulate(*oneSeed, func(line string) { t.Log(line) }); why != "" {
			t.Errorf("seed %d: %s", *oneSeed, why)
		}
		return
	}
	var (
		next, failed atomic.Int64
		all          sync.WaitGroup
		lock         sync.Mutex
		seen         = map[string]int{}
	)
	try := func(seed int) {
		why, did := simulate(seed, nil)
		lock.Lock()
		defer lock.Unlock()
		if why != "" {
			failed.Add(1)
			t.Errorf("seed %d: %s\n%s\nreplay: go test ./workflows/property -run TestWorkflowsInRandomWorlds -v -workflows.seed=%d", seed, why, lastLines(seed, 40), seed)
		}
		for what, n := range did {
			seen[what] += n
		}
	}
	for _, r := range regressions {
		try(r.seed)
	}
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := int(next.Add(1)) - 1; seed < *seeds && failed.Load() < 3; seed = int(next.Add(1)) - 1 {
				try(seed)
			}
		})
	}
	all.Wait()
	if *seeds < 500 || failed.Load() > 0 {
		return
	}
	// Worlds that never reach the rare paths prove nothing about them.
	for _, what := range strings.Split("error,lost reply,timeout,lost signal,signal twice,host taken,not started,cancelled activity,attached after a lost attempt,asked what became of a child,"+
		"unknown inspect,unknown fetch,unknown gate,unknown drain,unknown patch,unknown reboot,unknown check,unknown undrain,unknown backout,unknown quarantine,unknown claim,unknown watch,unknown record of versions,versions quarantined,versions left out,power cycled,surveyed,said retry to a member,said skip to a member,said backout to a member,skip of a member that held,heard backout,"+
		"signed words,signed word taken,refused approve,taken approve,taken reject,taken backout,taken hold,taken resume,taken retry,taken abort,taken extend,taken skip,said twice,retry of a failure,skip of a failure,heard abort,heard hold,heard unpause,"+
		"cancelled: Campaign,cancelled: Cluster,cancelled: Member,terminated: Campaign,terminated: Cluster,terminated: Member,forgotten: Campaign,forgotten: Cluster,forgotten: Member,retention over,put back by a survey,given back by a survey,continued as new: Campaign,continued as new: Cluster,continued as new: Member,continued as new: Sweeper,"+
		"campaign done,campaign halted,campaign aborted,cluster done,cluster halted,cluster aborted,member patched,member unchanged,member backed-out,member returned,member skipped,member quarantined,"+
		"told hold,told fail,told backout,told quarantine,told gate,told halted,told done,reboot,late reboot,backout,patch interrupted,patch refused,not begun at once,not drained at once,undrained by hand,frozen,connections left,"+
		"inspect met somebody else,drain met somebody else,undrain met somebody else,peers fell while it was out,peers fell in its drain,claim waited,soak failed,left by policy,shared host,soaked after the last wave,still waiting for a person", ",") {
		if seen[what] == 0 {
			t.Errorf("in %d seeds this never happened: %s", *seeds, what)
		}
	}
}

// TestAWorldPlaysTheSameTwice is what replaying a seed rests on. The test environment starts each child in a goroutine of its own, so that
// those that open at the same instant are seen in any order; nothing else may differ.
func TestAWorldPlaysTheSameTwice(t *testing.T) {
	t.Parallel()
	for seed := range 8 {
		var first, second []string
		simulate(seed, func(line string) { first = append(first, line) })
		simulate(seed, func(line string) { second = append(second, line) })
		slices.SortStableFunc(first, byInstant)
		slices.SortStableFunc(second, byInstant)
		for i := range first {
			if i >= len(second) || first[i] != second[i] {
				t.Fatalf("seed %d: line %d is %q at first, then %q", seed, i, first[i], second[min(i, len(second)-1)])
			}
		}
		if len(first) == 0 || len(first) != len(second) {
			t.Fatalf("seed %d: %d lines, then %d", seed, len(first), len(second))
		}
	}
}

// byInstant orders the lines of one instant by what they say: each begins with its time.
func byInstant(a, b string) int {
	at := func(line string) time.Duration {
		stamp, _, _ := strings.Cut(line, " ")
		d, _ := time.ParseDuration(stamp)
		return d
	}
	return cmp.Or(cmp.Compare(at(a), at(b)), strings.Compare(a, b))
}

func lastLines(seed, n int) string {
	var lines []string
	simulate(seed, func(line string) { lines = append(lines, line) })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// simulate plays one seed and says which promise it broke, or "".
func simulate(seed int, trace func(string)) (why string, seen map[string]int) {
	w := newWorld(seed, trace)
	defer func() {
		if p := recover(); p != nil {
			why, seen = fmt.Sprintf("panic: %v\n%s", p, debug.Stack()), w.seen
		}
	}()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	w.env = env
	env.SetStartTime(epoch)
	env.SetTestTimeout(time.Minute)
	env.SetWorkflowRunTimeout(2 * horizon)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: stageType, TaskQueue: workflows.Queue})
	env.SetContinueAsNewSuggested(true)
	env.SetDetachedChildWait(false)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&tracer{w: w}}, DeadlockDetectionTimeout: 30 * time.Second})
	workflows.Register(env)
	env.RegisterWorkflowWithOptions(w.stage, workflow.RegisterOptions{Name: stageType})
	w.play()
	env.ExecuteWorkflow(stageType)
	if err := env.GetWorkflowError(); err != nil && w.why == "" {
		w.why = "the stage: " + err.Error()
	}
	return w.why, w.seen
}

// silent drops what the SDK logs.
type silent struct{}

func (silent) Debug(string, ...any)        {}
func (silent) Info(string, ...any)         {}
func (silent) Warn(string, ...any)         {}
func (silent) Error(string, ...any)        {}
func (s silent) With(...any) sdklog.Logger { return s }
