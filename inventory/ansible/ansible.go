// Package ansible reads Ansible inventories as ansible-inventory does: INI and YAML, ranges, children, variables, group_vars and host_vars, several
// sources merged. It must not know disk, network, environment or clock: files come as an [fs.FS], hosts, groups and variables go out.
//
// Programs that print an inventory, and plugins that ask a cloud for one, are not run: they are refused by name, with what to do instead.
package ansible

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/rollpatch/rollpatch/inventory/file"
)

// Inventory is what the sources say, merged.
type Inventory struct {
	// Encrypted are files of variables that only the holder of a vault password can read: what is in them is not known.
	Encrypted []string

	groups    map[string]*Group
	hosts     map[string]*Host
	groupList []*Group // in the order in which they were met, as all lists here
	hostList  []*Host
	vars      varsFiles
	found     file.Findings
}

// Group is a named set of hosts and of other groups.
type Group struct {
	Name     string
	Vars     map[string]any
	Hosts    []*Host
	Children []*Group
	parents  []*Group
	priority int
	depth    int // how far below all, by the longest way
}

// Host is a machine as Ansible names it.
type Host struct {
	Name   string
	vars   map[string]any // its own, from the inventory's files
	groups []*Group       // direct ones
}

// Vault is a value that only the holder of a vault password can read.
type Vault struct{}

// Read merges sources, each a file or a folder of files, in the order given. playbooks are folders whose group_vars and host_vars count as those beside
// a playbook do. An error is [file.Findings]: everything that is wrong.
func Read(files fs.FS, sources []string, playbooks ...string) (*Inventory, error) {
	inv := &Inventory{groups: map[string]*Group{}, hosts: map[string]*Host{}, vars: varsFiles{files: files, read: map[string]map[string]any{}}}
	inv.addChild("", 0, inv.group("all").Name, inv.group("ungrouped").Name)
	for _, s := range sources {
		inv.source(files, s)
		inv.vars.folders = append(inv.vars.folders, folderOf(files, s))
	}
	inv.vars.playbooks = playbooks
	inv.reconcile()
	inv.readVars()
	if len(inv.found) > 0 {
		slices.SortStableFunc(inv.found, func(a, b file.Finding) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
		})
		return inv, inv.found
	}
	return inv, nil
}

// wrong notes a finding. What stands in the file is never repeated: it may be a secret.
func (inv *Inventory) wrong(name string, line int, format string, args ...any) {
	inv.found = append(inv.found, file.Finding{File: name, Line: line, Msg: fmt.Sprintf(format, args...)})
}

// Hosts are all hosts, in the order in which they were met.
func (inv *Inventory) Hosts() []*Host { return inv.hostList }

// Groups are all groups but all and ungrouped, in the order in which they were met.
func (inv *Inventory) Groups() []*Group { return inv.groupList[2:] }

// Group finds a group by name.
func (inv *Inventory) Group(name string) (*Group, bool) {
	g, ok := inv.groups[name]
	return g, ok
}

// group finds a group, or makes it.
func (inv *Inventory) group(name string) *Group {
	g, ok := inv.groups[name]
	if !ok {
		g = &Group{Name: name, Vars: map[string]any{}, priority: 1}
		inv.groups[name], inv.groupList = g, append(inv.groupList, g)
	}
	return g
}

// addHost puts a host into a group. The port counts where the host is met for the first time.
func (inv *Inventory) addHost(name string, g *Group, port int) {
	h, ok := inv.hosts[name]
	if !ok {
		h = &Host{Name: name, vars: map[string]any{}}
		if port > 0 {
			h.vars["ansible_port"] = int64(port)
		}
		inv.hosts[name], inv.hostList = h, append(inv.hostList, h)
	}
	g.add(h)
}

func (g *Group) add(h *Host) {
	if !slices.Contains(g.Hosts, h) {
		g.Hosts = append(g.Hosts, h)
		h.groups = append(h.groups, g)
	}
}

func (g *Group) remove(h *Host) {
	g.Hosts = slices.DeleteFunc(g.Hosts, func(x *Host) bool { return x == h })
	h.groups = slices.DeleteFunc(h.groups, func(x *Group) bool { return x == g })
}

// addChild puts a group, or the host of that name, into a group.
func (inv *Inventory) addChild(name string, line int, parent, child string) {
	p, c := inv.groups[parent], inv.groups[child]
	switch {
	case c == nil:
		if h := inv.hosts[child]; h != nil {
			p.add(h)
		}
	case p == c || slices.Contains(p.ancestors(), c):
		inv.wrong(name, line, "group %q becomes a child of itself: take it out of the children of %q", child, parent)
	case !slices.Contains(p.Children, c):
		p.Children = append(p.Children, c)
		c.parents = append(c.parents, p)
	}
}

// setVar is of the group of that name, or else of the host: Ansible asks in this order.
func (inv *Inventory) setVar(file string, line int, entity, key string, value any) {
	g, ok := inv.groups[entity]
	if !ok {
		inv.hosts[entity].vars[key] = value
		return
	}
	if key != "ansible_group_priority" {
		g.Vars[key] = value
		return
	}
	n, ok := integer(value)
	if !ok {
		inv.wrong(file, line, "ansible_group_priority of group %q is no whole number", entity)
		return
	}
	g.priority = n
}

// ancestors are all groups above, each once.
func (g *Group) ancestors() []*Group {
	var out []*Group
	todo := slices.Clone(g.parents)
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if !slices.Contains(out, next) {
			out = append(out, next)
			todo = append(todo, next.parents...)
		}
	}
	return out
}

// All are the hosts of the group and of every group below, each once.
func (g *Group) All() []*Host {
	var out []*Host
	seenGroups, seen := map[*Group]bool{g: true}, map[*Host]bool{}
	todo := []*Group{g}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		for _, h := range next.Hosts {
			if !seen[h] {
				seen[h], out = true, append(out, h)
			}
		}
		for _, c := range next.Children {
			if !seenGroups[c] {
				seenGroups[c], todo = true, append(todo, c)
			}
		}
	}
	return out
}

// Above are the names of the groups above, without all.
func (g *Group) Above() []string {
	var out []string
	for _, a := range g.ancestors() {
		if a.Name != "all" {
			out = append(out, a.Name)
		}
	}
	slices.Sort(out)
	return out
}

// member are the groups of a host, those above included.
func (h *Host) member() []*Group {
	var out []*Group
	for _, g := range h.groups {
		for _, x := range append([]*Group{g}, g.ancestors()...) {
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

// reconcile holds what Ansible holds of every inventory: each group is below all, and each host in a group of its own or in ungrouped.
func (inv *Inventory) reconcile() {
	for _, g := range slices.Clone(inv.groupList) {
		if g.Name != "all" && len(g.parents) == 0 {
			inv.addChild("", 0, "all", g.Name)
		}
	}
	all, ungrouped := inv.groups["all"], inv.groups["ungrouped"]
	for _, h := range inv.hostList {
		groups := h.member()
		others := slices.ContainsFunc(groups, func(g *Group) bool { return g != all && g != ungrouped })
		switch {
		case slices.Contains(groups, ungrouped):
			if others {
				ungrouped.remove(h)
			}
		case !others:
			inv.addChild("", 0, "ungrouped", h.Name)
		}
	}
	deepen(all, 0)
}

func deepen(g *Group, depth int) {
	g.depth = depth
	for _, c := range g.Children {
		if c.depth < depth+1 {
			deepen(c, depth+1)
		}
	}
}

// internal are variables that Ansible makes up itself.
var internal = map[string]bool{}

func init() {
	for _, name := range []string{
		"ansible_diff_mode", "ansible_config_file", "ansible_facts", "ansible_forks", "ansible_inventory_sources", "ansible_limit", "ansible_playbook_python",
		"ansible_run_tags", "ansible_skip_tags", "ansible_verbosity", "ansible_version", "inventory_dir", "inventory_file", "inventory_hostname",
		"inventory_hostname_short", "groups", "group_names", "omit", "playbook_dir",
	} {
		internal[name] = true
	}
}

// Vars are the variables of a host, by Ansible's precedence: all, groups from far to near, group_vars/all, group_vars of groups, its own, host_vars.
func (inv *Inventory) Vars(h *Host) map[string]any {
	all := inv.groups["all"]
	groups := slices.DeleteFunc(h.member(), func(g *Group) bool { return g == all })
	slices.SortFunc(groups, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.priority, b.priority), cmp.Compare(a.Name, b.Name))
	})
	out := maps.Clone(all.Vars)
	for _, g := range groups {
		maps.Copy(out, g.Vars)
	}
	inv.vars.into(out, "group_vars", all.Name)
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	inv.vars.into(out, "group_vars", names...)
	maps.Copy(out, h.vars)
	inv.vars.into(out, "host_vars", h.Name)
	for name := range internal {
		delete(out, name)
	}
	return out
}

// List is what ansible-inventory --list prints: groups by name, and the variables of hosts.
func (inv *Inventory) List() map[string]any {
	out := map[string]any{}
	for _, g := range inv.groupList {
		entry := map[string]any{}
		if len(g.Hosts) > 0 && g.Name != "all" {
			names := []any{}
			for _, h := range g.Hosts {
				names = append(names, h.Name)
			}
			entry["hosts"] = names
		}
		if len(g.Children) > 0 {
			names := []any{}
			for _, c := range g.Children {
				names = append(names, c.Name)
			}
			entry["children"] = names
		}
		if len(entry) > 0 {
			out[g.Name] = entry
		}
	}
	vars := map[string]any{}
	for _, h := range inv.hostList {
		if v := inv.Vars(h); len(v) > 0 {
			vars[h.Name] = v
		}
	}
	out["_meta"] = map[string]any{"hostvars": vars}
	return out
}
