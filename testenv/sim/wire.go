package sim

import (
	"context"
	"net"
	"sync"
)

// wire is what lies between a host and the others. A cut wire keeps every connection open and carries nothing, as a pulled cable
// or a dropping firewall does: the other side learns it from its own timer or not at all.
type wire struct {
	mu  sync.Mutex
	cut chan struct{} // nil: whole; else closed when it is whole again
}

func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		w.cut = make(chan struct{})
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut != nil {
		close(w.cut)
		w.cut = nil
	}
}

func (w *wire) whole() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut == nil
}

// wait returns when the wire is whole, or with ctx.
func (w *wire) wait(ctx context.Context) error {
	for {
		w.mu.Lock()
		cut := w.cut
		w.mu.Unlock()
		if cut == nil {
			return ctx.Err()
		}
		select {
		case <-cut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wired is a host's side of a connection.
type wired struct {
	net.Conn
	wire   *wire
	ctx    context.Context
	cancel context.CancelFunc
	onEnd  func()
	once   sync.Once
}

// overWire ends the connection's reads and writes with ctx, whatever the wire does. onEnd runs once, when it is closed.
func overWire(ctx context.Context, c net.Conn, w *wire, onEnd func()) *wired {
	wc := &wired{Conn: c, wire: w, onEnd: onEnd}
	wc.ctx, wc.cancel = context.WithCancel(ctx)
	return wc
}

func (c *wired) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	// What arrives, even the end, arrives only over a whole wire.
	if werr := c.wire.wait(c.ctx); werr != nil {
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *wired) Write(p []byte) (int, error) {
	if err := c.wire.wait(c.ctx); err != nil {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *wired) Close() error {
	c.cancel()
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.onEnd != nil {
			c.onEnd()
		}
	})
	return err
}

// abort closes so that the other side is told "connection reset", as by a host that has no memory of it.
func (c *wired) abort() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // best effort: without it the other side reads a clean end
	}
	c.Close()
}
