package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/advisory"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestAdvised(t *testing.T) {
	fix := advisory.Fix{Release: "Debian:12", Source: "openssh", Fixed: "2"}
	named := advisory.Advisory{ID: "DSA-1", Summary: "openssh", Fixes: []advisory.Fix{{Release: "Debian:11", Source: "openssh", Fixed: "1"}, fix}}
	of := func(state, name string) advisory.Affected {
		return advisory.Affected{Advisory: "DSA-1", Package: name, Release: "Debian:12", Source: "openssh", Have: "1.5", Fixed: "2", State: state}
	}
	told := func(host string, all ...advisory.Affected) plan.Answer {
		return plan.Answer{Host: host, Advised: &advisory.Told{Affected: all}}
	}
	with := func(safe []string, packages ...string) []advisory.Advisory {
		a := named
		a.Fixes, a.Packages, a.Safe = []advisory.Fix{fix}, packages, safe
		return []advisory.Advisory{a}
	}
	none := named
	none.Fixes = nil
	for _, row := range []struct {
		says    string
		answers []plan.Answer
		want    plan.Advised
	}{
		{"each host that needs it", []plan.Answer{told("web-1", of(advisory.Pending, "sshd"), of(advisory.Pending, "ssh")), told("web-2", of(advisory.Pending, "ssh"))},
			plan.Advised{Advisories: with(nil, "ssh", "sshd"), Hosts: map[string][]string{"web": {"web-1", "web-2"}}}},
		{"one has it already", []plan.Answer{told("web-1", of(advisory.Safe, "ssh"), of(advisory.Safe, "sshd")), told("web-2", of(advisory.Pending, "ssh"), of(advisory.Safe, "sshd"))},
			plan.Advised{Advisories: with([]string{"web-1"}, "ssh"), Hosts: map[string][]string{"web": {"web-2"}}}},
		{"one has none of it", []plan.Answer{told("web-1"), told("web-2", of(advisory.Pending, "ssh"))},
			plan.Advised{Advisories: with(nil, "ssh"), Hosts: map[string][]string{"web": {"web-2"}}}},
		{"one did not tell: it is worked on", []plan.Answer{{Host: "web-1", Unknown: "no connection"}, told("web-2", of(advisory.Pending, "ssh"))},
			plan.Advised{Advisories: with(nil, "ssh"), Hosts: map[string][]string{"web": {"web-1", "web-2"}}, Untold: []string{"web-1"}}},
		{"one has what was named beside it", []plan.Answer{{Host: "web-1", Advised: &advisory.Told{}, Named: []plan.Named{{Name: "openssl", Here: true}}}, told("web-2", of(advisory.Pending, "ssh"))},
			plan.Advised{Advisories: with(nil, "ssh"), Hosts: map[string][]string{"web": {"web-1", "web-2"}}}},
		{"none has it", []plan.Answer{told("web-1"), told("web-2")}, plan.Advised{Advisories: []advisory.Advisory{none}, Hosts: map[string][]string{}, Nowhere: []string{"DSA-1"}}},
		{"one cannot get it", []plan.Answer{told("web-1", of(advisory.Lacking, "ssh")), told("web-2", of(advisory.Pending, "ssh"))},
			plan.Advised{Advisories: with(nil, "ssh"), Hosts: map[string][]string{"web": {"web-2"}}, Wrong: []plan.Hole{{Host: "web-1", Affected: of(advisory.Lacking, "ssh")}}}},
		{"the campaign leaves it out", []plan.Answer{told("web-1", of(advisory.Pending, "linux-doc")), told("web-2", of(advisory.Safe, "linux-doc"))},
			plan.Advised{Advisories: with([]string{"web-2"}), Hosts: map[string][]string{"web": {"web-1"}}, Wrong: []plan.Hole{{Host: "web-1", Affected: of(advisory.Pending, "linux-doc"), Excluded: true}}}},
	} {
		c, inv := urgentFiles()
		p, parts, err := plan.BuildEmergency(c, inv, nil, named)
		if err != nil {
			t.Fatal(err)
		}
		if !parts["web"].Emergency || parts["web"].Packages.Match("ssh") || parts["web"].Packages.Match("anything") {
			t.Fatalf("before hosts told anything, it brings %+v", parts["web"].Packages)
		}
		if got := (plan.Saved{Plan: p, Parts: parts, Answers: row.answers}).Advised(); plan.Digest(got) != plan.Digest(row.want) {
			t.Errorf("%s:\n%s, want\n%s", row.says, plan.Body(got), plan.Body(row.want))
		}
	}
}

// The plan that is approved names the advisories in its digest, brings their packages, and its instance tells people of them.
func TestBuildEmergencyByAdvisories(t *testing.T) {
	c, inv := urgentFiles()
	build := func(fixed string) (plan.Plan, plan.Part) {
		p, parts, err := plan.BuildEmergency(c, inv, []string{"openssl", "ssh"}, advisory.Advisory{
			ID: "DSA-1", Summary: "openssh - security update", Fixes: []advisory.Fix{{Release: "Debian:12", Source: "openssh", Fixed: fixed}}, Packages: []string{"ssh", "sshd"}, Safe: []string{"web-2"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p, parts["web"]
	}
	p, part := build("2")
	if want := []string{"openssl", "ssh", "sshd"}; !slices.Equal(p.Emergency, want) || !slices.Equal(part.Packages.Include, want) {
		t.Errorf("it brings %v, %v", p.Emergency, part.Packages.Include)
	}
	if other, _ := build("3"); plan.Digest(other) == plan.Digest(p) {
		t.Error("another fixed version has the same digest")
	}
	at := time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC)
	st := p.Campaign(p.Instance(at), "ann", at)
	if len(st.Advisories) != 1 || st.Advisories[0].String() != "DSA-1: openssh - security update, fixed in openssh 2 (Debian:12)" {
		t.Errorf("its instance has %+v", st.Advisories)
	}
	// What a person named is looked for by its name; what an advisory brings is there.
	if names, _ := (plan.Saved{Plan: p, Parts: map[string]plan.Part{"web": part}}).Nowhere(); len(names) != 1 || names[0].Name != "openssl" {
		t.Errorf("looked for: %+v", names)
	}
}
