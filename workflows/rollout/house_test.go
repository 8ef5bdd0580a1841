package rollout

import (
	"strings"
	"testing"
)

func TestItsOwnHouseGoesLast(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence string
		path     string // as in TestCampaign
		want     string
	}{
		{"it does not begin beside the others, whatever the order", "", "starts web cache"},
		{"nor while one of them goes on", "web cache web=done", "waits"},
		{"nor while one of them is held", "web cache web=done cache~hold", "waits, nothing moves without a person"},
		{"it begins when all others of its stage have ended", "web cache web=done cache=done", "starts consul temporal"},
		{"however they ended", "web cache web=halted cache=aborted", "starts consul temporal"},
		{"what shares with it still goes after it", "web cache web=done cache=done consul temporal", "waits"},
		{"and then goes as well", "web cache web=done cache=done consul temporal consul=done", "starts consul-2"},
		{"the next stage does not wait for it to be last of all", "web cache web=done cache=done consul temporal consul=done consul-2 temporal=done consul-2=done", "starts db"},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			t.Parallel()
			c := Campaign{
				Instance: "monthly-1", Name: "monthly", Parallel: 3, Stages: []string{"staging", "production"},
				Clusters: []Ref{
					{Name: "consul", Last: true, Shares: []string{"consul-2"}}, {Name: "temporal", Last: true}, {Name: "web"}, {Name: "cache"},
					{Name: "consul-2", Last: true, Shares: []string{"consul"}}, {Name: "db", Stage: 1},
				},
			}
			for _, word := range strings.Fields(row.path) {
				c = playCampaign(t, c, word)
			}
			if got := standingCampaign(c); got != row.want {
				t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, c)
			}
		})
	}
}
