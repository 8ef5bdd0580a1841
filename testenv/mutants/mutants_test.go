package mutants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTableIsSound tells whoever changes a guard that the table says what it was.
func TestTableIsSound(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, m := range all {
		if names[m.Name] {
			t.Errorf("%s: named twice", m.Name)
		}
		names[m.Name] = true
		if _, err := m.overlay("../..", filepath.Join(t.TempDir(), "x")); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if len(all) < 15 {
		t.Errorf("%d mutants, want at least 15", len(all))
	}
}

// tree is a module with a guard that one of its tests notices, and one that none does.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.org/p\n\ngo 1.26\n",
		"p.go":      "package p\n\nfunc Half(n int) int {\n\tif n < 0 {\n\t\treturn 0\n\t}\n\tif n > 100 {\n\t\treturn 50\n\t}\n\treturn n / 2\n}\n",
		"p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestHalf(t *testing.T) {\n\tif got := Half(-2); got != 0 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n}\n\nfunc TestBroken(t *testing.T) { t.Error(\"always\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTry(t *testing.T) {
	t.Setenv("GOFLAGS", "")
	root := tree(t)
	for _, tt := range []struct {
		name          string
		old, new, run string
		want, why     string
	}{
		{"a guard that a test notices", "n < 0", "false", "^TestHalf$", caught, ""},
		{"a guard that no test notices", "n > 100", "false", "^TestHalf$", survived, "passes without it"},
		{"what does not compile proves nothing", "n < 0", "x < 0", "^TestHalf$", broken, "does not compile"},
		{"a guard that is gone is said", "n < 1", "false", "^TestHalf$", broken, "0 times, want once"},
		{"a text that stands twice is said", "return", "panic(n); return", "^TestHalf$", broken, "times, want once"},
		{"a test that fails anyway proves nothing", "n < 0", "false", "^TestBroken$", broken, "nothing taken out"},
		{"a test that is not there proves nothing", "n < 0", "false", "^TestNone$", broken, "runs nothing"},
	} {
		tr := &trial{root: root, dir: t.TempDir(), sound: map[string]*soundness{}}
		r := tr.try(t.Context(), 0, Mutant{Name: tt.name, File: "p.go", Old: tt.old, New: tt.new, Package: ".", Test: tt.run})
		if r.Outcome != tt.want || !strings.Contains(r.Why, tt.why) {
			t.Errorf("%s: %s: %s, want %s: %s", tt.name, r.Outcome, r.Why, tt.want, tt.why)
		}
	}
}
