package estate

import "syscall"

// dieWithUs starts a process that a Ctrl-C at the terminal does not reach, and that does not outlive us.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
