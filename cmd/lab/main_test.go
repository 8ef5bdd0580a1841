package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
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
		{"simulated hosts take no argument", []string{"sim", "now"}, 2, "", "lab: wrong usage: lab sim"},
		{"status without a lab says how to get one", []string{"--dir", dir, "status"}, 1, "", "lab: bring one up: go run ./cmd/lab up"},
		{"down without a lab is done", []string{"--dir", dir, "down"}, 0, "", "lab: no lab is up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), c.args, strings.NewReader(""), &stdout, &stderr); code != c.code {
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

// What is typed is done to the hosts, and the end of the context is the fleet's.
func TestLabSim(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	said := make(chan string)
	out, w := io.Pipe()
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said <- lines.Text()
		}
		close(said)
	}()
	exit := make(chan int)
	go func() {
		code := run(ctx, []string{"--dir", t.TempDir(), "sim"}, in, w, w)
		w.Close()
		exit <- code
	}()
	await := func(want string) {
		t.Helper()
		for line := range said {
			if strings.Contains(line, want) {
				return
			}
		}
		t.Fatalf("it did not say %q", want)
	}
	await("inventory.yaml")
	for _, step := range []struct{ line, want string }{
		{"publish 1.4", "done"},
		{"publish 9", "lab: "},
		{"dance", `lab: "dance": type publish`},
		{"exec web-1 uname -n", "web-1"},
		{"power-cut web-1", "done"},
		{"start web-1", "done"},
		{"status", "web-1"},
	} {
		if _, err := fmt.Fprintln(typed, step.line); err != nil {
			t.Fatal(err)
		}
		await(step.want)
	}
	end()
	for range said { // what is still to be said
	}
	if code := <-exit; code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestLabUpTakesNoSimulatedHosts(t *testing.T) {
	t.Setenv("LAB", "sim")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--dir", t.TempDir(), "up"}, strings.NewReader(""), &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), "make lab-sim") {
		t.Errorf("exit status %d: %s", code, stderr.String())
	}
}
