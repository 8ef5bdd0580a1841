package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
)

// tooSlow says what to do about a server that was given up while it started.
func tooSlow(err error) string {
	if !errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	return "; the machine or its disk was too busy to start it in time, and nothing is lost: see what is busy (top, iostat -x 1), then start rollpatchd again"
}

// startTimeout bounds the way to ready. A database after a hard stop replays
// its log first, so this is far more than the usual second.
const startTimeout = 2 * time.Minute

// serve runs until ctx ends and returns nil then. Parts start in the order in
// which they need each other and stop in the reverse order.
func serve(ctx context.Context, opts options, stderr io.Writer) (err error) {
	log, serverLog := newLoggers(opts.log, stderr)
	defer log.Sync()
	sdkLog := wiring.SDKLogger(log.Core(), "rollpatchd")

	lock, err := lockDatabase(opts.database)
	if err != nil {
		return err
	}
	defer lock.Close()
	if opts.readyFile != "" {
		if err := removeReady(opts.readyFile); err != nil {
			return err
		}
	}

	endpoints, err := claimEndpoints(&opts)
	if err != nil {
		return err
	}
	var guard connectionGuard
	guard.install()
	database := databaseConfig(opts.database)
	if err := prepareDatabase(ctx, opts.database, database); err != nil {
		return err
	}
	own := guard.checked.Load()

	server, err := newServer(database, endpoints, opts.suggest, serverLog)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := server.Start(); err != nil {
		return fmt.Errorf("temporal server: %w%s", err, tooSlow(err))
	}
	defer func() {
		begin := time.Now()
		if stopErr := server.Stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("temporal server: stop: %w", stopErr))
			return
		}
		log.Info("server stopped", zap.Duration("took", time.Since(begin)))
	}()

	// Had the server opened its connections through another driver, nobody would
	// have looked at them.
	if guard.checked.Load() == own {
		return fmt.Errorf("database %s: the server's connections could not be checked", opts.database)
	}

	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	address := endpoints.frontend.String()
	if err := prepareNamespace(starting, address, opts.namespace, sdkLog); err != nil {
		return interrupted(ctx, err)
	}
	ready := readiness{
		PID:       os.Getpid(),
		Address:   address,
		Namespace: opts.namespace,
		Database:  opts.database,
		Worker:    opts.worker,
	}
	if opts.ui != nil {
		ui, err := startUI(starting, *opts.ui, address, opts.namespace)
		if err != nil {
			return interrupted(ctx, err)
		}
		defer ui.Stop()
		ready.UI = "http://" + opts.ui.String()
	}

	if opts.worker {
		stop, err := startWorker(starting, address, opts, log, sdkLog)
		if err != nil {
			return interrupted(ctx, err)
		}
		defer stop()
	}

	if opts.readyFile != "" {
		if err := writeReady(opts.readyFile, ready); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, removeReady(opts.readyFile)) }()
	}
	log.Info("ready", zap.String("address", ready.Address), zap.String("ui", ready.UI),
		zap.String("namespace", ready.Namespace), zap.String("database", ready.Database),
		zap.Bool("worker", ready.Worker), zap.Duration("took", time.Since(started)))
	<-ctx.Done()
	log.Info("stopping")
	return nil
}

// interrupted turns an error that the stop itself caused into none: being told
// to stop before ready is a clean end.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// claimEndpoints settles every address before anything is started, so that a
// taken one is a sentence and not a dying server.
func claimEndpoints(opts *options) (serverEndpoints, error) {
	inner := endpoint{ip: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	endpoints := serverEndpoints{frontend: opts.address, history: inner, matching: inner, worker: inner}
	wanted := []*endpoint{&endpoints.frontend}
	if opts.ui != nil {
		wanted = append(wanted, opts.ui)
	}
	wanted = append(wanted, &endpoints.history, &endpoints.matching, &endpoints.worker)
	if err := claimPorts(wanted...); err != nil {
		return serverEndpoints{}, hintError{
			err:  err,
			hint: "--address 127.0.0.1:0 and --ui 127.0.0.1:0 take free ports",
		}
	}
	return endpoints, nil
}
