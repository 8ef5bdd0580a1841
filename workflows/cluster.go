package workflows

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// ClusterState is a cluster's workflow: what the rules know, and what its members and activities need.
type ClusterState struct {
	rollout.Cluster
	Part       string                         `json:"part"`
	Plan       string                         `json:"plan,omitempty"` // for notices; empty: nobody is told
	Parent     string                         `json:"parent"`         // workflow id of its campaign
	Why        string                         `json:"why,omitempty"`  // the campaign's reason, shown on the claim
	Unattended bool                           `json:"unattended,omitempty"`
	Member     rollout.MemberPolicy           `json:"member"`
	Segments   map[string]string              `json:"segments,omitempty"`
	Limits     map[rollout.Step]time.Duration `json:"limits,omitempty"`
	Audit      audit.Head                     `json:"audit"`
	WatchAudit audit.Head                     `json:"watch_audit"`
	Before     string                         `json:"before,omitempty"` // what every member had when automatic updates were turned off: a digest
	Unwritten  unwritten                      `json:"unwritten"`
	Seen       seen                           `json:"seen"`
	Agreement  Agreement                      `json:"agreement,omitzero"`
	Ballots    ballots                        `json:"ballots,omitzero"`
}

// Took says that a message of that word and request id was taken before: said again, it changes nothing.
func (st ClusterState) Took(word, id string) bool { return st.Seen.has(word, id) }

// ClusterReport is what a cluster tells its campaign.
type ClusterReport struct {
	rollout.Report
	Audit audit.Head `json:"audit"`
}

// Cluster works on one cluster: its claim, its waves, its soaks.
func Cluster(ctx workflow.Context, st ClusterState) (ClusterReport, error) {
	c := &cluster{carrier: newCarrier(ctx), ClusterState: st}
	if c.Audit.Chain == "" {
		c.Audit.Chain = workflow.GetInfo(ctx).WorkflowExecution.ID
		c.WatchAudit.Chain = c.Audit.Chain + "#watch"
	}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (ClusterState, error) { return c.ClusterState, nil }); err != nil {
		return ClusterReport{}, err
	}
	if c.Phase == "" {
		if err := c.begin(ctx); err != nil {
			return ClusterReport{}, err
		}
	}
	if err := c.listen(ctx); err != nil {
		return ClusterReport{}, err
	}
	c.findChildren()
	if c.AbortFor != "" { // said before this run, perhaps by who took the cluster up: twice does no harm
		c.abortMembers(anyMode...)
	}
	for {
		c.Unwritten.flush(c.ctx, c.queue())
		c.changed = false // what came while it was written is in the State that Next sees
		now := workflow.Now(c.ctx)
		c.Cluster = c.Tick(now).Book(now)
		c.judge()
		d := c.Next(now)
		c.show(ctx, d)
		c.report()
		if c.changed {
			c.changed = false
			continue // the report found that its campaign is gone
		}
		if d.End {
			return c.finish()
		}
		if c.mayContinueAsNew(ctx) {
			c.settle()
			return ClusterReport{}, workflow.NewContinueAsNewError(ctx, ClusterType, c.ClusterState)
		}
		wanted := map[string]bool{}
		for _, a := range d.Start {
			wanted[a.ID] = true
			if a.Do == rollout.DoMember {
				c.startMember(a)
				continue
			}
			c.start(a.ID, func(ctx workflow.Context) { c.carryOut(ctx, a) })
		}
		for _, id := range workflow.DeterministicKeys(c.inFlight) {
			if strings.HasPrefix(id, "watch.") && !wanted[id] {
				c.inFlight[id]()
			}
		}
		if c.Frozen && !c.frozenTold {
			c.send(FreezeID, signalWaits, ClusterID(c.Instance, c.Name))
		}
		c.frozenTold = c.Frozen
		wake := c.reportsAgain()
		if !d.WakeAt.IsZero() && d.WakeAt.Before(wake) {
			wake = d.WakeAt
		}
		c.await(wake)
	}
}

type cluster struct {
	*carrier
	ClusterState
	told       rollout.Report // the last report
	toldAt     time.Time
	frozenTold bool                 // the freeze that it waits for knows of it
	demanded   map[string]time.Time // when others were last asked to hand over to this emergency
	gates      *gatekeeper
}

// begin works the first State out from the part of the plan.
func (c *cluster) begin(ctx workflow.Context) error {
	var r activities.BeginResult
	in := activities.BeginInput{Instance: c.Instance, Part: c.Part, Unattended: c.Unattended}
	if err := workflow.ExecuteActivity(options(ctx, SegmentQueue(""), "read the plan of "+c.Name, time.Minute), "Begin", in).Get(ctx, &r); err != nil {
		return err
	}
	r.Cluster.Broken = c.Broken
	c.Cluster, c.Member, c.Segments, c.Limits = r.Cluster, r.Member, r.Segments, r.Limits
	c.Since, c.Agreement.Owner = workflow.Now(ctx), r.Owner
	return nil
}

func (c *cluster) now() time.Time { return workflow.Now(c.ctx) }

func (c *cluster) listen(ctx workflow.Context) error {
	c.onCancel(ctx, func() {
		c.Cluster = c.Abort(rollout.Message{Actor: "Temporal", Reason: "the workflow was cancelled"}, c.now())
		c.abortMembers(anyMode...)
	})
	onSignal(c.carrier, signalMember, func(r MemberReport) { c.memberEnded(r) })
	onSignal(c.carrier, signalHolds, func(h rollout.Holding) { c.Cluster = c.Holding(h) })
	onSignal(c.carrier, signalHold, func(m rollout.Message) { c.hear(UpdateHold, m) })
	onSignal(c.carrier, signalUnpause, func(m rollout.Message) { c.hear(signalUnpause, m) })
	onSignal(c.carrier, signalAbort, func(m rollout.Message) { c.hear(UpdateAbort, m) })
	onSignal(c.carrier, signalBackout, func(m rollout.Message) { c.hear(backoutAll, m) })
	onSignal(c.carrier, signalThawed, func(any) { c.Cluster = c.Thawed(c.now()) })
	onSignal(c.carrier, signalBroken, func(list []rollout.Broken) { c.breakFreezes(list) })
	onSignal(c.carrier, signalVote, func(w clusterWord) {
		c.keeper().words++
		c.start("word."+itoa(c.keeper().words), func(ctx workflow.Context) { _ = c.vote(ctx, w.Word, w.Message) }) // refused, it is on record
	})
	onSignal(c.carrier, signalYield, func(to string) { c.yield(to) })
	onSignal(c.carrier, signalMay, func(w rollout.Word) { c.Cluster = c.Heed(w, c.now()) })
	may := map[string]func(rollout.Message) error{
		UpdateApprove: func(m rollout.Message) error { return c.MayApprove(m) },
		UpdateReject:  func(m rollout.Message) error { return c.MayReject(m) },
		UpdateBackout: func(m rollout.Message) error { return c.MayBackout(m) },
		UpdateRetry:   func(m rollout.Message) error { return c.MayRetry(m) },
		UpdateSkip:    func(m rollout.Message) error { return c.MaySkip(m) },
		UpdateExtend:  func(m rollout.Message) error { return c.MayExtend(m) },
		UpdateResume:  func(m rollout.Message) error { return c.MayResume(m) },
		UpdateHold:    rollout.Message.Check,
	}
	for _, word := range []string{UpdateApprove, UpdateReject, UpdateExtend, UpdateBackout, UpdateRetry, UpdateSkip, UpdateResume, UpdateHold} {
		err := workflow.SetUpdateHandlerWithOptions(c.ctx, word, func(ctx workflow.Context, m rollout.Message) (rollout.Report, error) {
			if word != UpdateApprove && word != UpdateReject {
				c.hear(word, m)
			} else if !c.Took(word, m.ID) {
				if err := c.keeper().hears(ctx, m, func(ctx workflow.Context) error { return c.vote(ctx, word, m) }); err != nil {
					return rollout.Report{}, err
				}
			}
			return c.Report(), nil
		}, workflow.UpdateHandlerOptions{Description: describe[word], Validator: func(m rollout.Message) error {
			if c.Took(word, m.ID) {
				return nil // it moved the cluster on, so that it no longer fits; said again, it changes nothing
			}
			if m.Statement != "" && (word == UpdateApprove || word == UpdateReject) {
				return m.Check() // what was signed is answered on record, whatever it is for
			}
			return may[word](m)
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// hear applies a person's message, once per request id, and puts it on the chain.
func (c *cluster) hear(word string, m rollout.Message) {
	if c.Seen.twice(word, m.ID) || c.Outcome != "" {
		return
	}
	c.Unwritten.add(c.outlive, &c.Audit, message(word, m))
	c.Said = rollout.Said{Word: word, Actor: m.Actor, At: c.now()}
	switch word {
	case UpdateReject, UpdateBackout:
		c.undo(word, m)
	case backoutAll:
		c.Cluster = c.BackoutAll(m, c.now())
		c.tellHolding(UpdateBackout, m) // one that holds is not given up on: it is asked until it can be told
		c.abort(func(s rollout.Slot) bool { return s.Mode == rollout.ModePatch && s.Holds == "" })
	case UpdateRetry:
		c.Cluster = c.Retry(m, c.now())
		c.tellHolding(word, m)
	case UpdateHold:
		c.Cluster = c.Hold(m)
	case signalUnpause:
		c.Cluster = c.Unpause()
	case UpdateResume:
		c.Cluster = c.Resume(m, c.now())
	case UpdateSkip:
		c.Cluster = c.Skip(m, c.now())
		c.tellHolding(word, m)
	case UpdateExtend:
		c.Cluster = c.Extend(m, c.now())
	case UpdateAbort:
		c.Cluster = c.Abort(m, c.now())
		c.abortMembers(anyMode...)
	}
	c.changed = true
}

// undo brings the patched members back on a person's word.
func (c *cluster) undo(word string, m rollout.Message) {
	c.Cluster = c.Backout(m, word, c.now())
	c.tellHolding(UpdateBackout, m)
}

// backoutAll is the word for a campaign's backout on a cluster's chain.
const backoutAll = "backout of the campaign"

// tellHolding hands a person's word on to the member that holds.
func (c *cluster) tellHolding(word string, m rollout.Message) {
	for _, s := range c.Members {
		if s.Running && s.Holds != "" {
			c.send(MemberID(s.Host), signalWord, memberWord{Instance: c.Instance, Word: word, Why: word + " by " + m.Actor + " (claimed): " + m.Reason})
		}
	}
}

var anyMode = []rollout.Mode{rollout.ModePatch, rollout.ModeBackout}

// abortMembers tells the members on their way in these modes: one that is not patched yet goes back into service, and a backout is
// finished unless it holds.
func (c *cluster) abortMembers(modes ...rollout.Mode) {
	c.abort(func(s rollout.Slot) bool { return slices.Contains(modes, s.Mode) })
}

func (c *cluster) abort(which func(rollout.Slot) bool) {
	for _, s := range c.Members {
		if s.Running && s.RunID != "" && which(s) { // one that is being started is told by follow, once its id is ours for sure
			c.send(MemberID(s.Host), signalAbort, memberAbort{c.Instance, c.Unbound})
		}
	}
}

func (c *cluster) carryOut(ctx workflow.Context, a rollout.Action) {
	switch a.Do {
	case rollout.DoProve:
		c.prove(ctx, a)
	case rollout.DoNotify:
		c.tell(ctx, c.Plan, c.Audit.Chain, notice(c.Instance, c.Name, *a.Notice), a.Notice.N)
		c.Outbox.Sent(a.Notice.N)
	case rollout.DoClaim, rollout.DoRelease:
		c.claim(ctx, a)
	case rollout.DoWindow:
		c.window(ctx, a)
	case rollout.DoStaged:
		c.staged(ctx, a)
	case rollout.DoUpdatersOff, rollout.DoUpdatersOn:
		c.updaters(ctx, a)
	case rollout.DoWatch:
		c.watch(ctx, a)
	case rollout.StepQuarantine:
		c.quarantine(ctx, a)
	}
}

// quarantine puts the versions of a transaction that failed on record.
func (c *cluster) quarantine(ctx workflow.Context, a rollout.Action) {
	in := activities.EvidenceInput{ClaimInput: activities.ClaimInput{Instance: c.Instance, Part: c.Part, Plan: c.Plan}, Evidence: c.Evidence[0]}
	in.Intent = intend(ctx, &c.Audit, string(a.Do), a.Host, "", "versions of "+c.Name+": "+in.Evidence.Why)
	var r activities.ClaimResult
	if err := workflow.ExecuteActivity(options(ctx, c.queue(), "put versions that failed on "+a.Host+" into quarantine", time.Minute), "QuarantineVersions", in).Get(ctx, &r); err != nil {
		r.ClaimResult = rollout.ClaimResult{Reason: cause(err)}
		c.Unwritten.owe(in.Intent)
	} else {
		c.Unwritten.adopt(ctx, &c.Audit, in.Intent, r.Audit)
	}
	c.Cluster = c.Recorded(a.ID, r.ClaimResult, workflow.Now(ctx))
}

// claim takes or releases the cluster, through its first member's segment.
func (c *cluster) claim(ctx workflow.Context, a rollout.Action) {
	in := activities.ClaimInput{Instance: c.Instance, Part: c.Part, Plan: c.Plan, Reason: c.Why}
	in.Workflow, in.Emergency, in.YieldTo = ClusterID(c.Instance, c.Name), c.Policy.Emergency, c.HandsOverTo()
	name, apply := "Claim", rollout.Cluster.Claim
	if a.Do == rollout.DoRelease {
		name, apply = "Release", rollout.Cluster.Released
		in.Finished, in.Took = c.Finished(), c.Measured()
	}
	in.Intent = intend(ctx, &c.Audit, string(a.Do), "", "", c.Name)
	var r activities.ClaimResult
	if err := workflow.ExecuteActivity(options(ctx, c.queue(), string(a.Do)+" "+c.Name, time.Minute), name, in).Get(ctx, &r); err != nil {
		r.ClaimResult = rollout.ClaimResult{Reason: cause(err)}
		c.Unwritten.owe(in.Intent)
	} else {
		c.Unwritten.adopt(ctx, &c.Audit, in.Intent, r.Audit)
	}
	c.Cluster = apply(c.Cluster, a.ID, r.ClaimResult, workflow.Now(ctx))
	c.demand(r.Holders)
}

// window asks windows and freezes whether a member may begin. The answer is in the history, and the gate's on the chain.
func (c *cluster) window(ctx workflow.Context, a rollout.Action) {
	var r rollout.FitResult
	in := activities.WindowInput{Instance: c.Instance, Part: c.Part, Host: a.Host, Canary: a.Canary, Mode: a.Mode, Broken: c.Broken}
	if err := workflow.ExecuteActivity(options(ctx, SegmentQueue(c.Segments[a.Host]), "ask whether "+a.Host+" may begin now", time.Minute), "Window", in).Get(ctx, &r); err != nil {
		r = rollout.FitResult{Reason: cause(err)}
	}
	if c.Cluster = c.Fitted(a.ID, r, workflow.Now(ctx)); !rollout.SameBroken(in.Broken, c.Broken) {
		c.Cluster = c.AskAnew()
	}
}

// staged asks whether what the member would get has finished in the stage that goes first: of the host itself, or where its canary is through,
// of the manifest.
func (c *cluster) staged(ctx workflow.Context, a rollout.Action) {
	var r rollout.StagedResult
	in := activities.StagedInput{Instance: c.Instance, Part: c.Part, Host: a.Host, Manifest: c.Manifest}
	summary := "ask whether what " + a.Host + " would get has finished in another stage"
	if err := workflow.ExecuteActivity(options(ctx, SegmentQueue(c.Segments[a.Host]), summary, stagedLimit), "Staged", in).Get(ctx, &r); err != nil {
		r = rollout.StagedResult{Reason: cause(err)}
	}
	c.Cluster = c.Staged(a.ID, r, workflow.Now(ctx))
}

// stagedLimit is more than a host has to say what it would get.
const stagedLimit = 5 * time.Minute

func (c *cluster) queue() string {
	if len(c.Members) == 0 {
		return SegmentQueue("")
	}
	return SegmentQueue(c.Segments[c.Members[0].Host])
}

// watch samples the checks until they change. One that was cancelled said nothing.
func (c *cluster) watch(ctx workflow.Context, a rollout.Action) {
	patched, peers := c.Watch()
	in := activities.WatchInput{
		Instance: c.Instance, Part: c.Part, Patched: patched, Peers: peers, Verdict: c.Verdict, Reason: c.Watched, Passes: c.Passes, Pulses: c.Pulses(),
	}
	in.Intent = intend(ctx, &c.WatchAudit, "watch", strings.Join(patched, ","), "", "soak "+itoa(c.SoakNo))
	var r activities.WatchResult
	opts := options(ctx, c.queue(), "watch "+strings.Join(patched, ", "), 2*time.Hour)
	opts = workflow.WithWaitForCancellation(opts, false) // it only reads: nobody need wait until it has heard of its end
	err := workflow.ExecuteActivity(opts, "Watch", in).Get(ctx, &r)
	if err != nil {
		c.Unwritten.owe(in.Intent)
	}
	switch {
	case temporal.IsCanceledError(err):
		return
	case err != nil:
		r.WatchResult = rollout.WatchResult{Verdict: rollout.Inconclusive, Reason: cause(err)}
	default:
		c.Unwritten.adopt(ctx, &c.WatchAudit, in.Intent, r.Audit)
	}
	r.ID = a.ID
	c.Cluster = c.Sampled(r.WatchResult, workflow.Now(ctx))
}

// startMember records the start before it is made, and starts the member's workflow.
func (c *cluster) startMember(a rollout.Action) {
	var slot rollout.Slot
	c.Cluster = c.Started(a.Host, a.Mode, c.now())
	for _, s := range c.Members {
		if s.Host == a.Host {
			slot = s
		}
	}
	_, peers := c.Watch()
	st := MemberState{
		Member: rollout.NewMember(c.Instance, c.Name, a.Host, a.Mode, a.Canary, c.ClusterState.Member).Begins(c.Unbound, c.now()),
		Part:   c.Part, Plan: c.Plan, Parent: ClusterID(c.Instance, c.Name), Segment: c.Segments[a.Host], Limits: c.Limits, Peers: peers, Manifest: c.Manifest,
		Try: slot.Tries, Changed: slot.Changes, Before: c.Before,
	}
	st.Broken = c.Broken
	if a.Mode == rollout.ModeBackout {
		st.Print = slot.Print
	}
	if slot.OtherHand { // a person has seen it, and said go on
		st.Before = ""
	}
	workflow.Go(c.outlive, func(ctx workflow.Context) {
		c.follow(ctx, a, st)
		c.changed = true
	})
}

// follow starts the member's workflow and waits for its end. The report comes as a signal too; whichever is first counts.
func (c *cluster) follow(ctx workflow.Context, a rollout.Action, st MemberState) {
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: MemberID(a.Host), TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         string(a.Mode) + " " + a.Host + " of " + c.Name + " for " + c.Instance,
		TypedSearchAttributes: attributes(c.Instance, c.Name, c.Stage, a.Host, "inspect"),
	}), MemberType, st)
	var run workflow.Execution
	if err := child.GetChildWorkflowExecution().Get(ctx, &run); err != nil {
		c.Cluster = c.NotStarted(a.Host, c.notStarted(ctx, a.Host, err), c.now())
		return
	}
	c.Cluster = c.Confirmed(a.Host, run.RunID)
	if c.AbortFor != "" || c.BackoutFor != "" && a.Mode == rollout.ModePatch { // it was said while the member started
		c.send(MemberID(a.Host), signalAbort, memberAbort{c.Instance, c.Unbound})
	}
	if !rollout.SameBroken(c.Broken, st.Broken) {
		c.send(MemberID(a.Host), signalBroken, memberBroken{c.Instance, c.Broken})
	}
	var r MemberReport
	if err := child.Get(ctx, &r); err != nil && !reported(err, &r) {
		if fromOutside(err) && c.takenUp(ctx, rollout.Slot{Host: a.Host, Mode: a.Mode, Tries: st.Try, RunID: run.RunID}) {
			return
		}
		r = MemberReport{MemberEnd: lost(a.Host, a.Mode, st.Try, cause(err))}
	}
	c.memberEnded(r)
}

// notStarted says why a member's workflow was not started: who has its host, or what else is wrong.
func (c *cluster) notStarted(ctx workflow.Context, host string, err error) rollout.ClaimResult {
	if !temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return rollout.ClaimResult{Reason: "the workflow of " + host + " cannot be started: " + cause(err)}
	}
	owner := "another instance"
	if r, err := askFor(ctx, c.queue(), MemberID(host), ""); err == nil && r.Instance != "" {
		owner = r.Instance
	}
	return rollout.ClaimResult{Held: true, Reason: owner + " works on " + host}
}

// takeUpWithin is how long a workflow that ended without a report may take to be taken up again, and to report then, before it
// counts as lost.
const takeUpWithin = 30 * time.Minute

// fromOutside says that a workflow did not end by itself: the sweeper takes such ones up.
func fromOutside(err error) bool {
	var timeout *temporal.TimeoutError
	return temporal.IsTerminatedError(err) || errors.As(err, &timeout)
}

// It is asked for meanwhile, soon and then less often: its report may be lost as well, where both were ended.
const (
	takeUpAskFirst = 20 * time.Second
	takeUpAsk      = 5 * time.Minute
)

// takenUp waits for the report of a member whose workflow was ended from outside: the sweeper takes it up, in another run. It is false
// when nothing worked on the host for so long that nobody will.
func (c *cluster) takenUp(ctx workflow.Context, s rollout.Slot) bool {
	gone := func() bool { return !c.onItsWay(s.Host, s.RunID) }
	for idle, pause := time.Duration(0), takeUpAskFirst; idle < takeUpWithin; pause = min(2*pause, takeUpAsk) {
		if done, err := workflow.AwaitWithTimeout(ctx, pause, gone); done || err != nil {
			return true
		}
		r, err := askFor(ctx, c.queue(), MemberID(s.Host), "")
		var end MemberReport
		switch {
		case err != nil, r.Running && r.Instance == c.Instance:
		case json.Unmarshal(r.Result, &end) == nil && end.TakenUp && end.Mode == s.Mode && end.Try == s.Tries:
			c.memberEnded(end)
			return true
		default:
			idle += pause
		}
	}
	return false
}

// onItsWay says that this run of a member's workflow has not reported its end.
func (c *cluster) onItsWay(host, runID string) bool {
	for _, s := range c.Members {
		if s.Host == host {
			return s.Running && s.RunID == runID
		}
	}
	return false
}

// reported reads the report that a member in quarantine ended with.
func reported(err error, into *MemberReport) bool {
	var app *temporal.ApplicationError
	return asApplication(err, &app) && app.Type() == ErrQuarantined && app.HasDetails() && app.Details(into) == nil
}

func lost(host string, mode rollout.Mode, try int, why string) rollout.MemberEnd {
	return rollout.MemberEnd{Host: host, Mode: mode, Try: try, Outcome: rollout.Lost, Reason: "its workflow ended without a report: " + why + "; look at the host before anything else"}
}

func (c *cluster) memberEnded(r MemberReport) {
	before := c.Asked
	c.Cluster = c.Ended(r.MemberEnd, c.now())
	if c.Asked != before && r.Audit.Digest != "" {
		c.Unwritten.add(c.ctx, &c.Audit, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: string(r.Mode), Host: r.Host, Detail: string(r.Outcome), Result: r.Audit.Digest})
	}
	c.changed = true
}

// findChildren asks for the members that a former run of this workflow started: their ends do not reach this one as results.
func (c *cluster) findChildren() {
	for _, s := range c.Members {
		if s.Running && s.RunID != "" {
			c.start("ask."+s.Host, func(ctx workflow.Context) { c.ask(ctx, s) })
		}
	}
}

// askEvery is how often a child is asked for whose report may be lost.
const askEvery = time.Hour

func (c *cluster) ask(ctx workflow.Context, s rollout.Slot) {
	for {
		r, err := askFor(ctx, c.queue(), MemberID(s.Host), s.RunID)
		if err != nil {
			return
		}
		if !r.Running {
			var end MemberReport
			if json.Unmarshal(r.Result, &end) != nil || end.Outcome == "" {
				if r.EndedFromOutside && c.takenUp(ctx, s) {
					return
				}
				end = MemberReport{MemberEnd: lost(s.Host, s.Mode, s.Tries, r.Status)}
			}
			c.memberEnded(end)
			if c.onItsWay(s.Host, s.RunID) { // what ended was another try
				c.memberEnded(MemberReport{MemberEnd: lost(s.Host, s.Mode, s.Tries, "an older one ended")})
			}
			return
		}
		gone := func() bool { return !c.onItsWay(s.Host, s.RunID) }
		if done, err := workflow.AwaitWithTimeout(ctx, askEvery, gone); done || err != nil {
			return
		}
	}
}

func askFor(ctx workflow.Context, queue, id, run string) (activities.AskResult, error) {
	var r activities.AskResult
	in := activities.AskInput{WorkflowID: id, RunID: run}
	err := workflow.ExecuteActivity(options(ctx, queue, "ask what became of "+id, 0), "Ask", in).Get(ctx, &r)
	return r, err
}

// reportEvery is how often a cluster whose state does not change finds out whether its campaign is still there.
const reportEvery = time.Hour

// wordEvery is how often one that waits for its campaign's word asks for it: either may have been lost.
const wordEvery = time.Minute

func (c *cluster) reportsAgain() time.Time {
	if c.Report().Ask > 0 {
		return c.toldAt.Add(wordEvery)
	}
	return c.toldAt.Add(reportEvery)
}

// report tells the campaign whenever what it keeps of this cluster changes. When the campaign is gone, nothing new may begin.
func (c *cluster) report() {
	now := c.Report()
	if c.Parent == "" || now == c.told && workflow.Now(c.ctx).Before(c.reportsAgain()) {
		return
	}
	c.told, c.toldAt = now, workflow.Now(c.ctx)
	err := workflow.SignalExternalWorkflow(c.ctx, c.Parent, "", signalReport, ClusterReport{Report: now, Audit: c.Audit}).Get(c.ctx, nil)
	var gone *temporal.UnknownExternalWorkflowExecutionError
	if errors.As(err, &gone) && (c.AbortFor == "" || now.Ask > 0) && c.Outcome == "" {
		c.Cluster = c.Orphaned(c.Parent, c.now())
		c.abortMembers(anyMode...)
		c.changed = true
	}
}

func (c *cluster) finish() (ClusterReport, error) {
	c.settle()
	if c.WatchAudit.Digest != "" {
		c.Unwritten.add(c.outlive, &c.Audit, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: "watch", Result: c.WatchAudit.Digest})
	}
	c.Unwritten.flush(c.outlive, c.queue())
	r := ClusterReport{Report: c.Report(), Audit: c.Audit}
	if c.Outcome == rollout.ClusterHalted {
		return r, temporal.NewNonRetryableApplicationError("cluster "+c.Name+" halted: "+c.Reason, ErrHalted, nil, r)
	}
	return r, nil
}

// mayContinueAsNew says that history is long enough and nothing is in flight but members, which outlive this run, and the
// watch, which the next run starts again.
func (c *cluster) mayContinueAsNew(ctx workflow.Context) bool {
	if !c.idle(ctx) || c.asks() {
		return false
	}
	for _, id := range workflow.DeterministicKeys(c.inFlight) {
		if strings.HasPrefix(id, "claim.") || strings.HasPrefix(id, "release.") || strings.HasPrefix(id, "notify.") || strings.HasPrefix(id, "quarantine.") || strings.HasPrefix(id, "window.") || strings.HasPrefix(id, "staged.") || strings.HasPrefix(id, "updaters-") {
			return false
		}
	}
	for _, s := range c.Members {
		if s.Running && s.RunID == "" {
			return false // its start was not confirmed yet
		}
	}
	return true
}
