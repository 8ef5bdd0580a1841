package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/inventory/file"
)

// warnOfStrangers names who may break a freeze or have an emergency begin and is none of the approvers: that would be seen on the day on which
// he is needed. Keys are known by other files, so that it is no mistake.
func (d *desk) warnOfStrangers(people []inventory.Approver, freezes []inventory.Freeze, emergency *inventory.Emergency, where func(path string) (string, int)) {
	if len(people) == 0 {
		return
	}
	var known []string
	for _, p := range people {
		known = append(known, p.Principal)
	}
	look := func(at string, names []string) {
		for i, n := range names {
			if slices.Contains(known, n) {
				continue
			}
			path := fmt.Sprintf("%s[%d]", at, i)
			name, line := where(path)
			d.note("%s:%d: %s: %q is none of the people under approvers%s", name, line, path, n, likePerson(n, known, names))
		}
	}
	for i, f := range freezes {
		look(fmt.Sprintf("freezes[%d].approvers", i), f.Approvers)
	}
	if emergency != nil {
		look("emergency.approvers", emergency.Approvers)
	}
}

// warnOfStrangersIn is the same for a campaign, whose approvers are the inventory's where that lists any.
func (d *desk) warnOfStrangersIn(doc file.Document[campaign.Campaign], inv inventory.Inventory) {
	people := inv.Approvers
	if len(people) == 0 {
		people = doc.Value.Approvers
	}
	d.warnOfStrangers(people, doc.Value.Freezes, doc.Value.Emergency, doc.Where)
}

// likePerson offers the person whose name is nearest, as the tail of a message, but none of those that stand there already. What stands before
// and behind an @ is compared by itself: two people of one house differ by three letters.
func likePerson(name string, known, but []string) string {
	near := func(word, other string) bool { return word == other || inventory.Nearest(word, []string{other}) != "" }
	own, house, _ := strings.Cut(name, "@")
	for _, k := range known {
		if other, of, _ := strings.Cut(k, "@"); near(own, other) && near(house, of) && !slices.Contains(but, k) {
			return fmt.Sprintf("; did you mean %q?", k)
		}
	}
	return ""
}
