// Rollpatch is what operators type: it reads the two files, starts instances, shows what they do and carries people's words to them.
// It knows flags, wiring and printing; it must not decide anything about a campaign, nor hold a Temporal server.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/rollpatch/rollpatch/cmd/internal/wiring"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal must end an end that hangs, so the first one gives the default handling back.
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	d := &desk{
		in: stdin, out: stdout, err: stderr, environ: environ, now: time.Now, hostname: os.Hostname, username: username, getwd: os.Getwd, terminal: isTerminal,
		pause: pause, newID: uuid.NewString, dial: dial, work: wiring.Run, addresses: addresses,
		nonce: rand.Text, hidden: hiddenLine,
	}
	return d.run(ctx, args)
}

// desk is everything that commands are given of the world.
type desk struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	now      func() time.Time
	hostname func() (string, error)
	username func() string
	getwd    func() (string, error)
	terminal func(any) bool
	pause    func(context.Context, time.Duration) // returns early when the context ends
	newID    func() string
	dial     func(context.Context, *desk, settings) (server, error)
	work     func(context.Context, wiring.Options) error
	// addresses are this machine's; nil: nobody knows.
	addresses func() []netip.Addr
	nonce     func() string                       // never the same twice
	hidden    func(prompt string) ([]byte, error) // what is typed without being shown
}

func (d *desk) run(ctx context.Context, args []string) int {
	app := d.app()
	if len(args) == 1 && args[0] == "--version" {
		args = []string{"version"}
	}
	err := app.RunContext(ctx, append([]string{app.Name}, interspersed(app, args)...))
	return d.report(ctx, err)
}

// LookupEnv and Environ are what Temporal's own settings are read by.
func (d *desk) LookupEnv(name string) (string, bool) {
	for _, kv := range slices.Backward(d.environ) { // the last of several counts
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

func (d *desk) Environ() []string { return d.environ }

func (d *desk) getenv(name string) string {
	v, _ := d.LookupEnv(name)
	return v
}

// username is who runs this process, for environments that do not say.
func username() string {
	u, err := user.Current()
	if err != nil {
		return "uid " + strconv.Itoa(os.Getuid())
	}
	return u.Username
}

func pause(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
