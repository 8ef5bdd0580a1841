package rollout

import (
	"fmt"
	"time"
)

// Redundancy is what one cluster has left, as its Consul servers tell, seen from one member.
type Redundancy struct {
	Cluster    string `json:"cluster"`
	Size       int    `json:"size"`        // the inventory's, members that are not registered included
	MaxOut     int    `json:"max_out"`     // max_unavailable, resolved
	MinHealthy int    `json:"min_healthy"` // resolved
	PeersIn    int    `json:"peers_in"`    // other members in service, each of their services listed as its consumers ask
	PeersOut   string `json:"peers_out,omitempty"`
	Accepted   bool   `json:"accepted,omitempty"` // accept_impact names the cluster
	// Until is when that is over. It counts for members that have not begun: whoever is on its way is finished.
	Until time.Time `json:"until,omitzero"`
}

// MayBeOut answers P1 and P2 for a member of these clusters: may it be out of service, counting every peer that already is?
// Of no cluster nothing is known, and unknown is not yes. An accepted impact is the loss of this one member: it lifts
// min_healthy, and lets one be out where none may, but never a second one.
func MayBeOut(clusters []Redundancy) (may bool, why string) {
	if len(clusters) == 0 {
		return false, "nothing is known of the peers"
	}
	for _, c := range clusters {
		out, most := c.Size-c.PeersIn, c.MaxOut // this one included
		if c.Accepted {
			most = max(most, 1)
		}
		if out > most {
			return false, fmt.Sprintf("cluster %q: %d of %d members would be out, at most %d may%s", c.Cluster, out, c.Size, most, named(c.PeersOut))
		}
		if c.PeersIn < c.MinHealthy && !c.Accepted {
			return false, fmt.Sprintf("cluster %q: %d%s would be left in service, at least %d must%s", c.Cluster, c.PeersIn, one(c.PeersIn, " peer", " peers"), c.MinHealthy, named(c.PeersOut))
		}
	}
	return true, ""
}

// LosingOneBreaks says that a cluster can never lose a member: its loss alone breaks min_healthy.
func LosingOneBreaks(size, minHealthy int) bool { return size-1 < minHealthy }

func named(out string) string {
	if out == "" {
		return ""
	}
	return " (out already: " + out + ")"
}
