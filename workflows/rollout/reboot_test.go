package rollout

import (
	"strings"
	"testing"
	"time"
)

func TestTheRebootAnswersInTimeForItsPower(t *testing.T) {
	t.Parallel()
	m := NewMember("monthly-1", "web", "web-1", ModePatch, true, with(func(p *MemberPolicy) { p.PowerAfter = 20 * time.Minute }))
	now := epoch
	for _, word := range strings.Fields(toReboot) {
		m, now = playMember(t, m, word, now)
	}
	for _, row := range []struct {
		sentence string
		after    time.Duration
		want     time.Time
	}{
		{"it is asked for when the policy's time is over", 0, now.Add(20 * time.Minute)},
		{"also later on", 16 * time.Minute, now.Add(20 * time.Minute)},
		{"but not once that is over", 20 * time.Minute, time.Time{}},
	} {
		d := m.Next(now.Add(row.after))
		if got := d.Start[len(d.Start)-1].By; !got.Equal(row.want) {
			t.Errorf("%s: By = %v, want %v", row.sentence, got, row.want)
		}
	}
}
