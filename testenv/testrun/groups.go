package testrun

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// group is a set of tests that one command runs.
type group struct {
	name, about string
	// packages are go list patterns; one that starts with - takes packages out again.
	packages []string
	match    string // names of tests that belong to it, as for go test -run
	except   string // names that do not, as for go test -skip
	race     bool
	// hosts is set where the tests want hosts to work on. There LAB=real turns a
	// skipped test into a failed one; elsewhere only a test that looks for LAB=real
	// itself.
	hosts bool
	// fixed is the LAB of a group that wants no other, whatever was asked for.
	fixed string
	// binaries is set where the tests start what was built: a result from go's
	// cache would say nothing about it.
	binaries bool
	timeout  time.Duration
	// lane, where given, lets the group run beside the neighbours in other lanes: they mostly wait, for hosts and for time.
	lane string
	// flags are those of the tests themselves.
	flags []string
	// checks, where given, are run instead of tests.
	checks []check
}

// hostTests are the names of tests that bring up a lab, wherever they are.
const hostTests = `^Test(Lab|Rolling|Change|Knows|Fault)`

// ofWorkflows are the names of campaigns whose point is the workflows and what is kept of them, and not what hosts make of it.
const ofWorkflows = "^TestChange(EmergencyTakesOver|FetchedAhead|FreezeBroken|FreezeInMidSoak|HookAndReport|Scheduled.*|StagingFirst|StandingApproval)$|^TestRolling(AbortInSoak|CampaignTerminated|ClaimBroken" +
	"|ClusterTerminated|ClusterTerminatedInSoak|ContinuedAsNew|CtrlCLeavesTheCampaignRunning|Freeze|FrozenWhileDrained|MemberTerminated|QuarantineRetired|SameFileTwicePatchesTwice|Solo.*|SoakRejected)$"

const buildGroup = "build"

// consul builds the Consul that the lab runs and that unit tests run against,
// before either needs it. With simulated hosts nobody waits for its compiler:
// the unit tests take one that is there, or skip.
func consul(ctx context.Context, m machine) (string, error) {
	const standIn = "simulated hosts bring a stand-in"
	switch {
	case m.asked == labSim:
		return "LAB=sim: " + standIn, nil
	case m.asked == labAuto && m.lab == labSim:
		return m.missing + ": " + standIn, nil
	}
	_, err := m.consul(ctx, m.log)
	return "", err
}

// groups are all there is, in the order in which they run: what is quick to
// fail comes first.
var groups = []group{
	{
		name: "lint", about: "format, vet, staticcheck, workflowcheck, shellcheck, govulncheck, go.mod",
		checks: lintChecks,
	},
	{
		name: buildGroup, about: "the binaries that the tests below start",
		checks: []check{{"make build", tool("make", "build")}, {"Consul", consul}},
	},
	{
		name: "unit", about: "every package by itself, under the race detector",
		packages: []string{"./...", "-./cmd/rollpatchd/...", "-./testenv/e2e"},
		except:   hostTests,
		race:     true,
		timeout:  10 * time.Minute,
	},
	{
		name: "rollpatchd", about: "the built rollpatchd as a process: start, kill, restart, refusals",
		packages: []string{"./cmd/rollpatchd/..."},
		binaries: true,
		timeout:  5 * time.Minute,
	},
	{
		name: "simulation", about: "the rules of the rollout in 20,000 random worlds",
		packages: []string{"./workflows/rollout"},
		match:    "^TestSimulation$",
		flags:    []string{"-rollout.seeds=20000"},
		timeout:  5 * time.Minute,
		lane:     "fleet",
	},
	{
		name: "properties", about: "the workflows themselves in 2,000 random worlds",
		packages: []string{"./workflows/property"},
		match:    "^TestWorkflowsInRandomWorlds$",
		flags:    []string{"-workflows.seeds=2000"},
		timeout:  10 * time.Minute,
		lane:     "fleet",
	},
	{
		name: "replay", about: "histories that real servers recorded, replayed by the workflows of today",
		packages: []string{"./workflows"},
		match:    "^TestHistories",
		timeout:  2 * time.Minute,
		lane:     "fleet",
	},
	{
		name: "mutants", about: "one guard of the product taken out at a time: a test must fail for each",
		checks: []check{{"make mutants", tool("make", "mutants")}},
		lane:   "fleet",
	},
	{
		name: "lab", about: "the lab itself, and playbooks and runs on its hosts",
		packages: []string{"./testenv", "./playbooks", "./activities/sshrun"},
		match:    "^TestLab",
		hosts:    true,
		timeout:  10 * time.Minute,
		lane:     "hosts",
	},
	{
		name: "faults", about: "the faults of every run, each in one step, and random worlds, on simulated fleets",
		packages: []string{"./testenv/chaos"},
		match:    "^TestFault",
		binaries: true,
		timeout:  25 * time.Minute,
		lane:     "fleet",
	},
	{
		name: "workflows", about: "whole campaigns whose point is the workflows, over the simulated fleet",
		packages: []string{"./testenv/e2e"},
		match:    ofWorkflows,
		fixed:    labSim,
		binaries: true,
		timeout:  25 * time.Minute,
		lane:     "campaigns",
	},
	{
		name: "rolling", about: "the other campaigns over the lab, through the built binaries",
		packages: []string{"./testenv/e2e"},
		match:    "^Test",
		except:   ofWorkflows,
		hosts:    true,
		binaries: true,
		timeout:  30 * time.Minute,
		lane:     "hosts",
	},
}

func (g group) run(ctx context.Context, m machine, w io.Writer) result {
	begin := time.Now()
	r := newResult(g.name)
	if g.checks != nil {
		g.runChecks(ctx, m, &r, w)
	} else if err := g.runTests(ctx, m, &r, w); err != nil {
		r.fail(g.name, err.Error())
		fmt.Fprintf(w, "FAIL %v\n", err)
	}
	if g.hosts && m.asked == labReal && r.Skipped > 0 {
		r.fail(g.name, fmt.Sprintf("LAB=real: %d skipped", r.Skipped))
	}
	// A pattern that no longer matches anything must not look like success.
	if r.Run+r.Skipped+r.Failed == 0 && ctx.Err() == nil {
		r.fail(g.name, "nothing in it ran")
	}
	r.Seconds = time.Since(begin).Round(100 * time.Millisecond).Seconds()
	return r
}

func (g group) runChecks(ctx context.Context, m machine, r *result, w io.Writer) {
	for _, c := range g.checks {
		begin := time.Now()
		skipped, err := c.run(ctx, m)
		took := time.Since(begin).Round(100 * time.Millisecond)
		switch {
		case err != nil:
			r.Run++
			r.fail(c.name, "see above")
			fmt.Fprintf(w, "FAIL %s (%s)\n%s\n", c.name, took, indent(err.Error()))
		case skipped != "":
			r.skip(c.name, skipped)
			fmt.Fprintf(w, "skip %s: %s\n", c.name, skipped)
		default:
			r.Run++
			r.Passed++
			fmt.Fprintf(w, "ok   %s (%s)\n", c.name, took)
		}
	}
}

func (g group) runTests(ctx context.Context, m machine, r *result, w io.Writer) error {
	if g.hosts && m.asked == labReal && m.lab != labReal {
		return fmt.Errorf("LAB=real: %s", m.missing)
	}
	packages, err := g.list(ctx)
	if err != nil {
		return err
	}
	args := []string{"test", "-json", "-vet=off", "-timeout", g.timeout.String()}
	if g.match != "" {
		args = append(args, "-run", g.match)
	}
	if g.except != "" {
		args = append(args, "-skip", g.except)
	}
	if g.binaries || g.hosts {
		args = append(args, "-count=1")
	}
	if g.hosts {
		args = append(args, "-p", "1") // one lab at a time
	}
	if g.race {
		if missing := m.need(ctx, "gcc", "gcc", "libc6-dev"); missing != "" {
			r.skip("race detector", missing)
			fmt.Fprintf(w, "skip race detector: %s\n", missing)
		} else {
			args = append(args, "-race")
		}
		if err := refuseServer(ctx, packages); err != nil {
			return err
		}
	}
	cmd := command(ctx, "go", append(append(args, packages...), g.flags...)...)
	cmd.Env = append(os.Environ(), "LAB="+g.labOf(m))
	if slices.Contains(args, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1") // the detector is C
	}
	if m.built != "" {
		cmd.Env = append(cmd.Env, "ROLLPATCHD_BIN="+filepath.Join(m.built, "rollpatchd"))
	}
	cmd.Stderr = w
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := readEvents(out, r, w, g.hosts)
	if err := cmd.Wait(); err != nil && r.Failed == 0 {
		return fmt.Errorf("go test: %w", err)
	}
	return readErr
}

// labOf is the LAB that tests are told: their own, what they have, where they want hosts,
// and what was asked for elsewhere.
func (g group) labOf(m machine) string {
	switch {
	case g.fixed != "":
		return g.fixed
	case g.hosts:
		return m.lab
	}
	return m.asked
}

// list resolves the group's patterns.
func (g group) list(ctx context.Context) ([]string, error) {
	var in, out []string
	for _, p := range g.packages {
		if rest, ok := strings.CutPrefix(p, "-"); ok {
			out = append(out, rest)
		} else {
			in = append(in, p)
		}
	}
	packages, err := goList(ctx, in...)
	if err != nil || len(out) == 0 {
		return packages, err
	}
	excluded, err := goList(ctx, out...)
	if err != nil {
		return nil, err
	}
	drop := map[string]bool{}
	for _, p := range excluded {
		drop[p] = true
	}
	var kept []string
	for _, p := range packages {
		if !drop[p] {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

func goList(ctx context.Context, args ...string) ([]string, error) {
	out, err := output(command(ctx, "go", append([]string{"list"}, args...)...))
	return strings.Fields(out), err
}

// refuseServer keeps the Temporal server out of what is compiled for the race
// detector: that compile alone would take longer than all the tests.
func refuseServer(ctx context.Context, packages []string) error {
	const server = "go.temporal.io/server/temporal"
	deps, err := goList(ctx, append([]string{"-deps", "-test", "-f", "{{.ImportPath}}"}, packages...)...)
	if err != nil {
		return err
	}
	for _, d := range deps {
		if d == server {
			return fmt.Errorf("a package under -race imports %s: go list -deps -test -f '{{.ImportPath}} {{.Imports}}' finds it", server)
		}
	}
	return nil
}

// command interrupts its process and all that it started at the end of ctx, so
// that tests can take down what they brought up, and kills it when that takes
// too long. A process group of its own gets the interrupt whole: go test and make
// do not pass one on.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// output returns what cmd wrote to stdout, and what it wrote to stderr as the error's text.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String() + stdout.String())
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said)
	}
	return stdout.String(), nil
}

func indent(s string) string {
	return "     " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n     ")
}
