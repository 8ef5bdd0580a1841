package approval_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

const day = 24 * time.Hour

func standing(change func(s *approval.Standing)) approval.Standing {
	s := approval.Standing{
		Schedule: "monthly", Files: "sha256:files", Gates: []string{approval.GateStart}, Clusters: []string{"web", "cache-*"}, Packages: []string{"openssl", "lib*"}, Reason: "our usual night",
		At: start.Add(-10 * day), Expires: start.Add(50 * day), Nonce: "0123456789abcdef",
	}
	if change != nil {
		change(&s)
	}
	return s
}

// startGate is one before the start of what schedule monthly made.
func startGate() approval.Gate {
	g := soakGate()
	g.ID, g.Schedule, g.Files = approval.GateStart, "monthly", "sha256:files"
	return g
}

func behindStart() approval.Behind {
	return approval.Behind{Clusters: []approval.BehindCluster{{Name: "web", Packages: []string{"openssl", "libssl3"}}, {Name: "cache-eu", Packages: []string{"libc6"}}}}
}

func TestAdmitStanding(t *testing.T) {
	type change = func(g *approval.Gate, b *approval.Behind, s *approval.Standing)
	for _, row := range []struct {
		name  string
		with  change
		by    approval.Signer
		cause approval.Cause
		says  string
	}{
		{name: "all is within", by: person("ann")},
		{name: "whatever the files say", by: person("ann"), with: func(g *approval.Gate, _ *approval.Behind, s *approval.Standing) {
			s.Files, g.Files = "", "sha256:other"
		}},
		{name: "before a stage that it names", by: person("ann"), with: func(g *approval.Gate, _ *approval.Behind, s *approval.Standing) {
			g.ID, s.Gates = "stage/production", []string{"start", "stage/production"}
		}},
		{name: "nothing is pending", by: person("ann"), with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) { b.Clusters[0].Packages = nil }},
		{name: "a package is outside", by: person("ann"), cause: approval.CauseLimits, says: "not within: linux-image-6.1 of cluster cache-eu is not among packages openssl, lib*",
			with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) {
				b.Clusters[1].Packages = append(b.Clusters[1].Packages, "linux-image-6.1")
			}},
		{name: "a pattern is for the whole name", by: person("ann"), cause: approval.CauseLimits, says: "openssl-dev",
			with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) {
				b.Clusters[0].Packages = []string{"openssl-dev"}
			}},
		{name: "a cluster is outside", by: person("ann"), cause: approval.CauseLimits, says: "not within: cluster db is not among clusters web, cache-*",
			with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) { b.Clusters[1].Name = "db" }},
		{name: "nobody asked the hosts", by: person("ann"), cause: approval.CauseLimits, says: "nobody knows what the hosts of cluster web would get",
			with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) {
				b.Clusters[0] = approval.BehindCluster{Name: "web", Unasked: true}
			}},
		{name: "no cluster", by: person("ann"), cause: approval.CauseLimits, with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) { b.Clusters = nil }},
		{name: "an emergency", by: person("ann"), cause: approval.CauseGate, says: "an emergency, which wants people", with: func(_ *approval.Gate, b *approval.Behind, _ *approval.Standing) { b.Emergency = true }},
		{name: "a person ran it", by: person("ann"), cause: approval.CauseInstance, says: "none that a schedule made by itself", with: func(g *approval.Gate, _ *approval.Behind, _ *approval.Standing) { g.Schedule = "" }},
		{name: "another schedule", by: person("ann"), cause: approval.CauseInstance, with: func(g *approval.Gate, _ *approval.Behind, _ *approval.Standing) { g.Schedule = "weekly" }},
		{name: "other files", by: person("ann"), cause: approval.CausePlan, says: "the files have changed since it was signed", with: func(g *approval.Gate, _ *approval.Behind, _ *approval.Standing) { g.Files = "sha256:other" }},
		{name: "another gate", by: person("ann"), cause: approval.CauseGate, says: "it is for start, and this is stage/production", with: func(g *approval.Gate, _ *approval.Behind, _ *approval.Standing) { g.ID = "stage/production" }},
		{name: "a soak's end", by: person("ann"), cause: approval.CauseForm, says: "a soak's end, an emergency and a freeze want people", with: func(g *approval.Gate, _ *approval.Behind, s *approval.Standing) {
			g.ID, s.Gates = "soak/web/1", []string{"soak/web/1"}
		}},
		{name: "the emergency gate", by: person("ann"), cause: approval.CauseForm, with: func(g *approval.Gate, _ *approval.Behind, s *approval.Standing) {
			g.ID, s.Gates = approval.GateEmergency, []string{approval.GateEmergency}
		}},
		{name: "a freeze", by: person("ann"), cause: approval.CauseForm, with: func(g *approval.Gate, _ *approval.Behind, s *approval.Standing) {
			g.ID = approval.GateFreeze("christmas", start, start.Add(day))
			s.Gates = []string{g.ID}
		}},
		{name: "the requester's own", by: person("eve"), cause: approval.CauseRequester},
		{name: "somebody without a role", by: person("zoe"), cause: approval.CauseRole},
		{name: "one that asks for a manager", by: person("ann"), cause: approval.CauseRole, with: func(g *approval.Gate, _ *approval.Behind, _ *approval.Standing) {
			g.Rule.Roles = []approval.Role{approval.Manager}
		}},
		{name: "unsigned", by: approval.Claimed("ann"), cause: approval.CauseUnsigned},
		{name: "unsigned, where words may be", by: approval.Claimed("ann"), cause: approval.CauseUnsigned, with: func(g *approval.Gate, _ *approval.Behind, _ *approval.Standing) { g.Rule.Unsigned = true }},
		{name: "expired", by: person("ann"), cause: approval.CauseExpired, with: func(_ *approval.Gate, _ *approval.Behind, s *approval.Standing) { s.Expires = start }},
		{name: "dated ahead", by: person("ann"), cause: approval.CauseFuture, with: func(_ *approval.Gate, _ *approval.Behind, s *approval.Standing) {
			s.At, s.Expires = start.Add(6*time.Minute), start.Add(day)
		}},
		{name: "without an end", by: person("ann"), cause: approval.CauseForm, says: "expires is missing", with: func(_ *approval.Gate, _ *approval.Behind, s *approval.Standing) { s.Expires = time.Time{} }},
		{name: "for too long", by: person("ann"), cause: approval.CauseForm, says: "90 days are the most", with: func(_ *approval.Gate, _ *approval.Behind, s *approval.Standing) { s.Expires = s.At.Add(90*day + 1) }},
		{name: "for any package", by: person("ann"), cause: approval.CauseForm, says: "package is missing", with: func(_ *approval.Gate, _ *approval.Behind, s *approval.Standing) { s.Packages = nil }},
		{name: "no pattern", by: person("ann"), cause: approval.CauseForm, says: `package "lib[" is no pattern`, with: func(_ *approval.Gate, _ *approval.Behind, s *approval.Standing) { s.Packages = []string{"lib["} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, b, s := startGate(), behindStart(), standing(nil)
			if row.with != nil {
				row.with(&g, &b, &s)
			}
			v, err := g.AdmitStanding(b, nil, s, row.by, start)
			if causeOf(err) != row.cause || row.cause == "" && err != nil || row.says != "" && !strings.Contains(err.Error(), row.says) {
				t.Fatalf("AdmitStanding = %v (%q), want %q: %s", err, causeOf(err), row.cause, row.says)
			}
			if err == nil && (!approval.Judge(g, []approval.Vote{v}, start).Open || v.Plan != g.Plan || v.Instance != g.Instance || v.Standing != "monthly/0123456789ab") {
				t.Errorf("it was admitted as %+v, and the gate is %+v", v, approval.Judge(g, []approval.Vote{v}, start))
			}
		})
	}
}

// What somebody says of this plan himself counts, whenever he said it and however.
func TestStandingGivesWay(t *testing.T) {
	g := startGate()
	g.Rule.Unsigned = true
	ann, err := g.AdmitStanding(behindStart(), nil, standing(func(s *approval.Standing) { s.At = start }), person("ann"), start)
	if err != nil {
		t.Fatal(err)
	}
	said := func(d approval.Decision, by approval.Signer) approval.Vote {
		t.Helper()
		v, err := g.Admit([]approval.Vote{ann}, word(func(s *approval.Statement) {
			s.Decision, s.Gates, s.At, s.Nonce = d, []string{"start"}, start.Add(-time.Hour), "another-nonce-0001"
		}), by, start)
		if err != nil {
			t.Fatalf("%s by %s is refused: %v", d, by, err)
		}
		return v
	}
	for _, row := range []struct {
		name    string
		votes   []approval.Vote
		finding string
		after   time.Duration
		open    bool
	}{
		{name: "it stands", votes: []approval.Vote{ann}, open: true},
		{name: "a no before it", votes: []approval.Vote{said(approval.Reject, person("ann")), ann}},
		{name: "a claimed no, too", votes: []approval.Vote{ann, said(approval.Reject, approval.Claimed("ann"))}},
		{name: "a yes", votes: []approval.Vote{ann, said(approval.Approve, person("ann"))}, open: true},
		{name: "somebody else's no", votes: []approval.Vote{ann, said(approval.Reject, person("ben"))}},
		{name: "something failed before", votes: []approval.Vote{ann}, finding: "failures in cache"},
		{name: "it expires", votes: []approval.Vote{ann}, after: 50 * day},
	} {
		g := g
		g.Finding = row.finding
		if got := approval.Judge(g, row.votes, start.Add(row.after)); got.Open != row.open {
			t.Errorf("%s: %+v, want open %t", row.name, got, row.open)
		}
		slices.Reverse(row.votes)
		if got := approval.Judge(g, row.votes, start.Add(row.after)); got.Open != row.open {
			t.Errorf("%s, in another order: %+v, want open %t", row.name, got, row.open)
		}
	}
	g.Rule.Quorum = 2
	if got := approval.Judge(g, []approval.Vote{ann, said(approval.Approve, person("ann"))}, start); got.Open {
		t.Errorf("one person's standing approval and word count as two: %+v", got)
	}
}

func TestHandIn(t *testing.T) {
	fresh := standing(func(s *approval.Standing) { s.At = start.Add(-time.Hour) })
	for _, row := range []struct {
		name  string
		s     approval.Standing
		by    approval.Signer
		cause approval.Cause
	}{
		{"signed", fresh, person("ann"), ""},
		{"claimed", fresh, approval.Claimed("ann"), approval.CauseUnsigned},
		{"an unknown key", fresh, approval.Signer{Key: "SHA256:x"}, approval.CauseUnknownKey},
		{"another schedule", standing(func(s *approval.Standing) { s.At, s.Schedule = start, "weekly" }), person("ann"), approval.CauseInstance},
		{"signed long ago", standing(func(s *approval.Standing) { s.At = start.Add(-25 * time.Hour) }), person("ann"), approval.CauseExpired},
		{"dated ahead", standing(func(s *approval.Standing) { s.At = start.Add(time.Hour) }), person("ann"), approval.CauseFuture},
		{"expired", standing(func(s *approval.Standing) { s.At, s.Expires = start.Add(-2*time.Hour), start.Add(-time.Hour) }), person("ann"), approval.CauseExpired},
		{"malformed", standing(func(s *approval.Standing) { s.Clusters = nil }), person("ann"), approval.CauseForm},
	} {
		if err := approval.HandIn("monthly", row.s, row.by, start); causeOf(err) != row.cause || (err == nil) != (row.cause == "") {
			t.Errorf("%s: HandIn = %v, want %q", row.name, err, row.cause)
		}
	}
}

// A standing approval is read back as it was written, and no other text is one; nor is a statement.
func TestStandingText(t *testing.T) {
	s := standing(nil)
	s.At, s.Expires = s.At.Truncate(time.Second), s.Expires.Truncate(time.Second)
	got, err := approval.ParseStanding(s.Text())
	if err != nil || got.Text() != s.Text() || got.Digest() != s.Digest() {
		t.Fatalf("ParseStanding = %+v, %v", got, err)
	}
	if _, err := approval.Parse(s.Text()); err == nil {
		t.Error("it is taken for a statement")
	}
	if _, err := approval.ParseStanding(word(nil).Text()); err == nil {
		t.Error("a statement is taken for one")
	}
	for _, text := range []string{
		strings.TrimSuffix(s.Text(), "\n"), s.Text() + "gate: stage/x\n", strings.Replace(s.Text(), "cluster: web\n", "cluster: web\ncluster: web\n", 1),
		strings.Replace(s.Text(), "schedule: monthly\n", "schedule: monthly\nschedule: weekly\n", 1), strings.Replace(s.Text(), "reason: our", "reason: \x1b[2Jour", 1),
		strings.Replace(s.Text(), "expires: ", "until: ", 1), "",
	} {
		if got, err := approval.ParseStanding(text); err == nil {
			t.Errorf("this is taken for one: %q as %+v", text, got)
		}
	}
}
