package approval_test

import (
	"slices"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// Whoever reads that a gate waits must be able to find the person it waits for.
func TestCould(t *testing.T) {
	people := []approval.Approver{
		{Principal: "ann", Roles: []approval.Role{approval.Peer}},
		{Principal: "ben", Roles: []approval.Role{approval.Manager, approval.Peer}},
		{Principal: "cleo", Owns: []string{"web team"}},
		{Principal: "db team"},
	}
	for _, row := range []struct {
		name string
		gate approval.Gate
		want []string
	}{
		{"no approvers are listed", approval.Gate{}, nil},
		{"no roles are asked for", approval.Gate{Rule: approval.Rule{Approvers: people}, Owners: []string{"web team"}}, []string{"ann, ben, cleo"}},
		{"roles", approval.Gate{Rule: approval.Rule{Approvers: people, Roles: []approval.Role{approval.Manager, approval.Owner}}, Owners: []string{"web team", "db team"}},
			[]string{"manager: ben", `owner "web team": cleo`, `owner "db team": db team`}},
		{"who asked for it", approval.Gate{Rule: approval.Rule{Approvers: people, Roles: []approval.Role{approval.Peer}}, Requester: approval.Signer{Names: []string{"ann"}, Key: "k"}}, []string{"peer: ben"}},
		{"who asked for it and may agree", approval.Gate{Rule: approval.Rule{Approvers: people, AnyRequester: true, Roles: []approval.Role{approval.Peer}}, Requester: approval.Signer{Names: []string{"ann"}}}, []string{"peer: ann, ben"}},
		{"nobody is left", approval.Gate{Rule: approval.Rule{Approvers: people, Roles: []approval.Role{approval.Manager}}, Requester: approval.Signer{Names: []string{"ben"}}}, []string{"manager: nobody else"}},
	} {
		if got := row.gate.Could(); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
