package rollout

import (
	"strings"
	"testing"
	"time"
)

// What windows and freezes say, beside peers that allow it. Theirs opens two hours after the first of these rows begins.
func init() {
	opens := epoch.Add(2 * time.Hour)
	memberResults["closed"] = MemberResult{Verdict: Pass, Peers: peersIn, Closed: "no window is open", Next: opens}
	memberResults["holiday"] = MemberResult{Verdict: Pass, Peers: peersIn, Frozen: "freeze \"launch\"", Next: opens}
	memberResults["closed+few"] = MemberResult{Verdict: Pass, Peers: peersOut, Closed: "no window is open", Next: opens}
}

func TestMemberInWindows(t *testing.T) {
	bound := func(change func(*MemberPolicy)) MemberPolicy {
		return with(func(p *MemberPolicy) {
			p.Windows = true
			if change != nil {
				change(p)
			}
		})
	}
	finish := bound(func(p *MemberPolicy) { p.AtCutoff = CutoffFinish })
	leave := bound(func(p *MemberPolicy) { p.OnFail = OnFailWait })
	for _, group := range []struct {
		name   string
		mode   Mode
		policy MemberPolicy
		rows   []memberRow
	}{
		{"before its drain", ModePatch, bound(nil), []memberRow{
			{"one that does not fit any more is not drained, and its cluster waits with it", "inspect=pass fetch=pass gate=closed", "ended returned: no window is open", ""},
			{"nor in a calendar's freeze", "inspect=pass fetch=pass gate=holiday", "ended returned: freeze \"launch\"", ""},
			{"nor in one that a person typed", "inspect=pass fetch=pass gate=frozen", "ended returned: frozen by ann", ""},
			{"what it waited for until then is said", "inspect=pass fetch=pass gate=few*3 gate=closed", `ended returned: no window is open; until then it waited: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, ""},
		}},
		{"drained and unchanged", ModePatch, bound(nil), []memberRow{
			{"it goes back when its window closes", toDrain + "drain=pass gate=closed", "next undrain", ""},
			{"and its cluster waits with it", toDrain + "drain=pass gate=closed undrain=pass", "ended returned: no window is open", ""},
			{"also while it holds for connections", toDrain + "(drain=leftover gate=pass)*35 drain=leftover gate=closed", "next undrain", "hold"},
			{"in a freeze too", toDrain + "drain=pass gate=holiday undrain=pass", "ended returned: freeze \"launch\"", ""},
		}},
		{"drained and unchanged, to be finished", ModePatch, finish, []memberRow{
			{"a freeze sends it back all the same", toDrain + "drain=pass gate=holiday", "next undrain", ""},
		}},
		{"changed", ModePatch, bound(nil), []memberRow{
			{"one that was begun is finished: its reboot asks for no window", toPatch + "patch=pass gate=pass", "next reboot", ""},
			{"one that serves and owes its reboot only waits for the window in service", toPatch + "patch=pass gate=few check=pass undrain=pass gate=closed*100", "waits before drain: no window is open", "wait"},
			{"and is told of once", toPatch + "patch=pass gate=few check=pass undrain=pass gate=closed*100 gate=pass", "next drain", "wait"},
			{"an abort ends that", toPatch + "patch=pass gate=few check=pass undrain=pass gate=closed abort", "ended patched: aborted before its reboot", "wait"},
			{"one that fails in service is brought back, window or not", toFailing + "gate=pass", "next drain", "fail"},
		}},
		{"a soak that failed", ModeBackout, bound(nil), []memberRow{
			{"its members go out of service", "inspect=pass gate=closed", "next drain", ""},
			{"as far as peers allow it", "inspect=pass gate=closed+few", `waits before drain: cluster "web": 2 of 3 members would be out, at most 1 may (out already: web-3)`, ""},
			{"but never in a freeze", "inspect=pass gate=holiday*50", "waits before drain: freeze \"launch\"", "hold"},
			{"and wait there for the window, however long", "inspect=pass gate=closed drain=pass gate=closed*500", "waits before backout: no window is open", "wait"},
			{"in which they are brought back", "inspect=pass gate=closed drain=pass gate=closed*5 gate=pass", "next backout", "wait"},
			{"peers that fall bring one back that serves", "inspect=pass gate=closed drain=pass gate=closed+few check=pass undrain=pass", "next gate", ""},
			{"and one that cannot stays as it is: nothing is half way", "inspect=pass gate=closed drain=pass gate=closed+few check=fail gate=closed+few", "waits before backout: no window is open", "wait"},
			{"the same in a freeze, of which people are told once", "inspect=pass gate=pass drain=pass (gate=holiday check=fail gate=holiday)*50", "waits before backout: freeze \"launch\"", "hold"},
			{"and with a pass it goes back to its service", "inspect=pass gate=pass drain=pass gate=holiday check=fail gate=holiday*2 check=pass", "next undrain", "hold"},
			{"a gate that says no for another cause lets no way back begin in a freeze", "inspect=pass gate=pass drain=pass (gate=holiday check=fail gate=holiday)*3 gate=fail check=fail", "next gate", "hold"},
			{"nor does its own word count for what windows did not say", "inspect=pass gate=pass drain=pass gate=fail check=fail gate=fail", "waits before backout: broken", ""},
			{"nor what they said before checks that took long", "inspect=pass gate=pass drain=pass gate=few check=unknown*9 check=fail gate=closed+few", "waits before backout: no window is open", "wait"},
			{"open, it begins, whatever its peers: it takes nothing from them", "inspect=pass gate=pass drain=pass gate=holiday check=fail gate=few", "next backout", ""},
			{"not on checks of before a gate that could not be told", "inspect=pass gate=pass drain=pass gate=few check=fail gate=unknown gate=few", "next check", ""},
			{"a person's word that comes while it asks counts here too", "inspect=pass gate=pass drain=pass (gate=closed+few check=fail gate=closed+few)*2 gate=closed+few check=fail backout gate=closed+few gate=few", "next backout", "wait"},
			{"but not where its drain is gone meanwhile", "inspect=pass gate=pass drain=pass gate=few check=fail gate=undrained", "next drain", ""},
			{"a hold before that ends, and with it its time-out", "inspect=pass gate=pass drain=pass gate=holiday check=unknown*40 check=fail gate=holiday", "waits before backout: freeze \"launch\"", "hold hold"},
			{"a person's word brings them back now", "inspect=pass gate=closed drain=pass gate=closed backout", "next gate", "wait"},
			{"and asks for freezes only", "inspect=pass gate=closed drain=pass gate=closed backout gate=holiday", "next check", "wait"},
			{"a word that comes while it asks counts", "inspect=pass gate=closed drain=pass gate=closed backout gate=closed", "next gate", "wait"},
		}},
		{"a soak that failed, and its members stay", ModeBackout, leave, []memberRow{
			{"until the window", "inspect=pass gate=closed*100", "waits before drain: no window is open", "wait"},
			{"in which they are drained", "inspect=pass gate=closed*100 gate=pass", "next drain", "wait"},
		}},
	} {
		for _, row := range group.rows {
			t.Run(group.name+"/"+row.sentence, func(t *testing.T) {
				t.Parallel()
				m, now := NewMember("monthly", "web", "web-1", group.mode, true, group.policy), epoch
				for _, word := range strings.Fields(unroll(row.path)) {
					m, now = playMember(t, m, word, now)
				}
				if got := standing(m, now); got != row.want {
					t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, m)
				}
				if got := events(m.Outbox); got != row.told {
					t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
				}
				if notNow := m.NotNow && m.Outcome == Returned; notNow != (m.Outcome == Returned) {
					t.Errorf("it ends %s, and says that it was not its time: %t", m.Outcome, notNow)
				}
			})
		}
	}
}

// Who is out and cannot serve waits for a time that may be far off, and goes back as soon as its checks pass.
func TestOneThatCannotServeIsCheckedSoon(t *testing.T) {
	t.Parallel()
	for _, gate := range []string{"holiday", "closed+few"} {
		m, now := NewMember("monthly", "web", "web-1", ModeBackout, true, with(func(p *MemberPolicy) { p.Windows = true })), epoch
		for _, word := range strings.Fields("inspect=pass gate=pass drain=pass gate=" + gate + " check=fail gate=" + gate) {
			m, now = playMember(t, m, word, now)
		}
		if got := m.NextAsk.Sub(now); got != m.Policy.RetryEvery {
			t.Errorf("told %s, it looks again in %s, want %s", gate, got, m.Policy.RetryEvery)
		}
	}
}

// What the gate asks is a matter of where the member stands.
func TestWhatTheGateAsks(t *testing.T) {
	t.Parallel()
	bound := with(func(p *MemberPolicy) { p.Windows = true })
	finish := bound
	finish.AtCutoff = CutoffFinish
	for _, row := range []struct {
		sentence string
		mode     Mode
		policy   MemberPolicy
		path     string
		want     Ask
	}{
		{"nothing where there are no windows", ModePatch, attended, "inspect=pass fetch=pass", ""},
		{"before the drain, whether it fits", ModePatch, bound, "inspect=pass fetch=pass", AskFit},
		{"drained, whether it is still open", ModePatch, bound, toDrain + "drain=pass", AskOpen},
		{"or only for freezes, where such are finished", ModePatch, finish, toDrain + "drain=pass", AskFreeze},
		{"patched, nothing: it is finished", ModePatch, bound, toPatch + "patch=pass", ""},
		{"patched and back in service, whether its reboot fits", ModePatch, bound, toPatch + "patch=pass gate=few check=pass undrain=pass", AskFit},
		{"failing in service, nothing", ModePatch, bound, toFailing, ""},
		{"on its way back, whether that fits", ModeBackout, bound, "inspect=pass", AskFit},
		{"also once it is drained", ModeBackout, bound, "inspect=pass gate=pass drain=pass", AskFit},
		{"backed out, nothing", ModeBackout, bound, "inspect=pass gate=pass drain=pass gate=pass backout=pass", ""},
		{"on a person's word, only for freezes", ModeBackout, bound, "inspect=pass gate=closed drain=pass gate=closed backout", AskFreeze},
	} {
		m, now := NewMember("monthly", "web", "web-1", row.mode, true, row.policy), epoch
		for _, word := range strings.Fields(row.path) {
			m, now = playMember(t, m, word, now)
		}
		d := m.Next(now)
		if a := d.Start[len(d.Start)-1]; a.Do != StepGate || a.Ask != row.want {
			t.Errorf("%s: Next = %s asking %q, want the gate asking %q", row.sentence, a.Do, a.Ask, row.want)
		}
	}
}

func TestAskAgain(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence   string
		next, want time.Duration
	}{
		{"at its opening", 20 * time.Minute, 20 * time.Minute},
		{"and every hour until then: calendars change", 50 * time.Hour, time.Hour},
		{"where the opening has come and it is still closed, soon", 0, time.Minute},
		{"or has gone by", -time.Hour, time.Minute},
	} {
		if got := askAgain(epoch.Add(row.next), epoch, time.Minute); !got.Equal(epoch.Add(row.want)) {
			t.Errorf("%s: asks again in %s, want %s", row.sentence, got.Sub(epoch), row.want)
		}
	}
	if got := askAgain(time.Time{}, epoch, time.Minute); !got.Equal(epoch.Add(time.Hour)) {
		t.Errorf("nobody knows when it opens: asks again in %s, want an hour", got.Sub(epoch))
	}
}

func TestClusterInWindows(t *testing.T) {
	bound := patient
	bound.Windows = true
	alone, leaving, mixed := bound, bound, bound
	alone.Unattended, alone.SoakApproval = true, false
	leaving.OnFail = OnFailWait
	mixed.MaxMixed = 36 * time.Hour
	const (
		canary = "window=ok claim=ok web-1=patched "
		soaked = canary + "watch=pass*3 +24h approve "
		failed = canary + "watch=fail may "
	)
	for _, group := range []struct {
		name string
		of   ClusterPolicy
		rows []clusterRow
	}{
		{"before it begins", bound, []clusterRow{
			{"windows are asked before the claim: who waits for one holds no claim", "", "asking whether web-1 may begin now", ""},
			{"then comes the claim", "window=ok", "next claim", ""},
			{"and the canary, on the same word", "window=ok claim=ok", "next patch web-1 as canary", ""},
			{"one that is closed is waited for, however long, and people are told once", "window=closed*200", "waits until a host may begin: no window is open", "wait"},
			{"and it goes on by itself", "window=closed*20 window=ok", "next claim", "wait"},
			{"a claim that took too long is asked for again before anybody begins", "window=ok +6m", "asking whether web-1 may begin now", ""},
			{"and a canary whose claim came late", "window=ok claim=ok +5m", "asking whether web-1 may begin now", ""},
			{"what cannot be asked is trouble", "window=unknown*31", "holds before claim: no calendar", "hold"},
			{"of which nothing is left when it can", "window=unknown*31 window=closed", "waits until a host may begin: no window is open", "hold wait"},
			{"an abort does not wait for it", "window=closed abort", "next release: aborted: aborted by jane: because", "wait"},
			{"nor for the answer", "abort window=ok", "next release: aborted: aborted by jane: because", ""},
		}},
		{"between its members", bound, []clusterRow{
			{"the soak asks for no window", canary, "soak 1", ""},
			{"its peers do", soaked, "asking whether web-2 may begin now", "gate"},
			{"each of them", soaked + "window=ok web-2=patched watch=pass +10m", "asking whether web-3 may begin now", "gate"},
			{"while one waits it is watched", soaked + "window=closed watch=fail may", "next backout web-1", "gate wait fail"},
			{"a person may hold it meanwhile", soaked + "window=closed hold", "held: because (jane)", "gate wait"},
			{"and have it brought back", soaked + "window=closed backout", "next backout web-1", "gate wait backout"},
			{"a member whose window closed before its drain comes again in the next one", soaked + "window=ok web-2=notnow", "waits until a host may begin: no window is open", "gate wait"},
			{"as if it had not been tried", soaked + "window=ok web-2=notnow window=ok", "next patch web-2", "gate wait"},
			{"and a canary as the canary", "window=ok claim=ok web-1=notnow window=ok", "next patch web-1 as canary", "wait"},
			{"twice it may have waited for something else", soaked + "window=ok web-2=vain window=ok web-2=vain window=ok", "next patch web-2", "gate wait wait"},
			{"the third time that is a failure", soaked + "window=ok web-2=vain window=ok web-2=vain window=ok web-2=vain", "held: web-2 is returned: no window is open, for the 3rd time", "gate wait wait hold"},
		}},
		{"unattended", alone, []clusterRow{
			{"it waits for its window without end", "window=closed*200", "waits until a host may begin: no window is open", "wait"},
			{"but gives up on a calendar that cannot be read", "window=unknown*31", "next release: halted: gave up after 30m0s before claim: no calendar", "halted"},
		}},
		{"a soak that failed", bound, []clusterRow{
			{"its members ask for themselves, and may go out of service meanwhile", failed, "next backout web-1", "fail"},
		}},
		{"a soak that failed, and its members stay", leaving, []clusterRow{
			{"until the window", failed + "window=closed*50", "waits until a host may begin: no window is open", "fail wait"},
			{"in which they are brought back", failed + "window=closed*50 window=ok", "next backout web-1", "fail wait"},
			{"or on a person's word", failed + "window=closed backout", "next backout web-1", "fail wait backout"},
			{"a reject has time until the window", canary + "reject window=closed", "waits until a host may begin: no window is open", "backout wait"},
			{"a backout has not", canary + "backout", "next backout web-1", "backout"},
			{"an abort gives up on it", failed + "window=closed abort", "next release: aborted: aborted by jane: because; members that stay patched: 1; soak failed: page broken", "fail wait"},
		}},
		{"mixed", mixed, []clusterRow{
			{"a cluster whose canary is patched for long is told", soaked + "window=closed +11h tick +1h tick", "waits until a host may begin: no window is open", "gate wait hold"},
			{"and every day from then on", soaked + "window=closed +12h tick +23h tick +1h tick", "waits until a host may begin: no window is open", "gate wait hold hold"},
		}},
	} {
		for _, row := range group.rows {
			t.Run(group.name+"/"+row.sentence, func(t *testing.T) {
				t.Parallel()
				c, now := newCluster(3, 2, group.of), epoch
				for _, word := range strings.Fields(unroll(row.path)) {
					if word == "tick" {
						c = c.Tick(now)
						continue
					}
					c, now = playCluster(t, c, word, now)
				}
				got, _, _ := strings.Cut(standingCluster(c, now), "; the next")
				if got != row.want {
					t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, c)
				}
				if got := events(c.Outbox); got != row.told {
					t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
				}
			})
		}
	}
}

// A cluster looks again when people are to be told, if nothing else is due before.
func TestMixedWakes(t *testing.T) {
	t.Parallel()
	c, now := newCluster(3, 2, patient), epoch
	c.Policy.MaxMixed = time.Hour
	for _, word := range strings.Fields("claim=ok web-1=patched") {
		c, now = playCluster(t, c, word, now)
	}
	if d := c.Next(now); !d.WakeAt.Equal(now.Add(time.Hour)) {
		t.Errorf("it looks again at %s, want an hour from %s", d.WakeAt, now)
	}
	c = c.Tick(now.Add(time.Hour))
	if d := c.Next(now.Add(time.Hour)); !d.WakeAt.Equal(now.Add(24 * time.Hour)) { // the soak's end is before the next day's word
		t.Errorf("told, it looks again at %s", d.WakeAt)
	}
	if c = c.backout("said so", now); c.mixedDue().IsZero() {
		t.Error("it is not mixed while it is brought back")
	}
	c, _ = playCluster(t, c, "web-1=backed-out", now)
	if due := c.mixedDue(); !due.IsZero() {
		t.Errorf("with no member patched, people are told at %s that it is mixed", due)
	}
}

// The thaw of a freeze that a person typed is told; what was told before the freeze knew who waits is asked for again soon.
func TestAClusterThatIsFrozen(t *testing.T) {
	t.Parallel()
	p := patient
	p.Windows = true
	c, now := newCluster(3, 2, p), epoch
	for n, want := range []time.Duration{time.Minute, time.Hour, time.Hour} {
		c, now = playCluster(t, c, "window=frozen", now)
		if got := c.NextAsk.Sub(now); got != want {
			t.Errorf("answer %d: it asks again in %s, want %s", n+1, got, want)
		}
	}
	if got := c.Thawed(now).NextAsk.Sub(now); got != thawWithin {
		t.Errorf("after the thaw it asks in %s, want %s", got, thawWithin)
	}
	c, now = playCluster(t, c, "window=closed", now)
	if got := c.Thawed(now).NextAsk.Sub(now); got != time.Hour {
		t.Errorf("who waits for a window hears of a thaw, and asks in %s", got)
	}
}

// Who waits for a freeze's end asks at once when that is broken for it, or stands again, and does not otherwise.
func TestBreak(t *testing.T) {
	t.Parallel()
	fair := Broken{Freeze: Freeze{Name: "fair", From: epoch, To: epoch.Add(9 * time.Hour)}, Until: epoch.Add(5 * time.Hour), By: "mia", Reason: "a hole", At: epoch}
	later := fair
	later.Until = epoch.Add(7 * time.Hour)
	p := patient
	p.Windows = true
	waits := newCluster(3, 2, p)
	waits, now := playCluster(t, waits, "window=closed", epoch)
	if got := waits.Break([]Broken{fair}); !got.NextAsk.IsZero() || !got.FitAt.IsZero() || len(got.Broken) != 1 {
		t.Errorf("a cluster that waits asks at %s", got.NextAsk)
	}
	if got := waits.Break(nil); got.NextAsk.IsZero() {
		t.Error("nothing was broken, and it asks anew")
	}
	said := waits.Break([]Broken{fair})
	said.NextAsk = now.Add(time.Hour)
	for what, list := range map[string][]Broken{"for longer": {later}, "not any more": nil} {
		if got := said.Break(list); !got.NextAsk.IsZero() {
			t.Errorf("broken %s: it asks at %s", what, got.NextAsk)
		}
	}
	if got := said.Break([]Broken{fair}); got.NextAsk.IsZero() {
		t.Error("it is told the same twice, and asks anew")
	}
	frozen, _ := playCluster(t, newCluster(3, 2, p), "window=frozen", epoch)
	if got := frozen.Break([]Broken{fair}); got.NextAsk.IsZero() {
		t.Error("a freeze that a person typed is ended by the thaw alone")
	}
	for _, row := range []struct {
		says string
		m    Member
		asks bool
	}{
		{"out, and waiting for a freeze's end", Member{WaitFor: "freeze", Frozen: true, Opens: now.Add(time.Hour), NextAsk: now.Add(time.Hour)}, true},
		{"in service, and waiting for its time", Member{WaitFor: "freeze", Closed: true, NextAsk: now.Add(time.Hour)}, true},
		{"frozen by a person", Member{WaitFor: "freeze", Frozen: true, NextAsk: now.Add(time.Hour)}, false},
		{"waiting for peers", Member{WaitFor: "peers", NextAsk: now.Add(time.Hour)}, false},
	} {
		if got := row.m.Break([]Broken{fair}); got.NextAsk.IsZero() != row.asks || len(got.Broken) != 1 {
			t.Errorf("a member that is %s asks at %s", row.says, got.NextAsk)
		}
	}
}

// The campaign tells once, keeps who broke it, and has an instance of a schedule ask for its window anew.
func TestCampaignBreaks(t *testing.T) {
	t.Parallel()
	fair := Broken{Freeze: Freeze{Name: "fair", From: epoch, To: epoch.Add(9 * time.Hour)}, Until: epoch.Add(5 * time.Hour), By: "mia", Key: "SHA256:mia", Reason: "a hole", At: epoch}
	gate := func(f Freeze) string { return "freeze/" + f.Name }
	begin := epoch.Add(9 * time.Hour)
	c := Campaign{Instance: "monthly-1", Turn: &Turn{Begin: begin, Wanted: epoch.Add(2 * time.Hour), Stands: []Freeze{fair.Freeze}}}
	b := c.Break([]Broken{fair}, gate, epoch)
	if len(b.Approvals) != 1 || b.Approvals[0].Gate != "freeze/fair" || b.Approvals[0].Key != "SHA256:mia" || len(b.Outbox.Pending) != 1 {
		t.Errorf("approvals %+v, told %+v", b.Approvals, b.Outbox.Pending)
	}
	again := b.Break([]Broken{fair}, gate, epoch.Add(time.Minute))
	if len(again.Approvals) != 1 || len(again.Outbox.Pending) != 1 {
		t.Errorf("said again: approvals %+v, told %+v", again.Approvals, again.Outbox.Pending)
	}
	if over := b.Break(nil, gate, epoch.Add(6*time.Hour)); len(over.Outbox.Pending) != 1 || len(over.Broken) != 0 {
		t.Errorf("it is over, and told: %+v", over.Outbox.Pending)
	}
	if back := b.Break(nil, gate, epoch.Add(time.Hour)); len(back.Outbox.Pending) != 2 {
		t.Errorf("it was taken back, and told: %+v", back.Outbox.Pending)
	}
	if ended := (Campaign{Outcome: CampaignDone}).Break([]Broken{fair}, gate, epoch); len(ended.Broken) != 0 {
		t.Error("broken for an instance that has ended")
	}

	d := b.Next(epoch.Add(time.Minute))
	if len(d.Start) < 1 || d.Start[len(d.Start)-1].Do != DoTurn {
		t.Fatalf("it starts %+v, want its turn asked for", d.Start)
	}
	if d := c.Next(epoch.Add(time.Minute)); len(d.Start) != 0 {
		t.Errorf("nothing was broken, and it starts %+v", d.Start)
	}
	id := d.Start[len(d.Start)-1].ID
	for _, row := range []struct {
		says string
		o    Opening
		want time.Time
		anew bool
	}{
		{"its window opens when the schedule would have it", Opening{OK: true, Next: epoch.Add(30 * time.Hour)}, epoch.Add(2 * time.Hour), false},
		{"another freeze still stands", Opening{Why: "freeze", Next: epoch.Add(5 * time.Hour), Stands: []Freeze{{Name: "audit"}}}, epoch.Add(5 * time.Hour), false},
		{"no window at all", Opening{Why: "freeze"}, begin, false},
		{"nobody can tell", Opening{Unknown: "no such file"}, begin, true},
	} {
		got := b.TurnAsked(id, row.o, epoch.Add(2*time.Minute))
		if !got.Turn.Begin.Equal(row.want) || got.Turn.Anew != row.anew || got.Turn.Past != 0 || !got.Turn.Begun.IsZero() || len(got.Turn.Stands) != len(row.o.Stands) {
			t.Errorf("%s: %+v, want its begin at %s", row.says, *got.Turn, row.want)
		}
	}
	if got := c.TurnAsked(id, Opening{OK: true}, epoch.Add(2*time.Minute)); !got.Turn.Begin.Equal(begin) {
		t.Error("nobody asked, and its begin is another one")
	}
	open := b
	turn := *b.Turn
	turn.Wanted = epoch.Add(-time.Hour)
	open.Turn = &turn
	if got := open.TurnAsked(id, Opening{OK: true, Next: begin}, epoch.Add(2*time.Minute)); !got.Turn.Begin.Equal(epoch.Add(2 * time.Minute)) {
		t.Errorf("in an open window it begins at %s", got.Turn.Begin)
	}
	open.Gates = []Gate{{ID: "start"}}
	if got := open.TurnAsked(id, Opening{OK: true, Next: begin}, epoch.Add(2*time.Minute)); !got.Turn.Begin.Equal(begin) {
		t.Errorf("people are waited for, and it would begin at %s", got.Turn.Begin)
	}
}

// How long a freeze has to be broken so that somebody who waits for it can begin and be done.
func TestEnough(t *testing.T) {
	t.Parallel()
	ends := epoch.Add(10 * time.Hour)
	for _, row := range []struct {
		says string
		f    Freeze
		want time.Time
	}{
		{"who could begin now", Freeze{To: ends, Begin: epoch.Add(-time.Hour), Takes: 40 * time.Minute}, epoch.Add(40 * time.Minute)},
		{"who could begin in a window", Freeze{To: ends, Begin: epoch.Add(2 * time.Hour), Takes: 40 * time.Minute}, epoch.Add(160 * time.Minute)},
		{"it ends meanwhile", Freeze{To: ends, Begin: epoch.Add(9 * time.Hour), Takes: 2 * time.Hour}, ends},
		{"no window is known", Freeze{To: ends, Takes: time.Hour}, time.Time{}},
		{"how long he needs is not known", Freeze{To: ends, Begin: epoch}, time.Time{}},
	} {
		if got := row.f.Enough(epoch); !got.Equal(row.want) {
			t.Errorf("%s: %s, want %s", row.says, got, row.want)
		}
	}
}
