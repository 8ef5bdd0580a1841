package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/draft"
)

// Options are what a person adds to what Consul lists.
type Options struct {
	// User logs in to every host.
	User string
	// Services are patterns of the services that become clusters; none: all.
	Services []string
	// Address is where Consul was asked, for an inventory of one host.
	Address string
}

// servers is the service that Consul's own servers offer. Nobody can put it into maintenance.
const servers = "consul"

type drafter struct {
	listed Listed
	o      Options
	out    draft.Draft
	notes  map[string][]string // nodes by what is to be said of them
	hosts  map[string]string   // node to its name in our inventory; absent: left out
}

// Draft is the inventory of ours that these nodes and services make. An error is a [*draft.Unfit].
func (l Listed) Draft(o Options) (draft.Draft, error) {
	d := &drafter{listed: l, o: o, notes: map[string][]string{}, hosts: map[string]string{}}
	d.out.HostRemarks, d.out.ClusterRemarks = map[string][]string{}, map[string][]string{}
	if o.User == "" {
		return d.out, &draft.Unfit{Why: "nothing in Consul says who logs in to hosts", Hint: "--user NAME says it"}
	}
	d.out.Access.User = o.User
	d.nodes()
	if len(d.out.Hosts) == 0 {
		return d.out, &draft.Unfit{Why: "no node is left that could be a host" + d.said(), Hint: "rollpatch inventory import consul --help says what is asked"}
	}
	if err := d.clusters(); err != nil {
		return d.out, err
	}
	d.head()
	return d.out, nil
}

func (d *drafter) note(node, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	d.notes[what] = append(d.notes[what], node)
}

var addressForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (d *drafter) nodes() {
	serf, notHeard := map[string]bool{}, map[string]bool{}
	for _, c := range d.listed.Checks {
		if c.ID == Serf && c.ServiceID == "" {
			serf[c.Node], notHeard[c.Node] = true, !c.Passing
		}
	}
	ofServers := map[string]bool{}
	for _, i := range d.listed.Instances {
		ofServers[i.Node] = ofServers[i.Node] || i.Service == servers
	}
	names, addresses := draft.Names{}, map[string]string{}
	for _, n := range d.listed.Nodes {
		ip, err := netip.ParseAddr(strings.Trim(n.Address, "[]"))
		address, at := n.Address, strings.ToLower(n.Address)
		if err == nil {
			address, at = ip.String(), ip.Unmap().String()
		}
		switch {
		case !serf[n.Name]:
			d.note(n.Name, "left out, because no agent of Consul runs there: nobody could put its services into maintenance")
			continue
		case err != nil && !addressForm.MatchString(n.Address):
			d.note(n.Name, "left out, because its address in Consul is none")
			continue
		case err == nil && (ip.IsLoopback() || ip.IsUnspecified()) || at == "localhost":
			d.note(n.Name, "left out, because its address in Consul, %s, leads nobody else there: have its agent advertise another", address)
			continue
		}
		if before := addresses[at]; before != "" {
			d.note(n.Name, "left out, because %s is the same machine", before)
			d.hosts[n.Name] = d.hosts[before]
			continue
		}
		addresses[at] = n.Name
		name := names.Take(n.Name)
		h := inventory.Host{Name: name, Address: address, Labels: inventory.Labels{"datacenter": d.listed.Datacenter}}
		for key, value := range n.Meta {
			if key == "consul-network-segment" && value != "" {
				h.Labels["network_segment"] = value
				d.note(n.Name, "in segment %s of Consul's network: where only certain workers reach it, write segment", value)
			} else if !strings.HasPrefix(key, "consul-") && value != "" {
				h.Labels[key] = value
			}
		}
		if ofServers[n.Name] {
			h.House = servers
		}
		if name != n.Name {
			d.out.HostRemarks[name] = append(d.out.HostRemarks[name], "is "+n.Name+" to Consul")
		}
		if notHeard[n.Name] {
			d.out.HostRemarks[name] = append(d.out.HostRemarks[name], "Consul does not hear its agent: strike it out here and in the clusters if it is gone")
		}
		d.hosts[n.Name] = name
		d.out.Hosts = append(d.out.Hosts, h)
	}
}

// offer is one service and where it is offered.
type offer struct {
	name      string
	instances []Instance
	members   []string // of our inventory, in its order
}

// Chosen reports whether a service is asked for. An error is a [*draft.Unfit].
func (o Options) Chosen(service string) (bool, error) {
	if len(o.Services) == 0 {
		return true, nil
	}
	chosen := false
	for _, pattern := range o.Services {
		ok, err := path.Match(pattern, service)
		if err != nil {
			return false, &draft.Unfit{Why: fmt.Sprintf("--services %q is no pattern", pattern), Hint: "* stands for any letters, ? for one, [ab] for one of these"}
		}
		chosen = chosen || ok
	}
	return chosen, nil
}

func (d *drafter) offers() ([]offer, error) {
	var mesh []string
	by := map[string][]Instance{}
	for _, i := range d.listed.Instances {
		if chosen, err := d.o.Chosen(i.Service); err != nil {
			return nil, err
		} else if chosen && !i.Mesh {
			by[i.Service] = append(by[i.Service], i)
		} else if chosen && !slices.Contains(mesh, i.Service) {
			mesh = append(mesh, i.Service)
		}
	}
	if len(mesh) > 0 {
		d.out.Head = append(d.out.Head, fmt.Sprintf("%s: no clusters, because proxies and gateways of the mesh are not put into maintenance.", draft.Few(mesh)))
	}
	var out []offer
	for _, name := range slices.Sorted(maps.Keys(by)) {
		o := offer{name: name, instances: by[name]}
		on := map[string]bool{}
		for _, i := range o.instances {
			on[d.hosts[i.Node]] = true
		}
		for _, h := range d.out.Hosts {
			if on[h.Name] {
				o.members = append(o.members, h.Name)
			}
		}
		if len(o.members) > 0 {
			out = append(out, o)
		}
	}
	return out, nil
}

// clusters makes one of all services that exactly the same hosts offer: who is patched takes all of them out.
func (d *drafter) clusters() error {
	offers, err := d.offers()
	if err != nil {
		return err
	}
	if len(offers) == 0 {
		return &draft.Unfit{Why: "no service is offered by a host that is left" + d.said(), Hint: "--services GLOB picks services; without it every one is taken"}
	}
	names, same := draft.Names{}, map[string]bool{}
	in := map[string]int{}
	for i, o := range offers {
		key := strings.Join(o.members, " ")
		if o.name != servers && same[key] {
			continue
		}
		group := []offer{o}
		if o.name != servers {
			same[key] = true
			for _, other := range offers[i+1:] {
				if other.name != servers && strings.Join(other.members, " ") == key {
					group = append(group, other)
				}
			}
		}
		c := inventory.Cluster{Name: names.Take(o.name), Members: o.members}
		say := d.describe(&c, group)
		if c.Name != o.name {
			say = append(say, "is "+o.name+" to Consul")
		}
		d.out.ClusterRemarks[c.Name] = say
		d.out.Clusters = append(d.out.Clusters, c)
		for _, m := range c.Members {
			in[m]++
		}
	}
	d.out.Belong(in, "--services GLOB picks services that people use, without what runs on every host.")
	return nil
}

// describe fills in what the services of one cluster say of it, and returns what they do not.
func (d *drafter) describe(c *inventory.Cluster, group []offer) (say []string) {
	c.Checks = []inventory.Check{{Name: "login", Command: []string{"true"}}}
	c.Owner, c.Contact = agreed(group, "owner"), agreed(group, "contact")
	c.Labels = d.labels(*c, group)
	var portless, unspoken []string
	for _, o := range group {
		if !addressForm.MatchString(o.name) || len(o.name) > 63 {
			unspoken = append(unspoken, o.name)
		} else if port := onePort(o.instances); port != 0 && o.name != servers {
			c.Services = append(c.Services, inventory.Service{Name: o.name, Port: port})
		} else if o.name != servers {
			portless = append(portless, o.name)
		}
	}
	missing := []string{}
	for _, f := range []struct{ name, value string }{{"owner", c.Owner}, {"contact", c.Contact}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	missing = append(missing, "checks")
	switch {
	case group[0].name == servers:
		c.Drain = inventory.DrainNone
		say = append(say, "Consul's own servers: they cannot be put into maintenance, and have to keep a quorum")
	case len(portless)+len(unspoken) > 0:
		c.Drain, c.Services = inventory.DrainNone, nil
		missing = append(missing, "services with their ports, or drain_commands, in place of drain: none")
		if len(portless) > 0 {
			say = append(say, fmt.Sprintf("no port, or not the same one everywhere, is registered for %s: which connections have to end is not known", strings.Join(portless, " ")))
		}
		if len(unspoken) > 0 {
			say = append(say, fmt.Sprintf("%s: a name that cannot stand here", strings.Join(unspoken, " ")))
		}
	}
	say = append([]string{"to write: " + strings.Join(missing, ", ")}, say...)
	if len(c.Members) == 1 {
		say = append(say, "one host: nothing takes over while it is patched")
	}
	say = append(say, d.checked(group)...)
	return append(say, tagged(group)...)
}

// agreed is what all instances that say something say, if that is one thing.
func agreed(group []offer, key string) (value string) {
	for _, o := range group {
		for _, i := range o.instances {
			switch v := i.Meta[key]; {
			case v == "" || v == value:
			case value == "":
				value = v
			default:
				return ""
			}
		}
	}
	return value
}

// onePort is the port of all instances; 0: they have several, or one has none.
func onePort(all []Instance) int {
	port := all[0].Port
	if slices.ContainsFunc(all, func(i Instance) bool { return i.Port != port }) || port < 0 || port > 65535 {
		return 0
	}
	return port
}

// labels are those that every member has, and the tags of every instance.
func (d *drafter) labels(c inventory.Cluster, group []offer) inventory.Labels {
	var out inventory.Labels
	for _, h := range d.out.Hosts {
		if !slices.Contains(c.Members, h.Name) {
			continue
		}
		if out == nil {
			out = maps.Clone(h.Labels)
		}
		maps.DeleteFunc(out, func(key, value string) bool { return h.Labels[key] != value })
	}
	for _, o := range group {
		for _, tag := range o.instances[0].Tags {
			if len(untagged(o, tag)) > 0 {
				continue
			}
			key, value, found := strings.Cut(tag, "=")
			if !found {
				value = "yes"
			}
			if _, taken := out[key]; !taken && key != "" {
				out[key] = value
			}
		}
	}
	return out
}

func untagged(o offer, tag string) (nodes []string) {
	for _, i := range o.instances {
		if !slices.Contains(i.Tags, tag) {
			nodes = append(nodes, i.Node)
		}
	}
	return nodes
}

// tagged says which tags only some instances have: they often name a part that one of them has, such as that of the primary.
func tagged(group []offer) (say []string) {
	for _, o := range group {
		by := map[string][]string{}
		for _, i := range o.instances {
			for _, tag := range i.Tags {
				if !slices.Contains(by[tag], i.Node) {
					by[tag] = append(by[tag], i.Node)
				}
			}
		}
		for _, tag := range slices.Sorted(maps.Keys(by)) {
			if len(untagged(o, tag)) > 0 {
				say = append(say, fmt.Sprintf("%s: tag %s only on %s: members are not alike; they are worked on in the order written", o.name, tag, draft.Few(by[tag])))
			}
		}
	}
	return say
}

// checked says what of these services Consul checks, and where it is not well.
func (d *drafter) checked(group []offer) (say []string) {
	type key struct{ node, service string }
	for _, o := range group {
		if o.name == servers {
			continue
		}
		by := map[key]string{}
		for _, i := range o.instances {
			by[key{i.Node, i.ID}] = i.Node
		}
		var names, ill []string
		has := map[key]bool{}
		for _, c := range d.listed.Checks {
			at := key{c.Node, c.ServiceID}
			if by[at] == "" || c.ServiceID == "" {
				continue
			}
			has[at] = true
			if name := cmp.Or(c.Name, c.ID); !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !c.Passing && !slices.Contains(ill, c.Node) {
				ill = append(ill, c.Node)
			}
		}
		var bare []string
		for _, i := range o.instances {
			if !has[key{i.Node, i.ID}] && !slices.Contains(bare, i.Node) {
				bare = append(bare, i.Node)
			}
		}
		if len(bare) > 0 {
			say = append(say, fmt.Sprintf("%s: no check of it in Consul on %s: it counts as in service there as long as the agent is heard", o.name, draft.Few(bare)))
		}
		if len(names) > 0 {
			slices.Sort(names)
			say = append(say, fmt.Sprintf("%s: checked by Consul: %s", o.name, strings.Join(names[:min(len(names), 5)], ", ")))
		}
		if len(ill) > 0 {
			say = append(say, fmt.Sprintf("%s: not passing when this was made: %s", o.name, draft.Few(ill)))
		}
	}
	return say
}

func (d *drafter) said() string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(d.notes)) {
		fmt.Fprintf(&b, "\n%s: %s", draft.Few(d.notes[what]), what)
	}
	return b.String()
}

func (d *drafter) head() {
	head := []string{
		"Made from Consul's catalog of datacenter " + d.listed.Datacenter + ", which does not say:",
		"- what proves that a member is healthy beside Consul's own checks: the check login proves that it can be logged in to, and no",
		"  more. Write one such as {name: page, http: {url: http://127.0.0.1/}}",
		"- who answers for a cluster: owner, contact, unless the service's meta has them",
		"- hosts that have no agent, and services that nobody registered",
		"Consul is asked through SSH, at the agents of the hosts. Where its ACLs deny by default, write consul: {token: {env: NAME}}.",
	}
	for _, what := range slices.Sorted(maps.Keys(d.notes)) {
		head = append(head, fmt.Sprintf("%s: %s.", draft.Few(d.notes[what]), what))
	}
	if len(d.listed.Others) > 0 {
		head = append(head, fmt.Sprintf("Not in here: datacenters %s. --datacenter NAME imports one; clusters of several in one inventory need consul: {hosts: [...]} of their own.", draft.Few(d.listed.Others)))
	}
	d.out.Head = append(head, d.out.Head...)
	if len(d.out.Hosts) == 1 {
		d.out.Consul = inventory.Consul{Via: inventory.ViaDirect, Address: d.o.Address}
		d.out.ConsulRemarks = []string{"One host cannot be asked while it reboots: this is where Consul was asked, and has to lead there from the worker."}
	}
}
