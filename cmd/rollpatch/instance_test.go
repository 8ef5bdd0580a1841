package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
)

// A campaign's name is whatever of it goes on; when nothing does, what ended last, and not what merely started last.
func TestResolveACampaignsName(t *testing.T) {
	at := func(h int) time.Time { return sceneStart.Add(time.Duration(h) * time.Hour) }
	srv := &fake{Frames: []frame{{Workflows: map[string]entry{}}}}
	add := func(name string, started, closed int) {
		e := entry{Kind: workflows.CampaignType, Execution: status.Execution{ID: workflows.CampaignID(name), Status: status.Running, Started: at(started)}}
		if closed > 0 {
			e.Status, e.Closed = "completed", at(closed)
		}
		srv.Frames[0].Workflows[e.ID] = e
	}
	check := func(arg, want string, beside int) {
		t.Helper()
		got, others, err := resolve(context.Background(), srv, arg)
		if err != nil || got != want || len(others) != beside {
			t.Errorf("resolve %q = %s, beside %d (%v); want %s, beside %d", arg, got, len(others), err, want, beside)
		}
	}
	add("monthly-20261101T010000Z", 0, 9)
	add("monthly-20261101T020000Z", 1, 2) // given up while the first one went on
	check("monthly", "monthly-20261101T010000Z", 0)
	add("monthly-20261101T000000Z", -1, 0)
	check("monthly", "monthly-20261101T000000Z", 0)
	check("", "monthly-20261101T000000Z", 0)
	add("monthly-20261101T030000Z", 2, 0)
	add("monthly-weekly-20261101T040000Z", 3, 0)
	check("monthly", "monthly-20261101T030000Z", 1)
}

// interrupted is a server of which nobody waits for the answer.
type interrupted struct {
	*fake
	stop context.CancelFunc
}

func (s interrupted) Records(ctx context.Context, _ string, _ workflows.RecordsInput) ([]workflows.Record, error) {
	s.stop()
	return nil, ctx.Err()
}

// A release goes on without the command: whoever interrupts it is told how to ask what came of it.
func TestAnInterruptedReleaseSaysHowItIsAskedFor(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, errs bytes.Buffer
	d := &desk{
		out: &out, err: &errs, in: strings.NewReader(""), environ: []string{"HOME=" + t.TempDir()}, now: func() time.Time { return sceneStart }, hostname: os.Hostname, username: username, getwd: os.Getwd,
		terminal: func(any) bool { return false }, newID: func() string { return "mine" },
		dial: func(context.Context, *desk, settings) (server, error) {
			return interrupted{&fake{Frames: []frame{{}}}, stop}, nil
		},
	}
	code := d.run(ctx, []string{"quarantine", "release", "web-1", "--return", "-i", "testdata/inventory.yaml", "--reason", "mended"})
	if code != exitInterrupted || !strings.Contains(errs.String(), `rollpatch quarantine release web-1 --return -i testdata/inventory.yaml --reason "mended" --id mine`) {
		t.Errorf("ends with %d: %s", code, errs.String())
	}
}
