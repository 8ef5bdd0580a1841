package testenv

import (
	"fmt"
	"path/filepath"
)

// Ports of the lab on its own address. They are fixed: every lab has an
// address of its own, so several labs never compete for them.
const (
	portRepository = 8000
	portWeb        = 8080
	portFixed      = 8081 // HAProxy, servers that its admin socket takes out and puts back
	portAdmin      = 8082 // that socket
	portConsul     = 8500
	portConsulDNS  = 8600
)

// maxLabs is how many labs fit on one machine: the number is a part of the address.
const maxLabs = 10

// Host is one machine of the lab as its inventory describes it.
type Host struct {
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	Address string `json:"address"`
	// Service is both the name and the id of the Consul service it offers.
	Service string `json:"service"`
	Port    int    `json:"port"`
}

// web says whether the host serves the page of lab-web.
func (h Host) web() bool { return h.Cluster != "cache" }

// gateway is the machine's own address in a lab.
func gateway(number int) string { return fmt.Sprintf("10.77.%d.1", number) }

func bridgeName(number int) string { return fmt.Sprintf("rplab%d", number) }

// machineName is what nspawn knows a host by: hosts of several labs share one
// name space of network interfaces, which are called after it.
func machineName(number int, host string) string { return fmt.Sprintf("rp%d-%s", number, host) }

// cableName is the network interface that nspawn makes for a host, on the bridge's side.
func cableName(number int, host string) string { return "vb-" + machineName(number, host) }

// hostsOf lists the hosts of a lab, in the order of the inventory.
func hostsOf(number int) []Host {
	address := func(last int) string { return fmt.Sprintf("10.77.%d.%d", number, last) }
	return []Host{
		{Name: "web-1", Cluster: "web", Address: address(11), Service: "web", Port: 80},
		{Name: "web-2", Cluster: "web", Address: address(12), Service: "web", Port: 80},
		{Name: "web-3", Cluster: "web", Address: address(13), Service: "web", Port: 80},
		{Name: "cache-1", Cluster: "cache", Address: address(21), Service: "redis", Port: 6379},
		{Name: "cache-2", Cluster: "cache", Address: address(22), Service: "redis", Port: 6379},
		{Name: "solo-1", Cluster: "solo", Address: address(31), Service: "solo", Port: 80},
	}
}

// paths of the files in a lab's folder.
type paths struct{ dir string }

func (p paths) recordFile() string      { return filepath.Join(p.dir, "lab.json") }
func (p paths) pidFile() string         { return filepath.Join(p.dir, "lab.pid") }
func (p paths) eventsFile() string      { return filepath.Join(p.dir, "events.jsonl") }
func (p paths) logFile(n string) string { return filepath.Join(p.dir, "log", n+".log") }
func (p paths) clientKey() string       { return filepath.Join(p.dir, "ssh", "id_ed25519") }
func (p paths) hostKey(h string) string {
	return filepath.Join(p.dir, "ssh", "host_"+h)
}
func (p paths) knownHosts() string       { return filepath.Join(p.dir, "ssh", "known_hosts") }
func (p paths) inventory() string        { return filepath.Join(p.dir, "inventory.yaml") }
func (p paths) haproxyFile() string      { return filepath.Join(p.dir, "haproxy.cfg") }
func (p paths) consulDir() string        { return filepath.Join(p.dir, "consul") }
func (p paths) host(h string) string     { return filepath.Join(p.dir, "hosts", h) }
func (p paths) hostRoot(h string) string { return filepath.Join(p.host(h), "root") }
