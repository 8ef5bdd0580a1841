package workflows

import (
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

func TestExpiredWordsMakeRoom(t *testing.T) {
	now := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	var b ballots
	for i := range ballotsMost {
		until := now
		if i%2 == 0 {
			until = now.Add(time.Second)
		}
		b.Kept = append(b.Kept, Ballot{Vote: approval.Vote{Expires: until}})
	}
	before := b.Kept
	b.expire(now)
	if len(b.Kept) != ballotsMost/2 {
		t.Errorf("%d words are left, want those that count still: %d", len(b.Kept), ballotsMost/2)
	}
	if len(before) != ballotsMost || !before[1].Expires.Equal(now) {
		t.Error("what was shown before has changed")
	}
}
