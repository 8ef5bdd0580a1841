package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

var web1 = activities.Target{Host: "web-1"}

// errLost is what the way to a host says when it breaks.
var errLost = errors.New(`host "web-1": unreachable`)

// exitError is a program's status, as the way to a host tells it.
type exitError struct {
	status int
	stderr string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("host \"web-1\": exit status %d: %s", e.status, e.stderr)
}
func (e *exitError) ExitStatus() int { return e.status }

// refusedError is the host's word that nobody listens.
type refusedError struct{ error }

func (refusedError) Refused() bool { return true }

// machine is a host: scripts and commands run here under a real sh, with the given programs first in its path; its ports are ours.
type machine struct {
	t     *testing.T
	path  string
	lost  atomic.Bool  // the way to it is broken
	dials atomic.Int64 // connections asked for
	// dial answers instead, when set.
	dial func(ctx context.Context, addr string) (net.Conn, error)
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, path: t.TempDir()}
}

// program puts a program into the machine's path.
func (m *machine) program(name, body string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.path, name), []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) run(ctx context.Context, stdin []byte, env map[string]string, argv ...string) ([]byte, error) {
	if m.lost.Load() {
		return nil, errLost
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = []string{"PATH=" + m.path + ":" + os.Getenv("PATH")}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, &exitError{exit.ExitCode(), strings.TrimSpace(stderr.String())}
	}
	return out, err
}

func (m *machine) Query(ctx context.Context, _ activities.Target, script []byte, env map[string]string) ([]byte, error) {
	return m.run(ctx, script, env, "sh", "-s")
}

func (m *machine) Command(ctx context.Context, _ activities.Target, argv []string) ([]byte, error) {
	return m.run(ctx, nil, nil, append([]string{"env"}, argv...)...)
}

func (m *machine) Dial(ctx context.Context, _ activities.Target, network, addr string) (net.Conn, error) {
	m.dials.Add(1)
	if m.lost.Load() {
		return nil, errLost
	}
	if m.dial != nil {
		return m.dial(ctx, addr)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, refusedError{fmt.Errorf("host \"web-1\": connect to %s from there: connection refused", addr)}
	}
	return conn, err
}

func (m *machine) prober() *Prober {
	p := New(m, m)
	p.check = 300 * time.Millisecond
	return p
}

// want is what a check must come to: a verdict and part of its reason, or part of an error.
type want struct {
	ok     bool
	reason string
	err    string
}

func (w want) judge(t *testing.T, says string, ok bool, reason string, err error) {
	t.Helper()
	switch {
	case w.err != "":
		if err == nil || !strings.Contains(err.Error(), w.err) {
			t.Errorf("%s: Probe = %v, %q, %v, want an error with %q", says, ok, reason, err, w.err)
		}
	case err != nil || ok != w.ok || !strings.Contains(reason, w.reason):
		t.Errorf("%s: Probe = %v, %q, %v, want %v with %q", says, ok, reason, err, w.ok, w.reason)
	}
	if strings.Contains(reason, "\n") || len(reason) > reasonLimit+3 {
		t.Errorf("%s: the reason %q is not one short line", says, reason)
	}
}

func TestUnit(t *testing.T) {
	for _, row := range []struct {
		says, systemctl string
		want            want
	}{
		{"active is healthy", `[ "$*" = "is-active -- nginx.service" ] || exit 9; echo active`, want{ok: true, reason: "active"}},
		{"failed is not", "echo failed; exit 3", want{reason: "nginx.service is failed"}},
		{"on its way is not there yet", "echo activating; exit 3", want{reason: "nginx.service is activating"}},
		{"a unit that nobody knows is not healthy", "echo inactive; exit 4", want{reason: "nginx.service is inactive"}},
		{"a systemd that does not answer says nothing", "echo 'Failed to connect to bus' >&2; exit 1", want{err: "no state"}},
		{"no systemctl says nothing", "exit 127", want{err: "no state"}},
	} {
		m := newMachine(t)
		m.program("systemctl", row.systemctl)
		ok, reason, err := m.prober().Probe(t.Context(), web1, inventory.Check{Name: "nginx", Unit: "nginx.service"})
		row.want.judge(t, row.says, ok, reason, err)
	}
	m := newMachine(t)
	m.program("systemctl", "echo active")
	m.lost.Store(true)
	ok, reason, err := m.prober().Probe(t.Context(), web1, inventory.Check{Name: "nginx", Unit: "nginx.service"})
	want{err: `check "nginx": host "web-1": unreachable`}.judge(t, "a host that is not reached says nothing", ok, reason, err)
}

func TestCommand(t *testing.T) {
	for _, row := range []struct {
		says string
		argv []string
		want want
	}{
		{"status 0 is healthy", []string{"echo", "PONG"}, want{ok: true, reason: "PONG"}},
		{"its arguments are words, not shell", []string{"printf", "%s", "a b; $(exit 1) 'c'"}, want{ok: true, reason: "a b; $(exit 1) 'c'"}},
		{"another status is not", []string{"sh", "-c", "echo no server >&2; exit 3"}, want{reason: "exit status 3: no server"}},
		{"a program that is not there any more is not", []string{"redis-cli-that-is-gone"}, want{reason: "exit status 127"}},
		{"one that does not end is not", []string{"sleep", "60"}, want{reason: "sleep did not end within 1s"}},
		{"a long message is cut", []string{"sh", "-c", "yes long message | head -n 1000 >&2; exit 1"}, want{reason: "..."}},
	} {
		ok, reason, err := newMachine(t).prober().Probe(t.Context(), web1, inventory.Check{Name: "ping", Command: row.argv})
		row.want.judge(t, row.says, ok, reason, err)
	}
	m := newMachine(t)
	m.lost.Store(true)
	ok, reason, err := m.prober().Probe(t.Context(), web1, inventory.Check{Name: "ping", Command: []string{"true"}})
	want{err: "unreachable"}.judge(t, "a host that is not reached says nothing", ok, reason, err)
	m = newMachine(t)
	m.program("timeout", "exit 125")
	ok, reason, err = m.prober().Probe(t.Context(), web1, inventory.Check{Name: "ping", Command: []string{"true"}})
	want{err: "exit status 125"}.judge(t, "a command that could not be started says nothing", ok, reason, err)
}

// service listens and hands each connection to serve.
func service(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// closed is an address where nobody listens any more.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func hang(ctx context.Context, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }

func TestTCP(t *testing.T) {
	open := service(t, func(net.Conn) {})
	for _, row := range []struct {
		says    string
		addr    string
		prepare func(*machine)
		dials   int64
		want    want
	}{
		{"a port that accepts is healthy", open, nil, 1, want{ok: true, reason: open + " accepts connections"}},
		{"a port that refuses is not", closed(t), nil, 1, want{reason: "connection refused"}},
		{"a port that does not answer is not, while its host does", open, func(m *machine) { m.dial = hang }, 2, want{reason: "no connection to " + open + " within 300ms"}},
		{"a port that answers the second time is healthy", open, func(m *machine) {
			m.dial = func(ctx context.Context, addr string) (net.Conn, error) { m.dial = nil; return hang(ctx, addr) }
		}, 2, want{ok: true}},
		{"a host that is not reached says nothing", open, func(m *machine) { m.lost.Store(true) }, 1, want{err: "unreachable"}},
		{"a host that is lost in the middle says nothing", open, func(m *machine) {
			m.dial = func(ctx context.Context, addr string) (net.Conn, error) { m.lost.Store(true); return hang(ctx, addr) }
		}, 1, want{err: "the host does not answer"}},
		{"an sshd that does not forward says nothing", open, func(m *machine) {
			m.dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("administratively prohibited") }
		}, 1, want{err: "prohibited"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			m := newMachine(t)
			if row.prepare != nil {
				row.prepare(m)
			}
			ok, reason, err := m.prober().Probe(t.Context(), web1, inventory.Check{Name: "port", TCP: row.addr})
			row.want.judge(t, row.says, ok, reason, err)
			if got := m.dials.Load(); got != row.dials {
				t.Errorf("connected %d times, want %d", got, row.dials)
			}
		})
	}
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "lab-web 1.1 for %s %s", r.Method, r.Host)
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "lab-web 1") // the fault is the point
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		for range bodyLimit / 1024 {
			_, _ = io.WriteString(w, strings.Repeat("x", 1024)) // the reader may have had enough
		}
		_, _ = io.WriteString(w, "the end")
	})
	var once atomic.Bool
	mux.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) {
		if once.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about the client, as it should
	secure.StartTLS()
	t.Cleanup(secure.Close)
	other := service(t, func(c net.Conn) {
		if _, err := c.Read(make([]byte, 1024)); err == nil {
			_, _ = io.WriteString(c, "-ERR wrong kind of talk\r\n") // a client that is gone needs no answer
		}
	})

	for _, row := range []struct {
		says    string
		check   inventory.HTTPCheck
		prepare func(*machine)
		want    want
	}{
		{"the default is 200", inventory.HTTPCheck{URL: srv.URL}, nil, want{ok: true, reason: "status 200"}},
		{"the page must contain what is asked for", inventory.HTTPCheck{URL: srv.URL, Body: "lab-web 1.1 for GET 127.0.0.1"}, nil, want{ok: true, reason: "status 200 with"}},
		{"another page is not healthy", inventory.HTTPCheck{URL: srv.URL, Body: "lab-web 1.2"}, nil, want{reason: `does not contain "lab-web 1.2"`}},
		{"another status is not healthy", inventory.HTTPCheck{URL: srv.URL + "/bad"}, nil, want{reason: "status 502, want 200"}},
		{"a redirect is the status that it is", inventory.HTTPCheck{URL: srv.URL + "/moved"}, nil, want{reason: "status 302, want 200"}},
		{"a redirect can be what is wanted", inventory.HTTPCheck{URL: srv.URL + "/moved", Status: 302}, nil, want{ok: true, reason: "status 302"}},
		{"nobody there is not healthy", inventory.HTTPCheck{URL: "http://" + closed(t)}, nil, want{reason: "connection refused"}},
		{"no answer is not healthy, while the host answers", inventory.HTTPCheck{URL: srv.URL + "/slow"}, nil, want{reason: "no answer within 300ms"}},
		{"a connection that is cut is not healthy, while the host answers", inventory.HTTPCheck{URL: srv.URL + "/cut"}, nil, want{reason: "no good answer: EOF"}},
		{"a page that is cut is not healthy", inventory.HTTPCheck{URL: srv.URL + "/short", Body: "lab-web 1.1"}, nil, want{reason: "unexpected EOF"}},
		{"a page that is cut after what is asked for is", inventory.HTTPCheck{URL: srv.URL + "/short", Body: "lab-web 1"}, nil, want{ok: true}},
		{"a page without an end is not searched for ever", inventory.HTTPCheck{URL: srv.URL + "/long", Body: "the end"}, nil, want{reason: "does not contain"}},
		{"the second answer counts when the first was lost", inventory.HTTPCheck{URL: srv.URL + "/once", Status: http.StatusTeapot}, nil, want{ok: true}},
		{"something that is no HTTP is not healthy", inventory.HTTPCheck{URL: "http://" + other}, nil, want{reason: "malformed HTTP"}},
		{"a certificate that nobody vouches for is not healthy", inventory.HTTPCheck{URL: secure.URL}, nil, want{reason: "certificate"}},
		{"a host that is not reached says nothing", inventory.HTTPCheck{URL: srv.URL}, func(m *machine) { m.lost.Store(true) }, want{err: "unreachable"}},
		{"a host that is lost while it answers says nothing", inventory.HTTPCheck{URL: srv.URL}, func(m *machine) {
			m.dial = func(context.Context, string) (net.Conn, error) {
				near, far := net.Pipe()
				m.lost.Store(true)
				far.Close()
				return near, nil
			}
		}, want{err: "the host does not answer"}},
		{"the port is the scheme's own", inventory.HTTPCheck{URL: "https://page.example.org/x"}, func(m *machine) {
			m.dial = func(_ context.Context, addr string) (net.Conn, error) {
				return nil, refusedError{errors.New("nobody at " + addr)}
			}
		}, want{reason: "nobody at page.example.org:443"}},
	} {
		t.Run(row.says, func(t *testing.T) {
			m := newMachine(t)
			if row.prepare != nil {
				row.prepare(m)
			}
			ok, reason, err := m.prober().Probe(t.Context(), web1, inventory.Check{Name: "page", HTTP: &row.check})
			row.want.judge(t, row.says, ok, reason, err)
		})
	}
}

func TestWhoGaveUpHearsNothingOfHealth(t *testing.T) {
	addr := service(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	m := newMachine(t)
	for name, c := range map[string]inventory.Check{"tcp": {TCP: addr}, "http": {HTTP: &inventory.HTTPCheck{URL: "http://" + addr}}} {
		ctx, cancel := context.WithCancel(t.Context())
		m.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if ok, reason, err := m.prober().Probe(ctx, web1, c); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Probe = %v, %q, %v, want context.Canceled", name, ok, reason, err)
		}
	}
}

func TestACheckOfNothingIsAnError(t *testing.T) {
	if ok, _, err := newMachine(t).prober().Probe(t.Context(), web1, inventory.Check{Name: "nothing"}); err == nil {
		t.Errorf("Probe of a check without a kind = %v, want an error", ok)
	}
}

func TestConnections(t *testing.T) {
	const line = "0      0      10.0.0.1:80    10.0.0.9:51234"
	for _, row := range []struct {
		says  string
		ss    string
		ports []int
		want  int
		err   string
	}{
		{"no line is no connection", `[ "$*" = "-Htn state established ( sport = :80 or sport = :443 )" ] || exit 9`, []int{80, 443}, 0, ""},
		{"a line is a connection", "echo '" + line + "'; echo '" + line + "'", []int{80}, 2, ""},
		{"without ss it is not known", "exit 127", []int{80}, 0, "connections: "},
		{"half an answer is none", "echo '" + line + "'; exit 1", []int{80}, 0, "connections: "},
		{"without ports there is nothing to count", "true", nil, 0, "no port"},
	} {
		m := newMachine(t)
		m.program("ss", row.ss)
		got, err := m.prober().Connections(t.Context(), web1, row.ports)
		if got != row.want || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: Connections = %d, %v, want %d, error %q", row.says, got, err, row.want, row.err)
		}
	}
	m := newMachine(t)
	m.lost.Store(true)
	if got, err := m.prober().Connections(t.Context(), web1, []int{80}); !errors.Is(err, errLost) {
		t.Errorf("Connections of a host that is not reached = %d, %v, want %v", got, err, errLost)
	}
}

// The real ss, where there is one: the filter must mean what we think.
func TestConnectionsOfTheRealSS(t *testing.T) {
	if _, err := exec.LookPath("ss"); err != nil {
		t.Skip("no ss here (iproute2): the filter is proven on the lab's hosts only")
	}
	addr := service(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(text, &port); err != nil {
		t.Fatal(err)
	}
	p := newMachine(t).prober()
	for n := range 3 {
		if got, err := p.Connections(t.Context(), web1, []int{port, 9}); err != nil || got != n {
			t.Errorf("Connections = %d, %v, want %d", got, err, n)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
}
