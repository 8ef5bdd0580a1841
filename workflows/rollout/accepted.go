package rollout

import (
	"fmt"
	"time"
)

// Accepted is a finding that would have kept a member from its drain, and that somebody lives with until a day.
type Accepted struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
	Until  string `json:"until"` // its last day, as the file has it
}

// Lapsed says which of these clusters' outages was accepted, and is not any more: no further member begins on it.
func Lapsed(clusters []Redundancy, now time.Time) (why string) {
	for _, c := range clusters {
		if c.Accepted && !now.Before(c.Until) {
			return over(c.Cluster, c.Until)
		}
	}
	return ""
}

// over says that an outage is not accepted any more, and what to do about it.
func over(cluster string, until time.Time) string {
	return fmt.Sprintf("cluster %q: that a member is out was accepted until %s, which is over: agree on another day, and start a new instance with %s",
		cluster, until.Add(-time.Second).UTC().Format(time.DateOnly), accepting(cluster))
}

// accepting is what a person writes into the campaign's file to accept an outage.
func accepting(cluster string) string {
	return "accept_impact: {" + cluster + ": {reason: <reason>, until: <day>}}"
}
