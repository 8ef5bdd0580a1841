package chaos

import (
	"cmp"
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/testenv"
	"github.com/rollpatch/rollpatch/testenv/chaos/oracle"
)

// tracer is the program by which a real host writes down what happens on it, and installTracer puts it there.
//
//go:embed trace.sh
var tracer string

//go:embed traceinstall.sh
var installTracer string

// traceFile is where it writes.
const traceFile = "/var/log/lab-trace"

// trace is one line of what a real host wrote down, or of the lab's own log about it.
type trace struct {
	at   time.Time
	host string
	boot string
	what string
	run  string // whose doing it is; "" is nobody's of ours
	more string
}

// ofLab marks what the lab's own log says, as against the host.
const ofLab = "lab "

// traces are the lines of a host's file. One that a power cut left half written says nothing.
func traces(host, text string) (all []trace) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 || !strings.HasSuffix(line, "\n") {
			continue
		}
		seconds, nanos, _ := strings.Cut(f[0], ".")
		s, err := strconv.ParseInt(seconds, 10, 64)
		ns, nanosErr := strconv.ParseInt(nanos, 10, 64)
		if err != nil || nanosErr != nil {
			continue
		}
		all = append(all, trace{at: time.Unix(s, ns), host: host, boot: f[1], what: f[2], run: f[3], more: strings.TrimSpace(f[4])})
	}
	return all
}

// labTraces are what the lab itself says of its hosts since a moment.
func labTraces(all []testenv.Event, since time.Time) (found []trace) {
	for _, e := range all {
		if e.Host != "" && e.Time.After(since) {
			found = append(found, trace{at: e.Time, host: e.Host, boot: e.BootID, what: ofLab + e.What})
		}
	}
	return found
}

// traced is how one host stands after some of its lines.
type traced struct {
	fresh   map[string]bool // runs whose unit has started, and whose script has not acted
	live    map[string]bool // runs whose script has acted, and whose unit has not ended
	open    string          // the run whose transaction is open
	leaving bool            // told to reboot, and not gone
	dark    bool            // without power
}

// hostEvents are what the lines, in any order, say to the oracle.
func hostEvents(lines []trace) (log []oracle.Event) {
	slices.SortStableFunc(lines, func(a, b trace) int { return a.at.Compare(b.at) })
	hosts := map[string]*traced{}
	for _, l := range lines {
		h := hosts[l.host]
		if h == nil {
			h = &traced{fresh: map[string]bool{}, live: map[string]bool{}}
			hosts[l.host] = h
		}
		e := oracle.Event{Time: l.at, Host: l.host}
		if l.run != "" {
			e = ofRun(e, runUnit+l.run)
		}
		add := func(kind oracle.Kind, change func(*oracle.Event)) {
			e := e
			e.Kind = kind
			if change != nil {
				change(&e)
			}
			log = append(log, e)
		}
		switch l.what {
		case "started":
			h.fresh[l.run] = true
		case "acts":
			if h.fresh[l.run] {
				delete(h.fresh, l.run)
				h.live[l.run] = true
				add(oracle.Ran, nil)
			}
			if strings.HasPrefix(l.more, "systemctl reboot") {
				h.leaving = true
				add(oracle.RebootAsked, nil)
			}
		case "transaction":
			h.open = l.run
			add(oracle.Begin, func(e *oracle.Event) { e.Packages = packages(l.more) })
		case "acted":
			name, status, _ := strings.Cut(l.more, " ")
			if name == "apt-get" && h.open != "" && h.open == l.run {
				h.open = ""
				add(oracle.End, func(e *oracle.Event) { e.Failed = status != "0" })
			}
		case "ended":
			// What an orderly shutdown ends was not cut short by anybody: it is what the host was told to do.
			if h.live[l.run] && !h.leaving && cutShort[l.more] {
				add(oracle.Interrupted, func(e *oracle.Event) { e.Text = "unit " + l.more })
			}
			if h.open == l.run {
				h.open = ""
			}
			delete(h.fresh, l.run)
			delete(h.live, l.run)
		case ofLab + "power-cut":
			add(oracle.Cut, func(e *oracle.Event) { e.Text = "power" })
			for _, run := range sorted(h.live) {
				cut := ofRun(oracle.Event{Time: l.at, Host: l.host, Kind: oracle.Interrupted, Text: "power cut"}, runUnit+run)
				log = append(log, cut)
			}
			*h = traced{fresh: map[string]bool{}, live: map[string]bool{}, dark: true}
		case ofLab + "boot":
			if h.dark {
				add(oracle.Healed, func(e *oracle.Event) { e.Text = "power" })
			}
			add(oracle.Booted, func(e *oracle.Event) { e.Boot = l.boot })
			*h = traced{fresh: map[string]bool{}, live: map[string]bool{}}
		}
	}
	return log
}

// cutShort are the results of a unit that somebody else ended.
var cutShort = map[string]bool{"timeout": true, "signal": true, "core-dump": true, "oom-kill": true}

// packages are the versions that a transaction brings, "" for a package that goes.
func packages(text string) map[string]string {
	all := map[string]string{}
	for _, word := range strings.Fields(text) {
		name, version, _ := strings.Cut(word, "=")
		all[name] = version
	}
	return all
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
