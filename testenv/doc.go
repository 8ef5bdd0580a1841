// Package testenv knows how to bring up a lab: six real Debian hosts, a Consul
// server, a package repository and a load balancer on one machine. It must not
// know anything of campaigns, workflows or playbooks: it is the world that the
// product is tried on, and the oracle that says what happened there.
//
// A lab is one detached process, the supervisor, in a PID and mount namespace
// of its own. Everything a lab starts is a child in that namespace, and every
// mount is private to it: however the supervisor ends, the kernel ends the rest.
package testenv
