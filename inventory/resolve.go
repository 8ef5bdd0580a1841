package inventory

import (
	"path/filepath"
	"slices"
	"strings"
)

// The defaults that Resolve fills in.
const (
	DefaultPort          = 22
	DefaultKnownHosts    = "~/.ssh/known_hosts"
	DefaultSegment       = "default"
	DefaultConsulAddress = "127.0.0.1:8500"
	DefaultStatus        = 200
)

// consulHosts bounds the default list of hosts whose agents are asked: each cluster carries its own, and ten thousand names in each of
// thousands of clusters would outweigh everything else a plan says.
const consulHosts = 10

// Resolve returns a copy with every default filled in, so that no consumer needs to know one: hosts have their whole access and a
// segment, clusters their whole way to Consul, budget and min_healthy, services and checks what they mean. Resolving twice changes nothing.
func (inv Inventory) Resolve() Inventory {
	out := Inventory{Access: inv.Access.or(Access{Port: DefaultPort, KnownHosts: DefaultKnownHosts}), Approvers: inv.Approvers, Emergency: inv.Emergency, Zone: inv.Zone, Windows: inv.Windows, Freezes: inv.Freezes, Accept: inv.Accept}
	for _, h := range inv.Hosts {
		h.Access = h.Access.or(out.Access)
		if h.Segment == "" {
			h.Segment = DefaultSegment
		}
		out.Hosts = append(out.Hosts, h)
	}

	first := out.firstHosts()
	var none Duration
	base := inv.Consul.or(Consul{Via: ViaSSH, Address: DefaultConsulAddress, DNSTTL: &none})
	out.Consul = base
	if out.Consul.Via == ViaSSH && len(out.Consul.Hosts) == 0 {
		out.Consul.Hosts = first.anywhere
	}

	for _, c := range inv.Clusters {
		c.Consul = c.Consul.or(base)
		switch {
		case c.Consul.Via == ViaDirect:
			c.Consul.Hosts = nil
		case len(c.Consul.Hosts) == 0:
			// A worker of another segment does not reach the first hosts of the inventory; this cluster's worker reaches this cluster's segment.
			c.Consul.Hosts = first.near(c)
		}
		if c.MaxUnavailable.IsZero() {
			c.MaxUnavailable = Budget{Number: 1}
		}
		c.MinHealthy = c.minHealthy()
		if c.Drain == "" {
			c.Drain = DrainConsul
		}
		c.Services = slices.Clone(c.Services)
		for i := range c.Services {
			if c.Services[i].PassingMeans == "" {
				c.Services[i].PassingMeans = PassingOnly
			}
		}
		c.Checks = slices.Clone(c.Checks)
		for i, check := range c.Checks {
			if check.HTTP != nil {
				http := *check.HTTP
				if http.Status == 0 {
					http.Status = DefaultStatus
				}
				c.Checks[i].HTTP = &http
			}
		}
		out.Clusters = append(out.Clusters, c)
	}
	return out
}

// firstHosts are the hosts asked by default, in the inventory's order: of all, and per segment.
type firstHosts struct {
	anywhere []string
	order    map[string]int    // host to its place in the inventory
	segment  map[string]string // host to its segment
	in       map[string][]string
}

func (inv Inventory) firstHosts() firstHosts {
	f := firstHosts{order: map[string]int{}, segment: map[string]string{}, in: map[string][]string{}}
	for i, h := range inv.Hosts {
		f.order[h.Name], f.segment[h.Name] = i, h.Segment
		if len(f.anywhere) < consulHosts {
			f.anywhere = append(f.anywhere, h.Name)
		}
		if len(f.in[h.Segment]) < consulHosts {
			f.in[h.Segment] = append(f.in[h.Segment], h.Name)
		}
	}
	return f
}

// near are the first hosts of the segments that the cluster has members in.
func (f firstHosts) near(c Cluster) []string {
	var names []string
	seen := map[string]bool{}
	for _, m := range c.Members {
		if segment, ok := f.segment[m]; ok && !seen[segment] {
			seen[segment] = true
			names = append(names, f.in[segment]...)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return f.order[a] - f.order[b] })
	return names[:min(len(names), consulHosts)]
}

func (a Access) or(d Access) Access {
	if a.User == "" {
		a.User = d.User
	}
	if a.Port == 0 {
		a.Port = d.Port
	}
	if a.IdentityFile == "" {
		a.IdentityFile = d.IdentityFile
	}
	if a.KnownHosts == "" {
		a.KnownHosts = d.KnownHosts
	}
	return a
}

func (c Consul) or(d Consul) Consul {
	if c.Via == "" {
		c.Via = d.Via
	}
	if c.Address == "" {
		c.Address = d.Address
	}
	if len(c.Hosts) == 0 {
		c.Hosts = d.Hosts
	}
	if c.Token == nil {
		c.Token = d.Token
	}
	if c.DNSTTL == nil {
		c.DNSTTL = d.DNSTTL
	}
	return c
}

func (c Cluster) minHealthy() int {
	if c.MinHealthy != 0 {
		return c.MinHealthy
	}
	budget := c.MaxUnavailable
	if budget.IsZero() {
		budget = Budget{Number: 1}
	}
	return max(1, len(c.Members)-budget.Of(len(c.Members)))
}

// WithPaths returns a copy in which every path of a file is absolute: ~ is home, and a relative path starts at dir, the folder of the
// inventory file (also for what inventory.d adds). It comes after Resolve, which fills in a default path of its own.
func (inv Inventory) WithPaths(dir, home string) Inventory {
	inv.Access = inv.Access.withPaths(dir, home)
	inv.Consul.Token = inv.Consul.Token.WithPaths(dir, home)
	inv.Windows, inv.Freezes = WindowsWithPaths(inv.Windows, dir, home), FreezesWithPaths(inv.Freezes, dir, home)
	inv.Emergency = inv.Emergency.WithPaths(dir, home)
	inv.Hosts = slices.Clone(inv.Hosts)
	for i := range inv.Hosts {
		inv.Hosts[i].Access = inv.Hosts[i].Access.withPaths(dir, home)
		inv.Hosts[i].Power = inv.Hosts[i].Power.withPaths(dir, home)
	}
	inv.Clusters = slices.Clone(inv.Clusters)
	for i := range inv.Clusters {
		inv.Clusters[i].Consul.Token = inv.Clusters[i].Consul.Token.WithPaths(dir, home)
	}
	return inv
}

func (a Access) withPaths(dir, home string) Access {
	a.IdentityFile = Absolute(a.IdentityFile, dir, home)
	a.KnownHosts = Absolute(a.KnownHosts, dir, home)
	return a
}

func (p *Power) withPaths(dir, home string) *Power {
	if p == nil || len(p.Env) == 0 {
		return p
	}
	out := Power{Command: p.Command, Env: map[string]Secret{}}
	for name, ref := range p.Env {
		out.Env[name] = *ref.WithPaths(dir, home)
	}
	return &out
}

// WithPaths returns a copy whose file, if it has one, is absolute.
func (s *Secret) WithPaths(dir, home string) *Secret {
	if s == nil || s.File == "" {
		return s
	}
	out := *s
	out.File = Absolute(s.File, dir, home)
	return &out
}

// Absolute makes a path of a file whole: ~ is home, and a relative path starts at dir. No path stays none.
func Absolute(path, dir, home string) string {
	switch {
	case path == "":
		return ""
	case path == "~":
		return home
	case strings.HasPrefix(path, "~/"):
		return filepath.Join(home, path[2:])
	case filepath.IsAbs(path):
		return filepath.Clean(path)
	default:
		return filepath.Join(dir, path)
	}
}
