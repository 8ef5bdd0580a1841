package sshrun

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// WriteKnown puts keys into a known_hosts file at once, or none of them: new ones at its end, changed ones in place of what stands there for the
// address. Every other line stays as it is. A key that no longer stands to the file as it did is refused.
func WriteKnown(path string, keys []Offered) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the link stays
	}
	before, info, err := readKnown(path)
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(before, []byte("\n"))
	hashed := slices.ContainsFunc(lines, func(l []byte) bool { return bytes.HasPrefix(l, []byte("|1|")) })
	var added bytes.Buffer
	for _, k := range keys {
		want, err := stillStands(path, info, k)
		if err != nil {
			return err
		}
		for _, old := range want {
			if old.Line < 1 || old.Line > len(lines) {
				return changedMeanwhile(path)
			}
			if lines[old.Line-1], err = without(lines[old.Line-1], k.Target.Addr); err != nil {
				return fmt.Errorf("host %q: %s:%d %w: change that line yourself, then scan again", k.Target.Host, path, old.Line, err)
			}
		}
		added.WriteString(knownLine(k.Target.Addr, k.Key, hashed) + "\n")
	}
	after := bytes.Join(lines, nil)
	if len(after) > 0 && after[len(after)-1] != '\n' {
		after = append(after, '\n')
	}
	return replace(path, before, append(after, added.Bytes()...), info)
}

// readKnown is a file that may not be there yet.
func readKnown(path string) ([]byte, fs.FileInfo, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := os.Stat(path)
	return raw, info, err
}

// stillStands holds a key against the file of now, and returns what stands there instead.
func stillStands(path string, info fs.FileInfo, k Offered) ([]xknownhosts.KnownKey, error) {
	if k.Key == nil || k.Standing != KeyNew && k.Standing != KeyChanged {
		return nil, fmt.Errorf("host %q: its key is %s, and not one to write", k.Target.Host, k.Standing)
	}
	var err error
	if info != nil {
		keys, readErr := knownhosts.NewDB(path)
		if readErr != nil {
			return nil, readErr
		}
		err = keys.HostKeyCallback()(k.Target.Addr, &net.TCPAddr{IP: net.IPv4zero}, k.Key)
	}
	var other *xknownhosts.KeyError
	switch {
	case k.Standing == KeyNew && (info == nil || knownhosts.IsHostUnknown(err)):
		return nil, nil
	case k.Standing == KeyChanged && knownhosts.IsHostKeyChanged(err) && errors.As(err, &other):
		return other.Want, nil
	}
	return nil, changedMeanwhile(path)
}

func changedMeanwhile(path string) error {
	return fmt.Errorf("%s was changed while its keys were looked at: nothing is written, scan again", path)
}

// without takes one address out of a line.
func without(line []byte, addr string) ([]byte, error) {
	text := strings.TrimLeft(string(line), " \t")
	if text == "" {
		return line, nil // taken out for another key of the same host
	}
	end := strings.IndexAny(text, " \t")
	if text[0] == '@' || end < 0 {
		return nil, errors.New("is an authority's or a revocation")
	}
	names := strings.Split(text[:end], ",")
	if len(names) == 1 && strings.HasPrefix(names[0], "|") {
		return nil, nil
	}
	left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.EqualFold(n, xknownhosts.Normalize(addr)) })
	switch len(left) {
	case len(names):
		return nil, errors.New("knows it by a pattern, which is about others too")
	case 0:
		return nil, nil
	}
	return []byte(strings.Join(left, ",") + text[end:]), nil
}

func knownLine(addr string, key ssh.PublicKey, hashed bool) string {
	line := xknownhosts.Line([]string{addr}, key)
	if !hashed {
		return line
	}
	name := xknownhosts.Normalize(addr)
	return xknownhosts.HashHostname(name) + strings.TrimPrefix(line, name)
}

// replace writes a file as a whole, for whoever owns it now, unless somebody else wrote to it meanwhile.
func replace(path string, before, after []byte, info fs.FileInfo) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".known_hosts-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			part.Close()
			os.Remove(part.Name())
		}
	}()
	if info != nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
			if err := part.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
				return fmt.Errorf("%s is somebody else's, and would not be after: %w", path, err)
			}
		}
		if err := part.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
	}
	_, err = part.Write(after)
	if err = cmp.Or(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	now, _, err := readKnown(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return changedMeanwhile(path)
	}
	return os.Rename(part.Name(), path)
}
