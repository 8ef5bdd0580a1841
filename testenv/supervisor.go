package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// supervisorName is what the supervisor's process is called. A program that
// imports this package and is started under that name is the supervisor: so a
// test's own binary can start one that outlives nothing but what it is told to.
const supervisorName = "rollpatch-lab"

func init() {
	if len(os.Args) == 2 && os.Args[0] == supervisorName {
		os.Exit(supervise(os.Args[1]))
	}
}

// runFolder holds the locks and sockets of all labs of the machine.
const runFolder = "/run/rollpatch"

func lockPath(number int) string { return filepath.Join(runFolder, fmt.Sprintf("lab%d.lock", number)) }
func socketPath(number int) string {
	return filepath.Join(runFolder, fmt.Sprintf("lab%d.sock", number))
}

// record is what a lab's folder says about the lab.
type record struct {
	Number int   `json:"number"`
	Parts  parts `json:"parts"`
	// Owned says that the lab ends with the process that brought it up.
	Owned bool `json:"owned"`
}

// The supervisor's inherited files: where it tells how its start goes, and
// whose end it follows.
const (
	fdReport = 3
	fdOwner  = 4
)

type supervisor struct {
	record
	paths
	log    io.Writer
	events *eventLog
	client *http.Client
	hosts  []*machine

	consulServer, balancer *daemon

	op        sync.Mutex // one reset or publish at a time
	mu        sync.Mutex
	published string
	security  bool
}

// supervise is the whole life of the supervisor's process, PID 1 of its namespace.
func supervise(dir string) int {
	// Held open by a host, they would keep the other side waiting.
	syscall.CloseOnExec(fdReport)
	syscall.CloseOnExec(fdOwner)
	report := os.NewFile(fdReport, "report")
	s := &supervisor{paths: paths{dir}, log: os.Stderr, published: labwebBase}
	// Idle connections would hide that a member went away.
	s.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, end := context.WithCancel(ctx)
	defer end()

	lock, err := s.open()
	if err != nil {
		fmt.Fprintf(report, "error %v\n", err)
		return 1
	}
	defer lock.Close()
	defer s.close()
	if s.Owned {
		go func() {
			// Nobody writes to it: it ends when its owner does, however that ends.
			_, _ = io.Copy(io.Discard, os.NewFile(fdOwner, "owner"))
			s.sayf("the process that brought the lab up has ended")
			end()
		}()
	}
	if err := s.start(ctx, end); err != nil {
		s.sayf("start: %v", err)
		fmt.Fprintf(report, "error %v\n", err)
		return 1
	}
	fmt.Fprintf(report, "ready\n")
	report.Close()
	<-ctx.Done()
	return 0
}

func (s *supervisor) sayf(format string, args ...any) {
	fmt.Fprintf(s.log, "%s "+format+"\n", append([]any{time.Now().Format(time.RFC3339)}, args...)...)
}

// open makes the namespace the supervisor's own, and takes a number.
func (s *supervisor) open() (lock *os.File, err error) {
	syscall.Umask(0o022)
	raw, err := os.ReadFile(s.paths.recordFile())
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &s.record); err != nil {
		return nil, err
	}
	if err := privateMounts(); err != nil {
		return nil, err
	}
	if lock, s.Number, err = takeNumber(); err != nil {
		return nil, err
	}
	if err := s.save(); err != nil {
		return nil, err
	}
	if s.events, err = openEvents(s.paths.eventsFile()); err != nil {
		return nil, err
	}
	for _, h := range hostsOf(s.Number) {
		s.hosts = append(s.hosts, &machine{Host: h, lab: s})
	}
	return lock, nil
}

// privateMounts cuts this namespace's mounts off from the machine's.
func privateMounts() error {
	steps := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", mountPrivate},
		// Shared among the lab's own: a host's disk that is unmounted here must go in all hosts, or it stays in use.
		{"none", "/", "", mountShared},
		{"proc", "/proc", "proc", 0},
		// On a real file system nspawn refuses to follow a reboot.
		{"tmpfs", "/run/systemd/nspawn", "tmpfs", 0},
	}
	if err := os.MkdirAll("/run/systemd/nspawn", 0o755); err != nil {
		return err
	}
	for _, m := range steps {
		if err := mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// takeNumber locks the first number that no living lab has.
func takeNumber() (*os.File, int, error) {
	if err := os.MkdirAll(runFolder, 0o755); err != nil {
		return nil, 0, err
	}
	for n := range maxLabs {
		f, err := os.OpenFile(lockPath(n), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, 0, err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return f, n, nil
		}
		f.Close()
	}
	return nil, 0, fmt.Errorf("%d labs are up on this machine: end one of them", maxLabs)
}

func (s *supervisor) save() error {
	return writeFile(s.paths.recordFile(), toJSON(s.record), 0o644)
}

// start brings everything up, and returns when all of it answers.
func (s *supervisor) start(ctx context.Context, end func()) error {
	hosts := hostsOf(s.Number)
	if err := makeKeys(s.paths, hosts); err != nil {
		return err
	}
	if err := writeFile(s.paths.inventory(), inventoryYAML(s.paths, hosts), 0o644); err != nil {
		return err
	}
	if err := startNetwork(ctx, s.Number); err != nil {
		return err
	}
	if err := s.serve(ctx, end); err != nil {
		return err
	}
	if err := s.startHAProxy(); err != nil {
		return err
	}
	if err := s.fresh(ctx); err != nil {
		return err
	}
	s.events.add(Event{What: "up", Detail: "lab " + strconv.Itoa(s.Number)})
	return nil
}

// serve listens for apt on the bridge, and for the lab's users on a socket.
func (s *supervisor) serve(ctx context.Context, end func()) error {
	repository, err := net.Listen("tcp", fmt.Sprintf("%s:%d", gateway(s.Number), portRepository))
	if err != nil {
		return err
	}
	if err := os.Remove(socketPath(s.Number)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	control, err := net.Listen("unix", socketPath(s.Number))
	if err != nil {
		return err
	}
	for l, h := range map[net.Listener]http.Handler{repository: http.HandlerFunc(s.servePackages), control: s.control(end)} {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		go func() { s.sayf("%s: %v", l.Addr(), server.Serve(l)) }()
		context.AfterFunc(ctx, func() { _ = server.Close() })
	}
	return nil
}

// fresh starts Consul and every host with empty disks, and waits until all is well.
func (s *supervisor) fresh(ctx context.Context) error {
	errs := make(chan error, len(s.hosts)+1)
	for _, m := range s.hosts {
		go func() {
			if err := m.wipeDisk(); err != nil {
				errs <- err
				return
			}
			if err := m.mountDisk(); err != nil {
				errs <- err
				return
			}
			errs <- m.start()
		}()
	}
	go func() { errs <- s.startConsul(ctx) }()
	var all error
	for range cap(errs) {
		all = errors.Join(all, <-errs)
	}
	if all != nil {
		return all
	}
	return s.ready(ctx)
}

// ready waits until every host answers SSH, Consul passes every service, and
// the load balancer has seen every web host.
func (s *supervisor) ready(ctx context.Context) error {
	for _, m := range s.hosts {
		if err := until(ctx, startLimit, fmt.Sprintf("host %q: SSH", m.Name), func(ctx context.Context) error {
			return s.sshAnswers(ctx, m.Host)
		}); err != nil {
			return fmt.Errorf("%w; its console ends in: %s", err, m.consoleEnd())
		}
	}
	if err := until(ctx, startLimit, "Consul's checks", func(ctx context.Context) error {
		states, err := s.consulStates(ctx)
		if err != nil {
			return err
		}
		for _, m := range s.hosts {
			if states[m.Name] != "passing" {
				return fmt.Errorf("%s is %q", m.Name, states[m.Name])
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return s.webServed(ctx)
}

// reset is a lab like new: empty disks, empty Consul, nothing published.
func (s *supervisor) reset(ctx context.Context) error {
	s.op.Lock()
	defer s.op.Unlock()
	s.events.add(Event{What: "reset"})
	s.stopHosts()
	s.consulServer.stop()
	s.mu.Lock()
	s.published, s.security = labwebBase, false
	s.mu.Unlock()
	return s.fresh(ctx)
}

func (s *supervisor) stopHosts() {
	var all sync.WaitGroup
	for _, m := range s.hosts {
		all.Go(func() {
			if m.running() {
				_ = m.powerCut("stop") // it may have ended by itself just now
			}
		})
	}
	all.Wait()
}

// close ends what the lab started and removes what it would leave on the
// machine. Logs, events and keys stay in the lab's folder.
func (s *supervisor) close() {
	s.stopHosts()
	s.consulServer.stop()
	s.balancer.stop()
	for _, m := range s.hosts {
		if err := m.wipeDisk(); err != nil {
			s.sayf("%v", err)
		}
	}
	stopNetwork(context.Background(), s.Number)
	_ = os.Remove(socketPath(s.Number))
	s.events.add(Event{What: "down"})
	s.sayf("down")
}
