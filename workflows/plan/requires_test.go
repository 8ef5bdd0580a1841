package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
)

// A part says what its stage requires and where that may be on record: in every Consul of the inventory, once each.
func TestPartsSayWhatTheirStageRequires(t *testing.T) {
	c, inv := of([]string{"cache"}, []string{"web"}), estate(names("cache", 2), names("web", 3), names("db", 2))
	bare, _ := Build(c, inv)
	c.Stages[1].Requires = &campaign.Requires{Stage: c.Stages[0].Name, MinAge: inventory.Duration(72 * time.Hour)}
	if _, parts := Build(c, inv); parts["web"].Requires.Rule().Emergency {
		t.Error("what finished in an emergency counts, and nobody said so")
	}
	c.Stages[1].Requires.Emergency = true
	for i := range inv.Clusters {
		if inv.Clusters[i].Name == "db" {
			inv.Clusters[i].Consul.Address = "192.0.2.99:8500"
		}
	}
	p, parts := Build(c, inv)
	if parts["cache"].Requires != nil || parts["cache"].State("i", true).Policy.Staged {
		t.Errorf("staging requires %+v", parts["cache"].Requires)
	}
	r := parts["web"].Requires
	if r == nil || r.Stage != c.Stages[0].Name || r.Rule().MinAge != 72*time.Hour || !r.Rule().Emergency || len(r.From) != 2 || !parts["web"].State("i", true).Policy.Staged {
		t.Fatalf("production requires %+v, want both Consuls asked", r)
	}
	if p.Stages[0].Required() != "" || !strings.HasSuffix(p.Stages[1].Required(), ", 3d ago at least, emergencies included") || Digest(p) == Digest(bare) {
		t.Errorf("%q and %q; want it said, and another plan", p.Stages[0].Required(), p.Stages[1].Required())
	}
	course := p.Course(parts, nil, time.Time{}, time.Time{}, func(Part, bool) calendar.Calendar { return calendar.Calendar{Always: true} })
	if s := course.Stages[1]; s.Behind != c.Stages[0].Name || s.Aged != 72*time.Hour {
		t.Errorf("its dates are behind %q by %s", s.Behind, s.Aged)
	}
}

// What has finished stands beside what would come; what has not is a risk, once for all members.
func TestForeseeSaysWhatHasFinished(t *testing.T) {
	p, parts := Build(of([]string{"web"}), estate(names("web", 2)))
	ssl := update("libssl3", "1", "2", "yes", 10)
	one, two := said("web-1", ssl), said("web-2", ssl)
	for _, a := range []*Answer{&one, &two} {
		a.Finished, a.Unfinished = []string{"libssl3 2 finished"}, []string{"tzdata 2 has not"}
	}
	f := Foresee(p, parts, []Answer{one, two})
	if got := f.Clusters[0].Finished; !slices.Equal(got, []string{"libssl3 2 finished"}) {
		t.Errorf("finished %q", got)
	}
	n := 0
	for _, r := range f.Risks {
		if r.Text == "as things stand it would not begin yet: tzdata 2 has not" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d risks say what has not finished, want one: %+v", n, f.Risks)
	}
}
