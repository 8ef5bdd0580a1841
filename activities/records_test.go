package activities

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestRecordsAreReadAsTheyStand(t *testing.T) {
	w := newWorld()
	for _, key := range []string{"cluster/web", "drain/web-1", "quarantine/web-1"} {
		w.records[key] = Claim{Key: key, Owner: instance, Server: theServer, Since: time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC), Reason: "because"}
	}
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	got, err := do(t, nil, w.activities().Records, RecordsInput{Part: part})
	if err != nil || len(got) != 3 || !slices.Contains(got, w.records["quarantine/web-1"]) {
		t.Errorf("%+v, %v; want all three records", got, err)
	}
	w.proveNoSecret(t, got)
	w.claims = errAway
	if got, err := do(t, nil, w.activities().Records, RecordsInput{Part: part}); err == nil || len(got) > 0 {
		t.Errorf("of servers that are away: %+v, %v; want an error, and never an empty list", got, err)
	}
	if _, err := do(t, nil, w.activities().Records, RecordsInput{Part: "sha256:other"}); err == nil {
		t.Error("a part that is not there is no error")
	}
}

func TestDropRemovesWhatIsItsOwnersAndNothingElse(t *testing.T) {
	w := newWorld()
	w.records["quarantine/web-1"] = Claim{Key: "quarantine/web-1", Owner: instance, Server: theServer}
	w.records["drain/web-1"] = Claim{Key: "drain/web-1", Owner: "other-1", Server: theServer}
	part, _ := w.Put(t.Context(), plan.Body(webPart()))
	in := DropInput{Part: part, Owner: Owner{instance, theServer}, Keys: []string{"quarantine/web-1", "drain/web-1"}, Intent: intent("release", "web-1")}
	r, err := do(t, nil, w.activities().Drop, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, left := w.records["quarantine/web-1"]; left {
		t.Error("the record is left")
	}
	if _, left := w.records["drain/web-1"]; !left {
		t.Error("a record of somebody else was removed")
	}
	w.proveAudit(t, in.Intent, r.Audit)
	w.proveNoSecret(t, r)
}

// What is not on the chain is not done, and what failed is no success.
func TestDropThatFails(t *testing.T) {
	for says, trouble := range map[string]func(*world){
		"a chain that cannot be written":  func(w *world) { w.auditFails = audit.Intent },
		"servers that are away":           func(w *world) { w.claims = errAway },
		"a part that is not in the store": func(w *world) { w.bodies = map[string][]byte{} },
	} {
		w := newWorld()
		w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
		part, _ := w.Put(t.Context(), plan.Body(webPart()))
		trouble(w)
		_, err := do(t, nil, w.activities().Drop, DropInput{Part: part, Owner: Owner{instance, theServer}, Keys: []string{"cluster/web"}, Intent: intent("break", "")})
		if err == nil {
			t.Errorf("%s: no error", says)
		}
		if _, left := w.records["cluster/web"]; !left && !errors.Is(w.claims, errAway) {
			t.Errorf("%s: the record is gone", says)
		}
	}
}
