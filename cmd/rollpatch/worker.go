package main

import (
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
)

func (d *desk) workerCommand() *cli.Command {
	return &cli.Command{
		Name:  "worker",
		Usage: "carry instances out until told to stop",
		Description: "Any number of workers may run, on any machine that reaches the Temporal server, the hosts and the store.\n" +
			"rollpatchd has one inside.",
		Flags:  join(wiring.Flags(), serverFlags()),
		Action: d.worker,
	}
}

func (d *desk) worker(c *cli.Context) error {
	if err := atMost(c, 0); err != nil {
		return err
	}
	o := wiring.FromFlags(c)
	for _, f := range []struct{ flag, path string }{{"store", o.Store}, {"audit", o.Audit}} {
		if f.path == "" {
			return usage("--"+f.flag+" is missing: neither XDG_STATE_HOME nor HOME is set", "rollpatch worker --help lists the flags")
		}
	}
	at, err := d.clientOptions(settings{address: c.String("address"), namespace: c.String("namespace")})
	if err != nil {
		return err
	}
	srv, err := d.connect(c) // a server that is not there is told the same way everywhere
	if err != nil {
		return err
	}
	srv.Close()
	o.Address, o.Namespace, o.Log = at.HostPort, at.Namespace, d.log(c.Bool("verbose"))
	defer o.Log.Sync()
	if err := d.work(c.Context, o); err != nil && c.Context.Err() == nil {
		return failed(err)
	}
	return nil // told to stop
}

func (d *desk) log(verbose bool) *zap.Logger {
	level := zap.InfoLevel
	if verbose {
		level = zap.DebugLevel
	}
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(d.err), level))
}
