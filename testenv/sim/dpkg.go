package sim

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// dpkg is dpkg, as far as a playbook needs it.
func dpkg(i *invocation) int {
	o := options(i.argv[1:], "--root", "--admindir", "--log")
	p := i.h.pkgs
	switch {
	case o.has("--print-architecture"):
		i.out("amd64\n")
		return 0
	case o.has("--compare-versions"):
		if len(o.words) != 3 {
			i.warn("dpkg: error: --compare-versions takes three arguments: <version> <relation> <version>\n")
			return 2
		}
		if compareOp(o.words[0], o.words[1], o.words[2]) {
			return 0
		}
		return 1
	case o.has("--audit", "-C"):
		p.mu.Lock()
		defer p.mu.Unlock()
		return i.audit()
	case o.has("--get-selections"):
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, name := range p.names() {
			if len(o.words) > 0 && !contains(o.words, name) {
				continue
			}
			want, _, _ := strings.Cut(p.installed[name].status(), " ")
			i.out("%s\t%s\n", name, want)
		}
		return 0
	case o.has("-l", "--list", "-s", "--status", "-W", "--show"):
		return dpkgQuery(i)
	case o.has("-I", "--info", "-f", "--field"):
		return dpkgDeb(i)
	}
	if !i.root {
		i.warn("dpkg: error: requested operation requires superuser privilege\n")
		return 2
	}
	unlock, err := p.lock(i.ctx, "dpkg", 0)
	if err != nil {
		i.warn("dpkg: error: dpkg frontend lock was locked by another process with pid 4711\nNote: removing the lock file is always wrong, can damage the locked area\nand the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n")
		return 2
	}
	defer unlock()
	switch {
	case o.has("--configure"):
		return i.dpkgConfigure(o)
	case o.has("-i", "--install", "--unpack"):
		return i.dpkgInstall(o)
	case o.has("-r", "--remove", "-P", "--purge"):
		return i.dpkgRemove(o)
	}
	i.warn("dpkg: error: %s is not simulated\n", strings.Join(i.argv, " "))
	return 2
}

// audit prints what is neither here nor there; nothing when all is well. The caller holds the database.
func (i *invocation) audit() int {
	p := i.h.pkgs
	for _, group := range []struct {
		state pkgState
		text  string
	}{
		{stateHalfConfigured, "The following packages are only half configured, probably due to problems\nconfiguring them the first time.  The configuration should be retried using\ndpkg --configure <package> or the configure menu option in dselect:\n"},
		{stateUnpacked, "The following packages have been unpacked but not yet configured.\nThey must be configured using dpkg --configure or the configure\nmenu option in dselect for them to work:\n"},
		{stateHalfInstalled, "The following packages are only half installed, due to problems during\ninstallation.  The installation can probably be completed by retrying it;\nthe packages can be removed using dselect or dpkg --remove:\n"},
	} {
		shown := false
		for _, name := range p.names() {
			if p.installed[name].state != group.state {
				continue
			}
			if !shown {
				i.out("%s", group.text)
				shown = true
			}
			i.out(" %-20s %s of the simulated fleet\n", name, name)
		}
		if shown {
			i.out("\n")
		}
	}
	return 0
}

func (i *invocation) dpkgEnd(failed []string, err error) int {
	switch {
	case err != nil && i.ctx.Err() != nil:
		return 130
	case err != nil:
		i.h.fleet.log.Error("simulated dpkg: " + err.Error())
		i.warn("dpkg: error: %v\n", err)
		return 2
	case len(failed) > 0:
		i.warn("Errors were encountered while processing:\n %s\n", strings.Join(failed, "\n "))
		return 1
	}
	return 0
}

func (i *invocation) dpkgConfigure(o opts) int {
	r := i.dpkgRun()
	err := r.begin("packages configure")
	var failed []string
	switch {
	case err != nil:
	case o.has("-a", "--pending"):
		// What was stopped in the middle of unpacking has to be unpacked again: configuring does not help it.
		failed, err = r.configureAll()
	default:
		for _, name := range o.words {
			if i.h.pkgs.stateOf(name) == "" {
				failed = append(failed, name)
				continue
			}
			var ok bool
			if ok, err = r.configure(name); err != nil {
				break
			}
			if !ok {
				failed = append(failed, name)
			}
		}
	}
	if err == nil {
		err = r.end()
	}
	return i.dpkgEnd(failed, err)
}

func (p *packages) stateOf(name string) pkgState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.installed[name]; in != nil {
		return in.state
	}
	return ""
}

func (i *invocation) dpkgInstall(o opts) int {
	p := i.h.pkgs
	var debs []*deb
	var failed []string
	for _, arg := range o.words {
		d, err := i.h.fleet.readDeb(i.path(arg))
		if err != nil {
			i.warn("dpkg: error processing archive %s (--install):\n cannot access archive '%s': %v\n", arg, arg, err)
			failed = append(failed, arg)
			continue
		}
		debs = append(debs, d)
	}
	if len(o.words) == 0 {
		i.warn("dpkg: error: --install needs at least one package archive file argument\n")
		return 2
	}
	if refused := o.has("--refuse-downgrade", "-G"); refused {
		var kept []*deb
		for _, d := range debs {
			p.mu.Lock()
			have := p.version(d.name)
			p.mu.Unlock()
			if have != "" && advisory.Compare(d.version, have) < 0 {
				i.warn("dpkg: will not downgrade %s from %s to %s, skipping\n", d.name, have, d.version)
				continue
			}
			kept = append(kept, d)
		}
		debs = kept
	}
	gets := map[string]string{}
	for _, d := range debs {
		gets[d.name] = d.version
	}
	return i.recorded(namesOf(debs), gets, func() int {
		r := i.dpkgRun()
		err := r.begin("archives install")
		for _, d := range debs {
			if err == nil {
				err = r.unpack(d)
			}
		}
		if err == nil && !o.has("--unpack") {
			// dpkg -i configures only what it was given.
			var more []string
			more, err = r.configureThese(namesOf(debs))
			failed = append(failed, more...)
		}
		if err == nil {
			err = r.end()
		}
		return i.dpkgEnd(failed, err)
	})
}

func namesOf(debs []*deb) (names []string) {
	for _, d := range debs {
		names = append(names, d.name)
	}
	return names
}

// configureThese configures the packages that were given, dependencies first.
func (r *dpkgRun) configureThese(names []string) (failed []string, err error) {
	for {
		r.p.mu.Lock()
		next, waiting := r.p.nextToConfigure(append(r.p.except(names), failed...))
		r.p.mu.Unlock()
		if next == "" {
			for _, name := range waiting {
				r.warn("dpkg: dependency problems prevent configuration of %s\ndpkg: error processing package %s (--install):\n dependency problems - leaving unconfigured\n", name, name)
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

// except are all packages but those named.
func (p *packages) except(names []string) (rest []string) {
	for _, name := range p.names() {
		if !contains(names, name) {
			rest = append(rest, name)
		}
	}
	return rest
}

func (i *invocation) dpkgRemove(o opts) int {
	p := i.h.pkgs
	r := i.dpkgRun()
	err := r.begin("packages remove")
	var failed []string
	for _, arg := range o.words {
		name, _, _ := strings.Cut(arg, ":")
		if p.stateOf(name) == "" {
			i.warn("dpkg: warning: ignoring request to remove %s which isn't installed\n", name)
			continue
		}
		p.mu.Lock()
		needed := ""
		for _, other := range p.names() {
			for _, dep := range p.installed[other].deb.depends {
				if dep.name == name && !contains(o.words, other) {
					needed = other
				}
			}
		}
		p.mu.Unlock()
		if needed != "" && !o.has("--force-depends", "--force-all") {
			i.warn("dpkg: dependency problems prevent removal of %s:\n %s depends on %s.\n\ndpkg: error processing package %s (--remove):\n dependency problems - not removing\n", name, needed, name, name)
			failed = append(failed, name)
			continue
		}
		if err == nil {
			err = r.remove(name)
		}
	}
	if err == nil {
		err = r.end()
	}
	return i.dpkgEnd(failed, err)
}

// dpkgQuery is dpkg-query -W and -l and -s.
func dpkgQuery(i *invocation) int {
	o := options(i.argv[1:], "-f", "--showformat", "--admindir")
	format := "${binary:Package}\t${Version}\n"
	for _, name := range []string{"-f", "--showformat"} {
		if v := o.flags[name]; len(v) > 0 {
			format = v[len(v)-1]
		}
	}
	list := o.has("-l", "--list")
	status := o.has("-s", "--status")
	if list {
		i.out("Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ Name Version Architecture Description\n+++-====-=======-============-===========\n")
		format = "${db:Status-Abbrev} ${Package} ${Version} ${Architecture} ${Package} of the simulated fleet\n"
	}
	p := i.h.pkgs
	p.mu.Lock()
	defer p.mu.Unlock()
	exit := 0
	print := func(name string) {
		in := p.installed[name]
		if status {
			i.out("%s", strings.Replace(in.deb.control(), "\n", "\nStatus: "+in.status()+"\n", 1))
			return
		}
		i.out("%s", in.expand(format))
	}
	if len(o.words) == 0 {
		for _, name := range p.names() {
			print(name)
		}
		return 0
	}
	for _, pattern := range o.words {
		pattern, _, _ = strings.Cut(pattern, ":")
		found := false
		for _, name := range p.names() {
			if ok, err := path.Match(pattern, name); err == nil && ok {
				found = true
				print(name)
			}
		}
		if !found {
			if status {
				i.warn("dpkg-query: package '%s' is not installed and no information is available\n", pattern)
			} else {
				i.warn("dpkg-query: no packages found matching %s\n", pattern)
			}
			exit = 1
		}
	}
	return exit
}

// expand fills in dpkg-query's --showformat.
func (in *pkg) expand(format string) string {
	d := in.deb
	status := strings.Fields(in.status())
	abbrev := map[pkgState]string{stateInstalled: "i", stateHalfConfigured: "F", stateUnpacked: "U", stateHalfInstalled: "H", stateConfigFiles: "c"}[in.state]
	size := strconv.Itoa(d.size / 1000)
	values := map[string]string{
		"Package": d.name, "binary:Package": d.name, "Version": d.version, "Architecture": d.arch, "Status": in.status(), "source:Package": d.name, "source:Version": d.version,
		"db:Status-Want": status[0], "db:Status-Status": status[2], "db:Status-Eflag": "ok", "db:Status-Abbrev": status[0][:1] + abbrev + " ",
		"Installed-Size": size, "Section": d.section, "Essential": "no", "Multi-Arch": "",
	}
	var b strings.Builder
	for n := 0; n < len(format); n++ {
		switch {
		case strings.HasPrefix(format[n:], `\n`):
			b.WriteByte('\n')
			n++
		case strings.HasPrefix(format[n:], `\t`):
			b.WriteByte('\t')
			n++
		case strings.HasPrefix(format[n:], `\\`):
			b.WriteByte('\\')
			n++
		case strings.HasPrefix(format[n:], "${"):
			end := strings.IndexByte(format[n:], '}')
			if end < 0 {
				b.WriteByte(format[n])
				continue
			}
			name, width, _ := strings.Cut(format[n+2:n+end], ";")
			w, _ := strconv.Atoi(width) // absent: 0, no padding
			fmt.Fprintf(&b, "%*s", w, values[name])
			n += end
		default:
			b.WriteByte(format[n])
		}
	}
	return b.String()
}

// dpkgDeb reads package files.
func dpkgDeb(i *invocation) int {
	o := options(i.argv[1:], "--showformat")
	if len(o.words) == 0 {
		i.warn("dpkg-deb: error: need an archive\n")
		return 2
	}
	d, err := i.h.fleet.readDeb(i.path(o.words[0]))
	if err != nil {
		i.warn("dpkg-deb: error: %v\n", err)
		return 2
	}
	switch {
	case o.has("-W", "--show"):
		format := "${Package}\t${Version}\n"
		if v := o.flags["--showformat"]; len(v) > 0 {
			format = v[0]
		}
		i.out("%s", (&pkg{deb: d, state: stateInstalled}).expand(format))
	case o.has("-f", "--field"):
		fields := o.words[1:]
		switch len(fields) {
		case 0:
			i.out("%s", d.control())
		case 1:
			i.out("%s\n", field(d.control(), fields[0]))
		default:
			for _, line := range strings.Split(d.control(), "\n") {
				if name, _, ok := strings.Cut(line, ": "); ok && contains(fields, name) {
					i.out("%s\n", line)
				}
			}
		}
	case o.has("-I", "--info"):
		i.out(" new Debian package, version 2.0.\n%s", d.control())
	default:
		i.warn("dpkg-deb: error: %s is not simulated\n", strings.Join(i.argv, " "))
		return 2
	}
	return 0
}
