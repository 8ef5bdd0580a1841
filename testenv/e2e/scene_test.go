package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"go.temporal.io/sdk/client"

	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// scene is one test's view of the estate.
type scene struct {
	*testing.T
	*estate.Estate
	ctx      context.Context
	temporal client.Client
	catalog  *api.Client
}

func begin(t *testing.T) *scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	if err := all.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := all.Daemon.Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	catalog, err := api.NewClient(&api.Config{Address: all.ConsulAddr()})
	if err != nil {
		t.Fatal(err)
	}
	return &scene{T: t, Estate: all, ctx: ctx, temporal: c, catalog: catalog}
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) publish(version string) { s.Helper(); s.must(s.Publish(s.ctx, version)) }

// policy is a patch night in seconds.
const policy = `
policy:
  soak: 4s
  soak_interval: 1s
  soak_passes: 2
  settle: 1s
  reboot: if-needed
  drain: {timeout: 20s}
  checks: {passes: 2, interval: 1s, timeout: 8s}
  wait_max: 1m
  timeouts: {patch: 3m, reboot: 1m, fetch: 2m}
`

// campaign writes a campaign file over these clusters and returns its path.
func (s *scene) campaign(attended bool, clusters ...string) string {
	s.Helper()
	text := fmt.Sprintf("name: %s\nreason: November security updates\nunattended: %t\nstages:\n  - {name: production, clusters: [%s]}\n%s", s.name(), !attended, strings.Join(clusters, ", "), policy)
	path, err := s.Write(s.name()+".yaml", text)
	s.must(err)
	return path
}

func (s *scene) name() string {
	return strings.ToLower(strings.NewReplacer("TestRolling", "", "/", "-", "_", "-").Replace(s.Name()))
}

// run runs a campaign to its end through the CLI and returns its status.
func (s *scene) run(file string, wantCode int) estate.Status {
	s.Helper()
	r, err := s.Rollpatch(s.ctx, nil, "run", "-i", s.InventoryFile(), file)
	s.must(err)
	if r.Code != wantCode {
		s.Fatalf("rollpatch run exited %d, want %d\n%s\n%s", r.Code, wantCode, r.Stdout, r.Stderr)
	}
	return s.status(s.latest())
}

// start starts a campaign and returns its instance.
func (s *scene) start(file string) string {
	s.Helper()
	r, err := s.Rollpatch(s.ctx, nil, "run", "--detach", "-i", s.InventoryFile(), file)
	s.must(err)
	if r.Code != 0 {
		s.Fatalf("rollpatch run --detach exited %d\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	return s.latest()
}

// latest is the newest instance of this test's campaign.
func (s *scene) latest() string { s.Helper(); return s.status(s.name()).Instance }

func (s *scene) status(of string) estate.Status {
	s.Helper()
	var st estate.Status
	s.eventually("status of "+of, func() error {
		r, err := s.Rollpatch(s.ctx, nil, "status", of, "--packages", "--output", "json")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
			return fmt.Errorf("%w: %s %s", err, r.Stdout, r.Stderr)
		}
		return nil
	})
	return st
}

// say sends a person's message.
func (s *scene) say(args ...string) {
	s.Helper()
	r, err := s.Rollpatch(s.ctx, nil, append(args, "--reason", "the test says so")...)
	s.must(err)
	if r.Code != 0 {
		s.Fatalf("rollpatch %s exited %d: %s", strings.Join(args, " "), r.Code, r.Stderr)
	}
}

// ends waits until the instance has ended and returns its status.
func (s *scene) ends(instance string) estate.Status {
	s.Helper()
	var st workflows.CampaignState
	s.eventually(instance+" to end", func() error {
		if err := s.query(workflows.CampaignID(instance), &st); err != nil {
			return err
		}
		if st.Outcome == "" {
			return fmt.Errorf("it goes on: %s", st.Next(time.Now()).Reason)
		}
		return nil
	})
	return s.status(instance)
}

func (s *scene) query(id string, into any) error {
	v, err := s.temporal.QueryWorkflow(s.ctx, id, "", workflows.QueryState)
	if err != nil {
		return err
	}
	return v.Get(into)
}

// member waits until the host's workflow is in the step, asking as fast as it is answered. missed is true when the step was over
// before it was seen.
func (s *scene) member(instance, host string, step rollout.Step) (missed bool) {
	s.Helper()
	for {
		var m workflows.MemberState
		err := s.query(workflows.MemberID(host), &m)
		if s.ctx.Err() != nil {
			s.Fatalf("%s never came to %s: %v", host, step, err)
		}
		if err != nil || m.Instance != instance {
			continue
		}
		if m.Step == step && m.Outcome == "" {
			return false
		}
		if m.Outcome != "" || after(m.Step, step) {
			return true
		}
	}
}

// order is the way of a member; gate comes several times.
var order = []rollout.Step{rollout.StepInspect, rollout.StepFetch, rollout.StepDrain, rollout.StepPatch, rollout.StepReboot, rollout.StepCheck, rollout.StepUndrain}

func after(a, b rollout.Step) bool {
	at := map[rollout.Step]int{}
	for i, s := range order {
		at[s] = i + 1
	}
	return at[a] > 0 && at[b] > 0 && at[a] > at[b]
}

// eventually waits for a condition, and fails with its last word when the test's time is over.
func (s *scene) eventually(what string, holds func() error) {
	s.Helper()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-s.ctx.Done():
			s.Fatalf("waited in vain for %s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// safe checks that every host is in service, nothing is in maintenance but what is listed as somebody else's, and nothing is
// claimed.
func (s *scene) safe(foreign ...string) {
	s.Helper()
	s.eventually("every member in service and nothing claimed", func() error {
		for _, svc := range []string{"web", "redis", "solo"} {
			entries, _, err := s.catalog.Health().Service(svc, "", false, &api.QueryOptions{RequireConsistent: true})
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				return fmt.Errorf("nobody offers %s", svc)
			}
			for _, e := range entries {
				if e.Checks.AggregatedStatus() != api.HealthPassing && !contains(foreign, e.Node.Node) {
					return fmt.Errorf("%s on %s is %s", svc, e.Node.Node, e.Checks.AggregatedStatus())
				}
			}
		}
		keys, _, err := s.catalog.KV().Keys("rollpatch/", "", &api.QueryOptions{RequireConsistent: true})
		if err != nil {
			return err
		}
		keys = slices.DeleteFunc(keys, func(k string) bool {
			return strings.Contains(k, "/versions/") || strings.HasPrefix(k, "rollpatch/staged/") || strings.HasPrefix(k, "rollpatch/took/") // those stay until a person releases them, these for months
		})
		if len(keys) > 0 {
			return fmt.Errorf("records are left: %v", keys)
		}
		return nil
	})
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// at checks the version of lab-web, and of what comes with it, on hosts.
func (s *scene) at(version string, hosts ...string) {
	s.Helper()
	for _, h := range hosts {
		v, err := s.Versions(s.ctx, h)
		s.must(err)
		for _, pkg := range []string{"lab-web", "lab-web-data"} {
			if v[pkg] != version {
				s.Errorf("%s on %s is %q, want %q", pkg, h, v[pkg], version)
			}
		}
	}
}

// boots reads the boot ids of hosts.
func (s *scene) boots(hosts ...string) map[string]string {
	s.Helper()
	out := map[string]string{}
	for _, h := range hosts {
		id, err := s.BootID(s.ctx, h)
		s.must(err)
		out[h] = id
	}
	return out
}

// logs reads the package logs of hosts, to compare them later.
func (s *scene) logs(hosts ...string) map[string]string {
	s.Helper()
	out := map[string]string{}
	for _, h := range hosts {
		log, err := s.DpkgLog(s.ctx, h)
		s.must(err)
		out[h] = log
	}
	return out
}

func (s *scene) untouched(before map[string]string) {
	s.Helper()
	for h, log := range before {
		now, err := s.DpkgLog(s.ctx, h)
		s.must(err)
		if now != log {
			s.Errorf("%s has new entries in its package log:\n%s", h, strings.TrimPrefix(now, log))
		}
	}
}

// transactions counts how often dpkg was started to unpack or configure anything since the log was read.
func (s *scene) transactions(host, before string) int {
	s.Helper()
	now, err := s.DpkgLog(s.ctx, host)
	s.must(err)
	return strings.Count(strings.TrimPrefix(now, before), "startup archives unpack")
}

var web = []string{"web-1", "web-2", "web-3"}

// contextForCleanup outlives the test's own context, which has ended when cleanups run.
func contextForCleanup() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}
