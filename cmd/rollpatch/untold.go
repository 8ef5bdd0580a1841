package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// untold is why a plan is refused, with what hosts said: one of security updates only where nobody can tell which these are would be approved
// without the very fix that it is for.
func untold(s plan.Saved) error {
	var lines []string
	for _, st := range s.Plan.Stages {
		for _, c := range st.Clusters {
			var whys []string
			hosts := map[string][]string{}
			for _, a := range s.Answers {
				if a.Untold == "" || !slices.Contains(c.Members, a.Host) {
					continue
				}
				if hosts[a.Untold] == nil {
					whys = append(whys, a.Untold)
				}
				hosts[a.Untold] = append(hosts[a.Untold], a.Host)
			}
			for _, why := range whys {
				lines = append(lines, fmt.Sprintf("cluster %q is refused: %s: %s", c.Name, strings.Join(hosts[why], ", "), why))
			}
		}
	}
	err := refused(s.Plan)
	if len(lines) == 0 {
		return err
	}
	if err != nil {
		lines = append([]string{err.Error()}, lines...)
	}
	return &problem{code: exitUsage, err: errors.New(strings.Join(lines, "\n")), hints: []string{nothingHint}}
}
