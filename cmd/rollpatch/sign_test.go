package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/signed"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// agreeing adds to the campaign of a scene what its plan says of gates, and how they stand.
func agreeing(f frame, extra string) frame {
	const id = "campaign/" + sceneInstance
	e := f.Workflows[id]
	var state map[string]json.RawMessage
	for _, raw := range []string{string(e.JSON), extra} {
		if err := json.Unmarshal([]byte(raw), &state); err != nil {
			panic(err)
		}
	}
	e.JSON, _ = json.Marshal(state)
	f.Workflows[id] = e
	return f
}

const (
	soaksSigned = `{"agreement":{"soak":{"quorum":1}}}`
	startWaits  = `{"agreement":{"gates":[{"id":"start","rule":{"quorum":1}}]},"gates":[{"id":"start"}]}`
	stageWaits  = `{"agreement":{"gates":[{"id":"stage/production","rule":{"quorum":1}}]},"gates":[{"id":"stage/production","stage":1}]}`
)

// at is a person at a desk, and everything that came of what was typed there.
type at struct {
	t        *testing.T
	dir      string
	scene    []frame
	terminal bool
	typed    string   // when a passphrase is asked for
	environ  []string // besides HOME and USER
	sent     []map[string]json.RawMessage
	out, err string
}

func newDesk(t *testing.T, f frame) *at {
	return &at{t: t, dir: t.TempDir(), scene: []frame{f}}
}

func (a *at) types(args ...string) int {
	a.t.Helper()
	file := filepath.Join(a.dir, "sent.jsonl")
	_ = os.Remove(file)
	var out, errs bytes.Buffer
	d := &desk{
		in: strings.NewReader(""), out: &out, err: &errs, environ: append([]string{"HOME=" + a.dir, "USER=ann"}, a.environ...), now: func() time.Time { return sceneStart.Add(30 * time.Hour) },
		hostname: func() (string, error) { return "desk", nil }, username: func() string { return "nobody" }, getwd: os.Getwd, terminal: func(any) bool { return a.terminal },
		pause: func(context.Context, time.Duration) {}, newID: func() string { return "id-1" }, nonce: func() string { return "0123456789abcdef0123456789abcdef" },
		hidden: func(string) ([]byte, error) { return []byte(a.typed), nil },
		dial:   func(context.Context, *desk, settings) (server, error) { return &fake{Frames: a.scene, sent: file}, nil },
	}
	code := d.run(a.t.Context(), args)
	a.out, a.err, a.sent = out.String(), errs.String(), nil
	raw, _ := os.ReadFile(file)
	for line := range strings.Lines(string(raw)) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			a.t.Fatal(err)
		}
		a.sent = append(a.sent, m)
	}
	return code
}

// message is the only one that was sent, and to whom.
func (a *at) message() (to string, m rollout.Message) {
	a.t.Helper()
	if len(a.sent) != 1 {
		a.t.Fatalf("sent %v, want one message\nstderr:\n%s", a.sent, a.err)
	}
	if err := json.Unmarshal(a.sent[0]["message"], &m); err != nil {
		a.t.Fatal(err)
	}
	return strings.Trim(string(a.sent[0]["to"]), `"`), m
}

// says verifies a statement with the key of who should have signed it, and reads it.
func (a *at) says(word approval.Signed, by ssh.PublicKey) approval.Statement {
	a.t.Helper()
	file := filepath.Join(a.dir, "allowed_signers")
	if err := os.WriteFile(file, []byte("ann "+string(ssh.MarshalAuthorizedKey(by))), 0o600); err != nil {
		a.t.Fatal(err)
	}
	s, err := approval.Parse(word.Statement)
	if err != nil {
		a.t.Fatal(err)
	}
	if who, err := (signed.Files{Own: activities.SignersFiles{Allowed: file}}).Verify(context.Background(), activities.SignersFiles{}, word, s.At); err != nil || who.Name() != "ann" {
		a.t.Fatalf("signed by %v, %v", who, err)
	}
	return s
}

// newKey is a key as a file, behind a passphrase if there is one.
func newKey(t *testing.T, passphrase string) (path string, key *ed25519.PrivateKey, public ssh.PublicKey) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err = ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(crypto.PrivateKey(&private), "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(crypto.PrivateKey(&private), "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "id")
	for name, body := range map[string][]byte{path: pem.EncodeToMemory(block), path + ".pub": ssh.MarshalAuthorizedKey(public)} {
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path, &private, public
}

// agentWith serves an SSH agent with these keys, and returns its socket.
func agentWith(t *testing.T, keys ...any) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent") // short: a socket's path has about a hundred letters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn); conn.Close() }()
		}
	}()
	return "SSH_AUTH_SOCK=" + l.Addr().String()
}

func TestApproveSigned(t *testing.T) {
	path, private, public := newKey(t, "")
	locked, lockedKey, lockedPublic := newKey(t, "open sesame")
	_, stranger, _ := newKey(t, "")
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	bigPublic, err := ssh.NewPublicKey(&big.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name     string
		key      []string // flags
		environ  []string
		terminal bool
		typed    string
		by       ssh.PublicKey // nil: nothing is sent
		says     string        // on stderr
	}{
		{name: "a key's file", key: []string{"--key", path}, by: public, says: "this is signed with key " + ssh.FingerprintSHA256(public)},
		{name: "by the environment", environ: []string{"ROLLPATCH_KEY=" + path}, by: public},
		{name: "the agent's only key", environ: []string{agentWith(t, private)}, by: public, says: "  gate: soak/web/1\n"},
		{name: "an RSA key of the agent", environ: []string{agentWith(t, big)}, by: bigPublic},
		{name: "one of the agent's keys, by its public key", key: []string{"--key", path + ".pub"}, environ: []string{agentWith(t, stranger, private)}, by: public},
		{name: "several keys", environ: []string{agentWith(t, stranger, private)}, says: "the SSH agent has 2 keys: say which one signs with --key FILE"},
		{name: "an agent without keys", environ: []string{agentWith(t)}, says: "the SSH agent has no key to sign with"},
		{name: "an agent without that key", key: []string{"--key", path + ".pub"}, environ: []string{agentWith(t, stranger)}, says: "ssh-add " + path + "\n"},
		{name: "no agent", says: "SSH_AUTH_SOCK is not set"},
		{name: "an agent that is gone", environ: []string{"SSH_AUTH_SOCK=" + filepath.Join(t.TempDir(), "none")}, says: "no SSH agent to sign with: dial unix"},
		{name: "a passphrase", key: []string{"--key", locked}, terminal: true, typed: "open sesame", by: lockedPublic},
		{name: "a wrong passphrase", key: []string{"--key", locked}, terminal: true, typed: "open barley", says: "that is not its passphrase"},
		{name: "a passphrase, and nobody to ask", key: []string{"--key", locked}, says: "asked for on a terminal only"},
		{name: "a passphrase, and the agent has the key", key: []string{"--key", locked}, environ: []string{agentWith(t, stranger, lockedKey)}, by: lockedPublic},
		{name: "no file", key: []string{"--key", path + ".none"}, says: "no such file"},
		{name: "no key", key: []string{"--key", "testdata/monthly.yaml"}, says: "is no key that can sign"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := newDesk(t, agreeing(gated().frame(), soaksSigned))
			a.environ, a.terminal, a.typed = row.environ, row.terminal, row.typed
			code := a.types(append([]string{"approve", "monthly", "--reason", "no\ncomplaints"}, row.key...)...)
			if !strings.Contains(a.err, row.says) || strings.Contains(a.err+a.out, "open sesame") {
				t.Errorf("stderr:\n%s\nwant %q in it", a.err, row.says)
			}
			if row.by == nil {
				if code != exitUsage || len(a.sent) > 0 {
					t.Errorf("exit code %d, sent %v", code, a.sent)
				}
				return
			}
			to, m := a.message()
			if code != 0 || to != "cluster/"+sceneInstance+"/web" || m.Actor != "ann@desk" {
				t.Errorf("exit code %d, sent %+v to %s\nstderr:\n%s", code, m, to, a.err)
			}
			s := a.says(approval.Signed{Statement: m.Statement, Signature: m.Signature}, row.by)
			now := sceneStart.Add(30 * time.Hour)
			if s.Decision != approval.Approve || s.Instance != sceneInstance || s.Campaign != "monthly" || !strings.HasPrefix(s.Plan, "sha256:") || !slices.Equal(s.Gates, []string{"soak/web/1"}) ||
				s.Reason != "no complaints" || !s.At.Equal(now) || !s.Expires.Equal(now.Add(24*time.Hour)) || s.WhenPass {
				t.Errorf("signed: %+v", s)
			}
			for line := range strings.Lines(m.Statement) { // it was shown before
				if !strings.Contains(a.err, "  "+line) {
					t.Errorf("stderr:\n%s\nwant %q in it", a.err, line)
				}
			}
		})
	}
}

// When nobody asks for a signature, nobody needs a key; where one is asked for, only --unsigned does without.
func TestApproveUnsigned(t *testing.T) {
	_, private, _ := newKey(t, "")
	path, _, _ := newKey(t, "")
	plain := newDesk(t, gated().frame())
	plain.environ = []string{agentWith(t, private)}
	if code := plain.types("approve", "monthly", "--reason", "fine"); code != 0 {
		t.Fatalf("exit code %d: %s", code, plain.err)
	}
	if _, m := plain.message(); m.Statement != "" || m.Signature != "" || m.Soak != 1 {
		t.Errorf("sent %+v", m)
	}
	asked := newDesk(t, agreeing(gated().frame(), soaksSigned))
	asked.environ = []string{"ROLLPATCH_KEY=" + path}
	if code := asked.types("approve", "monthly", "--reason", "fine", "--unsigned"); code != 0 {
		t.Fatalf("exit code %d: %s", code, asked.err)
	}
	if _, m := asked.message(); m.Statement != "" {
		t.Errorf("sent %+v", m)
	}
	for _, args := range [][]string{
		{"--unsigned", "--key", path}, {"--expires", "soon"}, {"--expires", "10s"}, {"--stage", "production", "--cluster", "web"}, {"--statement", path}, {"--print-statement", "--unsigned"}, {"--stage", "productoin"},
		{"--stage", "production", "--unsigned"},
	} {
		if code := asked.types(append([]string{"approve", "monthly", "--reason", "fine"}, args...)...); code != exitUsage || len(asked.sent) > 0 {
			t.Errorf("%v: exit code %d, sent %v, stderr %s", args, code, asked.sent, asked.err)
		}
	}
}

// Where a decision goes, and for which gates.
func TestApproveWhere(t *testing.T) {
	path, _, public := newKey(t, "")
	both := func() frame { return agreeing(scenes["gates"]()[0], soaksSigned) }
	for _, row := range []struct {
		name  string
		scene frame
		args  []string
		to    string // what follows the instance
		gates []string
	}{
		{"the start that it waits for", agreeing(newStage().frame(), startWaits), nil, "", []string{"start"}},
		{"the stage that it waits for", agreeing(newStage().cacheDone().frame(), stageWaits), nil, "", []string{"stage/production"}},
		{"a stage to come", agreeing(newStage().begin("cache").frame(), stageWaits), []string{"--stage", "production", "--when-pass"}, "", []string{"stage/production", "soak/web/1"}},
		{"a soak, although a stage waits", agreeing(gated().frame(), stageWaits), []string{"--cluster", "web"}, "/web", []string{"soak/web/1"}},
		{"every soak of a stage", both(), []string{"--stage", "staging"}, "", []string{"soak/cache/1", "soak/web/1"}},
		{"one of them", both(), []string{"--cluster", "web"}, "/web", []string{"soak/web/1"}},
		{"a soak that goes on, of a stage", agreeing(scenes["soak"]()[0], soaksSigned), []string{"--stage", "production", "--when-pass"}, "", []string{"soak/web/1"}},
		{"a cluster that has not begun", agreeing(newStage().frame(), soaksSigned), []string{"--stage", "production", "--when-pass"}, "", []string{"soak/web/1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := newDesk(t, row.scene)
			if code := a.types(append([]string{"approve", "monthly", "--reason", "fine", "--key", path}, row.args...)...); code != 0 {
				t.Fatalf("exit code %d: %s", code, a.err)
			}
			kind := "campaign/"
			if row.to != "" {
				kind = "cluster/"
			}
			to, m := a.message()
			s := a.says(approval.Signed{Statement: m.Statement, Signature: m.Signature}, public)
			if to != kind+sceneInstance+row.to || !slices.Equal(s.Gates, row.gates) || s.WhenPass != slices.Contains(row.args, "--when-pass") || m.WhenPass != s.WhenPass {
				t.Errorf("to %s: %+v, want %s%s for %v", to, s, sceneInstance, row.to, row.gates)
			}
		})
	}
	a := newDesk(t, agreeing(scenes["soak"]()[0], soaksSigned))
	if code := a.types("approve", "monthly", "--stage", "production", "--reason", "fine", "--key", path); code != exitFailed || !strings.Contains(a.err, "nothing of stage production waits for approval") {
		t.Errorf("a soak that goes on, not ahead: exit code %d, %s", code, a.err)
	}
}

// What is printed can be signed elsewhere, by ssh-keygen itself, and sent.
func TestApproveSignedElsewhere(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("no ssh-keygen on this machine: ", err)
	}
	path, _, public := newKey(t, "")
	a := newDesk(t, agreeing(gated().frame(), soaksSigned))
	if code := a.types("reject", "monthly", "--reason", "slow pages", "--print-statement", "--expires", "2h"); code != 0 || len(a.sent) > 0 {
		t.Fatalf("exit code %d, sent %v: %s", code, a.sent, a.err)
	}
	file := filepath.Join(t.TempDir(), "statement")
	if err := os.WriteFile(file, []byte(a.out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(keygen, "-Y", "sign", "-n", approval.Namespace, "-f", path, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if code := a.types("reject", "monthly", "--statement", file, "--signature", file+".sig"); code != 0 {
		t.Fatalf("exit code %d: %s", code, a.err)
	}
	to, m := a.message()
	if s := a.says(approval.Signed{Statement: m.Statement, Signature: m.Signature}, public); to != "cluster/"+sceneInstance+"/web" || s.Decision != approval.Reject || m.Reason != "slow pages" || m.ID != "id-1" {
		t.Errorf("to %s: %+v, %+v", to, m, s)
	}
	for _, args := range [][]string{
		{"approve", "monthly", "--statement", file, "--signature", file + ".sig"},
		{"reject", "monthly", "--statement", file + ".sig", "--signature", file + ".sig"},
		{"reject", "monthly", "--statement", file, "--signature", file + ".none"},
		{"reject", "monthly", "--statement", file, "--signature", file + ".sig", "--reason", "another"},
	} {
		if code := a.types(args...); code != exitUsage || len(a.sent) > 0 {
			t.Errorf("%v: exit code %d, sent %v: %s", args, code, a.sent, a.err)
		}
	}
}

// What the docs tell an auditor to type works on an entry of the chain.
func TestCheckedByHand(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen on this machine: ", err)
	}
	path, _, public := newKey(t, "")
	a := newDesk(t, agreeing(gated().frame(), soaksSigned))
	if code := a.types("approve", "monthly", "--reason", "no complaints", "--key", path); code != 0 {
		t.Fatal(a.err)
	}
	_, m := a.message()
	dir := t.TempDir()
	for name, body := range map[string]string{
		"word":            "approve: " + approval.Signed{Statement: m.Statement, Signature: m.Signature}.Record(),
		"allowed_signers": "ann@example.org " + string(ssh.MarshalAuthorizedKey(public)), "revoked_keys": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, told, _ := strings.Cut(pageOf(t, "docs/approvals.md"), "> word\n")
	told, _, _ = strings.Cut(told, "```")
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(told, "$ ", "")), "\n")
	if len(lines) != 3 {
		t.Fatalf("the docs tell %q", lines)
	}
	check := exec.Command("sh", "-ec", strings.Join(lines, "\n"))
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), "Good") {
		t.Errorf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "statement")); err != nil || string(got) != m.Statement {
		t.Errorf("the statement by hand, %v:\n%s", err, got)
	}
}

func TestRunSigned(t *testing.T) {
	path, _, public := newKey(t, "")
	a := newDesk(t, scenes["none"]()[0])
	files := func(more ...string) []string {
		return append([]string{"run", "--detach", "-i", "testdata/inventory.yaml", "testdata/monthly.yaml"}, more...)
	}
	if code := a.types(files("--key", path)...); code != 0 || len(a.sent) != 1 {
		t.Fatalf("exit code %d, sent %v: %s", code, a.sent, a.err)
	}
	var word approval.Signed
	if err := json.Unmarshal(a.sent[0]["request"], &word); err != nil {
		t.Fatal(err)
	}
	s := a.says(word, public)
	start := fmt.Sprintf("%q", "campaign/"+s.Instance)
	if s.Decision != approval.Request || !slices.Equal(s.Gates, []string{"run"}) || string(a.sent[0]["start"]) != start || fmt.Sprintf("%q", s.Plan) != string(a.sent[0]["plan"]) || s.Reason != "November security updates" {
		t.Errorf("signed %+v, started %s", s, a.sent[0]["start"])
	}
	if code := a.types(files()...); code != 0 || a.sent[0]["request"] != nil {
		t.Errorf("without a key: exit code %d, sent %v", code, a.sent)
	}
}
