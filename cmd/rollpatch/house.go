package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
)

// addresses are those of the machine that a person types on.
func addresses() []netip.Addr {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// isHere says that an address leads to this very machine. Names are compared, and not looked up: no host is asked.
func (d *desk) isHere(address string) bool {
	if ip, err := netip.ParseAddr(address); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsUnspecified() || d.addresses != nil && slices.Contains(d.addresses(), ip)
	}
	name, err := d.hostname()
	address, name = strings.ToLower(address), strings.ToLower(name)
	return address == "localhost" || err == nil && name != "" && (address == name || strings.HasPrefix(address, name+"."))
}

// warnOfHouse says which hosts look like the machine that rollpatch itself runs on, and are not marked as that.
func (d *desk) warnOfHouse(inv inventory.Inventory, where func(path string) (string, int)) {
	var here []int
	for i, h := range inv.Hosts {
		if h.House == "" && d.isHere(h.Address) {
			here = append(here, i)
		}
	}
	if len(here) == 0 {
		return
	}
	path := fmt.Sprintf("hosts[%d].address", here[0])
	name, line := where(path)
	others := ""
	switch n := len(here) - 1; {
	case n == 1:
		others = ", and so is 1 other"
	case n > 1:
		others = ", and so are " + many(n, "other")
	}
	d.note("%s:%d: %s: %s is this very machine%s: where rollpatchd or a worker runs, mark the host with house: rollpatch", name, line, path, inv.Hosts[here[0]].Address, others)
}
