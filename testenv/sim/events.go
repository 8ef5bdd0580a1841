package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Call is one line of the record by which a test judges what was done to the fleet: a command that a host ran (Argv), or something
// that happened to it (Event).
type Call struct {
	Time  time.Time `json:"time"`
	Host  string    `json:"host,omitempty"`
	Boot  string    `json:"boot,omitempty"`
	Argv  []string  `json:"argv,omitempty"`
	Cwd   string    `json:"cwd,omitempty"`
	Root  bool      `json:"root,omitempty"` // run as root
	Event string    `json:"event,omitempty"`
	Text  string    `json:"text,omitempty"` // what the event was about
	Exit  *int      `json:"exit,omitempty"` // a command's status; nil: it has not ended, or never did

	Unit     string            `json:"unit,omitempty"`     // the description of the transient unit that it belongs to
	By       string            `json:"by,omitempty"`       // who brought it about, where that can differ
	Value    string            `json:"value,omitempty"`    // what was written to KV, at most recordedValue bytes of it
	Packages map[string]string `json:"packages,omitempty"` // of a transaction: the version that each gets, "" when it goes
}

// Who brings something about.
const (
	ByHand  = "person"  // one of the fleet's own methods, which stands for somebody at a keyboard
	ByAgent = "program" // who asks the API of an agent
	ByHost  = "host"    // what the end of a host brings with it
)

// recordedValue bounds what of a KV value is recorded.
const recordedValue = 4 << 10

// events is the record: in memory for tests in the same process, in a file for others.
type events struct {
	file string

	mu   sync.Mutex
	out  *os.File
	w    *bufio.Writer
	all  []Call
	more chan struct{} // closed and replaced when something is added
	shut bool
}

func callsFile(dir string) string { return filepath.Join(dir, "calls.jsonl") }

func openEvents(file string) (*events, error) {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &events{file: file, out: out, w: bufio.NewWriter(out), more: make(chan struct{})}, nil
}

// add records c. A command is recorded twice: when it starts, and with its status when it ends.
func (e *events) add(c Call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		return
	}
	c.Time = time.Now() // under the lock: the record's order is that of its times
	line, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a call that is no JSON: %v", err)) // strings and numbers only
	}
	e.all = append(e.all, c)
	close(e.more)
	e.more = make(chan struct{})
	// An error sticks to the writer and is told by close.
	_, _ = e.w.Write(append(line, '\n'))
	_ = e.w.Flush()
}

func (e *events) list() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Call(nil), e.all...)
}

func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.shut {
		e.shut = true
		_ = e.w.Flush() // the record in memory is the one that tests read
		e.out.Close()
	}
}

// since are the calls after the first n, and a channel that is closed when there are more.
func (e *events) since(n int) ([]Call, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[n:len(e.all):len(e.all)], e.more
}

// Calls is everything recorded so far, oldest first.
func (f *Fleet) Calls() []Call { return f.events.list() }

// Recorded is how many calls were recorded so far.
func (f *Fleet) Recorded() int {
	f.events.mu.Lock()
	defer f.events.mu.Unlock()
	return len(f.events.all)
}

// Record adds what a test did, or saw, beside the fleet: the record is in one order.
func (f *Fleet) Record(c Call) { f.events.add(c) }

// Await returns the first call after the first n that matches, and how many calls there were up to it. It waits for one, until ctx
// ends.
func (f *Fleet) Await(ctx context.Context, n int, match func(Call) bool) (Call, int, error) {
	for {
		calls, more := f.events.since(n)
		for _, c := range calls {
			n++
			if match(c) {
				return c, n, nil
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Call{}, n, ctx.Err()
		}
	}
}
