// Package catalog makes an inventory of what Consul's catalog lists: services become clusters, nodes become hosts.
// It must not know how Consul is asked, nor any file, network, environment or clock.
package catalog

// Listed is one datacenter, as its servers list it.
type Listed struct {
	Datacenter string
	Others     []string // datacenters that these servers know besides
	Nodes      []Node
	Instances  []Instance
	Checks     []Check
}

// Node is one node of the catalog.
type Node struct {
	Name, Address string
	Meta          map[string]string
}

// Instance is one service of one node.
type Instance struct {
	Service, ID, Node string
	Port              int
	Mesh              bool // a sidecar or a gateway of the mesh: nobody puts these into maintenance
	Tags              []string
	Meta              map[string]string
}

// Check is one check of a node, or of a service of it.
type Check struct {
	Node, ID, Name string
	ServiceID      string // empty: of the node itself
	Passing        bool
}

// Serf is the check that an agent is there and heard.
const Serf = "serfHealth"
