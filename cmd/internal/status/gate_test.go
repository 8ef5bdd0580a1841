package status_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// A member that its end left drained is out of service for as long as its cluster is on its way.
func TestReadOutWhileInQuarantine(t *testing.T) {
	src, b := world()
	cl := src.states[workflows.ClusterID("i", "web")].(workflows.ClusterState)
	cl.Members[0] = rollout.Slot{Host: "a", Outcome: rollout.Quarantined, OutMilli: 1000, OutAt: now.Add(-8 * time.Minute).UnixMilli()}
	src.states[workflows.ClusterID("i", "web")] = cl
	web, _ := read(t, reader(src, b)).Cluster("web")
	if a, _ := web.Member("a"); a.OutSeconds != 481 {
		t.Errorf("out for %v s, want 481", a.OutSeconds)
	}
}

// What waits at a gate says who could open it, and offers only words that can.
func TestReadGates(t *testing.T) {
	people := []approval.Approver{{Principal: "ben", Roles: []approval.Role{approval.Manager}}, {Principal: "cleo", Owns: []string{"web team"}}}
	signed := approval.Rule{Quorum: 1, Roles: []approval.Role{approval.Manager}, Approvers: people}
	since := now.Add(-time.Hour)
	for _, row := range []struct {
		name   string
		change func(c *workflows.CampaignState)
		want   status.Await
	}{
		{"who asked for it is being looked at", func(c *workflows.CampaignState) { c.Gates[0].Since = time.Time{} },
			status.Await{For: "its request to run to be verified; gate start waits for people after that"}},
		{"nobody can tell who asked for it", func(c *workflows.CampaignState) { c.Unknown = "start the worker with --signers FILE" },
			status.Await{For: "its cause to clear: nobody can tell who asked for it: start the worker with --signers FILE", Person: true, Mend: true,
				Type: []string{"rollpatchd --signers FILE", "rollpatch worker --signers FILE", `rollpatch abort i --reason "..."`}}},
		{"signed words", func(*workflows.CampaignState) {},
			status.Await{For: "people to agree at gate start: waits for a manager; who may: manager: ben; it must be signed, with --key or the SSH agent", Since: since, Person: true,
				Type: []string{`rollpatch approve i --reason "..." --key FILE`, `rollpatch reject i --reason "..." --key FILE`}}},
		{"any words", func(c *workflows.CampaignState) { c.Agreement.Gates[0].Rule = approval.Rule{Unsigned: true} },
			status.Await{For: "people to agree at gate start: waits for a manager", Since: since, Person: true, Type: []string{`rollpatch approve i --reason "..."`, `rollpatch reject i --reason "..."`}}},
	} {
		src, b := world()
		c := src.states[workflows.CampaignID("i")].(workflows.CampaignState)
		c.Clusters = c.Clusters[1:]
		c.Gates = []rollout.Gate{{ID: "start", Since: since, Why: "waits for a manager"}}
		c.Agreement = plan.Agreement{Gates: []plan.Gate{{ID: "start", Rule: signed}}}
		row.change(&c)
		src.states[workflows.CampaignID("i")] = c
		if s := read(t, reader(src, b)); len(s.Awaits) != 1 || !reflect.DeepEqual(s.Awaits[0], row.want) {
			t.Errorf("%s: awaits %+v\nwant %+v", row.name, s.Awaits, row.want)
		}
	}

	src, b := world()
	c := src.states[workflows.CampaignID("i")].(workflows.CampaignState)
	c.Agreement = plan.Agreement{Soak: &approval.Rule{Roles: []approval.Role{approval.Owner}, Approvers: people}}
	src.states[workflows.CampaignID("i")] = c
	cl := src.states[workflows.ClusterID("i", "web")].(workflows.ClusterState)
	cl.Phase, cl.SoakNo, cl.Members = rollout.PhaseGate, 1, []rollout.Slot{{Host: "a", Outcome: rollout.Patched}, {Host: "b"}}
	src.states[workflows.ClusterID("i", "web")] = cl
	const want = `a person to approve soak 1, which passed; who may: owner "web team": cleo; it must be signed, with --key or the SSH agent`
	if s := read(t, reader(src, b)); len(s.Awaits) != 1 || s.Awaits[0].For != want || s.Awaits[0].Type[0] != `rollpatch approve i --cluster web --reason "..." --key FILE` {
		t.Errorf("at a soak's gate: awaits %+v\nwant %q", s.Awaits, want)
	}
}
