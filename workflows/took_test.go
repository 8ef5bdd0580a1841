package workflows_test

import (
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// How long members took comes to the release that puts it on record: without the hours in which one waited, and of those alone that came to
// their end.
func TestHowLongMembersTookIsToldAtTheRelease(t *testing.T) {
	w := newWorld("web-1", "web-2", "web-3")
	w.on["drain web-2"] = func(call int) rollout.MemberResult {
		if call < 5 {
			return rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "no server answers"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	w.on["check web-3"] = func(call int) rollout.MemberResult {
		if call == 1 {
			return rollout.MemberResult{Verdict: rollout.Fail, Reason: "page answers 500"}
		}
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	if _, err := w.campaign(t, nil); err == nil {
		t.Fatal("web-3 failed, and the campaign did not")
	}
	patch := rollout.Took{Inspect: 1000, Fetch: 1000, Drain: 1000, Patch: 1000, Reboot: 1000, Check: 1000, Undrain: 1000}
	back := rollout.Took{Backout: 1000, Reboot: 1000, Check: 1000, Undrain: 1000}
	want := []rollout.MemberTook{{Host: "web-1", Took: patch}, {Host: "web-2", Took: patch}, {Host: "web-3", Backout: true, Took: back}}
	if len(w.took) != len(want) {
		t.Fatalf("%+v, want %+v", w.took, want)
	}
	for i, got := range w.took {
		if got.Took.At.IsZero() {
			t.Errorf("nobody knows when %s was done", got.Host)
		}
		got.Took.At, want[i].Platform = time.Time{}, "debian 13 amd64"
		if got != want[i] {
			t.Errorf("%+v\nwant %+v", got, want[i])
		}
	}
}
