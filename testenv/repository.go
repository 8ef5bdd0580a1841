package testenv

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// archive is one package archive in the cache: a pool, and a tree of signed
// indexes for each selection of it that can be published.
type archive struct {
	origin, label, suite string
}

var (
	archiveDebian   = archive{"Debian", "Debian", suite}
	archiveSecurity = archive{"Debian", "Debian-Security", suite + "-security"}
	archiveLab      = archive{"rollpatch lab", "rollpatch lab", "lab"}
)

// index writes the signed tree of one selection of the pool under into/<name>/dists.
// The date is the same for all selections of one archive: apt takes any of them
// after any other, but would silently keep a newer one over an older.
func (a archive) index(ctx context.Context, s *signer, into, name string, date time.Time, debs []string) error {
	arch, err := command(ctx, "dpkg", "--print-architecture")
	if err != nil {
		return err
	}
	arch = strings.TrimSpace(arch)
	packages, err := packagesIndex(ctx, into, debs)
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(packages); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	dist := filepath.Join(into, name, "dists", a.suite)
	var release strings.Builder
	fmt.Fprintf(&release, "Origin: %s\nLabel: %s\nSuite: %s\nCodename: %s\nDate: %s\nArchitectures: all %s\nComponents: main\nDescription: %s as the lab serves it\nSHA256:\n",
		a.origin, a.label, a.suite, a.suite, date.UTC().Format(time.RFC1123), arch, a.label)
	for _, f := range []struct {
		path string
		raw  []byte
	}{{"main/binary-" + arch + "/Packages", packages}, {"main/binary-" + arch + "/Packages.gz", zipped.Bytes()}} {
		if err := writeFile(filepath.Join(dist, f.path), string(f.raw), 0o644); err != nil {
			return err
		}
		sum := sha256.Sum256(f.raw)
		fmt.Fprintf(&release, " %s %d %s\n", hex.EncodeToString(sum[:]), len(f.raw), f.path)
	}
	if err := writeFile(filepath.Join(dist, "Release"), release.String(), 0o644); err != nil {
		return err
	}
	return s.sign(ctx, filepath.Join(dist, "Release"), filepath.Join(dist, "InRelease"))
}

// packagesIndex is the Packages file of some packages in into/pool.
func packagesIndex(ctx context.Context, into string, debs []string) ([]byte, error) {
	sort.Strings(debs)
	var all bytes.Buffer
	for _, deb := range debs {
		path := filepath.Join(into, "pool", deb)
		control, err := command(ctx, "dpkg-deb", "--field", path)
		if err != nil {
			return nil, err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(raw)
		fmt.Fprintf(&all, "%s\nFilename: pool/%s\nSize: %d\nSHA256: %s\n\n", strings.TrimRight(control, "\n"), deb, len(raw), hex.EncodeToString(sum[:]))
	}
	return all.Bytes(), nil
}

// poolNames lists the packages of into/pool. File names carry no epoch's
// escaped colon: the name is part of an address.
func poolNames(into string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(into, "pool", "*.deb"))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(found))
	for _, f := range found {
		names = append(names, filepath.Base(f))
	}
	return names, nil
}

// link fills a pool from a folder of packages on the same disk.
func link(from, pool string) error {
	if err := os.MkdirAll(pool, 0o755); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(from, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		name := strings.ReplaceAll(filepath.Base(deb), "%3a", "+")
		if err := os.Link(deb, filepath.Join(pool, name)); err != nil {
			return err
		}
	}
	return nil
}

// makeDebianArchive serves what the base was made from: the way back from any security update.
func makeDebianArchive(ctx context.Context, c *cache, key, base string) (string, error) {
	name := "debian-" + digest(filepath.Base(base), fingerprint(key))
	return c.make(name, "the archive of the base's own packages", func(tmp string) error {
		if err := link(filepath.Join(base, "debs"), filepath.Join(tmp, "pool")); err != nil {
			return err
		}
		return indexes(ctx, archiveDebian, key, tmp, selections{"all": everything})
	})
}

// makeLabArchive builds lab-web in all versions, and a tree for each that offers it beside the first.
func makeLabArchive(ctx context.Context, c *cache, key string) (string, error) {
	sources, err := labwebSources()
	if err != nil {
		return "", err
	}
	name := "lab-" + digest(sources, fingerprint(key))
	return c.make(name, "lab-web in all its versions", func(tmp string) error {
		if err := os.MkdirAll(filepath.Join(tmp, "pool"), 0o755); err != nil {
			return err
		}
		if err := buildLabweb(ctx, filepath.Join(tmp, "pool")); err != nil {
			return err
		}
		sel := selections{}
		for _, v := range labwebVersions {
			sel[v.version] = func(deb string) bool {
				version := strings.Split(deb, "_")[1]
				return version == labwebBase || version == v.version
			}
		}
		return indexes(ctx, archiveLab, key, tmp, sel)
	})
}

// selections names what can be published of an archive, and says which packages belong to each.
type selections map[string]func(deb string) bool

func everything(string) bool { return true }
func nothing(string) bool    { return false }

// indexes writes the tree of every selection.
func indexes(ctx context.Context, a archive, key, into string, sel selections) error {
	s, err := openSigner(ctx, key)
	if err != nil {
		return err
	}
	defer s.close()
	debs, err := poolNames(into)
	if err != nil {
		return err
	}
	date := time.Now()
	for name, in := range sel {
		var selected []string
		for _, deb := range debs {
			if in(deb) {
				selected = append(selected, deb)
			}
		}
		if err := a.index(ctx, s, into, name, date, selected); err != nil {
			return err
		}
	}
	return nil
}

// fingerprint ties what is signed to the key that signed it.
func fingerprint(key string) string {
	raw, err := os.ReadFile(filepath.Join(key, "public.gpg"))
	if err != nil {
		return "" // the archive is then made anew, and says what is wrong with the key
	}
	return digest(string(raw))
}
