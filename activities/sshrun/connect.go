package sshrun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/rollpatch/rollpatch/activities"
)

// connect makes a new connection and logs in. Never a bare port probe: newer sshds lock out who connects and does not try to log in.
func (p *Pool) connect(ctx context.Context, t activities.Target) (*conn, error) {
	keys, err := p.keys.read(t.Access.KnownHosts)
	if err != nil {
		e := &HostKeyError{Host: t.Host, Addr: t.Addr, Cause: err.Error()}
		if errors.Is(err, os.ErrNotExist) {
			e.Hint = fetch(t)
		}
		return nil, e
	}
	auth, closeAuth, err := p.auth(t)
	if err != nil {
		return nil, &AuthError{Host: t.Host, User: t.Access.User, Cause: err}
	}
	defer closeAuth()

	nc, release, err := p.reach(ctx, t)
	if err != nil {
		return nil, err
	}
	defer release()

	// The library's own timeout covers the dial only: a handshake with a host that stopped answering would last for ever.
	var keyErr *HostKeyError
	_ = nc.SetDeadline(time.Now().Add(p.o.HandshakeTimeout))
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	sc, channels, requests, err := ssh.NewClientConn(withQuickAck(nc), t.Addr, &ssh.ClientConfig{
		User:          t.Access.User,
		Auth:          []ssh.AuthMethod{auth},
		ClientVersion: "SSH-2.0-rollpatch",
		// Else the library asks for its own favourite, and a known host with several keys looks like a stranger.
		HostKeyAlgorithms: keys.HostKeyAlgorithms(t.Addr),
		HostKeyCallback: func(addr string, remote net.Addr, key ssh.PublicKey) error {
			if err := keys.HostKeyCallback()(addr, remote, key); err != nil {
				keyErr = hostKeyError(t, key, err)
				return keyErr
			}
			return nil
		},
	})
	if !stop() {
		if err == nil {
			sc.Close()
		}
		err = context.Cause(ctx) // what the handshake says of it is that its connection was closed, by us
	}
	if err != nil {
		nc.Close()
		return nil, classify(t, keyErr, err)
	}
	_ = nc.SetDeadline(time.Time{})
	return newConn(t, nc, ssh.NewClient(sc, channels, requests), p.o), nil
}

// reach makes the TCP connection, and takes a place for its handshake.
func (p *Pool) reach(ctx context.Context, t activities.Target) (nc net.Conn, release func(), err error) {
	release, err = acquire(ctx, p.dials)
	if err != nil {
		return nil, nil, unreachable(t.Host, err)
	}
	nc, err = (&net.Dialer{Timeout: p.o.ConnectTimeout}).DialContext(ctx, "tcp", t.Addr)
	release()
	if err != nil {
		return nil, nil, unreachable(t.Host, err)
	}
	release, err = acquire(ctx, p.handshakes)
	if err != nil {
		nc.Close()
		return nil, nil, unreachable(t.Host, err)
	}
	return nc, release, nil
}

// classify tells a stranger and a locked door from a broken way.
func classify(t activities.Target, keyErr *HostKeyError, err error) error {
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case keyErr != nil:
		return keyErr
	case errors.As(err, &negotiation) && strings.Contains(err.Error(), "host key"):
		return &HostKeyError{
			Host: t.Host, Addr: t.Addr, Changed: true,
			Cause: fmt.Sprintf("it has no key of the kinds that %s holds for it", t.Access.KnownHosts),
			Hint:  "if they were made anew on purpose: " + rescan(t),
		}
	case strings.Contains(err.Error(), "unable to authenticate"): // the library has no type for it
		return &AuthError{Host: t.Host, User: t.Access.User, Cause: errors.New("refused: none of our keys is accepted"), Hint: "try it with: " + login(t)}
	}
	return unreachable(t.Host, err)
}

func hostKeyError(t activities.Target, key ssh.PublicKey, err error) *HostKeyError {
	e := &HostKeyError{Host: t.Host, Addr: t.Addr, Fingerprint: key.Type() + " " + ssh.FingerprintSHA256(key), Cause: err.Error()}
	var revoked *xknownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		e.Changed = true
		e.Cause = fmt.Sprintf("revoked by %s:%d", revoked.Revoked.Filename, revoked.Revoked.Line)
	case knownhosts.IsHostKeyChanged(err):
		e.Changed = true
		e.Cause = fmt.Sprintf("not the one in %s: somebody else answers, or it was made anew", t.Access.KnownHosts)
		e.Hint = "if so, on purpose: " + rescan(t)
	case knownhosts.IsHostUnknown(err):
		e.Cause = fmt.Sprintf("%s holds none for it", t.Access.KnownHosts)
		e.Hint = fetch(t)
	}
	return e
}

func fetch(t activities.Target) string {
	return scan(t) + " fetches it; compare it with what the host's console says"
}

func scan(t activities.Target) string {
	return "ssh-keyscan " + at(t, "") + " >>" + t.Access.KnownHosts
}

// login is how a person tries what we tried.
func login(t activities.Target) string {
	command := "ssh "
	if t.Access.IdentityFile != "" {
		command += "-i " + t.Access.IdentityFile + " "
	}
	return command + at(t, t.Access.User+"@")
}

// at is the target's address as the SSH commands take it.
func at(t activities.Target, user string) string {
	addr, port, err := net.SplitHostPort(t.Addr)
	if err != nil {
		addr, port = t.Addr, "22"
	}
	if port == "22" {
		return user + addr
	}
	return "-p " + port + " " + user + addr
}

func rescan(t activities.Target) string {
	return fmt.Sprintf("ssh-keygen -f %s -R '%s' && %s", t.Access.KnownHosts, xknownhosts.Normalize(t.Addr), scan(t))
}

// auth is what is shown to the host. The key's content stays in this function and the library.
func (p *Pool) auth(t activities.Target) (method ssh.AuthMethod, done func(), err error) {
	if t.Access.IdentityFile == "" {
		if p.o.AgentSocket == "" {
			return nil, nil, errors.New("no identity_file, and no SSH agent (SSH_AUTH_SOCK)")
		}
		socket, err := net.Dial("unix", p.o.AgentSocket)
		if err != nil {
			return nil, nil, fmt.Errorf("the SSH agent does not answer: %w", err)
		}
		return ssh.PublicKeysCallback(agent.NewClient(socket).Signers), func() { socket.Close() }, nil
	}
	pem, err := os.ReadFile(t.Access.IdentityFile)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, nil, fmt.Errorf("%s has a passphrase: add it to the SSH agent and leave identity_file out", t.Access.IdentityFile)
	}
	if err != nil {
		// The library's text may quote what it read.
		return nil, nil, fmt.Errorf("%s is not a private key", t.Access.IdentityFile)
	}
	return ssh.PublicKeys(signer), func() {}, nil
}

// knownKeys keeps known_hosts files parsed for as long as they do not change: a fleet of thousands has as many lines in one.
type knownKeys struct {
	mu    sync.Mutex
	files map[string]knownFile
}

type knownFile struct {
	size     int64
	modified time.Time
	keys     *knownhosts.HostKeyDB
}

func (k *knownKeys) read(path string) (*knownhosts.HostKeyDB, error) {
	if path == "" {
		return nil, errors.New("no known_hosts file is named")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if f, ok := k.files[path]; ok && f.size == info.Size() && f.modified.Equal(info.ModTime()) {
		return f.keys, nil
	}
	keys, err := knownhosts.NewDB(path)
	if err != nil {
		return nil, err
	}
	if k.files == nil {
		k.files = map[string]knownFile{}
	}
	k.files[path] = knownFile{info.Size(), info.ModTime(), keys}
	return keys, nil
}
