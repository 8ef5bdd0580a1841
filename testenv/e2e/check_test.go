package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/preflight"
)

// TestKnowsThatABackupIsMissing: check says so, a campaign drains nobody, and what somebody accepts stands in nobody's way.
func TestKnowsThatABackupIsMissing(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	log, boot := s.logs(web...), s.boots(web...)
	raw, err := os.ReadFile(s.InventoryFile())
	s.must(err)
	asks := strings.Replace(string(raw), "    owner: web team\n", "    owner: web team\n    backup: {file: \"/srv/backup/web-*\", max_age: 26h}\n", 1)
	inventory := filepath.Join(filepath.Dir(s.InventoryFile()), "inventory-backup.yaml")
	write := func(text string) { s.must(os.WriteFile(inventory, []byte(text), 0o600)) }
	write(asks)
	t.Cleanup(func() { os.Remove(inventory) })

	checks := func(what string, wantCodes ...int) (all []preflight.Finding) {
		t.Helper()
		r, err := s.Rollpatch(s.ctx, nil, "check", "-i", inventory, what, "--output", "json")
		s.must(err)
		if !slices.Contains(wantCodes, r.Code) {
			s.Fatalf("rollpatch check exited %d, want one of %d\n%s%s", r.Code, wantCodes, r.Stdout, r.Stderr)
		}
		var out map[string][]struct{ Findings []preflight.Finding }
		s.must(json.Unmarshal([]byte(r.Stdout), &out))
		for _, list := range []string{"ready", "accepted", "blocked"} {
			for _, h := range out[list] {
				all = append(all, h.Findings...)
			}
		}
		return all
	}
	missing := func(f preflight.Finding) bool {
		return f.Check == preflight.BackupAge && f.Severity == preflight.Severe && strings.Contains(f.What, "there is no /srv/backup/web-*")
	}
	for _, host := range web {
		if found := checks(host, 3); !slices.ContainsFunc(found, missing) {
			s.Errorf("%s: %+v, want that its backup is missing", host, found)
		}
	}
	campaign := s.campaign(false, "web")
	r, err := s.Rollpatch(s.ctx, nil, "run", "-i", inventory, campaign)
	s.must(err)
	if want := "web-1 is returned: preflight: no backup is known: there is no /srv/backup/web-*: make one"; r.Code != 3 || !strings.Contains(r.Stdout, want) {
		s.Errorf("rollpatch run exited %d, want 3 and %q\n%s%s", r.Code, want, r.Stdout, r.Stderr)
	}
	s.untouched(log)
	if now := s.boots(web...); now["web-1"] != boot["web-1"] {
		s.Error("web-1 was rebooted")
	}

	write(asks + "accept: [{check: backup, cluster: web, reason: holds no data, until: 2099-12-31}]\n")
	found := checks("web-1", 0, 3) // a real host may have something else
	if i := slices.IndexFunc(found, missing); i < 0 || found[i].Accepted != "holds no data" {
		s.Errorf("%+v, want the backup's accepted", found)
	}
	if r, err = s.Rollpatch(s.ctx, nil, "run", "-i", inventory, campaign); err != nil || r.Code != 0 {
		s.Fatalf("rollpatch run exited %d, %v\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
	s.at("1.1", web...)
	s.safe()
}
