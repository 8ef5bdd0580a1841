package sshrun

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/rollpatch/rollpatch/activities"
)

// Options are how patient a [Pool] is. The zero value of each means its default.
type Options struct {
	// AgentSocket is the SSH agent's socket, asked for targets without an identity file.
	AgentSocket string
	// ConnectTimeout bounds the TCP connection; default 4 s, in which a lost first packet is sent twice more.
	ConnectTimeout time.Duration
	// HandshakeTimeout bounds everything from the TCP connection to being logged in; default 15 s.
	HandshakeTimeout time.Duration
	// KeepAlive is how often an open connection is asked for a sign of life, and how long it may take, times two; default 5 s.
	KeepAlive time.Duration
	// Idle is how long an unused connection is kept; default 1 min. A soak asks each host every few minutes for days.
	Idle time.Duration
	// Handshakes bounds handshakes at once over all hosts; default 8, below the limit where sshd starts to drop them (a bastion
	// gets all of them).
	Handshakes int
	// MaxOutput bounds what is taken from a query, and from each stream of a run; default 8 MiB.
	MaxOutput int
}

const (
	// sessionsPerHost stays below sshd's MaxSessions (10), which an operator's own sessions do not count against.
	sessionsPerHost = 4
	// forwardsPerHost bounds connections through a host. They do not count as sessions there, and HTTP clients keep idle ones: with
	// one limit for both, a few of those would keep a run from being followed.
	forwardsPerHost = 16
	// dialsAtOnce bounds TCP connections being made, which cost the other side nothing yet.
	dialsAtOnce = 64
	// firstPause and the others space attempts to connect. A host that is down is asked often, because it may be out of service
	// for as long as nobody notices that it is back. A host whose sshd answered and dropped us is not: newer ones count such
	// attempts and lock the source out.
	firstPause    = 200 * time.Millisecond
	maxPause      = time.Second
	firstPenalty  = 500 * time.Millisecond
	maxPenalty    = 15 * time.Second
	lingerSession = 2 * time.Second
)

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.ConnectTimeout, 4*time.Second)
	def(&o.HandshakeTimeout, 15*time.Second)
	def(&o.KeepAlive, 5*time.Second)
	def(&o.Idle, time.Minute)
	if o.Handshakes == 0 {
		o.Handshakes = 8
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = 8 << 20
	}
	return o
}

// Pool keeps one connection per host. It is safe for concurrent use.
type Pool struct {
	o          Options
	keys       knownKeys
	dials      chan struct{}
	handshakes chan struct{}

	mu     sync.Mutex
	hosts  map[string]*host
	closed bool
}

// host is what the pool knows of one host.
type host struct {
	attempt chan struct{} // held by who connects: one at a time

	mu       sync.Mutex
	conn     *conn
	pause    time.Duration
	notUntil time.Time
	failed   failure // the last attempt, if it was one
}

type failure struct {
	target activities.Target
	err    error
}

// New makes an empty pool. End it with [Pool.Shutdown].
func New(o Options) *Pool {
	o = o.withDefaults()
	return &Pool{
		o:          o,
		dials:      make(chan struct{}, dialsAtOnce),
		handshakes: make(chan struct{}, o.Handshakes),
		hosts:      map[string]*host{},
	}
}

// Shutdown drops all connections; the pool makes no new ones.
func (p *Pool) Shutdown() {
	p.mu.Lock()
	p.closed = true
	hosts := p.hosts
	p.hosts = map[string]*host{}
	p.mu.Unlock()
	for _, h := range hosts {
		h.replace(nil)
	}
}

func (p *Pool) host(name string) (*host, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the pool of connections is shut down")
	}
	h := p.hosts[name]
	if h == nil {
		h = &host{attempt: make(chan struct{}, 1)}
		p.hosts[name] = h
	}
	return h, nil
}

// live returns the host's connection when it leads to the same target and has not ended.
func (h *host) live(t activities.Target) *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil || h.conn.target != t || !h.conn.use() {
		return nil
	}
	return h.conn
}

// replace puts c in place of the host's connection, which ends.
func (h *host) replace(c *conn) {
	h.mu.Lock()
	old := h.conn
	h.conn = c
	h.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// note spaces the next attempt after what became of the last.
func (h *host) note(t activities.Target, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !errors.Is(err, context.Canceled) { // that says nothing about the host
		h.failed = failure{t, err}
	}
	if err == nil {
		h.pause = 0
		h.notUntil = time.Time{}
		return
	}
	first, limit := firstPause, maxPause
	var network *net.OpError
	if !errors.As(err, &network) || network.Op != "dial" {
		first, limit = firstPenalty, maxPenalty
	}
	h.pause = min(max(2*h.pause, first), limit)
	// Jitter: hosts that went together are not asked together.
	h.notUntil = time.Now().Add(h.pause/2 + rand.N(h.pause/2))
}

// late is what those hear whose time is over before it is their turn: what became of the attempt before. Else every other answer
// would be of the time, and not of the cause.
func (h *host) late(t activities.Target, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed.err != nil && h.failed.target == t {
		return h.failed.err
	}
	return unreachable(t.Host, err)
}

func (h *host) wait(ctx context.Context) error {
	h.mu.Lock()
	d := time.Until(h.notUntil)
	h.mu.Unlock()
	return sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acquire takes a place in a semaphore.
func acquire(ctx context.Context, places chan struct{}) (release func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open returns a connection that is in use until its done is called, and whether it was there already. A fresh one takes the
// place of the pooled one, which may be dead without having noticed.
func (p *Pool) open(ctx context.Context, t activities.Target, fresh bool) (c *conn, reused bool, err error) {
	h, err := p.host(t.Host)
	if err != nil {
		return nil, false, err
	}
	if !fresh {
		if c := h.live(t); c != nil {
			return c, true, nil
		}
	}
	release, err := acquire(ctx, h.attempt)
	if err != nil {
		return nil, false, h.late(t, err)
	}
	defer release()
	if !fresh {
		if c := h.live(t); c != nil {
			return c, true, nil
		}
	}
	if err := h.wait(ctx); err != nil {
		return nil, false, h.late(t, err)
	}
	c, err = p.connect(ctx, t)
	h.note(t, err)
	if err != nil {
		return nil, false, err
	}
	c.use()
	h.replace(c)
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		// Shutdown came in between and has not seen this one.
		h.replace(nil)
	}
	return c, false, nil
}

// with calls f with a connection; once more when a pooled one turned out to be dead. Only for what may be done twice.
func (p *Pool) with(ctx context.Context, t activities.Target, f func(*conn) error) error {
	for again := false; ; again = true {
		c, reused, err := p.open(ctx, t, false)
		if err != nil {
			return err
		}
		err = f(c)
		lost := !again && reused && errors.Is(err, ErrUnreachable) && ctx.Err() == nil && !c.alive(ctx)
		c.done()
		if !lost {
			return err
		}
	}
}
