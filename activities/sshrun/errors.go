package sshrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// Errors are compared from one attempt to the next, and those of several hosts with each other: their texts hold nothing that differs
// between attempts. A method Trouble() (what, mend string) says what is wrong in words that are the same for every host with that
// trouble, and what to type for this one, for callers that do not know this package.

// ErrUnreachable is wrapped by every error that says nothing about the host but that it could not be asked: a dial, a handshake
// or a connection that broke. What the host was doing goes on, or has ended: ask again.
var ErrUnreachable = errors.New("unreachable")

// unreachable is what was lost on the way to a host.
func unreachable(host string, cause error) error { return &lostError{host, cause} }

type lostError struct {
	host  string
	cause error
}

func (e *lostError) Error() string {
	var dial *net.OpError
	if errors.As(e.cause, &dial) && dial.Op == "dial" && dial.Addr != nil {
		return fmt.Sprintf("host %q: %v: %s: %s", e.host, ErrUnreachable, dial.Addr, e.words())
	}
	return fmt.Sprintf("host %q: %v: %s", e.host, ErrUnreachable, e.words())
}

func (e *lostError) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

// Unreachable tells it from what a host says, for callers that do not know this package.
func (e *lostError) Unreachable() bool { return true }

// Trouble names the loss without the host.
func (e *lostError) Trouble() (what, mend string) {
	return ErrUnreachable.Error() + ": " + e.words(), ""
}

// words leaves out our own port, and which of several ways the same loss was noticed.
func (e *lostError) words() string {
	var (
		name    *net.DNSError
		network *net.OpError
		timeout net.Error
	)
	is := func(causes ...error) bool {
		for _, c := range causes {
			if errors.Is(e.cause, c) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(e.cause, &name) && !name.IsTimeout:
		return "lookup " + name.Name + ": " + name.Err
	case is(syscall.EHOSTUNREACH, syscall.ENETUNREACH, context.DeadlineExceeded), errors.As(e.cause, &timeout) && timeout.Timeout():
		return "no answer"
	case is(io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE):
		return "the connection was closed"
	case errors.As(e.cause, &network):
		return strings.TrimPrefix(network.Err.Error(), "connect: ")
	}
	return e.cause.Error()
}

// hostError is a fact about a host that keeps us from going through it.
type hostError struct{ host, what string }

func (e *hostError) Error() string { return fmt.Sprintf("host %q: %s", e.host, e.what) }

// Trouble is the fact without the host.
func (e *hostError) Trouble() (what, mend string) { return e.what, "" }

// HostKeyError means that whoever answers cannot prove to be the host. Nothing was sent to it, and asking again does not help: a
// person decides.
type HostKeyError struct {
	Host        string
	Addr        string
	Fingerprint string // of the key that was offered; empty when it came to none
	Changed     bool   // another key is known for this address, or this one is revoked
	Cause       string // the same for every host with that trouble
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

// Trouble leaves out the fingerprint, which is the host's own.
func (e *HostKeyError) Trouble() (what, mend string) { return "host key: " + e.Cause, e.Hint }

// AuthError means that the host did not let us in, or that there was nothing to show it.
type AuthError struct {
	Host  string
	User  string
	Cause error
	Hint  string // the command to type
}

func (e *AuthError) Error() string {
	what, mend := e.Trouble()
	if mend != "" {
		what += "; " + mend
	}
	return fmt.Sprintf("host %q: %s", e.Host, what)
}

// Trouble is the refusal without the host.
func (e *AuthError) Trouble() (what, mend string) {
	return fmt.Sprintf("log in as %q: %v", e.User, e.Cause), e.Hint
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
	what, _ := e.Trouble()
	return fmt.Sprintf("host %q: %s", e.Host, what)
}

// Trouble is the answer without the host.
func (e *RefusedError) Trouble() (what, mend string) {
	return fmt.Sprintf("connect to %s from there: %s", e.Addr, e.Cause), ""
}

// Refused tells a fact about the address from a fault on the way to the host, for callers that do not know this package.
func (e *RefusedError) Refused() bool { return true }

// HostKeyChanged tells another key from an unknown one, for callers that do not know this package.
func (e *HostKeyError) HostKeyChanged() bool { return e.Changed }
