package rollout

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// evidenceOf lists what a cluster has against transactions, those on record in brackets.
func evidenceOf(c Cluster) string {
	var out []string
	for _, s := range c.Shut {
		out = append(out, "["+s+"]")
	}
	for _, e := range c.Evidence {
		out = append(out, e.Changes+" of "+e.Host+": "+e.Why)
	}
	return strings.Join(out, ", ")
}

// endedAs is the end of a member's patch whose versions came to that.
func endedAs(c Cluster, host string, o Outcome, suspect string) Cluster {
	c = c.Started(host, ModePatch, epoch)
	e := MemberEnd{Host: host, Mode: ModePatch, Outcome: o, Changes: "tx-" + host, Manifest: "manifest", Suspect: suspect, Reason: suspect}
	return c.Ended(e, epoch)
}

func TestVersionsThatFailedAreCharged(t *testing.T) {
	rolling := func(p ClusterPolicy) Cluster {
		c := newCluster(3, 2, p)
		return c.Claim("claim.0", ClaimResult{OK: true}, epoch)
	}
	with := func(change func(*ClusterPolicy)) ClusterPolicy {
		p := patient
		change(&p)
		return p
	}
	retrying, skipping, undoing := with(func(p *ClusterPolicy) { p.Retries = 1 }), with(func(p *ClusterPolicy) { p.OnFailure = FailSkipMember }), with(func(p *ClusterPolicy) { p.OnFailure = FailBackoutCluster })
	soaking := func() Cluster { return endedAs(rolling(patient), "web-1", Patched, "") }
	peers := func(p ClusterPolicy) Cluster {
		c := endedAs(rolling(p), "web-1", Patched, "")
		c.Phase, c.Wave = PhaseRoll, 1
		return c
	}
	granted := func(c Cluster) Cluster { return c.Heed(Word{Ask: c.Asks, May: true}, epoch) }
	goesBack := func(c Cluster) Cluster { return c.Started(c.Members[c.nextBackout()].Host, ModeBackout, epoch) }
	asking := endedAs(peers(patient), "web-2", Patched, "").failed("page answers 500", epoch)
	refused := asking.Heed(Word{Ask: asking.Asks, Why: "others fail too"}, epoch)
	for _, row := range []struct {
		says string
		c    Cluster
		want string
	}{
		{"a canary that failed its checks speaks against what it got", endedAs(rolling(patient), "web-1", BackedOut, "page answers 500"), "tx-web-1 of web-1: page answers 500"},
		{"also when its way back failed", endedAs(rolling(patient), "web-1", Quarantined, "page answers 500"), "tx-web-1 of web-1: page answers 500"},
		{"one that went back for another reason does not", endedAs(rolling(patient), "web-1", BackedOut, ""), ""},
		{"nor one that was never changed", endedAs(rolling(patient), "web-1", Returned, ""), ""},
		{"a good one does not", soaking(), ""},
		{"one that is tried again has not said its last word", endedAs(rolling(retrying), "web-1", BackedOut, "page answers 500"), ""},
		{"after the last try it has", endedAs(endedAs(rolling(retrying), "web-1", BackedOut, "page answers 500"), "web-1", BackedOut, "again"), "tx-web-1 of web-1: again"},
		{"in quarantine it is not tried again", endedAs(rolling(retrying), "web-1", Quarantined, "page answers 500"), "tx-web-1 of web-1: page answers 500"},
		{"nor while its cluster asks whether it may back out", endedAs(peers(retrying).failed("page answers 404", epoch), "web-2", BackedOut, "page answers 500"), "tx-web-2 of web-2: page answers 500"},
		{"a peer whose fail the policy leaves behind says nothing of what soaked", endedAs(peers(skipping), "web-2", BackedOut, "disk full"), ""},
		{"but the canary does", endedAs(rolling(skipping), "web-1", BackedOut, "page answers 500"), "tx-web-1 of web-1: page answers 500"},
		{"a peer that undoes the cluster speaks against its own transaction", endedAs(peers(undoing), "web-2", BackedOut, "page answers 500"), "tx-web-2 of web-2: page answers 500"},
		{"a soak that failed speaks against the canary's, which holds all", goesBack(granted(asking)), "tx-web-1 of web-1: soak failed: page answers 500"},
		{"but not before its backout is granted", asking, ""},
		{"and begins", granted(asking), ""},
		{"nor where the breaker stops it before that", granted(asking).Heed(Word{Trip: 1, Why: "others fail too"}, epoch), ""},
		{"until a person has that go on", goesBack(granted(asking).Heed(Word{Trip: 1, Why: "others fail too"}, epoch).Resume(jane, epoch)), "tx-web-1 of web-1: soak failed: page answers 500"},
		{"nor where it is refused: many have that fault, and not for their versions", refused, ""},
		{"also when a person lets it soak anew", refused.Resume(jane, epoch), ""},
		{"but when a person has it brought back", refused.Backout(jane, "backout", epoch), "tx-web-1 of web-1: backout by jane (claimed): because"},
		{"a member on its way when it is granted counts once that is patched", goesBack(endedAs(granted(soaking().Started("web-2", ModePatch, epoch).failed("page answers 500", epoch)), "web-2", Patched, "")), "tx-web-1 of web-1: soak failed: page answers 500"},
		{"a member that undoes the cluster speaks for itself alone, granted or not", goesBack(granted(endedAs(peers(undoing), "web-2", BackedOut, "page answers 500"))), "tx-web-2 of web-2: page answers 500"},
		{"a person's reject too, with the reason", soaking().Backout(jane, "reject", epoch), "tx-web-1 of web-1: reject by jane (claimed): because"},
		{"said while the canary is on its way, it counts once that is patched", endedAs(rolling(patient).Started("web-1", ModePatch, epoch).Backout(jane, "backout", epoch), "web-1", Patched, ""), "tx-web-1 of web-1: backout by jane (claimed): because"},
		{"an abort does not", soaking().Abort(jane, epoch), ""},
		{"but what fails in an aborted cluster does", endedAs(rolling(patient).Abort(jane, epoch), "web-1", BackedOut, ""), ""},
		{"a canary without a manifest is brought back for another reason", func() Cluster {
			c := rolling(patient).Started("web-1", ModePatch, epoch)
			return c.Ended(MemberEnd{Host: "web-1", Mode: ModePatch, Outcome: Patched, Changes: "tx"}, epoch)
		}(), ""},
	} {
		if got := evidenceOf(row.c); got != row.want {
			t.Errorf("%s: %q, want %q", row.says, got, row.want)
		}
	}
}

// What is charged is put on record at once, and the claim stays until it is: no other instance can install it in between.
func TestVersionsAreOnRecordBeforeTheClaimIsGivenBack(t *testing.T) {
	alone := patient
	alone.Unattended = true
	c := newCluster(2, 1, alone).Claim("claim.0", ClaimResult{OK: true}, epoch)
	c = endedAs(c, "web-1", BackedOut, "page answers 500")
	starts := func(c Cluster, now time.Time) (ids string, d Decision) {
		d = c.Next(now)
		for _, a := range d.Start {
			if a.Do != DoNotify {
				ids += a.ID + " "
			}
		}
		return strings.TrimSpace(ids), d
	}
	if got, _ := starts(c, epoch); c.Phase != PhaseRelease || got != "quarantine.0" {
		t.Fatalf("in %s it starts %q, want the record alone", c.Phase, got)
	}
	if again := c.Recorded("quarantine.7", ClaimResult{OK: true}, epoch); !reflect.DeepEqual(again, c) {
		t.Error("an answer to another request changes it")
	}
	now, told := epoch, len(c.Outbox.Pending)
	c = c.Recorded("quarantine.0", ClaimResult{Reason: "no way to Consul"}, now)
	got, d := starts(c, now)
	if got != "" || !d.WakeAt.Equal(now.Add(alone.RetryEvery)) || !strings.Contains(d.Reason, "no way to Consul") {
		t.Errorf("in trouble it starts %q, wakes at %s and says %q", got, d.WakeAt, d.Reason)
	}
	now = now.Add(alone.WaitMax)
	c = c.Recorded("quarantine.1", ClaimResult{Reason: "no way to Consul"}, now)
	if !c.Held || len(c.Outbox.Pending) != told+1 {
		t.Errorf("after %s held %t, %d told, want a person to be told", alone.WaitMax, c.Held, len(c.Outbox.Pending)-told)
	}
	now = now.Add(alone.RetryEvery)
	if got, _ := starts(c, now); got != "quarantine.2" {
		t.Errorf("it starts %q, want to ask again", got)
	}
	c = c.Recorded("quarantine.2", ClaimResult{OK: true, Reason: "lab-web 1.2"}, now)
	if got, _ := starts(c, now); got != "release."+itoa(c.Asked) || c.Held {
		t.Errorf("once it is on record it starts %q, held %t; want the release", got, c.Held)
	}
	last := c.Outbox.Pending[len(c.Outbox.Pending)-1]
	if last.Event != TellQuarantine || !strings.Contains(last.Text, "lab-web 1.2") || last.Next != "rollpatch quarantine list" {
		t.Errorf("told %+v, want what is in quarantine and where to see it", last)
	}
}

// A hold keeps the claim for days: the record does not wait for its end.
func TestVersionsAreOnRecordWhileTheClusterHolds(t *testing.T) {
	c := newCluster(2, 1, patient).Claim("claim.0", ClaimResult{OK: true}, epoch)
	c = endedAs(c, "web-1", BackedOut, "page answers 500")
	d := c.Next(epoch)
	if c.Phase != PhaseHold || d.Start[len(d.Start)-1].ID != "quarantine.0" {
		t.Fatalf("in %s it starts %+v, want the record", c.Phase, d.Start)
	}
	c = c.Recorded("quarantine.0", ClaimResult{Reason: "away"}, epoch)
	if d := c.Next(epoch); !d.WakeAt.Equal(epoch.Add(patient.RetryEvery)) || c.WaitFor != "" {
		t.Errorf("in trouble it wakes at %s and waits for %q, want to ask again and hold as before", d.WakeAt, c.WaitFor)
	}
	c = c.Recorded("quarantine.1", ClaimResult{OK: true}, epoch)
	c = c.Retry(jane, epoch)
	c = endedAs(c, "web-1", BackedOut, "page answers 500")
	if got := evidenceOf(c); got != "[tx-web-1]" {
		t.Errorf("tried again and failed again: %q, want one record of one transaction", got)
	}
}

func TestAMemberSaysWhatSpeaksAgainstItsVersions(t *testing.T) {
	for _, row := range []struct{ says, path, want string }{
		{"a check that fails", toCheck + "check=fail backout=pass", "broken"},
		{"a check under traffic", toFailing, "broken"},
		{"a transaction that fails", toPatch + "patch=fail", "broken"},
		{"not one that changed nothing", toPatch + "patch=untouched", ""},
		{"not one that was cut off too often", toPatch + "patch=cut patch=cut patch=cut", ""},
		{"nor what a repair came to", toPatch + "patch=cut patch=fail", ""},
		{"but a check after a repair", toPatch + "patch=cut patch=pass gate=pass reboot=pass check=fail", "broken"},
		{"not a good one", toServe + "undrain=pass", ""},
	} {
		m, now := NewMember("monthly-1", "web", "web-1", ModePatch, true, attended), epoch
		for _, word := range strings.Fields(row.path) {
			m, now = playMember(t, m, word, now)
		}
		if m.Suspect != row.want {
			t.Errorf("%s: %q, want %q", row.says, m.Suspect, row.want)
		}
	}
}

func TestWhatIsLeftOutIsTold(t *testing.T) {
	m := NewMember("monthly-1", "web", "web-1", ModePatch, true, attended)
	m = m.Apply("inspect.0", MemberResult{Verdict: Pass}, epoch)
	m = m.Apply("fetch.1", MemberResult{Verdict: Pass, Nothing: true, Reason: "nothing to do; left out: lab-web 1.2", LeftOut: "left out: lab-web 1.2"}, epoch)
	if m.Outcome != Unchanged || m.LeftOut != "left out: lab-web 1.2" {
		t.Fatalf("ended %s with %q", m.Outcome, m.LeftOut)
	}
	c := newCluster(1, 0, patient).Claim("claim.0", ClaimResult{OK: true}, epoch).Started("web-1", ModePatch, epoch)
	c = c.Ended(MemberEnd{Host: "web-1", Mode: ModePatch, Outcome: m.Outcome, Reason: m.Reason, LeftOut: m.LeftOut}, epoch)
	if c.Ending != ClusterDone || c.Reason != "left out: lab-web 1.2" {
		t.Errorf("the cluster ends %s: %q, want done, and what was left out", c.Ending, c.Reason)
	}
}
