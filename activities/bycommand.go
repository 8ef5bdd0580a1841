package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// byCommand is scripts of the cluster's owner, on the member itself or on hosts that stand before it. Whose a drain is only our record says.
type byCommand struct {
	*Activities
	c  plan.Other
	no int // of the host's clusters with scripts, from 0: their runs need different ids
}

// What a state script may say.
const (
	stateIn      = "in"
	stateOut     = "out"
	stateUnknown = "unknown"
)

// askLimit bounds one look at one host: a state script, or the checks of a peer. A host that takes longer cannot be asked.
const askLimit = 10 * time.Second

func (d byCommand) standing(ctx context.Context, s scene, _ string, recorded bool) (standing, error) {
	var st standing
	state, why, err := d.state(ctx, s, s.host)
	if err != nil {
		return st, err
	}
	switch state {
	case stateIn:
		st.listed = why
	case stateUnknown:
		st.unsure = why
	}
	st.ours, st.undrained = recorded && state != stateIn, !recorded || state != stateOut
	if !recorded && state == stateOut {
		st.foreign = (&ForeignError{Node: s.host.Name, Cluster: d.c.Cluster.Name}).Error()
	}
	peers, err := d.passing(ctx, s, d.c, d.serves)
	st.peers = []rollout.Redundancy{peers}
	return st, err
}

// enter runs the drain script everywhere. One that has begun is followed to its end, also where the gate's word is used up by then.
func (d byCommand) enter(ctx context.Context, s scene, in StepInput, until time.Time, r *StepResult) error {
	in.Gated, s.began = true, until.Add(-rollout.GateCounts)
	return d.run(ctx, s, in, d.c.Cluster.DrainCommands.Drain, time.Duration(s.part.Policy.Drain.Timeout), r)
}

// leave runs the undrain script everywhere, and waits until all of them say that the member is in: as long as one does not, our record
// stands, and it is tried again (P5).
func (d byCommand) leave(ctx context.Context, s scene, in StepInput, recorded bool, r *StepResult) error {
	if !recorded {
		switch state, why, err := d.state(ctx, s, s.host); {
		case err != nil:
			return err
		case state == stateOut:
			return &ForeignError{Node: s.host.Name, Cluster: d.c.Cluster.Name}
		case state == stateUnknown:
			return errors.New(why)
		}
		return nil
	}
	limit := s.part.Policy.Checks.Timeout
	if err := d.run(ctx, s, in, d.c.Cluster.DrainCommands.Undrain, time.Duration(limit), r); err != nil {
		return err
	}
	if r.Verdict != "" {
		r.unknown(r.Reason) // a member that we drained is not left there, whatever its script says
		return nil
	}
	r.Spent = true
	for deadline := d.Now().Add(time.Duration(limit)); ; {
		state, why, err := d.state(ctx, s, s.host)
		switch {
		case err == nil && state == stateIn:
			return nil
		case !d.Now().After(deadline):
		case err != nil:
			return err
		default:
			r.unknown(why + " " + limit.String() + " after the undrain")
			return nil
		}
		if err := wait(ctx, sampleGap); err != nil {
			return err
		}
	}
}

// serves asks the state scripts. A member that is out, while no drain of ours stands, was taken out by a person: that says nothing about the
// patch, and is unknown.
func (d byCommand) serves(ctx context.Context, s scene, h inventory.Host) (ok bool, reason string, err error) {
	switch state, why, err := d.state(ctx, s, h); {
	case err != nil:
		return false, "", err
	case state == stateOut:
		return false, "", &ForeignError{Node: h.Name, Cluster: d.c.Cluster.Name}
	case state == stateUnknown:
		return false, "", errors.New(why)
	}
	return true, "", nil
}

// places are the hosts that run the scripts for a member.
func (d byCommand) places(s scene, member inventory.Host) ([]inventory.Host, error) {
	on := d.c.Cluster.DrainCommands.On
	if len(on) == 0 {
		return []inventory.Host{member}, nil
	}
	var all []inventory.Host
	for _, name := range on {
		h, ok := s.part.Reached(name)
		if !ok {
			return nil, fmt.Errorf("host %q, which runs the scripts of cluster %q, is not in the plan", name, d.c.Cluster.Name)
		}
		all = append(all, h)
	}
	return all, nil
}

func (d byCommand) env(s scene, member inventory.Host) map[string]string {
	return map[string]string{
		"ROLLPATCH_HOST": member.Name, "ROLLPATCH_ADDRESS": member.Address, "ROLLPATCH_CLUSTER": d.c.Cluster.Name,
		"ROLLPATCH_INSTANCE": s.who, "ROLLPATCH_REASON": Reason(s.who, member.Name),
	}
}

// state is what all places agree on, and unknown where they do not. An error means that one could not be asked.
func (d byCommand) state(ctx context.Context, s scene, member inventory.Host) (state, why string, err error) {
	places, err := d.places(s, member)
	if err != nil {
		return "", "", err
	}
	said := make([]string, len(places))
	errs := make([]error, len(places))
	atATime(len(places), func(i int) {
		ctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		out, err := d.Runner.Query(ctx, targetOf(places[i]), []byte(d.c.Cluster.DrainCommands.State.Body), d.env(s, member))
		if err != nil {
			errs[i] = fmt.Errorf("state of %s in cluster %q on %s: %w", member.Name, d.c.Cluster.Name, places[i].Name, err)
		}
		said[i] = strings.TrimSpace(string(out))
	})
	if err := errors.Join(errs...); err != nil {
		return "", "", err
	}
	state = said[0]
	var all []string
	for i, word := range said {
		if word != state {
			state = stateUnknown
		}
		all = append(all, fmt.Sprintf("%s says %s", places[i].Name, quoted(word)))
	}
	if state != stateIn && state != stateOut {
		state = stateUnknown
	}
	return state, fmt.Sprintf("state of %s in cluster %q: %s", member.Name, d.c.Cluster.Name, strings.Join(all, ", ")), nil
}

// quoted shows a word that is none of those that a state script may say, as far as anybody wants to read it.
func quoted(word string) string {
	if word == stateIn || word == stateOut || word == stateUnknown {
		return word
	}
	return strconv.Quote(word[:min(len(word), 80)]) + ", which is none of in, out and unknown"
}

// run runs a script in every place at once. A verdict in r says that it did not end well in all of them.
func (d byCommand) run(ctx context.Context, s scene, in StepInput, script inventory.Script, limit time.Duration, r *StepResult) error {
	places, err := d.places(s, s.host)
	if err != nil {
		return err
	}
	if d.no > 0 {
		in.Run += "." + strconv.Itoa(d.no+1)
	}
	prune := d.prune(ctx, in)
	var all []func(*StepResult) error
	for _, place := range places {
		at := s
		at.target = targetOf(place)
		all = append(all, func(r *StepResult) error {
			out, err := d.follow(ctx, at, in, Run{
				ID: in.Run, Seq: in.Seq, Step: in.Intent.Action, Lane: d.c.Cluster.Name + "/" + s.host.Name, Script: []byte(script.Body), Env: d.env(s, s.host), Deadline: limit, Prune: prune,
			}, r)
			what := fmt.Sprintf("%s on %s", script.File, place.Name)
			switch {
			case err != nil:
				return err
			case r.Verdict != "":
				r.Reason = what + ": " + r.Reason
			case out.State == RunInterrupted:
				r.unknown(what + " was cut short: " + out.Reason)
				r.Spent = true // it may be run again at any time
			case out.State != RunExited:
				r.unknown(what + ": the host says its run is " + string(out.State))
			case out.Exit != 0:
				r.fail(clip(fmt.Sprintf("%s ended with status %d: %s", what, out.Exit, lastWords(out.Stderr))))
				r.Spent = true
			}
			return nil
		})
	}
	return r.together(all)
}

// together does several things at once, each with a result of its own, and joins what they came to.
func (r *StepResult) together(all []func(*StepResult) error) error {
	results, errs := make([]StepResult, len(all)), make([]error, len(all))
	atATime(len(all), func(i int) { errs[i] = all[i](&results[i]) })
	for _, o := range results {
		r.join(o)
	}
	return errors.Join(errs...)
}

// atATime calls work for 0 to n-1 at the same time and returns when all have ended.
func atATime(n int, work func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { work(i) })
	}
	all.Wait()
}

// laneNumber prints the highest number that a host has seen for a member.
const laneNumber = `cat "${ROLLPATCH_ROOT:-}/var/lib/rollpatch/for/$ROLLPATCH_CLUSTER/$ROLLPATCH_HOST/seq" 2>/dev/null || echo 0`

func (d byCommand) number(ctx context.Context, s scene) (int64, error) {
	places, err := d.places(s, s.host)
	if err != nil {
		return 0, err
	}
	highest := int64(0)
	for _, place := range places {
		out, err := d.Runner.Query(ctx, targetOf(place), []byte(laneNumber), d.env(s, s.host))
		if err != nil {
			return 0, fmt.Errorf("the number of %s on %s: %w", s.host.Name, place.Name, err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("the number of %s on %s: %w", s.host.Name, place.Name, err)
		}
		highest = max(highest, n)
	}
	return highest, nil
}

// passing counts the peers that are in service where the servers cannot tell: each serves, and passes the cluster's checks. One that cannot be
// asked is not in service as far as anybody knows; but where others are asked about it, and cannot be, nothing is known of all of them.
func (a *Activities) passing(ctx context.Context, s scene, c plan.Other, serves func(context.Context, scene, inventory.Host) (bool, string, error)) (rollout.Redundancy, error) {
	red := budgetOf(c)
	members := c.Cluster.Members
	outs, errs := make([]string, len(members)), make([]error, len(members))
	atATime(len(members), func(i int) {
		if members[i] == s.host.Name {
			return
		}
		outs[i], errs[i] = a.outOfService(ctx, s, c, members[i], serves)
	})
	if ctx.Err() != nil {
		return red, ctx.Err()
	}
	var out []string
	for i, why := range outs {
		switch {
		case members[i] == s.host.Name:
		case why == "":
			red.PeersIn++
		default:
			out = append(out, why)
		}
	}
	red.PeersOut = strings.Join(out, ", ")
	return red, errors.Join(errs...)
}

// outOfService names a peer that is not in service, or "".
func (a *Activities) outOfService(ctx context.Context, s scene, c plan.Other, name string, serves func(context.Context, scene, inventory.Host) (bool, string, error)) (string, error) {
	h, ok := s.part.Reached(name)
	if !ok {
		return "", fmt.Errorf("host %q of cluster %q is not in the plan", name, c.Cluster.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var foreign *ForeignError
	switch ok, _, err := serves(ctx, s, h); {
	case errors.As(err, &foreign):
		return name, nil
	case err != nil && c.Cluster.DrainCommands != nil && len(c.Cluster.DrainCommands.On) > 0:
		return "", err
	case err != nil || !ok:
		return name + " (cannot be asked)", nil
	}
	look := a.probe(ctx, s, h, c.Cluster.Checks)
	switch {
	case len(look.failed) > 0:
		return fmt.Sprintf("%s (check %q)", name, look.failed[0].Name), nil
	case look.unknown != nil:
		return name + " (cannot be asked)", nil
	}
	return "", nil
}
