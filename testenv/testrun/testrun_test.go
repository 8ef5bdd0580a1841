package testrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// goTestJSON runs go test -json on one package with the given test file.
func goTestJSON(t *testing.T, source string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{"go.mod": "module example.org/p\n\ngo 1.26\n", "p_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", "-vet=off")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	// A failing test is what some of these are about.
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return out
}

func TestReadEvents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		source string
		want   result
		says   []string // in what a person sees
	}{
		{
			name: "a test with subtests is not counted beside them",
			source: `package p
import "testing"
func TestAlone(t *testing.T) {}
func TestTable(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Run("two", func(t *testing.T) {})
}`,
			want: result{Run: 3, Passed: 3, Why: []string{}},
			says: []string{"ok   example.org/p: 3 passed"},
		},
		{
			name: "a skipped test says why",
			source: `package p
import "testing"
func TestHosts(t *testing.T) { t.Skip("not root") }
func TestQuiet(t *testing.T) { t.SkipNow() }
func TestFine(t *testing.T) {}`,
			want: result{Run: 1, Passed: 1, Skipped: 2, Why: []string{
				"skipped: example.org/p TestHosts: not root",
				"skipped: example.org/p TestQuiet: it does not say why",
			}},
		},
		{
			name: "a failed test shows its output",
			source: `package p
import "testing"
func TestSum(t *testing.T) { println("logged"); t.Error("got 5, want 4") }
func TestTable(t *testing.T) { t.Run("row", func(t *testing.T) { t.Error("got 7, want 8") }) }`,
			want: result{Run: 2, Failed: 2, Why: []string{
				"failed: example.org/p TestSum: got 5, want 4",
				"failed: example.org/p TestTable/row: got 7, want 8",
			}},
			says: []string{"got 5, want 4", "got 7, want 8", "FAIL example.org/p TestSum"},
		},
		{
			name: "of a failed test that says much the beginning and the end are kept",
			source: `package p
import ("strings"; "testing")
func TestMuch(t *testing.T) { t.Error("first", strings.Repeat("x", 5000), "last") }`,
			want: result{Run: 1, Failed: 1, Why: []string{
				"failed: example.org/p TestMuch: first " + strings.Repeat("x", 394) + " ... " + strings.Repeat("x", 395) + " last",
			}},
		},
		{
			name: "a test that fails after its subtests counts",
			source: `package p
import "testing"
func TestTable(t *testing.T) { t.Run("row", func(t *testing.T) {}); t.Error("left something behind") }`,
			want: result{Run: 2, Passed: 1, Failed: 1, Why: []string{"failed: example.org/p TestTable: left something behind"}},
			says: []string{"left something behind"},
		},
		{
			name: "a test in which the process died counts as failed",
			source: `package p
import ("os"; "testing")
func TestFine(t *testing.T) {}
func TestGone(t *testing.T) { os.Exit(7) }`,
			want: result{Run: 2, Passed: 1, Failed: 1, Why: []string{"failed: example.org/p TestGone: did not end"}},
		},
		{
			name: "a package that does not build counts as failed",
			source: `package p
import "testing"
func TestTypo(t *testing.T) { undefinedName() }`,
			want: result{Failed: 1, Why: []string{"failed: example.org/p: does not build"}},
			says: []string{"undefinedName"},
		},
		{
			name: "a package whose set-up fails counts as failed",
			source: `package p
import ("os"; "testing")
func TestMain(m *testing.M) { println("no room"); os.Exit(1) }
func TestFine(t *testing.T) {}`,
			want: result{Failed: 1, Why: []string{"failed: example.org/p: failed outside its tests"}},
			says: []string{"no room"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := newResult("")
			var said strings.Builder
			if err := readEvents(bytes.NewReader(goTestJSON(t, tt.source)), &got, &said, false); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("readEvents of\n%s\n= %+v\nwant %+v\nsaid:\n%s", tt.source, got, tt.want, said.String())
			}
			for _, want := range tt.says {
				if !strings.Contains(said.String(), want) {
					t.Errorf("readEvents of\n%s\nsaid\n%s\nwant %q in it", tt.source, said.String(), want)
				}
			}
		})
	}
}

func TestGroupRun(t *testing.T) {
	pass := check{"sound", func(context.Context, machine) (string, error) { return "", nil }}
	skip := check{"absent", func(context.Context, machine) (string, error) { return "no such tool", nil }}
	bad := check{"broken", func(context.Context, machine) (string, error) { return "", errors.New("line 3") }}
	for _, tt := range []struct {
		name    string
		group   group
		machine machine
		want    result
	}{
		{
			"every check is counted by how it went",
			group{name: "g", checks: []check{pass, skip, bad}}, machine{asked: labAuto, lab: labSim},
			result{Name: "g", Run: 2, Passed: 1, Skipped: 1, Failed: 1, Why: []string{"skipped: absent: no such tool", "failed: broken: see above"}},
		},
		{
			"a skip among host tests fails where real hosts were asked for",
			group{name: "g", hosts: true, checks: []check{pass, skip}}, machine{asked: labReal, lab: labReal},
			result{Name: "g", Run: 1, Passed: 1, Skipped: 1, Failed: 1, Why: []string{"skipped: absent: no such tool", "failed: g: LAB=real: 1 skipped"}},
		},
		{
			"a skip elsewhere does not",
			group{name: "g", checks: []check{pass, skip}}, machine{asked: labReal, lab: labReal},
			result{Name: "g", Run: 1, Passed: 1, Skipped: 1, Why: []string{"skipped: absent: no such tool"}},
		},
		{
			"no fallback where real hosts were asked for",
			group{name: "g", hosts: true, packages: []string{"./..."}}, machine{asked: labReal, lab: labSim, missing: "real hosts need root"},
			result{Name: "g", Failed: 1, Why: []string{"failed: g: LAB=real: real hosts need root"}},
		},
		{
			"a group in which nothing ran has failed",
			group{name: "g", checks: []check{}}, machine{asked: labAuto, lab: labSim},
			result{Name: "g", Failed: 1, Why: []string{"failed: g: nothing in it ran"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.group.run(t.Context(), tt.machine, io.Discard)
			got.Seconds = 0
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("run on %+v = %+v, want %+v", tt.machine, got, tt.want)
			}
		})
	}
}

func TestConsul(t *testing.T) {
	fails := errors.New("the module proxy is away")
	for _, tt := range []struct {
		name    string
		machine machine
		skipped string
		err     error
		asked   bool
	}{
		{"it is there for real hosts", machine{asked: labReal, lab: labReal}, "", nil, true},
		{"its cause is told when it cannot be built", machine{asked: labReal, lab: labReal}, "", fails, true},
		{"where real hosts are a must and cannot be had, the tests of Consul still can", machine{asked: labReal, lab: labSim, missing: "real hosts need root"}, "", nil, true},
		{"simulated hosts need none", machine{asked: labSim, lab: labSim}, "LAB=sim: simulated hosts bring a stand-in", nil, false},
		{"nor do those that stand in", machine{asked: labAuto, lab: labSim, missing: "real hosts need root"}, "real hosts need root: simulated hosts bring a stand-in", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := false
			tt.machine.consul = func(context.Context, io.Writer) (string, error) { asked = true; return "", tt.err }
			skipped, err := consul(t.Context(), tt.machine)
			if skipped != tt.skipped || !errors.Is(err, tt.err) || asked != tt.asked {
				t.Errorf("consul on %+v: skipped %q, error %v, asked for it %t; want %q, %v, %t", tt.machine, skipped, err, asked, tt.skipped, tt.err, tt.asked)
			}
		})
	}
}

func TestLabOf(t *testing.T) {
	auto := machine{asked: labAuto, lab: labReal}
	for _, tt := range []struct {
		name string
		of   group
		m    machine
		want string
	}{
		{"who wants hosts is told what there is", group{hosts: true}, auto, labReal},
		{"who wants none is held to what was asked for", group{}, machine{asked: labReal, lab: labSim}, labReal},
		{"and to no more than that", group{}, auto, labAuto},
		{"but for who wants one alone", group{fixed: labSim}, machine{asked: labReal, lab: labReal}, labSim},
	} {
		if got := tt.of.labOf(tt.m); got != tt.want {
			t.Errorf("%s: labOf(%+v) = %q, want %q", tt.name, tt.m, got, tt.want)
		}
	}
}

func TestReport(t *testing.T) {
	done := result{Name: "unit", Run: 3, Passed: 3, Skipped: 1, Why: []string{"skipped: a: b"}}
	for _, tt := range []struct {
		name        string
		interrupted error
		last        string
	}{
		{"the last line is the three numbers", nil, "3 passed, 0 failed, 1 skipped"},
		{"groups that an interrupt left out have failed", context.Canceled, "3 passed, 1 failed, 1 skipped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := report{Lab: labSim, Asked: labAuto, LabMissing: "real hosts need root", Groups: []result{done}}
			r.finish([]group{{name: "unit"}, {name: "lab"}}, tt.interrupted)
			var out strings.Builder
			r.print(&out)
			lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
			if got := lines[len(lines)-1]; got != tt.last {
				t.Errorf("last line is %q, want %q", got, tt.last)
			}
			if want := "real hosts need root; the simulated fleet stood in"; !strings.Contains(out.String(), want) {
				t.Errorf("report says\n%s\nwant %q in it", out.String(), want)
			}

			path := filepath.Join(t.TempDir(), "build", "test.json")
			if err := r.write(path); err != nil {
				t.Fatal(err)
			}
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var back report
			if err := json.Unmarshal(body, &back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, r) {
				t.Errorf("read back %+v, want %+v", back, r)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		lab  string
		want string
	}{
		{"an unknown group", []string{"units"}, "", `there is no group "units"`},
		{"an unknown lab", nil, "nspawn", "LAB=nspawn is none of real, sim, auto"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			status := Run(t.Context(), tt.args, Lab{Asked: tt.lab}, &stdout, &stderr)
			if status != 2 || !strings.Contains(stderr.String(), tt.want) || stdout.String() != "" {
				t.Errorf("Run(%q) with LAB=%q: status %d, stdout %q, stderr %q; want status 2 and %q", tt.args, tt.lab, status, stdout.String(), stderr.String(), tt.want)
			}
		})
	}
}

func TestIsShell(t *testing.T) {
	for _, tt := range []struct {
		file, body string
		want       bool
	}{
		{"facts.sh", "uname -r\n", true},
		{"postinst", "#!/bin/sh\n", true},
		{"run", "#!/usr/bin/env bash\n", true},
		{"render", "#!/usr/bin/python3\n", false},
		{"LICENSE", "Apache License\n", false},
		{"main.go", "#!/bin/sh\n", false},
		{"empty", "", false},
	} {
		t.Run(tt.file, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, []byte(tt.body), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := isShell(path); err != nil || got != tt.want {
				t.Errorf("isShell(%s with %q) = %t, %v, want %t", tt.file, tt.body, got, err, tt.want)
			}
		})
	}
}
