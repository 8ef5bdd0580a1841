package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/rollpatch/rollpatch/testenv/estate"
	"github.com/rollpatch/rollpatch/workflows"
)

// attendedWithin is how long after the death of its worker a step may go unattended where there is another one: the heartbeat
// timeout and five seconds.
const attendedWithin = 25 * time.Second

// TestRollingWorkerAloneKilledInPatch kills a worker that is a process of its own, in the middle of the package transaction, while
// the server goes on. What runs on the host does not notice; another worker attends to it in time, and dpkg runs once.
func TestRollingWorkerAloneKilledInPatch(t *testing.T) {
	daemonWith(t, "--worker=false")
	t.Run("another at once", func(t *testing.T) {
		k := killInPatch(t, func(*scene, string) {})
		if after := k.attended.Sub(k.killed); after > attendedWithin {
			t.Errorf("the patch was attended to again %.1f s after its worker was killed, want at most %s", after.Seconds(), attendedWithin)
		}
	})
	t.Run("nobody until it is noticed", func(t *testing.T) {
		k := killInPatch(t, func(s *scene, before string) {
			s.eventually("the transaction to end with nobody there", func() error {
				if log := s.logged("web-1", before); !installed(log, "1.1") {
					return fmt.Errorf("the package log ends with %q", lastLine(log))
				}
				return nil
			})
			s.eventually("the server to miss the worker's heartbeats", func() error {
				p, err := s.pending("web-1", "Patch")
				if err == nil && (p.GetAttempt() < 2 || p.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED) {
					err = fmt.Errorf("the patch is %s in attempt %d", p.GetState(), p.GetAttempt())
				}
				return err
			})
		})
		if after := k.attended.Sub(k.started); after > 5*time.Second {
			t.Errorf("the patch was attended to again %.1f s after a worker was there, want at most 5 s", after.Seconds())
		}
	})
}

// killing is when what happened.
type killing struct{ killed, started, attended time.Time }

// killInPatch runs a good campaign whose worker is killed while dpkg works on the canary, whose package log was before. It lets
// something happen with no worker there, starts another one, and judges how it ended. A transaction that was over before the kill
// is tried again.
func killInPatch(t *testing.T, meanwhile func(s *scene, before string)) (k killing) {
	for try := 1; ; try++ {
		s := begin(t)
		s.publish("1.1")
		w := s.worker()
		logs, boots := s.logs(web...), s.boots(web...)
		missed := false
		traffic := s.traffic(func() {
			instance := s.start(s.campaign(false, "web"))
			first := w.PID
			if missed = s.transacting("web-1", logs["web-1"]); !missed {
				k.killed = time.Now()
				s.must(w.Kill())
				if missed = installed(s.logged("web-1", logs["web-1"]), "1.1"); missed {
					s.must(w.Start(s.ctx))
				}
			}
			if missed {
				s.say("abort", instance)
				s.ends(instance)
				s.must(w.Stop())
				return
			}
			meanwhile(s, logs["web-1"])
			s.must(w.Start(s.ctx))
			k.started = time.Now()
			if st := s.ends(instance); st.State != "done" {
				s.Errorf("campaign is %s: %s", st.State, st.Reason)
			}
			again := s.started("web-1", "Patch")
			k.attended = again.GetEventTime().AsTime()
			s.Logf("worker %d killed; worker %d was there %.1f s later, the patch was attended to again after %.1f s: %s", first, w.PID,
				k.started.Sub(k.killed).Seconds(), k.attended.Sub(k.killed).Seconds(), again.GetActivityTaskStartedEventAttributes().GetLastFailure().GetMessage())
			s.attempt(again, w.PID)
		})
		if missed {
			if try == 4 {
				t.Fatalf("the transaction was over before its worker was killed, %d times", try)
			}
			continue
		}
		s.lossless(traffic)
		for _, h := range web {
			s.onceUpgraded(h, logs[h])
		}
		for h, id := range s.boots(web...) {
			if id != boots[h] {
				s.Errorf("%s was rebooted, and nothing asked for it", h)
			}
		}
		s.at("1.1", web...)
		s.safe()
		s.chained()
		return k
	}
}

// worker starts a worker that ends with the test.
func (s *scene) worker() *estate.Worker {
	s.Helper()
	w := s.Worker("worker")
	s.must(w.Start(s.ctx))
	s.Cleanup(func() {
		if err := w.Stop(); err != nil {
			s.Error(err)
		}
	})
	return w
}

// transacting waits until dpkg has begun on a host whose package log was before. missed is true when it was through before that
// was seen.
func (s *scene) transacting(host, before string) (missed bool) {
	s.Helper()
	for {
		log := s.logged(host, before)
		if err := s.ctx.Err(); err != nil {
			s.Fatalf("dpkg never began on %s: %v", host, err)
		}
		if strings.Contains(log, " startup archives unpack") {
			return installed(log, "1.1")
		}
	}
}

// logged is what was added to a host's package log.
func (s *scene) logged(host, before string) string {
	s.Helper()
	return strings.TrimPrefix(s.logs(host)[host], before)
}

// installed says that a package log tells of lab-web at that version, wholly installed.
func installed(log, version string) bool {
	return strings.Contains(log, " status installed lab-web:all "+version+"\n")
}

func lastLine(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return lines[len(lines)-1]
}

// onceUpgraded checks that one transaction, and no more, brought lab-web to a host since its log was read.
func (s *scene) onceUpgraded(host, before string) {
	s.Helper()
	log := s.logged(host, before)
	for _, once := range []string{" startup archives unpack", " upgrade lab-web:all "} {
		if n := strings.Count(log, once); n != 1 {
			s.Errorf("the package log of %s has %q %d times, want once:\n%s", host, once, n, log)
		}
	}
}

// pending is an activity of a host's workflow that is not through.
func (s *scene) pending(host, activity string) (*workflowpb.PendingActivityInfo, error) {
	d, err := s.temporal.DescribeWorkflowExecution(s.ctx, workflows.MemberID(host), "")
	if err != nil {
		return nil, err
	}
	for _, p := range d.GetPendingActivities() {
		if p.GetActivityType().GetName() == activity {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no %s of %s is pending", activity, host)
}

// started is the start of an activity in the history of a host's last workflow: that of its last attempt, the time of which is
// when a worker took it.
func (s *scene) started(host, activity string) *historypb.HistoryEvent {
	s.Helper()
	scheduled := int64(-1)
	events := s.temporal.GetWorkflowHistory(s.ctx, workflows.MemberID(host), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		s.must(err)
		if a := e.GetActivityTaskScheduledEventAttributes(); a.GetActivityType().GetName() == activity {
			scheduled = e.GetEventId()
		}
		if a := e.GetActivityTaskStartedEventAttributes(); a != nil && a.GetScheduledEventId() == scheduled {
			return e
		}
	}
	s.Fatalf("no %s was started in the history of %s", activity, workflows.MemberID(host))
	return nil
}

// attempt checks that an activity was given up once, for want of heartbeats, and taken by the worker of that process id.
func (s *scene) attempt(e *historypb.HistoryEvent, pid int) {
	s.Helper()
	a := e.GetActivityTaskStartedEventAttributes()
	if a.GetAttempt() != 2 || a.GetLastFailure().GetTimeoutFailureInfo().GetTimeoutType() != enumspb.TIMEOUT_TYPE_HEARTBEAT {
		s.Errorf("the patch ended in attempt %d after %q, want the second after a lost heartbeat", a.GetAttempt(), a.GetLastFailure().GetMessage())
	}
	if !strings.HasPrefix(a.GetIdentity(), fmt.Sprintf("%d@", pid)) {
		s.Errorf("the patch was attended to by %q, want process %d", a.GetIdentity(), pid)
	}
}
