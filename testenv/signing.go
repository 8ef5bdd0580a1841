package testenv

import (
	"context"
	"os"
	"path/filepath"
)

// signer holds the key that the hosts trust for packages: made once, kept in
// the cache, worth nothing outside the lab.
type signer struct {
	home string // gpg's home, a short path: gpg puts a socket there
}

func makeSigningKey(ctx context.Context, c *cache) (string, error) {
	return c.make("signing", "the package repository's signing key", func(tmp string) error {
		home, err := os.MkdirTemp("", "rplab-gpg-")
		if err != nil {
			return err
		}
		s := &signer{home}
		defer s.close()
		if err := os.Mkdir(tmp, 0o700); err != nil {
			return err
		}
		if _, err := s.gpg(ctx, "--quick-generate-key", "rollpatch lab <lab@rollpatch.invalid>", "ed25519", "sign", "never"); err != nil {
			return err
		}
		if _, err := s.gpg(ctx, "--output", filepath.Join(tmp, "secret.gpg"), "--export-secret-keys"); err != nil {
			return err
		}
		_, err = s.gpg(ctx, "--output", filepath.Join(tmp, "public.gpg"), "--export")
		return err
	})
}

func openSigner(ctx context.Context, key string) (*signer, error) {
	home, err := os.MkdirTemp("", "rplab-gpg-")
	if err != nil {
		return nil, err
	}
	s := &signer{home}
	if _, err := s.gpg(ctx, "--import", filepath.Join(key, "secret.gpg")); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *signer) gpg(ctx context.Context, args ...string) (string, error) {
	return command(ctx, append([]string{"gpg", "--homedir", s.home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)...)
}

// sign writes the inline signed form of a Release file.
func (s *signer) sign(ctx context.Context, release, inRelease string) error {
	_, err := s.gpg(ctx, "--yes", "--output", inRelease, "--clearsign", release)
	return err
}

func (s *signer) close() {
	// gpg starts an agent that would outlive us: it is asked to leave before its home goes.
	_, _ = command(context.Background(), "gpgconf", "--homedir", s.home, "--kill", "all")
	_ = os.RemoveAll(s.home)
}
