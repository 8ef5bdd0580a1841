package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// FuzzParse: whatever is in a file, it is read or told of with a place, and never a panic. What is read without a finding can be resolved.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		inv, err := file.ParseInventory(file.Source{Name: "i", Raw: raw})
		placed(t, err)
		c, cerr := file.ParseCampaign(file.Source{Name: "c", Raw: raw})
		placed(t, cerr)
		placed(t, file.CheckCampaign(c, inv.Value))
		if err == nil {
			if p := inv.Value.Resolve().Validate(); len(p) > 0 {
				t.Errorf("resolved, a sound inventory breaks rules: %v", p)
			}
		}
		if cerr == nil {
			policySound(t, c.Value, inv.Value)
		}
	})
}

func placed(t *testing.T, err error) {
	if err == nil {
		return
	}
	var findings file.Findings
	if !errors.As(err, &findings) || len(findings) == 0 {
		t.Fatalf("error %v (%T), want Findings", err, err)
	}
	for _, f := range findings {
		if f.File == "" || f.Line < 1 || f.Msg == "" {
			t.Errorf("finding without a place: %+v", f)
		}
	}
}

func policySound(t *testing.T, c campaign.Campaign, inv inventory.Inventory) {
	for _, cluster := range inv.Clusters {
		if p := c.PolicyOf(cluster.Name); p.Soak <= 0 || p.SoakInterval <= 0 || p.Parallel < 1 || p.Checks.Passes < 1 {
			t.Errorf("policy of %q: %+v", cluster.Name, p)
		}
	}
}
