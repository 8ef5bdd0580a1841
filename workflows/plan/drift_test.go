package plan

import (
	"reflect"
	"slices"
	"testing"
)

var bookworm = Platform{OS: "debian", Release: "12", Arch: "amd64"}

func versions(of ...string) []Version {
	var all []Version
	for i := 0; i < len(of); i += 2 {
		all = append(all, Version{Name: of[i], Version: of[i+1]})
	}
	return all
}

func TestDrift(t *testing.T) {
	on := bookworm
	on.Packages = versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025b", "tzdata", "2025a")
	gone := on
	gone.Packages = append(slices.Clone(on.Packages), Version{Name: "libold"})
	trixie := Platform{OS: "debian", Release: "13", Arch: "amd64"}
	for _, row := range []struct {
		says        string
		planned     Planned
		on          Platform
		transaction []Version
		want        Drift
	}{
		{"what was planned is no difference", Planned{[]Platform{on}}, bookworm, versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025b"), Drift{}},
		{"nor is either version of what members have in two", Planned{[]Platform{on}}, bookworm, versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025a"), Drift{}},
		{"a newer version is no difference, and is told", Planned{[]Platform{on}}, bookworm, versions("libssl3", "3.0.18", "openssl", "3.0.17", "tzdata", "2025c"),
			Drift{Others: []string{"libssl3 3.0.18 in place of 3.0.17", "tzdata 2025c in place of 2025b or 2025a"}}},
		{"what is not pending any more narrows", Planned{[]Platform{on}}, bookworm, versions("tzdata", "2025b"), Drift{Narrows: []string{"libssl3 3.0.17", "openssl 3.0.17"}}},
		{"nothing at all narrows too", Planned{[]Platform{on}}, bookworm, nil, Drift{Narrows: []string{"libssl3 3.0.17", "openssl 3.0.17", "tzdata 2025b"}}},
		{"a package that nobody planned widens", Planned{[]Platform{on}}, bookworm, versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025b", "libnew", "1"), Drift{Widens: []string{"it would bring libnew 1"}}},
		{"a removal widens", Planned{[]Platform{on}}, bookworm, versions("libssl3", "3.0.17", "openssl", "", "tzdata", "2025b"), Drift{Widens: []string{"it would remove openssl"}}},
		{"also of what was never listed", Planned{[]Platform{on}}, bookworm, versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025b", "nginx", ""), Drift{Widens: []string{"it would remove nginx"}}},
		{"a removal that was planned does not", Planned{[]Platform{gone}}, bookworm, versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025b", "libold", ""), Drift{}},
		{"what goes by the plan and comes instead is told", Planned{[]Platform{gone}}, bookworm, versions("libssl3", "3.0.17", "openssl", "3.0.17", "tzdata", "2025b", "libold", "2"), Drift{Others: []string{"libold 2 in place of "}}},
		{"a platform that nobody answered on widens", Planned{[]Platform{on}}, trixie, versions("libssl3", "3.0.17"), Drift{Widens: []string{"its platform debian 13 amd64 is not in the plan: no member on it answered when it was made"}}},
		{"so does every one where nobody answered", Planned{}, bookworm, versions("libssl3", "3.0.17"), Drift{Widens: []string{"its platform debian 12 amd64 is not in the plan: no member on it answered when it was made"}}},
		{"each platform has its own", Planned{[]Platform{on, trixie}}, trixie, versions("libssl3", "3.0.17"), Drift{Widens: []string{"it would bring libssl3 3.0.17"}}},
	} {
		if got := row.planned.Drift(row.on, row.transaction); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: Drift = %+v, want %+v", row.says, got, row.want)
		}
	}
}

func TestWantedOfAPlan(t *testing.T) {
	on := bookworm
	on.Packages = versions("libssl3", "3.0.17", "openssl", "3.0.17")
	wanted, alone := Planned{[]Platform{on}}.Wanted(bookworm, []string{"nginx", "openssl", "libssl3"})
	if !slices.Equal(wanted, []string{"openssl", "libssl3"}) || !slices.Equal(alone, []string{"nginx"}) {
		t.Errorf("wanted %v, left alone %v; want openssl and libssl3, in their order, and nginx alone", wanted, alone)
	}
}
