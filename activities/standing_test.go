package activities

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// asking are keys that note by which files they are asked for.
type asking struct {
	keys
	files *SignersFiles
}

func (k asking) Verify(ctx context.Context, files SignersFiles, s approval.Signed, at time.Time) (approval.Signer, error) {
	*k.files = files
	return k.keys.Verify(ctx, files, s, at)
}

// A standing approval is held against what the plan of the gate says, by the keys that this plan names, and what came of it is on record.
func TestVerifyStanding(t *testing.T) {
	now := intent("verify", "").Time
	w := newWorld()
	ctx := context.Background()
	keep := func(v any) string {
		t.Helper()
		d, err := w.Put(ctx, plan.Body(v))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	planOf := func(packages ...plan.Version) string {
		return keep(plan.Plan{
			Stages:    []plan.Stage{{Name: "production", Clusters: []plan.Cluster{{Name: "web", Part: keep(plan.Part{Planned: &plan.Planned{Platforms: []plan.Platform{{Packages: packages}}}})}}}},
			Agreement: plan.Agreement{Gates: []plan.Gate{{ID: "start"}}, Signers: &plan.Signers{Allowed: "/etc/keys"}},
		})
	}
	within, outside := planOf(plan.Version{Name: "libc6", Version: "2"}), planOf(plan.Version{Name: "libc6", Version: "2"}, plan.Version{Name: "linux-image-6.1", Version: "6"})
	ann := approval.Signer{Names: []string{"ann"}, Key: "SHA256:ann"}
	s := approval.Standing{
		Schedule: "monthly", Gates: []string{"start"}, Clusters: []string{"web"}, Packages: []string{"lib*"}, Reason: "our usual night", At: now, Expires: now.Add(30 * 24 * time.Hour), Nonce: "0123456789abcdef",
	}
	stage := s
	stage.Gates = []string{"stage/production"}
	for _, row := range []struct {
		name, plan string
		handed     *approval.Standing // in, at no gate
		keys       keys
		verdict    rollout.Verdict
		cause      approval.Cause
		recorded   string
	}{
		{name: "within", plan: within, keys: keys{by: ann}, verdict: rollout.Pass, recorded: "pass: ann with key SHA256:ann"},
		{name: "a package is outside", plan: outside, keys: keys{by: ann}, verdict: rollout.Fail, cause: approval.CauseLimits, recorded: "refused, not within: not within: linux-image-6.1 of cluster web"},
		{name: "an unknown key", plan: within, keys: keys{err: &approval.Refusal{Cause: approval.CauseUnknownKey, Text: "nobody's"}}, verdict: rollout.Fail, cause: approval.CauseUnknownKey, recorded: "refused, unknown key"},
		{name: "nobody can tell", plan: within, keys: keys{err: errors.New("permission denied")}, verdict: rollout.Inconclusive, recorded: "inconclusive: permission denied"},
		{name: "a plan that is not there", plan: "sha256:gone", keys: keys{by: ann}, verdict: rollout.Inconclusive, recorded: "inconclusive: body sha256:gone"},
		{name: "handed in", plan: within, handed: &s, keys: keys{by: ann}, verdict: rollout.Pass, recorded: "pass: ann"},
		{name: "handed in for a gate that there is not", plan: within, handed: &stage, keys: keys{by: ann}, verdict: rollout.Fail, cause: approval.CauseGate, recorded: "refused, wrong gate: the files of schedule monthly have no gate stage/production; they have: start"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.entries = nil
			a, asked := w.activities(), SignersFiles{}
			a.Signers = asking{row.keys, &asked}
			in := VerifyInput{Signed: approval.Signed{Statement: s.Text(), Signature: "s"}, Standing: true, Campaign: "monthly", Plan: row.plan, Intent: intent("verify", "")}
			if row.handed != nil {
				in.Statement = row.handed.Text()
			} else {
				in.Plan = ""
				in.Gate = &approval.Gate{ID: "start", Campaign: "monthly", Instance: "monthly-1", Plan: row.plan, Schedule: "monthly", Rule: approval.Rule{Quorum: 1}, Ripe: true, Requester: approval.Signer{Names: []string{"eve"}, Key: "SHA256:eve"}}
			}
			r, err := do(t, nil, a.Verify, in)
			if err != nil || r.Verdict != row.verdict || r.Cause != row.cause || (r.Vote.Standing != "") != (row.verdict == rollout.Pass && row.handed == nil) {
				t.Errorf("Verify = %+v, %v", r, err)
			}
			if len(w.entries) != 2 || !strings.HasPrefix(w.entries[1].Result, row.recorded) {
				t.Errorf("on record: %+v, want %q", w.entries, row.recorded)
			}
			if row.plan != "sha256:gone" && asked.Allowed != "/etc/keys" {
				t.Errorf("keys were asked for by %+v", asked)
			}
		})
	}
}
