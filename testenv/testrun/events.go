package testrun

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// testID names a test within a package; an empty name is the package itself.
type testID struct{ pkg, name string }

func (id testID) String() string {
	short := strings.TrimPrefix(id.pkg, modulePath+"/")
	if id.name == "" {
		return short
	}
	return short + " " + id.name
}

const modulePath = "github.com/rollpatch/rollpatch"

// tally collects events until a package is done.
type tally struct {
	output  map[testID]*bytes.Buffer
	ended   map[testID]string // action that ended it
	started map[testID]bool
}

// readEvents counts the tests of a go test -json stream into r and tells w how
// they go. With each, every test is named as it starts and ends; otherwise only
// packages and what failed.
//
// A test with subtests is not counted beside them, unless it failed by itself.
func readEvents(in io.Reader, r *result, w io.Writer, each bool) error {
	t := tally{output: map[testID]*bytes.Buffer{}, ended: map[testID]string{}, started: map[testID]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(w, lines.Text()) // go itself, which does not always speak JSON
			continue
		}
		t.take(e, r, w, each)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("output of go test: %w", err)
	}
	return nil
}

func (t *tally) take(e event, r *result, w io.Writer, each bool) {
	id := testID{e.Package, e.Test}
	top := e.Test != "" && !strings.Contains(e.Test, "/")
	switch e.Action {
	case "build-output":
		t.say(testID{pkg: e.ImportPath}, e.Output)
	case "start":
		t.started[id] = true
	case "run":
		t.started[id] = true
		if each && top {
			fmt.Fprintf(w, "run  %s\n", id)
		}
	case "output":
		t.say(id, e.Output)
	case "pass", "fail", "skip":
		t.ended[id] = e.Action
		if each && top && e.Action != "fail" {
			fmt.Fprintf(w, "%-4s %s (%.1fs)\n", word[e.Action], id, e.Elapsed)
		}
		if e.Action == "fail" && e.Test != "" {
			fmt.Fprintf(w, "FAIL %s (%.1fs)\n%s\n", id, e.Elapsed, indent(t.said(id)))
		}
		if e.Test == "" {
			t.closePackage(e, r, w)
		}
	}
}

var word = map[string]string{"pass": "ok", "skip": "skip"}

func (t *tally) say(id testID, text string) {
	if t.output[id] == nil {
		t.output[id] = &bytes.Buffer{}
	}
	t.output[id].WriteString(text)
}

func (t *tally) said(id testID) string {
	if t.output[id] == nil {
		return ""
	}
	return t.output[id].String()
}

// closePackage counts the tests of a package that is done.
func (t *tally) closePackage(e event, r *result, w io.Writer) {
	pkg := testID{pkg: e.Package}
	before := r.Failed
	run := 0
	for _, id := range t.tests(e.Package) {
		children := t.children(id)
		switch t.ended[id] {
		case "pass":
			if len(children) == 0 {
				r.Run++
				r.Passed++
				run++
			}
		case "skip":
			if len(children) == 0 || !t.anyEnded(children, "skip") {
				r.skip(id.String(), reason(t.said(id)))
			}
		case "fail":
			if !t.anyEnded(children, "fail") {
				r.Run++
				r.fail(id.String(), short(reason(complaint(t.said(id)))))
				run++
			}
		default:
			// The process died in it.
			if len(children) == 0 || !t.anyEnded(children, "") {
				r.Run++
				r.fail(id.String(), "did not end")
				run++
				fmt.Fprintf(w, "FAIL %s did not end\n%s\n", id, indent(t.said(id)))
			}
		}
	}
	if e.Action == "fail" {
		if r.Failed == before {
			why := "failed outside its tests"
			if e.FailedBuild != "" {
				why = "does not build"
				t.say(pkg, t.said(testID{pkg: e.FailedBuild}))
			}
			r.fail(pkg.String(), why)
		}
		fmt.Fprintf(w, "FAIL %s (%.1fs)\n%s\n", pkg, e.Elapsed, indent(t.said(pkg)))
	} else if run > 0 {
		fmt.Fprintf(w, "ok   %s: %d passed (%.1fs)\n", pkg, run, e.Elapsed)
	}
	maps.DeleteFunc(t.output, func(id testID, _ *bytes.Buffer) bool { return id.pkg == e.Package })
	maps.DeleteFunc(t.started, func(id testID, _ bool) bool { return id.pkg == e.Package })
	maps.DeleteFunc(t.ended, func(id testID, _ string) bool { return id.pkg == e.Package })
}

// tests are those of pkg in the order of their names.
func (t *tally) tests(pkg string) []testID {
	var ids []testID
	for id := range t.started {
		if id.pkg == pkg && id.name != "" {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b testID) int { return strings.Compare(a.name, b.name) })
	return ids
}

func (t *tally) children(parent testID) []testID {
	var ids []testID
	for id := range t.started {
		if id.pkg == parent.pkg && strings.HasPrefix(id.name, parent.name+"/") {
			ids = append(ids, id)
		}
	}
	return ids
}

func (t *tally) anyEnded(ids []testID, action string) bool {
	return slices.ContainsFunc(ids, func(id testID) bool { return t.ended[id] == action })
}

var position = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// complaint is what a failed test said from its first complaint on: before it there may be any number of lines that were logged.
func complaint(output string) string {
	rest := output
	for line := range strings.Lines(output) {
		if position.MatchString(line) {
			return rest
		}
		rest = rest[len(line):]
	}
	return output
}

// short keeps the beginning and the end of what a failed test said: the summary is often all that is left of a run.
func short(said string) string {
	const end = 400
	runes := []rune(said)
	if len(runes) <= 2*end {
		return said
	}
	return string(runes[:end]) + " ... " + string(runes[len(runes)-end:])
}

// reason finds what a test that was skipped or failed said in its output.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, position.ReplaceAllString(line, ""))
	}
	if len(said) == 0 {
		return "it does not say why"
	}
	return strings.Join(said, " ")
}
