package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// packages is a host's package database and what follows from it. It outlives every boot.
type packages struct {
	h *host

	mu        sync.Mutex
	installed map[string]*pkg
	lists     []*deb // what the last apt-get update saw
	journal   bool   // dpkg was stopped in the middle of something
	holder    string // who has the lock; "" nobody
	auto      map[string]bool
	never     map[string]bool // name and version: what the apt-get that holds mu must not choose

	// What nginx serves.
	page   string // the version that was rendered last
	sick   bool
	wrong  bool
	broken bool // made ill by a test

	kernel string // that runs
}

// pkg is a package that is installed, or half so.
type pkg struct {
	deb   *deb
	state pkgState
	hold  bool
}

type pkgState string

// The states that dpkg knows, in its own words.
const (
	stateInstalled      pkgState = "installed"
	stateHalfConfigured pkgState = "half-configured"
	stateUnpacked       pkgState = "unpacked"
	stateHalfInstalled  pkgState = "half-installed"
	stateConfigFiles    pkgState = "config-files"
)

// fresh makes the database that of a new host.
func (p *packages) fresh() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.installed, p.auto = map[string]*pkg{}, map[string]bool{}
	p.journal, p.holder, p.broken = false, "", false
	page, redis := false, false
	for _, s := range p.h.services {
		page, redis = page || s.kind == Page, redis || s.kind == Redis
	}
	for _, d := range p.h.fleet.repo.base(page, redis) {
		p.installed[d.name] = &pkg{deb: d, state: stateInstalled}
		if err := p.files(d, true); err != nil {
			return err
		}
	}
	for _, name := range []string{"libssl3", "linux-image-" + kernelOld} {
		p.auto[name] = true
	}
	p.lists = p.h.fleet.repo.published()
	p.page = labBase
	return p.save()
}

// booted is called when the host starts: the newest kernel runs, and nothing of what wanted a reboot wants it any more.
func (p *packages) booted() {
	p.mu.Lock()
	p.kernel = ""
	newest := ""
	for _, in := range p.installed {
		if d := in.deb; d.effect.kernel != "" && in.state == stateInstalled && (newest == "" || advisory.Compare(d.effect.kernel, newest) > 0) {
			newest = d.effect.kernel
		}
	}
	p.kernel, p.holder = newest, ""
	p.mu.Unlock()
	p.render()
	p.loadSite()
}

// render is what lab-web.service does: the page says the version that is installed now.
func (p *packages) render() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.installed["lab-web-data"]; in != nil {
		p.page = in.deb.version
	}
}

// loadSite is what a start of nginx does.
func (p *packages) loadSite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.installed["lab-web"]
	p.sick = in != nil && in.deb.effect.sick
	if wrong := in != nil && in.deb.effect.wrong; wrong != p.wrong {
		p.wrong = wrong
		p.h.fleet.events.add(Call{Host: p.h.name, Event: map[bool]string{true: "page wrong", false: "page right"}[wrong]})
	}
}

func (p *packages) setBroken(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = broken
}

// answer is what the host's nginx says.
func (p *packages) answer(path string) (code int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.sick, p.broken:
		return http.StatusInternalServerError, "lab-web lost its database\n"
	case path == "/healthz":
		return http.StatusOK, "ok\n"
	case p.wrong:
		return http.StatusOK, "It works!\n"
	case path != "/" && path != "":
		return http.StatusNotFound, "not found\n"
	}
	line := fmt.Sprintf("lab-web %s %s\n", p.page, p.h.name)
	return http.StatusOK, line + strings.Repeat(".", pageBytes-len(line)-1) + "\n"
}

// names are those of all packages in the database, sorted.
func (p *packages) names() []string {
	names := make([]string, 0, len(p.installed))
	for name := range p.installed {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// version is what is installed, in whatever state; "" is nothing.
func (p *packages) version(name string) string {
	if in := p.installed[name]; in != nil && in.state != stateConfigFiles {
		return in.deb.version
	}
	return ""
}

// candidate is the highest version that the lists offer, or what is installed if that is higher.
func (p *packages) candidate(name string) *deb {
	var best *deb
	if in := p.installed[name]; in != nil && in.state != stateConfigFiles {
		best = in.deb
	}
	for _, d := range p.lists {
		if d.name == name && !p.never[name+" "+d.version] && (best == nil || advisory.Compare(d.version, best.version) > 0) {
			best = d
		}
	}
	return best
}

// offered is a version that the lists offer.
func (p *packages) offered(name, version string) *deb {
	for _, d := range p.lists {
		if d.name == name && d.version == version {
			return d
		}
	}
	return nil
}

// save writes the database where dpkg keeps it, for scripts that read it themselves.
func (p *packages) save() error {
	var b strings.Builder
	for _, name := range p.names() {
		in := p.installed[name]
		fmt.Fprintf(&b, "Package: %s\nStatus: %s\nPriority: optional\nSection: %s\nArchitecture: %s\nVersion: %s\n\n", name, in.status(), in.deb.section, in.deb.arch, in.deb.version)
	}
	if err := p.h.write("var/lib/dpkg/status", b.String()); err != nil {
		return err
	}
	update := filepath.Join(p.h.root, "var/lib/dpkg/updates/0001")
	if p.journal {
		return os.WriteFile(update, nil, 0o644)
	}
	if err := os.Remove(update); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (in *pkg) status() string {
	want := "install"
	switch {
	case in.hold:
		want = "hold"
	case in.state == stateConfigFiles:
		want = "deinstall"
	}
	return want + " ok " + string(in.state)
}

// files are the few files of a package that scripts look at.
func (p *packages) files(d *deb, present bool) error {
	if d.effect.kernel == "" {
		return nil
	}
	for _, name := range []string{"boot/vmlinuz-" + d.effect.kernel, "boot/initrd.img-" + d.effect.kernel} {
		file := filepath.Join(p.h.root, name)
		if !present {
			if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		} else if err := os.WriteFile(file, []byte(d.version+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dpkgLog adds a line to dpkg's own log.
func (p *packages) dpkgLog(format string, args ...any) error {
	f, err := os.OpenFile(filepath.Join(p.h.root, "var/log/dpkg.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, time.Now().Format("2006-01-02 15:04:05 ")+fmt.Sprintf(format, args...)+"\n")
	return errors.Join(err, f.Close())
}

// errLocked: somebody else has the lock.
var errLocked = errors.New("locked")

// lock takes the package lock, waiting for it as long as told.
func (p *packages) lock(ctx context.Context, who string, wait time.Duration) (unlock func(), err error) {
	deadline := time.Now().Add(wait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p.mu.Lock()
		if p.holder == "" {
			p.holder = who
			p.mu.Unlock()
			return func() {
				p.mu.Lock()
				p.holder = ""
				p.mu.Unlock()
			}, nil
		}
		p.mu.Unlock()
		if !time.Now().Before(deadline) {
			return nil, errLocked
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// HoldPackageLock lets somebody else hold the host's package lock, until it is called with "".
func (f *Fleet) HoldPackageLock(name, who string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.pkgs.mu.Lock()
	defer h.pkgs.mu.Unlock()
	h.pkgs.holder = who
	f.events.add(Call{Host: name, Event: "package lock held", Text: who})
	return h.showLock(who)
}

// holderPID stands for whoever a test lets hold the package lock.
const holderPID = 4711

// showLock writes what the kernel shows of a lock on a file.
func (h *host) showLock(who string) error {
	locks := ""
	if who != "" {
		info, err := os.Stat(filepath.Join(h.root, "var/lib/dpkg/lock-frontend"))
		if err != nil {
			return err
		}
		inode := info.Sys().(*syscall.Stat_t).Ino
		locks = fmt.Sprintf("1: POSIX  ADVISORY  WRITE %d fe:01:%d 0 EOF\n", holderPID, inode)
	}
	return errors.Join(h.write("proc/locks", locks), h.write(fmt.Sprintf("proc/%d/comm", holderPID), who+"\n"))
}

// dpkgRun is dpkg's part of a transaction: prerms, unpacking, configuring. What ends it in the middle (a signal, a power cut) leaves
// everything as far as it came. Its messages go to out and warn as dpkg's own do.
type dpkgRun struct {
	p    *packages
	ctx  context.Context
	boot *boot
	out  func(string, ...any)
	warn func(string, ...any)
}

// step does one thing after the time that it takes; it is not done at all when the run has been stopped.
func (r *dpkgRun) step(do func() error) error {
	timer := time.NewTimer(r.p.h.fleet.times.Work)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	// A power cut ends the boot's context first: what comes after it never happens.
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return r.p.save()
}

func (r *dpkgRun) mark(in *pkg, s pkgState) error {
	in.state = s
	return r.p.dpkgLog("status %s %s:%s %s", s, in.deb.name, in.deb.arch, in.deb.version)
}

// begin and end are around everything else.
func (r *dpkgRun) begin(what string) error {
	return r.step(func() error {
		r.p.journal = true
		return r.p.dpkgLog("startup %s", what)
	})
}

func (r *dpkgRun) end() error {
	return r.step(func() error {
		r.p.journal = false
		return nil
	})
}

// unpack replaces the old version, or puts the package in new.
func (r *dpkgRun) unpack(d *deb) error {
	p := r.p
	var old *pkg
	if err := r.step(func() error {
		old = p.installed[d.name]
		if old == nil || old.state == stateConfigFiles {
			r.out("Selecting previously unselected package %s.\nPreparing to unpack .../%s ...\nUnpacking %s (%s) ...\n", d.name, d.file(), d.name, d.version)
			hold := old != nil && old.hold
			p.installed[d.name] = &pkg{deb: d, state: stateHalfInstalled, hold: hold}
			if err := p.dpkgLog("install %s:%s <none> %s", d.name, d.arch, d.version); err != nil {
				return err
			}
			return p.dpkgLog("status half-installed %s:%s %s", d.name, d.arch, d.version)
		}
		if advisory.Compare(d.version, old.deb.version) < 0 {
			r.warn("dpkg: warning: downgrading %s from %s to %s\n", d.name, old.deb.version, d.version)
		}
		r.out("Preparing to unpack .../%s ...\nUnpacking %s (%s) over (%s) ...\n", d.file(), d.name, d.version, old.deb.version)
		if err := p.dpkgLog("upgrade %s:%s %s %s", d.name, d.arch, old.deb.version, d.version); err != nil {
			return err
		}
		if err := r.mark(old, stateHalfConfigured); err != nil {
			return err
		}
		return r.mark(old, stateHalfInstalled)
	}); err != nil {
		return err
	}
	if d.effect.page || old != nil && old.deb.effect.page {
		r.boot.setUnit("nginx.service", false) // prerm
	}
	if old != nil && old.deb.effect.rename {
		if err := r.step(func() error { return p.h.rename(p.h.name) }); err != nil {
			return err
		}
	}
	return r.step(func() error {
		if old != nil && old.deb != d {
			if err := p.files(old.deb, false); err != nil {
				return err
			}
		}
		in := p.installed[d.name]
		in.deb = d
		if err := p.files(d, true); err != nil {
			return err
		}
		return r.mark(in, stateUnpacked)
	})
}

// configure runs the postinst of what is unpacked or half configured.
func (r *dpkgRun) configure(name string) (ok bool, err error) {
	p := r.p
	var d *deb
	if err := r.step(func() error {
		in := p.installed[name]
		d = in.deb
		r.out("Setting up %s (%s) ...\n", name, d.version)
		if err := p.dpkgLog("configure %s:%s %s <none>", name, d.arch, d.version); err != nil {
			return err
		}
		return r.mark(in, stateHalfConfigured)
	}); err != nil {
		return false, err
	}
	if d.effect.broken {
		r.warn("lab-web: settings of an older version cannot be migrated\n")
		r.warn("dpkg: error processing package %s (--configure):\n installed %s package post-installation script subprocess returned error exit status 1\n", name, name)
		return false, nil
	}
	if d.effect.rename {
		if err := r.step(func() error { return p.h.rename(renamed) }); err != nil {
			return false, err
		}
	}
	if d.effect.reboot && (d.effect.kernel == "" || d.effect.kernel != p.runningKernel()) {
		if err := p.wantReboot(name); err != nil {
			return false, err
		}
	}
	if d.effect.page {
		if !d.effect.reboot {
			r.boot.setUnit("lab-web.service", true)
		}
		r.boot.setUnit("nginx.service", true)
	}
	err = r.step(func() error { return r.mark(p.installed[name], stateInstalled) })
	return err == nil, err
}

// remove takes a package out.
func (r *dpkgRun) remove(name string) error {
	p := r.p
	var d *deb
	if err := r.step(func() error {
		in := p.installed[name]
		d = in.deb
		r.out("Removing %s (%s) ...\n", name, d.version)
		if err := p.dpkgLog("remove %s:%s %s <none>", name, d.arch, d.version); err != nil {
			return err
		}
		return r.mark(in, stateHalfInstalled)
	}); err != nil {
		return err
	}
	if d.effect.page {
		r.boot.setUnit("nginx.service", false)
	}
	return r.step(func() error {
		if err := p.files(d, false); err != nil {
			return err
		}
		delete(p.installed, name)
		return p.dpkgLog("status not-installed %s:%s <none>", name, d.arch)
	})
}

func (p *packages) runningKernel() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kernel
}

// wantReboot is what packages do that take effect at the next boot.
func (p *packages) wantReboot(name string) error {
	if err := p.h.write("run/reboot-required", "*** System restart required ***\n"); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(p.h.root, "run/reboot-required.pkgs"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, name)
	return errors.Join(err, f.Close())
}

// configureAll configures what waits for it, dependencies first, and returns those that failed or wait for one that did.
func (r *dpkgRun) configureAll() (failed []string, err error) {
	for {
		r.p.mu.Lock()
		next, waiting := r.p.nextToConfigure(failed)
		r.p.mu.Unlock()
		if next == "" {
			for _, name := range waiting {
				r.warn("dpkg: dependency problems prevent configuration of %s\ndpkg: error processing package %s (--configure):\n dependency problems - leaving unconfigured\n", name, name)
			}
			return append(failed, waiting...), nil
		}
		ok, err := r.configure(next)
		if err != nil {
			return failed, err
		}
		if !ok {
			failed = append(failed, next)
		}
	}
}

func (p *packages) nextToConfigure(failed []string) (next string, waiting []string) {
	for _, name := range p.names() {
		in := p.installed[name]
		if in.state != stateUnpacked && in.state != stateHalfConfigured || contains(failed, name) {
			continue
		}
		ready := true
		for _, dep := range in.deb.depends {
			on := p.installed[dep.name]
			if on == nil || on.state != stateInstalled || !dep.satisfied(on.deb.version) {
				ready = false
			}
		}
		if ready {
			return name, nil
		}
		waiting = append(waiting, name)
	}
	return "", waiting
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// Versions are the host's wholly installed packages.
func (f *Fleet) Versions(_ context.Context, name string) (map[string]string, error) {
	h, err := f.host(name)
	if err != nil {
		return nil, err
	}
	h.pkgs.mu.Lock()
	defer h.pkgs.mu.Unlock()
	all := map[string]string{}
	for n, in := range h.pkgs.installed {
		if in.state == stateInstalled {
			all[n] = in.deb.version
		}
	}
	return all, nil
}

// DpkgLog is the host's dpkg log since it was made: empty, if nothing has ever been installed, upgraded or removed on it.
func (f *Fleet) DpkgLog(ctx context.Context, name string) (string, error) {
	return dpkgLogOf(ctx, f, name)
}

func dpkgLogOf(ctx context.Context, f interface {
	ReadFile(context.Context, string, string) ([]byte, error)
}, name string) (string, error) {
	raw, err := f.ReadFile(ctx, name, "/var/log/dpkg.log")
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(raw), err
}

// ReadFile reads a file of a host's disk, whether the host is up or not.
func (f *Fleet) ReadFile(_ context.Context, name, path string) ([]byte, error) {
	h, err := f.host(name)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(h.root, path))
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", name, err)
	}
	return raw, nil
}
