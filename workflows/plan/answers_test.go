package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/inventory"
	"github.com/rollpatch/rollpatch/inventory/campaign"
)

func said(host string, packages ...Package) Answer {
	return Answer{Host: host, OS: "debian", Release: "12", Arch: "amd64", Packages: packages}
}

func update(name, old, version, security string, size int64) Package {
	return Package{Name: name, Old: old, New: version, Security: security, Size: size}
}

func TestAnswered(t *testing.T) {
	p, parts := Build(of([]string{"web"}, []string{"db"}), estate(names("web", 3), names("db", 2)))
	ssl, tz := update("libssl3", "1", "2", "yes", 10), update("tzdata", "1", "2", "no", 1)
	answers := []Answer{said("web-2", tz, ssl), said("web-1", ssl), {Host: "web-3", Unknown: "no answer"}, {Host: "db-1", Unknown: "no answer"}, {Host: "db-2", Unknown: "no answer"}}
	q, all := Answered(p, parts, answers)
	on := bookworm
	on.Packages = versions("libssl3", "2", "tzdata", "2")
	if got := all["web"].Planned; !reflect.DeepEqual(got, &Planned{[]Platform{on}}) {
		t.Errorf("planned for web: %+v, want what any member would get, by name", got)
	}
	if got := all["db"].Planned; got == nil || len(got.Platforms) > 0 {
		t.Errorf("planned for db: %+v, want nothing, and not that nobody asked", got)
	}
	if parts["web"].Planned != nil || p.cluster(t, "web").Part != Digest(parts["web"]) {
		t.Error("the plan of the files was changed")
	}
	for _, name := range []string{"web", "db"} {
		if got := q.cluster(t, name).Part; got != Digest(all[name]) || got == Digest(parts[name]) {
			t.Errorf("the plan names part %s of %s, want that with what is planned, %s", got, name, Digest(all[name]))
		}
	}
	slices.Reverse(answers)
	again, _ := Answered(p, parts, answers)
	if Digest(again) != Digest(q) {
		t.Error("the same answers in another order are another plan")
	}
	answers[len(answers)-1].Packages[1].Origin, answers[len(answers)-1].Kernel = "a mirror", "6.2"
	if again, _ = Answered(p, parts, answers); Digest(again) != Digest(q) {
		t.Error("another mirror is another plan")
	}
	answers[len(answers)-1].Packages[1].New = "3"
	if again, _ = Answered(p, parts, answers); Digest(again) == Digest(q) {
		t.Error("another version, and the same digest")
	}
	back, bareParts := bare(q, all)
	if Digest(back) != Digest(p) || !reflect.DeepEqual(bareParts, parts) {
		t.Error("without what is planned it is not the plan of the files")
	}
}

func TestForesee(t *testing.T) {
	inv := estate(names("web", 3), names("db", 2))
	inv.Clusters[0].Checks = []inventory.Check{{Name: "page", TCP: "127.0.0.1:80"}}
	c := of([]string{"web"}, []string{"db"})
	c.Policy.Reboot = new(campaign.Reboot)
	*c.Policy.Reboot = campaign.RebootIfNeeded
	p, parts := Build(c, inv)
	ssl, tz := update("libssl3", "1", "2", "yes", 10), update("apt", "1", "2", "unknown", 5)
	one, two := said("web-1", tz, ssl), said("web-2", ssl, update("zlib", "1", "2", "no", 3))
	one.Reboot = []Sign{{Package: "libssl3", Why: "if a process has it open"}}
	two.Pending, two.Held, two.Phased, two.Trouble, two.LeftOut = true, []string{"nginx 1"}, []string{"zlib 2 (20 %)"}, []string{"its package database is not clean"}, []string{"bad 1"}
	three := said("web-3", update("linux-image-6.2", "", "6.2", "yes", 50))
	three.Release = "11"
	f := Foresee(p, parts, []Answer{one, two, three, {Host: "db-1", Unknown: "no answer"}, said("db-2")})
	if f.Asked != 5 || f.Answered != 4 || len(f.Unknown) != 1 || f.Unknown[0] != (Unknown{"db", "db-1", "no answer"}) {
		t.Errorf("asked %d, answered %d, unknown %v", f.Asked, f.Answered, f.Unknown)
	}
	if len(f.Clusters) != 3 {
		t.Fatalf("%d rows, want web on two platforms and db: %+v", len(f.Clusters), f.Clusters)
	}
	web := f.Clusters[0]
	var order []string
	for _, k := range web.Packages {
		order = append(order, k.Name+" on "+strings.Join(k.Hosts, " "))
	}
	if want := []string{"libssl3 on web-1 web-2", "apt on web-1", "zlib on web-2"}; !slices.Equal(order, want) {
		t.Errorf("packages %v, want %v: security fixes first", order, want)
	}
	if web.Platform != "debian 12 amd64" || web.Security != 1 || web.Untold != 1 || web.Download != 15 || web.Reboot != "yes" || !slices.Equal(web.Because, []string{"web-2 asks for one already", "libssl3: if a process has it open"}) {
		t.Errorf("web: %+v", web)
	}
	// Three members of 25 minutes, a soak of a day, ten minutes between the two peers.
	if web.Takes != "25h25m" || f.Clusters[2].Takes != "24h50m" {
		t.Errorf("web takes %s, db %s; want 25h25m and 24h50m", web.Takes, f.Clusters[2].Takes)
	}
	if db := f.Clusters[2]; db.Cluster != "db" || db.Reboot != "no sign" || !slices.Equal(db.Hosts, []string{"db-2"}) {
		t.Errorf("db: %+v", db)
	}
	for _, want := range []string{
		"web: only members on the canary's platform, debian 12 amd64, are patched: nothing soaks for web-3 (debian 11 amd64)",
		"web: web-2: its package database is not clean", "web: web-2 holds nginx 1", "gives zlib 2 (20 %) to some hosts only yet", "left out, because of a quarantine: bad 1",
		"web: linux-image-6.2 6.2 is a kernel", "do not soak on web-1, the canary: zlib 2; they stay", "db: it has no checks",
	} {
		if !slices.ContainsFunc(f.Risks, func(r Risk) bool { return strings.Contains(r.Cluster+": "+r.Text, want) }) {
			t.Errorf("no risk says %q: %v", want, f.Risks)
		}
	}
	for _, r := range f.Risks {
		if r.Cluster == "web" && strings.Contains(r.Text, "no checks") {
			t.Errorf("web has checks: %v", r)
		}
	}
}

// A host of two clusters is one host.
func TestForeseeCountsASharedHostOnce(t *testing.T) {
	p, parts := Build(of([]string{"web", "db"}), estate([]string{"web", "1", "2"}, []string{"db", "2", "3"}))
	if f := Foresee(p, parts, []Answer{said("1"), said("2"), said("3")}); f.Asked != 3 || f.Answered != 3 || len(f.Clusters[1].Hosts) != 2 {
		t.Errorf("%+v", f)
	}
	if f := Foresee(p, parts, nil); f.Asked != 0 || len(f.Unknown) != 4 || f.Clusters[0].Platform != "" {
		t.Errorf("nobody was asked: %+v", f)
	}
}

func TestReboot(t *testing.T) {
	for _, row := range []struct {
		policy campaign.Reboot
		signs  []Sign
		want   string
	}{
		{campaign.RebootAlways, nil, "always"}, {campaign.RebootNever, []Sign{{Sure: true}}, "never"},
		{campaign.RebootIfNeeded, nil, "no sign"}, {campaign.RebootIfNeeded, []Sign{{}}, "likely"}, {campaign.RebootIfNeeded, []Sign{{}, {Sure: true}}, "yes"},
	} {
		if got := reboot(row.policy, row.signs); got != row.want {
			t.Errorf("%s with %v: %q, want %q", row.policy, row.signs, got, row.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{30 * time.Second: "30s", 15 * time.Minute: "15m", 24 * time.Hour: "24h", 25*time.Hour + 5*time.Minute: "25h5m", 90*time.Minute + 10*time.Second: "1h30m", time.Hour: "1h"} {
		if got := Span(d); got != want {
			t.Errorf("Span(%s) = %q, want %q", d, got, want)
		}
	}
}

// saved is a plan in a file, with something in every field.
func saved(t *testing.T) (Saved, Plan, map[string]Part) {
	t.Helper()
	p, parts := Build(sample())
	s := Saved{Made: time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC), Answers: []Answer{said("web-1", update("libssl3", "1", "2", "yes", 10))}}
	s.Plan, s.Parts = Answered(p, parts, s.Answers)
	s.Digest = Digest(s.Plan)
	return s, p, parts
}

func TestSavedIsReadAsItWas(t *testing.T) {
	s, p, parts := saved(t)
	got, err := ParseSaved(Body(s))
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("read again it is %+v, %v", got, err)
	}
	if all := got.Differences(p, parts); len(all) > 0 {
		t.Errorf("the same files differ: %v", all)
	}
}

func TestSavedThatWasChangedIsRefused(t *testing.T) {
	for _, row := range []struct{ from, to, want string }{
		{`"version":"2"`, `"version":"3"`, `the part of cluster "web" is not the one`},
		{`"patch night"`, `"another night"`, "its plan has the digest"},
		{`"digest":"sha256:`, `"digest":"sha256:0`, "and it says sha256:0"},
		{`"made"`, `"mode"`, `unknown field "mode"`},
		{`{`, `[`, "this is no saved plan"},
	} {
		s, _, _ := saved(t)
		if _, err := ParseSaved([]byte(strings.Replace(string(Body(s)), row.from, row.to, 1))); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("with %s in place of %s: %v, want %q", row.to, row.from, err, row.want)
		}
	}
	s, _, parts := saved(t)
	s.Parts["more"] = parts["web"]
	if _, err := ParseSaved(Body(s)); err == nil || !strings.Contains(err.Error(), `a part of cluster "more"`) {
		t.Errorf("with a part too many: %v", err)
	}
	if _, err := ParseSaved([]byte("{}")); err == nil {
		t.Error("nothing is a saved plan")
	}
}

func TestDifferences(t *testing.T) {
	for _, row := range []struct {
		says string
		now  func(c *campaign.Campaign, inv *inventory.Inventory)
		want []string
	}{
		{"another reason", func(c *campaign.Campaign, _ *inventory.Inventory) { c.Reason = "another" }, []string{`reason: it was "patch night", and is "another"`}},
		{"another address", func(_ *campaign.Campaign, inv *inventory.Inventory) { inv.Hosts[0].Address = "elsewhere" }, []string{`cluster web: hosts.web-1.address: it was "web-1.example", and is "elsewhere"`}},
		{"another order of work", func(_ *campaign.Campaign, inv *inventory.Inventory) { slices.Reverse(inv.Clusters[0].Members) }, []string{"members: its order is another"}},
		{"a cluster is gone", func(c *campaign.Campaign, _ *inventory.Inventory) { c.Stages[0].Clusters = []string{"web"} }, []string{"stages.stage-1.clusters.db: is gone: it was {"}},
		{"a package more is excluded", func(c *campaign.Campaign, _ *inventory.Inventory) { c.Packages.Exclude = []string{"b*", "linux-*"} }, []string{`cluster web: packages.exclude.linux-*: is new: "linux-*"`}},
		{"another policy", func(c *campaign.Campaign, _ *inventory.Inventory) {
			soak := inventory.Duration(time.Hour)
			c.Policy.Soak = &soak
		}, []string{`soak: it was "24h", and is "1h"`, `cluster db: policy.`}},
		{"a check is new", func(_ *campaign.Campaign, inv *inventory.Inventory) {
			inv.Clusters[1].Checks = append(inv.Clusters[1].Checks, inventory.Check{Name: "more", Unit: "x.service"})
		}, []string{"cluster db: cluster.checks.more: is new: "}},
	} {
		s, _, _ := saved(t)
		c, inv := sample()
		row.now(&c, &inv)
		all := s.Differences(Build(c, inv))
		for _, want := range row.want {
			if !slices.ContainsFunc(all, func(d string) bool { return strings.Contains(d, want) }) {
				t.Errorf("%s: %q, want %q among them", row.says, all, want)
			}
		}
		for _, d := range all {
			if strings.Contains(d, "sha256:") {
				t.Errorf("%s: a digest says nothing to people: %s", row.says, d)
			}
		}
	}
}
