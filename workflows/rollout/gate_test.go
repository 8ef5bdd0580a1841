package rollout

import "time"

// agree has as many people as are needed agree to a soak, whose keys were looked at just now.
func agree(c Cluster, soak int, now time.Time) Cluster {
	if soak == 0 {
		soak = c.SoakNo
	}
	return c.Judged(Judgment{Gate: SoakGate(c.Name, soak), Open: true, Proven: true, By: []Approval{{Soak: soak, Actor: "jane", Claimed: true}}}, now)
}
