package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Consul's own limits.
const (
	maxValue  = 512 << 10
	maxTxnOps = 128
)

// serveKV answers /v1/kv. The caller holds c.mu.
func (c *consul) serveKV(w http.ResponseWriter, key string, r *http.Request) (any, error) {
	q := r.URL.Query()
	for _, p := range []string{"acquire", "release"} {
		if q.Has(p) {
			return nil, problem{http.StatusBadRequest, p + " is not simulated: there are no sessions"}
		}
	}
	var cas *uint64
	if q.Has("cas") {
		n, err := strconv.ParseUint(q.Get("cas"), 10, 64)
		if err != nil {
			return nil, problem{http.StatusBadRequest, "Invalid cas"}
		}
		cas = &n
	}
	if key == "" && r.Method != http.MethodGet {
		return nil, problem{http.StatusBadRequest, "Missing key name"}
	}
	switch r.Method {
	case http.MethodGet:
		pairs := c.pairs(key, q.Has("recurse") || q.Has("keys"))
		if len(pairs) == 0 {
			return nil, problem{http.StatusNotFound, ""}
		}
		if q.Has("keys") {
			return keys(pairs, key, q.Get("separator")), nil
		}
		if q.Has("raw") {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(pairs[0].Value) // a client that is gone needs no answer
			return nil, nil
		}
		return pairs, nil
	case http.MethodPut:
		value, err := io.ReadAll(io.LimitReader(r.Body, maxValue+1))
		if err != nil {
			return nil, err
		}
		if len(value) > maxValue {
			return nil, problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body(%d bytes) too large, max size: %d bytes.", len(value), maxValue)}
		}
		flags, _ := strconv.ParseUint(q.Get("flags"), 10, 64) // absent: 0
		if !c.casOK(key, cas) {
			return false, nil
		}
		c.set(&api.KVPair{Key: key, Value: value, Flags: flags}, c.bump())
		c.written()
		return true, nil
	case http.MethodDelete:
		if !c.casOK(key, cas) {
			return false, nil
		}
		for _, p := range c.pairs(key, q.Has("recurse")) {
			c.remove(p.Key)
		}
		c.bump()
		c.written()
		return true, nil
	}
	return nil, problem{http.StatusMethodNotAllowed, "method " + r.Method + " not allowed"}
}

// pairs are the one of this key or all that begin with it, in the order of their keys.
func (c *consul) pairs(key string, recurse bool) []*api.KVPair {
	var out []*api.KVPair
	for k, p := range c.kv {
		if k == key || recurse && strings.HasPrefix(k, key) {
			out = append(out, p)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

func keys(pairs []*api.KVPair, prefix, separator string) []string {
	out := []string{}
	for _, p := range pairs {
		k := p.Key
		if separator != "" {
			if i := strings.Index(k[len(prefix):], separator); i >= 0 {
				k = k[:len(prefix)+i+len(separator)]
			}
		}
		if len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

// casOK: 0 wants that the key is not there.
func (c *consul) casOK(key string, cas *uint64) bool {
	p := c.kv[key]
	switch {
	case cas == nil:
		return true
	case *cas == 0:
		return p == nil
	}
	return p != nil && p.ModifyIndex == *cas
}

func (c *consul) set(p *api.KVPair, index uint64) *api.KVPair {
	p.CreateIndex, p.ModifyIndex = index, index
	if old := c.kv[p.Key]; old != nil {
		p.CreateIndex = old.CreateIndex
	}
	c.kv[p.Key] = p
	c.writing = append(c.writing, Call{Event: "kv set", Text: p.Key, Value: string(p.Value[:min(len(p.Value), recordedValue)])})
	return p
}

func (c *consul) remove(key string) {
	was := c.kv[key].Value
	delete(c.kv, key)
	c.writing = append(c.writing, Call{Event: "kv delete", Text: key, Value: string(was[:min(len(was), recordedValue)])})
}

// written records what was written to KV: not before it counts.
func (c *consul) written() {
	for _, call := range c.writing {
		c.fleet.events.add(call)
	}
	c.writing = nil
}

// serveTxn answers /v1/txn: all operations or none. The caller holds c.mu.
func (c *consul) serveTxn(w http.ResponseWriter, r *http.Request) (any, error) {
	var ops api.TxnOps
	if err := json.NewDecoder(r.Body).Decode(&ops); err != nil {
		return nil, problem{http.StatusBadRequest, "Failed to parse body: " + err.Error()}
	}
	if len(ops) > maxTxnOps {
		return nil, problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("Transaction contains too many operations (%d > %d)", len(ops), maxTxnOps)}
	}
	before := make(map[string]*api.KVPair, len(c.kv))
	for k, p := range c.kv {
		before[k] = p
	}
	index := c.bump()
	out := &api.TxnResponse{Results: api.TxnResults{}}
	for i, op := range ops {
		if op.KV == nil {
			return nil, problem{http.StatusBadRequest, "only KV operations are simulated"}
		}
		results, err := c.txnOp(op.KV, index)
		if err != nil {
			out.Errors = append(out.Errors, &api.TxnError{OpIndex: i, What: err.Error()})
			continue
		}
		for _, p := range results {
			out.Results = append(out.Results, &api.TxnResult{KV: p})
		}
	}
	if len(out.Errors) > 0 {
		c.kv, c.writing = before, nil
		c.fleet.events.add(Call{Event: "kv transaction refused", Text: out.Errors[0].What})
		out.Results = nil
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
	}
	c.written()
	return out, nil
}

func (c *consul) txnOp(op *api.KVTxnOp, index uint64) ([]*api.KVPair, error) {
	bare := func(p *api.KVPair) []*api.KVPair {
		b := *p
		b.Value = nil
		return []*api.KVPair{&b}
	}
	stale := func(verb string) error { return fmt.Errorf("failed to %s key %q, index is stale", verb, op.Key) }
	p := c.kv[op.Key]
	pair := func() *api.KVPair { return &api.KVPair{Key: op.Key, Value: op.Value, Flags: op.Flags} }
	switch op.Verb {
	case api.KVSet:
		return bare(c.set(pair(), index)), nil
	case api.KVCAS:
		if !c.casOK(op.Key, &op.Index) {
			return nil, stale("set")
		}
		return bare(c.set(pair(), index)), nil
	case api.KVGet:
		if p == nil {
			return nil, fmt.Errorf("key %q doesn't exist", op.Key)
		}
		return []*api.KVPair{p}, nil
	case api.KVGetTree:
		return c.pairs(op.Key, true), nil
	case api.KVCheckIndex:
		if p == nil {
			return nil, fmt.Errorf("key %q doesn't exist", op.Key)
		}
		if p.ModifyIndex != op.Index {
			return nil, fmt.Errorf("current modify index %d does not match", p.ModifyIndex)
		}
		return bare(p), nil
	case api.KVCheckNotExists:
		if p != nil {
			return nil, fmt.Errorf("key %q exists", op.Key)
		}
		return nil, nil
	case api.KVDelete:
		if p != nil {
			c.remove(op.Key)
		}
		return nil, nil
	case api.KVDeleteCAS:
		if !c.casOK(op.Key, &op.Index) {
			return nil, stale("delete")
		}
		c.remove(op.Key)
		return nil, nil
	case api.KVDeleteTree:
		for _, p := range c.pairs(op.Key, true) {
			c.remove(p.Key)
		}
		return nil, nil
	}
	return nil, fmt.Errorf("verb %q is not simulated", op.Verb)
}
