package approval

import (
	"fmt"
	"slices"
	"strings"
)

// Could lists whose word counts at this gate, role by role, as the approvers are listed: who asked for the instance is left out where he
// must not agree. It is empty where no approvers are listed: then it is everybody whose key is known.
func (g Gate) Could() []string {
	if len(g.Rule.Approvers) == 0 {
		return nil
	}
	var out []string
	add := func(role string, is func(a Approver) bool) {
		var names []string
		for _, a := range g.Rule.Approvers {
			asked := !g.Rule.AnyRequester && slices.Contains(g.Requester.Names, a.Principal)
			if is(a) && !asked && !slices.Contains(names, a.Principal) {
				names = append(names, a.Principal)
			}
		}
		if len(names) == 0 {
			names = []string{"nobody else"}
		}
		out = append(out, strings.TrimPrefix(role+": ", ": ")+strings.Join(names, ", "))
	}
	if len(g.Rule.Roles) == 0 {
		add("", func(a Approver) bool { return len(g.roles(Signer{Names: []string{a.Principal}})) > 0 })
	}
	for _, role := range g.Rule.Roles {
		if role != Owner {
			add(string(role), func(a Approver) bool { return slices.Contains(a.Roles, role) })
			continue
		}
		for _, owner := range g.Owners {
			add(fmt.Sprintf("owner %q", owner), func(a Approver) bool { return g.speaksFor(Signer{Names: []string{a.Principal}}, owner) })
		}
	}
	return out
}
