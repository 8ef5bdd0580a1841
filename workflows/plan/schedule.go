package plan

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// Schedule is when instances of a campaign begin by themselves.
type Schedule = campaign.Schedule

// Begins is a schedule's rule as the windows of a part: they are followed like all others.
func Begins(s Schedule) Part {
	return Part{When: &When{Canary: []inventory.Window{s.Window()}}}
}

// Firings are those of a schedule whose rule was followed to this calendar from now on. A rule that could not be followed is an error: it is
// read as a window's is, and nobody who wrote it calls it one.
func Firings(s Schedule, rule calendar.Calendar, now time.Time) ([]calendar.Firing, error) {
	if rule.Unknown != "" {
		return nil, errors.New(strings.TrimPrefix(rule.Unknown, fmt.Sprintf("window %q: ", s.Window().Name)))
	}
	var begins []time.Time
	for _, w := range rule.Windows {
		begins = append(begins, w.Start)
	}
	return calendar.Firings(begins, s.Before(), now)
}

// First is the part of a cluster of the first stage, the one whose hosts need the least time; its name says whether there is one.
func (p Plan) First(part func(Cluster) (Part, error)) (first Part, err error) {
	if len(p.Stages) == 0 {
		return first, nil
	}
	for i, c := range p.Stages[0].Clusters {
		one, err := part(c)
		if err != nil {
			return first, err
		}
		if i == 0 || one.Need().Whole() < first.Need().Whole() {
			first = one
		}
	}
	return first, nil
}
