package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startLimit bounds each wait of a start: far more than a host needs, even on
// a machine that compiles at the same time.
const startLimit = 2 * time.Minute

// rebootStatus is how nspawn ends when the host inside asked for a reboot.
const rebootStatus = 133

// machine is one host as the supervisor runs it.
type machine struct {
	Host
	lab *supervisor

	op sync.Mutex // one start, stop or wipe at a time

	mu      sync.Mutex
	init    int    // the host's PID 1 as this namespace sees it; 0 while there is none
	bootID  string // of the running boot
	halting bool   // somebody ends it: a reboot is not followed
	ended   chan struct{}
}

// start switches the host on, with the disk it has.
func (m *machine) start() error {
	m.op.Lock()
	defer m.op.Unlock()
	if m.running() {
		return fmt.Errorf("host %q is on already", m.Name)
	}
	m.mu.Lock()
	m.halting, m.ended = false, make(chan struct{})
	m.mu.Unlock()
	m.lab.events.add(Event{Host: m.Name, What: "start"})
	go m.run()
	return nil
}

func (m *machine) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended == nil {
		return false
	}
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// run keeps the host on over its own reboots, and ends with it at anything else.
func (m *machine) run() {
	defer close(m.ended)
	for {
		status, err := m.boot()
		m.mu.Lock()
		m.init, m.bootID = 0, ""
		halting := m.halting
		m.mu.Unlock()
		if err == nil && status == rebootStatus && !halting {
			m.lab.events.add(Event{Host: m.Name, What: "reboot"})
			continue
		}
		detail := "status " + strconv.Itoa(status)
		if err != nil {
			detail = err.Error()
		}
		m.lab.events.add(Event{Host: m.Name, What: "stop", Detail: detail})
		return
	}
}

// boot runs nspawn once, from power on to power off or reboot.
func (m *machine) boot() (status int, err error) {
	groups, err := hostCgroups(machineName(m.lab.Number, m.Name))
	if err != nil {
		return 0, err
	}
	defer removeCgroups(groups)
	dropCable(context.Background(), m.lab.Number, m.Name)
	// The shell moves itself into the host's own control groups before it becomes nspawn.
	argv := append([]string{"-c", `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`, "sh"}, groups...)
	argv = append(argv, "--", "systemd-nspawn",
		"--directory="+m.lab.hostRoot(m.Name), "--machine="+machineName(m.lab.Number, m.Name), "--hostname="+m.Name,
		"--boot", "--register=no", "--keep-unit", "--settings=no", "--console=read-only",
		"--network-bridge="+bridgeName(m.lab.Number), "--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--bind-ro="+m.lab.Parts.Consul+":/usr/local/bin/consul")
	console, err := os.OpenFile(m.lab.paths.logFile(m.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer console.Close()
	cmd := exec.Command("sh", argv...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	gone := make(chan struct{})
	go m.watchBoot(cmd.Process.Pid, gone)
	err = cmd.Wait()
	close(gone)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// watchBoot notes the host's PID 1 and its boot id as soon as there are any.
func (m *machine) watchBoot(nspawn int, gone <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
		}
		init := initBelow(nspawn)
		if init == 0 {
			continue
		}
		id := bootID(init)
		m.mu.Lock()
		m.init, m.bootID = init, id
		m.mu.Unlock()
		if id != "" {
			m.lab.events.add(Event{Host: m.Name, What: "boot", BootID: id})
			return
		}
	}
}

// initBelow finds the child of nspawn that is PID 1 in a namespace of its own.
func initBelow(nspawn int) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil {
		return 0
	}
	for _, f := range strings.Fields(string(raw)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			continue
		}
		if pids := namespacePIDs(pid); len(pids) > 1 && pids[len(pids)-1] == 1 {
			return pid
		}
	}
	return 0
}

// namespacePIDs are a process's ids, from this namespace inwards.
func namespacePIDs(pid int) []int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(status), "\n") {
		list, ok := strings.CutPrefix(line, "NSpid:")
		if !ok {
			continue
		}
		var pids []int
		for _, f := range strings.Fields(list) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
		return pids
	}
	return nil
}

// bootID reads a host's boot id. Until the host's own init runs there, what
// can be read is the machine's, which is none.
func bootID(init int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", init))
	if err != nil || strings.TrimSpace(string(comm)) != "systemd" {
		return ""
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/proc/sys/kernel/random/boot_id", init))
	if err != nil {
		return ""
	}
	own, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || bytes.Equal(raw, own) {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// powerCut ends everything in the host at once; its disk stays.
func (m *machine) powerCut(what string) error {
	m.op.Lock()
	defer m.op.Unlock()
	if !m.running() {
		return fmt.Errorf("host %q is off already", m.Name)
	}
	m.lab.events.add(Event{Host: m.Name, What: what})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		m.mu.Lock()
		m.halting = true
		if m.init != 0 {
			_ = syscall.Kill(m.init, syscall.SIGKILL) // gone already is as good
		}
		m.mu.Unlock()
		select {
		case <-m.ended:
			return nil
		case <-tick.C:
		}
	}
}

// consoleEnd is what the host said last while it booted.
func (m *machine) consoleEnd() string {
	raw, err := os.ReadFile(m.lab.paths.logFile(m.Name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// snapshot is what the host's supervisor knows of it right now.
func (m *machine) snapshot() (init int, bootID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.init, m.bootID
}

// ExitError is a program that ran in a host and ended with another status than 0.
type ExitError struct {
	Host   string `json:"host"`
	Status int    `json:"status"`
	Stderr string `json:"stderr"`
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("host %q: exit status %d: %s", e.Host, e.Status, short([]byte(e.Stderr)))
}

// exec runs a program as root in the host, past its sshd.
func (m *machine) exec(ctx context.Context, argv []string, stdin []byte) (string, error) {
	init, id := m.snapshot()
	if id == "" {
		return "", fmt.Errorf("host %q is off", m.Name)
	}
	enter := append([]string{"-t", strconv.Itoa(init), "-m", "-u", "-i", "-n", "-p", "--", "/usr/bin/env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}, argv...)
	cmd := exec.CommandContext(ctx, "nsenter", enter...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return stdout.String(), &ExitError{m.Name, exit.ExitCode(), stderr.String()}
	}
	return stdout.String(), err
}
