package property_test

import (
	"slices"
	"time"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// retention is how long the server keeps what has ended, in worlds where it forgets.
const retention = 4 * time.Hour

// forget takes a workflow from the server: it was deleted, or the database is an older copy. Describing it says not found, no list has it,
// and nobody can ask for its State: what it left on its host and in Consul is all there is.
func (w *world) forget(r *run) {
	w.logf("the server forgets %s", r.id)
	w.seen["forgotten: "+r.kind]++
	w.forgot, r.forgotten = true, true
	if b := w.at[r.host]; r.kind == workflows.MemberType && b != nil && b.h.ours == r.instance {
		w.gone[r.instance+" "+r.host] = true
	}
	if r.kind == workflows.MemberType && !r.returns {
		c := w.cluster(r.instance, r.cluster)
		c.last[r.host], c.unforgiven[r.host] = rollout.Lost, true
	}
	w.kill(r, false)
}

// expire has the server forget what ended long ago.
func (w *world) expire() {
	for _, id := range w.ids() {
		for _, r := range w.runs[id] {
			if r.status == "" || r.status == "ContinuedAsNew" || r.forgotten || w.now().Sub(r.ended) < retention {
				continue
			}
			w.logf("the retention of %s is over", r.id)
			w.seen["retention over"]++
			r.forgotten = true
		}
	}
}

// owed says that something was forgotten, and that a survey has not mended yet what it left.
func (w *world) owed() bool {
	if w.updatersOwed() {
		return true
	}
	if !w.forgot {
		return false
	}
	return len(w.claims) > 0 || slices.ContainsFunc(w.machines, func(h *machine) bool { return h.ours != "" && !h.quarantined })
}

// untaken says that somebody has to go on with a run that was ended from outside. One that a later run went on with is none, also where the
// server has forgotten that one: a list still has it.
func (w *world) untaken() bool {
	for _, o := range w.orphans() {
		all := w.runs[o.WorkflowID]
		i := slices.IndexFunc(all, func(r *run) bool { return r.runID == o.RunID })
		if !slices.ContainsFunc(all[i+1:], func(r *run) bool { return r.instance == o.Instance }) {
			return true
		}
	}
	return false
}

// forsaken says that the cluster of a member is gone, which goes on alone.
func (w *world) forsaken(r *run) bool {
	of := w.latest(workflows.ClusterID(r.instance, r.cluster))
	return of != nil && of.forgotten
}

// mayPutBack judges the start of a member that a survey puts back.
func (w *world) mayPutBack(st workflows.MemberState) {
	h := w.machine(st.Host)
	switch on := w.latest(workflows.MemberID(st.Host)); {
	case st.TakenUp: // what puts it back was itself ended from outside
	case !w.gone[st.Instance+" "+st.Host]:
		w.broken("P6: %s is put back as one that nobody remembers, and the server has not forgotten who drained it", st.Host)
	case h.ours != st.Instance:
		w.broken("P8: %s is put back for %s, and is drained by %q", st.Host, st.Instance, h.ours)
	case on.open() && !on.killed:
		w.broken("P6: %s is put back for %s while %s works on it", st.Host, st.Instance, on.instance)
	default:
		w.seen["put back by a survey"]++
	}
}
