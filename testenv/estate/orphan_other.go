//go:build !linux

package estate

import "syscall"

// dieWithUs starts a process that a Ctrl-C at the terminal does not reach. Only Linux can also end it with us.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
