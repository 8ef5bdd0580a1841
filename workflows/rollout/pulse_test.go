package rollout

import (
	"strings"
	"testing"
	"time"
)

func TestPulseSince(t *testing.T) {
	was := Pulse{Boot: "a", Killed: 2, Crashes: []Crashes{{"web.service", 1}, {"db.service", 0}}}
	for _, row := range []struct {
		says string
		now  Pulse
		want string
	}{
		{"nothing", Pulse{Boot: "a", Killed: 2, Crashes: []Crashes{{"web.service", 1}, {"db.service", 0}}}, ""},
		{"another boot", Pulse{Boot: "b"}, "booted (boot id a, then b)"},
		{"a process that was killed", Pulse{Boot: "a", Killed: 3}, "killed 1 process"},
		{"two that were", Pulse{Boot: "a", Killed: 4}, "killed 2 processes"},
		{"a crash", Pulse{Boot: "a", Killed: 2, Crashes: []Crashes{{"db.service", 1}}}, "had its db.service restarted by systemd"},
		{"counts begun anew by hand", Pulse{Boot: "a", Crashes: []Crashes{{"web.service", 0}}}, ""},
		{"a unit that was not watched before", Pulse{Boot: "a", Killed: 2, Crashes: []Crashes{{"new.service", 7}}}, ""},
	} {
		if got := row.now.Since(was); !strings.Contains(got, row.want) || row.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", row.says, got, row.want)
		}
	}
}

// A soak in which something happened to a member proves nothing of before it: it begins anew, and what people agreed to is not this one.
func TestSoakBeginsAnew(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	at := func(phase Phase) Cluster {
		c := newCluster(3, 2, patient)
		c.Phase, c.SoakNo, c.SoakEnds, c.Verdict = phase, 1, now.Add(time.Hour), Pass
		c.Members[0].Outcome, c.Members[0].Mode = Patched, ModePatch
		return c
	}
	told := func(boot string) WatchResult {
		return WatchResult{Verdict: Pass, Passes: 1, Pulses: map[string]Pulse{"web-1": {Boot: boot}}}
	}
	for _, phase := range []Phase{PhaseSoak, PhaseGate} {
		c := at(phase).Sampled(told("a"), now)
		if c.SoakNo != 1 || c.Phase != phase || c.Pulses()["web-1"].Boot != "a" {
			t.Fatalf("the first pulse in %s: soak %d in %s, %v", phase, c.SoakNo, c.Phase, c.Pulses())
		}
		if c = c.Sampled(told("a"), now); c.SoakNo != 1 || c.Phase != phase {
			t.Fatalf("the same pulse again in %s: soak %d in %s", phase, c.SoakNo, c.Phase)
		}
		c = c.Sampled(told("b"), now.Add(time.Minute))
		if c.SoakNo != 2 || c.Phase != PhaseSoak || !c.SoakEnds.Equal(now.Add(time.Minute+patient.Soak)) || c.Passes != 0 {
			t.Errorf("after a boot in %s: soak %d in %s until %s with %d passes", phase, c.SoakNo, c.Phase, c.SoakEnds, c.Passes)
		}
		if d := c.Next(now.Add(2 * time.Minute)); !strings.Contains(d.Reason, "begun anew because web-1 booted") {
			t.Errorf("it does not say why: %q", d.Reason)
		}
		if c = c.Sampled(told("b"), now.Add(2*time.Minute)); c.SoakNo != 2 {
			t.Errorf("one boot began two soaks: %d", c.SoakNo)
		}
	}
}

// A soak that begins anew does not end before a person wanted it to.
func TestSoakBegunAnewKeepsItsExtension(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := newCluster(3, 2, patient)
	c.Phase, c.SoakNo, c.SoakEnds, c.Verdict = PhaseSoak, 1, now.Add(9*patient.Soak), Pass
	c.Members[0].Outcome, c.Members[0].Mode = Patched, ModePatch
	for _, boot := range []string{"a", "b"} {
		c = c.Sampled(WatchResult{Verdict: Pass, Passes: 1, Pulses: map[string]Pulse{"web-1": {Boot: boot}}}, now)
	}
	if c.SoakNo != 2 || !c.SoakEnds.Equal(now.Add(9*patient.Soak)) {
		t.Errorf("soak %d ends %s after now, want soak 2 and %s", c.SoakNo, c.SoakEnds.Sub(now), 9*patient.Soak)
	}
}

// What happens to a patched member while others are worked on has no soak to begin anew: it is told.
func TestPulseBetweenSoaksIsTold(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := newCluster(3, 2, patient)
	c.Phase, c.Verdict = PhaseSettle, Pass
	c.Members[0].Outcome, c.Members[0].Mode, c.Members[0].Pulse = Patched, ModePatch, &Pulse{Boot: "a", Killed: -1}
	told := func(c Cluster) (all []string) {
		for _, n := range c.Outbox.Pending {
			all = append(all, n.Event+": "+n.Text)
		}
		return all
	}
	watched := func(p Pulse) Cluster {
		return c.Sampled(WatchResult{Verdict: Pass, Passes: 1, Pulses: map[string]Pulse{"web-1": p}}, now)
	}
	if same := watched(Pulse{Boot: "a", Killed: 7}); len(told(same)) != 0 || same.Pulses()["web-1"].Killed != 7 {
		t.Errorf("the boot that it made for its patch was told: %q", told(same))
	}
	if booted := watched(Pulse{Boot: "b"}); len(told(booted)) != 1 || !strings.HasPrefix(told(booted)[0], TellFail+": web-1 booted (boot id a, then b) after its patch") {
		t.Errorf("a boot was not told: %q", told(booted))
	}
}

func TestPulseAnew(t *testing.T) {
	was := Pulse{Boot: "a", Killed: 2, Crashes: []Crashes{{"web.service", 4}}}
	for _, row := range []struct {
		now  Pulse
		want bool
	}{
		{was, false},
		{Pulse{Boot: "a", Killed: 2, Crashes: []Crashes{{"web.service", 0}}}, true},
		{Pulse{Boot: "a", Killed: 1}, true},
		{Pulse{Boot: "a", Killed: 3, Crashes: []Crashes{{"web.service", 5}, {"db.service", 0}}}, false},
	} {
		if got := row.now.Anew(was); got != row.want {
			t.Errorf("%+v: %t", row.now, got)
		}
	}
}

func TestSoakThatBeginsAnewForEver(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := newCluster(3, 2, patient)
	c.Phase, c.SoakNo, c.SoakEnds, c.Verdict = PhaseSoak, 1, now.Add(time.Hour), Pass
	c.Members[0].Outcome, c.Members[0].Mode, c.Manifest = Patched, ModePatch, "sha256:1"
	for _, boot := range []string{"a", "b", "c", "d"} {
		c = c.Sampled(WatchResult{Verdict: Pass, Passes: 1, Pulses: map[string]Pulse{"web-1": {Boot: boot}}}, now)
	}
	if c.Phase != PhaseSoak || c.SoakNo != 4 {
		t.Fatalf("after three boots: soak %d in %s", c.SoakNo, c.Phase)
	}
	failing := c.Sampled(WatchResult{Verdict: Fail, Reason: "page broken", Pulses: map[string]Pulse{"web-1": {Boot: "e"}}}, now)
	if failing.Phase == PhaseHold || !failing.AskSoak {
		t.Errorf("a fail is hidden by a boot: it is in %s", failing.Phase)
	}
	c = c.Sampled(WatchResult{Verdict: Pass, Passes: 1, Pulses: map[string]Pulse{"web-1": {Boot: "e"}}}, now)
	if c.Phase != PhaseHold || !strings.Contains(c.HoldFor, "cannot be trusted: web-1 booted") {
		t.Fatalf("after the fourth: in %s: %s", c.Phase, c.HoldFor)
	}
	if c = c.Resume(Message{Actor: "ann", Reason: "the power supply is mended"}, now.Add(time.Hour)); c.Phase != PhaseSoak || c.SoakNo != 5 || c.Restarts != 0 {
		t.Errorf("resumed: soak %d in %s", c.SoakNo, c.Phase)
	}
	if c = c.nextWave(now); c.Restarts != 0 || c.Restarted != "" {
		t.Errorf("the next wave begins with %d restarts", c.Restarts)
	}
}
