package wiring

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/api/serviceerror"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// SDKLogger gives Temporal our logger. zapslog is experimental; it is chosen over an adapter of our own because it keeps the
// SDK's fields as fields.
func SDKLogger(core zapcore.Core, name string) sdklog.Logger {
	return sdklog.NewStructuredLogger(slog.New(calm{zapslog.NewHandler(core, zapslog.WithName(name))}))
}

// calm lowers to debug what tells of an activity that was cancelled: a watch ends so whenever its members change, and every
// activity does when its worker stops. The SDK calls that an error. So it does where an activity ends in the middle of a heartbeat, which
// short ones do all day.
type calm struct{ slog.Handler }

func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug && cancelled(r) {
		r.Level = slog.LevelDebug
		if !c.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return c.Handler.Handle(ctx, r)
}

func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler { return calm{c.Handler.WithAttrs(attrs)} }
func (c calm) WithGroup(name string) slog.Handler       { return calm{c.Handler.WithGroup(name)} }

// cancelled says that the error which the record tells of is a cancel.
func cancelled(r slog.Record) bool {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			var ours *serviceerror.Canceled // the call's own end, as the server's error
			found = temporal.IsCanceledError(err) || errors.Is(err, context.Canceled) || errors.As(err, &ours)
		}
		return !found
	})
	return found
}
