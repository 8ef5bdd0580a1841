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
			{"and one that cannot stays as it is: nothing is half way", "inspect=pass gate=closed drain=pass gate=closed+few check=fail", "waits before backout: broken", ""},
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
