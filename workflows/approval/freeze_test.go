package approval_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

func TestFreezeOf(t *testing.T) {
	from, to := start.Add(-time.Hour), start.Add(48*time.Hour)
	berlin := time.FixedZone("CET", 3600)
	for _, row := range []struct {
		gate string
		ok   bool
	}{
		{approval.GateFreeze("christmas", from, to), true},
		{approval.GateFreeze("christmas", from.In(berlin), to), true},
		{"freeze/christmas/2026-11-22T08:30:00Z/2026-11-24T09:30:00Z", true},
		{"freeze/christmas/2026-11-22T09:30:00+01:00/2026-11-24T09:30:00Z", false},
		{"freeze/christmas/2026-11-24T09:30:00Z/2026-11-22T08:30:00Z", false},
		{"freeze/christmas/2026-11-22T08:30:00Z", false},
		{"freeze//2026-11-22T08:30:00Z/2026-11-24T09:30:00Z", false},
		{"freeze/christmas", false},
		{"stage/christmas/2026-11-22T08:30:00Z/2026-11-24T09:30:00Z", false},
		{"start", false},
	} {
		name, f, e, ok := approval.FreezeOf(row.gate)
		if ok != row.ok || ok && (name != "christmas" || !f.Equal(from) || !e.Equal(to)) {
			t.Errorf("%s: %q from %s to %s, %t", row.gate, name, f, e, ok)
		}
	}
}

// A freeze is broken by one of those whom it names, for what was signed and no longer. Roles elsewhere do not help.
func TestBroken(t *testing.T) {
	to := start.Add(20 * time.Hour)
	gate := func(people ...string) approval.Gate {
		return approval.Gate{
			ID: approval.GateFreeze("christmas", start.Add(-time.Hour), to), Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Rule: approval.BreakRule(people),
			Requester: person("eve"), Ripe: true,
		}
	}
	type by struct {
		who    string
		after  time.Duration
		lasts  time.Duration
		change func(s *approval.Statement)
		cause  approval.Cause
	}
	for _, row := range []struct {
		says  string
		gate  approval.Gate
		words []by
		at    time.Duration
		until time.Duration // 0: it stands
	}{
		{"nobody said anything", gate("mia"), nil, 0, 0},
		{"by whom it names, until the word expires", gate("mia"), []by{{who: "mia", lasts: 3 * time.Hour}}, time.Hour, 3 * time.Hour},
		{"and never past its end", gate("mia"), []by{{who: "mia", lasts: 90 * time.Hour}}, time.Hour, 20 * time.Hour},
		{"the word has expired", gate("mia"), []by{{who: "mia", lasts: 3 * time.Hour}}, 3 * time.Hour, 0},
		{"of two words the longer one", gate("mia", "ann"), []by{{who: "mia", lasts: 3 * time.Hour}, {who: "ann", lasts: 5 * time.Hour}}, time.Hour, 5 * time.Hour},
		{"when the shorter one is over too", gate("mia", "ann"), []by{{who: "mia", lasts: 3 * time.Hour}, {who: "ann", lasts: 5 * time.Hour}}, 4 * time.Hour, 5 * time.Hour},
		{"by somebody else, whatever he is elsewhere", gate("mia"), []by{{who: "ann", cause: approval.CauseRole}}, 0, 0},
		{"where it names nobody, by nobody", gate(), []by{{who: "mia", cause: approval.CauseRole}}, 0, 0},
		{"by whom it names, who asked for the instance", gate("mia", "eve"), []by{{who: "eve", cause: approval.CauseRequester}}, 0, 0},
		{"for its next span", gate("mia"), []by{{who: "mia", cause: approval.CauseGate, change: func(s *approval.Statement) {
			s.Gates = []string{approval.GateFreeze("christmas", to, to.Add(time.Hour))}
		}}}, 0, 0},
		{"for another freeze", gate("mia"), []by{{who: "mia", cause: approval.CauseGate, change: func(s *approval.Statement) {
			s.Gates = []string{approval.GateFreeze("easter", start.Add(-time.Hour), to)}
		}}}, 0, 0},
		{"for another plan", gate("mia"), []by{{who: "mia", cause: approval.CausePlan, change: func(s *approval.Statement) { s.Plan = "sha256:2" }}}, 0, 0},
		{"for another instance", gate("mia"), []by{{who: "mia", cause: approval.CauseInstance, change: func(s *approval.Statement) { s.Instance = "monthly-2" }}}, 0, 0},
		{"taken back", gate("mia"), []by{{who: "mia", lasts: 9 * time.Hour}, {who: "mia", after: time.Hour, lasts: time.Hour, change: no}}, 2 * time.Hour, 0},
		{"one of two says no", gate("mia", "ann"), []by{{who: "mia", lasts: 9 * time.Hour}, {who: "ann", lasts: time.Hour, change: no}}, 2 * time.Hour, 0},
		{"after its end", gate("mia"), []by{{who: "mia", lasts: 90 * time.Hour}}, 20 * time.Hour, 0},
	} {
		t.Run(row.says, func(t *testing.T) {
			var votes []approval.Vote
			for i, b := range row.words {
				v, err := row.gate.Admit(votes, word(func(s *approval.Statement) {
					s.Gates, s.Nonce = []string{row.gate.ID}, s.Nonce+string(rune('a'+i))
					s.At = start.Add(b.after)
					s.Expires = s.At.Add(max(b.lasts, time.Hour))
					if b.change != nil {
						b.change(s)
					}
				}), person(b.who), start.Add(b.after))
				if causeOf(err) != b.cause {
					t.Fatalf("word %d: %v, want %q", i+1, err, b.cause)
				}
				if err == nil {
					votes = append(votes, v)
				} else if strings.Contains(err.Error(), "hold and abort") {
					t.Errorf("word %d: %v; neither ends a freeze", i+1, err)
				}
			}
			words, until := approval.Broken(row.gate, votes, start.Add(row.at))
			want := time.Time{}
			if row.until > 0 {
				want = start.Add(row.until)
			}
			if !until.Equal(want) || (len(words) > 0) != (row.until > 0) {
				t.Errorf("broken until %s by %d words, want %s", until, len(words), want)
			}
		})
	}
}
