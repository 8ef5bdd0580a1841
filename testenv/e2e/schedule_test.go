package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
)

// scheduled writes a campaign over web that begins once a year at this minute, a minute after its plan is made, where somebody has agreed.
func (s *scene) scheduled(begin time.Time) (file string) {
	s.Helper()
	text := fmt.Sprintf("name: %s\nreason: November security updates\nunattended: true\nzone: UTC\nschedule: {cron: %q, lead: 1m}\ngates: {start: {unsigned: true}}\n"+
		"notify: [{name: nobody, command: [\"true\"]}]\nstages:\n  - {name: production, clusters: [web]}\n%s",
		s.name(), begin.UTC().Format("4 15 2 1 *"), policy)
	file, err := s.Write(s.name()+".yaml", text)
	s.must(err)
	return file
}

// keptSchedule is what schedule list says of this test's.
func (s *scene) keptSchedule() (kept struct {
	Name    string
	Paused  bool
	Running []string
	Next    []struct{ At, Begin time.Time }
	Ahead   int
	Last    time.Time
}, there bool) {
	s.Helper()
	out, _ := s.cli(0, "schedule", "list", "--output", "json")
	all := []json.RawMessage{}
	s.must(json.Unmarshal([]byte(out), &all))
	for _, one := range all {
		k := kept
		s.must(json.Unmarshal(one, &k))
		if k.Name == s.name() {
			return k, true
		}
	}
	return kept, false
}

// made waits for the instance that a schedule made, which waits at its gate.
func (s *scene) made() (instance string, st workflows.CampaignState) {
	s.Helper()
	s.eventually("an instance at its gate", func() error {
		kept, _ := s.keptSchedule()
		if len(kept.Running) == 0 {
			return fmt.Errorf("no firing is on its way: %+v", kept)
		}
		var f workflows.FiringState
		if err := s.query(kept.Running[0], &f); err != nil {
			return err
		}
		if instance = f.Instance; instance == "" {
			return fmt.Errorf("no plan is made yet: %+v", f)
		}
		if err := s.query(workflows.CampaignID(instance), &st); err != nil {
			return err
		}
		if g, waits := st.Awaits(); !waits || g.Since.IsZero() {
			return fmt.Errorf("it is not at its gate: %s", st.Next(time.Now()).Reason)
		}
		return nil
	})
	return instance, st
}

// TestChangeScheduledByHand: a schedule is created, listed, fired by hand, paused and deleted; what it made goes on.
func TestChangeScheduledByHand(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	begin := time.Now().UTC().Add(48 * time.Hour).Truncate(time.Minute)
	file := s.scheduled(begin)
	out, _ := s.cli(0, "schedule", "create", "-i", s.InventoryFile(), file)
	if !strings.Contains(out, "created") {
		t.Errorf("create says %q", out)
	}
	kept, there := s.keptSchedule()
	if !there || kept.Paused || len(kept.Next) == 0 || !kept.Next[0].Begin.Equal(begin) || !kept.Next[0].At.Equal(begin.Add(-time.Minute)) {
		t.Fatalf("the list has %+v (%t), want a begin at %s", kept, there, begin)
	}
	if out, _ := s.cli(0, "schedule", "create", "-i", s.InventoryFile(), file); !strings.Contains(out, "replaced") {
		t.Errorf("create once more says %q", out)
	}
	if kept.Ahead == 0 || kept.Ahead < len(kept.Next) {
		t.Errorf("the server knows of %d firings ahead, and says when the next ones are: %s", kept.Ahead, kept.Next)
	}
	before := s.logs("web-1", "web-2", "web-3")
	s.say("schedule", "trigger", s.name())
	instance, st := s.made()
	if st.Turn != nil || st.Made == nil || st.Made.Schedule != s.name() {
		t.Errorf("its turn is %+v, and it was made by %+v", st.Turn, st.Made)
	}
	s.untouched(before)
	if shown, _ := s.cli(0, "schedule", "plan", instance, "--output", "markdown"); !strings.Contains(shown, "lab-web") || !strings.Contains(shown, st.Plan) {
		t.Errorf("its change request is\n%s", shown)
	}
	if _, told := s.cli(1, "schedule", "trigger", s.name(), "--reason", "once more"); !strings.Contains(told, "still on its way") {
		t.Errorf("another firing beside it says %q", told)
	}
	s.say("schedule", "pause", s.name())
	if kept, _ := s.keptSchedule(); !kept.Paused {
		t.Error("it is not paused")
	}
	s.say("schedule", "resume", s.name())
	if kept, _ := s.keptSchedule(); kept.Paused {
		t.Error("it is still paused")
	}
	s.say("schedule", "delete", s.name())
	s.eventually("the schedule to be gone", func() error {
		if _, there := s.keptSchedule(); there {
			return fmt.Errorf("it is still listed")
		}
		return nil
	})
	s.say("approve", instance, "--as", "mia")
	if end := s.ends(instance); end.State != "done" {
		t.Fatalf("%s ended %s: %s", instance, end.State, end.Reason)
	}
	s.at("1.1", "web-1", "web-2", "web-3")
	s.safe()
}

// TestChangeScheduledNight: the server fires by itself, the plan is made, somebody agrees, and the instance begins when it is its turn and not before.
func TestChangeScheduledNight(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	begin := time.Now().UTC().Add(80 * time.Second).Truncate(time.Minute).Add(time.Minute) // its plan is made in 20 to 80 seconds
	s.cli(0, "schedule", "create", "-i", s.InventoryFile(), s.scheduled(begin))
	before := s.logs("web-1", "web-2", "web-3")
	instance, st := s.made()
	if st.Turn == nil || !st.Turn.Begin.Equal(begin) {
		t.Fatalf("its turn is %+v, want one at %s", st.Turn, begin)
	}
	s.say("approve", instance, "--as", "mia")
	s.eventually("the gate to open", func() error {
		if err := s.query(workflows.CampaignID(instance), &st); err != nil {
			return err
		}
		if _, waits := st.Awaits(); waits {
			return fmt.Errorf("it is shut")
		}
		return nil
	})
	if now := time.Now(); now.Before(begin.Add(-2 * time.Second)) {
		s.untouched(before)
	}
	if end := s.ends(instance); end.State != "done" {
		t.Fatalf("%s ended %s: %s", instance, end.State, end.Reason)
	}
	s.begun("web-1", begin)
	s.at("1.1", "web-1", "web-2", "web-3")
	s.eventually("the firing to end", func() error {
		if kept, _ := s.keptSchedule(); len(kept.Running) > 0 || kept.Last.IsZero() || kept.Paused {
			return fmt.Errorf("the list has %+v", kept)
		}
		return nil
	})
	s.say("schedule", "delete", s.name())
	s.safe()
}
