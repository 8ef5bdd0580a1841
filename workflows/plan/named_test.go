package plan_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/rollpatch/rollpatch/inventory/campaign"
	"github.com/rollpatch/rollpatch/workflows/plan"
)

func TestNamedOn(t *testing.T) {
	installed := []string{"libssl3", "lab-web", "linux-image-6.1", "openssl"}
	for _, row := range []struct {
		name, exclude string
		want          plan.Named
	}{
		{"openssl", "", plan.Named{Name: "openssl", Here: true}},
		{"libssl*", "", plan.Named{Name: "libssl*", Here: true}},
		{"opensll", "", plan.Named{Name: "opensll", Near: "openssl"}},
		{"libsll*", "", plan.Named{Name: "libsll*", Near: "libssl3"}},
		{"nosuch", "", plan.Named{Name: "nosuch"}},
		{"linux-*", "linux-image-*", plan.Named{Name: "linux-*"}},
	} {
		wanted := campaign.Packages{Include: []string{row.name}}
		if row.exclude != "" {
			wanted.Exclude = []string{row.exclude}
		}
		if got := plan.NamedOn(wanted, installed); len(got) != 1 || got[0] != row.want {
			t.Errorf("%s, without %q: %+v, want %+v", row.name, row.exclude, got, row.want)
		}
	}
}

func TestNowhere(t *testing.T) {
	c, inv := urgentFiles()
	p, parts, err := plan.BuildEmergency(c, inv, []string{"openssl", "opensll"})
	if err != nil {
		t.Fatal(err)
	}
	has := func(host string, openssl bool, near string) plan.Answer {
		return plan.Answer{Host: host, Named: []plan.Named{{Name: "openssl", Here: openssl}, {Name: "opensll", Near: near}}}
	}
	wrong := []plan.Named{{Name: "opensll", Near: "openssl"}}
	for _, row := range []struct {
		says    string
		answers []plan.Answer
		names   []plan.Named
		untold  []string
	}{
		{"one host is enough, whoever tells it first", []plan.Answer{has("web-1", true, "openssl"), has("web-2", false, "")}, wrong, nil},
		{"none has either", []plan.Answer{has("web-1", false, ""), has("web-2", false, "")}, []plan.Named{{Name: "openssl"}, {Name: "opensll"}}, nil},
		{"one cannot be reached", []plan.Answer{has("web-1", true, "openssl"), {Host: "web-2", Unknown: "no connection"}}, wrong, []string{"web-2"}},
		{"one told nothing of it", []plan.Answer{{Host: "web-1"}, has("web-2", true, "openssl")}, wrong, []string{"web-1"}},
		{"nobody was asked", nil, []plan.Named{{Name: "openssl"}, {Name: "opensll"}}, []string{"web-1", "web-2"}},
	} {
		names, untold := plan.Saved{Plan: p, Parts: parts, Answers: row.answers}.Nowhere()
		if !reflect.DeepEqual(names, row.names) || !slices.Equal(untold, row.untold) {
			t.Errorf("%s: %+v, not told by %v; want %+v, %v", row.says, names, untold, row.names, row.untold)
		}
	}
}
