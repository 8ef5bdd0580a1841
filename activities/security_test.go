package activities

import (
	"testing"

	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestFetchSecurityOnly(t *testing.T) {
	given := func(pending string, also func(p *plan.Part)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"], w.says["pending"] = debian, pending
			w.stdout = "change\topenssl\t1.0\t1.1\nchange\ttzdata\t2025\t2026\nback\topenssl\t1.0\tabc\nback\ttzdata\t2025\tabc\n"
			p.Packages.Security = true
			if also != nil {
				also(p)
			}
		}
	}
	const both = "upgrade\topenssl\t1.0\t1.1\tDebian-Security:12/stable-security\tyes\t9\nupgrade\ttzdata\t2025\t2026\tDebian:12/stable\tno\t9\n"
	const mixed = both + "upgrade\tdocker\t1\t2\tDocker CE:bookworm\tunknown\t9\n"
	asks := func(want string) func(t *testing.T, w *world, r StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if len(w.runs) != 1 || w.runs[0].Env["ROLLPATCH_WANT"] != want {
				t.Errorf("runs %+v, want one for %q", w.runs, want)
			}
		}
	}
	none := func(t *testing.T, w *world, r StepResult) {
		if len(w.runs) > 0 || r.Nothing {
			t.Errorf("runs %+v, nothing to do: %t", w.runs, r.Nothing)
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"security updates, and what these bring along", given(both, nil), rollout.Pass, "2 packages fetched, every former version secured, 1 pending ones left alone", asks("openssl\t1.1\n")},
		{"no security update pending is nothing to do", given("upgrade\ttzdata\t2025\t2026\tDebian:12/stable\tno\t9\n", nil), rollout.Pass, "nothing to do, 1 pending ones left alone", nil},
		{"a repository that does not tell is an error", given(mixed, nil), rollout.Fail, "no repository says whether these are security updates: docker 2 (from Docker CE:bookworm); put them into packages.exclude", none},
		{"a playbook that does not tell is one too", given("upgrade\topenssl\t1.0\t1.1\n", nil), rollout.Fail, "no repository says whether these are security updates: openssl 1.1", none},
		{"what is excluded need not be told", given(mixed, func(p *plan.Part) { p.Packages.Exclude = []string{"docker*"} }), rollout.Pass, "2 packages fetched", asks("openssl\t1.1\n")},
		{"include narrows it down further", given(both, func(p *plan.Part) { p.Packages.Include = []string{"tz*"} }), rollout.Pass, "nothing to do", nil},
		{"a campaign that does not ask gets everything", given(mixed, func(p *plan.Part) { p.Packages.Security = false }), rollout.Pass, "2 packages fetched", asks("openssl\t1.1\ntzdata\t2026\ndocker\t2\n")},
	})
}
