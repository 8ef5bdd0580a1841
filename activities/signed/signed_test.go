package signed_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
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
)

var at = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

func statement() string {
	return approval.Statement{
		Decision: approval.Approve, Campaign: "monthly", Instance: "monthly-20261122T090000Z", Plan: "sha256:1234", Gates: []string{approval.GateSoak("web", 1)},
		Reason: "looks good", At: at, Expires: at.Add(24 * time.Hour), Nonce: "0123456789abcdef0123456789abcdef",
	}.Text()
}

// identity is a key of its own, also as files that ssh-keygen reads.
type identity struct {
	private crypto.PrivateKey
	signer  ssh.Signer
	file    string
}

func newIdentity(t *testing.T, private crypto.PrivateKey, err error) identity {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	write(t, path, string(pem.EncodeToMemory(block)))
	write(t, path+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return identity{private, signer, path}
}

func ed(t *testing.T) identity {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return newIdentity(t, &key, err)
}

func (id identity) public() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(id.signer.PublicKey())))
}

func (id identity) fingerprint() string { return ssh.FingerprintSHA256(id.signer.PublicKey()) }

func write(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

func kinds(t *testing.T) map[string]identity {
	r, rsaErr := rsa.GenerateKey(rand.Reader, 2048)
	e, ecErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return map[string]identity{"ed25519": ed(t), "rsa": newIdentity(t, r, rsaErr), "ecdsa": newIdentity(t, e, ecErr)}
}

func sign(t *testing.T, id identity, text string) approval.Signed {
	t.Helper()
	sig, err := signed.Sign(text, id.signer)
	if err != nil {
		t.Fatal(err)
	}
	return approval.Signed{Statement: text, Signature: sig}
}

// files are those of a worker.
func files(t *testing.T, allowed, revoked string) signed.Files {
	t.Helper()
	dir := t.TempDir()
	f := signed.Files{Own: activities.SignersFiles{Allowed: filepath.Join(dir, "allowed_signers"), Revoked: filepath.Join(dir, "revoked_keys")}, Zone: time.UTC}
	write(t, f.Own.Allowed, allowed)
	write(t, f.Own.Revoked, revoked)
	return f
}

func verify(f signed.Files, s approval.Signed) (approval.Signer, error) {
	return f.Verify(context.Background(), activities.SignersFiles{}, s, at)
}

func cause(err error) approval.Cause {
	var no *approval.Refusal
	if errors.As(err, &no) {
		return no.Cause
	}
	return ""
}

// Every kind of key, from memory and by an SSH agent.
func TestSignAndVerify(t *testing.T) {
	for kind, id := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			f := files(t, "ann@example.org "+id.public()+"\n", "")
			keyring := agent.NewKeyring()
			if err := keyring.Add(agent.AddedKey{PrivateKey: id.private}); err != nil {
				t.Fatal(err)
			}
			near, far := net.Pipe()
			defer near.Close()
			go func() { _ = agent.ServeAgent(keyring, far) }()
			signers, err := agent.NewClient(near).Signers()
			if err != nil || len(signers) != 1 {
				t.Fatalf("the agent has %d keys, %v", len(signers), err)
			}
			for from, signer := range map[string]ssh.Signer{"memory": id.signer, "agent": signers[0]} {
				sig, err := signed.Sign(statement(), signer)
				if err != nil {
					t.Fatalf("%s: %v", from, err)
				}
				got, err := verify(f, approval.Signed{Statement: statement(), Signature: sig})
				if err != nil || !slices.Equal(got.Names, []string{"ann@example.org"}) || got.Key != id.fingerprint() {
					t.Errorf("%s: Verify = %+v, %v", from, got, err)
				}
				if _, err := verify(f, approval.Signed{Statement: strings.Replace(statement(), "web", "db", 1), Signature: sig}); cause(err) != approval.CauseSignature {
					t.Errorf("%s: another statement: %v", from, err)
				}
			}
		})
	}
}

// What we sign ssh-keygen accepts, with the very files of the worker, and what it signs we accept.
func TestAsSSHKeygenDoes(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("no ssh-keygen on this machine: ", err)
	}
	for kind, id := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			f := files(t, `ann@example.org namespaces="git,approval@rollpatch",valid-after="20200101Z" `+id.public()+"\n", "# none\n")
			dir := t.TempDir()
			text, sig := filepath.Join(dir, "statement"), filepath.Join(dir, "sig")
			write(t, text, statement())
			write(t, sig, sign(t, id, statement()).Signature)
			check := func(revoked string) ([]byte, error) {
				cmd := exec.Command(keygen, "-Y", "verify", "-f", f.Own.Allowed, "-I", "ann@example.org", "-n", approval.Namespace, "-s", sig, "-r", revoked)
				cmd.Stdin = strings.NewReader(statement())
				return cmd.CombinedOutput()
			}
			if out, err := check(f.Own.Revoked); err != nil {
				t.Errorf("ssh-keygen refuses our signature: %v\n%s", err, out)
			}
			write(t, f.Own.Revoked, id.public()+"\n")
			if out, err := check(f.Own.Revoked); err == nil {
				t.Errorf("ssh-keygen takes a revoked key: %s", out)
			}
			if _, err := verify(f, sign(t, id, statement())); cause(err) != approval.CauseRevokedKey {
				t.Errorf("we: %v", err)
			}
			write(t, f.Own.Revoked, "")
			if out, err := exec.Command(keygen, "-Y", "sign", "-f", id.file, "-n", approval.Namespace, text).CombinedOutput(); err != nil {
				t.Fatalf("ssh-keygen -Y sign: %v\n%s", err, out)
			}
			theirs, err := os.ReadFile(text + ".sig")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := verify(f, approval.Signed{Statement: statement(), Signature: string(theirs)}); err != nil || got.Name() != "ann@example.org" {
				t.Errorf("a signature of ssh-keygen: %+v, %v", got, err)
			}
		})
	}
}

func TestWhoseKey(t *testing.T) {
	ann, ben := ed(t), ed(t)
	other := approval.Signed{Statement: statement(), Signature: signedFor(t, ann, "git")}
	cut := sign(t, ann, statement())
	cut.Signature = cut.Signature[:len(cut.Signature)/2]
	for _, row := range []struct {
		name, allowed, revoked string
		word                   approval.Signed
		names                  []string
		cause                  approval.Cause
		says                   string
	}{
		{name: "one line", allowed: "ann " + ann.public(), names: []string{"ann"}},
		{name: "with a comment, and others around", allowed: "# team\n\nben " + ben.public() + "\nann " + ann.public() + " ann's laptop\n", names: []string{"ann"}},
		{name: "two names of one key", allowed: "ann,ann@example.org " + ann.public() + "\nboss " + ann.public(), names: []string{"ann", "ann@example.org", "boss"}},
		{name: "a quoted name", allowed: `"ann" ` + ann.public(), names: []string{"ann"}},
		{name: "nobody's", allowed: "ben " + ben.public(), cause: approval.CauseUnknownKey, says: "is not in"},
		{name: "an empty file", cause: approval.CauseUnknownKey, says: "is not in"},
		{name: "revoked", allowed: "ann " + ann.public(), revoked: "# lost\n" + ann.public() + " laptop", cause: approval.CauseRevokedKey, says: "revoked_keys:2"},
		{name: "revoked, and forgotten", revoked: ann.public(), cause: approval.CauseRevokedKey, says: "is revoked"},
		{name: "another's is revoked", allowed: "ann " + ann.public(), revoked: ben.public(), names: []string{"ann"}},
		{name: "for every namespace but one", allowed: `ann namespaces="*,!approval@*" ` + ann.public(), cause: approval.CauseUnknownKey, says: "other namespaces only"},
		{name: "for git only", allowed: `ann namespaces="git" ` + ann.public(), cause: approval.CauseUnknownKey, says: "other namespaces only"},
		{name: "for ours by a pattern of many stars", allowed: `ann namespaces="*a*@*p*ch" ` + ann.public(), names: []string{"ann"}},
		{name: "for none by a pattern of many stars", allowed: `ann namespaces="` + strings.Repeat("*a", 40) + `*x" ` + ann.public(), cause: approval.CauseUnknownKey, says: "other namespaces only"},
		{name: "for ours by a pattern", allowed: `ann NAMESPACES="git,approval@?ollpatch" ` + ann.public(), names: []string{"ann"}},
		{name: "valid now", allowed: `ann valid-after="20261122",valid-before="202611220930" ` + ann.public(), names: []string{"ann"}},
		{name: "not valid yet", allowed: `ann valid-after="20261122093001Z" ` + ann.public(), cause: approval.CauseUnknownKey, says: "not valid before 2026-11-22 09:30 UTC"},
		{name: "valid no more", allowed: `ann valid-before="202611220929" ` + ann.public(), cause: approval.CauseUnknownKey, says: "not valid any more since 2026-11-22 09:29 UTC"},
		{name: "one line too late, another in time", allowed: `ann valid-before="20200101" ` + ann.public() + "\nann " + ann.public(), names: []string{"ann"}},
		{name: "an authority", allowed: "ann cert-authority " + ann.public(), cause: approval.CauseUnknownKey, says: "cert-authority"},
		{name: "anybody's", allowed: "*@example.org " + ann.public(), cause: approval.CauseUnknownKey, says: "nobody's name"},
		{name: "made for something else", allowed: "ann " + ann.public(), word: other, cause: approval.CauseSignature, says: `for "git"`},
		{name: "cut off", allowed: "ann " + ann.public(), word: cut, cause: approval.CauseForm, says: "no SSH signature"},
		{name: "text", allowed: "ann " + ann.public(), word: approval.Signed{Statement: statement(), Signature: "yes"}, cause: approval.CauseForm, says: "no SSH signature"},
		{name: "far too long", allowed: "ann " + ann.public(), word: approval.Signed{Statement: statement(), Signature: strings.Repeat("x", 1<<20)}, cause: approval.CauseForm, says: "at most"},

		{name: "a line that is cut off", allowed: "ann " + ann.public() + "\nben ssh-ed25519", says: "allowed_signers:2: it is cut off"},
		{name: "a key that is cut off", allowed: "ann " + ann.public() + "\nben ssh-ed25519 AAAAC3Nz", says: "allowed_signers:2: key"},
		{name: "a key of another type", allowed: "ann " + strings.Replace(ann.public(), "ssh-ed25519", "ssh-rsa", 1), says: "is not of type ssh-rsa"},
		{name: "an option that nobody knows", allowed: `ann verify-required,namespaces="git" ` + ann.public(), says: "option verify-required: it is not known"},
		{name: "a quote without an end", allowed: `ann namespaces="git ` + ann.public(), says: "a quote has no end"},
		{name: "a time that is none", allowed: `ann valid-before="tomorrow" ` + ann.public(), says: `"tomorrow" is no time`},
		{name: "never valid", allowed: `ann valid-after="20270101",valid-before="20260101" ` + ann.public(), says: "never valid"},
		{name: "a list of names with a hole", allowed: "ann,, " + ann.public(), says: "no list of names"},
		{name: "a binary list of revoked keys", allowed: "ann " + ann.public(), revoked: "SSHKRL\n\x00\x00", says: "binary key revocation list"},
		{name: "a revoked key that cannot be read", allowed: "ann " + ann.public(), revoked: "ssh-ed25519 AAAA!", says: "revoked_keys:1"},
		{name: "a revoked fingerprint", allowed: "ann " + ann.public(), revoked: "SHA256:abc", says: "no public key"},
	} {
		t.Run(row.name, func(t *testing.T) {
			word := row.word
			if word.Signature == "" {
				word = sign(t, ann, statement())
			}
			got, err := verify(files(t, row.allowed, row.revoked), word)
			if row.says == "" {
				if err != nil || !slices.Equal(got.Names, row.names) || got.Key != ann.fingerprint() {
					t.Errorf("Verify = %+v, %v, want %v", got, err, row.names)
				}
				return
			}
			if cause(err) != row.cause || err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("Verify = %+v, %v, want a refusal %q that says %q", got, err, row.cause, row.says)
			}
		})
	}
}

// Each word that must not count is refused with its reason, by real signatures.
func TestEachIsRefusedWithItsReason(t *testing.T) {
	ann, eve, zoe, old := ed(t), ed(t), ed(t), ed(t)
	f := files(t, "ann "+ann.public()+"\neve "+eve.public()+"\nann "+old.public(), old.public())
	gate := approval.Gate{
		ID: approval.GateSoak("web", 2), Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Rule: approval.Rule{Quorum: 1}, Ripe: true,
		Requester: approval.Signer{Names: []string{"eve"}, Key: eve.fingerprint()},
	}
	say := func(id identity, change func(*approval.Statement)) approval.Signed {
		s := approval.Statement{
			Decision: approval.Approve, Campaign: gate.Campaign, Instance: gate.Instance, Plan: gate.Plan, Gates: []string{gate.ID}, Reason: "fine", At: at, Expires: at.Add(time.Hour), Nonce: rand.Text(),
		}
		change(&s)
		return sign(t, id, s.Text())
	}
	hear := func(votes []approval.Vote, word approval.Signed) (approval.Vote, error) {
		s, err := approval.Parse(word.Statement)
		if err != nil {
			t.Fatal(err)
		}
		by, err := verify(f, word)
		if err != nil {
			return approval.Vote{}, err
		}
		return gate.Admit(votes, s, by, at)
	}
	same := func(*approval.Statement) {}
	good := say(ann, same)
	vote, err := hear(nil, good)
	if err != nil {
		t.Fatal(err)
	}
	if v := approval.Judge(gate, []approval.Vote{vote}, at); !v.Open {
		t.Errorf("with a good one: %+v", v)
	}
	forged := good
	forged.Statement = say(zoe, same).Statement
	for _, row := range []struct {
		name  string
		word  approval.Signed
		cause approval.Cause
	}{
		{"the requester's own", say(eve, same), approval.CauseRequester},
		{"expired", say(ann, func(s *approval.Statement) { s.At, s.Expires = at.Add(-2*time.Hour), at.Add(-time.Hour) }), approval.CauseExpired},
		{"another digest", say(ann, func(s *approval.Statement) { s.Plan = "sha256:2" }), approval.CausePlan},
		{"an earlier soak", say(ann, func(s *approval.Statement) { s.Gates = []string{approval.GateSoak("web", 1)} }), approval.CauseSoak},
		{"an unknown key", say(zoe, same), approval.CauseUnknownKey},
		{"a revoked key", say(old, same), approval.CauseRevokedKey},
		{"a replay", good, approval.CauseReplayed},
		{"another statement under the same signature", forged, approval.CauseSignature},
	} {
		if _, err := hear([]approval.Vote{vote}, row.word); cause(err) != row.cause || len(err.Error()) < 20 {
			t.Errorf("%s: %v, want %q", row.name, err, row.cause)
		}
	}
}

// signedFor signs for another namespace, as ssh-keygen does for git.
func signedFor(t *testing.T, id identity, namespace string) string {
	t.Helper()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("no ssh-keygen on this machine: ", err)
	}
	cmd := exec.Command(keygen, "-Y", "sign", "-f", id.file, "-n", namespace)
	cmd.Stdin = strings.NewReader(statement())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Whose file counts: the worker's, else the campaign's, and it is read anew each time.
func TestWhoseFile(t *testing.T) {
	ann := ed(t)
	word := sign(t, ann, statement())
	theirs := files(t, "mallory "+ann.public(), "").Own
	own := files(t, "ann "+ann.public(), "")
	if got, err := own.Verify(context.Background(), theirs, word, at); err != nil || got.Name() != "ann" {
		t.Errorf("with files of its own: %+v, %v", got, err)
	}
	if got, err := (signed.Files{}).Verify(context.Background(), theirs, word, at); err != nil || got.Name() != "mallory" {
		t.Errorf("with the campaign's: %+v, %v", got, err)
	}
	if _, err := (signed.Files{}).Verify(context.Background(), activities.SignersFiles{}, word, at); err == nil || cause(err) != "" || !strings.Contains(err.Error(), "--signers") {
		t.Errorf("with none: %v, want one that nobody can tell", err)
	}
	write(t, own.Own.Revoked, ann.public())
	if _, err := verify(own, word); cause(err) != approval.CauseRevokedKey {
		t.Errorf("revoked meanwhile: %v", err)
	}
	for _, path := range []string{own.Own.Revoked, own.Own.Allowed} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(own, word); !errors.Is(err, os.ErrNotExist) || cause(err) != "" {
			t.Errorf("without %s: %v, want one that nobody can tell", path, err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(own, word); err == nil || cause(err) != "" {
			t.Errorf("with a folder for %s: %v", path, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write(t, path, "")
	}
}

// A certificate is refused in words, whoever signed it.
func TestCertificate(t *testing.T) {
	ca, ann := ed(t), ed(t)
	cert := &ssh.Certificate{Key: ann.signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"ann"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca.signer); err != nil {
		t.Fatal(err)
	}
	with, err := ssh.NewCertSigner(cert, ann.signer)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signed.Sign(statement(), with)
	if err != nil {
		t.Fatal(err)
	}
	_, err = verify(files(t, "ann cert-authority "+ca.public(), ""), approval.Signed{Statement: statement(), Signature: sig})
	if cause(err) != approval.CauseUnknownKey || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate: %v", err)
	}
}
