package approval

import (
	"slices"
	"strings"
	"time"
)

// Breaker is the role of those who may break a freeze: its own approvers, and nobody else.
const Breaker Role = "approver of the freeze"

const freezeGate = "freeze/"

// GateFreeze names one span of a freeze. What is broken is that one, and not the next time that the freeze comes.
func GateFreeze(name string, from, to time.Time) string {
	return freezeGate + name + "/" + stamp(from) + "/" + stamp(to)
}

// IsFreeze says that a gate is a freeze.
func IsFreeze(gate string) bool { return strings.HasPrefix(gate, freezeGate) }

// FreezeOf takes the name of a freeze's gate apart. Only the form in which rollpatch writes it is one.
func FreezeOf(gate string) (name string, from, to time.Time, ok bool) {
	parts := strings.Split(strings.TrimPrefix(gate, freezeGate), "/")
	if !IsFreeze(gate) || len(parts) != 3 || parts[0] == "" {
		return "", from, to, false
	}
	from, err := time.Parse(time.RFC3339, parts[1])
	to, errTo := time.Parse(time.RFC3339, parts[2])
	if err != nil || errTo != nil || !to.After(from) || GateFreeze(parts[0], from, to) != gate {
		return "", time.Time{}, time.Time{}, false
	}
	return parts[0], from.UTC(), to.UTC(), true
}

// BreakRule is whom a freeze asks: one of these people. Without any it is nobody, whatever keys are known.
func BreakRule(people []string) Rule {
	r := Rule{Quorum: 1, Roles: []Role{Breaker}}
	for _, name := range people {
		r.Approvers = append(r.Approvers, Approver{Principal: name, Roles: r.Roles})
	}
	return r
}

// Broken lists the words that break the freeze of this gate now, the one that counts longest first, and says until when it is broken; zero: it
// is not. A word counts until it expires, and never past the freeze's end.
func Broken(g Gate, votes []Vote, now time.Time) (words []Vote, until time.Time) {
	_, _, to, ok := FreezeOf(g.ID)
	if !ok || !to.After(now) || !Judge(g, votes, now).Open {
		return nil, time.Time{}
	}
	for _, w := range g.people(votes) {
		if w.Decision == Approve && w.Expires.After(now) {
			words = append(words, w)
		}
	}
	slices.SortStableFunc(words, func(a, b Vote) int { return b.Expires.Compare(a.Expires) })
	if until = words[0].Expires; until.After(to) {
		until = to
	}
	return words, until
}
