package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out, stderr bytes.Buffer
		if code := run(context.Background(), []string{"completion", shell}, nil, &out, &stderr, nil); code != exitDone {
			t.Fatalf("completion %s exits with %d: %s", shell, code, &stderr)
		}
		golden := filepath.Join("testdata", "completion."+shell)
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("completion %s is not what %s says; go test -update writes it anew, then read the difference", shell, golden)
		}
	}
}

func TestCompletionRefusesOtherShells(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		var out, stderr bytes.Buffer
		if code := run(context.Background(), args, nil, &out, &stderr, nil); code != exitUsage || out.Len() > 0 {
			t.Errorf("%v exits with %d and prints %q, want %d and nothing", args, code, &out, exitUsage)
		}
	}
}

// What bash makes of the script, word by word.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash on this machine: its completion is compared with a golden file only")
	}
	for _, row := range []struct{ line, want string }{
		{"rollpatch appr", "approve"},
		{"rollpatch completion ", "bash zsh fish"},
		{"rollpatch approve monthly --re", "--reason"},
		{"rollpatch list --output ", "text json"},
		{"rollpatch plan testdata/month", "testdata/monthly.yaml"},
		{"rollpatch approve month", ""},
		{"rollpatch claims ", "list break"},
		{"rollpatch claims b", "break"},
		{"rollpatch claims break web --inv", "--inventory"},
		{"rollpatch quarantine release web-1 --re", "--reason --rebuilt --retired --return"},
		{"rollpatch freeze list --output ", "text json"},
		{"rollpatch list --l", "--limit"},
		{"rollpatch freeze list --l", ""},
		{"rollpatch inventory ", "import risks"},
		{"rollpatch inventory import ", "ansible consul"},
		{"rollpatch inventory import ansible --cl", "--cluster-groups"},
		{"rollpatch access scan --ac", "--accept"},
	} {
		script := `source testdata/completion.bash; IFS=' ' read -r -a COMP_WORDS <<<"$1"; [[ $1 == *' ' ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _rollpatch; echo "${COMPREPLY[*]}"`
		out, err := exec.Command(bash, "--norc", "-c", script, "bash", row.line).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != row.want {
			t.Errorf("%q is completed to %q (%v), want %q", row.line, got, err, row.want)
		}
	}
}
