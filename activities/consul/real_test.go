package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/rollout"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// process is a Consul agent of the test's own, on ports of its own on the loopback.
type process struct {
	t      *testing.T
	binary string
	config string
	addr   string // of its HTTP API
	serf   int
	cmd    *exec.Cmd
	log    string
}

// freePorts returns ports that nobody listens on. All are held open until all are found, so that they differ.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// start runs an agent until the test ends. join is the server to join; nil makes it the server.
func start(t *testing.T, node string, join *process, more map[string]any) *process {
	t.Helper()
	dir := t.TempDir()
	ports := freePorts(t, 4)
	config := map[string]any{
		"node_name": node, "data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": "warn",
		"ports":                      map[string]int{"http": ports[0], "serf_lan": ports[1], "serf_wan": -1, "server": ports[3], "dns": -1, "grpc": -1, "grpc_tls": -1},
		"disable_update_check":       true,
		"disable_remote_exec":        true,
		"check_update_interval":      "0s",
		"skip_leave_on_interrupt":    true,
		"leave_on_terminate":         false,
		"raft_protocol":              3,
		"performance":                map[string]any{"raft_multiplier": 1},
		"gossip_lan":                 map[string]any{"probe_interval": "100ms", "probe_timeout": "50ms", "suspicion_mult": 2, "gossip_interval": "20ms"},
		"disable_host_node_id":       true,
		"disable_keyring_file":       true,
		"enable_local_script_checks": false,
	}
	if join == nil {
		config["server"], config["bootstrap"] = true, true
	} else {
		config["retry_join"] = []string{fmt.Sprintf("127.0.0.1:%d", join.serf)}
		config["retry_interval"] = "1s"
	}
	maps.Copy(config, more)
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, binary: consulBinary(t), config: filepath.Join(dir, "agent.json"), addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), serf: ports[1], log: filepath.Join(dir, "log")}
	if err := os.WriteFile(p.config, body, 0o600); err != nil {
		t.Fatal(err)
	}
	p.run()
	t.Cleanup(p.kill)
	return p
}

func (p *process) run() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.binary, "agent", "-config-file="+p.config)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends it as a power cut does.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may be gone by itself
	_ = p.cmd.Wait()         // killed is what it says
	if p.t.Failed() {
		said, _ := os.ReadFile(p.log)
		p.t.Logf("%s said:\n%s", p.config, said)
	}
}

// client is what an operator uses beside us.
func (p *process) client(token string) *api.Client {
	p.t.Helper()
	c, err := api.NewClient(&api.Config{Address: p.addr, Scheme: "http", Token: token})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// eventually asks until ok returns nil.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

// lab is one server and the agent of one member, which offers web and api.
type lab struct {
	server, member *process
	hosts          *hosts
	consul         *Consul
	access         activities.ConsulAccess
	target         activities.Target
}

func realLab(t *testing.T) *lab {
	t.Helper()
	server := start(t, "consul-1", nil, nil)
	l := &lab{server: server, member: start(t, "web-1", server, nil), target: activities.Target{Host: "web-1"}}
	l.hosts = &hosts{addrs: map[string]string{"consul-1": server.addr, "web-1": l.member.addr}}
	l.consul = New(l.hosts, nil)
	l.access = viaSSH("consul-1")
	agent := l.member.client("").Agent()
	for _, s := range []*api.AgentServiceRegistration{
		{ID: "web-id", Name: "web", Port: 80, Check: &api.AgentServiceCheck{CheckID: "web-ttl", TTL: "1h", Status: api.HealthPassing}},
		{ID: "api-id", Name: "api", Port: 81, Address: "10.9.9.9", Check: &api.AgentServiceCheck{CheckID: "api-ttl", TTL: "1h", Status: api.HealthPassing}},
	} {
		eventually(t, "register "+s.Name, func() error { return agent.ServiceRegister(s) })
	}
	l.until(t, "both services pass", func(list []activities.Instance) bool { return states(list) == "api passing, web passing" })
	return l
}

// states is what the servers list, in words.
func states(list []activities.Instance) string {
	var out []string
	for _, i := range list {
		words := i.Service + " " + i.Status
		for _, m := range i.Maintenance {
			words += " (" + m + ")"
		}
		if i.NodeMaint != "" {
			words += " (node: " + i.NodeMaint + ")"
		}
		out = append(out, words)
	}
	return strings.Join(out, ", ")
}

func (l *lab) until(t *testing.T, what string, ok func([]activities.Instance) bool) []activities.Instance {
	t.Helper()
	var list []activities.Instance
	eventually(t, what, func() (err error) {
		if list, err = l.consul.Instances(t.Context(), l.access, []string{"web", "api"}); err == nil && !ok(list) {
			err = errors.New("the servers list " + states(list))
		}
		return err
	})
	return list
}

func TestRealDrainAndUndrain(t *testing.T) {
	l := realLab(t)
	ctx, both := t.Context(), []string{"web", "api"}
	operator := l.member.client("").Agent()
	const out = "api critical (" + ours + "), web critical (" + ours + ")"
	const in = "api passing, web passing"
	is := func(want string) func([]activities.Instance) bool {
		return func(list []activities.Instance) bool { return states(list) == want }
	}

	list := l.until(t, "in service", is(in))
	if list[0].Node != "web-1" || list[0].Address != "10.9.9.9" || list[0].ServiceID != "api-id" || list[1].Address != "127.0.0.1" {
		t.Errorf("Instances = %+v, want their nodes, addresses and ids", list)
	}
	if list, err := l.consul.Instances(ctx, l.access, []string{"nobody-offers-this"}); err != nil || len(list) != 0 {
		t.Errorf("Instances of a service that nobody offers = %v, %v, want none", list, err)
	}

	for _, again := range []string{"once", "and once more"} {
		if err := l.consul.Enter(ctx, l.access, l.target, both, ours); err != nil {
			t.Fatalf("Enter %s: %v", again, err)
		}
		l.until(t, "drained "+again, is(out))
	}
	if list, err := l.consul.Marked(ctx, l.access, "rollpatch "); err != nil || states(list) != out || list[0].Node != "web-1" || list[0].ServiceID != "api-id" {
		t.Errorf("Marked = %+v, %v; want both services of web-1", list, err)
	}

	// A restart in the middle, as every reboot makes one.
	l.member.kill()
	l.until(t, "its agent is gone", func(list []activities.Instance) bool {
		return slices.IndexFunc(list, func(i activities.Instance) bool { return i.Status != "critical" }) < 0
	})
	if err := l.consul.Leave(ctx, l.access, l.target, both, ours); err == nil {
		t.Error("Leave while the agent is down = nil, want an error")
	}
	l.member.run()
	// A check by TTL starts critical: whoever feeds it has to come back as well.
	for _, check := range []string{"web-ttl", "api-ttl"} {
		eventually(t, check, func() error { return operator.UpdateTTL(check, "", api.HealthPassing) })
	}
	eventually(t, "Enter after the restart", func() error { return l.consul.Enter(ctx, l.access, l.target, both, ours) })
	l.until(t, "still drained", is(out))

	if err := l.consul.Leave(ctx, l.access, l.target, both, "rollpatch monthly-2 web-1"); err == nil || !strings.Contains(err.Error(), ours) {
		t.Errorf("Leave by another instance = %v, want our maintenance named as foreign", err)
	}
	l.until(t, "still ours", is(out))

	// The operator wants the node out while it is drained by us.
	if err := operator.EnableNodeMaintenance("jane: disk"); err != nil {
		t.Fatal(err)
	}
	var foreign *activities.ForeignError
	if err := l.consul.Leave(ctx, l.access, l.target, both, ours); !errors.As(err, &foreign) || *foreign != (activities.ForeignError{Node: "web-1", Reason: "jane: disk"}) {
		t.Errorf("Leave under node maintenance = %v, want it told", err)
	}
	l.until(t, "jane's alone", is("api critical (node: jane: disk), web critical (node: jane: disk)"))
	if err := l.consul.Enter(ctx, l.access, l.target, both, ours); !errors.As(err, &foreign) || foreign.Reason != "jane: disk" {
		t.Errorf("Enter under node maintenance = %v, want it told", err)
	}
	if err := operator.DisableNodeMaintenance(); err != nil {
		t.Fatal(err)
	}
	l.until(t, "back", is(in))

	// The operator has one of the services.
	if err := operator.EnableServiceMaintenance("web-id", "jane: certificate"); err != nil {
		t.Fatal(err)
	}
	if err := l.consul.Enter(ctx, l.access, l.target, both, ours); !errors.As(err, &foreign) || *foreign != (activities.ForeignError{Node: "web-1", Service: "web-id", Reason: "jane: certificate"}) {
		t.Errorf("Enter beside jane = %v, want hers told", err)
	}
	l.until(t, "nothing set", is("api passing, web critical (jane: certificate)"))
	if err := l.consul.Enter(ctx, l.access, l.target, []string{"api"}, ours); err != nil {
		t.Errorf("Enter of the other service: %v", err)
	}
	if err := l.consul.Leave(ctx, l.access, l.target, both, ours); !errors.As(err, &foreign) || foreign.Reason != "jane: certificate" {
		t.Errorf("Leave beside jane = %v, want hers told", err)
	}
	l.until(t, "hers left", is("api passing, web critical (jane: certificate)"))
	if err := operator.DisableServiceMaintenance("web-id"); err != nil {
		t.Fatal(err)
	}

	if err := operator.UpdateTTL("web-ttl", "", api.HealthWarning); err != nil {
		t.Fatal(err)
	}
	l.until(t, "a warning", is("api passing, web warning"))
	eventually(t, "Leave with nothing to remove", func() error { return l.consul.Leave(ctx, l.access, l.target, both, ours) })
	if err := l.consul.Enter(ctx, l.access, l.target, []string{"web", "queue"}, ours); err == nil || !strings.Contains(err.Error(), "queue") {
		t.Errorf("Enter of a service that is not registered = %v, want it named", err)
	}
	l.until(t, "nothing set", is("api passing, web warning"))
}

func TestRealClaims(t *testing.T) {
	server := start(t, "consul-1", nil, nil)
	var wire atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.addr})
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook := wire.Load(); hook != nil && (*hook)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(bad.Close)
	c := New(&hosts{addrs: map[string]string{"a": server.addr, "bad": strings.TrimPrefix(bad.URL, "http://")}}, nil)
	ctx, access := t.Context(), viaSSH("a")
	since := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	claim := func(owner string, keys ...string) (out []activities.Claim) {
		for _, key := range keys {
			out = append(out, activities.Claim{Key: key, Owner: owner, Since: since, Reason: "campaign of " + owner})
		}
		return out
	}
	eventually(t, "a leader", func() error { _, err := c.List(ctx, access, ""); return err })
	listed := func(t *testing.T, prefix string) string {
		t.Helper()
		list, err := c.List(ctx, access, prefix)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, claim := range list {
			out = append(out, claim.Key+"="+claim.Owner)
		}
		return strings.Join(out, " ")
	}
	clean := func(t *testing.T) {
		t.Cleanup(func() {
			if _, err := server.client("").KV().DeleteTree("rollpatch/", nil); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("what others left is adopted by who has the lock", func(t *testing.T) {
		clean(t)
		mine := claim("b-1", "updaters/web/web-1", "updaters/web/web-2")
		for i := range mine {
			mine[i].Adopts = "cluster/web"
		}
		for _, by := range []string{"a-0", "a-1"} { // the second one has adopted what the first one left
			left := claim(by, "cluster/web", "updaters/web/web-2")
			left[1].Adopts = "cluster/web"
			for _, one := range left {
				if held, err := c.Take(ctx, access, []activities.Claim{one}); err != nil || len(held) != 0 {
					t.Fatalf("Take of %s = %v, %v", one.Key, held, err)
				}
			}
			if held, err := c.Take(ctx, access, mine); err != nil || len(held) != 1 || listed(t, "updaters/") != "updaters/web/web-2="+by {
				t.Errorf("without the lock: %v, %v; on record %s", held, err, listed(t, "updaters/"))
			}
			if err := c.Release(ctx, access, activities.Owner{Instance: by}, []string{"cluster/web"}); err != nil {
				t.Fatal(err)
			}
		}
		if held, err := c.Take(ctx, access, mine); err != nil || len(held) != 1 {
			t.Errorf("with a lock that nobody has: %v, %v", held, err)
		}
		if _, err := c.Take(ctx, access, claim("b-1", "cluster/web")); err != nil {
			t.Fatal(err)
		}
		if held, err := c.Take(ctx, access, mine); err != nil || len(held) != 0 || listed(t, "updaters/") != "updaters/web/web-1=b-1 updaters/web/web-2=b-1" {
			t.Errorf("with the lock: %v, %v; on record %s", held, err, listed(t, "updaters/"))
		}
		list, err := c.List(ctx, access, "updaters/")
		if err != nil || len(list) != 2 || list[0].Had != "" || list[1].Had != "a-0 a-1" {
			t.Errorf("on record %+v, %v, want the former owners", list, err)
		}
	})

	t.Run("all or none, and told who holds", func(t *testing.T) {
		clean(t)
		if held, err := c.Take(ctx, access, claim("a-1", "cluster/web", "cluster/cache")); err != nil || len(held) != 0 {
			t.Fatalf("Take = %v, %v, want it", held, err)
		}
		held, err := c.Take(ctx, access, claim("b-1", "cluster/solo", "cluster/web"))
		if err != nil || !reflect.DeepEqual(held, claim("a-1", "cluster/web")) {
			t.Errorf("Take of what another has = %v, %v, want who holds it", held, err)
		}
		later := claim("a-1", "cluster/web", "host/web-1")
		for i := range later {
			later[i].Since, later[i].Reason = since.Add(time.Hour), "again"
		}
		for range 2 {
			if held, err := c.Take(ctx, access, later); err != nil || len(held) != 0 {
				t.Errorf("Take of what the owner has and one more = %v, %v, want it", held, err)
			}
		}
		if got := listed(t, ""); got != "cluster/cache=a-1 cluster/web=a-1 host/web-1=a-1" {
			t.Errorf("List = %s, want what a-1 took", got)
		}
		if got := listed(t, "host/"); got != "host/web-1=a-1" {
			t.Errorf("List of hosts = %s, want the host", got)
		}
		list, err := c.List(ctx, access, "cluster/web")
		if err != nil || !reflect.DeepEqual(list, claim("a-1", "cluster/web")) {
			t.Errorf("List of web = %+v, %v, want it as it was taken first", list, err)
		}
		if err := c.Release(ctx, access, activities.Owner{Instance: "b-1"}, []string{"cluster/web", "cluster/nothing"}); err != nil {
			t.Errorf("Release by another: %v", err)
		}
		if got := listed(t, "cluster/web"); got != "cluster/web=a-1" {
			t.Errorf("after another's Release there is %q, want ours untouched", got)
		}
		for range 2 {
			if err := c.Release(ctx, access, activities.Owner{Instance: "a-1"}, []string{"cluster/web", "cluster/cache", "cluster/web"}); err != nil {
				t.Errorf("Release: %v", err)
			}
		}
		if got := listed(t, ""); got != "host/web-1=a-1" {
			t.Errorf("after Release there is %q, want the host alone", got)
		}
		if held, err := c.Take(ctx, access, claim("b-1", "cluster/web")); err != nil || len(held) != 0 {
			t.Errorf("Take of what was released = %v, %v, want it", held, err)
		}
	})

	t.Run("two never hold the same", func(t *testing.T) {
		clean(t)
		sets := [][]string{{"x", "y", "z"}, {"z", "y"}, {"y", "x"}, {"z", "x"}}
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			have = map[string]string{}
			errs []error
			won  atomic.Int64
		)
		for i, keys := range sets {
			owner := fmt.Sprintf("owner-%d", i)
			wg.Go(func() {
				for range 15 {
					held, err := c.Take(ctx, access, claim(owner, keys...))
					if err != nil && !errors.Is(err, errRaced) {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
					}
					if err != nil || len(held) > 0 {
						continue
					}
					won.Add(1)
					mu.Lock()
					for _, key := range keys {
						if have[key] != "" {
							errs = append(errs, fmt.Errorf("%s took %s, which %s has", owner, key, have[key]))
						}
						have[key] = owner
					}
					mu.Unlock()
					list, err := c.List(ctx, access, "")
					mu.Lock()
					for _, key := range keys {
						if err != nil || !slices.ContainsFunc(list, func(c activities.Claim) bool { return c.Key == key && c.Owner == owner }) {
							errs = append(errs, fmt.Errorf("%s took %s, and the list says %v, %w", owner, key, list, err))
						}
						delete(have, key)
					}
					mu.Unlock()
					if err := c.Release(ctx, access, activities.Owner{Instance: owner}, keys); err != nil {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if won.Load() == 0 {
			t.Error("nobody ever took anything")
		}
		if got := listed(t, ""); got != "" {
			t.Errorf("%s is left, want nothing", got)
		}
	})

	t.Run("an answer that is lost is asked for through the next host", func(t *testing.T) {
		clean(t)
		hook := within("/v1/txn", 0, func(_ http.ResponseWriter, r *http.Request) {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
		wire.Store(&hook)
		defer wire.Store(nil)
		if held, err := c.Take(ctx, viaSSH("bad", "a"), claim("a-1", "cluster/web", "cluster/cache")); err != nil || len(held) != 0 {
			t.Errorf("Take = %v, %v, want it", held, err)
		}
		if _, err := c.Take(ctx, viaSSH("bad"), claim("a-1", "cluster/solo")); err == nil {
			t.Error("Take whose every answer is lost = nil, want an error")
		}
		if held, err := c.Take(ctx, access, claim("a-1", "cluster/solo")); err != nil || len(held) != 0 {
			t.Errorf("Take again = %v, %v, want it ours", held, err)
		}
		if err := c.Release(ctx, viaSSH("bad", "a"), activities.Owner{Instance: "a-1"}, []string{"cluster/web", "cluster/cache", "cluster/solo"}); err != nil {
			t.Errorf("Release: %v", err)
		}
		if got := listed(t, ""); got != "" {
			t.Errorf("%s is left, want nothing", got)
		}
	})

	t.Run("somebody who comes between reading and writing is seen", func(t *testing.T) {
		clean(t)
		hook := within("/v1/txn", 1, func(w http.ResponseWriter, r *http.Request) {
			if _, err := c.Take(ctx, access, claim("quick", "cluster/web")); err != nil {
				t.Error(err)
			}
			proxy.ServeHTTP(w, r)
		})
		wire.Store(&hook)
		defer wire.Store(nil)
		held, err := c.Take(ctx, viaSSH("bad"), claim("late", "cluster/cache", "cluster/web"))
		if err != nil || len(held) != 1 || held[0].Owner != "quick" {
			t.Errorf("Take = %v, %v, want who was quicker", held, err)
		}
		if got := listed(t, ""); got != "cluster/web=quick" {
			t.Errorf("%s stands, want the quicker one's alone", got)
		}
	})

	t.Run("versions that are left out everywhere", func(t *testing.T) {
		clean(t)
		key := "versions/" + rollout.Everywhere + "/3f2a9c1b7d20"
		if held, err := c.Take(ctx, access, claim("a-1", key)); err != nil || len(held) != 0 {
			t.Errorf("Take of %s = %v, %v, want it", key, held, err)
		}
		if got := listed(t, "versions/"+rollout.Everywhere+"/"); got != key+"=a-1" {
			t.Errorf("listed %q, want %s", got, key)
		}
		if err := c.Release(ctx, access, activities.Owner{Instance: "a-1"}, []string{key}); err != nil || listed(t, "") != "" {
			t.Errorf("Release of %s: %v, left %q", key, err, listed(t, ""))
		}
	})

	t.Run("as many as one transaction takes", func(t *testing.T) {
		clean(t)
		var keys []string
		for i := range most + 1 {
			keys = append(keys, fmt.Sprintf("cluster/c-%02d", i))
		}
		if held, err := c.Take(ctx, access, claim("a-1", keys[:most]...)); err != nil || len(held) != 0 {
			t.Errorf("Take of %d = %v, %v, want them", most, held, err)
		}
		if _, err := c.Take(ctx, access, claim("a-1", keys...)); err == nil || !strings.Contains(err.Error(), "65 records are more than the 64") || !strings.Contains(err.Error(), "cluster/c-64") {
			t.Errorf("Take of %d = %v, want it refused by name", len(keys), err)
		}
		if held, err := c.Take(ctx, access, claim("a-1", keys[most])); err != nil || len(held) != 0 {
			t.Errorf("Take of one more by itself = %v, %v, want it", held, err)
		}
		if err := c.Release(ctx, access, activities.Owner{Instance: "a-1"}, keys); err != nil {
			t.Errorf("Release of %d: %v", len(keys), err)
		}
		if got := listed(t, ""); got != "" {
			t.Errorf("%s is left, want nothing", got)
		}
	})

	t.Run("a record that nobody can read is in nobody's way but its own", func(t *testing.T) {
		clean(t)
		for key, value := range map[string]string{"cluster/web": "{", "cluster/cache": `{"key":"cluster/cache"}`} {
			if _, err := server.client("").KV().Put(&api.KVPair{Key: root + key, Value: []byte(value)}, nil); err != nil {
				t.Fatal(err)
			}
			if held, err := c.Take(ctx, access, claim("a-1", key)); err == nil || !strings.Contains(err.Error(), root+key) {
				t.Errorf("Take of %s = %v, %v, want the record named", key, held, err)
			}
		}
		list, err := c.List(ctx, access, "")
		if err == nil || !strings.Contains(err.Error(), root+"cluster/web") || !strings.Contains(err.Error(), root+"cluster/cache") {
			t.Errorf("List = %v, %v, want both records named", list, err)
		}
		if held, err := c.Take(ctx, access, claim("a-1", "cluster/solo")); err != nil || len(held) != 0 {
			t.Errorf("Take of another = %v, %v, want it", held, err)
		}
	})

	t.Run("what cannot be claimed is refused by name", func(t *testing.T) {
		for _, bad := range [][]activities.Claim{claim("a-1", ""), claim("a-1", "/web"), claim("", "cluster/web"), claim("a-1", "cluster/web", "cluster/web")} {
			if held, err := c.Take(ctx, access, bad); err == nil {
				t.Errorf("Take(%v) = %v, want it refused", bad, held)
			}
		}
		if err := c.Release(ctx, access, activities.Owner{Instance: ""}, []string{"cluster/web"}); err == nil {
			t.Error("Release for nobody = nil, want it refused")
		}
		if held, err := c.Take(ctx, access, nil); err != nil || len(held) != 0 {
			t.Errorf("Take of nothing = %v, %v, want nothing done", held, err)
		}
	})
}

func TestRealACLs(t *testing.T) {
	const root = "0b3a6b0e-9d43-4a2c-9a3b-1c1d8f1e0001"
	server := start(t, "consul-1", nil, map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "tokens": map[string]string{"initial_management": root, "agent": root, "default": ""},
	}})
	operator := server.client(root)
	eventually(t, "a leader", func() error {
		return operator.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "web", Name: "web", Check: &api.AgentServiceCheck{CheckID: "web-ttl", TTL: "1h", Status: api.HealthPassing}})
	})
	token := func(rules string) string {
		t.Helper()
		name := fmt.Sprintf("p-%d", time.Now().UnixNano())
		if _, _, err := operator.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rules}, nil); err != nil {
			t.Fatal(err)
		}
		created, _, err := operator.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: name}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return created.SecretID
	}
	c := New(&hosts{addrs: map[string]string{"consul-1": server.addr}}, func(_ context.Context, s inventory.Secret) (string, error) { return s.Env, nil })
	with := func(token string) activities.ConsulAccess {
		access := viaSSH("consul-1")
		if token != "" {
			access.Consul.Token = &inventory.Secret{Env: token}
		}
		return access
	}
	member := targets("consul-1")[0]
	// The rules that the documentation asks for, and nothing else.
	full := token(`
		node_prefix "" { policy = "read" }
		service_prefix "" { policy = "read" }
		service "web" { policy = "write" }
		key_prefix "rollpatch/" { policy = "write" }`)
	eventually(t, "the service passes", func() error {
		list, err := c.Instances(t.Context(), with(full), []string{"web"})
		if err == nil && states(list) != "web passing" {
			err = errors.New(states(list))
		}
		return err
	})
	claims := []activities.Claim{{Key: "cluster/web", Owner: "me"}}
	steps := map[string]func(access activities.ConsulAccess) error{
		"instances": func(a activities.ConsulAccess) error {
			_, err := c.Instances(t.Context(), a, []string{"web"})
			return err
		},
		"enter": func(a activities.ConsulAccess) error { return c.Enter(t.Context(), a, member, []string{"web"}, ours) },
		"take":  func(a activities.ConsulAccess) error { _, err := c.Take(t.Context(), a, claims); return err },
		"list":  func(a activities.ConsulAccess) error { _, err := c.List(t.Context(), a, ""); return err },
		"keep": func(a activities.ConsulAccess) error {
			return c.Keep(t.Context(), a, []staging.Record{{Stage: "staging", Cluster: "web", Instance: "me"}}, time.Time{})
		},
		"leave": func(a activities.ConsulAccess) error { return c.Leave(t.Context(), a, member, []string{"web"}, ours) },
		"release": func(a activities.ConsulAccess) error {
			return c.Release(t.Context(), a, activities.Owner{Instance: "me"}, []string{"cluster/web"})
		},
	}
	order := []string{"instances", "enter", "take", "list", "keep", "leave", "release"}
	for _, name := range order {
		eventually(t, name+" with the rules that are documented", func() error { return steps[name](with(full)) })
	}
	if _, err := c.Marked(t.Context(), with(full), "rollpatch "); err != nil {
		t.Errorf("marked with the rules that are documented: %v", err)
	}

	for _, row := range []struct {
		says  string
		token string
		fails []string
	}{
		{"nobody", "", order},
		{"a token that does not exist", "0b3a6b0e-9d43-4a2c-9a3b-1c1d8f1e9999", order},
		{"a token for something else", token(`service "cache" { policy = "write" }`), order},
		{"one that may not read nodes", token(`service "web" { policy = "write" }`), order},
		{"one that may only look", token(`node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } key_prefix "" { policy = "read" }`), []string{"enter", "take"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			if err := steps["take"](with(full)); err != nil {
				t.Fatal(err)
			}
			for _, name := range row.fails {
				if name == "take" {
					if err := steps["release"](with(full)); err != nil {
						t.Fatal(err)
					}
				}
				err := steps[name](with(row.token))
				if err == nil {
					t.Errorf("%s = nil, want an error", name)
				}
				if err != nil && row.token != "" && strings.Contains(err.Error(), row.token) {
					t.Errorf("%s tells the token: %v", name, err)
				}
				if name == "take" {
					if err := steps["take"](with(full)); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
	list, err := c.Instances(t.Context(), with(full), []string{"web"})
	if err != nil || states(list) != "web passing" {
		t.Errorf("afterwards the servers list %s, %v, want the service untouched", states(list), err)
	}
}
