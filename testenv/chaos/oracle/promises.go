package oracle

import (
	"fmt"
	"strings"
	"time"
)

// budget is P1: at most max_unavailable members of a cluster are out because of us.
func budget(log []Event, f Facts) (all []Violation) {
	w, over := newWorld(), map[string]bool{}
	for i, e := range log {
		w.apply(e)
		for _, c := range f.Clusters {
			var out []string
			for _, name := range c.Members {
				if w.of(name).out() {
					out = append(out, name)
				}
			}
			if len(out) > c.MaxUnavailable && !over[c.Name] {
				all = append(all, breach(log, i, e.Host, "%d members of %s are out because of us, at most %d may: %s", len(out), c.Name, c.MaxUnavailable, strings.Join(out, ", ")))
			}
			over[c.Name] = len(out) > c.MaxUnavailable
		}
	}
	return all
}

// floor is P2: no drain, patch or reboot while too few peers serve, and no patch and no reboot of a member that we did not drain. What
// is read to know it is never what a server without a leader still believes.
func floor(log []Event, f Facts) (all []Violation) {
	w := newWorld()
	for i, e := range log {
		if e.Kind == Loose {
			all = append(all, breach(log, i, "", "Consul was asked for %s in its mode %q: a server that has lost its leader answers that with what was", e.Text, e.By))
		}
		first := e.Kind == Drained && len(w.of(e.Host).ours) == 0
		w.apply(e)
		asks := first || e.Kind == Begin && e.Step == "patch" || e.Kind == RebootAsked && e.Run != ""
		if asks {
			for _, c := range f.clustersOf(e.Host) {
				in := 0
				var out []string
				for _, name := range c.Members {
					switch {
					case name == e.Host:
					case older(w.of(name).unlisted, e.Time, f.Grace):
						out = append(out, name)
					default:
						in++
					}
				}
				if in < c.MinHealthy {
					all = append(all, breach(log, i, e.Host, "%s with %d peers of %s in service, at least %d must be (out: %s)", e.Kind, in, c.Name, c.MinHealthy, strings.Join(out, ", ")))
				}
			}
		}
		if (e.Kind == Begin || e.Kind == RebootAsked) && e.Run != "" && len(w.of(e.Host).ours) == 0 {
			all = append(all, breach(log, i, e.Host, "%s of run %s while the member was not drained by us", e.Kind, e.Run))
		}
	}
	return append(all, stranded(log, f)...)
}

// stranded lists the members that were kept out for too long although their peers needed them and they could serve.
func stranded(log []Event, f Facts) (all []Violation) {
	if f.Return == 0 {
		return nil
	}
	w, needed := newWorld(), map[string]time.Time{}
	for i, e := range log {
		w.apply(e)
		for _, c := range f.Clusters {
			in := 0
			for _, name := range c.Members {
				if len(w.of(name).unlisted) == 0 {
					in++
				}
			}
			for _, name := range c.Members {
				m := w.of(name)
				could := len(m.ours) > 0 && len(m.theirs) == 0 && len(m.down) == 0 && m.working == "" && !m.asked && !m.cut && !m.quarantined
				began, waits := needed[name]
				switch {
				case !could || in >= c.MinHealthy:
					delete(needed, name)
				case !waits:
					needed[name] = e.Time
				case e.Time.Sub(began) > f.Return:
					all = append(all, breach(log, i, name, "kept out for %s although only %d peers of %s serve and it could", e.Time.Sub(began).Round(time.Millisecond), in, c.Name))
					needed[name] = e.Time
				}
			}
		}
	}
	return all
}

// canary is the member of a cluster that an instance touched first.
type canary struct {
	host     string
	versions map[string]string // what it got
	back     time.Time         // when it was in service again with them; zero: it is not
	undone   bool              // its former versions were brought back
	approved bool
	free     bool // a person said that the cluster goes on without it
}

// lead follows the canary of each cluster of each instance. see is called before the event counts.
func lead(log []Event, f Facts, see func(i int, e Event, c Cluster, k *canary, w *world)) {
	w, of := newWorld(), map[string]*canary{}
	for i, e := range log {
		for _, c := range f.Clusters {
			if e.Cluster == c.Name && e.Kind == Said {
				if k := of[e.Instance+"/"+c.Name]; k != nil {
					k.approved = k.approved || e.Text == "approve"
					k.free = k.free || e.Text == "skip"
				}
			}
		}
		for _, c := range f.clustersOf(e.Host) {
			for _, k := range of {
				// Once: what happens to it in its soak is for the checks, which it must pass at the end.
				if k.host == e.Host && e.Kind == Listed && len(k.versions) > 0 && !k.undone && len(w.of(e.Host).ours) == 0 && k.back.IsZero() {
					k.back = e.Time
				}
			}
			if e.Instance == "" {
				continue
			}
			key := e.Instance + "/" + c.Name
			k := of[key]
			if k == nil || k.free && k.host != e.Host && e.Kind == Drained {
				if e.Kind != Drained {
					continue
				}
				k = &canary{host: e.Host, versions: map[string]string{}}
				of[key] = k
			}
			see(i, e, c, k, w)
			if k.host != e.Host {
				continue
			}
			switch {
			case e.Kind == Begin && e.Step == "patch":
				for name, version := range e.Packages {
					k.versions[name] = version
				}
				k.undone = false
			case e.Kind == Begin && e.Step == "backout":
				k.undone, k.back = true, time.Time{}
			case e.Kind == Drained:
				k.back = time.Time{}
			}
		}
		w.apply(e)
	}
}

// soaked is P3: no peer is touched before the canary was back in service, healthy, for the whole soak.
func soaked(log []Event, f Facts) (all []Violation) {
	said := map[string]bool{}
	lead(log, f, func(i int, e Event, c Cluster, k *canary, w *world) {
		if e.Host == k.host || e.Kind != Drained && (e.Kind != Begin || e.Step != "patch") {
			return
		}
		why := ""
		switch m := w.of(k.host); {
		case k.undone:
			why = "its former versions were brought back"
		case len(k.versions) == 0:
			why = "it was never patched"
		case k.back.IsZero():
			why = "it is not back in service"
		case e.Time.Sub(k.back) < c.Soak:
			why = fmt.Sprintf("it was back for %s only, of %s", e.Time.Sub(k.back).Round(time.Millisecond), c.Soak)
		case older(m.down, e.Time, f.Grace):
			why = "it does not work"
		case older(m.unlisted, e.Time, f.Grace):
			why = "the servers do not list it"
		case c.Approval && !k.approved:
			why = "nobody approved it"
		}
		if key := e.Instance + "/" + e.Host; why != "" && !said[key] {
			said[key] = true
			all = append(all, breach(log, i, e.Host, "touched before the soak of %s had passed: %s", k.host, why))
		}
	})
	return all
}

// shipped is P4: a peer gets only versions that the canary got.
func shipped(log []Event, f Facts) (all []Violation) {
	lead(log, f, func(i int, e Event, c Cluster, k *canary, _ *world) {
		if e.Host == k.host || e.Kind != Begin || e.Step != "patch" {
			return
		}
		for _, name := range sortedKeys(e.Packages) {
			if got, ok := k.versions[name]; !ok || got != e.Packages[name] {
				all = append(all, breach(log, i, e.Host, "gets %s %s, which did not soak on %s", name, e.Packages[name], k.host))
			}
		}
	})
	return all
}

// back is P5: what we drained is back and healthy at the end, or in quarantine and a person told. And none is undrained before it
// is healthy, or drained before it is on record.
func back(log []Event, f Facts) (all []Violation) {
	w, drained := newWorld(), map[string]string{}
	for i, e := range log {
		m := w.of(e.Host)
		switch {
		case e.Kind == Drained && m.noted != e.Instance:
			all = append(all, breach(log, i, e.Host, "drained for %s before that was on record", e.Instance))
		case e.Kind == Undrained && m.touched && older(m.down, e.Time, f.Grace):
			all = append(all, breach(log, i, e.Host, "undrained although it did not work since %s", since(m.down).UTC().Format("15:04:05.000")))
		}
		if e.Kind == Drained || e.Kind == Noted {
			drained[e.Host] = e.Instance
		}
		w.apply(e)
	}
	last := len(log) - 1
	for _, host := range sortedKeys(drained) {
		m := w.of(host)
		switch {
		case m.quarantined && heard(log, host, drained[host]):
		case m.quarantined:
			all = append(all, breach(log, last, host, "is in quarantine and nobody was told"))
		case len(m.ours) > 0:
			all = append(all, breach(log, last, host, "is left drained"))
		case m.noted != "":
			all = append(all, breach(log, last, host, "is not drained, and the record of its drain for %s is left", m.noted))
		case len(m.theirs) > 0: // somebody else wants it out
		case m.touched && len(m.down) > 0:
			all = append(all, breach(log, last, host, "is back in service and does not work"))
		}
	}
	return all
}

// heard says that a person was told of the host.
func heard(log []Event, host, instance string) bool {
	for _, e := range log {
		if e.Kind == Told && e.Instance == instance && (e.Host == host || strings.Contains(e.Text, host)) {
			return true
		}
	}
	return false
}

// once is P6: a run's script runs once, and a step is run again only after a recorded interruption.
func once(log []Event, _ Facts) (all []Violation) {
	runs, steps, reboots, cut := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	way := map[string]string{} // of a host: the backout that it is in, which may need a reboot of its own
	for i, e := range log {
		again := func(what string, n int) {
			if n > 1+cut[e.Try] {
				all = append(all, breach(log, i, e.Host, "%s %s %d times with %d interruptions", e.Try, what, n, cut[e.Try]))
			}
		}
		switch e.Kind {
		case Interrupted:
			cut[e.Try]++
		case Ran:
			if runs[e.Run]++; runs[e.Run] > 1 {
				all = append(all, breach(log, i, e.Host, "the script of run %s ran %d times", e.Run, runs[e.Run]))
			}
			if e.Step == "backout" {
				way[e.Host] = e.Try
			}
			if e.Step == "patch" || e.Step == "backout" {
				steps[e.Try]++
				again("ran", steps[e.Try])
			}
		case RebootAsked:
			if e.Run != "" {
				reboots[e.Try+way[e.Host]]++
				again("rebooted the host", reboots[e.Try+way[e.Host]])
			}
		}
	}
	return all
}

// foreign is P8: maintenance of somebody else is removed by nobody else, and is there at the end.
func foreign(log []Event, _ Facts) (all []Violation) {
	type place struct{ host, service string }
	left := map[place]int{} // index of the event that set it
	for i, e := range log {
		at := place{e.Host, e.Service}
		switch e.Kind {
		case ForeignSet:
			left[at] = i
		case ForeignRemoved:
			if e.By != Person {
				all = append(all, breach(log, i, e.Host, "maintenance of somebody else was removed by %s: %s", e.By, e.Text))
			}
			delete(left, at)
		case Found:
			if set, ok := left[at]; ok && e.Text != log[set].Text {
				all = append(all, breach(log, i, e.Host, "the maintenance %q of somebody else has become %q", log[set].Text, e.Text))
			}
		}
	}
	return all
}

// told is P10: an instance ends, with its claims given back, or says what it waits for; what halts is told; and nothing is backed out
// without a cause that the host itself showed, or a person's word.
func told(log []Event, f Facts) (all []Violation) {
	last := len(log) - 1
	for i, e := range log {
		if e.Kind != Started {
			continue
		}
		ended, waits, heard := false, false, false
		claims := map[string]bool{}
		outcome := ""
		for _, l := range log {
			if l.Instance != e.Instance {
				continue
			}
			switch l.Kind {
			case Ended:
				ended, outcome = true, l.Outcome
			case Waits:
				waits = waits || l.Text != ""
			case Told:
				heard = true
			case Taken:
				claims[l.Cluster] = true
			case Released:
				delete(claims, l.Cluster)
			}
		}
		switch {
		case !ended && !waits:
			all = append(all, breach(log, last, "", "%s has not ended and does not say what it waits for", e.Instance))
		case ended && len(claims) > 0:
			all = append(all, breach(log, last, "", "%s has ended and its claims of %s are left", e.Instance, strings.Join(sortedKeys(claims), ", ")))
		}
		if outcome == "halted" && !heard {
			all = append(all, breach(log, i, "", "%s halted and nobody was told", e.Instance))
		}
	}
	return append(all, blind(log, f)...)
}

// blind lists the backouts that had no cause but that the host could not be reached. Causes are a transaction that failed or was cut
// short, a service that broke while nothing was done to its host or that did not come back, and a person's word.
func blind(log []Event, f Facts) (all []Violation) {
	w, cause, said := newWorld(), map[string]bool{}, map[string]bool{}
	idle := map[string]time.Time{}      // since when nothing is done to a host whose service is down
	spent := map[string]time.Duration{} // and for how long that was so before, since it is down
	for i, e := range log {
		m := w.of(e.Host)
		calm := m.working == "" && !m.asked && !m.cut
		if t, ok := idle[e.Host]; ok && spent[e.Host]+e.Time.Sub(t) > f.Grace {
			cause[e.Host] = true
		}
		switch {
		case e.Kind == Said:
			said[e.Instance] = true
		case e.Kind == End && e.Failed, e.Kind == Interrupted, e.Kind == Down && e.By == "" && calm:
			cause[e.Host] = true
		case e.Kind == Begin && e.Step == "patch":
			cause[e.Host] = false
			delete(spent, e.Host)
		case e.Kind == Begin && e.Step == "backout" && !cause[e.Host] && !said[e.Instance] && !shared(log[:i], e.Instance, cause):
			all = append(all, breach(log, i, e.Host, "backed out although nothing was found wrong with it"))
		}
		w.apply(e)
		if len(m.down) > 0 && m.working == "" && !m.asked && !m.cut {
			if _, ok := idle[e.Host]; !ok {
				idle[e.Host] = e.Time
			}
		} else if t, ok := idle[e.Host]; ok {
			spent[e.Host] += e.Time.Sub(t)
			delete(idle, e.Host)
		}
		if len(m.down) == 0 {
			delete(spent, e.Host)
		}
	}
	return all
}

// shared says that the instance patched another host that has a cause: a soak that fails brings every patched member back.
func shared(before []Event, instance string, cause map[string]bool) bool {
	for _, e := range before {
		if e.Kind == Begin && e.Step == "patch" && e.Instance == instance && cause[e.Host] {
			return true
		}
	}
	return false
}
