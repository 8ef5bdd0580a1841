package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestOnlySomeMembersAreWorkedOn(t *testing.T) {
	part := Part{Cluster: inventory.Cluster{Name: "web", Members: []string{"web-1", "web-2", "web-3"}, MinHealthy: 1}, Policy: campaign.Policy{}}
	p := Plan{Name: "monthly", Stages: []Stage{{Name: "production", Clusters: []Cluster{{Name: "web", Members: part.Cluster.Members, Waves: []int{1, 2}, Part: Digest(part)}}}}}
	parts := map[string]Part{"web": part}
	got, some := Only(p, parts, map[string][]string{"web": {"web-3", "web-2"}})
	c := got.Stages[0].Clusters[0]
	if !slices.Equal(c.Members, []string{"web-2", "web-3"}) || !slices.Equal(c.Waves, []int{1, 1}) || c.Part != Digest(some["web"]) || c.Part == Digest(part) {
		t.Errorf("the cluster is %+v, want web-2 and then web-3, and a part that says so", c)
	}
	st := some["web"].State("i", false)
	if len(st.Members) != 2 || st.Members[0].Host != "web-2" || st.Size != 3 || len(some["web"].Cluster.Members) != 3 {
		t.Errorf("it begins as %+v, want 2 members of 3, all of which count", st)
	}
	if w := some["web"].Worked(); !slices.Equal(w, hostsOf(st)) || !slices.Equal(part.Worked(), part.Cluster.Members) {
		t.Errorf("worked on are %v and %v", w, part.Worked())
	}
	if !st.SoaksLast() || part.State("i", false).SoaksLast() {
		t.Error("its last wave does not soak, or that of all members does")
	}
	answers := []Answer{said("web-1", update("kept", "1", "2", "no", 1)), said("web-2", update("openssl", "1", "2", "no", 1))}
	_, told := Answered(got, some, answers)
	if pl := told["web"].Planned.Platforms; len(pl) != 1 || len(pl[0].Packages) != 1 || pl[0].Packages[0].Name != "openssl" {
		t.Errorf("planned is %+v, want what those get that are worked on", pl)
	}
	if all, same := Only(p, parts, map[string][]string{"web": part.Cluster.Members}); Digest(all) != Digest(p) || same["web"].Only != nil {
		t.Error("all of its members are another plan")
	}
	if p.Stages[0].Clusters[0].Part != Digest(part) || parts["web"].Only != nil {
		t.Error("the plan that was given has changed")
	}
}

func hostsOf(c rollout.Cluster) (names []string) {
	for _, m := range c.Members {
		names = append(names, m.Host)
	}
	return names
}

// An emergency takes a pair over while its first half soaks. The follow-up of what is left brings the other half through a soak and its gate.
func TestTheOtherHalfOfAPairSoaks(t *testing.T) {
	part := Part{Cluster: inventory.Cluster{Name: "web", Members: []string{"web-1", "web-2"}, MinHealthy: 1}, Policy: campaign.Policy{
		Soak: inventory.Duration(24 * time.Hour), SoakPasses: 1, SoakApproval: true, WaitMax: inventory.Duration(time.Hour),
	}}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	// patched brings its first member to the end of its patch.
	patched := func(c rollout.Cluster) rollout.Cluster {
		c.Policy.Updaters = false
		c = c.Claim("claim.0", rollout.ClaimResult{OK: true}, now)
		host := c.Members[0].Host
		c = c.Started(host, rollout.ModePatch, now)
		return c.Ended(rollout.MemberEnd{Host: host, Mode: rollout.ModePatch, Outcome: rollout.Patched, Manifest: "m"}, now)
	}
	taken := patched(part.State("monthly-1", false)).Yield("cluster/monthly-emergency-1/web", now)
	if taken.Ending != rollout.ClusterSuperseded || taken.Members[0].Outcome != rollout.Patched || taken.Members[1].Outcome != "" {
		t.Fatalf("the pair is %s with %+v, want it superseded with one half patched", taken.Ending, taken.Members)
	}
	p := Plan{Name: "monthly", Stages: []Stage{{Name: "production", Clusters: []Cluster{{Name: "web", Members: part.Cluster.Members}}}}}
	_, left := Only(p, map[string]Part{"web": part}, map[string][]string{"web": {"web-2"}})
	c := patched(left["web"].State("monthly-2", false))
	if c.Phase != rollout.PhaseSoak || c.SoakNo != 1 || !c.SoakEnds.Equal(now.Add(24*time.Hour)) {
		t.Fatalf("web-2 is patched, and its cluster is in %s (%s), want it to soak", c.Phase, c.Ending)
	}
	for _, a := range c.Next(now).Start {
		if a.Do == rollout.DoWatch {
			c = c.Sampled(rollout.WatchResult{ID: a.ID, Verdict: rollout.Pass, Passes: 1, Samples: 1}, now.Add(24*time.Hour))
		}
	}
	if c = c.Tick(now.Add(24 * time.Hour)); c.Phase != rollout.PhaseGate || c.Gate.ID != rollout.SoakGate("web", 1) {
		t.Errorf("after its soak it is in %s (%s), gate %q: want it to wait for a person", c.Phase, c.Ending, c.Gate.ID)
	}
}
