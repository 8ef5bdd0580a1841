package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// ofFreeze is the span of a freeze that a person means by its name: the earliest that stands in the way of the instance, as workers read the
// sources; for a reject, also one that is broken.
func ofFreeze(ctx context.Context, srv server, w word, st workflows.CampaignState, name string) ([]string, error) {
	f, known := st.Agreement.Freeze(name)
	switch {
	case !known:
		return nil, usage(fmt.Sprintf("the plan of %s has no freeze %q%s", st.Instance, name, inventory.DidYouMean(name, st.Agreement.FreezeNames())), "who may break which one: rollpatch freeze list")
	case len(f.People) == 0:
		return nil, failed(fmt.Errorf("freeze %q names no approvers in the files, and so nobody can break it", name), "rollpatch freeze now is another kind, which ends by: rollpatch thaw")
	}
	all, err := keepWaiting(ctx, srv, st)
	if err != nil {
		return nil, err
	}
	if w.name == workflows.UpdateReject {
		for _, b := range st.Broken {
			all = append(all, b.Freeze)
		}
	}
	mine := slices.DeleteFunc(all, func(f rollout.Freeze) bool { return f.Name != name })
	if len(mine) == 0 {
		text := fmt.Sprintf("freeze %q keeps nothing of %s waiting now", name, st.Instance)
		if len(st.Broken) > 0 {
			text += "; broken for it: " + broken(st.Broken)
		}
		return nil, failed(errors.New(text), statusHint(st.Instance))
	}
	first := slices.MinFunc(mine, func(a, b rollout.Freeze) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	return []string{approval.GateFreeze(first.Name, first.From, first.To)}, nil
}

// inVain refuses to break a freeze for less time than anybody who waits for it needs: nobody would begin.
func (d *desk) inVain(c *cli.Context, srv server, st workflows.CampaignState, to target, ready *elsewhere) error {
	lasts, err := lifetime(c)
	if err != nil {
		return err
	}
	now := d.now().UTC().Truncate(time.Second)
	until := now.Add(lasts)
	if ready != nil {
		until = ready.said.Expires
	}
	all, err := keepWaiting(c.Context, srv, st)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(f rollout.Freeze) bool { return approval.GateFreeze(f.Name, f.From, f.To) != to.gates[0] })
	if len(all) == 0 || slices.ContainsFunc(all, func(f rollout.Freeze) bool { return !until.Before(f.Enough(now)) }) {
		return nil // somebody gains by it, or nobody can tell
	}
	f := slices.MinFunc(all, func(a, b rollout.Freeze) int { return a.Enough(now).Compare(b.Enough(now)) })
	begins := "now"
	if f.Begin.After(now) {
		begins = "at " + stamp(f.Begin)
	}
	longer := inventory.Duration(f.Enough(now).Sub(now).Truncate(time.Minute) + 2*time.Minute) // some of it is over before anybody asks
	return failed(fmt.Errorf("freeze %q would be broken until %s, and that has no effect: whoever begins %s needs %s for the work and a way back, and nobody begins who would not be done before",
		f.Name, stamp(until), begins, inventory.Duration(f.Takes)),
		"nothing was sent; it has to be broken for "+longer.String()+" at least: rollpatch approve "+st.Instance+" --freeze "+f.Name+` --reason "..." --expires `+longer.String()+" --key FILE")
}

// keepWaiting lists the freezes that keep an instance, its clusters or their members waiting, each once for each of these.
func keepWaiting(ctx context.Context, srv server, st workflows.CampaignState) ([]rollout.Freeze, error) {
	var all []rollout.Freeze
	if st.Turn != nil && st.Turn.Begun.IsZero() {
		all = append(all, st.Turn.Stands...)
	}
	for _, r := range st.Clusters {
		if !r.Running || r.Outcome != "" {
			continue
		}
		var c workflows.ClusterState
		switch err := srv.State(ctx, workflows.ClusterID(st.Instance, r.Name), &c); {
		case errors.Is(err, status.ErrNotFound):
			continue
		case err != nil:
			return nil, fmt.Errorf("cluster %q: %w", r.Name, err)
		}
		if c.Closed {
			all = append(all, c.Stands...)
		}
		for _, s := range c.Members {
			if !s.Running {
				continue
			}
			var m workflows.MemberState
			switch err := srv.State(ctx, workflows.MemberID(s.Host), &m); {
			case errors.Is(err, status.ErrNotFound):
			case err != nil:
				return nil, fmt.Errorf("host %q: %w", s.Host, err)
			case m.Instance == st.Instance && m.WaitFor != "" && (m.Closed || m.Frozen):
				all = append(all, m.Stands...)
			}
		}
	}
	return all, nil
}

// broken says which freezes are broken, by whom and until when.
func broken(list []rollout.Broken) string {
	var out []string
	for _, b := range list {
		out = append(out, fmt.Sprintf("%s until %s, by %s", b.Name, b.Until.UTC().Format(time.RFC3339), b.By))
	}
	return strings.Join(out, "; ")
}

// whoBreaks says who may break a freeze.
func whoBreaks(people []string) string {
	if len(people) == 0 {
		return "Nobody can break it"
	}
	return "It may be broken by " + strings.Join(people, " or ") + ", with a signature, for one instance and one span of it, not by whoever asked for it"
}
