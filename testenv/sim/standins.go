package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/rollpatch/rollpatch/testenv/sim/standin"
)

// What a process of a host carries in its environment.
const (
	envSocket = standin.Env
	envHost   = standin.EnvHost
	envBoot   = standin.EnvBoot
	envUnit   = standin.EnvUnit
)

// realTools are the machine's own commands that a host has; nothing else of the machine can be reached by name, so that a script
// that calls something unforeseen is told so instead of touching the machine.
var realTools = []string{
	"sh", "[", "awk", "base64", "basename", "cat", "chgrp", "chmod", "chown", "cmp", "comm", "cp", "cut", "date", "dd", "diff", "dirname", "du", "echo", "env",
	"expr", "false", "find", "flock", "grep", "gzip", "head", "id", "install", "join", "kill", "ln", "ls", "md5sum", "mkdir", "mkfifo", "mktemp", "mv",
	"nohup", "od", "paste", "printf", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "setsid", "sha256sum", "sleep", "sort", "stat",
	"tail", "tee", "test", "timeout", "touch", "tr", "true", "uniq", "wc", "whoami", "xargs",
}

// commands are the stand-ins. Each returns the command's exit status.
var commands = map[string]func(*invocation) int{
	"sudo": nil, // becomes the command that it is given
	"apt":  aptGet, "apt-get": aptGet, "apt-cache": aptCache, "apt-mark": aptMark, "apt-config": aptConfig,
	"dpkg": dpkg, "dpkg-query": dpkgQuery, "dpkg-deb": dpkgDeb,
	"systemctl": systemctl, "systemd-run": systemdRun, "reboot": reboot, "shutdown": reboot, "poweroff": reboot,
	"uname": uname, "hostname": hostname, "ss": ss, "ip": ip, "df": df, "timedatectl": timedatectl,
	"redis-cli": redisCLI, "curl": curl,
}

func (f *Fleet) binDir() string { return filepath.Join(f.dir, "bin") }

func (f *Fleet) socket() string { return filepath.Join(f.run, "s") }

// makeBin fills the only folder of the hosts' PATH.
func (f *Fleet) makeBin() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(f.binDir()); err != nil {
		return err
	}
	if err := os.Mkdir(f.binDir(), 0o755); err != nil {
		return err
	}
	for _, name := range realTools {
		path, err := exec.LookPath(name)
		if err != nil {
			// Not every machine has every one; who needs it is told by the host's own shell.
			continue
		}
		if err := os.Symlink(path, filepath.Join(f.binDir(), name)); err != nil {
			return err
		}
	}
	// A power cut here loses no file, so that waiting for the disk would prove nothing.
	yes, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	if err := os.Symlink(yes, filepath.Join(f.binDir(), "sync")); err != nil {
		return err
	}
	for name := range commands {
		if err := os.Symlink(self, filepath.Join(f.binDir(), name)); err != nil {
			return err
		}
	}
	return nil
}

// standinServer answers the hosts' commands.
type standinServer struct {
	fleet *Fleet
	ln    *net.UnixListener
	wg    sync.WaitGroup
	ends  chan struct{} // closed when the fleet ends
}

func (f *Fleet) serveStandins() (*standinServer, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.socket(), Net: "unix"})
	if err != nil {
		return nil, err
	}
	s := &standinServer{fleet: f, ln: ln, ends: make(chan struct{})}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := ln.AcceptUnix()
			if err != nil {
				return
			}
			s.wg.Add(1)
			go func() {
				defer s.wg.Done()
				defer c.Close()
				if err := s.serve(c); err != nil {
					f.log.Warn("stand-in not served: " + err.Error())
				}
			}()
		}
	}()
	return s, nil
}

func (s *standinServer) close() {
	s.ln.Close()
	close(s.ends)
	s.wg.Wait()
}

// untilKilled leaves a process of a boot that ended without an answer until it is killed with its boot. Hung up on, it would end by
// itself before that, with a status, and its script would go on to what comes next: on a host without power nothing does.
func (s *standinServer) untilKilled(gone <-chan struct{}) {
	select {
	case <-gone:
	case <-s.ends:
	}
}

// invocation is one call of a stand-in.
type invocation struct {
	h                     *host
	b                     *boot
	ctx                   context.Context // ends with the process that called, and with the boot
	argv                  []string
	cwd                   string
	root                  bool
	unit                  string // the description of the transient unit that it runs in
	stdin, stdout, stderr *os.File
}

// out and warn print to where the command's own output goes. Who closed it does not want it.
func (i *invocation) out(format string, args ...any)  { _, _ = fmt.Fprintf(i.stdout, format, args...) }
func (i *invocation) warn(format string, args ...any) { _, _ = fmt.Fprintf(i.stderr, format, args...) }

// path is a file that the command names, as the fleet finds it.
func (i *invocation) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(i.cwd, name)
}

func (s *standinServer) serve(c *net.UnixConn) error {
	oob := make([]byte, syscall.CmsgSpace(3*4))
	first := make([]byte, 1)
	n, oobn, _, _, err := c.ReadMsgUnix(first, oob)
	if err != nil || n != 1 {
		return nil // killed before it said anything
	}
	files, err := received(oob[:oobn])
	if err != nil {
		return err
	}
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	size := append(first, 0, 0, 0)
	if _, err := io.ReadFull(c, size[1:]); err != nil {
		return nil
	}
	body := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil
	}
	words := strings.Split(strings.TrimSuffix(string(body), "\x00"), "\x00")
	if len(words) < 6 || len(files) != 3 {
		return errors.New("a call that says too little")
	}
	h := s.fleet.byName[words[0]]
	if h == nil {
		return fmt.Errorf("a call from host %q", words[0])
	}
	i := &invocation{h: h, b: h.current(), cwd: words[2], root: words[3] == "root", argv: words[5:], stdin: files[0], stdout: files[1], stderr: files[2]}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		// It says nothing more: what ends this read is the end of the process.
		_, _ = c.Read(make([]byte, 1))
	}()
	if i.b == nil || i.b.id != words[1] {
		s.untilKilled(gone) // of an earlier boot
		return nil
	}
	i.argv[0] = filepath.Base(i.argv[0])
	i.unit = i.b.acts(words[4])
	if i.argv[0] == "sudo" {
		_, err = c.Write(s.sudo(i))
		return ignoreGone(err)
	}
	ctx, cancel := context.WithCancel(i.b.ctx)
	defer cancel()
	i.ctx = ctx
	go func() {
		<-gone
		cancel()
	}()
	do := commands[i.argv[0]]
	if do == nil {
		return fmt.Errorf("a call of %q", i.argv[0])
	}
	call := Call{Host: h.name, Boot: i.b.id, Argv: i.argv, Cwd: i.cwd, Root: i.root, Unit: i.unit}
	s.fleet.events.add(call)
	status := do(i)
	if i.b.ctx.Err() != nil {
		s.untilKilled(gone) // the power is gone: nobody ends any more
		return nil
	}
	call.Event, call.Exit = "ended", &status
	s.fleet.events.add(call)
	_, err = c.Write([]byte{standin.AnswerExit, byte(status)})
	return ignoreGone(err)
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return nil // killed meanwhile
	}
	return err
}

// received takes the files out of a message.
func received(oob []byte) (files []*os.File, err error) {
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "a stand-in's"))
		}
	}
	return files, nil
}

// sudo tells the process to become the command, as root.
func (s *standinServer) sudo(i *invocation) []byte {
	s.fleet.events.add(Call{Host: i.h.name, Boot: i.b.id, Argv: i.argv, Cwd: i.cwd, Root: i.root})
	args := i.argv[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			break
		}
		if (flag == "-u" || flag == "-g") && len(args) > 0 {
			args = args[1:]
		}
	}
	if len(args) == 0 {
		i.warn("usage: sudo [-n] command [arguments]\n")
		return []byte{standin.AnswerExit, 1}
	}
	return append([]byte{standin.AnswerExec}, strings.Join(args, "\x00")+"\x00"...)
}
