package main

import (
	"net/netip"
	"testing"
)

// Ports that are left to us are none that the machine gives to whoever connects: the server listens on them only after we let go of them.
func TestPortsOfOursAreNobodysByChance(t *testing.T) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	var all []*endpoint
	for range 8 {
		all = append(all, &endpoint{ip: loopback})
	}
	if err := claimPorts(all...); err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for _, e := range all {
		if e.port < firstPort || e.port >= lastPort || seen[e.port] {
			t.Errorf("port %d is not from %d to %d, or was given twice", e.port, firstPort, lastPort)
		}
		seen[e.port] = true
	}
	again := *all[0]
	if err := claimPorts(&again, &endpoint{ip: loopback, port: again.port}); err == nil {
		t.Error("one port was given to two")
	}
}
