package consul

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/workflows/calendar"
)

func TestRealTook(t *testing.T) {
	server := start(t, "consul-1", nil, nil)
	c := New(&hosts{addrs: map[string]string{"a": server.addr}}, nil)
	ctx, access, key := t.Context(), viaSSH("a"), "cluster/web"
	eventually(t, "a leader", func() error { _, err := c.Measured(ctx, access, key); return err })
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	run := func(host string) calendar.Run {
		return calendar.Run{Instance: "monthly-1", Cluster: "web", Host: host, Platform: "debian 12 amd64", At: now, Steps: map[string]int64{"patch": 5000}}
	}
	if r, err := c.Measured(ctx, access, key); err != nil || len(r.Runs) != 0 {
		t.Errorf("before anything was measured: %+v, %v", r, err)
	}
	// Many at a time, as clusters of one platform end together: none is lost.
	const writers = 4
	errs := make(chan error, writers)
	for i := range writers {
		go func() { errs <- c.Add(ctx, access, key, []calendar.Run{run("web-" + string(rune('1'+i)))}, now) }()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := c.Add(ctx, access, key, []calendar.Run{run("web-1")}, now); err != nil { // a reply that was lost
		t.Error(err)
	}
	want := calendar.Record{Runs: []calendar.Run{run("web-1"), run("web-2"), run("web-3"), run("web-4")}}
	if r, err := c.Measured(ctx, access, key); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v\nwant %+v", r, err, want)
	}
	if list, err := c.List(ctx, access, ""); err != nil || len(list) != 0 {
		t.Errorf("how long members took is no claim: %+v, %v", list, err)
	}
	// One that nobody can read is told, by its name and with what to type, and is not written over.
	kv := server.client("").KV()
	if _, err := kv.Put(&api.KVPair{Key: "rollpatch/took/" + key, Value: []byte("{")}, nil); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{c.Add(ctx, access, key, want.Runs, now), func() error { _, err := c.Measured(ctx, access, key); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "consul kv delete rollpatch/took/cluster/web") {
			t.Errorf("%v, want an error that names the record and the way out", err)
		}
	}
}
