package testrun

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// result is how one group went.
type result struct {
	Name    string  `json:"name"`
	Run     int     `json:"run"`
	Passed  int     `json:"passed"`
	Skipped int     `json:"skipped"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
	// Why has a sentence for everything skipped or failed.
	Why []string `json:"why"`
}

func newResult(name string) result { return result{Name: name, Why: []string{}} }

func (r *result) skip(what, why string) {
	r.Skipped++
	r.Why = append(r.Why, fmt.Sprintf("skipped: %s: %s", what, why))
}

func (r *result) fail(what, why string) {
	r.Failed++
	sentence := "failed: " + what
	if why != "" {
		sentence += ": " + why
	}
	r.Why = append(r.Why, sentence)
}

// report is what build/test.json holds.
type report struct {
	// Lab is what the tests had: real hosts, or the simulated fleet.
	Lab        string   `json:"lab"`
	Asked      string   `json:"lab_asked"`
	LabMissing string   `json:"lab_missing,omitempty"`
	Groups     []result `json:"groups"`
	Passed     int      `json:"passed"`
	Failed     int      `json:"failed"`
	Skipped    int      `json:"skipped"`
}

// finish adds up the groups. What an interrupt left out counts as failed: the
// numbers must never look better than the run was.
func (r *report) finish(chosen []group, interrupted error) {
	if interrupted != nil {
		for _, g := range chosen {
			if slices.ContainsFunc(r.Groups, func(ran result) bool { return ran.Name == g.name }) {
				continue
			}
			left := newResult(g.name)
			left.fail(g.name, "not run: interrupted")
			r.Groups = append(r.Groups, left)
		}
	}
	for _, g := range r.Groups {
		r.Passed += g.Passed
		r.Failed += g.Failed
		r.Skipped += g.Skipped
	}
}

func (r *report) write(path string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(body, '\n'), 0o644)
}

// print ends with a line that has nothing but the three numbers.
func (r *report) print(w io.Writer) {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "group\trun\tpassed\tskipped\tfailed\tseconds")
	for _, g := range r.Groups {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%.0f\n", g.Name, g.Run, g.Passed, g.Skipped, g.Failed, g.Seconds)
	}
	table.Flush()
	for _, g := range r.Groups {
		for _, why := range g.Why {
			fmt.Fprintf(w, "%s: %s\n", g.Name, why)
		}
	}
	if r.LabMissing != "" && r.Asked == labAuto {
		fmt.Fprintf(w, "%s; the simulated fleet stood in, which leaves apt, dpkg, systemd, reboots and Consul itself unproven\n", r.LabMissing)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", r.Passed, r.Failed, r.Skipped)
}
