package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// waits are what people read while something waits or holds. The words between dots are the code's own.
var waits = []string{
	"the claim of cluster ... is not ours", "the run ... still goes on there", "trying ... again", "the whole estate is frozen since", "is out of service in cluster ... by somebody else",
	"refused by the host: ", "it came back with another host key", "the backout of ... could not begin", "somebody ended the workflow of ... from outside",
	"its workflow ended without a report", "its checks can be told neither way", "told no manifest", "it is not backed out by itself", "its backout was stopped on its way",
	"automatic updates cannot be turned off on ", "which soaked, is not to be had", "somebody else has changed it since its cluster began", "nobody can tell who asked for it",
	"the keys cannot be looked at", "no worker has taken", "waits for its campaign's word that it may back out", "no worker answers",
	"if everybody has agreed by then", "; begins when somebody can tell that its window is open: ", "; waits for a change number of ",
}

// TestDocumentedWaits holds that docs/operations.md says of each what it means, in words that are still said.
func TestDocumentedWaits(t *testing.T) {
	_, table, found := strings.Cut(pageOf(t, "docs/operations.md"), "| what you see | what it means | what to type |")
	table, _, _ = strings.Cut(table, "\n\n")
	if !found {
		t.Fatal("docs/operations.md has no table of waits and holds")
	}
	var code strings.Builder
	for _, folder := range []string{"activities", "cmd/internal", "cmd/rollpatch", "workflows"} {
		err := filepath.WalkDir(filepath.Join(top, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			code.Write(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, wait := range waits {
		if !strings.Contains(table, wait) {
			t.Errorf("docs/operations.md: the table of waits and holds has no row with %q", wait)
		}
		for _, part := range strings.Split(wait, " ... ") {
			if !strings.Contains(code.String(), part) {
				t.Errorf("nothing says %q any more", part)
			}
		}
	}
	for line := range strings.Lines(table) {
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); strings.HasPrefix(line, "|") && cells != 4 {
			t.Errorf("a row has %d cells, want what is seen, what it means, what to type: %s", cells-1, line)
		}
	}
}
