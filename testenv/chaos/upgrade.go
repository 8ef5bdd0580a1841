package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
)

// Another build takes over while a campaign is on its way.

// handover is how soon work goes on when a worker was told to stop: it gives up what it does, and waits for nobody's heartbeat.
const handover = 10 * time.Second

// startBuild starts rollpatchd out of that folder, on the database and the folder of the one before.
func (s *scene) startBuild(folder string) error {
	s.Daemon.Bin, s.mixed = filepath.Join(folder, "rollpatchd"), true
	return s.Daemon.Start(s.ctx)
}

// startOther starts the other build of rollpatchd.
func startOther(s *scene) error {
	s.since = time.Now()
	return s.startBuild(s.other)
}

// ownScripts: what a host was given before the other build was there is of the build before, and what it was given after that is of the
// other one. Without both, the run shows nothing.
func ownScripts(s *scene, log []oracle.Event) (problems []string) {
	old, other := 0, 0
	for _, e := range log {
		if e.Kind != oracle.Ran || e.Run == "" {
			continue
		}
		root, err := s.fleet.Root(e.Host)
		var script []byte
		if err == nil {
			script, err = os.ReadFile(filepath.Join(root, "var/lib/rollpatch/runs", e.Run, "script"))
		}
		marked := bytes.Contains(script, []byte(estate.AnotherMark))
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("the script of run %s: %v", e.Run, err))
		case marked && e.Time.Before(s.since), !marked && e.Time.After(s.since):
			problems = append(problems, fmt.Sprintf("run %s began at %s, the other build at %s, and its script is not of the build that was there", e.Run, e.Time.UTC().Format("15:04:05.000"), s.since.UTC().Format("15:04:05.000")))
		case marked:
			other++
		default:
			old++
		}
	}
	if s.outcome == "done" && other == 0 {
		problems = append(problems, fmt.Sprintf("%d scripts of the old build were run, and none of the other", old))
	}
	return problems
}

// soakOf is the last soak of web, as `rollpatch status` tells it.
func (s *scene) soakOf() (estate.SoakStatus, error) {
	r, err := s.Rollpatch(s.ctx, nil, "status", s.instance, "--output", "json")
	if err != nil {
		return estate.SoakStatus{}, err
	}
	var st estate.Status
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		return estate.SoakStatus{}, fmt.Errorf("rollpatch status: %w: %s", err, r.Stderr)
	}
	for _, stage := range st.Stages {
		for _, c := range stage.Clusters {
			if c.Name == s.cluster && c.Soak.Number > 0 {
				return c.Soak, nil
			}
		}
	}
	return estate.SoakStatus{}, errors.New("rollpatch status tells of no soak")
}

// readSoak keeps what the soak is before the fault hits.
func (s *scene) readSoak() (err error) {
	s.soak, err = s.soakOf()
	return err
}

// sameSoak: the soak kept its number and its end, and a peer was drained soon after that end, or after the other build was there.
func sameSoak(s *scene, log []oracle.Event) (problems []string) {
	now, err := s.soakOf()
	if err != nil {
		return []string{err.Error()}
	}
	if now.Number != s.soak.Number || !now.Ends.Equal(s.soak.Ends) {
		problems = append(problems, fmt.Sprintf("soak %d was to end at %s; soak %d ended at %s", s.soak.Number, s.soak.Ends, now.Number, now.Ends))
	}
	latest := s.since
	if s.soak.Ends.After(latest) {
		latest = s.soak.Ends
	}
	latest = latest.Add(handover)
	for _, e := range log {
		if e.Kind == oracle.Drained && e.Host == peer {
			if e.Time.After(latest) {
				problems = append(problems, fmt.Sprintf("%s was drained at %s, want at %s at the latest", peer, e.Time.UTC().Format(time.RFC3339), latest.UTC().Format(time.RFC3339)))
			}
			return problems
		}
	}
	return append(problems, peer+" was never drained")
}

// besideOther starts a worker of the other build beside the one that is there.
func besideOther(s *scene) error {
	s.pids = []int{s.worker.PID}
	return s.startWorker("new")
}

func (s *scene) startWorker(name string) error {
	w := s.Worker(name)
	w.Bin, s.mixed = s.other, true
	s.others = append(s.others, w)
	err := w.Start(s.ctx)
	s.pids = append(s.pids, w.PID)
	return err
}

// oldThenNew has the old worker stop, sees the new one go on in time, and kills that in the middle of the canary's transaction.
func oldThenNew(s *scene) error {
	if err := s.worker.Stop(); err != nil {
		return err
	}
	s.hit = s.fleet.Recorded()
	limited, cancel := context.WithTimeout(s.ctx, handover)
	defer cancel()
	if _, _, err := s.fleet.Await(limited, s.hit, on(canary, acts)); err != nil {
		return fmt.Errorf("the new worker did not go on within %s: %w", handover, err)
	}
	if err := patch.at(s); err != nil {
		return err
	}
	return s.others[0].Kill()
}

// startThird starts another worker of the new build. Whoever asks before that is told which one was there last.
func startThird(s *scene) error {
	r, err := s.Rollpatch(s.ctx, nil, "why", canary)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("no worker answers: the last to ask for work was %d@", s.others[0].PID); !strings.Contains(r.Stderr, want) {
		return fmt.Errorf("with no worker there, rollpatch why says %q, want %q", r.Stderr, want)
	}
	return s.startWorker("third")
}

// eachWorked: each of the workers took tasks of this campaign.
func eachWorked(s *scene, _ []oracle.Event) (problems []string) {
	took := map[int]int{}
	ids := []string{campaignID(s.instance)}
	for _, c := range clusters() {
		ids = append(ids, clusterID(s.instance, c.Name))
		for _, host := range c.Members {
			ids = append(ids, memberID(host))
		}
	}
	for _, id := range ids {
		events := s.temporal.GetWorkflowHistory(s.ctx, id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			if err != nil {
				return append(problems, fmt.Sprintf("history of %s: %v", id, err))
			}
			by := e.GetActivityTaskStartedEventAttributes().GetIdentity() + e.GetWorkflowTaskCompletedEventAttributes().GetIdentity()
			pid, _, _ := strings.Cut(by, "@")
			if n, err := strconv.Atoi(pid); err == nil {
				took[n]++
			}
		}
	}
	for i, pid := range s.pids {
		if took[pid] == 0 {
			problems = append(problems, fmt.Sprintf("worker %d of %d (pid %d) took no task: %v", i+1, len(s.pids), pid, took))
		}
	}
	return problems
}
