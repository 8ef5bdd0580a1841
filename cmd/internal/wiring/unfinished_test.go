package wiring

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// A fleet asks which instances go on once a minute, however many members ask; what failed is asked again at once.
func TestUnfinishedAreAskedForOnceAMinute(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	asked, fails := 0, errors.New("the server is away")
	r := remember(func(context.Context) ([]string, error) {
		asked++
		return []string{"monthly-1"}, fails
	}, func() time.Time { return now })
	for _, step := range []struct {
		says  string
		after time.Duration
		fails error
		asked int
	}{
		{"the first asks", 0, fails, 1},
		{"what failed is asked again", 0, nil, 2},
		{"what is known is not", 59 * time.Second, nil, 2},
		{"for a minute", time.Second, nil, 3},
	} {
		now, fails = now.Add(step.after), step.fails
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				names, err := r.Unfinished(t.Context())
				if !errors.Is(err, step.fails) || err == nil && !slices.Equal(names, []string{"monthly-1"}) {
					t.Errorf("%s: %v, %v", step.says, names, err)
				}
			})
			if step.fails != nil {
				break
			}
		}
		all.Wait()
		if asked != step.asked {
			t.Errorf("%s: the server was asked %d times, want %d", step.says, asked, step.asked)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r.turn <- struct{}{}
	if _, err := r.Unfinished(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up while another asked: %v", err)
	}
}
