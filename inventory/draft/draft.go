// Package draft writes an inventory for people to go on with: what another program knows of an estate, and remarks where it could not know.
// It must not know which program that is, nor any file, network, environment or clock.
package draft

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rollpatch/rollpatch/inventory"
)

// Draft is an inventory with remarks: at its head, and before hosts and clusters by their names.
type Draft struct {
	inventory.Inventory
	Head           []string
	ConsulRemarks  []string
	HostRemarks    map[string][]string
	ClusterRemarks map[string][]string
}

// Unfit is why what another program knows, sound as it is, gives no inventory, and what to type.
type Unfit struct{ Why, Hint string }

func (u *Unfit) Error() string { return u.Why }

// YAML is the inventory file.
func (d Draft) YAML() string {
	var b strings.Builder
	remarks(&b, "", d.Head)
	if a := access(d.Access); a != "" {
		fmt.Fprintf(&b, "access: {%s}\n", a)
	}
	remarks(&b, "", d.ConsulRemarks)
	if c := consul(d.Consul); c != "" {
		fmt.Fprintf(&b, "consul: {%s}\n", c)
	}
	b.WriteString("\nhosts:\n")
	for _, h := range d.Hosts {
		remarks(&b, "  ", d.HostRemarks[h.Name])
		fields := []string{"name: " + text(h.Name), "address: " + text(h.Address)}
		if len(h.Labels) > 0 {
			fields = append(fields, "labels: "+labels(h.Labels))
		}
		if h.House != "" {
			fields = append(fields, "house: "+text(h.House))
		}
		if a := access(h.Access); a != "" {
			fields = append(fields, "access: {"+a+"}")
		}
		fmt.Fprintf(&b, "  - {%s}\n", strings.Join(fields, ", "))
	}
	b.WriteString("\nclusters:\n")
	for _, c := range d.Clusters {
		fmt.Fprintf(&b, "  - name: %s\n", text(c.Name))
		remarks(&b, "    ", d.ClusterRemarks[c.Name])
		if c.Owner != "" {
			fmt.Fprintf(&b, "    owner: %s\n", text(c.Owner))
		}
		if c.Contact != "" {
			fmt.Fprintf(&b, "    contact: %s\n", text(c.Contact))
		}
		if len(c.Labels) > 0 {
			fmt.Fprintf(&b, "    labels: %s\n", labels(c.Labels))
		}
		fmt.Fprintf(&b, "    members: %s\n", list(c.Members))
		for i, s := range c.Services {
			if i == 0 {
				b.WriteString("    services:\n")
			}
			fmt.Fprintf(&b, "      - {name: %s, port: %d}\n", text(s.Name), s.Port)
		}
		if c.Drain != "" {
			fmt.Fprintf(&b, "    drain: %s\n", c.Drain)
		}
		for i, check := range c.Checks {
			if i == 0 {
				b.WriteString("    checks:\n")
			}
			fmt.Fprintf(&b, "      - {name: %s, command: %s}\n", text(check.Name), list(check.Command))
		}
	}
	return b.String()
}

func remarks(b *strings.Builder, in string, lines []string) {
	for _, l := range lines {
		fmt.Fprintf(b, "%s# %s\n", in, strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
				return ' '
			}
			return r
		}, l))
	}
}

func access(a inventory.Access) string {
	var out []string
	if a.User != "" {
		out = append(out, "user: "+text(a.User))
	}
	if a.Port != 0 {
		out = append(out, "port: "+strconv.Itoa(a.Port))
	}
	if a.IdentityFile != "" {
		out = append(out, "identity_file: "+text(a.IdentityFile))
	}
	if a.KnownHosts != "" {
		out = append(out, "known_hosts: "+text(a.KnownHosts))
	}
	return strings.Join(out, ", ")
}

func consul(c inventory.Consul) string {
	var out []string
	if c.Via != "" {
		out = append(out, "via: "+string(c.Via))
	}
	if c.Address != "" {
		out = append(out, "address: "+text(c.Address))
	}
	if t := c.Token; t != nil {
		switch {
		case t.Env != "":
			out = append(out, "token: {env: "+text(t.Env)+"}")
		case t.File != "":
			out = append(out, "token: {file: "+text(t.File)+"}")
		case len(t.Command) > 0:
			out = append(out, "token: {command: "+list(t.Command)+"}")
		}
	}
	return strings.Join(out, ", ")
}

func labels(l inventory.Labels) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(l)) {
		out = append(out, text(k)+": "+text(l[k]))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func list(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = text(w)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

var (
	plainText = regexp.MustCompile(`^(?:[A-Za-z_/][A-Za-z0-9._/-]*|~/[A-Za-z0-9._/-]+|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$`)
	reserved  = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null|inf|nan)$`)
)

// text is a text as YAML takes it for nothing else.
func text(s string) string {
	if plainText.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

var nameLetters = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// Names turns names of another program's into ours: each form is used once.
type Names map[string]bool

// Take gives a name, the nearest that an inventory may hold and that nobody has.
func (n Names) Take(from string) string {
	base := strings.TrimLeft(nameLetters.ReplaceAllString(from, "-"), "._-")
	if base = base[:min(len(base), 60)]; base == "" {
		base = "unnamed"
	}
	name := base
	for i := 2; n[name]; i++ {
		name = base[:min(len(base), 55)] + "-" + strconv.Itoa(i)
	}
	n[name] = true
	return name
}

// Few names the first of many.
func Few(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], " "), len(names)-shown)
}
