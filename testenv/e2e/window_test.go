package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// event is one of a calendar.
type event struct {
	summary  string
	from, to time.Time
}

// announce writes a calendar in one step, as whoever keeps it does: nobody reads half of it. Without events it is an empty one.
func (s *scene) announce(events ...event) (path string) {
	s.Helper()
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//rollpatch//lab//EN\r\n")
	const form = "20060102T150405Z"
	for i, e := range events {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:%d@rollpatch.invalid\r\nDTSTAMP:20261101T000000Z\r\nSUMMARY:%s\r\nDTSTART:%s\r\nDTEND:%s\r\nEND:VEVENT\r\n", i, e.summary, e.from.UTC().Format(form), e.to.UTC().Format(form))
	}
	b.WriteString("END:VCALENDAR\r\n")
	next, err := s.Write(s.name()+".next", b.String())
	s.must(err)
	path = filepath.Join(filepath.Dir(next), s.name()+".ics")
	s.must(os.Rename(next, path))
	return path
}

// timed writes a campaign over web whose windows or freezes are these, and whose hosts are said to need twenty seconds.
func (s *scene) timed(when string) (file string) {
	s.Helper()
	text := fmt.Sprintf("name: %s\nreason: November security updates\nunattended: true\nzone: UTC\n%s\nstages:\n  - {name: production, clusters: [web]}\n%s  estimate: {work: 16s, backout: 4s}\n", s.name(), when, policy)
	file, err := s.Write(s.name()+".yaml", text)
	s.must(err)
	return file
}

// idle checks that a host has no member of the instance: nothing is asked of it or fetched to it.
func (s *scene) idle(instance, host string) {
	s.Helper()
	var m workflows.MemberState
	if err := s.query(workflows.MemberID(host), &m); err == nil && m.Instance == instance && m.Outcome == "" {
		s.Errorf("%s is in %s of %s", host, m.Step, instance)
	}
}

// begun checks that a host was drained at that time or later.
func (s *scene) begun(host string, earliest time.Time) {
	s.Helper()
	if at := s.started(host, "Drain").GetEventTime().AsTime(); at.Before(earliest) {
		s.Errorf("%s was drained at %s, which is %s too early", host, at, earliest.Sub(at))
	}
}

// soaks waits until the canary of web does.
func (s *scene) soaks(instance string) {
	s.Helper()
	s.eventually("the soak", func() error {
		var c workflows.ClusterState
		if err := s.query(workflows.ClusterID(instance, "web"), &c); err != nil {
			return err
		}
		if c.Phase != rollout.PhaseSoak {
			return fmt.Errorf("it is in %s", c.Phase)
		}
		return nil
	})
}

// TestChangeWindowClosesInMidCampaign: the window closes while the canary is being patched. The canary is finished and soaks, its peers are left
// alone until the next window opens.
func TestChangeWindowClosesInMidCampaign(t *testing.T) {
	for try := 1; ; try++ {
		s := begin(t)
		s.publish("1.1")
		peers := s.logs("web-2", "web-3")
		now := time.Now()
		calendar := s.announce(event{"Patch night", now.Add(-time.Minute), now.Add(10 * time.Minute)})
		instance := s.start(s.timed(fmt.Sprintf("windows: [{name: night, ical: {file: %q, events: Patch*}}]", calendar)))
		if s.member(instance, "web-1", rollout.StepPatch) {
			if try == 4 {
				t.Fatalf("the patch was over before it was seen, %d times", try)
			}
			s.say("abort", instance)
			s.ends(instance)
			continue
		}
		closed := time.Now().Truncate(time.Second)
		s.announce(event{"Patch night", now.Add(-time.Minute), closed}, event{"Lunch", closed, closed.Add(time.Hour)}, event{"Patch night", closed.Add(time.Hour), closed.Add(2 * time.Hour)})
		s.soaks(instance)
		opens := time.Now().Truncate(time.Second).Add(40 * time.Second)
		s.announce(event{"Patch night", now.Add(-time.Minute), closed}, event{"Lunch", closed, opens}, event{"Patch night", opens, opens.Add(10 * time.Minute)})
		s.eventually("the peers to wait for the next window", func() error {
			if a := s.why("web"); !strings.Contains(a.Reason, "no window is open") || !strings.Contains(a.Reason, "the next host may begin at "+opens.UTC().Format(time.RFC3339)) {
				if time.Now().After(opens) {
					s.Fatalf("the soak took until the next window; why says %+v", a)
				}
				return fmt.Errorf("why says %+v", a)
			}
			return nil
		})
		s.at("1.1", "web-1")
		s.serving("web-1")
		s.untouched(peers)
		s.idle(instance, "web-2")
		s.idle(instance, "web-3")
		if st := s.ends(instance); st.State != "done" {
			t.Errorf("campaign is %s: %s", st.State, st.Reason)
		}
		s.begun("web-2", opens)
		s.begun("web-3", opens)
		s.at("1.1", web...)
		s.safe()
		return
	}
}

// TestChangeFreezeInMidSoak: a freeze that is announced while the canary soaks keeps the peers in service. A calendar that cannot be read is no
// end of it; one without it is.
func TestChangeFreezeInMidSoak(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	peers := s.logs("web-2", "web-3")
	calendar := s.announce()
	instance := s.start(s.timed(fmt.Sprintf("freezes: [{name: announced, reason: the business says so, ical: {file: %q, events: Freeze*}}]", calendar)))
	s.soaks(instance)
	now := time.Now().Truncate(time.Second)
	thaws := now.Add(30 * time.Second)
	s.announce(event{"Freeze: launch", now.Add(-time.Minute), thaws})
	says := func(words ...string) {
		s.Helper()
		s.eventually("the peers to wait", func() error {
			a := s.why("web")
			for _, w := range words {
				if !strings.Contains(a.Reason, w) {
					return fmt.Errorf("why says %+v, without a word of %q", a, w)
				}
			}
			return nil
		})
		s.untouched(peers)
		s.idle(instance, "web-2")
		for _, h := range web {
			s.serving(h)
		}
	}
	says(`freeze "announced" until ` + thaws.UTC().Format(time.RFC3339))
	s.must(os.Remove(calendar))
	says("the windows and freezes are not known", `freeze "announced"`, filepath.Base(calendar))
	removed := time.Now()
	s.announce(event{"Lunch", now, now.Add(time.Hour)})
	if st := s.ends(instance); st.State != "done" {
		t.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	s.begun("web-2", removed)
	s.begun("web-3", removed)
	s.at("1.1", web...)
	s.safe()
}

// TestChangeFreezeBroken: two instances wait for the end of the same freeze. Its own approver breaks it for one of them, which goes on; whoever
// else signs is refused, and the other one waits.
func TestChangeFreezeBroken(t *testing.T) {
	s := begin(t)
	s.publish("1.1")
	p := s.identities()
	now := time.Now().Truncate(time.Second)
	freeze := event{"Freeze: fair", now.Add(-time.Minute), now.Add(time.Hour)}
	calendar := s.announce(freeze)
	run := func(name, cluster string) (instance string) {
		text := fmt.Sprintf("name: %s\nreason: November security updates\nunattended: true\nzone: UTC\n"+
			"freezes: [{name: fair, reason: shop, ical: {file: %q, events: Freeze*}, approvers: [ann@example.org, rita@example.org]}]\n"+
			"approvers: [{principal: ben@example.org, roles: [manager]}]\nsigners: {allowed: %q, revoked: %q}\n"+
			"stages:\n  - {name: production, clusters: [%s]}\n%s  estimate: {work: 16s, backout: 4s}\n", name, calendar, p.file("allowed_signers"), p.file("revoked_keys"), cluster, policy)
		file, err := s.Write(name+".yaml", text)
		s.must(err)
		out, _ := s.cli(0, "run", "--detach", "-i", s.InventoryFile(), "--key", p.file("rita"), file)
		return strings.TrimSpace(out)
	}
	mine, other := run(s.name(), "web"), run(s.name()+"-other", "cache")
	logs, others := s.logs(web...), s.logs("cache-1", "cache-2")
	waits := func(cluster, instance string) error {
		a := s.why(cluster)
		if want := "rollpatch approve " + instance + " --freeze fair"; !strings.Contains(fmt.Sprintf("%+v", a), want) {
			return fmt.Errorf("why %s says %+v, without %q", cluster, a, want)
		}
		return nil
	}
	s.eventually("both to wait for the freeze's end", func() error {
		if err := waits("web", mine); err != nil {
			return err
		}
		return waits("cache", other)
	})
	own := p.statement(mine, "--freeze", "fair")
	if gate := "\ngate: " + approval.GateFreeze("fair", freeze.from, freeze.to) + "\n"; !strings.Contains(own, gate) {
		t.Fatalf("what is signed is\n%s\nwithout %q", own, gate)
	}
	p.refused(mine, p.signs("ben", own), approval.CauseRole, "ben@example.org does not count here")
	p.refused(mine, p.signs("rita", own), approval.CauseRequester, "rita@example.org asked for this instance")
	p.refused(mine, p.signs("mallory", own), approval.CauseUnknownKey, "is not in "+p.file("allowed_signers"))
	p.refused(mine, p.signs("ann", planLine.ReplaceAllString(own, "plan: sha256:"+strings.Repeat("0", 64))), approval.CausePlan, "it is for plan sha256:000")
	s.untouched(logs)
	s.must(waits("web", mine))

	broken := time.Now().Truncate(time.Second)
	s.cli(0, "approve", mine, "--freeze", "fair", "--key", p.file("ann"), "--reason", "the hole is worse")
	if st := s.ends(mine); st.State != "done" {
		t.Errorf("campaign is %s: %s", st.State, st.Reason)
	}
	for _, h := range web {
		s.begun(h, broken)
	}
	s.at("1.1", web...)
	if n := p.vouched(mine, "ann", "freeze/fair/"); n == 0 {
		t.Error("the audit trail does not prove that ann broke the freeze")
	}
	s.untouched(others)
	s.must(waits("cache", other))
	s.announce(event{"Lunch", now, now.Add(time.Hour)})
	s.say("abort", other)
	s.ends(other)
	s.untouched(others)
	s.safe()
	s.chained()
}
