package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Cause is why a word is refused.
type Cause string

// The causes.
const (
	CauseForm       Cause = "form"        // it is no statement, or no signature
	CauseSignature  Cause = "signature"   // the signature is not one over this statement
	CauseUnknownKey Cause = "unknown key" // nobody is known to have it
	CauseRevokedKey Cause = "revoked key"
	CauseUnsigned   Cause = "unsigned"
	CauseGate       Cause = "wrong gate"
	CauseSoak       Cause = "earlier soak"
	CauseInstance   Cause = "other instance"
	CausePlan       Cause = "other plan"
	CauseRequester  Cause = "requester"
	CauseRole       Cause = "no role"
	CauseExpired    Cause = "expired"
	CauseFuture     Cause = "not yet valid"
	CauseReplayed   Cause = "replayed"
	CauseNotYet     Cause = "not ripe"
	CauseOverruled  Cause = "overruled"
)

// Refusal is a word that does not count, and why.
type Refusal struct {
	Cause Cause
	Text  string
}

func (r *Refusal) Error() string { return r.Text }

func refuse(cause Cause, format string, args ...any) *Refusal {
	return &Refusal{Cause: cause, Text: fmt.Sprintf(format, args...)}
}

// Admit takes what by says with s as a vote at this gate, or says why it does not count: the error is a *Refusal. The votes are those that were
// admitted before; keep what it returns. A word that was admitted already is refused as replayed and changes nothing.
func (g Gate) Admit(votes []Vote, s Statement, by Signer, now time.Time) (Vote, error) {
	if err := s.Check(); err != nil {
		return Vote{}, refuse(CauseForm, "%v", err)
	}
	v := Vote{
		Gate: g.ID, Decision: s.Decision, By: by, Campaign: s.Campaign, Instance: s.Instance, Plan: s.Plan, WhenPass: s.WhenPass,
		Reason: s.Reason, At: s.At, Expires: s.Expires, Nonce: s.Nonce, Statement: s.Digest(), Taken: now,
	}
	if !slices.Contains(s.Gates, g.ID) {
		return Vote{}, g.elsewhere(s.Gates)
	}
	v.Roles = g.roles(by)
	if r := g.refusal(v); r != nil {
		return Vote{}, r
	}
	if s.At.After(now.Add(Skew)) {
		return Vote{}, refuse(CauseFuture, "it is dated %s, and it is %s: set the clock of whoever says so", stamp(s.At), stamp(now))
	}
	if !s.Expires.After(now) {
		return Vote{}, refuse(CauseExpired, "it expired at %s: say it again", stamp(s.Expires))
	}
	for _, old := range votes {
		if old.Nonce == v.Nonce {
			return Vote{}, refuse(CauseReplayed, "its nonce was used at this gate already: %s said %s at %s", old.By, old.Decision, stamp(old.At))
		}
	}
	for _, old := range votes {
		if old.Standing != "" {
			continue // what he says himself takes its place
		}
		if old.By.Signed() && !by.Signed() && old.By.Is(by) {
			return Vote{}, refuse(CauseOverruled, "%s has said %s with a signature: only a signed word takes the place of that", old.By, old.Decision)
		}
		if old.By.Is(by) && old.By.Signed() == by.Signed() && old.At.After(v.At) {
			return Vote{}, refuse(CauseOverruled, "%s has said %s at %s, after this was said at %s", old.By, old.Decision, stamp(old.At), stamp(v.At))
		}
	}
	if !g.Ripe && v.Decision == Approve && !v.WhenPass {
		return Vote{}, refuse(CauseNotYet, "%s: there is nothing to approve yet; to agree ahead, valid only if it passes without a finding, say approve --when-pass", g.ID)
	}
	return v, nil
}

// elsewhere says that a statement is for other gates than this one.
func (g Gate) elsewhere(gates []string) *Refusal {
	if cluster, number, ok := soakOf(g.ID); ok {
		for _, other := range gates {
			if c, n, ok := soakOf(other); ok && c == cluster {
				return refuse(CauseSoak, "it is for soak %s of cluster %q, and soak %s waits", n, cluster, number)
			}
		}
	}
	names := strings.Join(gates[:min(len(gates), 5)], ", ")
	if len(gates) > 5 {
		names += fmt.Sprintf(" and %d more", len(gates)-5)
	}
	return refuse(CauseGate, "it is for %s, and this is %s", names, g.ID)
}

// refusal is why a vote does not count at this gate, whenever it is asked.
func (g Gate) refusal(v Vote) *Refusal {
	switch {
	case v.Gate != g.ID:
		return g.elsewhere([]string{v.Gate})
	case v.Campaign != g.Campaign:
		return refuse(CauseInstance, "it is for campaign %q, and this is %q", v.Campaign, g.Campaign)
	case v.Instance != "" && v.Instance != g.Instance:
		return refuse(CauseInstance, "it is for instance %q, and this is %q", v.Instance, g.Instance)
	case v.Plan != g.Plan:
		return refuse(CausePlan, "it is for plan %s, and this instance's plan is %s", v.Plan, g.Plan)
	case v.By.nobody() && v.By.Signed():
		return refuse(CauseUnknownKey, "nobody is known to have key %s", v.By.Key)
	case v.By.nobody():
		return refuse(CauseUnsigned, "it is not signed, and does not say who says so")
	case !v.By.Signed() && !g.Rule.Unsigned:
		return refuse(CauseUnsigned, "nobody signed it, and %s asks for signatures: sign with an SSH agent or --key FILE", g.ID)
	case v.Decision != Approve && v.Decision != Reject:
		return refuse(CauseGate, "it says %s, which is no word for a gate", v.Decision)
	case !g.Rule.AnyRequester && g.Requester.Is(v.By):
		beside := "; hold and abort are open to everybody"
		if strings.HasPrefix(g.ID, freezeGate) {
			beside = "" // neither ends a freeze
		}
		return refuse(CauseRequester, "%s asked for this instance: somebody else has to decide%s", v.By, beside)
	case (len(g.Rule.Approvers) > 0 || len(g.Rule.Roles) > 0) && len(g.counting(v.By)) == 0:
		return refuse(CauseRole, "%s does not count here: %s wants %s%s", v.By, g.ID, g.Rule.wanted(), g.whoCould())
	case v.Standing != "":
		return g.standingRefusal(v)
	}
	return nil
}

// whoCould names them, where they are listed.
func (g Gate) whoCould() string {
	who := g.Could()
	if len(who) == 0 {
		return ""
	}
	return " (" + strings.Join(who, "; ") + ")"
}

// wanted says in words whose agreement counts.
func (r Rule) wanted() string {
	if len(r.Roles) == 0 {
		return "one of the approvers"
	}
	return an(r.either())
}

// an puts the article before words.
func an(words string) string {
	if strings.ContainsAny(words[:1], "aeiou") {
		return "an " + words
	}
	return "a " + words
}

// either is the roles in words.
func (r Rule) either() string {
	words := make([]string, len(r.Roles))
	for i, role := range r.Roles {
		words[i] = string(role)
	}
	return strings.Join(words, " or ")
}

// roles lists the roles that somebody holds at this gate, each once.
func (g Gate) roles(who Signer) []Role {
	var out []Role
	add := func(r Role) {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	for _, a := range g.Rule.Approvers {
		if !slices.Contains(who.Names, a.Principal) {
			continue
		}
		for _, r := range a.Roles {
			if r != Owner { // that one is his who owns a cluster behind the gate
				add(r)
			}
		}
	}
	for _, owner := range g.Owners {
		if g.speaksFor(who, owner) {
			add(Owner)
		}
	}
	return out
}

// speaksFor says that somebody is, or stands for, an owner of clusters.
func (g Gate) speaksFor(who Signer, owner string) bool {
	if slices.Contains(who.Names, owner) {
		return true
	}
	for _, a := range g.Rule.Approvers {
		if slices.Contains(who.Names, a.Principal) && slices.Contains(a.Owns, owner) {
			return true
		}
	}
	return false
}

// counting lists those of somebody's roles that this gate asks for; all of them where it names none.
func (g Gate) counting(who Signer) []Role {
	all := g.roles(who)
	if len(g.Rule.Roles) == 0 {
		return all
	}
	var out []Role
	for _, r := range all {
		if slices.Contains(g.Rule.Roles, r) {
			out = append(out, r)
		}
	}
	return out
}
