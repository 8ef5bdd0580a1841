package testenv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// command runs a program of the machine and returns what it wrote to stdout.
// The error carries the end of its output: a lab's log is read when something broke.
func command(ctx context.Context, argv ...string) (string, error) {
	return commandIn(ctx, "", nil, argv...)
}

// alone starts a program in namespaces of its own: its mounts and everything it
// started end with it, also when it is killed half way through a root.
var alone = []string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"}

func commandIn(ctx context.Context, dir string, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	// Messages are matched and shown: one language for all machines.
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"), env...)
	var stdout bytes.Buffer
	var all output
	cmd.Stdout = io.MultiWriter(&stdout, &all)
	cmd.Stderr = &all
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv[:min(len(argv), 3)], " "), err, short(all.buf.Bytes()))
	}
	return stdout.String(), nil
}

// output keeps stdout and stderr in the order they were written, by two goroutines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer // not embedded: its ReadFrom would pass the lock by
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}
