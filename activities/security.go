package activities

import (
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/inventory/campaign"
)

// errNoSecurity is a host of which nobody can tell what is a security update. It counts as a script's own status: asking again says the same.
type errNoSecurity string

func (e errNoSecurity) Error() string { return string(e) }

// ExitStatus is that of a version that is not to be had.
func (e errNoSecurity) ExitStatus() int { return exitVersion }

// securityOf is whether a row of pending is a security update: yes, no, or unknown where its repository does not tell.
func securityOf(r []string) string {
	if len(r) >= 6 && (r[5] == "yes" || r[5] == "no") {
		return r[5]
	}
	return "unknown"
}

// untold says why security updates cannot be told from others among what the campaign would patch, or "". Such packages are never left out in
// silence: a plan without them may lack the very fix that it is for.
func untold(out []byte, p campaign.Packages) string {
	if !p.Security {
		return ""
	}
	var names []Change
	origins := map[string]bool{}
	origin := ""
	for _, r := range rows(out) {
		if r[0] != "upgrade" || len(r) < 4 || !p.Match(r[1]) || securityOf(r) != "unknown" {
			continue
		}
		names = append(names, Change{Name: r[1], New: r[3]})
		if len(r) >= 5 && !origins[r[4]] {
			origins[r[4]] = true
			origin += ", " + r[4]
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("packages.security: no repository says whether these are security updates: %s (from%s); put them into packages.exclude, or give the host the repository of security updates that belongs to them",
		listed(names), strings.TrimPrefix(origin, ","))
}
