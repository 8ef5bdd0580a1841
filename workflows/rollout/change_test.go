package rollout

import (
	"strings"
	"testing"
	"time"
)

// playChange plays a campaign that needs a change number: what Next starts is named, and the word says what comes of it.
func playChange(c Campaign, words string) (Campaign, string) {
	now, started := epoch, []string(nil)
	for _, word := range strings.Fields(words) {
		now = now.Add(time.Minute)
		switch word {
		case "ask":
			c = c.ChangeAsked(now)
		case "number":
			c = c.ChangeOpened("CHG1")
		case "another":
			c = c.ChangeOpened("CHG2")
		case "refused":
			c = c.ChangeRefused("freeze", now)
		case "silent":
			c = c.ChangeUnknown("no answer", now)
		case "abort":
			c = c.Abort(Message{Actor: "ann", Reason: "not today"}, now)
		case "hold":
			c = c.Hold(Message{Actor: "ann", Reason: "wait"})
		case "resume":
			c = c.Resume()
		case "told":
			c = c.ChangeTold(now)
		case "untold":
			c = c.ChangeUntold("no answer")
		case "gate":
			c.Gates = []Gate{{ID: "start"}}
			c = c.Convene(now)
		case "end":
			c = c.finish(CampaignDone, "", now)
		case "sent":
			c.Outbox.Pending = nil
		}
	}
	d := c.Next(now)
	for _, a := range d.Start {
		if a.Do != DoNotify {
			started = append(started, a.ID)
		}
	}
	if d.End {
		started = append(started, "end")
	}
	return c, strings.Join(started, " ")
}

func TestNothingBeginsWithoutAChangeNumber(t *testing.T) {
	for _, row := range []struct {
		says, words, start string
		outcome            CampaignOutcome
	}{
		{"the number is asked for, and nothing else is done", "", "change.open", ""},
		{"it is still asked for while nobody answers", "ask", "change.open", ""},
		{"its gate stays shut to people meanwhile", "gate ask", "change.open", ""},
		{"with a number it begins", "ask number", "cluster.web cluster.cache", ""},
		{"a second number changes nothing", "ask number another", "cluster.web cluster.cache", ""},
		{"with a number people are asked to agree", "ask number gate", "", ""},
		{"while a person holds it, nobody is asked", "hold", "", ""},
		{"and is afterwards", "hold resume", "change.open", ""},
		{"what was asked is waited for although a person holds it", "ask hold", "change.open", ""},
		{"a refusal ends it, and there is nothing to close", "ask refused sent", "end", CampaignAborted},
		{"no answer ends it, and what may have been opened is closed", "ask silent sent", "change.close", CampaignAborted},
		{"a number that comes too late is none", "ask silent number sent", "change.close", CampaignAborted},
		{"aborted before anybody was asked, nobody is told", "abort sent", "end", CampaignAborted},
		{"aborted meanwhile, the answer is waited for", "ask abort sent", "change.open", CampaignAborted},
		{"and is told the end", "ask abort number sent", "change.close", CampaignAborted},
		{"aborted meanwhile and refused, there is nothing to close", "ask abort refused sent", "end", CampaignAborted},
		{"the end is told once", "ask number end told sent", "end", CampaignDone},
		{"before people heard of it, it does not end", "ask number end", "change.close", CampaignDone},
		{"an end that cannot be told ends all the same", "ask number end untold sent", "end", CampaignDone},
	} {
		c := newCampaign()
		c.Parallel, c.Change = 2, &Change{By: "the change hook (open)", Timeout: time.Second, Within: time.Minute}
		got, start := playChange(c, row.words)
		if start != row.start || got.Outcome != row.outcome {
			t.Errorf("%s: after %q it starts %q and is %q, want %q and %q", row.says, row.words, start, got.Outcome, row.start, row.outcome)
		}
	}
}

func TestAnEndThatCannotBeToldIsToldToAPerson(t *testing.T) {
	c := newCampaign()
	c.Change = &Change{By: "the change hook (open)"}
	c, _ = playChange(c, "ask number end sent untold")
	if len(c.Outbox.Pending) != 1 || !strings.Contains(c.Outbox.Pending[0].Text, "close the change CHG1 by hand") {
		t.Errorf("told %+v, want what to do about CHG1", c.Outbox.Pending)
	}
	c, _ = playChange(c, "untold")
	if len(c.Outbox.Pending) != 1 {
		t.Errorf("told twice: %+v", c.Outbox.Pending)
	}
}

func TestAChangeThatIsRefusedSaysWhatToType(t *testing.T) {
	for word, want := range map[string]string{"refused": "not started: its change was refused by the change hook (open): freeze", "silent": "not started: no change number from the change hook (open) within 1m0s: no answer"} {
		c := newCampaign()
		c.Change = &Change{By: "the change hook (open)", Within: time.Minute}
		c, _ = playChange(c, "ask "+word)
		last := c.Outbox.Pending[len(c.Outbox.Pending)-1]
		if !strings.HasPrefix(c.Reason, want) || last.Event != TellHalted || !strings.Contains(last.Text, "rollpatch run") {
			t.Errorf("after %s: reason %q, told %+v; want %q and what to type", word, c.Reason, last, want)
		}
		c = newCampaign()
		c.Change, c.Turn = &Change{By: "the change hook (open)", Within: time.Minute}, &Turn{Begin: epoch.Add(time.Hour)}
		if c, _ = playChange(c, "ask "+word); !strings.Contains(c.Reason, "rollpatch schedule trigger "+c.Name+` --reason "..."`) || !c.NeverBegan() {
			t.Errorf("one of a schedule, after %s: reason %q, and it never began: %t; want what to type", word, c.Reason, c.NeverBegan())
		}
	}
}
