package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rollpatch/rollpatch/activities/secret"
	"github.com/rollpatch/rollpatch/activities/windows"
	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// spare is how much longer a word that is given ahead counts than the plan needs: work that goes slower, a window that is missed.
const spare = 24 * time.Hour

// reached is when a plan comes to the gates that a word is given ahead for.
type reached struct {
	last string    // the gate that is reached last
	gate time.Time // at the earliest
	upon time.Time // and what is behind it begins
}

// lasts is how long what is signed counts: as long as the person says, else a day, and ahead so long that it still counts at the gates that it is
// for. Where it does not, the person is told.
func (d *desk) lasts(c *cli.Context, srv server, st workflows.CampaignState, to target, whenPass bool) (time.Duration, error) {
	lasts, err := lifetime(c)
	if err != nil || !whenPass {
		return lasts, err
	}
	now := d.now().UTC().Truncate(time.Second)
	r, err := d.reaches(c, srv, st, to.gates, now)
	if err != nil {
		d.note("it counts until %s; whether %s is reached by then nobody can tell here: %v; --expires TIME has it count longer", stamp(now.Add(lasts)), strings.Join(to.gates, ", "), err)
		return lasts, nil
	}
	enough := wholeDays(r.upon.Add(spare).Sub(now))
	if !c.IsSet("expires") {
		lasts = min(max(lasts, r.upon.Add(spare).Sub(now)), approval.StandingMax)
		if lasts > spare {
			d.note("it counts until %s, since by its plan %s comes to %s at %s; --expires TIME says otherwise", stamp(now.Add(lasts)), st.Instance, r.last, stamp(r.upon))
		}
	}
	if until := now.Add(lasts); until.Before(r.gate) {
		d.note("warning: it counts until %s, and by its plan %s comes to %s at %s at the earliest: it would be over by then; --expires %s is enough", stamp(until), st.Instance, r.last, stamp(r.gate), enough)
	}
	return lasts, nil
}

// unsignedAhead tells who gives a word ahead without a signature, which counts a day, that it will be over.
func (d *desk) unsignedAhead(c *cli.Context, srv server, st workflows.CampaignState, to target) {
	now := d.now().UTC().Truncate(time.Second)
	until := now.Add(approval.UnsignedFor)
	if r, err := d.reaches(c, srv, st, to.gates, now); err == nil && until.Before(r.gate) {
		d.note("warning: unsigned it counts until %s, and by its plan %s comes to %s at %s at the earliest: it would be over by then; signed it counts as long: --key FILE", stamp(until), st.Instance, r.last, stamp(r.gate))
	}
}

// wholeDays is a time as it is typed, a bit longer rather than shorter.
func wholeDays(t time.Duration) string {
	const day = 24 * time.Hour
	return inventory.Duration(time.Duration(math.Ceil(float64(t)/float64(day))) * day).String()
}

// reaches lays the plan of an instance as far as its gates. A soak that goes on says itself when it ends: it may have begun anew, or last longer.
func (d *desk) reaches(c *cli.Context, srv server, st workflows.CampaignState, gates []string, now time.Time) (reached, error) {
	soaking, err := soakingNow(c.Context, srv, st.Instance, gates)
	if err != nil {
		return reached{}, err
	}
	if len(soaking) == len(gates) {
		return reachedIn(calendar.Dates{}, soaking, gates)
	}
	reader, err := d.reader(c, srv)
	if err != nil {
		return reached{}, err
	}
	if reader.Bodies == nil {
		return reached{}, errors.New("there is no store on this machine (--store DIR)")
	}
	s, err := planOf(c.Context, reader, st)
	if err != nil {
		return reached{}, err
	}
	lay := func(start time.Time) calendar.Dates {
		return windows.New(ofOthers{d.secrets()}).Laid(c.Context, s.Plan, s.Parts, s.Answers, start, time.Time{})
	}
	start := begins(st, now)
	r, err := reachedIn(lay(start), soaking, gates)
	if err == nil && r.upon.Before(now) { // it is late: nothing of it comes earlier than if all of it began now
		late, lateErr := reachedIn(lay(now), soaking, gates)
		return reached{last: late.last, gate: now, upon: late.upon}, lateErr
	}
	return r, errors.Join(err, c.Context.Err())
}

// ofOthers finds the secrets of a file that somebody else wrote: no command of it runs as the person who is about to agree to it.
type ofOthers struct{ secrets *secret.Resolver }

func (o ofOthers) Resolve(ctx context.Context, s inventory.Secret) (string, error) {
	if len(s.Command) > 0 {
		return "", fmt.Errorf("secret from command %q: it is not run for who only agrees", s.Command[0])
	}
	return o.secrets.Resolve(ctx, s)
}

// begins is when an instance began, or can begin.
func begins(st workflows.CampaignState, now time.Time) time.Time {
	for _, r := range st.Clusters {
		if r.Running || r.Outcome != "" {
			if st.Turn != nil && !st.Turn.Begun.IsZero() {
				return st.Turn.Begun
			}
			return st.StartedAt
		}
	}
	if st.Turn != nil && st.Turn.Begin.After(now) {
		return st.Turn.Begin
	}
	return now
}

// soakingNow are the ends of those soaks that go on, by gate.
func soakingNow(ctx context.Context, srv server, instance string, gates []string) (map[string]time.Time, error) {
	ends := map[string]time.Time{}
	for _, g := range gates {
		cluster, no, is := soakIn(g)
		if !is {
			continue
		}
		var s workflows.ClusterState
		switch err := srv.State(ctx, workflows.ClusterID(instance, cluster), &s); {
		case errors.Is(err, status.ErrNotFound): // it has not begun
		case err != nil:
			return nil, fmt.Errorf("cluster %q: %w", cluster, err)
		case s.SoakNo == no && (s.Phase == rollout.PhaseSoak || s.Phase == rollout.PhaseGate):
			ends[g] = s.SoakEnds
		}
	}
	return ends, nil
}

// soakIn is the cluster and the number of the soak that a gate stands behind.
func soakIn(gate string) (cluster string, no int, is bool) {
	soak, is := strings.CutPrefix(gate, "soak/")
	if !is {
		return "", 0, false
	}
	cluster, number, _ := strings.Cut(soak, "/")
	no, _ = strconv.Atoi(number)
	return cluster, no, true
}

// reachedIn finds the gate that is reached last.
func reachedIn(dates calendar.Dates, soaking map[string]time.Time, gates []string) (reached, error) {
	var r reached
	for _, g := range gates {
		var gate, upon time.Time
		if stage, is := strings.CutPrefix(g, approval.GateStage("")); is {
			gate, upon = dates.Reached(stage)
		} else if ends, known := soaking[g]; known {
			gate, upon = ends, ends
		} else if cluster, no, is := soakIn(g); is {
			upon = dates.Soaked(cluster, no)
			gate = upon
		}
		if gate.IsZero() || upon.IsZero() {
			return r, fmt.Errorf("its windows and freezes do not say when %s is reached", g)
		}
		if !upon.Before(r.upon) {
			r = reached{g, gate, upon}
		}
	}
	return r, nil
}

// planOf reads the plan of an instance from the store: with what its hosts said, where a schedule made it.
func planOf(ctx context.Context, reader *status.Reader, st workflows.CampaignState) (plan.Saved, error) {
	var s plan.Saved
	read := func(digest string, into any) error {
		raw, err := reader.Bodies.Get(ctx, digest)
		if err != nil {
			return fmt.Errorf("its plan is not in the store of this machine (--store DIR): %w", err)
		}
		return json.Unmarshal(raw, into)
	}
	if st.Made != nil {
		return s, read(st.Made.Saved, &s)
	}
	if err := read(st.Plan, &s.Plan); err != nil {
		return s, err
	}
	s.Parts = map[string]plan.Part{}
	for _, r := range st.Clusters {
		var p plan.Part
		if err := read(r.Part, &p); err != nil {
			return s, err
		}
		s.Parts[r.Name] = p
	}
	return s, nil
}
