package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Add puts runs into the record at the key, each once, by check-and-set, and prunes it.
func (c *Consul) Add(ctx context.Context, access activities.ConsulAccess, key string, runs []calendar.Run, now time.Time) error {
	return c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		for range rounds {
			was, index, err := took(ctx, client, key)
			if err != nil {
				return err
			}
			body, err := json.Marshal(was.With(runs, now))
			if err != nil {
				return err
			}
			written, _, err := client.KV().CAS(&api.KVPair{Key: rollout.TookRoot + key, Value: body, ModifyIndex: index}, (&api.WriteOptions{}).WithContext(ctx))
			if err != nil || written {
				return plain(err)
			}
		}
		return errRaced
	})
}

// Measured returns the record at the key; where there is none, an empty one.
func (c *Consul) Measured(ctx context.Context, access activities.ConsulAccess, key string) (r calendar.Record, err error) {
	err = c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		r, _, err = took(ctx, client, key)
		return err
	})
	return r, err
}

func took(ctx context.Context, client *api.Client, key string) (r calendar.Record, index uint64, err error) {
	pair, _, err := client.KV().Get(rollout.TookRoot+key, fresh(ctx))
	switch {
	case err != nil:
		return r, 0, plain(err)
	case pair == nil:
		return r, 0, nil
	}
	if err := json.Unmarshal(pair.Value, &r); err != nil {
		return r, 0, fmt.Errorf("the record %s in consul's KV cannot be read: %w; look at it with: consul kv get %s, and without what it says: consul kv delete %s", pair.Key, err, pair.Key, pair.Key)
	}
	return r, pair.ModifyIndex, nil
}
