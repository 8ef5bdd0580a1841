package workflows_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// stages are the records of what finished in a test's world, where production requires what has finished in staging three days ago.
type stages struct {
	env      *testsuite.TestWorkflowEnvironment
	kept     []staging.Record
	versions map[string]string // that a cluster's hosts would get
	asked    []string          // "host manifest"
}

var noPlatform = staging.Platform{OS: "debian", Release: "13", Arch: "amd64"}

func (s *stages) record(cluster, instance string, at time.Time) {
	s.kept = append(s.kept, staging.Record{
		Stage: "staging", Cluster: cluster, Instance: instance, At: at, Platform: noPlatform, Versions: []staging.Version{{Name: "lab", Version: s.versions[cluster]}},
	})
}

// released is what a release puts on record.
func (s *stages) released(in activities.ClaimInput) {
	if s == nil || in.Finished == nil || in.Part != "part:cache" {
		return
	}
	s.record("cache", in.Instance, in.Finished.At)
}

func (s *stages) register(env *testsuite.TestWorkflowEnvironment, w *world) {
	if s == nil {
		return
	}
	s.env = env
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.StagedInput) (rollout.StagedResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.asked = append(s.asked, strings.TrimSpace(in.Host+" "+in.Manifest))
		w.calls = append(w.calls, "staged "+in.Host)
		a := staging.Rule{Stage: "staging", MinAge: 72 * time.Hour}.Judge(noPlatform, []staging.Version{{Name: "lab", Version: s.versions["web"]}}, s.kept, nil, env.Now())
		return rollout.StagedResult{OK: a.OK(), Missing: a.Lacks(), Young: a.Waits(), Until: a.Ready}, nil
	}, activity.RegisterOptions{Name: "Staged"})
}

// begin has production require it.
func (s *stages) begin(c *rollout.Cluster) {
	if s != nil {
		c.Policy.Staged = c.Name == "web"
	}
}

// stagingFirst is a world of two clusters: cache is staging, web is production.
func stagingFirst(unattended bool) *world {
	w := newWorld("web-1", "web-2")
	w.hosts = map[string][]string{"cache": {"cache-1", "cache-2"}}
	w.policy.Unattended, w.policy.WaitMax, w.minimum = unattended, 30*time.Minute, 1
	w.stages = &stages{versions: map[string]string{"cache": "1.1", "web": "1.1"}}
	w.rules = func(c *rollout.Campaign) {
		c.Stages = []string{"staging", "production"}
		c.Clusters = []rollout.Ref{{Name: "cache", Part: "part:cache", Total: 2}, {Name: "web", Stage: 1, Part: "part:web", Total: 2}}
	}
	return w
}

// before says that one call came before another.
func before(calls []string, a, b string) bool {
	i, j := slices.Index(calls, a), slices.Index(calls, b)
	return i >= 0 && j > i
}

func TestProductionWaitsUntilStagingIsOldEnough(t *testing.T) {
	w := stagingFirst(true)
	var begun, kept time.Time
	w.on["inspect web-1"] = func(int) rollout.MemberResult {
		begun, kept = w.stages.env.Now(), w.stages.kept[0].At
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	st, err := w.campaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, strings.Join(w.calls, "\n"))
	}
	if len(w.stages.kept) != 1 {
		t.Fatalf("on record %+v, want what finished in staging, once", w.stages.kept)
	}
	if wait := begun.Sub(kept); wait < 72*time.Hour || wait > 73*time.Hour {
		t.Errorf("the canary of production was begun %s after staging had finished, want three days", wait)
	}
	if got, want := strings.Join(w.stages.asked, ", "), "web-1, web-1, web-2 sha256:manifest"; got != want {
		t.Errorf("records were asked for: %s; want %s", got, want)
	}
	claims := 0
	for i, call := range w.calls {
		if call == "claim" {
			if claims++; claims == 2 && i < slices.Index(w.calls, "staged web-1") {
				t.Error("the cluster of production was claimed while it waited")
			}
		}
	}
	if got := w.toldOf(rollout.TellWait); len(got) != 1 || !strings.Contains(got[0], "lab 1.1 finished in stage staging at ") {
		t.Errorf("told %q, want of the wait, once", got)
	}
}

func TestANewerVersionThanStagingHadIsHeld(t *testing.T) {
	w := stagingFirst(false)
	w.policy.SoakApproval, w.stages.versions["web"] = false, "1.4"
	held := false
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			held = len(w.toldOf(rollout.TellHold)) == 1 && !slices.Contains(w.calls, "inspect web-1")
			w.stages.versions["cache"] = "1.4" // another campaign brings it through staging
			w.stages.record("cache", "weekly-1", env.Now())
			w.mu.Unlock()
		}, 4*24*time.Hour)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, strings.Join(w.calls, "\n"))
	}
	if told := w.toldOf(rollout.TellHold); !held || len(told) != 1 || !strings.Contains(told[0], "holds before claim: stage staging has to be through with it first: lab 1.4 has not finished there (1.1 has)") {
		t.Errorf("held %t, told %q", held, told)
	}
	if !before(w.calls, "staged web-1", "drain web-1") {
		t.Errorf("calls %q", w.calls)
	}
}

func TestUnattendedWhatStagingNeverHadHaltsIt(t *testing.T) {
	w := stagingFirst(true)
	w.stages.versions["web"] = "1.4"
	st, err := w.campaign(t, nil)
	if !halted(err) || !strings.Contains(st.Reason, "lab 1.4 has not finished there (1.1 has)") || slices.Contains(w.calls, "inspect web-1") {
		t.Errorf("campaign ended %q (%s), %v; want halted with web as it was", st.Outcome, st.Reason, err)
	}
}

// What finished a week ago, by another instance, counts: production goes on at once.
func TestARecordOfAnEarlierInstanceCounts(t *testing.T) {
	w := stagingFirst(true)
	start := time.Date(2026, 12, 1, 20, 0, 0, 0, time.UTC)
	w.stages.record("cache", "weekly-1", start.Add(-7*24*time.Hour))
	var begun time.Time
	w.on["inspect web-1"] = func(int) rollout.MemberResult {
		begun = w.stages.env.Now()
		return rollout.MemberResult{Verdict: rollout.Pass}
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) { env.SetStartTime(start) })
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done", st.Outcome, err)
	}
	if wait := begun.Sub(w.stages.kept[1].At); wait > 10*time.Minute {
		t.Errorf("production waited %s", wait)
	}
	if got := w.toldOf(rollout.TellWait); len(got) != 0 {
		t.Errorf("told %q", got)
	}
}

// A peer is asked for by what its canary got: once that is in quarantine in staging, nobody else gets it.
func TestARecordThatCountsNoMoreKeepsThePeers(t *testing.T) {
	w := stagingFirst(false)
	w.policy.SoakApproval = false
	w.stages.record("cache", "weekly-1", time.Now().Add(-365*24*time.Hour))
	w.rules = func(c *rollout.Campaign) {
		c.Clusters = []rollout.Ref{{Name: "web", Part: "part:web", Total: 2}}
	}
	_, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			w.stages.kept = nil
			w.mu.Unlock()
		}, 12*time.Hour)
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			untouched := !slices.Contains(w.calls, "inspect web-2")
			w.mu.Unlock()
			if got := w.toldOf(rollout.TellHold); !untouched || len(got) != 1 || !strings.Contains(got[0], "holds before patch: stage staging has to be through with it first") {
				t.Errorf("web-2 untouched %t, told %q", untouched, got)
			}
			if err := env.SignalWorkflowByID(workflows.ClusterID(instance, "web"), "abort", rollout.Message{Actor: "bob", Reason: "enough"}); err != nil {
				t.Error(err)
			}
		}, 40*time.Hour)
	})
	if err == nil {
		t.Error("the campaign is done, and was aborted")
	}
}
