package approval_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollpatch/rollpatch/workflows/approval"
)

var start = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

func person(name string) approval.Signer {
	return approval.Signer{Names: []string{name}, Key: "SHA256:" + name}
}

// soakGate waits at the end of the second soak of web, whose owner is the web team.
func soakGate() approval.Gate {
	return approval.Gate{
		ID: approval.GateSoak("web", 2), Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Owners: []string{"web team"}, Requester: person("eve"), Since: start, Ripe: true,
		Rule: approval.Rule{Quorum: 1, Approvers: []approval.Approver{
			{Principal: "ann", Roles: []approval.Role{approval.Peer}}, {Principal: "ben", Roles: []approval.Role{approval.Peer}},
			{Principal: "mia", Roles: []approval.Role{approval.Manager}}, {Principal: "olu", Owns: []string{"web team"}}, {Principal: "eve", Roles: []approval.Role{approval.Peer, approval.Manager}},
			{Principal: "pat", Owns: []string{"db team"}},
		}},
	}
}

func word(change func(s *approval.Statement)) approval.Statement {
	s := approval.Statement{
		Decision: approval.Approve, Campaign: "monthly", Instance: "monthly-1", Plan: "sha256:1", Gates: []string{approval.GateSoak("web", 2)}, Reason: "looks good",
		At: start, Expires: start.Add(24 * time.Hour), Nonce: "0123456789abcdef",
	}
	if change != nil {
		change(&s)
	}
	return s
}

func causeOf(err error) approval.Cause {
	var no *approval.Refusal
	if errors.As(err, &no) {
		return no.Cause
	}
	return ""
}

func TestAdmit(t *testing.T) {
	plain := func(g *approval.Gate) {}
	for _, row := range []struct {
		name  string
		gate  func(g *approval.Gate)
		word  func(s *approval.Statement)
		by    approval.Signer
		late  time.Duration // it comes so long after the gate's Since
		cause approval.Cause
		says  string
	}{
		{name: "a peer's", gate: plain, by: person("ann")},
		{name: "one of several gates", gate: plain, word: func(s *approval.Statement) { s.Gates = []string{"soak/db/1", "soak/web/2"} }, by: person("ann")},
		{name: "given ahead of the start", gate: plain, word: func(s *approval.Statement) { s.Instance = "" }, by: person("ann")},
		{name: "an owner's", gate: plain, by: person("olu")},
		{name: "the owner of another cluster's", gate: plain, by: person("pat"), cause: approval.CauseRole, says: "one of the approvers"},
		{name: "the requester's own", gate: plain, by: person("eve"), cause: approval.CauseRequester, says: "somebody else has to decide"},
		{name: "the requester's, by another key", gate: plain, by: approval.Signer{Names: []string{"eve"}, Key: "SHA256:other"}, cause: approval.CauseRequester},
		{name: "the requester's key, by another name", gate: plain, by: approval.Signer{Names: []string{"ann"}, Key: "SHA256:eve"}, cause: approval.CauseRequester},
		{name: "the requester's no", gate: plain, word: func(s *approval.Statement) { s.Decision = approval.Reject }, by: person("eve"), cause: approval.CauseRequester, says: "hold and abort are open to everybody"},
		{name: "the requester's, where that may be", gate: func(g *approval.Gate) { g.Rule.AnyRequester = true }, by: person("eve")},
		{name: "somebody without a role", gate: plain, by: person("zoe"), cause: approval.CauseRole},
		{name: "a peer where a manager is asked", gate: func(g *approval.Gate) { g.Rule.Roles = []approval.Role{approval.Manager, approval.Owner} }, by: person("ann"), cause: approval.CauseRole, says: "a manager or owner (manager: "},
		{name: "anybody where nobody is named", gate: func(g *approval.Gate) { g.Rule.Approvers = nil }, by: person("zoe")},
		{name: "roles that nobody has", gate: func(g *approval.Gate) { g.Rule.Approvers, g.Rule.Roles = nil, []approval.Role{approval.Peer} }, by: person("zoe"), cause: approval.CauseRole},
		{name: "expired", gate: plain, by: person("ann"), late: 24 * time.Hour, cause: approval.CauseExpired, says: "expired at 2026-11-23T09:30:00Z"},
		{name: "just in time", gate: plain, by: person("ann"), late: 24*time.Hour - time.Second},
		{name: "from the future", gate: plain, by: person("ann"), late: -6 * time.Minute, cause: approval.CauseFuture},
		{name: "from a clock that is a little ahead", gate: plain, by: person("ann"), late: -4 * time.Minute},
		{name: "another plan", gate: plain, word: func(s *approval.Statement) { s.Plan = "sha256:2" }, by: person("ann"), cause: approval.CausePlan, says: "sha256:2"},
		{name: "another instance", gate: plain, word: func(s *approval.Statement) { s.Instance = "monthly-0" }, by: person("ann"), cause: approval.CauseInstance},
		{name: "another campaign", gate: plain, word: func(s *approval.Statement) { s.Campaign, s.Instance = "weekly", "" }, by: person("ann"), cause: approval.CauseInstance},
		{name: "an earlier soak", gate: plain, word: func(s *approval.Statement) { s.Gates = []string{"soak/web/1"} }, by: person("ann"), cause: approval.CauseSoak, says: `soak 1 of cluster "web", and soak 2 waits`},
		{name: "another cluster", gate: plain, word: func(s *approval.Statement) { s.Gates = []string{"soak/db/2"} }, by: person("ann"), cause: approval.CauseGate, says: "it is for soak/db/2, and this is soak/web/2"},
		{name: "another gate", gate: plain, word: func(s *approval.Statement) { s.Gates = []string{approval.GateStart} }, by: person("ann"), cause: approval.CauseGate},
		{name: "a request to run", gate: plain, word: func(s *approval.Statement) { s.Decision = approval.Request }, by: person("ann"), cause: approval.CauseGate},
		{name: "a key of nobody", gate: plain, by: approval.Signer{Key: "SHA256:x"}, cause: approval.CauseUnknownKey, says: "SHA256:x"},
		{name: "nobody at all", gate: func(g *approval.Gate) { g.Rule.Unsigned = true }, cause: approval.CauseUnsigned},
		{name: "unsigned", gate: plain, by: approval.Claimed("ann"), cause: approval.CauseUnsigned, says: "--key FILE"},
		{name: "unsigned, where that may be", gate: func(g *approval.Gate) { g.Rule.Unsigned = true }, by: approval.Claimed("ann")},
		{name: "unsigned, by who says to be the requester", gate: func(g *approval.Gate) { g.Rule.Unsigned = true }, by: approval.Claimed("eve"), cause: approval.CauseRequester},
		{name: "before the soak's end", gate: func(g *approval.Gate) { g.Ripe = false }, by: person("ann"), cause: approval.CauseNotYet, says: "--when-pass"},
		{name: "ahead of the soak's end", gate: func(g *approval.Gate) { g.Ripe = false }, word: func(s *approval.Statement) { s.WhenPass = true }, by: person("ann")},
		{name: "a no before the soak's end", gate: func(g *approval.Gate) { g.Ripe = false }, word: func(s *approval.Statement) { s.Decision = approval.Reject }, by: person("ann")},
		{name: "no form", gate: plain, word: func(s *approval.Statement) { s.Nonce = "1" }, by: person("ann"), cause: approval.CauseForm},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := soakGate()
			row.gate(&g)
			now := start.Add(row.late)
			v, err := g.Admit(nil, word(row.word), row.by, now)
			if causeOf(err) != row.cause || row.cause != "" && !strings.Contains(err.Error(), row.says) {
				t.Fatalf("Admit = %v (%q), want %q that says %q", err, causeOf(err), row.cause, row.says)
			}
			if got := approval.Judge(g, []approval.Vote{v}, now); row.cause != "" && got.Open {
				t.Errorf("Judge = %+v with a vote that was refused", got)
			}
			if row.cause == "" && (v.By.Name() != row.by.Name() || v.Statement != word(row.word).Digest() || !v.Taken.Equal(now)) {
				t.Errorf("vote %+v", v)
			}
		})
	}
}

func TestRequested(t *testing.T) {
	request := func(change func(*approval.Statement)) approval.Statement {
		return word(func(s *approval.Statement) {
			s.Decision, s.Gates = approval.Request, []string{approval.GateRun}
			if change != nil {
				change(s)
			}
		})
	}
	for _, row := range []struct {
		name  string
		word  approval.Statement
		by    approval.Signer
		late  time.Duration
		cause approval.Cause
	}{
		{"signed", request(nil), person("eve"), 0, ""},
		{"claimed", request(nil), approval.Claimed("eve"), 0, ""},
		{"an approval", word(nil), person("eve"), 0, approval.CauseGate},
		{"for a gate", request(func(s *approval.Statement) { s.Gates = []string{approval.GateStart} }), person("eve"), 0, approval.CauseGate},
		{"another campaign", request(func(s *approval.Statement) { s.Campaign = "weekly" }), person("eve"), 0, approval.CauseInstance},
		{"another instance", request(func(s *approval.Statement) { s.Instance = "monthly-0" }), person("eve"), 0, approval.CauseInstance},
		{"another plan", request(func(s *approval.Statement) { s.Plan = "sha256:2" }), person("eve"), 0, approval.CausePlan},
		{"expired", request(nil), person("eve"), 25 * time.Hour, approval.CauseExpired},
		{"from the future", request(nil), person("eve"), -time.Hour, approval.CauseFuture},
		{"nobody's key", request(nil), approval.Signer{Key: "SHA256:x"}, 0, approval.CauseUnknownKey},
		{"nobody", request(nil), approval.Signer{}, 0, approval.CauseUnsigned},
		{"no form", approval.Statement{}, person("eve"), 0, approval.CauseForm},
	} {
		if err := approval.Requested("monthly", "monthly-1", "sha256:1", row.word, row.by, start.Add(row.late)); causeOf(err) != row.cause || (err == nil) != (row.cause == "") {
			t.Errorf("%s: Requested = %v, want %q", row.name, err, row.cause)
		}
	}
}

// said is one word in a story: who, what, and when after the start.
type said struct {
	who    string
	change func(s *approval.Statement)
	after  time.Duration
}

func no(s *approval.Statement)       { s.Decision = approval.Reject }
func whenPass(s *approval.Statement) { s.WhenPass = true }

func TestJudge(t *testing.T) {
	roles := func(quorum int, roles ...approval.Role) func(*approval.Gate) {
		return func(g *approval.Gate) { g.Rule.Quorum, g.Rule.Roles = quorum, roles }
	}
	for _, row := range []struct {
		name string
		gate func(g *approval.Gate)
		said []said
		at   time.Duration
		open bool
		why  string
	}{
		{name: "nobody said anything", gate: roles(1), why: "waits for 1 person"},
		{name: "one of one", gate: roles(1), said: []said{{who: "ann"}}, open: true, why: "open; agreed: ann"},
		{name: "one of two", gate: roles(2), said: []said{{who: "ann"}}, why: "waits for 1 more person; agreed: ann"},
		{name: "one of three, with roles", gate: roles(3, approval.Peer, approval.Manager), said: []said{{who: "ann"}}, why: "waits for 2 more people (peer or manager), a manager; agreed: ann"},
		{name: "nobody, where one role is asked", gate: roles(1, approval.Urgent), why: "waits for 1 person (emergency approver)"},
		{name: "two roles, one in need of another article", gate: roles(1, approval.Peer, approval.Urgent), said: []said{{who: "ann"}}, why: "waits for an emergency approver; agreed: ann"},
		{name: "the same twice", gate: roles(2), said: []said{{who: "ann"}, {who: "ann", after: time.Minute}}, why: "waits for 1 more person; agreed: ann"},
		{name: "two of two", gate: roles(2), said: []said{{who: "ben"}, {who: "ann"}}, open: true, why: "open; agreed: ann, ben"},
		{name: "two peers where a manager is asked too", gate: roles(2, approval.Peer, approval.Manager), said: []said{{who: "ann"}, {who: "ben"}}, why: "waits for a manager; agreed: ann, ben"},
		{name: "peer and manager", gate: roles(2, approval.Peer, approval.Manager), said: []said{{who: "ann"}, {who: "mia"}}, open: true, why: "open; agreed: ann, mia"},
		{name: "a manager where an owner is asked too", gate: roles(1, approval.Manager, approval.Owner), said: []said{{who: "mia"}}, why: `waits for owner "web team"; agreed: mia`},
		{name: "owner and manager", gate: roles(1, approval.Manager, approval.Owner), said: []said{{who: "mia"}, {who: "olu"}}, open: true, why: "open; agreed: mia, olu"},
		{name: "two owners, one spoke", gate: func(g *approval.Gate) {
			roles(1, approval.Owner)(g)
			g.Owners = append(g.Owners, "db team")
		}, said: []said{{who: "olu"}}, why: `waits for owner "db team"; agreed: olu`},
		{name: "a cluster that nobody owns", gate: func(g *approval.Gate) {
			roles(1, approval.Owner)(g)
			g.Unowned = []string{"solo"}
		}, said: []said{{who: "olu"}}, why: `waits for an owner of cluster "solo", which has none in the inventory; agreed: olu`},
		{name: "a no among yeses", gate: roles(1), said: []said{{who: "ann"}, {who: "mia", change: no}}, why: "rejected by mia: looks good"},
		{name: "a no that was taken back", gate: roles(2), said: []said{{who: "ann"}, {who: "mia", change: no}, {who: "mia", after: time.Minute}}, open: true, why: "open; agreed: ann, mia"},
		{name: "a yes that was taken back", gate: roles(1), said: []said{{who: "ann"}, {who: "ann", change: no, after: time.Minute}}, why: "rejected by ann: looks good"},
		{name: "yes and no at the same time", gate: roles(1), said: []said{{who: "ann", change: no}, {who: "ann"}}, why: "rejected by ann: looks good"},
		{name: "a no does not lapse", gate: roles(1), said: []said{{who: "ann", change: no}}, at: 48 * time.Hour, why: "rejected by ann: looks good"},
		{name: "a yes lapses", gate: roles(1), said: []said{{who: "ann"}}, at: 24 * time.Hour, why: "waits for 1 person; what ann said expired at 2026-11-23T09:30:00Z"},
		{name: "ahead, and it passed", gate: roles(1), said: []said{{who: "ann", change: whenPass}}, open: true, why: "open; agreed: ann"},
		{name: "ahead, and it has not ended", gate: func(g *approval.Gate) { g.Ripe = false }, said: []said{{who: "ann", change: whenPass}}, why: "agreed to by ann, ahead of it"},
		{name: "ahead, and there is a finding", gate: func(g *approval.Gate) { g.Finding = "check page failed for 2m" }, said: []said{{who: "ann", change: whenPass}}, why: "waits for 1 person; ann agreed to a pass without a finding, and there is one: check page failed for 2m"},
		{name: "the gate expired", gate: func(g *approval.Gate) { g.Rule.Expiry = time.Hour }, at: time.Hour, why: "expired at 2026-11-22T10:30:00Z without 1 person"},
		{name: "the gate expired, and then somebody agreed", gate: func(g *approval.Gate) { g.Rule.Expiry = time.Hour }, said: []said{{who: "ann", after: time.Hour}}, at: 2 * time.Hour, why: "expired at 2026-11-22T10:30:00Z; agreed: ann"},
		{name: "nobody knows who asked for it", gate: func(g *approval.Gate) { g.Requester = approval.Claimed("eve") }, said: []said{{who: "ann"}}, why: "waits for a signed request to run: nobody can tell who eve is, who must not agree to it himself; agreed: ann"},
		{name: "nobody knows who asked for it, and names are claimed anyway", gate: func(g *approval.Gate) { g.Requester, g.Rule.Unsigned = approval.Claimed("eve"), true }, said: []said{{who: "ann"}}, open: true, why: "open; agreed: ann"},
		{name: "a rule that asks for nothing", gate: func(g *approval.Gate) { g.Rule = approval.Rule{} }, why: "waits for 1 person"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := soakGate()
			row.gate(&g)
			var votes []approval.Vote
			for i, s := range row.said {
				v, err := g.Admit(votes, word(func(st *approval.Statement) {
					st.Nonce += string(rune('a' + i))
					st.At, st.Expires = st.At.Add(s.after), st.Expires.Add(s.after)
					if s.change != nil {
						s.change(st)
					}
				}), person(s.who), start.Add(s.after))
				if err != nil {
					t.Fatalf("word %d: %v", i+1, err)
				}
				votes = append(votes, v)
			}
			got := approval.Judge(g, votes, start.Add(row.at))
			if got.Open != row.open || got.Why != row.why {
				t.Errorf("Judge = %+v, want open %v because %q", got, row.open, row.why)
			}
		})
	}
}

// What an expired gate does, and when to look again.
func TestJudgeInTime(t *testing.T) {
	g := soakGate()
	g.Rule.Expiry = 2 * time.Hour
	if got := approval.Judge(g, nil, start); !got.Again.Equal(start.Add(2 * time.Hour)) {
		t.Errorf("look again at %s", got.Again)
	}
	v, err := g.Admit(nil, word(func(s *approval.Statement) { s.Expires = start.Add(time.Hour) }), person("ann"), start)
	if err != nil {
		t.Fatal(err)
	}
	g.Rule.Quorum = 2
	if got := approval.Judge(g, []approval.Vote{v}, start); !got.Again.Equal(start.Add(time.Hour)) {
		t.Errorf("look again at %s", got.Again)
	}
	for given, want := range map[approval.OnExpiry]approval.OnExpiry{"": approval.ExpiryHolds, approval.ExpiryHolds: approval.ExpiryHolds, approval.ExpiryAborts: approval.ExpiryAborts, "go": approval.ExpiryHolds} {
		g.Rule.OnExpiry = given
		if got := approval.Judge(g, nil, start.Add(2*time.Hour)); got.Expired != want || got.Open {
			t.Errorf("on_expiry %q: %+v, want %q", given, got, want)
		}
	}
}

func TestReplays(t *testing.T) {
	g := soakGate()
	g.Rule.Unsigned = true
	ann, first := person("ann"), word(nil)
	v, err := g.Admit(nil, first, ann, start)
	if err != nil {
		t.Fatal(err)
	}
	votes := []approval.Vote{v}
	later := word(func(s *approval.Statement) {
		s.Nonce, s.Decision, s.At = "another-nonce-01", approval.Reject, start.Add(time.Minute)
	})
	if _, err := g.Admit(votes, first, ann, start.Add(time.Minute)); causeOf(err) != approval.CauseReplayed {
		t.Errorf("the same again: %v", err)
	}
	v, err = g.Admit(votes, later, ann, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	votes = append(votes, v)
	if _, err := g.Admit(votes, first, ann, start.Add(2*time.Minute)); causeOf(err) != approval.CauseReplayed {
		t.Errorf("the yes again after the no: %v", err)
	}
	held := word(func(s *approval.Statement) { s.Nonce, s.At = "held-back-nonce1", start.Add(30*time.Second) })
	if _, err := g.Admit(votes, held, ann, start.Add(2*time.Minute)); causeOf(err) != approval.CauseOverruled {
		t.Errorf("a yes that was held back until after the no: %v", err)
	}
	claimed := word(func(s *approval.Statement) { s.Nonce, s.At = "claimed-nonce-01", start.Add(2*time.Minute) })
	if _, err := g.Admit(votes, claimed, approval.Claimed("ann"), start.Add(2*time.Minute)); causeOf(err) != approval.CauseOverruled {
		t.Errorf("somebody who says to be ann: %v", err)
	}
}

func TestStatement(t *testing.T) {
	s := word(func(s *approval.Statement) { s.WhenPass, s.Gates = true, []string{"soak/web/2", "soak/db/1"} })
	want := `rollpatch approval 1
decision: approve
campaign: monthly
instance: monthly-1
plan: sha256:1
gate: soak/web/2
gate: soak/db/1
condition: when-pass
reason: looks good
at: 2026-11-22T09:30:00Z
expires: 2026-11-23T09:30:00Z
nonce: 0123456789abcdef
`
	if s.Text() != want {
		t.Errorf("text:\n%s\nwant:\n%s", s.Text(), want)
	}
	for _, s := range []approval.Statement{s, word(nil), word(func(s *approval.Statement) { s.Instance, s.Reason = "", "prüft: alles gut (50 %)" })} {
		if got, err := approval.Parse(s.Text()); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("Parse = %+v, %v, want %+v", got, err, s)
		}
	}
	swap := func(old, new string) string { return strings.Replace(want, old, new, 1) }
	for name, text := range map[string]string{
		"nothing":                  "",
		"another version":          swap("approval 1", "approval 2"),
		"no newline at the end":    strings.TrimSuffix(want, "\n"),
		"two newlines at the end":  want + "\n",
		"a line that nobody knows": swap("reason:", "note: x\nreason:"),
		"another order":            swap("campaign: monthly\ninstance: monthly-1\n", "instance: monthly-1\ncampaign: monthly\n"),
		"a reason twice":           swap("reason: looks good\n", "reason: looks bad\nreason: looks good\n"),
		"another condition":        swap("when-pass", "when-fail"),
		"a space at the end":       swap("looks good", "looks good "),
		"a carriage return":        swap("looks good", "looks good\r"),
		"an escape":                swap("looks good", "looks \x1b[8mbad\x1b[0m good"),
		"text that runs backwards": swap("looks good", "looks \u202edoog"),
		"not UTF-8":                swap("looks good", "looks \xffgood"),
		"another zone":             swap("09:30:00Z", "10:30:00+01:00"),
		"a fraction of a second":   swap("09:30:00Z", "09:30:00.5Z"),
		"no gate":                  swap("gate: soak/web/2\ngate: soak/db/1\n", ""),
		"a gate twice":             swap("soak/db/1", "soak/web/2"),
		"no plan":                  swap("plan: sha256:1\n", ""),
		"no reason":                swap("reason: looks good\n", ""),
		"a short nonce":            swap("0123456789abcdef", "1"),
		"a yes of another kind":    swap("decision: approve", "decision: yes"),
		"a no when it passes":      swap("decision: approve", "decision: reject"),
		"over before it began":     swap("2026-11-23", "2026-11-22"),
		"far too long":             swap("looks good", strings.Repeat("x", 1001)),
		"more than far too long":   swap("looks good", strings.Repeat("x", 1<<20)),
	} {
		if got, err := approval.Parse(text); err == nil {
			t.Errorf("%s: it reads as %+v", name, got)
		}
	}
}

// Whatever somebody typed, a statement can hold it on one line.
func TestOneLine(t *testing.T) {
	for _, typed := range []string{"fine", "two\nlines\tand \x1b[1mmore", strings.Repeat("ü", 2000), "bad \xff bytes", " \u202e backwards"} {
		s := word(func(s *approval.Statement) { s.Reason = approval.OneLine(typed) })
		if _, err := approval.Parse(s.Text()); err != nil {
			t.Errorf("%.20q: %v", typed, err)
		}
	}
	if got := approval.OneLine("two\nlines "); got != "two lines" {
		t.Errorf("OneLine = %q", got)
	}
}

// What nobody signed has a statement too, whatever was typed.
func TestUnsigned(t *testing.T) {
	g := soakGate()
	for _, reason := range []string{"fine", "two\nlines", "bad \xff bytes"} {
		s := g.Unsigned(approval.Approve, reason, "7", start.Add(time.Millisecond))
		if _, err := approval.Parse(s.Text()); err != nil {
			t.Errorf("%q: %v", reason, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(word(nil).Text())
	f.Add(word(whenPass).Text())
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := approval.Parse(text); err == nil && s.Text() != text {
			t.Errorf("%q reads as %+v, which is written %q", text, s, s.Text())
		}
	})
}
