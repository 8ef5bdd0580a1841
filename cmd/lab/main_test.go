package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestLabCommandLine(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"without a command it lists them", nil, 0, "power-cut", ""},
		{"an unknown command is wrong usage", []string{"nope"}, 2, "", `lab: wrong usage: no command "nope"`},
		{"an unknown flag is wrong usage", []string{"status", "--nope"}, 2, "", "lab: wrong usage: flag provided but not defined: -nope"},
		{"a missing argument is wrong usage", []string{"publish"}, 2, "", "lab: wrong usage: lab publish VERSION|security"},
		{"publish says what its versions are like", []string{"publish", "--help"}, 0, "1.2       installs, and then fails its health", ""},
		{"a program to run is needed", []string{"exec", "web-1"}, 2, "", "lab: wrong usage: lab exec HOST PROGRAM"},
		{"the demo takes no argument", []string{"demo", "now"}, 2, "", "lab: wrong usage: lab demo"},
		{"chaos takes no argument", []string{"chaos", "now"}, 2, "", "lab: wrong usage: lab chaos"},
		{"status without a lab says how to get one", []string{"--dir", dir, "status"}, 1, "", "lab: bring one up: go run ./cmd/lab up"},
		{"down without a lab is done", []string{"--dir", dir, "down"}, 0, "", "lab: no lab is up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), c.args, &stdout, &stderr); code != c.code {
				t.Errorf("run(%q) = %d, want %d: %s", c.args, code, c.code, stderr.String())
			}
			if c.stdout == "" && stdout.Len() > 0 || !strings.Contains(stdout.String(), c.stdout) {
				t.Errorf("run(%q) wrote %q, want %q", c.args, stdout.String(), c.stdout)
			}
			if c.stderr == "" && stderr.Len() > 0 || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("run(%q) complained %q, want %q", c.args, stderr.String(), c.stderr)
			}
		})
	}
}
