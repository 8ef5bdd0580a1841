// Package demo shows a patch night on a lab: a good campaign and a bad one while traffic flows, and what each did to the hosts. It
// knows what a user sees and measures the lab itself; it must not know how rollpatch works, which it runs as a user does.
package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rollpatch/rollpatch/testenv/estate"
)

// Options say what to show, and where.
type Options struct {
	Kind   string // estate.Real, estate.Sim, or "" for real hosts where they can be had
	Dir    string // everything that is written but the report
	Report string // the file of the Report
	Bin    string // folder of the built rollpatch and rollpatchd
	Keep   bool   // leave all up at the end, until a line comes in or ctx ends
}

// endLimit bounds a campaign: ten times what one takes here.
const endLimit = 10 * time.Minute

// demo is one showing.
type demo struct {
	*estate.Estate
	opts   Options
	out    *screen
	report Report
}

// Run shows it all. in, which may be nil, is read for the line that ends it. The lab is down when Run returns, whatever happened.
func Run(ctx context.Context, o Options, in io.Reader, out io.Writer) (err error) {
	d := &demo{opts: o, out: &screen{w: out}}
	unlock, err := alone(o)
	if err != nil {
		return err
	}
	defer unlock()
	begun := time.Now()
	if err := d.up(ctx); err != nil {
		return err
	}
	defer func() {
		d.sayf("taking everything down")
		err = errors.Join(err, d.Down())
	}()
	up := time.Since(begun)
	verdict := d.show(ctx)
	if ctx.Err() != nil {
		d.sayf("interrupted: the campaign is abandoned with its lab")
		return ctx.Err()
	}
	d.print("\n")
	d.sayf("that took %.0f s: %.0f s to bring everything up, %.0f s for the campaign, the rest for the bad one", time.Since(begun).Seconds(), up.Seconds(), d.report.Seconds)
	if verdict != nil {
		d.sayf("not as it should be: %v", verdict)
	}
	d.stay(ctx, in)
	return verdict
}

// alone keeps a second demo out of the folder, and clears away what an earlier one left.
func alone(o Options) (unlock func(), err error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another demo is running there")
		}
		return nil, fmt.Errorf("%s: %w", o.Dir, err)
	}
	old, err := filepath.Glob(filepath.Join(o.Dir, "fleet-*"))
	for _, path := range append(old, filepath.Join(o.Dir, "rollpatchd"), o.Report) {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (d *demo) up(ctx context.Context) error {
	e, err := estate.Up(ctx, estate.Options{Kind: d.opts.Kind, Dir: d.opts.Dir, Bin: d.opts.Bin, Log: d.out})
	if err != nil {
		return err
	}
	d.Estate, d.report.Kind, d.report.Lacking = e, e.Kind, e.Lacking
	switch {
	case e.Kind == estate.Real:
		d.sayf("six real Debian hosts, each with its own systemd, sshd and Consul agent")
		return nil
	case e.Lacking != "":
		d.sayf("the hosts are simulated, because %s; %s", e.Lacking, estate.Unproven)
	default:
		d.sayf("the hosts are simulated, as asked for; %s", estate.Unproven)
	}
	d.sayf("they live on this very machine, which rollpatch warns of in its plans")
	d.report.Unproven = estate.Unproven
	return nil
}

// show runs both campaigns, prints what they did and writes the report. Its error says what is not as it should be.
func (d *demo) show(ctx context.Context) error {
	good, bad, solo := d.file("campaign.yaml"), d.file("bad.yaml"), d.file("solo.yaml")
	for path, text := range map[string]string{good: goodCampaign, bad: badCampaign, solo: soloCampaign} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	d.sayf("Temporal UI: %s", d.Daemon.UI)
	d.sayf("to look on from another terminal:\n\n%s", d.settings())
	if err := d.publish(ctx, "security", "1.4"); err != nil {
		return err
	}

	d.headline("A cluster of one is refused")
	if code, err := d.rollpatch(ctx, "plan", "-i", d.InventoryFile(), solo); err != nil {
		return err
	} else if code != 2 {
		return fmt.Errorf("the plan of a cluster of one ended with exit status %d, want 2: refused", code)
	}

	d.headline("Patch night: the campaign file")
	d.print("\n" + indent(goodCampaign))
	act, err := d.act(ctx, good, []cluster{web, cache})
	d.report.Act = act
	verdict := errors.Join(err, act.wanted("done", 0))
	if err == nil && ctx.Err() == nil {
		verdict = errors.Join(verdict, d.badNight(ctx, bad))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.headline("Result")
	d.print(d.report.text())
	return errors.Join(verdict, d.report.write(d.opts.Report))
}

// badNight shows an update that installs and then fails its health, on hosts made like new.
func (d *demo) badNight(ctx context.Context, file string) error {
	d.headline("A bad update: lab-web 1.2 installs, and then every page is an error")
	d.sayf("making the hosts like new, with lab-web 1.0")
	if err := d.Reset(ctx); err != nil {
		return err
	}
	if err := d.publish(ctx, "1.2"); err != nil {
		return err
	}
	act, err := d.act(ctx, file, []cluster{web})
	d.report.Bad = &act
	return errors.Join(err, act.wanted("halted", 3), act.backedOut())
}

// publish makes updates pending. What cannot be had is said, and left out: a machine may have no source of security updates.
func (d *demo) publish(ctx context.Context, what ...string) error {
	for _, w := range what {
		err := d.Publish(ctx, w)
		switch {
		case err == nil && w == "security":
			d.sayf("pending now: Debian's security updates")
		case err == nil:
			d.sayf("pending now: lab-web %s", w)
		case w == "security" && ctx.Err() == nil:
			d.sayf("%v", err)
		default:
			return err
		}
	}
	return nil
}

// rollpatch runs the CLI where the user sees it.
func (d *demo) rollpatch(ctx context.Context, args ...string) (code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = typed(a)
	}
	d.print("\n$ rollpatch " + strings.Join(shown, " ") + "\n")
	cmd := d.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = d.out, d.out // one pipe: what comes first is shown first
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) || ctx.Err() != nil {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), err
}

// stay leaves everything up, where that is asked for, and says what can be done meanwhile.
func (d *demo) stay(ctx context.Context, in io.Reader) {
	if d.opts.Keep {
		d.look()
		d.keep(ctx, in)
	}
}

// look says what can be done while everything is up.
func (d *demo) look() {
	d.headline("To look around")
	d.print("\n" + d.Daemon.UI + " is the Temporal UI: the tab User Metadata of a workflow says how it stands\n\n" + d.settings() +
		"  rollpatch list\n  rollpatch status " + d.report.Campaign.Instance + " --packages\n  rollpatch why web-1\n\n" +
		"A campaign without `unattended: true` holds each soak that passed until somebody says\n" +
		"  rollpatch approve CAMPAIGN --cluster web --reason \"...\"\n")
}

// settings are what the CLI needs to know here.
func (d *demo) settings() string {
	bin, err := filepath.Abs(d.opts.Bin)
	if err != nil {
		bin = d.opts.Bin
	}
	return fmt.Sprintf("  export TEMPORAL_ADDRESS=%s ROLLPATCH_STORE=%s PATH=%s:$PATH\n  # plan, claims and quarantine also want: -i %s\n", d.Daemon.Address, d.Store(), bin, d.InventoryFile())
}

// keep waits for a line, where there is anybody to type it, or for the end of ctx.
func (d *demo) keep(ctx context.Context, in io.Reader) {
	if in == nil {
		d.sayf("everything stays up until Ctrl-C or SIGTERM (DEMO_KEEP=0 ends by itself)")
		<-ctx.Done()
		return
	}
	d.sayf("everything stays up until Enter or Ctrl-C (DEMO_KEEP=0 ends by itself)")
	line := make(chan struct{})
	go func() { // it may outlive the demo: nothing ends a read of a terminal
		_, _ = bufio.NewReader(in).ReadString('\n')
		close(line)
	}()
	select {
	case <-line:
	case <-ctx.Done():
	}
}

func (d *demo) file(name string) string { return filepath.Join(d.opts.Dir, name) }

// typed is a path as a person would type it.
func typed(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); filepath.IsAbs(path) && err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func (d *demo) sayf(format string, args ...any) {
	d.print("demo: " + fmt.Sprintf(format, args...) + "\n")
}
func (d *demo) headline(text string) { d.print("\n== " + text + "\n") }
func (d *demo) print(text string)    { _, _ = io.WriteString(d.out, text) } // a screen that is gone stops nothing

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// screen lets several write to one output, each whole lines.
type screen struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
