package sshrun

import (
	"net"
	"syscall"
)

// quickAck acknowledges what it has read at once. The kernel delays acknowledgements by up to 40 ms, and an SSH server that has
// more to send waits for them: on a step of a few packets that delay is most of the step.
type quickAck struct {
	net.Conn
	raw syscall.RawConn
}

func withQuickAck(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	return &quickAck{Conn: c, raw: raw}
}

func (q *quickAck) Read(p []byte) (int, error) {
	n, err := q.Conn.Read(p)
	if n > 0 {
		// The kernel falls back by itself, so it is said after every read. A failure costs time and nothing else.
		_ = q.raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
		})
	}
	return n, err
}
