package sim

import (
	"net"
	"testing"
	"time"
)

// A host listens on its port again although a process that was forked meanwhile still has it open for a moment.
func TestListensOnItsPortAgain(t *testing.T) {
	was, err := listenOn("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := was.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	port := was.Addr().(*net.TCPAddr).Port
	was.Close()
	if ln, err := net.Listen("tcp", was.Addr().String()); err == nil {
		ln.Close()
		t.Fatal("the port is free although a copy of it is open: this shows nothing")
	}
	time.AfterFunc(50*time.Millisecond, func() { copied.Close() })
	ln, err := listenOn("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}
