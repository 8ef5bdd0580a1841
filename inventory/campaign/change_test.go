package campaign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func TestAChangeHookHasOneWay(t *testing.T) {
	env := &inventory.Secret{Env: "CHANGE_URL"}
	for _, row := range []struct {
		says, want string
		hook       campaign.Change
	}{
		{"a command", "", campaign.Change{Command: []string{"open-change"}}},
		{"a URL with a secret", "", campaign.Change{URL: env, Secret: env}},
		{"neither", "change: needs exactly one of command and url", campaign.Change{}},
		{"both", "change: needs exactly one of command and url", campaign.Change{Command: []string{"open-change"}, URL: env}},
		{"a command without a program", "change.command[0]: is empty", campaign.Change{Command: []string{""}}},
		{"a URL that is no reference", "change.url: needs exactly one of env, file and command", campaign.Change{URL: &inventory.Secret{}}},
		{"a secret for a command", "change.secret: goes with a url", campaign.Change{Command: []string{"open-change"}, Secret: env}},
		{"no time for an attempt", "change.timeout: 1ms is too short", campaign.Change{URL: env, Timeout: inventory.Duration(time.Millisecond)}},
		{"less than an attempt", "change.within: 10s is shorter than one attempt", campaign.Change{URL: env, Within: inventory.Duration(10 * time.Second)}},
		{"slow attempts bring their own time", "", campaign.Change{URL: env, Timeout: inventory.Duration(time.Hour)}},
	} {
		c := campaign.Campaign{Name: "monthly", Reason: "updates", Stages: []campaign.Stage{{Name: "production", Clusters: []string{"web"}}}, Change: &row.hook}
		var got []string
		for _, p := range c.Validate() {
			got = append(got, p.Path+": "+p.Msg)
		}
		all := strings.Join(got, "\n")
		if row.want == "" && all != "" || row.want != "" && !strings.Contains(all, row.want) {
			t.Errorf("%s: found %q, want %q", row.says, all, row.want)
		}
	}
}

func TestAChangeHooksFilesAreFound(t *testing.T) {
	c := campaign.Campaign{Change: &campaign.Change{URL: &inventory.Secret{File: "change.url"}, Secret: &inventory.Secret{File: "~/token"}}}
	got := c.WithPaths("/srv/rollpatch", "/home/ann")
	if got.Change.URL.File != "/srv/rollpatch/change.url" || got.Change.Secret.File != "/home/ann/token" || c.Change.URL.File != "change.url" {
		t.Errorf("files are %q and %q, of the original %q", got.Change.URL.File, got.Change.Secret.File, c.Change.URL.File)
	}
}
