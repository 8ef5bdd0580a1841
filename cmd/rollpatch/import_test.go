package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstDay plays the session of docs/first-day.md, in the folder that it says: every line and file there is as it is printed.
func TestFirstDay(t *testing.T) {
	path, err := filepath.Abs(filepath.Join(top, "docs", "first-day.md"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	blocks := page{"first-day.md", text}.blocks()
	if len(blocks) < 3 || blocks[0].lang != "ini" || blocks[1].lang != "console" || blocks[2].lang != "yaml" {
		t.Fatalf("%s does not begin with hosts.ini, a session and inventory.yaml", path)
	}
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	if err := os.WriteFile("hosts.ini", []byte(blocks[0].text), 0o600); err != nil {
		t.Fatal(err)
	}
	var session strings.Builder
	for _, m := range typed.FindAllStringSubmatch(blocks[1].text, -1) {
		session.WriteString("$ " + m[1] + "\n")
		words, err := shellWords(m[1])
		if err != nil {
			t.Fatal(err)
		}
		var out, all bytes.Buffer
		if code := run(context.Background(), words[1:], nil, &out, &all, os.Environ()); code != exitDone {
			t.Fatalf("%s exits with %d: %s", m[1], code, &all)
		}
		session.Write(all.Bytes())
		if _, to, ok := strings.Cut(m[1], " > "); !ok {
			session.Write(out.Bytes())
		} else if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inv, err := os.ReadFile("inventory.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(inv), "hunter2") {
		t.Error("a password is printed")
	}
	want := strings.Replace(text, blocks[1].text, session.String(), 1)
	want = strings.Replace(want, blocks[2].text, string(inv), 1)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if want != text {
		t.Errorf("docs/first-day.md is not what is printed (go test -update writes it anew): got\n%s\n%s", &session, inv)
	}
}
