package activities

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// stagings are the world's records of what finished.
type stagings struct{ *world }

func (s stagings) Keep(_ context.Context, acc ConsulAccess, records []staging.Record, forget time.Time) error {
	s.accesses = append(s.accesses, acc)
	s.note("keep %d, forget %s", len(records), forget.Format("2006-01-02"))
	if s.unkept == nil {
		s.kept = append(s.kept, records...)
	}
	return s.unkept
}

func (s stagings) Kept(_ context.Context, acc ConsulAccess, stage string) ([]staging.Record, error) {
	s.accesses = append(s.accesses, acc)
	s.note("kept %s", stage)
	return s.kept, s.unkept
}

var bookworm = staging.Platform{OS: "debian", Release: "12", Arch: "amd64"}

// finishedAgo is a record of the other stage, from before the bubble began.
func finishedAgo(ago time.Duration, versions ...staging.Version) staging.Record {
	return staging.Record{Stage: "staging", Cluster: "cache", Instance: "weekly-1", At: bubble.Add(-ago), Platform: bookworm, Versions: versions}
}

// requiring is a part whose stage requires another one, three days ago.
func requiring(p *plan.Part) {
	p.Stage = "production"
	p.Requires = &plan.Requires{Stage: "staging", MinAge: inventory.Duration(72 * time.Hour), From: []plan.Way{{Consul: p.Cluster.Consul, Via: p.Via}}}
}

var (
	newSSL = staging.Version{Name: "openssl", Version: "1.1", SHA256: strings.Repeat("a", 64)}
	newLib = staging.Version{Name: "libnew", Version: "2.0", SHA256: strings.Repeat("b", 64)}
	pair   = Manifest{OS: "debian", Release: "12", Arch: "amd64", Changes: []Change{{"libnew", "", "2.0"}, {"openssl", "1.0", "1.1"}, {"gone", "1", ""}}, Files: []PackageFile{
		{Name: "openssl", Version: "1.1", SHA256: newSSL.SHA256}, {Name: "libnew", Version: "2.0", SHA256: newLib.SHA256},
	}}
)

func TestReleaseRecordsWhatFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newWorld(), webPart()
		p.Stage = "staging"
		in := ClaimInput{Instance: instance, Intent: intent("release", "")}
		in.Part, _ = w.Put(t.Context(), plan.Body(p))
		at := bubble.Add(-time.Hour)
		manifest, _ := w.Put(t.Context(), plan.Body(pair))
		in.Finished = &rollout.Finished{Manifest: manifest, At: at}
		w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
		w.unkept = errAway
		if r, err := do(t, nil, w.activities().Release, in); err != nil || r.OK || r.Reason != errAway.Error() || len(w.records) != 1 {
			t.Errorf("what cannot be put on record: %+v, %v, records %v; want the claim to stay", r, err, w.records)
		}
		w.unkept = nil
		r, err := do(t, nil, w.activities().Release, in)
		want := []staging.Record{{Stage: "staging", Cluster: "web", Instance: instance, At: at, Platform: bookworm, Versions: []staging.Version{newLib, newSSL}}}
		if err != nil || !r.OK || len(w.records) != 0 || !reflect.DeepEqual(w.kept, want) {
			t.Errorf("%+v, %v, records %v, kept %+v\nwant %+v", r, err, w.records, w.kept, want)
		}
		if last := w.log[len(w.log)-3:]; !strings.HasPrefix(last[0], "keep 1, forget 1999-07-") || last[1] != "release cluster/web" {
			t.Errorf("log ends with %q, want the record before the release", last)
		}
		w.proveNoSecret(t, w.kept)
		p.Emergency, w.kept = true, nil
		in.Part, _ = w.Put(t.Context(), plan.Body(p))
		if r, err := do(t, nil, w.activities().Release, in); err != nil || !r.OK || len(w.kept) != 1 || !w.kept[0].Emergency {
			t.Errorf("of an emergency: %+v, %v, kept %+v; want it recorded as such", r, err, w.kept)
		}
		p.Emergency = false
		in.Part, _ = w.Put(t.Context(), plan.Body(p))
		in.Finished, w.kept = nil, nil
		if r, err := do(t, nil, w.activities().Release, in); err != nil || !r.OK || len(w.kept) != 0 {
			t.Errorf("of a cluster that is not done: %+v, %v, kept %v", r, err, w.kept)
		}
	})
}

func TestAHugeManifestFitsIntoRecords(t *testing.T) {
	w, p, m := newWorld(), webPart(), Manifest{OS: "debian", Release: "12", Arch: "amd64"}
	p.Stage = "staging"
	for i := range mostVersions + 1 {
		m.Changes = append(m.Changes, Change{fmt.Sprintf("p%d", i), "1", "2"})
	}
	in := ClaimInput{Instance: instance, Intent: intent("release", "")}
	in.Part, _ = w.Put(t.Context(), plan.Body(p))
	manifest, _ := w.Put(t.Context(), plan.Body(m))
	in.Finished = &rollout.Finished{Manifest: manifest, At: bubble}
	if r, err := do(t, nil, w.activities().Release, in); err != nil || !r.OK || len(w.kept) != 2 || len(w.kept[0].Versions) != mostVersions || len(w.kept[1].Versions) != 1 {
		t.Errorf("%+v, %v, %d records", r, err, len(w.kept))
	}
}

const days = 24 * time.Hour

func TestStagedAsksTheRecords(t *testing.T) {
	both := func(w *world) { w.kept = []staging.Record{finishedAgo(4*days, newSSL, newLib)} }
	for _, row := range []struct {
		sentence string
		given    func(w *world)
		missing  string
		young    string
		reason   string
	}{
		{"long enough ago", both, "", "", ""},
		{"too young", func(w *world) { w.kept = []staging.Record{finishedAgo(4*days, newSSL), finishedAgo(days, newLib)} }, "", "libnew 2.0 finished in stage staging at 1999-12-31T00:00:00Z (cache in weekly-1), and that has to be 3d ago: until 2000-01-03T00:00:00Z", ""},
		{"missing", func(w *world) { w.kept = []staging.Record{finishedAgo(4*days, newSSL)} }, "stage staging has to be through with it first: libnew 2.0 has not finished there", "", ""},
		{"in quarantine there", func(w *world) {
			both(w)
			s := on("cache", "12", []Change{{"openssl", "1.0", "1.1"}})
			s.Stage = "staging"
			w.records["versions/cache/12ab"] = Claim{Key: "versions/cache/12ab", Owner: "weekly-2", Suspects: &s}
		}, "openssl 1.1 has not finished there (it is in quarantine there, as cache/12ab)", "", ""},
		{"in quarantine in this very stage", func(w *world) {
			both(w)
			s := on("other", "12", []Change{{"openssl", "1.0", "1.1"}})
			s.Stage = "production"
			w.records["versions/other/12ab"] = Claim{Key: "versions/other/12ab", Owner: "weekly-2", Suspects: &s}
		}, "", "", ""},
		{"the records cannot be read", func(w *world) { w.unkept = errAway }, "", "", "what has finished in stage staging is not known: " + errAway.Error()},
		{"nor the quarantine", func(w *world) { both(w); w.claims = errAway }, "", "", "what has finished in stage staging is not known"},
	} {
		for _, manifest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, manifest %t", row.sentence, manifest), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h, p := newAsked(), webPart()
					requiring(&p)
					row.given(h.world)
					in := StagedInput{Instance: instance, Host: "web-1"}
					in.Part, _ = h.Put(t.Context(), plan.Body(p))
					if manifest {
						in.Manifest, _ = h.Put(t.Context(), plan.Body(pair))
					}
					a := h.activities()
					a.Runner = h
					r, err := do(t, nil, a.Staged, in)
					if err != nil || r.OK != (row.missing+row.young+row.reason == "") || !strings.Contains(r.Missing, row.missing) || r.Young != row.young || !strings.Contains(r.Reason, row.reason) || (r.Reason == "") != (row.reason == "") {
						t.Errorf("%+v, %v; want missing %q, young %q, reason %q", r, err, row.missing, row.young, row.reason)
					}
					if want := bubble.Add(2 * days); row.young != "" && !r.Until.Equal(want) {
						t.Errorf("until %s, want %s", r.Until, want)
					}
					if asked := h.starts > 0; asked == manifest {
						t.Errorf("the host was asked: %t", asked)
					}
					if len(h.runs) > 0 || len(h.entries) > 0 {
						t.Errorf("it acts: runs %v, entries %v", h.runs, h.entries)
					}
					h.proveNoSecret(t, r)
				})
			})
		}
	}
}

func TestStagedOfAHostThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newAsked(), webPart()
		requiring(&p)
		h.errs["facts web-1"] = errors.New("no answer")
		in := StagedInput{Instance: instance, Host: "web-1"}
		in.Part, _ = h.Put(t.Context(), plan.Body(p))
		a := h.activities()
		a.Runner = h
		if r, err := do(t, nil, a.Staged, in); err != nil || r.OK || r.Reason != "what web-1 would get is not known: no answer" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// The repository moves on while staging's versions get old enough: what was approved and fetched ahead is what the canary takes, and what has to be proven.
func TestStagedJudgesWhatWasFetchedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t)
		requiring(&e.part)
		proven := finishedAgo(4*days, staging.Version{Name: "openssl", Version: "1.1", SHA256: e.file.SHA256}, staging.Version{Name: "libnew", Version: "2.0", SHA256: e.dep.SHA256})
		e.kept = []staging.Record{proven}
		if r := e.ahead(t); r.Why != "" {
			t.Fatalf("%+v", r)
		}
		e.says["pending"] = "upgrade\topenssl\t1.0\t1.4\tdebian\tyes\t9\n"
		ask := func() rollout.StagedResult {
			t.Helper()
			delete(e.given, "pending")
			in := StagedInput{Instance: instance, Host: "web-1"}
			in.Part, _ = e.Put(t.Context(), plan.Body(e.part))
			r, err := do(t, nil, e.activities().Staged, in)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := ask(); !r.OK || e.given["pending"] != nil {
			t.Errorf("what was fetched ahead is proven: %+v, pending is given %v", r, e.given["pending"])
		}
		if r := e.night(t, nil); r.Verdict != rollout.Pass || e.given["pending"] != nil || e.runs[0].Env["ROLLPATCH_WANT"] != "openssl\t1.1\n+libnew\t2.0\n" {
			t.Errorf("the canary: %+v, %v; want what was approved", r, e.runs)
		}

		other := proven
		other.Versions = []staging.Version{{Name: "openssl", Version: "1.1", SHA256: strings.Repeat("a", 64)}, proven.Versions[1]}
		e.kept = []staging.Record{other}
		if r := ask(); !strings.Contains(r.Missing, "that version has, as another file") {
			t.Errorf("another file under that version: %+v", r)
		}
		e.kept[0].Versions = proven.Versions[:1]
		if r := ask(); !strings.Contains(r.Missing, "libnew 2.0 has not finished there") {
			t.Errorf("what comes with it: %+v", r)
		}
		e.kept = []staging.Record{proven}
		e.puts(t, "web-1", e.file, "spoilt")
		e.says["fetch"] = "change\topenssl\t1.0\t1.4\n"
		if r := ask(); r.OK || !strings.Contains(r.Missing, "openssl 1.4 has not finished there (1.1 has)") {
			t.Errorf("a file that was spoilt: %+v; want what is pending judged, as the fetch takes it", r)
		}
	})
}

// What is pending and not in the plan is left alone by the canary, so that nothing has to be on record of it.
func TestStagedLeavesAloneWhatIsNotPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newAsked(), webPart()
		requiring(&p)
		p.Planned = &plan.Planned{Platforms: []plan.Platform{{OS: "debian", Release: "12", Arch: "amd64", Packages: []plan.Version{{Name: "openssl", Version: "1.0.9"}}}}}
		h.kept = []staging.Record{finishedAgo(4*days, newSSL)}
		in := StagedInput{Instance: instance, Host: "web-1"}
		in.Part, _ = h.Put(t.Context(), plan.Body(p))
		a := h.activities()
		a.Runner = h
		if r, err := do(t, nil, a.Staged, in); err != nil || !r.OK {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// The canary's fetch knows the very files: it is held to the records once more.
func TestFetchHoldsToTheStageBefore(t *testing.T) {
	given := func(also func(w *world)) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			requiring(p)
			w.says["facts"], w.says["pending"] = debian, "upgrade\topenssl\t1.0\t1.1\td\tyes\t9\n"
			w.stdout = "change\topenssl\t1.0\t1.1\nback\topenssl\t1.0\tabc\nfile\topenssl\t1.1\t" + newSSL.SHA256 + "\t9\topenssl.deb\n"
			w.kept = []staging.Record{finishedAgo(4*days, newSSL)}
			also(w)
		}
	}
	held := func(t *testing.T, w *world, r StepResult) {
		if !r.Widens || r.Changes != "" || r.Manifest != "" {
			t.Errorf("%+v: want its cluster held, and nothing come of it", r)
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"what finished there goes on", given(func(*world) {}), rollout.Pass, "1 packages fetched", nil},
		{"a version that came meanwhile", given(func(w *world) { w.kept[0].Versions = []staging.Version{{Name: "openssl", Version: "1.0.9"}} }), rollout.Fail, "openssl 1.1 has not finished there (1.0.9 has)", held},
		{"another file of that version", given(func(w *world) {
			w.kept[0].Versions = []staging.Version{{Name: "openssl", Version: "1.1", SHA256: newLib.SHA256}}
		}), rollout.Fail, "(that version has, as another file: sha256 bbb", held},
		{"one that is too young", given(func(w *world) { w.kept[0].At = bubble }), rollout.Fail, "and that has to be 3d ago", held},
		{"records that cannot be read are waited for", given(func(w *world) { w.unkept = errAway }), rollout.Inconclusive, errAway.Error(), nil},
	})
}

// A plan says beforehand what has finished and what has not.
func TestAskHostsSaysWhatHasFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newAsked(), webPart()
		requiring(&p)
		h.kept = []staging.Record{finishedAgo(4*days, newSSL)}
		_, answers, err := askBatch(t, h, p, "web-1")
		if err != nil {
			t.Fatal(err)
		}
		a := answers[0]
		if want := []string{"openssl 1.1 finished in stage staging at 1999-12-28T00:00:00Z (cache in weekly-1)"}; !reflect.DeepEqual(a.Finished, want) {
			t.Errorf("finished %q, want %q", a.Finished, want)
		}
		if want := []string{"libnew 2.0 has not finished in stage staging"}; !reflect.DeepEqual(a.Unfinished, want) {
			t.Errorf("unfinished %q, want %q", a.Unfinished, want)
		}
	})
}
