package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// registry is the lab's Consul, asked as a load balancer asks it.
type registry struct{ address string }

// list names the nodes of a service and the index of the answer. With an index it waits for a change since then.
func (r registry) list(ctx context.Context, service string, passing bool, index string) (nodes []string, now string, err error) {
	q := url.Values{}
	if passing {
		q.Set("passing", "1")
	}
	if index != "" {
		q.Set("index", index)
		q.Set("wait", "10s")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/v1/health/service/"+service+"?"+q.Encode(), nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("consul service %q: %s", service, resp.Status)
	}
	var entries []struct{ Node struct{ Node string } }
	if err := json.NewDecoder(resp.Body).Decode(&entries); err != nil {
		return nil, "", fmt.Errorf("consul service %q: %w", service, err)
	}
	for _, e := range entries {
		nodes = append(nodes, e.Node.Node)
	}
	return nodes, resp.Header.Get("X-Consul-Index"), nil
}

// members names all hosts that offer a service, passing or not.
func (r registry) members(ctx context.Context, service string) ([]string, error) {
	nodes, _, err := r.list(ctx, service, false, "")
	slices.Sort(nodes)
	return nodes, err
}

// outages adds up how long each host was not listed as passing.
type outages struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu    sync.Mutex
	total map[string]time.Duration
	since map[string]time.Time // of those that are out right now
}

// watch follows the services of some clusters until it is stopped.
func watch(ctx context.Context, r registry, clusters []cluster) *outages {
	ctx, cancel := context.WithCancel(ctx)
	o := &outages{cancel: cancel, total: map[string]time.Duration{}, since: map[string]time.Time{}}
	for _, c := range clusters {
		o.all.Go(func() { o.follow(ctx, r, c.service) })
	}
	return o
}

func (o *outages) follow(ctx context.Context, r registry, service string) {
	var known []string
	index := ""
	for ctx.Err() == nil {
		passing, now, err := r.list(ctx, service, true, index)
		if err != nil {
			// Consul itself is away: nothing was heard, and nothing is made up.
			index = ""
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		index = now
		o.heard(known, passing, time.Now())
		for _, n := range passing {
			if !slices.Contains(known, n) {
				known = append(known, n)
			}
		}
	}
}

// heard takes one answer in.
func (o *outages) heard(known, passing []string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range known {
		since, out := o.since[n]
		switch in := slices.Contains(passing, n); {
		case in && out:
			o.total[n] += now.Sub(since)
			delete(o.since, n)
		case !in && !out:
			o.since[n] = now
		}
	}
}

// stop ends the watching. Who is out still has been so until now.
func (o *outages) stop() map[string]time.Duration {
	o.cancel()
	o.all.Wait()
	now := time.Now()
	for n, since := range o.since {
		o.total[n] += now.Sub(since)
	}
	return o.total
}
