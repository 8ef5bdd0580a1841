// Package report says what became of an instance, for those who ask later: plan against what happened, who agreed, what was held, and what is left
// to do. It is a pure function of States, bodies and the audit trail; it must not know how they are asked for, nor how a page looks.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollpatch/rollpatch/cmd/internal/status"
	"github.com/rollpatch/rollpatch/workflows"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/plan"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// Input is what is known of an instance. What is not there is left out of the report, which says so.
type Input struct {
	Now      time.Time
	Status   status.Status
	Campaign workflows.CampaignState
	Clusters map[string]workflows.ClusterState // those that have begun
	Parts    map[string]plan.Part
	Trail    []audit.Entry // of any instance
	NoTrail  string        // why the audit trail was not read; empty: it was
}

// Report is an instance as it is read later.
type Report struct {
	Instance  string            `json:"instance"`
	Campaign  string            `json:"campaign"`
	State     string            `json:"state"`
	Running   bool              `json:"running"` // it goes on: this is how it stands
	Made      time.Time         `json:"made"`
	Reason    string            `json:"reason,omitempty"`
	Why       string            `json:"why"`
	Ticket    string            `json:"ticket,omitempty"`
	Change    string            `json:"change,omitempty"`    // its number
	Closed    string            `json:"closed,omitempty"`    // what became of that change
	Emergency string            `json:"emergency,omitempty"` // the packages that it was to bring; empty: it was none
	Requester string            `json:"requester"`
	Key       string            `json:"key,omitempty"`      // that signed the request to run
	Schedule  *Schedule         `json:"schedule,omitempty"` // that made it; nil: a person ran it
	Plan      string            `json:"plan"`
	Started   time.Time         `json:"started"`
	Ended     time.Time         `json:"ended,omitzero"`
	Clusters  []Cluster         `json:"clusters"`
	Hosts     []Host            `json:"hosts"`
	Approvals []Approval        `json:"approvals"`
	Holds     []Hold            `json:"holds"`
	Words     []Word            `json:"words"`
	Overrides []status.Override `json:"overrides"`
	Used      map[string]int    `json:"overrides_by_rule"`
	Debts     []Debt            `json:"debts"`
	Leftovers []Leftover        `json:"leftovers"`
	Notes     []string          `json:"notes,omitempty"` // what could not be had

	Advisories []rollout.Advisory `json:"advisories,omitempty"` // by which an emergency was to bring some of its packages
}

// Schedule is what made the instance, and when it was to begin.
type Schedule struct {
	Name  string    `json:"name"`
	Due   time.Time `json:"due,omitzero"`   // its window opened, or opens; zero: a person had it fire, and it began as one that a person runs
	Begun time.Time `json:"begun,omitzero"` // and everybody had agreed
	Past  int       `json:"past,omitempty"` // windows that passed without that
}

// Cluster is one cluster.
type Cluster struct {
	Stage  string `json:"stage"`
	Name   string `json:"name"`
	Owner  string `json:"owner,omitempty"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Done   int    `json:"done"`
	Total  int    `json:"total"`
	Soaks  int    `json:"soaks"`
}

// Host is one member, what was planned for it, and what it has.
type Host struct {
	Cluster    string    `json:"cluster"`
	Host       string    `json:"host"`
	State      string    `json:"state"`
	Canary     bool      `json:"canary,omitempty"`
	Rebooted   bool      `json:"rebooted"`
	OutSeconds float64   `json:"out_seconds"`
	Reason     string    `json:"reason,omitempty"`
	Packages   []Package `json:"packages,omitempty"`
	Took       []Took    `json:"took,omitempty"`
	// Differs is how it looks, against before its patch, as a diff.
	Differs []string `json:"differs,omitempty"`
}

// Took is how long its patch, or its way back, took by step, without what it waited for.
type Took struct {
	Backout bool   `json:"backout,omitempty"`
	Steps   []Step `json:"steps"`
	Apart   string `json:"apart,omitempty"` // why no later estimate is made with it
}

// Step is how long a step took.
type Step struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// Seconds is all of it.
func (t Took) Seconds() (all float64) {
	for _, s := range t.Steps {
		all += s.Seconds
	}
	return all
}

// Package is one package of a host. New is what it has now; planned what was approved for its platform.
type Package struct {
	Name    string `json:"name"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Planned string `json:"planned,omitempty"`
	Note    string `json:"note,omitempty"` // where the two differ
}

// Approval is a word that counted at a gate.
type Approval struct {
	Gate    string    `json:"gate"`
	Actor   string    `json:"actor"`
	Claimed bool      `json:"claimed"`
	Key     string    `json:"key,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
	// Standing is the standing approval that it comes from; empty: he said it of this plan.
	Standing string `json:"standing,omitempty"`
}

// Hold is one hold.
type Hold struct {
	Where string    `json:"where"` // a cluster, or the campaign
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	By    string    `json:"by,omitempty"`
}

// Word is what a person said, taken or refused, as the audit trail has it.
type Word struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Word   string    `json:"word"`
	Where  string    `json:"where"`
	Reason string    `json:"reason,omitempty"`
	Result string    `json:"result,omitempty"`
}

// Debt is what an instance leaves behind.
type Debt struct {
	Cluster string `json:"cluster"`
	Host    string `json:"host,omitempty"`
	What    string `json:"what"`
	Next    string `json:"next,omitempty"` // the command to type
}

// Leftover is a host that was not brought to what was planned. Out: it stands in quarantine, and no follow-up touches it before that is ended.
type Leftover struct {
	Cluster string `json:"cluster"`
	Host    string `json:"host,omitempty"` // empty: members that are not known
	Why     string `json:"why"`
	Out     bool   `json:"out,omitempty"`
}

// Build works the report out.
func Build(in Input) Report {
	s, c := in.Status, in.Campaign
	r := Report{
		Instance: s.Instance, Campaign: s.Campaign, State: s.State, Running: !s.Over(), Made: in.Now.UTC(), Reason: s.Reason, Why: s.Why, Ticket: s.Ticket, Change: s.Change,
		Requester: s.Requester, Plan: s.Plan, Started: s.Started, Ended: s.Ended, Leftovers: Leftovers(s),
		Emergency: c.Emergency, Advisories: c.Advisories,
	}
	if c.Asker.Signed() {
		r.Requester, r.Key = c.Asker.Name(), c.Asker.Key
	}
	if m := c.Made; m != nil {
		r.Schedule = &Schedule{Name: m.Schedule}
		if t := c.Turn; t != nil {
			r.Schedule.Due, r.Schedule.Begun, r.Schedule.Past = t.Begin, t.Begun, t.Past
		}
	}
	if h := c.Change; h != nil {
		r.Closed = closed(*h)
	}
	r.approvals("", c.Approvals)
	r.holds("campaign", c.Holds)
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			r.cluster(in, st.Name, cl)
		}
	}
	for _, l := range r.Leftovers {
		if !l.Out && !r.Running {
			r.Debts = append(r.Debts, Debt{Cluster: l.Cluster, Host: l.Host, What: "not done: " + l.Why, Next: r.FollowUp()})
		}
	}
	if in.NoTrail != "" {
		r.Notes = append(r.Notes, "the audit trail was not read, and what people said is missing: "+in.NoTrail)
	}
	r.words(in.Trail)
	r.overrides(in)
	byTime := func(a, b Hold) int { return a.Since.Compare(b.Since) }
	slices.SortStableFunc(r.Holds, byTime)
	slices.SortStableFunc(r.Approvals, func(a, b Approval) int { return a.At.Compare(b.At) })
	return r
}

// FollowUp is the command that does what is left to do. That of an emergency is one, too, for the same packages and advisories.
func (r Report) FollowUp() string {
	urgent := ""
	if r.Emergency != "" {
		urgent = " --emergency"
		for _, a := range r.Advisories {
			urgent += " --advisory " + a.ID
		}
		for _, name := range strings.Split(r.Emergency, ", ") {
			if slices.ContainsFunc(r.Advisories, func(a rollout.Advisory) bool { return a.ID == name || slices.Contains(a.Packages, name) }) {
				continue
			}
			if strings.ContainsAny(name, "*?[") {
				name = "'" + name + "'"
			}
			urgent += " --package " + name
		}
	}
	return "rollpatch run" + urgent + " --only leftovers --of " + r.Instance + " CAMPAIGN.yaml"
}

func closed(h rollout.Change) string {
	switch {
	case h.Refused != "":
		return "refused: " + h.Refused
	case h.Untold != "":
		return "to be closed by hand: " + h.Untold
	case !h.Told.IsZero():
		return "closed at " + h.Told.UTC().Format(time.RFC3339)
	case h.Number == "" && h.Unknown == "":
		return "asked for"
	}
	return "open"
}

func (r *Report) approvals(cluster string, all []rollout.Approval) {
	for _, a := range all {
		gate := a.Gate
		if gate == "" {
			gate = rollout.SoakGate(cluster, a.Soak)
		}
		r.Approvals = append(r.Approvals, Approval{Gate: gate, Actor: a.Actor, Claimed: a.Claimed, Key: a.Key, Reason: a.Reason, At: a.At, Standing: a.Standing})
	}
}

func (r *Report) holds(where string, all []rollout.HeldFor) {
	for _, h := range all {
		r.Holds = append(r.Holds, Hold{Where: where, Why: h.Why, Since: h.Since, Until: h.Until, By: h.By})
	}
}

func (r *Report) cluster(in Input, stage string, cl status.Cluster) {
	part, known := in.Parts[cl.Name]
	if !known {
		r.Notes = append(r.Notes, "cluster "+cl.Name+": its part of the plan is not in the store: neither owner nor planned versions are known")
	}
	st, begun := in.Clusters[cl.Name]
	r.Clusters = append(r.Clusters, Cluster{Stage: stage, Name: cl.Name, Owner: cl.Owner, State: cl.State, Reason: cl.Reason, Done: cl.Done, Total: cl.Total, Soaks: st.SoakNo})
	for _, m := range cl.Members {
		r.host(cl, m, part, st.Members)
	}
	if !begun {
		return
	}
	r.approvals(cl.Name, st.Approvals)
	r.holds(cl.Name, st.Holds)
	if st.Outcome != "" {
		r.debts(cl, st)
	}
}

// debts are what a cluster that has ended leaves behind, beside members that are not done.
func (r *Report) debts(cl status.Cluster, st workflows.ClusterState) {
	patched := 0
	for _, m := range cl.Members {
		if m.Outcome == string(rollout.Patched) {
			patched++
		}
	}
	if st.SoakNo > 0 && st.Outcome != rollout.ClusterDone && patched > 0 && st.Verdict != rollout.Fail {
		r.Debts = append(r.Debts, Debt{Cluster: cl.Name, What: fmt.Sprintf("soak %d was cut: %d of %d members stay patched", st.SoakNo, patched, len(cl.Members))})
	}
	if len(st.Shut) > 0 {
		r.Debts = append(r.Debts, Debt{Cluster: cl.Name, What: "versions are in quarantine", Next: "rollpatch quarantine list"})
	}
	if st.LeftOut != "" {
		r.Debts = append(r.Debts, Debt{Cluster: cl.Name, What: st.LeftOut, Next: "rollpatch quarantine list"})
	}
	for _, m := range cl.Members {
		if m.Outcome == string(rollout.Quarantined) {
			r.Debts = append(r.Debts, Debt{Cluster: cl.Name, Host: m.Host, What: "in quarantine: " + m.Reason, Next: "rollpatch quarantine release " + m.Host + ` --return --reason "..."`})
		}
	}
}

// host puts what it got beside what was planned for it.
func (r *Report) host(cl status.Cluster, m status.Member, part plan.Part, slots []rollout.Slot) {
	h := Host{Cluster: cl.Name, Host: m.Host, State: m.State, Canary: m.Canary, Rebooted: m.Rebooted, OutSeconds: m.OutSeconds, Reason: m.Reason, Differs: m.Differs}
	want := planned(part)
	arrived := m.Outcome == string(rollout.Patched)
	for _, p := range m.Packages {
		k := Package{Name: p.Name, Old: p.Old, New: p.New, Planned: strings.Join(want[p.Name], " or ")}
		switch {
		case m.Outcome == string(rollout.BackedOut), m.Outcome == string(rollout.Returned): // proven to have its former versions
			k.New, k.Note = p.Old, "not changed, or brought back"
		case !arrived:
			k.New, k.Note = "", "not known: the host is "+strings.ReplaceAll(m.State, "-", " ")
		case part.Planned == nil:
		case k.Planned == "":
			k.Note = "not in the plan"
		case !slices.Contains(want[p.Name], p.New):
			k.Note = "another version than planned"
		}
		delete(want, p.Name)
		h.Packages = append(h.Packages, k)
	}
	for name, versions := range want {
		note := "left out: it was not pending there, or is the plan of another platform"
		switch {
		case arrived:
		case m.Outcome == "" && (m.State == status.Waiting || m.State == status.OnItsWay):
			note = "to come: the host is " + strings.ReplaceAll(m.State, "-", " ")
		default:
			note = "left out: the host is " + strings.ReplaceAll(m.State, "-", " ")
		}
		h.Packages = append(h.Packages, Package{Name: name, Planned: strings.Join(versions, " or "), Note: note})
	}
	slices.SortFunc(h.Packages, func(a, b Package) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range slots {
		if s.Host == m.Host {
			h.Took = took(s)
		}
	}
	r.Hosts = append(r.Hosts, h)
}

// took is how long its patch and its way back took, as far as they came to it.
func took(s rollout.Slot) (all []Took) {
	for i, t := range []rollout.Took{s.Took, s.TookBack} {
		one := Took{Backout: i == 1, Apart: t.Apart}
		for _, step := range t.Steps() {
			one.Steps = append(one.Steps, Step{string(step.Step), float64(step.Milli) / 1000})
		}
		if len(one.Steps) > 0 {
			all = append(all, one)
		}
	}
	return all
}

// planned are the versions that were planned for a cluster, by package: one, or one of each platform.
func planned(part plan.Part) map[string][]string {
	want := map[string][]string{}
	if part.Planned == nil {
		return want
	}
	for _, on := range part.Planned.Platforms {
		for _, v := range on.Packages {
			version := cmp.Or(v.Version, "removed")
			if !slices.Contains(want[v.Name], version) {
				want[v.Name] = append(want[v.Name], version)
			}
		}
	}
	return want
}

// words are what people said to the instance.
func (r *Report) words(trail []audit.Entry) {
	seen := map[string]bool{}
	for _, e := range trail {
		where, ours := r.of(e.Chain)
		if e.Kind != audit.Message || !ours || seen[e.Digest] {
			continue
		}
		seen[e.Digest] = true
		r.Words = append(r.Words, Word{At: e.Time, Actor: e.Actor, Word: e.Action, Where: strings.TrimSpace(where + " " + e.Host), Reason: e.Detail, Result: e.Result})
	}
	slices.SortStableFunc(r.Words, func(a, b Word) int { return a.At.Compare(b.At) })
}

// of says where a chain of the instance belongs. A cluster that was taken up goes on with a chain of its own.
func (r *Report) of(chain string) (where string, ours bool) {
	chain = strings.TrimRight(chain, "+")
	if chain == workflows.CampaignID(r.Instance) {
		return "campaign", true
	}
	return strings.CutPrefix(chain, workflows.ClusterID(r.Instance, ""))
}

// Leftovers are the hosts that the instance did not bring to what was planned.
func Leftovers(s status.Status) []Leftover {
	var out []Leftover
	for _, st := range s.Stages {
		for _, cl := range st.Clusters {
			if len(cl.Members) == 0 && cl.State != string(rollout.ClusterDone) {
				out = append(out, Leftover{Cluster: cl.Name, Why: strings.ReplaceAll(cl.State, "-", " ") + ": which members it has stands in the store, which is not here"})
			}
			for _, m := range cl.Members {
				if m.Outcome == string(rollout.Patched) || m.Outcome == string(rollout.Unchanged) {
					continue
				}
				why := strings.ReplaceAll(m.State, "-", " ")
				switch {
				case m.Reason != "":
					why += ": " + m.Reason
				case m.Outcome == "" && cl.Reason != "":
					why += ": " + cl.Name + ": " + cl.Reason
				}
				out = append(out, Leftover{Cluster: cl.Name, Host: m.Host, Why: why, Out: m.Outcome == string(rollout.Quarantined)})
			}
		}
	}
	return out
}
