package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func TestWhoIsFetchedForAhead(t *testing.T) {
	part := func(windowed, asked bool, when campaign.Fetch) Part {
		p := Part{Hosts: []inventory.Host{{Name: "web-1", Segment: "dmz"}}, Policy: campaign.Policy{Fetch: when}}
		if windowed {
			p.When = &When{}
		}
		if asked {
			p.Planned = &Planned{}
		}
		return p
	}
	gated := func(stages ...int) (p Plan) {
		for _, s := range stages {
			p.Agreement.Gates = append(p.Agreement.Gates, Gate{Stage: s})
		}
		return p
	}
	aged := part(false, true, campaign.FetchApproved)
	aged.Requires = &Requires{Stage: "staging", MinAge: inventory.Duration(72 * time.Hour)}
	for _, row := range []struct {
		says  string
		plan  Plan
		stage int
		part  Part
		want  bool
	}{
		{"who waits for a window", gated(), 0, part(true, true, campaign.FetchApproved), true},
		{"also behind a gate", gated(0, 1), 1, part(true, true, campaign.FetchApproved), true},
		{"not where no host was asked", gated(), 0, part(true, false, campaign.FetchApproved), false},
		{"not where the policy forbids it", gated(), 0, part(true, true, campaign.FetchWindow), false},
		{"what begins at once fetches for itself", gated(), 0, part(false, true, campaign.FetchApproved), false},
		{"so does what begins as its gate opens", gated(1), 1, part(false, true, campaign.FetchApproved), false},
		{"what waits until versions are old enough elsewhere does not begin at once", gated(1), 1, aged, true},
		{"a later stage waits for the one before", gated(0), 1, part(false, true, campaign.FetchApproved), true},
	} {
		a := row.plan.ahead(row.stage, row.part)
		if (a != nil) != row.want || a.state().Wanted != row.want || a != nil && a.state().Segment != "dmz" {
			t.Errorf("%s: %+v, want %t", row.says, a, row.want)
		}
	}
}

func TestPlannedFiles(t *testing.T) {
	on := Platform{OS: "debian", Release: "12", Arch: "amd64", Packages: []Version{
		{"gone", "", ""}, {"mirrored", "1", "aa"}, {"mirrored", "1", "bb"}, {"openssl", "1.1", "cc"}, {"several", "1", "dd"}, {"several", "2", "ee"}, {"untold", "1", ""},
	}}
	p := Planned{Platforms: []Platform{on}}
	exact, several := p.Exact(on)
	if got := fmt.Sprint(exact, several); got != "[{mirrored 1 aa} {openssl 1.1 cc} {several 1 dd} {untold 1 }] [several]" {
		t.Errorf("Exact = %s", got)
	}
	for _, row := range []struct {
		says string
		file Version
		want bool
	}{
		{"the planned file", Version{"openssl", "1.1", "cc"}, false},
		{"another one", Version{"openssl", "1.1", "dd"}, true},
		{"another version is for drift to judge", Version{"openssl", "1.2", "dd"}, false},
		{"one of several mirrors", Version{"mirrored", "1", "bb"}, false},
		{"none of them", Version{"mirrored", "1", "cc"}, true},
		{"a repository that said no digest", Version{"untold", "1", "ff"}, false},
	} {
		others := p.Other(on, []Brought{{Version: row.file, File: "f"}})
		if (len(others) > 0) != row.want || row.want && !slices.Equal(others, []Brought{{row.file, "f"}}) {
			t.Errorf("%s: Other = %v, want %t", row.says, others, row.want)
		}
	}
}
