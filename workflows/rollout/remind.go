package rollout

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RemindEvery is how often people are told what is in quarantine: only a person ends it.
const RemindEvery = 24 * time.Hour

// Kept is one record of a quarantine.
type Kept struct {
	Name    string // a host, or the name of a list of versions
	Cluster string
	Owner   string // of the cluster
	Contact string
	Plan    string // who is told
	Why     string
	Since   time.Time
	Review  time.Time // when somebody should have looked at it; zero: no such time was set
}

// Reminder is what the people whom one plan names are told of one cluster.
type Reminder struct {
	Plan    string
	Cluster string
	Text    string
}

// remindOf is how many records a reminder names; the command that it ends with lists all.
const remindOf = 5

// Reminders says who is told what, in a fixed order.
func Reminders(kept []Kept, now time.Time) []Reminder {
	kept = slices.Clone(kept)
	slices.SortFunc(kept, func(a, b Kept) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Plan, b.Plan), a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name))
	})
	var all []Reminder
	for len(kept) > 0 {
		first, n := kept[0], 1
		for n < len(kept) && kept[n].Cluster == first.Cluster && kept[n].Plan == first.Plan {
			n++
		}
		all = append(all, Reminder{Plan: first.Plan, Cluster: first.Cluster, Text: remind(kept[:n], now)})
		kept = kept[n:]
	}
	return all
}

func remind(kept []Kept, now time.Time) string {
	var names []string
	for i, k := range kept {
		if i == remindOf {
			names = append(names, "and "+strconv.Itoa(len(kept)-i)+" more")
			break
		}
		name := k.Name + " since " + k.Since.UTC().Format(time.DateOnly)
		if !k.Review.IsZero() && k.Review.Before(now) {
			name += ", overdue for a person's look since " + k.Review.UTC().Format(time.DateOnly)
		}
		names = append(names, name+because(k.Why))
	}
	of := "cluster " + kept[0].Cluster
	if who := strings.TrimSpace(kept[0].Owner + " " + kept[0].Contact); who != "" {
		of += " (" + who + ")"
	}
	return "in quarantine in " + of + ": " + strings.Join(names, "; ")
}
