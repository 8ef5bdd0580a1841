package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// cache holds what is dear to make and the same for every lab: the base root,
// Consul, the packages. Every entry's name carries the digest of what it was
// made from, so an entry is either right or not there.
type cache struct {
	dir string
	log io.Writer
}

func openCache(dir string, log io.Writer) (*cache, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("cache folder: %w", err)
		}
		dir = filepath.Join(user, "rollpatch")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	return &cache{dir: dir, log: log}, nil
}

func (c *cache) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cache) sayf(format string, args ...any) { fmt.Fprintf(c.log, "lab: "+format+"\n", args...) }

// lock keeps two processes from filling the cache at the same time.
func (c *cache) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(c.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if !told {
			c.sayf("waiting for another process that fills %s", c.dir)
			told = true
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			f.Close()
			return nil, err
		}
	}
}

// make returns the entry of that name, and fills it first if it is not there:
// under a temporary name, so that an interrupted build is never taken for a whole one.
func (c *cache) make(name, what string, fill func(tmp string) error) (string, error) {
	final := c.path(name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	c.sayf("making %s", what)
	begun := time.Now()
	tmp := final + ".part"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := fill(tmp); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return "", err
	}
	c.sayf("made %s in %.0f s", what, time.Since(begun).Seconds())
	return final, nil
}

// digest names a cache entry after what it is made from.
func digest(inputs ...string) string {
	h := sha256.New()
	for _, in := range inputs {
		fmt.Fprintf(h, "%d:%s", len(in), in)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// until asks again and again until ok returns nil, and says the last reason if it never does.
func until(ctx context.Context, limit time.Duration, what string, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		last := ok(ctx)
		if last == nil {
			return nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("%s: not within %s: %w", what, limit, last)
		}
	}
}

// short keeps the last lines of a program's output for an error message.
func short(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) > 12 {
		lines = lines[len(lines)-12:]
	}
	return strings.Join(lines, "\n")
}
