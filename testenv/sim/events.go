package sim

import (
	"bufio"
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
}

// events is the record: in memory for tests in the same process, in a file for others.
type events struct {
	file string

	mu   sync.Mutex
	out  *os.File
	w    *bufio.Writer
	all  []Call
	shut bool
}

func callsFile(dir string) string { return filepath.Join(dir, "calls.jsonl") }

func openEvents(file string) (*events, error) {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &events{file: file, out: out, w: bufio.NewWriter(out)}, nil
}

// add records c. A command is recorded twice: when it starts, and with its status when it ends.
func (e *events) add(c Call) {
	c.Time = time.Now()
	line, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a call that is no JSON: %v", err)) // strings and numbers only
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		return
	}
	e.all = append(e.all, c)
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

// Calls is everything recorded so far, oldest first.
func (f *Fleet) Calls() []Call { return f.events.list() }
