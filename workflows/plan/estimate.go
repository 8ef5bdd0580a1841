package plan

import (
	"time"

	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// Estimate is how long one of its members needs, as the file says it.
func (p Part) Estimate() calendar.Need {
	n := calendar.Need{Work: time.Duration(p.Policy.Estimate.Work), Backout: time.Duration(p.Policy.Estimate.Backout)}
	if n == (calendar.Need{}) { // a part of no campaign
		return p.Need()
	}
	return n
}

// Estimates is how long members of each cluster are taken to need: what was measured, as their answers have it, the longest of them. Where
// nobody was asked, or none of them answered, it is the file's.
func (p Plan) Estimates(parts map[string]Part, answers []Answer) map[string]calendar.Estimate {
	said, all := ByHost(answers), map[string]calendar.Estimate{}
	for _, s := range p.Stages {
		for _, c := range s.Clusters {
			e, found := calendar.OfFile(parts[c.Name].Estimate(), "no worker was asked"), false
			if len(answers) > 0 {
				e = calendar.OfFile(e.Need, "none of its hosts answered")
			}
			for _, name := range c.Members {
				if own := said[name].Estimate; own != nil && (!found || own.Whole() > e.Whole()) {
					e, found = *own, true
				}
			}
			all[c.Name] = e
		}
	}
	return all
}
