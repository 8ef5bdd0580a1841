package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// identify finds out who asked for the instance. Nothing begins while nobody can tell.
func (c *campaign) identify() {
	if c.Request == nil || c.Asker.Signed() || c.Outcome != "" || c.AbortFor != "" || c.now().Before(c.AskWho) {
		return
	}
	in := activities.VerifyInput{Signed: *c.Request, Claimed: c.Requester, Signers: files(c.Agreement.Signers), Campaign: c.Name, Instance: c.Instance, Plan: c.asked()}
	r, err := c.keeper().ask(c.ctx, "the request to run", in)
	switch {
	case c.Outcome != "" || c.AbortFor != "":
	case err != nil:
		c.Campaign = c.Unidentified(cause(err), c.now())
	case r.Verdict == rollout.Pass && r.By.Signed():
		c.Asker, c.Campaign = r.By, c.Identified(r.By.Name())
	case r.Verdict == rollout.Pass:
		c.Request, c.Campaign = nil, c.Identified(c.Requester) // nobody signed it
	case r.Verdict == rollout.Fail:
		c.Campaign = c.NotStarted("the request to run is refused: "+r.Reason, c.now())
	default:
		c.Campaign = c.Unidentified(r.Reason, c.now())
	}
}

// requester is who asked for it, as far as that is known.
func (c *campaign) requester() approval.Signer {
	if c.Asker.Signed() {
		return c.Asker
	}
	return approval.Claimed(c.Requester)
}

func (c *campaign) keeper() *gatekeeper {
	if c.gates == nil {
		c.gates = &gatekeeper{carrier: c.carrier, kept: &c.Ballots, audit: &c.Audit, unwritten: &c.Unwritten, seen: &c.Seen, signers: c.Agreement.Signers, schedule: c.Standing}
	}
	return c.gates
}

// gateOf is one of the campaign's gates as people agree to it.
func (c *campaign) gateOf(g rollout.Gate) approval.Gate {
	out := approval.Gate{
		ID: g.ID, Campaign: c.Name, Instance: c.Instance, Plan: c.Plan, Requester: c.requester(), Since: g.Since, Ripe: !g.Since.IsZero(), Finding: c.Finding(g.Stage),
	}
	if c.Standing != "" && c.Made != nil {
		out.Schedule, out.Files = c.Standing, c.Made.Files
	}
	for _, p := range c.Agreement.Gates {
		if p.ID == g.ID {
			out.Rule, out.Owners, out.Unowned = p.Rule, p.Owners, p.Unowned
		}
	}
	return out
}

// judge applies how its gates stand, one after the other.
func (c *campaign) judge() {
	defer c.passAbort(c.AbortFor)
	defer c.Ballots.drop(func(gate string) bool {
		return slices.ContainsFunc(c.Gates, func(g rollout.Gate) bool { return g.ID == gate && !g.Opened.IsZero() })
	})
	for {
		c.Campaign = c.Convene(c.now())
		g, waits := c.Due()
		if !waits {
			return
		}
		j := c.Ballots.judgment(c.gateOf(g), time.Time{}, c.now())
		j.Why += c.notStanding(g.ID)
		c.Campaign = c.Judged(j, c.now())
		if next, still := c.Due(); still && next.ID == g.ID {
			return
		}
	}
}

// passAbort tells the clusters on their way when a gate had it aborted: an emergency was refused afterwards.
func (c *campaign) passAbort(before string) {
	if c.AbortFor != before {
		c.sendAll(signalAbort, rollout.Message{Actor: "the campaign", Reason: c.AbortFor})
	}
}

// prove looks once more at the keys of who agreed, and opens the gate if enough are left.
func (c *campaign) prove(ctx workflow.Context, a rollout.Action) {
	defer c.passAbort(c.AbortFor)
	g, waits := c.Due()
	if !waits || g.ID != a.Name {
		return
	}
	err := c.keeper().prove(ctx, c.gateOf(g))
	switch {
	case ctx.Err() != nil || !c.Proves(a.ID):
	case err != nil:
		c.Campaign = c.Unproven(a.ID, err.Error(), workflow.Now(ctx))
	default:
		j := c.Ballots.judgment(c.gateOf(g), time.Time{}, workflow.Now(ctx))
		j.Proven = true
		c.Campaign = c.Judged(j, workflow.Now(ctx))
	}
}

// vote takes an approve or a reject: at the campaign's own gate, or for soaks of its clusters, to which it is handed on.
func (c *campaign) vote(ctx workflow.Context, word string, m rollout.Message) error {
	k := c.keeper()
	if m.Statement == "" {
		return k.take(ctx, word, m, func() (approval.Gate, error) { return c.meant(nil) })
	}
	s, err := approval.Parse(m.Statement)
	if err != nil {
		return k.refuse(ctx, word, m, err)
	}
	if slices.ContainsFunc(s.Gates, approval.IsFreeze) {
		return k.take(ctx, word, m, func() (approval.Gate, error) { return c.freezeMeant(s.Gates) })
	}
	soaks := slices.DeleteFunc(slices.Clone(s.Gates), func(g string) bool { return !strings.HasPrefix(g, "soak/") })
	ahead := m
	if len(soaks) < len(s.Gates) || len(soaks) == 0 {
		if err := k.take(ctx, word, m, func() (approval.Gate, error) { return c.meant(s.Gates) }); err != nil || len(soaks) == 0 {
			return err
		}
		ahead.ID = "" // it is not the same said twice: it counts at the stage, and for the soaks in it, which begin later
	}
	if err := k.take(ctx, word, ahead, func() (approval.Gate, error) { return c.soaksMeant(soaks, s.Nonce) }); err != nil {
		return err
	}
	for _, r := range c.Clusters {
		if r.Running && r.RunID != "" && names(soaks, r.Name) {
			c.send(ClusterID(c.Instance, r.Name), signalVote, clusterWord{Word: word, Message: m})
		}
	}
	return nil
}

// clusterWord is a word that a campaign hands on to a cluster whose soak it names.
type clusterWord struct {
	Word    string          `json:"word"`
	Message rollout.Message `json:"message"`
}

// meant is the gate of the campaign that a word is for: the one that it waits at, or a later one that what was signed names.
func (c *campaign) meant(gates []string) (approval.Gate, error) {
	for _, g := range c.Gates {
		if g.Opened.IsZero() && slices.Contains(gates, g.ID) {
			return c.open(g)
		}
	}
	g, waits := c.Due()
	switch {
	case waits:
		return c.open(g)
	case len(gates) > 0:
		return approval.Gate{}, fmt.Errorf("it is for %s, and %s waits at no gate", strings.Join(gates[:min(len(gates), 5)], ", "), c.Instance)
	}
	if c.Change != nil && c.Change.Number == "" && c.Outcome == "" {
		return approval.Gate{}, errors.New(c.Instance + " has no change number yet, and nobody is asked to agree before; say it again when rollpatch status " + c.Instance + " shows one")
	}
	return approval.Gate{}, errors.New(c.Instance + " waits at no gate; a soak is approved with --cluster")
}

// open is a gate as people agree to it, unless its time is over.
func (c *campaign) open(g rollout.Gate) (approval.Gate, error) {
	if g.Expired {
		return approval.Gate{}, fmt.Errorf("gate %s %s; to have it wait once more: rollpatch resume %s", g.ID, g.Why, c.Instance)
	}
	return c.gateOf(g), nil
}

// soaksMeant stands for the soaks that a word names: what is the same at all of them. Who may agree to which one, its cluster knows.
func (c *campaign) soaksMeant(soaks []string, nonce string) (approval.Gate, error) {
	if slices.ContainsFunc(c.Ballots.Kept, func(b Ballot) bool { return b.Nonce == nonce && strings.HasPrefix(b.Gate, "soak/") }) {
		return approval.Gate{}, errors.New("it was said already, and handed on to the clusters that it names")
	}
	rule := c.Agreement.SoakRule()
	rule.Roles, rule.Approvers = nil, nil
	g := approval.Gate{Campaign: c.Name, Instance: c.Instance, Plan: c.Plan, Rule: rule, Requester: c.requester()}
	for _, r := range c.Clusters {
		if !names(soaks, r.Name) || r.Outcome != "" {
			continue
		}
		if g.ID == "" {
			g.ID = soaks[slices.IndexFunc(soaks, func(s string) bool { return names([]string{s}, r.Name) })]
		}
		g.Ripe = g.Ripe || r.Running && r.Phase == rollout.PhaseGate
	}
	if g.ID == "" {
		return g, errors.New("it is for " + strings.Join(soaks[:min(len(soaks), 5)], ", ") + ", and no such cluster of " + c.Instance + " has work left")
	}
	return g, nil
}

// names says that one of these gates is a soak of the cluster.
func names(soaks []string, cluster string) bool {
	return slices.ContainsFunc(soaks, func(g string) bool {
		number, ok := strings.CutPrefix(g, "soak/"+cluster+"/")
		return ok && !strings.Contains(number, "/")
	})
}

// handOn gives a cluster that begins the words that were said ahead for its soaks.
func (c *campaign) handOn(cluster string) {
	for _, b := range c.Ballots.Kept {
		if !strings.HasPrefix(b.Gate, "soak/") || !b.WhenPass {
			continue
		}
		if s, err := approval.Parse(b.Signed.Statement); err == nil && names(s.Gates, cluster) {
			m := rollout.Message{Actor: b.By.Name(), Reason: b.Reason, Statement: b.Signed.Statement, Signature: b.Signed.Signature}
			c.send(ClusterID(c.Instance, cluster), signalVote, clusterWord{Word: string(b.Decision), Message: m})
		}
	}
}
