package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rollpatch/rollpatch/workflows/plan"
)

// untold is why a plan is refused, with what hosts said.
func untold(s plan.Saved) error {
	var lines []string
	for _, r := range s.Untold() {
		lines = append(lines, fmt.Sprintf("cluster %q is refused: %s", r.Cluster, r.Reason))
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
