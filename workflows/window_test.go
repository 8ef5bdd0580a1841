package workflows_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/calendar"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// hours are windows and freezes of a test's world, and how long a patch takes in it.
type hours struct {
	env    *testsuite.TestWorkflowEnvironment
	cal    calendar.Calendar
	need   calendar.Need
	takes  map[string]time.Duration // a host's patch
	frozen string                   // typed
	asked  int
	times  []moment // what began when
}

type moment struct {
	what string
	at   time.Time
}

func (h *hours) limits() map[rollout.Step]time.Duration {
	if h == nil {
		return map[rollout.Step]time.Duration{}
	}
	return map[rollout.Step]time.Duration{rollout.StepPatch: 5 * time.Hour}
}

func (h *hours) note(what string) {
	if h != nil {
		h.times = append(h.times, moment{what, h.env.Now().UTC()})
	}
}

func (h *hours) String() string {
	var b strings.Builder
	for _, m := range h.times {
		b.WriteString(m.at.Format("02 15:04:05 ") + m.what + "\n")
	}
	return b.String()
}

// at is when something began for the n-th time, counted from 1.
func (h *hours) at(what string, n int) time.Time {
	for _, m := range h.times {
		if m.what == what {
			if n--; n == 0 {
				return m.at
			}
		}
	}
	return time.Time{}
}

// says is what windows and freezes say now, as the activity has it.
func (h *hours) says(ask rollout.Ask, mode rollout.Mode, broken []rollout.Broken) (freeze, closed string, next time.Time) {
	now, need, cal := h.env.Now().UTC(), h.need, h.cal
	for _, b := range broken {
		cal = cal.Broken([]calendar.Break{{Span: calendar.Span{Name: b.Name, Start: b.From, End: b.To}, Until: b.Until}})
	}
	if mode == rollout.ModeBackout {
		need = calendar.Need{Work: need.Backout}
	}
	_, why, next := cal.Fit(now, need)
	if ok, why, _ := (calendar.Calendar{Always: true, Freezes: cal.Freezes}).Fit(now, calendar.Need{}); !ok {
		return why, "", next
	}
	if ask == rollout.AskOpen {
		ok, why, next := cal.Fit(now, calendar.Need{})
		if ok {
			return "", "", now
		}
		return "", why, next
	}
	if ask == rollout.AskFreeze {
		why = ""
	}
	return "", why, next
}

// stands are the freezes of now that are not broken.
func (h *hours) stands(broken []rollout.Broken) (out []rollout.Freeze) {
	for _, f := range h.cal.Freezes {
		is := rollout.Freeze{Name: f.Name, From: f.Start, To: f.End}
		if !slices.ContainsFunc(broken, func(b rollout.Broken) bool { return b.Freeze == is }) {
			out = append(out, is)
		}
	}
	return out
}

func (h *hours) gate(in activities.StepInput, r *rollout.MemberResult) {
	if h != nil {
		if r.Frozen = h.frozen; in.Ask != "" && r.Frozen == "" {
			r.Frozen, r.Closed, r.Next = h.says(in.Ask, in.Mode, in.Broken)
			r.Stands = h.stands(in.Broken)
		}
	}
}

func (h *hours) register(env *testsuite.TestWorkflowEnvironment, w *world) {
	if h == nil {
		return
	}
	h.env = env
	env.RegisterActivityWithOptions(func(_ context.Context, in activities.WindowInput) (rollout.FitResult, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		h.asked++
		if h.frozen != "" {
			return rollout.FitResult{Closed: h.frozen, Frozen: true}, nil
		}
		freeze, closed, next := h.says(rollout.AskFit, in.Mode, in.Broken)
		return rollout.FitResult{OK: freeze+closed == "", Closed: freeze + closed, Next: next, Stands: h.stands(in.Broken)}, nil
	}, activity.RegisterOptions{Name: "Window"})
	for host, takes := range h.takes {
		of := mock.MatchedBy(func(in activities.StepInput) bool { return in.Host == host })
		env.OnActivity("Patch", mock.Anything, of).After(takes).Return(func(ctx context.Context, in activities.StepInput) (activities.StepResult, error) {
			return w.step(ctx, "patch", in)
		})
	}
}

// evening is when these campaigns begin. Their windows are from 22:00 to midnight.
var evening = time.Date(2026, 12, 1, 20, 0, 0, 0, time.UTC)

func nightly(nights ...int) (ws []calendar.Window) {
	for _, n := range nights {
		from := time.Date(2026, 12, n, 22, 0, 0, 0, time.UTC)
		ws = append(ws, calendar.Window{Span: calendar.Span{Start: from, End: from.Add(2 * time.Hour)}})
	}
	return ws
}

// nights is a world with windows on these nights of December.
func nights(members []string, nights ...int) *world {
	w := newWorld(members...)
	w.policy.Windows, w.member.Windows = true, true
	w.policy.Soak, w.policy.Settle = 10*time.Hour, 0
	w.hours = &hours{need: calendar.Need{Work: 25 * time.Minute, Backout: 15 * time.Minute}, takes: map[string]time.Duration{}}
	w.hours.cal.Windows = nightly(nights...)
	return w
}

func (w *world) eveningCampaign(t *testing.T, meanwhile func(env *testsuite.TestWorkflowEnvironment)) (workflows.CampaignState, error) {
	t.Helper()
	return w.campaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.SetStartTime(evening)
		if meanwhile != nil {
			meanwhile(env)
		}
	})
}

func (w *world) waits() (texts []string) {
	for _, n := range w.notices {
		if n.Event == rollout.TellWait {
			texts = append(texts, n.Text)
		}
	}
	return texts
}

func night(n int, d time.Duration) time.Time {
	return time.Date(2026, 12, n, 22, 0, 0, 0, time.UTC).Add(d)
}

// near says that something happened at a time, give or take the seconds that notices and questions take.
func near(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if got.Before(want) || got.After(want.Add(2*time.Minute)) {
		t.Errorf("%s at %s, want %s", what, got.Format("02 15:04:05"), want.Format("02 15:04:05"))
	}
}

func TestAWindowClosesInMidCampaign(t *testing.T) {
	w := nights([]string{"web-1", "web-2", "web-3", "web-4"}, 1, 2, 3)
	h := w.hours
	for _, m := range w.members {
		h.takes[m] = 40 * time.Minute
	}
	h.takes["web-3"] = 100 * time.Minute // longer than anybody thought
	st, err := w.eveningCampaign(t, nil)
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, h)
	}
	near(t, "the canary is drained", h.at("drain web-1", 1), night(1, 0))
	near(t, "the first peer is drained", h.at("drain web-2", 1), night(2, 0))
	near(t, "the second peer is drained", h.at("drain web-3", 1), night(2, 40*time.Minute))
	near(t, "and finished past the window", h.at("undrain web-3", 1), night(2, 140*time.Minute))
	near(t, "the last one is drained in the next window", h.at("drain web-4", 1), night(3, 0))
	for _, m := range h.times {
		if strings.HasPrefix(m.what, "fetch ") && (m.at.Hour() < 22) {
			t.Errorf("%s at %s, outside of every window", m.what, m.at)
		}
	}
	if got := w.waits(); len(got) != 3 {
		t.Errorf("told %d times that it waits, want once for each window: %q", len(got), got)
	}
	if h.asked > 70 { // two days, once an hour, and once for each window and member
		t.Errorf("windows were asked %d times", h.asked)
	}
}

// A freeze that is announced while the canary soaks keeps its peers as they are, whatever the windows say.
func TestAFreezeAnnouncedInMidSoakIsHonoured(t *testing.T) {
	w := nights([]string{"web-1", "web-2", "web-3"}, 1, 2, 3, 4, 5, 6)
	h := w.hours
	st, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			h.cal.Freezes = []calendar.Span{{Start: night(2, -time.Hour), End: night(4, time.Hour), Name: "launch"}}
		}, 8*time.Hour)
	})
	if err != nil || st.Outcome != rollout.CampaignDone {
		t.Fatalf("campaign ended %q, %v; want done\n%s", st.Outcome, err, h)
	}
	near(t, "the canary is drained", h.at("drain web-1", 1), night(1, 0))
	near(t, "its peer is drained after the freeze", h.at("drain web-2", 1), night(4, time.Hour))
	if got := w.waits(); len(got) != 2 {
		t.Errorf("told %q, want of the first window and of the freeze, once each", got)
	}
}

// A freeze that a person types is waited for by the cluster, which begins soon after the thaw.
func TestAClusterThatWaitsForTheThawBeginsSoonAfterIt(t *testing.T) {
	w := nights([]string{"web-1", "web-2"}, 1, 2, 3)
	h := w.hours
	h.frozen = "frozen by ann"
	waits := 0
	_, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
		cluster := workflows.ClusterID(instance, "web")
		env.OnSignalExternalWorkflow(mock.Anything, workflows.FreezeID, "", "waits", cluster).Return(func(string, string, string, string, any) error {
			waits++
			return nil
		})
		env.RegisterDelayedCallback(func() {
			w.mu.Lock()
			h.frozen = ""
			w.mu.Unlock()
			if err := env.SignalWorkflowByID(cluster, "thawed", nil); err != nil {
				t.Error(err)
			}
		}, 2*time.Hour+25*time.Minute)
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, h)
	}
	near(t, "the canary is drained", h.at("drain web-1", 1), night(1, 25*time.Minute))
	if waits != 1 {
		t.Errorf("the freeze was told %d times that it is waited for, want once", waits)
	}
}

// failingSoak is a soak that fails at noon, when no window is open.
func failingSoak(nightsOf ...int) *world {
	w := nights([]string{"web-1", "web-2"}, nightsOf...)
	w.policy.Soak = 48 * time.Hour
	w.watch = func(call int) rollout.WatchResult {
		if call < 15 {
			return rollout.WatchResult{Verdict: rollout.Pass, Passes: 3}
		}
		return rollout.WatchResult{Verdict: rollout.Fail, Reason: "latency"}
	}
	return w
}

func TestASoakThatFailsOutsideOfItsWindow(t *testing.T) {
	fails := night(2, -9*time.Hour) // the canary was patched at 22:00, and the fifteenth look fails
	for _, row := range []struct {
		sentence       string
		onFail         string
		says           bool // a person says backout at 18:00
		drain, backout time.Time
	}{
		{"takes the canary out of service, and brings it back in the next window", "", false, fails, night(2, 0)},
		{"or leaves it until then", rollout.OnFailWait, false, night(2, 0), night(2, 0)},
		{"on a person's word it is brought back now", "", true, fails, night(2, -4*time.Hour)},
		{"also where it would have been left", rollout.OnFailWait, true, night(2, -4*time.Hour), night(2, -4*time.Hour)},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			w := failingSoak(1, 2, 3)
			h := w.hours
			w.policy.OnFail, w.member.OnFail = row.onFail, row.onFail
			_, err := w.eveningCampaign(t, func(env *testsuite.TestWorkflowEnvironment) {
				if row.says {
					env.RegisterDelayedCallback(func() {
						if err := env.UpdateWorkflowByID(workflows.ClusterID(instance, "web"), workflows.UpdateBackout, "u1", &testsuite.TestUpdateCallback{
							OnAccept: func() {}, OnReject: func(err error) { t.Error(err) }, OnComplete: func(any, error) {},
						}, rollout.Message{Actor: "bob", Reason: "now"}); err != nil {
							t.Error(err)
						}
					}, 22*time.Hour)
				}
			})
			if !halted(err) {
				t.Fatalf("campaign ended %v; want halted\n%s", err, h)
			}
			near(t, "drained", h.at("drain web-1", 2), row.drain)
			near(t, "backed out", h.at("backout web-1", 1), row.backout)
			if told := w.waits(); len(told) != 2 {
				t.Errorf("told %q, want of the first window, and of the way back", told)
			}
		})
	}
}

// People hear every day of a cluster that is mixed for too long.
func TestAMixedClusterIsToldDaily(t *testing.T) {
	w := nights([]string{"web-1", "web-2"}, 1, 12)
	w.policy.MaxMixed = 7 * 24 * time.Hour
	if _, err := w.eveningCampaign(t, nil); err != nil {
		t.Fatalf("%v\n%s", err, w.hours)
	}
	var days []string
	for _, n := range w.notices {
		if strings.Contains(n.Text, "is mixed since 2026-12-01T22:0") {
			days = append(days, n.Time[:len("2006-01-02")])
		}
	}
	if got, want := strings.Join(days, " "), "2026-12-08 2026-12-09 2026-12-10 2026-12-11 2026-12-12"; got != want {
		t.Errorf("told on %s, want %s", got, want)
	}
}
