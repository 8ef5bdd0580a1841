// Package chaos breaks things under campaigns, on real hosts and on the simulated fleet, one fault in one step at a time, and has each run
// judged by the oracle, which reads what the hosts recorded. It runs rollpatch as it was built, from outside; it must not know its code.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/testenv/load"
)

// Options say what to run.
type Options struct {
	Only   string // faults by their ids, with or without a step: "F16,F21/soak"; empty: all
	Dir    string // everything it writes; emptied first
	Report string // file of the report
	Bin    string // folder of the built rollpatch and rollpatchd
	Lanes  int    // runs on simulated hosts at the same time, each with a fleet of its own; default 1
	Kind   string // estate.Real, estate.Sim, or "" for both where real hosts can be had
}

// rate of the traffic under every run, in requests per second: less where several fleets and their traffic share the machine.
func rate(hosts string) int {
	if hosts == estate.Real {
		return 200
	}
	return 50
}

// Run runs the faults and reports; failed is how many rows did not pass.
func Run(ctx context.Context, o Options, out io.Writer) (failed int, err error) {
	faults, lacking, err := choose(o.Only, o.Kind)
	if err != nil {
		return 0, err
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return 0, err
	}
	var jobs []job
	for _, f := range faults {
		for _, step := range f.Steps {
			jobs = append(jobs, job{Fault: f, step: step, short: f.short(step)})
		}
	}
	began := time.Now()
	rows := make([]Row, len(jobs))
	screen := newScreen(out)
	if lacking != "" {
		screen.say("without real hosts: " + lacking)
	}
	// The machine has room for one lab beside the fleets.
	var lanes sync.WaitGroup
	for kind, n := range map[string]int{estate.Real: 1, estate.Sim: max(1, o.Lanes)} {
		next := make(chan int)
		go func() {
			defer close(next)
			for i := range jobs {
				if jobs[i].hosts() != kind || jobs[i].ID == seedsID {
					continue
				}
				select {
				case next <- i:
				case <-ctx.Done():
					return
				}
			}
		}()
		for n := range n {
			lanes.Go(func() {
				l := &lane{opts: o, kind: kind, no: n}
				defer l.close()
				for i := range next {
					row := l.run(ctx, jobs[i])
					if ctx.Err() != nil {
						return // what was broken off says nothing
					}
					rows[i] = row
					screen.progress(row)
				}
			})
		}
	}
	lanes.Wait()
	// They take the whole machine.
	for _, j := range jobs {
		if j.ID == seedsID && ctx.Err() == nil {
			rows = append(rows, o.live(ctx, j, screen)...)
		}
	}
	r := Report{Seconds: round(time.Since(began))}
	for _, row := range rows {
		switch {
		case row.Fault == "": // an end came before its turn
			continue
		case row.Passed:
			r.Passed++
		default:
			r.Failed++
		}
		r.count(row)
	}
	screen.table(r)
	if o.Report != "" {
		err = r.write(o.Report)
	}
	return r.Failed, errors.Join(err, ctx.Err())
}

// live is a row for each of some random worlds.
func (o Options) live(ctx context.Context, j job, screen *screen) []Row {
	l, err := live(ctx, filepath.Join(o.Dir, "seeds-"+j.step.Name), o.Bin, "127.90", seedsOf(j.step))
	switch {
	case ctx.Err() != nil:
		return nil // what was broken off says nothing
	case err != nil:
		row := Row{Fault: seedsID, Name: j.Name, Step: j.step.Name, Hosts: estate.Sim, Problems: []string{err.Error()}}
		screen.progress(row)
		return []Row{row}
	}
	for n := range l.Rows {
		if l.Rows[n].Passed {
			continue
		}
		l.Rows[n].Log = filepath.Join(o.Dir, "seed-"+l.Rows[n].Step+".log")
		if err := os.WriteFile(l.Rows[n].Log, []byte(l.story(n)), 0o644); err != nil {
			l.Rows[n].Problems = append(l.Rows[n].Problems, err.Error())
		}
		screen.progress(l.Rows[n])
	}
	screen.say(fmt.Sprintf("%s: %d campaigns, rollpatchd killed %d times; they ended %v", j.step.Name, len(l.Rows), l.Kills, l.ends()))
	return l.Rows
}

// job is one row to come.
type job struct {
	Fault
	step Step
	// short: the campaign is aborted once its canary soaks. What its peers would show of the fault is left to the whole list.
	short bool
}

// lane runs one row after the other, on one estate for as long as nothing went wrong on it.
type lane struct {
	opts      Options
	kind      string
	no, count int
	scene     *scene
}

func (l *lane) close() {
	if l.scene != nil {
		_ = l.scene.close() // its processes end with ours at the latest
		l.scene = nil
	}
}

// estate is one like new for this job.
func (l *lane) estate(ctx context.Context, j job) (err error) {
	if l.scene == nil {
		l.count++
		dir := filepath.Join(l.opts.Dir, fmt.Sprintf("%s-%d-%d", l.kind, l.no, l.count))
		if l.scene, err = open(ctx, l.kind, dir, l.opts.Bin, fmt.Sprintf("127.%d", 80+l.no)); err != nil {
			return err
		}
	}
	return l.scene.apart(ctx, j.Workers)
}

// run is one row.
func (l *lane) run(ctx context.Context, j job) Row {
	row := Row{Fault: j.ID, Name: j.Name, Step: j.step.Name, Hosts: j.hosts()}
	began := time.Now()
	var other string
	var err error
	if j.Another {
		other, err = estate.Another(ctx, l.opts.Bin) // which takes as long as a compiler does
	}
	ctx, cancel := context.WithTimeout(ctx, j.limit()+time.Minute)
	defer cancel()
	if err == nil {
		err = l.estate(ctx, j)
	}
	if err == nil {
		l.scene.other = other
		name := strings.ToLower(j.ID + "-" + j.step.Name)
		if err = l.scene.enter(ctx, name); err == nil {
			l.scene.play(j, &row)
		}
		l.scene.leave()
	}
	if err != nil {
		row.Problems = append(row.Problems, err.Error())
	}
	row.Took = round(time.Since(began))
	row.Passed = len(row.Problems) == 0
	row.Log = l.keep(j, row.Passed)
	if !row.Passed || j.Leaves {
		l.close() // what is left of it would be in the way of the next one
	}
	return row
}

// keep writes down what happened, and what the runs on a real canary said where it did not pass.
func (l *lane) keep(j job, passed bool) string {
	if l.scene == nil {
		return ""
	}
	var b strings.Builder
	for _, e := range l.scene.log() {
		fmt.Fprintln(&b, e)
	}
	if l.scene.lab != nil && !passed {
		said, err := l.scene.lab.Exec(context.WithoutCancel(l.scene.ctx), canary, "sh", "-c", "cd /var/lib/rollpatch/runs && tail -n 40 */stderr")
		fmt.Fprintf(&b, "\nruns on %s: %v\n%s", canary, err, said)
	}
	name := strings.Map(func(r rune) rune {
		if r == ' ' || r == '/' || r == '\'' {
			return '-'
		}
		return r
	}, j.ID+"-"+j.Name+"-"+j.step.Name+"-"+j.hosts())
	path := filepath.Join(l.opts.Dir, name+".log")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return ""
	}
	return path
}

// play is the run itself.
func (s *scene) play(j job, row *Row) {
	problem := func(err error) bool {
		if err != nil {
			row.Problems = append(row.Problems, err.Error())
		}
		return err != nil
	}
	if problem(s.publish(j.version())) {
		return
	}
	s.step = j.step.Name
	traffic := load.Start(s.ctx, s.WebURL(), rate(j.hosts()))
	cleared := s.act(j, problem)
	ends := j.mayEnd
	if j.short && s.soaks(j) {
		problem(s.say("abort"))
		ends = func(outcome string) bool { return outcome == "aborted" }
	}
	if s.instance != "" {
		if j.End != nil {
			problem(j.End(s))
		} else {
			problem(s.ends(j.limit()))
		}
		s.finish()
	}
	result := traffic.Stop()
	row.Sent, row.Lost = result.Sent, result.Failed
	row.Ended = s.outcome
	log := s.log()
	if s.outcome != "" && !ends(s.outcome) {
		row.Problems = append(row.Problems, fmt.Sprintf("the campaign is %s: %s", s.outcome, endReason(log, s.instance)))
	}
	row.Judged = j.ID != "F0" && !s.hitAt.IsZero()
	told := facts()
	told.Return = j.Return
	for _, v := range oracle.Check(log, told) {
		row.Violations = append(row.Violations, v)
		row.Problems = append(row.Problems, v.String())
	}
	if j.Holds != nil {
		row.Problems = append(row.Problems, j.Holds(s, log)...)
	}
	if s.outcome == "done" && j.ID != "F28" {
		row.Problems = append(row.Problems, s.at(j.version())...)
	}
	if !j.loses(j.step) && row.Lost > 0 {
		row.Problems = append(row.Problems, fmt.Sprintf("%d of %d requests failed: %v", row.Lost, row.Sent, result.Errors))
	}
	if !cleared.IsZero() {
		row.Recovered = s.recovered(cleared)
		if j.Within > 0 && (row.Recovered == nil || *row.Recovered > j.Within.Seconds()) {
			row.Problems = append(row.Problems, fmt.Sprintf("work did not go on within %s", j.Within))
		}
	}
}

// publish has something pending on every host that the campaign is about.
func (s *scene) publish(version string) error {
	err := s.Publish(s.ctx, version)
	if s.fleet != nil {
		// This gives the members of the other cluster something to do as well.
		err = errors.Join(err, s.fleet.Publish(s.ctx, "security"))
	}
	return err
}

// act brings the fault about, in its step, and ends it. It returns when that was done.
func (s *scene) act(j job, problem func(error) bool) (cleared time.Time) {
	ctx := s.ctx
	limited, cancel := context.WithTimeout(ctx, j.limit())
	s.ctx = limited
	defer func() { cancel(); s.ctx = ctx }()
	if j.Setup != nil && problem(j.Setup(s)) {
		return cleared
	}
	begin := (*scene).begin
	if j.Begin != nil {
		begin = j.Begin
	}
	if problem(begin(s)) || j.step.at != nil && problem(j.step.at(s)) {
		return cleared
	}
	s.hitAt = time.Now()
	if s.fleet != nil {
		s.hit = s.fleet.Recorded()
	}
	if j.Inject == nil {
		return cleared
	}
	s.note(oracle.Event{Kind: "fault", Text: j.ID + " " + j.Name + " in " + j.step.Name})
	problem(j.Inject(s))
	if j.Clear == nil {
		return time.Now()
	}
	if j.Until != nil {
		problem(j.Until(s))
	} else {
		problem(s.lasts(j.Lasts))
	}
	cleared = time.Now()
	s.note(oracle.Event{Kind: "over", Text: j.ID + " " + j.Name})
	problem(j.Clear(s))
	return cleared
}

// recovered is how long after the fault's end the first sign came that the work on the canary went on.
func (s *scene) recovered(over time.Time) *float64 {
	var first time.Time
	sign := func(at time.Time, is bool) {
		if is && at.After(over) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if s.watch != nil {
		for _, l := range s.watch.lines() {
			sign(l.at, l.host == canary && (l.what == "login" || l.what == "acts"))
		}
		for _, e := range s.log() {
			switch e.Kind {
			case oracle.Drained, oracle.Undrained, oracle.Noted, oracle.Forgotten:
				sign(e.Time, e.Host == canary)
			case oracle.Taken, oracle.Released:
				sign(e.Time, e.Cluster == "web")
			}
		}
	} else {
		for _, c := range s.fleet.Calls()[s.from:] {
			sign(c.Time, c.Host == canary && acts(c) || strings.HasPrefix(c.Event, "kv ") && (c.Text == claims+"cluster/web" || c.Text == claims+"drain/"+canary))
		}
	}
	if first.IsZero() {
		return nil
	}
	seconds := round(first.Sub(over))
	return &seconds
}

// soaks waits until the canary soaks; false if the campaign comes to its end before that.
func (s *scene) soaks(j job) bool {
	ctx, cancel := context.WithTimeout(s.ctx, j.limit())
	defer cancel()
	soaks := false
	_ = s.every(ctx, seldom, "the soak", func(ctx context.Context) error { // whatever it is instead shows at the end
		st, err := s.query(ctx, clusterID(s.instance, "web"))
		soaks = st.Phase == "soak"
		if err == nil && !soaks && st.Outcome == "" && st.Phase != "release" {
			err = errors.New("not yet")
		}
		return err
	})
	return soaks
}

// at: every member of web has this version, wholly.
func (s *scene) at(version string) (problems []string) {
	for _, host := range clusters()[0].Members {
		v, err := s.Versions(s.ctx, host)
		if err != nil || v["lab-web"] != version || v["lab-web-data"] != version {
			problems = append(problems, fmt.Sprintf("%s is at %q and %q of %s: %v", host, v["lab-web"], v["lab-web-data"], version, err))
		}
	}
	return problems
}

func endReason(log []oracle.Event, instance string) string {
	for _, e := range log {
		if e.Kind == oracle.Ended && e.Instance == instance {
			return e.Text
		}
	}
	return "no reason"
}
