package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Hold is the state of an instance, or a cluster, that goes on only by a person's word.
const Hold = string(rollout.PhaseHold)

// Reader reads an instance, again and again: what has ended is asked for once.
type Reader struct {
	Source Source
	Bodies Bodies // nil: package lists and owners are left out
	Now    func() time.Time
	Only   string // a cluster: the others are told as their campaign keeps them

	ended  map[string]Cluster
	parts  map[string]plan.Part
	owners bool // it reads the owner of a claim, for whoever waits for that: nobody else's claims are followed from there
}

// Read asks every workflow of the instance that may have changed, each once.
func (r *Reader) Read(ctx context.Context, instance string) (Status, error) {
	if r.ended == nil {
		r.ended, r.parts = map[string]Cluster{}, map[string]plan.Part{}
	}
	var c workflows.CampaignState
	id := workflows.CampaignID(instance)
	if err := r.Source.State(ctx, id, &c); err != nil {
		return Status{}, fmt.Errorf("instance %q: %w", instance, err)
	}
	now := r.Now()
	s := Status{
		Instance: c.Instance, Campaign: c.Name, State: Running, Reason: c.Next(now).Reason, Why: c.Why, Ticket: c.Ticket, Emergency: c.Emergency, Advisories: c.Advisories, Requester: c.Requester,
		Plan: c.Plan, Started: c.StartedAt, Ended: c.EndedAt,
	}
	if c.Change != nil {
		s.Change = c.Change.Number
	}
	if c.Outcome != "" {
		s.State = string(c.Outcome)
	} else {
		run, err := r.Source.Describe(ctx, id)
		if err != nil {
			return Status{}, fmt.Errorf("instance %q: %w", instance, err)
		}
		if run.Status != Running {
			s.State, s.Ended = run.Status, run.Closed
			s.Reason = "its workflow was ended from outside; members on their way bring their hosts to a safe end"
		}
	}
	for _, name := range c.Stages {
		s.Stages = append(s.Stages, Stage{Name: name})
	}
	held := c.Held()
	s.Overrides = overridesOf(c, now)
	for _, ref := range c.Clusters {
		if ref.Reason == "" {
			ref.Reason = c.WaitsFor(ref.Name)
		}
		cl, err := r.cluster(ctx, c, ref, now)
		if err != nil {
			return Status{}, err
		}
		// The cluster's own word is newer than what its campaign has heard.
		if ref.Running && cl.State != Hold && ref.Name != "" && (r.Only == "" || r.Only == ref.Name) {
			held = false
		}
		s.Stages[ref.Stage].Clusters = append(s.Stages[ref.Stage].Clusters, cl)
		s.Overrides = append(s.Overrides, cl.rules...)
	}
	if held && s.State == Running {
		s.State = Hold
		for _, st := range s.Stages {
			for _, cl := range st.Clusters {
				if cl.State == Hold && cl.Reason != "" {
					s.Reason += "; " + cl.Name + ": " + cl.Reason
				}
			}
		}
	}
	if s.Over() {
		s.leave()
	}
	if s.Overrides = once(s.Overrides); s.Over() {
		for i := range s.Overrides {
			s.Overrides[i].InForce = false
		}
	}
	s.Awaits = awaits(s, c)
	return s, nil
}

// leave marks the members of clusters whose turn does not come any more: theirs does not either.
func (s Status) leave() {
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			if cl.State != NotBegun {
				continue
			}
			for i := range cl.Members {
				cl.Members[i].State = NotTouched
			}
		}
	}
}

func (r *Reader) cluster(ctx context.Context, of workflows.CampaignState, ref rollout.Ref, now time.Time) (Cluster, error) {
	instance := of.Instance
	if done, ok := r.ended[ref.Name]; ok {
		return done, nil
	}
	out := Cluster{Name: ref.Name, State: NotBegun, Reason: ref.Reason, Done: ref.Done, Total: ref.Total}
	switch {
	case ref.Outcome != "":
		out.State, out.ended = string(ref.Outcome), true
	case ref.Phase != "":
		out.State = string(ref.Phase)
	}
	if r.Only != "" && r.Only != ref.Name {
		return out, nil
	}
	p, known := r.part(ctx, ref.Part)
	if known {
		out.Owner, out.Contact = p.Cluster.Owner, p.Cluster.Contact
	}
	var c workflows.ClusterState
	err := ErrNotFound
	if out.State != NotBegun {
		err = r.Source.State(ctx, workflows.ClusterID(instance, ref.Name), &c)
	}
	switch {
	case errors.Is(err, ErrNotFound): // it has not begun, or is so old that the server dropped it
		for _, m := range p.Worked() {
			out.Members = append(out.Members, Member{Host: m, State: Waiting})
		}
		return out, nil
	case err != nil:
		return Cluster{}, fmt.Errorf("cluster %q: %w", ref.Name, err)
	}
	out.rules = overridesIn(c, p, asker(of), now)
	report := c.Report()
	out.Since, out.Done, out.Total = c.Since, report.Done, max(report.Total, ref.Total)
	switch {
	case c.Outcome != "":
		out.State, out.Reason, out.ended = string(c.Outcome), c.Cluster.Reason, true
	case ref.Outcome != "": // its workflow ended without a word of its own: the campaign knows better
	default:
		out.State, out.Reason = string(report.Phase), c.Next(now).Reason
		switch report.Phase {
		case "": // its first answer, which brings its members, is not there yet
			out.State, out.Reason = string(rollout.PhaseClaim), "waiting for a worker to read its part of the plan"
			for _, m := range p.Worked() {
				out.Members = append(out.Members, Member{Host: m, State: Waiting})
			}
		case rollout.PhaseHold:
			out.Reason = report.Reason // since when is told beside it
		}
		patching := slices.ContainsFunc(c.Members, func(s rollout.Slot) bool { return s.Running && s.Mode == rollout.ModePatch })
		if c.BackoutFor != "" && patching { // it ends first
			out.Reason = strings.TrimPrefix(out.Reason+"; then brought back: "+c.BackoutFor, "; ")
		}
		if out.State == string(rollout.PhaseClaim) && !r.owners {
			out.claims = r.claimed(ctx, instance, out.Reason)
		}
		if out.asksFor = c.AskFor; c.Phase == rollout.PhaseAsk && c.Refused != "" {
			out.asksFor += "; it may not: " + c.Refused // as soon as the member on its way is through
		}
		if why := c.StuckFor(); why != "" && (c.Phase != rollout.PhaseRoll || c.Paused == "") {
			out.stuck, out.trouble, out.Since = c.Phase, why, c.Stuck
			if c.Held {
				out.Reason = why // the report's may be cut
			}
		}
	}
	if out.open, out.later, out.gate = c.Open(), c.Later(), c.Gate.Why; c.Closed && c.Outcome == "" && c.Paused == "" {
		out.closed, out.frozen, out.stands = c.WaitFor, c.Frozen, c.Stands
	}
	if c.SoakNo > 0 {
		out.Soak = &Soak{Number: c.SoakNo, Ends: c.SoakEnds, Verdict: string(c.Verdict), Passes: c.Passes, Watched: c.Watched}
	}
	for _, slot := range c.Members {
		m, err := r.member(ctx, instance, slot, out.ended, now)
		if err != nil {
			return Cluster{}, err
		}
		if m.State == Waiting && (out.ended || c.Over()) {
			m.State = workflows.Left(slot)
		}
		out.Members = append(out.Members, m)
	}
	if out.ended {
		r.ended[ref.Name] = out
		return out, nil
	}
	if c.Paused != "" && out.State != Hold && out.left() {
		out.paused = c.Paused
		out.Reason = strings.TrimPrefix(out.Reason+"; then held: "+c.Paused, "; ")
	}
	late, err := r.pending(ctx, workflows.ClusterID(instance, ref.Name), now)
	if err != nil {
		return Cluster{}, fmt.Errorf("cluster %q: %w", ref.Name, err)
	}
	out.Reason, out.untaken = strings.TrimPrefix(out.Reason+late.reason, "; "), late.untaken
	if out.Since.IsZero() {
		out.Since = late.since
	}
	return out, nil
}

func (r *Reader) member(ctx context.Context, instance string, slot rollout.Slot, ended bool, now time.Time) (Member, error) {
	m := Member{
		Host: slot.Host, State: Waiting, Outcome: string(slot.Outcome), Canary: slot.Canary, Count: slot.Count, Changes: slot.Changes,
		BootOld: slot.BootOld, BootNew: slot.BootNew, OutSeconds: float64(slot.OutMilli) / 1000, Reason: slot.Reason, Differs: slot.Differs.Lines(),
	}
	switch {
	case slot.Running:
		m.State, m.Mode = OnItsWay, string(slot.Mode)
		if err := r.onItsWay(ctx, instance, &m, now); err != nil {
			return m, err
		}
	case slot.Outcome != "":
		m.State, m.Mode = string(slot.Outcome), string(slot.Mode)
		if slot.OutAt > 0 && slot.Outcome == rollout.Quarantined && !ended { // of one that has ended nobody here hears of its release
			m.OutSeconds += max(0, now.Sub(time.UnixMilli(slot.OutAt))).Round(time.Millisecond).Seconds()
		}
	}
	m.Rebooted = m.BootOld != "" && m.BootNew != "" && m.BootOld != m.BootNew
	m.Packages = r.packages(ctx, m.Changes)
	m.Count = max(m.Count, len(m.Packages)) // a backout counts none of its own
	return m, nil
}

// onItsWay adds what the member's own workflow says. One that is not there yet, or works for another instance, says nothing.
func (r *Reader) onItsWay(ctx context.Context, instance string, m *Member, now time.Time) error {
	id := workflows.MemberID(m.Host)
	var st workflows.MemberState
	err := r.Source.State(ctx, id, &st)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && st.Instance != instance:
		return nil
	case err != nil:
		return fmt.Errorf("host %q: %w", m.Host, err)
	}
	d := st.Next(now)
	m.Step, m.Reason, m.Held, m.Since = string(st.Step), d.Reason, st.Held, st.WaitSince
	m.waitFor, m.frozen = st.WaitFor, st.Frozen && st.WaitFor != "" && st.Opens.IsZero()
	m.closed = !m.frozen && (st.Closed || st.Frozen) && st.WaitFor != ""
	if m.closed {
		m.stands = st.Stands
	}
	if m.Reason == m.Step+" "+m.Host {
		m.Reason = "" // that much is told by the step
	}
	if st.Outcome != "" { // ended, and its cluster has not heard yet
		m.Step, m.Reason = string(st.Outcome), st.Member.Reason
	}
	if st.Changed != "" {
		m.Changes, m.Count = st.Changed, st.Changes
	}
	if looks := st.Looks(); !looks.IsZero() {
		m.Differs = looks.Lines()
	}
	if m.BootOld == "" {
		m.BootOld = st.BootOld
	}
	if st.BootNew != "" {
		m.BootNew = st.BootNew
	}
	m.OutSeconds += float64(st.OutMilli) / 1000
	if st.OutAt > 0 {
		m.OutSeconds += max(0, now.Sub(time.UnixMilli(st.OutAt))).Round(time.Millisecond).Seconds() // our clock may be behind the server's
	}
	late, err := r.pending(ctx, id, now)
	if err != nil {
		return fmt.Errorf("host %q: %w", m.Host, err)
	}
	m.own, m.untaken = m.Reason, late.untaken
	m.Reason = strings.TrimPrefix(m.Reason+late.reason, "; ")
	if m.Since.IsZero() {
		m.Since = late.since
	}
	return nil
}

// untaken is how long an activity may lie before people are told that no worker has taken it.
const untaken = 10 * time.Second

// late is what the State of a workflow cannot say of its activities.
type late struct {
	reason  string // each part begins with "; "
	since   time.Time
	untaken Activity
}

// pending says what the State cannot: an attempt that failed and is made again, or that nobody takes.
func (r *Reader) pending(ctx context.Context, id string, now time.Time) (late, error) {
	var l late
	run, err := r.Source.Describe(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return l, nil
	}
	for _, a := range run.Pending {
		if l.since.IsZero() && a.Attempt < 2 { // of a later attempt nobody says when the first one was
			l.since = a.Since
		}
		switch {
		case !a.Taken && !a.Since.IsZero() && now.Sub(a.Since) > untaken:
			l.reason += "; no worker has taken " + a.Name + " since " + a.Since.UTC().Format(time.RFC3339)
			if a.Failure != "" {
				l.reason += ", when it was to be tried again: " + Plain(a.Failure)
			}
			l.untaken = a
		case a.Failure != "":
			l.reason += "; " + a.Name + " is tried again: " + Plain(a.Failure)
		}
	}
	return l, err
}

func (r *Reader) part(ctx context.Context, digest string) (plan.Part, bool) {
	if p, ok := r.parts[digest]; ok {
		return p, true
	}
	var p plan.Part
	if !r.body(ctx, digest, &p) {
		return p, false
	}
	r.parts[digest] = p
	return p, true
}

func (r *Reader) packages(ctx context.Context, digest string) []activities.Change {
	var changes []activities.Change
	if digest == "" || !r.body(ctx, digest, &changes) {
		return nil
	}
	return changes
}

// body reads a body where there is one. The store may be on another machine: then what it would add is left out.
func (r *Reader) body(ctx context.Context, digest string, into any) bool {
	if r.Bodies == nil {
		return false
	}
	raw, err := r.Bodies.Get(ctx, digest)
	return err == nil && json.Unmarshal(raw, into) == nil
}
