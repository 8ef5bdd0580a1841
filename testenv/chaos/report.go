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
)

// Report is what a whole run found.
type Report struct {
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
	Rows    []Row   `json:"rows"`
}

// Row is one fault in one step.
type Row struct {
	Fault string `json:"fault"`
	Name  string `json:"name"`
	Step  string `json:"step"`
	Hosts string `json:"hosts,omitempty"` // real or sim

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

// progress shows a row when it is through.
func (s *screen) progress(r Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%-4s %s %s in %s: %s, %.1f s\n", r.verdict(), r.Fault, r.Name, r.Step, dash(r.Ended), r.Took)
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
	fmt.Fprintln(t, "fault\twhat\tstep\toutcome\tcampaign\trecovered s\tlost")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", row.Fault, row.Name, row.Step, row.verdict(), dash(row.Ended), row.recovered(), row.Lost)
	}
	_ = t.Flush() // a screen that is gone stops nothing
	fmt.Fprintf(s.out, "\n%d passed, %d failed\n", r.Passed, r.Failed)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
