package advisory_test

import (
	"reflect"
	"testing"

	"github.com/rollpatch/rollpatch/workflows/advisory"
)

func TestOn(t *testing.T) {
	ssh := advisory.Advisory{ID: "A", Fixes: []advisory.Fix{
		{Release: "Debian:11", Source: "openssh", Fixed: "1:8.4p1-5"},
		{Release: "Debian:12", Source: "openssh", Fixed: "1:9.2p1-2+deb12u3"},
		{Release: "Ubuntu:22.04:LTS", Source: "openssh", Fixed: "1:8.9p1-3ubuntu0.10"},
		{Release: "Ubuntu:Pro:22.04:LTS", Source: "openssh", Fixed: "1:8.9p1-3ubuntu0.10+esm1"},
		{Release: "Ubuntu:Pro:18.04:LTS", Source: "openssh", Fixed: "1:7.6p1-4ubuntu0.7+esm3"},
		{Release: "Ubuntu:Pro:FIPS:20.04:LTS", Source: "openssh", Fixed: "1:8.2p1-4ubuntu0.fips.1"},
	}}
	twice := advisory.Advisory{ID: "A", Fixes: []advisory.Fix{
		{Release: "Debian:12", Source: "nginx", Fixed: "1.18-2"}, {Release: "Debian:12", Source: "nginx", From: "1.20-1", Fixed: "1.22-3"},
	}}
	never := advisory.Advisory{ID: "A", Fixes: []advisory.Fix{{Release: "Debian:12", Source: "openssh"}}}
	kernel := advisory.Advisory{ID: "A", Fixes: []advisory.Fix{{Release: "Debian:12", Source: "linux", Fixed: "6.1.158-1"}, {Release: "Ubuntu:22.04:LTS", Source: "linux-aws", Fixed: "5.15.0-101.111"}}}
	sshd := func(version string) advisory.Package {
		return advisory.Package{Name: "openssh-server", Source: "openssh", SourceVersion: version}
	}
	for _, row := range []struct {
		says            string
		advisory        advisory.Advisory
		os, release     string
		has             advisory.Package
		offers          string
		kept            string
		state           string // empty: it is about none of its packages
		fixed, release2 string
	}{
		{"it is below, and the fix is there", ssh, "debian", "12", sshd("1:9.2p1-2+deb12u2"), "1:9.2p1-2+deb12u3", "", advisory.Pending, "1:9.2p1-2+deb12u3", "Debian:12"},
		{"a newer one will do", ssh, "debian", "12", sshd("1:9.2p1-2+deb12u2"), "1:9.2p1-2+deb12u7", "", advisory.Pending, "1:9.2p1-2+deb12u3", "Debian:12"},
		{"it is there", ssh, "debian", "12", sshd("1:9.2p1-2+deb12u3"), "", "", advisory.Safe, "1:9.2p1-2+deb12u3", "Debian:12"},
		{"it is beyond", ssh, "debian", "12", sshd("1:9.2p1-2+deb12u10"), "1:9.2p1-2+deb12u11", "", advisory.Safe, "1:9.2p1-2+deb12u3", "Debian:12"},
		{"an older one comes", ssh, "debian", "12", sshd("1:9.2p1-2"), "1:9.2p1-2+deb12u2", "", advisory.Lacking, "1:9.2p1-2+deb12u3", "Debian:12"},
		{"nothing comes", ssh, "debian", "12", sshd("1:9.2p1-2"), "", "it is held there", advisory.Lacking, "1:9.2p1-2+deb12u3", "Debian:12"},
		{"each release has its own", ssh, "debian", "11", sshd("1:8.4p1-4"), "1:8.4p1-5", "", advisory.Pending, "1:8.4p1-5", "Debian:11"},
		{"of another release nothing is said", ssh, "debian", "1", sshd("1:8.4p1-4"), "", "", "", "", ""},
		{"nor of another system", ssh, "raspbian", "12", sshd("1:9.2p1-2"), "", "", "", "", ""},
		{"nor of one that names no release", ssh, "debian", "", sshd("1:9.2p1-2"), "", "", "", "", ""},
		{"Ubuntu's names go on", ssh, "ubuntu", "22.04", sshd("1:8.9p1-3ubuntu0.9"), "1:8.9p1-3ubuntu0.10", "", advisory.Pending, "1:8.9p1-3ubuntu0.10", "Ubuntu:22.04:LTS"},
		{"what is paid for, where there is nothing else", ssh, "ubuntu", "18.04", sshd("1:7.6p1-4"), "", "", advisory.Lacking, "1:7.6p1-4ubuntu0.7+esm3", "Ubuntu:Pro:18.04:LTS"},
		{"but none of a special edition", ssh, "ubuntu", "20.04", sshd("1:7.6p1-4"), "", "", "", "", ""},
		{"another source package", ssh, "debian", "12", advisory.Package{Name: "openssh", Source: "other", SourceVersion: "1"}, "", "", "", "", ""},
		{"before the hole came", twice, "debian", "12", advisory.Package{Name: "nginx", Source: "nginx", SourceVersion: "1.18-2"}, "1.20-1", "", advisory.Safe, "1.22-3", "Debian:12"},
		{"in the second one", twice, "debian", "12", advisory.Package{Name: "nginx", Source: "nginx", SourceVersion: "1.20-1"}, "1.22-3", "", advisory.Pending, "1.22-3", "Debian:12"},
		{"from the first into the second", twice, "debian", "12", advisory.Package{Name: "nginx", Source: "nginx", SourceVersion: "1.17-1"}, "1.20-2", "", advisory.Lacking, "1.18-2", "Debian:12"},
		{"no fix is named", never, "debian", "12", sshd("1:9.2p1-2"), "1:9.2p1-3", "", advisory.Unfixed, "", "Debian:12"},
		{"a kernel by its signed source", kernel, "debian", "12", advisory.Package{Name: "linux-image-6.1.0-40-amd64", Source: "linux-signed-amd64", SourceVersion: "6.1.153+1"}, "", "", advisory.Renamed, "6.1.158-1", "Debian:12"},
		{"one that is fixed", kernel, "debian", "12", advisory.Package{Name: "linux-image-6.1.0-41-amd64", Source: "linux-signed-amd64", SourceVersion: "6.1.158+1"}, "", "", advisory.Safe, "6.1.158-1", "Debian:12"},
		{"Ubuntu's, of a flavour", kernel, "ubuntu", "22.04", advisory.Package{Name: "linux-image-5.15.0-100-aws", Source: "linux-signed-aws", SourceVersion: "5.15.0-100.110"}, "", "", advisory.Renamed, "5.15.0-101.111", "Ubuntu:22.04:LTS"},
		{"what is built from a kernel and keeps its name", kernel, "debian", "12", advisory.Package{Name: "linux-libc-dev", Source: "linux", SourceVersion: "6.1.153-1"}, "6.1.158-1", "", advisory.Pending, "6.1.158-1", "Debian:12"},
	} {
		offered, kept := map[string]string{}, map[string]string{row.has.Name: row.kept}
		if row.offers != "" {
			offered[row.has.Name] = row.offers
		}
		told := advisory.On([]advisory.Advisory{row.advisory}, row.os, row.release, []advisory.Package{row.has}, offered, kept)
		if row.state == "" {
			if len(told.Affected) > 0 {
				t.Errorf("%s: %+v, want nothing", row.says, told.Affected)
			}
			continue
		}
		if len(told.Affected) != 1 {
			t.Errorf("%s: %+v, want one", row.says, told.Affected)
			continue
		}
		got := told.Affected[0]
		if got.State != row.state || got.Fixed != row.fixed || got.Release != row.release2 || row.state == advisory.Lacking && (got.Offered != row.offers || got.Kept != row.kept) {
			t.Errorf("%s: %+v, want %s in %s of %s", row.says, got, row.state, row.fixed, row.release2)
		}
		if brings := told.Brings(); (len(brings) == 1) != (row.state == advisory.Pending) {
			t.Errorf("%s: it brings %v", row.says, brings)
		}
	}
}

func TestFind(t *testing.T) {
	parse := func(text string) []advisory.Record {
		all, err := advisory.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	records := parse(`[
		{"id": "DSA-1", "summary": "openssh - security update", "upstream": ["CVE-1"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "openssh"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}]}]},
		{"id": "DSA-2", "summary": "openssh - regression", "upstream": ["CVE-1"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "openssh"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3"}]}]}]}]
		{"id": "CVE-1", "aliases": ["GHSA-1"], "details": "Something\n\u001b[31mbad.", "affected": [{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]}
		{"id": "DSA-3", "withdrawn": "2024-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "Debian:12", "name": "vim"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "1"}]}]}]}
		{"id": "DEBIAN-CVE-4", "upstream": ["CVE-4"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "vim"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"}]}]}]}
		{"id": "PYSEC-5", "affected": [{"package": {"ecosystem": "PyPI", "name": "vim"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1"}]}]}]}`)
	two := []advisory.Fix{{Release: "Debian:12", Source: "openssh", Fixed: "2"}, {Release: "Debian:12", Source: "openssh", Fixed: "3"}}
	for _, row := range []struct {
		id, why string
		want    advisory.Advisory
	}{
		{"DSA-1", "", advisory.Advisory{ID: "DSA-1", Summary: "openssh - security update", Fixes: two[:1]}},
		{"CVE-1", "", advisory.Advisory{ID: "CVE-1", Summary: "Something [31mbad.", Records: []string{"DSA-1", "DSA-2"}, Fixes: two}},
		{"GHSA-1", "", advisory.Advisory{ID: "GHSA-1", Summary: "Something [31mbad.", Records: []string{"DSA-1", "DSA-2"}, Fixes: two}},
		{"CVE-4", "", advisory.Advisory{ID: "CVE-4", Records: []string{"DEBIAN-CVE-4"}, Fixes: []advisory.Fix{{Release: "Debian:12", Source: "vim", From: "3"}, {Release: "Debian:12", Source: "vim", From: "1", Fixed: "2"}}}},
		{"DSA-3", advisory.Withdrawn, advisory.Advisory{ID: "DSA-3"}},
		{"PYSEC-5", advisory.Foreign, advisory.Advisory{ID: "PYSEC-5"}},
		{"DSA-9", advisory.Unknown, advisory.Advisory{ID: "DSA-9"}},
	} {
		if got, why := advisory.Find(records, row.id); why != row.why || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %+v, %q; want %+v, %q", row.id, got, why, row.want, row.why)
		}
	}
}

func TestParseSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"{\"id\": \"A\"}\n{\"id\": ":             "2: this is no JSON: unexpected EOF",
		"\n\n{\"summary\": \"x\"}":               "3: this is no OSV record: it has no id",
		"{\"id\": 5}":                            "1: this is no OSV record: json: cannot unmarshal number into Go struct field Record.id of type string",
		"[{\"id\": \"A\"}, {\"summary\": \"\"}]": "1: this is no OSV record: it has no id",
		"[5]":                                    "1: this is no list of OSV records: json: cannot unmarshal number into Go value of type advisory.Record",
	} {
		if _, err := advisory.Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
