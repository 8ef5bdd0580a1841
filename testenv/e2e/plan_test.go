package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// planned makes a plan of a campaign and keeps it in a file.
func (s *scene) planned(campaign, name string) (file string, f plan.Forecast) {
	s.Helper()
	file = filepath.Join(filepath.Dir(campaign), s.name()+"-"+name+".json")
	s.must(os.RemoveAll(file))
	r, err := s.Rollpatch(s.ctx, nil, "plan", "-i", s.InventoryFile(), campaign, "--save", file, "--output", "json")
	s.must(err)
	if r.Code != 0 {
		s.Fatalf("rollpatch plan exited %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	var out struct {
		Digest   string        `json:"digest"`
		Forecast plan.Forecast `json:"forecast"`
	}
	s.must(json.Unmarshal([]byte(r.Stdout), &out))
	s.Logf("plan %s: %d of %d hosts answered", out.Digest, out.Forecast.Answered, out.Forecast.Asked)
	return file, out.Forecast
}

// TestRollingPlan: hosts say what they would get, and exactly that is run, also when the repository has moved on.
func TestRollingPlan(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	log := s.logs(web...)
	campaign := s.campaign(false, "web")
	file, f := s.planned(campaign, "plan")
	s.untouched(log)
	if f.Asked != 3 || f.Answered != 3 || len(f.Clusters) != 1 || !slices.Equal(f.Clusters[0].Hosts, web) {
		t.Fatalf("%+v: want three hosts on one platform", f)
	}
	got := map[string]string{}
	for _, k := range f.Clusters[0].Packages {
		got[k.Name] = k.Old + " " + k.New
	}
	if got["lab-web"] != "1.0 1.1" || got["lab-web-data"] != "1.0 1.1" {
		t.Errorf("packages %v, want lab-web and what it needs, from 1.0 to 1.1", got)
	}
	r, err := s.Rollpatch(s.ctx, nil, "run", "-i", s.InventoryFile(), "--plan", file, campaign)
	s.must(err)
	if r.Code != 0 {
		t.Fatalf("rollpatch run --plan exited %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.at("1.1", web...)
	s.safe()

	// Somebody writes another soak into the campaign: what was approved is not what would be done.
	raw, err := os.ReadFile(campaign)
	s.must(err)
	s.must(os.WriteFile(campaign, []byte(strings.Replace(string(raw), "soak: 4s", "soak: 3s", 1)), 0o644))
	before := s.latest()
	if r, err = s.Rollpatch(s.ctx, nil, "run", "-i", s.InventoryFile(), "--plan", file, campaign); err != nil || r.Code != 2 || !strings.Contains(r.Stderr, `soak: it was "4s", and is "3s"`) {
		t.Errorf("rollpatch run with another campaign exited %d, %v: %s", r.Code, err, r.Stderr)
	}
	if now := s.latest(); now != before {
		t.Errorf("%s was started all the same", now)
	}
}

// TestRollingPlanWidens: a package that nobody approved keeps the canary in service, and its cluster from its peers.
func TestRollingPlanWidens(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	campaign := s.campaign(false, "web")
	file, _ := s.planned(campaign, "plan")
	raw, err := os.ReadFile(file)
	s.must(err)
	saved, err := plan.ParseSaved(raw)
	s.must(err)
	// The plan as it would be, had lab-web needed nothing else when it was made.
	for i := range saved.Answers {
		saved.Answers[i].Packages = slices.DeleteFunc(saved.Answers[i].Packages, func(k plan.Package) bool { return k.Name != "lab-web" })
	}
	saved.Plan, saved.Parts = plan.Answered(saved.Plan, saved.Parts, saved.Answers)
	saved.Digest = plan.Digest(saved.Plan)
	s.must(os.WriteFile(file, plan.Body(saved), 0o644))

	log, boot := s.logs(web...), s.boots(web...)
	r, err := s.Rollpatch(s.ctx, nil, "run", "-i", s.InventoryFile(), "--plan", file, campaign)
	s.must(err)
	if r.Code != 3 || !strings.Contains(r.Stdout, "widens: it would bring lab-web-data 1.1; the plan that was approved does not hold that") {
		t.Errorf("rollpatch run exited %d, want 3 and why\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.untouched(log)
	if now := s.boots(web...); now["web-1"] != boot["web-1"] {
		t.Error("web-1 was rebooted")
	}
	s.safe()
}
