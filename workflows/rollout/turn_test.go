package rollout

import (
	"strings"
	"testing"
	"time"
)

// TestTurn plays what becomes of an instance that a schedule made. Its window opens after ten hours, the next one twelve hours later, and the
// schedule makes the next instance after forty.
func TestTurn(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
	agreed := Judgment{Gate: "start", Open: true, Proven: true}
	for _, row := range []struct {
		name  string
		gate  bool
		words string
		// how it stands at the end: begun after so many hours, else where it waits or how it ended
		begun int
		past  int
		ends  string
		told  string
	}{
		{name: "nothing begins before its window", words: "+9", begun: -1},
		{name: "its window opens, and it begins", words: "+10 open", begun: 10},
		{name: "a word that comes in time counts when the window opens", gate: true, words: "+3 agree +10 open", begun: 10},
		{name: "a word that comes late counts for the next window", gate: true, words: "+10 open +11 agree +21", begun: -1, past: 1, told: "it was not approved by 2026-11-01T22:00:00Z: gate start waits for bob; the next one that it tries opens at 2026-11-02T10:00:00Z"},
		{name: "and there it begins", gate: true, words: "+10 open +11 agree +22 open", begun: 22, past: 1},
		{name: "nobody agrees until the schedule's next instance is made", gate: true, words: "+10 open +22 open +34 open", begun: -1, past: 3, ends: "aborted",
			told: "no other window opens before the schedule's next instance is made at 2026-11-03T04:00:00Z"},
		{name: "a freeze stands against it", words: "+10 frozen", begun: -1, past: 1, told: "freeze fair until then; the next one that it tries opens at 2026-11-02T10:00:00Z"},
		{name: "a freeze is over at the next window", words: "+10 frozen +22 open", begun: 22, past: 1},
		{name: "what nobody can tell is waited for", words: "+10 unknown", begun: -1, told: "nobody can tell whether its window is open: no connection"},
		{name: "and asked again", words: "+10 unknown +11 open", begun: 11},
		{name: "keys that are looked at when the window opens are waited for", gate: true, words: "+9 prove +10 +11 agree open", begun: 11},
		{name: "no other window is known", words: "+10 closed", begun: -1, past: 1, ends: "aborted", told: "not now; no other window opens before"},
		{name: "who holds it keeps it out of its window", words: "+2 hold +10 open", begun: -1, past: 1, told: "it is held: because (jane); the next one that it tries opens at 2026-11-02T10:00:00Z"},
		{name: "so does who holds it while its windows are asked", words: "+10 open-held", begun: -1, past: 1, told: "it is held: because (jane)"},
		{name: "and it begins in the next one once it is resumed", words: "+2 hold +10 open +11 resume +22 open", begun: 22, past: 1},
		{name: "a resume in time", words: "+2 hold +9 resume +10 open", begun: 10},
		{name: "a hold that lasts touches nothing", words: "+2 hold +10 open +22 open +34 open", begun: -1, past: 3, ends: "aborted", told: "it is held: because (jane); no other window opens"},
		{name: "nobody can tell who asked for it", words: "+2 nobody +10 open", begun: -1, past: 1, told: "waits, because nobody can tell who asked for it: no signers\n"},
		{name: "its windows pass meanwhile", words: "+2 nobody +10 open +22 open +34 open", begun: -1, past: 3, ends: "aborted", told: "nobody can tell who asked for it: no signers; no other window opens"},
		{name: "that is known in time", words: "+2 nobody +9 known +10 open", begun: 10},
		{name: "and in time for the next window", words: "+2 nobody +10 open +11 known +22 open", begun: 22, past: 1},
		{name: "an abort before its turn", words: "+2 abort", begun: -1, ends: "aborted"},
		{name: "a no before its turn", gate: true, words: "+2 reject", begun: -1, ends: "aborted"},
		{name: "an answer to an earlier question counts for nothing", words: "+10 frozen late", begun: -1, past: 1},
	} {
		c := newCampaign()
		c.Turn = &Turn{Begin: at(10), Last: at(40)}
		if row.gate {
			c.Gates = []Gate{{ID: "start"}}
		}
		now, told := start, ""
		for word := range strings.FieldsSeq(row.words) {
			c = c.Convene(now)
			next := now.Add(12 * time.Hour)
			id := turnID(c.Turn.Asked)
			switch word {
			case "open":
				c = c.TurnAsked(id, Opening{OK: true, Next: next}, now)
			case "frozen":
				c = c.TurnAsked(id, Opening{Why: "freeze fair until then", Next: next}, now)
			case "closed":
				c = c.TurnAsked(id, Opening{Why: "not now"}, now)
			case "unknown":
				c = c.TurnAsked(id, Opening{Unknown: "no connection"}, now)
			case "open-held":
				c = c.Hold(jane).TurnAsked(id, Opening{OK: true, Next: next}, now)
			case "hold":
				c = c.Hold(jane)
			case "resume":
				c = c.Resume()
			case "nobody":
				c = c.Unidentified("no signers", now)
			case "known":
				c = c.Identified("ann")
			case "late":
				c = c.TurnAsked(turnID(0), Opening{OK: true}, now)
			case "agree":
				c = c.Judged(agreed, now)
			case "prove":
				c = c.Judged(Judgment{Gate: "start", Open: true}, now)
			case "reject":
				c = c.Judged(Judgment{Gate: "start", Rejected: "bob: no"}, now)
			case "abort":
				c = c.Abort(jane, now)
			default:
				if now = start.Add(duration(t, word[1:]+"h")); c.Unknown != "" {
					c = c.Unidentified(c.Unknown, now)
				}
				if row.gate {
					c = c.Judged(Judgment{Gate: "start", Why: "waits for bob", Open: false}, now)
				}
				if strings.Contains(row.words, "prove") && now.After(at(9)) {
					c = c.Judged(Judgment{Gate: "start", Open: true}, now)
				}
			}
			c = c.TurnDue(now)
		}
		for _, n := range c.Outbox.Pending {
			told += n.Text + "\n"
		}
		d := c.Next(now)
		starts := 0
		for _, a := range d.Start {
			if a.Do == DoCluster {
				starts++
			}
		}
		if begun := row.begun >= 0; begun != (starts > 0) || begun && !c.Turn.Begun.Equal(at(row.begun)) || c.Turn.Past != row.past || string(c.Outcome) != row.ends {
			t.Errorf("%s: begun %s with %d clusters, %d windows passed, outcome %q (%s)", row.name, c.Turn.Begun, starts, c.Turn.Past, c.Outcome, c.Reason)
		}
		if !strings.Contains(told, row.told) {
			t.Errorf("%s: people are told %q, want %q", row.name, told, row.told)
		}
		if strings.Count(told, "waits, because nobody can tell who asked") > 1 {
			t.Errorf("%s: people are told again and again: %q", row.name, told)
		}
		if c.Outcome == "" && c.Turn.Begun.IsZero() && !d.WakeAt.After(now) && starts == 0 && !strings.Contains(row.words, "prove") {
			t.Errorf("%s: it waits, and never looks again", row.name)
		}
		if c.Outcome != "" && !c.NeverBegan() {
			t.Errorf("%s: it ended as one that began", row.name)
		}
	}
}

func TestTurnIsSaid(t *testing.T) {
	begin := time.Date(2026, 11, 11, 21, 0, 0, 0, time.UTC)
	c := newCampaign()
	c.Gates, c.Turn = []Gate{{ID: "start"}}, &Turn{Begin: begin}
	c = c.Convene(begin.Add(-time.Hour)).Judged(Judgment{Gate: "start", Why: "waits for bob"}, begin.Add(-time.Hour))
	if got, want := c.Next(begin.Add(-time.Hour)).Reason, "begins at 2026-11-11T21:00:00Z if everybody has agreed by then"; !strings.Contains(got, want) {
		t.Errorf("reason %q, want %q", got, want)
	}
	agreed := c.Judged(Judgment{Gate: "start", Open: true, Proven: true}, begin.Add(-time.Minute))
	if got, want := agreed.Next(begin.Add(-time.Minute)).Reason, "begins at 2026-11-11T21:00:00Z"; !strings.HasSuffix(got, want) {
		t.Errorf("with everybody's agreement: reason %q, want %q at its end", got, want)
	}
	if n := c.Outbox.Pending[0]; !strings.Contains(n.Text, "rollpatch schedule plan "+c.Instance) || !strings.Contains(n.Text, "2026-11-11T21:00:00Z") {
		t.Errorf("told %q", n.Text)
	}
}

// Its windows are asked, and pass, also while nobody can tell who asked for it.
func TestTurnIsAskedWhileNobodyKnownAskedForIt(t *testing.T) {
	t.Parallel()
	c := newCampaign()
	c.Turn = &Turn{Begin: epoch}
	c = c.Unidentified("no signers", epoch).TurnDue(epoch)
	asks := false
	for _, a := range c.Next(epoch).Start {
		asks = asks || a.Do == DoTurn
	}
	if !asks {
		t.Errorf("Next = %+v, want its windows asked", c.Next(epoch))
	}
}
