package campaign

import (
	"path"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
)

// Change is whoever keeps changes, asked by exactly one of Command and URL.
type Change struct {
	// Command is a program and its arguments, run by the worker. It prints the change number.
	Command []string `json:"command,omitempty" yaml:"command,omitempty"`
	// URL is posted to and answers with the change number. A reference, because such addresses often hold a secret; https, or http on the worker's own machine.
	URL *inventory.Secret `json:"url,omitempty" yaml:"url,omitempty"`
	// Secret goes with what is posted, as a bearer token.
	Secret *inventory.Secret `json:"secret,omitempty" yaml:"secret,omitempty"`
	// Timeout of one attempt; default 30s.
	Timeout inventory.Duration `json:"timeout,omitempty" yaml:"timeout,omitempty"`
	// Within is how long attempts go on, before the instance is not started, or a person is told that its end could not be; default 10m.
	Within inventory.Duration `json:"within,omitempty" yaml:"within,omitempty"`
}

// What Timeout and Within are where the file does not say.
const (
	changeTimeout = inventory.Duration(30 * time.Second)
	changeWithin  = inventory.Duration(10 * time.Minute)
)

// Resolve is the same with every default.
func (h Change) Resolve() Change {
	if h.Timeout == 0 {
		h.Timeout = changeTimeout
	}
	if h.Within == 0 {
		h.Within = max(changeWithin, 2*h.Timeout)
	}
	return h
}

// String says for people who is asked: of a URL, only that it is one.
func (h Change) String() string {
	if len(h.Command) > 0 {
		return "the change hook (" + path.Base(h.Command[0]) + ")"
	}
	return "the change hook (URL)"
}

func (h *Change) withPaths(dir, home string) *Change {
	if h == nil {
		return nil
	}
	whole := *h
	if h.URL != nil {
		whole.URL = h.URL.WithPaths(dir, home)
	}
	if h.Secret != nil {
		whole.Secret = h.Secret.WithPaths(dir, home)
	}
	return &whole
}

func (c Campaign) validateChange(p *inventory.Problems) {
	h := c.Change
	if h == nil {
		return
	}
	if (len(h.Command) > 0) == (h.URL != nil) {
		p.Add("change", "needs exactly one of command and url")
	}
	p.Argv("change.command", h.Command)
	p.Secret("change.url", h.URL)
	p.Secret("change.secret", h.Secret)
	if h.Secret != nil && h.URL == nil {
		p.Add("change.secret", "goes with a url; a command finds its secrets itself")
	}
	for _, d := range []struct {
		key   string
		given inventory.Duration
	}{{"timeout", h.Timeout}, {"within", h.Within}} {
		if d.given != 0 && d.given < inventory.Duration(time.Second) {
			p.Add("change."+d.key, "%s is too short: it is at least 1s", d.given)
		}
	}
	if all := h.Resolve(); all.Within < all.Timeout {
		p.Add("change.within", "%s is shorter than one attempt, which may take %s (change.timeout)", all.Within, all.Timeout)
	}
}
