package property_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// act is one activity that a run asked for.
type act struct {
	*world
	run     *run
	rng     *rand.Rand
	name    string
	in      any
	attempt int
	busy    *machine // that this attempt occupies
}

// fault is what goes wrong with an attempt.
type fault int

const (
	none fault = iota
	failed
	lostReply // it did its work, and the answer was lost
	noWorker  // nobody takes it until its time is over
	badInput  // asking again cannot help
)

func (a *act) fault() fault {
	_, isStep := a.in.(activities.StepInput)
	p := a.rng.Float64()
	switch {
	case a.judging, a.calm && a.kind != cooperative:
	case p < 0.03:
		return failed
	case p < 0.06:
		return lostReply
	case a.kind == cooperative || a.name == "Tell" || a.name == "Receivers":
	case p < 0.064:
		return noWorker
	case p < 0.066 && isStep:
		return badInput
	}
	return none
}

// asked is called once, when a run asks for the activity.
func (a *act) asked() {
	if in, ok := a.in.(activities.StepInput); ok {
		a.book(in).asked(a, in)
	}
}

// told is called once, with what the run hears.
func (a *act) told(out any, err error) error {
	switch in := a.in.(type) {
	case activities.StepInput:
		r, _ := out.(activities.StepResult)
		if err != nil {
			r.Verdict, r.Reason = rollout.Inconclusive, err.Error()
		}
		a.book(in).told(a, in, r.MemberResult)
	case activities.WatchInput:
		if err == nil {
			a.cluster(in.Instance, strings.TrimPrefix(in.Part, "part:")).heard(out.(activities.WatchResult).WatchResult)
		}
	}
	return err
}

// end is the end of an attempt.
func (a *act) end() {
	if a.busy != nil {
		a.busy.busy = ""
		a.busy = nil
	}
}

// dropped is what was in flight when a run was ended from outside: nobody hears of it.
func (w *world) dropped(r *run) {
	for _, h := range w.machines {
		if strings.HasPrefix(h.busy, r.runID+" ") {
			h.busy = ""
		}
	}
}

func (a *act) soon() time.Duration { return a.grid(a.rng, 100*time.Millisecond, 2*time.Second) }

// begin is an attempt: what changes something changes it now; what reads reads at the end.
func (a *act) begin() (takes time.Duration, finish func() any) {
	switch in := a.in.(type) {
	case activities.StepInput:
		return a.step(in)
	case activities.BeginInput:
		return a.soon(), func() any {
			c := a.campaign(in.Instance)
			return activities.BeginResult{Cluster: c.first(a.spec(strings.TrimPrefix(in.Part, "part:"))), Member: c.member, Segments: map[string]string{}, Limits: map[rollout.Step]time.Duration{}}
		}
	case activities.ClaimInput:
		return a.claim(in)
	case activities.EvidenceInput:
		return a.shuts(in)
	case activities.UpdatersInput:
		return a.turns(in)
	case activities.RestoreInput:
		return a.restores(in)
	case activities.WindowInput:
		return a.fit(in, strings.TrimPrefix(in.Part, "part:"))
	case activities.WatchInput:
		return a.watch(in)
	case activities.RecordInput:
		return a.soon(), func() any { a.append(in.Entries...); return nil }
	case activities.AskInput:
		return a.soon(), func() any { return a.whatBecameOf(in) }
	case activities.TellInput:
		if a.name == "Receivers" {
			return a.soon(), func() any { return []string{"pager"} }
		}
		return a.soon(), func() any { a.tell(in.Notice); return nil }
	case activities.StandingInput:
		return a.standing(in)
	case activities.VerifyInput:
		return a.verify(in)
	case activities.LastRunInput:
		return a.soon(), func() any { return a.lastRun(in) }
	}
	switch a.name {
	case "Orphans":
		return a.soon(), func() any { return a.orphans() }
	case "Ways", "Survey", "AskAll", "Homes", "Drop":
		return a.survey()
	}
	a.broken("the world knows no activity %s(%T): teach it in acts_test.go", a.name, a.in)
	return time.Second, func() any { return nil }
}

func (w *world) tell(n activities.Notice) {
	about := n.Instance
	if n.Cluster != "" {
		about += "/" + n.Cluster
	}
	if n.Host != "" {
		about = n.Host
	}
	w.told[n.Event+" "+about]++
	if strings.HasPrefix(n.Text, "automatic updates are not back") {
		w.told["updaters "+about]++
	}
	w.seen["told "+n.Event]++
	w.logf("%s is told of %s: %s", about, n.Event, n.Text)
}

// outcome puts intent and outcome on the chain.
func (w *world) outcome(intent audit.Entry, result string) audit.Head {
	e, head := intent.Head().Next(audit.Entry{Kind: audit.Outcome, Time: w.now(), Actor: "worker", Action: intent.Action, Host: intent.Host, Run: intent.Run, Result: result})
	w.append(e)
	return head
}

func (a *act) claim(in activities.ClaimInput) (time.Duration, func() any) {
	a.append(in.Intent)
	if c := a.cluster(in.Instance, strings.TrimPrefix(in.Part, "part:")); a.name == "Release" {
		c.mayRelease()
	}
	return a.grid(a.rng, time.Second, 20*time.Second), func() any {
		s := a.spec(strings.TrimPrefix(in.Part, "part:"))
		names, taken := append([]string{s.name}, s.shares...), ""
		for _, name := range names {
			if owner := a.claims[name]; owner != "" && owner != in.Instance {
				taken = name + " is claimed by " + owner
			}
		}
		lost := a.now().Before(a.mute) || a.trouble(a.rng, 0.15)
		release := a.name == "Release"
		switch {
		case lost && a.rng.Float64() < 0.5: // it was not even heard
		case release:
			for _, name := range names {
				if a.claims[name] == in.Instance {
					delete(a.claims, name)
				}
			}
		case taken == "":
			for _, name := range names {
				a.claims[name] = in.Instance
			}
		default:
			a.seen["claim waited"]++
		}
		r := rollout.ClaimResult{OK: release || taken == "", Held: !release && taken != "", Reason: taken}
		if lost {
			r = rollout.ClaimResult{Reason: "unreachable"}
			a.seen["unknown claim"]++
		}
		a.logf("%s of %s: %+v", a.name, s.name, r)
		return activities.ClaimResult{ClaimResult: r, Audit: a.outcome(in.Intent, fmt.Sprint(r.OK))}
	}
}

// shuts puts a version that failed on record.
func (a *act) shuts(in activities.EvidenceInput) (time.Duration, func() any) {
	a.append(in.Intent)
	c := a.cluster(in.Instance, strings.TrimPrefix(in.Part, "part:"))
	var from, version int
	if _, err := fmt.Sscanf(in.Evidence.Changes, "%d>%d", &from, &version); err != nil {
		a.broken("%s puts %q into quarantine", c.name(), in.Evidence.Changes)
	}
	if !c.blames(version) {
		a.broken("P10: %s puts version %d into quarantine, and nothing speaks against it: %s", c.name(), version, in.Evidence.Why)
	}
	return a.soon(), func() any {
		r := rollout.ClaimResult{OK: true, Reason: "version " + strconv.Itoa(version)}
		lost := a.now().Before(a.mute) || a.trouble(a.rng, 0.15)
		if !lost || a.rng.Float64() < 0.5 { // else it was not even heard
			if a.shut[c.spec.name] == nil {
				a.shut[c.spec.name] = map[int]string{}
			}
			a.shut[c.spec.name][version] = in.Instance
			a.seen["versions quarantined"]++
		}
		if lost {
			r = rollout.ClaimResult{Reason: "unreachable"}
			a.seen["unknown record of versions"]++
		}
		a.logf("%s puts version %d into quarantine: %+v", c.name(), version, r)
		return activities.ClaimResult{ClaimResult: r, Audit: a.outcome(in.Intent, fmt.Sprint(r.OK))}
	}
}

// watch samples the checks of patched members, some times or for an hour.
func (a *act) watch(in activities.WatchInput) (time.Duration, func() any) {
	a.append(in.Intent)
	takes := a.grid(a.rng, 50*time.Minute, time.Hour)
	if in.Verdict != rollout.Pass || in.Passes < 3 {
		takes = a.grid(a.rng, 10*time.Second, 10*time.Minute)
	}
	if a.trouble(a.rng, 0.1) {
		takes = a.grid(a.rng, 10*time.Minute, time.Hour)
	}
	return takes, func() any {
		r := rollout.WatchResult{Verdict: rollout.Pass, Passes: in.Passes + 1, Samples: 1}
		for _, name := range in.Patched {
			h := a.machine(name)
			if a.healthy(h, true) {
				continue
			}
			r.Verdict, r.Passes, r.Reason = rollout.Fail, 0, h.name+" fails its checks"
			for _, peer := range in.Peers {
				if !a.healthy(a.machine(peer), true) {
					r.Verdict = rollout.Inconclusive
				}
			}
			if !a.up(h) {
				r.Verdict = rollout.Inconclusive
			}
			break
		}
		if a.trouble(a.rng, 0.05) {
			r.Verdict, r.Passes, r.Reason = rollout.Inconclusive, 0, "unreachable"
		}
		a.logf("the watch of %v says %+v", in.Patched, r)
		return activities.WatchResult{WatchResult: r, Audit: a.outcome(in.Intent, string(r.Verdict))}
	}
}

// whatBecameOf is what the server says of a workflow.
func (w *world) whatBecameOf(in activities.AskInput) activities.AskResult {
	w.seen["asked what became of a child"]++
	r := w.latest(in.WorkflowID)
	for _, one := range w.runs[in.WorkflowID] {
		if one.runID == in.RunID && one.status != "ContinuedAsNew" {
			r = one
		}
	}
	switch {
	case r == nil || r.forgotten:
		return activities.AskResult{Status: activities.NotFound}
	case r.open() || r.status == "ContinuedAsNew":
		return activities.AskResult{Running: true, Status: "Running", Instance: r.instance}
	}
	return activities.AskResult{Status: r.status, Result: r.result, Instance: r.instance, EndedFromOutside: r.status == "Terminated"}
}

// orphans are the runs that were ended from outside, and that nobody went on with.
func (w *world) orphans() []activities.Orphan {
	var out []activities.Orphan
	for _, id := range w.ids() {
		last := map[string]*run{}
		for _, r := range w.runs[id] {
			if !r.forgotten {
				last[r.instance] = r
			}
		}
		for _, c := range w.campaigns {
			if r := last[c.instance]; r != nil && r.status == "Terminated" && (r.kind == workflows.ClusterType || r.kind == workflows.MemberType) {
				out = append(out, activities.Orphan{WorkflowID: id, RunID: r.runID, Type: r.kind, Instance: r.instance, Status: "terminated"})
			}
		}
	}
	return out
}

func (w *world) lastRun(in activities.LastRunInput) activities.LastRun {
	var last *run
	for _, r := range w.runs[in.WorkflowID] {
		if !r.forgotten && r.instance == in.Instance && (in.RunID == "" || r.runID == in.RunID) {
			last = r
		}
	}
	switch {
	case last == nil:
		return activities.LastRun{}
	case in.RunID == "":
		return activities.LastRun{RunID: last.runID}
	case last.open():
		last.state = w.ask(last)
	}
	state, err := json.Marshal(last.state)
	if err != nil {
		w.broken("state of %s: %v", last.id, err)
	}
	return activities.LastRun{RunID: last.runID, State: state}
}

// step is an attempt of a member's step.
func (a *act) step(in activities.StepInput) (takes time.Duration, finish func() any) {
	a.append(in.Intent)
	b, h := a.book(in), a.machine(in.Host)
	var (
		r  activities.StepResult
		do func() rollout.MemberResult
	)
	switch a.name {
	case "Inspect":
		takes, do = 5*time.Second, func() rollout.MemberResult {
			r.Boot, r.Seq = "boot-"+strconv.Itoa(h.boots), h.seq
			return b.inspect()
		}
	case "Fetch":
		takes, do = 30*time.Second, func() rollout.MemberResult {
			res := b.fetch(in)
			if res.Verdict == rollout.Pass && !res.Nothing {
				r.Changes = fmt.Sprintf("%d>%d", h.version, b.to)
				if in.Manifest == "" {
					r.Manifest = strconv.Itoa(b.to)
				}
			}
			return res
		}
	case "Gate":
		takes, do = time.Second, func() rollout.MemberResult { return b.gate(a, in) }
	case "Check":
		takes, do = 20*time.Second, func() rollout.MemberResult { return b.verdict(false) }
	case "Quarantine":
		takes, do = 5*time.Second, func() rollout.MemberResult { return b.quarantine(a) }
	case "Drain":
		a.occupy(h, in)
		res := b.drain(a, in)
		takes, do = a.grid(a.rng, time.Second, 2*time.Minute), func() rollout.MemberResult {
			if h.ours != "" && !res.Foreign && !a.isBlind() && !mayBeOut(a.peers(h)) {
				a.seen["peers fell in its drain"]++
				return rollout.MemberResult{Verdict: rollout.Inconclusive, AskAgain: true, Reason: "peers fell meanwhile"}
			}
			return res
		}
	case "Undrain":
		a.occupy(h, in)
		res := b.undrain(a, in)
		takes, do = a.grid(a.rng, time.Second, time.Minute), func() rollout.MemberResult {
			if res.Verdict == rollout.Pass {
				if res = b.verdict(true); res.Verdict == rollout.Inconclusive {
					res.Verdict = rollout.Fail // listed as passing is part of it
				}
			}
			return res
		}
	case "Power":
		a.occupy(h, in)
		res := b.power(a)
		takes, do = 5*time.Second, func() rollout.MemberResult { return res }
	case "Patch", "Reboot", "Backout":
		a.occupy(h, in)
		var s *script
		begins := h.scripts[in.Run] == nil
		takes, s, do = b.runs(a, in)
		if s != nil {
			do = func() rollout.MemberResult {
				if away := !a.up(h); away || a.trouble(a.rng, 0.04) { // it goes on without us
					res := unknown
					if away && a.name == "Reboot" {
						res.Late, res.Begun, res.Power = true, begins, !a.trouble(a.rng, 0.2)
					}
					return res
				}
				r.Spent = s.spent
				if a.name == "Reboot" && s.result.Verdict == rollout.Pass {
					r.Boot = "boot-" + strconv.Itoa(h.boots)
				}
				return s.result
			}
		}
	default:
		a.broken("the world knows no step %s: teach it in acts_test.go", a.name)
		do = func() rollout.MemberResult { return unknown }
	}
	reads := a.name == "Inspect" || a.name == "Fetch" || a.name == "Check"
	return takes, func() any {
		if r.MemberResult = unknown; !reads || !a.trouble(a.rng, 0.04) {
			r.MemberResult = do()
		}
		if a.name == "Patch" || a.name == "Reboot" || a.name == "Backout" {
			r.Spent = r.Spent || r.AskAgain
		}
		r.Audit = a.outcome(in.Intent, string(r.Verdict))
		return r
	}
}

// occupy holds that there is one hand on a host.
func (a *act) occupy(h *machine, in activities.StepInput) {
	if h.busy != "" {
		a.broken("P6: %s of %s for %s begins while %s is in flight", a.name, h.name, in.Instance, h.busy)
	}
	for id, s := range h.scripts {
		if a.now().Before(s.until) && id != in.Run {
			a.broken("P6: %s of %s begins while the run %s goes on", a.name, h.name, id)
		}
	}
	h.busy, a.busy = a.run.runID+" "+a.name, h
}

var unknown = rollout.MemberResult{Verdict: rollout.Inconclusive, Reason: "unreachable"}
