package sim

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/rollpatch/rollpatch/workflows/advisory"
)

// deb is one version of one package.
type deb struct {
	name, version, arch string
	release             string // as apt shows it: label:version/suite
	origin              string
	security            bool
	size                int
	section             string
	depends             []dependency
	effect              effect
}

// effect is what happens on a host beside the files.
type effect struct {
	sick   bool   // nginx serves nothing but 500 with it
	wrong  bool   // nginx serves another page with it, and its health is fine
	broken bool   // postinst fails
	rename bool   // postinst gives the host another name, and prerm its own again
	reboot bool   // postinst asks for a reboot, and the page changes only then
	page   bool   // it is lab-web: nginx is away from its prerm to the end of its postinst
	kernel string // the kernel it brings
}

// dependency is one package that another needs; op and version may be empty.
type dependency struct{ name, op, version string }

func (d dependency) String() string {
	if d.op == "" {
		return d.name
	}
	return fmt.Sprintf("%s (%s %s)", d.name, d.op, d.version)
}

func (d dependency) satisfied(version string) bool {
	return d.op == "" || compareOp(version, d.op, d.version)
}

func (d *deb) file() string {
	return fmt.Sprintf("%s_%s_%s.deb", d.name, strings.ReplaceAll(d.version, ":", "%3a"), d.arch)
}

// control is the package's control file, which is also all that its file holds.
func (d *deb) control() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: lab <lab@rollpatch.invalid>\n", d.name, d.version, d.arch)
	if len(d.depends) > 0 {
		var deps []string
		for _, dep := range d.depends {
			deps = append(deps, dep.String())
		}
		fmt.Fprintf(&b, "Depends: %s\n", strings.Join(deps, ", "))
	}
	fmt.Fprintf(&b, "Section: %s\nPriority: optional\nDescription: %s of the simulated fleet\n", d.section, d.name)
	return b.String()
}

// The archives, named as those of the lab of real hosts.
const (
	releaseDebian   = "Debian:12.12/stable"
	releaseSecurity = "Debian-Security:12/stable-security"
	releaseLab      = "rollpatch lab:lab"
)

// repo is what the archives hold, and which selection of it is published.
type repo struct {
	mu       sync.Mutex
	all      []*deb
	lab      string // the version of lab-web beside the first
	security bool
	kernel   bool
	away     bool
}

// labBase is the version of lab-web that a fresh host has.
const labBase = "1.0"

// The kernels: the one that hosts run, and the one that `Publish("kernel")` brings as a package of a new name.
const (
	kernelOld = "6.1.0-40-amd64"
	kernelNew = "6.1.0-41-amd64"
)

var labVersions = []struct {
	version string
	effect  effect
}{
	{labBase, effect{page: true}},
	{"1.1", effect{page: true}},
	{"1.2", effect{page: true, sick: true}},
	{"1.3", effect{page: true, broken: true}},
	{"1.4", effect{page: true, reboot: true}},
	{"1.5", effect{page: true, wrong: true}},
	{"1.6", effect{page: true, rename: true}},
}

func newRepo() *repo {
	r := &repo{lab: labBase}
	debian := func(name, version, section string, deps ...dependency) {
		r.all = append(r.all, &deb{name: name, version: version, arch: "amd64", release: releaseDebian, origin: "Debian", size: 150000, section: section, depends: deps})
	}
	security := func(name, version, section string, deps ...dependency) {
		r.all = append(r.all, &deb{name: name, version: version, arch: "amd64", release: releaseSecurity, origin: "Debian", security: true, size: 160000, section: section, depends: deps})
	}
	debian("apt", "2.6.1", "admin")
	debian("dpkg", "1.21.22", "admin")
	debian("libc6", "2.36-9+deb12u10", "libs")
	debian("openssh-server", "1:9.2p1-2+deb12u3", "net", dependency{"libssl3", ">=", "3.0.0"})
	debian("sudo", "1.9.13p3-1+deb12u1", "admin")
	debian("nginx-light", "1.22.1-9", "httpd")
	debian("redis-server", "5:7.0.15-1~deb12u1", "database")
	debian("openssl", "3.0.15-1~deb12u1", "utils", dependency{"libssl3", ">=", "3.0.15"})
	debian("libssl3", "3.0.15-1~deb12u1", "libs")
	debian("tzdata", "2024b-0+deb12u1", "localization")
	r.last().arch = "all"
	debian("linux-image-amd64", "6.1.153-1", "kernel", dependency{"linux-image-" + kernelOld, "=", "6.1.153-1"})
	debian("linux-image-"+kernelOld, "6.1.153-1", "kernel")
	r.last().effect = effect{kernel: kernelOld, reboot: true}

	security("openssl", "3.0.17-1~deb12u3", "utils", dependency{"libssl3", ">=", "3.0.17"})
	security("libssl3", "3.0.17-1~deb12u3", "libs")
	security("tzdata", "2025b-0+deb12u2", "localization")
	r.last().arch = "all"
	security("linux-image-amd64", "6.1.158-1", "kernel", dependency{"linux-image-" + kernelNew, "=", "6.1.158-1"})
	security("linux-image-"+kernelNew, "6.1.158-1", "kernel")
	r.last().effect = effect{kernel: kernelNew, reboot: true}

	for _, v := range labVersions {
		r.all = append(r.all,
			&deb{name: "lab-web", version: v.version, arch: "all", release: releaseLab, origin: "rollpatch lab", size: 2100, section: "web", effect: v.effect,
				depends: []dependency{{"nginx-light", "", ""}, {"lab-web-data", "=", v.version}}},
			&deb{name: "lab-web-data", version: v.version, arch: "all", release: releaseLab, origin: "rollpatch lab", size: 900, section: "web"})
	}
	return r
}

func (r *repo) last() *deb { return r.all[len(r.all)-1] }

// find is the version of a package that was ever made, published or not.
func (r *repo) find(name, version string) *deb {
	for _, d := range r.all {
		if d.name == name && d.version == version {
			return d
		}
	}
	return nil
}

// base is what a fresh host has.
func (r *repo) base(page, redis bool) (debs []*deb) {
	for _, d := range r.all {
		switch {
		case d.security, d.origin == "rollpatch lab" && (d.version != labBase || !page), d.name == "nginx-light" && !page, d.name == "redis-server" && !redis:
			continue
		}
		debs = append(debs, d)
	}
	return debs
}

// published is what an apt that updates now gets to see.
func (r *repo) published() (debs []*deb) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.all {
		switch {
		case d.origin == "rollpatch lab" && d.version != labBase && d.version != r.lab,
			d.security && strings.HasPrefix(d.name, "linux-") && !r.kernel,
			d.security && !strings.HasPrefix(d.name, "linux-") && !r.security:
			continue
		}
		debs = append(debs, d)
	}
	return debs
}

// Publish offers a version of lab-web beside the first one ("1.0": nothing new), or "security": Debian's updates, or "kernel": an
// update of the kernel, which is a package of a new name. Hosts see it at their next apt-get update.
func (f *Fleet) Publish(_ context.Context, what string) error {
	r := f.repo
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case what == "security":
		r.security = true
	case what == "kernel":
		r.kernel = true
	case r.find("lab-web", what) != nil:
		r.lab = what
	default:
		return fmt.Errorf("nothing to publish by the name %q: want one of %s, security, kernel", what, strings.Join(versionsOfLab(), ", "))
	}
	f.events.add(Call{Event: "published", Text: what})
	return nil
}

func versionsOfLab() (all []string) {
	for _, v := range labVersions {
		all = append(all, v.version)
	}
	return all
}

// reset takes back what was published.
func (r *repo) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lab, r.security, r.kernel, r.away = labBase, false, false, false
}

// Archive takes the package archives away from all hosts, or gives them back.
func (f *Fleet) Archive(present bool) {
	f.repo.mu.Lock()
	f.repo.away = !present
	f.repo.mu.Unlock()
	f.events.add(Call{Event: fmt.Sprintf("archive present %v", present)})
}

func (r *repo) reachable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.away
}

// compareOp is dpkg --compare-versions.
func compareOp(a, op, b string) bool {
	c := advisory.Compare(a, b)
	switch op {
	case "=", "eq":
		return c == 0
	case "ne":
		return c != 0
	case ">=", "ge":
		return c >= 0
	case "<=", "le":
		return c <= 0
	case ">>", "gt":
		return c > 0
	case "<<", "lt":
		return c < 0
	}
	return false
}
