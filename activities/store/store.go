// Package store keeps bodies in a folder under their own digests: it knows files and power cuts. It must not know what a body
// means, nor who else keeps bodies elsewhere.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollpatch/rollpatch/activities"
)

var _ activities.Store = (*Folder)(nil)

const prefix = "sha256:"

// Folder is a store for the workers of one machine. Several may use it at the same time.
type Folder struct{ path string }

// NewFolder opens the store in the folder, and makes the folder where it is missing.
func NewFolder(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Folder{path: path}, nil
}

// Put keeps the body and returns its digest. The body is on disk before it returns; a body that is there already is left as
// it is, unless it was damaged.
func (f *Folder) Put(ctx context.Context, body []byte) (string, error) {
	digest := digestOf(body)
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("store: put %s: %w", digest, err)
	}
	if _, err := f.Get(ctx, digest); err != nil {
		if err := f.write(f.file(digest), body); err != nil {
			return "", fmt.Errorf("store: put %s: %w", digest, err)
		}
	}
	// Also for a body found: whoever put it may have died before its name was on disk.
	if err := syncFolder(f.path); err != nil {
		return "", fmt.Errorf("store: put %s: %w", digest, err)
	}
	return digest, nil
}

// Get returns the body of the digest. A body that was changed since is an error; one that was never put is fs.ErrNotExist.
func (f *Folder) Get(ctx context.Context, digest string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("store: get %s: %w", digest, err)
	}
	// The digest becomes a file name: nothing but a digest may.
	sum, ok := strings.CutPrefix(digest, prefix)
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size || sum != strings.ToLower(sum) {
		return nil, fmt.Errorf("store: get %q: this is no digest, want %s and %d small hexadecimal digits", digest, prefix, 2*sha256.Size)
	}
	body, err := os.ReadFile(f.file(digest))
	if err != nil {
		return nil, fmt.Errorf("store: get %s: %w", digest, err)
	}
	if got := digestOf(body); got != digest {
		return nil, fmt.Errorf("store: get %s: the body was changed: its digest is %s", digest, got)
	}
	return body, nil
}

func (f *Folder) file(digest string) string {
	return filepath.Join(f.path, strings.TrimPrefix(digest, prefix))
}

// write puts the body into place in one step, so that a reader and a power cut see all of it or nothing.
func (f *Folder) write(path string, body []byte) error {
	part, err := os.CreateTemp(f.path, ".part-*")
	if err != nil {
		return err
	}
	_, err = part.Write(body)
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return nil
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return prefix + hex.EncodeToString(sum[:])
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
