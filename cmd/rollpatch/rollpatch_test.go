package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestInterspersed(t *testing.T) {
	app := (&desk{}).app()
	for _, row := range []struct {
		name string
		args string
		want string
	}{
		{"flags after an argument come before it", "approve monthly --reason fine --cluster web", "approve --reason fine --cluster web -- monthly"},
		{"a flag with = carries its value", "approve monthly --reason=fine now", "approve --reason=fine -- monthly now"},
		{"a switch takes no value", "run --detach monthly.yaml", "run --detach -- monthly.yaml"},
		{"short names too", "approve monthly -r fine", "approve -r fine -- monthly"},
		{"what follows -- is no flag", "run -- --odd.yaml", "run -- --odd.yaml"},
		{"an unknown flag is left to be complained about", "run c.yaml --wrong x", "run --wrong -- c.yaml x"},
		{"a flag without its value is left to be complained about", "run c.yaml --as", "run --as -- c.yaml"},
		{"below a group, its second word says whose flags they are", "quarantine release web-1 --return --reason fine -i x.yaml", "quarantine release --return --reason fine -i x.yaml -- web-1"},
		{"a group without a second word it knows is left alone", "claims brake web --reason fine", "claims brake web --reason fine"},
		{"a group alone", "claims", "claims"},
		{"an unknown command is left alone", "nope a --b", "nope a --b"},
		{"flags before the command are left alone", "--help", "--help"},
		{"nothing", "", ""},
	} {
		got := interspersed(app, strings.Fields(row.args))
		if !slices.Equal(got, strings.Fields(row.want)) {
			t.Errorf("%s: interspersed(%q) = %q, want %q", row.name, row.args, got, row.want)
		}
	}
}

func TestFilterQuery(t *testing.T) {
	for _, row := range []struct {
		f    filter
		want string
	}{
		{filter{kind: "Campaign"}, "WorkflowType = 'Campaign' AND ExecutionStatus != 'ContinuedAsNew'"},
		{
			filter{kind: "Cluster", prefix: "cluster/x-", cluster: "web", running: true},
			"WorkflowType = 'Cluster' AND ExecutionStatus != 'ContinuedAsNew' AND WorkflowId STARTS_WITH 'cluster/x-' AND RollpatchCluster = 'web' AND ExecutionStatus = 'Running'",
		},
	} {
		if got := row.f.query(); got != row.want {
			t.Errorf("%+v.query() = %q, want %q", row.f, got, row.want)
		}
	}
	if !slices.Contains(workflows.SearchAttributes(), "RollpatchCluster") || !slices.Contains(workflows.SearchAttributes(), "RollpatchState") {
		t.Errorf("lists ask for attributes that workflows do not have: %v", workflows.SearchAttributes())
	}
}

func TestClientOptions(t *testing.T) {
	config := filepath.Join(t.TempDir(), "temporal.toml")
	if err := os.WriteFile(config, []byte("[profile.default]\naddress = \"file.example.org:7233\"\nnamespace = \"of-file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := "TEMPORAL_CONFIG_FILE=" + filepath.Join(t.TempDir(), "absent.toml")
	for _, row := range []struct {
		name               string
		environ            []string
		s                  settings
		address, namespace string
	}{
		{"the loopback by default", []string{none}, settings{}, "127.0.0.1:7233", "default"},
		{"Temporal's own file", []string{"TEMPORAL_CONFIG_FILE=" + config}, settings{}, "file.example.org:7233", "of-file"},
		{"its environment goes before its file", []string{"TEMPORAL_CONFIG_FILE=" + config, "TEMPORAL_ADDRESS=env.example.org:1"}, settings{}, "env.example.org:1", "of-file"},
		{"flags go before both", []string{"TEMPORAL_CONFIG_FILE=" + config, "TEMPORAL_ADDRESS=env.example.org:1"}, settings{address: "flag:2", namespace: "night"}, "flag:2", "night"},
	} {
		d := &desk{environ: row.environ, err: &bytes.Buffer{}, hostname: os.Hostname, username: username}
		got, err := d.clientOptions(row.s)
		if err != nil || got.HostPort != row.address || got.Namespace != row.namespace {
			t.Errorf("%s: %q, %q, %v; want %q, %q", row.name, got.HostPort, got.Namespace, err, row.address, row.namespace)
		}
	}
}

// Temporal's client must not write where results go, and says nothing at all unless asked.
func TestClientLogsOnStderrOnly(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		d := &desk{out: &stdout, err: &stderr, hostname: os.Hostname, username: username}
		opts, err := d.clientOptions(settings{verbose: verbose})
		if err != nil {
			t.Fatal(err)
		}
		opts.Logger.Warn("something", "key", "value")
		if stdout.Len() > 0 || verbose != strings.Contains(stderr.String(), "something") {
			t.Errorf("verbose %v: stdout %q, stderr %q", verbose, &stdout, &stderr)
		}
	}
}

func TestExplain(t *testing.T) {
	srv := &temporalServer{address: "127.0.0.1:7233"}
	other := errors.New("other")
	for _, row := range []struct {
		name  string
		err   error
		query bool
		want  error
	}{
		{"what is not there is not found", serviceerror.NewNotFound("x"), true, status.ErrNotFound},
		{"a server that is away", serviceerror.NewUnavailable("x"), true, status.ErrUnreachable},
		{"a query that nobody polls for", serviceerror.NewFailedPrecondition("no poller"), true, status.ErrNoWorker},
		{"a query before the first answer", serviceerror.NewWorkflowNotReady("x"), true, status.ErrNoWorker},
		{"a query that nobody answers", serviceerror.NewDeadlineExceeded("x"), true, status.ErrNoWorker},
		{"a query that takes too long", context.DeadlineExceeded, true, status.ErrNoWorker},
		{"a server that takes too long", context.DeadlineExceeded, false, status.ErrUnreachable},
		{"anything else is left as it is", other, true, other},
	} {
		if got := srv.explain(row.err, row.query); !errors.Is(got, row.want) {
			t.Errorf("%s: explain(%v, %v) = %v, want %v", row.name, row.err, row.query, got, row.want)
		}
	}
}

// Where nobody answers for a workflow, it is told which worker was there last.
func TestTheLastWorkerIsTold(t *testing.T) {
	at := func(identity string, minute int) *taskqueuepb.PollerInfo {
		return &taskqueuepb.PollerInfo{Identity: identity, LastAccessTime: timestamppb.New(time.Date(2026, 11, 1, 1, minute, 0, 0, time.UTC))}
	}
	for _, row := range []struct {
		says string
		stub *stub
		is   error
		want string
	}{
		{"the latest of several", &stub{query: serviceerror.NewDeadlineExceeded("x"), pollers: []*taskqueuepb.PollerInfo{at("7@ops-1@", 1), at("8@ops-2@", 2), at("9@ops-1@", 0)}},
			status.ErrNoWorker, "no worker answers: the last to ask for work was 8@ops-2, at 2026-11-01T01:02:00Z"},
		{
			"one that asked for an activity after the other was told to stop",
			&stub{query: serviceerror.NewDeadlineExceeded("x"), pollers: []*taskqueuepb.PollerInfo{at("7@ops-1@", 1), at("8@ops-2@", 2)}, busy: []*taskqueuepb.PollerInfo{at("7@ops-1@", 3)}},
			status.ErrNoWorker, "no worker answers: the last to ask for work was 7@ops-1, at 2026-11-01T01:03:00Z",
		},
		{"none that is remembered", &stub{query: serviceerror.NewFailedPrecondition("no poller")}, status.ErrNoWorker, "no worker answers: none asks for work"},
		{"a server that goes away meanwhile", &stub{query: serviceerror.NewDeadlineExceeded("x"), gone: serviceerror.NewUnavailable("down")}, status.ErrNoWorker, "no worker answers: nobody can say which was there last: down"},
		{"another error says nothing of workers", &stub{query: serviceerror.NewNotFound("x"), pollers: []*taskqueuepb.PollerInfo{at("7@ops-1@", 1)}}, status.ErrNotFound, "no such workflow"},
	} {
		err := (&temporalServer{client: row.stub}).State(t.Context(), "campaign/x", nil)
		if !errors.Is(err, row.is) || err.Error() != row.want {
			t.Errorf("%s: %v, want %q", row.says, err, row.want)
		}
	}
}

func testCluster() plan.Cluster {
	c := plan.Cluster{Name: "web", Waves: []int{1, 3, 8}, Shares: []string{"cache"}}
	for i := range 12 {
		c.Members = append(c.Members, fmt.Sprintf("m%02d", i+1))
	}
	return c
}

func TestPlanOfALargeCluster(t *testing.T) {
	if got, want := remarks(testCluster(), nil), "not beside cache: they share a host"; got != want {
		t.Errorf("remarks = %q, want %q", got, want)
	}
	house := testCluster()
	house.House = []string{"consul", "bastion"}
	if got, want := remarks(house, nil), "own house: consul bastion, goes last; not beside cache: they share a host, or are of the same part of the house"; got != want {
		t.Errorf("remarks = %q, want %q", got, want)
	}
	if got, want := members(testCluster()), "m01 | m02 m03 m04 | m05 .. m12 (8)"; got != want {
		t.Errorf("members = %q, want %q", got, want)
	}
}

// The operator's command stays light, and no lab gets into it.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasPrefix(pkg, "go.temporal.io/server") || strings.HasPrefix(pkg, "github.com/temporalio/ui-server") || strings.HasPrefix(pkg, "github.com/rollpatch/rollpatch/testenv") {
			t.Errorf("rollpatch imports %s", pkg)
		}
	}
}
