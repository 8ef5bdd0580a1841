package workflows

import (
	"encoding/json"
	"errors"
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
	Told  []string       `json:"told,omitempty"`  // the trouble that was logged and told, as long as it stays
	Notes []string       `json:"notes,omitempty"` // what the last survey has to say
	Quiet int            `json:"quiet,omitempty"` // how many more sweeps go without a survey

	Stuck []Stuck `json:"stuck,omitempty"` // what cannot be taken up
}

// Stuck is a run that was ended from outside and that cannot be taken up.
type Stuck struct {
	RunID string `json:"run_id"`
	Text  string `json:"text"`
	Next  string `json:"next"` // the command to type
	Told  bool   `json:"told,omitempty"`
}

const (
	// stuckAtOnce is how many runs that could not be taken up are tried again in one sweep, in turn: each may take its time to fail.
	stuckAtOnce = 10
	// stuckKept bounds what the sweeper remembers of them.
	stuckKept = 1000
)

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
	stays []string  // the trouble that the survey has found so far
}

func (s *sweeper) sweep(ctx workflow.Context) {
	s.At, s.due = workflow.Now(ctx), time.Time{}
	var found []activities.Orphan
	var did []string
	stuck := s.Stuck
	if err := workflow.ExecuteActivity(brief(ctx, "", "look for workflows that were ended from outside"), "Orphans", activities.OrphansInput{Known: s.known()}).Get(ctx, &found); err != nil {
		did = append(did, "could not look for workflows that were ended from outside: "+cause(err)) // what stands in Consul is looked at all the same
	} else {
		found, stuck = s.inTurn(found)
	}
	for _, o := range found {
		if slices.Contains(s.TakenUp, o.RunID) {
			continue
		}
		err := s.takeUp(ctx, o)
		if lost := (*unreadable)(nil); errors.As(err, &lost) {
			stuck = append(stuck, s.cannot(ctx, o, lost))
		}
		if err != nil {
			did = append(did, fmt.Sprintf("%s of %s could not be taken up: %s", o.WorkflowID, o.Instance, cause(err)))
			continue
		}
		did = append(did, fmt.Sprintf("%s of %s was %s and is taken up", o.WorkflowID, o.Instance, o.Status))
		if s.TakenUp = append(s.TakenUp, o.RunID); len(s.TakenUp) > takenUpKept {
			s.TakenUp = s.TakenUp[1:]
		}
	}
	s.Stuck = stuck[:min(len(stuck), stuckKept)]
	if s.Quiet--; s.asked || s.Quiet < 0 {
		s.asked = false
		did = append(did, s.survey(ctx)...)
	}
	if len(did) > 0 {
		s.Last = s.At.UTC().Format(time.RFC3339) + ": " + strings.Join(did, "; ")
	}
	s.show(ctx)
}

// known are the runs that the list need not find room for: they stay in it, for a while or until somebody deletes them.
func (s *sweeper) known() []string {
	known := slices.Clone(s.TakenUp)
	for _, one := range s.Stuck {
		known = append(known, one.RunID)
	}
	return known
}

// inTurn puts what was found in the order in which it is tried: what is new goes first, and of that members, because a cluster that is taken
// up waits for them. Of what could not be taken up before some are tried again; the others keep their turn.
func (s *sweeper) inTurn(found []activities.Orphan) (try []activities.Orphan, wait []Stuck) {
	slices.SortStableFunc(found, func(a, b activities.Orphan) int { return strings.Compare(b.Type, a.Type) })
	there := map[string]activities.Orphan{}
	for _, o := range found {
		if there[o.RunID] = o; !slices.ContainsFunc(s.Stuck, func(known Stuck) bool { return known.RunID == o.RunID }) {
			try = append(try, o)
		}
	}
	again := 0
	for _, known := range s.Stuck {
		switch o, stands := there[known.RunID]; {
		case !stands:
		case again < stuckAtOnce:
			try, again = append(try, o), again+1
		default:
			wait = append(wait, known)
		}
	}
	return try, wait
}

func (s *sweeper) show(ctx workflow.Context) {
	last := s.Last
	if last == "" {
		last = "nothing was found so far"
	}
	text := "Looks every " + s.Every.String() + " for clusters and members whose workflows were ended from outside, and takes them up to bring their hosts to a safe end; and in Consul for what instances left behind that this server does not know any more.\n\nLast: " + last + "\n"
	for i, one := range s.Stuck {
		if i == notesKept {
			text += fmt.Sprintf("- and %d more that cannot be taken up\n", len(s.Stuck)-i)
			break
		}
		text += "- " + oneLine(one.Text) + ": " + one.Next + "\n"
	}
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
	in := activities.LastRunInput{WorkflowID: o.WorkflowID, RunID: o.RunID, Instance: o.Instance}
	summary := "read the last state of " + o.WorkflowID
	if o.Type == MemberType {
		var st MemberState
		if _, err := lastState(ctx, summary, in, &st); err != nil {
			return err
		}
		return s.takeUpMember(ctx, o, st)
	}
	var st ClusterState
	if _, err := lastState(ctx, summary, in, &st); err != nil {
		return err
	}
	return s.takeUpCluster(ctx, o, st)
}

// unreadable is a run whose last State cannot be had: nobody goes on with it.
type unreadable struct {
	in  activities.LastRunInput
	err error
}

func (u *unreadable) Error() string {
	return "the last state of " + u.in.WorkflowID + " cannot be read: " + cause(u.err)
}

// lastState asks a run for its State; without the run's id, the latest one of its instance. RunID is empty where there is none.
func lastState(ctx workflow.Context, summary string, in activities.LastRunInput, into any) (runID string, err error) {
	var run activities.LastRun
	if in.RunID == "" {
		if err := workflow.ExecuteActivity(brief(ctx, "", summary), "LastRun", in).Get(ctx, &run); err != nil || run.RunID == "" {
			return "", err
		}
		in.RunID = run.RunID
	}
	if err := workflow.ExecuteActivity(brief(ctx, "", summary), "LastRun", in).Get(ctx, &run); err != nil {
		return in.RunID, &unreadable{in, err}
	}
	if err := json.Unmarshal(run.State, into); err != nil {
		return in.RunID, &unreadable{in, err}
	}
	return in.RunID, nil
}

// cannot keeps a run that cannot be taken up. People are told at the second time: the survey leaves to the sweeper what it is to take up, so
// that nobody else ever sees to it. Once its run is gone, the survey does.
func (s *sweeper) cannot(ctx workflow.Context, o activities.Orphan, lost *unreadable) Stuck {
	now := Stuck{
		RunID: o.RunID, Text: fmt.Sprintf("%s of %s was %s and cannot be taken up: %s", o.WorkflowID, o.Instance, o.Status, lost.Error()),
		Next: "temporal workflow delete --workflow-id " + lost.in.WorkflowID + " --run-id " + lost.in.RunID,
	}
	i := slices.IndexFunc(s.Stuck, func(known Stuck) bool { return known.RunID == o.RunID })
	if i < 0 {
		return now
	}
	if now.Told = true; !s.Stuck[i].Told {
		workflow.GetLogger(ctx).Warn(now.Text, "next", now.Next)
		s.tell(ctx, s.people(ctx, found{}, o.Instance), SweeperID+"/"+o.RunID, activities.Notice{Event: rollout.TellHold, Instance: o.Instance, Text: now.Text, Next: now.Next}, 1)
	}
	return now
}

func (s *sweeper) takeUpMember(ctx workflow.Context, o activities.Orphan, st MemberState) error {
	st.Unwritten = again(ctx, &st.Audit, st.Unwritten, o, st.Host)
	st.Member = st.TakeUp(o.Status, workflow.Now(ctx))
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: o.WorkflowID, TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         "bring " + st.Host + " of " + st.Cluster + " to a safe end for " + st.Instance,
		TypedSearchAttributes: attributes(st.Instance, st.Cluster, "", st.Host, string(st.Step)),
	})
	return workflow.ExecuteChildWorkflow(child, MemberType, st).GetChildWorkflowExecution().Get(ctx, nil)
}

func (s *sweeper) takeUpCluster(ctx workflow.Context, o activities.Orphan, st ClusterState) error {
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
	var last MemberState
	run, err := lastState(ctx, "ask whether "+m.Host+" was begun", activities.LastRunInput{WorkflowID: MemberID(m.Host), Instance: st.Instance}, &last)
	if err != nil {
		return err
	}
	if last.Try == m.Tries {
		st.Cluster = st.Confirmed(m.Host, run)
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
