package sim_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestClockOfOneHost(t *testing.T) {
	f := up(t, oneWeb())
	off := func() time.Duration {
		t.Helper()
		r := run(t, connect(t, f, "web-1"), "date +%s", "")
		seconds, err := strconv.ParseInt(strings.TrimSpace(r.stdout), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(math.Round(time.Until(time.Unix(seconds, 0)).Minutes())) * time.Minute
	}
	for _, want := range []time.Duration{0, 2 * time.Hour, -3 * time.Hour} {
		if want != 0 {
			if err := f.Clock("web-1", want); err != nil {
				t.Fatal(err)
			}
		}
		if got := off(); got != want {
			t.Errorf("the clock is off by %s, want %s", got, want)
		}
	}
	if err := f.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := off(); got != 0 {
		t.Errorf("after Reset the clock is off by %s", got)
	}
}
