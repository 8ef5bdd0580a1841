package sim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/testenv/sim"
)

// A fleet in a process of its own is held by others, one after the other.
func TestDetach(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	if _, err := sim.Attach(ctx, dir); !errors.Is(err, sim.ErrDown) {
		t.Fatalf("Attach where nothing is up: %v", err)
	}
	f, err := sim.Detach(ctx, sim.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		late, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := f.Down(late); err != nil {
			t.Error(err)
		}
		if _, err := sim.Attach(late, dir); !errors.Is(err, sim.ErrDown) {
			t.Errorf("after Down: %v", err)
		}
	})
	if err := sim.Serve(ctx, sim.Options{Dir: dir}); err == nil {
		t.Error("two fleets in one folder")
	}
	if err := f.Publish(ctx, "1.1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Publish(ctx, "7"); err == nil {
		t.Error("an unknown version was published")
	}
	other, err := sim.Attach(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := other.Exec(ctx, "web-1", "sh", "-c", "apt-get -q update >/dev/null && apt-get -s dist-upgrade | grep -c ^Inst"); err != nil || out != "2\n" {
		t.Errorf("%q, %v", out, err)
	}
	var exit *sim.ExitError
	if _, err := other.Exec(ctx, "web-1", "sh", "-c", "echo why >&2; exit 3"); !errors.As(err, &exit) || exit.Status != 3 || exit.Stderr != "why\n" {
		t.Errorf("%v", err)
	}
	if _, err := other.Exec(ctx, "web-1", "apt-get", "-q", "-y", "install", "lab-web=1.1"); err != nil {
		t.Error(err)
	}
	if log, err := other.DpkgLog(ctx, "web-1"); err != nil || !strings.Contains(log, "upgrade lab-web:all 1.0 1.1") {
		t.Errorf("%q, %v", log, err)
	}
	if log, err := other.DpkgLog(ctx, "web-2"); err != nil || log != "" {
		t.Errorf("%q, %v", log, err)
	}
	if code, body := get(t, f.WebURL()); code != 200 || !strings.HasPrefix(body, "lab-web 1.") {
		t.Errorf("%d %q", code, body)
	}
	if err := other.PowerCut(ctx, "web-2"); err != nil {
		t.Fatal(err)
	}
	st, err := f.Status(ctx)
	if err != nil || len(st.Hosts) != 6 || st.Published != "1.1" || st.Hosts[0].Labweb != "1.1" || st.Hosts[1].BootID != "" {
		t.Errorf("%+v, %v", st, err)
	}
	addr := st.Hosts[1].Address
	if err := f.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if st, err = f.Status(ctx); err != nil {
		t.Fatal(err)
	}
	for _, h := range st.Hosts {
		if h.BootID == "" || h.Consul != "passing" || (h.Labweb != "1.0") != (h.Cluster == "cache") {
			t.Errorf("after the reset: %+v", h)
		}
	}
	if st.Hosts[1].Address != addr || st.Published != "1.0" {
		t.Errorf("after the reset: %+v", st)
	}
	if calls, err := f.Calls(ctx); err != nil || len(calls) == 0 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}
