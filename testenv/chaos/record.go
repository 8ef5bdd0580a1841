package chaos

import (
	"encoding/json"
	"strings"

	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
	"github.com/rollpatch/rollpatch/testenv/sim"
)

// seen is the event of a record that the runner added by itself: what it did, and what people were told.
const seen = "oracle"

// note adds to the fleet's record what happened beside it.
func note(f *sim.Fleet, e oracle.Event) {
	raw, err := json.Marshal(e)
	if err != nil {
		panic("an event that is no JSON: " + err.Error()) // strings and times only
	}
	f.Record(sim.Call{Host: e.Host, Event: seen, Text: string(e.Kind), Value: string(raw)})
}

// claims is where rollpatch keeps its records.
const claims = "rollpatch/claims/"

// events are what the fleet's record says to the oracle. The record is the fleet's own: what rollpatch says of itself is not in it,
// but for the notices that reached somebody.
func events(calls []sim.Call) (log []oracle.Event) {
	dark := map[string]bool{} // hosts without power
	for _, c := range calls {
		e := oracle.Event{Time: c.Time, Host: c.Host, Text: c.Text}
		switch c.Event {
		case "service maintenance on", "service maintenance off", "node maintenance on", "node maintenance off":
			e = maintenance(c)
		case "kv set", "kv delete":
			if e = record(c); e.Kind == "" {
				continue
			}
		case "listed", "unlisted":
			e.Kind, e.Service, e.Text = oracle.Kind(c.Event), c.Text, ""
		case "service passing":
			e.Kind, e.Service, e.Text = oracle.Up, c.Text, ""
		case "service critical":
			e.Kind, e.Service, e.Text, e.By = oracle.Down, c.Text, "", c.By
		case "page wrong", "page right":
			e.Kind, e.Service = map[bool]oracle.Kind{true: oracle.Down, false: oracle.Up}[c.Event == "page wrong"], "page"
		case "unit acts":
			e = ofRun(e, c.Unit)
			e.Kind, e.Text = oracle.Ran, ""
		case "unit signal", "unit timeout":
			// What an orderly shutdown ends was not cut short by anybody: it is what the host was told to do.
			if c.By == "down" || c.Unit == "" {
				continue
			}
			e = ofRun(e, c.Unit)
			e.Kind, e.Text = oracle.Interrupted, c.Event
		case "transaction", "transaction ended":
			e = ofRun(e, c.Unit)
			e.Kind, e.Packages, e.Text = oracle.Begin, c.Packages, ""
			if c.Exit != nil {
				e.Kind, e.Packages, e.Failed = oracle.End, nil, *c.Exit != 0
			}
		case "reboot asked":
			e = ofRun(e, c.Unit)
			e.Kind = oracle.RebootAsked
		case "read leader", "read stale":
			e.Kind, e.By = oracle.Loose, strings.TrimPrefix(c.Event, "read ")
		case "power cut":
			dark[c.Host] = true
			e.Kind, e.Text = oracle.Cut, "power"
		case "network cut":
			e.Kind, e.Text = oracle.Cut, "network"
		case "network healed":
			e.Kind = oracle.Healed
		case "boot":
			if dark[c.Host] {
				dark[c.Host] = false
				log = append(log, oracle.Event{Time: c.Time, Host: c.Host, Kind: oracle.Healed, Text: "power"})
			}
			e.Kind, e.Boot = oracle.Booted, c.Boot
		case seen:
			var own oracle.Event
			if err := json.Unmarshal([]byte(c.Value), &own); err != nil {
				panic("an event that is no event: " + err.Error()) // note wrote it
			}
			own.Time = c.Time
			e = own
		default:
			continue
		}
		log = append(log, e)
	}
	return log
}

// maintenance is ours when its reason names us.
func maintenance(c sim.Call) oracle.Event {
	e := oracle.Event{Time: c.Time, Host: c.Host, Service: c.Value, Text: c.Text, By: c.By}
	on := strings.HasSuffix(c.Event, " on")
	who, rest, _ := strings.Cut(c.Text, " ")
	if who == "rollpatch" && c.Value != "" {
		e.Instance, _, _ = strings.Cut(rest, " ")
		e.Text = ""
		e.Kind = map[bool]oracle.Kind{true: oracle.Drained, false: oracle.Undrained}[on]
		return e
	}
	e.Kind = map[bool]oracle.Kind{true: oracle.ForeignSet, false: oracle.ForeignRemoved}[on]
	return e
}

// owner is whose a record is; one that cannot be read has none, which the oracle then finds.
func owner(value string) string {
	var claim struct{ Owner string }
	_ = json.Unmarshal([]byte(value), &claim)
	return claim.Owner
}

// record is one of our records in KV. Nothing, if it is none that the oracle asks for.
func record(c sim.Call) oracle.Event {
	key, ours := strings.CutPrefix(c.Text, claims)
	kind, name, found := strings.Cut(key, "/")
	if !ours || !found {
		return oracle.Event{}
	}
	e := oracle.Event{Time: c.Time, Instance: owner(c.Value)}
	set := c.Event == "kv set"
	switch kind {
	case "cluster":
		e.Cluster, e.Kind = name, map[bool]oracle.Kind{true: oracle.Taken, false: oracle.Released}[set]
	case "drain":
		e.Host, e.Kind = name, map[bool]oracle.Kind{true: oracle.Noted, false: oracle.Forgotten}[set]
	case "quarantine":
		if set {
			var member struct{ Reason string }
			_ = json.Unmarshal([]byte(c.Value), &member)
			e.Host, e.Kind, e.Text = name, oracle.Quarantined, member.Reason
		}
	}
	return e
}

// runUnit is how the unit of a run is described on its host.
const runUnit = "rollpatch run "

// ofRun fills in whose run a unit carries out: its id is <instance>.<host>.<step>.<try>-<no>.
func ofRun(e oracle.Event, unit string) oracle.Event {
	id, ours := strings.CutPrefix(unit, runUnit)
	if !ours {
		return e
	}
	e.Run = id
	e.Try, _, _ = cutLast(id, "-")
	rest, _, _ := cutLast(id, ".")
	rest, e.Step, _ = cutLast(rest, ".")
	e.Instance, _, _ = cutLast(rest, ".")
	return e
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
