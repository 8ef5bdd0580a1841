package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// startUI serves Temporal's web UI on e and returns once it answers. The caller
// stops it.
func startUI(ctx context.Context, e endpoint, temporalAddress, namespace string) (*server.Server, error) {
	host := e.ip.String()
	if e.ip.Is6() {
		host = "[" + host + "]" // the UI joins host and port as text
	}
	ui := server.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: temporalAddress,
		Host:                host,
		Port:                int(e.port),
		EnableUI:            true,
		DefaultNamespace:    namespace,
		// Neither the server nor the browser is to ask the internet for news.
		DisableNewsFetch:   true,
		NotifyOnNewVersion: false,
		HideLogs:           true,
		// Loopback is plain HTTP, where some browsers send no Secure cookie back
		// and every button would fail.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}))
	go ui.Start()
	if err := answers(ctx, "http://"+e.String()+"/healthz"); err != nil {
		ui.Stop()
		return nil, fmt.Errorf("web UI: %w", err)
	}
	return ui, nil
}

// answers returns when url gives status 200, or with the last answer when ctx ends.
func answers(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := get(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		}
	}
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %s", url, resp.Status)
	}
	return nil
}
