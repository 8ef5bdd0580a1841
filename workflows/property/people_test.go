package property_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/approval"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

const (
	horizon  = 40 * 24 * time.Hour
	patience = 36 * time.Hour // how long a deserted world is watched
)

// play sets off what happens by itself.
func (w *world) play() {
	rng := w.rng("play")
	if w.kind != cooperative {
		w.between(w.grid(rng, 4*time.Hour, 24*time.Hour), w.calmDown)
		w.between(w.grid(rng, time.Minute, time.Hour), w.somethingHappens)
	}
	if w.kind == cooperative || w.kind == troubled {
		w.between(w.grid(rng, time.Minute, time.Hour), w.peopleCome)
	}
}

func (w *world) over() bool {
	if w.why != "" {
		return true
	}
	since := w.now().Sub(epoch)
	if w.kind == deserted && since > patience {
		w.waitsForPeople()
		return true
	}
	over := !w.untaken() && !w.owed()
	for _, c := range w.campaigns {
		over = over && w.latest(workflows.CampaignID(c.instance)) != nil
	}
	for _, r := range w.openRuns() {
		over = over && r.id == workflows.SweeperID
	}
	switch {
	case over:
		w.judge()
	case since > horizon:
		w.broken("bounded progress: after %s it has not ended: %s", since, w.excuses())
		return true
	}
	return over
}

// excuses is what each that runs waits for.
func (w *world) excuses() string {
	var out []string
	for _, r := range w.openRuns() {
		var d rollout.Decision
		switch r.kind {
		case workflows.CampaignType:
			var st workflows.CampaignState
			w.state(r.id, &st)
			d = st.Next(w.now())
		case workflows.ClusterType:
			var st workflows.ClusterState
			w.state(r.id, &st)
			d = st.Next(w.now())
		case workflows.MemberType:
			var st workflows.MemberState
			w.state(r.id, &st)
			d = st.Next(w.now())
		}
		out = append(out, r.id+": "+d.Reason)
	}
	return strings.Join(out, "; ")
}

// waitsForPeople holds for a world that nobody answered: somebody was told what it waits for.
func (w *world) waitsForPeople() {
	w.seen["still waiting for a person"]++
	for _, r := range w.openRuns() {
		switch r.kind {
		case workflows.ClusterType:
			var st workflows.ClusterState
			if !w.state(r.id, &st) || st.Phase == "" {
				continue
			}
			about := st.Instance + "/" + st.Name
			if st.Phase == rollout.PhaseGate && w.told["gate "+about] == 0 || (st.Phase == rollout.PhaseHold || st.Doubted || st.Cluster.Held) && w.told["hold "+about] == 0 {
				w.broken("P10: nobody was told what %s waits for: %s", about, st.Next(w.now()).Reason)
			}
		case workflows.MemberType:
			var st workflows.MemberState
			if w.state(r.id, &st) && st.Held && w.told["hold "+st.Host] == 0 {
				w.broken("P10: nobody was told what %s holds for: %s", st.Host, st.Next(w.now()).Reason)
			}
		}
	}
}

// judge holds the promises at the end.
func (w *world) judge() {
	for _, h := range w.machines {
		known := h.quarantined && w.told["quarantine "+h.name] > 0
		if h.ours != "" && !known {
			w.broken("P5: %s is left drained by %s, and nobody was told", h.name, h.ours)
		}
		if h.half && !known {
			w.broken("P5: %s is left half way, and nobody was told", h.name)
		}
	}
	if len(w.claims) > 0 {
		w.broken("P5: all is over, and claims are left: %v", w.claims)
	}
	for _, c := range w.campaigns {
		if c.outcome == "" {
			if r := w.latest(workflows.CampaignID(c.instance)); r.status != "Terminated" {
				w.broken("%s ended %s, and told no outcome", c.instance, r.status)
			}
			continue
		}
		if w.told["done "+c.instance]+w.told["halted "+c.instance] == 0 {
			w.broken("nobody was told that %s is over", c.instance)
		}
		if w.kind == cooperative && c.outcome != rollout.CampaignDone {
			w.broken("everything went well, and %s ended %s", c.instance, c.outcome)
		}
	}
	for _, h := range w.machines {
		if w.kind == cooperative && (h.version != w.newest() && w.seed%3 != 1 || !w.inService(h)) {
			w.broken("everything went well, and %s has version %d (in service %t), want %d", h.name, h.version, w.inService(h), w.newest())
		}
	}
	w.judgeUpdaters()
	w.judgeChains()
}

// judgeChains holds the audit trail: nothing stands beside a chain but what came of attempts whose answers were lost, and a person's
// request stands on it once.
func (w *world) judgeChains() {
	last := map[string]audit.Entry{}
	requests := map[string]int{}
	for _, e := range w.inOrder {
		if e.Seq > last[e.Chain].Seq {
			last[e.Chain] = e
		}
		if e.Kind == audit.Message && e.Run != "" && !strings.HasSuffix(e.Action, " refused") {
			key := e.Chain + " " + e.Action + " " + e.Run
			if requests[key]++; requests[key] > 1 {
				w.broken("the request %s was taken %d times", key, requests[key])
			}
		}
	}
	if w.kills {
		return // a chain that was cut short is named by the one that goes on for it
	}
	for chain, e := range last {
		if _, err := audit.Verify(e.Head(), w.inOrder); err != nil {
			w.broken("P9: chain %s: %v", chain, err)
		}
	}
}

// Trouble.

func (w *world) calmDown() {
	w.calm = true
	w.logf("all is calm")
	w.blind, w.mute, w.frozen = w.now(), w.now(), w.now()
	if w.calendar != nil {
		w.calendar.dark = w.now()
	}
	for _, h := range w.machines {
		h.foreign, h.sickUntil = false, w.now()
		if h.downUntil.After(w.now()) {
			h.downUntil = w.now().Add(time.Minute)
		}
	}
}

func (w *world) somethingHappens() {
	if w.calm || w.judging {
		return
	}
	rng := w.rng("trouble")
	h := w.machines[rng.IntN(len(w.machines))]
	lasts := w.grid(rng, time.Minute, 3*time.Hour)
	if w.kills && w.inventory {
		w.expire()
		if w.rng("forgets").Float64() < 0.15 {
			w.endSomething()
		}
	}
	switch what := rng.IntN(14); {
	case what < 3:
		h.downUntil = w.now().Add(lasts)
		w.logf("%s goes down for %s", h.name, lasts)
	case what < 5:
		h.sickUntil = w.now().Add(lasts)
		w.logf("%s is sick for %s", h.name, lasts)
	case what < 7:
		if !h.foreign {
			h.foreign = true
			w.logf("somebody takes %s into maintenance for %s", h.name, lasts)
			w.between(lasts, func() { h.foreign = false })
		}
	case what < 8:
		if w.blind = w.now().Add(lasts / 3); w.calendar != nil {
			w.calendar.dark = w.blind
		}
		w.logf("the servers cannot be read for %s", lasts/3)
	case what < 9:
		w.publish(rng)
		w.logf("version %d is published (%d)", w.newest(), w.traits[w.newest()])
	case what < 10:
		w.mute = w.now().Add(lasts)
		w.logf("nobody answers to a claim for %s", lasts)
	case what < 11:
		w.frozen = w.now().Add(lasts / 2)
		w.logf("the estate is frozen for %s", lasts/2)
	case what < 12:
		w.endSomething()
	default:
		if w.kind == troubled {
			w.somebodySays()
		}
	}
	w.between(w.grid(rng, 2*time.Minute, 40*time.Minute), w.somethingHappens)
}

// endSomething cancels a run, or ends it from outside.
func (w *world) endSomething() {
	rng := w.rng("trouble")
	var open []*run
	for _, r := range w.openRuns() {
		if !r.killed && (r.kind == workflows.CampaignType || r.kind == workflows.ClusterType || r.kind == workflows.MemberType) {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return
	}
	r := open[rng.IntN(len(open))]
	switch forgets := w.rng("forgets"); {
	case w.kills && w.inventory && forgets.Float64() < 0.5:
		if i := slices.IndexFunc(open, func(r *run) bool { return r.kind == workflows.MemberType }); i >= 0 && forgets.Float64() < 0.6 {
			r = open[i] // it works for minutes, among others that last for hours
		}
		w.forget(r)
	case w.kills:
		w.kill(r, true)
	case w.kind == troubled && rng.Float64() < 0.3:
		w.logf("somebody cancels %s", r.id)
		w.seen["cancelled: "+r.kind]++
		if _, isCluster := strings.CutPrefix(r.id, "cluster/"); isCluster {
			w.delivered(r.id, "abort", nil)
		}
		r.cancel()
		w.wake(r)
	}
}

// People.

// say sends a message, and sometimes again under the same id.
func (w *world) say(id, word, extra string, taken func()) {
	w.send(id, word, rollout.Message{Actor: "jane", Reason: "because", For: extra}, taken)
}

func (w *world) send(id, word string, m rollout.Message, taken func()) {
	r := w.latest(id)
	if !r.open() || r.killed {
		return
	}
	rng := w.rng("people")
	w.seen["said "+word]++
	m.ID = fmt.Sprintf("m%d", w.seen["messages"])
	w.seen["messages"]++
	send := func(as string) {
		err := w.env.UpdateWorkflowByID(id, word, as, &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) {
				w.seen["refused "+word]++
				w.logf("%s does not take %s: %v", id, word, err)
			},
			OnComplete: func(_ any, err error) {
				if err != nil {
					w.seen["refused "+word]++
				}
				if err != nil || w.said[id+m.ID] {
					return
				}
				w.said[id+m.ID] = true
				w.seen["taken "+word]++
				w.logf("%s takes %s", id, word)
				if taken != nil {
					taken()
				}
			},
		}, m)
		if err != nil {
			w.logf("%s cannot be told %s: %v", id, word, err)
		}
	}
	send(m.ID + " first")
	if rng.Float64() < 0.3 {
		w.seen["said twice"]++
		w.between(w.grid(rng, time.Second, 2*time.Hour), func() {
			if again := w.latest(id); again.open() && !again.killed && !w.judging {
				send(m.ID + " again")
			}
		})
	}
}

// hear has a cluster hear a word, if it is there.
func (c *clusterBook) hear(word string) {
	var st workflows.ClusterState
	if !c.state(c.id(), &st) || st.Phase == "" {
		return
	}
	if word == "approve" && c.camp.soak != nil {
		earnest := c.rng("gates").Float64() < 0.7
		c.camp.vote(c.id(), approval.GateSoak(c.spec.name, st.SoakNo), st.Phase == rollout.PhaseSoak, earnest)
		return
	}
	extra := ""
	if word == "extend" {
		extra = "5h"
	}
	hold, holding := st.Phase == rollout.PhaseHold, c.holding(st)
	c.say(c.id(), word, extra, func() {
		switch word {
		case "approve":
			if !c.soaked() || c.verdict != rollout.Pass {
				c.broken("P3: %s takes an approval before its soak passed, or with verdict %q", c.name(), c.verdict)
			}
			c.approved = true
		case "reject", "backout":
			c.spokenAgainst(word)
			if holding != nil {
				c.seen["said backout to a member"]++
				holding.failed, holding.blamed = true, true
			}
		case "extend":
			delete(c.camp.agreed, approval.GateSoak(c.spec.name, st.SoakNo))
			if c.passed = false; st.SoakNo == 1 {
				// Never before that: what was heard so far counts.
				c.longer += 5 * time.Hour
				if !c.passesFrom.IsZero() {
					c.passesFrom = c.firstAt.Add(c.camp.cluster.Soak + c.longer)
				}
			}
		case "skip", "resume", "retry":
			if holding != nil && word != "resume" {
				c.seen["said "+word+" to a member"]++
				holding.given = holding.given || word == "skip"
			}
			if hold {
				c.seen[word+" of a failure"]++
				clear(c.unforgiven)
			}
		}
	})
}

// holding is the member of the cluster that its workflow knows to hold.
func (c *clusterBook) holding(st workflows.ClusterState) *memberBook {
	for _, s := range st.Cluster.Members {
		if s.Running && s.Holds != "" {
			return c.at[s.Host]
		}
	}
	return nil
}

// somebodySays sends any message to anybody.
func (w *world) somebodySays() {
	rng := w.rng("people")
	c := w.campaigns[rng.IntN(len(w.campaigns))]
	word := []string{"approve", "reject", "backout", "hold", "resume", "retry", "abort", "extend", "skip"}[rng.IntN(9)]
	if word == "abort" && rng.Float64() < 0.6 {
		word = "hold"
	}
	for _, s := range w.specs {
		var st workflows.ClusterState
		book := w.cluster(c.instance, s.name)
		if book.state(book.id(), &st) && book.holding(st) != nil && w.latest(book.id()).open() && rng.Float64() < 0.5 {
			book.hear([]string{"retry", "skip", "backout"}[rng.IntN(3)])
			return
		}
	}
	if rng.Float64() < 0.7 && word != "abort" {
		s := w.specs[rng.IntN(len(w.specs))]
		if book := w.cluster(c.instance, s.name); w.latest(book.id()).open() {
			book.hear(word)
			return
		}
	}
	switch word {
	case "hold", "resume", "abort":
		w.say(workflows.CampaignID(c.instance), word, "", nil)
	case "backout":
		w.say(workflows.CampaignID(c.instance), word, "", func() { c.undone = true })
	}
}

// peopleCome looks after what waits, when all is calm; in a cooperative world they approve what passed.
func (w *world) peopleCome() {
	if w.judging {
		return
	}
	rng := w.rng("people")
	for _, camp := range w.campaigns {
		id := workflows.CampaignID(camp.instance)
		var c workflows.CampaignState
		if w.calm && w.latest(id).open() && w.state(id, &c) && c.Paused != "" {
			w.say(id, "resume", "", nil)
		}
		if camp.start != nil && w.latest(id).open() && w.state(id, &c) {
			camp.comesToGate(id, c)
		}
		for _, s := range w.specs {
			book := w.cluster(camp.instance, s.name)
			var st workflows.ClusterState
			if r := w.latest(book.id()); !r.open() || r.killed || !w.state(book.id(), &st) {
				continue
			}
			switch {
			case st.Phase == rollout.PhaseGate && (w.trouble(rng, 0.3) || w.calm && st.Verdict != rollout.Pass):
				book.hear("reject")
			case st.Phase == rollout.PhaseGate:
				book.hear("approve")
			case !w.calm:
			case st.Paused != "" && st.Phase != rollout.PhaseHold:
				book.hear("resume")
			case st.Phase == rollout.PhaseHold && book.answers < 3:
				book.answers++
				if word := []string{"resume", "retry", "backout", "abort", "skip"}[rng.IntN(5)]; word == "abort" {
					w.say(id, word, "", nil)
				} else {
					book.hear(word)
				}
			case st.Phase == rollout.PhaseHold, st.Doubted, w.holds(camp.instance, s):
				book.hear("reject")
				w.say(id, "abort", "", nil)
				if r := w.latest(id); r != nil && !r.open() { // its campaign was ended from outside
					w.say(book.id(), "hold", "", nil) // wakes it, so that it looks for its campaign
				}
			}
		}
	}
	w.between(w.grid(rng, 10*time.Minute, time.Hour), w.peopleCome)
}

// holds says that a member of the cluster holds for a person.
func (w *world) holds(instance string, s *spec) bool {
	for _, h := range s.members {
		var st workflows.MemberState
		id := workflows.MemberID(h.name)
		if r := w.latest(id); r.open() && r.instance == instance && w.state(id, &st) && st.Held && w.now().Sub(st.WaitSince) > 3*time.Hour {
			return true
		}
	}
	return false
}
