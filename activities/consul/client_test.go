package consul

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

func TestTheFirstHostThatAnswersIsBelieved(t *testing.T) {
	for _, row := range []struct {
		says  string
		first func(http.ResponseWriter, *http.Request)
	}{
		{"one without a leader is passed over", leaderless},
		{"one that cuts the connection is passed over", cut},
		{"one that stops in the middle is passed over", cutShort},
		{"one that does not answer is passed over", slow},
		{"one that is asked too much is passed over", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }},
		{"one that answers with something else is passed over", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
	} {
		t.Run(row.says, func(t *testing.T) {
			bad, badAddr := agent(t)
			bad.hook = within("/", 0, row.first)
			_, goodAddr := agent(t)
			h := &hosts{addrs: map[string]string{"web-2": badAddr, "cache-1": goodAddr}}
			got, err := quick(h).Instances(t.Context(), viaSSH("down", "web-2", "cache-1"), []string{"web"})
			if err != nil || len(got) != 1 || got[0].ServiceID != "web" {
				t.Errorf("Instances = %+v, %v, want what cache-1 lists", got, err)
			}
			if order := slices.Compact(h.dialled()); !reflect.DeepEqual(order, []string{"down 127.0.0.1:8500", "web-2 127.0.0.1:8500", "cache-1 127.0.0.1:8500"}) {
				t.Errorf("asked %v, want the hosts in order", order)
			}
		})
	}
}

func TestAFailureIsAnErrorAndNeverAnEmptyList(t *testing.T) {
	for _, row := range []struct {
		says string
		hook func(http.ResponseWriter, *http.Request)
		want string
	}{
		{"no leader", leaderless, "it answered 500: No cluster leader"},
		{"cut", cut, "EOF"},
		{"cut in the middle", cutShort, "unexpected EOF"},
		{"slow", slow, ""},
		{"not Consul", http.NotFound, "404"},
		{"nothing at all", func(http.ResponseWriter, *http.Request) {}, "EOF"},
	} {
		t.Run(row.says, func(t *testing.T) {
			f, addr := agent(t)
			f.hook = within("/", 0, row.hook)
			c := quick(&hosts{addrs: map[string]string{"a": addr, "b": addr}})
			for name, ask := range map[string]func() (int, error){
				"Instances": func() (int, error) {
					got, err := c.Instances(t.Context(), viaSSH("a", "b"), []string{"web"})
					return len(got), err
				},
				"Enter": func() (int, error) {
					return 0, c.Enter(t.Context(), viaSSH("a", "b"), targets("a")[0], []string{"web"}, "ours")
				},
				"Leave": func() (int, error) {
					return 0, c.Leave(t.Context(), viaSSH("a", "b"), targets("a")[0], []string{"web"}, "ours")
				},
				"Take": func() (int, error) {
					held, err := c.Take(t.Context(), viaSSH("a", "b"), []activities.Claim{{Key: "cluster/web", Owner: "me"}})
					return len(held), err
				},
			} {
				n, err := ask()
				if name == "Take" && row.says == "not Consul" {
					// A key that is absent is a 404 too; the transaction then is refused.
					if err == nil {
						t.Errorf("%s = nil, want an error", name)
					}
					continue
				}
				if err == nil || n != 0 || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%s = %d, %v, want an error with %q", name, n, err, row.want)
				}
				if err != nil && (name == "Instances" || name == "Take") && !strings.HasPrefix(err.Error(), "consul through a, b: ") {
					t.Errorf("%s = %v, want both hosts named, and once what both said", name, err)
				}
			}
		})
	}
}

func TestARefusalIsTheSameEverywhere(t *testing.T) {
	f, addr := agent(t)
	f.hook = within("/", 0, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Permission denied", http.StatusForbidden) })
	h := &hosts{addrs: map[string]string{"a": addr, "b": addr}}
	_, err := quick(h).Instances(t.Context(), viaSSH("a", "b"), []string{"web"})
	if err == nil || !strings.Contains(err.Error(), "it answered 403: Permission denied") {
		t.Errorf("Instances = %v, want the refusal", err)
	}
	if got := h.dialled(); len(got) != 1 {
		t.Errorf("asked %v, want the first host only", got)
	}
}

func TestWhoGaveUpAsksNobodyElse(t *testing.T) {
	f, addr := agent(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.hook = within("/", 0, func(w http.ResponseWriter, r *http.Request) { cancel(); slow(w, r) })
	h := &hosts{addrs: map[string]string{"a": addr, "b": addr}}
	if _, err := New(h, nil).Instances(ctx, viaSSH("a", "b"), []string{"web"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Instances = %v, want context.Canceled", err)
	}
	if got := h.dialled(); len(got) != 1 {
		t.Errorf("asked %v, want the first host only", got)
	}
}

func TestWithoutAHostOrAServiceThereIsNoAnswer(t *testing.T) {
	c := quick(&hosts{})
	if got, err := c.Instances(t.Context(), viaSSH(), []string{"web"}); err == nil {
		t.Errorf("Instances through nobody = %v, want an error", got)
	}
	if got, err := c.Instances(t.Context(), viaSSH("a"), nil); err == nil {
		t.Errorf("Instances of nothing = %v, want an error", got)
	}
	if err := c.Enter(t.Context(), viaSSH("a"), targets("a")[0], nil, "ours"); err == nil {
		t.Error("Enter without services = nil, want an error")
	}
	if err := c.Leave(t.Context(), viaSSH("a"), targets("a")[0], []string{"web"}, ""); err == nil {
		t.Error("Leave without a reason = nil, want an error")
	}
}

func TestReadsAreConsistent(t *testing.T) {
	f, addr := agent(t)
	c := quick(&hosts{addrs: map[string]string{"a": addr}})
	access := viaSSH("a")
	if _, err := c.Instances(t.Context(), access, []string{"web", "api"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(t.Context(), access, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context(), access, activities.Owner{Instance: "me"}, []string{"cluster/web"}); err != nil {
		t.Fatal(err)
	}
	got := f.requests()
	if len(got) != 4 {
		t.Fatalf("%d requests, want two services, a list and a record", len(got))
	}
	for _, r := range got {
		if q := r.URL.Query(); !q.Has("consistent") || q.Has("stale") || q.Has("cached") {
			t.Errorf("asked %s, want it consistent", r.URL)
		}
	}
}

func TestOnlyTheInventorySaysHowConsulIsAsked(t *testing.T) {
	for name, value := range map[string]string{
		"CONSUL_HTTP_ADDR": "192.0.2.1:1", "CONSUL_HTTP_TOKEN": "worker's", "CONSUL_HTTP_TOKEN_FILE": "/nonexistent", "CONSUL_HTTP_AUTH": "me:you",
		"CONSUL_HTTP_SSL": "true", "CONSUL_NAMESPACE": "elsewhere", "CONSUL_PARTITION": "elsewhere", "CONSUL_CACERT": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
	f, addr := agent(t)
	c := New(&hosts{addrs: map[string]string{"a": addr}}, func(_ context.Context, s inventory.Secret) (string, error) { return "from " + s.Env, nil })
	access := viaSSH("a")
	for _, want := range []string{"", "from CLUSTER_TOKEN"} {
		if want != "" {
			access.Consul.Token = &inventory.Secret{Env: "CLUSTER_TOKEN"}
		}
		if _, err := c.Instances(t.Context(), access, []string{"web"}); err != nil {
			t.Fatal(err)
		}
		got := f.requests()
		r := got[len(got)-1]
		if token := r.Header.Get("X-Consul-Token"); token != want || r.Header.Get("Authorization") != "" {
			t.Errorf("sent token %q and authorization %q, want %q and none", token, r.Header.Get("Authorization"), want)
		}
		if q := r.URL.Query(); q.Has("ns") || q.Has("partition") {
			t.Errorf("asked %s, want no namespace and no partition", r.URL)
		}
	}
}

func TestTheTokenIsToldToNobody(t *testing.T) {
	const token = "5f1a3c5e-s3cret"
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	f, addr := agent(t)
	access := viaSSH("a")
	access.Consul.Token = &inventory.Secret{Env: "TOKEN"}
	resolved := token
	c := New(&hosts{addrs: map[string]string{"a": addr}}, func(context.Context, inventory.Secret) (string, error) { return resolved, nil })
	for _, row := range []struct {
		says  string
		token string
		hook  func(w http.ResponseWriter, r *http.Request)
	}{
		{"an agent that repeats it", token, func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "ACL not found for "+r.Header.Get("X-Consul-Token"), http.StatusForbidden)
		}},
		{"an agent that sends us elsewhere", token, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}},
		{"a token that cannot be sent", token + "\n", cut},
	} {
		t.Run(row.says, func(t *testing.T) {
			resolved = row.token
			f.hook = within("/", 0, row.hook)
			_, err := c.Instances(t.Context(), access, []string{"web"})
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Instances = %v, want an error without the token", err)
			}
		})
	}
	if elsewhere != 0 {
		t.Errorf("followed a redirect %d times, want never", elsewhere)
	}
}

func TestATokenThatIsNotFoundIsAnError(t *testing.T) {
	missing := errors.New("it is not set")
	_, addr := agent(t)
	h := &hosts{addrs: map[string]string{"a": addr}}
	c := New(h, func(context.Context, inventory.Secret) (string, error) { return "", missing })
	access := viaSSH("a")
	access.Consul.Token = &inventory.Secret{Env: "TOKEN"}
	if _, err := c.Instances(t.Context(), access, []string{"web"}); !errors.Is(err, missing) {
		t.Errorf("Instances = %v, want %v", err, missing)
	}
	if err := c.Leave(t.Context(), access, targets("a")[0], []string{"web"}, "ours"); !errors.Is(err, missing) {
		t.Errorf("Leave = %v, want %v", err, missing)
	}
	if got := h.dialled(); len(got) != 0 {
		t.Errorf("asked %v, want nobody asked without the token", got)
	}
}

func TestAListThatTheACLsCutIsAnError(t *testing.T) {
	header := func(name, value string) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.Header().Set("X-Consul-LastContact", "0")
			_, _ = w.Write([]byte("[]"))
		}
	}
	for _, row := range []struct {
		says string
		hook func(w http.ResponseWriter, r *http.Request)
		want string
	}{
		{"Consul says that it left something out", header("X-Consul-Results-Filtered-By-ACLs", "true"), "may not see all of it"},
		{"Consul would not say so to nobody", header("X-Consul-Default-ACL-Policy", "deny"), "no token is given"},
	} {
		t.Run(row.says, func(t *testing.T) {
			f, addr := agent(t)
			f.hook = within("/", 0, row.hook)
			h := &hosts{addrs: map[string]string{"a": addr, "b": addr}}
			c := quick(h)
			if got, err := c.Instances(t.Context(), viaSSH("a", "b"), []string{"web"}); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Instances = %v, %v, want an error with %q", got, err, row.want)
			}
			if got, err := c.List(t.Context(), viaSSH("a", "b"), ""); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("List = %v, %v, want an error with %q", got, err, row.want)
			}
		})
	}
	f, addr := agent(t)
	f.hook = within("/", 0, header("X-Consul-Default-ACL-Policy", "allow"))
	if got, err := quick(&hosts{addrs: map[string]string{"a": addr}}).Instances(t.Context(), viaSSH("a"), []string{"web"}); err != nil || len(got) != 0 {
		t.Errorf("Instances of a service that nobody offers = %v, %v, want none", got, err)
	}
}

func TestMembersAgentIsOnItsLoopback(t *testing.T) {
	for _, row := range []struct {
		says   string
		consul inventory.Consul
		want   string
	}{
		{"via ssh it is the address", inventory.Consul{Via: inventory.ViaSSH, Address: "127.0.0.1:8500"}, "127.0.0.1:8500"},
		{"via ssh it keeps its scheme", inventory.Consul{Via: inventory.ViaSSH, Address: "https://localhost:8501"}, "https://localhost:8501"},
		{"direct it keeps the port", inventory.Consul{Via: inventory.ViaDirect, Address: "consul.example.org:8600"}, "http://127.0.0.1:8600"},
		{"direct it keeps the scheme", inventory.Consul{Via: inventory.ViaDirect, Address: "https://[2001:db8::1]:8501"}, "https://127.0.0.1:8501"},
	} {
		if got, err := memberAddress(row.consul); err != nil || got != row.want {
			t.Errorf("%s: memberAddress(%+v) = %q, %v, want %q", row.says, row.consul, got, err, row.want)
		}
	}
	if got, err := memberAddress(inventory.Consul{Via: inventory.ViaDirect, Address: "consul.example.org"}); err == nil {
		t.Errorf("memberAddress of an address without a port = %q, want an error", got)
	}
}

func TestDirectAsksTheServersFromTheWorkerAndTheMemberThroughItself(t *testing.T) {
	f, addr := agent(t)
	h := &hosts{addrs: map[string]string{"web-1": addr}}
	access := activities.ConsulAccess{Consul: inventory.Consul{Via: inventory.ViaDirect, Address: addr}}
	c := quick(h)
	if _, err := c.Instances(t.Context(), access, []string{"web"}); err != nil {
		t.Fatal(err)
	}
	if got := h.dialled(); len(got) != 0 {
		t.Errorf("dialled %v, want no host", got)
	}
	if err := c.Enter(t.Context(), access, targets("web-1")[0], []string{"web"}, "ours"); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(addr, ":")
	for _, got := range h.dialled() {
		if got != "web-1 127.0.0.1:"+port {
			t.Errorf("dialled %s, want the member's loopback", got)
		}
	}
	if got := f.maintained(); !reflect.DeepEqual(got, map[string]string{"web": "ours"}) {
		t.Errorf("maintenance is %v, want ours on web", got)
	}
}
