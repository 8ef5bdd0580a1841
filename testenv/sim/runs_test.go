package sim_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/sshrun"
	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/file"
	"github.com/rollpatch/rollpatch/playbooks"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// slowly is a fleet whose package transactions last long enough to be interrupted.
func slowly(t testing.TB, work time.Duration) *sim.Fleet {
	t.Helper()
	f, err := sim.Up(t.Context(), sim.Options{Dir: t.TempDir(), Clusters: []sim.Cluster{oneWeb()}, Times: sim.Times{Work: work}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// readInventory reads the fleet's own inventory file as the product does.
func readInventory(t testing.TB, f *sim.Fleet) inventory.Inventory {
	t.Helper()
	raw, err := os.ReadFile(f.InventoryFile())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := file.ParseInventory(file.Source{Name: f.InventoryFile(), Raw: raw})
	if err != nil {
		t.Fatalf("the inventory of the fleet: %v", err)
	}
	return doc.Value
}

func target(t testing.TB, f *sim.Fleet, host string) activities.Target {
	t.Helper()
	addr, err := f.Addr(host)
	if err != nil {
		t.Fatal(err)
	}
	return activities.Target{Host: host, Addr: addr, Access: inventory.Access{User: sim.User, IdentityFile: f.IdentityFile(), KnownHosts: f.KnownHosts()}}
}

func pool(t testing.TB) *sshrun.Pool {
	t.Helper()
	p := sshrun.New(sshrun.Options{})
	t.Cleanup(p.Shutdown)
	return p
}

func apt(t testing.TB) playbooks.Playbook {
	t.Helper()
	set, err := playbooks.Load("")
	if err != nil {
		t.Fatal(err)
	}
	book, err := set.For("debian")
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// fetched has version 1.1 of lab-web ready on web-1.
func fetched(t testing.TB, f *sim.Fleet, p *sshrun.Pool, at activities.Target) (changes string) {
	t.Helper()
	ctx, book := t.Context(), apt(t)
	if err := f.Publish(ctx, "1.1"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Query(ctx, at, book.Script(playbooks.Pending), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Query(ctx, at, book.Script(playbooks.Fetch), map[string]string{"ROLLPATCH_WANT": "lab-web\t1.1\nlab-web-data\t1.1", "ROLLPATCH_LEDGER": "one"}); err != nil {
		t.Fatal(err)
	}
	return "lab-web\t1.0\t1.1\nlab-web-data\t1.0\t1.1"
}

func transactions(f *sim.Fleet) (n int) {
	for _, call := range f.Calls() {
		if call.Event == "transaction" {
			n++
		}
	}
	return n
}

func TestInventoryFileIsValid(t *testing.T) {
	f := up(t)
	inv := readInventory(t, f)
	if len(inv.Hosts) != 6 || len(inv.Clusters) != 3 {
		t.Errorf("%d hosts in %d clusters", len(inv.Hosts), len(inv.Clusters))
	}
}

func TestRunOverTheStarter(t *testing.T) {
	ctx, f, p := t.Context(), slowly(t, 20*time.Millisecond), pool(t)
	at := target(t, f, "web-1")
	changes := fetched(t, f, p, at)
	run := activities.Run{ID: "i.web-1.patch.1", Seq: 1, Step: "patch", Script: apt(t).Script(playbooks.Apply), Env: map[string]string{"ROLLPATCH_CHANGES": changes}, Deadline: time.Minute}
	first := make(chan error, 1)
	go func() {
		out, err := p.Run(ctx, at, run, nil)
		if err == nil && (out.State != activities.RunExited || out.Exit != 0) {
			err = fmt.Errorf("%+v, stderr %s", out, out.Stderr)
		}
		first <- err
	}()
	out, err := p.Run(ctx, at, run, nil)
	if err != nil || out.State != activities.RunExited || out.Exit != 0 || !strings.Contains(string(out.Stdout), "changed\tlab-web\t1.0\t1.1") {
		t.Errorf("%+v, stdout %s, stderr %s, %v", out, out.Stdout, out.Stderr, err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := transactions(f); n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	run.ID, run.Seq = "i.web-1.patch.0", 1
	if out, err := p.Run(ctx, at, run, nil); err != nil || out.State != activities.RunStale {
		t.Errorf("a lower number: %+v, %v", out, err)
	}
}

func TestRunEndsAtItsDeadline(t *testing.T) {
	ctx, f, p := t.Context(), up(t, oneWeb()), pool(t)
	at := target(t, f, "web-1")
	run := activities.Run{ID: "i.web-1.patch.1", Seq: 1, Step: "patch", Script: []byte("sleep 60\n"), Deadline: time.Second}
	if out, err := p.Run(ctx, at, run, nil); err != nil || out.State != activities.RunInterrupted {
		t.Errorf("%+v, %v", out, err)
	}
}

// inUnpack waits until dpkg is in the middle of something.
func inUnpack(t testing.TB, f *sim.Fleet) {
	t.Helper()
	eventually(t, func() error {
		log, err := f.DpkgLog(t.Context(), "web-1")
		if err == nil && !strings.Contains(log, "half-installed") {
			err = errors.New("dpkg has not begun")
		}
		return err
	})
}

func TestPowerCutInMidDpkg(t *testing.T) {
	ctx, f, p := t.Context(), slowly(t, 100*time.Millisecond), pool(t)
	at := target(t, f, "web-1")
	changes := fetched(t, f, p, at)
	run := activities.Run{ID: "i.web-1.patch.1", Seq: 1, Step: "patch", Script: apt(t).Script(playbooks.Apply), Env: map[string]string{"ROLLPATCH_CHANGES": changes}, Deadline: time.Minute}
	type told struct {
		out activities.RunOutcome
		err error
	}
	done := make(chan told, 1)
	go func() {
		out, err := p.Run(ctx, at, run, nil)
		done <- told{out, err}
	}()
	inUnpack(t, f)
	before, err := f.BootID(ctx, "web-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.PowerCut(ctx, "web-1"); err != nil {
		t.Fatal(err)
	}
	if id, err := f.BootID(ctx, "web-1"); id != "" || err != nil {
		t.Errorf("a host without power is in boot %q, %v", id, err)
	}
	if err := f.Start(ctx, "web-1"); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil || got.out.State != activities.RunInterrupted || got.out.BootID != before {
		t.Fatalf("after the power cut: %+v, %v", got.out, got.err)
	}
	run.ID, run.Seq = "i.web-1.patch.2", 2
	if out, err := p.Run(ctx, at, run, nil); err != nil || out.Exit != playbooks.ExitUnclean {
		t.Errorf("without repair: %+v, stderr %s, %v", out, out.Stderr, err)
	}
	run.ID, run.Seq = "i.web-1.patch.3", 3
	run.Env["ROLLPATCH_REPAIR"] = "1"
	out, err := p.Run(ctx, at, run, nil)
	if err != nil || out.Exit != 0 {
		t.Errorf("with repair: %+v, stderr %s, %v", out, out.Stderr, err)
	}
	if v, err := f.Versions(ctx, "web-1"); err != nil || v["lab-web"] != "1.1" || v["lab-web-data"] != "1.1" {
		t.Errorf("after the repair: %v, %v", v, err)
	}
}

func TestPowerCutThenBackout(t *testing.T) {
	ctx, f, p := t.Context(), slowly(t, 100*time.Millisecond), pool(t)
	at := target(t, f, "web-1")
	changes := fetched(t, f, p, at)
	run := activities.Run{ID: "i.web-1.patch.1", Seq: 1, Step: "patch", Script: apt(t).Script(playbooks.Apply), Env: map[string]string{"ROLLPATCH_CHANGES": changes}, Deadline: time.Minute}
	done := make(chan error, 1)
	go func() {
		_, err := p.Run(ctx, at, run, nil)
		done <- err
	}()
	inUnpack(t, f)
	for _, act := range []func(context.Context, string) error{f.PowerCut, f.Start} {
		if err := act(ctx, "web-1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	back := activities.Run{ID: "i.web-1.backout.1", Seq: 2, Step: "backout", Script: apt(t).Script(playbooks.Backout), Env: map[string]string{"ROLLPATCH_CHANGES": changes, "ROLLPATCH_LEDGER": "one"}, Deadline: time.Minute}
	if out, err := p.Run(ctx, at, back, nil); err != nil || out.Exit != 0 {
		t.Errorf("%+v, stderr %s, %v", out, out.Stderr, err)
	}
	if v, err := f.Versions(ctx, "web-1"); err != nil || v["lab-web"] != "1.0" || v["lab-web-data"] != "1.0" {
		t.Errorf("after the backout: %v, %v", v, err)
	}
}

// A run goes on while nobody can reach the host, and is found ended.
func TestCutInMidRun(t *testing.T) {
	for _, row := range []struct {
		name       string
		cut, mends func(*sim.Fleet) error
	}{
		{"the network is cut and healed", func(f *sim.Fleet) error { return f.Cut("web-1") }, func(f *sim.Fleet) error { return f.Heal("web-1") }},
		{"the connections are cut", func(f *sim.Fleet) error { return f.CutConnections("web-1") }, func(*sim.Fleet) error { return nil }},
		{"sshd refuses for a while",
			func(f *sim.Fleet) error { return errors.Join(f.Refuse("web-1", true), f.CutConnections("web-1")) },
			func(f *sim.Fleet) error { return f.Refuse("web-1", false) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, f, p := t.Context(), slowly(t, 20*time.Millisecond), pool(t)
			at := target(t, f, "web-1")
			changes := fetched(t, f, p, at)
			run := activities.Run{ID: "i.web-1.patch.1", Seq: 1, Step: "patch", Script: apt(t).Script(playbooks.Apply), Env: map[string]string{"ROLLPATCH_CHANGES": changes}, Deadline: time.Minute}
			done := make(chan error, 1)
			go func() {
				out, err := p.Run(ctx, at, run, nil)
				if err == nil && (out.State != activities.RunExited || out.Exit != 0) {
					err = fmt.Errorf("%+v, stderr %s", out, out.Stderr)
				}
				done <- err
			}()
			inUnpack(t, f)
			if err := row.cut(f); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				v, err := f.Versions(ctx, "web-1")
				if err == nil && v["lab-web"] != "1.1" {
					err = fmt.Errorf("the host did not go on by itself: %v", v)
				}
				return err
			})
			if err := row.mends(f); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := transactions(f); n != 1 {
				t.Errorf("%d transactions, want 1", n)
			}
		})
	}
}

// A reboot without a drain is seen by the users, one behind maintenance is not.
func TestTrafficSeesARebootUnlessDrained(t *testing.T) {
	for _, row := range []struct {
		name  string
		drain bool
	}{{"drained", true}, {"not drained", false}} {
		t.Run(row.name, func(t *testing.T) {
			ctx, f := t.Context(), up(t)
			c := server(t, f)
			before, err := f.BootID(ctx, "web-1")
			if err != nil {
				t.Fatal(err)
			}
			if row.drain {
				if err := f.Maintain("web-1", "web", true, "test"); err != nil {
					t.Fatal(err)
				}
				wantPassing(t, c, "web", "web-2", "web-3")
			}
			// In the background of the host: the command's own end is not waited for.
			run(t, connect(t, f, "web-1"), "sudo -n systemctl reboot >/dev/null 2>&1 </dev/null &", "")
			failed, back := 0, false
			for !back {
				id, err := f.BootID(ctx, "web-1")
				if err != nil {
					t.Fatal(err)
				}
				back = id != "" && id != before
				if code, _ := get(t, f.WebURL()); code != http.StatusOK {
					failed++
				}
			}
			if row.drain != (failed == 0) {
				t.Errorf("%d requests failed", failed)
			}
		})
	}
}

func TestEstablishedConnections(t *testing.T) {
	f := up(t, oneWeb())
	c := connect(t, f, "web-1")
	const line = "ss -Htn state established '( sport = :80 )' | wc -l"
	if r := run(t, c, line, ""); strings.TrimSpace(r.stdout) != "0" {
		t.Errorf("%s", r)
	}
	if err := f.HoldConnections("web-1", 80, 3); err != nil {
		t.Fatal(err)
	}
	if r := run(t, c, line, ""); strings.TrimSpace(r.stdout) != "3" {
		t.Errorf("%s", r)
	}
}

func TestTwentyHosts(t *testing.T) {
	f := up(t, sim.Cluster{Name: "web", Members: sim.Members("web", 20)})
	for _, host := range f.Hosts() {
		if r := run(t, connect(t, f, host), "sudo -n cat $ROLLPATCH_ROOT/etc/hostname", ""); strings.TrimSpace(r.stdout) != host {
			t.Errorf("host %q: %s", host, r)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	f, err := sim.Up(t.Context(), sim.Options{Dir: t.TempDir(), Clusters: []sim.Cluster{oneWeb()}})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, f, "web-1")
	run(t, c, "echo $$ >pid; (setsid sh -c 'echo $$ >daemon; exec sleep 300' >/dev/null 2>&1 &)", "")
	var pid []byte
	eventually(t, func() error {
		pid, err = f.ReadFile(t.Context(), "web-1", "/home/patch/daemon")
		if err == nil && len(pid) < 2 {
			err = errors.New("no daemon yet")
		}
		return err
	})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		raw, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/environ")
		if err == nil && strings.Contains(string(raw), "ROLLPATCH_ROOT") {
			return errors.New("a process of a host outlived the fleet")
		}
		return nil
	})
	if _, err := dial(t, f, "web-1"); err == nil {
		t.Error("a host answers after the fleet's end")
	}
}
