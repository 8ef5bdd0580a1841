//go:build !linux

package sshrun

import "net"

func withQuickAck(c net.Conn) net.Conn { return c }
