package estate

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

// Daemon is one rollpatchd with its database, started from the built binary.
type Daemon struct {
	Bin, Dir string
	// Args are added to its command line, Env to its environment.
	Args, Env []string

	Address string // of its Temporal server
	UI      string
	PID     int

	run *process
}

func (d *Daemon) store() string { return filepath.Join(d.Dir, "store") }

// AuditFile is its audit chain.
func (d *Daemon) AuditFile() string { return filepath.Join(d.Dir, "audit.jsonl") }

// LogFile is what it wrote on stderr, over all its starts.
func (d *Daemon) LogFile() string { return filepath.Join(d.Dir, "rollpatchd.log") }

// Start starts it on its database and returns once it answers. A second start takes the addresses of the first.
func (d *Daemon) Start(ctx context.Context) error {
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return err
	}
	ready := filepath.Join(d.Dir, "ready.json")
	if err := os.Remove(ready); err != nil && !os.IsNotExist(err) {
		return err
	}
	address, ui := d.Address, "127.0.0.1:0"
	if address == "" {
		address = "127.0.0.1:0"
	}
	if d.UI != "" {
		ui = d.UI[len("http://"):]
	}
	args := append([]string{
		"--db", filepath.Join(d.Dir, "temporal.db"), "--address", address, "--ui", ui, "--ready-file", ready, "--store", d.store(), "--audit", d.AuditFile(),
	}, d.Args...)
	cmd := exec.Command(d.Bin, args...)
	cmd.Env = append(os.Environ(), d.Env...)
	var err error
	if d.run, err = run(cmd, d.LogFile()); err != nil {
		return fmt.Errorf("rollpatchd: %w", err)
	}
	d.PID = cmd.Process.Pid
	for {
		var r struct {
			Address string `json:"address"`
			UI      string `json:"ui"`
		}
		if body, err := os.ReadFile(ready); err == nil && json.Unmarshal(body, &r) == nil {
			if r.Address != d.Address || r.UI != d.UI { // nothing is written at a later start: others read these meanwhile
				d.Address, d.UI = r.Address, r.UI
			}
			return nil
		}
		select {
		case <-d.run.done:
			return fmt.Errorf("rollpatchd ended at its start; its log is %s", d.LogFile())
		case <-ctx.Done():
			_ = d.Kill()
			return fmt.Errorf("rollpatchd did not get ready: %w; its log is %s", ctx.Err(), d.LogFile())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends it at once, as a crash does.
func (d *Daemon) Kill() error { return d.end(syscall.SIGKILL) }

// Stop ends it in good order.
func (d *Daemon) Stop() error { return d.end(syscall.SIGTERM) }

func (d *Daemon) end(sig syscall.Signal) error {
	if d.run == nil {
		return nil
	}
	err := d.run.end(sig)
	d.run = nil
	return err
}

// Client connects to its Temporal server.
func (d *Daemon) Client(ctx context.Context) (client.Client, error) {
	return client.DialContext(ctx, client.Options{HostPort: d.Address, Logger: silent{}})
}

// silent drops what the SDK logs: tests and the demo say themselves what matters.
type silent struct{}

func (silent) Debug(string, ...any)        {}
func (silent) Info(string, ...any)         {}
func (silent) Warn(string, ...any)         {}
func (silent) Error(string, ...any)        {}
func (s silent) With(...any) sdklog.Logger { return s }
