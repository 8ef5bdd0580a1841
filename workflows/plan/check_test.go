package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// A member's part holds what is accepted of it, and the strictest of its clusters' backups; nobody else's.
func TestPartHoldsWhatItsPreflightNeeds(t *testing.T) {
	inv := estate([]string{"web", "web-1", "web-2"}, []string{"cache", "web-1", "cache-2"}, []string{"db", "db-1", "db-2"})
	inv.Clusters[0].Backup = &inventory.Backup{File: "/daily", MaxAge: inventory.Duration(24 * time.Hour), RestoreProven: "2026-09-30"}
	inv.Clusters[1].Backup = &inventory.Backup{File: "/hourly", MaxAge: inventory.Duration(time.Hour)}
	inv.Accept = []inventory.Accept{
		{Check: "units", Host: "web-2", Reason: "a", Until: "2027-01-31"}, {Check: "space", Cluster: "cache", Reason: "b", Until: "2027-01-31"},
		{Check: "clock", Host: "db-1", Reason: "c", Until: "2027-01-31"},
	}
	inv = inv.Resolve()
	_, parts := ForCheck(inv, []string{"web", "db"})
	for _, row := range []struct{ cluster, host, want string }{
		{"web", "web-1", "/hourly 1h0m0s proven false, accepts space until 2027-02-01"},
		{"web", "web-2", "/daily 24h0m0s proven true, accepts units until 2027-02-01"},
		{"db", "db-1", ", accepts clock until 2027-02-01"},
		{"db", "db-2", ","},
	} {
		backup, rule, accept := parts[row.cluster].Preflight(row.host)
		got := ","
		if backup != nil {
			got = fmt.Sprintf("%s %s proven %t,", backup.File, rule.MaxAge, !rule.Proven.IsZero())
		}
		for _, a := range accept {
			got += fmt.Sprintf(" accepts %s until %s", a.Check, a.Until.Format(time.DateOnly))
		}
		if got != row.want {
			t.Errorf("%s of %s: %q, want %q", row.host, row.cluster, got, row.want)
		}
	}
	if n := len(parts["db"].Accept); n != 1 {
		t.Errorf("the part of db holds %d accepted findings, want its own one", n)
	}
}
