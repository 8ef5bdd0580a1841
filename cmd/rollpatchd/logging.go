package main

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type logOptions struct {
	level, serverLevel zapcore.Level
	format             string
}

func parseLogOptions(level, serverLevel, format string) (logOptions, error) {
	opts := logOptions{format: format}
	var err error
	if opts.level, err = zapcore.ParseLevel(level); err != nil {
		return opts, fmt.Errorf("--log-level: %w", err)
	}
	if opts.serverLevel, err = zapcore.ParseLevel(serverLevel); err != nil {
		return opts, fmt.Errorf("--server-log-level: %w", err)
	}
	if format != "console" && format != "json" {
		return opts, fmt.Errorf("--log-format: %q is neither console nor json", format)
	}
	return opts, nil
}

// newLoggers returns the daemon's logger and the one for the server inside.
// They share one sink; the server has a level of its own because at info it
// says several lines for every campaign step.
func newLoggers(opts logOptions, w io.Writer) (daemon, server *zap.Logger) {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder := zapcore.NewConsoleEncoder(encoding)
	if opts.format == "json" {
		encoder = zapcore.NewJSONEncoder(encoding)
	}
	sink := zapcore.Lock(zapcore.AddSync(w))
	daemon = zap.New(zapcore.NewCore(encoder, sink, opts.level)).Named("rollpatchd")
	server = zap.New(zapcore.NewCore(encoder, sink, opts.serverLevel)).Named("temporal")
	return daemon, server
}
