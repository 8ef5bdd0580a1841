package activities

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// widen has the only record of versions left out on a cluster, or everywhere, as the request of that id.
func (w *world) widen(t *testing.T, of Claim, scope, id string) (WidenResult, error) {
	t.Helper()
	p := webPart()
	p.Cluster.Name, p.Cluster.Owner, p.Cluster.Contact = "db", "db team", ""
	in := WidenInput{Scope: scope, Of: of, Widened: Widened{ID: id, From: strings.TrimPrefix(of.Key, rollout.VersionsRecord), By: "ann", At: bubble, Why: "the same image"}, Intent: intent("widen", "")}
	in.Part, _ = w.Put(t.Context(), plan.Body(p))
	w.entries = nil
	r, err := do(t, nil, w.activities().Widen, in)
	if err == nil {
		w.proveAudit(t, in.Intent, r.Audit)
	}
	return r, err
}

func TestVersionsAreWidened(t *testing.T) {
	w := newWorld()
	if _, _, err := w.suspects(t, sick, func(p *plan.Part, _ *EvidenceInput) { p.Stage = "staging" }); err != nil {
		t.Fatal(err)
	}
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	all, err := do(t, nil, w.activities().Records, RecordsInput{Part: part})
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	_, id, _ := strings.Cut(strings.TrimPrefix(all[0].Key, rollout.VersionsRecord), "/")
	first := w.records[all[0].Key]
	for scope, told := range map[string]Told{"db": {Cluster: "db", Owner: "db team"}, rollout.Everywhere: *first.Told} {
		if r, err := w.widen(t, all[0], scope, "id-1"); err != nil || r.Already {
			t.Fatalf("%s: %+v, %v", scope, r, err)
		}
		want, suspects := first, *first.Suspects
		suspects.Stage = "" // there they did not fail in it
		want.Key, want.Suspects, want.Told = "versions/"+scope+"/"+id, &suspects, &told
		want.Widened = &Widened{ID: "id-1", From: "web/" + id, By: "ann", At: bubble, Why: "the same image"}
		if got := w.records[want.Key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: on record %+v\nwant %+v", scope, got, want)
		}
	}
	if !reflect.DeepEqual(w.records[first.Key], first) || len(w.records) != 3 {
		t.Errorf("the first record is %+v now, of %d", w.records[first.Key], len(w.records))
	}
	// A reply that was lost, and another person after that.
	if r, err := w.widen(t, all[0], "db", "id-1"); err != nil || r.Already || len(w.records) != 3 {
		t.Errorf("asked again: %+v, %v, %d records", r, err, len(w.records))
	}
	if r, err := w.widen(t, all[0], "db", "id-2"); err != nil || !r.Already || w.records["versions/db/"+id].Widened.ID != "id-1" {
		t.Errorf("widened twice: %+v, %v; want it told, and the first word to stay", r, err)
	}
	// They failed there as well, in another instance: its record says more.
	theirs := first
	theirs.Key, theirs.Owner = "versions/db/"+id, "weekly-1"
	w.records[theirs.Key] = theirs
	if r, err := w.widen(t, all[0], "db", "id-3"); err != nil || !r.Already || !reflect.DeepEqual(w.records[theirs.Key], theirs) {
		t.Errorf("where they failed themselves: %+v, %v, %+v", r, err, w.records[theirs.Key])
	}

	away := newWorld()
	away.bodies, away.claims = w.bodies, errAway
	if _, err := away.widen(t, all[0], "db", "id-1"); err == nil {
		t.Error("servers that are away were asked in vain, and nobody says so")
	}
	all[0].Suspects.Body = "sha256:other"
	if _, err := w.widen(t, all[0], "mq", "id-1"); err == nil || len(w.records["versions/mq/"+id].Key) > 0 {
		t.Errorf("a list that the store does not have: %v, %v", err, w.records)
	}
	unwritten := newWorld()
	unwritten.bodies, unwritten.auditFails = w.bodies, audit.Intent
	all[0].Suspects.Body = plan.Digest(sick[:2])
	if _, err := unwritten.widen(t, all[0], "db", "id-1"); err == nil || len(unwritten.records) > 0 {
		t.Errorf("a chain that cannot be written: %v, %d records", err, len(unwritten.records))
	}
}

func TestFetchLeavesWidenedVersionsOut(t *testing.T) {
	bad := Change{"openssl", "1.0", "1.1"}
	// widened is a record of what failed on one cluster, at a place.
	widened := func(at, failedOn, owner string) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			w.says["facts"] = debian
			w.says["pending"] = "upgrade\tnginx\t1\t2\tdebian\t0\t9\nupgrade\topenssl\t1.0\t1.1\tdebian\t1\t9\n"
			w.stdout = "change\tnginx\t1\t2\nback\tnginx\t1\tabc\n"
			s := on(failedOn, "12", []Change{bad})
			w.records["versions/"+at+"/1"] = Claim{
				Key: "versions/" + at + "/1", Owner: owner, Server: theServer, Since: failedAt, Reason: "page answers 500", Suspects: &s,
				Widened: &Widened{ID: "id-1", From: failedOn + "/1", By: "ann", At: failedAt.Add(24 * time.Hour), Why: "the same image"},
			}
		}
	}
	wanted := func(want string) func(*testing.T, *world, StepResult) {
		return func(t *testing.T, w *world, r StepResult) {
			if got := w.runs[0].Env["ROLLPATCH_WANT"]; got != want {
				t.Errorf("wanted %q, want %q", got, want)
			}
		}
	}
	const theirs, rest, both = "october-20261001T010000Z", "nginx\t2\n", "nginx\t2\nopenssl\t1.1\n"
	says := func(at, from string) string {
		return "left out: openssl 1.1 (in quarantine as " + at + "/1 since 2026-11-01 by " + theirs + ": page answers 500, widened from " + from + "/1 by ann on 2026-11-02: the same image)"
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"from another cluster to this one", widened("web", "db", theirs), rollout.Pass, says("web", "db"), wanted(rest)},
		{"to every cluster", widened(rollout.Everywhere, "db", theirs), rollout.Pass, says(rollout.Everywhere, "db"), wanted(rest)},
		{"the instance that they failed in does not get them here either", widened("web", "db", instance), rollout.Pass, "left out: openssl 1.1", wanted(rest)},
		{"nor where a person said everywhere", widened(rollout.Everywhere, "db", instance), rollout.Pass, "left out: openssl 1.1", wanted(rest)},
		{"but where they failed it may try them again", widened(rollout.Everywhere, "web", instance), rollout.Pass, "1 packages fetched", wanted(both)},
		{"to a third one", widened("mq", "db", theirs), rollout.Pass, "1 packages fetched", wanted(both)},
	})
}
