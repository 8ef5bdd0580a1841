package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rollpatch/rollpatch/activities/auditlog"
	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestRollingSoloIsRefused(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	log := s.logs("solo-1")
	file := s.campaign(false, "solo")
	for _, word := range []string{"plan", "run"} {
		r, err := s.Rollpatch(s.ctx, nil, word, "-i", s.InventoryFile(), file)
		s.must(err)
		if r.Code != 2 || !strings.Contains(r.Stdout+r.Stderr, "accept_impact") {
			s.Errorf("rollpatch %s exited %d, want 2 and the way to accept it\n%s%s", word, r.Code, r.Stdout, r.Stderr)
		}
	}
	s.untouched(log)
}

// TestRollingSoloRefusedAtRunTime starts a campaign past the refusal of the CLI, as anybody with a Temporal client may: the cluster
// refuses it again, before it looks at its host.
func TestRollingSoloRefusedAtRunTime(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	log, boot := s.logs("solo-1"), s.boots("solo-1")
	instance := s.startRefused(s.campaign(false, "solo"))
	st := s.ends(instance)
	if st.State != "halted" {
		s.Errorf("campaign is %s, want halted", st.State)
	}
	c := st.Stages[0].Clusters[0]
	for _, want := range []string{"losing one of 1 members breaks min_healthy 1", "accept_impact: {solo: {reason: <reason>, until: <day>}}"} {
		if c.State != "halted" || !strings.Contains(c.Reason, want) || !strings.Contains(st.Reason, want) {
			s.Errorf("cluster is %s: %q, and the campaign says %q; want halted and %q in both", c.State, c.Reason, st.Reason, want)
		}
	}
	s.untouched(log)
	if now := s.boots("solo-1"); now["solo-1"] != boot["solo-1"] {
		s.Error("solo-1 was rebooted")
	}
	s.safe()

	entries, err := auditlog.Read(s.Daemon.AuditFile())
	s.must(err)
	var done []string
	for _, e := range entries {
		if e.Kind == audit.Intent && strings.Contains(e.Chain, instance) {
			done = append(done, strings.TrimSpace(e.Action+" "+e.Host))
		}
	}
	if want := []string{"claim", "release"}; !slices.Equal(done, want) {
		s.Errorf("by its audit chains it did %q, want %q", done, want)
	}
}

// startRefused starts a campaign as `rollpatch run` does, although its plan refuses it.
func (s *scene) startRefused(path string) string {
	s.Helper()
	source := func(path string) file.Source {
		raw, err := os.ReadFile(path)
		s.must(err)
		return file.Source{Name: path, Raw: raw}
	}
	inv, err := file.ParseInventory(source(s.InventoryFile()))
	s.must(err)
	c, err := file.ParseCampaign(source(path))
	s.must(err)
	s.must(file.CheckCampaign(c, inv.Value))
	home, err := os.UserHomeDir()
	s.must(err)
	pl, parts := plan.Build(c.Value.WithPaths(filepath.Dir(path), home), inv.Value.Resolve().WithPaths(filepath.Dir(s.InventoryFile()), home))
	if len(pl.Refusals) == 0 {
		s.Fatal("the plan refuses nothing")
	}
	folder, err := store.NewFolder(s.Store())
	s.must(err)
	for _, part := range parts {
		_, err := folder.Put(s.ctx, plan.Body(part))
		s.must(err)
	}
	_, err = folder.Put(s.ctx, plan.Body(pl))
	s.must(err)
	now := time.Now()
	st := workflows.CampaignState{Campaign: pl.Campaign(pl.Instance(now), "the test", now.UTC())}
	_, err = s.temporal.ExecuteWorkflow(s.ctx, client.StartWorkflowOptions{
		ID: workflows.CampaignID(st.Instance), TaskQueue: workflows.Queue, TypedSearchAttributes: workflows.StartAttributes(st.Instance),
	}, workflows.CampaignType, st)
	s.must(err)
	return st.Instance
}

func TestRollingSoloAcceptedByName(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	file, err := s.Write("accepted.yaml", "name: "+s.name()+"\nreason: it has a window\nunattended: true\nstages:\n  - {name: production, clusters: [solo]}\naccept_impact: {solo: {reason: nobody needs it at night, until: 2099-12-31}}\n"+policy)
	s.must(err)
	s.run(file, 0)
	s.at("1.1", "solo-1")
	s.safe()
}
