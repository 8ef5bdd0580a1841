package status

import (
	"context"
	"regexp"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// claimedBy finds the owners in what the Claim activity says of claims that others hold.
var claimedBy = regexp.MustCompile(`cluster[/ ](\S+) is claimed by ([A-Za-z0-9][A-Za-z0-9._-]*)`)

// claimed is what the owners of claims wait for. Whoever waits behind them waits for the same: only its end gives the claim back. An owner
// that this server does not know, or that nobody answers for, is left out: its name is told anyway.
func (r *Reader) claimed(ctx context.Context, instance, reason string) []Await {
	var out []Await
	seen := map[string]bool{instance: true}
	for _, m := range claimedBy.FindAllStringSubmatch(reason, -1) {
		cluster, owner := m[1], m[2]
		if seen[owner] {
			continue
		}
		seen[owner] = true
		s, err := (&Reader{Source: r.Source, Bodies: r.Bodies, Now: r.Now, Only: cluster, owners: true}).Read(ctx, owner)
		if err != nil {
			continue
		}
		out = append(out, s.stands(cluster))
	}
	return out
}

// stands is what an instance, which has a cluster claimed, waits for there.
func (s Status) stands(cluster string) Await {
	c, _ := s.Cluster(cluster)
	a := Await{Since: c.Since}
	var what []string
	for _, w := range s.Awaits {
		if w.Cluster != cluster && w.Cluster != "" {
			continue
		}
		what = append(what, w.For)
		if w.Person {
			a.Person = true
			a.Type = append(a.Type, w.Type...)
		}
	}
	a.For = s.Instance + ", which waits for " + strings.Join(what, "; and for ")
	if len(what) == 0 {
		a.For = strings.TrimSuffix(s.Instance+", which is in "+c.State+": "+c.Reason, ": ")
		if s.Over() || c.State == string(rollout.PhaseRelease) {
			a.For = s.Instance + ", which is " + s.State
		}
	}
	a.Type = append(a.Type, "rollpatch status "+s.Instance)
	return a
}
