package workflows

import (
	"errors"
	"strconv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const parentCloseAbandon = enumspb.PARENT_CLOSE_POLICY_ABANDON

// MemberState is a member's workflow: what the rules know, and what the activities need.
type MemberState struct {
	rollout.Member
	Part      string                         `json:"part"`
	Plan      string                         `json:"plan,omitempty"`   // for notices; empty: nobody is told
	Parent    string                         `json:"parent"`           // workflow id of its cluster
	Server    string                         `json:"server,omitempty"` // the one that its instance ran on, where that is another one, which is gone for good
	Segment   string                         `json:"segment,omitempty"`
	Limits    map[rollout.Step]time.Duration `json:"limits,omitempty"`
	Peers     []string                       `json:"peers,omitempty"`
	Manifest  string                         `json:"manifest,omitempty"` // what the canary got; empty for the canary
	Print     string                         `json:"print,omitempty"`    // how the host looked before its patch: a digest
	Seq       int64                          `json:"seq,omitempty"`      // the number of the host's last run
	Try       int                            `json:"try"`                // which of the workflows for this host in its instance, from 1
	Runs      map[rollout.Step]RunRef        `json:"runs,omitempty"`
	BootOld   string                         `json:"boot_old,omitempty"`
	BootNew   string                         `json:"boot_new,omitempty"`
	Changed   string                         `json:"changed,omitempty"`  // the transaction: a digest
	Got       string                         `json:"got,omitempty"`      // the canary's manifest
	Scripted  bool                           `json:"scripted,omitempty"` // its drain and undrain run scripts
	Audit     audit.Head                     `json:"audit"`
	Unwritten unwritten                      `json:"unwritten"`
	Before    string                         `json:"before,omitempty"` // what every member had when automatic updates were turned off: a digest
	Told      rollout.Holding                `json:"told,omitzero"`    // what its cluster heard last of its hold
}

// RunRef names the run of a step that is in flight, or comes next. Asking again for what could not be told keeps it; every told
// outcome uses it up.
type RunRef struct {
	No  int   `json:"no"`
	Seq int64 `json:"seq,omitempty"` // 0: not begun
}

// MemberReport is a member's end, as its cluster hears of it.
type MemberReport struct {
	rollout.MemberEnd
	Audit audit.Head `json:"audit"`
}

// memberAbort tells the members of an instance that nothing new may begin.
type memberAbort struct {
	Instance string `json:"instance"`
	Backout  bool   `json:"backout,omitempty"` // a person said so
}

// memberBroken tells the members of an instance which freezes are broken for it.
type memberBroken struct {
	Instance string           `json:"instance"`
	Broken   []rollout.Broken `json:"broken,omitempty"`
}

// memberWord is what a person said to a member of an instance that holds.
type memberWord struct {
	Instance string `json:"instance"`
	Word     string `json:"word"`
	Why      string `json:"why"`
}

// Member works on one host until it is in service again, or in quarantine.
func Member(ctx workflow.Context, st MemberState) (MemberReport, error) {
	m := &member{carrier: newCarrier(ctx), MemberState: st}
	if m.Audit.Chain == "" {
		m.Audit.Chain = MemberID(m.Host) + "/" + m.Instance + "/" + m.tryID()
	}
	if m.Runs == nil {
		m.Runs = map[rollout.Step]RunRef{}
	}
	if err := workflow.SetQueryHandler(ctx, QueryState, func() (MemberState, error) { return m.MemberState, nil }); err != nil {
		return MemberReport{}, err
	}
	abort := func() { m.Member = m.ApplyAbort(workflow.Now(m.ctx)) }
	m.onCancel(ctx, abort)
	onSignal(m.carrier, signalAbort, func(of memberAbort) {
		switch {
		case of.Instance != m.Instance: // another's reaches whoever works on the host by now
		case of.Backout:
			m.Member = m.ApplyBackout(workflow.Now(m.ctx))
		default:
			abort()
		}
	})
	onSignal(m.carrier, signalThawed, func(any) { m.Member = m.Thawed(workflow.Now(m.ctx)) })
	onSignal(m.carrier, signalBroken, func(b memberBroken) {
		if b.Instance == m.Instance {
			m.Member = m.Break(b.Broken)
		}
	})
	onSignal(m.carrier, signalWord, func(w memberWord) {
		if w.Instance == m.Instance {
			m.Member = m.Hear(w.Word, w.Why, workflow.Now(m.ctx))
		}
	})
	for {
		m.Unwritten.flush(m.ctx, SegmentQueue(m.Segment))
		m.changed = false // what came while it was written is in the State that Next sees
		d := m.Next(workflow.Now(m.ctx))
		m.show(ctx, d)
		m.tellHolds()
		if d.End {
			return m.finish(ctx)
		}
		if len(m.inFlight) == 0 && m.idle(ctx) {
			return MemberReport{}, workflow.NewContinueAsNewError(ctx, MemberType, m.MemberState)
		}
		for _, a := range d.Start {
			m.start(a.ID, func(ctx workflow.Context) { m.carryOut(ctx, a) })
		}
		m.waitsForThaw()
		m.await(d.WakeAt)
	}
}

// waitsForThaw asks the freeze that the member waits for to say when it ends, once for each.
func (m *member) waitsForThaw() {
	if !m.Frozen || m.frozenSince.Equal(m.WaitSince) {
		return
	}
	m.frozenSince = m.WaitSince
	m.send(FreezeID, signalWaits, MemberID(m.Host))
}

type member struct {
	*carrier
	MemberState
	frozenSince time.Time // the freeze that knows of it
	toldAt      time.Time // when its cluster was told of its hold, in this run
}

func (m *member) carryOut(ctx workflow.Context, a rollout.Action) {
	if a.Do == rollout.DoNotify {
		m.tell(ctx, m.Plan, m.Audit.Chain, notice(m.Instance, m.Cluster, *a.Notice), a.Notice.N)
		m.Outbox.Sent(a.Notice.N)
		return
	}
	in := activities.StepInput{
		Instance: m.Instance, Server: m.Server, Part: m.Part, Host: m.Host, Manifest: m.Manifest, Changes: m.Changed, Boot: m.BootNew, Peers: m.Peers, Why: m.Why, Plan: m.Plan,
		Before: m.Before, Repair: a.Attempt > 1, Gated: a.Gated, Attach: a.Attach, By: a.By,
	}
	if a.Ask != "" {
		in.Ask, in.Canary, in.Mode, in.Spent, in.Broken = a.Ask, a.Canary, a.Mode, a.Spent, m.Broken
	}
	if a.Do == rollout.StepInspect && !m.Touched {
		in.Mode = m.Mode // what stands against patching it counts before that only
	}
	if a.Do == rollout.StepCheck && m.Touched {
		in.Print = m.Print
	}
	if drain := m.Runs[rollout.StepDrain]; a.Do == rollout.StepUndrain && drain.Seq != 0 {
		drain.Seq = 0 // what it began is taken back: the next drain is another run
		m.Runs[rollout.StepDrain] = drain
	}
	if m.runs(a.Do) {
		ref := m.Runs[a.Do]
		if ref.Seq == 0 {
			m.Seq++
			ref.No, ref.Seq = ref.No+1, m.Seq
			m.Runs[a.Do] = ref
		}
		in.Run, in.Seq = m.Instance+"."+m.Host+"."+string(a.Do)+"."+m.tryID()+"-"+strconv.Itoa(ref.No), ref.Seq
	}
	in.Intent = intend(ctx, &m.Audit, string(a.Do), m.Host, in.Run, string(m.Mode))
	var r activities.StepResult
	opts := options(ctx, SegmentQueue(m.Segment), m.summary(a), m.Limits[a.Do])
	if a.Do == rollout.StepPower { // what came of an attempt that was lost nobody knows: another may find the host at work
		opts = workflow.WithRetryPolicy(opts, temporal.RetryPolicy{MaximumAttempts: 1})
	}
	if err := workflow.ExecuteActivity(opts, stepActivity[a.Do], in).Get(ctx, &r); err != nil {
		r = activities.StepResult{MemberResult: rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: cause(err)}}
		m.Unwritten.owe(in.Intent)
		m.Unwritten.add(ctx, &m.Audit, audit.Entry{Kind: audit.Outcome, Actor: "rollpatch", Action: string(a.Do), Host: m.Host, Run: in.Run, Result: "unknown: " + cause(err)})
	} else {
		m.Unwritten.adopt(ctx, &m.Audit, in.Intent, r.Audit)
	}
	m.keep(a.Do, r)
	m.Member = m.Timed(a.Do, r.MemberResult, time.Duration(r.TookMilli)*time.Millisecond)
	if m.Member = m.Apply(a.ID, r.MemberResult, workflow.Now(ctx)); a.Ask != "" && !rollout.SameBroken(in.Broken, m.Broken) {
		m.Member = m.AskAnew()
	}
}

// tellHolds tells its cluster when it begins to hold, and when it goes on: the cluster takes people's words for it. As long as it holds it
// says so again now and then: one whose cluster is gone for good would wait for a word that can reach it no more.
func (m *member) tellHolds() {
	now := m.Holding()
	again := now.Step != "" && !workflow.Now(m.ctx).Before(m.toldAt.Add(reportEvery))
	if now.Step == m.Told.Step && !again || m.Parent == "" || m.Outcome != "" {
		return
	}
	now.Try = m.Try
	m.Told, m.toldAt = now, workflow.Now(m.ctx)
	m.sending++
	workflow.Go(m.outlive, func(ctx workflow.Context) {
		err := workflow.SignalExternalWorkflow(ctx, m.Parent, "", signalHolds, now).Get(ctx, nil)
		var gone *temporal.UnknownExternalWorkflowExecutionError
		if errors.As(err, &gone) && now.Step != "" {
			m.Member = m.Orphaned(m.Parent, workflow.Now(m.ctx))
		}
		m.sending--
		m.changed = true
	})
}

// tryID tells this workflow from every other for its host in its instance: each cluster that a host belongs to counts its own tries.
func (m *member) tryID() string { return m.Cluster + "-" + itoa(m.Try) }

// runs says that a step starts a script that must run once.
func (m *member) runs(s rollout.Step) bool {
	return m.Scripted && (s == rollout.StepDrain || s == rollout.StepUndrain) ||
		s == rollout.StepFetch || s == rollout.StepPatch || s == rollout.StepReboot || s == rollout.StepBackout
}

// keep remembers what later steps and the report need.
func (m *member) keep(step rollout.Step, r activities.StepResult) {
	m.Scripted = m.Scripted || r.Scripted
	if ref := m.Runs[step]; m.runs(step) && (r.Verdict != rollout.Inconclusive || r.Spent) {
		ref.Seq = 0
		m.Runs[step] = ref
	}
	if r.Seq > m.Seq {
		m.Seq = r.Seq
	}
	if r.Boot != "" {
		if m.BootOld == "" {
			m.BootOld = r.Boot
		}
		m.BootNew = r.Boot
	}
	if r.Print != "" {
		m.Print = r.Print
	}
	if r.Platform != "" {
		m.Platform = r.Platform
	}
	if step == rollout.StepFetch && r.Changes != "" {
		m.Changed, m.Got = r.Changes, r.Manifest
	}
}

func (m *member) finish(ctx workflow.Context) (MemberReport, error) {
	m.settle()
	m.Unwritten.flush(m.outlive, SegmentQueue(m.Segment))
	r := MemberReport{Audit: m.Audit, MemberEnd: rollout.MemberEnd{
		Host: m.Host, Mode: m.Mode, Try: m.Try, Outcome: m.Outcome, Reason: m.Reason, Manifest: m.Got, Changes: m.Changed, Count: m.Changes,
		BootOld: m.BootOld, BootNew: m.BootNew, OutMilli: m.OutMilli, OutAt: m.OutAt, TakenUp: m.TakenUp, Suspect: m.Suspect, LeftOut: m.LeftOut, GivenUp: m.Skipped(), Widens: m.Widens, OtherHand: m.OtherHand, Accepted: m.Accepted,
	}}
	r.Print, r.Differs = m.Print, m.Looks()
	r.Platform = m.Platform
	r.Took, r.TookBack = m.Measured()
	if m.NotNow && m.Outcome == rollout.Returned {
		r.NotNow, r.Waited, r.Next = true, m.Waited, m.Opens
	}
	if m.Outcome != rollout.Patched && m.Outcome != rollout.Unchanged {
		r.Blame = m.Blame // what was found on the way and passed after all is nobody's fault
	}
	own, _ := workflow.NewDisconnectedContext(ctx)
	// The parent may be gone, or may have continued as new; it also hears the end of its child, or asks for it.
	_ = workflow.SignalExternalWorkflow(own, m.Parent, "", signalMember, r).Get(own, nil)
	if m.Outcome == rollout.Quarantined {
		return r, temporal.NewNonRetryableApplicationError(m.Host+" is in quarantine: "+m.Reason, ErrQuarantined, nil, r)
	}
	return r, nil
}

func (m *member) summary(a rollout.Action) string {
	s := string(a.Do) + " " + m.Host
	if a.Attempt > 1 {
		s += ", attempt " + strconv.Itoa(a.Attempt) + " after an interruption"
	}
	return s
}

func notice(instance, cluster string, n rollout.Notice) activities.Notice {
	return activities.Notice{Event: n.Event, Instance: instance, Cluster: cluster, Host: n.Host, Text: n.Text, Next: n.Next}
}

func itoa(n int) string { return strconv.Itoa(n) }
