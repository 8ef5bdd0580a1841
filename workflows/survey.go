package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// quietFor is how many sweeps go without a survey after one that found everybody at work. A worker's start, as after a server was put
// back, has one made at once.
const quietFor = 4

// survey holds what stands in every Consul of the inventory against what this server knows, and mends what an instance left behind that
// it does not know any more: its database was put back to an older copy, or a history is over (P5).
func (s *sweeper) survey(ctx workflow.Context) (did []string) {
	before, began := s.Seen, workflow.Now(ctx)
	s.Notes, s.more, s.Seen, s.Quiet, s.stays = nil, 0, nil, 0, nil // what was not found in this one has to be found anew
	var ways activities.Ways
	if err := workflow.ExecuteActivity(brief(ctx, "", "read the inventory"), "Ways").Get(ctx, &ways); err != nil {
		ways.Problem = cause(err)
	}
	switch ways.Problem {
	case "":
	case activities.ErrNoInventory.Error(): // every worker's start has said so
		s.note(ways.Problem)
		return nil
	default:
		s.warn(ctx, ways.Problem)
		return nil
	}
	f := s.look(ctx, ways)
	owners, homes, sure, err := s.owners(ctx, f.Suspects())
	if err != nil {
		s.warn(ctx, "whose the records in Consul are cannot be told: "+cause(err))
		return nil
	}
	todo, seen, due := f.Mend(owners, before, began, workflow.Now(ctx))
	s.Seen, s.due = seen, due
	m := mending{sweeper: s, found: f, homes: homes, head: audit.Head{Chain: SweeperID + "/" + workflow.Now(ctx).UTC().Format("20060102T150405.000Z")}, given: map[string][]string{}}
	for _, one := range todo {
		m.do(ctx, one)
	}
	m.tellGiven(ctx)
	m.remind(ctx)
	m.owed.flush(ctx, SegmentQueue(""))
	if !f.missed && due.IsZero() {
		s.Told = s.stays[max(0, len(s.stays)-takenUpKept):] // what is gone is told anew where it comes anew; what was not looked at, or not for long enough, may still be there
	}
	if sure && len(s.Seen) == 0 {
		s.Quiet = quietFor
	}
	return m.did
}

// notesKept bounds what one survey has to say.
const notesKept = 50

func (s *sweeper) note(text string) {
	if s.more++; len(s.Notes) < notesKept {
		s.Notes, s.more = append(s.Notes, text), 0
	}
}

// warn notes trouble that stays until somebody ends it; the log, and new, hear of each once.
func (s *sweeper) warn(ctx workflow.Context, text string) (isNew bool) {
	s.note(text)
	s.stays = append(s.stays, text)
	if slices.Contains(s.Told, text) {
		return false
	}
	if s.Told = append(s.Told, text); len(s.Told) > takenUpKept {
		s.Told = s.Told[1:]
	}
	workflow.GetLogger(ctx).Warn(text)
	return true
}

// found is what stands in the Consuls that could be asked.
type found struct {
	rollout.Survey
	claims map[place]activities.Claim // by key and owner
	ways   map[place][]activities.Way // to where that stands
	missed bool                       // a Consul could not be asked
}

// place is a record's key, and whose it is there.
type place struct {
	key string
	by  activities.Owner
}

// ours is where a record stands of an instance of this server.
func (f found) ours(key, owner string) place {
	return place{key, activities.Owner{Instance: owner, Server: f.Server}}
}

// look asks every Consul at the same time. One that cannot be asked is told, and keeps nobody from the others.
func (s *sweeper) look(ctx workflow.Context, ways activities.Ways) found {
	all := found{Survey: rollout.Survey{Server: ways.Server}, claims: map[place]activities.Claim{}, ways: map[place][]activities.Way{}}
	var asked []workflow.Future
	for _, w := range ways.Ways {
		asked = append(asked, workflow.ExecuteActivity(brief(ctx, w.Segment, "look at the records and the maintenance in the Consul of cluster "+w.Cluster), "Survey", activities.RecordsInput{Part: w.Part}))
	}
	for i, f := range asked {
		way := ways.Ways[i]
		var one activities.Found
		if err := f.Get(ctx, &one); err != nil {
			one = activities.Found{Problem: cause(err)}
		}
		if one.Problem != "" {
			all.missed = true
			s.warn(ctx, "the Consul of cluster "+way.Cluster+" could not be asked: "+one.Problem)
			continue
		}
		for _, c := range one.Records {
			at := place{c.Key, c.By()}
			if known, ok := all.claims[at]; ok && known.Since.Equal(c.Since) {
				continue // two ways to one Consul
			}
			all.claims[at], all.ways[at] = c, append(all.ways[at], way)
			all.Records = append(all.Records, rollout.Record{Key: c.Key, Owner: c.Owner, Server: c.Server, Since: c.Since, Broken: c.Broken})
		}
		for _, m := range one.Marks {
			if !slices.Contains(all.Marks, m) {
				all.Marks = append(all.Marks, m)
			}
		}
	}
	return all
}

// plan is where it stands who is told of an instance: each of its records says so.
func (f found) plan(owner string) string {
	for _, r := range f.Records {
		if c := f.claims[f.ours(r.Key, owner)]; r.Owner == owner && c.Plan != "" {
			return c.Plan
		}
	}
	return ""
}

// lastPlan is that of the instance of ours that wrote the newest record.
func (f found) lastPlan() string {
	var last activities.Claim
	for _, r := range f.Records {
		if c := f.claims[f.ours(r.Key, r.Owner)]; c.Plan != "" && c.Since.After(last.Since) {
			last = c
		}
	}
	return last.Plan
}

// people is the plan that says who is told of an instance: each of its records names it, and so does its campaign, where the server knows
// that. Where nobody knows, those of the last instance hear of it: they work on this estate.
func (s *sweeper) people(ctx workflow.Context, f found, owner string) string {
	if plan := f.plan(owner); plan != "" {
		return plan
	}
	if owner != "" {
		var c CampaignState
		if _, err := lastState(ctx, "look up who is told of "+owner, activities.LastRunInput{WorkflowID: CampaignID(owner), Instance: owner}, &c); err == nil && c.Tell {
			return c.Plan
		}
	}
	return f.lastPlan()
}

// owners asks the server whether anybody still works for the suspects. As a rule their campaigns run, and members work on the hosts that
// are drained: that is all that is asked then, and sure.
func (s *sweeper) owners(ctx workflow.Context, suspects []rollout.Suspect) (owners map[string]rollout.Owner, where map[string]activities.Home, sure bool, err error) {
	var ids []string
	for _, of := range suspects {
		ids = append(ids, CampaignID(of.Instance))
		for _, host := range of.Hosts {
			ids = append(ids, MemberID(host))
		}
		for _, name := range of.Quiet {
			ids = append(ids, ClusterID(of.Instance, name))
		}
	}
	answers, err := askAll(ctx, ids)
	if err != nil {
		return nil, nil, false, err
	}
	owners = map[string]rollout.Owner{}
	var doubtful []rollout.Suspect
	for _, of := range suspects {
		owner := rollout.Owner{Runs: answers[CampaignID(of.Instance)].Running, Hosts: map[string]rollout.Home{}, Over: map[string]bool{}}
		for _, name := range of.Quiet {
			a := answers[ClusterID(of.Instance, name)]
			owner.Over[name] = !taken(a) && a.Status != activities.NotFound // one that is not known may be yet to begin: the database was put back
		}
		busy := owner.Runs
		for _, host := range of.Hosts {
			if id := MemberID(host); taken(answers[id]) && answers[id].Instance == of.Instance {
				owner.Hosts[host] = rollout.Home{AtWork: true}
			} else {
				busy = false
			}
		}
		if status := answers[CampaignID(of.Instance)].Status; !owner.Runs && status != activities.NotFound {
			owner.Ended = strings.ToLower(status)
		}
		if owners[of.Instance] = owner; !busy {
			doubtful = append(doubtful, of)
		}
	}
	if len(doubtful) == 0 {
		return owners, nil, true, nil
	}
	var homes activities.Homes
	if err := workflow.ExecuteActivity(brief(ctx, "", "look up where somebody may still be at work"), "Homes", activities.HomesInput{Suspects: doubtful}).Get(ctx, &homes); err != nil {
		return nil, nil, false, err
	}
	ids = nil
	for _, of := range homes.Reach {
		for _, name := range of.Clusters {
			ids = append(ids, ClusterID(of.Instance, name))
		}
		for _, host := range of.Hosts {
			ids = append(ids, MemberID(host))
		}
	}
	if answers, err = askAll(ctx, ids); err != nil {
		return nil, nil, false, err
	}
	for i, of := range doubtful {
		owner := owners[of.Instance]
		owner.Works = atWork(of.Instance, homes.Reach[i], answers)
		for _, host := range of.Hosts {
			_, known := homes.Homes[host]
			owner.Hosts[host] = homeOf(of.Instance, answers[MemberID(host)], known)
		}
		owners[of.Instance] = owner
	}
	return owners, homes.Homes, false, nil
}

// homeOf says who works on a host that is drained, and whether it can be put back. A cluster at work does not count: it may have been put
// back to a time before the drain, and wait for this very host.
func homeOf(instance string, on activities.AskResult, known bool) rollout.Home {
	switch {
	case taken(on) && on.Instance == instance:
		return rollout.Home{AtWork: true}
	case !known:
		return rollout.Home{Problem: "it is in no cluster of the inventory, so that nothing says how it is reached"}
	case taken(on):
		return rollout.Home{Busy: on.Instance}
	}
	return rollout.Home{}
}

// taken says that somebody works there, or soon does again: the sweeper takes up what was ended from outside.
func taken(a activities.AskResult) bool { return a.Running || a.EndedFromOutside }

// atWork is a workflow of the instance that is at work within its reach, or "".
func atWork(instance string, reach rollout.Suspect, answers map[string]activities.AskResult) string {
	for _, name := range reach.Clusters {
		if id := ClusterID(instance, name); taken(answers[id]) {
			return id
		}
	}
	for _, host := range reach.Hosts {
		if id := MemberID(host); taken(answers[id]) && answers[id].Instance == instance {
			return id
		}
	}
	return ""
}

// askAll asks about workflows by their ids, all in one activity.
func askAll(ctx workflow.Context, ids []string) (map[string]activities.AskResult, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	by := make(map[string]activities.AskResult, len(ids))
	if len(ids) == 0 {
		return by, nil
	}
	var answers []activities.AskResult
	if err := workflow.ExecuteActivity(brief(ctx, "", "ask who still works"), "AskAll", activities.AskAllInput{WorkflowIDs: ids}).Get(ctx, &answers); err != nil {
		return nil, err
	}
	if len(answers) != len(ids) {
		return nil, fmt.Errorf("%d workflows were asked for, and %d answers came", len(ids), len(answers))
	}
	for i, id := range ids {
		by[id] = answers[i]
	}
	return by, nil
}

// mending is one survey that does something.
type mending struct {
	*sweeper
	found found
	homes map[string]activities.Home
	head  audit.Head // a chain of its own: one that a put-back server goes on with would fork
	owed  unwritten
	told  int
	given map[string][]string // clusters that were given back, by owner
	lost  []string            // the owners, in order
	did   []string
}

func (m *mending) do(ctx workflow.Context, one rollout.Mend) {
	switch one.Do {
	case rollout.MendReturn:
		m.putBack(ctx, one)
	case rollout.MendDrop:
		m.giveBack(ctx, one)
	case rollout.MendUpdate:
		m.restore(ctx, one)
	case rollout.MendTell:
		if m.warn(ctx, one.Text) {
			m.owed.add(ctx, &m.head, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: "tell", Host: one.Host, Detail: one.Text})
			m.notify(ctx, rollout.TellHold, one)
		}
	case rollout.MendNote:
		m.note(one.Text)
	}
}

// putBack starts the member's workflow, which looks at the host, checks it and puts it back. It tells the people by itself.
func (m *mending) putBack(ctx workflow.Context, one rollout.Mend) {
	home := m.homes[one.Host]
	st := MemberState{
		Member: rollout.Forgotten(one.Owner, home.Cluster, one.Host, one.Text, home.Member),
		Part:   home.Part, Plan: m.found.plan(one.Owner), Segment: home.Segment, Limits: home.Limits, Try: tryOf(ctx),
	}
	st.Audit.Chain = m.head.Chain + "/" + one.Host
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: MemberID(one.Host), TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         "put " + one.Host + " back, which was left drained by " + one.Owner,
		TypedSearchAttributes: attributes(one.Owner, home.Cluster, "", one.Host, string(st.Step)),
	})
	if err := workflow.ExecuteChildWorkflow(child, MemberType, st).GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		m.did = append(m.did, one.Host+" cannot be put back yet: "+cause(err))
		return
	}
	m.owed.add(ctx, &m.head, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: string(rollout.ModeReturn), Host: one.Host, Detail: one.Text})
	m.did = append(m.did, one.Host+" is looked at, checked and put back: "+one.Text)
	workflow.GetLogger(ctx).Warn("a host that was left drained is put back", "host", one.Host, "instance", one.Owner)
}

// giveBack drops a claim, wherever it stands and only if it is still that owner's.
func (m *mending) giveBack(ctx workflow.Context, one rollout.Mend) {
	for _, way := range m.found.ways[m.found.ours(one.Key, one.Owner)] {
		in := activities.DropInput{Part: way.Part, Owner: activities.Owner{Instance: one.Owner, Server: m.found.Server}, Keys: []string{one.Key}, Intent: intend(ctx, &m.head, string(rollout.DoRelease), "", "", one.Key+" of "+one.Owner+": "+one.Text)}
		var r activities.DropResult
		if err := workflow.ExecuteActivity(brief(ctx, way.Segment, "give back "+one.Key+" of "+one.Owner), "Drop", in).Get(ctx, &r); err != nil {
			m.warn(ctx, "the claim of cluster "+one.Cluster+" could not be given back: "+cause(err))
			m.owed.owe(in.Intent)
			m.owed.add(ctx, &m.head, audit.Entry{Kind: audit.Outcome, Actor: "rollpatch", Action: string(rollout.DoRelease), Result: "unknown: " + cause(err)})
			return // it is found again
		}
		m.owed.adopt(ctx, &m.head, in.Intent, r.Audit)
	}
	if m.given[one.Owner] == nil {
		m.lost = append(m.lost, one.Owner)
	}
	m.given[one.Owner] = append(m.given[one.Owner], one.Cluster)
	m.did = append(m.did, "the claim of cluster "+one.Cluster+" is given back: "+one.Text)
	workflow.GetLogger(ctx).Warn("a claim that nobody works for is given back", "cluster", one.Cluster, "instance", one.Owner)
}

// restore turns the automatic updates of a host on again, as they were.
func (m *mending) restore(ctx workflow.Context, one rollout.Mend) {
	for _, way := range m.found.ways[m.found.ours(one.Key, one.Owner)] {
		in := activities.RestoreInput{Part: way.Part, Key: one.Key, Owner: activities.Owner{Instance: one.Owner, Server: m.found.Server}, Intent: intend(ctx, &m.head, string(rollout.DoUpdatersOn), one.Host, "", one.Key+" of "+one.Owner+": "+one.Text)}
		var r activities.DropResult
		if err := workflow.ExecuteActivity(brief(ctx, way.Segment, "turn automatic updates of "+one.Host+" on again"), "RestoreUpdaters", in).Get(ctx, &r); err != nil {
			m.warn(ctx, one.Text+"; they cannot be turned on: "+cause(err))
			m.owed.owe(in.Intent)
			m.owed.add(ctx, &m.head, audit.Entry{Kind: audit.Outcome, Actor: "rollpatch", Action: string(rollout.DoUpdatersOn), Host: one.Host, Result: "unknown: " + cause(err)})
			return // it is found again
		}
		m.owed.adopt(ctx, &m.head, in.Intent, r.Audit)
	}
	m.did = append(m.did, "automatic updates of "+one.Host+" are as they were: "+one.Text)
	workflow.GetLogger(ctx).Warn("automatic updates that were left off are on again", "host", one.Host, "instance", one.Owner)
}

// tellGiven tells the people of each instance once, however many clusters it had claimed.
func (m *mending) tellGiven(ctx workflow.Context) {
	for _, owner := range m.lost {
		m.notify(ctx, rollout.TellHalted, rollout.Mend{
			Owner: owner, Text: "nobody works for " + owner + " any more, and its claims are given back: " + strings.Join(m.given[owner], ", ") + ". What is left to do goes into a new instance", Next: "rollpatch quarantine list",
		})
	}
}

// notify tells people of what was found. Where nobody knows of any, the page and the log must do.
func (m *mending) notify(ctx workflow.Context, event string, one rollout.Mend) {
	m.told++
	m.tell(ctx, m.people(ctx, m.found, one.Owner), m.head.Chain, activities.Notice{Event: event, Instance: one.Owner, Host: one.Host, Text: one.Text, Next: one.Next}, m.told)
}
