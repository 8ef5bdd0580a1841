package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
)

// TestChangeFetchedAhead: what was approved is brought onto its hosts before the window opens, while they serve and nothing is installed. By then the
// repository has another version alone, and every member gets the one that was approved.
func TestChangeFetchedAhead(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	logs := s.logs(web...)
	opens := time.Now().Truncate(time.Second).Add(45 * time.Second)
	night := s.announce(event{"Patch night", opens, opens.Add(10 * time.Minute)})
	campaign := s.timed(fmt.Sprintf("windows: [{name: night, ical: {file: %q, events: Patch*}}]", night))
	file, _ := s.planned(campaign, "plan")
	r, err := s.Rollpatch(s.ctx, nil, "run", "--detach", "-i", s.InventoryFile(), "--plan", file, campaign)
	s.must(err)
	if r.Code != 0 {
		t.Fatalf("rollpatch run --plan exited %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	instance := s.latest()
	s.eventually("the packages to be there", func() error {
		var c workflows.CampaignState
		if err := s.query(workflows.CampaignID(instance), &c); err != nil {
			return err
		}
		if a := c.Clusters[0].Ahead; !a.Done {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	if now := time.Now(); !now.Before(opens) {
		t.Fatalf("they were there %s after the window had opened", now.Sub(opens))
	}
	s.publish("1.4")
	s.untouched(logs)
	for _, h := range web {
		s.serving(h)
		s.idle(instance, h)
	}
	if end := s.ends(instance); end.State != "done" {
		t.Errorf("campaign is %s: %s", end.State, end.Reason)
	}
	s.begun("web-1", opens)
	s.at("1.1", web...)
	s.safe()
}
