package ansible

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/draft"
)

// Options are what a person adds to what Ansible's files say.
type Options struct {
	// User logs in where no variable says who does.
	User string
	// Groups are patterns of the groups that become clusters; none: each group that has hosts and no groups below it.
	Groups []string
}

// secrets are variables that hold what no file of ours may, and what takes their place.
var secrets = map[string]string{
	"ansible_password":        "hosts are logged in to with keys: name one with access.identity_file, or have an SSH agent hold it",
	"ansible_become_password": "sudo must ask for none: give the user NOPASSWD",
}

func init() {
	for _, other := range []string{"ansible_ssh_pass", "ansible_ssh_password"} {
		secrets[other] = secrets["ansible_password"]
	}
	for _, other := range []string{"ansible_become_pass", "ansible_sudo_pass", "ansible_sudo_password", "ansible_su_pass"} {
		secrets[other] = secrets["ansible_become_password"]
	}
	for _, other := range []string{"ansible_ssh_private_key_passphrase", "ansible_private_key_passphrase"} {
		secrets[other] = "have an SSH agent hold the key"
	}
}

// drafter collects what hosts have in common.
type drafter struct {
	inv     *Inventory
	out     draft.Draft
	notes   map[string][]string // hosts by what is to be said of them
	names   map[*Host]string    // in our inventory; absent: left out
	options Options
}

// Draft is the inventory of ours that these hosts and groups make. An error is a [*draft.Unfit].
func (inv *Inventory) Draft(o Options) (draft.Draft, error) {
	d := &drafter{inv: inv, options: o, notes: map[string][]string{}, names: map[*Host]string{}}
	d.out.HostRemarks, d.out.ClusterRemarks = map[string][]string{}, map[string][]string{}
	d.hosts()
	if err := d.access(); err != nil {
		return d.out, err
	}
	if err := d.clusters(); err != nil {
		return d.out, err
	}
	d.head()
	return d.out, nil
}

func (d *drafter) note(h *Host, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	d.notes[what] = append(d.notes[what], h.Name)
}

var (
	addressForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	wordForm    = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	overSSH     = []string{"", "ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}
)

func (d *drafter) hosts() {
	names, addresses := draft.Names{}, map[string]*Host{}
	for _, h := range d.inv.hostList {
		v := d.inv.Vars(h)
		for name := range v {
			if instead := secrets[name]; instead != "" {
				d.note(h, "%s is not taken over: %s", name, instead)
			}
		}
		if kind, known := textOf(v, h, "ansible_connection"); !known || !slices.Contains(overSSH, kind) {
			if !wordForm.MatchString(kind) {
				kind = "not known"
			}
			d.note(h, "left out, because ansible_connection is %s and hosts are reached over SSH alone", kind)
			continue
		}
		address, known := textOf(v, h, "ansible_host", "ansible_ssh_host")
		address = strings.Trim(cmp.Or(address, h.Name), "[]")
		if _, err := netip.ParseAddr(address); !known || !addressForm.MatchString(address) && err != nil {
			d.note(h, "left out, because ansible_host is no address that could be worked out: write it in")
			continue
		}
		var a inventory.Access
		port, known := textOf(v, h, "ansible_port", "ansible_ssh_port")
		if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 65536 {
			a.Port = n
		} else if !known || port != "" {
			d.note(h, "ansible_port could not be worked out: write access.port")
		}
		at := net.JoinHostPort(strings.ToLower(address), strconv.Itoa(cmp.Or(a.Port, inventory.DefaultPort)))
		if before := addresses[at]; before != nil {
			d.note(h, "left out, because %s is the same machine", before.Name)
			d.names[h] = d.names[before]
			continue
		}
		if a.User, known = textOf(v, h, "ansible_user", "ansible_ssh_user"); !known {
			d.note(h, "ansible_user could not be worked out: write access.user")
		}
		if a.IdentityFile, known = textOf(v, h, "ansible_ssh_private_key_file", "ansible_private_key_file"); !known {
			d.note(h, "ansible_ssh_private_key_file could not be worked out: write access.identity_file")
		} else if f := a.IdentityFile; f != "" && f[0] != '/' && f[0] != '~' {
			d.note(h, "access.identity_file is relative: here that is to the folder of this file")
		}
		if method, _ := textOf(v, h, "ansible_become_method"); method != "" && method != "sudo" && wordForm.MatchString(method) {
			d.note(h, "ansible_become_method is %s: here it is sudo, always", method)
		}
		d.sshArgs(h, v)
		addresses[at] = h
		name := names.Take(h.Name)
		if name != h.Name {
			d.out.HostRemarks[name] = append(d.out.HostRemarks[name], "is "+h.Name+" to Ansible")
		}
		d.names[h] = name
		d.out.Hosts = append(d.out.Hosts, inventory.Host{Name: name, Address: address, Access: a})
	}
}

var jumpForm = regexp.MustCompile(`(?i)(?:-o\s*["']?ProxyJump[=\s]\s*|-J\s*)["']?([A-Za-z0-9._@:,\[\]-]+)`)

// sshArgs says what of the arguments of ssh has no counterpart: they may hold anything, so no more of them is repeated than names.
func (d *drafter) sshArgs(h *Host, v map[string]any) {
	for _, name := range []string{"ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args"} {
		args, known := textOf(v, h, name)
		switch lower := strings.ToLower(args); {
		case !known:
			d.note(h, "%s could not be worked out: if it leads over a jump host, a worker must stand where it reaches them directly", name)
		case jumpForm.MatchString(args):
			d.note(h, "reached over %s in Ansible: jump hosts are not known here, so a worker must stand where it reaches them directly", jumpForm.FindStringSubmatch(args)[1])
		case strings.Contains(lower, "proxycommand"):
			d.note(h, "reached by a ProxyCommand in Ansible: a worker must stand where it reaches them directly")
		case strings.Contains(strings.ReplaceAll(lower, " ", ""), "stricthostkeychecking=no"):
			d.note(h, "%s turns host keys off: here they are always checked, so known_hosts must have them", name)
		}
	}
}

var reference = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

// textOf is the first of the variables that is there, with the names of others in it filled in. Not known: it is encrypted, or a template that
// takes more than that.
func textOf(v map[string]any, h *Host, names ...string) (value string, known bool) {
	for _, n := range names {
		if raw, ok := v[n]; ok && raw != nil {
			return filled(raw, v, h, 0)
		}
	}
	return "", true
}

func filled(raw any, v map[string]any, h *Host, depth int) (string, bool) {
	var value string
	switch raw := raw.(type) {
	case string:
		value = raw
	case int64:
		value = strconv.FormatInt(raw, 10)
	default:
		return "", false
	}
	known := depth < 8
	value = reference.ReplaceAllStringFunc(value, func(ref string) string {
		name := reference.FindStringSubmatch(ref)[1]
		switch name {
		case "inventory_hostname":
			return h.Name
		case "inventory_hostname_short":
			short, _, _ := strings.Cut(h.Name, ".")
			return short
		}
		to, ok := v[name]
		if !ok || !known || secrets[name] != "" {
			known = false
			return ""
		}
		with, ok := filled(to, v, h, depth+1)
		known = known && ok
		return with
	})
	if !known || strings.Contains(value, "{{") || strings.Contains(value, "{%") {
		return "", false
	}
	return value, true
}

// access lifts what all hosts have in common to the top.
func (d *drafter) access() error {
	hosts := d.out.Hosts
	if len(hosts) == 0 {
		return &draft.Unfit{Why: "no host is left that is reached over SSH" + d.said(), Hint: "the arguments name the sources: rollpatch inventory import ansible --help says more"}
	}
	var nobody []string
	for i := range hosts {
		if hosts[i].Access.User == "" {
			nobody = append(nobody, hosts[i].Name)
			hosts[i].Access.User = d.options.User
		}
	}
	if len(nobody) > 0 && d.options.User == "" {
		return &draft.Unfit{Why: "no ansible_user says who logs in to " + draft.Few(nobody), Hint: "--user NAME says it for those"}
	}
	first := hosts[0].Access
	same := func(ok func(a inventory.Access) bool) bool {
		return !slices.ContainsFunc(hosts, func(h inventory.Host) bool { return !ok(h.Access) })
	}
	if same(func(a inventory.Access) bool { return a.User == first.User }) {
		d.out.Access.User = first.User
	}
	if same(func(a inventory.Access) bool { return a.Port == first.Port }) {
		d.out.Access.Port = first.Port
	}
	if same(func(a inventory.Access) bool { return a.IdentityFile == first.IdentityFile }) {
		d.out.Access.IdentityFile = first.IdentityFile
	}
	for i := range hosts {
		a := &hosts[i].Access
		if d.out.Access.User != "" {
			a.User = ""
		}
		if d.out.Access.Port != 0 {
			a.Port = 0
		}
		if d.out.Access.IdentityFile != "" {
			a.IdentityFile = ""
		}
	}
	return nil
}

func (d *drafter) said() string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(d.notes)) {
		fmt.Fprintf(&b, "\n%s: %s", draft.Few(d.notes[what]), what)
	}
	return b.String()
}

// chosen are the groups that become clusters.
func (d *drafter) chosen() ([]*Group, error) {
	var out []*Group
	populated := func(g *Group) bool { return len(g.All()) > 0 }
	if len(d.options.Groups) == 0 {
		for _, g := range d.inv.Groups() {
			if populated(g) && !slices.ContainsFunc(g.Children, populated) {
				out = append(out, g)
			}
		}
		if len(out) == 0 {
			return nil, &draft.Unfit{Why: "no group has hosts: nothing says which of them are redundant for each other", Hint: "--cluster-groups ungrouped makes one cluster of all that have no group"}
		}
		return out, nil
	}
	var names []string
	for _, g := range d.inv.groupList {
		if populated(g) {
			names = append(names, g.Name)
		}
	}
	for _, pattern := range d.options.Groups {
		found := false
		for _, name := range names {
			ok, err := path.Match(pattern, name)
			if err != nil {
				return nil, &draft.Unfit{Why: fmt.Sprintf("--cluster-groups %q is no pattern", pattern), Hint: "* stands for any letters, ? for one, [ab] for one of these"}
			}
			if g := d.inv.groups[name]; ok {
				if found = true; !slices.Contains(out, g) {
					out = append(out, g)
				}
			}
		}
		if !found {
			return nil, &draft.Unfit{Why: fmt.Sprintf("--cluster-groups %q matches no group that has hosts", pattern), Hint: "these have some: " + strings.Join(names, " ")}
		}
	}
	return out, nil
}

func (d *drafter) clusters() error {
	groups, err := d.chosen()
	if err != nil {
		return err
	}
	names := draft.Names{}
	in := map[string]int{}
	for _, g := range groups {
		c := inventory.Cluster{Drain: inventory.DrainNone, Checks: []inventory.Check{{Name: "login", Command: []string{"true"}}}}
		for _, h := range g.All() {
			if name := d.names[h]; name != "" && !slices.Contains(c.Members, name) {
				c.Members = append(c.Members, name)
				in[name]++
			}
		}
		if len(c.Members) == 0 {
			continue
		}
		c.Name = names.Take(g.Name)
		for _, above := range g.Above() {
			if c.Labels == nil {
				c.Labels = inventory.Labels{}
			}
			c.Labels[above] = "yes"
		}
		say := []string{"to write: owner, contact, checks, and services or drain_commands in place of drain: none"}
		if c.Name != g.Name {
			say = append(say, "is "+g.Name+" to Ansible")
		}
		if len(c.Members) == 1 {
			say = append(say, "one host: nothing takes over while it is patched")
		}
		d.out.ClusterRemarks[c.Name] = say
		d.out.Clusters = append(d.out.Clusters, c)
	}
	if len(d.out.Clusters) == 0 {
		return &draft.Unfit{Why: "no cluster has a host that is reached over SSH" + d.said(), Hint: "--cluster-groups GLOB names other groups"}
	}
	d.out.Belong(in, "--cluster-groups GLOB picks those groups.")
	return nil
}

func (d *drafter) head() {
	head := []string{
		"Made from Ansible's inventory, which does not say:",
		"- who answers for a cluster: owner, contact",
		"- what proves that a member is healthy: the check login proves that it can be logged in to, and no more. Write one such",
		"  as {name: page, http: {url: http://127.0.0.1/}}",
		"- how a member goes out of service: services (of Consul) or drain_commands. Until one is written, drain: none stands",
		"  there, and campaigns refuse the cluster unless accept_impact names it.",
	}
	for _, what := range slices.Sorted(maps.Keys(d.notes)) {
		head = append(head, fmt.Sprintf("%s: %s.", draft.Few(d.notes[what]), what))
	}
	if len(d.inv.Encrypted) > 0 {
		head = append(head, fmt.Sprintf("%s: encrypted with ansible-vault; what is in there was not read, and may name addresses and users.", draft.Few(d.inv.Encrypted)))
	}
	d.out.Head = append(head, d.out.Head...)
	if len(d.out.Hosts) == 1 {
		d.out.Consul.Via = inventory.ViaDirect
		d.out.ConsulRemarks = []string{"One host cannot be asked while it reboots: write the address of Consul as the worker sees it."}
	}
}
