package sshrun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
)

// What a host does for several members at a time is numbered for each of them, and apart from its own patch.
func TestRunsOfLanes(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	in := func(lane, id string, seq int64) activities.Run {
		r := aRun(id, seq, "echo done")
		r.Lane = lane
		return r
	}
	ask(t, p.Run, h, aRun("monthly-1.lb-1.patch.1", 40, ""), activities.RunExited, "")
	ask(t, p.Run, h, in("web/web-1", "monthly-1.web-1.drain.1-1", 7), activities.RunExited, "")
	ask(t, p.Run, h, in("web/web-2", "monthly-1.web-2.drain.1-1", 3), activities.RunExited, "")
	ask(t, p.Run, h, in("web/web-1", "monthly-1.web-1.undrain.1-1", 8), activities.RunExited, "")
	if got := ask(t, p.Run, h, in("web/web-1", "monthly-1.web-1.drain.1-1", 7), activities.RunExited, ""); got.Kept != "/var/lib/rollpatch/for/web/web-1/runs/monthly-1.web-1.drain.1-1" {
		t.Errorf("kept in %q", got.Kept)
	}
	// A worker that was frozen before it began its drain wakes after the undrain.
	ask(t, p.Run, h, in("web/web-1", "monthly-1.web-1.drain.1-2", 8), activities.RunStale, "number 8 is not above 8")
	ask(t, p.Attach, h, in("web/web-1", "monthly-1.web-1.drain.1-2", 8), activities.RunStale, "")
	ask(t, p.Run, h, aRun("monthly-1.lb-1.reboot.1", 41, ""), activities.RunExited, "")
	if n := h.beginnings(); n != 5 {
		t.Errorf("%d scripts began, want 5", n)
	}
	for _, lane := range []string{"web", "/web-1", "web/../../../etc", "web/web-1/x", "web/"} {
		if _, err := p.Run(t.Context(), h.target(), in(lane, "monthly-1.web-1.drain.2-1", 9), nil); err == nil {
			t.Errorf("lane %q is taken", lane)
		}
	}
}

func TestInALaneOneRunEndsBeforeTheNextBegins(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	over := filepath.Join(t.TempDir(), "over")
	drain := aRun("monthly-1.web-1.drain.1-1", 7, "until [ -e "+over+" ]; do sleep 0.02; done")
	undrain := aRun("monthly-1.web-1.undrain.1-1", 8, "echo done")
	drain.Lane, undrain.Lane = "web/web-1", "web/web-1"
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run(t.Context(), h.target(), drain, nil)
		ended <- err
	}()
	for h.beginnings() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if out, err := p.Run(t.Context(), h.target(), undrain, nil); err == nil || !strings.Contains(err.Error(), "run monthly-1.web-1.drain.1-1 goes on for web-1") {
		t.Errorf("beside a drain that goes on: %+v, %v", out, err)
	}
	if err := os.WriteFile(over, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	ask(t, p.Run, h, undrain, activities.RunExited, "")
}
