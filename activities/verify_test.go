package activities

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// keys say of every signature what they were told to.
type keys struct {
	by  approval.Signer
	err error
}

func (k keys) Verify(context.Context, SignersFiles, approval.Signed, time.Time) (approval.Signer, error) {
	return k.by, k.err
}

// What came of a word is on the chain, refusals like votes, with the statement and the signature to check it by.
func TestVerify(t *testing.T) {
	now := intent("verify", "").Time
	gate := approval.Gate{ID: approval.GateSoak("web", 1), Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Rule: approval.Rule{Quorum: 1}, Requester: approval.Signer{Names: []string{"eve"}, Key: "SHA256:eve"}, Ripe: true}
	word := approval.Statement{
		Decision: approval.Approve, Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Gates: []string{gate.ID}, Reason: "fine", At: now, Expires: now.Add(time.Hour),
		Nonce: "0123456789abcdef",
	}
	request := word
	request.Decision, request.Gates = approval.Request, []string{approval.GateRun}
	ann := approval.Signer{Names: []string{"ann"}, Key: "SHA256:ann"}
	vote, err := gate.Admit(nil, word, ann, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, statement, signature string
		claimed                    string
		gate                       *approval.Gate
		votes                      []approval.Vote
		keys                       keys
		verdict                    rollout.Verdict
		cause                      approval.Cause
		recorded                   string
	}{
		{name: "a vote", statement: word.Text(), signature: "s", gate: &gate, keys: keys{by: ann}, verdict: rollout.Pass, recorded: "pass: ann with key SHA256:ann"},
		{name: "a request", statement: request.Text(), signature: "s", keys: keys{by: ann}, verdict: rollout.Pass, recorded: "pass: ann with key SHA256:ann"},
		{name: "an unknown key", statement: word.Text(), signature: "s", gate: &gate, keys: keys{by: approval.Signer{Key: "SHA256:x"}, err: &approval.Refusal{Cause: approval.CauseUnknownKey, Text: "nobody's"}},
			verdict: rollout.Fail, cause: approval.CauseUnknownKey, recorded: "refused, unknown key: nobody's (nobody with key SHA256:x)"},
		{name: "the requester's", statement: word.Text(), signature: "s", gate: &gate, keys: keys{by: gate.Requester}, verdict: rollout.Fail, cause: approval.CauseRequester, recorded: "refused, requester: eve asked"},
		{name: "a replay", statement: word.Text(), signature: "s", gate: &gate, votes: []approval.Vote{vote}, keys: keys{by: ann}, verdict: rollout.Fail, cause: approval.CauseReplayed, recorded: "refused, replayed"},
		{name: "unsigned", statement: word.Text(), claimed: "ann", gate: &gate, verdict: rollout.Fail, cause: approval.CauseUnsigned, recorded: "refused, unsigned"},
		{name: "no statement", statement: "yes", signature: "s", gate: &gate, keys: keys{by: ann}, verdict: rollout.Fail, cause: approval.CauseForm, recorded: "refused, form"},
		{name: "a vote for a request", statement: word.Text(), signature: "s", keys: keys{by: ann}, verdict: rollout.Fail, cause: approval.CauseGate, recorded: "refused, wrong gate"},
		{name: "nobody can tell", statement: word.Text(), signature: "s", gate: &gate, keys: keys{err: errors.New("no such file")}, verdict: rollout.Inconclusive, recorded: "inconclusive: no such file (signer unknown)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld()
			a := w.activities()
			a.Signers = row.keys
			in := VerifyInput{Signed: approval.Signed{Statement: row.statement, Signature: row.signature}, Claimed: row.claimed, Gate: row.gate, Votes: row.votes, Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Intent: intent("verify", "")}
			r, err := do(t, nil, a.Verify, in)
			if err != nil || r.Verdict != row.verdict || r.Cause != row.cause || (r.Vote.Nonce != "") != (row.verdict == rollout.Pass && row.gate != nil) {
				t.Errorf("Verify = %+v, %v", r, err)
			}
			if len(w.entries) != 2 || w.entries[1].Kind != audit.Outcome || !strings.HasPrefix(w.entries[1].Result, row.recorded) || r.Audit != w.entries[1].Head() {
				t.Errorf("on record: %+v, want %q", w.entries, row.recorded)
			}
		})
	}
}
