package file

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

// Finding is one thing that is wrong in a file, for the person who wrote it.
type Finding struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Path is what is wrong, in the file's own spelling (hosts[1].name); empty for the file as a whole.
	Path string `json:"path,omitempty"`
	Msg  string `json:"msg"`
}

// Error writes the finding as file:line: path: message.
func (f Finding) Error() string {
	if f.Path == "" {
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Msg)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Path, f.Msg)
}

// Findings is everything that is wrong, file after file, each sorted by line.
type Findings []Finding

// Error writes one finding per line.
func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i, finding := range f {
		lines[i] = finding.Error()
	}
	return strings.Join(lines, "\n")
}

// place is where a value was written.
type place struct {
	file int // index into the sources, which is the order that findings are told in
	line int
	path string // in the file's own spelling
}

// places finds where a value was written by its path in the value read, which differs from the path in its file where several files are merged.
type places map[string]place

// of is where path was written, or where the nearest value around it was.
func (p places) of(path string) place {
	for around := path; around != ""; around = parent(around) {
		if at, ok := p[around]; ok {
			at.path = strings.TrimPrefix(at.path+path[len(around):], ".")
			return at
		}
	}
	at := p[""]
	at.path = path
	return at
}

// parent cuts the last step off a path.
func parent(path string) string {
	switch {
	case strings.HasSuffix(path, `"]`):
		return path[:max(0, strings.LastIndex(path, `["`))]
	case strings.HasSuffix(path, "]"):
		return path[:max(0, strings.LastIndex(path, "["))]
	default:
		return path[:max(0, strings.LastIndex(path, "."))]
	}
}

// ledger collects findings, and which paths they are about.
type ledger struct {
	sources []string
	places  places
	found   []found
	broken  []string
}

type found struct {
	at  place
	msg string
}

func (l *ledger) add(at place, format string, args ...any) {
	l.found = append(l.found, found{at: at, msg: fmt.Sprintf(format, args...)})
}

// problems turns the rules that a value breaks into findings. What is about a value that could not even be read is left out: the rule
// judged what was never written.
func (l *ledger) problems(problems []inventory.Problem) {
	for _, p := range problems {
		if slices.ContainsFunc(l.broken, func(path string) bool {
			return within(p.Path, path) || within(path, p.Path) || p.Unless != "" && within(path, p.Unless)
		}) {
			continue
		}
		at, msg := l.places.of(p.Path), p.Msg
		if p.See != "" {
			see := l.places.of(p.See)
			if see.file == at.file {
				msg += fmt.Sprintf(" on line %d", see.line)
			} else {
				msg += fmt.Sprintf(" on %s:%d", l.sources[see.file], see.line)
			}
		}
		l.add(at, "%s", msg)
	}
}

// within reports whether path is around or something in it.
func within(path, around string) bool {
	rest, ok := strings.CutPrefix(path, around)
	return ok && (rest == "" || around == "" || rest[0] == '.' || rest[0] == '[')
}

// err is all that was found, sorted, or nil.
func (l *ledger) err() error {
	if len(l.found) == 0 {
		return nil
	}
	slices.SortStableFunc(l.found, func(a, b found) int {
		if a.at.file != b.at.file {
			return a.at.file - b.at.file
		}
		return a.at.line - b.at.line
	})
	findings := make(Findings, len(l.found))
	for i, f := range l.found {
		findings[i] = Finding{File: l.sources[f.at.file], Line: f.at.line, Path: f.at.path, Msg: f.msg}
	}
	return findings
}
