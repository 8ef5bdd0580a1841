package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Standing approvals are looked for before anybody is asked, and again while a gate waits.
func TestStandingLooks(t *testing.T) {
	judgment := Judgment{Gate: "start", Why: "waits for 1 person"}
	looks := func(c Campaign, now time.Time) bool {
		return slices.ContainsFunc(c.Next(now).Start, func(a Action) bool { return a.Do == DoLook && a.Name == "start" })
	}
	begin := epoch.Add(10 * time.Hour)
	made := func() Campaign {
		c := gatedCampaign()
		c.Standing, c.Turn = "monthly", &Turn{Begin: begin}
		return c.Convene(epoch).Judged(judgment, epoch)
	}
	c := made()
	if !looks(c, epoch) || events(c.Outbox) != "" {
		t.Fatalf("it starts %+v, and people are told %q before anybody has looked", c.Next(epoch).Start, events(c.Outbox))
	}
	if late := c.TurnDue(begin); late.Turn.Unmet != "" {
		t.Errorf("its window opens while it is looked for, and is given up: %s", late.Turn.Unmet)
	}
	if same := c.Looked("start", "look.7", "", epoch).Looked("stage/production", "look.0", "", epoch); !looks(same, epoch) {
		t.Error("a look that nobody waits for counts")
	}
	none := c.Looked("start", "look.0", "", epoch).Judged(judgment, epoch)
	if events(none.Outbox) != "gate" || looks(none, epoch) || looks(none, epoch.Add(59*time.Minute)) || !looks(none, epoch.Add(time.Hour)) {
		t.Errorf("nothing stands: people are told %q, and it looks again at %s", events(none.Outbox), none.Gates[0].LookAt)
	}
	if wake := none.Next(epoch).WakeAt; !wake.Equal(epoch.Add(time.Hour)) {
		t.Errorf("it wakes at %s", wake)
	}
	if late := none.TurnDue(begin); late.Turn.Unmet == "" {
		t.Error("nobody has agreed when its window opens, and that is not said")
	}
	unknown := c.Looked("start", "look.0", "connection refused", epoch).Judged(judgment, epoch)
	if looks(unknown, epoch) || !looks(unknown, epoch.Add(time.Minute)) || !strings.Contains(unknown.Next(epoch).Reason, "standing approvals could not be looked for: connection refused") {
		t.Errorf("nobody could look: %+v, %s", unknown.Gates[0], unknown.Next(epoch).Reason)
	}
	j := judgment
	j.Open, j.Proven, j.By = true, true, []Approval{{Gate: "start", Actor: "bob", Standing: "monthly/0123"}}
	open := c.Looked("start", "look.0", "", epoch).Judged(j, epoch)
	if text := open.Outbox.Pending[0].Text; open.Gates[0].Opened.IsZero() || !strings.Contains(text, "is open by the standing approval monthly/0123 of bob") || !strings.Contains(text, "rollpatch abort") || open.Approvals[0].Standing == "" {
		t.Errorf("people are told %q, and on record is %+v", text, open.Approvals)
	}
	for name, with := range map[string]func(c *Campaign){
		"a person ran it":              func(c *Campaign) { c.Standing = "" },
		"an emergency":                 func(c *Campaign) { c.Emergency = "openssl" },
		"it expired":                   func(c *Campaign) { c.Gates[0].Expired = true },
		"the keys are looked at":       func(c *Campaign) { c.Gates[0].Proving = true },
		"nobody can agree yet":         func(c *Campaign) { c.Gates[0].Since = time.Time{} },
		"it is agreed to afterwards":   func(c *Campaign) { c.Gates[0].After = true },
		"it was ended before it began": func(c *Campaign) { c.AbortFor = "aborted" },
	} {
		c := made()
		with(&c)
		if looks(c, epoch) || c.Looks("start", "look.0") && !c.Gates[0].Proving {
			t.Errorf("%s: it looks for standing approvals: %+v", name, c.Next(epoch).Start)
		}
	}
}
