package main

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.uber.org/zap"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
)

// startWorker serves every queue of this machine from the same process. What
// it works at goes on on the hosts when it stops.
func startWorker(ctx context.Context, address string, opts options, log *zap.Logger, sdkLog sdklog.Logger) (stop func(), err error) {
	c, err := client.DialContext(ctx, client.Options{HostPort: address, Namespace: opts.namespace, Logger: sdkLog})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	work := opts.work
	work.Log, work.Namespace = log, opts.namespace
	end, err := wiring.Start(ctx, c, work)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("worker: %w", err)
	}
	return func() { end(); c.Close() }, nil
}
