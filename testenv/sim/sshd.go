package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxSessions is OpenSSH's own default per connection.
const maxSessions = 10

func (b *boot) sshConfig() *ssh.ServerConfig {
	want := b.host.fleet.userKey.Marshal()
	cfg := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_9.2p1",
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if meta.User() != User || !bytes.Equal(key.Marshal(), want) {
				return nil, fmt.Errorf("user %q: key refused", meta.User())
			}
			return nil, nil
		},
	}
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	cfg.AddHostKey(b.host.hostKey)
	return cfg
}

func (b *boot) accept(ln net.Listener) {
	for {
		raw, err := ln.Accept()
		if err != nil {
			return
		}
		var c *wired
		// Not the boot's context: what a power cut leaves behind hangs until the next boot.
		c = overWire(b.host.fleet.ctx, raw, &b.host.wire, func() { b.dropConn(c) })
		if b.addConn(c) {
			go b.serveConn(c)
		}
	}
}

func (b *boot) serveConn(c *wired) {
	// The connection is not closed when the host has lost its power: there is nobody left to say good-bye.
	defer func() {
		if b.ctx.Err() == nil || b.host.wire.whole() {
			c.Close()
		}
	}()
	conn, chans, reqs, err := ssh.NewServerConn(c, b.sshConfig())
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs) // keepalives want any answer, and no other is offered
	var mu sync.Mutex
	sessions := 0
	for nc := range chans {
		switch nc.ChannelType() {
		case "session":
			mu.Lock()
			full := sessions >= maxSessions
			if !full {
				sessions++
			}
			mu.Unlock()
			if full {
				_ = nc.Reject(ssh.ConnectionFailed, "open failed") // the connection's end shows in chans
				continue
			}
			go func() {
				defer func() { mu.Lock(); sessions--; mu.Unlock() }()
				b.serveSession(nc)
			}()
		case "direct-tcpip":
			go b.serveForward(nc)
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "unsupported channel type") // as above
		}
	}
	_ = conn.Wait() // its end is all that counts
}

// serveForward carries a connection to an address as the host sees it.
func (b *boot) serveForward(nc ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &to); err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error()) // the connection's end shows elsewhere
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	conn, err := b.host.fleet.dial(ctx, b.host, to.Host, int(to.Port))
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer conn.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(conn, ch) // either side's end is the end
		if t, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = t.CloseWrite()
			return
		}
		conn.Close()
	}()
	_, _ = io.Copy(ch, conn)
	_ = ch.CloseWrite()
	select {
	case <-done:
	case <-b.ctx.Done():
	}
}

// serveSession runs one command, as sshd does: through the user's shell.
func (b *boot) serveSession(nc ssh.NewChannel) {
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	var proc *os.Process
	var mu sync.Mutex
	ended := make(chan struct{})
	started := false
	for req := range reqs {
		switch req.Type {
		case "exec", "shell":
			if started {
				reply(req, false)
				continue
			}
			var cmd struct{ Line string }
			if req.Type == "exec" {
				if err := ssh.Unmarshal(req.Payload, &cmd); err != nil {
					reply(req, false)
					continue
				}
			}
			started = true
			reply(req, true)
			go func() {
				defer close(ended)
				b.exec(ch, cmd.Line, func(p *os.Process) { mu.Lock(); proc = p; mu.Unlock() })
			}()
		case "signal":
			var sig struct{ Name string }
			mu.Lock()
			if p := proc; p != nil && ssh.Unmarshal(req.Payload, &sig) == nil {
				_ = syscall.Kill(-p.Pid, signals[ssh.Signal(sig.Name)]) // gone meanwhile is as good
			}
			mu.Unlock()
		case "pty-req":
			reply(req, true)
		default:
			// env among them: sshd takes no variables but those of its AcceptEnv.
			reply(req, false)
		}
	}
	if started {
		<-ended
	}
}

var signals = map[ssh.Signal]syscall.Signal{
	ssh.SIGHUP: syscall.SIGHUP, ssh.SIGINT: syscall.SIGINT, ssh.SIGKILL: syscall.SIGKILL, ssh.SIGTERM: syscall.SIGTERM,
}

func reply(req *ssh.Request, ok bool) {
	if req.WantReply {
		_ = req.Reply(ok, nil) // the connection's end shows elsewhere
	}
}

// exec runs a command of the unprivileged user. A client that goes away takes the pipes with it and leaves the process alone.
func (b *boot) exec(ch ssh.Channel, line string, started func(*os.Process)) {
	h := b.host
	h.fleet.events.add(Call{Host: h.name, Boot: b.id, Event: "ssh", Argv: []string{"sh", "-c", line}})
	if err := h.write("proc/uptime", fmt.Sprintf("%.2f 0.00\n", time.Since(b.started).Seconds())); err != nil {
		h.fleet.log.Warn("uptime of a simulated host not written: " + err.Error())
	}
	argv := []string{"-c", line}
	if line == "" {
		argv = nil
	}
	cmd := exec.Command("/bin/sh", argv...)
	cmd.Dir = filepath.Join(h.root, "home", User)
	cmd.Env = append(b.env(), "HOME="+cmd.Dir, "USER="+User, "LOGNAME="+User, "SHELL=/bin/sh")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	var outs sync.WaitGroup
	var ours, theirs []*os.File
	for _, to := range []struct {
		file *io.Writer
		ch   io.Writer
	}{{&cmd.Stdout, ch}, {&cmd.Stderr, ch.Stderr()}} {
		r, w, err := os.Pipe()
		if err != nil {
			h.fleet.log.Error("simulated host out of pipes: " + err.Error())
			return
		}
		*to.file = w
		ours, theirs = append(ours, r), append(theirs, w)
		outs.Add(1)
		go func() {
			defer outs.Done()
			_, _ = io.Copy(to.ch, r) // ends with the last process that holds the pipe, or with the client
			r.Close()
		}()
	}
	done, err := b.start(cmd)
	for _, w := range theirs {
		w.Close()
	}
	if err != nil {
		for _, r := range ours {
			r.Close()
		}
		return
	}
	started(cmd.Process)
	go func() {
		_, _ = io.Copy(stdin, ch) // the command may end without having read everything
		stdin.Close()
	}()
	err = cmd.Wait()
	done()
	outs.Wait()
	status := uint32(0)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				Msg    string
				Lang   string
			}{Signal: signalName(ws.Signal())})) // a client that is gone needs no status
			ch.Close()
			return
		}
		status = uint32(exit.ExitCode())
	}
	_ = ch.CloseWrite()
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status})) // as above
	ch.Close()
}

func signalName(s syscall.Signal) string {
	for name, n := range signals {
		if n == s {
			return string(name)
		}
	}
	return "KILL"
}
