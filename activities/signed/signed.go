// Package signed knows OpenSSH's signatures: it makes them, and says whose they are by a file of allowed signers and one of revoked keys. It
// must not know what is agreed to, or whether that is enough.
package signed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/approval"
)

// Files verifies by files, read anew each time. With files of its own it goes by them alone: a campaign cannot bring its approvers' keys along
// where whoever runs the worker has said whose keys there are.
type Files struct {
	Own  activities.SignersFiles
	Zone *time.Location // of times without one; nil is the machine's
}

// The bounds of what is read.
const (
	maxFile      = 4 << 20
	maxSignature = 16 << 10
)

// Verify says who signed a statement.
func (f Files) Verify(_ context.Context, keys activities.SignersFiles, s approval.Signed, at time.Time) (approval.Signer, error) {
	if f.Own.Allowed != "" {
		keys = f.Own
	}
	if keys.Allowed == "" {
		return approval.Signer{}, errors.New("nobody knows whose keys there are: start the worker with --signers FILE, or name a file in the campaign under signers")
	}
	if len(s.Signature) > maxSignature {
		return approval.Signer{}, refuse(approval.CauseForm, "the signature has %d bytes, at most %d", len(s.Signature), maxSignature)
	}
	sig, err := sshsig.Unarmor([]byte(s.Signature))
	if err != nil {
		return approval.Signer{}, refuse(approval.CauseForm, "it is no SSH signature: %v", err)
	}
	by := approval.Signer{Key: ssh.FingerprintSHA256(sig.PublicKey)}
	if sig.Namespace != approval.Namespace {
		return by, refuse(approval.CauseSignature, "it is a signature for %q, and not for %q: sign with ssh-keygen -Y sign -n %s", sig.Namespace, approval.Namespace, approval.Namespace)
	}
	if err := sshsig.Verify(strings.NewReader(s.Statement), sig, sig.PublicKey, sig.HashAlgorithm, approval.Namespace); err != nil {
		return by, refuse(approval.CauseSignature, "key %s did not sign this statement: %v", by.Key, err)
	}
	zone := f.Zone
	if zone == nil {
		zone = time.Local
	}
	revoked := map[string]int{}
	if keys.Revoked != "" {
		raw, err := read(keys.Revoked)
		if err == nil {
			revoked, err = revokedKeys(keys.Revoked, raw)
		}
		if err != nil {
			return by, fmt.Errorf("revoked keys: %w", err)
		}
	}
	raw, err := read(keys.Allowed)
	if err != nil {
		return by, fmt.Errorf("allowed signers: %w", err)
	}
	all, err := allowedSigners(keys.Allowed, raw, zone)
	if err != nil {
		return by, fmt.Errorf("allowed signers: %w", err)
	}
	by.Names, err = names(all, sig.PublicKey, keys.Allowed, at)
	if line, is := revoked[string(sig.PublicKey.Marshal())]; is {
		return by, refuse(approval.CauseRevokedKey, "key %s%s is revoked (%s:%d)", by.Key, of(by.Names), keys.Revoked, line)
	}
	return by, err
}

func of(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " of " + names[0]
}

// names are those that a key stands for at that time, or a refusal.
func names(all []signer, pub ssh.PublicKey, file string, at time.Time) ([]string, error) {
	key, print := pub.Marshal(), ssh.FingerprintSHA256(pub)
	if _, is := pub.(*ssh.Certificate); is {
		return nil, refuse(approval.CauseUnknownKey, "it is signed with a certificate, and cert-authority is not supported: list the key itself in %s, and sign with that", file)
	}
	var found []string
	why := fmt.Sprintf("key %s is not in %s", print, file)
	for _, s := range all {
		if !bytes.Equal(s.key, key) {
			continue
		}
		switch at := at.Truncate(time.Second); {
		case s.authority:
			why = fmt.Sprintf("key %s is in %s:%d to sign other keys (cert-authority), not statements", print, file, s.line)
		case !covers(s.namespaces, approval.Namespace):
			why = fmt.Sprintf("key %s is in %s:%d for other namespaces only: add %s to its namespaces", print, file, s.line, approval.Namespace)
		case !s.after.IsZero() && at.Before(s.after):
			why = fmt.Sprintf("key %s of %s is not valid before %s (%s:%d)", print, s.principals[0], stamp(s.after), file, s.line)
		case !s.before.IsZero() && at.After(s.before):
			why = fmt.Sprintf("key %s of %s is not valid any more since %s (%s:%d)", print, s.principals[0], stamp(s.before), file, s.line)
		case strings.ContainsAny(strings.Join(s.principals, ","), "*?!"):
			why = fmt.Sprintf("key %s is in %s:%d for %q, which is nobody's name: write the one whose key it is", print, file, s.line, strings.Join(s.principals, ","))
		default:
			for _, p := range s.principals {
				if !slices.Contains(found, p) {
					found = append(found, p)
				}
			}
		}
	}
	if len(found) == 0 {
		return nil, refuse(approval.CauseUnknownKey, "%s", why)
	}
	return found, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func refuse(cause approval.Cause, format string, args ...any) error {
	return &approval.Refusal{Cause: cause, Text: fmt.Sprintf(format, args...)}
}

// read is a file's content. One that is cut off would be another file: it is bounded by an error.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s: it is no file of at most %d MiB", path, maxFile>>20)
	}
	return os.ReadFile(path)
}

// Sign signs a statement, and returns the armoured signature.
func Sign(statement string, with ssh.Signer) (string, error) {
	sig, err := sshsig.Sign(strings.NewReader(statement), with, sshsig.HashSHA512, approval.Namespace)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", ssh.FingerprintSHA256(with.PublicKey()), err)
	}
	return string(sshsig.Armor(sig)), nil
}
