package fingerprint

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Action is what a difference does.
type Action string

// What may be done about a difference.
const (
	Fail   Action = "fail"
	Warn   Action = "warn"
	Ignore Action = "ignore"
)

// Rule is what a policy says of an item. Rows that match one of Allow may come and go.
type Rule struct {
	Action Action
	Allow  []string
}

// Difference is one thing that is not as it was: gone, new, or one in place of the other.
type Difference struct {
	Item  string
	Gone  string
	New   string
	Fails bool
}

// Result is what a comparison came to.
type Result struct {
	Differences []Difference // those that fail first
	Untold      []string     // items of which a difference fails that the host told before, and does not tell any more: whether they differ nobody knows
}

// Compare holds what a host tells now against what it told before. An item without a rule, or that was not told before, is not compared.
func Compare(before, now Print, rules map[string]Rule) Result {
	var r Result
	for _, item := range slices.Sorted(maps.Keys(before.Rows)) {
		rule := rules[item]
		if rule.Action != Fail && rule.Action != Warn {
			continue
		}
		if _, told := now.Rows[item]; !told {
			if rule.Action == Fail {
				r.Untold = append(r.Untold, item)
			} else {
				r.Differences = append(r.Differences, Difference{Item: item, Gone: "is not told any more"})
			}
			continue
		}
		r.Differences = append(r.Differences, compare(item, before, now, rule)...)
	}
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Item, b.Item), cmp.Compare(a.Gone+a.New, b.Gone+b.New))
	})
	return r
}

func rank(d Difference) int {
	if d.Fails {
		return 0
	}
	return 1
}

func compare(item string, before, now Print, rule Rule) (all []Difference) {
	k := kinds[item]
	gone := lacking(before.Rows[item], now.Rows[item], rule.Allow)
	added := lacking(now.Rows[item], before.Rows[item], rule.Allow)
	strays := before.Strays[item]
	added = slices.DeleteFunc(added, func(row string) bool {
		return slices.ContainsFunc(strays, func(s string) bool { return s == row || k.keyed && word(s) == word(row) })
	})
	fails := rule.Action == Fail
	if k.added {
		for _, row := range added {
			all = append(all, Difference{Item: item, New: row, Fails: fails})
		}
		return all
	}
	if slices.Contains(single, item) {
		for i := range max(len(gone), len(added)) {
			all = append(all, Difference{Item: item, Gone: at(gone, i), New: at(added, i), Fails: fails})
		}
		return all
	}
	for _, row := range gone {
		d := Difference{Item: item, Gone: row, Fails: fails && !(item == "listeners" && left(row, before, now))}
		if i := slices.IndexFunc(added, func(n string) bool { return k.keyed && word(n) == word(row) }); i >= 0 {
			d.New, d.Fails = added[i], fails && !k.mild
			added = slices.Delete(added, i, i+1)
		}
		all = append(all, d)
	}
	for _, row := range added {
		all = append(all, Difference{Item: item, New: row})
	}
	return all
}

// left says that a listener went with its address, which may belong to whichever member is in service: that is what the addresses tell.
func left(row string, before, now Print) bool {
	socket := word(row)
	_, socket, _ = strings.Cut(socket, "/")
	i := strings.LastIndex(socket, ":")
	if i < 0 {
		return false
	}
	address := " " + strings.Trim(socket[:i], "[]") + "/"
	on := func(p Print) bool {
		return slices.ContainsFunc(p.Rows["addresses"], func(a string) bool { return strings.Contains(a, address) })
	}
	_, told := now.Rows["addresses"]
	return told && on(before) && !on(now)
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return ""
}

// lacking are the rows that others do not have, and that no pattern allows to differ.
func lacking(rows, others, allow []string) (all []string) {
	for _, row := range rows {
		if !slices.Contains(others, row) && !slices.ContainsFunc(allow, func(p string) bool { return Match(p, row) }) {
			all = append(all, row)
		}
	}
	return all
}

// Match says whether a row fits a pattern: * stands for any text, also none, everything else for itself.
func Match(pattern, row string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == row
	}
	rest, ok := strings.CutPrefix(row, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, last)
}
