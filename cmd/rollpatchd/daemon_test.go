package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// binary is the built rollpatchd: these tests start it as a person does, since
// what they are about (signals, locks, kill -9) exists only for a process.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	if binary = os.Getenv("ROLLPATCHD_BIN"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "rollpatchd-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "rollpatchd")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build:", err)
		return 1
	}
	return m.Run()
}

// patience bounds every wait here. It is long because a shared machine may be
// slow, and costs nothing where the condition comes true at once.
const patience = 60 * time.Second

type daemon struct {
	PID     int    `json:"pid"`
	Address string `json:"address"`
	UI      string `json:"ui"`

	readyFile string
	cmd       *exec.Cmd
	stderr    bytes.Buffer
	exited    chan error
}

// start runs rollpatchd on database and waits until it is ready. The process is
// gone when the test ends, whatever became of it.
func start(t *testing.T, database string, args ...string) *daemon {
	t.Helper()
	d := &daemon{readyFile: filepath.Join(t.TempDir(), "ready.json"), exited: make(chan error, 1)}
	args = append([]string{"--db", database, "--address", "127.0.0.1:0", "--ui", "127.0.0.1:0", "--worker=false", "--ready-file", d.readyFile}, args...)
	d.cmd = exec.Command(binary, args...)
	d.cmd.Stderr = &d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.cmd.Wait() }()
	t.Cleanup(func() {
		d.cmd.Process.Kill() // an error means that it is gone already
		<-d.exited
		close(d.exited)
		if t.Failed() {
			t.Logf("rollpatchd %s\n%s", strings.Join(args, " "), d.stderr.String())
		}
	})
	poll(t, "rollpatchd is ready", func() (bool, error) {
		select {
		case err := <-d.exited:
			d.exited <- err
			t.Fatalf("rollpatchd ended before it was ready: %v\n%s", err, d.stderr.String())
		default:
		}
		body, err := os.ReadFile(d.readyFile)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, json.Unmarshal(body, d)
	})
	return d
}

// end sends sig and returns how long the process took to end, and how it did.
func (d *daemon) end(t *testing.T, sig os.Signal) (time.Duration, error) {
	t.Helper()
	begin := time.Now()
	if err := d.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.exited:
		d.exited <- err
		return time.Since(begin), err
	case <-time.After(patience):
		t.Fatalf("rollpatchd did not end within %s of %s", patience, sig)
		return 0, nil
	}
}

func (d *daemon) dial(t *testing.T) client.Client {
	t.Helper()
	quiet := sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	c, err := client.DialContext(t.Context(), client.Options{HostPort: d.Address, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func poll(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

const queue = "test"

var stateAttribute = temporal.NewSearchAttributeKeyKeyword("RollpatchState")

// twoSteps does a step, waits to be told, and does another.
func twoSteps(ctx workflow.Context) (string, error) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, stateAttribute.ValueSet("between")); err != nil {
		return "", err
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: patience})
	var first, second string
	if err := workflow.ExecuteActivity(ctx, step, "first").Get(ctx, &first); err != nil {
		return "", err
	}
	workflow.GetSignalChannel(ctx, "go on").Receive(ctx, nil)
	if err := workflow.ExecuteActivity(ctx, step, "second").Get(ctx, &second); err != nil {
		return "", err
	}
	return first + " " + second, nil
}

func step(_ context.Context, name string) (string, error) { return name, nil }

func startWorker(t *testing.T, c client.Client) worker.Worker {
	t.Helper()
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflow(twoSteps)
	w.RegisterActivity(step)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

func startTwoSteps(t *testing.T, c client.Client) client.WorkflowRun {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID:        "campaign/" + t.Name(),
		TaskQueue: queue,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword("RollpatchCampaign").ValueSet(t.Name()),
		),
	}, twoSteps)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// completedSteps counts activities that the server has recorded as done.
func completedSteps(ctx context.Context, c client.Client, run client.WorkflowRun) (int, error) {
	n := 0
	events := c.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return 0, err
		}
		if event.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED {
			n++
		}
	}
	return n, nil
}

func TestANewServerRunsWorkflowsAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, filepath.Join(t.TempDir(), "state", "temporal.db"))
	c := d.dial(t)

	w := startWorker(t, c)
	defer w.Stop()
	run := startTwoSteps(t, c)
	if err := c.SignalWorkflow(t.Context(), run.GetID(), "", "go on", nil); err != nil {
		t.Fatal(err)
	}
	var result string
	if err := run.Get(t.Context(), &result); err != nil {
		t.Fatal(err)
	}
	if want := "first second"; result != want {
		t.Errorf("workflow returned %q, want %q", result, want)
	}

	query := fmt.Sprintf("RollpatchCampaign = '%s' AND RollpatchState = 'between' AND ExecutionStatus = 'Completed'", t.Name())
	poll(t, "the workflow is found by its search attributes", func() (bool, error) {
		found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		return found.GetCount() == 1, err
	})
}

func TestTheNamespaceIsReady(t *testing.T) {
	t.Parallel()
	const namespace = "patching"
	database := filepath.Join(t.TempDir(), "temporal.db")
	// The second start finds everything there and must leave it so.
	ids := map[string]bool{}
	for _, turn := range []string{"new database", "existing database"} {
		d := start(t, database, "--namespace", namespace)
		c := d.dial(t)
		described, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
		if err != nil {
			t.Fatalf("%s: %v", turn, err)
		}
		ids[described.GetNamespaceInfo().GetId()] = true
		if got, want := described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), 90*24*time.Hour; got != want {
			t.Errorf("%s: retention is %s, want %s", turn, got, want)
		}
		listed, err := c.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
		if err != nil {
			t.Fatalf("%s: %v", turn, err)
		}
		for _, name := range []string{"RollpatchCampaign", "RollpatchCluster", "RollpatchStage", "RollpatchState", "RollpatchHost"} {
			if got := listed.GetCustomAttributes()[name]; got != enumspb.INDEXED_VALUE_TYPE_KEYWORD {
				t.Errorf("%s: search attribute %s is %s, want Keyword", turn, name, got)
			}
		}
		if _, err := d.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("%s: ended with %v after SIGTERM", turn, err)
		}
	}

	// Records in Consul carry the namespace's id: a copy of the database has the same one, another database another one.
	copied := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		if raw, err := os.ReadFile(database + suffix); err == nil {
			if err := os.WriteFile(copied+suffix, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	id := func(database string) string {
		described, err := start(t, database, "--namespace", namespace).dial(t).WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		return described.GetNamespaceInfo().GetId()
	}
	if got := id(copied); len(ids) != 1 || !ids[got] || len(got) != 36 {
		t.Errorf("ids over two starts %v, of a copy %q; want the same one", ids, got)
	}
	if got := id(filepath.Join(t.TempDir(), "other.db")); ids[got] {
		t.Errorf("another database has the id %q too", got)
	}
}

func TestTheUIServesItsPagesAndTheServersData(t *testing.T) {
	t.Parallel()
	d := start(t, filepath.Join(t.TempDir(), "temporal.db"))

	index := get(t, d.UI+"/", "")
	script := regexp.MustCompile(`["'(](/_app/[^"']+\.js)["')]`).FindStringSubmatch(index)
	if script == nil {
		t.Fatalf("no script in the index page:\n%s", index)
	}
	if get(t, d.UI+script[1], "") == "" {
		t.Errorf("%s is empty", script[1])
	}
	if got := get(t, d.UI+"/api/v1/namespaces/default", ""); !strings.Contains(got, `"NAMESPACE_STATE_REGISTERED"`) {
		t.Errorf("the UI does not reach the server: %s", got)
	}
	get(t, d.UI+"/api/v1/namespaces", "http://elsewhere.example")
}

// get expects status 200, and no permission for pages of origin to read it.
func get(t *testing.T, url, origin string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %s, want 200", url, resp.Status)
	}
	if allowed := resp.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
		t.Errorf("%s: origin %q may read it, want none", url, allowed)
	}
	return string(body)
}

func TestEmptyUIAddressMeansNoUI(t *testing.T) {
	t.Parallel()
	d := start(t, filepath.Join(t.TempDir(), "temporal.db"), "--ui", "")
	if d.UI != "" {
		t.Errorf("ready file names a UI at %q, want none", d.UI)
	}
}

func TestSignalsEndItCleanly(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			d := start(t, filepath.Join(t.TempDir(), "temporal.db"))
			// A polling worker keeps calls open that the stop has to end.
			w := startWorker(t, d.dial(t))
			defer w.Stop()

			took, err := d.end(t, sig)
			if err != nil {
				t.Errorf("ended with %v, want status 0", err)
			}
			if limit := 10 * time.Second; took > limit {
				t.Errorf("stop took %s, want less than %s", took, limit)
			}
			if _, err := os.Stat(d.readyFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("ready file after the stop: %v, want none", err)
			}
		})
	}
}

func TestAKilledServerGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	// The name has what a URI would take for its own.
	database := filepath.Join(t.TempDir(), "a b?c#d%20e.db")

	d := start(t, database)
	c := d.dial(t)
	w := startWorker(t, c)
	run := startTwoSteps(t, c)
	poll(t, "the first step is recorded", func() (bool, error) {
		n, err := completedSteps(t.Context(), c, run)
		return n == 1, err
	})
	d.end(t, syscall.SIGKILL)
	w.Stop()
	if _, err := os.Stat(database); err != nil {
		t.Error(err)
	}

	d = start(t, database)
	c = d.dial(t)
	w = startWorker(t, c)
	defer w.Stop()
	if err := c.SignalWorkflow(t.Context(), run.GetID(), run.GetRunID(), "go on", nil); err != nil {
		t.Fatal(err)
	}
	var result string
	if err := c.GetWorkflow(t.Context(), run.GetID(), run.GetRunID()).Get(t.Context(), &result); err != nil {
		t.Fatal(err)
	}
	if want := "first second"; result != want {
		t.Errorf("workflow returned %q, want %q", result, want)
	}
	if n, err := completedSteps(t.Context(), c, run); err != nil || n != 2 {
		t.Errorf("%d steps were done (%v), want 2: each once", n, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	running := start(t, filepath.Join(dir, "running.db"))

	noWAL := filepath.Join(dir, "no-wal.db")
	if err := os.Mkdir(noWAL+"-wal", 0o700); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	if err := os.WriteFile(foreign, bytes.Repeat([]byte("not a database\n"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	unused := filepath.Join(dir, "unused.db")

	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string // in stderr
	}{
		{"a database in use", []string{"--db", filepath.Join(dir, "running.db")}, 1,
			fmt.Sprintf("running.db is in use by another rollpatchd (process %d)\nrollpatchd: stop that one, or give this one a file of its own with --db", running.PID)},
		{"a taken server address", []string{"--db", unused, "--address", running.Address}, 1,
			"address " + running.Address + " is taken by another process\nrollpatchd: --address 127.0.0.1:0"},
		{"a taken UI address", []string{"--db", unused, "--ui", strings.TrimPrefix(running.UI, "http://")}, 1,
			"address " + strings.TrimPrefix(running.UI, "http://") + " is taken by another process"},
		{"a file where WAL is impossible", []string{"--db", noWAL}, 1, "database " + noWAL + ": "},
		{"a file that is no database", []string{"--db", foreign}, 1, "database " + foreign + ": "},
		{"a folder that cannot be made", []string{"--db", filepath.Join(foreign, "temporal.db")}, 1, "database " + foreign},
		{"an address that others can reach", []string{"--address", "0.0.0.0:7233"}, 2, `--address: "0.0.0.0" is not a loopback address`},
		{"a UI that others can reach", []string{"--ui", "192.0.2.1:80"}, 2, `--ui: "192.0.2.1" is not a loopback address`},
		{"an address without port", []string{"--address", "127.0.0.1"}, 2, `--address: "127.0.0.1" is not HOST:PORT`},
		{"a port out of range", []string{"--address", "127.0.0.1:70000"}, 2, `--address: port "70000" is not a number from 0 to 65535`},
		{"no namespace", []string{"--namespace", ""}, 2, "--namespace: a name is needed"},
		{"no database", []string{"--db", ""}, 2, "--db: a file is needed"},
		{"an unknown log format", []string{"--log-format", "xml"}, 2, `--log-format: "xml" is neither console nor json`},
		{"an argument", []string{"start"}, 2, `unexpected argument "start"`},
		{"an unknown flag", []string{"--bogus"}, 2, "flag provided but not defined: -bogus"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Flags given twice: the last one counts.
			args := append([]string{"--db", unused, "--address", "127.0.0.1:0", "--ui", "127.0.0.1:0", "--worker=false"}, tt.args...)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(ctx, binary, args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("rollpatchd %v: exit status %d (%v), want %d", tt.args, got, err, tt.status)
			}
			if !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("rollpatchd %v said\n%s\nwant %q in it", tt.args, stderr.String(), tt.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("rollpatchd %v wrote to stdout: %s", tt.args, stdout.String())
			}
		})
	}
	if _, err := os.Stat(unused); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused start left a database behind: %v", err)
	}
}
