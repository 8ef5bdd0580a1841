package approval

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Judge says how a gate stands with these votes, in whatever order and however often they are given.
//
// Of each person the last signed word counts, by the time in it, and a claimed one only where there is no signed one; at the same time no
// is the stronger. A standing approval counts only of who has said nothing of this plan himself. One no closes the gate, whoever agreed, until the same person agrees.
func Judge(g Gate, votes []Vote, now time.Time) Verdict {
	var v Verdict
	var agreed []Vote
	var remarks []string
	for _, w := range g.people(votes) {
		switch {
		case w.Decision == Reject:
			if v.Rejected == "" {
				v.Rejected = fmt.Sprintf("%s: %s", w.By, w.Reason)
			}
		case !w.Expires.After(now):
			remarks = append(remarks, fmt.Sprintf("what %s said expired at %s", w.By, stamp(w.Expires)))
		case w.WhenPass && g.Finding != "":
			remarks = append(remarks, fmt.Sprintf("%s agreed to a pass without a finding, and there is one: %s", w.By, g.Finding))
		default:
			agreed = append(agreed, w)
			v.Agreed = append(v.Agreed, w.By.String())
			if v.Again.IsZero() || w.Expires.Before(v.Again) {
				v.Again = w.Expires
			}
		}
	}
	v.Missing = g.missing(agreed)
	late := false
	if g.Rule.Expiry > 0 && !g.Since.IsZero() {
		ends := g.Since.Add(g.Rule.Expiry)
		if late = !ends.After(now); !late && (v.Again.IsZero() || ends.Before(v.Again)) {
			v.Again = ends
		}
	}
	switch {
	case v.Rejected != "":
		v.Why, v.Again = "rejected by "+v.Rejected, time.Time{}
	case late:
		if v.Expired = g.Rule.OnExpiry; v.Expired != ExpiryAborts {
			v.Expired = ExpiryHolds
		}
		v.Why = fmt.Sprintf("expired at %s", stamp(g.Since.Add(g.Rule.Expiry)))
		if len(v.Missing) > 0 {
			v.Why += " without " + strings.Join(v.Missing, ", ")
		}
	case len(v.Missing) > 0:
		v.Why = "waits for " + strings.Join(v.Missing, ", ")
	case !g.Ripe:
		v.Why = "agreed to by " + strings.Join(v.Agreed, ", ") + ", ahead of it"
	default:
		v.Open = true
		v.Why = "open"
	}
	if len(v.Agreed) > 0 && (v.Open || len(v.Missing) > 0 || v.Expired != "") && v.Rejected == "" {
		v.Why += "; agreed: " + strings.Join(v.Agreed, ", ")
	}
	if len(remarks) > 0 && !v.Open {
		v.Why += "; " + strings.Join(remarks, "; ")
	}
	return v
}

// people brings the votes that may count together by person, and returns of each the word that counts. Votes of two keys of one person, and
// of two names of one key, are one person's; so are those that a third vote ties together.
func (g Gate) people(votes []Vote) []Vote {
	var groups [][]Vote
	for _, v := range votes {
		if g.refusal(v) != nil {
			continue
		}
		mine := []Vote{v}
		var others [][]Vote
		for _, group := range groups {
			if slices.ContainsFunc(group, func(o Vote) bool { return o.By.Is(v.By) }) {
				mine = append(mine, group...)
			} else {
				others = append(others, group)
			}
		}
		groups = append(others, mine)
	}
	words := make([]Vote, len(groups))
	for i, group := range groups {
		words[i] = slices.MaxFunc(group, later)
	}
	slices.SortFunc(words, func(a, b Vote) int {
		return cmp.Or(cmp.Compare(a.By.Name(), b.By.Name()), cmp.Compare(a.By.Key, b.By.Key))
	})
	return words
}

// later compares two words of one person by which of them counts.
func later(a, b Vote) int {
	bit := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	return cmp.Or(
		bit(a.Standing == "")-bit(b.Standing == ""), bit(a.By.Signed())-bit(b.By.Signed()), a.At.Compare(b.At), bit(a.Decision == Reject)-bit(b.Decision == Reject),
		a.Expires.Compare(b.Expires), cmp.Compare(a.Nonce, b.Nonce),
	)
}

// missing says what a gate lacks when these people agree.
func (g Gate) missing(agreed []Vote) []string {
	var out []string
	if !g.Rule.AnyRequester && !g.Rule.Unsigned && !g.Requester.Signed() {
		out = append(out, "a signed request to run: nobody can tell who "+g.Requester.Name()+" is, who must not agree to it himself")
	}
	// A rule that asks for nothing asks for one.
	n := max(g.Rule.Quorum, 1) - len(agreed)
	if n > 0 {
		who := "people"
		if n == 1 {
			who = "person"
		}
		if len(g.Rule.Roles) > 0 {
			who += " (" + g.Rule.either() + ")"
		}
		if len(agreed) > 0 {
			who = "more " + who
		}
		out = append(out, fmt.Sprintf("%d %s", n, who))
	}
	for _, role := range g.Rule.Roles {
		if role == Owner {
			for _, owner := range g.Owners {
				if !slices.ContainsFunc(agreed, func(v Vote) bool { return g.speaksFor(v.By, owner) }) {
					out = append(out, fmt.Sprintf("owner %q", owner))
				}
			}
			for _, cluster := range g.Unowned {
				out = append(out, fmt.Sprintf("an owner of cluster %q, which has none in the inventory", cluster))
			}
		} else if n > 0 && len(g.Rule.Roles) == 1 {
			continue // whoever is still to come has it
		} else if !slices.ContainsFunc(agreed, func(v Vote) bool { return slices.Contains(g.roles(v.By), role) }) {
			out = append(out, an(string(role)))
		}
	}
	return out
}
