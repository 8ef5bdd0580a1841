package plan

import (
	"slices"
	"testing"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
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
	if all, same := Only(p, parts, map[string][]string{"web": part.Cluster.Members}); Digest(all) != Digest(p) || same["web"].Only != nil {
		t.Error("all of its members are another plan")
	}
	if p.Stages[0].Clusters[0].Part != Digest(part) || parts["web"].Only != nil {
		t.Error("the plan that was given has changed")
	}
}
