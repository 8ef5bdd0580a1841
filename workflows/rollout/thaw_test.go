package rollout

import (
	"strings"
	"testing"
	"time"
)

func TestThawed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		sentence, path string
		want           time.Duration // until it looks again
	}{
		{"who waits for the thaw looks again soon, and not at once: the freeze is on its way out", "inspect=pass fetch=pass gate=frozen", thawWithin},
		{"who waits for something else is not disturbed", "inspect=pass fetch=pass gate=few", time.Minute},
		{"nor is work", toPatch, 0},
	} {
		m, now := NewMember("monthly-1", "web", "web-1", ModePatch, true, attended), epoch
		for _, word := range strings.Fields(row.path) {
			m, now = playMember(t, m, word, now)
		}
		after := m.Thawed(now)
		got := time.Duration(0)
		if at := after.Next(now).WakeAt; !at.IsZero() {
			got = at.Sub(now)
		}
		if got != row.want {
			t.Errorf("%s: it looks again in %s, want %s", row.sentence, got, row.want)
		}
		if again := after.Thawed(now.Add(time.Second)); again.NextAsk != after.NextAsk && again.NextAsk.After(after.NextAsk) {
			t.Errorf("%s: said twice, it looks later", row.sentence)
		}
	}
}
