package activities

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rollpatch/rollpatch/playbooks"
)

// The statuses that steps act on are those that playbooks promise, and what they promise of the packages is what CONTRIBUTING.md
// tells their authors.
func TestExitStatusesAreThePlaybooks(t *testing.T) {
	for _, row := range []struct{ ours, theirs int }{
		{0, playbooks.ExitDone}, {exitArgument, playbooks.ExitArguments}, {exitOther, playbooks.ExitUnlisted}, {exitLock, playbooks.ExitLocked},
		{exitVersion, playbooks.ExitUnavailable}, {exitSpace, playbooks.ExitSpace}, {exitSource, playbooks.ExitRepository},
		{exitManager, playbooks.ExitFailed}, {exitNotClean, playbooks.ExitUnclean},
	} {
		if row.ours != row.theirs {
			t.Errorf("steps act on exit status %d where playbooks promise %d", row.ours, row.theirs)
		}
	}
	raw, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	promised := map[int]string{}
	for line := range strings.Lines(string(raw)) {
		var status int
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			if _, err := fmt.Sscan(cells[1], &status); err == nil {
				promised[status] = strings.TrimSpace(cells[3])
			}
		}
	}
	if len(promised) != 9 {
		t.Errorf("CONTRIBUTING.md tells of %d statuses, want 9: %v", len(promised), promised)
	}
	for status, packages := range promised {
		if untouched(status) != (packages == "as they were") {
			t.Errorf("CONTRIBUTING.md says that exit status %d leaves the packages %q, and steps take them for untouched: %t", status, packages, untouched(status))
		}
	}
}
