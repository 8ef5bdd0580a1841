package campaign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func TestValidateRequires(t *testing.T) {
	for _, row := range []struct {
		sentence string
		requires campaign.Requires
		want     string
	}{
		{"an earlier stage", campaign.Requires{Stage: "staging", MinAge: inventory.Duration(72 * time.Hour)}, ""},
		{"no age is any age", campaign.Requires{Stage: "staging"}, ""},
		{"another campaign's", campaign.Requires{Stage: "lab"}, ""},
		{"none is named", campaign.Requires{MinAge: 1}, "stages[1].requires.stage: is missing"},
		{"no name", campaign.Requires{Stage: "a/b"}, `stages[1].requires.stage: "a/b" is no name`},
		{"itself", campaign.Requires{Stage: "production"}, `stages[1].requires.stage: "production" is the stage itself`},
		{"one that comes later", campaign.Requires{Stage: "last"}, `stages[1].requires.stage: "last" comes after this stage`},
		{"longer than anything is on record", campaign.Requires{Stage: "staging", MinAge: inventory.Duration(91 * 24 * time.Hour)}, "stages[1].requires.min_age: 91d is too long"},
	} {
		c := campaign.Campaign{Name: "monthly", Reason: "because", Stages: []campaign.Stage{
			{Name: "staging", Clusters: []string{"cache"}}, {Name: "production", Clusters: []string{"web"}, Requires: &row.requires}, {Name: "last", Clusters: []string{"db"}},
		}}
		var got []string
		for _, p := range c.Validate() {
			got = append(got, p.String())
		}
		if all := strings.Join(got, "\n"); (all == "") != (row.want == "") || !strings.HasPrefix(all, row.want) || len(got) > 1 {
			t.Errorf("%s: %q, want %q", row.sentence, all, row.want)
		}
	}
}

// A stage whose clusters have one member each never soaks: whoever requires it would wait for ever.
func TestCheckRequires(t *testing.T) {
	c := campaign.Campaign{Name: "monthly", Reason: "because", Stages: []campaign.Stage{
		{Name: "staging", Clusters: []string{"solo", "cache"}}, {Name: "production", Clusters: []string{"web"}, Requires: &campaign.Requires{Stage: "staging"}},
	}}
	for _, row := range []struct {
		cache []string
		want  string
	}{{[]string{"cache-1", "cache-2"}, ""}, {[]string{"cache-1"}, `stages[1].requires.stage: no cluster of stage "staging" has a second member`}} {
		inv := inventory.Inventory{Clusters: []inventory.Cluster{{Name: "solo", Members: []string{"s"}}, {Name: "cache", Members: row.cache}, {Name: "web", Members: []string{"w"}}}}
		var got []string
		for _, p := range c.Check(inv) {
			got = append(got, p.String())
		}
		if all := strings.Join(got, "\n"); (all == "") != (row.want == "") || !strings.Contains(all, row.want) {
			t.Errorf("cache of %q: %q, want %q", row.cache, all, row.want)
		}
	}
}
