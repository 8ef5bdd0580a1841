package oracle

import "time"

// member is how one host stands after some events.
type member struct {
	ours     map[string]string // service: the instance that drained it
	theirs   map[string]bool   // services in somebody else's maintenance; "" is the node
	unlisted map[string]time.Time
	down     map[string]time.Time
	noted    string // the instance that has a record of its drain
	working  string // the run whose transaction is open
	asked    bool   // told to reboot, and not back
	touched  bool   // patched since it was last drained
	cut      bool

	quarantined bool
}

// world is what the log adds up to.
type world struct {
	hosts map[string]*member
}

func newWorld() *world { return &world{hosts: map[string]*member{}} }

func (w *world) of(host string) *member {
	m := w.hosts[host]
	if m == nil {
		m = &member{ours: map[string]string{}, theirs: map[string]bool{}, unlisted: map[string]time.Time{}, down: map[string]time.Time{}}
		w.hosts[host] = m
	}
	return m
}

// apply moves the world on by one event.
func (w *world) apply(e Event) {
	if e.Host == "" {
		return
	}
	m := w.of(e.Host)
	switch e.Kind {
	case Drained:
		if len(m.ours) == 0 {
			m.touched = false
		}
		m.ours[e.Service] = e.Instance
	case Undrained:
		delete(m.ours, e.Service)
	case Noted:
		m.noted = e.Instance
	case Forgotten:
		m.noted = ""
	case ForeignSet:
		m.theirs[e.Service] = true
	case ForeignRemoved:
		delete(m.theirs, e.Service)
	case Listed:
		delete(m.unlisted, e.Service)
	case Unlisted:
		m.unlisted[e.Service] = e.Time
	case Up:
		delete(m.down, e.Service)
	case Down:
		if _, already := m.down[e.Service]; !already {
			m.down[e.Service] = e.Time
		}
	case Begin:
		if e.Run != "" {
			m.working, m.touched = e.Run, true
		}
	case End:
		m.working = ""
	case RebootAsked:
		m.asked = e.Run != ""
	case Booted:
		m.asked, m.working = false, ""
	case Interrupted:
		if m.working == e.Run {
			m.working = ""
		}
	case Cut:
		m.cut = true
	case Healed:
		m.cut = false
	case Quarantined:
		m.quarantined = true
	}
}

// out says that the member is out of service because of us.
func (m *member) out() bool { return len(m.ours) > 0 || m.working != "" || m.asked }

// since is when the oldest of some states began; zero when there is none.
func since(states map[string]time.Time) (first time.Time) {
	for _, t := range states {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}

// older says that one of the states has lasted for longer than the grace.
func older(states map[string]time.Time, now time.Time, grace time.Duration) bool {
	first := since(states)
	return !first.IsZero() && now.Sub(first) > grace
}
