package calendar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// LeastRuns is how many runs must be measured before they count for more than the file.
	LeastRuns = 5
	// mostRuns is how many of a platform are kept, of patches and of ways back each, and runsKept is for how long.
	mostRuns = 50
	runsKept = 400 * 24 * time.Hour
	// leastTime is what a host is taken to need at least, whatever was measured, where the file's figure is not less.
	leastTime = 5 * time.Minute
)

// Run is how long one member took, by step, without what it waited for: a patch from the first look at its host to its undrain, or a way back.
type Run struct {
	Instance string           `json:"instance"`
	Cluster  string           `json:"cluster"`
	Host     string           `json:"host"`
	Platform string           `json:"platform"`
	At       time.Time        `json:"at"`
	Backout  bool             `json:"backout,omitempty"`
	Steps    map[string]int64 `json:"steps"` // milliseconds
}

// before are the steps that are through before a member is drained.
var before = []string{"inspect", "fetch"}

// whole is all of it, and out what follows once the member may be drained.
func (r Run) whole() time.Duration { return r.sum(nil) }
func (r Run) out() time.Duration   { return r.sum(before) }

func (r Run) sum(without []string) time.Duration {
	var ms int64
	for step, took := range r.Steps {
		if !slices.Contains(without, step) {
			ms += took
		}
	}
	return time.Duration(ms) * time.Millisecond
}

// same says that both are about the same way of the same member.
func (r Run) same(o Run) bool {
	return r.Instance == o.Instance && r.Cluster == o.Cluster && r.Host == o.Host && r.Backout == o.Backout && r.At.Equal(o.At)
}

// Record is the runs that are kept of a cluster, or of a platform, the oldest first.
type Record struct {
	Runs []Run `json:"runs"`
}

// With adds runs to a record, each once, and leaves out what is too old or too much.
func (r Record) With(more []Run, now time.Time) Record {
	var all []Run
	for _, run := range slices.Concat(r.Runs, more) {
		if now.Sub(run.At) < runsKept && !slices.ContainsFunc(all, run.same) {
			all = append(all, run)
		}
	}
	slices.SortStableFunc(all, func(a, b Run) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Host, b.Host)) })
	type kind struct {
		platform string
		backout  bool
	}
	kept := map[kind]int{}
	var out []Run
	for _, run := range slices.Backward(all) {
		k := kind{run.Platform, run.Backout}
		if kept[k]++; kept[k] <= mostRuns {
			out = append(out, run)
		}
	}
	slices.Reverse(out)
	return Record{Runs: out}
}

// Platform is the one that a host had in its last run, or where none of it is known, the one of the last run of any.
func (r Record) Platform(host string) string {
	last := ""
	for _, run := range slices.Backward(r.Runs) {
		if run.Host == host {
			return run.Platform
		}
		if last == "" {
			last = run.Platform
		}
	}
	return last
}

// On is the runs on a platform.
func (r Record) On(platform string) []Run {
	var out []Run
	for _, run := range r.Runs {
		if run.Platform == platform {
			out = append(out, run)
		}
	}
	return out
}

// Estimate is how long a host is taken to need, and how that is known.
type Estimate struct {
	Need
	// Out is how much of the work is left once the member may be drained; zero: it was not measured.
	Out         time.Duration `json:"out,omitempty"`
	WorkFrom    string        `json:"work_from"`
	BackoutFrom string        `json:"backout_from"`
}

// String says what is estimated, and from what: 12m (p95 of 37 runs on debian 12 amd64), 15m for a backout (the file's: 1 of 5 runs measured).
func (e Estimate) String() string {
	if e.WorkFrom == e.BackoutFrom {
		return Length(e.Work) + ", " + Length(e.Backout) + " for a backout (" + e.WorkFrom + ")"
	}
	return Length(e.Work) + " (" + e.WorkFrom + "), " + Length(e.Backout) + " for a backout (" + e.BackoutFrom + ")"
}

// OfFile is the file's figures, and why nothing else counts.
func OfFile(file Need, why string) Estimate {
	return Estimate{Need: file, WorkFrom: theFiles + why, BackoutFrom: theFiles + why}
}

const theFiles = "the file's: "

// Scope is runs that may say how long a host needs.
type Scope struct {
	Of   string // what they are runs on, in words
	Runs []Run
}

// Measure works the estimate out. The first scope with enough runs counts, for work and for ways back each; where none has enough, the file
// does.
func Measure(file Need, scopes ...Scope) Estimate {
	var e Estimate
	e.Work, e.WorkFrom = measure(file.Work, scopes, false, Run.whole)
	e.Backout, e.BackoutFrom = measure(file.Backout, scopes, true, Run.whole)
	if e.Measured() {
		e.Out, _ = measure(file.Work, scopes, false, Run.out)
	}
	return e
}

func measure(file time.Duration, scopes []Scope, backout bool, length func(Run) time.Duration) (time.Duration, string) {
	most := 0
	for _, s := range scopes {
		var took []time.Duration
		for _, r := range s.Runs {
			if r.Backout == backout {
				took = append(took, length(r))
			}
		}
		if len(took) >= LeastRuns {
			return max(rounded(p95(took)), min(leastTime, file)), fmt.Sprintf("p95 of %d runs on %s", len(took), s.Of)
		}
		most = max(most, len(took))
	}
	return file, fmt.Sprintf("%s%d of %d runs measured", theFiles, most, LeastRuns)
}

// p95 is the nearest rank: the least of them that 95 of a hundred do not exceed.
func p95(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[(len(all)*95+99)/100-1]
}

// rounded is a measured time as people estimate one: whole minutes, or below a minute whole seconds, and never less than it took.
func rounded(d time.Duration) time.Duration {
	unit := time.Minute
	if d < unit {
		unit = time.Second
	}
	return (d + unit - 1) / unit * unit
}

// Measured says that the work is what runs took, and not what a file says.
func (e Estimate) Measured() bool { return !strings.HasPrefix(e.WorkFrom, theFiles) }
