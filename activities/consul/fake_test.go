package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

// hosts stands for the SSH connections: host name to where its agent really listens. Every dial is noted as "host address".
type hosts struct {
	addrs map[string]string

	mu    sync.Mutex
	dials []string
}

func (h *hosts) Dial(ctx context.Context, t activities.Target, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	h.dials = append(h.dials, t.Host+" "+addr)
	h.mu.Unlock()
	real, ok := h.addrs[t.Host]
	if !ok {
		return nil, fmt.Errorf("host %q: unreachable", t.Host)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, real)
}

func (h *hosts) dialled() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.dials)
}

func targets(names ...string) (out []activities.Target) {
	for _, name := range names {
		out = append(out, activities.Target{Host: name})
	}
	return out
}

func viaSSH(names ...string) activities.ConsulAccess {
	return activities.ConsulAccess{Consul: inventory.Consul{Via: inventory.ViaSSH, Address: "127.0.0.1:8500"}, Via: targets(names...)}
}

// fake is an agent and the servers behind it, with as much of Consul as a fault needs.
type fake struct {
	mu       sync.Mutex
	node     string
	services map[string]string // id: name
	notes    map[string]string // id: maintenance, as the agent knows it
	nodeNote string
	seen     map[string]string // id: maintenance, as the servers list it; nil: as the agent
	asked    []*http.Request

	// hook may answer instead; it reports whether it did.
	hook func(w http.ResponseWriter, r *http.Request) bool
}

// agent starts a fake and returns it with its address.
func agent(t *testing.T) (*fake, string) {
	t.Helper()
	f := &fake{node: "web-1", services: map[string]string{"web": "web", "api": "api"}, notes: map[string]string{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return f, strings.TrimPrefix(srv.URL, "http://")
}

func (f *fake) maintained() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for id, note := range f.notes {
		out[id] = note
	}
	return out
}

func (f *fake) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r)
	hook := f.hook
	f.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	f.serve(w, r)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
	case path == "agent/services":
		out := map[string]*api.AgentService{}
		for id, name := range f.services {
			out[id] = &api.AgentService{ID: id, Service: name}
		}
		answer(w, out)
	case path == "agent/checks":
		out := map[string]*api.AgentCheck{"own": {Node: f.node, CheckID: "own", Status: api.HealthPassing}}
		for id, note := range f.notes {
			out[serviceMaintenance+id] = &api.AgentCheck{Node: f.node, Notes: note}
		}
		if f.nodeNote != "" {
			out[nodeMaintenance] = &api.AgentCheck{Node: f.node, Notes: f.nodeNote}
		}
		answer(w, out)
	case strings.HasPrefix(path, "agent/service/maintenance/"):
		id := strings.TrimPrefix(path, "agent/service/maintenance/")
		on, err := strconv.ParseBool(r.URL.Query().Get("enable"))
		switch _, known := f.services[id]; {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case !known:
			http.Error(w, "unknown service", http.StatusNotFound)
		case !on:
			delete(f.notes, id)
		case f.notes[id] == "":
			f.notes[id] = r.URL.Query().Get("reason")
		}
	case strings.HasPrefix(path, "health/service/"):
		out := []*api.ServiceEntry{}
		for id, name := range f.services {
			if name != strings.TrimPrefix(path, "health/service/") {
				continue
			}
			note := f.notes[id]
			if f.seen != nil {
				note = f.seen[id]
			}
			e := &api.ServiceEntry{Node: &api.Node{Node: f.node, Address: "10.0.0.1"}, Service: &api.AgentService{ID: id, Service: name}}
			if note != "" {
				e.Checks = append(e.Checks, &api.HealthCheck{Node: f.node, CheckID: serviceMaintenance + id, Status: api.HealthCritical, Notes: note})
			}
			if f.nodeNote != "" {
				e.Checks = append(e.Checks, &api.HealthCheck{Node: f.node, CheckID: nodeMaintenance, Status: api.HealthCritical, Notes: f.nodeNote})
			}
			out = append(out, e)
		}
		answer(w, out)
	case path == "health/state/critical":
		out := api.HealthChecks{{Node: f.node, CheckID: "disk", Status: api.HealthCritical, Notes: "rollpatch fills it"}}
		for id, note := range f.notes {
			out = append(out, &api.HealthCheck{Node: f.node, CheckID: serviceMaintenance + id, Status: api.HealthCritical, Notes: note, ServiceID: id, ServiceName: f.services[id]})
		}
		if f.nodeNote != "" {
			out = append(out, &api.HealthCheck{Node: f.node, CheckID: nodeMaintenance, Status: api.HealthCritical, Notes: f.nodeNote})
		}
		answer(w, out)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// within runs a fake's hook for requests whose path contains part, and only the first n of them (0: all).
func within(part string, n int, do func(w http.ResponseWriter, r *http.Request)) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	seen := 0
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.RequestURI(), part) {
			return false
		}
		mu.Lock()
		seen++
		late := n > 0 && seen > n
		mu.Unlock()
		if late {
			return false
		}
		do(w, r)
		return true
	}
}

func leaderless(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "No cluster leader", http.StatusInternalServerError)
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cutShort begins a good answer and does not end it.
func cutShort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte("[")) // the fault is the point
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func slow(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// quick is a Consul that does not wait long, without a token.
func quick(d activities.Dialer) *Consul {
	c := New(d, nil)
	c.timeout = 300 * time.Millisecond
	return c
}
