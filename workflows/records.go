package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rollpatch/rollpatch/activities"
	"github.com/rollpatch/rollpatch/workflows/audit"
	"github.com/rollpatch/rollpatch/workflows/rollout"
)

// What may be done with the records in Consul, and the ways out of a quarantine.
const (
	RecordsList    = "list"
	RecordsBreak   = "break"   // a cluster's claim, whose owner is gone
	RecordsRelease = "release" // a quarantined member, or quarantined versions
	RecordsWiden   = "widen"   // quarantined versions, beyond their cluster

	Return  = "return"  // the member is in order again: check it and put it back into service
	Rebuilt = "rebuilt" // the same, of a host that was set up anew
	Retired = "retired" // the host is gone: forget it

	Versions = "versions" // the way out for versions: they may be installed again
)

// ErrRefused is the type of the error of what is not done, and why.
const ErrRefused = "Refused"

// RecordsInput is what a person wants of the records.
type RecordsInput struct {
	Word  string   `json:"word"`
	Parts []string `json:"parts"` // one for each Consul; for one record, the part of its cluster
	// Segments are those that reach the parts' Consuls, where it is not the default one.
	Segments map[string]string `json:"segments,omitempty"`
	// Name is the cluster, the host or the versions that are meant.
	Name string `json:"name,omitempty"`
	// Clusters are those that are claimed together with the one that is meant, and Hosts its members: whoever works on one of them
	// needs the claim.
	Clusters []string `json:"clusters,omitempty"`
	Hosts    []string `json:"hosts,omitempty"`
	How      string   `json:"how,omitempty"` // out of a quarantine
	// Scope is where versions are to be left out too: a cluster, or rollout.Everywhere. All parts but the first reach it.
	Scope string `json:"scope,omitempty"`
	// Elsewhere: a person says that the rollpatch with another database, whose record it is, is gone for good.
	Elsewhere bool            `json:"elsewhere,omitempty"`
	Segment   string          `json:"segment,omitempty"`
	Message   rollout.Message `json:"message,omitzero"`
}

// Record is what stands in Consul, and whether its owner still works.
type Record struct {
	activities.Claim
	Live   bool   `json:"live"`
	Status string `json:"status"` // of its owner's workflow
	// Drained says of a quarantined member that it is out of service on purpose.
	Drained bool `json:"drained,omitempty"`
	// Elsewhere: its owner runs on another Temporal server, which alone knows whether it works.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Into is what versions that were widened are left out as, from now on; empty: they were so before.
	Into string `json:"into,omitempty"`
}

// Records lists the records, or does with one of them what a person says.
func Records(ctx workflow.Context, in RecordsInput) ([]Record, error) {
	r := &records{in: in, head: audit.Head{Chain: workflow.GetInfo(ctx).WorkflowExecution.ID}, asked: map[string]activities.AskResult{}}
	all, err := r.list(ctx)
	if err != nil || in.Word == RecordsList {
		return all, err
	}
	r.owed.add(ctx, &r.head, message(strings.TrimSpace(in.Word+" "+in.Name+" "+in.How), in.Message))
	r.owed.flush(ctx, SegmentQueue(in.Segment))
	switch in.Word {
	case RecordsBreak:
		return r.breakClaim(ctx, all)
	case RecordsWiden:
		return r.widen(ctx, all)
	case RecordsRelease:
		if in.How == Versions {
			return r.releaseVersions(ctx, all)
		}
		return r.release(ctx, all)
	}
	return nil, refused("unknown word %q", in.Word)
}

type records struct {
	in    RecordsInput
	head  audit.Head
	owed  unwritten
	asked map[string]activities.AskResult
	// server is the id of ours.
	server string
}

// ask asks about each workflow once.
func (r *records) ask(ctx workflow.Context, id string) (activities.AskResult, error) {
	a, known := r.asked[id]
	if known {
		return a, nil
	}
	err := workflow.ExecuteActivity(brief(ctx, "", "ask whether "+id+" still works"), "Ask", activities.AskInput{WorkflowID: id}).Get(ctx, &a)
	r.asked[id] = a
	return a, err
}

func refused(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), ErrRefused, nil)
}

func (r *records) list(ctx workflow.Context) ([]Record, error) {
	if err := workflow.ExecuteActivity(brief(ctx, "", "ask which server this is"), "Server").Get(ctx, &r.server); err != nil {
		return nil, err
	}
	var all []Record
	for _, part := range r.in.Parts {
		var found []activities.Claim
		if err := workflow.ExecuteActivity(brief(ctx, r.segment(part), "read the records in Consul"), "Records", activities.RecordsInput{Part: part}).Get(ctx, &found); err != nil {
			return nil, err
		}
		drained := map[string]bool{}
		for _, c := range found {
			if host, ok := strings.CutPrefix(c.Key, rollout.DrainRecord); ok {
				drained[host] = true
			}
		}
		for _, c := range found {
			if slices.ContainsFunc(all, func(o Record) bool { return o.Key == c.Key && o.By() == c.By() && o.Since.Equal(c.Since) }) {
				continue // two ways to one Consul
			}
			host, quarantined := strings.CutPrefix(c.Key, rollout.QuarantineRecord)
			rec := Record{Claim: c, Drained: quarantined && drained[host], Elsewhere: c.Server != r.server}
			if c.Broken != "" {
				rec.Reason, rec.Elsewhere = c.Broken, false
			} else if !rec.Elsewhere { // who has the same name here is another instance
				a, err := r.ask(ctx, CampaignID(c.Owner))
				if err != nil {
					return nil, err
				}
				rec.Live, rec.Status = a.Running, strings.ToLower(a.Status)
			}
			all = append(all, rec)
		}
	}
	return all, nil
}

func find(all []Record, key string) (Record, bool) {
	i := slices.IndexFunc(all, func(c Record) bool { return c.Key == key })
	if i < 0 {
		return Record{}, false
	}
	return all[i], true
}

// ours refuses what cannot be read, and what another rollpatch may still work on: this server cannot tell.
func (r *records) ours(rec Record, again string) error {
	if rec.Broken != "" {
		return refused("%s", rec.Broken)
	}
	if !rec.Elsewhere || r.in.Elsewhere {
		return nil
	}
	return refused("%s of %s belongs to another rollpatch, with a Temporal database of its own: say it there; if that is gone for good: rollpatch %s --elsewhere --reason \"...\"", rec.Key, rec.Owner, again)
}

// breakClaim removes the claim of an owner that does not work on the cluster any more.
func (r *records) breakClaim(ctx workflow.Context, all []Record) ([]Record, error) {
	rec, ok := find(all, rollout.ClusterRecord+r.in.Name)
	if !ok {
		return nil, refused("cluster %q is not claimed", r.in.Name)
	}
	if err := r.ours(rec, "claims break "+r.in.Name); err != nil {
		return nil, err
	}
	if rec.Elsewhere {
		return []Record{rec}, r.drop(ctx, rec, rec.Key)
	}
	for _, name := range append([]string{r.in.Name}, r.in.Clusters...) {
		a, err := r.ask(ctx, ClusterID(rec.Owner, name))
		if err != nil {
			return nil, err
		}
		if a.EndedFromOutside {
			return nil, refused("the workflow of cluster %q of %s was ended from outside: within minutes it is taken up, and gives its claim back: rollpatch status %s", name, rec.Owner, rec.Owner)
		}
		if a.Running {
			return nil, refused("cluster %q is claimed by %s, which works on cluster %q: end that with: rollpatch abort %s --reason \"...\"", r.in.Name, rec.Owner, name, rec.Owner)
		}
	}
	for _, host := range r.in.Hosts {
		a, err := r.ask(ctx, MemberID(host))
		if err != nil {
			return nil, err
		}
		if (a.Running || a.EndedFromOutside) && a.Instance == rec.Owner {
			return nil, refused("cluster %q is claimed by %s, which works on %s: wait until that has ended: rollpatch why %s", r.in.Name, rec.Owner, host, host)
		}
	}
	return []Record{rec}, r.drop(ctx, rec, rec.Key)
}

// release ends a quarantine. A member that is to serve is checked first, and goes back into service before its record goes.
func (r *records) release(ctx workflow.Context, all []Record) ([]Record, error) {
	rec, ok := find(all, rollout.QuarantineRecord+r.in.Name)
	if !ok {
		return nil, refused("host %q is not in quarantine", r.in.Name)
	}
	if err := r.ours(rec, "quarantine release "+r.in.Name+" --"+r.in.How); err != nil {
		return nil, err
	}
	if r.in.How == Retired {
		for _, o := range all { // nobody turns its automatic updates on any more
			if strings.HasPrefix(o.Key, rollout.UpdaterRecord) && strings.HasSuffix(o.Key, "/"+r.in.Name) && !o.Live {
				if err := r.drop(ctx, o, o.Key); err != nil {
					return nil, err
				}
			}
		}
		return []Record{rec}, r.drop(ctx, rec, rec.Key, rollout.DrainRecord+r.in.Name)
	}
	st := MemberState{
		Member: rollout.NewMember(rec.Owner, "", r.in.Name, rollout.ModeReturn, false, rollout.MemberPolicy{}),
		Part:   r.in.Parts[0], Segment: r.in.Segment, Try: tryOf(ctx),
	}
	if rec.Elsewhere {
		st.Server = rec.Server
	}
	st.Audit.Chain = r.head.Chain + "/" + r.in.Name
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: MemberID(r.in.Name), TaskQueue: Queue, ParentClosePolicy: parentCloseAbandon,
		StaticSummary:         "return " + r.in.Name + " from its quarantine",
		TypedSearchAttributes: attributes(rec.Owner, "", "", r.in.Name, string(rollout.StepCheck)),
	}), MemberType, st)
	if err := child.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return nil, refused("%s: somebody else works on it: %s", r.in.Name, cause(err))
	}
	var end MemberReport
	if err := child.Get(ctx, &end); err != nil {
		return nil, refused("%s stays in quarantine: %s", r.in.Name, strings.TrimPrefix(cause(err), r.in.Name+" is in quarantine: "))
	}
	r.owed.add(ctx, &r.head, audit.Entry{Kind: audit.Child, Actor: "rollpatch", Action: string(rollout.ModeReturn), Host: r.in.Name, Detail: string(end.Outcome), Result: end.Audit.Digest})
	r.owed.flush(ctx, SegmentQueue(r.in.Segment))
	return []Record{rec}, r.drop(ctx, rec, rec.Key)
}

// releaseVersions lets versions be installed again. While the instance that put them there works on the cluster, it may do so once more.
func (r *records) releaseVersions(ctx workflow.Context, all []Record) ([]Record, error) {
	rec, ok := find(all, rollout.VersionsRecord+r.in.Name)
	if !ok {
		return nil, refused("no versions are in quarantine as %s: rollpatch quarantine list shows those that are", r.in.Name)
	}
	if err := r.ours(rec, "quarantine release "+r.in.Name); err != nil {
		return nil, err
	}
	if rec.Elsewhere {
		return []Record{rec}, r.drop(ctx, rec, rec.Key)
	}
	if rec.Widened != nil { // they did not fail here: nobody tries them again
		return []Record{rec}, r.drop(ctx, rec, rec.Key)
	}
	cluster, _, _ := strings.Cut(r.in.Name, "/")
	a, err := r.ask(ctx, ClusterID(rec.Owner, cluster))
	if err != nil {
		return nil, err
	}
	if a.Running || a.EndedFromOutside {
		return nil, refused("%s, which they failed in, still works on cluster %q: wait for its end, or end it with: rollpatch abort %s --reason \"...\"", rec.Owner, cluster, rec.Owner)
	}
	return []Record{rec}, r.drop(ctx, rec, rec.Key)
}

// tryOf tells one return of a host from the next: with the same run ids, a script that failed once would be followed to that end for ever.
func tryOf(ctx workflow.Context) int { return int(workflow.Now(ctx).Unix()) }

// drop removes records from every Consul that was asked.
func (r *records) drop(ctx workflow.Context, rec Record, keys ...string) error {
	for _, part := range r.in.Parts {
		in := activities.DropInput{Part: part, Owner: rec.By(), Keys: keys, Intent: intend(ctx, &r.head, r.in.Word, "", "", strings.Join(keys, ", ")+" of "+rec.Owner)}
		var done activities.DropResult
		if err := workflow.ExecuteActivity(brief(ctx, r.segment(part), r.in.Word+" "+r.in.Name), "Drop", in).Get(ctx, &done); err != nil {
			return err
		}
		r.owed.adopt(ctx, &r.head, in.Intent, done.Audit)
	}
	return nil
}

// segment is the one that reaches a part's Consul.
func (r *records) segment(part string) string { return cmp.Or(r.in.Segments[part], r.in.Segment) }

// brief are the options of an activity that a person waits for.
func brief(ctx workflow.Context, segment, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: SegmentQueue(segment), StartToCloseTimeout: time.Minute, ScheduleToCloseTimeout: 2 * time.Minute, HeartbeatTimeout: heartbeatTimeout,
		Summary:     summary,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 3, NonRetryableErrorTypes: []string{activities.ErrBadInput}},
	})
}
