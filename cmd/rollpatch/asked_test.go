package main

import (
	"fmt"
	"time"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

// untoldHosts are those of askedHosts, where web's repository does not say what of it are security updates.
func untoldHosts() []plan.Answer {
	all := askedHosts("1.1")
	for i := range all[:2] {
		all[i].Packages = nil
		all[i].Untold = "packages.security: no repository says whether these are security updates: lab-web 1.1 (from rollpatch lab:lab); put them into packages.exclude"
		all[i].Trouble = []string{all[i].Untold}
	}
	return all
}

// namedHosts have openssl, and were asked for opensll and 'libsll*' as well.
func namedHosts(names ...string) []plan.Answer {
	var all []plan.Answer
	for _, name := range names {
		all = append(all, plan.Answer{Host: name, OS: "debian", Release: "12", Arch: "amd64", Named: []plan.Named{
			{Name: "openssl", Here: true}, {Name: "opensll", Near: "openssl"}, {Name: "libsll*", Near: "libssl3"}, {Name: "nosuch"},
		}})
	}
	return all
}

// advisedHosts have openssh: web-1 and web-2 as Debian 12 came with it, web-3 fixed already. cache-1 and cache-2 have none.
func advisedHosts(offered string) frame {
	f := frame{At: sceneStart, Asked: namedHosts("cache-1", "cache-2", "web-1", "web-2", "web-3"), Built: map[string][]advisory.Package{}}
	if offered != "" {
		f.Offers = map[string]string{"openssh-client": offered, "openssh-server": offered}
	}
	for host, version := range map[string]string{"web-1": "1:9.2p1-2+deb12u2", "web-2": "1:9.2p1-2+deb12u2", "web-3": "1:9.2p1-2+deb12u3"} {
		for _, name := range []string{"openssh-client", "openssh-server"} {
			f.Built[host] = append(f.Built[host], advisory.Package{Name: name, Source: "openssh", SourceVersion: version})
		}
		f.Built[host] = append(f.Built[host], advisory.Package{Name: "libssl3", Source: "openssl", SourceVersion: "3.0.17-1"})
	}
	for i, a := range f.Asked {
		if a.Host == "web-1" || a.Host == "web-2" {
			f.Asked[i].Packages = []plan.Package{{Name: "openssh-server", Old: "1:9.2p1-2+deb12u2", New: "1:9.2p1-2+deb12u3", Origin: "Debian-Security:12/stable-security", Security: "yes", Size: 450_000}}
		}
	}
	return f
}

// askedHosts are what the hosts of the scripts say, but for web-3, which cannot be reached.
func askedHosts(page string) []plan.Answer {
	var all []plan.Answer
	on := func(host string, packages ...plan.Package) *plan.Answer {
		all = append(all, plan.Answer{Host: host, OS: "debian", Release: "12", Arch: "amd64", Kernel: "6.1.0-40-amd64", Packages: packages})
		return &all[len(all)-1]
	}
	ssl := plan.Package{Name: "libssl3", Old: "3.0.15-1", New: "3.0.17-1", Origin: "Debian-Security:12/stable-security", Security: "yes", Size: 2_000_000}
	tz := plan.Package{Name: "tzdata", Old: "2024b-0", New: "2025b-0", Origin: "Debian:12.12/stable", Security: "no", Size: 300_000}
	web := plan.Package{Name: "lab-web", Old: "1.0", New: page, Origin: "rollpatch lab:lab", Security: "unknown", Size: 2100}
	file := calendar.Need{Work: 25 * time.Minute, Backout: 15 * time.Minute}
	for _, n := range []int{1, 2} {
		a := on(fmt.Sprintf("web-%d", n), web, ssl)
		a.Estimate = &calendar.Estimate{Need: calendar.Need{Work: time.Duration(14-n) * time.Minute, Backout: file.Backout}, Out: 10 * time.Minute,
			WorkFrom: "p95 of 37 runs on debian 12 amd64 of cluster web", BackoutFrom: "the file's: 1 of 5 runs measured"}
		a.Reboot = []plan.Sign{{Package: "libssl3", Why: "if a process has it open"}}
	}
	all[1].Packages = append(all[1].Packages, tz)
	all[1].Held = []string{"nginx-light 1.22.1-9"}
	cache := calendar.Measure(file)
	first := on("cache-1", ssl, tz)
	first.Pending, first.Estimate = true, &cache
	on("cache-2", ssl, tz).Estimate = &cache
	on("solo-1")
	return all
}
