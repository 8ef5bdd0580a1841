package activities

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// UpdatersInput turns the automatic updates of a cluster's members off, or back to what they were.
type UpdatersInput struct {
	ClaimInput
	Off bool `json:"off,omitempty"`
	// Turn grows with each time that the cluster asks: what comes late is refused by the hosts.
	Turn int `json:"turn"`
	// Leave are members that are not waited for. What cannot be brought back there stays on record.
	Leave []string `json:"leave,omitempty"`
}

// RestoreInput brings back what an instance left off that nobody works for any more.
type RestoreInput struct {
	Part   string      `json:"part"` // where the record stands
	Key    string      `json:"key"`
	Owner  Owner       `json:"owner"`
	Intent audit.Entry `json:"intent"`
}

const (
	// updatersWithin bounds one host's answer.
	updatersWithin = time.Minute
	// updatersWait is how many seconds a host waits for an update that goes on. Then it is asked again.
	updatersWait = 20
	// updatersAtOnce bounds how many hosts are asked at a time.
	updatersAtOnce = 8
	// lastTurn comes after every turn of a cluster's workflow.
	lastTurn = 1 << 30
)

func updatersKey(cluster, host string) string { return rollout.UpdaterRecord + cluster + "/" + host }

// Updaters turns them off on every member of the cluster that is not in quarantine, or brings them back where this instance has them off. A
// record in Consul comes first and goes last, so that nobody's are forgotten.
func (a *Activities) Updaters(ctx context.Context, in UpdatersInput) (ClaimResult, error) {
	named := func(ctx context.Context, p plan.Part, do func(context.Context) (string, string, error)) (audit.Head, error) {
		return a.auditedOn(ctx, in.Intent, p.Cluster.Members, do)
	}
	return a.claimsBy(ctx, in.ClaimInput, named, func(ctx context.Context, p plan.Part, r *ClaimResult) error {
		access := consulOf(p, p.Cluster.Consul, "")
		if in.Off {
			return a.updatersOff(ctx, in, p, access, r)
		}
		return a.updatersOn(ctx, in, p, access, r)
	})
}

func (a *Activities) updatersOff(ctx context.Context, in UpdatersInput, p plan.Part, access ConsulAccess, r *ClaimResult) error {
	me, err := a.owner(ctx, in.Instance)
	if err != nil {
		return err
	}
	shut, err := a.Claims.List(ctx, access, rollout.QuarantineRecord)
	if err != nil {
		return err
	}
	var hosts []string
	var records []Claim
	for _, name := range p.Cluster.Members {
		if slices.ContainsFunc(shut, func(c Claim) bool { return c.Key == quarantineKey(name) }) {
			continue // it is not touched
		}
		hosts = append(hosts, name)
		records = append(records, Claim{
			Key: updatersKey(p.Cluster.Name, name), Owner: in.Instance, Since: in.Intent.Time, Server: me.Server, Plan: in.Plan,
			Reason: "automatic updates are off while cluster " + p.Cluster.Name + " is patched",
			Adopts: clusterKey(p.Cluster.Name), // whoever had them off, and could not bring them back, has the cluster no more
		})
	}
	var who []string
	for some := range slices.Chunk(records, 50) { // a transaction in Consul's KV has its limit
		held, err := a.Claims.Take(ctx, access, some)
		if err != nil {
			return err
		}
		for _, h := range held {
			who = append(who, fmt.Sprintf("automatic updates: %s is %s's since %s", h.Key, me.name(h), h.Since.UTC().Format("2006-01-02 15:04")))
		}
	}
	if len(who) > 0 { // nobody waits for that without end, as for a claim: who has the claim adopts it
		r.Reason = clip("the claim of cluster " + p.Cluster.Name + " is not ours any more, and others have turned them off: " + strings.Join(who, "; "))
		return nil
	}
	if r.Reason, err = a.adopted(ctx, in, p, access, hosts); err != nil {
		return err
	}
	failed := a.turn(ctx, in, p, hosts, nil)
	had := a.had(ctx, in, hosts, failed)
	if r.OK = len(failed) == 0; !r.OK {
		r.Reason = clip("automatic updates cannot be turned off on " + listFailed(failed))
		return ctx.Err()
	}
	r.Before, err = a.save(ctx, had)
	return err
}

func (a *Activities) updatersOn(ctx context.Context, in UpdatersInput, p plan.Part, access ConsulAccess, r *ClaimResult) error {
	me, err := a.owner(ctx, in.Instance)
	if err != nil {
		return err
	}
	records, err := a.Claims.List(ctx, access, rollout.UpdaterRecord+p.Cluster.Name+"/")
	if err != nil {
		return err
	}
	var hosts, back []string
	had := map[string][]string{}
	for _, name := range p.Cluster.Members {
		if c, ok := at(records, updatersKey(p.Cluster.Name, name)); ok && c.By() == me {
			hosts, had[name] = append(hosts, name), c.Former()
		}
	}
	failed := a.turn(ctx, in, p, hosts, had)
	r.OK = true
	for _, name := range hosts {
		if _, bad := failed[name]; !bad {
			back = append(back, updatersKey(p.Cluster.Name, name))
		} else if !slices.Contains(in.Leave, name) {
			r.OK = false
		}
	}
	if err := a.Claims.Release(ctx, access, me, back); err != nil {
		return err
	}
	if len(failed) > 0 {
		r.Reason = clip("they are still off on " + listFailed(failed))
	}
	return ctx.Err()
}

// adopted says whose updaters are off on which hosts since before this instance, and are brought back together with its own.
func (a *Activities) adopted(ctx context.Context, in UpdatersInput, p plan.Part, access ConsulAccess, hosts []string) (string, error) {
	records, err := a.Claims.List(ctx, access, rollout.UpdaterRecord+p.Cluster.Name+"/")
	if err != nil {
		return "", err
	}
	var who []string
	for _, name := range hosts {
		if c, ok := at(records, updatersKey(p.Cluster.Name, name)); ok && c.Owner == in.Instance && c.Had != "" {
			who = append(who, name+" from "+strings.Join(c.Former(), ", "))
		}
	}
	if len(who) == 0 {
		return "", nil
	}
	return clip("taken over: " + strings.Join(who, "; ")), nil
}

// turn asks the hosts; it says why, of those where it is not done. What others had off there comes back first: had.
func (a *Activities) turn(ctx context.Context, in UpdatersInput, p plan.Part, hosts []string, had map[string][]string) map[string]error {
	var mu sync.Mutex
	failed := map[string]error{}
	onEach(hosts, updatersAtOnce, func(name string) {
		err := a.endFormer(ctx, in.Part, p.Cluster.Name, name, had[name])
		if err == nil {
			err = a.turnOne(ctx, in.Part, p.Cluster.Name, in.Instance, name, in.Off, in.Turn)
		}
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed[name] = err
		}
	})
	return failed
}

// had reads the packages of the hosts that nobody else changes any more. What cannot be read is as if it could not be turned off.
func (a *Activities) had(ctx context.Context, in UpdatersInput, hosts []string, failed map[string]error) map[string]map[string]string {
	var mu sync.Mutex
	had := map[string]map[string]string{}
	onEach(hosts, updatersAtOnce, func(name string) {
		s, err := a.scene(ctx, in.Part, name)
		if err != nil || failed[name] != nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, updatersWithin)
		defer cancel()
		f, _, err := a.facts(ctx, s)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed[name] = err
			return
		}
		had[name] = f.Versions
	})
	return had
}

// onEach does the work for every host, for so many of them at a time.
func onEach(hosts []string, atOnce int, work func(name string)) {
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, name := range hosts {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			work(name)
		})
	}
	all.Wait()
}

// otherHand says which packages of the manifest somebody else has changed on the host since automatic updates were turned off, or "".
func (a *Activities) otherHand(ctx context.Context, in StepInput, m Manifest, f facts) (string, error) {
	if in.Before == "" {
		return "", nil
	}
	var all map[string]map[string]string
	if err := a.load(ctx, in.Before, &all); err != nil {
		return "", err
	}
	had, known := all[in.Host]
	if !known { // it was in quarantine
		return "", nil
	}
	var changed []string
	for _, c := range m.Changes {
		if was, is := had[c.Name], f.Versions[c.Name]; was != is {
			changed = append(changed, fmt.Sprintf("%s from %s to %s", c.Name, dash(was), dash(is)))
		}
	}
	if len(changed) == 0 {
		return "", nil
	}
	const most = 5
	if more := len(changed) - most; more > 0 {
		changed = append(changed[:most], fmt.Sprintf("and %d more", more))
	}
	return "somebody else has changed it since its cluster began: " + strings.Join(changed, ", ") + ": find out who; a retry goes on from what it has now", nil
}

func (a *Activities) turnOne(ctx context.Context, part, cluster, instance, host string, off bool, turn int) error {
	ctx, cancel := context.WithTimeout(ctx, updatersWithin)
	defer cancel()
	s, err := a.scene(ctx, part, host)
	if err != nil {
		return err
	}
	osID, err := a.osID(ctx, s)
	if err != nil {
		return err
	}
	script, err := s.script(a, osID, "updaters")
	if err != nil {
		return err
	}
	_, err = a.Runner.Query(ctx, s.target, script, map[string]string{
		"ROLLPATCH_UPDATERS": map[bool]string{true: "off", false: "on"}[off], "ROLLPATCH_OWNER": instance + "." + cluster, "ROLLPATCH_LEDGER": instance,
		"ROLLPATCH_TURN": strconv.Itoa(turn), "ROLLPATCH_LOCK_WAIT": strconv.Itoa(updatersWait),
	})
	return err
}

// endFormer ends on a host what former owners have off there. They have no record any more, and nothing of theirs that comes late counts.
func (a *Activities) endFormer(ctx context.Context, part, cluster, host string, had []string) error {
	for _, former := range had {
		if err := a.turnOne(ctx, part, cluster, former, host, false, lastTurn); err != nil {
			return err
		}
	}
	return nil
}

// listFailed names hosts and why, the first ones where there are many.
func listFailed(failed map[string]error) string {
	const most = 3
	var parts []string
	names := make([]string, 0, len(failed))
	for name := range failed {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		parts = append(parts, name+": "+short(failed[name].Error()))
	}
	return strings.Join(parts, "; ")
}

// RestoreUpdaters brings the automatic updates of one host back, for an owner that nobody works for, and drops the record.
func (a *Activities) RestoreUpdaters(ctx context.Context, in RestoreInput) (DropResult, error) {
	head, err := a.audited(ctx, in.Intent, func(ctx context.Context) (string, string, error) {
		cluster, host, _ := strings.Cut(strings.TrimPrefix(in.Key, rollout.UpdaterRecord), "/")
		if err := a.restore(ctx, in, cluster, host); err != nil {
			return "", "", fmt.Errorf("record %s: %w", in.Key, err)
		}
		return "as they were", "", nil
	})
	return DropResult{Audit: head}, err
}

func (a *Activities) restore(ctx context.Context, in RestoreInput, cluster, host string) error {
	inv, err := a.Inventory()
	if err != nil {
		return err
	}
	home, ok := homeOf(inv, rollout.Suspect{Clusters: []string{cluster}}, host)
	if !ok {
		return temporal.NewNonRetryableApplicationError("host "+host+" is in no cluster of the inventory, so that nothing says how it is reached", ErrBadInput, nil)
	}
	digest, err := a.save(ctx, home)
	if err != nil {
		return err
	}
	p, err := a.part(ctx, in.Part)
	if err != nil {
		return err
	}
	access := consulOf(p, p.Cluster.Consul, "")
	now, stands, err := a.record(ctx, access, in.Key)
	if err != nil {
		return err
	}
	if !stands || now.By() != in.Owner {
		return nil // somebody else has adopted it meanwhile
	}
	if err := a.endFormer(ctx, digest, cluster, host, now.Former()); err != nil {
		return err
	}
	if err := a.turnOne(ctx, digest, cluster, in.Owner.Instance, host, false, lastTurn); err != nil {
		return err
	}
	return a.Claims.Release(ctx, access, in.Owner, []string{in.Key})
}
