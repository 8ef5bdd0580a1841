// Package inventory knows what there is: hosts, the clusters they form, how each is reached and what healthy means there.
// It must not know where that knowledge comes from, nor do anything about it: no files, network, environment or clock.
//
// A value as written leaves out what has a default. [Inventory.Validate] names every rule it breaks, [Inventory.Resolve]
// fills the defaults in; everything past those two works with whole values.
package inventory

// Inventory is every host and cluster that campaigns may work on.
type Inventory struct {
	// Access holds the defaults of how hosts are reached; a host overrides any key.
	Access Access `json:"access,omitzero" yaml:"access,omitempty"`
	// Consul says how Consul is reached; a cluster overrides any key.
	Consul Consul `json:"consul,omitzero" yaml:"consul,omitempty"`
	// Approvers are the people whose agreement counts at the gates of campaigns.
	Approvers []Approver `json:"approvers,omitempty" yaml:"approvers,omitempty"`
	// Emergency is who may have an emergency begin, in any campaign.
	Emergency *Emergency `json:"emergency,omitempty" yaml:"emergency,omitempty"`
	// Hosts are the machines reached over SSH.
	Hosts []Host `json:"hosts,omitempty" yaml:"hosts,omitempty" jsonschema:"required"`
	// Clusters are the groups of hosts that are redundant for each other.
	Clusters []Cluster `json:"clusters,omitempty" yaml:"clusters,omitempty" jsonschema:"required"`
	// Zone says whose clocks windows and freezes mean where they do not say it themselves, such as Europe/Berlin or UTC.
	Zone string `json:"zone,omitempty" yaml:"zone,omitempty"`
	// Windows are when hosts may begin, in campaigns that do not say so themselves; default always.
	Windows []Window `json:"windows,omitempty" yaml:"windows,omitempty"`
	// Freezes are when nothing may begin, in any campaign.
	Freezes []Freeze `json:"freezes,omitempty" yaml:"freezes,omitempty"`
	// Accept are findings of the preflight that somebody lives with until a day.
	Accept []Accept `json:"accept,omitempty" yaml:"accept,omitempty"`
}

// Labels are free words that selectors match.
type Labels map[string]string

// Match reports whether l holds every label of want. No wanted label matches nothing: a selector that lost its labels must not select
// everything.
func (l Labels) Match(want Labels) bool {
	for key, value := range want {
		if got, ok := l[key]; !ok || got != value {
			return false
		}
	}
	return len(want) > 0
}

// Access is how a host is logged in to.
type Access struct {
	// User logs in; it is never taken from whoever runs the worker.
	User string `json:"user,omitempty" yaml:"user,omitempty"`
	// Port of sshd; default 22.
	Port int `json:"port,omitempty" yaml:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// IdentityFile is the path of the private key, relative to the inventory file; absent, the SSH agent is asked.
	IdentityFile string `json:"identity_file,omitempty" yaml:"identity_file,omitempty"`
	// KnownHosts is the path of the host keys that are checked, relative to the inventory file; default ~/.ssh/known_hosts.
	KnownHosts string `json:"known_hosts,omitempty" yaml:"known_hosts,omitempty"`
}

// Consul is how Consul is reached. DNSTTL is a pointer, never nil once resolved, so that a cluster can set it back to 0s.
type Consul struct {
	// Via is ssh (through the SSH connection to one of Hosts, the default) or direct (straight from the worker).
	Via Via `json:"via,omitempty" yaml:"via,omitempty"`
	// Address of the agent's HTTP API, host:port or with http:// or https://, as seen from there; default 127.0.0.1:8500.
	Address string `json:"address,omitempty" yaml:"address,omitempty"`
	// Hosts whose agents are asked, in this order, when via is ssh; at least two; default the first ten hosts of the cluster's segment.
	Hosts []string `json:"hosts,omitempty" yaml:"hosts,omitempty"`
	// Token is where the ACL token is found.
	Token *Secret `json:"token,omitempty" yaml:"token,omitempty"`
	// DNSTTL is how long consumers may go on using an answer of Consul's DNS; default 0s.
	DNSTTL *Duration `json:"dns_ttl,omitempty" yaml:"dns_ttl,omitempty"`
}

// Via is a way to Consul.
type Via string

// The ways to Consul.
const (
	ViaSSH    Via = "ssh"
	ViaDirect Via = "direct"
)

// Values lists what may be written.
func (Via) Values() []string { return []string{string(ViaSSH), string(ViaDirect)} }

// Secret says where a secret is found, in exactly one of three places. It never holds the secret.
type Secret struct {
	// Env is the name of an environment variable of the worker.
	Env string `json:"env,omitempty" yaml:"env,omitempty"`
	// File is a path on the worker, relative to the file that names it.
	File string `json:"file,omitempty" yaml:"file,omitempty"`
	// Command prints the secret: the program and its arguments.
	Command []string `json:"command,omitempty" yaml:"command,omitempty"`
}

// Host is a machine reached over SSH.
type Host struct {
	// Name of the host, everywhere.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Address is a DNS name or an IP address.
	Address string `json:"address" yaml:"address" jsonschema:"required"`
	// Labels are free words for people and other programs; selectors match those of clusters.
	Labels Labels `json:"labels,omitempty" yaml:"labels,omitempty"`
	// Segment is the network that only certain workers reach; default "default".
	Segment string `json:"segment,omitempty" yaml:"segment,omitempty"`
	// Playbook names the package-manager family; absent, it is found from os-release.
	Playbook string `json:"playbook,omitempty" yaml:"playbook,omitempty"`
	// House says which part of rollpatch's own house the host is, such as consul, temporal or bastion: its cluster goes last in its stage, and
	// never beside another cluster of that part.
	House string `json:"house,omitempty" yaml:"house,omitempty"`
	// Power cycles the host's power when the policy says so.
	Power *Power `json:"power,omitempty" yaml:"power,omitempty"`
	// Access overrides the inventory's access, key by key.
	Access Access `json:"access,omitzero" yaml:"access,omitempty"`
}

// Power is a program of the worker that cycles a host's power. It finds the host in ROLLPATCH_HOST and ROLLPATCH_ADDRESS.
type Power struct {
	// Command is the program and its arguments.
	Command []string `json:"command" yaml:"command" jsonschema:"required"`
	// Env is where the secrets are found that it gets in its environment.
	Env map[string]Secret `json:"env,omitempty" yaml:"env,omitempty"`
}

// Cluster is a group of hosts that are redundant for each other.
type Cluster struct {
	// Name of the cluster, everywhere.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Owner is who answers for it.
	Owner string `json:"owner,omitempty" yaml:"owner,omitempty"`
	// Contact is how the owner is reached.
	Contact string `json:"contact,omitempty" yaml:"contact,omitempty"`
	// Labels are free words that selectors match.
	Labels Labels `json:"labels,omitempty" yaml:"labels,omitempty"`
	// Members are names of hosts, in the order of work.
	Members []string `json:"members" yaml:"members" jsonschema:"required"`
	// Services are the Consul services that the members offer; required with drain: consul.
	Services []Service `json:"services,omitempty" yaml:"services,omitempty"`
	// Drain is how members go out of service: consul (the default), command or none.
	Drain DrainBy `json:"drain,omitempty" yaml:"drain,omitempty"`
	// DrainCommands are the scripts of drain: command.
	DrainCommands *DrainCommands `json:"drain_commands,omitempty" yaml:"drain_commands,omitempty"`
	// Ports are those whose established connections must end before a member counts as drained, with drain: command.
	Ports []int `json:"ports,omitempty" yaml:"ports,omitempty"`
	// MaxUnavailable is how many members may be out of service at once, a number or a percent; default 1.
	MaxUnavailable Budget `json:"max_unavailable,omitzero" yaml:"max_unavailable,omitempty"`
	// MinHealthy is how many members must stay in service; default max(1, size - max_unavailable).
	MinHealthy int `json:"min_healthy,omitempty" yaml:"min_healthy,omitempty" jsonschema:"minimum=1"`
	// DependsOn names clusters that this one needs.
	DependsOn []string `json:"depends_on,omitempty" yaml:"depends_on,omitempty"`
	// Checks run after patch and reboot, before undrain, after undrain and in the soak.
	Checks []Check `json:"checks,omitempty" yaml:"checks,omitempty"`
	// Consul overrides how Consul is reached, key by key.
	Consul Consul `json:"consul,omitzero" yaml:"consul,omitempty"`
	// Backup is how it is known when each member's last backup was made: without a new one no member is drained.
	Backup *Backup `json:"backup,omitempty" yaml:"backup,omitempty"`
}

// Service is a Consul service that the members of a cluster offer.
type Service struct {
	// Name in Consul.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Port whose established connections prove that a member is drained.
	Port int `json:"port" yaml:"port" jsonschema:"required,minimum=1,maximum=65535"`
	// PassingMeans says which members the service's consumers use: passing (the default) or not-critical.
	PassingMeans PassingMeans `json:"passing_means,omitempty" yaml:"passing_means,omitempty"`
}

// PassingMeans is the way a service's consumers ask Consul for it.
type PassingMeans string

// What counts as in service.
const (
	PassingOnly PassingMeans = "passing"
	NotCritical PassingMeans = "not-critical"
)

// Values lists what may be written.
func (PassingMeans) Values() []string { return []string{string(PassingOnly), string(NotCritical)} }

// Check is one proof that a member is healthy: exactly one of Unit, TCP, HTTP and Command.
type Check struct {
	// Name of the check within its cluster.
	Name string `json:"name" yaml:"name" jsonschema:"required"`
	// Unit is a systemd unit that must be active.
	Unit string `json:"unit,omitempty" yaml:"unit,omitempty"`
	// TCP is a host:port that must accept a connection, as seen from the member.
	TCP string `json:"tcp,omitempty" yaml:"tcp,omitempty"`
	// HTTP is a request that must be answered, as seen from the member.
	HTTP *HTTPCheck `json:"http,omitempty" yaml:"http,omitempty"`
	// Command must exit 0 on the member, run as the access user: the program and its arguments.
	Command []string `json:"command,omitempty" yaml:"command,omitempty"`
}

// HTTPCheck is a GET request and what its answer must be.
type HTTPCheck struct {
	// URL that is asked for.
	URL string `json:"url" yaml:"url" jsonschema:"required"`
	// Status that the answer must have; default 200.
	Status int `json:"status,omitempty" yaml:"status,omitempty" jsonschema:"minimum=100,maximum=599"`
	// Body is text that the answer must contain.
	Body string `json:"body,omitempty" yaml:"body,omitempty"`
}

// Host finds a host by name.
func (inv Inventory) Host(name string) (Host, bool) {
	for _, h := range inv.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// Cluster finds a cluster by name.
func (inv Inventory) Cluster(name string) (Cluster, bool) {
	for _, c := range inv.Clusters {
		if c.Name == name {
			return c, true
		}
	}
	return Cluster{}, false
}

// ClustersOf lists the clusters that a host is a member of, in the inventory's order.
func (inv Inventory) ClustersOf(host string) []Cluster {
	var found []Cluster
	for _, c := range inv.Clusters {
		if c.Has(host) {
			found = append(found, c)
		}
	}
	return found
}

// Has reports whether host is a member.
func (c Cluster) Has(host string) bool {
	for _, m := range c.Members {
		if m == host {
			return true
		}
	}
	return false
}
