package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rollpatch": func() { os.Exit(scripted()) }})
}

// scripted is rollpatch at a desk of which a script says what matters: SERVER a file that stands for Temporal (absent: a real
// dial), TERMINAL whether it is one, INTERRUPT after how many pauses Ctrl-C comes.
func scripted() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var fakeServer *fake
	pauses := 0
	d := &desk{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), getwd: os.Getwd, newID: func() string { return "id-1" },
		now: func() time.Time {
			if fakeServer != nil {
				return fakeServer.time()
			}
			return sceneStart
		},
		hostname: func() (string, error) { return "desk", nil },
		username: func() string { return "nobody" },
		terminal: func(any) bool { return os.Getenv("TERMINAL") != "" },
		pause: func(context.Context, time.Duration) {
			if fakeServer != nil {
				fakeServer.pass()
			}
			if pauses++; strconv.Itoa(pauses) == os.Getenv("INTERRUPT") || pauses > 1000 {
				cancel()
			}
		},
		nonce: func() string { return "0123456789abcdef0123456789abcdef" },
		hidden: func(prompt string) ([]byte, error) {
			fmt.Fprint(os.Stderr, prompt)
			line, err := bufio.NewReader(os.Stdin).ReadString('\n')
			return []byte(strings.TrimSuffix(line, "\n")), err
		},
		dial:      dial,
		addresses: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("192.0.2.99")} },
		work: func(_ context.Context, o wiring.Options) error {
			o.Log = nil
			return json.NewEncoder(os.Stdout).Encode(o)
		},
	}
	if path := os.Getenv("SERVER"); path != "" {
		d.dial = func(context.Context, *desk, settings) (server, error) {
			var err error
			fakeServer, err = loadFake(path, filepath.Join(filepath.Dir(path), "sent.jsonl"))
			return fakeServer, err
		}
	}
	return d.run(ctx, os.Args[1:])
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"inventory.yaml", "monthly.yaml"} {
				raw, err := os.ReadFile(filepath.Join("testdata", name))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), raw, 0o600); err != nil {
					return err
				}
			}
			shown, err := documentedCheck()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(e.WorkDir, "documented.txt"), []byte(shown), 0o600); err != nil {
				return err
			}
			for name, read := range map[string]func() (string, error){"shop.yaml": documentedShop, "risks.txt": documentedRisks} {
				text, err := read()
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("USER", "ann")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// scene NAME lets the next commands meet that scene instead of a server.
			"scene": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: scene NAME")
				}
				path := ts.MkAbs("server.json")
				ts.Check(writeScene(args[0], path))
				ts.Setenv("SERVER", path)
			},
			// exits CODE COMMAND... holds the exit code against CODE.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE COMMAND...")
				}
				got := "0"
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					got = fmt.Sprint(exitCode(err))
				}
				if got != args[0] {
					ts.Fatalf("%v exits with %s, want %s", args[1:], got, args[0])
				}
			},
		},
	})
}

func exitCode(err error) int {
	if e, ok := err.(interface{ ExitCode() int }); ok {
		return e.ExitCode()
	}
	return -1
}
