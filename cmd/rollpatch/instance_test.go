package main

import (
	"context"
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
