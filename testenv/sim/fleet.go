// Package sim is a fleet of simulated hosts in one process: each speaks real SSH on a loopback address of its own, belongs to one
// Consul, and runs the starter and the playbook scripts under the machine's own /bin/sh in a folder of its own. It must not know
// what rollpatch does with its hosts: it answers what it is asked, as a Debian host would, and writes down what it was asked.
//
// What is real: SSH (handshake, keys, channels, exit statuses), the scripts, the shell and the text tools, processes and files.
// What stands in: sudo, apt, dpkg, systemd, the init system, ss, ip, the network, and time (a reboot takes a fraction of a second).
// What it cannot prove: anything about the real apt, dpkg, sshd, systemd, kernel and disk; files are not lost at a power cut, and
// every process runs as the user who runs the fleet, so that file permissions mean nothing.
package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// User is the unprivileged account of every host; sudo asks it for nothing.
const User = "patch"

// Cluster is a group of simulated hosts with the Consul service they offer.
type Cluster struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`           // a host may be a member of several clusters
	Service string   `json:"service,omitempty"` // its name in Consul; default: the cluster's
	Port    int      `json:"port,omitempty"`    // default 80
	Kind    string   `json:"kind,omitempty"`    // Page (default) or Redis
}

// The kinds of service that a host can offer.
const (
	Page  = "page"  // HTTP: / names the version of lab-web, /healthz tells whether it works
	Redis = "redis" // TCP: answers PING
)

// Members names n hosts of a cluster: web-1, web-2 and so on.
func Members(cluster string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", cluster, i+1)
	}
	return names
}

// DefaultClusters are those of the lab of real hosts: three, two and one.
func DefaultClusters() []Cluster {
	return []Cluster{
		{Name: "web", Members: Members("web", 3), Port: 80, Kind: Page},
		{Name: "cache", Members: Members("cache", 2), Service: "redis", Port: 6379, Kind: Redis},
		{Name: "solo", Members: Members("solo", 1), Port: 80, Kind: Page},
	}
}

// Options say what fleet to bring up. The zero value of each but Dir has a meaning.
type Options struct {
	Dir      string    // everything the fleet writes; made when absent, left behind at the end
	Clusters []Cluster // default: DefaultClusters
	Net      string    // the first two bytes of the hosts' addresses, default 127.77
	Port     int       // of every host's sshd; 0: a free one for each
	WebAddr  string    // where the load balancer listens, default a free port of 127.0.0.1
	Times    Times
	Log      *zap.Logger `json:"-"`
}

// Times say how long things take. Zero means the default, which suits tests.
type Times struct {
	Stop    time.Duration `json:"stop,omitempty"`    // from the call of reboot until the host is gone, default 50ms
	Boot    time.Duration `json:"boot,omitempty"`    // until sshd answers again, default 300ms
	Service time.Duration `json:"service,omitempty"` // from then until the services pass their checks, default 150ms
	Check   time.Duration `json:"check,omitempty"`   // until Consul's agent notices that a service fell ill or got well, default 100ms
	Detect  time.Duration `json:"detect,omitempty"`  // until Consul's servers notice that an agent is gone, default 400ms
	Sync    time.Duration `json:"sync,omitempty"`    // from an agent's knowledge to the servers' catalog, default 20ms
	Work    time.Duration `json:"work,omitempty"`    // dpkg's for one step of one package, default 5ms
	Blank   time.Duration `json:"blank,omitempty"`   // from the start of Consul's agent until it knows its own maintenance, default 0
}

func (t Times) withDefaults() Times {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Stop, 50 * time.Millisecond}, {&t.Boot, 300 * time.Millisecond}, {&t.Service, 150 * time.Millisecond},
		{&t.Check, 100 * time.Millisecond}, {&t.Detect, 400 * time.Millisecond}, {&t.Sync, 20 * time.Millisecond},
		{&t.Work, 5 * time.Millisecond},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return t
}

// Fleet is a running fleet.
type Fleet struct {
	dir      string
	run      string // short, for the socket: a path of more than 107 bytes cannot be one
	clusters []Cluster
	times    Times
	log      *zap.Logger

	hosts  []*host
	byName map[string]*host

	userKey    ssh.PublicKey
	knownHosts string

	repo     *repo
	consul   *consul
	events   *events
	standins *standinServer
	pages    *memServer
	agents   *memServer
	balancer *balancer

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	closing sync.Once
	closed  error
}

// Up brings a fleet up. It is whole when Up returns: every sshd answers and every service passes its checks. The fleet ends with
// Close, or with ctx.
func Up(ctx context.Context, o Options) (_ *Fleet, err error) {
	if o.Dir == "" {
		return nil, errors.New("simulated fleet: needs a folder")
	}
	if len(o.Clusters) == 0 {
		o.Clusters = DefaultClusters()
	}
	if o.Net == "" {
		o.Net = "127.77"
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	run, err := os.MkdirTemp("", "rpsim")
	if err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	// A fleet that was killed in this folder may have left scripts behind that would act on the hosts of this one.
	killHosts(dir)

	f := &Fleet{dir: dir, run: run, clusters: o.Clusters, times: o.Times.withDefaults(), log: o.Log, byName: map[string]*host{}, repo: newRepo()}
	f.ctx, f.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.events, err = openEvents(callsFile(dir)); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if err := f.makeBin(); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if f.standins, err = f.serveStandins(); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if f.userKey, err = f.makeUserKey(); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	f.consul = newConsul(f)
	f.pages = newMemServer(pages())
	f.agents = newMemServer(f.consul)
	if err := f.agents.listen("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if err := f.makeHosts(o); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if err := f.bootAll(); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if f.balancer, err = f.serveBalancer(o.WebAddr); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if err := f.writeFiles(); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	context.AfterFunc(f.ctx, func() { f.Close() })
	return f, nil
}

func (f *Fleet) makeHosts(o Options) error {
	for _, c := range f.clusters {
		for _, name := range c.Members {
			if f.byName[name] != nil {
				continue
			}
			n := len(f.hosts) + 1
			ip := fmt.Sprintf("%s.%d.%d", o.Net, n/250, n%250+1)
			if runtime.GOOS != "linux" {
				ip = "127.0.0.1" // the only loopback address that needs no set-up there
			}
			h := &host{fleet: f, name: name, ip: ip, wantPort: o.Port, root: filepath.Join(f.dir, "hosts", name), cluster: c.Name}
			h.pkgs = &packages{h: h}
			f.hosts = append(f.hosts, h)
			f.byName[name] = h
		}
	}
	for _, c := range f.clusters {
		for _, name := range c.Members {
			f.byName[name].offer(c)
		}
	}
	for _, h := range f.hosts {
		f.consul.register(h)
	}
	return nil
}

// bootAll makes every host like new and boots it as if it had been up for long: services pass at once.
func (f *Fleet) bootAll() error {
	// A key pair, a dozen folders and a listener for each host: cheap, but not for a thousand one after the other.
	sem := make(chan struct{}, 2*runtime.NumCPU())
	errs := make([]error, len(f.hosts))
	var wg sync.WaitGroup
	for i, h := range f.hosts {
		wg.Add(1)
		sem <- struct{}{}
		go func() {
			defer func() { <-sem; wg.Done() }()
			if err := h.unbox(); err != nil {
				errs[i] = fmt.Errorf("host %q: %w", h.name, err)
			}
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	lines := make([]string, len(f.hosts))
	for i, h := range f.hosts {
		lines[i] = knownhosts.Line([]string{h.Addr()}, h.hostKey.PublicKey())
	}
	f.knownHosts = filepath.Join(f.dir, "known_hosts")
	return os.WriteFile(f.knownHosts, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// makeUserKey makes the key that opens every host, and keeps the one of an earlier fleet in the same folder.
func (f *Fleet) makeUserKey() (ssh.PublicKey, error) {
	file := f.IdentityFile()
	if raw, err := os.ReadFile(file); err == nil {
		signer, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return signer.PublicKey(), nil
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(priv, "simulated fleet")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(pub)
}

func (f *Fleet) writeFiles() error {
	if err := os.WriteFile(f.InventoryFile(), []byte(f.inventory()), 0o644); err != nil {
		return err
	}
	return nil
}

// inventory is the fleet as the inventory file that a user would write for it.
func (f *Fleet) inventory() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The simulated hosts, written by the fleet.\naccess:\n  user: %s\n  identity_file: %q\n  known_hosts: %q\n", User, f.IdentityFile(), f.knownHosts)
	b.WriteString("consul:\n  via: ssh\n  address: 127.0.0.1:8500\nhosts:\n")
	for _, h := range f.hosts {
		fmt.Fprintf(&b, "  - {name: %s, address: %s, labels: {env: lab}, access: {port: %d}}\n", h.name, h.ip, h.port)
	}
	b.WriteString("clusters:\n")
	for _, c := range f.clusters {
		fmt.Fprintf(&b, "  - name: %[1]s\n    owner: %[1]s team\n    contact: %[1]s@rollpatch.invalid\n    labels: {env: lab}\n    members: [%[2]s]\n", c.Name, strings.Join(c.Members, ", "))
		fmt.Fprintf(&b, "    services: [{name: %s, port: %d}]\n    checks:\n", c.service(), c.port())
		switch c.kind() {
		case Redis:
			b.WriteString("      - {name: redis, unit: redis-server.service}\n      - {name: ping, command: [redis-cli, ping]}\n")
		default:
			fmt.Fprintf(&b, "      - {name: nginx, unit: nginx.service}\n      - {name: port, tcp: \"127.0.0.1:%[1]d\"}\n"+
				"      - {name: page, http: {url: \"http://127.0.0.1:%[1]d/\", status: 200, body: \"lab-web\"}}\n", c.port())
		}
	}
	return b.String()
}

func (c Cluster) service() string {
	if c.Service != "" {
		return c.Service
	}
	return c.Name
}

func (c Cluster) port() int {
	if c.Port != 0 {
		return c.Port
	}
	return 80
}

func (c Cluster) kind() string {
	if c.Kind != "" {
		return c.Kind
	}
	return Page
}

// Close ends every host with all its processes. What the fleet wrote stays.
func (f *Fleet) Close() error {
	f.closing.Do(func() { f.closed = f.close() })
	return f.closed
}

// endHosts ends every host with all that runs on it.
func (f *Fleet) endHosts() {
	for _, h := range f.hosts {
		h.end()
	}
	killHosts(f.dir)
}

// killHosts ends every process that takes a folder of this fleet for its root.
func killHosts(dir string) { killByEnv("ROLLPATCH_ROOT="+filepath.Join(dir, "hosts")+"/", true) }

func (f *Fleet) close() error {
	f.cancel()
	f.endHosts()
	if f.balancer != nil {
		f.balancer.close()
	}
	for _, s := range []*memServer{f.pages, f.agents} {
		if s != nil {
			s.close()
		}
	}
	if f.standins != nil {
		f.standins.close()
	}
	f.wg.Wait()
	if f.events != nil {
		f.events.close()
	}
	return os.RemoveAll(f.run)
}

// Dir is the folder that the fleet writes to.
func (f *Fleet) Dir() string { return f.dir }

// InventoryFile is an inventory of the fleet, ready to be used.
func (f *Fleet) InventoryFile() string { return filepath.Join(f.dir, "inventory.yaml") }

// KnownHosts holds the key of every host.
func (f *Fleet) KnownHosts() string { return f.knownHosts }

// IdentityFile is the private key that opens every host.
func (f *Fleet) IdentityFile() string { return filepath.Join(f.dir, "id_ed25519") }

// CallsFile holds one JSON line for each Call, as it happened.
func (f *Fleet) CallsFile() string { return f.events.file }

// WebURL is the page of the first cluster that offers one, as its users reach it: through a load balancer that follows Consul.
func (f *Fleet) WebURL() string { return f.balancer.url() }

// ConsulAddr is a Consul server's HTTP address, for those who do not go through a host.
func (f *Fleet) ConsulAddr() string { return f.agents.tcp.Addr().String() }

// Hosts names all hosts in the order of the clusters.
func (f *Fleet) Hosts() []string {
	names := make([]string, len(f.hosts))
	for i, h := range f.hosts {
		names[i] = h.name
	}
	return names
}

// Addr is where the host's sshd listens.
func (f *Fleet) Addr(name string) (string, error) {
	h, err := f.host(name)
	if err != nil {
		return "", err
	}
	return h.Addr(), nil
}

// Root is the folder that the host takes for /.
func (f *Fleet) Root(name string) (string, error) {
	h, err := f.host(name)
	if err != nil {
		return "", err
	}
	return h.root, nil
}

func (f *Fleet) host(name string) (*host, error) {
	if h := f.byName[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("host %q: not in the simulated fleet", name)
}

// byIP finds the host that an address belongs to.
func (f *Fleet) byIP(ip string) *host {
	for _, h := range f.hosts {
		if h.ip == ip || h.name == ip {
			return h
		}
	}
	return nil
}

// dial connects to an address as seen from a host (nil: from outside): to its own services, to those of another host, or to another
// host's sshd. Everything else is refused, so that nothing leaves the fleet.
func (f *Fleet) dial(ctx context.Context, from *host, name string, port int) (net.Conn, error) {
	to := f.byIP(name)
	switch name {
	case "localhost", "127.0.0.1", "::1":
		// Off Linux every host has the address 127.0.0.1, and means itself by it.
		to = from
	}
	if to == nil {
		return nil, fmt.Errorf("connect to %s port %d: no route to host", name, port)
	}
	if port == to.port {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", to.Addr())
	}
	return to.dialService(ctx, port, to != from)
}
