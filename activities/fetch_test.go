package activities

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestParseFacts(t *testing.T) {
	got, err := parseFacts([]byte(debian))
	want := facts{
		OS: "debian", Release: "12", Arch: "amd64", Kernel: "6.1", Boot: "boot-a", Seq: 6,
		Versions: map[string]string{"openssl": "1.0", "tzdata": "2025"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parseFacts = %+v, %v; want %+v", got, err, want)
	}
	for _, row := range []struct{ says, out, want string }{
		{"nothing is an error", "", "no os or boot id in 0 rows"},
		{"no boot id is an error", strings.Replace(debian, "boot_id", "boot", 1), "no os or boot id"},
		{"a number that is none is an error", strings.Replace(debian, "seq\t6", "seq\tsix", 1), `seq "six" is no number`},
		{"a package without a version is an error", debian + "pkg\tnginx\n", `row "pkg nginx" has no version`},
		{"silence on the package database is no word that it is clean", strings.Replace(debian, "dpkg\tclean\n", "", 1), "not a word on whether the package database is clean"},
	} {
		if _, err := parseFacts([]byte(row.out)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q in it", row.says, err, row.want)
		}
	}
	if f, err := parseFacts([]byte(strings.Replace(debian, "dpkg\tclean", "dpkg\thalf", 1))); err != nil || !f.Dirty {
		t.Errorf("a database in any state but clean: dirty %t, %v", f.Dirty, err)
	}
}

func TestParseChanges(t *testing.T) {
	out := "change\topenssl\t1.0\t1.1\nback\topenssl\t1.0\tabc\nchange\tlibnew\t-\t2.0\nchange\told\t3.0\t-\nchange\tcut\nchanged\tx\t1\t2\n"
	want := []Change{{"openssl", "1.0", "1.1"}, {"libnew", "", "2.0"}, {"old", "3.0", ""}}
	if got := parseChanges([]byte(out), "change"); !reflect.DeepEqual(got, want) {
		t.Errorf("parseChanges = %v, want %v", got, want)
	}
	lines := "openssl\t1.0\t1.1\nlibnew\t-\t2.0\nold\t3.0\t-\n"
	if got := changeLines(want); got != lines {
		t.Errorf("changeLines = %q, want %q", got, lines)
	}
}

func TestInstalled(t *testing.T) {
	for _, row := range []struct {
		says, out string
		want      map[string]string
		clean     bool
	}{
		{"versions and a clean database", verified, map[string]string{"openssl": "1.1", "libnew": "2.0"}, true},
		{"what is not installed has no version", restored, map[string]string{"openssl": "1.0", "libnew": ""}, true},
		{"nothing said is not clean", "", map[string]string{}, false},
		{"dirty is not clean", "dpkg\tdirty\n", map[string]string{}, false},
	} {
		if got, clean := installed([]byte(row.out)); !reflect.DeepEqual(got, row.want) || clean != row.clean {
			t.Errorf("%s: installed = %v, %t", row.says, got, clean)
		}
	}
}

func TestWanted(t *testing.T) {
	has := map[string]string{"openssl": "1.0", "tzdata": "2026", "libdep": "0.9"}
	for _, row := range []struct {
		says   string
		change Change
		want   string
	}{
		{"what it has in another version, it gets in the soaked one", Change{"openssl", "1.0", "1.1"}, "openssl\t1.1\n"},
		{"what it has in the soaked version is left out", Change{"tzdata", "2025", "2026"}, ""},
		{"what the canary upgraded and it does not have is left out", Change{"nginx", "1.0", "1.1"}, ""},
		{"a dependency that came new to the canary may come new", Change{"libnew", "", "2.0"}, "+libnew\t2.0\n"},
		{"a dependency that came new to the canary and is here already is an upgrade", Change{"libdep", "", "1.0"}, "libdep\t1.0\n"},
		{"what the canary lost is not taken from it", Change{"openssl", "1.0", ""}, ""},
	} {
		if got := wanted(Manifest{Changes: []Change{row.change}}, has); got != row.want {
			t.Errorf("%s: wanted = %q, want %q", row.says, got, row.want)
		}
	}
}

func TestRefuse(t *testing.T) {
	soaked := &Manifest{Changes: []Change{{"openssl", "1.0", "1.1"}, {"libnew", "", "2.0"}}}
	back := "back\topenssl\t1.0\tabc\n"
	for _, row := range []struct {
		says     string
		changes  []Change
		manifest *Manifest
		packages campaign.Packages
		out      string
		want     string // "" is no objection
	}{
		{"the canary may take what is pending", []Change{{"openssl", "1.0", "1.1"}}, nil, campaign.Packages{}, back, ""},
		{"a peer may take what soaked", []Change{{"openssl", "1.0", "1.1"}, {"libnew", "", "2.0"}}, soaked, campaign.Packages{}, back, ""},
		{"a peer may come from another version to the soaked one", []Change{{"openssl", "0.9", "1.1"}}, soaked, campaign.Packages{}, "back\topenssl\t0.9\tabc\n", ""},
		{"a version that did not soak is refused", []Change{{"openssl", "1.0", "1.2"}}, soaked, campaign.Packages{}, back, "would bring openssl 1.2, which did not soak"},
		{"a package that did not soak is refused", []Change{{"nginx", "1", "2"}}, soaked, campaign.Packages{}, "back\tnginx\t1\tabc\n", "would bring nginx 2, which did not soak"},
		{"nothing soaked is nothing allowed", []Change{{"openssl", "1.0", "1.1"}}, &Manifest{}, campaign.Packages{}, back, "did not soak"},
		{"a removal is refused for the canary", []Change{{"openssl", "1.0", ""}}, nil, campaign.Packages{}, back, "would remove openssl 1.0"},
		{"a removal is refused for a peer", []Change{{"openssl", "1.0", ""}}, soaked, campaign.Packages{}, back, "would remove openssl 1.0"},
		{"a missing way back is refused", []Change{{"openssl", "1.0", "1.1"}}, nil, campaign.Packages{}, "back\topenssl\t1.0\tmissing\n", "no way back: openssl 1.0"},
		{"a way back that nothing is said of is missing", []Change{{"openssl", "1.0", "1.1"}}, nil, campaign.Packages{}, "", "no way back: openssl 1.0"},
		{"a way back to another version is none", []Change{{"openssl", "1.0", "1.1"}}, nil, campaign.Packages{}, "back\topenssl\t0.9\tabc\n", "no way back: openssl 1.0"},
		{"a new package needs no way back", []Change{{"libnew", "", "2.0"}}, nil, campaign.Packages{}, "", ""},
		{"what the campaign excludes is refused even as a dependency", []Change{{"openssl", "1.0", "1.1"}}, nil, campaign.Packages{Exclude: []string{"open*"}}, back, "would bring openssl 1.1, which the campaign excludes"},
		{"a dependency of what the campaign includes is allowed", []Change{{"openssl", "1.0", "1.1"}}, nil, campaign.Packages{Include: []string{"nginx"}}, back, ""},
	} {
		got, name := refuse(row.changes, row.manifest, row.packages, []byte(row.out))
		if (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: refuse = %q, want %q in it", row.says, got, row.want)
		}
		if (name == "") != (got == "") || !strings.Contains(got, name) {
			t.Errorf("%s: refuse blames %q for %q", row.says, name, got)
		}
	}
}

func TestFetch(t *testing.T) {
	given := func(also func(w *world, p *plan.Part, in *StepInput)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"] = debian
			w.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\nupgrade\tnginx\t1\t2\tdebian\t0\t9\nheld\ttzdata\t2025\n"
			w.stdout = "change\topenssl\t1.0\t1.1\nchange\tlibnew\t-\t2.0\nback\topenssl\t1.0\tabc\n"
			also(w, p, in)
		}
	}
	peer := func(w *world, in *StepInput, m Manifest) {
		in.Manifest, _ = w.Put(context.Background(), plan.Body(m))
	}
	soaked := Manifest{OS: "debian", Release: "12", Arch: "amd64", Host: "web-1", Changes: []Change{{"libnew", "", "2.0"}, {"openssl", "1.0", "1.1"}}}
	want := func(text string) func(*testing.T, *world, StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if got := w.runs[0].Env["ROLLPATCH_WANT"]; got != text || w.runs[0].Env["ROLLPATCH_LEDGER"] != instance {
				t.Errorf("env %q, want %q wanted", w.runs[0].Env, text)
			}
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"a member that this very instance has drained is not fetched for", given(func(w *world, p *plan.Part, in *StepInput) {
			w.instances[0].Maintenance = []string{Reason(instance, "web-1")}
		}), rollout.Pass, "drained by this instance already", func(t *testing.T, w *world, r StepResult) {
			if !r.Ours || len(w.runs) > 0 {
				t.Errorf("ours %t, runs %v", r.Ours, w.runs)
			}
		}},
		{"another run that goes on there is waited for", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"] = debian + "run\tmonthly-1.web-1.patch.1-1\n"
		}),
			rollout.Inconclusive, "still goes on there", nil},
		{"its own is gone on with", given(func(w *world, p *plan.Part, in *StepInput) { w.says["facts"] = debian + "run\trun-1\n" }), rollout.Pass, "2 packages fetched", nil},
		{"the canary takes what is pending, and its transaction becomes the manifest", given(func(w *world, p *plan.Part, in *StepInput) {}), rollout.Pass, "2 packages fetched, every former version secured, 1 held on the host",
			func(t *testing.T, w *world, r StepResult) {
				want("openssl\t1.1\nnginx\t2\n")(t, w, r)
				var changes []Change
				var m Manifest
				if err := errors.Join(json.Unmarshal(w.bodies[r.Changes], &changes), json.Unmarshal(w.bodies[r.Manifest], &m)); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(changes, soaked.Changes) || !reflect.DeepEqual(m, soaked) || r.MemberResult.Changes != 2 {
					t.Errorf("changes %v, manifest %v", changes, m)
				}
			}},
		{"what the campaign does not name is left alone, and told", given(func(w *world, p *plan.Part, in *StepInput) { p.Packages.Include = []string{"open*"} }), rollout.Pass, ", 1 pending ones left alone by the campaign's packages",
			want("openssl\t1.1\n")},
		{"a peer takes what soaked, and what else it has pending is told", given(func(w *world, p *plan.Part, in *StepInput) { peer(w, in, soaked) }), rollout.Pass, ", 1 pending ones did not soak and are left alone",
			func(t *testing.T, w *world, r StepResult) {
				want("+libnew\t2.0\nopenssl\t1.1\n")(t, w, r)
				if r.Manifest != "" {
					t.Error("a peer makes a manifest of its own")
				}
			}},
		{"a peer of another platform is refused", given(func(w *world, p *plan.Part, in *StepInput) {
			other := soaked
			other.Release = "11"
			peer(w, in, other)
		}), rollout.Fail, "its platform debian 12 amd64 is not the canary's debian 11 amd64", nil},
		{"a peer whose transaction grew is refused", given(func(w *world, p *plan.Part, in *StepInput) {
			peer(w, in, Manifest{OS: "debian", Release: "12", Arch: "amd64", Changes: soaked.Changes[1:]})
		}), rollout.Fail, "would bring libnew 2.0, which did not soak", func(t *testing.T, w *world, r StepResult) {
			if r.Changes != "" {
				t.Error("there is a transaction all the same")
			}
		}},
		{"nothing pending is nothing to do", given(func(w *world, p *plan.Part, in *StepInput) { w.says["pending"] = "" }), rollout.Pass, "nothing to do", func(t *testing.T, w *world, r StepResult) {
			if !r.Nothing || len(w.runs) > 0 {
				t.Errorf("result %+v, runs %v", r, w.runs)
			}
		}},
		{"nothing pending where this very run has begun before: what the host keeps of it holds", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["pending"], w.begun = "", []string{"run-1"}
		}), rollout.Pass, "2 packages fetched", func(t *testing.T, w *world, r StepResult) {
			if r.Nothing || len(w.runs) != 1 || r.Manifest == "" {
				t.Errorf("result %+v, runs %v: a member that was patched owes its soak", r, w.runs)
			}
		}},
		{"nothing pending, and nobody can say whether the run has begun", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["pending"], w.unreached = "", errors.New("host web-1 is away")
		}), rollout.Inconclusive, "web-1 is away", nil},
		{"an empty transaction is nothing to do", given(func(w *world, p *plan.Part, in *StepInput) { w.stdout = "" }), rollout.Pass, "nothing to do", func(t *testing.T, w *world, r StepResult) {
			if !r.Nothing || r.Changes != "" {
				t.Errorf("result %+v", r)
			}
		}},
		{"as its run starts the host forgets old ones, but none of an instance that has not ended", given(func(w *world, p *plan.Part, in *StepInput) { w.going = []string{"weekly-1"} }), rollout.Pass, "2 packages fetched",
			func(t *testing.T, w *world, r StepResult) {
				if got, want := w.runs[0].Prune, (&Prune{Days: 30, Keep: 50, Unfinished: []string{"weekly-1", instance}}); !reflect.DeepEqual(got, want) {
					t.Errorf("prune %+v, want %+v", got, want)
				}
			}},
		{"and nothing where nobody knows which those are", given(func(w *world, p *plan.Part, in *StepInput) { w.untold = errAway }), rollout.Pass, "2 packages fetched",
			func(t *testing.T, w *world, r StepResult) {
				if w.runs[0].Prune != nil {
					t.Errorf("prune %+v", w.runs[0].Prune)
				}
			}},
		{"a repository that is away clears by itself: inconclusive", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot["pending"] = statusError(14) }), rollout.Inconclusive, "status 14", nil},
		{"a package lock that is held clears by itself: inconclusive", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot["pending"] = statusError(11) }), rollout.Inconclusive, "status 11", nil},
		{"a package manager that fails is a fail", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot["pending"] = statusError(20) }), rollout.Fail, "status 20", nil},
		{"a host that cannot be reached is inconclusive", given(func(w *world, p *plan.Part, in *StepInput) { w.cannot["pending"] = errAway }), rollout.Inconclusive, "away", nil},
		{"so does a lock that the download waits for: another run asks again", given(func(w *world, p *plan.Part, in *StepInput) { w.outcome = exits(11) }), rollout.Inconclusive, "lock", spent},
		{"and a repository that goes away under it", given(func(w *world, p *plan.Part, in *StepInput) { w.outcome = exits(14) }), rollout.Inconclusive, "repository", spent},
		{"and a power cut: a download that is cut short has changed nothing", given(func(w *world, p *plan.Part, in *StepInput) {
			w.outcome = func(Run) (RunOutcome, error) { return RunOutcome{State: RunInterrupted, Reason: "another boot"}, nil }
		}), rollout.Inconclusive, "cut short: another boot", spent},
		{"a run that began with what was wanted earlier is followed: its transaction is what was fetched", given(func(w *world, p *plan.Part, in *StepInput) {
			w.says["pending"] = "upgrade\topenssl\t1.0\t1.2\tdebian\t1\t9\n"
			w.refuses(RunOutcome{State: RunExited, Stdout: []byte(w.stdout)})
		}), rollout.Pass, "2 packages fetched", func(t *testing.T, w *world, r StepResult) {
			var changes []Change
			if err := json.Unmarshal(w.bodies[r.Changes], &changes); err != nil || !reflect.DeepEqual(changes, soaked.Changes) || len(w.runs) != 1 {
				t.Errorf("changes %v, %v, %d starts", changes, err, len(w.runs))
			}
		}},
		{"a version that is not to be had is a fail", given(func(w *world, p *plan.Part, in *StepInput) { w.outcome = exits(12) }), rollout.Fail, "a version is not to be had", nil},
	})
}
