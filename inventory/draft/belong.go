package draft

import "fmt"

// Belong heads the draft with its hosts that are in several clusters or in none; in is how many each is in, and pick says what leaves them
// in one.
func (d *Draft) Belong(in map[string]int, pick string) {
	var several, none []string
	for _, h := range d.Hosts {
		switch n := in[h.Name]; {
		case n == 0:
			none = append(none, h.Name)
		case n > 1:
			several = append(several, h.Name)
		}
	}
	if len(several) > 0 {
		d.Head = append(d.Head, fmt.Sprintf("%s: in several clusters. A cluster is hosts that stand in for each other; %s", Few(several), pick))
	}
	if len(none) > 0 {
		d.Head = append(d.Head, fmt.Sprintf("%s: in no cluster, so no campaign touches them.", Few(none)))
	}
}
