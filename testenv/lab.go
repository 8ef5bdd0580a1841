package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say how to bring a lab up.
type Options struct {
	// Dir is the lab's folder: keys, logs, events, the hosts' disks.
	Dir string
	// Cache is where dear parts are kept; empty means rollpatch in the user's cache folder.
	Cache string
	// Log gets a line for each thing that takes long.
	Log io.Writer
	// Owned ends the lab with this process, however it ends.
	Owned bool
}

// Lab is a lab that is up, as its users hold it.
type Lab struct {
	record
	paths
	client *http.Client
}

// owned keeps the ends of the pipes that owned labs follow. They close with
// the process; a collected one would end its lab early.
var owned struct {
	sync.Mutex
	ends []io.Closer
}

// ErrDown is returned by Attach where no lab is up.
var ErrDown = errors.New("no lab is up")

// Up brings a lab up in opts.Dir. One that is up there already is returned as it is.
func Up(ctx context.Context, opts Options) (*Lab, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if l, err := Attach(dir); err == nil {
		fmt.Fprintf(opts.Log, "lab: lab %d is up already in %s\n", l.Number, dir)
		return l, nil
	} else if !errors.Is(err, ErrDown) {
		return nil, err
	}
	if why := Missing(); why != "" {
		return nil, errors.New(why)
	}
	c, err := openCache(opts.Cache, opts.Log)
	if err != nil {
		return nil, err
	}
	have, err := prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	p := paths{dir}
	for _, d := range []string{filepath.Join(dir, "log"), filepath.Join(dir, "hosts")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := writeFile(p.recordFile(), toJSON(record{Number: -1, Parts: have, Owned: opts.Owned}), 0o644); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := startSupervisor(ctx, p, opts.Owned); err != nil {
		return nil, fmt.Errorf("%w (logs are in %s)", err, filepath.Join(dir, "log"))
	}
	l, err := Attach(dir)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(opts.Log, "lab: lab %d is up after %.1f s: hosts %s, web %s, Consul http://%s/ui/\n",
		l.Number, time.Since(begun).Seconds(), l.InventoryFile(), l.WebURL(), l.ConsulAddr())
	return l, nil
}

// startSupervisor starts the lab's own process and waits until it says that all is up.
func startSupervisor(ctx context.Context, p paths, follow bool) error {
	report, reportW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	ownerR, ownerW, err := os.Pipe()
	if err != nil {
		reportW.Close()
		return err
	}
	log, err := os.OpenFile(p.logFile("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{supervisorName, p.dir}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{reportW, ownerR}
	cmd.SysProcAttr = ownNamespaces()
	err = cmd.Start()
	reportW.Close()
	ownerR.Close()
	if err != nil {
		ownerW.Close()
		return fmt.Errorf("lab supervisor: %w", err)
	}
	if err := writeFile(p.pidFile(), strconv.Itoa(cmd.Process.Pid)+"\n", 0o644); err != nil {
		_ = cmd.Process.Kill()
	}
	go func() { _ = cmd.Wait() }() // its end is read from its report and its lock
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	said, err := io.ReadAll(report)
	if !stop() {
		err = ctx.Err()
	}
	if err == nil && strings.TrimSpace(string(said)) != "ready" {
		err = errors.New("lab supervisor: " + strings.TrimSpace(strings.TrimPrefix(string(said), "error ")))
	}
	if err != nil {
		ownerW.Close()
		return err
	}
	if !follow {
		return ownerW.Close()
	}
	owned.Lock()
	defer owned.Unlock()
	owned.ends = append(owned.ends, ownerW)
	return nil
}

// Attach returns the lab that is up in a folder, or ErrDown.
func Attach(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{paths: paths{dir}}
	raw, err := os.ReadFile(l.recordFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrDown, dir)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &l.record); err != nil {
		return nil, fmt.Errorf("%s: %w", l.recordFile(), err)
	}
	l.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socketPath(l.Number))
		},
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var about struct{ Dir string }
	// The number may have gone to another lab since.
	if err := l.call(ctx, http.MethodGet, "/about", nil, &about); err != nil || about.Dir != dir {
		return nil, fmt.Errorf("%w in %s", ErrDown, dir)
	}
	return l, nil
}

// call asks the supervisor.
func (l *Lab) call(ctx context.Context, method, path string, body, reply any) error {
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lab"+path, sent)
	if err != nil {
		return err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(raw))) // who prints it says that it is the lab's
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(raw, reply)
}

func (l *Lab) post(ctx context.Context, path string) error {
	return l.call(ctx, http.MethodPost, path, nil, nil)
}

// Down takes the lab down. It is down when Down returns nil.
func (l *Lab) Down() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = l.post(ctx, "/down") // whether it obeyed is seen by its lock
	if l.ended(ctx) {
		return nil
	}
	// Its whole PID namespace goes with it: no host survives this.
	raw, err := os.ReadFile(l.pidFile())
	if err != nil {
		return fmt.Errorf("lab %d does not end: %w", l.Number, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return fmt.Errorf("lab %d does not end: %s: %w", l.Number, l.pidFile(), err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("lab %d does not end: process %d: %w", l.Number, pid, err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if !l.ended(ctx) {
		return fmt.Errorf("lab %d does not end: process %d was killed and still holds its lock", l.Number, pid)
	}
	stopNetwork(ctx, l.Number)
	return nil
}

// ended waits for the supervisor's lock, which only its end frees.
func (l *Lab) ended(ctx context.Context) bool {
	f, err := os.OpenFile(lockPath(l.Number), os.O_RDWR, 0o644)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer f.Close()
	for {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return true
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return false
		}
	}
}

// Reset makes the lab like new: empty disks, an empty Consul, only lab-web 1.0 published.
func (l *Lab) Reset(ctx context.Context) error { return l.post(ctx, "/reset") }

// WaitReady returns when every host answers SSH, Consul passes every service
// and the load balancer has had a page from every web host.
func (l *Lab) WaitReady(ctx context.Context) error { return l.post(ctx, "/ready") }

// Publish makes a version of lab-web available beside 1.0, and no other; or,
// for "security", Debian's security updates on top of it.
func (l *Lab) Publish(ctx context.Context, what string) error {
	return l.post(ctx, "/publish?what="+url.QueryEscape(what))
}

// Hosts lists the lab's hosts in the order of the inventory.
func (l *Lab) Hosts() []Host { return hostsOf(l.Number) }

// Host returns one host by name.
func (l *Lab) Host(name string) (Host, error) {
	for _, h := range l.Hosts() {
		if h.Name == name {
			return h, nil
		}
	}
	return Host{}, fmt.Errorf("the lab has no host %q", name)
}

// Exec runs a program as root in a host, past its sshd, and returns its
// stdout. An exit status other than 0 is an *ExitError.
func (l *Lab) Exec(ctx context.Context, host string, argv ...string) (string, error) {
	var reply execReply
	if err := l.call(ctx, http.MethodPost, "/hosts/"+host+"/exec", execRequest{Argv: argv}, &reply); err != nil {
		return "", err
	}
	if reply.Exit != nil {
		return reply.Stdout, reply.Exit
	}
	return reply.Stdout, nil
}

// SSH runs a command line over SSH as the product's user, strictly checked.
func (l *Lab) SSH(ctx context.Context, host, line string) (string, error) {
	h, err := l.Host(host)
	if err != nil {
		return "", err
	}
	return sshRun(ctx, l.paths, h, line)
}

// PowerCut ends everything in a host at once. Its disk stays as it is.
func (l *Lab) PowerCut(ctx context.Context, host string) error {
	return l.post(ctx, "/hosts/"+host+"/power-cut")
}

// Start switches a host on that is off. It does not wait for it.
func (l *Lab) Start(ctx context.Context, host string) error {
	return l.post(ctx, "/hosts/"+host+"/start")
}

// BootID is the id of the host's running boot, empty while it is off.
func (l *Lab) BootID(ctx context.Context, host string) (string, error) {
	var id string
	err := l.call(ctx, http.MethodGet, "/hosts/"+host+"/boot-id", nil, &id)
	return id, err
}

// ReadFile reads a file of a host's disk, whether the host is on or off.
func (l *Lab) ReadFile(ctx context.Context, host, path string) ([]byte, error) {
	var raw []byte
	err := l.call(ctx, http.MethodGet, "/hosts/"+host+"/file?path="+url.QueryEscape(path), nil, &raw)
	return raw, err
}

// DpkgLog is dpkg's own log of the host, empty on a host like new.
func (l *Lab) DpkgLog(ctx context.Context, host string) (string, error) {
	raw, err := l.ReadFile(ctx, host, "/var/log/dpkg.log")
	return string(raw), err
}

// Versions are the fully installed packages of a host.
func (l *Lab) Versions(ctx context.Context, host string) (map[string]string, error) {
	raw, err := l.ReadFile(ctx, host, "/var/lib/dpkg/status")
	return installedVersions(string(raw)), err
}

// Status asks every part of the lab how it is.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	var st Status
	if err := l.call(ctx, http.MethodGet, "/status", nil, &st); err != nil {
		return st, err
	}
	outer := l.machinePIDs()
	for i := range st.Hosts {
		st.Hosts[i].PID = outer[st.Hosts[i].PID]
	}
	return st, nil
}

// machinePIDs maps the process ids that the supervisor sees to the machine's own.
func (l *Lab) machinePIDs() map[int]int {
	pids := map[int]int{}
	supervisor, err := os.ReadFile(l.pidFile())
	if err != nil {
		return pids
	}
	inside, err := os.Readlink("/proc/" + strings.TrimSpace(string(supervisor)) + "/ns/mnt")
	if err != nil {
		return pids
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return pids
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		ids := namespacePIDs(pid)
		if len(ids) != 3 || ids[2] != 1 {
			continue
		}
		// The parent of a host's PID 1 is nspawn, which lives in the supervisor's own namespaces.
		if l.parentIn(pid, inside) {
			pids[ids[1]] = pid
		}
	}
	return pids
}

func (l *Lab) parentIn(pid int, mounts string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 2 {
		return false
	}
	ns, err := os.Readlink("/proc/" + f[1] + "/ns/mnt")
	return err == nil && ns == mounts
}

// Events reads the lab's log of what happened to its hosts.
func (l *Lab) Events() ([]Event, error) {
	raw, err := os.ReadFile(l.eventsFile())
	if err != nil {
		return nil, err
	}
	var all []Event
	for line := range bytes.Lines(raw) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s: %w", l.eventsFile(), err)
		}
		all = append(all, e)
	}
	return all, nil
}

// Dir is the lab's folder.
func (l *Lab) Dir() string { return l.dir }

// InventoryFile is the product's inventory of this lab.
func (l *Lab) InventoryFile() string { return l.inventory() }

// ConsulAddr is the HTTP address of the lab's Consul server.
func (l *Lab) ConsulAddr() string { return consulAddr(l.Number) }

// WebURL is the page of the web cluster through the load balancer.
func (l *Lab) WebURL() string { return webURL(l.Number) }

// FixedURL is the page through the load balancer's second door, whose members leave by its admin socket, BalancerAddr, and by nothing else.
func (l *Lab) FixedURL() string { return fixedURL(l.Number) }

// BalancerAddr is the load balancer's admin socket, host:port. Its servers are called as the hosts are, in the backend fixed.
func (l *Lab) BalancerAddr() string { return adminAddr(l.Number) }
