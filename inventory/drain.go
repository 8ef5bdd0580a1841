package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// DrainBy is how the members of a cluster go out of service.
type DrainBy string

// The ways out of service.
const (
	DrainConsul  DrainBy = "consul"  // service maintenance; what is in service is what the servers list
	DrainCommand DrainBy = "command" // scripts; what is in service is what they say, and what passes the cluster's checks
	DrainNone    DrainBy = "none"    // not at all: it is patched while it serves. In service is what passes the cluster's checks
)

// Values lists what may be written.
func (DrainBy) Values() []string {
	return []string{string(DrainConsul), string(DrainCommand), string(DrainNone)}
}

// DrainCommands are the scripts of a cluster whose members are drained by command. Each may be run again at any time: what is already as
// it should be stays so, and is no failure.
type DrainCommands struct {
	// Drain takes the member out of service.
	Drain Script `json:"drain" yaml:"drain" jsonschema:"required"`
	// Undrain puts it back.
	Undrain Script `json:"undrain" yaml:"undrain" jsonschema:"required"`
	// State changes nothing and prints one word: in, out or unknown.
	State Script `json:"state" yaml:"state" jsonschema:"required"`
	// On are the hosts that run the scripts, such as load balancers; all of them must. Absent, the member itself does.
	On []string `json:"on,omitempty" yaml:"on,omitempty"`
}

// Script is the path of a POSIX shell script, relative to the inventory file. What is in it becomes part of the plan; it never holds a secret.
type Script struct {
	File string `json:"file"`
	Body string `json:"body,omitempty"` // empty until it is read
}

// UnmarshalText implements [encoding.TextUnmarshaler]: a file names the script.
func (s *Script) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("is empty: give the path of a script")
	}
	*s = Script{File: string(text)}
	return nil
}

// UnmarshalJSON reads a script with what is in it.
func (s *Script) UnmarshalJSON(raw []byte) error {
	type plain Script
	return json.Unmarshal(raw, (*plain)(s))
}

// MarshalYAML writes the path.
func (s Script) MarshalYAML() (any, error) { return s.File, nil }

// maxScript bounds a script: it is part of a plan, and of what each run of it sends.
const maxScript = 64 << 10

// named are the scripts of a cluster with the names of their keys.
func (d *DrainCommands) named() []struct {
	key    string
	script *Script
} {
	return []struct {
		key    string
		script *Script
	}{{"drain", &d.Drain}, {"undrain", &d.Undrain}, {"state", &d.State}}
}

// WithScripts returns a copy in which every script has what is in its file. The paths stay as they were written, for people; read is
// given them with ~ as home, and relative ones starting at dir, the folder of the inventory file.
func (inv Inventory) WithScripts(dir, home string, read func(path string) ([]byte, error)) (Inventory, []Problem) {
	var p Problems
	inv.Clusters = slices.Clone(inv.Clusters)
	for i, c := range inv.Clusters {
		if c.DrainCommands == nil {
			continue
		}
		commands := *c.DrainCommands
		for _, s := range commands.named() {
			if s.script.File == "" {
				continue // that it is missing is told by Validate
			}
			at := fmt.Sprintf("clusters[%d].drain_commands.%s", i, s.key)
			body, err := read(Absolute(s.script.File, dir, home))
			switch {
			case err != nil:
				p.Add(at, "cannot be read: %v", err)
			case len(body) > maxScript:
				p.Add(at, "%q is larger than %d KiB", s.script.File, maxScript>>10)
			case strings.TrimSpace(string(body)) == "":
				p.Add(at, "%q is empty", s.script.File)
			case !utf8.Valid(body) || strings.Contains(string(body), "\x00"):
				p.Add(at, "%q is not text in UTF-8", s.script.File)
			}
			s.script.Body = string(body)
		}
		inv.Clusters[i].DrainCommands = &commands
	}
	return inv, p
}

// HasScripts reports whether any cluster names scripts.
func (inv Inventory) HasScripts() bool {
	return slices.ContainsFunc(inv.Clusters, func(c Cluster) bool { return c.DrainCommands != nil })
}

// DrainPorts are the ports whose established connections must end before a member counts as drained.
func (c Cluster) DrainPorts() []int {
	if c.Drain == DrainNone {
		return nil
	}
	var ports []int
	for _, s := range c.Services {
		ports = append(ports, s.Port)
	}
	return append(ports, c.Ports...)
}

// validateDrain checks what a cluster needs for its way out of service, and that it says nothing that means nothing there.
func (inv Inventory) validateDrain(p *Problems, at string, c Cluster) {
	OneOf(p, at+".drain", c.Drain)
	by := c.Drain
	if by == "" {
		by = DrainConsul
	}
	if !slices.Contains(by.Values(), string(by)) {
		return // what it needs nobody knows
	}
	seen := map[string]string{}
	for j, port := range c.Ports {
		path := fmt.Sprintf("%s.ports[%d]", at, j)
		if port == 0 {
			p.Add(path, "0 is no port: write a number from 1 to 65535")
		}
		p.port(path, port)
		p.Once(seen, fmt.Sprint(port), path, "%d is already listed", port)
	}
	if by != DrainCommand {
		if c.DrainCommands != nil {
			p.Add(at+".drain_commands", "means nothing with drain: %s: remove it, or write drain: command", by)
		}
		if len(c.Ports) > 0 {
			why := "the ports of its services are what is waited for"
			if by == DrainNone {
				why = "no connections are waited for"
			}
			p.Add(at+".ports", "means nothing with drain: %s: %s", by, why)
		}
	}
	if by == DrainConsul {
		return
	}
	if len(c.Checks) == 0 {
		p.Add(at+".checks", "is missing or empty: with drain: %s the checks say which members are in service, such as {name: port, tcp: \"127.0.0.1:80\"}", by)
	}
	if by == DrainNone {
		return
	}
	if len(c.Ports)+len(c.Services) == 0 {
		p.Add(at+".ports", "is missing or empty: list the ports whose connections prove that a member is drained, such as [80]")
	}
	if c.DrainCommands == nil {
		p.Add(at+".drain_commands", "is missing: name the scripts, {drain: FILE, undrain: FILE, state: FILE}")
		return
	}
	for _, s := range c.DrainCommands.named() {
		path := at + ".drain_commands." + s.key
		if s.script.File == "" {
			p.Add(path, "is missing: give the path of a script, relative to the inventory file")
		}
		p.filePath(path, s.script.File)
	}
	seen = map[string]string{}
	for j, h := range c.DrainCommands.On {
		path := fmt.Sprintf("%s.drain_commands.on[%d]", at, j)
		p.Once(seen, h, path, "%q is already listed", h)
		if c.Has(h) {
			// While that member reboots nobody could say how the others stand.
			p.Add(path, "%q is a member of the cluster: name other hosts, or leave on out, and each member runs the scripts for itself", h)
		}
	}
}
