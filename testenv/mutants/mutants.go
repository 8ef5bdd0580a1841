// Package mutants tests the tests: it takes one guard out of the product at a time, and a test must fail for it. It knows which text
// stands for which guard and which test must notice, and leaves the tree as it is; it must not know what the guards are about.
package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Mutant is one guard, taken out.
type Mutant struct {
	Name string
	// File is the product's, from the top folder; Old stands in it exactly once, and becomes New.
	File, Old, New string
	// Package and Test are who must notice: a pattern as for go test -run.
	Package, Test string
	Flags         []string // of the tests
}

// Outcomes of a mutant.
const (
	caught   = "caught"
	survived = "SURVIVED"
	broken   = "BROKEN" // it could not be tried: nothing is known
)

// Result is what became of one mutant.
type Result struct {
	Mutant
	Outcome string
	By      string // the test that failed first
	Why     string // where it was not caught
	Took    time.Duration
}

// atOnce is how many are compiled and run side by side.
const atOnce = 2

// limit bounds one test binary: a mutant may well run for ever.
const limit = 2 * time.Minute

// Run tries the named mutants, or all, on the project in root, prints a table, and says whether each was caught.
func Run(ctx context.Context, root string, names []string, w io.Writer) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := &trial{root: root, dir: dir, sound: map[string]*soundness{}}
	results := make([]Result, len(chosen))
	next, all := make(chan int), sync.WaitGroup{}
	for range atOnce {
		all.Go(func() {
			for i := range next {
				begin := time.Now()
				results[i] = t.try(ctx, i, chosen[i])
				results[i].Took = time.Since(begin)
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	all.Wait()
	return report(results, w)
}

func choose(names []string) ([]Mutant, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []Mutant
	for _, name := range names {
		i := slices.IndexFunc(all, func(m Mutant) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no mutant %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func report(results []Result, w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "guard taken out\tfile\toutcome\tby\tseconds")
	n := 0
	var bad []error
	for _, r := range results {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%.1f\n", r.Name, r.File, r.Outcome, r.By, r.Took.Seconds())
		if r.Outcome == caught {
			n++
		} else {
			bad = append(bad, fmt.Errorf("%s: %s: %s", r.Name, r.Outcome, r.Why))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	err := errors.Join(bad...)
	if err != nil {
		fmt.Fprintf(w, "\n%v\n", err)
	}
	fmt.Fprintf(w, "\n%d of %d caught\n", n, len(results))
	return err
}

// trial is one run over the mutants.
type trial struct {
	root, dir string

	mu    sync.Mutex
	sound map[string]*soundness // by package, test and flags
}

// soundness is whether a test passes while nothing is taken out: one that fails anyway catches nothing.
type soundness struct {
	once sync.Once
	err  error
}

func (t *trial) try(ctx context.Context, i int, m Mutant) Result {
	r := Result{Mutant: m, Outcome: broken}
	if err := t.passes(ctx, m); err != nil {
		r.Why = err.Error()
		return r
	}
	folder := filepath.Join(t.dir, fmt.Sprint(i))
	overlay, err := m.overlay(t.root, folder)
	if err != nil {
		r.Why = err.Error()
		return r
	}
	bin := filepath.Join(folder, "test")
	if err := t.compile(ctx, m.Package, bin, "-overlay", overlay); err != nil {
		r.Why = "it does not compile, which proves nothing: " + err.Error()
		return r
	}
	out, err := t.run(ctx, m, bin)
	if by := failedTest(out); err != nil && by != "" {
		r.Outcome, r.By = caught, by
		return r
	}
	r.Why = last(out)
	if err == nil {
		r.Outcome, r.Why = survived, fmt.Sprintf("go test %s -run '%s' passes without it", m.Package, m.Test)
	}
	return r
}

// overlay writes the mutated file and go's description of it.
func (m Mutant) overlay(root, folder string) (string, error) {
	path, err := filepath.Abs(filepath.Join(root, m.File))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(source, []byte(m.Old)); n != 1 {
		return "", fmt.Errorf("%s holds %q %d times, want once: say in testenv/mutants/table.go what the guard is now", m.File, m.Old, n)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	mutated := filepath.Join(folder, filepath.Base(m.File))
	if err := os.WriteFile(mutated, bytes.Replace(source, []byte(m.Old), []byte(m.New), 1), 0o644); err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(folder, "overlay.json")
	return overlay, os.WriteFile(overlay, body, 0o644)
}

// passes holds that the test runs, and passes, while nothing is taken out.
func (t *trial) passes(ctx context.Context, m Mutant) error {
	key := fmt.Sprint(m.Package, m.Test, m.Flags)
	t.mu.Lock()
	s := t.sound[key]
	if s == nil {
		s = &soundness{}
		t.sound[key] = s
	}
	n := len(t.sound)
	t.mu.Unlock()
	s.once.Do(func() {
		bin := filepath.Join(t.dir, fmt.Sprint("sound-", n))
		if s.err = t.compile(ctx, m.Package, bin); s.err != nil {
			return
		}
		out, err := t.run(ctx, m, bin)
		switch {
		case err != nil:
			s.err = fmt.Errorf("it fails with nothing taken out: %s", last(out))
		case !strings.Contains(out, "--- PASS: "):
			s.err = fmt.Errorf("go test %s -run '%s' runs nothing: %s", m.Package, m.Test, last(out))
		}
	})
	return s.err
}

func (t *trial) compile(ctx context.Context, pkg, bin string, flags ...string) error {
	args := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", bin}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = t.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func (t *trial) run(ctx context.Context, m Mutant, bin string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, append([]string{"-test.v", "-test.failfast", "-test.run=" + m.Test, "-test.timeout=" + limit.String()}, m.Flags...)...)
	cmd.Dir = filepath.Join(t.root, m.Package)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// failedTest is the first test that says so, or the one that was on when all of them fell over, or went on for too long.
func failedTest(out string) string {
	running := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
		if name, ok := strings.CutPrefix(line, "=== RUN "); ok {
			running = strings.TrimSpace(name)
		}
		if strings.HasPrefix(line, "panic: ") && running != "" {
			return running + " (panic)"
		}
	}
	return ""
}

// last is the end of an output.
func last(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
