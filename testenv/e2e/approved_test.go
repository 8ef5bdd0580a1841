package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rollpatch/rollpatch/activities/auditlog"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// people are identities made for one test: a key each, by name.
type people struct {
	*scene
	dir string
}

// identities makes keys as people make theirs, and the files by which workers know whose they are: mallory's is in none, carl's is revoked.
func (s *scene) identities() people {
	s.Helper()
	p := people{s, s.TempDir()}
	var allowed strings.Builder
	for _, name := range []string{"ann", "ben", "carl", "rita", "mallory"} {
		p.keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", p.file(name))
		public, err := os.ReadFile(p.file(name + ".pub"))
		s.must(err)
		if name != "mallory" {
			fmt.Fprintf(&allowed, "%s@example.org namespaces=%q %s", name, approval.Namespace, public)
		}
		if name == "carl" {
			s.must(os.WriteFile(p.file("revoked_keys"), public, 0o600))
		}
	}
	s.must(os.WriteFile(p.file("allowed_signers"), []byte(allowed.String()), 0o600))
	return p
}

func (p people) file(name string) string { return filepath.Join(p.dir, name) }

func (p people) keygen(args ...string) {
	p.Helper()
	if out, err := exec.CommandContext(p.ctx, "ssh-keygen", args...).CombinedOutput(); err != nil {
		p.Fatalf("ssh-keygen %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// statement is what rollpatch would have somebody sign.
func (p people) statement(args ...string) string {
	p.Helper()
	text, _ := p.cli(0, append(append([]string{"approve"}, args...), "--reason", "the test says so", "--print-statement")...)
	return text
}

// word is a statement and the signature over it, in files.
type word struct{ statement, signature string }

// signs has somebody sign a statement with OpenSSH's own tool.
func (p people) signs(name, text string) word {
	p.Helper()
	f, err := os.CreateTemp(p.dir, name+"-*")
	p.must(err)
	_, err = f.WriteString(text)
	p.must(err)
	p.must(f.Close())
	p.keygen("-q", "-Y", "sign", "-n", approval.Namespace, "-f", p.file(name), f.Name())
	return word{f.Name(), f.Name() + ".sig"}
}

// refused sends a word that must not count, and checks that it is answered with the reason, and that the refusal is on the audit chain.
func (p people) refused(instance string, w word, cause approval.Cause, says string) {
	p.Helper()
	before := p.refusals(instance, cause)
	r, err := p.Rollpatch(p.ctx, nil, "approve", instance, "--statement", w.statement, "--signature", w.signature)
	p.must(err)
	if r.Code != 1 || !strings.Contains(r.Stderr, says) {
		p.Errorf("%s: approve exited %d, want 1 and %q\n%s%s", cause, r.Code, says, r.Stdout, r.Stderr)
	}
	p.recorded(instance, cause, before)
}

// recorded checks that one more refusal is on record.
func (p people) recorded(instance string, cause approval.Cause, before int) {
	p.Helper()
	if n := p.refusals(instance, cause) - before; n != 1 {
		p.Errorf("%s: %d refusals are on the audit chain, want one", cause, n)
	}
}

// refusals counts those on the audit chains of an instance.
func (s *scene) refusals(instance string, cause approval.Cause) (n int) {
	s.Helper()
	entries, err := auditlog.Read(s.Daemon.AuditFile())
	s.must(err)
	for _, e := range entries {
		if e.Kind == audit.Outcome && e.Action == "verify" && strings.Contains(e.Chain, instance) && strings.HasPrefix(e.Result, "refused, "+string(cause)+": ") {
			n++
		}
	}
	return n
}

// vouched counts the words at a gate, counted or refused, of which the audit trail of an instance alone proves with OpenSSH's own tool that
// somebody's good key signed them: as anybody can tell who has the trail and the files of keys.
func (p people) vouched(instance, name, gate string) (n int) {
	p.Helper()
	entries, err := auditlog.Read(p.Daemon.AuditFile())
	p.must(err)
	for _, e := range entries {
		from, sig := strings.Index(e.Detail, "rollpatch approval 1\n"), strings.Index(e.Detail, "-----BEGIN SSH SIGNATURE-----")
		if e.Kind != audit.Intent || e.Action != "verify" || !strings.Contains(e.Chain, instance) || from < 0 || sig < from || !strings.Contains(e.Detail, gate) {
			continue
		}
		file := p.file("signature")
		p.must(os.WriteFile(file, []byte(e.Detail[sig:]), 0o600))
		verify := exec.CommandContext(p.ctx, "ssh-keygen", "-Y", "verify", "-f", p.file("allowed_signers"), "-r", p.file("revoked_keys"), "-I", name+"@example.org", "-n", approval.Namespace, "-s", file)
		verify.Stdin = strings.NewReader(e.Detail[from:sig])
		if verify.Run() == nil {
			n++
		}
	}
	return n
}

// shut checks that the gate of a stage still waits, with nothing done behind it.
func (s *scene) shut(instance, gate string, logs map[string]string) {
	s.Helper()
	var c workflows.CampaignState
	s.must(s.query(workflows.CampaignID(instance), &c))
	if g, waits := c.Awaits(); !waits || g.ID != gate {
		s.Errorf("%s waits at %q, want %s", instance, g.ID, gate)
	}
	s.untouched(logs)
}

var (
	atLine      = regexp.MustCompile(`(?m)^at: .*$`)
	expiresLine = regexp.MustCompile(`(?m)^expires: .*$`)
	planLine    = regexp.MustCompile(`(?m)^plan: .*$`)
)

// TestChangeApproved: staging goes on by itself; production begins, and goes on from its canary to the peers, by the signatures of two people and
// nothing else. What must not count is answered with the reason, and is on record.
func TestChangeApproved(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	p := s.identities()
	text := fmt.Sprintf(`name: %s
reason: November security updates
unattended: true
stages:
  - {name: staging, clusters: [cache]}
  - {name: production, clusters: [web], gate: {roles: [manager]}}
gates:
  soak: {quorum: 2}
clusters: {cache: {soak_approval: false}}
approvers:
  - {principal: ann@example.org, roles: [manager]}
  - {principal: ben@example.org, roles: [peer]}
  - {principal: carl@example.org, roles: [manager]}
  - {principal: rita@example.org, roles: [manager]}
signers: {allowed: %q, revoked: %q}
%s`, s.name(), p.file("allowed_signers"), p.file("revoked_keys"), policy)
	file, err := s.Write(s.name()+".yaml", text)
	s.must(err)
	logs := s.logs(web...)
	out, _ := s.cli(0, "run", "--detach", "-i", s.InventoryFile(), "--key", p.file("rita"), file)
	instance := strings.TrimSpace(out)

	const gate = "stage/production"
	s.eventually("the gate of the second stage", func() error {
		var c workflows.CampaignState
		if err := s.query(workflows.CampaignID(instance), &c); err != nil {
			return err
		}
		if g, waits := c.Awaits(); !waits || g.ID != gate {
			return fmt.Errorf("%s, and it waits at %q", c.Reason, g.ID)
		}
		return nil
	})
	if st := s.status(instance); st.Stages[0].Clusters[0].State != "done" {
		t.Errorf("the stage before it is %+v, want done", st.Stages[0])
	}
	plain := p.statement(instance, "--stage", "production")
	over := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
	past := expiresLine.ReplaceAllString(atLine.ReplaceAllString(plain, "at: "+time.Now().UTC().Add(-2*time.Hour).Format(time.RFC3339)), "expires: "+over)
	p.refused(instance, p.signs("rita", plain), approval.CauseRequester, "rita@example.org asked for this instance: somebody else has to decide")
	p.refused(instance, p.signs("ann", past), approval.CauseExpired, "it expired at "+over)
	p.refused(instance, p.signs("ann", planLine.ReplaceAllString(plain, "plan: sha256:"+strings.Repeat("0", 64))), approval.CausePlan, "it is for plan sha256:000")
	p.refused(instance, p.signs("mallory", plain), approval.CauseUnknownKey, "is not in "+p.file("allowed_signers"))
	p.refused(instance, p.signs("carl", plain), approval.CauseRevokedKey, "of carl@example.org is revoked ("+p.file("revoked_keys")+":1)")
	p.refused(instance, p.signs("ben", plain), approval.CauseRole, "wants a manager")
	s.shut(instance, gate, logs)

	// The first of the two: for the stage, and ahead for the soak in it.
	ann := p.signs("ann", p.statement(instance, "--stage", "production", "--when-pass"))
	s.cli(0, "approve", instance, "--statement", ann.statement, "--signature", ann.signature)
	s.gate(instance)
	peers := s.logs("web-2", "web-3")
	s.at("1.1", "web-1")

	own := p.statement(instance, "--cluster", "web")
	if !strings.Contains(own, "\ngate: soak/web/1\n") {
		t.Fatalf("what is signed for the soak is\n%s", own)
	}
	// Clusters as small as these soak once. The numbers are compared, whichever they are.
	p.refused(instance, p.signs("ben", strings.Replace(own, "soak/web/1", "soak/web/0", 1)), approval.CauseSoak, `it is for soak 0 of cluster "web", and soak 1 waits`)
	p.refused(instance, p.signs("rita", own), approval.CauseRequester, "rita@example.org asked for this instance")
	before := s.refusals(instance, approval.CauseReplayed)
	if err := p.replay(instance, ann); err == nil || !strings.Contains(err.Error(), "its nonce was used at this gate already: ann@example.org said approve") {
		t.Errorf("what ann signed, sent to the cluster once more: %v", err)
	}
	p.recorded(instance, approval.CauseReplayed, before)
	s.gate(instance)
	s.untouched(peers)

	s.cli(0, "approve", instance, "--cluster", "web", "--key", p.file("ben"), "--reason", "pages are fine")
	if st := s.ends(instance); st.State != "done" {
		t.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.at("1.1", web...)
	s.safe()
	s.chained()
	for name, at := range map[string]string{"ann": gate, "ben": "soak/web/1"} {
		if p.vouched(instance, name, at) == 0 {
			t.Errorf("the audit trail proves no word of %s at %s", name, at)
		}
	}
	for _, name := range []string{"carl", "mallory"} {
		if n := p.vouched(instance, name, gate); n > 0 {
			t.Errorf("the audit trail proves %d words of %s, whose key is no good", n, name)
		}
	}
	var c workflows.ClusterState
	s.must(s.query(workflows.ClusterID(instance, "web"), &c))
	var by []string
	for _, a := range c.Approvals {
		by = append(by, fmt.Sprintf("%s claimed=%t", a.Actor, a.Claimed))
	}
	if got := strings.Join(by, ", "); got != "ann@example.org claimed=false, ben@example.org claimed=false" {
		t.Errorf("the soak was agreed to by %q", got)
	}
}

// replay sends a word to the cluster itself, past the CLI, as anybody can who reached Temporal and read it there.
func (p people) replay(instance string, w word) error {
	p.Helper()
	m := rollout.Message{ID: "replayed", Actor: "ann@example.org", Reason: "the test says so"}
	for path, into := range map[string]*string{w.statement: &m.Statement, w.signature: &m.Signature} {
		raw, err := os.ReadFile(path)
		p.must(err)
		*into = string(raw)
	}
	h, err := p.temporal.UpdateWorkflow(p.ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflows.ClusterID(instance, "web"), UpdateName: workflows.UpdateApprove, Args: []any{m}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return h.Get(p.ctx, nil)
}
