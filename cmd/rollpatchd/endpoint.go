package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// endpoint is an address that only this machine can reach: the server has no
// passwords of its own, so reaching it is the permission to use it.
type endpoint struct {
	ip   netip.Addr
	port uint16 // 0: any free one
}

func (e endpoint) String() string { return netip.AddrPortFrom(e.ip, e.port).String() }

func parseEndpoint(value string) (endpoint, error) {
	host, portText, err := net.SplitHostPort(value)
	if err != nil {
		return endpoint{}, fmt.Errorf("%q is not HOST:PORT", value)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return endpoint{}, fmt.Errorf("%q is not a loopback address: the server asks for no password, so only this machine may reach it", host)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return endpoint{}, fmt.Errorf("port %q is not a number from 0 to 65535", portText)
	}
	return endpoint{ip: ip, port: uint16(port)}, nil
}

// claimPorts proves that every endpoint can be listened on and fills in ports
// that were left to us. All are held at once, so that no two get the same, and
// let go at the end: the server opens its listeners itself.
func claimPorts(endpoints ...*endpoint) error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, e := range endpoints {
		l, err := listen(*e)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("address %s is taken by another process", e)
		}
		if err != nil {
			return fmt.Errorf("address %s: %w", e, err)
		}
		held = append(held, l)
		e.port = l.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	return nil
}

// Ports that are left to us lie below those that the machine gives to whoever
// connects, or one could be taken between our letting go of it and the server's
// listening.
const (
	firstPort = 20000
	lastPort  = 32000
)

func listen(e endpoint) (net.Listener, error) {
	for range 100 {
		if e.port != 0 {
			break
		}
		free := endpoint{ip: e.ip, port: uint16(firstPort + rand.IntN(lastPort-firstPort))}
		if l, err := net.Listen("tcp", free.String()); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", e.String())
}
