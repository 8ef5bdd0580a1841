package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// makeSecurityArchive fetches the security updates that the base lacks, by the
// machine's own apt looking at the base's package database, and makes an
// archive of them. Its selection "none" is what hosts see before they are published.
func makeSecurityArchive(ctx context.Context, c *cache, key, base string) (string, error) {
	name := "security-" + digest(filepath.Base(base), fingerprint(key))
	return c.make(name, "the archive of pending security updates", func(tmp string) error {
		m, err := findMirror(ctx)
		if err != nil {
			return err
		}
		if m.security == "" {
			return errors.New("this machine's apt has no source of Debian's security archive")
		}
		state := filepath.Join(tmp, "apt")
		for _, d := range []string{"lists/partial", "cache/archives/partial"} {
			if err := os.MkdirAll(filepath.Join(state, d), 0o755); err != nil {
				return err
			}
		}
		list := filepath.Join(state, "security.list")
		if err := writeFile(list, sourceLine(m.security, suite+"-security"), 0o644); err != nil {
			return err
		}
		apt := []string{
			"apt-get", "-q", "-y",
			"-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=/dev/null",
			"-o", "Dir::State=" + state, "-o", "Dir::State::Lists=" + filepath.Join(state, "lists"),
			"-o", "Dir::State::status=" + filepath.Join(base, "root/var/lib/dpkg/status"),
			"-o", "Dir::Cache=" + filepath.Join(state, "cache"),
			// apt's own user cannot write into a cache below somebody's home.
			"-o", "APT::Sandbox::User=root",
			// Clean-up hooks of the machine would remove what was just fetched.
			"-o", "APT::Update::Post-Invoke=", "-o", "APT::Update::Post-Invoke-Success=", "-o", "DPkg::Post-Invoke=",
		}
		if _, err := command(ctx, append(apt, "update")...); err != nil {
			return err
		}
		if _, err := command(ctx, append(apt, "--download-only", "dist-upgrade")...); err != nil {
			return err
		}
		if err := link(filepath.Join(state, "cache/archives"), filepath.Join(tmp, "pool")); err != nil {
			return err
		}
		debs, err := poolNames(tmp)
		if err != nil {
			return err
		}
		if len(debs) == 0 {
			return errors.New("the security archive has nothing that the base lacks")
		}
		if err := os.RemoveAll(state); err != nil {
			return err
		}
		return indexes(ctx, archiveSecurity, key, tmp, selections{"all": everything, "none": nothing})
	})
}
