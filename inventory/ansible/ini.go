package ansible

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

var (
	sectionForm = regexp.MustCompile(`^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$`)
	groupForm   = regexp.MustCompile(`^([^:\]\s]+)\s*(?:#.*)?$`)
)

// promised is a group that a section or a list of children names before any section declares it.
type promised struct {
	name    string
	line    int
	vars    bool // it has a section of variables alone
	parents []string
}

// ini reads a file in INI's form.
func (inv *Inventory) ini(name, text string) {
	group, kind := inv.groups["ungrouped"], "hosts"
	var waiting []*promised
	pending := func(name string) *promised {
		if i := slices.IndexFunc(waiting, func(p *promised) bool { return p.name == name }); i >= 0 {
			return waiting[i]
		}
		return nil
	}
	// settle gives a group that is declared at last to its parents, and those that were waiting to theirs.
	settle := func(p *promised, line int) {
		waiting = slices.DeleteFunc(waiting, func(x *promised) bool { return x == p })
		for _, parent := range p.parents {
			inv.addChild(name, line, parent, p.name)
		}
	}
	for i, line := range strings.Split(text, "\n") {
		at := i + 1
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' || line[0] == '#' {
			continue
		}
		if m := sectionForm.FindStringSubmatch(line); m != nil {
			kind = cmp.Or(m[2], "hosts")
			if kind != "hosts" && kind != "children" && kind != "vars" {
				inv.wrong(name, at, "section %q is of no known kind: write [%s], [%s:children] or [%s:vars]", m[1]+":"+kind, m[1], m[1], m[1])
				kind = ""
				continue
			}
			if _, known := inv.groups[m[1]]; !known && kind == "vars" && pending(m[1]) == nil {
				waiting = append(waiting, &promised{name: m[1], line: at, vars: true})
			}
			group = inv.group(m[1])
			if p := pending(m[1]); p != nil && kind != "vars" {
				settle(p, at)
			}
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			inv.wrong(name, at, "is no section: between the brackets stands a name without spaces, alone or with :children or :vars")
			kind = ""
			continue
		}
		if line[0] == '[' && !strings.Contains(line, "]") {
			inv.wrong(name, at, "is no section: its closing ] is missing")
			kind = ""
			continue
		}
		switch kind {
		case "hosts":
			inv.hostLine(name, at, line, group)
		case "vars":
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				inv.wrong(name, at, "is no variable: write key=value")
				continue
			}
			inv.setVar(name, at, group.Name, strings.TrimSpace(key), literal(strings.TrimSpace(value)))
		case "children":
			m := groupForm.FindStringSubmatch(line)
			if m == nil {
				inv.wrong(name, at, "is no name of a group")
				continue
			}
			child := m[1]
			switch p := pending(child); {
			case inv.groups[child] != nil:
				inv.addChild(name, at, group.Name, child)
			case p != nil:
				p.parents = append(p.parents, group.Name)
			default:
				waiting = append(waiting, &promised{name: child, line: at, parents: []string{group.Name}})
			}
		}
	}
	for _, p := range waiting {
		if p.vars {
			inv.wrong(name, p.line, "gives variables to group %q, which no section declares: write [%s] before it", p.name, p.name)
			continue
		}
		inv.wrong(name, p.line, "group %q, a child of %q, is declared by no section: write [%s]", p.name, p.parents[len(p.parents)-1], p.name)
	}
}

// hostLine is a host or a range of hosts, and their variables.
func (inv *Inventory) hostLine(name string, at int, line string, group *Group) {
	words, err := split(line)
	if err != nil {
		inv.wrong(name, at, "%v", err)
		return
	}
	if len(words) == 0 {
		return
	}
	hosts, port, err := expand(words[0])
	if err == nil && strings.HasSuffix(strings.TrimSpace(words[0]), ":") && port == 0 {
		err = errColon
	}
	if err != nil {
		inv.wrong(name, at, "%v", err)
		return
	}
	if slices.Contains(hosts, "---") {
		inv.wrong(name, at, "looks like YAML: call the file .yaml")
		return
	}
	type pair struct {
		key   string
		value any
	}
	var vars []pair
	for i, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			after := "the name"
			if len(vars) > 0 {
				after = vars[len(vars)-1].key + "=" // the word itself may be the rest of a password
			}
			inv.wrong(name, at, "word %d is no variable, it follows %s: write key=value, and quotes around a value with spaces", i+2, after)
			return
		}
		vars = append(vars, pair{key, literal(value)})
	}
	for _, h := range hosts {
		inv.addHost(h, group, port)
		for _, v := range vars {
			inv.setVar(name, at, h, v.key, v.value)
		}
	}
}
