// Package labtest gives tests a lab of real hosts, or says why there is none.
// It knows testing and the lab; it must not know what is tested on it.
package labtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rollpatch/rollpatch/testenv"
)

// shared is the one lab of a test binary. Bringing it up costs more than making it like new.
var shared struct {
	sync.Mutex
	lab  *testenv.Lab
	err  error
	used bool
}

// New returns a lab like new, which the whole test binary shares: tests that
// use it must not be parallel. It ends with the test binary, however that ends.
//
// LAB=sim skips the test. Where real hosts cannot be had the test is skipped
// too, with the reason, unless LAB=real asked for them: then it fails.
func New(t testing.TB) *testenv.Lab {
	t.Helper()
	Wanted(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.lab == nil && shared.err == nil {
		shared.lab, shared.err = up(t)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	if shared.used {
		if err := shared.lab.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	shared.used = true
	return shared.lab
}

// Wanted skips or fails the test where New would, for tests that bring up a lab of their own.
func Wanted(t testing.TB) {
	t.Helper()
	want := os.Getenv("LAB")
	if want == "sim" {
		t.Skip("LAB=sim: real hosts were not asked for")
	}
	if why := testenv.Missing(); why != "" {
		if want == "real" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
}

func up(t testing.TB) (*testenv.Lab, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	// One folder for each test binary: several run at the same time.
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	// The lab outlives this test, so the test's own context must not end its start half way.
	return testenv.Up(context.WithoutCancel(t.Context()), testenv.Options{
		Dir: filepath.Join(root, "build", "lab-"+name), Log: writer{t}, Owned: true,
	})
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("the test does not run inside the project's checkout")
		}
		dir = up
	}
}

// writer shows the lab's progress in the test's log.
type writer struct{ t testing.TB }

func (w writer) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
