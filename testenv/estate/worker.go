package estate

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Worker is one `rollpatch worker` of an estate, started from the built binary: a process of its own beside a rollpatchd that
// has none inside.
type Worker struct {
	PID int
	Bin string // folder of the build that it is of, default the estate's
	// Address is where it finds its server, default the address of the estate's rollpatchd.
	Address string

	estate *Estate
	name   string
	run    *process
}

// Worker is a worker of that name, not started yet. It shares the store and the audit chain with the estate's rollpatchd.
func (e *Estate) Worker(name string) *Worker { return &Worker{estate: e, name: name} }

// LogFile is what it wrote on stderr, over all its starts.
func (w *Worker) LogFile() string { return filepath.Join(w.estate.Daemon.Dir, w.name+".log") }

// Start starts it and returns once it takes work. Another start after its end is another process.
func (w *Worker) Start(ctx context.Context) error {
	before, err := os.ReadFile(w.LogFile())
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	e := w.estate
	cmd := exec.Command(filepath.Join(cmp.Or(w.Bin, e.opts.Bin), "rollpatch"), "worker", "--store", e.Store(), "--audit", e.Daemon.AuditFile(), "--inventory", e.InventoryFile())
	cmd.Env = append(e.env(), "TEMPORAL_ADDRESS="+cmp.Or(w.Address, e.Daemon.Address))
	if w.run, err = run(cmd, w.LogFile()); err != nil {
		return fmt.Errorf("rollpatch worker: %w", err)
	}
	w.PID = cmd.Process.Pid
	for {
		log, err := os.ReadFile(w.LogFile())
		if err == nil && bytes.Contains(log[min(len(before), len(log)):], []byte("worker started")) {
			return nil
		}
		select {
		case <-w.run.done:
			return fmt.Errorf("rollpatch worker ended at its start; its log is %s", w.LogFile())
		case <-ctx.Done():
			_ = w.Kill()
			return fmt.Errorf("rollpatch worker did not get ready: %w; its log is %s", ctx.Err(), w.LogFile())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends it at once, as a crash does.
func (w *Worker) Kill() error { return w.end(syscall.SIGKILL) }

// Stop ends it in good order.
func (w *Worker) Stop() error { return w.end(syscall.SIGTERM) }

func (w *Worker) end(sig syscall.Signal) error {
	if w.run == nil {
		return nil
	}
	err := w.run.end(sig)
	w.run = nil
	return err
}
