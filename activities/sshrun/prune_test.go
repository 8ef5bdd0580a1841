package sshrun

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
)

// ranAgo leaves the folder of a run on the host as its wrapper leaves it, with the time of then.
func (h *testHost) ranAgo(t *testing.T, id string, days int, files ...string) {
	t.Helper()
	dir := filepath.Join(h.dir, "var/lib/rollpatch/runs", id)
	for _, name := range append([]string{"run"}, files...) {
		writeFile(t, filepath.Join(dir, name), "0\n", 0o600)
	}
	then := time.Now().AddDate(0, 0, -days)
	if err := os.Chtimes(dir, then, then); err != nil {
		t.Fatal(err)
	}
}

// kept lists the folders of runs on the host, but not that of the one that was just started.
func (h *testHost) kept(t *testing.T, but string) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(h.dir, "var/lib/rollpatch/runs"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		if f.Name() != but {
			names = append(names, f.Name())
		}
	}
	return names
}

func TestOldFoldersAreRemovedAsARunStarts(t *testing.T) {
	ended := []string{"begun", "alive", "stdout", "stderr", "status"}
	for _, c := range []struct {
		name  string
		prune *activities.Prune
		want  string // what is left
	}{
		{"old ones of instances that have ended go", &activities.Prune{Days: 30, Unfinished: []string{"now-1"}},
			"now-1.web-1.patch.1-1 young-1.web-1.patch.1-1 zombie-1.web-1.patch.1-1"},
		{"whatever their age, those of an instance that has not ended stay", &activities.Prune{Days: 30, Unfinished: []string{"now-1", "old-1", "old-1.dotted"}},
			"now-1.web-1.patch.1-1 old-1.dotted.web-1.patch.1-1 old-1.web-1.patch.1-1 old-1.web-1.reboot.1-1 young-1.web-1.patch.1-1 zombie-1.web-1.patch.1-1"},
		{"a name that only begins alike keeps nothing", &activities.Prune{Days: 30, Unfinished: []string{"now-1", "old", "older-1.dotted"}},
			"now-1.web-1.patch.1-1 young-1.web-1.patch.1-1 zombie-1.web-1.patch.1-1"},
		{"nor do the newest ones go", &activities.Prune{Days: 30, Keep: 4, Unfinished: []string{"now-1"}},
			"now-1.web-1.patch.1-1 old-1.web-1.patch.1-1 old-1.web-1.reboot.1-1 young-1.web-1.patch.1-1 zombie-1.web-1.patch.1-1"},
		{"nothing goes unasked", nil,
			"now-1.web-1.patch.1-1 old-1.dotted.web-1.patch.1-1 old-1.web-1.patch.1-1 old-1.web-1.reboot.1-1 young-1.web-1.patch.1-1 zombie-1.web-1.patch.1-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTestHost(t)
			h.ranAgo(t, "young-1.web-1.patch.1-1", 29, ended...)
			h.ranAgo(t, "old-1.web-1.patch.1-1", 31, ended...)
			h.ranAgo(t, "old-1.web-1.reboot.1-1", 31, "begun", "alive", "stdout", "stderr") // a reboot has no status: it went down with the host
			h.ranAgo(t, "old-1.dotted.web-1.patch.1-1", 400, ended...)
			h.ranAgo(t, "now-1.web-1.patch.1-1", 90, "begun", "alive", "stdout", "stderr")
			h.ranAgo(t, "zombie-1.web-1.patch.1-1", 90, "begun", "alive", "stdout", "stderr")
			alive, err := os.Open(filepath.Join(h.dir, "var/lib/rollpatch/runs/zombie-1.web-1.patch.1-1/alive"))
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Close()
			if err := syscall.Flock(int(alive.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(h.dir, "var/lib/rollpatch/seq"), "6\n", 0o600)
			r := aRun("now-1.web-1.fetch.1-1", 7, "echo fetched")
			r.Prune = c.prune
			got, err := newPool(t, Options{}).Run(within(t, 20*time.Second), h.target(), r, nil)
			if err != nil || got.State != activities.RunExited || string(got.Stdout) != "fetched\n" {
				t.Fatalf("Run() = %+v, %v", got, err)
			}
			if left := strings.Join(h.kept(t, r.ID), " "); left != c.want {
				t.Errorf("with %+v\n got %s\nwant %s", c.prune, left, c.want)
			}
		})
	}
}

// What is removed is forgotten, and still never begins again.
func TestARunWhoseFolderIsGoneStaysRefused(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	run := func(r activities.Run) activities.RunOutcome {
		t.Helper()
		got, err := p.Run(within(t, 20*time.Second), h.target(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	old := aRun("old-1.web-1.patch.1-1", 1, "")
	run(old)
	dir := filepath.Join(h.dir, "var/lib/rollpatch/runs", old.ID)
	then := time.Now().AddDate(0, 0, -31)
	if err := os.Chtimes(dir, then, then); err != nil {
		t.Fatal(err)
	}
	next := aRun("now-1.web-1.fetch.1-1", 2, "")
	next.Prune = &activities.Prune{Days: 30}
	run(next)
	if left := h.kept(t, next.ID); len(left) > 0 {
		t.Fatalf("%v is left", left)
	}
	if got := run(old); got.State != activities.RunStale || h.beginnings() != 2 {
		t.Errorf("Run() = %+v, and %d scripts began; want it stale, and two", got, h.beginnings())
	}
	if got, err := p.Attach(within(t, 20*time.Second), h.target(), old, nil); err != nil || got.State != activities.RunStale {
		t.Errorf("Attach() = %+v, %v, want it stale", got, err)
	}
}

func TestAFolderThatWasOnItsWayOutIsGoneNextTime(t *testing.T) {
	h := newTestHost(t)
	h.ranAgo(t, ".old-old-1.web-1.patch.1-1", 31, "status")
	r := aRun("now-1.web-1.fetch.1-1", 1, "")
	r.Prune = &activities.Prune{Days: 30, Keep: 50}
	if _, err := newPool(t, Options{}).Run(within(t, 20*time.Second), h.target(), r, nil); err != nil {
		t.Fatal(err)
	}
	if left := h.kept(t, r.ID); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// The member still serves while its host tidies up, but it may not take long all the same.
func TestHundredsOfOldFoldersHoldNoRunUp(t *testing.T) {
	h := newTestHost(t)
	for i := range 400 {
		h.ranAgo(t, fmt.Sprintf("old-%d.web-1.patch.1-1", i), 40, "status")
	}
	r := aRun("now-1.web-1.fetch.1-1", 1, "")
	r.Prune = &activities.Prune{Days: 30, Keep: 50, Unfinished: []string{"now-1"}}
	if _, err := newPool(t, Options{}).Run(within(t, 60*time.Second), h.target(), r, nil); err != nil {
		t.Fatal(err)
	}
	left := h.kept(t, r.ID)
	if slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(name, ".") }) || len(left) != 300 {
		t.Errorf("%d folders are left, want 100 fewer than 400", len(left))
	}
}
