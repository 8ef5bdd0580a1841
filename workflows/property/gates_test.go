package property_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Some instances have gates that want signatures. ann asked for them; mallory's key nobody knows.
var electors = []string{"bob", "carol", "dave", "ann", "mallory"}

// gated gives an instance gates. agreed are the people who were told that their word is taken, by gate.
func (c *campaign) gated(rng *rand.Rand) {
	c.agreed = map[string]map[string]bool{}
	if c.kind != cooperative && c.kind != troubled || rng.Float64() < 0.7 {
		return
	}
	rule := func() *approval.Rule { return &approval.Rule{Quorum: 1 + rng.IntN(2)} }
	if c.soak = rule(); rng.Float64() < 0.7 {
		c.start = rule()
	}
}

// agreement is what the instance is started with.
func (c *campaign) agreement(st *workflows.CampaignState) {
	if c.soak == nil {
		return
	}
	st.Agreement.Soak = c.soak
	if c.start != nil {
		st.Agreement.Gates = []plan.Gate{{ID: approval.GateStart, Rule: *c.start}}
		st.Gates = []rollout.Gate{{ID: approval.GateStart}}
	}
	s := c.statement(approval.Request, approval.GateRun)
	st.Request = &approval.Signed{Statement: s.Text(), Signature: "ann"}
	c.stand(st)
}

func (c *campaign) statement(d approval.Decision, gate string) approval.Statement {
	c.words++
	at := c.now().UTC().Truncate(time.Second)
	return approval.Statement{
		Decision: d, Campaign: "monthly", Instance: c.instance, Plan: "sha256:plan", Gates: []string{gate}, Reason: "because", At: at, Expires: at.Add(40 * 24 * time.Hour),
		Nonce: fmt.Sprintf("nonce-%s-%012d", c.instance, c.words),
	}
}

// vote has somebody say something signed to a workflow: what fits where earnest.
func (c *campaign) vote(id, gate string, ahead, earnest bool) {
	rng := c.rng("electors of " + c.instance)
	who, s, good := electors[rng.IntN(3)], c.statement(approval.Approve, gate), true
	s.WhenPass = ahead
	if !earnest {
		who = electors[rng.IntN(len(electors))]
		good = who != "ann" && who != "mallory"
		switch rng.IntN(5) {
		case 0:
			s.Plan, good = "sha256:another", false
		case 1:
			s.Gates, good = []string{gate + "0"}, false
		case 2:
			s.Instance, good = "another", false
		case 3:
			s.At, s.Expires, good = s.At.Add(-2*time.Hour), s.At.Add(-time.Hour), false
		}
	}
	c.seen["signed words"]++
	c.send(id, "approve", rollout.Message{Actor: who, Reason: s.Reason, Statement: s.Text(), Signature: who}, func() {
		if !good {
			c.broken("P7: %s takes what %s said, which does not count:\n%s", id, who, s.Text())
		}
		if c.agreed[gate] == nil {
			c.agreed[gate] = map[string]bool{}
		}
		c.agreed[gate][who] = true
		c.seen["signed word taken"]++
	})
}

// isShut is P7: fewer people than the rule asks for were told that their word is taken.
func (c *campaign) isShut(gate string, rule *approval.Rule) bool {
	return rule != nil && len(c.agreed[gate]) < rule.Quorum
}

// comesToGate has people agree to the start, sooner or later.
func (c *campaign) comesToGate(id string, st workflows.CampaignState) {
	if g, waits := st.Awaits(); waits {
		c.vote(id, g.ID, false, c.rng("gates").Float64() < 0.7)
	}
}

// verify is what the world says of a signature.
func (a *act) verify(in activities.VerifyInput) (time.Duration, func() any) {
	a.append(in.Intent)
	return a.soon(), func() any {
		r := activities.VerifyResult{Verdict: rollout.Pass, By: approval.Signer{Names: []string{in.Signature}, Key: "k-" + in.Signature}}
		refuse := func(err error) {
			var no *approval.Refusal
			if errors.As(err, &no) {
				r.Verdict, r.Cause, r.Reason = rollout.Fail, no.Cause, no.Text
			}
		}
		s, err := approval.Parse(in.Statement)
		if in.Standing {
			err = nil
		}
		switch {
		case a.trouble(a.rng, 0.1):
			r.Verdict, r.Reason = rollout.Inconclusive, "permission denied"
		case err != nil || in.Signature == "mallory":
			r.Verdict, r.Cause, r.Reason = rollout.Fail, approval.CauseUnknownKey, "nobody is known to have that key"
		case in.Standing:
			r.Vote, err = a.stood(in, r.By)
			refuse(err)
		case in.Gate == nil:
			refuse(approval.Requested(in.Campaign, in.Instance, in.Plan, s, r.By, in.Intent.Time))
		default:
			r.Vote, err = in.Gate.Admit(in.Votes, s, r.By, in.Intent.Time)
			refuse(err)
		}
		r.Audit = a.outcome(in.Intent, string(r.Verdict))
		return r
	}
}
