package sshrun

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/rollpatch/rollpatch/activities"
)

func (h *testHost) loginCount() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logins
}

func TestQuery(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	ctx := within(t, 20*time.Second)
	env := map[string]string{"ROLLPATCH_NAMES": "a b\n\t'c' \"d\" $HOME `id` \\ é\n"}
	out, err := p.Query(ctx, h.target(), []byte("printf '%s' \"$ROLLPATCH_NAMES\"; cat; echo on stderr >&2"), env)
	if err != nil || string(out) != env["ROLLPATCH_NAMES"] {
		t.Errorf("Query() = %q, %v, want the argument back, and nothing from stdin", out, err)
	}
	_, err = p.Query(ctx, h.target(), []byte("echo half; echo no such package >&2; exit 12"), nil)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 12 || exit.Stderr != "no such package\n" || string(exit.Stdout) != "half\n" {
		t.Errorf("Query() = %+v, want exit status 12 with what it said", err)
	}
	if got := err.Error(); got != `host "web-1": exit status 12: no such package` {
		t.Errorf("Error() = %s", got)
	}
	if _, err := newPool(t, Options{MaxOutput: 100}).Query(ctx, h.target(), []byte("head -c 1000000 /dev/zero"), nil); err == nil || !strings.Contains(err.Error(), "more than 100 bytes") {
		t.Errorf("Query() of much output = %v", err)
	}
	out, err = p.Command(ctx, h.target(), []string{"printf", "%s|", "a b", "", "'", "$HOME"})
	if err != nil || string(out) != "a b||'|$HOME|" {
		t.Errorf("Command() = %q, %v", out, err)
	}
	if n := h.loginCount(); n != 2 {
		t.Errorf("%d logins, want one per pool", n)
	}
}

func TestBootIDUsesANewConnection(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	ctx := within(t, 20*time.Second)
	for n := 1; n <= 3; n++ {
		want := h.boot(n)
		if got, err := p.BootID(ctx, h.target()); err != nil || got != want {
			t.Errorf("BootID() = %q, %v, want %q", got, err, want)
		}
		if got := h.loginCount(); got != n {
			t.Errorf("%d logins after %d questions", got, n)
		}
	}
	for _, text := range []string{"", "sudo: a password is required\n", "00000000-0000-4000-8000-00000000000\n", "00000000-0000-4000-8000-000000000001\nmore\n"} {
		writeFile(t, filepath.Join(h.dir, "proc/sys/kernel/random/boot_id"), text, 0o644)
		if got, err := p.BootID(ctx, h.target()); err == nil {
			t.Errorf("BootID() of %q = %q, want an error", text, got)
		}
	}
}

// A host that lets us in and says nothing is not waited for without end.
func TestBootIDOfAHostThatIsSilent(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{HandshakeTimeout: 2 * time.Second})
	path := filepath.Join(h.dir, "proc/sys/kernel/random/boot_id")
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644)); err != nil { // who reads it waits for somebody to write
		t.Fatal(err)
	}
	_, err := p.BootID(within(t, 60*time.Second), h.target())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "it let us in, and its shell did not answer within 2s") {
		t.Errorf("BootID() = %v, want that it is silent", err)
	}
}

func TestHostKeys(t *testing.T) {
	h := newTestHost(t)
	ctx := within(t, 60*time.Second)
	ask := func() error {
		p := New(Options{})
		defer p.Shutdown()
		_, err := p.BootID(ctx, h.target())
		return err
	}
	want := func(name string, changed bool, text string) {
		t.Helper()
		var key *HostKeyError
		if err := ask(); !errors.As(err, &key) || key.Changed != changed || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want *HostKeyError with Changed %v that says %q", name, err, changed, text)
		}
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	before := h.loginCount()
	h.newKey()
	want("changed", true, "ssh-keygen -f "+h.known+" -R")
	h.trust()
	host, port, _ := net.SplitHostPort(h.addr())
	want("unknown", false, fmt.Sprintf("; ssh-keyscan -p %s %s >>%s", port, host, h.known))
	key := h.newKey()
	h.trust(key)
	writeFile(t, h.known, "@revoked * "+string(ssh.MarshalAuthorizedKey(key)), 0o600)
	want("revoked", true, "revoked by")
	if err := os.Remove(h.known); err != nil {
		t.Fatal(err)
	}
	want("no file", false, "no such file")
	if h.loginCount() != before {
		t.Error("logged in to a host that did not prove who it is")
	}
}

// A host has several keys, and which of them is known must decide which is asked for.
func TestKnownKeyOfAnotherKindThanTheLibraryPrefers(t *testing.T) {
	h := newTestHost(t)
	known := h.newKey() // ed25519
	path := filepath.Join(t.TempDir(), "ecdsa")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	h.set(func() { h.config.AddHostKey(signer) })
	for _, key := range []ssh.PublicKey{known, signer.PublicKey()} {
		h.trust(key)
		if _, err := newPool(t, Options{}).BootID(within(t, 20*time.Second), h.target()); err != nil {
			t.Errorf("only %s is known: %v", key.Type(), err)
		}
	}
}

func TestHostWithoutAKeyOfTheKnownKind(t *testing.T) {
	h := newTestHost(t)
	path := filepath.Join(t.TempDir(), "ecdsa")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	h.trust(signer.PublicKey())
	var key *HostKeyError
	if _, err := newPool(t, Options{}).BootID(within(t, 20*time.Second), h.target()); !errors.As(err, &key) || !key.Changed {
		t.Errorf("BootID() = %v, want *HostKeyError", err)
	}
}

func TestLoggingIn(t *testing.T) {
	h := newTestHost(t)
	ctx := within(t, 60*time.Second)
	ask := func(o Options, change func(*activities.Target)) error {
		p := New(o)
		defer p.Shutdown()
		target := h.target()
		change(&target)
		_, err := p.BootID(ctx, target)
		return err
	}
	other := filepath.Join(t.TempDir(), "id")
	locked := filepath.Join(t.TempDir(), "id")
	for path, passphrase := range map[string]string{other: "", locked: "secret"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, c := range []struct {
		name, identity, want string
	}{
		{"a key that is not known there", other, "none of our keys is accepted"},
		{"a key with a passphrase", locked, "has a passphrase: add it to the SSH agent"},
		{"no such key", other + ".absent", "no such file"},
		{"not a key", h.known, "is not a private key"},
		{"no key and no agent", "", "no identity_file, and no SSH agent"},
	} {
		var auth *AuthError
		err := ask(Options{}, func(t *activities.Target) { t.Access.IdentityFile = c.identity })
		if !errors.As(err, &auth) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want *AuthError that says %q", c.name, err, c.want)
		}
	}

	raw, err := os.ReadFile(h.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keyring, nc); nc.Close() }()
		}
	}()
	if err := ask(Options{AgentSocket: socket}, func(t *activities.Target) { t.Access.IdentityFile = "" }); err != nil {
		t.Errorf("by agent: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{HandshakeTimeout: 300 * time.Millisecond})
	h.set(func() { h.silent = true })
	began := time.Now()
	if _, err := p.BootID(within(t, 20*time.Second), h.target()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a host that accepts and says nothing: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("given up after %v, want about 300 ms", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newPool(t, Options{}).BootID(ctx, h.target()); !errors.Is(err, ErrUnreachable) || time.Since(began) > 10*time.Second {
		t.Errorf("a context that ends in the handshake: %v", err)
	}
	h.stop()
	if _, err := newPool(t, Options{}).BootID(within(t, 20*time.Second), h.target()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestDeadConnectionIsNoticed(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{KeepAlive: 50 * time.Millisecond})
	ctx := within(t, 60*time.Second)
	if _, err := p.BootID(ctx, h.target()); err != nil {
		t.Fatal(err)
	}
	h.set(func() { h.ignores = true })
	_, err := p.Query(ctx, h.target(), []byte("sleep 20"), nil)
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("a host that stops answering: %v, want that nothing is known", err)
	}
	h.set(func() { h.ignores = false })
	h.cut()
	if out, err := p.Query(ctx, h.target(), []byte("echo back"), nil); err != nil || string(out) != "back\n" {
		t.Errorf("after a cut: %q, %v, want a new connection", out, err)
	}
}

func TestContextEndsAQuery(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	go func() {
		eventually(t, "the script runs", func() bool { return h.file("runs") != "" })
		close(began)
		cancel()
	}()
	_, err := p.Query(ctx, h.target(), []byte("echo x >\"$ROLLPATCH_ROOT/runs\"; sleep 20"), nil)
	<-began
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Query() = %v", err)
	}
	if _, err := p.Query(within(t, 20*time.Second), h.target(), []byte("true"), nil); err != nil || h.loginCount() != 1 {
		t.Errorf("the next on the same connection: %v, %d logins", err, h.loginCount())
	}
}

func TestSessionsAtOnce(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	script := []byte("mkdir \"$ROLLPATCH_ROOT/s.$$\"; ls -d \"$ROLLPATCH_ROOT\"/s.* | wc -l; sleep 0.1; rmdir \"$ROLLPATCH_ROOT/s.$$\"")
	var most atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			out, err := p.Query(within(t, 60*time.Second), h.target(), script, nil)
			var n int32
			if _, scanErr := fmt.Sscan(string(out), &n); err != nil || scanErr != nil {
				t.Errorf("Query() = %q, %v, %v", out, err, scanErr)
			}
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n < 2 || n > sessionsPerHost {
		t.Errorf("%d at once, want more than one and at most %d", n, sessionsPerHost)
	}
	if n := h.loginCount(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestDialThroughAHost(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(nc, "hello")
			nc.Close()
		}
	}()
	addr := l.Addr().String()
	ctx := within(t, 20*time.Second)
	for range 2 * forwardsPerHost { // each gives its place back
		nc, err := p.Dial(ctx, h.target(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(nc)
		if string(got) != "hello" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		nc.Close()
	}
	l.Close()
	var refused *RefusedError
	if _, err := p.Dial(ctx, h.target(), "tcp", addr); !errors.As(err, &refused) || errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens there: %v, want *RefusedError", err)
	}
	h.stop()
	if _, err := p.Dial(ctx, h.target(), "tcp", addr); !errors.Is(err, ErrUnreachable) {
		t.Errorf("the host is gone: %v, want that nothing is known", err)
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{KeepAlive: 20 * time.Millisecond, Idle: 40 * time.Millisecond})
	ctx := within(t, 60*time.Second)
	for n := 1; n <= 2; n++ {
		if _, err := p.Query(ctx, h.target(), []byte("sleep 0.2"), nil); err != nil {
			t.Fatalf("a connection in use was ended: %v", err)
		}
		eventually(t, "the connection is gone", func() bool {
			p.mu.Lock()
			host := p.hosts["web-1"]
			p.mu.Unlock()
			host.mu.Lock()
			defer host.mu.Unlock()
			host.conn.mu.Lock()
			defer host.conn.mu.Unlock()
			return host.conn.gone
		})
		if got := h.loginCount(); got != n {
			t.Errorf("%d logins, want %d", got, n)
		}
	}
}

// A fleet that comes back at once must not be met with a storm.
func TestHandshakesAtOnce(t *testing.T) {
	h := newTestHost(t)
	p := newPool(t, Options{Handshakes: 2})
	var now, most atomic.Int32
	var mu sync.Mutex
	h.set(func() {
		inner := h.config.PublicKeyCallback
		h.config.PublicKeyCallback = func(c ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			mu.Lock()
			most.Store(max(most.Load(), now.Add(1)))
			mu.Unlock()
			tick()
			now.Add(-1)
			return inner(c, k)
		}
	})
	var wg sync.WaitGroup
	for i := range 12 {
		target := h.target()
		target.Host = fmt.Sprintf("web-%d", i)
		wg.Go(func() {
			if _, err := p.BootID(within(t, 60*time.Second), target); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > 2 {
		t.Errorf("%d handshakes at once, want at most 2", n)
	}
}

func TestAttemptsAreSpaced(t *testing.T) {
	h := newTestHost(t)
	h.stop()
	p := newPool(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	attempts := 0
	for ctx.Err() == nil {
		if _, err := p.BootID(ctx, h.target()); err != nil && ctx.Err() == nil {
			attempts++
		}
	}
	if attempts < 2 || attempts > 7 {
		t.Errorf("%d attempts in a second, want a few", attempts)
	}
}

func TestShutdownLeavesNothing(t *testing.T) {
	h := newTestHost(t)
	p := New(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 5 {
		target := h.target()
		target.Host = fmt.Sprintf("web-%d", i)
		wg.Go(func() { _, _ = p.Query(ctx, target, []byte("echo >\"$ROLLPATCH_ROOT/runs\"; sleep 20"), nil) })
	}
	nc, err := p.Dial(within(t, 20*time.Second), h.target(), "tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "scripts run", func() bool { return h.file("runs") != "" })
	cancel()
	nc.Close()
	wg.Wait()
	p.Shutdown()
	if _, err := p.BootID(t.Context(), h.target()); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("a pool that is shut down: %v", err)
	}
	h.stop()
	eventually(t, "no goroutine is left:\n"+leftovers(), func() bool { return leftovers() == "" })
}

// leftovers are goroutines of this package's, or of the SSH library's client.
func leftovers() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if !strings.Contains(g, "testing.") && (strings.Contains(g, "sshrun.(*conn)") || strings.Contains(g, "sshrun.(*Pool)") ||
			strings.Contains(g, "sshrun.openChannel") || strings.Contains(g, "sshrun.newConn") || strings.Contains(g, "ssh.NewClientConn")) {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

func TestMain(m *testing.M) {
	status := m.Run()
	if status == 0 {
		// Every pool of every test is shut down by now.
		for end := time.Now().Add(10 * time.Second); leftovers() != "" && time.Now().Before(end); {
			tick()
		}
		if left := leftovers(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
			status = 1
		}
	}
	os.Exit(status)
}

func FuzzArguments(f *testing.F) {
	f.Add("plain", "true")
	f.Add("two\nlines\n\n", "echo 'it''s'")
	f.Add("' \" $HOME `id` \\ \t \x01\x7f\xff\r", "printf x")
	f.Fuzz(func(t *testing.T, value, script string) {
		if len(value)+len(script) > 1<<16 {
			t.Skip("longer than what a shell is started for here")
		}
		lines, err := exports(map[string]string{"ROLLPATCH_A": value})
		if strings.Contains(value, "\x00") {
			if err == nil {
				t.Fatal("a NUL byte was accepted")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString(lines)
		if strings.Contains(script, "\x00") {
			if noNUL([]byte(script)) == nil {
				t.Fatal("a NUL byte was accepted")
			}
			script = ""
		}
		assign(&b, "script", script)
		b.WriteString("printf '%s' \"$ROLLPATCH_A\"; printf '\\000%s' \"$script\"\n")
		cmd := exec.Command("/bin/sh", "-s")
		cmd.Stdin = strings.NewReader(b.String())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if want := value + "\x00" + script; !bytes.Equal(out, []byte(want)) {
			t.Errorf("the shell read %q, want %q", out, want)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("noise\n@rollpatch n\nbeat\tx\nstate\texited\nexit\t3\nstdout\t3\nabcstderr\t0\nend\n"))
	f.Add([]byte("@rollpatch n\nstate\tabsent\nend\n"))
	f.Add([]byte("@rollpatch n\nstate\texited\nstdout\t99999999999\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		out, err := parseAnswer(bytes.NewReader(answer), "n", 1<<10, func(activities.RunOutcome) {})
		if err == nil && (out.State == "" || len(out.Stdout) > 1<<10) {
			t.Errorf("parseAnswer(%q) = %+v", answer, out)
		}
		// Every answer that is cut short is an error.
		if err == nil {
			if whole := bytes.LastIndex(answer, []byte("end\n")); whole >= 0 {
				if cut, err := parseAnswer(bytes.NewReader(answer[:whole]), "n", 1<<10, func(activities.RunOutcome) {}); err == nil && bytes.Count(answer, []byte("end\n")) == 1 {
					t.Errorf("cut short: %+v", cut)
				}
			}
		}
	})
}

func TestScriptsPassShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed")
	}
	if out, err := exec.Command("shellcheck", "starter.sh", "wrapper.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Keys never reach an error.
func TestErrorsHoldNoKey(t *testing.T) {
	h := newTestHost(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(block)
	broken := filepath.Join(t.TempDir(), "id")
	writeFile(t, broken, strings.Replace(string(text), "END", "FIN", 1), 0o600)
	target := h.target()
	target.Access.IdentityFile = broken
	_, err = newPool(t, Options{}).BootID(within(t, 20*time.Second), target)
	if err == nil {
		t.Fatal("a broken key was accepted")
	}
	for _, line := range strings.Split(string(text), "\n")[1:] {
		if len(line) > 10 && strings.Contains(err.Error(), line) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
}
