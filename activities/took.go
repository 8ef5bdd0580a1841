package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// tookFor is how long the records of how long members took may keep anybody waiting.
const tookFor = 10 * time.Second

// took puts on record how long members of a cluster took: with its cluster, and with its platform. Done again, it changes nothing.
func (a *Activities) took(ctx context.Context, p plan.Part, in ClaimInput) error {
	if len(in.Took) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tookFor)
	defer cancel()
	byKey := map[string][]calendar.Run{}
	for _, t := range in.Took {
		run := calendar.Run{Instance: in.Instance, Cluster: p.Cluster.Name, Host: t.Host, Platform: t.Platform, At: t.Took.At.UTC(), Backout: t.Backout, Steps: map[string]int64{}}
		for _, s := range t.Took.Steps() {
			run.Steps[string(s.Step)] = s.Milli
		}
		for _, key := range []string{tookByCluster(p), tookByPlatform(t.Platform)} {
			byKey[key] = append(byKey[key], run)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if err := a.Took.Add(ctx, consulOf(p, p.Cluster.Consul, ""), key, byKey[key], a.Now().UTC()); err != nil {
			a.warn("how long members took is not on record", p, err)
			return err
		}
	}
	return nil
}

func tookByCluster(p plan.Part) string { return rollout.TookCluster + p.Cluster.Name }

// tookByPlatform is a platform in a key: what a host says of itself may hold anything.
func tookByPlatform(platform string) string {
	return rollout.TookPlatform + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, platform)
}

// estimate is how long a member needs, by what was measured of its cluster, else of its platform. platform may be empty: then it is the one
// that the host had last, or that the plan knows. Where nothing can be read, the file's figures count.
func (a *Activities) estimate(ctx context.Context, p plan.Part, host, platform string) calendar.Estimate {
	return a.estimateBy(ctx, a.Took.Measured, p, host, platform)
}

func (a *Activities) estimateBy(ctx context.Context, read readsTook, p plan.Part, host, platform string) calendar.Estimate {
	own, cancel := context.WithTimeout(ctx, tookFor)
	defer cancel()
	e, err := measured(own, read, p, host, platform)
	if err != nil {
		a.warn("how long members took is not known: the file's estimate counts", p, err)
		return calendar.OfFile(p.Estimate(), "what was measured cannot be read: "+short(err.Error()))
	}
	return e
}

// readsTook reads a record of how long members took.
type readsTook func(ctx context.Context, c ConsulAccess, key string) (calendar.Record, error)

// tookOnce reads each record once for a whole batch.
func tookOnce(ctx context.Context, read readsTook) readsTook {
	var mu sync.Mutex
	known := map[string]func() (calendar.Record, error){}
	return func(_ context.Context, c ConsulAccess, key string) (calendar.Record, error) {
		at := plan.Digest(c.Consul) + " " + key
		mu.Lock()
		one, ok := known[at]
		if !ok {
			one = sync.OnceValues(func() (calendar.Record, error) {
				own, cancel := context.WithTimeout(ctx, tookFor) // whoever asks first is not the only one who wants to know
				defer cancel()
				return read(own, c, key)
			})
			known[at] = one
		}
		mu.Unlock()
		return one()
	}
}

func measured(ctx context.Context, read readsTook, p plan.Part, host, platform string) (calendar.Estimate, error) {
	access := consulOf(p, p.Cluster.Consul, host)
	own, err := read(ctx, access, tookByCluster(p))
	if err != nil {
		return calendar.Estimate{}, err
	}
	if platform == "" {
		platform = own.Platform(host)
	}
	if platform == "" && p.Planned != nil && len(p.Planned.Platforms) == 1 {
		platform = p.Planned.Platforms[0].String()
	}
	if platform == "" {
		return calendar.Measure(p.Estimate()), nil
	}
	all, err := read(ctx, access, tookByPlatform(platform))
	if err != nil {
		return calendar.Estimate{}, err
	}
	return calendar.Measure(p.Estimate(),
		calendar.Scope{Of: fmt.Sprintf("%s of cluster %s", platform, p.Cluster.Name), Runs: own.On(platform)},
		calendar.Scope{Of: platform, Runs: all.On(platform)}), nil
}

func (a *Activities) warn(what string, p plan.Part, err error) {
	if a.Log != nil {
		a.Log.Warn(what, zap.String("cluster", p.Cluster.Name), zap.Error(err))
	}
}
