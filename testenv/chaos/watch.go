package chaos

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// watch is the record of a lab of real hosts: what each wrote down itself, what the lab did to it, what Consul's servers said, and
// whether its page was there. It asks the servers past every host, so that no agent's word counts.
type watch struct {
	lab     *testenv.Lab
	consul  *api.Client
	from    time.Time
	stop    context.CancelFunc
	ended   sync.WaitGroup
	servers servers // only the goroutine that asks them touches it

	mu     sync.Mutex
	own    []oracle.Event
	byHand map[string]bool // maintenance that a person is about to remove: host/service
}

// looked is how often the servers and the pages are asked.
const looked = 100 * time.Millisecond

// servers is what Consul's servers say.
type servers struct {
	maintenance map[string]string // host/service, "" as service is the node: reason
	listed      map[string]bool   // host/service
	records     map[string]string // key: value
}

func newWatch(lab *testenv.Lab) (*watch, error) {
	c, err := api.NewClient(&api.Config{Address: lab.ConsulAddr()})
	return &watch{lab: lab, consul: c, stop: func() {}}, err
}

// begin watches a lab that is like new, from now on.
func (w *watch) begin(ctx context.Context) error {
	w.end()
	for _, h := range w.lab.Hosts() {
		if _, err := w.lab.Exec(ctx, h.Name, "sh", "-c", installTracer, "sh", tracer); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.from, w.own, w.byHand = time.Now(), nil, map[string]bool{}
	w.mu.Unlock()
	w.servers = servers{listed: map[string]bool{}}
	for _, h := range w.lab.Hosts() {
		w.servers.listed[h.Name+"/"+h.Service] = true
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.ended.Go(func() { steadily(ctx, w.ask) })
	for _, h := range w.lab.Hosts() {
		if h.Cluster == clusters()[0].Name {
			up := true
			w.ended.Go(func() { steadily(ctx, func(ctx context.Context) { up = w.page(ctx, h, up) }) })
		}
	}
	return nil
}

// end stops watching; what was seen stays.
func (w *watch) end() {
	w.stop()
	w.ended.Wait()
}

func steadily(ctx context.Context, do func(context.Context)) {
	tick := time.NewTicker(looked)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

func (w *watch) note(e oracle.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.Time = time.Now()
	w.own = append(w.own, e)
}

// hand says that a person is about to remove the maintenance of a service.
func (w *watch) hand(host, service string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byHand[host+"/"+service] = true
}

// page asks a host itself whether its service works.
func (w *watch) page(ctx context.Context, h testenv.Host, was bool) (up bool) {
	asked, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(asked, http.MethodGet, "http://"+h.Address+"/", nil)
	if err != nil {
		panic(err) // an address of the lab
	}
	resp, err := pages.Do(req)
	if err == nil {
		said, readErr := io.ReadAll(resp.Body)
		resp.Body.Close()
		up = readErr == nil && resp.StatusCode == http.StatusOK && bytes.Contains(said, []byte("lab-web"))
	}
	if ctx.Err() != nil {
		return was
	}
	if up != was {
		w.note(oracle.Event{Kind: map[bool]oracle.Kind{true: oracle.Up, false: oracle.Down}[up], Host: h.Name, Service: h.Service})
	}
	return up
}

// pages keeps no connection: one that is open already says nothing of whether a new one would be served.
var pages = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask notes what has changed on the servers. A record is written before what it is about is done, so the checks are asked first: whose
// maintenance is seen has its record seen in the same round. What is removed is noted in the order in which it is done.
func (w *watch) ask(ctx context.Context) {
	strict := (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
	checks, _, err := w.consul.Health().State(api.HealthAny, strict)
	if err != nil {
		return // the servers are away: what they know shows when they are back
	}
	pairs, _, err := w.consul.KV().List(claims, strict)
	if err != nil {
		return
	}
	now := summed(checks, pairs)
	w.mu.Lock()
	calls := changes(w.servers, now, w.byHand)
	w.mu.Unlock()
	w.servers = now
	for _, e := range events(calls) {
		w.note(e)
	}
}

// summed is what an answer of the servers adds up to.
func summed(checks api.HealthChecks, pairs api.KVPairs) servers {
	now := servers{maintenance: map[string]string{}, listed: map[string]bool{}, records: map[string]string{}}
	for _, p := range pairs {
		now.records[p.Key] = string(p.Value)
	}
	ill := map[string]bool{} // host/service, or host/ for all of them
	for _, c := range checks {
		service, ofService := strings.CutPrefix(c.CheckID, "_service_maintenance:")
		switch {
		case ofService:
			now.maintenance[c.Node+"/"+service] = c.Notes
		case c.CheckID == "_node_maintenance":
			now.maintenance[c.Node+"/"] = c.Notes
		case c.ServiceName != "":
			now.listed[c.Node+"/"+c.ServiceName] = true
		}
		if c.Status != api.HealthPassing {
			ill[c.Node+"/"+c.ServiceName] = true
		}
	}
	for at := range now.listed {
		host, _, _ := strings.Cut(at, "/")
		if ill[at] || ill[host+"/"] {
			delete(now.listed, at)
		}
	}
	return now
}

// changes are what differs between two answers, in the order in which it is done: a record, maintenance, what follows from it, and the
// end of a record. Maintenance of byHand was removed by a person.
func changes(was, now servers, byHand map[string]bool) (calls []sim.Call) {
	add := func(event, host, text, value, by string) {
		calls = append(calls, sim.Call{Event: event, Host: host, Text: text, Value: value, By: by})
	}
	of := func(at string) (host, service, kind string) {
		host, service, _ = strings.Cut(at, "/")
		if service == "" {
			return host, "", "node maintenance"
		}
		return host, service, "service maintenance"
	}
	for _, key := range sorted(now.records) {
		value, known := was.records[key]
		if known && owner(value) != owner(now.records[key]) {
			add("kv delete", "", key, value, "") // the next one had it before we looked again
		}
		if !known || value != now.records[key] {
			add("kv set", "", key, now.records[key], "")
		}
	}
	for _, at := range sorted(was.maintenance) {
		host, service, kind := of(at)
		by := sim.ByAgent
		if byHand[at] {
			by = sim.ByHand
		}
		if reason, still := now.maintenance[at]; !still || reason != was.maintenance[at] {
			add(kind+" off", host, was.maintenance[at], service, by)
		}
	}
	for _, at := range sorted(now.maintenance) {
		host, service, kind := of(at)
		if reason, already := was.maintenance[at]; !already || reason != now.maintenance[at] {
			add(kind+" on", host, now.maintenance[at], service, "")
		}
	}
	for _, at := range sorted(now.listed) {
		if host, service, _ := of(at); !was.listed[at] {
			add("listed", host, service, "", "")
		}
	}
	for _, at := range sorted(was.listed) {
		if host, service, _ := of(at); !now.listed[at] {
			add("unlisted", host, service, "", "")
		}
	}
	for _, key := range sorted(was.records) {
		if _, still := now.records[key]; !still {
			add("kv delete", "", key, was.records[key], "")
		}
	}
	return calls
}

// maintenance is what the servers hold the services of a host in, by service.
func (w *watch) maintenance(ctx context.Context, host string) (map[string]string, error) {
	checks, _, err := w.consul.Health().State(api.HealthAny, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for at, reason := range summed(checks, nil).maintenance {
		if name, service, _ := strings.Cut(at, "/"); name == host {
			all[service] = reason
		}
	}
	return all, nil
}

// lines are what the hosts wrote down, and what the lab says of them.
func (w *watch) lines() (all []trace) {
	w.mu.Lock()
	from := w.from
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, h := range w.lab.Hosts() {
		if raw, err := w.lab.ReadFile(ctx, h.Name, traceFile); err == nil { // there is none yet
			all = append(all, traces(h.Name, string(raw))...)
		}
	}
	if did, err := w.lab.Events(); err == nil {
		all = append(all, labTraces(did, from)...)
	}
	return all
}

// log is all that happened since begin.
func (w *watch) log() []oracle.Event {
	lines := w.lines()
	w.mu.Lock()
	log := append(hostEvents(lines), w.own...)
	w.mu.Unlock()
	slices.SortStableFunc(log, func(a, b oracle.Event) int { return a.Time.Compare(b.Time) })
	return log
}
