package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// PowerCut takes the host's power away: everything on it ends in mid-step and nobody is told. It stays so until Start.
func (f *Fleet) PowerCut(_ context.Context, name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	if b := h.current(); h.goDown(b, true) {
		return nil
	}
	// In mid-reboot there is no boot to end, only one to prevent.
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.booting != nil && h.booting.Stop() {
		h.booting = nil
		return nil
	}
	return fmt.Errorf("host %q: is already without power", name)
}

// Start gives the host its power back and returns when sshd answers; the services take a moment more.
func (f *Fleet) Start(_ context.Context, name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	return h.bootNow(false)
}

// Cut takes the host off the network: connections stay open and carry nothing, new ones get no answer.
func (f *Fleet) Cut(name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.wire.sever()
	f.events.add(Call{Host: name, Event: "network cut"})
	f.consul.reachChanged(h)
	return nil
}

// Heal puts the host back on the network; what waited on the way arrives.
func (f *Fleet) Heal(name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.mu.Lock()
	off := h.limbo != nil
	h.mu.Unlock()
	if off {
		return fmt.Errorf("host %q: has no power: a whole network would not help it", name)
	}
	h.wire.mend()
	f.events.add(Call{Host: name, Event: "network healed"})
	f.consul.reachChanged(h)
	return nil
}

// Refuse stops or starts the host's sshd: stopped, it refuses new connections, in later boots too; open ones go on.
func (f *Fleet) Refuse(name string, refuse bool) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse == refuse {
		return nil
	}
	h.refuse = refuse
	f.events.add(Call{Host: name, Event: fmt.Sprintf("sshd refuses %v", refuse)})
	if h.boot == nil {
		return nil
	}
	if refuse {
		h.boot.deafen()
		return nil
	}
	return h.boot.listen()
}

// RestartAgent restarts the host's Consul agent. For as long as blank it is one that lies: it holds the host's services without any
// maintenance, as its own API tells, and has not told the servers anything. Its checks are critical until each has passed once.
func (f *Fleet) RestartAgent(name string, blank time.Duration) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	f.events.add(Call{Host: name, Event: "agent restarted"})
	f.consul.restart(h, blank)
	return nil
}

// LoseAgentDisk takes from the host's Consul agent what it has on its disk: maintenance is not there again after the next boot.
func (f *Fleet) LoseAgentDisk(name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	f.events.add(Call{Host: name, Event: "agent's disk lost"})
	f.consul.forget(h)
	return nil
}

// Maintenance is what the services of the host are in, by service; "" is the node's. A service that is in none is not listed.
func (f *Fleet) Maintenance(name string) (map[string]string, error) {
	h, err := f.host(name)
	if err != nil {
		return nil, err
	}
	return f.consul.maintenance(h), nil
}

// CutConnections ends the host's open SSH connections; new ones are welcome.
func (f *Fleet) CutConnections(name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	if b := h.current(); b != nil {
		for _, c := range b.takeConns() {
			c.abort()
		}
	}
	return nil
}

// Break makes the host's services ill or well, whatever its packages say.
func (f *Fleet) Break(name string, broken bool) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.pkgs.setBroken(broken)
	f.events.add(Call{Host: name, Event: fmt.Sprintf("services broken %v", broken)})
	f.consul.refresh(h, f.times.Check)
	return nil
}

// HoldConnections adds n established connections to what ss shows on the host's port: clients that do not leave.
func (f *Fleet) HoldConnections(name string, port, n int) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[int]int{}
	}
	h.held[port] = n
	return nil
}

// NewHostKey gives the host another key, which known_hosts does not have: it answers as somebody else.
func (f *Fleet) NewHostKey(name string) error {
	h, err := f.host(name)
	if err != nil {
		return err
	}
	return h.newKey()
}

// BootID is the host's boot as the host itself would tell it; empty while the host is down.
func (f *Fleet) BootID(_ context.Context, name string) (string, error) {
	h, err := f.host(name)
	if err != nil {
		return "", err
	}
	if b := h.current(); b != nil {
		return b.id, nil
	}
	return "", nil
}

// WaitBoot waits until the host runs in another boot than the one named, sshd answering, and returns its id.
func (f *Fleet) WaitBoot(ctx context.Context, name, not string) (string, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		id, err := f.BootID(ctx, name)
		if err != nil || id != "" && id != not {
			return id, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("host %q: still in boot %s: %w", name, not, ctx.Err())
		case <-f.ctx.Done():
			return "", errors.Join(net.ErrClosed, f.ctx.Err())
		}
	}
}
