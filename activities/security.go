package activities

import (
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// errNoSecurity is a host of which nobody can tell what is a security update. It counts as a script's own status: asking again says the same.
type errNoSecurity string

func (e errNoSecurity) Error() string { return string(e) }

// ExitStatus is that of a version that is not to be had.
func (e errNoSecurity) ExitStatus() int { return exitVersion }

// securityOf is whether a row of pending is a security update: yes, no, or unknown where its repository does not tell.
func securityOf(r []string) string {
	if len(r) >= 6 && (r[5] == plan.SecurityYes || r[5] == plan.SecurityNo) {
		return r[5]
	}
	return plan.SecurityUnknown
}

// wants says whether the campaign wants what a row of pending is about. What nobody can tell is wanted, and untold.
func (s scene) wants(r []string) bool {
	return s.part.Packages.Match(r[1]) && !(s.part.Packages.Security && securityOf(r) == plan.SecurityNo)
}

// untold says why security updates cannot be told from others among what the campaign would patch, or "". Such packages are never left out in
// silence: a plan without them may lack the very fix that it is for.
func (s scene) untold(pending [][]string) string {
	if !s.part.Packages.Security {
		return ""
	}
	var names []Change
	origins := map[string]bool{}
	origin := ""
	for _, r := range pending {
		if r[0] != "upgrade" || len(r) < 4 || !s.wants(r) || securityOf(r) != plan.SecurityUnknown {
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
