package sshrun

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnreachable is wrapped by every error that says nothing about the host but that it could not be asked: a dial, a handshake
// or a connection that broke. What the host was doing goes on, or has ended: ask again.
var ErrUnreachable = errors.New("unreachable")

// unreachable is what was lost on the way to a host.
func unreachable(host string, cause error) error {
	return fmt.Errorf("host %q: %w: %w", host, ErrUnreachable, cause)
}

// HostKeyError means that whoever answers cannot prove to be the host. Nothing was sent to it, and asking again does not help: a
// person decides.
type HostKeyError struct {
	Host        string
	Addr        string
	Fingerprint string // of the key that was offered; empty when it came to none
	Changed     bool   // another key is known for this address, or this one is revoked
	Cause       string
	Hint        string // the command to type
}

func (e *HostKeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "host %q: %s: host key: %s", e.Host, e.Addr, e.Cause)
	if e.Fingerprint != "" {
		fmt.Fprintf(&b, " (offered: %s)", e.Fingerprint)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// AuthError means that the host did not let us in, or that there was nothing to show it.
type AuthError struct {
	Host  string
	User  string
	Cause error
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("host %q: log in as %q: %v", e.Host, e.User, e.Cause)
}

func (e *AuthError) Unwrap() error { return e.Cause }

// ExitError means that a command ran to its end and its status was not 0.
type ExitError struct {
	Host   string
	Status int
	Stdout []byte // what it had printed
	Stderr string // the last 4 KiB
}

func (e *ExitError) Error() string {
	text := strings.TrimSpace(e.Stderr)
	if text == "" {
		text = "nothing on stderr"
	}
	return fmt.Sprintf("host %q: exit status %d: %s", e.Host, e.Status, text)
}

// ExitStatus is the command's status, for callers that know the playbook's table but not this package.
func (e *ExitError) ExitStatus() int { return e.Status }

// RefusedError means that the host was reached and could not connect to an address on our behalf.
type RefusedError struct {
	Host  string
	Addr  string
	Cause string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("host %q: connect to %s from there: %s", e.Host, e.Addr, e.Cause)
}

// Refused tells a fact about the address from a fault on the way to the host, for callers that do not know this package.
func (e *RefusedError) Refused() bool { return true }

// HostKeyChanged tells another key from an unknown one, for callers that do not know this package.
func (e *HostKeyError) HostKeyChanged() bool { return e.Changed }
