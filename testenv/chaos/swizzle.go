package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// clog is one way that can be stopped up and opened again.
type clog struct{ stop, open func(*scene) error }

// ways are all that can be stopped up at the same time.
func ways() []clog {
	always := func(f func(*scene)) func(*scene) error { return func(s *scene) error { f(s); return nil } }
	network := func(host string) clog {
		return clog{func(s *scene) error { return s.fleet.Cut(host) }, func(s *scene) error { return s.fleet.Heal(host) }}
	}
	ill := func(host string) clog {
		return clog{func(s *scene) error { return s.fleet.Break(host, true) }, func(s *scene) error { return s.fleet.Break(host, false) }}
	}
	return []clog{
		network(canary), network(peer), ill("web-3"), ill(canary),
		{func(s *scene) error { return s.fleet.Refuse(peer, true) }, func(s *scene) error { return s.fleet.Refuse(peer, false) }},
		{always(func(s *scene) { s.fleet.Leader(false) }), always(func(s *scene) { s.fleet.Leader(true) })},
		{always(func(s *scene) { s.fleet.Archive(false) }), always(func(s *scene) { s.fleet.Archive(true) })},
		{func(s *scene) error { return s.Daemon.Kill() }, func(s *scene) error { return s.Daemon.Start(s.ctx) }},
		{func(s *scene) error { return s.fleet.RestartAgent(canary, 2*time.Second) }, func(*scene) error { return nil }},
	}
}

// seeds are the steps of everything at once: the number says what is stopped up, when, and in which order it is opened again.
func seeds(n int) (all []Step) {
	for seed := range n {
		all = append(all, Step{fmt.Sprintf("seed-%d", seed+1), inspect.at})
	}
	return all
}

// swizzle stops up some ways one by one, and opens them one by one in another order.
func swizzle(s *scene) error {
	var seed uint64
	if _, err := fmt.Sscanf(s.step, "seed-%d", &seed); err != nil {
		return fmt.Errorf("step %q: %w", s.step, err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	some := ways()
	r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	some = some[:2+r.IntN(4)]
	pause := func() error { return s.lasts(time.Duration(r.IntN(3000)) * time.Millisecond) }
	var all error
	for _, c := range some {
		all = errors.Join(all, pause(), c.stop(s))
	}
	r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for _, c := range some {
		all = errors.Join(all, pause(), c.open(s))
	}
	return all
}
