package chaos

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
)

const night = "night-20261122T010000Z"

func TestTraces(t *testing.T) {
	text := "1763773200.000000001\tb-1\tstarted\t" + night + ".web-1.patch.1-1\t\n" + "noise\n" + "x.1\tb\tlogin\t\t\n" + "1763773200.5\tb-1\tlog"
	got := traces("web-1", text)
	want := trace{at: time.Unix(1763773200, 1), host: "web-1", boot: "b-1", what: "started", run: night + ".web-1.patch.1-1"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("traces = %+v, want only %+v: a line that is not whole says nothing", got, want)
	}
}

func TestHostEvents(t *testing.T) {
	const patch, reboot = night + ".web-1.patch.1-1", night + ".web-1.reboot.1-1"
	begin := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	line := func(what, run, more string) trace {
		return trace{host: "web-1", boot: "b-1", what: what, run: run, more: more}
	}
	of := func(kind oracle.Kind, run string, change func(*oracle.Event)) oracle.Event {
		e := oracle.Event{Kind: kind, Host: "web-1"}
		if run != "" {
			e = ofRun(e, runUnit+run)
		}
		if change != nil {
			change(&e)
		}
		return e
	}
	text := func(s string) func(*oracle.Event) { return func(e *oracle.Event) { e.Text = s } }
	for _, c := range []struct {
		name  string
		lines []trace
		want  []oracle.Event
	}{
		{"a patch that goes well", []trace{
			line("login", "", ""), line("started", patch, ""), line("acts", patch, "apt-get -s"), line("acted", patch, "apt-get 0"), line("acts", patch, "apt-get install"),
			line("transaction", patch, "lab-web=1.4 gone= "), line("acted", patch, "apt-get 0"), line("ended", patch, "success"),
		}, []oracle.Event{
			of(oracle.Ran, patch, nil), of(oracle.Begin, patch, func(e *oracle.Event) { e.Packages = map[string]string{"lab-web": "1.4", "gone": ""} }), of(oracle.End, patch, nil),
		}},
		{"one that fails", []trace{line("transaction", patch, "a=2"), line("acted", patch, "apt-get 100")}, []oracle.Event{
			of(oracle.Begin, patch, func(e *oracle.Event) { e.Packages = map[string]string{"a": "2"} }), of(oracle.End, patch, func(e *oracle.Event) { e.Failed = true }),
		}},
		{"a unit that began nothing, and one whose script began twice", []trace{
			line("started", patch, ""), line("ended", patch, "success"), line("started", reboot, ""), line("acts", reboot, "dpkg"), line("ended", reboot, "success"), line("started", reboot, ""), line("acts", reboot, "dpkg"),
		}, []oracle.Event{of(oracle.Ran, reboot, nil), of(oracle.Ran, reboot, nil)}},
		{"a deadline", []trace{line("started", patch, ""), line("acts", patch, "dpkg"), line("ended", patch, "timeout")}, []oracle.Event{of(oracle.Ran, patch, nil), of(oracle.Interrupted, patch, text("unit timeout"))}},
		{"a reboot ends its own run", []trace{
			line("started", reboot, ""), line("acts", reboot, "systemctl reboot"), line("ended", reboot, "signal"), line(ofLab+"boot", "", ""),
		}, []oracle.Event{of(oracle.Ran, reboot, nil), of(oracle.RebootAsked, reboot, nil), of(oracle.Booted, "", func(e *oracle.Event) { e.Boot = "b-1" })}},
		{"a power cut interrupts what was alive", []trace{
			line("started", patch, ""), line("acts", patch, "dpkg"), line(ofLab+"power-cut", "", ""), line(ofLab+"boot", "", ""),
		}, []oracle.Event{
			of(oracle.Ran, patch, nil), of(oracle.Cut, "", text("power")), of(oracle.Interrupted, patch, text("power cut")), of(oracle.Healed, "", text("power")), of(oracle.Booted, "", func(e *oracle.Event) { e.Boot = "b-1" }),
		}},
		{"a person's own work", []trace{line("transaction", "", "a=2")}, []oracle.Event{of(oracle.Begin, "", func(e *oracle.Event) { e.Packages = map[string]string{"a": "2"} })}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.lines {
				c.lines[i].at = begin.Add(time.Duration(i) * time.Second)
			}
			got := hostEvents(c.lines)
			for i := range got {
				got[i].Time = time.Time{}
			}
			raw, _ := json.Marshal(got)
			want, _ := json.Marshal(c.want)
			if !bytes.Equal(raw, want) {
				t.Errorf("hostEvents = %s\nwant %s", raw, want)
			}
		})
	}
}

func TestLabTraces(t *testing.T) {
	now := time.Now()
	got := labTraces([]testenv.Event{{Time: now.Add(-time.Second), Host: "web-1", What: "boot"}, {Time: now.Add(time.Second), What: "publish"}, {Time: now.Add(time.Second), Host: "web-1", What: "boot", BootID: "b"}}, now)
	if len(got) != 1 || got[0].what != ofLab+"boot" || got[0].boot != "b" {
		t.Errorf("labTraces = %+v, want the boot after the beginning", got)
	}
}

// TestServersChanges: what two answers of Consul differ in, in the order in which it is done.
func TestServersChanges(t *testing.T) {
	ours := "rollpatch " + night + " web-1"
	check := func(node, id, service, status, notes string) *api.HealthCheck {
		return &api.HealthCheck{Node: node, CheckID: id, ServiceName: service, Status: status, Notes: notes}
	}
	passing := []*api.HealthCheck{check("web-1", "serfHealth", "", "passing", ""), check("web-1", "web-health", "web", "passing", "")}
	drain := &api.KVPair{Key: claims + "drain/web-1", Value: []byte(`{"owner":"` + night + `"}`)}
	before := summed(passing, nil)
	during := summed(append(passing[:2:2], check("web-1", "_service_maintenance:web", "web", "critical", ours)), api.KVPairs{drain})
	claim := func(of string) servers {
		return summed(passing, api.KVPairs{{Key: claims + "cluster/web", Value: []byte(`{"owner":"` + of + `"}`)}})
	}
	foreign := summed(append(passing[:2:2], check("web-1", "_node_maintenance", "", "critical", "jane")), nil)
	ill := summed([]*api.HealthCheck{check("web-1", "serfHealth", "", "critical", ""), passing[1]}, nil)
	for _, c := range []struct {
		name     string
		was, now servers
		byHand   map[string]bool
		want     []oracle.Kind
	}{
		{"nothing", before, before, nil, nil},
		{"a drain", before, during, nil, []oracle.Kind{oracle.Noted, oracle.Drained, oracle.Unlisted}},
		{"an undrain", during, before, nil, []oracle.Kind{oracle.Undrained, oracle.Listed, oracle.Forgotten}},
		{"a claim", before, claim(night), nil, []oracle.Kind{oracle.Taken}},
		{"a claim that the next one had before anybody looked again", claim(night), claim("other"), nil, []oracle.Kind{oracle.Released, oracle.Taken}},
		{"a node that failed", before, ill, nil, []oracle.Kind{oracle.Unlisted}},
		{"jane's maintenance", before, foreign, nil, []oracle.Kind{oracle.ForeignSet, oracle.Unlisted}},
		{"and its end", foreign, before, nil, []oracle.Kind{oracle.ForeignRemoved, oracle.Listed}},
	} {
		var got []oracle.Kind
		for _, e := range events(changes(c.was, c.now, c.byHand)) {
			got = append(got, e.Kind)
			if e.Kind == oracle.Drained && (e.Instance != night || e.Service != "web" || e.Host != "web-1") {
				t.Errorf("%s: %+v, want whose it is", c.name, e)
			}
		}
		raw, _ := json.Marshal(got)
		if want, _ := json.Marshal(c.want); !bytes.Equal(raw, want) {
			t.Errorf("%s: %s, want %s", c.name, raw, want)
		}
	}
	for hand, want := range map[bool]string{true: oracle.Person, false: "program"} {
		if e := events(changes(foreign, before, map[string]bool{"web-1/": hand}))[0]; e.By != want {
			t.Errorf("removed by hand %v: by %q, want %q", hand, e.By, want)
		}
	}
}
