// Package preflight says what stands against patching a host, from what the host told: facts in, findings out. It asks nobody and knows no clock
// but the one it is given.
package preflight

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Finding is something that stands against patching a host, or that a person should know before.
type Finding struct {
	Check    string   `json:"check"`
	Host     string   `json:"host"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Remedy   string   `json:"remedy"`
	// Accepted is why somebody accepts it, until a day that has not come; Expired, that this was so.
	Accepted string `json:"accepted,omitempty"`
	Until    string `json:"until,omitempty"`
	Expired  bool   `json:"expired,omitempty"`
}

func (f Finding) String() string { return f.Check + ": " + f.What }

// Severity is what a finding keeps from happening.
type Severity string

// From the one that a member is not drained with, to the one that is only told.
const (
	Severe  Severity = "severe"  // the host is blocked, and a member with it is not drained
	Warning Severity = "warning" // the host is blocked in check, until it is mended or accepted
	Note    Severity = "note"    // the host is ready all the same
)

// The checks, by the names that people accept their findings by.
const (
	Access     = "access"
	Packages   = "packages"
	Repository = "repository"
	Space      = "space"
	Clock      = "clock"
	Kernel     = "kernel"
	Reboot     = "reboot"
	Holds      = "holds"
	Updaters   = "updaters"
	Units      = "units"
	Consul     = "consul"
	InService  = "in-service"
	Quarantine = "quarantine"
	BackupAge  = "backup"
	Restore    = "restore"
	UnitOff    = "unsaved-unit"
	MountOff   = "unsaved-mount"
	RouteOff   = "unsaved-route"
	SysctlOff  = "unsaved-sysctl"
)

// Checks lists them, in the order of findings.
func Checks() []string {
	return []string{Access, Packages, Repository, Space, Clock, Kernel, Reboot, Holds, Updaters, Units, Consul, InService, Quarantine, BackupAge, Restore, UnitOff, MountOff, RouteOff, SysctlOff}
}

// State is how a host stands.
type State string

// The three lists. What nobody could tell is blocked: it is not fine.
const (
	Ready    State = "ready"
	Accepted State = "accepted"
	Blocked  State = "blocked"
)

// Stands is how a host with these findings stands.
func Stands(findings []Finding) State {
	s := Ready
	for _, f := range findings {
		switch {
		case f.Severity == Note:
		case f.Accepted == "":
			return Blocked
		default:
			s = Accepted
		}
	}
	return s
}

// Refusal is why a member is not drained with these findings, and what to do about it; empty where nothing stands against it.
func Refusal(findings []Finding) string {
	var all []string
	for _, f := range findings {
		if f.Severity == Severe && f.Accepted == "" {
			all = append(all, f.What+": "+f.Remedy)
		}
	}
	return strings.Join(all, "; ")
}

// Acceptance is a finding that a person lives with until a day.
type Acceptance struct {
	Check, Reason string
	Until         time.Time
	Written       string // Until, as the file has it
}

// Accept marks the findings that these acceptances are for; what is over counts for nothing but that it is told.
func Accept(findings []Finding, by []Acceptance, now time.Time) []Finding {
	out := slices.Clone(findings)
	for i := range out {
		for _, a := range by {
			switch {
			case a.Check != out[i].Check || out[i].Accepted != "":
			case now.Before(a.Until):
				out[i].Accepted, out[i].Until, out[i].Expired = a.Reason, a.Written, false
			default:
				out[i].Until, out[i].Expired = a.Written, true
			}
		}
	}
	return out
}

// order puts findings as people read them: what is worse first.
func order(findings []Finding) {
	rank := map[Severity]int{Severe: 0, Warning: 1, Note: 2}
	all := Checks()
	slices.SortStableFunc(findings, func(a, b Finding) int {
		if d := rank[a.Severity] - rank[b.Severity]; d != 0 {
			return d
		}
		return slices.Index(all, a.Check) - slices.Index(all, b.Check)
	})
}

// Join is several lists of findings in their order.
func Join(lists ...[]Finding) []Finding {
	all := slices.Concat(lists...)
	order(all)
	return all
}

// few lists names, and counts those that are too many to read.
func few(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
