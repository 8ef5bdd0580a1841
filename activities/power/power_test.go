package power

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// secretly resolves every reference to one secret.
func secretly(context.Context, inventory.Secret) (string, error) { return "hunter2", nil }

// host has a program of that text.
func host(t *testing.T, text string) (h inventory.Host, dir string) {
	t.Helper()
	dir = t.TempDir()
	program := filepath.Join(dir, "cycle")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncd "+dir+"\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return inventory.Host{Name: "web-1", Address: "192.0.2.11", Power: &inventory.Power{
		Command: []string{program, "--soft"}, Env: map[string]inventory.Secret{"IPMI_PASSWORD": {File: "ipmi"}},
	}}, dir
}

func TestTheProgramLearnsWhichHostAndItsSecret(t *testing.T) {
	h, dir := host(t, `printf '%s %s %s' "$ROLLPATCH_HOST" "$ROLLPATCH_ADDRESS" "$IPMI_PASSWORD" >env
tr '\0' ' ' </proc/$$/cmdline >list
`)
	var asked inventory.Secret
	s := New(func(_ context.Context, ref inventory.Secret) (string, error) {
		asked = ref
		return "hunter2", nil
	})
	if err := s.Cycle(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if got, want := read("env"), "web-1 192.0.2.11 hunter2"; got != want || asked.File != "ipmi" {
		t.Errorf("got %q and resolved %+v, want %q and the reference", got, asked, want)
	}
	if list := read("list"); strings.Contains(list, "hunter2") || !strings.Contains(list, "--soft") {
		t.Errorf("the process list says %q, want its arguments and no secret", list)
	}
}

func TestAProgramThatFailsIsToldWithoutItsOutput(t *testing.T) {
	h, _ := host(t, "echo $IPMI_PASSWORD; echo $IPMI_PASSWORD >&2; exit 3\n")
	err := New(secretly).Cycle(t.Context(), h)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Cycle() = %v, want its status and nothing that it printed", err)
	}
}

func TestAProgramThatHangsIsEnded(t *testing.T) {
	h, _ := host(t, "exec sleep 600\n")
	s := New(secretly)
	s.limit = 50 * time.Millisecond
	if err := s.Cycle(t.Context(), h); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Cycle() = %v, want that it did not end", err)
	}
}

func TestNothingRunsWithoutTheSecret(t *testing.T) {
	h, dir := host(t, "touch ran\n")
	gone := errors.New("secret from file: it is empty")
	err := New(func(context.Context, inventory.Secret) (string, error) { return "", gone }).Cycle(t.Context(), h)
	if _, ran := os.Stat(filepath.Join(dir, "ran")); !errors.Is(err, gone) || ran == nil {
		t.Errorf("Cycle() = %v, and it ran: %t", err, ran == nil)
	}
	if err := New(secretly).Cycle(t.Context(), inventory.Host{Name: "web-2"}); err == nil {
		t.Error("a host without a program has its power cycled by none")
	}
}
