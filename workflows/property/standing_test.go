package property_test

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// stand gives some of the instances with a gate before their start standing approvals, as a schedule's have them.
func (c *campaign) stand(st *workflows.CampaignState) {
	rng := c.rng("standing approvals of " + c.instance)
	if c.start == nil || rng.Float64() < 0.4 {
		return
	}
	st.Standing, st.Made = "monthly", &workflows.Made{Schedule: "monthly", Files: "sha256:plan"}
	c.stands = []approval.Signed{}
	for n := range rng.IntN(4) {
		at := c.now().UTC().Truncate(time.Second).Add(-time.Hour)
		s := approval.Standing{
			Schedule: "monthly", Files: "sha256:plan", Gates: []string{approval.GateStart}, Clusters: []string{"*"}, Packages: []string{"lab-*"}, Reason: "because", At: at, Expires: at.Add(80 * 24 * time.Hour),
			Nonce: fmt.Sprintf("standing-%s-%02d", c.instance, n),
		}
		if rng.IntN(3) == 0 {
			s.Packages = []string{"openssl"}
		}
		c.stands = append(c.stands, approval.Signed{Statement: s.Text(), Signature: electors[rng.IntN(len(electors))]})
	}
}

// standing is what the world knows of standing approvals.
func (a *act) standing(activities.StandingInput) (time.Duration, func() any) {
	return a.soon(), func() any {
		c := a.campaign(a.run.instance)
		if c == nil || c.stands == nil {
			a.broken("%s looks for standing approvals, and no schedule made it by itself", a.run.id)
			return nil
		}
		return c.stands
	}
}

// stood is what the world says of one at a gate, and keeps the books: whom it counts for, if that is within its limits.
func (a *act) stood(in activities.VerifyInput, by approval.Signer) (approval.Vote, error) {
	s, err := approval.ParseStanding(in.Statement)
	if err != nil {
		return approval.Vote{}, err
	}
	v, err := in.Gate.AdmitStanding(approval.Behind{Clusters: []approval.BehindCluster{{Name: "web", Packages: []string{"lab-web"}}}}, in.Votes, s, by, in.Intent.Time)
	if good := s.Packages[0] == "lab-*" && in.Signature != "ann"; err == nil && good {
		if c := a.campaign(in.Gate.Instance); c.agreed[in.Gate.ID] == nil {
			c.agreed[in.Gate.ID] = map[string]bool{in.Signature: true}
		} else {
			c.agreed[in.Gate.ID][in.Signature] = true
		}
		a.seen["standing approval counts"]++
	}
	return v, err
}
