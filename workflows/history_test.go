package workflows_test

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

var update = flag.Bool("update", false, "write the golden files anew")

// stories are what is recorded, each a folder of histories; `make histories` records them anew.
var stories = []string{"backout", "continue-as-new", "happy", "hold", "quarantine"}

const historyFolder = "testdata/histories"

// TestHistories replays what a real server recorded: the workflows of today must decide what was decided then, or what is on its way when
// a worker is upgraded breaks. What they decide stands in decisions.golden, for people to read.
func TestHistories(t *testing.T) {
	folders, err := os.ReadDir(historyFolder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, stories) {
		t.Fatalf("%s holds %v, want %v", historyFolder, names, stories)
	}
	for _, story := range stories {
		t.Run(story, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(historyFolder, story, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(files)
			var all strings.Builder
			seen := map[string]bool{}
			for _, file := range files {
				decisions := replay(t, file)
				kind, _, _ := strings.Cut(filepath.Base(file), ".")
				seen[kind] = true
				fmt.Fprintf(&all, "== %s\n%s\n", strings.TrimSuffix(filepath.Base(file), ".json"), strings.Join(decisions, "\n"))
			}
			for _, kind := range []string{"campaign", "cluster-web", "member-web-1"} {
				if !seen[kind] {
					t.Errorf("there is no history of %s", kind)
				}
			}
			golden := filepath.Join(historyFolder, story, "decisions.golden")
			if *update {
				if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := firstDifference(all.String(), string(want)); diff != "" {
				t.Errorf("the workflows decide otherwise than %s says; if they may: make histories, or go test ./workflows -run TestHistories -update\n%s", golden, diff)
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d: got  %s\n%*swant %s", i+1, a, len(fmt.Sprint(i+1))+7, "", b)
		}
	}
	return ""
}

// replay runs one history through the workflows of today and returns what they decide.
func replay(t *testing.T, file string) []string {
	t.Helper()
	body, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	history, err := client.HistoryFromJSON(body, client.HistoryJSONOptions{})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	s := &scribe{}
	r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		Interceptors: []interceptor.WorkerInterceptor{s}, DisableDeadlockDetection: true, // a busy machine is no fault of the workflows
	})
	if err != nil {
		t.Fatal(err)
	}
	workflows.Register(r)
	began := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	of := workflow.Execution{ID: began.GetWorkflowId(), RunID: began.GetOriginalExecutionRunId()}
	if of.ID == "" {
		t.Fatalf("%s does not say of which workflow it is", file)
	}
	if err := r.ReplayWorkflowHistoryWithOptions(silent{}, history, worker.ReplayWorkflowHistoryOptions{OriginalExecution: of}); err != nil {
		t.Errorf("%s: workflows that are on their way would break: %v", file, err)
	}
	if len(s.decisions) == 0 || !s.ended {
		t.Errorf("%s: it was not replayed to its end: %v", file, s.decisions)
	}
	return s.decisions
}

// TestHistoriesTellNothingOfTheMachine holds that what was recorded may be read by anybody.
func TestHistoriesTellNothingOfTheMachine(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(historyFolder, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	data := regexp.MustCompile(`"data": *"([^"]*)"`)
	total := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		total += len(body)
		texts := []string{string(body)}
		for _, m := range data.FindAllSubmatch(body, -1) {
			raw, err := base64.StdEncoding.DecodeString(string(m[1]))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			texts = append(texts, string(raw))
		}
		for _, text := range texts {
			for _, never := range []string{"/tmp/", "/root/", "/home/", "PRIVATE KEY"} {
				if i := strings.Index(text, never); i >= 0 {
					t.Errorf("%s holds %q: ...%s", file, never, text[max(0, i-40):min(len(text), i+60)])
				}
			}
		}
	}
	if total == 0 || total > 3<<20 {
		t.Errorf("%d files hold %d bytes, want some, and at most 3 MiB", len(files), total)
	}
}

// scribe writes down what a workflow decides.
type scribe struct {
	interceptor.WorkerInterceptorBase
	decisions []string
	ended     bool
}

func (s *scribe) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	i := &scribeIn{s: s}
	i.Next = next
	return i
}

// times are those of the recording: they are other ones each time.
var times = regexp.MustCompile(`-\d{8}T\d{6}Z|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

func (s *scribe) note(format string, args ...any) {
	line := times.ReplaceAllStringFunc(fmt.Sprintf(format, args...), func(at string) string {
		if strings.HasPrefix(at, "-") {
			return ""
		}
		return "TIME"
	})
	s.decisions = append(s.decisions, "  "+strings.Join(strings.Fields(line), " "))
}

type scribeIn struct {
	interceptor.WorkflowInboundInterceptorBase
	s *scribe
}

func (i *scribeIn) Init(out interceptor.WorkflowOutboundInterceptor) error {
	o := &scribeOut{s: i.s}
	o.Next = out
	return i.Next.Init(o)
}

func (i *scribeIn) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	out, err := i.Next.ExecuteWorkflow(ctx, in)
	var again *workflow.ContinueAsNewError
	var app *temporal.ApplicationError
	switch {
	case errors.As(err, &again):
		i.s.note("continues as new")
	case errors.As(err, &app):
		i.s.note("ends: %s: %s", app.Type(), app.Message())
	case err != nil:
		i.s.note("ends: %v", err)
	default:
		i.s.note("ends: %s", outcome(out))
	}
	i.s.ended = true
	return out, err
}

func outcome(out any) string {
	switch r := out.(type) {
	case rollout.Campaign:
		return string(r.Outcome)
	case workflows.ClusterReport:
		return string(r.Outcome)
	case workflows.MemberReport:
		return string(r.Outcome)
	}
	return fmt.Sprintf("%T", out)
}

type scribeOut struct {
	interceptor.WorkflowOutboundInterceptorBase
	s *scribe
}

func (o *scribeOut) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.s.note("activity %s: %s%s", name, workflow.GetActivityOptions(ctx).Summary, inputs(args))
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *scribeOut) ExecuteChildWorkflow(ctx workflow.Context, kind string, args ...any) workflow.ChildWorkflowFuture {
	opts := workflow.GetChildWorkflowOptions(ctx)
	o.s.note("child %s %s: %s", kind, opts.WorkflowID, opts.StaticSummary)
	return o.Next.ExecuteChildWorkflow(ctx, kind, args...)
}

func (o *scribeOut) SignalExternalWorkflow(ctx workflow.Context, id, runID, name string, arg any) workflow.Future {
	o.s.note("signal %s to %s", name, id)
	return o.Next.SignalExternalWorkflow(ctx, id, runID, name, arg)
}

func (o *scribeOut) AwaitWithOptions(ctx workflow.Context, opts workflow.AwaitOptions, condition func() bool) (bool, error) {
	o.s.note("timer: %s", opts.TimerOptions.Summary)
	return o.Next.AwaitWithOptions(ctx, opts, condition)
}

// inputs are what matters of them.
func inputs(args []any) string {
	if len(args) == 0 {
		return ""
	}
	var b strings.Builder
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, ", %s %s", name, value)
		}
	}
	switch in := args[0].(type) {
	case activities.StepInput:
		add("run", in.Run)
		add("manifest", short(in.Manifest))
		add("changes", short(in.Changes))
		for _, f := range []struct {
			is   bool
			name string
		}{{in.Gated, "gated"}, {in.Repair, "repair"}, {in.Attach, "attach"}} {
			if f.is {
				add(f.name, "yes")
			}
		}
		add("peers", strings.Join(in.Peers, " "))
		add("why", in.Why)
	case activities.WatchInput:
		add("patched", strings.Join(in.Patched, " "))
		add("peers", strings.Join(in.Peers, " "))
	case activities.RecordInput:
		for _, e := range in.Entries {
			add(string(e.Kind), e.Action)
		}
	}
	return b.String()
}

// short is a digest that people can tell from another.
func short(digest string) string { return digest[:min(len(digest), len("sha256:")+8)] }

// silent drops what the SDK logs.
type silent struct{}

func (silent) Debug(string, ...any)        {}
func (silent) Info(string, ...any)         {}
func (silent) Warn(string, ...any)         {}
func (silent) Error(string, ...any)        {}
func (s silent) With(...any) sdklog.Logger { return s }
