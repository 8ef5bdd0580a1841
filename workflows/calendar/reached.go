package calendar

import "time"

// Reached says when a course comes to a stage: the one before is done and people's words open its gate, and its first canary begins; zero: that
// is not known.
func (d Dates) Reached(stage string) (gate, begins time.Time) {
	gate = d.Start
	for _, s := range d.Stages {
		if s.Stage != stage {
			gate = s.End
			continue
		}
		for _, c := range s.Clusters {
			if !c.Canary.IsZero() && (begins.IsZero() || c.Canary.Before(begins)) {
				begins = c.Canary
			}
		}
		return gate, begins
	}
	return time.Time{}, time.Time{}
}

// Soaked says when a soak of a cluster is over and people are asked: the first one, or any later one, of which nothing is known but that the
// cluster is done after it; zero: that is not known.
func (d Dates) Soaked(cluster string, number int) time.Time {
	for _, s := range d.Stages {
		for _, c := range s.Clusters {
			switch {
			case c.Cluster == cluster && number > 1:
				return c.Done
			case c.Cluster == cluster:
				return c.Gate
			}
		}
	}
	return time.Time{}
}
