package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// freeze stops the worker as it stands and starts another one.
func freeze(s *scene) error {
	if err := syscall.Kill(s.worker.PID, syscall.SIGSTOP); err != nil {
		return err
	}
	w := s.Worker("second")
	s.others = append(s.others, w)
	return w.Start(s.ctx)
}

// cutOff has nothing that the worker says reach its server any more, and starts another worker. The first one goes on with what it does.
func cutOff(s *scene) error {
	s.way.cut()
	w := s.Worker("second")
	s.others = append(s.others, w)
	return w.Start(s.ctx)
}

// attended waits until somebody works on the canary again. Its worker cannot, so it is the other one.
func attended(s *scene) error {
	if s.watch != nil {
		return s.seeMore("the other worker at work on "+canary, func(l trace) bool { return l.host == canary && l.what == "login" })
	}
	return s.awaitMore("the other worker at work on "+canary, on(canary, acts))
}

// acts says that a call was brought about from outside the host.
func acts(c sim.Call) bool {
	return c.Event == "ssh" || c.Event == "unit acts" || strings.HasPrefix(c.Event, "service maintenance") && c.By == sim.ByAgent
}

// flap turns something off and on again until calm.
func flap(set func(*scene, bool), every time.Duration) func(*scene) error {
	return func(s *scene) error {
		ctx, cancel := context.WithCancel(s.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(every)
			defer tick.Stop()
			for off := true; ; off = !off {
				set(s, off)
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		}()
		s.stop = append(s.stop, func() { cancel(); <-done })
		return nil
	}
}

// calm ends what flaps and leaves it as told.
func calm(leave func(*scene) error) func(*scene) error {
	return func(s *scene) error {
		for _, f := range s.stop {
			f()
		}
		s.stop = nil
		return leave(s)
	}
}

// said sends a person's message.
func said(word string) func(*scene) error { return func(s *scene) error { return s.say(word) } }

// byHand records what a person does past the command line.
func byHand(s *scene, word string) {
	s.note(oracle.Event{Kind: oracle.Said, Instance: s.instance, Cluster: s.cluster, By: oracle.Person, Text: word})
}

func terminate(id func(*scene) string) func(*scene) error {
	return func(s *scene) error {
		byHand(s, "terminate")
		return s.temporal.TerminateWorkflow(s.ctx, id(s), "", "the fault wants it")
	}
}

// terminateOnce waits for the workflow, which may not have begun yet, before it is terminated.
func terminateOnce(id func(*scene) string) func(*scene) error {
	return func(s *scene) error {
		byHand(s, "terminate")
		ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
		defer cancel()
		return s.eventually(ctx, "the workflow "+id(s), func(ctx context.Context) error {
			return s.temporal.TerminateWorkflow(ctx, id(s), "", "the fault wants it")
		})
	}
}

// watched starts the campaign by a command that goes on to watch it.
func watched(s *scene) error {
	if err := s.write(); err != nil {
		return err
	}
	s.cli = s.Command(s.ctx, "run", "-i", s.InventoryFile(), s.file)
	if err := s.cli.Start(); err != nil {
		return err
	}
	go func() { _ = s.cli.Wait() }() // it is killed
	return s.eventually(s.ctx, "the instance", func(ctx context.Context) error {
		r, err := s.Rollpatch(ctx, nil, "list", "--output", "json")
		if err != nil {
			return err
		}
		if _, rest, ok := strings.Cut(r.Stdout, `"`+s.name+"-20"); ok {
			end, _, _ := strings.Cut(rest, `"`)
			s.instance = s.name + "-20" + end
			s.note(oracle.Event{Kind: oracle.Started, Instance: s.instance})
			return nil
		}
		return errors.New("not listed yet")
	})
}

// noWayBack takes every former version away from the canary.
func noWayBack(s *scene) error {
	root, err := s.fleet.Root(canary)
	if err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(root, "var/cache/apt/archives/*.deb"))
	for _, d := range debs {
		err = errors.Join(err, os.Remove(d))
	}
	s.fleet.Archive(false)
	return errors.Join(err, os.RemoveAll(filepath.Join(root, "var/lib/rollpatch/ledger")))
}

// toldOf waits until a person has been told of such an event.
func toldOf(event string) func(*scene) error {
	return func(s *scene) error {
		return s.eventually(s.ctx, "a person to be told of "+event, func(context.Context) error {
			for _, e := range s.log() {
				if e.Kind == oracle.Told && e.Time.After(s.hitAt) && strings.HasPrefix(e.Text, event+":") {
					return nil
				}
			}
			return errors.New("nobody was")
		})
	}
}

// again kills rollpatchd that often, a while after each start, and leaves it dead.
func again(n int) func(*scene) error {
	return func(s *scene) error {
		for range n - 1 {
			if err := errors.Join(s.Daemon.Kill(), s.Daemon.Start(s.ctx), s.lasts(2*time.Second)); err != nil {
				return err
			}
		}
		return s.Daemon.Kill()
	}
}

// copyDatabase keeps a copy of rollpatchd's database, which nobody writes to meanwhile.
func copyDatabase(s *scene) error {
	err := s.Daemon.Kill()
	for _, name := range database {
		raw, readErr := os.ReadFile(filepath.Join(s.Daemon.Dir, name))
		if errors.Is(readErr, os.ErrNotExist) {
			continue
		}
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(s.Daemon.Dir, "copy-"+name), raw, 0o600))
	}
	return errors.Join(err, s.Daemon.Start(s.ctx))
}

// restoreDatabase puts the copy back: what happened since is forgotten.
func restoreDatabase(s *scene) error {
	err := s.Daemon.Kill()
	for _, name := range database {
		path := filepath.Join(s.Daemon.Dir, name)
		err = errors.Join(err, os.RemoveAll(path))
		if renameErr := os.Rename(filepath.Join(s.Daemon.Dir, "copy-"+name), path); !errors.Is(renameErr, os.ErrNotExist) {
			err = errors.Join(err, renameErr)
		}
	}
	return errors.Join(err, s.Daemon.Start(s.ctx))
}

// database is SQLite's: the log and the index beside it are part of it.
var database = []string{"temporal.db", "temporal.db-wal", "temporal.db-shm"}

// begunWithCopyAt starts a campaign and copies the database when the canary is that far.
func begunWithCopyAt(step Step) func(*scene) error {
	return func(s *scene) error { return errors.Join(s.begin(), step.at(s), copyDatabase(s)) }
}

// mended waits until nothing is drained and nothing is claimed any more: the instance itself is unknown to the server.
func mended(s *scene) error {
	err := s.putBack()
	if err == nil {
		s.outcome = "mended"
		note(s.fleet, oracle.Event{Kind: oracle.Ended, Instance: s.instance, Outcome: "forgotten"})
	}
	return err
}

// endsMended waits for the campaign's end, and for what the server forgot of it: that may be put back later.
func endsMended(s *scene) error {
	if err := s.ends(defaultLimit); err != nil {
		return err
	}
	return s.putBack()
}

// putBack waits until nothing is drained and nothing is claimed any more.
func (s *scene) putBack() error {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Minute)
	defer cancel()
	return s.eventually(ctx, "what a forgotten instance left to be mended", func(context.Context) error {
		left := map[string]string{}
		for _, e := range s.log() {
			switch e.Kind {
			case oracle.Drained, oracle.Noted:
				left[e.Host] = "drained"
			case oracle.Undrained, oracle.Forgotten, oracle.Quarantined:
				delete(left, e.Host)
			case oracle.Taken:
				left[e.Cluster] = "claimed"
			case oracle.Released:
				delete(left, e.Cluster)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}
