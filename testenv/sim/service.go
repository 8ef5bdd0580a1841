package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/zap"
)

const consulPort = 8500

// pageBytes is the size of the page whatever the version and the host, so that whoever reads half of it can tell.
const pageBytes = 512

// dialService connects to one of the host's ports, from itself or from outside.
func (h *host) dialService(ctx context.Context, port int, remote bool) (net.Conn, error) {
	refused := fmt.Errorf("connect to %s port %d: connection refused", h.name, port)
	if remote {
		// A host without network or power does not even refuse.
		if err := h.wire.wait(ctx); err != nil {
			return nil, fmt.Errorf("connect to %s port %d: connection timed out", h.name, port)
		}
	}
	b := h.current()
	if b == nil {
		return nil, refused
	}
	w := &wire{}
	if remote {
		w = &h.wire
	}
	if port == consulPort {
		if remote {
			return nil, refused // the agent listens on the host's loopback only
		}
		client, server := net.Pipe()
		return client, h.fleet.agents.serve(tagged{overWire(b.ctx, server, w, nil), h})
	}
	for _, s := range h.services {
		if s.port != port || !h.servicesUp() || !h.unitActive(s.unit()) {
			continue
		}
		client, server := net.Pipe()
		var c *wired
		c = overWire(b.ctx, server, w, func() {
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		if s.kind == Redis {
			go serveRedis(c)
			return client, nil
		}
		return client, h.fleet.pages.serve(tagged{c, h})
	}
	return nil, refused
}

// unit is the systemd unit that offers the service.
func (s *service) unit() string {
	if s.kind == Redis {
		return "redis-server.service"
	}
	return "nginx.service"
}

// serviceHealth is what Consul's agent on the host finds when it checks the service.
func (h *host) serviceHealth(name string) (status, output string) {
	for _, s := range h.services {
		if s.name != name {
			continue
		}
		if !h.servicesUp() || !h.unitActive(s.unit()) {
			return api.HealthCritical, fmt.Sprintf("dial tcp 127.0.0.1:%d: connect: connection refused", s.port)
		}
		if s.kind == Redis {
			return api.HealthPassing, "TCP connect: Success"
		}
		if code, body := h.pkgs.answer("/healthz"); code != http.StatusOK {
			return api.HealthCritical, fmt.Sprintf("HTTP GET http://127.0.0.1:%d/healthz: %d %s Output: %s", s.port, code, http.StatusText(code), body)
		}
		return api.HealthPassing, fmt.Sprintf("HTTP GET http://127.0.0.1:%d/healthz: 200 OK Output: ok\n", s.port)
	}
	return api.HealthCritical, "no such service"
}

// pages is every host's nginx.
func pages() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body := hostOf(r.Context()).pkgs.answer(r.URL.Path)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body) // a client that is gone needs no answer
	})
}

func serveRedis(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.ToUpper(strings.TrimSpace(line))
		var n int
		if _, err := fmt.Sscanf(line, "*%d", &n); err == nil {
			var words []string
			for range n {
				if _, err := r.ReadString('\n'); err != nil { // $length
					return
				}
				word, err := r.ReadString('\n')
				if err != nil {
					return
				}
				words = append(words, strings.ToUpper(strings.TrimSpace(word)))
			}
			line = strings.Join(words, " ")
		}
		answer := fmt.Sprintf("-ERR unknown command '%s'\r\n", line)
		switch line {
		case "":
			continue
		case "PING":
			answer = "+PONG\r\n"
		case "QUIT":
			answer = "+OK\r\n"
		}
		if _, err := io.WriteString(c, answer); err != nil || line == "QUIT" {
			return
		}
	}
}

// tagged is a connection to a server of a certain host.
type tagged struct {
	net.Conn
	host *host
}

type hostKeyType struct{}

// hostOf is the host whose server is asked; nil where it is none of the fleet's.
func hostOf(ctx context.Context) *host {
	h, _ := ctx.Value(hostKeyType{}).(*host)
	return h
}

// memServer is one HTTP server for the connections of all hosts, which are made in memory.
type memServer struct {
	srv   *http.Server
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	tcp   net.Listener
	wg    sync.WaitGroup
}

func newMemServer(handler http.Handler) *memServer {
	m := &memServer{conns: make(chan net.Conn), done: make(chan struct{})}
	m.srv = &http.Server{
		Handler: handler,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(tagged); ok {
				return context.WithValue(ctx, hostKeyType{}, t.host)
			}
			return ctx
		},
		ErrorLog: zap.NewStdLog(zap.NewNop()), // clients that go away in mid-answer are what the fleet is for
	}
	m.run(m)
	return m
}

func (m *memServer) run(ln net.Listener) {
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		_ = m.srv.Serve(ln) // ends with close, and says so
	}()
}

// listen lets the server answer on a real address too.
func (m *memServer) listen(addr string) (err error) {
	if m.tcp, err = net.Listen("tcp", addr); err == nil {
		m.run(m.tcp)
	}
	return err
}

func (m *memServer) serve(c net.Conn) error {
	select {
	case m.conns <- c:
		return nil
	case <-m.done:
		c.Close()
		return net.ErrClosed
	}
}

// Accept, Close and Addr make it a listener to its own server.
func (m *memServer) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memServer) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

func (m *memServer) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (m *memServer) close() {
	m.Close()
	m.srv.Close()
	m.wg.Wait()
}

// balancer is the way of the users to the page: each request goes to the next instance that Consul lists as passing, once. An
// instance that fails it is not made up for by another.
type balancer struct {
	fleet   *Fleet
	service string
	ln      net.Listener
	srv     *http.Server
	next    atomic.Uint64
	wg      sync.WaitGroup
}

func (f *Fleet) serveBalancer(addr string) (*balancer, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	b := &balancer{fleet: f}
	port := 0
	for _, c := range f.clusters {
		if c.kind() == Page {
			b.service, port = c.service(), c.port()
			break
		}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	b.ln = ln
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.Context().Value(backend{}).(*host).name})
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				name, _, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return f.byName[name].dialService(ctx, port, true)
			},
			// A kept connection to a host that was taken out would still be used.
			DisableKeepAlives:     true,
			ResponseHeaderTimeout: 2 * time.Second,
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
		ErrorLog: zap.NewStdLog(zap.NewNop()), // whoever counts failed requests sees them
	}
	b.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts := f.consul.passing(b.service)
		if len(hosts) == 0 {
			http.Error(w, "no instance is passing", http.StatusServiceUnavailable)
			return
		}
		h := hosts[b.next.Add(1)%uint64(len(hosts))]
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), backend{}, h)))
	})}
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		if err := b.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			f.log.Error("simulated load balancer ended: " + err.Error())
		}
	}()
	return b, nil
}

type backend struct{}

func (b *balancer) url() string { return "http://" + b.ln.Addr().String() + "/" }

func (b *balancer) close() {
	b.srv.Close()
	b.wg.Wait()
}
