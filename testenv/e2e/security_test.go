package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// TestChangeSecurityOnly: where a repository does not say which of its versions are security updates there is no plan, and on the night nothing is
// done; with what comes from there excluded, the plan has the others, and each of them is one.
func TestChangeSecurityOnly(t *testing.T) {
	s := begin(t)
	s.publish("security")
	s.publish("1.1")
	logs := s.logs(web...)
	write := func(packages string) string {
		t.Helper()
		path, err := s.Write(s.name()+".yaml", fmt.Sprintf("name: %s\nreason: November security updates\nunattended: true\npackages: %s\nstages:\n  - {name: production, clusters: [web]}\n%s", s.name(), packages, policy))
		s.must(err)
		return path
	}
	const untold = "packages.security: no repository says whether these are security updates: lab-web 1.1, lab-web-data 1.1 (from rollpatch lab:lab)"
	campaign := write("{security: true}")
	file := filepath.Join(filepath.Dir(campaign), s.name()+"-plan.json")
	s.must(os.RemoveAll(file))
	_, stderr := s.cli(2, "plan", "-i", s.InventoryFile(), campaign, "--save", file)
	if !strings.Contains(stderr, `cluster "web" is refused: web-1, web-2, web-3: `+untold) {
		t.Errorf("rollpatch plan says\n%s", stderr)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the plan was saved: %v", err)
	}
	if stdout, _ := s.cli(3, "run", "-i", s.InventoryFile(), campaign); !strings.Contains(stdout, untold) {
		t.Errorf("rollpatch run says\n%s", stdout)
	}
	s.untouched(logs)
	s.safe()

	stdout, _ := s.cli(0, "plan", "-i", s.InventoryFile(), write(`{security: true, exclude: ["lab-*"]}`), "--output", "json")
	var out struct {
		Forecast plan.Forecast `json:"forecast"`
	}
	s.must(json.Unmarshal([]byte(stdout), &out))
	if len(out.Forecast.Clusters) != 1 || len(out.Forecast.Clusters[0].Packages) == 0 {
		t.Fatalf("%+v: want one platform with packages", out.Forecast)
	}
	for _, k := range out.Forecast.Clusters[0].Packages {
		if k.Security != plan.SecurityYes {
			t.Errorf("%s %s of %s is in the plan, security %s", k.Name, k.New, k.Origin, k.Security)
		}
	}
	s.Logf("%d security updates", len(out.Forecast.Clusters[0].Packages))
	s.untouched(logs)
}
