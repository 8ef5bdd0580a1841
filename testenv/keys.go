package testenv

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// makeKeys makes the key that opens the hosts, a key for each host, and the
// known_hosts file that says which is whose. Keys that are there are kept.
func makeKeys(p paths, hosts []Host) error {
	if err := makeKey(p.clientKey(), "patch@lab"); err != nil {
		return err
	}
	var known strings.Builder
	for _, h := range hosts {
		if err := makeKey(p.hostKey(h.Name), h.Name); err != nil {
			return err
		}
		raw, err := os.ReadFile(p.hostKey(h.Name) + ".pub")
		if err != nil {
			return err
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey(raw)
		if err != nil {
			return err
		}
		known.WriteString(knownhosts.Line([]string{h.Address}, public) + "\n")
	}
	return writeFile(p.knownHosts(), known.String(), 0o644)
}

func makeKey(path, comment string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return err
	}
	sshPublic, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshPublic))) + " " + comment + "\n"
	if err := writeFile(path+".pub", line, 0o644); err != nil {
		return err
	}
	return writeFile(path, string(pem.EncodeToMemory(block)), 0o600)
}
