package oracle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)

const instance = "night-20261122T010000Z"

func facts() Facts {
	return Facts{Grace: time.Second, Return: 10 * time.Second, Clusters: []Cluster{
		{Name: "web", Members: []string{"web-1", "web-2", "web-3"}, MaxUnavailable: 1, MinHealthy: 2, Soak: 3 * time.Second},
		{Name: "big", Members: []string{"big-1", "big-2", "big-3", "big-4"}, MaxUnavailable: 2, MinHealthy: 2, Soak: 3 * time.Second},
		{Name: "db", Members: []string{"db-1", "db-2"}, MaxUnavailable: 1, MinHealthy: 1, Soak: 3 * time.Second, Approval: true},
		{Name: "cache", Members: []string{"cache-1", "cache-2"}, MaxUnavailable: 1, MinHealthy: 1, Soak: 3 * time.Second},
	}}
}

// story is a log in the making: each event comes 100 ms after the one before.
type story struct {
	log []Event
	now time.Time
}

func (s *story) add(e Event) *story {
	if s.now.IsZero() {
		s.now = epoch
	}
	s.now = s.now.Add(100 * time.Millisecond)
	e.Time = s.now
	s.log = append(s.log, e)
	return s
}

func (s *story) wait(d time.Duration) *story { s.now = s.now.Add(d); return s }

func cluster(host string) string { c, _, _ := strings.Cut(host, "-"); return c }

// of are the fields of a run's events.
func of(host, step string, no int) Event {
	try := instance + "." + host + "." + step + ".1"
	return Event{Host: host, Instance: instance, Step: step, Try: try, Run: fmt.Sprint(try, "-", no)}
}

func (s *story) run(kind Kind, host, step string, no int, change func(*Event)) *story {
	e := of(host, step, no)
	e.Kind = kind
	if change != nil {
		change(&e)
	}
	return s.add(e)
}

func (s *story) on(kind Kind, host string) *story {
	return s.add(Event{Kind: kind, Host: host, Service: cluster(host), Instance: instance})
}

// world says what happens by itself.
func (s *story) world(kind Kind, host string) *story {
	return s.add(Event{Kind: kind, Host: host, Service: cluster(host)})
}

func got(version string) func(*Event) {
	return func(e *Event) { e.Packages = map[string]string{"lab-web": version} }
}

func (s *story) drain(host string) *story {
	return s.on(Noted, host).on(Drained, host).world(Unlisted, host)
}

func (s *story) undrain(host string) *story {
	return s.on(Undrained, host).world(Listed, host).on(Forgotten, host)
}

func (s *story) patch(host, version string) *story {
	return s.run(Ran, host, "patch", 1, nil).run(Begin, host, "patch", 1, got(version)).world(Down, host).world(Up, host).run(End, host, "patch", 1, nil)
}

func (s *story) reboot(host string) *story {
	s.run(Ran, host, "reboot", 1, nil).run(RebootAsked, host, "reboot", 1, nil)
	return s.add(Event{Kind: Down, Host: host, Service: cluster(host), By: "host"}).add(Event{Kind: Booted, Host: host, Boot: "b-2"}).world(Up, host)
}

func (s *story) backout(host string) *story {
	return s.run(Ran, host, "backout", 1, nil).run(Begin, host, "backout", 1, got("1.0")).run(End, host, "backout", 1, nil)
}

func (s *story) member(host, version string) *story {
	return s.drain(host).patch(host, version).reboot(host).undrain(host)
}

func (s *story) begin() *story {
	return s.add(Event{Kind: Started, Instance: instance}).add(Event{Kind: Taken, Cluster: "web", Instance: instance})
}

func (s *story) end(outcome string) *story {
	s.add(Event{Kind: Released, Cluster: "web", Instance: instance})
	return s.add(Event{Kind: Told, Instance: instance, Text: outcome}).add(Event{Kind: Ended, Instance: instance, Outcome: outcome})
}

func (s *story) say(word string) *story {
	return s.add(Event{Kind: Said, Instance: instance, Cluster: "web", Text: word, By: Person})
}

func good() *story {
	return new(story).begin().member("web-1", "1.4").wait(3*time.Second).member("web-2", "1.4").member("web-3", "1.4").end("done")
}

func TestCheck(t *testing.T) {
	jane := Event{Kind: ForeignSet, Host: "web-2", Service: "web", Text: "jane"}
	by := func(kind Kind, who string) Event {
		return Event{Kind: kind, Host: "web-2", Service: "web", Text: "jane", By: who}
	}
	found := func(text string) Event { return Event{Kind: Found, Host: "web-2", Service: "web", Text: text} }
	for _, c := range []struct {
		name string
		log  *story
		want []string // the promises that are broken; each word after a promise must be in its text
	}{
		{"a good night", good(), nil},
		{"nothing happens", new(story), nil},
		{"two clusters at the same time", new(story).begin().drain("web-1").drain("cache-1").undrain("web-1").undrain("cache-1").end("aborted"), nil},

		{"a second member is drained before the first is back", new(story).begin().member("web-1", "1.4").wait(3 * time.Second).drain("web-2").drain("web-3").undrain("web-2").undrain("web-3").end("aborted"), []string{"P1 web-2, web-3"}},
		{"a second member is patched while the first reboots", new(story).begin().member("web-1", "1.4").wait(3*time.Second).drain("web-2").
			run(RebootAsked, "web-2", "reboot", 1, nil).patch("web-3", "1.4").add(Event{Kind: Booted, Host: "web-2"}).undrain("web-2").end("done"), []string{"P1", "P2 not drained"}},

		{"a drain with two peers away", new(story).begin().world(Unlisted, "web-2").wait(2 * time.Second).drain("web-1").undrain("web-1").end("aborted"), []string{"P2 drained with 1 peers"}},
		{"a peer that went away in the last moment was not to be known of", new(story).begin().world(Unlisted, "web-2").drain("web-1").undrain("web-1").end("aborted"), nil},
		{"a patch after a peer went away", new(story).begin().drain("web-1").world(Unlisted, "web-2").wait(2*time.Second).patch("web-1", "1.4").undrain("web-1").end("aborted"), []string{"P2 begin with 1 peers"}},
		{"a reboot after a peer went away", new(story).begin().drain("web-1").patch("web-1", "1.4").world(Unlisted, "web-2").wait(2 * time.Second).reboot("web-1").undrain("web-1").end("aborted"), []string{"P2 reboot-asked with 1 peers"}},
		{"a member that its peers need is kept out", new(story).begin().drain("web-1").patch("web-1", "1.4").world(Unlisted, "web-2").wait(6*time.Second).world(Listed, "web-2").undrain("web-1").end("aborted"), nil},
		{"for too long", new(story).begin().drain("web-1").patch("web-1", "1.4").world(Unlisted, "web-2").wait(11*time.Second).world(Unlisted, "web-2").undrain("web-1").world(Listed, "web-2").end("aborted"), []string{"P2 kept out"}},
		{"one that cannot serve is not wanted back", new(story).begin().drain("web-1").run(Begin, "web-1", "patch", 1, got("1.2")).world(Down, "web-1").run(End, "web-1", "patch", 1, nil).world(Unlisted, "web-2").
			wait(11*time.Second).world(Unlisted, "web-2").world(Up, "web-1").undrain("web-1").world(Listed, "web-2").end("aborted"), nil},
		{"what a server without a leader believes is read", new(story).begin().add(Event{Kind: Loose, Text: "/v1/kv/a", By: "stale"}).drain("web-1").undrain("web-1").end("aborted"), []string{"P2 lost its leader"}},
		{"a patch of a member in service", new(story).begin().patch("web-1", "1.4").end("aborted"), []string{"P2 not drained"}},
		{"somebody else's own transaction and reboot", good().add(Event{Kind: Begin, Host: "web-1"}).add(Event{Kind: RebootAsked, Host: "web-1"}), nil},

		{"a peer is drained in the soak", new(story).begin().member("web-1", "1.4").wait(time.Second).member("web-2", "1.4").end("done"), []string{"P3 of 3s"}},
		{"the canary goes and comes back in its soak", new(story).begin().member("web-1", "1.4").wait(time.Second).world(Unlisted, "web-1").wait(3*time.Second).world(Listed, "web-1").wait(time.Second).drain("web-2").undrain("web-2").end("aborted"), nil},
		{"a peer is drained before the canary is back", new(story).begin().drain("big-1").patch("big-1", "1.4").drain("big-2").undrain("big-1").undrain("big-2").end("done"), []string{"P3 not back"}},
		{"a peer is drained while the canary is ill", new(story).begin().member("web-1", "1.4").wait(time.Second).world(Down, "web-1").wait(3*time.Second).drain("web-2").undrain("web-2").world(Up, "web-1").end("done"), []string{"P3 does not work"}},
		{"a peer is drained while the servers do not list the canary", new(story).begin().member("big-1", "1.4").wait(time.Second).world(Unlisted, "big-1").wait(3*time.Second).drain("big-2").undrain("big-2").world(Listed, "big-1").end("done"), []string{"P3 do not list"}},
		{"a peer is drained without an approval", new(story).begin().member("db-1", "1.4").wait(3 * time.Second).drain("db-2").undrain("db-2").end("done"), []string{"P3 approved"}},
		{"a peer is drained with one", new(story).begin().member("db-1", "1.4").wait(3 * time.Second).add(Event{Kind: Said, Instance: instance, Cluster: "db", Text: "approve"}).drain("db-2").undrain("db-2").end("done"), nil},
		{"a peer is drained after a canary that was given up", new(story).begin().drain("web-1").undrain("web-1").wait(4 * time.Second).drain("web-2").undrain("web-2").end("done"), []string{"P3 never patched"}},
		{"unless a person says so", new(story).begin().drain("web-1").undrain("web-1").say("skip").member("web-2", "1.4").wait(3*time.Second).member("web-3", "1.4").end("done"), nil},
		{"a peer is drained after a canary that was backed out", new(story).begin().drain("web-1").patch("web-1", "1.2").world(Down, "web-1").wait(time.Second).backout("web-1").world(Up, "web-1").undrain("web-1").wait(4 * time.Second).drain("web-2").undrain("web-2").end("done"), []string{"P3 brought back"}},

		{"a peer gets a newer version", new(story).begin().member("web-1", "1.1").wait(3*time.Second).member("web-2", "1.4").end("done"), []string{"P4 lab-web 1.4"}},
		{"a peer gets another package", new(story).begin().member("web-1", "1.4").wait(3*time.Second).drain("web-2").
			run(Begin, "web-2", "patch", 1, func(e *Event) { e.Packages = map[string]string{"lab-web": "1.4", "tzdata": "2025b"} }).run(End, "web-2", "patch", 1, nil).undrain("web-2").end("done"), []string{"P4 tzdata"}},

		{"a member is left drained", new(story).begin().drain("web-1").end("halted"), []string{"P5 left drained"}},
		{"it is in quarantine and a person was told", new(story).begin().drain("web-1").on(Quarantined, "web-1").add(Event{Kind: Told, Host: "web-1", Instance: instance}).end("halted"), nil},
		{"it is in quarantine and nobody was told", new(story).begin().drain("web-1").on(Quarantined, "web-1").end("halted"), []string{"P5 nobody was told"}},
		{"undrained before it works", new(story).begin().drain("web-1").patch("web-1", "1.2").world(Down, "web-1").wait(2*time.Second).undrain("web-1").world(Up, "web-1").end("done"), []string{"P5 did not work"}},
		{"what was not touched goes back as it is", new(story).begin().drain("web-1").world(Down, "web-1").wait(2 * time.Second).undrain("web-1").end("halted"), nil},
		{"back in service and broken", new(story).begin().member("web-1", "1.2").world(Down, "web-1").end("done"), []string{"P5 does not work"}},
		{"drained before it was on record", new(story).begin().on(Drained, "web-1").undrain("web-1").end("aborted"), []string{"P5 on record"}},
		{"the record of its drain is left", new(story).begin().drain("web-1").on(Undrained, "web-1").end("aborted"), []string{"P5 record"}},

		{"the record of a drain that never came is left", new(story).begin().on(Noted, "web-1").end("aborted"), []string{"P5 record"}},
		{"a run's script runs twice", new(story).begin().drain("web-1").run(Ran, "web-1", "patch", 1, nil).run(Ran, "web-1", "patch", 1, nil).undrain("web-1").end("done"), []string{"P6 ran 2 times", "P6 ran 2 times"}},
		{"a step is run again without an interruption", new(story).begin().drain("web-1").run(Ran, "web-1", "patch", 1, nil).run(Ran, "web-1", "patch", 2, nil).undrain("web-1").end("done"), []string{"P6 ran 2 times"}},
		{"a step is run again after an interruption", new(story).begin().drain("web-1").run(Ran, "web-1", "patch", 1, nil).run(Interrupted, "web-1", "patch", 1, nil).run(Ran, "web-1", "patch", 2, nil).undrain("web-1").end("done"), nil},
		{"a second reboot", new(story).begin().drain("web-1").reboot("web-1").run(RebootAsked, "web-1", "reboot", 2, nil).add(Event{Kind: Booted, Host: "web-1"}).undrain("web-1").end("done"), []string{"P6 rebooted the host 2 times"}},
		{"the way back has a reboot of its own", new(story).begin().drain("web-1").patch("web-1", "1.2").reboot("web-1").world(Down, "web-1").wait(2*time.Second).backout("web-1").run(RebootAsked, "web-1", "reboot", 2, nil).
			add(Event{Kind: Booted, Host: "web-1"}).world(Up, "web-1").undrain("web-1").end("halted"), nil},

		{"jane's maintenance is removed by us", good().add(jane).add(by(ForeignRemoved, "program")), []string{"P8 by program"}},
		{"jane removes her own", good().add(jane).add(by(ForeignRemoved, Person)).add(found("")), nil},
		{"jane's is still there", good().add(jane).add(found("jane")), nil},
		{"jane's is gone at the end", good().add(jane).add(found("")), []string{"P8 has become"}},

		{"an instance that neither ends nor waits", new(story).begin(), []string{"P10 does not say"}},
		{"one that says what it waits for", new(story).begin().add(Event{Kind: Waits, Instance: instance, Text: "waiting for jane"}), nil},
		{"one that ends and keeps its claim", new(story).begin().add(Event{Kind: Ended, Instance: instance, Outcome: "done"}), []string{"P10 web"}},
		{"one that halts and tells nobody", new(story).begin().add(Event{Kind: Released, Cluster: "web", Instance: instance}).add(Event{Kind: Ended, Instance: instance, Outcome: "halted"}), []string{"P10 nobody"}},
		{"an unreachable member is backed out", new(story).begin().drain("web-1").patch("web-1", "1.4").world(Cut, "web-1").wait(9*time.Second).world(Healed, "web-1").backout("web-1").undrain("web-1").end("halted"), []string{"P10 nothing was found wrong"}},
		{"a rebooted member is backed out for nothing", new(story).begin().drain("web-1").patch("web-1", "1.4").reboot("web-1").backout("web-1").undrain("web-1").end("halted"), []string{"P10 nothing was found wrong"}},
		{"a member that somebody rebooted by hand is backed out", new(story).begin().member("web-1", "1.4").add(Event{Kind: RebootAsked, Host: "web-1"}).
			add(Event{Kind: Down, Host: "web-1", Service: "web", By: "host"}).world(Up, "web-1").drain("web-1").backout("web-1").undrain("web-1").end("halted"), []string{"P10 nothing was found wrong"}},
		{"a person wants it back", new(story).begin().member("web-1", "1.4").say("reject").drain("web-1").backout("web-1").undrain("web-1").end("halted"), nil},
		{"a member whose service did not come back is backed out", new(story).begin().drain("web-1").run(Begin, "web-1", "patch", 1, got("1.2")).world(Down, "web-1").run(End, "web-1", "patch", 1, nil).wait(2*time.Second).backout("web-1").world(Up, "web-1").undrain("web-1").end("halted"), nil},
		{"so is one that could not be reached in between", new(story).begin().drain("web-1").run(Begin, "web-1", "patch", 1, got("1.2")).world(Down, "web-1").run(End, "web-1", "patch", 1, nil).wait(700*time.Millisecond).
			world(Cut, "web-1").wait(9*time.Second).world(Healed, "web-1").wait(700*time.Millisecond).backout("web-1").world(Up, "web-1").undrain("web-1").end("halted"), nil},
		{"but not one that was ill for a moment, and then out of reach", new(story).begin().drain("web-1").run(Begin, "web-1", "patch", 1, got("1.2")).world(Down, "web-1").run(End, "web-1", "patch", 1, nil).wait(300*time.Millisecond).
			world(Cut, "web-1").wait(9*time.Second).world(Healed, "web-1").backout("web-1").world(Up, "web-1").undrain("web-1").end("halted"), []string{"P10 nothing was found wrong"}},
		{"a transaction that failed is backed out", new(story).begin().drain("web-1").run(Begin, "web-1", "patch", 1, got("1.3")).run(End, "web-1", "patch", 1, func(e *Event) { e.Failed = true }).backout("web-1").undrain("web-1").end("halted"), nil},
		{"a soak that fails brings the others back too", new(story).begin().member("web-1", "1.4").wait(3*time.Second).member("web-2", "1.4").world(Down, "web-1").
			drain("web-2").backout("web-2").undrain("web-2").drain("web-1").backout("web-1").world(Up, "web-1").undrain("web-1").end("halted"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := Check(c.log.log, facts())
			var promises, want []string
			for _, v := range got {
				promises = append(promises, v.Promise)
			}
			for i, w := range c.want {
				promise, text, _ := strings.Cut(w, " ")
				want = append(want, promise)
				if i < len(got) && !strings.Contains(got[i].Text, text) {
					t.Errorf("violation %d is %q, want %q in it", i, got[i].Text, text)
				}
			}
			if !slices.Equal(promises, want) {
				t.Errorf("broken: %v, want %v\nviolations %v\nlog\n%s", promises, want, got, written(c.log.log))
			}
		})
	}
}

// TestPromisesTakeTheirTurn keeps the list of the checked promises whole.
func TestPromisesTakeTheirTurn(t *testing.T) {
	var names []string
	for _, p := range promises {
		names = append(names, p.name)
	}
	if want := []string{"P1", "P2", "P3", "P4", "P5", "P6", "P8", "P10"}; !slices.Equal(names, want) {
		t.Errorf("promises = %v, want %v", names, want)
	}
}

func written(log []Event) string {
	var lines []string
	for _, e := range log {
		lines = append(lines, e.String())
	}
	return strings.Join(lines, "\n")
}
