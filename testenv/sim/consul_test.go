package sim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/crypto/ssh"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/consul"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// agent is the real client library, talking to a host's agent through its SSH connection.
func agent(t testing.TB, c *ssh.Client) *api.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) { return c.Dial(network, addr) }}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := api.NewClient(&api.Config{Address: "127.0.0.1:8500", HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func server(t testing.TB, f *sim.Fleet) *api.Client {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: f.ConsulAddr()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var consistent = &api.QueryOptions{RequireConsistent: true}

// passing are the nodes that the servers list as passing.
func passing(t testing.TB, c *api.Client, service string) (nodes []string) {
	t.Helper()
	entries, _, err := c.Health().Service(service, "", true, consistent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		nodes = append(nodes, e.Node.Node)
	}
	return nodes
}

func wantPassing(t testing.TB, c *api.Client, service string, want ...string) {
	t.Helper()
	eventually(t, func() error {
		if got := passing(t, c, service); !slices.Equal(got, want) {
			return fmt.Errorf("%s: passing on %v, want %v", service, got, want)
		}
		return nil
	})
}

func TestServiceMaintenance(t *testing.T) {
	f := up(t)
	own, peer := agent(t, connect(t, f, "web-1")), agent(t, connect(t, f, "web-2"))
	wantPassing(t, peer, "web", "web-1", "web-2", "web-3")
	if err := own.Agent().EnableServiceMaintenance("web", "ours"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, peer, "web", "web-2", "web-3")
	// Nobody is told that it was on already, and the reason stays.
	if err := own.Agent().EnableServiceMaintenance("web", "theirs"); err != nil {
		t.Fatal(err)
	}
	entries, meta, err := peer.Health().Service("web", "", false, consistent)
	if err != nil || !meta.KnownLeader {
		t.Fatalf("%v, %+v", err, meta)
	}
	check := slices.IndexFunc(entries[0].Checks, func(c *api.HealthCheck) bool { return c.CheckID == api.ServiceMaintPrefix+"web" })
	if len(entries) != 3 || check < 0 || entries[0].Checks[check].Notes != "ours" || entries[0].Checks.AggregatedStatus() != api.HealthMaint {
		t.Errorf("the servers' view of web-1: %+v", entries[0].Checks)
	}
	checks, err := own.Agent().Checks()
	if err != nil || checks[api.ServiceMaintPrefix+"web"] == nil || checks[api.ServiceMaintPrefix+"web"].Notes != "ours" {
		t.Errorf("the agent's own view: %v, %v", checks, err)
	}
	if err := own.Agent().DisableServiceMaintenance("web"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, peer, "web", "web-1", "web-2", "web-3")
	if err := own.Agent().EnableServiceMaintenance("redis", "not here"); err == nil {
		t.Error("a service that the host does not offer was put into maintenance")
	}
	if err := f.Maintain("web-3", "", true, "jane"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, peer, "web", "web-1", "web-2")
	services, err := own.Agent().Services()
	if err != nil || services["web"] == nil || services["web"].Port != 80 {
		t.Errorf("the agent's services: %v, %v", services, err)
	}
	self, err := own.Agent().Self()
	if err != nil || self["Config"]["NodeName"] != "web-1" {
		t.Errorf("the agent's name: %v, %v", self["Config"], err)
	}
}

func TestMaintenanceOutlivesAReboot(t *testing.T) {
	f := up(t)
	c := connect(t, f, "web-1")
	if err := agent(t, c).Agent().EnableServiceMaintenance("web", "ours"); err != nil {
		t.Fatal(err)
	}
	reboot(t, f, c, "web-1", "sudo -n systemctl reboot", "")
	back := agent(t, connect(t, f, "web-1"))
	checks, err := back.Agent().Checks()
	if err != nil || checks[api.ServiceMaintPrefix+"web"] == nil {
		t.Fatalf("after the reboot: %v, %v", checks, err)
	}
	if err := back.Agent().DisableServiceMaintenance("web"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, back, "web", "web-1", "web-2", "web-3")
}

func TestHealthFollowsTheHost(t *testing.T) {
	ctx, f := t.Context(), up(t)
	c := server(t, f)
	all := []string{"web-1", "web-2", "web-3"}
	for _, row := range []struct {
		name         string
		fault, mends func() error
	}{
		{"a power cut", func() error { return f.PowerCut(ctx, "web-2") }, func() error { return f.Start(ctx, "web-2") }},
		{"a cut network", func() error { return f.Cut("web-2") }, func() error { return f.Heal("web-2") }},
		{"a sick service", func() error { return f.Break("web-2", true) }, func() error { return f.Break("web-2", false) }},
	} {
		wantPassing(t, c, "web", all...)
		if err := row.fault(); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		wantPassing(t, c, "web", "web-1", "web-3")
		if err := row.mends(); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		wantPassing(t, c, "web", all...)
	}
}

func TestKV(t *testing.T) {
	f := up(t, oneWeb())
	c := agent(t, connect(t, f, "web-1"))
	kv := c.KV()
	if p, _, err := kv.Get("none", consistent); p != nil || err != nil {
		t.Errorf("a key that is not there: %v, %v", p, err)
	}
	if ok, _, err := kv.CAS(&api.KVPair{Key: "a/1", Value: []byte("one")}, nil); !ok || err != nil {
		t.Fatalf("the first of two: %v, %v", ok, err)
	}
	if ok, _, err := kv.CAS(&api.KVPair{Key: "a/1", Value: []byte("two")}, nil); ok || err != nil {
		t.Fatalf("the second of two: %v, %v", ok, err)
	}
	p, _, err := kv.Get("a/1", consistent)
	if err != nil || string(p.Value) != "one" {
		t.Fatalf("%v, %v", p, err)
	}
	take := func(keys ...string) (bool, *api.TxnResponse) {
		t.Helper()
		var ops api.TxnOps
		for _, k := range keys {
			ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: k, Value: []byte("mine")}})
		}
		ok, resp, _, err := c.Txn().Txn(ops, nil)
		if err != nil {
			t.Fatal(err)
		}
		return ok, resp
	}
	if ok, resp := take("a/2", "a/1"); ok || len(resp.Errors) != 1 || resp.Errors[0].OpIndex != 1 {
		t.Errorf("all or none: %v, %+v", ok, resp)
	}
	if p, _, err := kv.Get("a/2", consistent); p != nil || err != nil {
		t.Errorf("half of a refused transaction is there: %v, %v", p, err)
	}
	if ok, _ := take("a/2", "a/3"); !ok {
		t.Error("free keys were not taken")
	}
	pairs, _, err := kv.List("a/", consistent)
	if err != nil || len(pairs) != 3 || pairs[2].Key != "a/3" || string(pairs[2].Value) != "mine" {
		t.Errorf("%v, %v", pairs, err)
	}
	if ok, _, err := kv.DeleteCAS(&api.KVPair{Key: "a/1", ModifyIndex: p.ModifyIndex + 100}, nil); ok || err != nil {
		t.Errorf("another's record was deleted: %v, %v", ok, err)
	}
	if ok, _, err := kv.DeleteCAS(p, nil); !ok || err != nil {
		t.Errorf("the own record was not deleted: %v, %v", ok, err)
	}
	keys, _, err := kv.Keys("a/", "", consistent)
	if err != nil || !slices.Equal(keys, []string{"a/2", "a/3"}) {
		t.Errorf("%v, %v", keys, err)
	}
}

func TestBlockingQuery(t *testing.T) {
	f := up(t)
	c := server(t, f)
	_, meta, err := c.Health().Service("web", "", true, consistent)
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan error, 1)
	go func() {
		index := meta.LastIndex
		for {
			entries, meta, err := c.Health().Service("web", "", true, &api.QueryOptions{RequireConsistent: true, WaitIndex: index, WaitTime: 5 * time.Second})
			if err != nil || len(entries) == 2 {
				woken <- err
				return
			}
			index = meta.LastIndex
		}
	}()
	if err := f.Maintain("web-1", "web", true, "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-woken:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a change woke nobody")
	}
}

func TestLeaderless(t *testing.T) {
	f := up(t)
	c := agent(t, connect(t, f, "web-1"))
	f.Leader(false)
	if _, _, err := c.Health().Service("web", "", true, consistent); err == nil || !strings.Contains(err.Error(), "No cluster leader") {
		t.Errorf("a consistent read without a leader: %v", err)
	}
	if entries, meta, err := c.Health().Service("web", "", true, &api.QueryOptions{AllowStale: true}); err != nil || len(entries) != 3 || meta.KnownLeader {
		t.Errorf("a stale read without a leader: %d, %+v, %v", len(entries), meta, err)
	}
	if _, err := c.KV().Put(&api.KVPair{Key: "a"}, nil); err == nil {
		t.Error("a write without a leader")
	}
	if leader, err := c.Status().Leader(); err != nil || leader != "" {
		t.Errorf("the leader is %q, %v", leader, err)
	}
	f.Leader(true)
	if leader, err := c.Status().Leader(); err != nil || leader == "" {
		t.Errorf("the leader is %q, %v", leader, err)
	}
	wantPassing(t, c, "web", "web-1", "web-2", "web-3")
}

// The product's own client finds in the fleet what it needs.
func TestProductsConsulClient(t *testing.T) {
	ctx, f := t.Context(), up(t)
	c := consul.New(pool(t), func(context.Context, inventory.Secret) (string, error) { return "", nil })
	at := func(host string) activities.Target { return target(t, f, host) }
	access := activities.ConsulAccess{Consul: inventory.Consul{Via: inventory.ViaSSH, Address: "127.0.0.1:8500"}, Via: []activities.Target{at("web-2"), at("cache-1")}}
	services := []string{"web"}
	if err := c.Enter(ctx, access, at("web-1"), services, "ours"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		list, err := c.Instances(ctx, access, services)
		if err == nil && (len(list) != 3 || list[0].Status != api.HealthCritical || !slices.Equal(list[0].Maintenance, []string{"ours"}) || list[1].Status != api.HealthPassing) {
			err = fmt.Errorf("%+v", list)
		}
		return err
	})
	if err := f.Maintain("web-3", "web", true, "jane"); err != nil {
		t.Fatal(err)
	}
	var foreign *activities.ForeignError
	if err := c.Enter(ctx, access, at("web-3"), services, "ours"); !errors.As(err, &foreign) {
		t.Errorf("foreign maintenance: %v", err)
	}
	if err := c.Leave(ctx, access, at("web-1"), services, "ours"); err != nil {
		t.Fatal(err)
	}
	wantPassing(t, server(t, f), "web", "web-1", "web-2")
	claim := func(owner string, keys ...string) (held []activities.Claim) {
		t.Helper()
		var claims []activities.Claim
		for _, k := range keys {
			claims = append(claims, activities.Claim{Key: k, Owner: owner, Since: time.Now(), Reason: "test"})
		}
		held, err := c.Take(ctx, access, claims)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	if held := claim("one", "cluster/web", "cluster/cache"); len(held) != 0 {
		t.Errorf("free claims are held: %+v", held)
	}
	if held := claim("two", "cluster/solo", "cluster/web"); len(held) != 1 || held[0].Owner != "one" {
		t.Errorf("taken claims: %+v", held)
	}
	if err := c.Release(ctx, access, activities.Owner{Instance: "one"}, []string{"cluster/web", "cluster/cache"}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.List(ctx, access, ""); err != nil || len(list) != 0 {
		t.Errorf("after the release: %+v, %v", list, err)
	}
}
