// Package estate is a lab with rollpatch beside it: hosts, real or simulated, a rollpatchd and the CLI, all as built binaries. It
// knows how to start, kill and ask them; it must not know what a campaign should do, which tests and the demo judge.
package estate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// Hosts is what a real lab and a simulated fleet have in common.
type Hosts interface {
	InventoryFile() string
	WebURL() string
	ConsulAddr() string
	Publish(ctx context.Context, what string) error
	Versions(ctx context.Context, host string) (map[string]string, error)
	BootID(ctx context.Context, host string) (string, error)
	DpkgLog(ctx context.Context, host string) (string, error)
	ReadFile(ctx context.Context, host, path string) ([]byte, error)
	PowerCut(ctx context.Context, host string) error
	Start(ctx context.Context, host string) error
}

// Kinds of hosts.
const (
	Real = "real"
	Sim  = "sim"
)

// Options say what to bring up.
type Options struct {
	Kind string // Real, Sim, or "" for real hosts where they can be had
	Dir  string // everything it writes
	Bin  string // folder of the built rollpatch and rollpatchd
	Log  io.Writer
	// Fleet is what simulated hosts are brought up as; its folder is the estate's.
	Fleet sim.Options
	// Args are added to rollpatchd's command line, and Env to the environment of all that is started.
	Args, Env []string
}

// Estate is one lab and one rollpatchd.
type Estate struct {
	Hosts
	Kind    string
	Lacking string // why there are no real hosts, where they were not asked for by name
	Daemon  *Daemon

	opts Options
	lab  *testenv.Lab
}

// Unproven says what a simulated fleet leaves open.
const Unproven = "package managers, systemd, sshd, reboots and Consul are stand-ins here: nothing about real ones is proven"

// Up brings hosts and a rollpatchd up.
func Up(ctx context.Context, o Options) (*Estate, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if o.Log == nil {
		o.Log = io.Discard
	}
	e := &Estate{Kind: o.Kind, opts: o}
	if missing := testenv.Missing(); e.Kind == "" {
		e.Kind = Real
		if missing != "" {
			e.Kind, e.Lacking = Sim, missing
		}
	}
	if err := e.hosts(ctx); err != nil {
		return nil, err
	}
	e.Daemon = &Daemon{Bin: filepath.Join(o.Bin, "rollpatchd"), Dir: filepath.Join(dir, "rollpatchd"), Args: append([]string{"--inventory", e.InventoryFile()}, o.Args...), Env: o.Env}
	if err := e.Daemon.Start(ctx); err != nil {
		return nil, errors.Join(err, e.Down())
	}
	return e, nil
}

func (e *Estate) hosts(ctx context.Context) error {
	switch e.Kind {
	case Real:
		lab, err := testenv.Up(ctx, testenv.Options{Dir: filepath.Join(e.opts.Dir, "lab"), Log: e.opts.Log, Owned: true})
		if err != nil {
			return err
		}
		e.Hosts, e.lab = lab, lab
	case Sim:
		o := e.opts.Fleet
		o.Dir, o.Log = filepath.Join(e.opts.Dir, "fleet"), zap.NewNop()
		fleet, err := sim.Up(context.WithoutCancel(ctx), o)
		if err != nil {
			return err
		}
		e.Hosts = fleet
	default:
		return fmt.Errorf("LAB=%s: want real or sim", e.Kind)
	}
	return nil
}

// Reset makes the hosts like new: lab-web 1.0, no maintenance, no records.
func (e *Estate) Reset(ctx context.Context) error {
	if e.lab != nil {
		return e.lab.Reset(ctx)
	}
	return e.Hosts.(*sim.Fleet).Reset(ctx)
}

// Lab is the real lab, or nil.
func (e *Estate) Lab() *testenv.Lab { return e.lab }

// Fleet is the simulated fleet, or nil.
func (e *Estate) Fleet() *sim.Fleet { f, _ := e.Hosts.(*sim.Fleet); return f }

// Down ends everything that was started.
func (e *Estate) Down() error {
	var all error
	if e.Daemon != nil {
		all = e.Daemon.Stop()
	}
	if e.lab != nil {
		return errors.Join(all, e.lab.Down())
	}
	if f, ok := e.Hosts.(*sim.Fleet); ok {
		return errors.Join(all, f.Close())
	}
	return all
}

// Store is the folder of plan bodies that CLI and worker share.
func (e *Estate) Store() string { return e.Daemon.store() }

// Write writes a file into the estate's folder and returns its path.
func (e *Estate) Write(name, text string) (string, error) {
	path := filepath.Join(e.opts.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}
