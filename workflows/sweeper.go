package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// SweeperID is the workflow id of the one sweeper.
const SweeperID = "sweeper"

// SignalSweep has a sweep made now.
const SignalSweep = "sweep"

// Sweep is what the signal carries: how often from now on.
type Sweep struct {
	Every time.Duration `json:"every"`
}

// SweeperState is the sweeper's workflow.
type SweeperState struct {
	Every time.Duration `json:"every"`
	// TakenUp are the last runs that were taken up: lists lag behind, and none is taken up twice.
	TakenUp []string  `json:"taken_up,omitempty"`
	Last    string    `json:"last,omitempty"` // what the last sweep that found something did
	At      time.Time `json:"at,omitzero"`    // of the last sweep
	// Reminded is when people were told last what is in quarantine.
	Reminded time.Time `json:"reminded,omitzero"`

	Seen  []rollout.Seen `json:"seen,omitempty"`  // what surveys found that nobody works on
	Told  []string       `json:"told,omitempty"`  // the trouble that was logged and told
	Notes []string       `json:"notes,omitempty"` // what the last survey has to say
	Quiet int            `json:"quiet,omitempty"` // how many more sweeps go without a survey
}

// takenUpKept is how many runs the sweeper remembers.
const takenUpKept = 200

// Sweeper looks for clusters and members whose workflows were ended from outside, and takes them up again from their last State,
// only to bring hosts to a safe end and claims back. What the server does not know any more, it finds in Consul (P5).
func Sweeper(ctx workflow.Context, st SweeperState) error {
	s := &sweeper{carrier: newCarrier(ctx), SweeperState: st}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (SweeperState, error) { return s.SweeperState, nil }); err != nil {
		return err
	}
	onSignal(s.carrier, SignalSweep, func(w Sweep) { s.Every, s.asked = w.Every, true })
	s.onCancel(ctx, func() {})
	for ctx.Err() == nil {
		s.changed = false
		s.sweep(s.ctx)
		if s.idle(ctx) {
			return workflow.NewContinueAsNewError(ctx, SweeperType, s.SweeperState)
		}
		next := workflow.Now(ctx).Add(s.Every)
		if !s.due.IsZero() && s.due.Before(next) {
			next = s.due
		}
		s.await(next)
	}
	return ctx.Err()
}

type sweeper struct {
	*carrier
	SweeperState
	due   time.Time // when something that nobody works on has stood for long enough
	asked bool      // a worker has started
	more  int       // notes that are left out
}

func (s *sweeper) sweep(ctx workflow.Context) {
	s.At, s.due = workflow.Now(ctx), time.Time{}
	var found []activities.Orphan
	if err := workflow.ExecuteActivity(brief(ctx, "", "look for workflows that were ended from outside"), "Orphans").Get(ctx, &found); err != nil {
		s.Last = "could not look: " + cause(err)
		s.show(ctx)
		return
	}
	var did []string
	// Members first: a cluster that is taken up waits for them.
	slices.SortStableFunc(found, func(a, b activities.Orphan) int { return strings.Compare(b.Type, a.Type) })
	for _, o := range found {
		if slices.Contains(s.TakenUp, o.RunID) {
			continue
		}
		if err := s.takeUp(ctx, o); err != nil {
			did = append(did, fmt.Sprintf("%s of %s could not be taken up: %s", o.WorkflowID, o.Instance, cause(err)))
			continue
		}
		did = append(did, fmt.Sprintf("%s of %s was %s and is taken up", o.WorkflowID, o.Instance, o.Status))
		if s.TakenUp = append(s.TakenUp, o.RunID); len(s.TakenUp) > takenUpKept {
			s.TakenUp = s.TakenUp[1:]
		}
	}
	if s.Quiet--; s.asked || s.Quiet < 0 {
		s.asked = false
		did = append(did, s.survey(ctx)...)
	}
	if len(did) > 0 {
		s.Last = s.At.UTC().Format(time.RFC3339) + ": " + strings.Join(did, "; ")
	}
	s.show(ctx)
}

func (s *sweeper) show(ctx workflow.Context) {
	last := s.Last
	if last == "" {
		last = "nothing was found so far"
	}
	text := "Looks every " + s.Every.String() + " for clusters and members whose workflows were ended from outside, and takes them up to bring their hosts to a safe end; and in Consul for what instances left behind that this server does not know any more.\n\nLast: " + last + "\n"
	for _, note := range s.Notes {
		text += "- " + oneLine(note) + "\n"
	}
	if s.more > 0 {
		text += fmt.Sprintf("- and %d more\n", s.more)
	}
	if text != s.details {
		s.details = text
		workflow.SetCurrentDetails(ctx, text)
	}
}

func (s *sweeper) takeUp(ctx workflow.Context, o activities.Orphan) error {
	var last activities.LastRun
	in := activities.LastRunInput{WorkflowID: o.WorkflowID, RunID: o.RunID, Instance: o.Instance}
	if err := workflow.ExecuteActivity(brief(ctx, "", "read the last state of "+o.WorkflowID), "LastRun", in).Get(ctx, &last); err != nil {
		return err
	}
	if o.Type == MemberType {
		return s.takeUpMember(ctx, o, last.State)
	}
	return s.takeUpCluster(ctx, o, last.State)
}

func (s *sweeper) takeUpMember(ctx workflow.Context, o activities.Orphan, state []byte) error {
	var st MemberState
	if err := json.Unmarshal(state, &st); err != nil {
		return fmt.Errorf("its last state cannot be read: %w", err)
	}
	st.Unwritten = again(ctx, &st.Audit, st.Unwritten, o, st.Host)
	st.Member = st.TakeUp(o.Status, workflow.Now(ctx))
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: o.WorkflowID, TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         "bring " + st.Host + " of " + st.Cluster + " to a safe end for " + st.Instance,
		TypedSearchAttributes: attributes(st.Instance, st.Cluster, "", st.Host, string(st.Step)),
	})
	return workflow.ExecuteChildWorkflow(child, MemberType, st).GetChildWorkflowExecution().Get(ctx, nil)
}

func (s *sweeper) takeUpCluster(ctx workflow.Context, o activities.Orphan, state []byte) error {
	var st ClusterState
	if err := json.Unmarshal(state, &st); err != nil {
		return fmt.Errorf("its last state cannot be read: %w", err)
	}
	if st.Phase == "" { // it had not begun: nothing is claimed, and only its report is owed
		never := rollout.Report{Name: st.Name, Phase: rollout.PhaseEnded, Outcome: rollout.ClusterHalted, Reason: "its workflow was " + o.Status + " before it began: nothing was touched"}
		s.send(st.Parent, signalReport, ClusterReport{Report: never})
		return nil
	}
	st.Unwritten = again(ctx, &st.Audit, st.Unwritten, o, "")
	for _, m := range st.Cluster.Members {
		if !m.Running || m.RunID != "" {
			continue
		}
		if err := s.findStart(ctx, o, &st, m); err != nil {
			return err
		}
	}
	st.Cluster = st.Cluster.TakeUp(o.Status, workflow.Now(ctx))
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: o.WorkflowID, TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         "bring cluster " + st.Name + " to a safe end for " + st.Instance,
		TypedSearchAttributes: attributes(st.Instance, st.Name, st.Stage, "", string(st.Phase)),
	})
	return workflow.ExecuteChildWorkflow(child, ClusterType, st).GetChildWorkflowExecution().Get(ctx, nil)
}

// findStart asks whether a start that was not confirmed was made: the latest run on the host may be of an earlier try.
func (s *sweeper) findStart(ctx workflow.Context, o activities.Orphan, st *ClusterState, m rollout.Slot) error {
	in := activities.LastRunInput{WorkflowID: MemberID(m.Host), Instance: st.Instance}
	summary := "ask whether " + m.Host + " was begun"
	var run activities.LastRun
	if err := workflow.ExecuteActivity(brief(ctx, "", summary), "LastRun", in).Get(ctx, &run); err != nil {
		return err
	}
	var last MemberState
	if in.RunID = run.RunID; run.RunID != "" {
		if err := workflow.ExecuteActivity(brief(ctx, "", summary), "LastRun", in).Get(ctx, &run); err != nil {
			return err
		}
		if err := json.Unmarshal(run.State, &last); err != nil {
			return fmt.Errorf("the last state of %s cannot be read: %w", in.WorkflowID, err)
		}
	}
	if last.Try == m.Tries {
		st.Cluster = st.Confirmed(m.Host, run.RunID)
		return nil
	}
	st.Cluster = st.NotStarted(m.Host, rollout.ClaimResult{Reason: "its start was cut short"}, workflow.Now(ctx))
	return nil
}

// again begins a chain of its own, which names the end of the one before: what was in flight when that ended may still be written
// to it.
func again(ctx workflow.Context, head *audit.Head, owed unwritten, o activities.Orphan, host string) unwritten {
	before := *head
	if before.Chain == "" {
		return owed // it had done nothing yet: its chain begins with this run
	}
	*head = audit.Head{Chain: before.Chain + "+"}
	owed.add(ctx, head, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: "take up", Host: host, Detail: before.Chain + " was " + o.Status, Result: before.Digest})
	return owed
}
