package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
)

// stage writes a campaign over one cluster as a stage of its own.
func (s *scene) stage(attended bool, name, cluster, requires string) (file string) {
	s.Helper()
	text := fmt.Sprintf("name: %s\nreason: November security updates\nunattended: %t\nstages:\n  - {name: %s, clusters: [%s]%s}\n%s", s.name(), !attended, name, cluster, requires, policy)
	file, err := s.Write(fmt.Sprintf("%s-%t.yaml", name, attended), text)
	s.must(err)
	return file
}

// TestChangeStagingFirst: production gets what an instance before it brought through staging, and not before that is old enough. What staging
// never had holds it, with nothing claimed.
func TestChangeStagingFirst(t *testing.T) {
	s := begin(t)
	s.publish("security")
	const age = 45 * time.Second
	requires := ", requires: {stage: staging, min_age: " + age.String() + "}"
	production := s.stage(true, "production", "web", requires)
	if out, _ := s.cli(0, "plan", "-i", s.InventoryFile(), production); !strings.Contains(out, "stage production begins only with versions that have finished in stage staging, 45s ago at least") || !strings.Contains(out, "has not finished in stage staging") {
		t.Errorf("the plan does not say what is missing:\n%s", out)
	}

	if st := s.run(s.stage(false, "staging", "cache", ""), 0); st.State != "done" {
		t.Fatalf("staging is %s: %s", st.State, st.Reason)
	}
	finished := time.Now()
	logs := s.logs(web...)
	instance := s.start(s.stage(false, "production", "web", requires))
	s.eventually("production to wait", func() error {
		a := s.why("web")
		if strings.Contains(a.Reason, " finished in stage staging at ") && strings.Contains(a.Reason, "and that has to be 45s ago: until ") {
			return nil
		}
		if time.Since(finished) > age {
			s.Fatalf("it was asked for too late: why says %+v", a)
		}
		return fmt.Errorf("why says %+v", a)
	})
	s.untouched(logs)
	if keys, _, err := s.catalog.KV().Keys("rollpatch/claims/", "", nil); err != nil || len(keys) > 0 {
		t.Errorf("claimed while it waits: %v, %v", keys, err)
	}
	if out, _ := s.cli(0, "plan", "-i", s.InventoryFile(), production); !strings.Contains(out, "finished in stage staging at ") || !strings.Contains(out, "and is old enough at ") {
		t.Errorf("the plan does not say when it is old enough:\n%s", out)
	}
	if st := s.ends(instance); st.State != "done" {
		t.Fatalf("production is %s: %s", st.State, st.Reason)
	}
	s.begun("web-1", finished.Add(age-10*time.Second)) // the record is older than the CLI's word that the instance ended
	s.safe()

	s.publish("1.1") // which no cache has
	logs = s.logs(web...)
	instance = s.start(production)
	s.eventually("production to hold", func() error {
		var c workflows.ClusterState
		if err := s.query(workflows.ClusterID(instance, "web"), &c); err != nil {
			return err
		}
		if !c.Held || !strings.Contains(c.StuckFor(), "before claim: stage staging has to be through with it first: lab-web 1.1 has not finished there") {
			return fmt.Errorf("%s: %s", c.Phase, c.WaitFor)
		}
		return nil
	})
	s.say("abort", instance)
	if st := s.ends(instance); st.State != "aborted" {
		t.Errorf("it is %s: %s", st.State, st.Reason)
	}
	s.untouched(logs)
	s.safe()
}
