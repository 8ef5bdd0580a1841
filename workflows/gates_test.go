package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// keyring stands for the file of keys: a signature is the name of who made it.
type keyring struct {
	mu      sync.Mutex
	known   []string
	revoked map[string]bool
	silent  bool // the file cannot be read
	asked   int
}

func (k *keyring) Verify(_ context.Context, _ activities.SignersFiles, s approval.Signed, _ time.Time) (approval.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	switch by := (approval.Signer{Key: "SHA256:" + s.Signature}); {
	case k.silent:
		return approval.Signer{}, errors.New("allowed_signers: permission denied")
	case k.revoked[s.Signature]:
		return by, &approval.Refusal{Cause: approval.CauseRevokedKey, Text: "key SHA256:" + s.Signature + " is revoked"}
	default:
		for _, name := range k.known {
			if name == s.Signature {
				by.Names = []string{name}
				return by, nil
			}
		}
		return by, &approval.Refusal{Cause: approval.CauseUnknownKey, Text: "nobody is known to have key " + by.Key}
	}
}

func (k *keyring) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// chain is where activities write.
type chain struct{ w *world }

func (c chain) Append(_ context.Context, e audit.Entry) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.entries = append(c.w.entries, e)
	return nil
}

// gatedWorld is one in which people who are known agree, and ann asked for the instance with a signature.
func gatedWorld(members ...string) *world {
	w := attended(members...)
	w.policy.SoakApproval = true
	w.keys.known, w.keys.revoked = []string{"ann", "bob", "carol", "dave"}, map[string]bool{"dave": true}
	s := statement(approval.Request, approval.GateRun)
	w.request = &approval.Signed{Statement: s.Text(), Signature: "ann"}
	return w
}

// nonces makes every statement another one.
var nonces struct {
	sync.Mutex
	last int
}

// testStart is before the clock of the test environment, and testEnd after all.
var (
	testStart = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	testEnd   = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
)

func statement(d approval.Decision, gates ...string) approval.Statement {
	nonces.Lock()
	defer nonces.Unlock()
	nonces.last++
	return approval.Statement{
		Decision: d, Campaign: "monthly", Instance: instance, Plan: "sha256:plan", Gates: gates, Reason: "looks fine",
		At: testStart.Add(time.Duration(nonces.last) * time.Second), Expires: testEnd, Nonce: fmt.Sprintf("nonce-%016d", nonces.last),
	}
}

// by is a statement as somebody sends it with a signature.
func by(who string, s approval.Statement) rollout.Message {
	return rollout.Message{Actor: who, Reason: s.Reason, Statement: s.Text(), Signature: who}
}

// vote sends a word at a gate, and holds what is answered: "" is taken.
func vote(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration, id, word string, m rollout.Message, refused string) {
	answered := false
	t.Cleanup(func() {
		if !answered {
			t.Errorf("after %s, %s by %s was not answered: the campaign was over", at, word, m.Actor)
		}
	})
	env.RegisterDelayedCallback(func() {
		answer := func(err error) {
			answered = true
			switch {
			case err == nil && refused != "":
				t.Errorf("after %s, %s by %s was taken; want it refused: %s", at, word, m.Actor, refused)
			case err != nil && refused == "":
				t.Errorf("after %s, %s by %s was refused: %v", at, word, m.Actor, err)
			case err != nil && !strings.Contains(err.Error(), refused):
				t.Errorf("after %s, %s by %s was refused: %v\nwant: %s", at, word, m.Actor, err, refused)
			}
		}
		err := env.UpdateWorkflowByID(id, word, fmt.Sprint(word, at, m.Actor), &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: answer, OnComplete: func(_ any, err error) { answer(err) },
		}, m)
		if err != nil {
			t.Error(err)
		}
	}, at)
}

func (w *world) before(t *testing.T, env *testsuite.TestWorkflowEnvironment, at time.Duration, never string) {
	env.RegisterDelayedCallback(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if all := strings.Join(w.calls, "\n"); strings.Contains(all, never) {
			t.Errorf("after %s there was a %s:\n%s", at, never, all)
		}
	}, at)
}

// recorded counts the entries on the chains that say something.
func (w *world) recorded(what string) int {
	n := 0
	for _, e := range w.entries {
		if strings.Contains(e.Result, what) {
			n++
		}
	}
	return n
}

func (w *world) toldOf(event string) []string {
	var out []string
	for _, n := range w.notices {
		if n.Event == event {
			out = append(out, n.Text+" => "+n.Next)
		}
	}
	return out
}

var (
	ofCampaign = workflows.CampaignID(instance)
	two        = approval.Rule{Quorum: 2}
)

func TestNothingBeginsBeforeItsGate(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.policy.SoakApproval = false
	w.hosts = map[string][]string{"cache": {"cache-1", "cache-2"}}
	w.more = []rollout.Ref{{Name: "cache", Part: "part:cache", Stage: 1, Total: 2}}
	w.rules = func(c *rollout.Campaign) { c.Stages = []string{"staging", "production"} }
	w.agreement.Gates = []plan.Gate{{ID: "start", Rule: two}, {ID: "stage/production", Stage: 1, Rule: approval.Rule{Quorum: 1}}}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", statement(approval.Approve, "start")), "")
		env.RegisterDelayedCallback(func() {
			if page := details(t, env, ofCampaign); !strings.Contains(page, "waits at gate start for people to agree") || !strings.Contains(page, "waits for 1 more person; agreed: bob") {
				t.Errorf("the campaign's page says\n%s", page)
			}
		}, 2*time.Hour)
		vote(t, env, 3*time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", statement(approval.Approve, "start")), "")
		w.before(t, env, 4*time.Hour, "claim")
		vote(t, env, 5*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "")
		w.before(t, env, 90*time.Hour, "cache-1")
		vote(t, env, 91*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "stage/production")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
	var agreed []string
	for _, a := range st.Approvals {
		agreed = append(agreed, a.Gate+" "+a.Actor)
	}
	if got := strings.Join(agreed, ", "); got != "start bob, start carol, stage/production carol" {
		t.Errorf("on record: %s", got)
	}
	if st.Requester != "ann" || !st.Asker.Signed() {
		t.Errorf("it was asked for by %q, %+v; want ann, proven", st.Requester, st.Asker)
	}
	told := w.toldOf(rollout.TellGate)
	if len(told) != 2 || !strings.Contains(told[0], "gate start of "+instance+" waits for approval: waits for 2 people; it must be signed, with --key or the SSH agent => rollpatch approve "+instance+` --reason "..." --key FILE`) {
		t.Errorf("told %q, want each gate once with the command to type", told)
	}
}

// Each word that does not count is answered with its reason, and is on record.
func TestWordsThatDoNotCount(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.agreement.Soak = &two
	taken := by("bob", statement(approval.Approve, "soak/web/1"))
	with := func(change func(*approval.Statement)) approval.Statement {
		s := statement(approval.Approve, "soak/web/1")
		change(&s)
		return s
	}
	rows := []struct {
		m       rollout.Message
		refused string
	}{
		{by("ann", statement(approval.Approve, "soak/web/1")), "ann asked for this instance"},
		{by("bob", with(func(s *approval.Statement) { s.Expires = testStart.Add(time.Hour) })), "it expired at"},
		{by("bob", with(func(s *approval.Statement) { s.Plan = "sha256:another" })), "it is for plan sha256:another"},
		{by("bob", with(func(s *approval.Statement) { s.Instance = "monthly-20261001T020000Z" })), "it is for instance"},
		{by("bob", statement(approval.Approve, "soak/web/7")), "it is for soak 7 of cluster \"web\", and soak 1 waits"},
		{by("bob", statement(approval.Approve, "soak/db/1")), "it is for soak/db/1"},
		{by("mallory", statement(approval.Approve, "soak/web/1")), "nobody is known to have key"},
		{by("dave", statement(approval.Approve, "soak/web/1")), "is revoked"},
		{taken, "its nonce was used at this gate already"},
		{rollout.Message{Actor: "carol", Reason: "fine"}, "nobody signed it"},
		{by("bob", statement(approval.Reject, "soak/web/1")), "what was signed says reject, and not approve"},
		{rollout.Message{Actor: "carol", Reason: "fine", Statement: "I agree\n", Signature: "carol"}, "it begins with"},
	}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, 20*time.Hour, web, workflows.UpdateApprove, by("bob", statement(approval.Approve, "soak/web/1")), "there is nothing to approve yet")
		vote(t, env, 30*time.Hour, web, workflows.UpdateApprove, taken, "")
		for i, row := range rows {
			vote(t, env, 31*time.Hour+time.Duration(i)*time.Minute, web, workflows.UpdateApprove, row.m, row.refused)
		}
		w.before(t, env, 40*time.Hour, "patch web-2")
		vote(t, env, 41*time.Hour, web, workflows.UpdateApprove, by("carol", statement(approval.Approve, "soak/web/1")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
	for _, row := range rows {
		if w.recorded(row.refused) == 0 {
			t.Errorf("that %q is on no chain", row.refused)
		}
	}
	if _, err := audit.Verify(st.Audit, w.entries); err != nil {
		t.Error(err)
	}
}

func TestAGateThatExpiresNeverOpens(t *testing.T) {
	for _, row := range []struct {
		name string
		rule approval.Rule
		want rollout.CampaignOutcome
	}{
		{"it holds, and a person has it wait once more", approval.Rule{Quorum: 2, Expiry: 48 * time.Hour}, rollout.CampaignDone},
		{"it aborts", approval.Rule{Quorum: 2, Expiry: 48 * time.Hour, OnExpiry: approval.ExpiryAborts}, rollout.CampaignAborted},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := gatedWorld("web-1", "web-2")
			w.policy.SoakApproval = false
			w.agreement.Gates = []plan.Gate{{ID: "start", Rule: row.rule}}
			st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
				vote(t, env, time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", statement(approval.Approve, "start")), "")
				w.before(t, env, 59*time.Hour, "claim")
				if row.want == rollout.CampaignAborted {
					return
				}
				vote(t, env, 60*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "rollpatch resume "+instance)
				say(t, env, 61*time.Hour, ofCampaign, workflows.UpdateResume, rollout.Message{}, true)
				vote(t, env, 62*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "")
			})
			if st.Outcome != row.want || (err == nil) != (row.want == rollout.CampaignDone) {
				t.Fatalf("campaign ended %q: %s, %v; want %s", st.Outcome, st.Reason, err, row.want)
			}
			if warned := strings.Count(strings.Join(w.toldOf(rollout.TellGate), "\n"), "expires at"); warned != 1 {
				t.Errorf("people were told %d times that it expires: %q", warned, w.toldOf(rollout.TellGate))
			}
			if row.want == rollout.CampaignAborted {
				if !strings.Contains(st.Reason, "gate start expired at") || !strings.Contains(st.Reason, "1 more person") {
					t.Errorf("its reason is %q", st.Reason)
				}
			} else if !strings.Contains(w.holds(), "gate start expired at") {
				t.Errorf("told %s", w.holds())
			}
		})
	}
}

func TestASoakThatExpiresHolds(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.agreement.Soak = &approval.Rule{Quorum: 1, Expiry: 24 * time.Hour}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		w.before(t, env, 100*time.Hour, "patch web-2")
		vote(t, env, 100*time.Hour, web, workflows.UpdateApprove, by("bob", statement(approval.Approve, "soak/web/1")), "to have it wait once more: rollpatch resume "+instance+" --cluster web")
		say(t, env, 101*time.Hour, web, workflows.UpdateResume, rollout.Message{}, true)
		w.before(t, env, 105*time.Hour, "patch web-2")
		vote(t, env, 105*time.Hour, web, workflows.UpdateApprove, by("bob", statement(approval.Approve, "soak/web/1")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
	if !strings.Contains(w.holds(), "gate soak/web/1 expired at") {
		t.Errorf("told %s", w.holds())
	}
}

func TestAWordAheadCountsOnlyWithoutAFinding(t *testing.T) {
	ahead := func() approval.Statement {
		s := statement(approval.Approve, "soak/web/1")
		s.WhenPass = true
		return s
	}
	w := gatedWorld("web-1", "web-2")
	w.agreement.Soak = &approval.Rule{Quorum: 1}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, 2*time.Hour, web, workflows.UpdateApprove, by("bob", ahead()), "")
		w.before(t, env, 24*time.Hour, "patch web-2")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done by the word ahead", st.Outcome, st.Reason, err)
	}

	w = gatedWorld("web-1", "web-2")
	w.agreement.Soak = &approval.Rule{Quorum: 1}
	st, err = w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, 2*time.Hour, web, workflows.UpdateApprove, by("bob", ahead()), "")
		say(t, env, 3*time.Hour, web, workflows.UpdateExtend, rollout.Message{For: "2h"}, true) // somebody has doubts
		w.before(t, env, 50*time.Hour, "patch web-2")
		vote(t, env, 51*time.Hour, web, workflows.UpdateApprove, by("bob", statement(approval.Approve, "soak/web/1")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
}

// What was said before somebody had doubts is not what people agree to now.
func TestALongerSoakIsAgreedToAnew(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.agreement.Soak = &two
	agree := func() approval.Statement { return statement(approval.Approve, "soak/web/1") }
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, 30*time.Hour, web, workflows.UpdateApprove, by("bob", agree()), "")
		say(t, env, 31*time.Hour, web, workflows.UpdateExtend, rollout.Message{For: "2h"}, true)
		vote(t, env, 40*time.Hour, web, workflows.UpdateApprove, by("carol", agree()), "")
		w.before(t, env, 50*time.Hour, "patch web-2")
		vote(t, env, 51*time.Hour, web, workflows.UpdateApprove, by("bob", agree()), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
}

func TestASoakIsRejectedByWhoMay(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.agreement.Soak = &approval.Rule{Quorum: 1}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, 2*time.Hour, web, workflows.UpdateReject, rollout.Message{Actor: "eve", Reason: "no"}, "nobody signed it")
		vote(t, env, 3*time.Hour, web, workflows.UpdateReject, by("bob", statement(approval.Reject, "soak/web/1")), "")
	})
	if !halted(err) || !strings.Contains(st.Reason, "reject by bob: looks fine") || w.count["backout web-1"] != 1 {
		t.Fatalf("campaign ended %q: %s, %v, after %q", st.Outcome, st.Reason, err, w.calls)
	}
}

func TestAKeyThatIsRevokedMeanwhileOpensNothing(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.policy.SoakApproval = false
	w.agreement.Gates = []plan.Gate{{ID: "start", Rule: two}}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", statement(approval.Approve, "start")), "")
		env.RegisterDelayedCallback(func() { w.keys.set(func() { w.keys.revoked["bob"] = true }) }, 2*time.Hour)
		vote(t, env, 3*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "")
		w.before(t, env, 10*time.Hour, "claim")
		env.RegisterDelayedCallback(func() {
			if page := details(t, env, ofCampaign); !strings.Contains(page, "what bob said counts no more: key SHA256:bob is revoked") {
				t.Errorf("the campaign's page says\n%s", page)
			}
			w.keys.set(func() { w.keys.revoked["dave"] = false })
		}, 10*time.Hour)
		vote(t, env, 11*time.Hour, ofCampaign, workflows.UpdateApprove, by("dave", statement(approval.Approve, "start")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
}

// Keys that cannot be looked at keep a gate shut; it opens by itself when they can.
func TestKeysThatCannotBeLookedAtOpenNothing(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.policy.SoakApproval = false
	w.agreement.Gates = []plan.Gate{{ID: "start", Rule: two}}
	silent := func(is bool) func() { return func() { w.keys.set(func() { w.keys.silent = is }) } }
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", statement(approval.Approve, "start")), "")
		env.RegisterDelayedCallback(silent(true), 2*time.Hour)
		vote(t, env, 3*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "nobody can tell who signed it")
		env.RegisterDelayedCallback(func() {
			w.keys.set(func() { w.keys.silent, w.keys.asked = false, -1 })
		}, 4*time.Hour)
		vote(t, env, 5*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "start")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
}

// One signature is for many clusters, also for those that have not begun.
func TestOneWordForManyClusters(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.hosts = map[string][]string{"db": {"db-1", "db-2"}}
	w.more = []rollout.Ref{{Name: "db", Part: "part:db", Total: 2}}
	w.rules = func(c *rollout.Campaign) { c.Parallel = 1 }
	w.agreement.Soak = &approval.Rule{Quorum: 1}
	s := statement(approval.Approve, "soak/web/1", "soak/db/1")
	s.WhenPass = true
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, 2*time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", s), "")
		vote(t, env, 3*time.Hour, ofCampaign, workflows.UpdateApprove, by("bob", s), "said already")
		vote(t, env, 4*time.Hour, ofCampaign, workflows.UpdateApprove, by("carol", statement(approval.Approve, "soak/web/1", "soak/db/1")), "there is nothing to approve yet")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
}

// One signature is for a stage and, ahead, for the soaks in it, which begin when its gate is open.
func TestOneWordForAStageAndItsSoaks(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.rules = func(c *rollout.Campaign) { c.Stages = []string{"production"} }
	w.agreement.Gates = []plan.Gate{{ID: "stage/production", Rule: approval.Rule{Quorum: 1}}}
	w.agreement.Soak = &two
	s := statement(approval.Approve, "stage/production", "soak/web/1")
	s.WhenPass = true
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		m := by("bob", s)
		m.ID = "once" // as the CLI sends it
		vote(t, env, time.Hour, ofCampaign, workflows.UpdateApprove, m, "")
		m.ID = "once more"
		vote(t, env, 2*time.Hour, web, workflows.UpdateApprove, m, "its nonce was used at this gate already")
		vote(t, env, 40*time.Hour, web, workflows.UpdateApprove, by("carol", statement(approval.Approve, "soak/web/1")), "")
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q: %s, %v; want done", st.Outcome, st.Reason, err)
	}
}

func TestARequestThatDoesNotCountStartsNothing(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.request.Signature = "mallory"
	st, err := w.campaign(t, nil)
	if !halted(err) || st.Outcome != rollout.CampaignAborted || !strings.Contains(st.Reason, "not started: the request to run is refused: nobody is known to have key") || len(w.calls) > 0 {
		t.Fatalf("campaign ended %q: %s, %v, after %q", st.Outcome, st.Reason, err, w.calls)
	}
}

func TestAGateIsRejected(t *testing.T) {
	w := gatedWorld("web-1", "web-2")
	w.agreement.Gates = []plan.Gate{{ID: "start", Rule: approval.Rule{Quorum: 1, Unsigned: true}}}
	st, err := w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		vote(t, env, time.Hour, ofCampaign, workflows.UpdateReject, rollout.Message{Actor: "eve", Reason: "not this week"}, "")
	})
	if !halted(err) || st.Outcome != rollout.CampaignAborted || st.Reason != "gate start was rejected by eve (claimed): not this week" || len(w.calls) > 0 {
		t.Fatalf("campaign ended %q: %s, %v", st.Outcome, st.Reason, err)
	}
}
