package sim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unit is a systemd unit: one of those that a Debian host has, or one that systemd-run made.
type unit struct {
	name      string
	transient bool
	enabled   bool
	masked    bool
	active    string // active, inactive or failed
	sub       string
	result    string
	exit      int
	pid       int
	started   time.Time
	collect   bool
	timer     *time.Timer

	description string
	invocation  string
	acted       bool // one of its processes called a stand-in
}

// bootUnits are the units that are there after a boot.
func (h *host) bootUnits() map[string]*unit {
	names := []string{"ssh.service", "consul.service", "cron.service", "systemd-timesyncd.service", "apt-daily.timer", "apt-daily-upgrade.timer"}
	for _, s := range h.services {
		names = append(names, s.unit())
		if s.kind == Page {
			names = append(names, "lab-web.service")
		}
	}
	units := map[string]*unit{}
	for _, name := range names {
		u := &unit{name: name, enabled: true, result: "success", started: time.Now()}
		u.set("active")
		units[name] = u
	}
	for _, name := range []string{"apt-daily.service", "apt-daily-upgrade.service", "unattended-upgrades.service"} {
		u := &unit{name: name, result: "success"}
		u.set("inactive")
		units[name] = u
	}
	return units
}

func (u *unit) set(active string) {
	u.active = active
	switch {
	case active == "failed":
		u.sub = "failed"
	case active == "inactive":
		u.sub = "dead"
	case strings.HasSuffix(u.name, ".timer"):
		u.sub = "waiting"
	case u.name == "lab-web.service":
		u.sub = "exited"
	default:
		u.sub = "running"
	}
}

func unitName(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return name + ".service"
}

// unitActive tells whether a unit runs in the host's present boot.
func (h *host) unitActive(name string) bool {
	b := h.current()
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.units[name]
	return u != nil && u.active == "active"
}

// kept says that a unit's drop-in keeps it from starting while a folder holds something.
func (h *host) kept(name string) bool {
	files, _ := filepath.Glob(filepath.Join(h.root, "etc/systemd/system", name+".d", "*.conf"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			folder, ok := strings.CutPrefix(strings.TrimSpace(line), "ConditionDirectoryNotEmpty=!")
			if in, err := os.ReadDir(filepath.Join(h.root, folder)); ok && err == nil && len(in) > 0 {
				return true
			}
		}
	}
	return false
}

// setUnit starts or stops one of the host's own units, with what follows for its service.
func (b *boot) setUnit(name string, active bool) {
	state := map[bool]string{true: "active", false: "inactive"}[active]
	b.mu.Lock()
	u := b.units[name]
	if u != nil {
		u.set(state)
		u.started = time.Now()
	}
	b.mu.Unlock()
	h := b.host
	switch {
	case u == nil:
		return
	case active && name == "lab-web.service":
		h.pkgs.render()
	case active && name == "nginx.service":
		h.pkgs.loadSite()
	case !active:
		// The end of a server is the end of its connections.
		for _, s := range h.services {
			if s.unit() == name {
				s.closeConns()
			}
		}
	}
	h.fleet.consul.refresh(h, h.fleet.times.Check)
}

// systemdRun starts a command as a unit of its own, which outlives whoever asked for it.
func systemdRun(i *invocation) int {
	name, wait := "", false
	u := &unit{transient: true, result: "success"}
	var limit time.Duration
	args := i.argv[1:]
	property := func(p string) error {
		key, value, _ := strings.Cut(p, "=")
		if key != "RuntimeMaxSec" || value == "infinity" {
			return nil
		}
		if n, err := strconv.Atoi(value); err == nil {
			value = fmt.Sprint(n, "s")
		}
		var err error
		limit, err = time.ParseDuration(value)
		return err
	}
options:
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		arg := args[0]
		args = args[1:]
		key, value, has := strings.Cut(arg, "=")
		take := func() string {
			if !has && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			return value
		}
		switch key {
		case "--":
			break options
		case "--unit", "-u":
			name = take()
		case "--property", "-p":
			if err := property(take()); err != nil {
				i.warn("Failed to parse RuntimeMaxSec= parameter: %v\n", err)
				return 1
			}
		case "--description":
			u.description = take()
		case "--slice", "--service-type", "--uid", "--gid", "--working-directory":
			take()
		case "--collect", "-G":
			u.collect = true
		case "--wait":
			wait = true
		case "--quiet", "-q", "--no-block", "--system", "--no-ask-password", "--remain-after-exit":
		default:
			i.warn("systemd-run: %s is not simulated\n", arg)
			return 1
		}
	}
	if !i.root {
		i.warn("Failed to start transient service unit: Interactive authentication required.\n")
		return 1
	}
	if len(args) == 0 {
		i.warn("Command line to execute required.\n")
		return 1
	}
	if name == "" {
		name = fmt.Sprintf("run-u%d", time.Now().UnixNano())
	}
	u.name, u.invocation = unitName(name), strings.ReplaceAll(newBootID(), "-", "")
	i.b.mu.Lock()
	taken := i.b.units[u.name] != nil
	if !taken {
		i.b.units[u.name] = u
		u.set("active")
	}
	i.b.mu.Unlock()
	if taken {
		i.warn("Failed to start transient service unit: Unit %s was already loaded or has a fragment file.\n", u.name)
		return 1
	}
	cmd := exec.Command(args[0], args[1:]...)
	if !strings.Contains(args[0], "/") {
		cmd = exec.Command(path.Join(i.h.fleet.binDir(), args[0]), args[1:]...)
	}
	cmd.Dir = "/"
	cmd.Env = append(i.b.env(), "USER=root", "LOGNAME=root", "HOME="+i.h.root+"/root", envUnit+"="+u.invocation)
	done, err := i.b.start(cmd)
	if err != nil {
		i.b.forget(u)
		i.warn("Failed to find executable %s: %v\n", args[0], err)
		return 1
	}
	pid := cmd.Process.Pid
	i.b.mu.Lock()
	u.pid, u.started = pid, time.Now()
	if limit > 0 {
		u.timer = time.AfterFunc(limit, func() { i.b.timeout(u) })
	}
	i.b.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := cmd.Wait()
		done()
		i.b.unitEnded(u, err)
	}()
	if wait {
		select {
		case <-ended:
			return u.exit
		case <-i.ctx.Done():
		}
	}
	return 0
}

// acts says which unit an invocation is of, and records when it acts for the first time.
func (b *boot) acts(invocation string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if invocation == "" {
		return ""
	}
	for _, u := range b.units {
		if u.invocation != invocation {
			continue
		}
		if !u.acted {
			u.acted = true
			b.host.fleet.events.add(Call{Host: b.host.name, Boot: b.id, Event: "unit acts", Text: u.name, Unit: u.description})
		}
		return u.description
	}
	return ""
}

func (b *boot) forget(u *unit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.units[u.name] == u {
		delete(b.units, u.name)
	}
}

// timeout ends a unit at its RuntimeMaxSec, as systemd does: all its processes.
func (b *boot) timeout(u *unit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u.result = "timeout"
	_ = syscall.Kill(-u.pid, syscall.SIGKILL) // it may just have ended
}

// unitEnded: a unit that went well is forgotten, one that failed stays to be looked at, unless it was to be collected.
func (b *boot) unitEnded(u *unit, err error) {
	b.mu.Lock()
	if u.timer != nil {
		u.timer.Stop()
	}
	state := "inactive"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		state, u.exit = "failed", exit.ExitCode()
		if u.result == "success" {
			u.result = "exit-code"
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				u.result = "signal"
			}
		}
	}
	u.set(state)
	// What is left of it goes with it, as with a control group.
	_ = syscall.Kill(-u.pid, syscall.SIGKILL) // usually there is nothing left
	ended := b.ended
	b.mu.Unlock()
	b.host.fleet.events.add(Call{Host: b.host.name, Boot: b.id, Event: "unit " + u.result, Text: u.name, Unit: u.description, By: ended})
	if state == "inactive" || u.collect {
		b.forget(u)
	}
}

// systemctl answers what scripts ask of units, and reboots.
func systemctl(i *invocation) int {
	o := options(i.argv[1:], "-p", "--property", "-t", "--type", "--state", "-s", "--signal", "--kill-who", "--message", "-n", "-o")
	verb, names := "list-units", o.words
	if len(o.words) > 0 {
		verb, names = o.words[0], o.words[1:]
	}
	switch verb {
	case "is-active", "is-failed":
		return i.unitStates(names, o.has("-q", "--quiet"), verb == "is-failed")
	case "is-enabled":
		status := 1
		for _, name := range names {
			state := "not-found"
			i.b.mu.Lock()
			if u := i.b.units[unitName(name)]; u != nil {
				state = u.fileState()
			}
			i.b.mu.Unlock()
			switch state {
			case "enabled":
				status = 0
			case "not-found":
				i.warn("Failed to get unit file state for %s: No such file or directory\n", unitName(name))
				continue
			}
			if !o.has("-q", "--quiet") {
				i.out("%s\n", state)
			}
		}
		return status
	case "is-system-running":
		state := "running"
		for _, u := range i.b.listUnits() {
			if u.active == "failed" {
				state = "degraded"
			}
		}
		i.out("%s\n", state)
		return map[bool]int{true: 0, false: 1}[state == "running"]
	case "show":
		return i.show(names, o)
	case "list-units", "list-timers":
		i.listUnits(names, o, verb)
		return 0
	case "list-unit-files":
		for _, u := range i.b.listUnits() {
			if u.transient || !o.matches("--state", u.fileState()) || !o.matches("--type", kindOf(u.name)) || !o.matches("-t", kindOf(u.name)) {
				continue
			}
			i.out("%-30s %s enabled\n", u.name, u.fileState())
		}
		return 0
	case "daemon-reload", "status", "reset-failed":
		return 0
	case "start", "stop", "restart", "reload", "try-restart", "reload-or-restart", "kill", "enable", "disable", "mask", "unmask":
		return i.change(verb, names, o)
	case "reboot", "poweroff", "halt":
		i.argv = append([]string{verb}, names...)
		return reboot(i)
	}
	i.warn("Unknown command verb %s.\n", verb)
	return 1
}

func kindOf(name string) string { return strings.TrimPrefix(path.Ext(name), ".") }

func (u *unit) fileState() string {
	switch {
	case u.masked:
		return "masked"
	case u.transient:
		return "transient"
	case u.enabled:
		return "enabled"
	}
	return "static"
}

func (b *boot) listUnits() []unit {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []unit
	for _, u := range b.units {
		all = append(all, *u)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

func (i *invocation) unitStates(names []string, quiet, failed bool) int {
	status := 3
	if failed {
		status = 1
	}
	for _, name := range names {
		state := "inactive"
		i.b.mu.Lock()
		if u := i.b.units[unitName(name)]; u != nil {
			state = u.active
		}
		i.b.mu.Unlock()
		if state == map[bool]string{false: "active", true: "failed"}[failed] {
			status = 0
		}
		if !quiet {
			i.out("%s\n", state)
		}
	}
	return status
}

// show prints properties as key=value, or with --value the values alone.
func (i *invocation) show(names []string, o opts) int {
	want := append(o.list("-p"), o.list("--property")...)
	for n, name := range names {
		if n > 0 {
			i.out("\n")
		}
		i.b.mu.Lock()
		u := unit{name: unitName(name), active: "inactive", sub: "dead", result: "success"}
		load := "not-found"
		if known := i.b.units[u.name]; known != nil {
			u, load = *known, "loaded"
		}
		i.b.mu.Unlock()
		if u.masked {
			load = "masked"
		}
		values := map[string]string{
			"Id": u.name, "LoadState": load, "ActiveState": u.active, "SubState": u.sub, "Result": u.result, "MainPID": fmt.Sprint(u.pid),
			"ExecMainStatus": fmt.Sprint(u.exit), "UnitFileState": u.fileState(), "NRestarts": "0", "NTPSynchronized": "yes",
			"ActiveEnterTimestamp": u.started.UTC().Format("Mon 2006-01-02 15:04:05 MST"),
		}
		props := want
		if len(props) == 0 {
			for p := range values {
				props = append(props, p)
			}
			sort.Strings(props)
		}
		for _, p := range props {
			if o.has("--value") {
				i.out("%s\n", values[p])
			} else {
				i.out("%s=%s\n", p, values[p])
			}
		}
	}
	return 0
}

func (i *invocation) listUnits(patterns []string, o opts, verb string) {
	for _, u := range i.b.listUnits() {
		if verb == "list-timers" && kindOf(u.name) != "timer" || o.has("--failed") && u.active != "failed" ||
			!o.matches("--state", u.active, u.sub) || !o.matches("--type", kindOf(u.name)) || !o.matches("-t", kindOf(u.name)) {
			continue
		}
		if u.active == "inactive" && !o.has("--all", "-a") && !o.given("--state") {
			continue
		}
		matched := len(patterns) == 0
		for _, p := range patterns {
			if ok, err := path.Match(p, u.name); err == nil && ok || p == u.name {
				matched = true
			}
		}
		if matched {
			i.out("%s loaded %s %s %s\n", u.name, u.active, u.sub, u.name)
		}
	}
}

// change starts, stops or marks units.
func (i *invocation) change(verb string, names []string, o opts) int {
	if !i.root {
		i.warn("Failed to %s %s: Interactive authentication required.\n", verb, strings.Join(names, " "))
		return 1
	}
	status := 0
	for _, name := range names {
		name = unitName(name)
		i.b.mu.Lock()
		u := i.b.units[name]
		i.b.mu.Unlock()
		if u == nil {
			i.warn("Failed to %s %s: Unit %s not loaded.\n", verb, name, name)
			status = 5
			continue
		}
		switch verb {
		case "start", "restart", "reload-or-restart", "try-restart", "reload":
			if u.masked {
				i.warn("Failed to start %s: Unit %s is masked.\n", name, name)
				status = 1
				continue
			}
			if i.h.kept(name) {
				continue // as systemd does it: a condition that does not hold is no failure
			}
			i.b.setUnit(name, true)
		case "stop", "kill":
			if u.transient {
				i.b.mu.Lock()
				_ = syscall.Kill(-u.pid, syscall.SIGTERM) // it may just have ended
				i.b.mu.Unlock()
				continue
			}
			i.b.setUnit(name, false)
		case "mask", "unmask":
			i.b.mu.Lock()
			u.masked = verb == "mask"
			i.b.mu.Unlock()
		case "enable", "disable":
			i.b.mu.Lock()
			u.enabled = verb == "enable"
			i.b.mu.Unlock()
		}
		if o.has("--now") && (verb == "disable" || verb == "mask") {
			i.b.setUnit(name, false)
		}
	}
	return status
}

// reboot is reboot, shutdown -r and the rest of the family; what does not come back is a power cut that says good-bye.
func reboot(i *invocation) int {
	if !i.root {
		i.warn("Call to Reboot failed: Interactive authentication required.\n")
		return 1
	}
	off := i.argv[0] == "poweroff" || i.argv[0] == "halt"
	if i.argv[0] == "shutdown" {
		off = true
		for _, a := range i.argv[1:] {
			if a == "-r" || a == "--reboot" {
				off = false
			}
		}
	}
	i.h.fleet.events.add(Call{Host: i.h.name, Boot: i.b.id, Event: "reboot asked", Unit: i.unit})
	i.h.reboot(i.b, !off)
	return 0
}

// opts are a command's options, parsed without a fixed list: what takes a value is named by the caller.
type opts struct {
	flags map[string][]string
	words []string
}

// options parses args. Of short options only -o style ones with a separate or an attached value may be named in valued.
func options(args []string, valued ...string) opts {
	o := opts{flags: map[string][]string{}}
	takes := map[string]bool{}
	for _, v := range valued {
		takes[v] = true
	}
	for n := 0; n < len(args); n++ {
		arg := args[n]
		switch {
		case arg == "--":
			o.words = append(o.words, args[n+1:]...)
			return o
		case strings.HasPrefix(arg, "--"):
			key, value, has := strings.Cut(arg, "=")
			if !has && takes[key] && n+1 < len(args) {
				n++
				value = args[n]
			}
			o.flags[key] = append(o.flags[key], value)
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			o.short(arg, takes, func() string {
				if n+1 < len(args) {
					n++
					return args[n]
				}
				return ""
			})
		default:
			o.words = append(o.words, arg)
		}
	}
	return o
}

func (o opts) short(arg string, takes map[string]bool, next func() string) {
	for j := 1; j < len(arg); j++ {
		key := "-" + arg[j:j+1]
		if !takes[key] {
			o.flags[key] = append(o.flags[key], "")
			continue
		}
		value := strings.TrimPrefix(arg[j+1:], "=")
		if value == "" {
			value = next()
		}
		o.flags[key] = append(o.flags[key], value)
		return
	}
}

func (o opts) has(names ...string) bool {
	for _, n := range names {
		if _, ok := o.flags[n]; ok {
			return true
		}
	}
	return false
}

func (o opts) given(name string) bool { return len(o.flags[name]) > 0 }

// list is a comma-separated option's values.
func (o opts) list(name string) (all []string) {
	for _, v := range o.flags[name] {
		all = append(all, strings.Split(v, ",")...)
	}
	return all
}

// matches: an option that is absent matches everything.
func (o opts) matches(name string, values ...string) bool {
	if !o.given(name) {
		return true
	}
	for _, want := range o.list(name) {
		for _, v := range values {
			if v == want {
				return true
			}
		}
	}
	return false
}
