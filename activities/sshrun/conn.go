package sshrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/rollpatch/rollpatch/activities"
)

// conn is one connection to a host, shared by everybody who talks to it.
type conn struct {
	target   activities.Target
	nc       net.Conn
	client   *ssh.Client
	sessions chan struct{}
	forwards chan struct{}
	ended    chan struct{} // closed when the connection is gone

	mu     sync.Mutex
	users  int
	unused time.Time // since when
	gone   bool
}

func newConn(t activities.Target, nc net.Conn, client *ssh.Client, o Options) *conn {
	c := &conn{
		target: t, nc: nc, client: client, unused: time.Now(),
		sessions: make(chan struct{}, sessionsPerHost),
		forwards: make(chan struct{}, forwardsPerHost),
		ended:    make(chan struct{}),
	}
	go func() {
		_ = client.Wait() // why it ended is told to whoever was using it
		c.close()
		close(c.ended)
	}()
	go c.keepAlive(o.KeepAlive, o.Idle)
	return c
}

// use takes the connection into use, unless it is gone.
func (c *conn) use() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.users++
	return true
}

func (c *conn) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	c.unused = time.Now()
}

// close ends the connection and everything on it. It closes the socket itself: a goodbye through a dead transport could block.
func (c *conn) close() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	c.nc.Close()
}

// keepAlive ends the connection when the host has not answered for two periods, or nobody has used it for as long as idle.
func (c *conn) keepAlive(period, idle time.Duration) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		if c.users == 0 && time.Since(c.unused) >= idle {
			c.gone = true
		}
		gone := c.gone
		c.mu.Unlock()
		if gone {
			c.nc.Close()
			return
		}
		// The request itself waits for ever: a timer of our own ends the wait by ending the connection.
		deadline := time.AfterFunc(2*period, c.close)
		_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
		deadline.Stop()
		if err != nil {
			c.close()
			return
		}
	}
}

// alive asks the host for a sign of life. A connection that is dead without an error yet is ended by keepAlive, and the wait with it.
func (c *conn) alive(ctx context.Context) bool {
	answer := make(chan error, 1)
	go func() {
		_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
		answer <- err
	}()
	select {
	case err := <-answer:
		if err != nil {
			c.close()
		}
		return err == nil
	case <-ctx.Done():
		return true // cannot be told, and nobody waits for it
	}
}

// opened is what an attempt to open a channel came to.
type opened[T io.Closer] struct {
	channel T
	err     error
}

// openChannel opens a channel without outliving ctx; a channel that opens too late is closed again. The library's own call cannot be
// interrupted.
func openChannel[T io.Closer](ctx context.Context, open func() (T, error)) (T, error) {
	ch := make(chan opened[T], 1)
	go func() {
		channel, err := open()
		ch <- opened[T]{channel, err}
	}()
	select {
	case o := <-ch:
		return o.channel, o.err
	case <-ctx.Done():
		go func() {
			if o := <-ch; o.err == nil {
				o.channel.Close()
			}
		}()
		var none T
		return none, ctx.Err()
	}
}

// exec runs a command, sends it stdin and hands what it prints to read, which may stop early. A status other than 0 is an
// *ExitError.
func (c *conn) exec(ctx context.Context, command string, stdin []byte, read func(io.Reader) error) error {
	name := c.target.Host
	release, err := acquire(ctx, c.sessions)
	if err != nil {
		return unreachable(name, fmt.Errorf("waiting for one of %d sessions: %w", sessionsPerHost, err))
	}
	defer release()
	session, err := openChannel(ctx, c.client.NewSession)
	if err != nil {
		return unreachable(name, err)
	}
	finished := make(chan struct{})
	defer close(finished)
	stop := context.AfterFunc(ctx, func() {
		// Closing the session says goodbye through the transport, which may be dead: then the whole connection goes.
		linger := time.AfterFunc(lingerSession, c.close)
		defer linger.Stop()
		session.Close()
		<-finished
	})
	defer stop()
	defer session.Close()

	stdout, err := session.StdoutPipe()
	if err != nil {
		return unreachable(name, err)
	}
	stderr := &tail{max: 4 << 10}
	session.Stderr = stderr
	session.Stdin = bytes.NewReader(stdin)
	if err := session.Start(command); err != nil {
		return unreachable(name, err)
	}
	readErr := read(stdout)
	if readErr != nil {
		session.Close()
	}
	_, _ = io.Copy(io.Discard, stdout) // else a full window would keep the command from ending
	err = session.Wait()
	var exit *ssh.ExitError
	switch {
	case ctx.Err() != nil:
		return unreachable(name, ctx.Err())
	case errors.As(err, &exit):
		return &ExitError{Host: name, Status: exit.ExitStatus(), Stderr: stderr.String()}
	case readErr != nil:
		return readErr
	case err != nil:
		return unreachable(name, err)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }

// Dial connects to an address as seen from the host. The connection has no deadlines of its own: end it with Close.
func (p *Pool) Dial(ctx context.Context, t activities.Target, network, addr string) (net.Conn, error) {
	var out net.Conn
	err := p.with(ctx, t, func(c *conn) error {
		release, err := acquire(ctx, c.forwards)
		if err != nil {
			return unreachable(t.Host, fmt.Errorf("waiting for one of %d connections through it: %w", forwardsPerHost, err))
		}
		nc, err := openChannel(ctx, func() (net.Conn, error) { return c.client.Dial(network, addr) })
		if err != nil {
			release()
			var refused *ssh.OpenChannelError
			switch {
			case !errors.As(err, &refused):
				return unreachable(t.Host, err)
			case refused.Reason == ssh.ConnectionFailed:
				return &RefusedError{Host: t.Host, Addr: addr, Cause: refused.Message}
			default:
				return &hostError{t.Host, fmt.Sprintf("its sshd does not connect us to %s: %s (AllowTcpForwarding, PermitOpen)", addr, refused.Message)}
			}
		}
		c.use()
		out = &forward{Conn: nc, end: sync.OnceFunc(func() { release(); c.done() })}
		return nil
	})
	return out, err
}

// forward is a connection through a host, which keeps its place until it is closed.
type forward struct {
	net.Conn
	end func()
}

func (f *forward) Close() error {
	defer f.end()
	return f.Conn.Close()
}
