package sim_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/testenv/sim"
)

// recorded waits for a call that matches, from the beginning of the record.
func recorded(t testing.TB, f *sim.Fleet, what string, match func(sim.Call) bool) sim.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := f.Await(ctx, 0, match)
	if err != nil {
		t.Fatalf("no %s in the record: %v", what, err)
	}
	return c
}

func named(host, event string) func(sim.Call) bool {
	return func(c sim.Call) bool { return c.Host == host && c.Event == event }
}

// happened counts the calls of a kind.
func happened(f *sim.Fleet, event string) (n int) {
	for _, c := range f.Calls() {
		if c.Event == event {
			n++
		}
	}
	return n
}

func TestRecordTellsWhoseTransactionItWas(t *testing.T) {
	f := up(t, oneWeb())
	if err := f.Publish(t.Context(), "1.1"); err != nil {
		t.Fatal(err)
	}
	c := connect(t, f, "web-1")
	work := "apt-get -q update >/dev/null; apt-get -q -y install lab-web=1.1 lab-web-data=1.1 >/dev/null"
	if r := run(t, c, "sudo -n systemd-run --wait --unit=work --description='night of jane' /bin/sh -c '"+work+"'", ""); r.exit != 0 {
		t.Fatal(r)
	}
	acts := recorded(t, f, "unit that acts", named("web-1", "unit acts"))
	if acts.Unit != "night of jane" || happened(f, "unit acts") != 1 {
		t.Errorf("the unit acted %d times, as %q", happened(f, "unit acts"), acts.Unit)
	}
	want := map[string]string{"lab-web": "1.1", "lab-web-data": "1.1"}
	if got := recorded(t, f, "transaction", named("web-1", "transaction")); got.Unit != "night of jane" || !maps.Equal(got.Packages, want) {
		t.Errorf("transaction of %q: %v", got.Unit, got.Packages)
	}
	if got := recorded(t, f, "end of it", named("web-1", "transaction ended")); got.Exit == nil || *got.Exit != 0 || got.Unit != "night of jane" {
		t.Errorf("it ended as %+v", got)
	}
	// What somebody types is of no unit.
	if r := run(t, c, "sudo -n systemctl reboot", ""); r.exit != 0 {
		t.Fatal(r)
	}
	if got := recorded(t, f, "reboot", named("web-1", "reboot asked")); got.Unit != "" {
		t.Errorf("the reboot was asked by %q", got.Unit)
	}
}

func TestRecordTellsHowAUnitWasCutShort(t *testing.T) {
	f := slowly(t, 50*time.Millisecond)
	if err := f.Publish(t.Context(), "1.1"); err != nil {
		t.Fatal(err)
	}
	c := connect(t, f, "web-1")
	work := "apt-get -q update >/dev/null; exec apt-get -q -y install lab-web=1.1 lab-web-data=1.1 >/dev/null"
	if r := run(t, c, "sudo -n systemd-run --unit=work --description=night /bin/sh -c '"+work+"'", ""); r.exit != 0 {
		t.Fatal(r)
	}
	recorded(t, f, "transaction", named("web-1", "transaction"))
	if err := f.PowerCut(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	got := recorded(t, f, "end of the unit", func(c sim.Call) bool {
		return strings.HasPrefix(c.Event, "unit ") && c.Event != "unit acts" && c.Unit == "night"
	})
	if got.Event != "unit signal" || got.By != "power cut" {
		t.Errorf("the unit ended with %q by %q", got.Event, got.By)
	}
	if n := happened(f, "transaction ended"); n > 0 {
		t.Error("a transaction that was cut off is told as ended")
	}
}

func TestRecordOfTheCatalog(t *testing.T) {
	f := up(t)
	own := agent(t, connect(t, f, "web-1"))
	if err := own.Agent().EnableServiceMaintenance("web", "ours"); err != nil {
		t.Fatal(err)
	}
	on := recorded(t, f, "maintenance", named("web-1", "service maintenance on"))
	if on.By != sim.ByAgent || on.Text != "ours" || on.Value != "web" {
		t.Errorf("maintenance by the agent's API: %+v", on)
	}
	if got := recorded(t, f, "change of the list", named("web-1", "unlisted")); got.Text != "web" {
		t.Errorf("unlisted: %+v", got)
	}
	if err := own.Agent().DisableServiceMaintenance("web"); err != nil {
		t.Fatal(err)
	}
	if off := recorded(t, f, "end of it", named("web-1", "service maintenance off")); off.Text != "ours" || off.Value != "web" {
		t.Errorf("the end of maintenance does not tell whose it was: %+v", off)
	}
	if err := f.Maintain("web-2", "", true, "jane"); err != nil {
		t.Fatal(err)
	}
	if on := recorded(t, f, "node maintenance", named("web-2", "node maintenance on")); on.By != sim.ByHand || on.Value != "" {
		t.Errorf("maintenance by hand: %+v", on)
	}
	if got, err := f.Maintenance("web-2"); err != nil || !maps.Equal(got, map[string]string{"": "jane"}) {
		t.Errorf("Maintenance = %v, %v", got, err)
	}
	if err := f.Break("web-3", true); err != nil {
		t.Fatal(err)
	}
	if got := recorded(t, f, "illness", named("web-3", "service critical")); got.By != "" {
		t.Errorf("a service that broke by itself: %+v", got)
	}
	recorded(t, f, "its end in the list", named("web-3", "unlisted"))
	if err := f.PowerCut(t.Context(), "cache-1"); err != nil {
		t.Fatal(err)
	}
	if got := recorded(t, f, "end with its host", named("cache-1", "service critical")); got.By != sim.ByHost {
		t.Errorf("a service that ended with its host: %+v", got)
	}
	var listed []string
	for _, c := range f.Calls() {
		if c.Event == "listed" {
			listed = append(listed, c.Host)
		}
	}
	if want := []string{"web-1", "web-2", "web-3", "cache-1", "cache-2", "solo-1"}; len(listed) < len(want) || !slices.Contains(listed, "solo-1") {
		t.Errorf("listed at the beginning: %v, want %v", listed, want)
	}
}

func TestRecordOfKVHasWhatCounted(t *testing.T) {
	f := up(t)
	kv := server(t, f)
	if _, err := kv.KV().Put(&api.KVPair{Key: "a", Value: []byte("one")}, nil); err != nil {
		t.Fatal(err)
	}
	if got := recorded(t, f, "write", func(c sim.Call) bool { return c.Event == "kv set" && c.Text == "a" }); got.Value != "one" {
		t.Errorf("written: %+v", got)
	}
	refused := api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: "b", Value: []byte("two")}},
		{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: "a", Value: []byte("two")}},
	}
	if ok, _, _, err := kv.Txn().Txn(refused, nil); err != nil || ok {
		t.Fatalf("a transaction on a stale index: %t, %v", ok, err)
	}
	if _, err := kv.KV().Delete("a", nil); err != nil {
		t.Fatal(err)
	}
	if got := recorded(t, f, "delete", func(c sim.Call) bool { return c.Event == "kv delete" && c.Text == "a" }); got.Value != "one" {
		t.Errorf("what was deleted: %+v", got)
	}
	for _, c := range f.Calls() {
		if c.Text == "b" || c.Value == "two" {
			t.Errorf("recorded although it was refused: %+v", c)
		}
	}
}

func TestRestartedAgentLies(t *testing.T) {
	f := up(t)
	own, peer := agent(t, connect(t, f, "web-1")), agent(t, connect(t, f, "web-2"))
	if err := own.Agent().EnableServiceMaintenance("web", "ours"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, peer, "web", "web-2", "web-3")
	if err := f.RestartAgent("web-1", 400*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	checks, err := own.Agent().Checks()
	if err != nil || checks[api.ServiceMaintPrefix+"web"] != nil {
		t.Fatalf("an agent that has not read its disk knows its maintenance: %v, %v", checks, err)
	}
	if got := passing(t, peer, "web"); !slices.Equal(got, []string{"web-2", "web-3"}) {
		t.Errorf("the servers believed it: %v", got)
	}
	eventually(t, func() error {
		checks, err := own.Agent().Checks()
		if err != nil {
			return err
		}
		if m := checks[api.ServiceMaintPrefix+"web"]; m == nil || m.Notes != "ours" {
			return fmt.Errorf("its maintenance is not back: %v", checks)
		}
		return nil
	})
	if err := own.Agent().DisableServiceMaintenance("web"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, peer, "web", "web-1", "web-2", "web-3")
}
