package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Reset makes the fleet like new: fresh hosts under the same addresses and keys, an empty Consul, nothing published.
func (f *Fleet) Reset(context.Context) error {
	f.endHosts()
	f.consul.reset()
	f.repo.reset()
	if err := errors.Join(f.setClocks(), f.bootAll()); err != nil {
		return fmt.Errorf("simulated fleet: %w", err)
	}
	f.events.add(Call{Event: "reset"})
	return nil
}

// Status is the state of a fleet.
type Status struct {
	Dir        string       `json:"dir"`
	Published  string       `json:"published"`
	Security   bool         `json:"security"`
	WebURL     string       `json:"web_url"`
	ConsulAddr string       `json:"consul_addr"`
	Hosts      []HostStatus `json:"hosts"`
}

// HostStatus is one host of a Status.
type HostStatus struct {
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	Address string `json:"address"`
	BootID  string `json:"boot_id"`
	// Consul is the worst of the host's checks: passing, critical, or maintenance.
	Consul string `json:"consul"`
	// Labweb is the installed version of lab-web.
	Labweb string `json:"lab_web"`
}

// Status tells how the fleet is.
func (f *Fleet) Status(ctx context.Context) (Status, error) {
	f.repo.mu.Lock()
	st := Status{Dir: f.dir, Published: f.repo.lab, Security: f.repo.security, WebURL: f.WebURL(), ConsulAddr: f.ConsulAddr()}
	f.repo.mu.Unlock()
	for _, h := range f.hosts {
		hs := HostStatus{Name: h.name, Cluster: h.cluster, Address: h.Addr(), Consul: f.consul.worst(h)}
		if b := h.current(); b != nil {
			hs.BootID = b.id
		}
		v, err := f.Versions(ctx, h.name)
		if err != nil {
			return st, err
		}
		hs.Labweb = v["lab-web"]
		st.Hosts = append(st.Hosts, hs)
	}
	return st, nil
}

// ExitError is a program of Exec that ended with another status than 0.
type ExitError struct {
	Argv   []string `json:"argv"`
	Status int      `json:"status"`
	Stderr string   `json:"stderr"`
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", strings.Join(e.Argv, " "), e.Status, strings.TrimSpace(e.Stderr))
}

// Exec runs a program as root in a host, past its sshd, and returns its stdout. An exit status other than 0 is an *ExitError.
func (f *Fleet) Exec(ctx context.Context, name string, argv ...string) (string, error) {
	h, err := f.host(name)
	if err != nil {
		return "", err
	}
	b := h.current()
	if b == nil || len(argv) == 0 {
		return "", fmt.Errorf("host %q: is down, or no program was named", name)
	}
	// env looks the program up in the host's own PATH, not in ours.
	cmd := exec.Command(filepath.Join(f.binDir(), "env"), argv...)
	cmd.Dir = filepath.Join(h.root, "root")
	cmd.Env = append(b.env(), "USER=root", "LOGNAME=root", "HOME="+cmd.Dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	done, err := b.start(cmd)
	if err != nil {
		return "", fmt.Errorf("host %q: %w", name, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it may just have ended
	err = cmd.Wait()
	stop()
	done()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out.String(), fmt.Errorf("host %q: %w", name, ctx.Err())
	case errors.As(err, &exit):
		return out.String(), &ExitError{Argv: argv, Status: exit.ExitCode(), Stderr: errs.String()}
	case err != nil:
		return out.String(), fmt.Errorf("host %q: %w", name, err)
	}
	return out.String(), nil
}

// ErrDown is returned by Attach where no fleet is up.
var ErrDown = errors.New("no simulated fleet is up")

// record is what a fleet's folder says about the process that runs it.
type record struct {
	Socket     string   `json:"socket"`
	WebURL     string   `json:"web_url"`
	ConsulAddr string   `json:"consul_addr"`
	Hosts      []string `json:"hosts"`
}

func recordFile(dir string) string { return filepath.Join(dir, "fleet.json") }

// Serve runs a fleet for other processes, which hold it by Attach, until ctx ends or one of them takes it down.
func Serve(ctx context.Context, o Options) error {
	lock, err := own(o.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := Up(ctx, o)
	if err != nil {
		return err
	}
	socket := filepath.Join(f.run, "control")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return errors.Join(fmt.Errorf("simulated fleet: %w", err), f.Close())
	}
	srv := &http.Server{Handler: f.control(cancel)}
	context.AfterFunc(ctx, func() {
		// Whoever asked for the end is answered first.
		late, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		_ = srv.Shutdown(late) // what is late is cut off by the end of the process
	})
	err = writeRecord(recordFile(f.dir), record{Socket: socket, WebURL: f.WebURL(), ConsulAddr: f.ConsulAddr(), Hosts: f.Hosts()})
	if err == nil {
		err = srv.Serve(ln)
	}
	cancel()
	err = errors.Join(ignoreClosed(err), os.Remove(recordFile(f.dir)), f.Close())
	if err != nil {
		return fmt.Errorf("simulated fleet: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// own makes the folder this process's alone, for as long as the file is open.
func own(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "fleet.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("simulated fleet: another process runs one in %s", dir)
	}
	return lock, nil
}

// writeRecord is whole or not there: who reads it may come at any time.
func writeRecord(file string, r record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// serverName is what the process of a detached fleet is called. A program that imports this package and is started under that name
// runs a fleet.
const serverName = "rollpatch-sim"

func init() {
	if len(os.Args) != 2 || os.Args[0] != serverName {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var o Options
	err := json.Unmarshal([]byte(os.Args[1]), &o)
	if err == nil {
		err = Serve(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Detach brings a fleet up in a process of its own, which goes on after this one. One that is up there already is returned as it is.
func Detach(ctx context.Context, o Options) (*Held, error) {
	f, err := Attach(ctx, o.Dir)
	if !errors.Is(err, ErrDown) {
		return f, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	args, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	logFile := filepath.Join(o.Dir, "fleet.log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{serverName, string(args)}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("simulated fleet: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if f, err := Attach(ctx, o.Dir); err == nil {
			return f, nil
		}
		select {
		case <-tick.C:
		case err := <-ended:
			said, readErr := os.ReadFile(logFile)
			return nil, errors.Join(fmt.Errorf("simulated fleet: its process ended: %w: %s", err, said), readErr)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("simulated fleet: %w", ctx.Err()), cmd.Process.Kill())
		}
	}
}

// order is what a holder of the fleet asks of it.
type order struct {
	Host   string   `json:"host,omitempty"`
	What   string   `json:"what,omitempty"` // version, path, service, reason
	Reason string   `json:"reason,omitempty"`
	Argv   []string `json:"argv,omitempty"`
	On     bool     `json:"on,omitempty"`
}

type execReply struct {
	Stdout string     `json:"stdout"`
	Exit   *ExitError `json:"exit,omitempty"`
}

// control answers the holders. Who can open its socket is the one who started the fleet.
func (f *Fleet) control(end func()) http.Handler {
	orders := map[string]func(context.Context, order) (any, error){
		"publish":   func(ctx context.Context, o order) (any, error) { return nil, f.Publish(ctx, o.What) },
		"versions":  func(ctx context.Context, o order) (any, error) { return f.Versions(ctx, o.Host) },
		"boot-id":   func(ctx context.Context, o order) (any, error) { return f.BootID(ctx, o.Host) },
		"file":      func(ctx context.Context, o order) (any, error) { return f.ReadFile(ctx, o.Host, o.What) },
		"power-cut": func(ctx context.Context, o order) (any, error) { return nil, f.PowerCut(ctx, o.Host) },
		"start":     func(ctx context.Context, o order) (any, error) { return nil, f.Start(ctx, o.Host) },
		"cut":       func(_ context.Context, o order) (any, error) { return nil, f.Cut(o.Host) },
		"heal":      func(_ context.Context, o order) (any, error) { return nil, f.Heal(o.Host) },
		"maintain":  func(_ context.Context, o order) (any, error) { return nil, f.Maintain(o.Host, o.What, o.On, o.Reason) },
		"reset":     func(ctx context.Context, _ order) (any, error) { return nil, f.Reset(ctx) },
		"status":    func(ctx context.Context, _ order) (any, error) { return f.Status(ctx) },
		"calls":     func(context.Context, order) (any, error) { return f.Calls(), nil },
		"down":      func(context.Context, order) (any, error) { end(); return nil, nil },
		"exec": func(ctx context.Context, o order) (any, error) {
			out, err := f.Exec(ctx, o.Host, o.Argv...)
			reply := execReply{Stdout: out}
			if errors.As(err, &reply.Exit) {
				err = nil
			}
			return reply, err
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		do := orders[strings.TrimPrefix(r.URL.Path, "/")]
		var o order
		if do == nil {
			http.NotFound(w, r)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply, err := do(r.Context(), o)
		switch {
		case errors.Is(err, os.ErrNotExist):
			http.Error(w, err.Error(), http.StatusGone)
		case err != nil:
			http.Error(w, err.Error(), http.StatusConflict)
		default:
			_ = json.NewEncoder(w).Encode(reply) // who is gone needs no answer
		}
	})
}

// Held is a fleet that another process runs.
type Held struct {
	record
	dir    string
	client *http.Client
}

// Attach returns the fleet that runs in a folder, or ErrDown.
func Attach(ctx context.Context, dir string) (*Held, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(recordFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrDown, dir)
	}
	if err != nil {
		return nil, err
	}
	f := &Held{dir: dir}
	if err := json.Unmarshal(raw, &f.record); err != nil {
		return nil, fmt.Errorf("%s: %w", recordFile(dir), err)
	}
	f.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", f.Socket)
		},
	}}
	// One that was killed leaves its record behind.
	if _, err := f.Status(ctx); err != nil {
		return nil, fmt.Errorf("%w in %s: %w", ErrDown, dir, err)
	}
	return f, nil
}

func (f *Held) ask(ctx context.Context, what string, o order, reply any) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://fleet/"+what, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return fmt.Errorf("simulated fleet: %w", err)
	}
	defer resp.Body.Close()
	if raw, err = io.ReadAll(resp.Body); err != nil {
		return fmt.Errorf("simulated fleet: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusGone:
		return fmt.Errorf("%s: %w", strings.TrimSpace(string(raw)), os.ErrNotExist)
	default:
		return errors.New(strings.TrimSpace(string(raw)))
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(raw, reply)
}

// Dir, InventoryFile, WebURL, ConsulAddr, Hosts and CallsFile are as those of Fleet.
func (f *Held) Dir() string           { return f.dir }
func (f *Held) InventoryFile() string { return filepath.Join(f.dir, "inventory.yaml") }
func (f *Held) WebURL() string        { return f.record.WebURL }
func (f *Held) ConsulAddr() string    { return f.record.ConsulAddr }
func (f *Held) Hosts() []string       { return f.record.Hosts }
func (f *Held) CallsFile() string     { return callsFile(f.dir) }

// Publish is as that of Fleet, and so are the methods below.
func (f *Held) Publish(ctx context.Context, what string) error {
	return f.ask(ctx, "publish", order{What: what}, nil)
}

func (f *Held) Versions(ctx context.Context, host string) (v map[string]string, err error) {
	return v, f.ask(ctx, "versions", order{Host: host}, &v)
}

func (f *Held) BootID(ctx context.Context, host string) (id string, err error) {
	return id, f.ask(ctx, "boot-id", order{Host: host}, &id)
}

func (f *Held) DpkgLog(ctx context.Context, host string) (string, error) {
	return dpkgLogOf(ctx, f, host)
}

func (f *Held) ReadFile(ctx context.Context, host, path string) (raw []byte, err error) {
	return raw, f.ask(ctx, "file", order{Host: host, What: path}, &raw)
}

func (f *Held) PowerCut(ctx context.Context, host string) error {
	return f.ask(ctx, "power-cut", order{Host: host}, nil)
}

func (f *Held) Start(ctx context.Context, host string) error {
	return f.ask(ctx, "start", order{Host: host}, nil)
}

func (f *Held) Cut(ctx context.Context, host string) error {
	return f.ask(ctx, "cut", order{Host: host}, nil)
}

func (f *Held) Heal(ctx context.Context, host string) error {
	return f.ask(ctx, "heal", order{Host: host}, nil)
}

func (f *Held) Maintain(ctx context.Context, host, service string, on bool, reason string) error {
	return f.ask(ctx, "maintain", order{Host: host, What: service, On: on, Reason: reason}, nil)
}

func (f *Held) Reset(ctx context.Context) error { return f.ask(ctx, "reset", order{}, nil) }

func (f *Held) Status(ctx context.Context) (st Status, err error) {
	return st, f.ask(ctx, "status", order{}, &st)
}

func (f *Held) Calls(ctx context.Context) (calls []Call, err error) {
	return calls, f.ask(ctx, "calls", order{}, &calls)
}

func (f *Held) Exec(ctx context.Context, host string, argv ...string) (string, error) {
	var reply execReply
	if err := f.ask(ctx, "exec", order{Host: host, Argv: argv}, &reply); err != nil {
		return "", err
	}
	if reply.Exit != nil {
		return reply.Stdout, reply.Exit
	}
	return reply.Stdout, nil
}

// Down ends the fleet; it is gone, with all its processes, when Down returns nil.
func (f *Held) Down(ctx context.Context) error {
	if err := f.ask(ctx, "down", order{}, nil); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := own(f.dir)
		if err == nil {
			return lock.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the simulated fleet in %s does not end: %w", f.dir, ctx.Err())
		}
	}
}
