package playbooks_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

func load(t *testing.T, dir string) playbooks.Set {
	t.Helper()
	s, err := playbooks.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFindsTheFamilyOfASystem(t *testing.T) {
	s := load(t, "")
	for _, id := range []string{"debian", "ubuntu"} {
		p, err := s.For(id)
		if err != nil || p.Family != "apt" {
			t.Errorf("For(%q) = %q, %v, want apt", id, p.Family, err)
		}
	}
	if _, err := s.For("plan9"); err == nil || !strings.Contains(err.Error(), `"plan9": there are apt (debian, ubuntu)`) {
		t.Errorf("For(plan9) = %v", err)
	}
	if _, err := s.Named("apt"); err != nil {
		t.Errorf("Named(apt) = %v", err)
	}
	if _, err := s.Named("pacman"); err == nil || !strings.Contains(err.Error(), "there are apt") {
		t.Errorf("Named(pacman) = %v", err)
	}
}

func TestEveryScriptIsThere(t *testing.T) {
	for _, p := range load(t, "").Families() {
		for _, name := range playbooks.Names() {
			if text := p.Script(name); !bytes.HasPrefix(text, []byte("#!/bin/sh\n")) {
				t.Errorf("%s/%s: begins %.20q", p.Family, name, text)
			}
		}
	}
}

// What goes to a host is a script with its library: that is what has to be clean.
func TestScriptsPassShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed")
	}
	for _, p := range load(t, "").Families() {
		for _, name := range playbooks.Names() {
			cmd := exec.Command("shellcheck", "--shell=sh", "-")
			cmd.Stdin = bytes.NewReader(p.Script(name))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s/%s: %v\n%s", p.Family, name, err, out)
			}
		}
	}
}

// copied is a folder of playbooks of the user's own that is as good as ours.
func copied(t *testing.T, as string) (dir, family string) {
	t.Helper()
	dir = t.TempDir()
	family = filepath.Join(dir, as)
	if err := os.CopyFS(family, os.DirFS("apt")); err != nil {
		t.Fatal(err)
	}
	return dir, family
}

func change(t *testing.T, file, old, with string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		t.Fatalf("%s holds no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(raw), old, with, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderReplacesAFamilyAndAddsOthers(t *testing.T) {
	ours, _ := load(t, "").Named("apt")

	dir, family := copied(t, "apt")
	same, _ := load(t, dir).Named("apt")
	if same.Digest != ours.Digest {
		t.Errorf("the same files have digest %s and %s", same.Digest, ours.Digest)
	}
	change(t, filepath.Join(family, "verify"), "Changes nothing", "Changes not one thing")
	theirs, _ := load(t, dir).Named("apt")
	if theirs.Digest == ours.Digest || !bytes.Contains(theirs.Script("verify"), []byte("Changes not one thing")) {
		t.Errorf("the family was not replaced: digest %s, was %s", theirs.Digest, ours.Digest)
	}

	dir, family = copied(t, "devuan")
	change(t, filepath.Join(family, "playbook.yaml"), "[debian, ubuntu]", "[devuan]")
	if p, err := load(t, dir).For("devuan"); err != nil || p.Family != "devuan" {
		t.Errorf("For(devuan) = %q, %v", p.Family, err)
	}
	if p, err := load(t, dir).For("debian"); err != nil || p.Family != "apt" {
		t.Errorf("For(debian) = %q, %v", p.Family, err)
	}
}

func TestDigestCoversEveryFile(t *testing.T) {
	ours, _ := load(t, "").Named("apt")
	entries, err := os.ReadDir("apt")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		dir, family := copied(t, "apt")
		file := filepath.Join(family, e.Name())
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(raw, "# more\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		if p, _ := load(t, dir).Named("apt"); p.Digest == ours.Digest {
			t.Errorf("%s: a change leaves the digest as it was", e.Name())
		}
	}
}

func TestBadPlaybooks(t *testing.T) {
	yaml := func(old, with string) func(*testing.T, string) {
		return func(t *testing.T, family string) { change(t, filepath.Join(family, "playbook.yaml"), old, with) }
	}
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, string)
		want  string
	}{
		{"an unknown key", yaml("os:", "oses: x\nos:"), "mine/playbook.yaml:2: unknown field"},
		{"a second document", yaml("ubuntu]\n", "ubuntu]\n---\nos: [mine]\n"), "mine/playbook.yaml: holds more than one YAML document"},
		{"no system", yaml("os: [debian, ubuntu]", "os: []"), "mine/playbook.yaml: os: name at least one"},
		{"a system twice", yaml("[debian, ubuntu]", "[mine, mine]"), `os[1]: "mine" is empty or named twice`},
		{"a system of another family", yaml("[debian, ubuntu]", "[debian]"), `playbooks "apt" and "mine" are both for the system "debian"`},
		{"a system that is no text", yaml("[debian, ubuntu]", "{debian: 12}"), "mine/playbook.yaml:2:"},
		{"no definition", func(t *testing.T, f string) { remove(t, f, "playbook.yaml") }, "mine/playbook.yaml"},
		{"no script", func(t *testing.T, f string) { remove(t, f, "backout") }, "mine/backout: a playbook needs this script"},
		{"an empty script", func(t *testing.T, f string) {
			if err := os.WriteFile(filepath.Join(f, "backout"), []byte("\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "mine/backout: is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, family := copied(t, "mine")
			c.spoil(t, family)
			if _, err := playbooks.Load(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Load() = %v\nwant %q", err, c.want)
			}
		})
	}
	if _, err := playbooks.Load(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load() of a folder that is not there = %v", err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}
