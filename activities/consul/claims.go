package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const (
	// root is where records stand in KV.
	root = rollout.RecordsRoot
	// most is how many operations Consul takes in one transaction.
	most = 64
	// rounds bounds how often a transaction that lost a race is tried on what stands there now.
	rounds = 5
)

// errRaced is a transaction that another one came before.
var errRaced = errors.New("the records change faster than they can be read")

// Take writes all records or none, in one transaction. What the owner has already stays as it was written first. Where it adopts, what others
// left becomes its own, as long as the record that it adopts by is.
func (c *Consul) Take(ctx context.Context, access activities.ConsulAccess, claims []activities.Claim) (held []activities.Claim, err error) {
	if err := takable(claims); err != nil {
		return nil, err
	}
	err = c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		for range rounds {
			var ops api.TxnOps
			var done bool
			if ops, held, done, err = plan(ctx, client, claims); err != nil || done {
				return err
			}
			if done, err := commit(ctx, client, ops); err != nil || done {
				return err
			}
		}
		return errRaced
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// plan reads what stands at the keys, and says what is to write. done: there is nothing to write, or others hold some.
func plan(ctx context.Context, client *api.Client, claims []activities.Claim) (ops api.TxnOps, held []activities.Claim, done bool, err error) {
	done = true
	locks := map[string]uint64{} // what an adopter has to have, and its index
	for _, want := range claims {
		now, index, err := get(ctx, client, want.Key)
		switch {
		case err != nil:
			return nil, nil, false, err
		case index == 0:
			body, err := json.Marshal(want)
			if err != nil {
				return nil, nil, false, err
			}
			ops, done = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: root + want.Key, Value: body}}), false
		case now.By() == want.By():
			// Part of the transaction, since all or none means at one instant.
			ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCheckIndex, Key: root + want.Key, Index: index}})
		case now.Yields != "" && want.Emergency:
			body, err := json.Marshal(want)
			if err != nil {
				return nil, nil, false, err
			}
			ops, done = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: root + want.Key, Value: body, Index: index}}), false
		case want.Adopts != "":
			if _, known := locks[want.Adopts]; !known {
				lock, at, err := get(ctx, client, want.Adopts)
				if err != nil {
					return nil, nil, false, err
				}
				if at == 0 || lock.By() != want.By() {
					at = 0
				} else {
					ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCheckIndex, Key: root + want.Adopts, Index: at}})
				}
				locks[want.Adopts] = at
			}
			if locks[want.Adopts] == 0 {
				held = append(held, now)
				continue
			}
			body, err := json.Marshal(want.Adopted(now))
			if err != nil {
				return nil, nil, false, err
			}
			ops, done = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: root + want.Key, Value: body, Index: index}}), false
		default:
			held = append(held, now)
		}
	}
	return ops, held, done || len(held) > 0, nil
}

// Release removes the owner's records at the keys. Records of others and keys without one are left alone.
func (c *Consul) Release(ctx context.Context, access activities.ConsulAccess, owner activities.Owner, keys []string) error {
	if owner.Instance == "" {
		return errors.New("release: no owner is named")
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	for part := range slices.Chunk(keys, most) {
		if err := c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
			for range rounds {
				var ops api.TxnOps
				for _, key := range part {
					now, index, err := get(ctx, client, key)
					if err != nil {
						return err
					}
					if index != 0 && now.By() == owner {
						ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVDeleteCAS, Key: root + key, Index: index}})
					}
				}
				if len(ops) == 0 {
					return nil
				}
				if done, err := commit(ctx, client, ops); err != nil || done {
					return err
				}
			}
			return errRaced
		}); err != nil {
			return err
		}
	}
	return nil
}

// Yield writes on the owner's records that an emergency may take them. What was taken is not in left.
func (c *Consul) Yield(ctx context.Context, access activities.ConsulAccess, owner activities.Owner, keys []string, to string) (left []string, err error) {
	if owner.Instance == "" {
		return nil, errors.New("yield: no owner is named")
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	if len(keys) > most {
		return nil, fmt.Errorf("yield: %d records are more than the %d that consul takes in one transaction", len(keys), most)
	}
	err = c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		for range rounds {
			var ops api.TxnOps
			left = nil
			for _, key := range keys {
				now, index, err := get(ctx, client, key)
				switch {
				case err != nil:
					return err
				case index == 0 || now.By() != owner:
					continue
				}
				if left = append(left, key); now.Yields != "" {
					continue
				}
				now.Yields = to
				body, err := json.Marshal(now)
				if err != nil {
					return err
				}
				ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: root + key, Value: body, Index: index}})
			}
			if len(ops) == 0 {
				return nil
			}
			if done, err := commit(ctx, client, ops); err != nil || done {
				return err
			}
		}
		return errRaced
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// List returns the records whose keys begin with the prefix, by key. Those that cannot be read are an error that names them, and keep nobody
// from the others.
func (c *Consul) List(ctx context.Context, access activities.ConsulAccess, prefix string) ([]activities.Claim, error) {
	var found, broken []activities.Claim
	err := c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		pairs, meta, err := client.KV().List(root+prefix, fresh(ctx))
		if err == nil {
			err = complete(meta, access.Consul.Token, len(pairs) == 0)
		}
		if err != nil {
			return plain(err)
		}
		found, broken = nil, nil
		for _, pair := range pairs {
			claim, err := parse(pair)
			if err != nil {
				broken = append(broken, activities.Claim{Key: strings.TrimPrefix(pair.Key, root), Broken: err.Error()})
				continue
			}
			found = append(found, claim)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("records below %s: %w", root+prefix, err)
	}
	slices.SortFunc(found, func(a, b activities.Claim) int { return cmp.Compare(a.Key, b.Key) })
	if len(broken) > 0 {
		return found, &activities.UnreadableError{Records: broken}
	}
	return found, nil
}

// get reads one record; index is 0 where there is none.
func get(ctx context.Context, client *api.Client, key string) (claim activities.Claim, index uint64, err error) {
	pair, _, err := client.KV().Get(root+key, fresh(ctx))
	switch {
	case err != nil:
		return claim, 0, plain(err)
	case pair == nil:
		return claim, 0, nil
	}
	claim, err = parse(pair)
	return claim, pair.ModifyIndex, err
}

// parse reads a record. The key it stands at counts, not the one it says.
func parse(pair *api.KVPair) (activities.Claim, error) {
	var claim activities.Claim
	if err := json.Unmarshal(pair.Value, &claim); err != nil {
		return claim, unreadable(pair.Key, err.Error())
	}
	if claim.Owner == "" {
		return claim, unreadable(pair.Key, "it names no owner")
	}
	claim.Key = strings.TrimPrefix(pair.Key, root)
	return claim, nil
}

// unreadable says of a record that it cannot be read, and what may be typed.
func unreadable(key, why string) error {
	return fmt.Errorf("the record %s in consul's KV cannot be read, nobody knows whose it is: %s; look at it with: consul kv get %s, and once you know that nobody needs it: consul kv delete %s", key, why, key, key)
}

// commit runs the operations in one transaction. done is false when what they were planned on has changed.
func commit(ctx context.Context, client *api.Client, ops api.TxnOps) (done bool, err error) {
	done, _, _, err = client.Txn().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	return done, plain(err)
}

func takable(claims []activities.Claim) error {
	if len(claims) > most {
		return fmt.Errorf("claim %s: %d records are more than the %d that consul takes in one transaction", keysOf(claims), len(claims), most)
	}
	seen := map[string]bool{}
	for _, claim := range claims {
		switch {
		case claim.Key == "" || strings.HasPrefix(claim.Key, "/"):
			return fmt.Errorf("claim %q: this is no key, want one such as cluster/web", claim.Key)
		case claim.Owner == "":
			return fmt.Errorf("claim %q: no owner is named", claim.Key)
		case seen[claim.Key]:
			return fmt.Errorf("claim %q: named twice", claim.Key)
		}
		seen[claim.Key] = true
	}
	return nil
}

func keysOf(claims []activities.Claim) string {
	keys := make([]string, len(claims))
	for i, claim := range claims {
		keys[i] = claim.Key
	}
	return strings.Join(keys, ", ")
}
