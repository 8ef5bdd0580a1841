package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities/secret"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// theMonth is the instance that docs/schedules.md tells of, as its plan has just been made, and a store with that plan.
func theMonth(t *testing.T) (st workflows.CampaignState, store string) {
	t.Helper()
	var files []file.Source
	for _, b := range (page{text: pageOf(t, "docs/schedules.md")}).blocks() {
		if b.lang == "yaml" {
			files = append(files, file.Source{Name: "monthly.yaml", Raw: []byte(b.text)})
		}
	}
	inv, err := file.ParseInventory(files[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := file.ParseCampaign(files[1])
	if err != nil {
		t.Fatal(err)
	}
	pl, parts := plan.Build(c.Value, inv.Value.Resolve())
	store = filepath.Join(t.TempDir(), "store")
	if err := keep(context.Background(), store, pl, parts); err != nil {
		t.Fatal(err)
	}
	st.Campaign, st.Agreement = pl.Campaign(sceneInstance, "ann@desk", sceneStart), pl.Agreement
	st.Turn = &rollout.Turn{Begin: time.Date(2026, 11, 11, 21, 0, 0, 0, time.UTC)}
	return st, store
}

// What is agreed to ahead still counts when it is asked for, and who would have it end before that is told.
func TestAWordGivenAheadCountsAsLongAsItIsNeeded(t *testing.T) {
	path, _, public := newKey(t, "")
	st, folder := theMonth(t)
	said := sceneStart.Add(30 * time.Hour)
	const warns = "it would be over by then"
	ahead := []string{"--stage", "production", "--when-pass"}
	for _, row := range []struct {
		name    string
		args    []string
		change  func(*workflows.CampaignState)
		expires string
		tells   string // empty: nothing of when it ends
	}{
		{"by itself, a day longer than the plan needs", ahead, nil, "2026-11-18T09:25:00Z", "it counts until 2026-11-18T09:25:00Z, since by its plan " + sceneInstance + " comes to soak/web/1 at 2026-11-17T09:25:00Z"},
		{"a person's time that is enough", append(ahead, "--expires", "17d"), nil, "2026-11-19T07:00:00Z", ""},
		{"a person's time that is not", append(ahead, "--expires", "1m"), nil, "2026-11-02T07:01:00Z",
			"warning: it counts until 2026-11-02T07:01:00Z, and by its plan " + sceneInstance + " comes to soak/web/1 at 2026-11-17T09:25:00Z at the earliest: " + warns + "; --expires 17d is enough"},
		{"a soak alone", []string{"--stage", "staging", "--when-pass"}, nil, "2026-11-13T09:25:00Z", "comes to soak/cache/1 at 2026-11-12T09:25:00Z"},
		{"what waits now", nil, func(st *workflows.CampaignState) { st.Change = nil }, "2026-11-03T07:00:00Z", ""},
		{"without the plan", append(ahead, "--store", filepath.Join(folder, "none")), nil, "2026-11-03T07:00:00Z", "nobody can tell here: there is no store on this machine (--store DIR); --expires TIME"},
		{"another plan than those in the store", ahead, func(st *workflows.CampaignState) { st.Plan = "sha256:another" }, "2026-11-03T07:00:00Z", "its plan is not in the store of this machine"},
		{"not for ever, however late that is", ahead, func(st *workflows.CampaignState) { st.Turn.Begin = sceneStart.AddDate(40, 0, 0) }, "2027-01-31T07:00:00Z", "warning: it counts until 2027-01-31T07:00:00Z"},
		{"unsigned, which counts a day", append(ahead, "--unsigned"), func(st *workflows.CampaignState) {
			st.Agreement.Gates[1].Rule.Unsigned, st.Clusters[1].Total = true, 1
		}, "", "warning: unsigned it counts until 2026-11-03T07:00:00Z, and by its plan " + sceneInstance + " comes to stage/production at 2026-11-12T21:25:00Z at the earliest: " + warns + "; signed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			mine := st
			mine.Agreement.Gates = append([]plan.Gate(nil), st.Agreement.Gates...)
			mine.Clusters = append([]rollout.Ref(nil), st.Clusters...)
			turn := *st.Turn
			mine.Turn = &turn
			if row.change != nil {
				row.change(&mine)
			}
			f := newStage().frame()
			raw, err := json.Marshal(mine)
			if err != nil {
				t.Fatal(err)
			}
			e := f.Workflows["campaign/"+sceneInstance]
			e.JSON = raw
			f.Workflows["campaign/"+sceneInstance] = e
			a := newDesk(t, f)
			a.environ = []string{"ROLLPATCH_STORE=" + folder}
			args := []string{"approve", "monthly", "--reason", "if staging is fine"}
			if !strings.Contains(strings.Join(row.args, " "), "--unsigned") {
				args = append(args, "--key", path)
			}
			if code := a.types(append(args, row.args...)...); code != 0 {
				t.Fatalf("exit code %d: %s", code, a.err)
			}
			_, m := a.message()
			if row.expires != "" {
				if s := a.says(approval.Signed{Statement: m.Statement, Signature: m.Signature}, public); stamp(s.Expires) != row.expires || !s.At.Equal(said) {
					t.Errorf("said at %s it expires at %s, want %s\n%s", s.At, stamp(s.Expires), row.expires, a.err)
				}
			}
			switch {
			case row.tells == "" && (strings.Contains(a.err, warns) || strings.Contains(a.err, "it counts until")), !strings.Contains(a.err, row.tells):
				t.Errorf("it tells\n%s\nwant %q", a.err, row.tells)
			}
		})
	}
}

// A soak that goes on says itself when it ends, whatever the plan reckoned with.
func TestAWordGivenAheadForASoakThatGoesOn(t *testing.T) {
	path, _, public := newKey(t, "")
	st, folder := theMonth(t)
	f := newStage().frame()
	for id, state := range map[string]any{
		workflows.CampaignID(sceneInstance): st,
		workflows.ClusterID(sceneInstance, "cache"): workflows.ClusterState{Cluster: rollout.Cluster{
			Instance: sceneInstance, Name: "cache", Phase: rollout.PhaseSoak, SoakNo: 2, SoakEnds: sceneStart.AddDate(0, 0, 20),
		}},
	} {
		raw, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		e := f.Workflows[workflows.CampaignID(sceneInstance)]
		e.JSON, e.ID = raw, id
		if id != workflows.CampaignID(sceneInstance) {
			e.Kind = workflows.ClusterType
		}
		f.Workflows[id] = e
	}
	a := newDesk(t, f)
	a.environ = []string{"ROLLPATCH_STORE=" + folder}
	if code := a.types("approve", "monthly", "--cluster", "cache", "--when-pass", "--reason", "if it is fine", "--key", path); code != 0 {
		t.Fatalf("exit code %d: %s", code, a.err)
	}
	_, m := a.message()
	want := stamp(sceneStart.AddDate(0, 0, 21))
	if s := a.says(approval.Signed{Statement: m.Statement, Signature: m.Signature}, public); stamp(s.Expires) != want || !strings.Contains(a.err, "comes to soak/cache/2 at "+stamp(sceneStart.AddDate(0, 0, 20))) {
		t.Errorf("it expires at %s, want %s\n%s", stamp(s.Expires), want, a.err)
	}
}

// The file of an instance is its requester's: who agrees runs no command of it.
func TestCommandsOfOthersAreNotRun(t *testing.T) {
	others := ofOthers{secret.New(func(name string) (string, bool) { return "found", name == "URL" })}
	ran := filepath.Join(t.TempDir(), "ran")
	if got, err := others.Resolve(t.Context(), inventory.Secret{Command: []string{"touch", ran}}); err == nil || got != "" {
		t.Errorf("a command gave %q, %v", got, err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it was run")
	}
	if got, err := others.Resolve(t.Context(), inventory.Secret{Env: "URL"}); got != "found" {
		t.Errorf("a variable gave %q, %v", got, err)
	}
}
