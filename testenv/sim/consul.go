package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// consul is the fleet's Consul: the servers' catalog and KV, and an agent for each host. An agent's own knowledge reaches the
// servers a moment later, and not at all while the host is away; the servers find out by themselves that an agent is gone.
type consul struct {
	fleet *Fleet

	mu      sync.Mutex
	index   uint64
	changed chan struct{} // closed and replaced at every change
	leader  bool
	nodes   []*consulNode
	byName  map[string]*consulNode
	kv      map[string]*api.KVPair
	writing []Call // to KV, not yet recorded
}

type consulNode struct {
	host   *host
	serf   string // as the servers see it
	maint  maintenance
	create uint64
	svcs   []*consulService
	blank  time.Time // until then the agent has not read its disk
}

type consulService struct {
	id, name string
	port     int
	local    serviceState // what the agent knows
	seen     serviceState // what the servers know
	modified uint64
	listed   bool // to those who ask for passing instances, as last recorded
}

type serviceState struct {
	status string
	output string
	maint  maintenance
}

// maintenance is off, or on with a reason.
type maintenance struct {
	on     bool
	reason string
}

// serverNode is the name of the server that answers those who do not go through a host.
const serverNode = "consul-1"

func newConsul(f *Fleet) *consul {
	return &consul{fleet: f, leader: true, index: 1, changed: make(chan struct{}), byName: map[string]*consulNode{}, kv: map[string]*api.KVPair{}}
}

// bump makes whoever waits for a change look again. The caller holds c.mu.
func (c *consul) bump() uint64 {
	c.index++
	close(c.changed)
	c.changed = make(chan struct{})
	return c.index
}

func (c *consul) register(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &consulNode{host: h, serf: api.HealthCritical, create: c.bump()}
	for _, s := range h.services {
		n.svcs = append(n.svcs, &consulService{id: s.name, name: s.name, port: s.port, modified: c.index,
			local: serviceState{status: api.HealthCritical}, seen: serviceState{status: api.HealthCritical}})
	}
	c.nodes = append(c.nodes, n)
	c.byName[h.name] = n
}

// reset forgets what was put into Consul: records and maintenance.
func (c *consul) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kv, c.leader = map[string]*api.KVPair{}, true
	for _, n := range c.nodes {
		n.maint, n.blank = maintenance{}, time.Time{}
		for _, s := range n.svcs {
			s.local.maint, s.seen.maint = maintenance{}, maintenance{}
		}
	}
	c.bump()
}

func (n *consulNode) service(id string) *consulService {
	for _, s := range n.svcs {
		if s.id == id {
			return s
		}
	}
	return nil
}

// reachable tells whether the servers can hear the host's agent.
func (c *consul) reachable(h *host) bool { return h.current() != nil && h.wire.whole() }

// agentUp is called when a host has booted. A fresh agent holds every check critical until it has passed once; maintenance is on
// its disk and is there again at once.
func (c *consul) agentUp(h *host, warm bool) {
	c.mu.Lock()
	n := c.byName[h.name]
	for _, s := range n.svcs {
		s.local.status, s.local.output = api.HealthCritical, ""
		if warm {
			s.local.status, s.local.output = h.serviceHealth(s.name)
			s.seen = s.local
		}
	}
	if warm {
		n.serf = api.HealthPassing
		c.bump()
		c.list(n)
	} else if blank := c.fleet.times.Blank; blank > 0 {
		n.blank = time.Now().Add(blank)
		c.refresh(h, blank+c.fleet.times.Check)
	}
	c.mu.Unlock()
	if !warm {
		c.reachChanged(h)
	}
}

func (c *consul) agentDown(h *host) {
	c.mu.Lock()
	for _, s := range c.byName[h.name].svcs {
		c.found(h, s, api.HealthCritical, "", ByHost)
	}
	c.mu.Unlock()
	c.reachChanged(h)
}

// restart is that of an agent. The caller does not hold c.mu.
func (c *consul) restart(h *host, blank time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byName[h.name]
	n.blank = time.Now().Add(blank)
	for _, s := range n.svcs {
		s.local.status, s.local.output = api.HealthCritical, ""
	}
	c.refresh(h, blank+c.fleet.times.Check)
}

func (c *consul) maintenance(h *host) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, all := c.byName[h.name], map[string]string{}
	if n.maint.on {
		all[""] = n.maint.reason
	}
	for _, s := range n.svcs {
		if s.local.maint.on {
			all[s.name] = s.local.maint.reason
		}
	}
	return all
}

// forget takes the maintenance from what the agent has on its disk.
func (c *consul) forget(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byName[h.name]
	n.maint = maintenance{}
	for _, s := range n.svcs {
		s.local.maint = maintenance{}
	}
}

// found takes in how a service is, as its own host knows it. The caller holds c.mu.
func (c *consul) found(h *host, s *consulService, status, output, by string) {
	if s.local.status != status {
		c.fleet.events.add(Call{Host: h.name, Event: "service " + status, Text: s.name, By: by})
	}
	s.local.status, s.local.output = status, output
}

// list records which services of the node the servers have begun, or ceased, to list as passing. The caller holds c.mu.
func (c *consul) list(n *consulNode) {
	for _, s := range n.svcs {
		if listed := worst(c.checks(n, s)) == api.HealthPassing; listed != s.listed {
			s.listed = listed
			c.fleet.events.add(Call{Host: n.host.name, Event: map[bool]string{true: "listed", false: "unlisted"}[listed], Text: s.name})
		}
	}
}

// reachChanged lets the servers find out whether they hear the host.
func (c *consul) reachChanged(h *host) {
	delay := c.fleet.times.Detect
	if c.reachable(h) {
		delay = c.fleet.times.Sync
	}
	time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		n, serf := c.byName[h.name], api.HealthCritical
		if c.reachable(h) {
			serf = api.HealthPassing
			c.syncNode(n)
		}
		if n.serf != serf {
			n.serf = serf
			c.bump()
			c.fleet.events.add(Call{Host: h.name, Event: "serf " + serf})
			c.list(n)
		}
	})
}

// refresh lets the agent run its checks after a moment.
func (c *consul) refresh(h *host, after time.Duration) {
	time.AfterFunc(after, func() {
		if h.current() == nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		n := c.byName[h.name]
		for _, s := range n.svcs {
			status, output := h.serviceHealth(s.name)
			c.found(h, s, status, output, "")
		}
		c.syncLater(n)
	})
}

// syncLater brings what the agent knows to the servers. The caller holds c.mu.
func (c *consul) syncLater(n *consulNode) {
	time.AfterFunc(c.fleet.times.Sync, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.reachable(n.host) {
			c.syncNode(n)
		}
	})
}

func (c *consul) syncNode(n *consulNode) {
	if !c.leader || time.Now().Before(n.blank) {
		return
	}
	for _, s := range n.svcs {
		if s.seen == s.local {
			continue
		}
		if s.seen.status != s.local.status {
			c.fleet.events.add(Call{Host: n.host.name, Event: "check " + s.local.status, Text: s.name})
		}
		s.seen = s.local
		s.modified = c.bump()
	}
	c.list(n)
}

// Leader takes the leader away from Consul's servers, or gives them one.
func (f *Fleet) Leader(present bool) {
	c := f.consul
	c.mu.Lock()
	c.leader = present
	c.bump()
	for _, n := range c.nodes {
		c.syncLater(n)
	}
	c.mu.Unlock()
	f.events.add(Call{Event: fmt.Sprintf("consul leader %v", present)})
}

// Maintain puts a service of the host into maintenance or takes it out, as an operator does with consul's own CLI. Service "": the
// whole node.
func (f *Fleet) Maintain(name, service string, on bool, reason string) error {
	if _, err := f.host(name); err != nil {
		return err
	}
	return f.consul.maintain(name, service, on, reason, ByHand)
}

func (c *consul) maintain(host, service string, on bool, reason, by string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byName[host]
	if service == "" {
		// Consul says nothing when maintenance is on already, and keeps the first reason.
		if n.maint.on != on {
			was := n.maint
			n.maint = maintenance{on, reason}
			c.bump()
			c.maintEvent(host, "", was, n.maint, by)
			c.list(n)
		}
		return nil
	}
	s := n.service(service)
	if s == nil {
		return fmt.Errorf("host %q: offers no service %q", host, service)
	}
	if s.local.maint.on != on {
		was := s.local.maint
		s.local.maint = maintenance{on, reason}
		c.maintEvent(host, service, was, s.local.maint, by)
		c.syncLater(n)
	}
	return nil
}

// maintEvent records maintenance that was set or removed, of a service or ("") of the node, with the reason that it was set with.
func (c *consul) maintEvent(host, service string, was, now maintenance, by string) {
	what, text := "node maintenance", now.reason
	if service != "" {
		what = "service maintenance"
	}
	if !now.on {
		text = was.reason
	}
	c.fleet.events.add(Call{Host: host, Event: what + map[bool]string{true: " on", false: " off"}[now.on], Text: text, Value: service, By: by})
}

// passing lists the hosts that the servers would name to those who ask for passing instances.
func (c *consul) passing(service string) []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hosts []*host
	for _, n := range c.nodes {
		for _, s := range n.svcs {
			if s.name == service && worst(c.checks(n, s)) == api.HealthPassing {
				hosts = append(hosts, n.host)
			}
		}
	}
	return hosts
}

// worst is how the servers see the host's services, taken together.
func (c *consul) worst(h *host) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byName[h.name]
	all := n.checks()
	for _, s := range n.svcs {
		all = append(all, s.checks(h.name, s.seen)...)
	}
	return all.AggregatedStatus()
}

func worst(checks api.HealthChecks) string {
	status := api.HealthPassing
	for _, ch := range checks {
		switch {
		case ch.Status == api.HealthCritical:
			return api.HealthCritical
		case ch.Status != api.HealthPassing:
			status = ch.Status
		}
	}
	return status
}

// checks are those that count for one instance: the node's, the service's own, and its maintenance. The caller holds c.mu.
func (c *consul) checks(n *consulNode, s *consulService) api.HealthChecks {
	return append(n.checks(), s.checks(n.host.name, s.seen)...)
}

func (n *consulNode) checks() api.HealthChecks {
	output := "Agent alive and reachable"
	if n.serf != api.HealthPassing {
		output = "Agent not live or unreachable"
	}
	checks := api.HealthChecks{{Node: n.host.name, CheckID: "serfHealth", Name: "Serf Health Status", Status: n.serf, Output: output, CreateIndex: n.create, ModifyIndex: n.create}}
	if n.maint.on {
		checks = append(checks, &api.HealthCheck{Node: n.host.name, CheckID: api.NodeMaint, Name: "Node Maintenance Mode", Status: api.HealthCritical, Notes: n.maint.reason, CreateIndex: n.create, ModifyIndex: n.create})
	}
	return checks
}

func (s *consulService) checks(node string, st serviceState) api.HealthChecks {
	checks := api.HealthChecks{{Node: node, CheckID: "service:" + s.id, Name: s.name, Status: st.status, Output: st.output, ServiceID: s.id, ServiceName: s.name, CreateIndex: 1, ModifyIndex: s.modified}}
	if st.maint.on {
		checks = append(checks, &api.HealthCheck{Node: node, CheckID: api.ServiceMaintPrefix + s.id, Name: "Service Maintenance Mode", Status: api.HealthCritical, Notes: st.maint.reason, ServiceID: s.id, ServiceName: s.name, CreateIndex: 1, ModifyIndex: s.modified})
	}
	return checks
}

const noReason = "Maintenance mode is enabled for this %s, but no reason was provided. This is a default message."

// problem is an answer other than 200.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

var errNoLeader = problem{http.StatusInternalServerError, "No cluster leader"}

// ServeHTTP is Consul's HTTP API, as far as it is needed. Which agent is asked is a matter of the connection.
func (c *consul) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := c.serve(w, r)
	var p problem
	switch {
	case errors.As(err, &p):
		http.Error(w, p.text, p.status)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case out != nil:
		w.Header().Set("Content-Type", "application/json")
		// A client that is gone needs no answer.
		_ = json.NewEncoder(w).Encode(out)
	}
}

func (c *consul) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return nil, problem{http.StatusNotFound, "page not found"}
	}
	agent := hostOf(r.Context())
	kind, rest, _ := strings.Cut(path, "/")
	q := r.URL.Query()
	if q.Has("filter") {
		return nil, problem{http.StatusBadRequest, "filter expressions are not simulated"}
	}
	switch kind {
	case "agent":
		return c.serveAgent(agent, rest, r)
	case "status":
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case rest == "leader" && c.leader:
			return "127.0.0.1:8300", nil
		case rest == "leader":
			return "", nil
		case rest == "peers":
			return []string{"127.0.0.1:8300"}, nil
		}
	case "catalog", "health", "kv", "txn":
		// An agent on a host that is cut off has lost the servers too.
		if agent != nil && !agent.wire.whole() {
			return nil, problem{http.StatusInternalServerError, "rpc error getting client: failed to get conn: rpc error: lead thread didn't get connection"}
		}
		c.mu.Lock()
		leader := c.leader
		c.mu.Unlock()
		write := r.Method != http.MethodGet
		if !leader && (write || !q.Has("stale")) {
			return nil, errNoLeader
		}
		if !write {
			if err := c.block(r); err != nil {
				return nil, err
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		w.Header().Set("X-Consul-Index", strconv.FormatUint(c.index, 10))
		w.Header().Set("X-Consul-Knownleader", strconv.FormatBool(leader))
		w.Header().Set("X-Consul-Lastcontact", "0")
		mode := "leader"
		switch {
		case q.Has("consistent"):
			mode = "consistent"
		case q.Has("stale"):
			mode = "stale"
		}
		w.Header().Set("X-Consul-Effective-Consistency", mode)
		if !write && mode != "consistent" {
			c.fleet.events.add(Call{Event: "read " + mode, Text: r.URL.Path})
		}
		switch kind {
		case "kv":
			return c.serveKV(w, rest, r)
		case "txn":
			return c.serveTxn(w, r)
		case "catalog":
			return c.serveCatalog(rest)
		}
		return c.serveHealth(rest, q)
	}
	return nil, problem{http.StatusNotFound, fmt.Sprintf("Invalid URL path: %s is not simulated", r.URL.Path)}
}

// block waits for a change after ?index, as a blocking query does; waking up for nothing is allowed.
func (c *consul) block(r *http.Request) error {
	q := r.URL.Query()
	if q.Get("index") == "" {
		return nil
	}
	index, err := strconv.ParseUint(q.Get("index"), 10, 64)
	if err != nil {
		return problem{http.StatusBadRequest, "Invalid index"}
	}
	wait := 5 * time.Minute
	if v := q.Get("wait"); v != "" {
		if wait, err = time.ParseDuration(v); err != nil {
			return problem{http.StatusBadRequest, "Invalid wait time"}
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c.mu.Lock()
		now, changed := c.index, c.changed
		c.mu.Unlock()
		if now > index || index == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

// serveAgent answers from what the agent itself knows; it needs no servers for that.
func (c *consul) serveAgent(h *host, path string, r *http.Request) (any, error) {
	name := serverNode
	if h != nil {
		name = h.name
	}
	q := r.URL.Query()
	if path == "self" {
		return map[string]map[string]any{
			"Config": {"Datacenter": "dc1", "NodeName": name, "Server": h == nil, "Version": "1.22.7"},
			"Member": {"Name": name, "Addr": "127.0.0.1", "Status": 1},
		}, nil
	}
	if h == nil {
		return nil, problem{http.StatusNotFound, "the simulated server has no services of its own"}
	}
	if service, ok := strings.CutPrefix(path, "service/maintenance/"); ok || path == "maintenance" {
		what := "service"
		if !ok {
			what = "node"
		}
		on, err := strconv.ParseBool(q.Get("enable"))
		switch {
		case r.Method != http.MethodPut:
			return nil, problem{http.StatusMethodNotAllowed, "method " + r.Method + " not allowed"}
		case !q.Has("enable"):
			return nil, problem{http.StatusBadRequest, "Missing value for enable"}
		case err != nil:
			return nil, problem{http.StatusBadRequest, fmt.Sprintf("Invalid value for enable: %q", q.Get("enable"))}
		}
		reason := q.Get("reason")
		if on && reason == "" {
			reason = fmt.Sprintf(noReason, what)
		}
		if err := c.maintain(h.name, service, on, reason, ByAgent); err != nil {
			return nil, problem{http.StatusNotFound, fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", service)}
		}
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byName[h.name]
	switch {
	case path == "services":
		out := map[string]*api.AgentService{}
		for _, s := range n.svcs {
			out[s.id] = s.agentService(h)
		}
		return out, nil
	case strings.HasPrefix(path, "service/"):
		if s := n.service(strings.TrimPrefix(path, "service/")); s != nil {
			return s.agentService(h), nil
		}
		return nil, problem{http.StatusNotFound, fmt.Sprintf("unknown service ID: %s", strings.TrimPrefix(path, "service/"))}
	case path == "checks":
		out := map[string]*api.AgentCheck{}
		checks := n.checks()[1:] // serfHealth is the servers' own
		for _, s := range n.svcs {
			local := s.local
			if time.Now().Before(n.blank) {
				local.maint = maintenance{}
			}
			checks = append(checks, s.checks(h.name, local)...)
		}
		for _, ch := range checks {
			out[ch.CheckID] = &api.AgentCheck{Node: ch.Node, CheckID: ch.CheckID, Name: ch.Name, Status: ch.Status, Notes: ch.Notes, Output: ch.Output, ServiceID: ch.ServiceID, ServiceName: ch.ServiceName}
		}
		return out, nil
	}
	return nil, problem{http.StatusNotFound, "Invalid URL path: /v1/agent/" + path + " is not simulated"}
}

func (s *consulService) agentService(h *host) *api.AgentService {
	return &api.AgentService{ID: s.id, Service: s.name, Address: h.ip, Port: s.port, Tags: []string{}, Meta: map[string]string{},
		Weights: api.AgentWeights{Passing: 1, Warning: 1}, Datacenter: "dc1", CreateIndex: 1, ModifyIndex: s.modified}
}

func (n *consulNode) apiNode() *api.Node {
	return &api.Node{ID: n.host.name, Node: n.host.name, Address: n.host.ip, Datacenter: "dc1", TaggedAddresses: map[string]string{}, Meta: map[string]string{}, CreateIndex: n.create, ModifyIndex: n.create}
}

func (c *consul) serveHealth(path string, q map[string][]string) (any, error) {
	kind, name, _ := strings.Cut(path, "/")
	_, onlyPassing := q["passing"]
	checks := api.HealthChecks{}
	switch kind {
	case "service":
		out := []*api.ServiceEntry{}
		for _, n := range c.nodes {
			for _, s := range n.svcs {
				if s.name != name {
					continue
				}
				e := &api.ServiceEntry{Node: n.apiNode(), Service: s.agentService(n.host), Checks: c.checks(n, s)}
				if !onlyPassing || worst(e.Checks) == api.HealthPassing {
					out = append(out, e)
				}
			}
		}
		return out, nil
	case "node", "state", "checks":
		for _, n := range c.nodes {
			all := n.checks()
			for _, s := range n.svcs {
				all = append(all, s.checks(n.host.name, s.seen)...)
			}
			for _, ch := range all {
				if kind == "node" && ch.Node == name || kind == "checks" && ch.ServiceName == name || kind == "state" && (name == api.HealthAny || ch.Status == name) {
					checks = append(checks, ch)
				}
			}
		}
		return checks, nil
	}
	return nil, problem{http.StatusNotFound, "Invalid URL path: /v1/health/" + path + " is not simulated"}
}

func (c *consul) serveCatalog(path string) (any, error) {
	kind, name, _ := strings.Cut(path, "/")
	switch kind {
	case "nodes":
		out := []*api.Node{}
		for _, n := range c.nodes {
			out = append(out, n.apiNode())
		}
		return out, nil
	case "services":
		out := map[string][]string{"consul": {}}
		for _, n := range c.nodes {
			for _, s := range n.svcs {
				out[s.name] = []string{}
			}
		}
		return out, nil
	case "service":
		out := []*api.CatalogService{}
		for _, n := range c.nodes {
			for _, s := range n.svcs {
				if s.name == name {
					out = append(out, &api.CatalogService{ID: n.host.name, Node: n.host.name, Address: n.host.ip, Datacenter: "dc1",
						ServiceID: s.id, ServiceName: s.name, ServiceAddress: n.host.ip, ServicePort: s.port, ServiceTags: []string{}, CreateIndex: 1, ModifyIndex: s.modified})
				}
			}
		}
		return out, nil
	case "node":
		n := c.byName[name]
		if n == nil {
			return json.RawMessage("null"), nil
		}
		out := &api.CatalogNode{Node: n.apiNode(), Services: map[string]*api.AgentService{}}
		for _, s := range n.svcs {
			out.Services[s.id] = s.agentService(n.host)
		}
		return out, nil
	}
	return nil, problem{http.StatusNotFound, "Invalid URL path: /v1/catalog/" + path + " is not simulated"}
}
