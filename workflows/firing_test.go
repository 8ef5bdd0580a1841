package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// fired is one firing of a schedule, as a test has it go. Times count from it.
type fired struct {
	*world
	begin   time.Duration // its window opens; 0: a person had it fire
	next    []time.Duration
	answers []rollout.Opening // of the windows, in order; the last one stays
	fails   error             // nobody can put the plan together
	asked   int
	silent  []int  // how many hosts do not answer, each time that they are asked; the last one stays
	rounds  int    // how often they were
	deleted bool   // the schedule is gone by then
	trouble string // why the server is not told of further firings
	drafts  []activities.DraftInput
	turns   []time.Duration // when the windows were asked
	say     func(env *testsuite.TestWorkflowEnvironment)
}

var firedAt = time.Date(2026, 11, 6, 21, 0, 0, 0, time.UTC)

const madeInstance = "monthly-20261106T210000Z"

// fire runs the firing until its instance has ended.
func (f *fired) fire(t *testing.T) (workflows.FiringState, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := environment(&suite)
	env.SetTestTimeout(60 * time.Second)
	env.SetStartTime(firedAt)
	env.SetWorkflowRunTimeout(90 * 24 * time.Hour)
	o := startOptions()
	o.ID = workflows.ScheduleID("monthly") + "-2026-11-06T21:00:00Z"
	env.SetStartWorkflowOptions(o)
	workflows.Register(env)
	named := func(name string) activity.RegisterOptions { return activity.RegisterOptions{Name: name} }
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.FireInput) (activities.FireResult, error) {
		r := activities.FireResult{Trouble: f.trouble}
		if !in.At.Equal(firedAt) {
			return r, errors.New("it is meant for " + in.At.String())
		}
		if f.begin > 0 {
			r.Begin = firedAt.Add(f.begin)
		}
		for _, n := range f.next {
			r.Next = append(r.Next, firedAt.Add(n))
		}
		return r, nil
	}, named("Fire"))
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.AskHostsInput) (activities.AskHostsResult, error) {
		r := activities.AskHostsResult{Answers: "answers to " + in.Question, Asked: 2}
		if len(f.silent) > 0 {
			r.Unknown = f.silent[min(f.rounds, len(f.silent)-1)]
		}
		f.rounds++
		return r, nil
	}, named("AskHosts"))
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.DraftInput) (activities.DraftResult, error) {
		f.drafts = append(f.drafts, in)
		if f.fails != nil {
			return activities.DraftResult{}, f.fails
		}
		c := rollout.Campaign{
			Instance: madeInstance, Name: "monthly", Why: "security updates", Requester: in.By, Plan: "sha256:plan", Parallel: 5, Unattended: true, StartedAt: in.At,
			Stages: []string{"production"}, Clusters: []rollout.Ref{{Name: "web", Part: "part:web", Total: len(f.members)}},
		}
		for _, g := range f.agreement.Gates {
			c.Gates = append(c.Gates, rollout.Gate{ID: g.ID, Stage: g.Stage})
		}
		if f.rules != nil {
			f.rules(&c)
		}
		r := activities.DraftResult{Campaign: c, Agreement: f.agreement, Tell: true, Saved: "sha256:saved", Asked: 2}
		if len(f.silent) > 0 {
			r.Unknown, r.Silent = f.silent[min(f.rounds-1, len(f.silent)-1)], "web-2: no connection"
		}
		return r, nil
	}, named("Draft"))
	env.RegisterActivityWithOptions(func(context.Context, activities.TurnInput) (rollout.Opening, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.turns = append(f.turns, env.Now().Sub(firedAt).Truncate(time.Hour))
		if len(f.answers) == 0 {
			return rollout.Opening{OK: true, Next: env.Now().Add(7 * 24 * time.Hour).Truncate(time.Hour)}, nil
		}
		o := f.answers[min(f.asked, len(f.answers)-1)]
		f.asked++
		return o, nil
	}, named("Turn"))
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.ScheduledInput) (bool, error) {
		if in.Name != "monthly" {
			return false, errors.New("there is none of that name")
		}
		return !f.deleted, nil
	}, named("Scheduled"))
	f.register(env)
	if f.say != nil {
		f.say(env)
	}
	env.ExecuteWorkflow(workflows.FiringType, workflows.FiringState{
		Name: "monthly", Files: "sha256:files", By: "ann", Why: "security updates", Request: f.request,
		Ask: workflows.PlanInput{Batches: []workflows.PlanBatch{{Question: "who", Hosts: 2}}},
	})
	if !env.IsWorkflowCompleted() {
		t.Fatalf("the firing did not end; calls:\n%s", strings.Join(f.calls, "\n"))
	}
	var st workflows.FiringState
	v, err := env.QueryWorkflow(workflows.QueryState)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(&st); err != nil {
		t.Fatal(err)
	}
	return st, env.GetWorkflowError()
}

// told is what people were told of such an event.
func (f *fired) told(event string) string {
	var all []string
	for _, n := range f.notices {
		if n.Event == event {
			all = append(all, n.Text)
		}
	}
	return strings.Join(all, "\n")
}

// agrees has bob agree after so long, unsigned.
func agrees(after time.Duration, word string) func(env *testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			err := env.UpdateWorkflowByID(workflows.CampaignID(madeInstance), word, "id-"+word, &testsuite.TestUpdateCallback{
				OnReject: func(err error) { panic(err) }, OnAccept: func() {}, OnComplete: func(any, error) {},
			}, rollout.Message{ID: "1", Actor: "bob", Reason: "read it"})
			if err != nil {
				panic(err)
			}
		}, after)
	}
}

const lead = 5 * 24 * time.Hour

func gatedFiring() *fired {
	f := &fired{world: newWorld("web-1", "web-2"), begin: lead, next: []time.Duration{28 * 24 * time.Hour}}
	f.agreement = plan.Agreement{Gates: []plan.Gate{{ID: "start", Rule: approval.Rule{Quorum: 1, Unsigned: true}}}}
	return f
}

// begun is when the first cluster was claimed, by the chain.
func (f *fired) begun() time.Duration {
	for _, e := range f.entries {
		if e.Kind == audit.Intent && strings.EqualFold(e.Action, "claim") {
			return e.Time.Sub(firedAt).Truncate(time.Hour)
		}
	}
	return -1
}

func TestScheduledInstanceBeginsInItsWindow(t *testing.T) {
	f := gatedFiring()
	f.say = agrees(time.Hour, workflows.UpdateApprove)
	st, err := f.fire(t)
	if err != nil || st.Instance != madeInstance || !st.Begin.Equal(firedAt.Add(lead)) {
		t.Fatalf("firing %+v ended with %v", st, err)
	}
	if f.begun() != lead {
		t.Errorf("it begins after %s, want %s", f.begun(), lead)
	}
	if len(f.drafts) != 1 || f.drafts[0].Files != "sha256:files" || len(f.drafts[0].Batches) != 1 || f.drafts[0].Batches[0].Answers != "answers to who" || f.drafts[0].By != "ann" {
		t.Errorf("the plan is made of %+v", f.drafts)
	}
	if text := f.told(rollout.TellGate); !strings.Contains(text, "rollpatch schedule plan "+madeInstance) {
		t.Errorf("people are told %q", text)
	}
	if f.told(rollout.TellSkip) != "" {
		t.Errorf("people are told of %q", f.told(rollout.TellSkip))
	}
}

func TestScheduledInstanceThatNobodyApprovesIsTriedInTheNextWindow(t *testing.T) {
	f := gatedFiring()
	f.say = agrees(lead+time.Hour, workflows.UpdateApprove)
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if want := lead + 7*24*time.Hour; f.begun() != want {
		t.Errorf("it begins after %s, want %s", f.begun(), want)
	}
	if text := f.told(rollout.TellSkip); !strings.Contains(text, "it was not approved by 2026-11-11T21:00:00Z") || !strings.Contains(text, "the next one that it tries opens at 2026-11-18T21:00:00Z") {
		t.Errorf("people are told %q", text)
	}
}

// What nobody ever approves touches nothing, and is no failure: the schedule goes on.
func TestScheduledInstanceThatNobodyEverApprovesEnds(t *testing.T) {
	f := gatedFiring()
	st, err := f.fire(t)
	if err != nil {
		t.Fatalf("it pauses the schedule: %v", err)
	}
	if f.begun() >= 0 || st.Skipped > 0 {
		t.Errorf("it began after %s; %d firings were skipped", f.begun(), st.Skipped)
	}
	if text := f.told(rollout.TellHalted); !strings.Contains(text, "aborted: not started: it was not approved") || !strings.Contains(text, "no other window opens before the schedule's next instance is made at 2026-12-04T21:00:00Z") {
		t.Errorf("people are told %q", text)
	}
}

func TestScheduledInstanceHonoursAFreezeOnTheDay(t *testing.T) {
	f := gatedFiring()
	f.say = agrees(time.Hour, workflows.UpdateApprove)
	thaw := lead + 9*time.Hour
	f.answers = []rollout.Opening{{Why: `freeze "fair" until 2026-11-12T06:00:00Z`, Next: firedAt.Add(thaw)}, {OK: true}}
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if f.begun() != thaw {
		t.Errorf("it begins after %s, want %s", f.begun(), thaw)
	}
	if text := f.told(rollout.TellSkip); !strings.Contains(text, `freeze "fair"`) {
		t.Errorf("people are told %q", text)
	}
}

// A calendar that cannot be read keeps it, and is asked again: unknown is not open.
func TestScheduledInstanceWaitsForACalendar(t *testing.T) {
	f := gatedFiring()
	f.say = agrees(time.Hour, workflows.UpdateApprove)
	f.answers = []rollout.Opening{{Unknown: "calendar: connection refused"}, {Unknown: "calendar: connection refused"}, {OK: true}}
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if len(f.turns) != 3 || f.begun() != lead {
		t.Errorf("the windows were asked at %v, and it begins after %s", f.turns, f.begun())
	}
	if text := f.told(rollout.TellWait); strings.Count(text, "connection refused") != 1 {
		t.Errorf("people are told %q", text)
	}
}

// A change number that comes when the window is open already leaves nobody time to agree: that is told, and the next window is tried.
func TestScheduledInstanceWhoseNumberComesWithItsWindow(t *testing.T) {
	f := gatedFiring()
	f.begin = 2 * time.Minute
	b := f.asks(func(event string, attempt int) (string, error) {
		if event == rollout.ChangeOpen && attempt < 10 { // two minutes and a half
			return "", errors.New("try again")
		}
		return "CHG1", nil
	})
	f.say = agrees(3*time.Hour, workflows.UpdateApprove)
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if want := 7 * 24 * time.Hour; f.begun() != want {
		t.Errorf("it begins after %s, want %s", f.begun(), want)
	}
	if text := f.told(rollout.TellSkip); strings.Count(text, "does not begin in its window: it was not approved by") != 1 {
		t.Errorf("people are told %q", text)
	}
	if last := b.asked[len(b.asked)-1]; last.Event != rollout.ChangeClose || last.Outcome != string(rollout.CampaignDone) || last.Change != "CHG1" {
		t.Errorf("in the end the books are told %+v", last)
	}
}

// An instance that nobody gives a number is no failure of its schedule: nothing was touched, and the next firing makes another.
func TestScheduledInstanceWithoutANumberEnds(t *testing.T) {
	f := gatedFiring()
	f.asks(func(string, int) (string, error) {
		return "", &activities.RefusedError{Reason: "change freeze until Monday"}
	})
	st, err := f.fire(t)
	if err != nil || f.begun() >= 0 {
		t.Fatalf("%+v ended with %v, and began after %s", st, err, f.begun())
	}
	if text := f.told(rollout.TellHalted); !strings.Contains(text, "change freeze until Monday") || !strings.Contains(text, "rollpatch schedule trigger monthly") {
		t.Errorf("people are told %q", text)
	}
}

func TestFiringsThatAreSkippedAreTold(t *testing.T) {
	f := gatedFiring()
	f.say = agrees(time.Hour, workflows.UpdateApprove)
	f.policy.Soak = 10 * 24 * time.Hour
	f.next = []time.Duration{7 * 24 * time.Hour, 14 * 24 * time.Hour, 21 * 24 * time.Hour}
	st, err := f.fire(t)
	if err != nil {
		t.Fatal(err)
	}
	if text := f.told(rollout.TellSkip); st.Skipped != 2 || strings.Count(text, "skips its firing at") != 2 || !strings.Contains(text, "2026-11-13T21:00:00Z: "+madeInstance+" is still on its way") {
		t.Errorf("%d were skipped, and people are told %q", st.Skipped, text)
	}
}

func TestScheduleThatAPersonFiresBeginsAtOnce(t *testing.T) {
	f := gatedFiring()
	f.begin, f.say = 0, agrees(3*time.Hour, workflows.UpdateApprove)
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if f.begun() != 3*time.Hour || len(f.turns) > 0 {
		t.Errorf("it begins after %s, and the windows were asked at %v", f.begun(), f.turns)
	}
}

// A firing that fails is what the server pauses the schedule for.
func TestFiringFailsWhereItsInstanceHalts(t *testing.T) {
	f := gatedFiring()
	f.agreement = plan.Agreement{}
	f.on["patch web-1"] = func(int) rollout.MemberResult {
		return rollout.MemberResult{Verdict: rollout.Fail, Reason: "unmet dependencies"}
	}
	_, err := f.fire(t)
	if app := (*temporal.ApplicationError)(nil); !asApp(err, &app) || !strings.Contains(app.Message(), madeInstance) {
		t.Fatalf("ended with %v", err)
	}
	if text := f.told(rollout.TellSkip); !strings.Contains(text, "schedule monthly is paused: "+madeInstance) {
		t.Errorf("people are told %q", text)
	}
}

// A schedule that was deleted is not paused, and there is nothing to resume.
func TestFiringOfADeletedScheduleSaysSo(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(f *fired)
		told string
		next string
	}{
		{"its instance halts", func(f *fired) {
			f.agreement = plan.Agreement{}
			f.on["patch web-1"] = func(int) rollout.MemberResult {
				return rollout.MemberResult{Verdict: rollout.Fail, Reason: "unmet dependencies"}
			}
		}, "schedule monthly was deleted, and this was its last instance: " + madeInstance, "rollpatch status " + madeInstance},
		{"no plan could be made", func(f *fired) {
			f.fails = temporal.NewNonRetryableApplicationError("no such file", activities.ErrBadInput, nil)
		}, "schedule monthly was deleted: no plan was made: no such file", "rollpatch schedule list"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := gatedFiring()
			f.deleted = true
			row.set(f)
			if _, err := f.fire(t); err == nil {
				t.Fatal("the firing did not fail")
			}
			i := slices.IndexFunc(f.notices, func(n activities.Notice) bool { return strings.Contains(n.Text, row.told) && n.Next == row.next })
			if text := f.told(rollout.TellSkip); i < 0 || strings.Contains(text, "is paused") {
				t.Errorf("people are told %q, want %q and to type %q", text, row.told, row.next)
			}
		})
	}
}

func TestFiringFailsWhereNoPlanCanBeMade(t *testing.T) {
	f := gatedFiring()
	f.fails = temporal.NewNonRetryableApplicationError("body sha256:files: no such file", activities.ErrBadInput, nil)
	st, err := f.fire(t)
	if err == nil || st.Instance != "" || f.begun() >= 0 {
		t.Fatalf("%+v ended with %v", st, err)
	}
	if text := f.told(rollout.TellSkip); !strings.Contains(text, "schedule monthly is paused: no plan was made: body sha256:files: no such file") {
		t.Errorf("people are told %q", text)
	}
}

// Hosts that do not answer are asked anew while there is time. Of those that never do the plan says nothing, and people are told before they agree to it.
func TestFiringAsksHostsAnewThatDoNotAnswer(t *testing.T) {
	for _, row := range []struct {
		name   string
		begin  time.Duration
		silent []int
		rounds int
		drafts time.Duration // when the plan is made of it
		told   string
	}{
		{"all answer", lead, []int{0}, 1, 0, ""},
		{"they answer the third time", lead, []int{2, 1, 0}, 3, 3 * time.Minute, ""},
		{"one does not within the hour", lead, []int{1}, 6, 31 * time.Minute, "1 of 2 hosts did not answer, and the plan of " + madeInstance + " knows nothing of them: web-2: no connection"},
		{"people need the rest of the time", 20 * time.Minute, []int{1}, 3, 3 * time.Minute, "1 of 2 hosts did not answer"},
		{"a person had it fire", 0, []int{1, 0}, 2, time.Minute, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := gatedFiring()
			f.begin, f.silent, f.say = row.begin, row.silent, agrees(2*time.Hour, workflows.UpdateApprove)
			if _, err := f.fire(t); err != nil {
				t.Fatal(err)
			}
			if f.rounds != row.rounds || len(f.drafts) != 1 || f.drafts[0].At.Sub(firedAt).Truncate(time.Minute) != row.drafts {
				t.Errorf("the hosts were asked %d times, and the plan made of %+v; want %d and %s", f.rounds, f.drafts, row.rounds, row.drafts)
			}
			text := f.told(rollout.TellSkip)
			if !strings.Contains(text, row.told) || strings.Contains(text, "did not answer") != (row.told != "") {
				t.Errorf("people are told %q, want %q", text, row.told)
			}
			if row.told != "" && !strings.Contains(text, "rollpatch abort "+madeInstance+` --reason "...", then: rollpatch schedule trigger monthly`) {
				t.Errorf("people are told %q, and not what to type", text)
			}
		})
	}
}

// What the server cannot be told it will not do: people hear it while there are firings left.
func TestFiringTellsThatItsScheduleWasNotRenewed(t *testing.T) {
	f := gatedFiring()
	f.trouble, f.say = "permission denied", agrees(time.Hour, workflows.UpdateApprove)
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if text := f.told(rollout.TellSkip); f.begun() != lead || strings.Count(text, "schedule monthly could not be given its next firings: permission denied") != 1 || !strings.Contains(text, "rollpatch schedule create") {
		t.Errorf("it begins after %s, and people are told %q", f.begun(), text)
	}
}

// Who holds an instance before its window keeps it out of that: nothing is touched, and what is aborted then pauses no schedule.
func TestScheduledInstanceThatIsHeldDoesNotBegin(t *testing.T) {
	f := gatedFiring()
	f.say = func(env *testsuite.TestWorkflowEnvironment) {
		agrees(time.Hour, workflows.UpdateApprove)(env)
		agrees(2*time.Hour, workflows.UpdateHold)(env)
		agrees(lead+time.Hour, workflows.UpdateAbort)(env)
	}
	if _, err := f.fire(t); err != nil {
		t.Fatalf("it pauses the schedule: %v", err)
	}
	if text := f.told(rollout.TellSkip); f.begun() >= 0 || !strings.Contains(text, "does not begin in its window: it is held: read it (bob)") {
		t.Errorf("it begins after %s, and people are told %q", f.begun(), text)
	}
}

// Who created the schedule with a signature is the requester of what it makes: what he signed is what the files say.
func TestScheduledInstanceHasTheSignerOfItsScheduleAsRequester(t *testing.T) {
	f := gatedFiring()
	f.keys.known = []string{"ann", "bob"}
	s := statement(approval.Request, approval.GateRun)
	s.Campaign, s.Instance, s.Plan = "monthly", "", "sha256:files"
	s.At, s.Expires = firedAt.Add(-time.Hour), firedAt.Add(400*24*time.Hour)
	f.request = &approval.Signed{Statement: s.Text(), Signature: "ann"}
	f.say = agrees(time.Hour, workflows.UpdateApprove)
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if f.begun() != lead {
		t.Errorf("it begins after %s: %v", f.begun(), f.notices)
	}
	s.Plan = "sha256:other"
	f = gatedFiring()
	f.keys.known = []string{"ann", "bob"}
	f.request = &approval.Signed{Statement: s.Text(), Signature: "ann"}
	if _, err := f.fire(t); err != nil {
		t.Fatal(err)
	}
	if text := f.told(rollout.TellHalted); f.begun() >= 0 || !strings.Contains(text, "the request to run is refused: it is for plan sha256:other") {
		t.Errorf("people are told %q", text)
	}
}
