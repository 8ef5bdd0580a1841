package activities

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

var failedAt = time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC)

// suspects asks for a record of a transaction that failed on web-1.
func (w *world) suspects(t *testing.T, changes []Change, also func(p *plan.Part, in *EvidenceInput)) (ClaimResult, EvidenceInput, error) {
	t.Helper()
	p := webPart()
	p.Cluster.Owner, p.Cluster.Contact = "web team", "web@rollpatch.invalid"
	in := EvidenceInput{ClaimInput: ClaimInput{Plan: "sha256:plan"}, Evidence: rollout.Evidence{Host: "web-1", Why: "page answers 500", At: failedAt}}
	in.Instance, in.Intent = instance, intent("quarantine", "web-1")
	in.Evidence.Changes, _ = w.Put(t.Context(), plan.Body(changes))
	in.Evidence.Manifest, _ = w.Put(t.Context(), plan.Body(Manifest{OS: "debian", Release: "12", Arch: "amd64", Changes: changes}))
	if also != nil {
		also(&p, &in)
	}
	in.Part, _ = w.Put(t.Context(), plan.Body(p))
	r, err := do(t, nil, w.activities().QuarantineVersions, in)
	return r, in, err
}

var sick = []Change{{"lab-web", "1.0", "1.2"}, {"lab-web-data", "1.0", "1.2"}, {"gone", "3.0", ""}}

// on is a list of versions on a platform.
func on(cluster, release string, versions []Change) Suspects {
	return Suspects{Cluster: cluster, OS: "debian", Release: release, Arch: "amd64", Versions: versions}
}

func TestVersionsThatFailedAreOnRecord(t *testing.T) {
	w := newWorld()
	r, in, err := w.suspects(t, sick, nil)
	if err != nil || !r.OK || r.Reason != "lab-web 1.2, lab-web-data 1.2" {
		t.Fatalf("%+v, %v", r, err)
	}
	w.proveAudit(t, in.Intent, r.Audit)
	w.proveNoSecret(t, w.records)
	key := versionsKey(on("web", "12", sick[:2]))
	if arm := (Suspects{Cluster: "web", OS: "debian", Release: "12", Arch: "arm64", Versions: sick[:2]}); versionsKey(arm) == key {
		t.Error("the same versions of another platform have the same name: theirs would never be on record")
	}
	want := Claim{
		Key: key, Owner: instance, Since: failedAt, Reason: "page answers 500", Server: theServer, Plan: "sha256:plan", Told: &Told{Cluster: "web", Owner: "web team", Contact: "web@rollpatch.invalid"},
		Suspects: &Suspects{Cluster: "web", OS: "debian", Release: "12", Arch: "amd64", Host: "web-1", Versions: sick[:2], Count: 2, Review: failedAt.Add(30 * 24 * time.Hour)},
	}
	if len(w.records) != 1 || !reflect.DeepEqual(w.records[key], want) {
		t.Errorf("on record %+v\nwant %s: %+v", w.records, key, want)
	}

	// A reply that was lost: asked again, nothing changes.
	if r, _, err := w.suspects(t, sick, nil); err != nil || !r.OK || len(w.records) != 1 {
		t.Errorf("asked again: %+v, %v, %d records", r, err, len(w.records))
	}
	// They failed in another instance before: they are in quarantine, whoever put them there.
	theirs := want
	theirs.Owner = "weekly-1"
	w.records[key] = theirs
	if r, _, err := w.suspects(t, sick, nil); err != nil || !r.OK || w.records[key].Owner != "weekly-1" {
		t.Errorf("of what another instance has put there: %+v, %v, %+v", r, err, w.records)
	}
}

func TestVersionsOfAHugeTransactionFitIntoRecords(t *testing.T) {
	w := newWorld()
	var all []Change
	for i := range 4500 {
		all = append(all, Change{Name: fmt.Sprintf("a-package-with-quite-a-long-name-%d", i), Old: "1:2.36.0-9+deb12u10~bpo12+1", New: "1:2.36.0-9+deb12u11~bpo12+1"})
	}
	r, _, err := w.suspects(t, all, nil)
	if err != nil || !r.OK || !strings.HasSuffix(r.Reason, "and 4492 more") || len(r.Reason) > reasonSize {
		t.Fatalf("%+v, %v", r, err)
	}
	n := 0
	for key, c := range w.records {
		n += len(c.Suspects.Versions)
		if body, _ := json.Marshal(c); len(body) > 400<<10 {
			t.Errorf("%s is %d bytes, and Consul takes 512 KiB", key, len(body))
		}
	}
	if n != len(all) {
		t.Errorf("%d versions on record, want %d", n, len(all))
	}
}

// What is not on record is not told as if it were.
func TestVersionsThatCannotBePutOnRecord(t *testing.T) {
	for says, trouble := range map[string]func(*world, *EvidenceInput){
		"servers that are away":           func(w *world, _ *EvidenceInput) { w.claims = errAway },
		"a transaction that is not there": func(_ *world, in *EvidenceInput) { in.Evidence.Changes = "sha256:other" },
		"a manifest that is not there":    func(_ *world, in *EvidenceInput) { in.Evidence.Manifest = "sha256:other" },
	} {
		w := newWorld()
		r, _, err := w.suspects(t, sick, func(_ *plan.Part, in *EvidenceInput) { trouble(w, in) })
		if err != nil || r.OK || r.Reason == "" || len(w.records) > 0 {
			t.Errorf("%s: %+v, %v, %d records; want a reason and no record", says, r, err, len(w.records))
		}
	}
	w := newWorld()
	w.auditFails = audit.Intent
	if _, _, err := w.suspects(t, sick, nil); err == nil || len(w.records) > 0 {
		t.Errorf("a chain that cannot be written: %v, %d records", err, len(w.records))
	}
}

func TestFetchLeavesVersionsInQuarantineOut(t *testing.T) {
	record := func(cluster, owner, release string, versions ...Change) Claim {
		return Claim{Key: versionsKey(on(cluster, release, versions)), Owner: owner, Server: theServer, Since: failedAt, Reason: "page answers 500", Suspects: &Suspects{Cluster: cluster, OS: "debian", Release: release, Arch: "amd64", Host: "web-1", Versions: versions}}
	}
	bad := Change{"openssl", "1.0", "1.1"}
	given := func(pending string, records ...Claim) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"] = debian
			w.says["pending"] = pending
			w.stdout = "change\tnginx\t1\t2\nback\tnginx\t1\tabc\n"
			for _, r := range records {
				w.records[r.Key] = r
			}
		}
	}
	const (
		theirs  = "october-20261001T010000Z"
		without = "upgrade\tnginx\t1\t2\tdebian\t0\t9\nleft\topenssl\t1.0\t1.1\nleft\tlibssl\t1.0\t1.1\n"
		whole   = "upgrade\tnginx\t1\t2\tdebian\t0\t9\nupgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n"
	)
	name := strings.TrimPrefix(versionsKey(on("web", "12", []Change{bad})), rollout.VersionsRecord)
	asked := func(want string) func(*testing.T, *world, StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if got := w.given["pending"]["ROLLPATCH_LEAVE_OUT"]; got != want {
				t.Errorf("pending is asked to leave out %q, want %q", got, want)
			}
			if len(w.runs) > 0 && w.runs[0].Env["ROLLPATCH_LEAVE_OUT"] != want {
				t.Errorf("fetch is asked to leave out %q, want %q", w.runs[0].Env["ROLLPATCH_LEAVE_OUT"], want)
			}
			if (want == "") != (r.LeftOut == "") {
				t.Errorf("left out %q", r.LeftOut)
			}
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"they and what needs them are left out, and told with why", given(without, record("web", theirs, "12", bad)), rollout.Pass,
			"1 packages fetched, every former version secured; left out: openssl 1.1 (in quarantine as " + name + " since 2026-11-01 by " + theirs + ": page answers 500), and what goes only with them: libssl 1.1",
			asked("openssl\t1.1\n")},
		{"a playbook that knows nothing of it gets them neither", given(whole, record("web", theirs, "12", bad)), rollout.Pass, "left out: openssl 1.1 (in quarantine as", func(t *testing.T, w *world, r StepResult) {
			if got := w.runs[0].Env["ROLLPATCH_WANT"]; got != "nginx\t2\n" {
				t.Errorf("wanted %q", got)
			}
		}},
		{"a transaction that brings one all the same is refused", func(w *world, p *plan.Part, in *StepInput) {
			given(without, record("web", theirs, "12", bad))(w, p, in)
			w.stdout += "change\topenssl\t1.0\t1.1\nback\topenssl\t1.0\tabc\n"
		}, rollout.Fail, "would bring openssl 1.1, which is in quarantine as " + name, nil},
		{"where nothing else is pending there is nothing to do, and what ends that is named", given("left\topenssl\t1.0\t1.1\n", record("web", theirs, "12", bad)), rollout.Pass,
			"page answers 500); end that with: rollpatch quarantine release " + name + ` --reason "..."`, func(t *testing.T, w *world, r StepResult) {
				if !r.Nothing || !strings.HasPrefix(r.Reason, "nothing to do; left out: openssl 1.1") || len(w.runs) > 0 {
					t.Errorf("nothing %t, runs %v: %s", r.Nothing, w.runs, r.Reason)
				}
			}},
		{"a newer version is no such version", given(strings.Replace(whole, "1.1", "1.2", 1), record("web", theirs, "12", bad)), rollout.Pass, "1 packages fetched", func(t *testing.T, w *world, r StepResult) {
			if got := w.runs[0].Env["ROLLPATCH_WANT"]; got != "nginx\t2\nopenssl\t1.2\n" || r.LeftOut != "" {
				t.Errorf("wanted %q, left out %q", got, r.LeftOut)
			}
		}},
		{"what the campaign leaves alone anyway is not told", func(w *world, p *plan.Part, in *StepInput) {
			given(without, record("web", theirs, "12", bad))(w, p, in)
			p.Packages.Exclude = []string{"open*", "lib*"}
		}, rollout.Pass, "1 packages fetched, every former version secured", func(t *testing.T, w *world, r StepResult) {
			if r.LeftOut != "" {
				t.Errorf("left out %q", r.LeftOut)
			}
		}},
		{"another platform's say nothing of this one", given(whole, record("web", theirs, "11", bad)), rollout.Pass, "1 packages fetched", asked("")},
		{"another cluster's neither", given(whole, record("db", theirs, "12", bad), record("web-2", theirs, "12", bad)), rollout.Pass, "1 packages fetched", asked("")},
		{"of each cluster that the host is in they count", func(w *world, p *plan.Part, in *StepInput) {
			given(without, record("db", theirs, "12", bad))(w, p, in)
			sharedHost(w, p)
		}, rollout.Pass, "left out: openssl 1.1", asked("openssl\t1.1\n")},
		{"an instance may try again what it put there itself: a person says so", given(whole, record("web", instance, "12", bad)), rollout.Pass, "1 packages fetched", asked("")},
		{"but not for another of its clusters", func(w *world, p *plan.Part, in *StepInput) {
			given(without, record("db", instance, "12", bad))(w, p, in)
			sharedHost(w, p)
		}, rollout.Pass, "left out: openssl 1.1", asked("openssl\t1.1\n")},
		{"a peer does not get them from its canary's manifest", func(w *world, p *plan.Part, in *StepInput) {
			given(without, record("web", theirs, "12", bad))(w, p, in)
			in.Manifest, _ = w.Put(t.Context(), plan.Body(Manifest{OS: "debian", Release: "12", Arch: "amd64", Changes: []Change{bad, {"tzdata", "2025", "2026"}}}))
			w.stdout = "change\ttzdata\t2025\t2026\nback\ttzdata\t2025\tabc\n"
		}, rollout.Pass, "left out: openssl 1.1", func(t *testing.T, w *world, r StepResult) {
			if got := w.runs[0].Env["ROLLPATCH_WANT"]; got != "tzdata\t2026\n" {
				t.Errorf("wanted %q", got)
			}
		}},
		{"a record without versions is unknown, not nothing", given(whole, Claim{Key: "versions/web/abc", Owner: theirs}), rollout.Inconclusive, "the record versions/web/abc names no versions", nil},
		{"servers that are away are waited for", func(w *world, p *plan.Part, in *StepInput) {
			given(whole)(w, p, in)
			w.claims = errAway
		}, rollout.Inconclusive, "away", nil},
	})
}

func TestRecordsOfVersionsAreListedByTheirDigest(t *testing.T) {
	w := newWorld()
	if _, _, err := w.suspects(t, sick, nil); err != nil {
		t.Fatal(err)
	}
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	got, err := do(t, nil, w.activities().Records, RecordsInput{Part: part})
	if err != nil || len(got) != 1 || got[0].Suspects == nil || len(got[0].Suspects.Versions) != 0 || got[0].Suspects.Count != 2 {
		t.Fatalf("%+v, %v; want no versions in a history", got, err)
	}
	var versions []Change
	if err := json.Unmarshal(w.bodies[got[0].Suspects.Body], &versions); err != nil || !reflect.DeepEqual(versions, sick[:2]) {
		t.Errorf("the body holds %v, %v", versions, err)
	}
	if left := w.records[got[0].Key]; len(left.Suspects.Versions) != 2 {
		t.Errorf("the record itself has changed: %+v", left)
	}
}

// A quarantine of a member says who is to be told of it, day by day.
func TestQuarantineSaysWhoIsTold(t *testing.T) {
	w, p := newWorld(), webPart()
	p.Cluster.Owner = "web team"
	in := StepInput{Instance: instance, Host: "web-1", Why: "the backout failed", Plan: "sha256:plan", Intent: intent("quarantine", "web-1")}
	in.Part, _ = w.Put(t.Context(), plan.Body(p))
	if _, err := do(t, nil, w.activities().Quarantine, in); err != nil {
		t.Fatal(err)
	}
	if got, want := w.records["quarantine/web-1"].Told, (Told{Cluster: "web", Owner: "web team"}); got == nil || *got != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
}
