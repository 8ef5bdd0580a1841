package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Accept is a finding of the preflight that somebody lives with until a day, on one host or all members of one cluster.
type Accept struct {
	// Check is the preflight's check whose finding is accepted.
	Check Preflight `json:"check" yaml:"check" jsonschema:"required"`
	// Host whose finding it is; exactly one of host and cluster.
	Host string `json:"host,omitempty" yaml:"host,omitempty"`
	// Cluster whose members' finding it is.
	Cluster string `json:"cluster,omitempty" yaml:"cluster,omitempty"`
	// Reason is why.
	Reason string `json:"reason" yaml:"reason" jsonschema:"required"`
	// Until is the last day on which it is accepted, such as 2027-01-31, in UTC; from then on it counts again.
	Until string `json:"until" yaml:"until" jsonschema:"required"`
}

// Preflight is the name of one of the preflight's checks.
type Preflight string

// Values lists what may be written: the checks of workflows/preflight.
func (Preflight) Values() []string {
	return []string{
		"access", "packages", "repository", "space", "clock", "kernel", "reboot", "holds", "updaters", "units", "consul", "in-service", "quarantine", "backup", "restore",
		"unsaved-unit", "unsaved-mount", "unsaved-route", "unsaved-sysctl",
	}
}

// Ends is when it counts no more.
func (a Accept) Ends() (time.Time, error) {
	return EndOf(a.Until)
}

// EndOf is when a day that is written as 2027-01-31 is over, in UTC.
func EndOf(written string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, written)
	if err != nil {
		return time.Time{}, err
	}
	return day.AddDate(0, 0, 1), nil
}

// For reports whether it is about a host that is a member of these clusters.
func (a Accept) For(host string, clusters []string) bool {
	return a.Host == host && host != "" || a.Cluster != "" && slices.Contains(clusters, a.Cluster)
}

// Backup is how it is known when a member's last backup was made: by exactly one of File and Command.
type Backup struct {
	// File is its path on the member, or a glob: the newest that it matches counts.
	File string `json:"file,omitempty" yaml:"file,omitempty"`
	// Command is run on the member as root, and prints when it was made: a date, or seconds since 1970. The program and its arguments.
	Command []string `json:"command,omitempty" yaml:"command,omitempty"`
	// MaxAge is how old it may be.
	MaxAge Duration `json:"max_age" yaml:"max_age" jsonschema:"required"`
	// RestoreProven is the day on which it was last proven that one can be restored, such as 2026-09-30.
	RestoreProven string `json:"restore_proven,omitempty" yaml:"restore_proven,omitempty"`
}

// Proven is that day; zero where none is written.
func (b Backup) Proven() time.Time {
	day, _ := time.Parse(time.DateOnly, b.RestoreProven) // Validate refuses what is no day
	return day
}

func (p *Problems) backup(at string, b *Backup) {
	if b == nil {
		return
	}
	if countTrue(b.File != "", len(b.Command) > 0) != 1 {
		p.Add(at, "needs exactly one of file and command")
	}
	if b.File != "" {
		if _, err := path.Match(b.File, ""); err != nil || !strings.HasPrefix(b.File, "/") {
			p.Add(at+".file", "%q is no path on the member, or a glob, that begins with /", b.File)
		}
	}
	p.Argv(at+".command", b.Command)
	if slices.ContainsFunc(b.Command, func(word string) bool { return strings.ContainsAny(word, "\n\r") || strings.HasPrefix(word, "\t") }) {
		p.Add(at+".command", "holds a line break, or begins with a tab: put that into a script on the member")
	}
	if b.MaxAge <= 0 {
		p.Add(at+".max_age", "is missing: say how old a backup may be, such as 26h")
	}
	p.Day(at+".restore_proven", b.RestoreProven)
}

// Day names what is no day; nothing is written where none is needed.
func (p *Problems) Day(path, written string) {
	if written == "" {
		return
	}
	if _, err := time.Parse(time.DateOnly, written); err != nil {
		p.Add(path, "%q is no day: write it as 2027-01-31", written)
	}
}

func (inv Inventory) validateAccept(p *Problems) {
	hosts, clusters := map[string]bool{}, map[string]bool{}
	for _, h := range inv.Hosts {
		hosts[h.Name] = true
	}
	for _, c := range inv.Clusters {
		clusters[c.Name] = true
	}
	for i, a := range inv.Accept {
		at := fmt.Sprintf("accept[%d]", i)
		if a.Check == "" {
			p.Add(at+".check", "is missing: name the check whose finding is accepted, as rollpatch check prints it")
		}
		OneOf(p, at+".check", a.Check)
		if countTrue(a.Host != "", a.Cluster != "") != 1 {
			p.Add(at, "needs exactly one of host and cluster")
		}
		if a.Host != "" && !hosts[""] && !hosts[a.Host] {
			p.Add(at+".host", "%q is no host of this inventory%s", a.Host, DidYouMean(a.Host, sorted(hosts)))
		}
		if a.Cluster != "" && !clusters[""] && !clusters[a.Cluster] {
			p.Add(at+".cluster", "%q is no cluster of this inventory%s", a.Cluster, DidYouMean(a.Cluster, sorted(clusters)))
		}
		if strings.TrimSpace(a.Reason) == "" {
			p.Add(at+".reason", "is missing: say why this may stay")
		}
		if a.Until == "" {
			p.Add(at+".until", "is missing: say until which day, such as 2027-01-31")
		}
		p.Day(at+".until", a.Until)
	}
}
