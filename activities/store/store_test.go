package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func open(t *testing.T) (*Folder, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	f, err := NewFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestWhatWasPutComesBack(t *testing.T) {
	f, _ := open(t)
	// Known from elsewhere: the digest of nothing.
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	digest, err := f.Put(t.Context(), nil)
	if err != nil || digest != empty {
		t.Fatalf("Put(nothing) = %q, %v, want %q", digest, err, empty)
	}
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(rt, "body")
		digest, err := f.Put(t.Context(), body)
		if err != nil {
			rt.Fatalf("Put(%x): %v", body, err)
		}
		if got, err := f.Get(t.Context(), digest); err != nil || !bytes.Equal(got, body) {
			rt.Fatalf("Get(%s) = %x, %v, want %x", digest, got, err, body)
		}
	})
}

func TestTheBodyOutlivesItsWorker(t *testing.T) {
	f, path := open(t)
	digest, err := f.Put(t.Context(), []byte("a plan"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := again.Get(t.Context(), digest); err != nil || string(body) != "a plan" {
		t.Errorf("Get by the next worker = %q, %v, want the plan", body, err)
	}
}

func TestADamagedBodyIsAnErrorUntilPutAgain(t *testing.T) {
	f, path := open(t)
	body := []byte("a ledger")
	digest, err := f.Put(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range [][]byte{[]byte("a ledgeR"), body[:3], {}} {
		if err := os.WriteFile(filepath.Join(path, strings.TrimPrefix(digest, prefix)), damage, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Get(t.Context(), digest); err == nil || !strings.Contains(err.Error(), "was changed") {
			t.Errorf("Get of a body changed to %q = %q, %v, want an error that says so", damage, got, err)
		}
		if again, err := f.Put(t.Context(), body); err != nil || again != digest {
			t.Errorf("Put over %q = %q, %v, want it mended", damage, again, err)
		}
		if got, err := f.Get(t.Context(), digest); err != nil || !bytes.Equal(got, body) {
			t.Errorf("Get after Put over %q = %q, %v, want %q", damage, got, err, body)
		}
	}
}

func TestGetTakesNothingButADigest(t *testing.T) {
	f, path := open(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest, err := f.Put(t.Context(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "sha256:", "../secret", "sha256:../secret", strings.TrimPrefix(digest, prefix),
		"sha512:" + strings.TrimPrefix(digest, prefix), strings.ToUpper(digest), digest + "0", digest[:len(digest)-1], digest + "/"} {
		if body, err := f.Get(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "no digest") {
			t.Errorf("Get(%q) = %q, %v, want it refused as no digest", bad, body, err)
		}
	}
	missing := prefix + strings.Repeat("0", 64)
	if _, err := f.Get(t.Context(), missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get(%s) = %v, want fs.ErrNotExist", missing, err)
	}
}

func TestManyPutTheSame(t *testing.T) {
	f, path := open(t)
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() {
			body := fmt.Appendf(nil, "body %d", i%4)
			digest, err := f.Put(t.Context(), body)
			if err == nil {
				var got []byte
				if got, err = f.Get(t.Context(), digest); err == nil && !bytes.Equal(got, body) {
					err = fmt.Errorf("got %q, want %q", got, body)
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(path)
	if err != nil || len(files) != 4 {
		t.Errorf("the folder holds %v, %v, want four bodies and no leftover", files, err)
	}
}

func TestPutThatCannotWriteSaysSo(t *testing.T) {
	f, path := open(t)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if digest, err := f.Put(t.Context(), []byte("x")); err == nil {
		t.Errorf("Put into a folder that is gone = %q, want an error", digest)
	}
}
