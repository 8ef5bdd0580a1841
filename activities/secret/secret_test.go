package secret

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, body string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := map[string]string{"TOKEN": "s3cret", "EMPTY": ""}
	r := New(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	for _, row := range []struct {
		says    string
		ref     inventory.Secret
		want    string
		wantErr string
	}{
		{"a variable is looked up", inventory.Secret{Env: "TOKEN"}, "s3cret", ""},
		{"a variable that is not set is named", inventory.Secret{Env: "NOPE"}, "", `environment variable "NOPE": it is not set`},
		{"an empty variable is no secret", inventory.Secret{Env: "EMPTY"}, "", `environment variable "EMPTY": it is empty`},
		{"a file is read without its line's end", inventory.Secret{File: write("token", "s3cret\n")}, "s3cret", ""},
		{"a file's inner and leading white space is kept", inventory.Secret{File: write("phrase", " s3 \ncret\r\n")}, " s3 \ncret", ""},
		{"an empty file is no secret", inventory.Secret{File: write("empty", "\n")}, "", `empty": it is empty`},
		{"a missing file is named", inventory.Secret{File: filepath.Join(dir, "nope")}, "", `secret from file "` + filepath.Join(dir, "nope") + `": no such file`},
		{"a command's output is taken", inventory.Secret{Command: []string{"printf", "%s\\n", "s3cret"}}, "s3cret", ""},
		{"a command that fails is named with its status alone", inventory.Secret{Command: []string{"sh", "-c", "echo s3cret; echo s3cret >&2; exit 3"}}, "", `command "sh": exit status 3`},
		{"a command that prints nothing has no secret", inventory.Secret{Command: []string{"true"}}, "", `command "true": it is empty`},
		{"a command that is not there is named", inventory.Secret{Command: []string{filepath.Join(dir, "nope"), "s3cret"}}, "", `nope": fork/exec`},
		{"a reference must name something", inventory.Secret{}, "", "neither env, file nor command"},
	} {
		t.Run(row.says, func(t *testing.T) {
			got, err := r.Resolve(t.Context(), row.ref)
			switch {
			case row.wantErr == "" && (err != nil || got != row.want):
				t.Errorf("Resolve(%+v) = %q, %v, want %q", row.ref, got, err, row.want)
			case row.wantErr != "" && (err == nil || !strings.Contains(err.Error(), row.wantErr) || got != ""):
				t.Errorf("Resolve(%+v) = %q, %v, want an error with %q", row.ref, got, err, row.wantErr)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("Resolve(%+v) tells the secret in its error: %v", row.ref, err)
			}
		})
	}
}

func TestResolveFindsTheSecretAnew(t *testing.T) {
	value := "old"
	r := New(func(string) (string, bool) { return value, true })
	for _, want := range []string{"old", "new"} {
		value = want
		if got, err := r.Resolve(t.Context(), inventory.Secret{Env: "TOKEN"}); err != nil || got != want {
			t.Errorf("Resolve = %q, %v, want %q", got, err, want)
		}
	}
}

func TestACommandThatWaitsForSomebodyIsEnded(t *testing.T) {
	r := New(nil)
	r.timeout = 50 * time.Millisecond
	began := time.Now()
	got, err := r.Resolve(t.Context(), inventory.Secret{Command: []string{"sh", "-c", "echo half; sleep 60 & wait"}})
	if err == nil || !strings.Contains(err.Error(), "did not end") || got != "" {
		t.Errorf("Resolve of a command that waits = %q, %v, want that said", got, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("Resolve took %s, want it ended", took)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := r.Resolve(ctx, inventory.Secret{Command: []string{"echo", "x"}}); err == nil {
		t.Errorf("Resolve for somebody who gave up = %q, want an error", got)
	}
}
