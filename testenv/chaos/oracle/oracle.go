// Package oracle judges a run by what was recorded while it happened: who drained which member when, which transaction ran under which
// run, what the servers listed, who was told. It knows the promises of the product and the log; it must not know the product, whose
// own word counts for nothing but what it says to people. It is pure: it reads no clock and no file.
package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Kind is what happened.
type Kind string

// The kinds of events. "Ours" is what was done in the name of an instance.
const (
	Drained        Kind = "drained"         // our maintenance was set on a service of the host
	Undrained      Kind = "undrained"       // and removed
	Noted          Kind = "noted"           // our record of a drain was written
	Forgotten      Kind = "forgotten"       // and removed
	ForeignSet     Kind = "foreign-set"     // somebody else's maintenance; without a service that of the node
	ForeignRemoved Kind = "foreign-removed" // By says by whom
	Listed         Kind = "listed"          // the servers give the service on this host to those who ask for passing ones
	Unlisted       Kind = "unlisted"        // and no longer
	Up             Kind = "up"              // the service works, whatever anybody lists
	Down           Kind = "down"            // and no longer
	Ran            Kind = "ran"             // the script of a run made its first call
	Interrupted    Kind = "interrupted"     // a run was cut short: power, a deadline, a kill
	Begin          Kind = "begin"           // a package transaction
	End            Kind = "end"             // of it; Failed says how
	RebootAsked    Kind = "reboot-asked"    // the host was told to reboot
	Booted         Kind = "booted"          // another boot id
	Cut            Kind = "cut"             // nobody can reach the host
	Healed         Kind = "healed"          // and again
	Quarantined    Kind = "quarantined"     // the member is on record as not to be touched
	Told           Kind = "told"            // a notice reached a person
	Taken          Kind = "taken"           // the claim of a cluster
	Released       Kind = "released"        // and its end
	Started        Kind = "started"         // an instance
	Ended          Kind = "ended"           // with its Outcome
	Waits          Kind = "waits"           // at the end of the log the instance says what it waits for
	Said           Kind = "said"            // a person's word: approve, resume, skip, backout, reject, abort
	Loose          Kind = "loose"           // Consul was asked for something that may be old: its leader was not made sure of
	Found          Kind = "found"           // at the end of the log: the maintenance that a service of the host is in, if any
)

// Person acts by hand, as against a program.
const Person = "person"

// Event is one line of the log. Its place in the log is its order; Time is only compared with waits.
type Event struct {
	Time     time.Time         `json:"time"`
	Kind     Kind              `json:"kind"`
	Host     string            `json:"host,omitempty"`
	Service  string            `json:"service,omitempty"`
	Cluster  string            `json:"cluster,omitempty"`
	Instance string            `json:"instance,omitempty"`
	Step     string            `json:"step,omitempty"` // of the run: fetch, patch, reboot, backout
	Run      string            `json:"run,omitempty"`
	Try      string            `json:"try,omitempty"`  // the run's id without its last number: the step that it is a run of
	Boot     string            `json:"boot,omitempty"` // boot id
	By       string            `json:"by,omitempty"`
	Packages map[string]string `json:"packages,omitempty"` // of a transaction: the version that each gets, "" when it goes
	Failed   bool              `json:"failed,omitempty"`
	Outcome  string            `json:"outcome,omitempty"`
	Text     string            `json:"text,omitempty"`
}

// String is the event as a person reads it in a log.
func (e Event) String() string {
	s := e.Time.UTC().Format("15:04:05.000") + " " + string(e.Kind)
	for _, part := range []string{e.Host, e.Service, e.Cluster, cmp.Or(e.Run, e.Instance), e.By, e.Outcome, e.Text} {
		if part != "" {
			s += " " + part
		}
	}
	for _, name := range sortedKeys(e.Packages) {
		s += " " + name + "=" + e.Packages[name]
	}
	if e.Failed {
		s += " failed"
	}
	return s
}

// Facts are what the inventory and the campaign say, and what the world's own delays are.
type Facts struct {
	Clusters []Cluster
	// Grace is how long ago a change may be that nobody could know of yet: agents look at their services, servers hear of it, and a
	// question is answered before what follows from it is done.
	Grace time.Duration
	// Return is how soon a member that could serve is back when its peers fell below their floor while it was out; 0 does not ask: who
	// cannot know of it, because a server is away, cannot do it either.
	Return time.Duration
}

// Cluster is one cluster's floor and budget.
type Cluster struct {
	Name           string
	Members        []string
	MaxUnavailable int
	MinHealthy     int
	Soak           time.Duration // of the canary, before a peer is touched
	Approval       bool          // the soak's end wants a person's word
}

// Violation is one broken promise.
type Violation struct {
	Promise string    `json:"promise"`
	At      int       `json:"at"` // index in the log
	Time    time.Time `json:"time"`
	Host    string    `json:"host,omitempty"`
	Text    string    `json:"text"`
}

func (v Violation) String() string {
	s := v.Promise + " at " + v.Time.UTC().Format("15:04:05.000")
	if v.Host != "" {
		s += " " + v.Host
	}
	return s + ": " + v.Text
}

// promises are the ones that a log can show broken.
var promises = []struct {
	name  string
	check func([]Event, Facts) []Violation
}{
	{"P1", budget}, {"P2", floor}, {"P3", soaked}, {"P4", shipped}, {"P5", back}, {"P6", once}, {"P8", foreign}, {"P10", told},
}

// Check returns every broken promise, in the order of the log.
func Check(log []Event, f Facts) []Violation {
	var all []Violation
	for _, p := range promises {
		for _, v := range p.check(log, f) {
			v.Promise = p.name
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b Violation) int { return cmp.Compare(a.At, b.At) })
	return all
}

// breach is a violation at an event.
func breach(log []Event, at int, host, format string, args ...any) Violation {
	v := Violation{At: at, Host: host, Text: fmt.Sprintf(format, args...)}
	if at >= 0 && at < len(log) {
		v.Time = log[at].Time
	}
	return v
}

func (f Facts) clustersOf(host string) (all []Cluster) {
	for _, c := range f.Clusters {
		if slices.Contains(c.Members, host) {
			all = append(all, c)
		}
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
