package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestStageStops(t *testing.T) {
	t.Parallel()
	const two = "stage production: 2 failures by the same check page: web (check page), db (check page)"
	for _, row := range []struct {
		sentence string
		path     string // web*2:page: two of its members failed so far, for that check; else as of TestCampaign
		want     string // why it is stopped
		told     string
	}{
		{"one failure stops nothing", "web*1:page", "", ""},
		{"two for the same cause do", "web*1:page db*1:page", two, "hold"},
		{"also in one cluster", "web*2:page", "stage production: 2 failures by the same check page: web (check page)", "hold"},
		{"two for different causes do not", "web*1:page db*1:port", "", ""},
		{"nor two for causes that nobody knows", "web*1: db*1:", "", ""},
		{"but so many of any kind do", "web*1:page db*1:port cache*1:", "stage production: 3 failures: web (check page), db (check port), cache", "hold"},
		{"a report that comes twice counts once", "web*1:page web*1:page web*1:page", "", ""},
		{"and an old one takes nothing back", "web*2:page web*1:page resume db*1:page", "", "hold"},
		{"people are told once, however many follow", "web*1:page db*1:page cache*1:page mail*1:page", two, "hold"},
		{"who resumes is not asked twice for the same", "web*1:page db*1:page resume web*1:page db*1:page cache*1:page", "", "hold"},
		{"but for as many again", "web*1:page db*1:page resume cache*1:page mail*1:page", "stage production: 2 failures by the same check page: web (check page), db (check page), cache (check page), mail (check page)", "hold hold"},
		{"a resume of something else excuses nothing", "web*1:page hold resume db*1:page", two, "hold"},
		{"a cluster that is not ours counts for nothing", "other*9:page", "", ""},
		{"the stage before counts for nothing", "lab*1:page web*1:page", "", ""},
		{"what ends anyway is not stopped", "web*1:page web=halted cache=done mail=done db*1:page!release", "", ""},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			t.Parallel()
			c := Campaign{
				Instance: "monthly-1", Parallel: 9, StopSame: 2, StopAny: []int{9, 3}, Stages: []string{"staging", "production"}, Stage: 1,
				Clusters: []Ref{{Name: "lab", Outcome: ClusterDone}, {Name: "web", Stage: 1}, {Name: "db", Stage: 1}, {Name: "cache", Stage: 1}, {Name: "mail", Stage: 1}},
			}
			for _, name := range strings.Fields("web db cache mail") {
				c = c.Started(name)
			}
			for _, word := range strings.Fields(row.path) {
				name, rest, failed := strings.Cut(word, "*")
				if !failed {
					c = playCampaign(t, c, word)
					continue
				}
				rest, ends := strings.CutSuffix(rest, "!release")
				n, what, _ := strings.Cut(rest, ":")
				r := Report{Name: name, Phase: PhaseHold}
				if ends {
					r.Phase = PhaseRelease
				}
				if r.Failed, _ = strconv.Atoi(n); what != "" {
					r.Blames[0] = Blamed{"check " + what, r.Failed}
				}
				c = c.Reported(r, epoch)
			}
			if got := strings.TrimPrefix(c.Paused, "stopped: "); got != row.want {
				t.Errorf("after %q\n got %s\nwant %s", row.path, got, row.want)
			}
			if got := events(c.Outbox); got != row.told {
				t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
			}
		})
	}
}

func TestStageStopsUnattended(t *testing.T) {
	t.Parallel()
	c := Campaign{Instance: "monthly-1", Parallel: 2, StopAny: []int{1}, Unattended: true, Stages: []string{"production"}, Clusters: []Ref{{Name: "web"}, {Name: "db"}}}
	c = c.Started("web").Reported(Report{Name: "web", Phase: PhaseRoll, Failed: 1}, epoch)
	if want := "stopped: stage production: 1 failure: web"; c.AbortFor != want || c.Paused != "" {
		t.Errorf("AbortFor = %q, Paused = %q; want %q", c.AbortFor, c.Paused, want)
	}
}

// Members are counted once each, and only once they failed for good.
func TestFailuresOfACluster(t *testing.T) {
	t.Parallel()
	trying := patient
	trying.Retries = 1
	skipping := patient
	skipping.OnFailure, skipping.Failures = FailSkipMember, 1
	for _, row := range []struct {
		sentence string
		policy   ClusterPolicy
		path     string
		want     string
	}{
		{"nothing failed", patient, toSoak, "0 []"},
		{"a member failed", patient, toWave1 + "web-1=backed-out", "1 [{broken 1}]"},
		{"one that is tried again has not failed for good", trying, toWave1 + "web-1=backed-out", "0 []"},
		{"and then has, once", trying, toWave1 + "web-1=backed-out web-1=backed-out", "1 [{broken 1}]"},
		{"however often a person has it tried", patient, toWave1 + "web-1=backed-out retry web-1=backed-out", "1 [{broken 1}]"},
		{"also when it goes well after that", patient, toWave1 + "web-1=backed-out retry web-1=patched", "1 [{broken 1}]"},
		{"also when a person leaves it as it is", patient, toWave2 + "web-2=backed-out skip", "1 [{broken 1}]"},
		{"or the policy does", skipping, toWave2 + "web-2=backed-out", "1 [{broken 1}]"},
		{"or a person gives up on it while it holds", trying, toWave2 + "web-2 web-2~drain skip web-2=!returned", "1 [{broken 1}]"},
		{"one that fails while its cluster asks counts too", patient, toWave2 + "web-2 watch=fail web-2=backed-out", "2 [{broken 1} {check page 1}]"},
		{"what is in quarantine is not tried again", trying, toWave1 + "web-1=quarantined", "1 [{broken 1}]"},
		{"whom somebody else has in maintenance has not failed", patient, toWave1 + "web-1=skipped", "0 []"},
		{"a soak", patient, toSoak + "watch=fail", "1 [{check page 1}]"},
		{"each soak of a cluster is the same one", patient, toSoak + "watch=fail maynot resume watch=fail", "1 [{check page 1}]"},
		{"members and a soak", skipping, toWave2 + "web-2=backed-out watch=fail", "2 [{broken 1} {check page 1}]"},
		{"what comes back on a person's word has not failed", patient, toSoak + "reject web-1=backed-out", "0 []"},
		{"nor what an abort ends", patient, toWave1 + "web-1 abort web-1=returned", "0 []"},
	} {
		c, now := newCluster(3, 2, row.policy), epoch
		for _, word := range strings.Fields(unroll(row.path)) {
			c, now = playCluster(t, c, word, now)
		}
		r := c.Report()
		var blames []Blamed
		for _, b := range r.Blames {
			if b.Times > 0 {
				blames = append(blames, b)
			}
		}
		if got := fmt.Sprint(r.Failed, " ", blames); got != row.want {
			t.Errorf("%s: after %q it reports %s, want %s", row.sentence, row.path, got, row.want)
		}
	}
}

func TestRanked(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(ranked([]Blamed{{"b", 1}, {"", 9}, {"c", 2}, {"b", 1}, {"a", 1}, {"c", -1}}))
	if want := "[{b 2} {a 1} {c 1}]"; got != want {
		t.Errorf("ranked = %s, want %s", got, want)
	}
	if got := blame(strings.Repeat("é", 100)); len(got) != 64 {
		t.Errorf("a cause is kept with %d bytes", len(got))
	}
}

// The check or package that a member failed for is the one that turned it round, not one that was found before or after.
func TestMemberKeepsWhatItFailedFor(t *testing.T) {
	t.Parallel()
	pass := MemberResult{Verdict: Pass, Changes: 1, Peers: peersIn}
	fail := func(what string) MemberResult { return MemberResult{Verdict: Fail, Reason: "because", Blame: what} }
	for _, row := range []struct {
		sentence string
		results  []MemberResult // of inspect, fetch, gate, drain, gate, patch, check, backout, check …
		want     string
	}{
		{"a fetch", []MemberResult{pass, fail("package a")}, "package a"},
		{"a patch", []MemberResult{pass, pass, pass, pass, pass, fail("package b")}, "package b"},
		{"a check", []MemberResult{pass, pass, pass, pass, pass, pass, fail("check c")}, "check c"},
		{"what fails on the way back is another matter", []MemberResult{pass, pass, pass, pass, pass, pass, fail("check c"), fail("package b")}, "check c"},
		{"nothing", []MemberResult{pass, pass}, ""},
	} {
		m := NewMember("i", "web", "web-1", ModePatch, true, MemberPolicy{Reboot: RebootNever})
		for _, r := range row.results {
			m = m.Apply(fmt.Sprintf("%s.%d", m.Step, m.Asked), r, epoch)
		}
		if m.Blame != row.want {
			t.Errorf("%s: Blame = %q in %s, want %q", row.sentence, m.Blame, m.Step, row.want)
		}
	}
}

// What a plan does not hold wants its approvals anew in that cluster. Nothing failed: no other cluster hears of it, whatever the policy says.
func TestWidensHoldsItsClusterAlone(t *testing.T) {
	for _, policy := range []OnFailure{"", FailStopCluster, FailSkipMember, FailStopCampaign, FailBackoutCluster} {
		for _, unattended := range []bool{false, true} {
			c := Cluster{Instance: "monthly-1", Name: "web", MinHealthy: 1, Phase: PhaseRoll, Members: []Slot{{Host: "web-1"}, {Host: "web-2"}}}
			c.Policy.OnFailure, c.Policy.Unattended, c.Policy.Retries = policy, unattended, 2
			c = c.slot("web-1", func(s *Slot) { s.Running, s.Mode, s.Tries = true, ModePatch, 1 })
			m := NewMember("monthly-1", "web", "web-1", ModePatch, false, MemberPolicy{}).to(StepFetch)
			m = m.fetched(MemberResult{Verdict: Fail, Widens: true, Reason: "widens: it would bring libnew 2"})
			if m.Outcome != Returned || !m.Widens {
				t.Fatalf("the member ends %q, widens %t; want it returned", m.Outcome, m.Widens)
			}
			c = c.Ended(MemberEnd{Host: "web-1", Mode: ModePatch, Try: 1, Outcome: m.Outcome, Reason: m.Reason, Widens: m.Widens}, epoch)
			want := PhaseHold
			if unattended {
				want = PhaseRelease
			}
			failed, _ := c.failures()
			if c.Phase != want || failed != 0 || c.StopCampaign != "" || c.Members[0].Failures != 0 {
				t.Errorf("%q, unattended %t: it is in %s, %d failures, campaign stopped %q; want %s and nothing of that", policy, unattended, c.Phase, failed, c.StopCampaign, want)
			}
			if !strings.Contains(c.HoldFor+c.Reason, "it would bring libnew 2") {
				t.Errorf("%q: it holds for %q, %q; want why", policy, c.HoldFor, c.Reason)
			}
		}
	}
}
