package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/rollout"
	"github.com/rollpatch/rollpatch/workflows/staging"
)

// stagedKey is where the n-th record of an instance's cluster stands. Most have one.
func stagedKey(r staging.Record, n int) string {
	key := rollout.StagedRoot + r.Stage + "/" + r.Cluster + "/" + r.Instance
	if n > 0 {
		key = fmt.Sprintf("%s/%d", key, n+1)
	}
	return key
}

// Keep puts the records of one cluster there; one that stands already stays as it is. Those of this stage and cluster from before forget go.
func (c *Consul) Keep(ctx context.Context, access activities.ConsulAccess, records []staging.Record, forget time.Time) error {
	for _, r := range records {
		if r.Stage == "" || r.Cluster == "" || r.Instance == "" {
			return fmt.Errorf("record of what finished: stage %q, cluster %q, instance %q: one of them is missing", r.Stage, r.Cluster, r.Instance)
		}
	}
	return c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		for n, r := range records {
			body, err := json.Marshal(r)
			if err != nil {
				return err
			}
			// Index 0: only where nothing stands. What another attempt wrote says the same.
			if _, _, err := client.KV().CAS(&api.KVPair{Key: stagedKey(r, n), Value: body}, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
				return plain(err)
			}
		}
		if len(records) == 0 {
			return nil
		}
		pairs, _, err := client.KV().List(rollout.StagedRoot+records[0].Stage+"/"+records[0].Cluster+"/", fresh(ctx))
		if err != nil {
			return plain(err)
		}
		for _, pair := range pairs {
			old, err := parseStaged(pair)
			if err != nil || !old.At.Before(forget) {
				continue // what cannot be read is told to who needs it
			}
			if _, _, err := client.KV().DeleteCAS(pair, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
				return plain(err)
			}
		}
		return nil
	})
}

// Kept returns every record of a stage. One that cannot be read is an error: nobody knows what it says.
func (c *Consul) Kept(ctx context.Context, access activities.ConsulAccess, stage string) (records []staging.Record, err error) {
	err = c.asks(ctx, access, func(ctx context.Context, client *api.Client) error {
		pairs, meta, err := client.KV().List(rollout.StagedRoot+stage+"/", fresh(ctx))
		if err == nil {
			err = complete(meta, access.Consul.Token, len(pairs) == 0)
		}
		if err != nil {
			return plain(err)
		}
		records = nil
		var broken []error
		for _, pair := range pairs {
			r, err := parseStaged(pair)
			if err != nil {
				broken = append(broken, err)
				continue
			}
			records = append(records, r)
		}
		return errors.Join(broken...)
	})
	if err != nil {
		return nil, fmt.Errorf("records below %s: %w", rollout.StagedRoot+stage+"/", err)
	}
	return records, nil
}

// parseStaged reads a record. The stage and the cluster at which it stands count.
func parseStaged(pair *api.KVPair) (staging.Record, error) {
	var r staging.Record
	unreadable := func(why string) error {
		return fmt.Errorf("the record %s in consul's KV cannot be read: %s; look at it with: consul kv get %s, and without what it says: consul kv delete %s", pair.Key, why, pair.Key, pair.Key)
	}
	if err := json.Unmarshal(pair.Value, &r); err != nil {
		return r, unreadable(err.Error())
	}
	at := strings.SplitN(strings.TrimPrefix(pair.Key, rollout.StagedRoot), "/", 3)
	if len(at) < 3 || r.At.IsZero() || r.OS == "" {
		return r, unreadable("it names no cluster, time or platform")
	}
	r.Stage, r.Cluster = at[0], at[1]
	return r, nil
}
