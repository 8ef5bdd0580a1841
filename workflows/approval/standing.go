package approval

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// standingHeading begins what is signed once for what a schedule makes. It is another form than a statement's: neither is ever taken for the other.
const standingHeading = "rollpatch standing approval 1"

// The limits of a standing approval.
const (
	// StandingMax is how long one counts at the most.
	StandingMax = 90 * 24 * time.Hour
	// StandingHandIn is how long after it was signed one can be handed in. What was withdrawn is remembered until it expires, and cannot be
	// handed in again anyway.
	StandingHandIn = 24 * time.Hour
	patternsMost   = 100
	patternMax     = 128
)

// CauseLimits is why a standing approval does not count for what lies behind a gate.
const CauseLimits Cause = "not within"

// Standing is what a person signs once for the instances that a schedule makes by itself, with limits. It says yes and nothing else.
type Standing struct {
	Schedule string
	// Files is the digest of what the files said when the schedule was created: another cluster, soak or check makes it another one. Empty:
	// whatever they say.
	Files    string
	Gates    []string // start, stage/<name>: never a soak, an emergency or a freeze
	Clusters []string // patterns of names, such as web-*
	Packages []string // and of the packages that may come, change or go
	Reason   string
	At       time.Time
	Expires  time.Time
	Nonce    string
}

// Text is what is signed.
func (s Standing) Text() string {
	var b strings.Builder
	line := func(key string, values ...string) {
		for _, v := range values {
			b.WriteString(key + ": " + v + "\n")
		}
	}
	b.WriteString(standingHeading + "\n")
	line("schedule", s.Schedule)
	if s.Files != "" {
		line("files", s.Files)
	}
	line("gate", s.Gates...)
	line("cluster", s.Clusters...)
	line("package", s.Packages...)
	line("reason", s.Reason)
	line("at", stamp(s.At))
	line("expires", stamp(s.Expires))
	line("nonce", s.Nonce)
	return b.String()
}

// Digest names it.
func (s Standing) Digest() string {
	sum := sha256.Sum256([]byte(s.Text()))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Name is the name that people call it by.
func (s Standing) Name() string { return s.Schedule + "/" + s.Nonce[:min(len(s.Nonce), nameLength)] }

// nameLength is how much of a nonce is in a name.
const nameLength = 12

// ParseStanding reads one back. Only the canonical text is one.
func ParseStanding(text string) (Standing, error) {
	var s Standing
	all, err := fieldsOf(text, standingHeading)
	if err != nil {
		return s, err
	}
	for _, f := range all {
		switch f.key {
		case "schedule":
			s.Schedule = f.value
		case "files":
			s.Files = f.value
		case "gate":
			s.Gates = append(s.Gates, f.value)
		case "cluster":
			s.Clusters = append(s.Clusters, f.value)
		case "package":
			s.Packages = append(s.Packages, f.value)
		case "reason":
			s.Reason = f.value
		case "at":
			s.At, err = time.Parse(time.RFC3339, f.value)
		case "expires":
			s.Expires, err = time.Parse(time.RFC3339, f.value)
		case "nonce":
			s.Nonce = f.value
		default:
			return s, fmt.Errorf("standing approval: %.80q is no line of one", f.key+": "+f.value)
		}
		if err != nil {
			return s, fmt.Errorf("standing approval: %s: %w", f.key, err)
		}
	}
	if err := s.Check(); err != nil {
		return s, err
	}
	if s.Text() != text {
		return s, errors.New("standing approval: it is not in the form in which rollpatch writes it: order of lines, times in UTC with seconds, a newline at the end")
	}
	return s, nil
}

// Check says what is wrong with its form: everything at once.
func (s Standing) Check() error {
	var wrong []error
	add := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("standing approval: "+format, args...))
	}
	for _, f := range []struct{ key, value string }{{"schedule", s.Schedule}, {"reason", s.Reason}, {"nonce", s.Nonce}} {
		if f.value == "" {
			add("%s is missing", f.key)
		}
	}
	for _, f := range []struct {
		key    string
		values []string
	}{{"gate", s.Gates}, {"cluster", s.Clusters}, {"package", s.Packages}} {
		if len(f.values) == 0 {
			add("%s is missing: without limits it would be for everything", f.key)
		}
		if len(f.values) > patternsMost {
			add("%s: %d of them, at most %d", f.key, len(f.values), patternsMost)
		}
		for i, v := range f.values {
			if len(v) > patternMax {
				add("%s %.40q: %d bytes, at most %d", f.key, v, len(v), patternMax)
			}
			if slices.Contains(f.values[:i], v) {
				add("%s %q stands there twice", f.key, v)
			}
			if _, err := path.Match(v, ""); f.key != "gate" && (v == "" || err != nil) {
				add("%s %q is no pattern: a name, with * for any characters, ? for one and [a-z] for one of these", f.key, v)
			}
		}
	}
	for _, g := range s.Gates {
		if !mayStand(g) {
			add("gate %q: it is for %s and %s only: a soak's end, an emergency and a freeze want people", g, GateStart, GateStage("NAME"))
		}
	}
	for _, f := range slices.Concat([]string{s.Schedule, s.Files, s.Reason, s.Nonce}, s.Gates, s.Clusters, s.Packages) {
		if !oneLine(f) {
			add("%.80q is not one line of plain text", f)
		}
	}
	if len(s.Reason) > reasonMax {
		add("reason: %d bytes, at most %d", len(s.Reason), reasonMax)
	}
	if s.Nonce != "" && len(s.Nonce) < nonceMin {
		add("nonce %q: at least %d characters, chosen at random", s.Nonce, nonceMin)
	}
	switch {
	case s.At.IsZero():
		add("at is missing")
	case s.Expires.IsZero():
		add("expires is missing: one without an end is none")
	case !s.Expires.After(s.At):
		add("expires %s is not after at %s", stamp(s.Expires), stamp(s.At))
	case s.Expires.Sub(s.At) > StandingMax:
		add("it lasts from %s to %s, and %d days are the most", stamp(s.At), stamp(s.Expires), StandingMax/(24*time.Hour))
	}
	return errors.Join(wrong...)
}

// mayStand says that a gate may be opened by a standing approval.
func mayStand(gate string) bool {
	stage, is := strings.CutPrefix(gate, GateStage(""))
	return gate == GateStart || is && stage != ""
}

// Behind is what lies behind a gate: what would be done once it is open, as the plan has it.
type Behind struct {
	Clusters []BehindCluster
	// Emergency: it is one, and wants people.
	Emergency bool
}

// BehindCluster is one of its clusters.
type BehindCluster struct {
	Name     string
	Packages []string // every one that would come, change or go on its hosts
	// Unasked: nobody asked its hosts what they would get, so it may be anything.
	Unasked bool
}

// within is why what lies behind a gate is not within the limits; nil: it is.
func (s Standing) within(b Behind) *Refusal {
	if len(b.Clusters) == 0 {
		return refuse(CauseLimits, "not within: nobody knows which clusters lie behind the gate")
	}
	for _, c := range b.Clusters {
		if !matches(s.Clusters, c.Name) {
			return refuse(CauseLimits, "not within: cluster %s is not among clusters %s", c.Name, few(s.Clusters))
		}
		if c.Unasked {
			return refuse(CauseLimits, "not within: nobody knows what the hosts of cluster %s would get", c.Name)
		}
		for _, p := range c.Packages {
			if !matches(s.Packages, p) {
				return refuse(CauseLimits, "not within: %s of cluster %s is not among packages %s", p, c.Name, few(s.Packages))
			}
		}
	}
	return nil
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

func few(names []string) string {
	const most = 8
	s := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		s += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return s
}

// AdmitStanding takes a standing approval as a vote at this gate, or says why it does not count there: the error is a *Refusal. The vote is for
// this plan alone: what lies behind the gate was looked at for that.
func (g Gate) AdmitStanding(b Behind, votes []Vote, s Standing, by Signer, now time.Time) (Vote, error) {
	if err := s.Check(); err != nil {
		return Vote{}, refuse(CauseForm, "%v", err)
	}
	v := Vote{
		Gate: g.ID, Decision: Approve, By: by, Campaign: g.Campaign, Instance: g.Instance, Plan: g.Plan, WhenPass: true, Reason: s.Reason, At: s.At, Expires: s.Expires, Nonce: s.Nonce,
		Statement: s.Digest(), Taken: now, Standing: s.Name(), Roles: g.roles(by),
	}
	switch {
	case b.Emergency:
		return Vote{}, refuse(CauseGate, "%s is an emergency, which wants people", g.Instance)
	case g.Schedule == "":
		return Vote{}, refuse(CauseInstance, "%s is none that a schedule made by itself, and what a person has begun wants people", g.Instance)
	case s.Schedule != g.Schedule:
		return Vote{}, refuse(CauseInstance, "it is for schedule %q, and this is %q", s.Schedule, g.Schedule)
	case s.Files != "" && s.Files != g.Files:
		return Vote{}, refuse(CausePlan, "not within: the files have changed since it was signed, and the schedule was created anew with them (%s, and it is for %s): sign for what they say now", g.Files, s.Files)
	case !slices.Contains(s.Gates, g.ID):
		return Vote{}, g.elsewhere(s.Gates)
	}
	if r := g.refusal(v); r != nil {
		return Vote{}, r
	}
	if r := s.inTime(now); r != nil {
		return Vote{}, r
	}
	if slices.ContainsFunc(votes, func(old Vote) bool { return old.Nonce == v.Nonce }) {
		return Vote{}, refuse(CauseReplayed, "its nonce was used at this gate already")
	}
	if r := s.within(b); r != nil {
		return Vote{}, r
	}
	return v, nil
}

// HandIn says whether a standing approval can be kept for a schedule, or why not: the error is a *Refusal. It counts nowhere yet.
func HandIn(schedule string, s Standing, by Signer, now time.Time) error {
	switch {
	case s.Check() != nil:
		return refuse(CauseForm, "%v", s.Check())
	case s.Schedule != schedule:
		return refuse(CauseInstance, "it is for schedule %q, and this is %q", s.Schedule, schedule)
	case !by.Signed():
		return refuse(CauseUnsigned, "nobody signed it, and a standing approval counts signed only: sign with an SSH agent or --key FILE")
	case by.nobody():
		return refuse(CauseUnknownKey, "nobody is known to have key %s", by.Key)
	case now.Sub(s.At) > StandingHandIn:
		return refuse(CauseExpired, "it was signed at %s, and is handed in within %d hours or not at all: sign anew", stamp(s.At), StandingHandIn/time.Hour)
	}
	if r := s.inTime(now); r != nil {
		return r
	}
	return nil
}

func (s Standing) inTime(now time.Time) *Refusal {
	if s.At.After(now.Add(Skew)) {
		return refuse(CauseFuture, "it is dated %s, and it is %s: set the clock of whoever says so", stamp(s.At), stamp(now))
	}
	if !s.Expires.After(now) {
		return refuse(CauseExpired, "it expired at %s: sign anew", stamp(s.Expires))
	}
	return nil
}

// standingRefusal is why a vote that comes from a standing approval does not count at this gate, whatever lies behind it.
func (g Gate) standingRefusal(v Vote) *Refusal {
	switch {
	case !mayStand(g.ID):
		return refuse(CauseGate, "a standing approval opens no %s: that wants people", g.ID)
	case g.Schedule == "" || !strings.HasPrefix(v.Standing, g.Schedule+"/"):
		return refuse(CauseInstance, "standing approval %s is not for instances that schedule %q makes by itself", v.Standing, g.Schedule)
	case !v.By.Signed():
		return refuse(CauseUnsigned, "nobody signed it, and a standing approval counts signed only")
	case v.Decision != Approve || v.Instance != g.Instance || !v.WhenPass:
		return refuse(CauseForm, "standing approval %s was not looked at for this instance", v.Standing)
	case v.Expires.Sub(v.At) > StandingMax:
		return refuse(CauseForm, "standing approval %s lasts longer than %d days", v.Standing, StandingMax/(24*time.Hour))
	}
	return nil
}
