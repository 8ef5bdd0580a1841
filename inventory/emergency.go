package inventory

import (
	"fmt"
	"strings"
	"time"
)

// Emergency is who may have something begin that not everybody has agreed to yet.
type Emergency struct {
	// Approvers are people's names, as in the file of allowed signers; one of them must agree before an emergency begins.
	Approvers []string `json:"approvers" yaml:"approvers" jsonschema:"required"`
	// Soak is how long each wave of an emergency is watched before its peers are touched; default 1h.
	Soak *Duration `json:"soak,omitempty" yaml:"soak,omitempty"`
	// Advisories is a file or folder of security advisories as osv.dev writes them, which whoever keeps it renews; it is where --advisory is looked up.
	Advisories string `json:"advisories,omitempty" yaml:"advisories,omitempty"`
}

// WithPaths returns a copy whose path is absolute.
func (e *Emergency) WithPaths(dir, home string) *Emergency {
	if e == nil {
		return nil
	}
	next := *e
	next.Advisories = Absolute(e.Advisories, dir, home)
	return &next
}

// Soaks is how long that is.
func (e Emergency) Soaks() Duration {
	if e.Soak == nil {
		return Duration(time.Hour)
	}
	return *e.Soak
}

// Emergency names every rule that it breaks.
func (p *Problems) Emergency(at string, e *Emergency) {
	if e == nil {
		return
	}
	if len(e.Approvers) == 0 {
		p.Add(at+".approvers", "is missing or empty: name at least one person, such as ann@example.org")
	}
	seen := map[string]string{}
	for i, name := range e.Approvers {
		path := fmt.Sprintf("%s.approvers[%d]", at, i)
		if name == "" || strings.ContainsAny(name, "*?!, \t\"#") {
			p.Add(path, "%q is no name of one person: write it as in the file of allowed signers, without spaces, commas, quotes and wildcards", name)
		}
		p.Once(seen, name, path, "%q is already listed", name)
	}
	if e.Soak != nil && *e.Soak < Duration(time.Second) {
		p.Add(at+".soak", "%s is too short: peers would follow at once", e.Soak)
	}
}
