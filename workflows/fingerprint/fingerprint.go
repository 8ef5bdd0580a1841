// Package fingerprint compares how a host looks with how it looked before its patch: what others and its owner rely on, such as its name,
// its mounts and what listens. It knows what a host tells and what a policy says of it. It must not know who asked the host, nor what
// becomes of it.
package fingerprint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// kind is how two readings of an item are compared.
type kind struct {
	// keyed: the first word of a row says what it is about; two rows of the same one are one change.
	keyed bool
	// added: only what comes new counts, such as a unit that fails. Of every other item with several rows, what is new is a warning at most.
	added bool
	// mild: another value behind the same first word is a warning at most: it still listens.
	mild bool
}

// kinds are the items, by the words that the script prints.
var kinds = map[string]kind{
	"hostname": {keyed: true}, "fqdn": {keyed: true}, "machine-id": {keyed: true}, "kernel": {keyed: true}, "time-sync": {keyed: true},
	"addresses": {}, "default-route": {}, "routes": {}, "mounts": {keyed: true}, "listeners": {keyed: true, mild: true},
	"failed-units": {added: true}, "enabled-units": {}, "running-units": {}, "sysctl": {keyed: true}, "users": {keyed: true}, "dns": {},
}

// single items have one row, and what it says is about the host itself.
var single = []string{"hostname", "fqdn", "machine-id", "kernel", "time-sync"}

// most bounds how many rows of one item are kept.
const most = 4000

// Print is what a host told, by item. An item without rows was read, and there is none; one that is absent was not told.
type Print struct {
	Rows map[string][]string `json:"rows"`
	// Strays are rows that a reboot takes away or brings back by itself, whatever the patch: they count neither as gone nor as new.
	Strays map[string][]string `json:"strays,omitempty"`
}

// Stray is what would not survive a reboot, as the host said before its patch.
type Stray struct {
	Units, Mounts, Routes, Sysctls []string
}

// Read reads what the script printed: rows of item and value, of listeners also the unit, and last the word whole. Words that it does not
// know are a newer script's. Items that no rule compares are left out.
func Read(rows [][]string, stray Stray, rules map[string]Rule) (Print, error) {
	compared := func(item string) bool {
		_, known := kinds[item]
		return known && (rules[item].Action == Fail || rules[item].Action == Warn)
	}
	p := Print{Rows: map[string][]string{}}
	whole := false
	for _, r := range rows {
		switch {
		case r[0] == "whole":
			whole = true
		case r[0] == "told" && len(r) > 1:
			if compared(r[1]) && p.Rows[r[1]] == nil {
				p.Rows[r[1]] = []string{}
			}
		case len(r) > 1 && r[1] != "":
			if !compared(r[0]) {
				continue
			}
			if stray.has(r) {
				if p.Strays == nil {
					p.Strays = map[string][]string{}
				}
				p.Strays[r[0]] = append(p.Strays[r[0]], r[1])
				continue
			}
			p.Rows[r[0]] = append(p.Rows[r[0]], r[1])
		}
	}
	if !whole {
		return Print{}, errors.New("fingerprint: the last row is missing: it was cut off")
	}
	for _, of := range []map[string][]string{p.Rows, p.Strays} {
		for item, all := range of {
			slices.Sort(all)
			if of[item] = slices.Compact(all); len(of[item]) > most {
				return Print{}, fmt.Errorf("fingerprint: %d rows of %s, at most %d are compared: set policy.fingerprint.%s.action to ignore", len(of[item]), item, most, item)
			}
		}
	}
	return p, nil
}

// Untold are the items of which a difference would fail and that the host does not tell: they will not be compared.
func (p Print) Untold(rules map[string]Rule) (items []string) {
	for _, item := range Items() {
		if _, told := p.Rows[item]; !told && rules[item].Action == Fail {
			items = append(items, item)
		}
	}
	return items
}

// Session is the unit of what somebody started by hand from a login: it ends with the next reboot.
const Session = "session"

func (s Stray) has(r []string) bool {
	first := word(r[1])
	switch r[0] {
	case "listeners":
		return len(r) > 2 && (r[2] == Session || slices.Contains(s.Units, r[2]))
	case "running-units":
		return slices.Contains(s.Units, first)
	case "mounts":
		return slices.Contains(s.Mounts, first)
	case "routes", "default-route":
		return slices.Contains(s.Routes, r[1])
	case "sysctl":
		return slices.Contains(s.Sysctls, first)
	}
	return false
}

// word is the first one.
func word(row string) string {
	first, _, _ := strings.Cut(row, " ")
	return first
}

// Items are the names of all items.
func Items() []string { return slices.Sorted(maps.Keys(kinds)) }
