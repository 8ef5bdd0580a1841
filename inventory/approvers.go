package inventory

import (
	"fmt"
	"slices"
	"strings"
)

// Approver is a person whose agreement counts at gates.
type Approver struct {
	// Principal is the person's name, as in the file of allowed signers.
	Principal string `json:"principal" yaml:"principal" jsonschema:"required"`
	// Roles that the person has for every cluster.
	Roles []Role `json:"roles,omitempty" yaml:"roles,omitempty"`
	// Owns are owners of clusters that the person speaks for, as clusters name them; always the owner of the same name.
	Owns []string `json:"owns,omitempty" yaml:"owns,omitempty"`
}

// Role is a role that a person has for every cluster. To own a cluster is none of these.
type Role string

// The roles.
const (
	RolePeer    Role = "peer"
	RoleManager Role = "manager"
)

// Values lists what may be written.
func (Role) Values() []string { return []string{string(RolePeer), string(RoleManager)} }

// People names every rule that a list of approvers breaks by itself, whatever the clusters.
func (p *Problems) People(at string, approvers []Approver) {
	names := map[string]string{}
	for i, a := range approvers {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case a.Principal == "":
			p.Add(at+".principal", "is missing: write the person's name as in the file of allowed signers, such as ann@example.org")
		case strings.ContainsAny(a.Principal, "*?!, \t\"#"):
			p.Add(at+".principal", "%q is no name of one person: write it without spaces, commas, quotes and wildcards", a.Principal)
		}
		p.Once(names, a.Principal, at+".principal", "%q is already listed", a.Principal)
		seen := map[string]string{}
		for j, r := range a.Roles {
			path := fmt.Sprintf("%s.roles[%d]", at, j)
			OneOf(p, path, r)
			p.Once(seen, string(r), path, "%q is already listed", r)
		}
		seen = map[string]string{}
		for j, o := range a.Owns {
			p.Once(seen, o, fmt.Sprintf("%s.owns[%d]", at, j), "%q is already listed", o)
		}
	}
}

// Approvers names every rule that a list of approvers breaks with these clusters, beside those of [Problems.People].
func (p *Problems) Approvers(at string, approvers []Approver, clusters []Cluster) {
	var owners []string
	for _, c := range clusters {
		if c.Owner != "" && !slices.Contains(owners, c.Owner) {
			owners = append(owners, c.Owner)
		}
	}
	for i, a := range approvers {
		at := fmt.Sprintf("%s[%d]", at, i)
		for j, o := range a.Owns {
			if !slices.Contains(owners, o) {
				p.Add(fmt.Sprintf("%s.owns[%d]", at, j), "no cluster of the inventory has the owner %q%s", o, DidYouMean(o, owners, a.Owns...))
			}
		}
		if len(a.Roles) == 0 && len(a.Owns) == 0 && a.Principal != "" && !slices.Contains(owners, a.Principal) {
			p.Add(at, "%q has no roles and owns nothing: give roles: [peer] or [manager], or owns: [<owner of a cluster>]", a.Principal)
		}
	}
}
