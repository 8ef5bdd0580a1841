package wiring

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/api/serviceerror"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// What the SDK tells of an activity in the way it does, and the level at which we hear of it.
func TestACancelledActivityIsNoError(t *testing.T) {
	for _, row := range []struct {
		says string
		err  error
		want zapcore.Level
	}{
		{"a failure is an error", errors.New("disk full"), zapcore.ErrorLevel},
		{"a time-out is an error", context.DeadlineExceeded, zapcore.ErrorLevel},
		{"a cancelled activity is a normal day", fmt.Errorf("watch: %w", context.Canceled), zapcore.DebugLevel},
		{"and so is one that ends in the middle of its heartbeat", serviceerror.NewCanceled("context canceled"), zapcore.DebugLevel},
		{"and so is one that the server cancelled", temporal.NewCanceledError(), zapcore.DebugLevel},
	} {
		for _, level := range []zapcore.Level{zapcore.DebugLevel, zapcore.InfoLevel} {
			core, seen := observer.New(level)
			sdklog.With(SDKLogger(core, "temporal"), "Namespace", "default").Error("Activity error.", "Attempt", 1, "Error", row.err)
			lines := seen.All()
			if level > row.want {
				if len(lines) != 0 {
					t.Errorf("%s: at level %s it logs %v, want nothing", row.says, level, lines)
				}
				continue
			}
			if len(lines) != 1 || lines[0].Level != row.want || lines[0].LoggerName != "temporal" || lines[0].ContextMap()["Namespace"] != "default" {
				t.Errorf("%s: at level %s it logs %+v, want one line at %s with its fields", row.says, level, lines, row.want)
			}
			if row.want == zapcore.DebugLevel && len(lines) == 1 && lines[0].Stack != "" {
				t.Errorf("%s: it comes with a stack", row.says)
			}
		}
	}
}
