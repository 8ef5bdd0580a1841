package testenv

import (
	"os"
	"os/exec"
	"syscall"
)

// daemon is a program of the machine that runs as long as the lab.
type daemon struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}
}

func (s *supervisor) startDaemon(name string, argv ...string) (*daemon, error) {
	out, err := os.OpenFile(s.paths.logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{name: name, cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log; that it ended is in the lab's
		s.events.add(Event{What: "stop", Detail: name})
		close(d.ended)
	}()
	return d, nil
}

// stop ends the program at once: nothing that the lab keeps depends on its farewell.
func (d *daemon) stop() {
	if d == nil {
		return
	}
	_ = d.cmd.Process.Kill() // ended already is as good
	<-d.ended
}

func (d *daemon) running() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}
