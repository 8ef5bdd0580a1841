package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// early is a world in which openssl 1.1, and what comes with it, are planned for every member of web.
type early struct {
	*world
	part plan.Part
	file PackageFile
	dep  PackageFile
}

func newEarly(t *testing.T) *early {
	named := func(name, version, body string) PackageFile {
		sum := sha256.Sum256([]byte(body))
		return PackageFile{name, version, hex.EncodeToString(sum[:]), int64(len(body)), name + "_" + version + "_amd64.deb"}
	}
	e := &early{world: newWorld(), part: webPart(), file: named("openssl", "1.1", "what was approved"), dep: named("libnew", "2.0", "what it needs")}
	e.part.Planned = &plan.Planned{Platforms: []plan.Platform{{OS: "debian", Release: "12", Arch: "amd64", Packages: []plan.Version{
		{Name: "libnew", Version: "2.0", SHA256: e.dep.SHA256}, {Name: "openssl", Version: "1.1", SHA256: e.file.SHA256},
	}}}}
	e.says["facts"] = debian
	e.fetches(e.file, e.dep)
	e.roots = map[string]string{}
	for _, name := range e.part.Cluster.Members {
		e.roots[name] = t.TempDir()
		e.puts(t, name, e.file, "what was approved")
		e.puts(t, name, e.dep, "what it needs")
	}
	return e
}

// fetches has the playbook tell these files.
func (e *early) fetches(files ...PackageFile) {
	e.stdout = "change\tlibnew\t-\t2.0\nchange\topenssl\t1.0\t1.1\nback\topenssl\t1.0\tabc\n"
	for _, f := range files {
		e.stdout += fmt.Sprintf("file\t%s\t%s\t%s\t%d\t%s\n", f.Name, f.Version, f.SHA256, f.Size, f.File)
	}
	e.says["fetch"] = e.stdout
}

func (e *early) place(host, file string) string {
	return filepath.Join(e.roots[host], "var/lib/rollpatch/ledger", instance, file)
}

func (e *early) puts(t *testing.T, host string, f PackageFile, body string) {
	t.Helper()
	path := e.place(host, "new/"+f.File)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(body), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (e *early) listed(host string) string {
	raw, _ := os.ReadFile(e.place(host, "ahead.web"))
	return string(raw)
}

func (e *early) ahead(t *testing.T) AheadResult {
	t.Helper()
	part, _ := e.Put(t.Context(), plan.Body(e.part))
	e.entries, e.log = nil, nil
	in := AheadInput{Instance: instance, Part: part, Intent: intent("fetch-ahead", "")}
	r, err := do(t, nil, e.activities().FetchAhead, in)
	if err != nil {
		t.Fatal(err)
	}
	e.proveAudit(t, in.Intent, r.Audit)
	e.proveNoSecret(t, r)
	return r
}

// night is the fetch of the member's own turn.
func (e *early) night(t *testing.T, also func(in *StepInput)) StepResult {
	t.Helper()
	in := StepInput{Instance: instance, Host: "web-1", Run: "run-1", Seq: 7, Intent: intent("fetch", "web-1")}
	in.Part, _ = e.Put(t.Context(), plan.Body(e.part))
	if also != nil {
		also(&in)
	}
	delete(e.given, "pending")
	e.runs = nil
	r, err := do(t, nil, e.activities().Fetch, in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFetchAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t)
		if r := e.ahead(t); r.Why != "" || r.Other != "" {
			t.Fatalf("%+v", r)
		}
		if len(e.runs) > 0 || e.given["pending"] != nil {
			t.Errorf("it runs %v, and asks what is pending: %v", e.runs, e.given["pending"])
		}
		given := e.given["fetch"]
		if given["ROLLPATCH_WANT"] != "libnew\t2.0\nopenssl\t1.1\n" || given["ROLLPATCH_LEDGER"] != instance || given["ROLLPATCH_SIMULATE"] != "" {
			t.Errorf("fetch is given %q", given)
		}
		want := fmt.Sprintf("openssl\t1.1\t%s\t17\topenssl_1.1_amd64.deb\n+libnew\t2.0\t%s\t13\tlibnew_2.0_amd64.deb\n", e.file.SHA256, e.dep.SHA256)
		for _, name := range e.part.Cluster.Members {
			if got := e.listed(name); got != want {
				t.Errorf("%s keeps the list %q, want %q", name, got, want)
			}
		}
		delete(e.given, "fetch")
		if r := e.ahead(t); r.Why != "" || e.given["fetch"] != nil {
			t.Errorf("asked again: %+v, fetch is given %q: want nothing fetched twice", r, e.given["fetch"])
		}

		// On the night the repository has moved on, and nobody asks it.
		e.says["pending"] = "upgrade\topenssl\t1.0\t1.4\tdebian\tyes\t9\n"
		r := e.night(t, nil)
		if r.Verdict != rollout.Pass || !strings.Contains(r.Reason, "as it was fetched ahead") || e.given["pending"] != nil || len(e.runs) != 1 {
			t.Fatalf("%+v, pending is given %v, runs %v", r, e.given["pending"], e.runs)
		}
		env := e.runs[0].Env
		if env["ROLLPATCH_WANT"] != "openssl\t1.1\n+libnew\t2.0\n" || env["ROLLPATCH_FILES"] != fileLines([]PackageFile{e.file, e.dep}) {
			t.Errorf("fetch is given %q", env)
		}

		// So it is for a peer, whose canary got the same.
		manifest := Manifest{OS: "debian", Release: "12", Arch: "amd64", Host: "web-2", Changes: []Change{{"libnew", "", "2.0"}, {"openssl", "1.0", "1.1"}}, Files: []PackageFile{e.dep, e.file}}
		peer := func(in *StepInput) { in.Manifest, _ = e.Put(context.Background(), plan.Body(manifest)) }
		if r := e.night(t, peer); r.Verdict != rollout.Pass || e.given["pending"] != nil {
			t.Errorf("a peer: %+v, pending is given %v", r, e.given["pending"])
		}
		// A canary that got another file is what counts.
		manifest.Files = []PackageFile{e.dep, {"openssl", "1.1", strings.Repeat("a", 64), 9, "openssl_1.1_amd64.deb"}}
		if e.night(t, peer); e.given["pending"] == nil {
			t.Error("a peer of a canary that got another file takes what it has")
		}

		// What is not there any more, or not what it was, is no reason to fail.
		e.puts(t, "web-1", e.file, "spoilt")
		if r := e.night(t, nil); r.Verdict != rollout.Pass || !strings.Contains(r.Reason, "openssl_1.1_amd64.deb, which was fetched ahead, is not there any more or not what it was") || e.runs[0].Env["ROLLPATCH_WANT"] != "openssl\t1.4\n" {
			t.Errorf("a file that was spoilt: %+v, %v", r, e.runs)
		}
		e.part.Policy.Fetch = campaign.FetchWindow
		e.puts(t, "web-1", e.file, "what was approved")
		if e.night(t, nil); e.given["pending"] == nil {
			t.Error("policy.fetch: window takes what was fetched ahead")
		}
	})
}

func TestFetchAheadTells(t *testing.T) {
	for _, row := range []struct {
		says  string
		given func(t *testing.T, e *early)
		why   string
		other string
		lists int // members that keep a list
		asks  bool
	}{
		{"a freeze that somebody typed", func(_ *testing.T, e *early) { e.frozen = "frozen by ann" }, "frozen by ann", "", 0, false},
		{"one that cannot be asked for", func(_ *testing.T, e *early) { e.unfrozen = errors.New("no server") }, "whether the estate is frozen: no server", "", 0, false},
		{"a freeze of a calendar", func(_ *testing.T, e *early) {
			e.part.When = &plan.When{}
			now := time.Now()
			e.calendar = map[bool]calendar.Calendar{true: {Freezes: []calendar.Span{{Name: "launch", Start: now.Add(-time.Hour), End: now.Add(time.Hour)}}}}
		}, `freeze "launch"`, "", 0, false},
		{"a window that is shut is no reason", func(_ *testing.T, e *early) {
			e.part.When = &plan.When{}
			e.calendar = map[bool]calendar.Calendar{true: {}}
		}, "", "", 3, true},
		{"one that cannot be reached keeps nobody from the others", func(_ *testing.T, e *early) { delete(e.roots, "web-2") }, "web-2: ", "", 2, true},
		{"a package database that is not clean", func(_ *testing.T, e *early) {
			e.says["facts"] = strings.Replace(debian, "dpkg\tclean", "dpkg\thalf", 1)
		}, "not clean", "", 0, false},
		{"a run that goes on there", func(_ *testing.T, e *early) { e.says["facts"] = debian + "run\tother-1\n" }, "the run other-1 still goes on there", "", 0, false},
		{"a platform that is not in the plan", func(_ *testing.T, e *early) { e.part.Planned.Platforms[0].Release = "11" }, "its platform debian 12 amd64 is not in the plan", "", 0, false},
		{"several versions on one platform", func(_ *testing.T, e *early) {
			e.part.Planned.Platforms[0].Packages = append(e.part.Planned.Platforms[0].Packages, plan.Version{Name: "openssl", Version: "1.2"})
		}, "said several versions of openssl", "", 0, false},
		{"nothing planned is nothing to fetch", func(_ *testing.T, e *early) { e.part.Planned.Platforms[0].Packages = nil }, "", "", 0, false},
		{"a version that is gone", func(_ *testing.T, e *early) { e.cannot["fetch"] = statusError(exitVersion) }, "web-1: ended with status 12", "", 0, true},
		{"too little space", func(_ *testing.T, e *early) { e.cannot["fetch"] = statusError(exitSpace) }, "web-1: ended with status 13", "", 0, true},
		{"another file under that name and version", func(t *testing.T, e *early) {
			other := e.file
			other.SHA256 = strings.Repeat("a", 64)
			e.fetches(other, e.dep)
		}, "widens: the repository has another file than the planned one as openssl 1.1", "web-1: widens", 0, true},
		{"a repository that said no digest", func(_ *testing.T, e *early) {
			e.part.Planned.Platforms[0].Packages[1].SHA256 = ""
			other := e.file
			other.Size++
			e.fetches(other, e.dep)
		}, "", "", 3, true},
		{"a package that nobody planned", func(_ *testing.T, e *early) {
			e.part.Planned.Platforms[0].Packages = e.part.Planned.Platforms[0].Packages[1:]
		}, "widens: it would bring libnew 2.0", "", 0, true},
		{"no way back", func(_ *testing.T, e *early) { e.says["fetch"] = strings.Replace(e.stdout, "abc", "missing", 1) }, "no way back: openssl 1.0", "", 0, true},
		{"a playbook that tells no files", func(_ *testing.T, e *early) { e.fetches() }, "its playbook does not tell which files it keeps", "", 0, true},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEarly(t)
				row.given(t, e)
				r := e.ahead(t)
				if (r.Why == "") != (row.why == "") || !strings.Contains(r.Why, row.why) || (r.Other == "") != (row.other == "") || !strings.Contains(r.Other, row.other) {
					t.Errorf("%+v, want %q and %q", r, row.why, row.other)
				}
				lists := 0
				for name := range e.roots {
					if e.listed(name) != "" {
						lists++
					}
				}
				if lists != row.lists || (e.given["fetch"] != nil) != row.asks {
					t.Errorf("%d members keep a list, want %d; fetch is given %q", lists, row.lists, e.given["fetch"])
				}
				if len(e.runs) > 0 {
					t.Errorf("it runs %v", e.runs)
				}
			})
		})
	}
}

// Members that a follow-up does not work on, and those in quarantine, are left alone, and nothing is lacking for it.
func TestFetchAheadLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t)
		e.part.Only = []string{"web-2", "web-3"}
		e.records["quarantine/web-3"] = Claim{Key: "quarantine/web-3", Owner: "weekly-1", Server: theServer}
		delete(e.roots, "web-1") // it cannot be reached
		delete(e.roots, "web-3")
		r := e.ahead(t)
		if r.Why != "" || r.Left != "web-3" || e.listed("web-2") == "" {
			t.Errorf("%+v, web-2 keeps %q", r, e.listed("web-2"))
		}
		if last := e.entries[len(e.entries)-1]; !strings.Contains(fmt.Sprint(last), "1 of 1 members have what is planned for them, without those in quarantine: web-3") {
			t.Errorf("on record is %+v", last)
		}
		e.claims = errAway
		if r := e.ahead(t); !strings.Contains(r.Why, "whether its members are in quarantine: ") {
			t.Errorf("a Consul that is away: %+v", r)
		}
	})
}

// Where the package lists of a host are older than the plan, they are read once.
func TestFetchAheadReadsTheRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t)
		e.cannot["fetch"] = statusError(exitVersion)
		e.says["pending"] = ""
		if r := e.ahead(t); r.Why == "" || e.given["pending"] == nil {
			t.Errorf("%+v, pending is given %v", r, e.given["pending"])
		}
	})
}

// A file that is another one than the planned holds the cluster at the member's own fetch, and is gone: the repository may have the right one next time.
func TestFetchHoldsToPlannedDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(t)
		e.says["pending"] = "upgrade\topenssl\t1.0\t1.1\tdebian\tyes\t9\n"
		other := e.file
		other.SHA256 = strings.Repeat("a", 64)
		e.fetches(other, e.dep)
		r := e.night(t, nil)
		if r.Verdict != rollout.Fail || !r.Widens || r.Manifest != "" || !strings.Contains(r.Reason, "another file than the planned one as openssl 1.1") || !strings.Contains(r.Reason, "rollpatch retry "+instance) {
			t.Errorf("%+v", r)
		}
		if _, err := os.Stat(e.place("web-1", "new/"+e.file.File)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the other file is still there: %v", err)
		}
		e.fetches(e.file, e.dep)
		if r := e.night(t, nil); r.Verdict != rollout.Pass {
			t.Errorf("the planned one: %+v", r)
		}
	})
}
