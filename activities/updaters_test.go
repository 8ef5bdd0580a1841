package activities

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

func TestUpdaters(t *testing.T) {
	keys := []string{"updaters/web/web-1", "updaters/web/web-2", "updaters/web/web-3"}
	for _, row := range []struct {
		says         string
		off          bool
		given        func(w *world, in *UpdatersInput)
		ok, held     bool
		reason       string
		asked, left  []string // hosts whose script ran, and records that stand afterwards
		recordsFirst bool
	}{
		{says: "off on every member, on record first", off: true, ok: true, asked: []string{"web-1", "web-2", "web-3"}, left: keys, recordsFirst: true},
		{says: "what cannot be reached is waited for, and stays on record", off: true, given: func(w *world, _ *UpdatersInput) { w.updaters = map[string]error{"web-2": errAway} },
			reason: "cannot be turned off on web-2: ", asked: []string{"web-1", "web-2", "web-3"}, left: keys},
		{says: "what is in quarantine is not touched", off: true, ok: true, given: func(w *world, _ *UpdatersInput) {
			w.records["quarantine/web-2"] = Claim{Key: "quarantine/web-2", Owner: "weekly-1", Server: theServer}
		}, asked: []string{"web-1", "web-3"}, left: []string{"quarantine/web-2", keys[0], keys[2]}},
		{says: "what another instance has off is trouble, where the cluster is not ours", off: true, given: func(w *world, _ *UpdatersInput) {
			w.records[keys[1]] = Claim{Key: keys[1], Owner: "weekly-1", Server: theServer}
		}, reason: "updaters/web/web-2 is weekly-1's", left: []string{keys[1]}},
		{says: "and is taken over where it is", off: true, ok: true, given: func(w *world, _ *UpdatersInput) {
			w.records["cluster/web"] = Claim{Key: "cluster/web", Owner: instance, Server: theServer}
			w.records[keys[1]] = Claim{Key: keys[1], Owner: "weekly-1", Server: theServer, Had: "daily-1"}
		}, reason: "taken over: web-2 from daily-1, weekly-1", asked: []string{"web-1", "web-2", "web-3"}, left: append([]string{"cluster/web"}, keys...), recordsFirst: true},
		{says: "a Consul that is away is trouble", off: true, given: func(w *world, _ *UpdatersInput) { w.claims = errAway }, reason: "away"},
		{says: "back where they are on record", ok: true, given: func(w *world, _ *UpdatersInput) {
			for _, k := range keys {
				w.records[k] = Claim{Key: k, Owner: instance, Server: theServer}
			}
			w.records[keys[2]] = Claim{Key: keys[2], Owner: "weekly-1", Server: theServer}
		}, asked: []string{"web-1", "web-2"}, left: []string{keys[2]}},
		{says: "where that cannot be done the record stands, and it is asked again", given: func(w *world, _ *UpdatersInput) {
			for _, k := range keys {
				w.records[k] = Claim{Key: k, Owner: instance, Server: theServer}
			}
			w.updaters = map[string]error{"web-3": errAway}
		}, reason: "still off on web-3: ", asked: []string{"web-1", "web-2", "web-3"}, left: []string{keys[2]}},
		{says: "but not for a member that may never come back", ok: true, given: func(w *world, in *UpdatersInput) {
			for _, k := range keys {
				w.records[k] = Claim{Key: k, Owner: instance, Server: theServer}
			}
			w.updaters, in.Leave = map[string]error{"web-3": errAway}, []string{"web-3"}
		}, reason: "still off on web-3: ", asked: []string{"web-1", "web-2", "web-3"}, left: []string{keys[2]}},
		{says: "what cannot say what it has counts as not turned off", off: true, given: func(w *world, _ *UpdatersInput) { w.cannot["facts"] = errAway },
			reason: "cannot be turned off on web-1: ", asked: []string{"web-1", "web-2", "web-3"}, left: keys},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, in := newWorld(), UpdatersInput{ClaimInput: ClaimInput{Instance: instance, Intent: intent("updaters", "")}, Off: row.off, Turn: 4}
				in.Part, _ = w.Put(t.Context(), plan.Body(webPart()))
				w.says["facts"] = debian
				if row.given != nil {
					row.given(w, &in)
				}
				r, err := do(t, nil, w.activities().Updaters, in)
				if err != nil || r.OK != row.ok || r.Held != row.held || !strings.Contains(r.Reason, row.reason) || row.reason == "" && r.Reason != "" {
					t.Fatalf("ok %t, held %t, %q, %v", r.OK, r.Held, r.Reason, err)
				}
				var had map[string]map[string]string
				if row.off && row.ok {
					if err := json.Unmarshal(w.bodies[r.Before], &had); err != nil || len(had) != len(row.asked) || had["web-1"]["openssl"] != "1.0" {
						t.Errorf("it says that they had %v, %v", had, err)
					}
				}
				word := map[bool]string{true: "off", false: "on"}[row.off]
				var asked []string
				for _, host := range []string{"web-1", "web-2", "web-3"} {
					if w.did("updaters of "+host+" "+word+" for "+instance+".web, turn 4") > 0 {
						asked = append(asked, host)
					}
				}
				if !slices.Equal(asked, row.asked) {
					t.Errorf("asked %v, want %v: %q", asked, row.asked, w.log)
				}
				var left []string
				for k := range w.records {
					left = append(left, k)
				}
				slices.Sort(left)
				if !slices.Equal(left, row.left) {
					t.Errorf("on record %v, want %v", left, row.left)
				}
				if row.recordsFirst && slices.Index(w.log, "take "+keys[2]) > slices.IndexFunc(w.log, func(l string) bool { return strings.HasPrefix(l, "updaters of") }) {
					t.Errorf("a host was asked before all were on record: %q", w.log)
				}
				w.proveAudit(t, in.Intent, r.Audit)
				if w.entries[1].Kind != audit.Intent || w.entries[1].Host != "web-1,web-2,web-3" {
					t.Errorf("no entry names the hosts before they are asked: %+v", w.entries[1])
				}
				w.proveNoSecret(t, r)
			})
		})
	}
}

// What was taken over comes back with the owner's own, and from then on nothing late of the former ones counts.
func TestUpdatersThatWereTakenOverComeBack(t *testing.T) {
	const key = "updaters/web/web-2"
	owner := Owner{Instance: instance, Server: theServer}
	for says, back := range map[string]func(t *testing.T, w *world, part string) error{
		"by its cluster": func(t *testing.T, w *world, part string) error {
			in := UpdatersInput{ClaimInput: ClaimInput{Instance: instance, Part: part, Intent: intent("updaters", "")}, Turn: 4}
			r, err := do(t, nil, w.activities().Updaters, in)
			if err == nil && !r.OK {
				err = errors.New(r.Reason)
			}
			return err
		},
		"by a survey": func(t *testing.T, w *world, part string) error {
			_, err := do(t, nil, w.activities().RestoreUpdaters, RestoreInput{Part: part, Key: key, Owner: owner, Intent: intent("updaters-on", "web-2")})
			return err
		},
	} {
		for _, trouble := range []error{nil, errAway} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.estate = twoClusters()
				w.records[key] = Claim{Key: key, Owner: instance, Server: theServer, Had: "daily-1 weekly-1"}
				w.updaters = map[string]error{"web-2": trouble}
				part, _ := w.Put(t.Context(), plan.Body(webPart()))
				err := back(t, w, part)
				if _, stands := w.records[key]; (err != nil) != (trouble != nil) || stands != (trouble != nil) {
					t.Errorf("%s: %v, on record: %t", says, err, stands)
				}
				var asked []string
				for _, l := range w.log {
					if rest, ok := strings.CutPrefix(l, "updaters of web-2 on for "); ok {
						asked = append(asked, rest)
					}
				}
				want := []string{"daily-1.web, turn 1073741824", "weekly-1.web, turn 1073741824", instance + ".web, turn "}
				if trouble != nil {
					want = want[:1]
				}
				if len(asked) != len(want) || !slices.EqualFunc(asked, want, strings.HasPrefix) {
					t.Errorf("%s: asked for %q, want %q", says, asked, want)
				}
			})
		}
	}
	// What somebody has taken over meanwhile is not touched.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.estate = twoClusters()
		w.records[key] = Claim{Key: key, Owner: "weekly-2", Server: theServer, Had: instance}
		in := RestoreInput{Key: key, Owner: owner, Intent: intent("updaters-on", "web-2")}
		in.Part, _ = w.Put(t.Context(), plan.Body(webPart()))
		if _, err := do(t, nil, w.activities().RestoreUpdaters, in); err != nil || w.did("updaters of web-2 on for "+instance+".web, turn 1073741824") > 0 || len(w.records) != 1 {
			t.Errorf("%v, log %q, records %v", err, w.log, w.records)
		}
	})
}

// What an instance left off that nobody works for is brought back with a turn that comes after all of its own.
func TestRestoreUpdaters(t *testing.T) {
	for says, trouble := range map[string]error{"": nil, "cannot be reached": errAway} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.estate = twoClusters()
			host := w.estate.Clusters[0].Members[0]
			key := "updaters/" + w.estate.Clusters[0].Name + "/" + host
			w.records[key] = Claim{Key: key, Owner: instance, Server: theServer}
			w.updaters = map[string]error{host: trouble}
			in := RestoreInput{Key: key, Owner: Owner{Instance: instance, Server: theServer}, Intent: intent("updaters-on", host)}
			in.Part, _ = w.Put(context.Background(), plan.Body(webPart()))
			_, err := do(t, nil, w.activities().RestoreUpdaters, in)
			if _, stands := w.records[key]; (err != nil) != (trouble != nil) || stands != (trouble != nil) {
				t.Errorf("%q: %v, on record: %t", says, err, stands)
			}
			if w.did("updaters of "+host+" on for "+instance+"."+w.estate.Clusters[0].Name+", turn 1073741824") != 1 {
				t.Errorf("asked %q", w.log)
			}
		})
	}
}

func TestFetchSeesAnotherHand(t *testing.T) {
	soaked := Manifest{OS: "debian", Release: "12", Arch: "amd64", Host: "web-2", Changes: []Change{{"openssl", "0.9", "1.1"}, {"libnew", "", "2.0"}}}
	given := func(openssl, libnew string) func(w *world, p *plan.Part, in *StepInput) {
		return func(w *world, p *plan.Part, in *StepInput) {
			had := map[string]string{"openssl": openssl, "tzdata": "2024"}
			if libnew != "" {
				had["libnew"] = libnew
			}
			w.says["facts"], w.says["pending"] = debian, ""
			w.stdout = "change\topenssl\t1.0\t1.1\nback\topenssl\t1.0\tabc\n"
			in.Manifest, _ = w.Put(context.Background(), plan.Body(soaked))
			in.Before, _ = w.Put(context.Background(), plan.Body(map[string]map[string]string{"web-1": had}))
		}
	}
	held := func(t *testing.T, w *world, r StepResult) {
		if !r.OtherHand || len(w.runs) > 0 {
			t.Errorf("another hand: %t, runs %v", r.OtherHand, w.runs)
		}
	}
	tell(t, "fetch", (*Activities).Fetch, []stepRow{
		{"as it was, but for what did not soak", given("1.0", ""), rollout.Pass, "1 packages fetched", nil},
		{"a package of the manifest that was upgraded", given("0.9", ""), rollout.Fail, "somebody else has changed it since its cluster began: openssl from 0.9 to 1.0", held},
		{"one that was removed", given("1.0", "1.9"), rollout.Fail, "libnew from 1.9 to -", held},
		{"one that was in quarantine when updates were turned off", func(w *world, p *plan.Part, in *StepInput) {
			given("0.9", "")(w, p, in)
			in.Before, _ = w.Put(context.Background(), plan.Body(map[string]map[string]string{}))
		}, rollout.Pass, "1 packages fetched", nil},
		{"one of which a person has said go on", func(w *world, p *plan.Part, in *StepInput) {
			given("0.9", "")(w, p, in)
			in.Before = ""
		}, rollout.Pass, "1 packages fetched", nil},
	})
}
