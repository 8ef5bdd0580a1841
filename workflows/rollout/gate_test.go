package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

// agree has as many people as are needed agree to a soak, whose keys were looked at just now.
func agree(c Cluster, soak int, now time.Time) Cluster {
	if soak == 0 {
		soak = c.SoakNo
	}
	return c.Judged(Judgment{Gate: SoakGate(c.Name, soak), Open: true, Proven: true, By: []Approval{{Soak: soak, Actor: "jane", Claimed: true}}}, now)
}

func TestSoakGateIsWhatIsSigned(t *testing.T) {
	if got, want := SoakGate("web", 2), approval.GateSoak("web", 2); got != want {
		t.Errorf("the gate is %q, and %q is signed", got, want)
	}
}

// gatedCampaign asks for people before its start and before production.
func gatedCampaign() Campaign {
	c := newCampaign()
	c.Gates = []Gate{{ID: "start"}, {ID: "stage/production", Stage: 1}}
	return c
}

// playGates plays a campaign whose gates are judged: +1h lets time pass, agreed and the like are judgments of the gate that it waits at, "once"
// is a look at the keys that came to something; other words are those of playCampaign.
func playGates(t *testing.T, c Campaign, word string, now time.Time) (Campaign, time.Time) {
	t.Helper()
	c = c.Convene(now)
	g, _ := c.Awaits()
	of, id, other := strings.Cut(word, "@")
	if !other {
		id = g.ID
	}
	j := Judgment{Gate: id, Why: "waits for bob"}
	if !g.Since.IsZero() {
		j.Until = g.Since.Add(8 * time.Hour)
	}
	switch {
	case word[0] == '+':
		now = now.Add(duration(t, word[1:]))
		return c.Convene(now).Judged(j, now), now
	case of == "wanting":
	case of == "agreed":
		j.Open, j.Proven, j.Why = true, true, "open"
	case of == "unproven":
		j.Open, j.Why = true, "open"
	case of == "rejected":
		j.Rejected, j.Why = "bob: no", "rejected by bob: no"
	case of == "expired":
		j.Expired, j.Why = true, "expired"
	case of == "expired-aborts":
		j.Expired, j.Abort, j.Why = true, true, "expired"
	case of == "untold":
		return c.Unproven("prove."+fmt.Sprint(g.Asked), "permission denied", now), now
	default:
		return playCampaign(t, c, word), now
	}
	return c.Judged(j, now), now
}

func TestCampaignGates(t *testing.T) {
	t.Parallel()
	const staged = "agreed web cache web=done cache=done queue queue=done "
	for _, row := range []struct {
		sentence, path, want, told string
	}{
		{"nothing begins before people agree", "wanting", "waits at start", "gate"},
		{"however long that takes", "wanting +100h", "waits at start", "gate gate"},
		{"they are told once, and once more before it is too late", "wanting +1h +5h +1h +30m", "waits at start", "gate gate"},
		{"who agree open it", "wanting agreed", "starts web cache", "gate"},
		{"at once, too", "agreed", "starts web cache", ""},
		{"not before their keys were looked at once more", "unproven", "proves start", ""},
		{"which is asked for until somebody can tell", "unproven untold", "waits at start", "gate"},
		{"again after a minute", "unproven untold +2m", "waits at start", "gate gate"},
		{"then they open it", "unproven agreed", "starts web cache", ""},
		{"unless one of them counts no more", "unproven wanting", "waits at start", "gate"},
		{"what is said for another gate opens none", "agreed@stage/production", "waits at start", ""},
		{"nor what was agreed to before", "agreed agreed@start web cache web=done cache=done queue queue=done", "waits at stage/production", ""},
		{"a stage has its own", staged, "waits at stage/production", ""},
		{"which is opened by itself", staged + "agreed", "starts db mail", ""},
		{"its time begins when its turn comes", staged + "+1h", "waits at stage/production", "gate"},
		{"a no ends it", "rejected", "ended aborted: gate start was rejected by bob: no", "halted"},
		{"an expired gate holds", "expired", "held: stopped: gate start expired", "hold"},
		{"and is opened by nobody then", "expired agreed", "held: stopped: gate start expired", "hold"},
		{"not even by what a person says to something else", "expired agreed resume wanting", "waits at start", "hold gate"},
		{"before a person has it wait once more", "expired resume wanting", "waits at start", "hold gate"},
		{"and then they may", "expired resume agreed", "starts web cache", "hold"},
		{"or it ends the campaign", "expired-aborts", "ended aborted: gate start expired", "halted"},
		{"a person's hold stays one", "hold agreed", "held: because (jane)", ""},
		{"an abort needs nobody", "wanting abort", "ended aborted: aborted by jane (claimed): because", "gate halted"},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			t.Parallel()
			c, now := gatedCampaign(), epoch
			for _, word := range strings.Fields(row.path) {
				c, now = playGates(t, c, word, now)
			}
			d := c.Next(now)
			got := standingCampaign(c)
			g, waits := c.Awaits()
			switch {
			case c.Outcome != "":
			case c.Paused != "":
				got = "held: " + c.Paused
			case len(d.Start) > 0 && waits && d.Start[len(d.Start)-1].Do == DoProve:
				got = "proves " + g.ID
			case waits:
				got = "waits at " + g.ID
			default:
				got = "starts"
				for _, a := range d.Start {
					if a.Do == DoCluster {
						got += " " + a.Name
					}
				}
			}
			if got != row.want {
				t.Errorf("after %q\n got %s\nwant %s\nstate %+v", row.path, got, row.want, c)
			}
			if got := events(c.Outbox); got != row.told {
				t.Errorf("after %q people were told %q, want %q", row.path, got, row.told)
			}
			if !d.WakeAt.IsZero() && !d.WakeAt.After(now) {
				t.Errorf("it wants to look again at %s, and it is %s", d.WakeAt, now)
			}
		})
	}
}

// What is said for a soak that is over, or has not passed, or that nobody looked at once more, ends no soak.
func TestSoakGates(t *testing.T) {
	t.Parallel()
	gated := func() (Cluster, time.Time) {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(toSoak + "watch=pass*3 +24h") {
			c, now = playAll(t, c, word, now)
		}
		if c.Phase != PhaseGate {
			t.Fatalf("it is at %s, want it at its gate", standingCluster(c, now))
		}
		return c, now
	}
	open := Judgment{Gate: "soak/web/1", Open: true, Proven: true, Why: "open"}
	with := func(change func(*Judgment)) Judgment {
		j := open
		change(&j)
		return j
	}
	for _, row := range []struct {
		sentence string
		before   func(Cluster, time.Time) Cluster
		j        Judgment
		want     Phase
	}{
		{"who agree end it", nil, open, PhaseRoll},
		{"not before their keys were looked at once more", nil, with(func(j *Judgment) { j.Proven = false }), PhaseGate},
		{"not for an earlier soak", nil, with(func(j *Judgment) { j.Gate = "soak/web/0" }), PhaseGate},
		{"not for another cluster", nil, with(func(j *Judgment) { j.Gate = "soak/db/1" }), PhaseGate},
		{"not while its checks can be told neither way", func(c Cluster, now time.Time) Cluster {
			return c.Sampled(WatchResult{Verdict: Inconclusive, Reason: "no way to it"}, now)
		}, open, PhaseGate},
		{"an expired one holds", nil, with(func(j *Judgment) { j.Open, j.Expired = false, true }), PhaseHold},
		{"or ends the cluster", nil, with(func(j *Judgment) { j.Open, j.Expired, j.Abort = false, true, true }), PhaseRelease},
		{"and is not opened then", func(c Cluster, now time.Time) Cluster {
			return c.Judged(Judgment{Gate: "soak/web/1", Expired: true}, now)
		}, open, PhaseHold},
		{"before it soaked once more, on a person's word", func(c Cluster, now time.Time) Cluster {
			return c.Judged(Judgment{Gate: "soak/web/1", Expired: true}, now).Resume(jane, now)
		}, open, PhaseSoak},
		{"a longer soak is agreed to at its new end", func(c Cluster, now time.Time) Cluster { return c.Extend(forHalfADay(jane), now) }, open, PhaseSoak},
	} {
		c, now := gated()
		if row.before != nil {
			c = row.before(c, now)
		}
		c = c.Judged(row.j, now)
		if c.Phase != row.want {
			t.Errorf("%s: it is in %s, want %s", row.sentence, c.Phase, row.want)
		}
	}
}

// What people are told of a gate has all that they need: who may agree, until when, and the command as it works where they have no SSH agent.
func TestNoticesOfGatesSayWhoMayAgreeAndHow(t *testing.T) {
	t.Parallel()
	campaignAt := func(j Judgment) []Notice {
		j.Gate = "start"
		return gatedCampaign().Convene(epoch).Judged(j, epoch).Outbox.Pending
	}
	soakAt := func(j Judgment) []Notice {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(toSoak + "watch=pass*3 +24h") {
			c, now = playAll(t, c, word, now)
		}
		c.Outbox, c.Gate.Told = Outbox{}, false // it was told as it was played up to here
		j.Gate = "soak/web/1"
		c = c.Judged(j, now)
		if got := c.Report().Reason; len(c.Outbox.Pending) != 1 || !strings.HasSuffix(got, ": "+c.Outbox.Pending[0].Next) {
			t.Errorf("its report says %q", got)
		}
		return c.Outbox.Pending
	}
	owedAt := func(j Judgment) []Notice {
		c := gatedCampaign()
		c.Gates = []Gate{{ID: "emergency"}, {ID: "start", After: true}}
		c = c.Convene(epoch).Judged(Judgment{Gate: "emergency", Open: true, Proven: true}, epoch).Started(c.Clusters[0].Name).Convene(epoch)
		j.Gate = "start"
		c = c.Judged(j, epoch).Convene(epoch.Add(OwedWithin))
		pending := c.Outbox.Pending
		return pending[len(pending)-1:]
	}
	signed := Judgment{Why: "waits for 1 person (manager)", Could: "manager: mia@example.org", Signed: true, Until: epoch.Add(1000 * time.Hour)}
	const who = "; who may: manager: mia@example.org; it must be signed, with --key or the SSH agent"
	for _, row := range []struct {
		at         func(Judgment) []Notice
		j          Judgment
		says, next string
	}{
		{campaignAt, signed, ", until " + stamp(signed.Until) + ": waits for 1 person (manager)" + who, `rollpatch approve monthly-1 --reason "..." --key FILE`},
		{campaignAt, Judgment{Why: "waits for 1 person"}, ": waits for 1 person", `rollpatch approve monthly-1 --reason "..."`},
		{soakAt, signed, ": waits for 1 person (manager)" + who, `rollpatch approve monthly-1 --cluster web --reason "..." --key FILE`},
		{soakAt, Judgment{}, "waits for approval", `rollpatch approve monthly-1 --cluster web --reason "..."`},
		{owedAt, signed, ": waits for 1 person (manager)" + who, `rollpatch approve monthly-1 --reason "..." --key FILE`},
	} {
		told := row.at(row.j)
		if len(told) != 1 || !strings.HasSuffix(told[0].Text, row.says) || told[0].Next != row.next {
			t.Errorf("people were told %+v\nwant ...%s => %s", told, row.says, row.next)
		}
	}
}

// playAll plays a word as often as it says.
func playAll(t *testing.T, c Cluster, word string, now time.Time) (Cluster, time.Time) {
	t.Helper()
	word, times, many := strings.Cut(word, "*")
	n := 1
	if many {
		fmt.Sscan(times, &n)
	}
	for range n {
		c, now = playCluster(t, c, word, now)
	}
	return c, now
}

// Who agreed ahead has not seen what came after.
func TestFindings(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		path, want string
	}{
		{toSoak + "watch=pass", ""},
		{toSoak + "extend", "jane had it soak longer: because"},
		{toSoak + "+25h watch=unknown +30m", "its checks could be told neither way for 30m0s"},
		{toWave1 + "web-1=returned skip web-2=patched", "web-1 is returned"},
	} {
		c, now := newCluster(3, 2, patient), epoch
		for _, word := range strings.Fields(row.path) {
			c, now = playAll(t, c, word, now)
		}
		if got := c.Finding(); got != row.want {
			t.Errorf("after %q the finding is %q, want %q", row.path, got, row.want)
		}
	}
}

// One that nobody is known to have asked for begins nothing.
func TestNobodyKnownAskedForIt(t *testing.T) {
	t.Parallel()
	c := newCampaign().Unidentified("permission denied", epoch)
	d := c.Next(epoch)
	if len(d.Start) != 1 || d.Start[0].Do != DoNotify || !strings.Contains(d.Start[0].Notice.Text, "nobody can tell who asked for it: permission denied") {
		t.Errorf("Next = %+v, want that people are told, and nothing else", d)
	}
	if !strings.Contains(d.Reason, "nobody can tell who asked for it: permission denied") || !d.WakeAt.After(epoch) {
		t.Errorf("Next = %+v", d)
	}
	if again := c.Unidentified("permission denied", epoch.Add(time.Hour)); len(again.Outbox.Pending) != 1 {
		t.Errorf("people are told again: %+v", again.Outbox.Pending)
	}
	if c = c.Identified("ann"); len(c.Next(epoch).Start) == 0 || c.Requester != "ann" {
		t.Errorf("once that is known: %+v", c.Next(epoch))
	}
	if c = newCampaign().NotStarted("the key is revoked", epoch); c.Outcome != CampaignAborted || c.Reason != "not started: the key is revoked" {
		t.Errorf("ended %s: %s", c.Outcome, c.Reason)
	}
}

// Before it is known who asked for the instance nobody can agree, and no gate waits since the year 1.
func TestGateBeforeTheRequesterIsKnown(t *testing.T) {
	c := Campaign{Instance: "i", Stages: []string{"one"}, Gates: []Gate{{ID: "start"}}}
	if got := c.Next(time.Unix(1, 0)).Reason; !strings.Contains(got, "its request to run is being verified, then gate start waits") || strings.Contains(got, "0001") {
		t.Errorf("reason %q", got)
	}
}
