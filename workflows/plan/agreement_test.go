package plan_test

import (
	"testing"

	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestWhichGatesTakeSignedWordsOnly(t *testing.T) {
	signed, unsigned := approval.Rule{Quorum: 1}, approval.Rule{Quorum: 1, Unsigned: true}
	start, stage := plan.Gate{ID: "start", Rule: unsigned}, plan.Gate{ID: "stage/production", Stage: 1, Rule: signed}
	for _, row := range []struct {
		says      string
		agreement plan.Agreement
		gates     []string
		want, any bool
		free      bool
	}{
		{"a soak without a gate of its own", plan.Agreement{}, []string{"soak/web/1"}, false, false, true},
		{"a soak with one", plan.Agreement{Soak: &signed}, []string{"soak/web/1"}, true, true, true},
		{"one that takes any word", plan.Agreement{Soak: &unsigned}, []string{"soak/web/1"}, false, false, true},
		{"a stage", plan.Agreement{Gates: []plan.Gate{start, stage}}, []string{"stage/production"}, true, true, false},
		{"a start that takes any word", plan.Agreement{Gates: []plan.Gate{start, stage}}, []string{"start"}, false, true, false},
		{"one of several", plan.Agreement{Gates: []plan.Gate{stage}}, []string{"soak/web/1", "stage/production"}, true, true, true},
		{"a gate that is none", plan.Agreement{Gates: []plan.Gate{stage}}, []string{"stage/staging"}, false, true, true},
	} {
		if got := row.agreement.Signed(row.gates...); got != row.want {
			t.Errorf("%s: signed only is %t, want %t", row.says, got, row.want)
		}
		if got := row.agreement.AnySigned(); got != row.any {
			t.Errorf("%s: any signed only is %t, want %t", row.says, got, row.any)
		}
		if got := (plan.Plan{Agreement: row.agreement}).FreeToBegin(); got != row.free {
			t.Errorf("%s: free to begin is %t, want %t", row.says, got, row.free)
		}
	}
}
