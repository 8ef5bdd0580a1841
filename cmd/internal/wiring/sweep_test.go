package wiring

import (
	"fmt"
	"testing"
)

// Runs that cannot be taken up stay in the list for as long as the server keeps them, however many they are.
func TestKnownOrphansKeepNobodyOut(t *testing.T) {
	var known []string
	for i := range 3 * sweepAtMost {
		known = append(known, fmt.Sprintf("known-%d", i))
	}
	r, old, fresh := newRoom(known), 0, 0
	for i := range 3 * sweepAtMost {
		for _, run := range []string{known[i], fmt.Sprintf("new-%d", i)} {
			if !r.has(run) {
				continue
			}
			if r.take(run); r.known[run] {
				old++
			} else {
				fresh++
			}
		}
	}
	if old != len(known) || fresh != sweepAtMost {
		t.Errorf("it finds %d known ones and %d new ones, want %d and %d", old, fresh, len(known), sweepAtMost)
	}
}
