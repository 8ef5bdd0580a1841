package sshrun

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/inventory"
)

// testHost is an SSH server that runs commands by the machine's own /bin/sh, with a folder of its own in place of / and stand-ins for sudo
// and systemd-run.
type testHost struct {
	t      *testing.T
	dir    string // the host's root
	path   string // PATH of its commands
	known  string // known_hosts
	key    string // identity file
	listen net.Listener
	config *ssh.ServerConfig

	mu      sync.Mutex
	conns   map[net.Conn]bool
	logins  int
	silent  bool // accepts connections and says nothing
	rude    bool // closes them at once
	ignores bool // leaves global requests (keepalives) unanswered
}

const standInSudo = `#!/bin/sh
[ "$1" = -n ] && shift
exec "$@"
`

// What systemd does with a transient unit, as far as a run can tell: the name is taken once, it lives apart from the caller, and it ends at its
// limit.
const standInSystemdRun = `#!/bin/sh
echo "$*" >>"$ROLLPATCH_ROOT/units.log"
limit=60
while [ $# -gt 0 ]; do
	case $1 in
	--unit=*) unit=${1#--unit=} ;;
	--property=RuntimeMaxSec=*) limit=${1#--property=RuntimeMaxSec=} ;;
	-*) ;;
	*) break ;;
	esac
	shift
done
if [ -e "$ROLLPATCH_ROOT/systemd-run-fails" ]; then
	echo "Failed to start transient service unit" >&2
	exit 1
fi
[ -e "$ROLLPATCH_ROOT/systemd-run-loses" ] && exit 0
mkdir -p "$ROLLPATCH_ROOT/units"
if ! mkdir "$ROLLPATCH_ROOT/units/$unit" 2>/dev/null; then
	echo "Unit $unit.service already exists." >&2
	exit 1
fi
setsid sh -c 'timeout -k 1 "$@"; rm -rf "$0"' "$ROLLPATCH_ROOT/units/$unit" "$limit" "$@" </dev/null >/dev/null 2>&1 &
`

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func newTestHost(t *testing.T) *testHost {
	t.Helper()
	dir := t.TempDir()
	h := &testHost{
		t: t, dir: filepath.Join(dir, "root"), conns: map[net.Conn]bool{},
		known: filepath.Join(dir, "known_hosts"), key: filepath.Join(dir, "id"),
	}
	bin := filepath.Join(dir, "bin")
	writeFile(t, filepath.Join(bin, "sudo"), standInSudo, 0o755)
	writeFile(t, filepath.Join(bin, "systemd-run"), standInSystemdRun, 0o755)
	h.path = bin + ":" + os.Getenv("PATH")
	h.boot(1)

	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.key, string(pem.EncodeToMemory(block)), 0o600)
	client, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	h.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(client.Marshal()) {
			return nil, fmt.Errorf("not known here")
		}
		return nil, nil
	}}
	h.start("127.0.0.1:0")
	h.trust(h.newKey())
	t.Cleanup(h.stop)
	return h
}

// newKey gives the host a key, as on its first boot.
func (h *testHost) newKey() ssh.PublicKey {
	h.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := ssh.ServerConfig{PublicKeyCallback: h.config.PublicKeyCallback}
	fresh.AddHostKey(signer)
	h.config = &fresh
	return signer.PublicKey()
}

// locked makes it accept nobody.
func (h *testHost) locked() {
	h.set(func() {
		h.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, fmt.Errorf("not known here")
		}
	})
}

func (h *testHost) trust(keys ...ssh.PublicKey) {
	var lines []string
	for _, k := range keys {
		lines = append(lines, knownhosts.Line([]string{h.addr()}, k)+"\n")
	}
	writeFile(h.t, h.known, strings.Join(lines, ""), 0o600)
}

func (h *testHost) addr() string { return h.listen.Addr().String() }

func (h *testHost) target() activities.Target {
	return activities.Target{Host: "web-1", Addr: h.addr(), Access: inventory.Access{User: "patch", IdentityFile: h.key, KnownHosts: h.known}}
}

// boot gives the host the n-th boot id.
func (h *testHost) boot(n int) string {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	writeFile(h.t, filepath.Join(h.dir, "proc/sys/kernel/random/boot_id"), id+"\n", 0o644)
	return id
}

func (h *testHost) start(addr string) {
	h.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.listen = l
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns[nc] = true
			h.mu.Unlock()
			go h.serve(nc)
		}
	}()
}

// cut ends all connections, as a network does.
func (h *testHost) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for nc := range h.conns {
		nc.Close()
	}
	clear(h.conns)
}

func (h *testHost) stop() {
	h.listen.Close()
	h.cut()
}

func (h *testHost) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *testHost) serve(nc net.Conn) {
	h.mu.Lock()
	silent, rude, config := h.silent, h.rude, h.config
	h.mu.Unlock()
	if rude {
		nc.Close()
		return
	}
	if silent {
		return
	}
	sc, channels, requests, err := ssh.NewServerConn(nc, config)
	if err != nil {
		nc.Close()
		return
	}
	h.set(func() { h.logins++ })
	go func() {
		for r := range requests {
			h.mu.Lock()
			ignores := h.ignores
			h.mu.Unlock()
			if r.WantReply && !ignores {
				_ = r.Reply(false, nil)
			}
		}
	}()
	defer sc.Close()
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			channel, requests, err := ch.Accept()
			if err != nil {
				return
			}
			go h.session(channel, requests)
		case "direct-tcpip":
			var to struct {
				Addr     string
				Port     uint32
				From     string
				FromPort uint32
			}
			if err := ssh.Unmarshal(ch.ExtraData(), &to); err != nil {
				_ = ch.Reject(ssh.ConnectionFailed, err.Error())
				continue
			}
			out, err := net.Dial("tcp", net.JoinHostPort(to.Addr, fmt.Sprint(to.Port)))
			if err != nil {
				_ = ch.Reject(ssh.ConnectionFailed, "Connection refused")
				continue
			}
			channel, requests, err := ch.Accept()
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			go func() {
				defer out.Close()
				_, _ = io.Copy(out, channel)
			}()
			go func() {
				defer channel.Close()
				_, _ = io.Copy(channel, out)
			}()
		default:
			_ = ch.Reject(ssh.UnknownChannelType, "")
		}
	}
}

func (h *testHost) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		var command struct{ Text string }
		if err := ssh.Unmarshal(r.Payload, &command); err != nil {
			return
		}
		_ = r.Reply(true, nil)
		// As sshd's login shell does: what it prints first is not ours.
		cmd := exec.Command("/bin/sh", "-c", "echo welcome; "+command.Text)
		cmd.Env = []string{"PATH=" + h.path, "ROLLPATCH_ROOT=" + h.dir}
		cmd.Stdout = channel
		cmd.Stderr = channel.Stderr()
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		go func() {
			defer stdin.Close()
			_, _ = io.Copy(stdin, channel)
		}()
		status := uint32(0)
		if err := cmd.Start(); err != nil {
			return
		}
		if err := cmd.Wait(); err != nil {
			status = uint32(cmd.ProcessState.ExitCode())
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

func (h *testHost) file(path ...string) string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{h.dir}, path...)...))
	if err != nil {
		return ""
	}
	return string(raw)
}

// eventually polls until ok, within the patience of a loaded machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		tick()
	}
	t.Fatalf("not within 20 s: %s", what)
}

func tick() { <-time.After(5 * time.Millisecond) }
