package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
)

// Report is what a whole run found.
type Report struct {
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
	// Runs are how many runs under a fault the oracle judged, by the hosts they were on, and Twice how often it saw a script or a reboot
	// run more often than a run may (P6).
	Runs  map[string]int `json:"faulted_runs"`
	Twice int            `json:"p6_violations"`
	Rows  []Row          `json:"rows"`
}

// count adds a row. One whose fault never hit, since nothing was wrong or the step never came, is no run under a fault.
func (r *Report) count(row Row) {
	r.Rows = append(r.Rows, row)
	if row.Judged {
		if r.Runs == nil {
			r.Runs = map[string]int{}
		}
		r.Runs[row.Hosts]++
	}
	for _, v := range row.Violations {
		if v.Promise == "P6" {
			r.Twice++
		}
	}
}

// Row is one fault in one step.
type Row struct {
	Fault string `json:"fault"`
	Name  string `json:"name"`
	Step  string `json:"step"`
	Hosts string `json:"hosts,omitempty"` // real or sim

	Judged     bool               `json:"judged"` // a fault hit, and the oracle read what came of it
	Passed     bool               `json:"passed"`
	Ended      string             `json:"ended"`                       // the campaign's outcome
	Recovered  *float64           `json:"recovered_seconds,omitempty"` // from the fault's end until work went on
	Sent       int                `json:"sent"`
	Lost       int                `json:"lost"` // requests
	Took       float64            `json:"took_seconds"`
	Violations []oracle.Violation `json:"violations,omitempty"`
	Problems   []string           `json:"problems,omitempty"`
	Log        string             `json:"log,omitempty"` // what the oracle read
}

func (r Report) write(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func round(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }

// screen is where people watch.
type screen struct {
	mu  sync.Mutex
	out io.Writer
}

func newScreen(out io.Writer) *screen { return &screen{out: out} }

func (r Row) verdict() string {
	if r.Passed {
		return "ok"
	}
	return "FAIL"
}

func (r Row) recovered() string {
	if r.Recovered == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *r.Recovered)
}

func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, text)
}

// progress shows a row when it is through.
func (s *screen) progress(r Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%-4s %s %s in %s (%s): %s, %.1f s\n", r.verdict(), r.Fault, r.Name, r.Step, r.Hosts, dash(r.Ended), r.Took)
	for _, p := range r.Problems {
		fmt.Fprintf(s.out, "       %s\n", p)
	}
	if !r.Passed && r.Log != "" {
		fmt.Fprintf(s.out, "       its log is %s\n", r.Log)
	}
}

// table shows all of them, and last the count.
func (s *screen) table(r Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out)
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "fault\twhat\thosts\tstep\toutcome\tcampaign\trecovered s\tlost")
	seeds := 0
	for _, row := range r.Rows {
		if row.Fault == seedsID && row.Passed {
			seeds++ // too many to show
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", row.Fault, row.Name, row.Hosts, row.Step, row.verdict(), dash(row.Ended), row.recovered(), row.Lost)
	}
	if seeds > 0 {
		fmt.Fprintf(t, "%s\t%d random worlds\tsim\t-\tok\t-\t-\t-\n", seedsID, seeds)
	}
	_ = t.Flush() // a screen that is gone stops nothing
	fmt.Fprintln(s.out)
	for _, hosts := range sorted(r.Runs) {
		fmt.Fprintf(s.out, "%d runs under a fault on %s hosts\n", r.Runs[hosts], map[string]string{estate.Real: "real", estate.Sim: "simulated"}[hosts])
	}
	fmt.Fprintf(s.out, "P6 violated %d times\n%d passed, %d failed\n", r.Twice, r.Passed, r.Failed)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
