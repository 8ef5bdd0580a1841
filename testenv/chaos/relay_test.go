package chaos

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

func TestRelayIsCutInOneDirection(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r, err := newRelay(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	worker, err := net.Dial("tcp", r.address())
	if err != nil {
		t.Fatal(err)
	}
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fromWorker, fromServer := bufio.NewReader(far), bufio.NewReader(worker)
	say := func(from net.Conn, line string) {
		t.Helper()
		if _, err := fmt.Fprintln(from, line); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(at *bufio.Reader, want string) {
		t.Helper()
		if got, err := at.ReadString('\n'); err != nil || got != want+"\n" {
			t.Fatalf("%q arrived: %v; want %q", got, err, want)
		}
	}
	say(worker, "one")
	hear(fromWorker, "one")
	r.cut()
	say(worker, "two")
	say(far, "answer")
	hear(fromServer, "answer")
	if err := far.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := fromWorker.ReadString('\n'); err == nil {
		t.Fatalf("%q came through what is cut", got)
	}
	if err := far.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	r.mend()
	hear(fromWorker, "two")
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if _, err := fromServer.ReadString('\n'); err == nil {
		t.Error("a connection outlives its relay")
	}
}
