// Package secret finds the secrets that references name. It must not keep, log or put into an error anything that it found.
package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// commandTimeout bounds a command that prints a secret: one that asks a person for a password would wait for ever.
const commandTimeout = 30 * time.Second

// Resolver finds secrets where the worker runs.
type Resolver struct {
	lookup  func(name string) (string, bool)
	timeout time.Duration
}

// New returns a Resolver that finds environment variables by lookup, which is os.LookupEnv outside tests.
func New(lookup func(name string) (string, bool)) *Resolver {
	return &Resolver{lookup: lookup, timeout: commandTimeout}
}

// Resolve returns the secret, without the line's end that files and commands close with. It is found anew at every call. A secret
// that is missing or empty is an error: an empty token would mean to ask as nobody.
func (r *Resolver) Resolve(ctx context.Context, s inventory.Secret) (string, error) {
	var where, found string
	switch {
	case s.Env != "":
		where = fmt.Sprintf("environment variable %q", s.Env)
		value, ok := r.lookup(s.Env)
		if !ok {
			return "", fmt.Errorf("secret from %s: it is not set", where)
		}
		found = value
	case s.File != "":
		where = fmt.Sprintf("file %q", s.File)
		body, err := os.ReadFile(s.File)
		if err != nil {
			if broken, ok := errors.AsType[*os.PathError](err); ok {
				err = broken.Err // the file is named already
			}
			return "", fmt.Errorf("secret from %s: %w", where, err)
		}
		found = string(body)
	case len(s.Command) > 0:
		// Arguments may hold what opens a vault: only the program is named.
		where = fmt.Sprintf("command %q", s.Command[0])
		out, err := r.run(ctx, s.Command)
		if err != nil {
			return "", fmt.Errorf("secret from %s: %w", where, err)
		}
		found = out
	default:
		return "", errors.New("secret: the reference names neither env, file nor command")
	}
	if found = strings.TrimRight(found, "\r\n"); found == "" {
		return "", fmt.Errorf("secret from %s: it is empty", where)
	}
	return found, nil
}

func (r *Resolver) run(ctx context.Context, argv []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// A child that outlives the command must not keep its output open, and us waiting.
	cmd.WaitDelay = time.Second
	var out strings.Builder
	// Its messages go nowhere: a vault's error may repeat what it was asked with.
	cmd.Stdout = &out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("it did not end: %w", ctx.Err())
	case err != nil:
		return "", err
	}
	return out.String(), nil
}
