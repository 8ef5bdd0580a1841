// Package wiring puts a worker together: which implementation stands behind which interface, and which queues it serves. It knows
// every part and decides nothing.
package wiring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/activities/auditlog"
	"github.com/rollpatch/rollpatch/activities/consul"
	"github.com/rollpatch/rollpatch/activities/health"
	"github.com/rollpatch/rollpatch/activities/notify"
	"github.com/rollpatch/rollpatch/activities/power"
	"github.com/rollpatch/rollpatch/activities/secret"
	"github.com/rollpatch/rollpatch/activities/signed"
	"github.com/rollpatch/rollpatch/activities/sshrun"
	"github.com/rollpatch/rollpatch/activities/store"
	"github.com/rollpatch/rollpatch/activities/windows"
	"github.com/rollpatch/rollpatch/playbooks"
	"github.com/rollpatch/rollpatch/workflows"
)

// Options are what a worker needs to know.
type Options struct {
	Address   string        // of the Temporal server; "" follows Temporal's own environment configuration
	Namespace string        // "" is default
	Store     string        // folder of plan and ledger bodies, shared with the CLI
	Audit     string        // file of the audit chain
	Playbooks string        // folder that overrides or adds families; may be empty
	Segments  []string      // the networks this worker reaches
	Sweep     time.Duration // how often workflows that were ended from outside are looked for
	Inventory string        // file that says where what lost instances left behind is looked for; "" is nowhere
	Forget    bool          // every workflow between its tasks: each task replays it from its history
	Log       *zap.Logger
	// Signers are the files by which approvals are verified; empty: those that a campaign names.
	Signers activities.SignersFiles
}

// Flags are the flags of a worker, for every binary that runs one.
func Flags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "store", Usage: "`DIR` of plan and ledger bodies, the same as the CLI's", EnvVars: []string{"ROLLPATCH_STORE"}, Value: StateDir(os.Getenv, "store"), DefaultText: "$XDG_STATE_HOME/rollpatch/store"},
		&cli.PathFlag{Name: "audit", Usage: "`FILE` of the audit chain, JSON lines", EnvVars: []string{"ROLLPATCH_AUDIT"}, Value: StateDir(os.Getenv, "audit.jsonl"), DefaultText: "$XDG_STATE_HOME/rollpatch/audit.jsonl"},
		&cli.PathFlag{Name: "playbooks", Usage: "`DIR` with playbooks that override or add to the built-in ones", EnvVars: []string{"ROLLPATCH_PLAYBOOKS"}},
		&cli.DurationFlag{Name: "sweep", Usage: "how often to look for members and clusters whose workflows were ended from outside, and take them up", EnvVars: []string{"ROLLPATCH_SWEEP"}, Value: 2 * time.Minute},
		&cli.PathFlag{Name: "inventory", Usage: "`FILE` of the inventory: in its Consuls, what instances left behind that the server does not know any more is looked for, and mended; read anew at every sweep", EnvVars: []string{"ROLLPATCH_INVENTORY"}},
		&cli.PathFlag{Name: "signers", Usage: "`FILE` of allowed signers, by which approvals are verified; read anew for each. With it, no campaign brings a file of its own", EnvVars: []string{"ROLLPATCH_SIGNERS"}},
		&cli.PathFlag{Name: "revoked", Usage: "`FILE` of revoked public keys, one a line; read anew for each approval", EnvVars: []string{"ROLLPATCH_REVOKED"}},
		&cli.StringSliceFlag{Name: "segment", Usage: "`NETWORK` whose hosts this worker reaches; may be given several times", Value: cli.NewStringSlice("default")},
	}
}

// FromFlags reads what Flags declared.
func FromFlags(c *cli.Context) Options {
	return Options{Store: c.Path("store"), Audit: c.Path("audit"), Playbooks: c.Path("playbooks"), Segments: c.StringSlice("segment"), Sweep: c.Duration("sweep"), Inventory: c.Path("inventory"), Signers: activities.SignersFiles{Allowed: c.Path("signers"), Revoked: c.Path("revoked")}}
}

// StateDir is a name in rollpatch's state folder, by the XDG rules; "" where neither variable is set.
func StateDir(getenv func(string) string, name string) string {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rollpatch", name)
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "rollpatch", name)
	}
	return ""
}

// Run connects a worker to its server and serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	opts, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return fmt.Errorf("temporal settings: %w", err)
	}
	if o.Address != "" {
		opts.HostPort = o.Address
	}
	if o.Namespace != "" {
		opts.Namespace = o.Namespace
	}
	o.Namespace = opts.Namespace
	opts.Logger = SDKLogger(o.Log.Core(), "temporal")
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		return fmt.Errorf("temporal server %s: %w", opts.HostPort, err)
	}
	defer c.Close()
	stop, err := Start(ctx, c, o)
	if err != nil {
		return err
	}
	defer stop()
	o.Log.Info("worker started", zap.String("address", opts.HostPort), zap.Strings("segments", o.Segments))
	<-ctx.Done()
	o.Log.Info("worker stopping")
	return nil
}

// stopTimeout is how long a stopping worker waits for activities to leave; what they follow goes on on its host.
const stopTimeout = 5 * time.Second

// heartbeatEvery bounds how long the SDK holds a heartbeat back.
const heartbeatEvery = 5 * time.Second

// Start runs a worker on a client until stop is called; ctx bounds the start.
func Start(ctx context.Context, c client.Client, o Options) (stop func(), err error) {
	bodies, err := store.NewFolder(o.Store)
	if err != nil {
		return nil, err
	}
	chain, err := auditlog.Open(o.Audit)
	if err != nil {
		return nil, err
	}
	books, err := playbooks.Load(o.Playbooks)
	if err != nil {
		return nil, err
	}
	if o.Inventory != "" {
		if o.Inventory, err = filepath.Abs(o.Inventory); err != nil {
			return nil, err
		}
	}
	inventory := inventoryOf(o.Inventory, os.Getenv("HOME"))
	if _, err := inventory(); err != nil {
		// It is read again at every sweep. A worker that stayed away for it would leave its hosts as they are.
		o.Log.Warn("no inventory to sweep by", zap.Error(err))
	}
	keys, err := signersOf(o.Signers)
	if err != nil {
		return nil, err
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = client.DefaultNamespace
	}
	ask := asker{c, namespace}
	secrets := secret.New(os.LookupEnv)
	pool := sshrun.New(sshrun.Options{AgentSocket: os.Getenv("SSH_AUTH_SOCK")})
	servers := consul.New(pool, secrets.Resolve)
	host, _ := os.Hostname()
	people := notify.New(secrets.Resolve)
	acts := &activities.Activities{
		Runner: pool, Catalog: servers, Claims: servers, Stagings: servers, Took: servers, Prober: health.New(pool, pool), Notifier: people, Changes: people, Store: bodies, Audit: chain,
		Scripts: scripts{books}, Workflows: ask, Instances: remember(ask.Unfinished, time.Now), Switch: power.New(secrets.Resolve), Calendars: windows.New(secrets), Signers: keys, Schedules: schedules{c}, Standings: standings{c}, ServerID: ask.ServerID, Inventory: inventory, Actor: fmt.Sprintf("worker %s pid %d", host, os.Getpid()), Now: time.Now, Log: o.Log,
	}
	// A heartbeat also brings the news that an activity is no longer wanted: held back for long, an abort would wait for it.
	options := worker.Options{WorkerStopTimeout: stopTimeout, MaxConcurrentActivityExecutionSize: 200, MaxHeartbeatThrottleInterval: heartbeatEvery}
	if o.Forget {
		worker.SetStickyWorkflowCacheSize(0) // of the whole process, before its first worker
	}
	flows := worker.New(c, workflows.Queue, options)
	workflows.Register(flows)
	workers := []worker.Worker{flows}
	for _, s := range o.Segments {
		w := worker.New(c, workflows.SegmentQueue(s), options)
		w.RegisterActivityWithOptions(acts, activity.RegisterOptions{})
		workers = append(workers, w)
	}
	end := func() {
		for _, w := range workers {
			w.Stop()
		}
		pool.Shutdown()
		_ = chain.Close()
	}
	for _, w := range workers {
		if err := w.Start(); err != nil {
			end()
			return nil, fmt.Errorf("worker: %w", err)
		}
	}
	if err := startSweeper(ctx, c, o.Sweep); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// scripts finds playbooks for activities, which do not know where they come from.
type scripts struct{ set playbooks.Set }

func (s scripts) Script(family, osID, name string) ([]byte, error) {
	var (
		p   playbooks.Playbook
		err error
	)
	if family != "" {
		p, err = s.set.Named(family)
	} else {
		p, err = s.set.For(osID)
	}
	if err != nil {
		return nil, err
	}
	body := p.Script(name)
	if body == nil {
		return nil, fmt.Errorf("there is none (known: %s)", strings.Join(playbooks.Names(), ", "))
	}
	return body, nil
}

// signersOf are the files that a worker was given. That there are revoked keys says nothing of whose the others are.
func signersOf(given activities.SignersFiles) (signed.Files, error) {
	if given.Revoked != "" && given.Allowed == "" {
		return signed.Files{}, errors.New("--revoked is given without --signers: name the file of allowed signers too")
	}
	for _, path := range []*string{&given.Allowed, &given.Revoked} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return signed.Files{}, err
		}
	}
	return signed.Files{Own: given}, nil
}
