package chaos

import (
	"errors"
	"io"
	"net"
	"sync"
)

// relay stands between a worker and its server, so that the way between them can be cut in one direction: as with packets that are
// dropped, nobody is told, connections stay open, and what was sent arrives once the way is whole again.
type relay struct {
	ln net.Listener

	mu    sync.Mutex
	to    string        // the server's address
	whole chan struct{} // closed while what the worker says goes through
	conns []net.Conn
	shut  bool
}

func newRelay(to string) (*relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{ln: ln, to: to, whole: make(chan struct{})}
	close(r.whole)
	go r.serve()
	return r, nil
}

func (r *relay) address() string { return r.ln.Addr().String() }

// lead has those that come from now on reach the server at that address.
func (r *relay) lead(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// cut has nothing that the worker says reach the server any more; what the server says still reaches the worker.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open() {
		r.whole = make(chan struct{})
	}
}

// mend ends that.
func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open() {
		close(r.whole)
	}
}

// open wants the lock.
func (r *relay) open() bool {
	select {
	case <-r.whole:
		return true
	default:
		return false
	}
}

func (r *relay) close() error {
	r.mend()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = true
	all := r.ln.Close()
	for _, c := range r.conns {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	return all
}

func (r *relay) serve() {
	for {
		worker, err := r.ln.Accept()
		if err != nil {
			return // closed
		}
		r.mu.Lock()
		to := r.to
		r.mu.Unlock()
		server, err := net.Dial("tcp", to)
		if err != nil {
			worker.Close() // as where nobody listens
			continue
		}
		r.mu.Lock()
		if r.shut {
			worker.Close()
			server.Close()
		}
		r.conns = append(r.conns, worker, server)
		r.mu.Unlock()
		go r.carry(worker, server)
		go func() {
			_, _ = io.Copy(worker, server) // whoever ends it, both hear of it
			worker.Close()
			server.Close()
		}()
	}
}

// carry brings to the server what the worker says, for as long as the way is whole.
func (r *relay) carry(worker, server net.Conn) {
	defer worker.Close()
	defer server.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := worker.Read(buf)
		if n > 0 {
			r.mu.Lock()
			whole := r.whole
			r.mu.Unlock()
			<-whole
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
