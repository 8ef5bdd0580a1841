package rollout

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const here = "server-1"

func stands(server string, keys ...string) (all []Record) {
	for _, k := range keys {
		key, owner, _ := strings.Cut(k, " of ")
		if owner == "" {
			owner = "monthly-1"
		}
		all = append(all, Record{Key: key, Owner: owner, Server: server, Since: epoch})
	}
	return all
}

// gone is an instance that nobody knows, with hosts that it has drained.
func gone(hosts ...string) map[string]Owner {
	o := Owner{Hosts: map[string]Home{}}
	for _, h := range hosts {
		o.Hosts[h] = Home{}
	}
	return map[string]Owner{"monthly-1": o}
}

func TestMend(t *testing.T) {
	with := func(o map[string]Owner, change func(*Owner)) map[string]Owner {
		of := o["monthly-1"]
		change(&of)
		return map[string]Owner{"monthly-1": of}
	}
	at := func(home Home) map[string]Owner {
		return map[string]Owner{"monthly-1": {Hosts: map[string]Home{"web-1": home}}}
	}
	mark := Mark{Node: "web-1", Service: "web", Reason: "rollpatch monthly-1 web-1", Instance: "monthly-1", Host: "web-1"}
	for _, row := range []struct {
		says   string
		survey Survey
		owners map[string]Owner
		want   string // "what key-or-host", in order
	}{
		{"nothing stands, nothing is done", Survey{}, nil, ""},
		{"a host that is left drained is put back, and the claim waits for it", Survey{Records: stands(here, "cluster/web", "drain/web-1")}, gone("web-1"), "note cluster/web, return drain/web-1"},
		{"a claim alone is given back", Survey{Records: stands(here, "cluster/web", "cluster/cache")}, gone(), "drop cluster/web, drop cluster/cache"},
		{"a host in quarantine is a person's, and keeps no claim", Survey{Records: stands(here, "cluster/web", "drain/web-1", "quarantine/web-1")}, gone("web-1"), "drop cluster/web"},
		{"a campaign that runs keeps its claims", Survey{Records: stands(here, "cluster/web")}, with(gone(), func(o *Owner) { o.Runs = true }), ""},
		{"one cluster at work keeps them all", Survey{Records: stands(here, "cluster/web", "cluster/cache")}, with(gone(), func(o *Owner) { o.Works = "cluster/monthly-1/web" }), ""},
		{"who was not asked for counts as at work", Survey{Records: stands(here, "cluster/web", "drain/web-1")}, nil, ""},
		{"a host that was not asked for counts as worked on", Survey{Records: stands(here, "drain/web-1")}, gone(), ""},
		{"a host that its owner works on is left alone", Survey{Records: stands(here, "drain/web-1")}, at(Home{AtWork: true}), ""},
		{"a host that its campaign does not remember is put back, though it runs", Survey{Records: stands(here, "cluster/web", "drain/web-1")}, with(gone("web-1"), func(o *Owner) { o.Runs = true }), "return drain/web-1"},
		{"and though its cluster does, which may wait for it", Survey{Records: stands(here, "cluster/web", "drain/web-1")}, with(gone("web-1"), func(o *Owner) { o.Runs, o.Works = true, "cluster/monthly-1/web" }), "return drain/web-1"},
		{"a host that another instance works on is told", Survey{Records: stands(here, "drain/web-1")}, at(Home{Busy: "weekly-1"}), "tell drain/web-1"},
		{"a host that nobody can reach is told", Survey{Records: stands(here, "drain/web-1")}, at(Home{Problem: "it is nowhere"}), "tell drain/web-1"},
		{"what belongs to another server is noted, and never touched", Survey{Records: stands("server-2", "cluster/web", "drain/web-1")}, gone("web-1"), "note cluster/web, note drain/web-1"},
		{"what belongs to no server is noted too", Survey{Records: stands("", "cluster/web", "drain/web-1")}, gone("web-1"), "note cluster/web, note drain/web-1"},
		{"a forgotten host of the same name's on another server keeps no claim", Survey{Records: append(stands(here, "cluster/web"), stands("server-2", "drain/web-1")...)}, gone(), "drop cluster/web, note drain/web-1"},
		{"a record that cannot be read is told, and the others are mended", Survey{Records: append(stands(here, "cluster/web"), Record{Key: "drain/db-1", Broken: "no JSON"})}, gone(), "drop cluster/web, tell drain/db-1"},
		{"a quarantine that cannot be read is one all the same", Survey{Records: append(stands(here, "drain/web-1"), Record{Key: "quarantine/web-1", Broken: "no JSON"})}, gone("web-1"), "tell quarantine/web-1"},
		{"and so is a drain: its maintenance is on record", Survey{Records: []Record{{Key: "drain/web-1", Broken: "no JSON"}}, Marks: []Mark{mark}}, nil, "tell drain/web-1"},
		{"records of other kinds are nobody's business here", Survey{Records: stands(here, "versions/lab-web", "quarantine/web-2")}, gone(), ""},
		{"maintenance of ours without a record is told and not removed, and keeps the claim", Survey{Records: stands(here, "cluster/web"), Marks: []Mark{mark}}, gone(), "note cluster/web, tell web-1"},
		{"maintenance with its record is nothing to tell", Survey{Records: stands("server-2", "drain/web-1"), Marks: []Mark{mark}}, nil, "note drain/web-1"},
		{"maintenance with a record of another instance is", Survey{Records: stands("server-2", "drain/web-1 of weekly-1"), Marks: []Mark{mark}}, nil, "note drain/web-1, tell web-1"},
		{"maintenance of a host in quarantine is nothing to tell", Survey{Records: stands(here, "quarantine/web-1"), Marks: []Mark{mark}}, nil, ""},
	} {
		row.survey.Server = here
		_, seen, due := row.survey.Mend(row.owners, nil, epoch, epoch)
		if first := did(row.survey.Mend(row.owners, nil, epoch, epoch)); strings.Contains(first, "return") || strings.Contains(first, "drop") || strings.Contains(first, "tell web") {
			t.Errorf("%s: %q at the first look", row.says, first)
		}
		if len(seen) > 0 != !due.IsZero() || !due.IsZero() && !due.Equal(epoch.Add(Patience)) {
			t.Errorf("%s: due at %s with %d seen", row.says, due, len(seen))
		}
		if soon := did(row.survey.Mend(row.owners, seen, epoch.Add(Patience-time.Second), epoch.Add(2*Patience))); strings.Contains(soon, "return") || strings.Contains(soon, "drop") {
			t.Errorf("%s: %q before its time", row.says, soon)
		}
		if got := did(row.survey.Mend(row.owners, seen, epoch.Add(Patience), epoch.Add(Patience))); got != row.want {
			t.Errorf("%s: does %q, want %q", row.says, got, row.want)
		}
	}
}

func did(todo []Mend, _ []Seen, _ time.Time) string {
	var all []string
	for _, m := range todo {
		what := m.Key
		if what == "" {
			what = m.Host
		}
		all = append(all, m.Do+" "+what)
	}
	return strings.Join(all, ", ")
}

func TestMendSaysWhy(t *testing.T) {
	s := Survey{Server: here, Records: stands(here, "drain/web-1")}
	_, seen, _ := s.Mend(gone("web-1"), nil, epoch, epoch)
	for says, row := range map[string]struct {
		change func(*Owner)
		want   string
	}{
		"unknown":   {func(*Owner) {}, "it was left drained by monthly-1, which this server does not know (was its database put back to an older copy?)"},
		"ended":     {func(o *Owner) { o.Ended = "terminated" }, "it was left drained by monthly-1, which has ended (terminated)"},
		"forgetful": {func(o *Owner) { o.Runs = true }, "it was left drained by monthly-1, which does not remember it (was the server's database put back to an older copy?)"},
	} {
		owner := gone("web-1")["monthly-1"]
		row.change(&owner)
		todo, _, _ := s.Mend(map[string]Owner{"monthly-1": owner}, seen, epoch.Add(Patience), epoch.Add(Patience))
		if len(todo) != 1 || todo[0].Text != row.want {
			t.Errorf("%s: %+v, want %q", says, todo, row.want)
		}
	}
}

// A server that is put back goes on with the look that it was at when the copy was made: what it began then says nothing of now.
func TestALookCountsFromItsAnswers(t *testing.T) {
	s := Survey{Server: here, Records: stands(here, "cluster/web")}
	restored := epoch.Add(6 * time.Hour)
	todo, seen, due := s.Mend(gone(), nil, epoch, restored)
	if len(todo) > 0 || !due.Equal(restored.Add(Patience)) {
		t.Fatalf("it does %v, and looks again at %s", todo, due)
	}
	if todo, _, due := s.Mend(gone(), seen, restored.Add(Patience-time.Second), restored.Add(2*Patience)); len(todo) > 0 || !due.Equal(restored.Add(Patience)) {
		t.Errorf("it does %v on a look that began too soon, and looks again at %s, want at once", todo, due)
	}
	if todo, _, _ := s.Mend(gone(), seen, restored.Add(Patience), restored.Add(Patience)); len(todo) != 1 {
		t.Errorf("it does %v in the end, want the drop", todo)
	}
}

func TestSuspects(t *testing.T) {
	s := Survey{Server: here, Records: slices.Concat(
		stands(here, "cluster/web", "cluster/cache", "drain/web-1", "drain/web-2", "quarantine/web-2", "cluster/db of weekly-1", "versions/x of daily-1"), stands("server-2", "cluster/mq of daily-2"),
	)}
	if got, want := fmt.Sprint(s.Suspects()), "[{monthly-1 [cache web] [web-1] [] []} {weekly-1 [db] [] [] []}]"; got != want {
		t.Errorf("Suspects = %s, want %s", got, want)
	}
	s.Server = ""
	if got := s.Suspects(); len(got) > 0 {
		t.Errorf("of a server without an id: %v, want none: nothing is known to be ours", got)
	}
}

// TestSurveysMendWhatIsForgotten plays random estates: instances of two servers on one Consul claim, drain and end, and now and then one
// server forgets an instance. Nothing that somebody works on is ever touched, and in the end nothing forgotten is left.
func TestSurveysMendWhatIsForgotten(t *testing.T) {
	for seed := range uint64(3000) {
		if why := forget(seed); why != "" {
			t.Fatalf("seed %d: %s", seed, why)
		}
	}
}

func forget(seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 1))
	servers := []string{here, "server-2"}
	type life struct {
		server         string
		known, working bool
	}
	lives := map[string]*life{}
	var names []string
	records := map[string]Record{}
	returning := map[string]string{} // host to the instance it is put back for
	seen := map[string][]Seen{}
	idle := map[string]time.Time{} // since when nobody works on what a record says
	now := epoch
	calm := false
	for tick := range 120 {
		now = now.Add(time.Duration(5+rnd.IntN(20)) * time.Second)
		if calm = tick > 70; !calm && len(names) < 5 && rnd.IntN(4) == 0 {
			name := fmt.Sprintf("i-%d", len(names))
			names, lives[name] = append(names, name), &life{server: servers[rnd.IntN(2)], known: true, working: true}
		}
		for _, name := range names {
			l := lives[name]
			switch {
			case !l.working:
			case !calm && rnd.IntN(15) == 0: // the server is put back to a copy of before
				l.known, l.working = false, false
			case rnd.IntN(2) == 0 && !calm:
				c := rnd.IntN(4)
				keys := []string{fmt.Sprintf("cluster/c%d", c), fmt.Sprintf("drain/c%d-h%d", c, rnd.IntN(3))}
				if held, ok := records[keys[0]]; ok && held.Owner != name {
					continue
				}
				for _, k := range keys[:1+rnd.IntN(2)] {
					if _, ok := records[k]; !ok {
						records[k] = Record{Key: k, Owner: name, Server: l.server, Since: now}
					}
				}
			default: // it ends well
				l.working = false
				for k, r := range records {
					if r.Owner == name {
						delete(records, k)
					}
				}
			}
		}
		for _, host := range slices.Sorted(maps.Keys(returning)) { // those that are put back end in one of two ways
			name := returning[host]
			if rnd.IntN(2) == 0 {
				continue
			}
			if rnd.IntN(3) == 0 {
				records["quarantine/"+host] = Record{Key: "quarantine/" + host, Owner: name, Server: lives[name].server, Since: now}
			} else {
				delete(records, "drain/"+host)
			}
			delete(returning, host)
		}
		for k, r := range records {
			_, busy := returning[strings.TrimPrefix(k, "drain/")]
			if lives[r.Owner].working || busy {
				idle[k+r.Owner] = now
			} else if _, ok := idle[k+r.Owner]; !ok {
				idle[k+r.Owner] = now
			}
		}
		for _, server := range servers {
			s := Survey{Server: server}
			var keys []string
			for k := range records {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				s.Records = append(s.Records, records[k])
			}
			owners := map[string]Owner{}
			for _, of := range s.Suspects() {
				l := lives[of.Instance]
				if l.server != server {
					return of.Instance + " is suspected by another server"
				}
				o := Owner{Runs: l.working, Hosts: map[string]Home{}}
				for _, h := range of.Hosts {
					home := Home{}
					if _, busy := returning[h]; busy || l.working {
						home.AtWork, o.Works = true, "host/"+h
					}
					o.Hosts[h] = home
				}
				owners[of.Instance] = o
			}
			var todo []Mend
			todo, seen[server], _ = s.Mend(owners, seen[server], now, now)
			for _, m := range todo {
				if m.Do == MendNote {
					continue
				}
				r := records[m.Key]
				l := lives[m.Owner]
				switch {
				case l.server != server:
					return m.Do + " " + m.Key + " of another server"
				case l.working:
					return m.Do + " " + m.Key + " while " + m.Owner + " works"
				case now.Sub(idle[m.Key+m.Owner]) < Patience:
					return m.Do + " " + m.Key + " too soon"
				case r.Owner != m.Owner:
					return m.Do + " " + m.Key + " of somebody else"
				}
				switch m.Do {
				case MendReturn:
					if returning[m.Host] != "" {
						return m.Host + " is put back twice at once"
					}
					returning[m.Host] = m.Owner
				case MendDrop:
					for k, d := range records {
						host, ok := strings.CutPrefix(k, "drain/")
						if _, shut := records["quarantine/"+host]; ok && !shut && d.Owner == m.Owner {
							return m.Key + " is given back while " + host + " is out"
						}
					}
					delete(records, m.Key)
				}
			}
		}
	}
	for k := range records {
		host, drained := strings.CutPrefix(k, "drain/")
		if _, shut := records["quarantine/"+host]; strings.HasPrefix(k, "cluster/") || drained && !shut {
			return k + " of " + records[k].Owner + " is left"
		}
	}
	return ""
}

func TestAForgottenMemberIsLookedAtCheckedAndPutOnRecord(t *testing.T) {
	alone := with(func(p *MemberPolicy) { p.Unattended = true })
	for _, row := range []memberRow{
		{"it is looked at before anything else, and people are told", "", "next inspect", "hold"},
		{"while a run goes on there it waits", "inspect=unknown", "waits before inspect: unreachable", "hold"},
		{"however often, until it has ended", "inspect=unknown*5 inspect=pass", "next check", "hold"},
		{"it goes back into service when its checks pass", "inspect=pass check=pass", "next undrain", "hold"},
		{"and on record, serving: whether it was changed nobody knows", "inspect=pass check=pass undrain=pass", "next quarantine", "hold quarantine"},
		{"its undrain is never given up", "inspect=pass check=pass undrain=unknown*100", "holds before undrain: unreachable", "hold hold"},
		{"it stays out when its checks do not pass", "inspect=pass check=fail", "next quarantine", "hold quarantine"},
		{"or when it fails in service", "inspect=pass check=pass undrain=fail", "next quarantine", "hold quarantine"},
		{"or when its package database is not clean", "inspect=fail", "next quarantine", "hold quarantine"},
		{"or when it cannot be reached for longer than anybody waits", "inspect=unknown*31", "next quarantine", "hold quarantine"},
		{"somebody else's maintenance is waited for", "inspect=foreign", "waits before inspect: jane's maintenance", "hold"},
		{"an abort does not put it back unchecked", "abort inspect=pass", "next check", "hold"},
	} {
		m, now := Forgotten("monthly", "web", "web-1", "it was left drained", alone), epoch
		for _, word := range strings.Fields(unroll(row.path)) {
			m, now = playMember(t, m, word, now)
		}
		if got := standing(m, now); got != row.want {
			t.Errorf("%s: got %s, want %s", row.sentence, got, row.want)
		}
		if got := events(m.Outbox); got != row.told {
			t.Errorf("%s: people were told %q, want %q", row.sentence, got, row.told)
		}
		if m.Instance != "monthly" || !m.Drained {
			t.Errorf("%s: %+v: its drain is the instance's", row.sentence, m)
		}
	}
}
