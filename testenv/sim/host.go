package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// host is one simulated host: what stays when it goes down. What ends then is its boot.
type host struct {
	fleet    *Fleet
	name     string
	cluster  string // the first that it is a member of
	ip       string
	wantPort int
	port     int
	root     string // the folder that it takes for /
	services []*service
	wire     wire

	mu      sync.Mutex
	hostKey ssh.Signer
	boot    *boot // nil: powered off, or between two boots
	limbo   *boot // a boot that a power cut ended: its connections hang until the host is back
	booting *time.Timer
	refuse  bool        // sshd is masked: nothing listens on its port
	off     bool        // not to be started, by whatever is still under way
	held    map[int]int // established connections per port beside the real ones

	free int64 // bytes on its disk, as df tells it

	pkgs *packages
}

// wentDown is how a boot ended in good order.
const wentDown = "down"

// boot is one life of a host.
type boot struct {
	host    *host
	id      string
	started time.Time
	ctx     context.Context
	cancel  context.CancelFunc
	ln      net.Listener

	mu    sync.Mutex
	conns map[*wired]struct{}
	procs map[int]struct{} // process groups
	units map[string]*unit
	ended string // how, once it has: wentDown or "power cut"
}

// service is what a host offers under a name in Consul.
type service struct {
	name, kind string
	port       int

	mu    sync.Mutex
	conns map[*wired]struct{}
}

func (h *host) Addr() string { return net.JoinHostPort(h.ip, strconv.Itoa(h.port)) }

// make makes the host's folder and key, or finds the key of an earlier fleet. Nothing else of one is kept: Consul and the archives
// would not remember it.
func (h *host) make() error {
	keyFile := filepath.Join(h.root, "etc", "ssh_host_ed25519_key")
	raw, err := os.ReadFile(keyFile)
	known := err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(h.root); err != nil {
		return err
	}
	for _, d := range []string{
		"etc", "root", "home/" + User, "proc/sys/kernel/random", "proc/self", fmt.Sprint("proc/", holderPID), "run/lock", "run/systemd", "tmp", "boot", "usr",
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/apt/lists", "var/cache/apt/archives/partial", "var/log/apt", "var/lib/rollpatch",
	} {
		if err := os.MkdirAll(filepath.Join(h.root, d), 0o755); err != nil {
			return err
		}
	}
	if known {
		err = os.WriteFile(keyFile, raw, 0o600)
	} else {
		raw, err = newHostKey(keyFile)
	}
	if err != nil {
		return err
	}
	if h.hostKey, err = ssh.ParsePrivateKey(raw); err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	return errors.Join(
		h.write("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"),
		h.write("etc/hostname", h.name+"\n"),
		h.write("etc/debian_version", "12.12\n"),
		h.write("proc/self/mounts", "/dev/vda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\n"),
		h.write("var/lib/dpkg/lock-frontend", ""),
	)
}

// newKey replaces the host's key.
func (h *host) newKey() error {
	raw, err := newHostKey(filepath.Join(h.root, "etc", "ssh_host_ed25519_key"))
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hostKey = key
	return nil
}

// unbox makes the host like new and starts it.
func (h *host) unbox() error {
	h.mu.Lock()
	h.free, h.held, h.refuse = 12<<30, nil, false
	err := h.make()
	if err == nil {
		err = h.pkgs.fresh()
	}
	h.off = err != nil
	h.mu.Unlock()
	if err != nil {
		return err
	}
	return h.bootNow(true)
}

func newHostKey(file string) ([]byte, error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		return nil, err
	}
	raw := pem.EncodeToMemory(block)
	return raw, os.WriteFile(file, raw, 0o600)
}

func (h *host) write(name, body string) error {
	return os.WriteFile(filepath.Join(h.root, name), []byte(body), 0o644)
}

func (h *host) offer(c Cluster) {
	h.services = append(h.services, &service{name: c.service(), kind: c.kind(), port: c.port(), conns: map[*wired]struct{}{}})
}

// current is the host's boot, or nil.
func (h *host) current() *boot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.boot
}

func newBootID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// bootNow starts a new life, unless one is under way. warm: as if it had begun long ago, so that the services are up and passing.
func (h *host) bootNow(warm bool) error {
	started, err := h.startBoot(warm)
	if err != nil || !started {
		return err
	}
	h.fleet.consul.agentUp(h, warm)
	if !warm {
		h.fleet.consul.refresh(h, h.fleet.times.Service)
	}
	return nil
}

func (h *host) startBoot(warm bool) (started bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.off {
		return false, net.ErrClosed
	}
	if h.boot != nil {
		return false, nil
	}
	h.booting = nil
	b := &boot{host: h, id: newBootID(), started: time.Now(), conns: map[*wired]struct{}{}, procs: map[int]struct{}{}, units: h.bootUnits()}
	b.ctx, b.cancel = context.WithCancel(h.fleet.ctx)
	if warm {
		b.started = b.started.Add(-30 * 24 * time.Hour)
	}
	if err := os.RemoveAll(filepath.Join(h.root, "run")); err != nil {
		return false, err
	}
	for _, d := range []string{"run/lock", "run/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(h.root, d), 0o755); err != nil {
			return false, err
		}
	}
	if err := h.write("proc/sys/kernel/random/boot_id", b.id+"\n"); err != nil {
		return false, err
	}
	h.pkgs.booted()
	// Those who still talk to the host that lost its power are told only now that it knows nothing of them.
	if h.limbo != nil {
		h.limbo.abortConns()
		h.limbo = nil
		h.wire.mend()
	}
	if !h.refuse {
		if err := b.listen(); err != nil {
			return false, err
		}
	}
	h.boot = b
	h.fleet.events.add(Call{Host: h.name, Boot: b.id, Event: "boot"})
	return true, nil
}

// listen opens sshd's port: the same one in every boot. The caller holds h.mu.
func (b *boot) listen() error {
	h := b.host
	port := h.port
	if port == 0 {
		port = h.wantPort
	}
	ln, err := listenOn(h.ip, port)
	if err != nil {
		return err
	}
	h.port = ln.Addr().(*net.TCPAddr).Port
	b.mu.Lock()
	b.ln = ln
	b.mu.Unlock()
	h.fleet.wg.Add(1)
	go func() {
		defer h.fleet.wg.Done()
		b.accept(ln)
	}()
	return nil
}

// Ports of hosts that are given none: below those that the machine gives to whoever asks for any, or one could be somebody else's by the
// time its host comes back.
const (
	firstPort = 20000
	lastPort  = 32000
)

// listenOn listens on a port, or on any free one that stays the host's own.
func listenOn(ip string, port int) (ln net.Listener, err error) {
	if port != 0 {
		// One that was closed a moment ago is still open in whatever was forked meanwhile, until that runs a program of its own.
		for range 200 {
			if ln, err = net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port))); !errors.Is(err, syscall.EADDRINUSE) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return ln, err
	}
	for range 100 {
		port = firstPort + mathrand.IntN(lastPort-firstPort)
		if ln, err = net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port))); err == nil {
			return ln, nil
		}
	}
	return nil, err
}

// servicesUp tells whether the boot is old enough for its services to have started.
func (h *host) servicesUp() bool {
	b := h.current()
	return b != nil && time.Since(b.started) >= h.fleet.times.Service
}

// reboot is an orderly one: after a moment everything ends, connections are closed, and the host is back some time later, or not.
func (h *host) reboot(b *boot, back bool) {
	time.AfterFunc(h.fleet.times.Stop, func() {
		if !h.goDown(b, false) || !back {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.off || h.boot != nil || h.limbo != nil {
			return
		}
		h.booting = time.AfterFunc(h.fleet.times.Boot, func() {
			if err := h.bootNow(false); err != nil && !errors.Is(err, net.ErrClosed) {
				h.fleet.log.Error("simulated host did not come back: " + err.Error())
			}
		})
	})
}

// goDown ends a boot; false if it had already ended. After a power cut nobody is told: connections stay open and silent.
func (h *host) goDown(b *boot, power bool) bool {
	h.mu.Lock()
	if h.boot != b || b == nil {
		h.mu.Unlock()
		return false
	}
	h.boot = nil
	event := wentDown
	if power {
		event = "power cut"
		h.wire.sever()
		h.limbo = b
	}
	h.mu.Unlock()
	h.fleet.events.add(Call{Host: h.name, Boot: b.id, Event: event})
	b.mu.Lock()
	b.ended = event
	b.mu.Unlock()
	b.cancel()
	b.killAll()
	if !power {
		b.deafen()
		b.closeConns()
	}
	h.closeServiceConns()
	h.fleet.consul.agentDown(h)
	return true
}

// end takes the host out of the world: every connection to it ends, and nothing but unbox starts it again. What made a session of its own
// is left to the fleet, which looks for all of them at once.
func (h *host) end() {
	h.mu.Lock()
	h.off = true
	if h.booting != nil {
		h.booting.Stop()
	}
	b, limbo := h.boot, h.limbo
	h.boot, h.limbo, h.booting = nil, nil, nil
	h.mu.Unlock()
	h.wire.mend()
	for _, b := range []*boot{b, limbo} {
		if b == nil {
			continue
		}
		b.cancel()
		b.killGroups()
		b.abortConns()
	}
	h.closeServiceConns()
}

func (h *host) closeServiceConns() {
	for _, s := range h.services {
		s.closeConns()
	}
}

func (s *service) closeConns() {
	s.mu.Lock()
	conns := s.conns
	s.conns = map[*wired]struct{}{}
	s.mu.Unlock()
	for c := range conns {
		c.Close()
	}
}

// addConn takes in a new connection, or ends it where the boot went down as it was accepted: nobody would look for it any more.
func (b *boot) addConn(c *wired) bool {
	b.mu.Lock()
	gone := b.ended == wentDown
	if !gone {
		b.conns[c] = struct{}{}
	}
	b.mu.Unlock()
	if gone {
		c.abort()
	}
	return !gone
}

func (b *boot) dropConn(c *wired) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

func (b *boot) takeConns() []*wired {
	b.mu.Lock()
	defer b.mu.Unlock()
	var conns []*wired
	for c := range b.conns {
		conns = append(conns, c)
	}
	return conns
}

// deafen closes sshd's port.
func (b *boot) deafen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ln != nil {
		b.ln.Close()
	}
}

func (b *boot) closeConns() {
	for _, c := range b.takeConns() {
		c.Close()
	}
}

func (b *boot) abortConns() {
	b.deafen()
	for _, c := range b.takeConns() {
		c.abort()
	}
}

// env is what every process of the boot finds in its environment, as root or not.
func (b *boot) env() []string {
	h := b.host
	return []string{
		"PATH=" + h.fleet.binDir(),
		"LANG=C.UTF-8",
		"TMPDIR=" + filepath.Join(h.root, "tmp"),
		"ROLLPATCH_ROOT=" + h.root,
		envSocket + "=" + h.fleet.socket(),
		envHost + "=" + h.name,
		envBoot + "=" + b.id,
	}
}

// start starts a process group of the boot; done must be called when its leader has ended.
func (b *boot) start(cmd *exec.Cmd) (done func(), err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return nil, errors.New("the host is down")
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	b.procs[pid] = struct{}{}
	return func() {
		b.mu.Lock()
		delete(b.procs, pid)
		b.mu.Unlock()
	}, nil
}

// killAll ends every process of the boot, also those that made a session of their own.
func (b *boot) killAll() {
	b.killGroups()
	killByEnv(envBoot+"="+b.id, false)
}

func (b *boot) killGroups() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pid := range b.procs {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // already gone is as good
	}
}
