package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// aptOptions are those of apt-get's options that take a value.
var aptOptions = []string{"-o", "--option", "-t", "--target-release", "--default-release", "-c", "--config-file"}

// aptRun is one call of apt-get.
type aptRun struct {
	*invocation
	o    opts
	conf map[string]string // -o key=value, keys in lower case
}

func (a *aptRun) simulates() bool {
	return a.o.has("-s", "--simulate", "--just-print", "--dry-run", "--recon", "--no-act") || a.truth("apt::get::simulate")
}

func (a *aptRun) truth(key string) bool {
	switch strings.ToLower(a.conf[key]) {
	case "true", "yes", "1", "on":
		return true
	}
	return false
}

// say prints what -q silences.
func (a *aptRun) say(format string, args ...any) {
	if len(a.o.flags["-q"]) < 2 {
		a.out(format, args...)
	}
}

func (a *aptRun) fail(format string, args ...any) int {
	a.warn("E: "+format+"\n", args...)
	return 100
}

// aptGet is apt-get, and apt as far as they agree.
func aptGet(i *invocation) int {
	a := &aptRun{invocation: i, o: options(i.argv[1:], aptOptions...), conf: map[string]string{}}
	for _, kv := range append(a.o.flags["-o"], a.o.flags["--option"]...) {
		k, v, _ := strings.Cut(kv, "=")
		a.conf[strings.ToLower(k)] = v
	}
	if len(a.o.words) == 0 {
		return a.fail("Invalid operation")
	}
	verb, args := a.o.words[0], a.o.words[1:]
	p := i.h.pkgs
	switch verb {
	case "update":
		return a.update()
	case "list":
		return a.list()
	case "download":
		return a.download(args)
	case "clean", "autoclean", "auto-clean":
		return a.clean()
	case "check":
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.journal {
			return a.fail("dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ")
		}
		if unmet := p.unmet(p.state()); len(unmet) > 0 {
			return a.unmet(unmet)
		}
		return 0
	case "upgrade", "dist-upgrade", "full-upgrade", "install", "remove", "purge", "autoremove":
		return a.transaction(verb, args)
	}
	return a.fail("Invalid operation %s", verb)
}

// online: the archives are there, and the host has a network.
func (a *aptRun) online() bool { return a.h.fleet.repo.reachable() && a.h.wire.whole() }

func (a *aptRun) update() int {
	if !a.root {
		return a.fail("Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)")
	}
	p := a.h.pkgs
	archives := []string{"http://archive.lab/debian bookworm", "http://archive.lab/debian-security bookworm-security", "http://archive.lab/lab lab"}
	if !a.online() {
		any := a.conf["apt::update::error-mode"] == "any" || len(a.o.flags["--error-on"]) > 0 || a.o.has("-e", "-eany")
		for n, url := range archives {
			a.say("Err:%d %s InRelease\n  Could not connect to archive.lab:80 (127.0.0.1). - connect (111: Connection refused)\n", n+1, url)
		}
		kind := map[bool]string{true: "E", false: "W"}[any]
		for _, url := range archives {
			a.warn("%s: Failed to fetch %s/dists/InRelease  Could not connect to archive.lab:80 (127.0.0.1). - connect (111: Connection refused)\n", kind, strings.Replace(url, " ", "/dists/", 1))
		}
		if any {
			a.warn("E: Some index files failed to download. They have been ignored, or old ones used instead.\n")
			return 100
		}
		a.warn("W: Some index files failed to download. They have been ignored, or old ones used instead.\n")
		return 0
	}
	for n, url := range archives {
		a.say("Hit:%d %s InRelease\n", n+1, url)
	}
	published := a.h.fleet.repo.published()
	p.mu.Lock()
	p.lists = published
	p.mu.Unlock()
	a.say("Reading package lists...\n")
	return 0
}

// list is apt list --upgradable and --installed.
func (a *aptRun) list() int {
	p := a.h.pkgs
	p.mu.Lock()
	defer p.mu.Unlock()
	a.out("Listing...\n")
	for _, name := range p.names() {
		have, c := p.version(name), p.candidate(name)
		if have == "" || !a.o.has("--installed") && c.version == have {
			continue
		}
		a.out("%s/%s %s %s [upgradable from: %s]\n", name, c.suite(), c.version, c.arch, have)
	}
	return 0
}

func (d *deb) suite() string { return d.release[strings.LastIndexAny(d.release, ":/")+1:] }

func (a *aptRun) cacheDir() string {
	if d := a.conf["dir::cache::archives"]; d != "" {
		return a.path(d)
	}
	if d := a.conf["dir::cache"]; d != "" {
		return filepath.Join(a.path(d), "archives")
	}
	return filepath.Join(a.h.root, "var/cache/apt/archives")
}

func (a *aptRun) clean() int {
	debs, err := filepath.Glob(filepath.Join(a.cacheDir(), "*.deb"))
	if err != nil {
		return a.fail("%v", err)
	}
	for _, d := range debs {
		if err := os.Remove(d); err != nil {
			return a.fail("%v", err)
		}
	}
	return 0
}

// download puts packages into the current folder.
func (a *aptRun) download(args []string) int {
	p := a.h.pkgs
	var debs []*deb
	p.mu.Lock()
	for _, arg := range args {
		name, version, exact := strings.Cut(arg, "=")
		name, _, _ = strings.Cut(name, ":")
		d := p.candidate(name)
		if exact {
			d = p.offered(name, version)
		} else if d != nil {
			d = p.offered(name, d.version)
		}
		if d == nil {
			known := p.candidate(name) != nil
			p.mu.Unlock()
			if !known {
				return a.fail("Unable to locate package %s", name)
			}
			if exact {
				return a.fail("Version '%s' for '%s' was not found", version, name)
			}
			return a.fail("Can't find a source to download version '%s' of '%s'", p.version(name), name)
		}
		debs = append(debs, d)
	}
	p.mu.Unlock()
	return a.fetch(debs, a.cwd)
}

// fetch gets packages from the archives into a folder that does not have them yet.
func (a *aptRun) fetch(debs []*deb, dir string) int {
	got := 0
	for _, d := range debs {
		file := filepath.Join(dir, d.file())
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if !a.online() {
			a.warn("E: Failed to fetch http://archive.lab/pool/%s  Could not connect to archive.lab:80 (127.0.0.1). - connect (111: Connection refused)\n", d.file())
			a.warn("E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n")
			return 100
		}
		got++
		a.say("Get:%d http://archive.lab %s %s %s %s [%d B]\n", got, d.suite(), d.arch, d.name, d.version, d.size)
		if err := os.WriteFile(file, []byte(d.control()), 0o644); err != nil {
			return a.fail("%v", err)
		}
	}
	return 0
}

// state is what would be installed: package name to version.
type state map[string]*deb

func (p *packages) state() state {
	s := state{}
	for name, in := range p.installed {
		if in.state != stateConfigFiles {
			s[name] = in.deb
		}
	}
	return s
}

func (s state) names() []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (s state) copy() state {
	c := make(state, len(s))
	for k, v := range s {
		c[k] = v
	}
	return c
}

// unmet are the dependencies that a state leaves open, as apt words them.
func (p *packages) unmet(s state) (lines []string) {
	for _, name := range s.names() {
		for _, dep := range s[name].depends {
			on := s[dep.name]
			switch {
			case on == nil:
				lines = append(lines, fmt.Sprintf(" %s : Depends: %s but it is not installed", name, dep))
			case !dep.satisfied(on.version):
				lines = append(lines, fmt.Sprintf(" %s : Depends: %s but %s is to be installed", name, dep, on.version))
			}
		}
	}
	return lines
}

func (a *aptRun) unmet(lines []string) int {
	a.out("The following packages have unmet dependencies:\n%s\n", strings.Join(lines, "\n"))
	return a.fail("Unable to correct problems, you have held broken packages.")
}

// wish is one word of apt-get install.
type wish struct {
	name   string
	remove bool
	to     *deb
	file   string // it came from this file
}

// wishes turns words into packages: name, name=version, name-, ./file.deb.
func (a *aptRun) wishes(verb string, args []string) (all []wish, status int) {
	p := a.h.pkgs
	for _, arg := range args {
		if strings.Contains(arg, "/") {
			d, err := a.h.fleet.readDeb(a.path(arg))
			if err != nil {
				return nil, a.fail("Unsupported file %s given on commandline", arg)
			}
			a.out("Note, selecting '%s' instead of '%s'\n", d.name, arg)
			all = append(all, wish{name: d.name, to: d, file: a.path(arg)})
			continue
		}
		name, version, exact := strings.Cut(arg, "=")
		remove := verb == "remove" || verb == "purge"
		if !exact && p.candidate(name) == nil && strings.HasSuffix(name, "-") {
			name, remove = strings.TrimSuffix(name, "-"), true
		}
		name, _, _ = strings.Cut(name, ":")
		d := p.candidate(name)
		if d == nil {
			return nil, a.fail("Unable to locate package %s", name)
		}
		if exact {
			if d = p.offered(name, version); d == nil && p.version(name) == version {
				d = p.installed[name].deb
			}
			if d == nil {
				return nil, a.fail("Version '%s' for '%s' was not found", version, name)
			}
		}
		if remove {
			d = nil
		}
		all = append(all, wish{name: name, remove: remove, to: d})
	}
	return all, 0
}

// solve finds the state that the words lead to.
func (a *aptRun) solve(verb string, wishes []wish) (to state, kept []string, lines []string) {
	p := a.h.pkgs
	to = p.state()
	fixed := map[string]bool{}
	for _, w := range wishes {
		fixed[w.name] = true
		if w.remove {
			delete(to, w.name)
		} else {
			to[w.name] = w.to
		}
	}
	full := verb == "dist-upgrade" || verb == "full-upgrade"
	if full || verb == "upgrade" {
		for _, name := range p.names() {
			c := p.candidate(name)
			if to[name] == nil || c.version == to[name].version || fixed[name] {
				continue
			}
			if p.installed[name].hold {
				kept = append(kept, name)
				continue
			}
			with := to.copy()
			with[name] = c
			if !p.complete(with, fixed, true) || verb == "upgrade" && !a.o.has("--with-new-pkgs") && !sameNames(with, to) {
				kept = append(kept, name)
				continue
			}
			to = with
		}
	}
	if !p.complete(to, fixed, verb != "remove" && verb != "purge") {
		return nil, nil, p.unmet(to)
	}
	return to, kept, nil
}

func sameNames(a, b state) bool {
	for name := range a {
		if b[name] == nil {
			return false
		}
	}
	return len(a) == len(b)
}

// complete adds what is missing for the dependencies of a state: candidates, as apt does. What nothing can be done for is removed when
// that is apt's way out.
func (p *packages) complete(s state, fixed map[string]bool, add bool) bool {
	for range len(s) + len(p.lists) {
		changed := false
		for _, name := range s.names() {
			d := s[name]
			for _, dep := range d.depends {
				if on := s[dep.name]; on != nil && dep.satisfied(on.version) {
					continue
				}
				// Either what it needs becomes newer, or it does itself.
				c := p.candidate(dep.name)
				gone := fixed[dep.name] && s[dep.name] == nil
				switch {
				case add && c != nil && !fixed[dep.name] && dep.satisfied(c.version) && s[dep.name] != c && !p.held(dep.name):
					s[dep.name], changed = c, true
				case !fixed[name] && !p.held(name) && p.candidate(name) != d && p.candidate(name) != nil && s[name] != nil && !gone:
					s[name], changed = p.candidate(name), true
				case gone && !fixed[name]:
					delete(s, name)
					changed = true
				}
				if changed {
					break
				}
			}
			if changed {
				break
			}
		}
		if !changed {
			return len(p.unmet(s)) == 0
		}
	}
	return false
}

func (p *packages) held(name string) bool { in := p.installed[name]; return in != nil && in.hold }

// plan is the difference between what is and what shall be.
type plan struct {
	install, reinstall, upgrade, downgrade, remove []string
	heldChanged                                    []string
}

func (p *packages) plan(to state, reinstall bool, wishes []wish) (pl plan) {
	from := p.state()
	names := to.names()
	for name := range from {
		if to[name] == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	wished := map[string]bool{}
	for _, w := range wishes {
		wished[w.name] = true
	}
	for _, name := range names {
		switch old, d := from[name], to[name]; {
		case d == nil:
			pl.remove = append(pl.remove, name)
		case old == nil:
			pl.install = append(pl.install, name)
		case advisory.Compare(d.version, old.version) > 0:
			pl.upgrade = append(pl.upgrade, name)
		case advisory.Compare(d.version, old.version) < 0:
			pl.downgrade = append(pl.downgrade, name)
		case reinstall && wished[name]:
			pl.reinstall = append(pl.reinstall, name)
		default:
			continue
		}
		if p.held(name) {
			pl.heldChanged = append(pl.heldChanged, name)
		}
	}
	return pl
}

// changed are all packages that get other files.
func (pl plan) changed() []string {
	return slices.Concat(pl.install, pl.reinstall, pl.upgrade, pl.downgrade)
}

func (a *aptRun) section(title string, names []string) {
	if len(names) > 0 {
		a.out("%s\n  %s\n", title, strings.Join(names, " "))
	}
}

// never are the versions that a file of preferences has apt never install: those with a negative priority, each by name and version.
func (a *aptRun) never() (map[string]bool, error) {
	file := a.conf["dir::etc::preferences"]
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(a.path(file))
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, record := range strings.Split(string(raw), "\n\n") {
		if strings.TrimSpace(record) == "" {
			continue
		}
		version, ok := strings.CutPrefix(field(record, "Pin"), "version ")
		priority, err := strconv.Atoi(field(record, "Pin-Priority"))
		name := field(record, "Package")
		if !ok || err != nil || name == "" {
			return nil, fmt.Errorf("only pins of one version are simulated, and this is none: %q", record)
		}
		if _, known := out[name+" "+version]; !known { // the first one counts
			out[name+" "+version] = priority < 0
		}
	}
	return out, nil
}

// transaction is install, remove and the upgrades.
func (a *aptRun) transaction(verb string, args []string) int {
	p := a.h.pkgs
	never, err := a.never()
	if err != nil {
		return a.fail("Unable to parse package file %s: %v", a.conf["dir::etc::preferences"], err)
	}
	if !a.simulates() {
		if !a.root {
			return a.fail("Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?")
		}
		unlock, status := a.lock()
		if unlock == nil {
			return status
		}
		defer unlock()
	}
	a.say("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	p.mu.Lock()
	p.never = never
	done := func() { p.never = nil; p.mu.Unlock() }
	if p.journal && !a.simulates() {
		done()
		return a.fail("dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ")
	}
	wishes, status := a.wishes(verb, args)
	if status != 0 {
		done()
		return status
	}
	to, kept, lines := a.solve(verb, wishes)
	if lines != nil {
		done()
		return a.unmet(lines)
	}
	pl := p.plan(to, a.o.has("--reinstall"), wishes)
	if strings.HasSuffix(verb, "upgrade") {
		a.say("Calculating upgrade...\n")
	}
	for _, w := range wishes {
		if verb == "install" && !w.remove && !contains(pl.changed(), w.name) {
			a.say("%s is already the newest version (%s).\n", w.name, p.version(w.name))
		}
	}
	upgradable := 0
	for _, name := range p.names() {
		if c := p.candidate(name); p.version(name) != "" && c.version != p.version(name) && (to[name] == nil || advisory.Compare(c.version, to[name].version) > 0) {
			upgradable++
		}
	}
	a.section("The following packages will be REMOVED:", pl.remove)
	a.section("The following packages have been kept back:", kept)
	a.section("The following held packages will be changed:", pl.heldChanged)
	a.section("The following NEW packages will be installed:", pl.install)
	a.section("The following packages will be upgraded:", pl.upgrade)
	a.section("The following packages will be DOWNGRADED:", pl.downgrade)
	summary := fmt.Sprintf("%d upgraded, %d newly installed, ", len(pl.upgrade), len(pl.install))
	if len(pl.reinstall) > 0 {
		summary += fmt.Sprintf("%d reinstalled, ", len(pl.reinstall))
	}
	if len(pl.downgrade) > 0 {
		summary += fmt.Sprintf("%d downgraded, ", len(pl.downgrade))
	}
	a.say("%s%d to remove and %d not upgraded.\n", summary, len(pl.remove), upgradable)
	order := p.order(pl.changed(), to)
	pending := p.pendingConfigure(order, pl.remove)
	if len(pending) > 0 {
		a.say("%d not fully installed or removed.\n", len(pending))
	}
	switch {
	case len(pl.remove) > 0 && a.o.has("--no-remove"):
		done()
		return a.fail("Packages need to be removed but remove is disabled.")
	case len(pl.heldChanged) > 0 && a.o.has("-y", "--yes", "--assume-yes") && !a.o.has("--allow-change-held-packages", "--force-yes"):
		done()
		return a.fail("Held packages were changed and -y was used without --allow-change-held-packages.")
	case len(pl.downgrade) > 0 && a.o.has("-y", "--yes", "--assume-yes") && !a.o.has("--allow-downgrades", "--force-yes"):
		done()
		return a.fail("Packages were downgraded and -y was used without --allow-downgrades.")
	}
	files := map[string]bool{}
	for _, w := range wishes {
		files[w.name] = w.file != ""
	}
	if a.simulates() {
		a.simulate(order, pl.remove, pending, to, files)
		done()
		return 0
	}
	var debs []*deb
	for _, name := range order {
		if !files[name] {
			debs = append(debs, to[name])
		}
	}
	done()
	if a.o.has("--print-uris") {
		for _, d := range debs {
			a.out("'http://archive.lab/pool/%s' %s %d SHA256:%x\n", d.file(), d.file(), d.size, 0)
		}
		return 0
	}
	if a.o.has("--no-download") {
		for _, d := range debs {
			if _, err := os.Stat(filepath.Join(a.cacheDir(), d.file())); err != nil {
				return a.fail("Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?")
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(a.cacheDir(), "partial"), 0o755); err != nil {
		return a.fail("%v", err)
	}
	if status := a.fetch(debs, a.cacheDir()); status != 0 {
		return status
	}
	if a.o.has("-d", "--download-only") {
		a.say("Download complete and in download only mode\n")
		return 0
	}
	if len(order)+len(pl.remove)+len(pending) == 0 {
		return 0
	}
	p.mark(wishes, pl.install)
	gets := map[string]string{}
	for _, name := range pl.remove {
		gets[name] = ""
	}
	for _, name := range order {
		gets[name] = to[name].version
	}
	return a.recorded(slices.Concat(order, pl.remove), gets, func() int { return a.dpkg(order, pl.remove, to) })
}

// recorded records a transaction when it begins, and with its status when it ends. One that the host's own end cut off never does.
func (i *invocation) recorded(names []string, gets map[string]string, do func() int) int {
	call := Call{Host: i.h.name, Boot: i.b.id, Event: "transaction", Text: strings.Join(names, " "), Unit: i.unit, Packages: gets}
	i.h.fleet.events.add(call)
	status := do()
	if i.b.ctx.Err() == nil {
		call.Event, call.Exit = "transaction ended", &status
		i.h.fleet.events.add(call)
	}
	return status
}

// mark remembers what was chosen by hand: whatever was named, and nothing that came along.
func (p *packages) mark(wishes []wish, installed []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range installed {
		p.auto[name] = true
	}
	for _, w := range wishes {
		delete(p.auto, w.name)
	}
}

// pendingConfigure are the packages that an earlier dpkg left unconfigured and that this transaction does not replace.
func (p *packages) pendingConfigure(order, remove []string) (names []string) {
	for _, name := range p.names() {
		in := p.installed[name]
		if in.state != stateInstalled && in.state != stateConfigFiles && !contains(order, name) && !contains(remove, name) {
			names = append(names, name)
		}
	}
	return names
}

// order puts dependencies before those who need them.
func (p *packages) order(names []string, to state) (order []string) {
	sort.Strings(names)
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] || !contains(names, name) {
			return
		}
		seen[name] = true
		for _, dep := range to[name].depends {
			add(dep.name)
		}
		order = append(order, name)
	}
	for _, name := range names {
		add(name)
	}
	return order
}

func (a *aptRun) simulate(order, remove, pending []string, to state, files map[string]bool) {
	p := a.h.pkgs
	release := func(name string) string {
		if files[name] {
			return "local-deb"
		}
		return to[name].release
	}
	for _, name := range remove {
		a.out("Remv %s [%s]\n", name, p.version(name))
	}
	for _, name := range order {
		d := to[name]
		old := ""
		if v := p.version(name); v != "" {
			old = "[" + v + "] "
		}
		a.out("Inst %s %s(%s %s [%s])\n", name, old, d.version, release(name), d.arch)
	}
	for _, name := range slices.Concat(pending, order) {
		d := to[name]
		a.out("Conf %s (%s %s [%s])\n", name, d.version, release(name), d.arch)
	}
}

// lock waits for the package lock as DPkg::Lock::Timeout says.
func (a *aptRun) lock() (unlock func(), status int) {
	wait := time.Duration(0)
	if v := a.conf["dpkg::lock::timeout"]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, a.fail("Value for DPkg::Lock::Timeout is no number")
		}
		wait = time.Duration(n) * time.Second
		if n < 0 {
			wait = 24 * time.Hour
		}
	}
	unlock, err := a.h.pkgs.lock(a.ctx, "apt-get", wait)
	if errors.Is(err, errLocked) {
		a.h.pkgs.mu.Lock()
		holder := a.h.pkgs.holder
		a.h.pkgs.mu.Unlock()
		return nil, a.fail("Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (%s)\nN: Be aware that removing the lock file is not a solution and may break your system.\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?", holder)
	}
	if err != nil {
		return nil, 130
	}
	return unlock, 0
}

// dpkg hands the transaction to dpkg.
func (a *aptRun) dpkg(order, remove []string, to state) int {
	r := a.dpkgRun()
	err := r.begin("archives unpack")
	for _, name := range remove {
		if err == nil {
			err = r.remove(name)
		}
	}
	for _, name := range order {
		if err == nil {
			err = r.unpack(to[name])
		}
	}
	var failed []string
	if err == nil {
		failed, err = r.configureAll()
	}
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return a.broken(err)
	}
	if len(failed) > 0 {
		a.warn("Errors were encountered while processing:\n %s\n", strings.Join(failed, "\n "))
		return a.fail("Sub-process /usr/bin/dpkg returned an error code (1)")
	}
	return 0
}

func (i *invocation) dpkgRun() *dpkgRun {
	return &dpkgRun{p: i.h.pkgs, ctx: i.ctx, boot: i.b, out: i.out, warn: i.warn}
}

// broken: the run was stopped in the middle, or the machine under the fleet failed it.
func (a *aptRun) broken(err error) int {
	if a.ctx.Err() == nil {
		a.h.fleet.log.Error("simulated dpkg: " + err.Error())
	}
	return a.fail("Sub-process /usr/bin/dpkg received signal 15.")
}

// readDeb finds the package that a file is.
func (f *Fleet) readDeb(file string) (*deb, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	name, version := field(string(raw), "Package"), field(string(raw), "Version")
	if d := f.repo.find(name, version); d != nil && d.control() == string(raw) {
		return d, nil
	}
	return nil, fmt.Errorf("'%s' is not a Debian format archive", file)
}

// field is one line of a control file.
func field(control, name string) string {
	for _, line := range strings.Split(control, "\n") {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return v
		}
	}
	return ""
}

// aptCache answers policy, madison and show.
func aptCache(i *invocation) int {
	o := options(i.argv[1:], aptOptions...)
	if len(o.words) == 0 {
		return 0
	}
	p := i.h.pkgs
	p.mu.Lock()
	defer p.mu.Unlock()
	status := 0
	if o.words[0] == "policy" && len(o.words) == 1 {
		p.policy(i)
	}
	for _, arg := range o.words[1:] {
		name, version, exact := strings.Cut(arg, "=")
		name, _, _ = strings.Cut(name, ":")
		offers := p.offers(name)
		switch o.words[0] {
		case "policy":
			if len(offers) == 0 {
				continue
			}
			have := p.version(name)
			i.out("%s:\n  Installed: %s\n  Candidate: %s\n  Version table:\n", name, orNone(have), p.candidate(name).version)
			for _, d := range offers {
				mark := "    "
				if d.version == have {
					mark = "*** "
				}
				i.out(" %s%s 500\n", mark, d.version)
				if p.offered(name, d.version) != nil {
					i.out("        500 http://archive.lab %s/main %s Packages\n", d.suite(), d.arch)
				}
				if d.version == have {
					i.out("        100 /var/lib/dpkg/status\n")
				}
			}
		case "madison":
			for _, d := range offers {
				if p.offered(name, d.version) != nil {
					i.out("%10s | %10s | http://archive.lab %s/main %s Packages\n", name, d.version, d.suite(), d.arch)
				}
			}
		case "show":
			shown := false
			for _, d := range offers {
				if exact && d.version != version || !exact && shown && !o.has("-a", "--all-versions") {
					continue
				}
				shown = true
				i.out("%sFilename: pool/%s\nSize: %d\nInstalled-Size: %d\nSHA256: %x\n\n", d.control(), d.file(), d.size, d.size/1000, sha256.Sum256([]byte(d.control())))
			}
			if !shown {
				i.warn("E: No packages found\n")
				status = 100
			}
		default:
			i.warn("E: Invalid operation %s\n", o.words[0])
			return 100
		}
	}
	return status
}

// policy tells what the lists come from.
func (p *packages) policy(i *invocation) {
	i.out("Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n")
	for _, archive := range []struct{ suite, origin, label string }{
		{"stable-security", "Debian", "Debian-Security"}, {"stable", "Debian", "Debian"}, {"lab", "rollpatch lab", "rollpatch lab"},
	} {
		i.out(" 500 http://archive.lab %s/main amd64 Packages\n     release v=12,o=%s,a=%s,n=%s,l=%s,c=main,b=amd64\n     origin archive.lab\n", archive.suite, archive.origin, archive.suite, archive.suite, archive.label)
	}
}

// offers are all versions that apt knows, the highest first.
func (p *packages) offers(name string) (all []*deb) {
	for _, d := range p.lists {
		if d.name == name {
			all = append(all, d)
		}
	}
	if in := p.installed[name]; in != nil && p.offered(name, in.deb.version) == nil {
		all = append(all, in.deb)
	}
	sort.Slice(all, func(i, j int) bool { return advisory.Compare(all[i].version, all[j].version) > 0 })
	return all
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// aptMark holds packages and lets them go.
func aptMark(i *invocation) int {
	o := options(i.argv[1:], aptOptions...)
	if len(o.words) == 0 {
		return 100
	}
	p := i.h.pkgs
	p.mu.Lock()
	defer p.mu.Unlock()
	verb, names := o.words[0], o.words[1:]
	switch verb {
	case "showhold", "showauto", "showmanual":
		for _, name := range p.names() {
			if verb == "showhold" && p.held(name) || verb == "showauto" && p.auto[name] || verb == "showmanual" && !p.auto[name] {
				i.out("%s\n", name)
			}
		}
		return 0
	case "hold", "unhold", "auto", "manual":
		if !i.root {
			i.warn("E: Could not open lock file /var/lib/dpkg/lock - open (13: Permission denied)\n")
			return 100
		}
		for _, name := range names {
			in := p.installed[name]
			switch {
			case in == nil:
				i.warn("E: Unable to locate package %s\n", name)
				return 100
			case verb == "hold", verb == "unhold":
				in.hold = verb == "hold"
				i.out("%s %s.\n", name, map[bool]string{true: "set on hold", false: "was already not hold"}[in.hold])
			default:
				p.auto[name] = verb == "auto"
			}
		}
		if err := p.save(); err != nil {
			i.warn("E: %v\n", err)
			return 100
		}
		return 0
	}
	i.warn("E: Invalid operation %s\n", verb)
	return 100
}

// aptConfig answers shell NAME key.
func aptConfig(i *invocation) int {
	known := map[string]string{
		"dir::cache::archives": i.h.root + "/var/cache/apt/archives/", "dir::cache": i.h.root + "/var/cache/apt/", "dir::state::lists": i.h.root + "/var/lib/apt/lists/",
		"apt::architecture": "amd64", "dir::etc::preferences": i.h.root + "/etc/apt/preferences",
	}
	args := i.argv[1:]
	if len(args) < 1 || args[0] != "shell" {
		i.warn("E: only shell is simulated\n")
		return 100
	}
	for n := 1; n+1 < len(args); n += 2 {
		key := strings.ToLower(strings.TrimRight(args[n+1], "/"))
		key, _, _ = strings.Cut(key, "/")
		if v, ok := known[key]; ok {
			i.out("%s='%s'\n", args[n], v)
		}
	}
	return 0
}
