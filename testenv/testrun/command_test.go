package testrun

import (
	"bufio"
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a command started is interrupted with it.
func TestCommandLeavesNobodyBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// As go test and make do, the shell keeps the interrupt to itself; what it started does not.
	cmd := command(ctx, "sh", "-c", "trap : INT; sh -c 'echo $$; exec sleep 1000'; :")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("the command ended well, want that it was interrupted")
	}
	for syscall.Kill(child, 0) == nil && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond) // whoever adopted it has yet to hear of its end
	}
	if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("what it started lives on: %v", err)
	}
}
