package testenv

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// Event is one line of the lab's own log of what happened to hosts: an oracle
// that owes nothing to the product.
type Event struct {
	Time   time.Time `json:"time"`
	Host   string    `json:"host,omitempty"`
	What   string    `json:"what"` // up start boot reboot power-cut stop publish reset down
	BootID string    `json:"boot_id,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

type eventLog struct {
	mu sync.Mutex
	f  *os.File
}

func openEvents(path string) (*eventLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &eventLog{f: f}, nil
}

// add writes one line. A line that cannot be written is missed by the reader, not by the lab.
func (l *eventLog) add(e Event) {
	e.Time = time.Now()
	raw, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and a time
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.f.Write(append(raw, '\n'))
}
