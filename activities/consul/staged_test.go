package consul

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/workflows/staging"
)

func TestRealStaged(t *testing.T) {
	server := start(t, "consul-1", nil, nil)
	c := New(&hosts{addrs: map[string]string{"a": server.addr}}, nil)
	ctx, access := t.Context(), viaSSH("a")
	kv := server.client("").KV()
	eventually(t, "a leader", func() error { _, err := c.Kept(ctx, access, "staging"); return err })
	at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	record := func(stage, cluster, instance string, at time.Time) staging.Record {
		return staging.Record{Stage: stage, Cluster: cluster, Instance: instance, At: at, Platform: staging.Platform{OS: "debian", Release: "13", Arch: "amd64"}, Versions: []staging.Version{{Name: "web", Version: "1.1", SHA256: "aa"}}}
	}
	keep := func(forget time.Time, records ...staging.Record) {
		t.Helper()
		if err := c.Keep(ctx, access, records, forget); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(stage string) []staging.Record {
		t.Helper()
		list, err := c.Kept(ctx, access, stage)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := kept("staging"); len(got) != 0 {
		t.Errorf("before anything finished: %+v", got)
	}
	first, second := record("staging", "cache", "weekly-1", at), record("staging", "cache", "weekly-1", at)
	second.Versions = []staging.Version{{Name: "lib", Version: "2"}}
	for range 2 { // a reply that was lost
		keep(time.Time{}, first, second)
	}
	later := first
	later.At = at.Add(time.Hour)
	keep(time.Time{}, later) // said again by another attempt: the first word stays
	if got := kept("staging"); !reflect.DeepEqual(got, []staging.Record{first, second}) {
		t.Errorf("kept %+v\nwant %+v", got, []staging.Record{first, second})
	}

	// A stage whose name begins alike is another one, and so is a cluster.
	keep(time.Time{}, record("staging-2", "cache", "weekly-1", at))
	keep(time.Time{}, record("staging", "cache-2", "weekly-0", at.Add(-time.Hour)))
	if got := kept("staging"); len(got) != 3 {
		t.Errorf("kept %+v, want three of this stage", got)
	}
	// What is too old goes with the next record of that cluster, and of that cluster alone.
	keep(at.Add(time.Minute), record("staging", "cache", "weekly-2", at.Add(48*time.Hour)))
	var left []string
	keys, _, err := kv.Keys("rollpatch/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		left = append(left, strings.TrimPrefix(k, "rollpatch/staged/"))
	}
	if want := []string{"staging-2/cache/weekly-1", "staging/cache-2/weekly-0", "staging/cache/weekly-2"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	// Records of what finished are no claims: nobody who lists these reads them all.
	if list, err := c.List(ctx, access, ""); err != nil || len(list) != 0 {
		t.Errorf("claims %+v, %v", list, err)
	}

	// One that nobody can read is told, by its name and with what to type: what it says is not known.
	for _, body := range []string{"{", "{}", `{"at": "2026-11-21T20:00:00Z"}`} {
		if _, err := kv.Put(&api.KVPair{Key: "rollpatch/staged/staging/cache/weekly-3", Value: []byte(body)}, nil); err != nil {
			t.Fatal(err)
		}
		_, err := c.Kept(ctx, access, "staging")
		if err == nil || !strings.Contains(err.Error(), "consul kv delete rollpatch/staged/staging/cache/weekly-3") {
			t.Errorf("%s: %v, want an error that names the record and the way out", body, err)
		}
		keep(time.Time{}, record("staging", "cache", "weekly-4", at)) // nobody is kept from writing
	}
	if err := c.Keep(ctx, access, []staging.Record{{Stage: "staging", Cluster: "cache"}}, at); err == nil {
		t.Error("a record of no instance was written")
	}
}
