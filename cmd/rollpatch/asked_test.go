package main

import (
	"fmt"
	"time"

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
